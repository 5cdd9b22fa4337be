/*-------------------------------------------------------------------------
 *
 * table_shape.c
 *	  Columns and partitions: can a staged table's storage become that of the
 *	  published table?
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "table/table_shape.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/names.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_am.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/tablespace.h"
#include "miscadmin.h"
#include "nodes/bitmapset.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "table/alter_table.h"
#include "table/column_settings.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/* As the server calls a column that was dropped. */
#define GAP_NAME	"........pg.dropped.%d........"

/* ---- planning ---- */

/* Return true if the published column is what a column of the query would become. */
static bool
is_same_column(Form_pg_attribute published, Form_pg_attribute other)
{
	return strcmp(NameStr(published->attname), NameStr(other->attname)) == 0 &&
		published->atttypid == other->atttypid &&
		published->atttypmod == other->atttypmod &&
		published->attcollation == other->attcollation &&
		published->attgenerated == other->attgenerated;
}

/* Something that can be published into at all: not a view, a foreign table, ... */
static bool
is_plain_heap(Relation relation)
{
	return relation->rd_rel->relkind == RELKIND_RELATION &&
		relation->rd_rel->relam == HEAP_TABLE_AM_OID &&
		relation->rd_rel->relpersistence != RELPERSISTENCE_TEMP &&
		!OidIsValid(relation->rd_rel->reloftype);
}

/*
 * The partitions of a table that is partitioned by hash into heaps, n ways; NIL
 * where it is not.  The server keeps them ordered by remainder.
 */
static List *
hash_partitions(Relation relation, int n)
{
	PartitionDesc partitions;
	List	   *heaps = NIL;

	if (RelationGetPartitionKey(relation)->strategy != PARTITION_STRATEGY_HASH)
		return NIL;
	partitions = RelationGetPartitionDesc(relation, true);
	if (partitions->nparts != n ||
		get_hash_partition_greatest_modulus(partitions->boundinfo) != n)
		return NIL;
	for (int i = 0; i < n; i++)
	{
		if (!partitions->is_leaf[i])
			return NIL;
		heaps = lappend_oid(heaps, partitions->oids[i]);
	}
	return heaps;
}

/* Return true if it is partitioned by these columns, and they will stay. */
static bool
has_partition_key(Relation relation, const TableShape *shape, List *columns)
{
	PartitionKey key = RelationGetPartitionKey(relation);
	ListCell   *lc;

	if (key->partnatts != list_length(columns))
		return false;
	foreach(lc, columns)
	{
		AttrNumber	attnum = key->partattrs[foreach_current_index(lc)];

		if (attnum == InvalidAttrNumber ||
			shape->columns[attnum - 1].fate != COLUMN_KEPT ||
			strcmp(shape->columns[attnum - 1].name, lfirst(lc)) != 0)
			return false;
	}
	return true;
}

static void
put_column(ShapeColumn *column, ColumnFate fate, Form_pg_attribute att)
{
	column->fate = fate;
	column->name = pstrdup(NameStr(att->attname));
	column->type = att->atttypid;
	column->typmod = att->atttypmod;
	column->collation = att->attcollation;
}

static void
plan_columns(TableShape *shape, TupleDesc published, TupleDesc rows)
{
	int			next = 0;		/* of rows: those before it have their place */

	shape->columns = palloc0(sizeof(ShapeColumn) * (published->natts + rows->natts));
	shape->ncolumns = published->natts;
	for (int i = 0; i < published->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(published, i);
		ColumnFate	fate = COLUMN_DROPPED;

		if (att->attisdropped)
			fate = COLUMN_GONE;
		else if (next < rows->natts && is_same_column(att, TupleDescAttr(rows, next)))
		{
			fate = COLUMN_KEPT;
			next++;
		}
		put_column(&shape->columns[i], fate, att);
	}
	for (; next < rows->natts; next++)
		put_column(&shape->columns[shape->ncolumns++], COLUMN_ADDED,
				   TupleDescAttr(rows, next));
}

/*
 * Return true if ALTER TABLE would rewrite the published table when it adds the new columns.
 * It does for domains that have constraints, which hold for no row that is there.
 */
static bool
would_rewrite(const TableShape *shape)
{
	for (int i = 0; i < shape->ncolumns; i++)
	{
		if (shape->columns[i].fate == COLUMN_ADDED &&
			DomainHasConstraints(shape->columns[i].type))
			return true;
	}
	return false;
}

bool
table_shape_has_column(Oid relid, AttrNumber attnum)
{
	HeapTuple	tuple = SearchSysCacheAttNum(relid, attnum);

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return HeapTupleIsValid(tuple);
}

Oid
table_shape_first_heap(Oid relid)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_RELATION)
			return lfirst_oid(lc);
	}
	return relid;
}

/* Return true if it can take over the storage, and set shape->heaps to its partitions. */
static bool
keeps_storage(TableShape *shape, Relation published, int partitions, List *key)
{
	if (would_rewrite(shape))
		return false;
	if (partitions == 0)
		return is_plain_heap(published);
	if (published->rd_rel->relkind != RELKIND_PARTITIONED_TABLE ||
		!has_partition_key(published, shape, key))
		return false;
	shape->heaps = hash_partitions(published, partitions);
	return shape->heaps != NIL;
}

/* What the table's storage, and that of its partitions, is modelled on. */
static void
plan_storage(TableShape *shape, Relation published, int partitions, List *key)
{
	shape->model = shape->published;
	shape->replaces = !keeps_storage(shape, published, partitions, key);
	if (!shape->replaces)
		return;

	/* partitions that are replaced are alike: replace_check_table has seen to it */
	if (partitions == 0)
		shape->model = table_shape_first_heap(shape->published);
	for (int i = 0; i < partitions; i++)
		shape->heaps = lappend_oid(shape->heaps, table_shape_first_heap(shape->published));
}

TableShape *
table_shape_plan(Oid published, TupleDesc rows, int partitions, List *key)
{
	Relation	relation = OidIsValid(published) ?
	try_relation_open(published, AccessShareLock) : NULL;
	TableShape *shape = NULL;

	if (relation == NULL)
		return NULL;
	if (COMPAT_CLASS_OWNERCHECK(published, GetUserId()))
	{
		shape = palloc0(sizeof(TableShape));
		shape->published = published;
		plan_columns(shape, RelationGetDescr(relation), rows);
		if (shape->ncolumns > MaxHeapAttributeNumber)
			shape = NULL;
		else
			plan_storage(shape, relation, partitions, key);
	}
	relation_close(relation, AccessShareLock);
	return shape;
}

/* ---- making a table like the published one ---- */

List *
table_shape_columns(const TableShape *shape)
{
	List	   *columns = NIL;

	for (int i = 0; i < shape->ncolumns; i++)
	{
		ShapeColumn *column = &shape->columns[i];

		if (column->fate == COLUMN_KEPT || column->fate == COLUMN_ADDED)
			columns = lappend(columns,
							  makeColumnDef(column->name, column->type, column->typmod,
											column->collation));
		else
			columns = lappend(columns,
							  makeColumnDef(psprintf(GAP_NAME, i + 1), BOOLOID, -1, InvalidOid));
	}
	return columns;
}

void
table_shape_storage(Oid published, CreateStmt *create)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(published));
	Oid			tablespace;
	Datum		options;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		return;					/* publishing will see */
	tablespace = ((Form_pg_class) GETSTRUCT(tuple))->reltablespace;
	/* the database's own, and not the session's default_tablespace */
	if (!OidIsValid(tablespace) && create->partspec == NULL &&
		((Form_pg_class) GETSTRUCT(tuple))->relkind == RELKIND_RELATION)
		tablespace = MyDatabaseTableSpace;
	if (OidIsValid(tablespace))
		create->tablespacename = get_tablespace_name(tablespace);
	options = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_reloptions, &isnull);
	if (!isnull && create->partspec == NULL &&
		((Form_pg_class) GETSTRUCT(tuple))->relkind == RELKIND_RELATION)
		create->options = untransformRelOptions(options);
	ReleaseSysCache(tuple);
}

void
table_shape_imitate(const TableShape *shape, List *relids)
{
	Relation	pg_attribute = table_open(AttributeRelationId, RowExclusiveLock);
	ListCell   *lc;

	foreach(lc, relids)
	{
		int			i = foreach_current_index(lc);
		Oid			published = i == 0 ? shape->model : list_nth_oid(shape->heaps, i - 1);

		for (int k = 0; k < shape->ncolumns; k++)
		{
			ColumnFate	fate = shape->columns[k].fate;

			if (fate == COLUMN_GONE || fate == COLUMN_DROPPED)
				column_settings_copy_gap(pg_attribute, published, lfirst_oid(lc), k + 1);
			else if (fate == COLUMN_KEPT)
				column_settings_copy(pg_attribute, published, lfirst_oid(lc), k + 1);
		}
	}
	table_close(pg_attribute, RowExclusiveLock);
	CommandCounterIncrement();
}

/* ---- comparing ---- */

/* Find out whether the columns fit, or would once some were dropped and added. */
static ShapeFit
compare_columns(TupleDesc published, TupleDesc staged)
{
	ShapeFit	fit = SHAPE_FITS;

	if (staged->natts < published->natts)
		return SHAPE_REPLACE;
	for (int i = 0; i < staged->natts; i++)
	{
		Form_pg_attribute s = TupleDescAttr(staged, i);
		Form_pg_attribute p;

		if (i >= published->natts)
		{
			if (s->attisdropped)
				return SHAPE_REPLACE;
			fit = SHAPE_ALTER;
			continue;
		}
		p = TupleDescAttr(published, i);
		if (p->attlen != s->attlen || p->attalign != s->attalign || p->attbyval != s->attbyval)
			return SHAPE_REPLACE;
		if (s->attisdropped)
		{
			if (!p->attisdropped)
				fit = SHAPE_ALTER;
		}
		else if (p->attisdropped || !is_same_column(p, s))
			return SHAPE_REPLACE;
	}
	return fit;
}

static bool
same_partitions(Relation published, Relation staged)
{
	PartitionKey p = RelationGetPartitionKey(published);
	PartitionKey s = RelationGetPartitionKey(staged);

	if (p->strategy != s->strategy || p->partnatts != s->partnatts ||
		p->partexprs != NIL || s->partexprs != NIL)
		return false;
	for (int i = 0; i < p->partnatts; i++)
	{
		if (p->partattrs[i] != s->partattrs[i] || p->partopfamily[i] != s->partopfamily[i] ||
			p->partopcintype[i] != s->partopcintype[i] ||
			p->partcollation[i] != s->partcollation[i])
			return false;
	}
	return partition_bounds_equal(p->partnatts, p->parttyplen, p->parttypbyval,
								  RelationGetPartitionDesc(published, true)->boundinfo,
								  RelationGetPartitionDesc(staged, true)->boundinfo);
}

static void
add_pair(List **pairs, Oid published, Oid staged)
{
	TablePair  *pair = palloc(sizeof(TablePair));

	pair->published = published;
	pair->staged = staged;
	*pairs = lappend(*pairs, pair);
}

/* One pair, which the caller has a lock on. */
static ShapeFit
compare_relations(Oid published, Oid staged, List **pairs)
{
	Relation	p = relation_open(published, AccessShareLock);
	Relation	s = relation_open(staged, AccessShareLock);
	ShapeFit	fit = SHAPE_REPLACE;

	add_pair(pairs, published, staged);
	if (is_plain_heap(p) && is_plain_heap(s))
		fit = compare_columns(RelationGetDescr(p), RelationGetDescr(s));
	else if (p->rd_rel->relkind == RELKIND_PARTITIONED_TABLE &&
			 s->rd_rel->relkind == RELKIND_PARTITIONED_TABLE && same_partitions(p, s))
	{
		PartitionDesc partitions = RelationGetPartitionDesc(p, true);

		fit = compare_columns(RelationGetDescr(p), RelationGetDescr(s));
		for (int i = 0; i < partitions->nparts && fit != SHAPE_REPLACE; i++)
		{
			ShapeFit	of_partition =
			compare_relations(partitions->oids[i],
							  RelationGetPartitionDesc(s, true)->oids[i], pairs);

			if (of_partition != fit)
				fit = SHAPE_REPLACE;
		}
	}
	relation_close(s, AccessShareLock);
	relation_close(p, AccessShareLock);
	return fit;
}

/*
 * Return true if the columns of the two are told by their numbers.  *rewrites: see would_rewrite.
 */
static bool
columns_correspond(Oid published, Oid staged, bool *rewrites)
{
	Relation	p = relation_open(published, AccessShareLock);
	Relation	s = relation_open(staged, AccessShareLock);
	bool		correspond = compare_columns(RelationGetDescr(p),
											 RelationGetDescr(s)) != SHAPE_REPLACE;

	*rewrites = false;
	for (int i = RelationGetDescr(p)->natts; i < RelationGetDescr(s)->natts; i++)
		*rewrites |= DomainHasConstraints(TupleDescAttr(RelationGetDescr(s), i)->atttypid);
	relation_close(s, AccessShareLock);
	relation_close(p, AccessShareLock);
	return correspond;
}

ShapeFit
table_shape_compare(Oid published, Oid staged, List **pairs)
{
	ShapeFit	fit;
	bool		correspond;
	bool		rewrites;

	*pairs = NIL;
	fit = compare_relations(published, staged, pairs);
	if (fit == SHAPE_FITS)
		return fit;
	correspond = columns_correspond(published, staged, &rewrites);
	if (fit == SHAPE_ALTER && rewrites)
		fit = SHAPE_REPLACE;
	if (fit == SHAPE_REPLACE)
		*pairs = correspond ? list_make1(linitial(*pairs)) : NIL;
	return fit;
}

/* ---- altering ---- */

void
table_shape_alter(Oid published, Oid staged)
{
	Relation	p = relation_open(published, NoLock);
	Relation	s = relation_open(staged, NoLock);
	List	   *commands = NIL;

	for (int i = 0; i < RelationGetDescr(s)->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(s), i);
		Form_pg_attribute old = i < RelationGetDescr(p)->natts ?
		TupleDescAttr(RelationGetDescr(p), i) : NULL;

		if (att->attisdropped && old != NULL && !old->attisdropped)
			commands = lappend(commands,
							   alter_table_command(AT_DropColumn, NameStr(old->attname),
												   NULL));
		else if (old == NULL)
		{
			ColumnDef  *column = makeColumnDef(NameStr(att->attname), att->atttypid,
											   att->atttypmod, att->attcollation);

			commands = lappend(commands, alter_table_command(AT_AddColumn, NULL,
															 (Node *) column));
		}
	}
	relation_close(s, NoLock);
	relation_close(p, NoLock);
	if (commands != NIL)
		alter_table_execute(published, commands);
}

bool
table_shape_lacks_column(Relation staged, Node *expression, const char *constraint)
{
	Bitmapset  *attnums = NULL;
	int			attnum = -1;

	pull_varattnos(expression, 1, &attnums);
	while ((attnum = bms_next_member(attnums, attnum)) >= 0)
	{
		int			column = attnum + FirstLowInvalidHeapAttributeNumber;

		if (column == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("constraint \"%s\" of the published table refers to the whole row",
							constraint),
					 errhint("Write it with the names of columns.")));
		if (column > RelationGetDescr(staged)->natts ||
			(column > 0 && TupleDescAttr(RelationGetDescr(staged), column - 1)->attisdropped))
			return true;
	}
	return false;
}
