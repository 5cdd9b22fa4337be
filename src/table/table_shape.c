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

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/names.h"
#include "catalog/indexing.h"
#include "catalog/objectaddress.h"
#include "catalog/partition.h"
#include "catalog/pg_am.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "commands/tablespace.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "table/relation_attrs.h"
#include "tcop/dest.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/* As the server calls a column that was dropped. */
#define GAP_NAME	"........pg.dropped.%d........"

/* ---- planning ---- */

/* Is the published column what a column of the query would become? */
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

/* Is it partitioned by these columns, and will they stay? */
static bool
has_partition_key(Relation relation, const TableShape *layout, List *columns)
{
	PartitionKey key = RelationGetPartitionKey(relation);
	ListCell   *lc;

	if (key->partnatts != list_length(columns))
		return false;
	foreach(lc, columns)
	{
		AttrNumber	attnum = key->partattrs[foreach_current_index(lc)];

		if (attnum == InvalidAttrNumber ||
			layout->columns[attnum - 1].fate != COLUMN_KEPT ||
			strcmp(layout->columns[attnum - 1].name, lfirst(lc)) != 0)
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
plan_columns(TableShape *layout, TupleDesc published, TupleDesc rows)
{
	int			next = 0;		/* of rows: those before it have their place */

	layout->columns = palloc0(sizeof(ShapeColumn) * (published->natts + rows->natts));
	layout->ncolumns = published->natts;
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
		put_column(&layout->columns[i], fate, att);
	}
	for (; next < rows->natts; next++)
		put_column(&layout->columns[layout->ncolumns++], COLUMN_ADDED,
				   TupleDescAttr(rows, next));
}

/*
 * Would ALTER TABLE rewrite the published table when it adds the new columns?
 * It does for domains that have constraints, which hold for no row that is there.
 */
static bool
would_rewrite(const TableShape *layout)
{
	for (int i = 0; i < layout->ncolumns; i++)
	{
		if (layout->columns[i].fate == COLUMN_ADDED &&
			DomainHasConstraints(layout->columns[i].type))
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

/* Can it take over the storage?  Then layout->heaps are its partitions. */
static bool
keeps_storage(TableShape *layout, Relation published, int partitions, List *key)
{
	if (would_rewrite(layout))
		return false;
	if (partitions == 0)
		return is_plain_heap(published);
	if (published->rd_rel->relkind != RELKIND_PARTITIONED_TABLE ||
		!has_partition_key(published, layout, key))
		return false;
	layout->heaps = hash_partitions(published, partitions);
	return layout->heaps != NIL;
}

/* What the table's storage, and that of its partitions, is modelled on. */
static void
plan_storage(TableShape *layout, Relation published, int partitions, List *key)
{
	layout->model = layout->published;
	layout->replaces = !keeps_storage(layout, published, partitions, key);
	if (!layout->replaces)
		return;

	/* partitions that are replaced are alike: replace_check_check_replaceable has seen to it */
	if (partitions == 0)
		layout->model = table_shape_first_heap(layout->published);
	for (int i = 0; i < partitions; i++)
		layout->heaps = lappend_oid(layout->heaps, table_shape_first_heap(layout->published));
}

TableShape *
table_shape_plan(Oid published, TupleDesc rows, int partitions, List *key)
{
	Relation	relation = OidIsValid(published) ?
	try_relation_open(published, AccessShareLock) : NULL;
	TableShape *layout = NULL;

	if (relation == NULL)
		return NULL;
	if (COMPAT_CLASS_OWNERCHECK(published, GetUserId()))
	{
		layout = palloc0(sizeof(TableShape));
		layout->published = published;
		plan_columns(layout, RelationGetDescr(relation), rows);
		if (layout->ncolumns > MaxHeapAttributeNumber)
			layout = NULL;
		else
			plan_storage(layout, relation, partitions, key);
	}
	relation_close(relation, AccessShareLock);
	return layout;
}

/* ---- who depends on what goes ---- */

/* A view is what people know; the server has its rule depend on the column. */
static char *
describe_dependant(Form_pg_depend depend)
{
	ObjectAddress object;

	ObjectAddressSubSet(object, depend->classid, depend->objid, depend->objsubid);
	if (depend->classid == RewriteRelationId)
	{
		Relation	pg_rewrite = table_open(RewriteRelationId, AccessShareLock);
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tuple;

		ScanKeyInit(&key, Anum_pg_rewrite_oid, BTEqualStrategyNumber, F_OIDEQ,
					ObjectIdGetDatum(depend->objid));
		scan = systable_beginscan(pg_rewrite, RewriteOidIndexId, true, NULL, 1, &key);
		if (HeapTupleIsValid(tuple = systable_getnext(scan)) &&
			strcmp(NameStr(((Form_pg_rewrite) GETSTRUCT(tuple))->rulename), "_RETURN") == 0)
			ObjectAddressSet(object, RelationRelationId,
							 ((Form_pg_rewrite) GETSTRUCT(tuple))->ev_class);
		systable_endscan(scan);
		table_close(pg_rewrite, AccessShareLock);
	}
	return names_describe(&object);
}

/*
 * Does the dependant go when the object does, without CASCADE?  A constraint, for
 * one, depends in two ways on its columns.
 */
static bool
goes_along(Relation pg_depend, Form_pg_depend depend, AttrNumber attnum)
{
	bool		along = false;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(depend->classid));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(depend->objid));
	scan = systable_beginscan(pg_depend, DependDependerIndexId, true, NULL, 2, keys);
	while (!along && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend other = (Form_pg_depend) GETSTRUCT(tuple);

		along = other->refclassid == depend->refclassid && other->refobjid == depend->refobjid &&
			(attnum == 0 || other->refobjsubid == attnum) &&
			other->deptype != DEPENDENCY_NORMAL;
	}
	systable_endscan(scan);
	return along;
}

/* A foreign key, say, of one of these tables. */
static bool
is_constraint_of(Form_pg_depend depend, const List *tables)
{
	HeapTuple	tuple;
	bool		is_one;

	if (tables == NIL || depend->classid != ConstraintRelationId)
		return false;
	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(depend->objid));
	if (!HeapTupleIsValid(tuple))
		return false;
	is_one = list_member_oid(tables, ((Form_pg_constraint) GETSTRUCT(tuple))->conrelid);
	ReleaseSysCache(tuple);
	return is_one;
}

/*
 * What depends on an object and would keep DROP ... RESTRICT from dropping it,
 * as "x depends on y" lines that are not there yet.  attnum 0: the table or any of
 * its columns.  along: constraints of these tables go, too.  *first: the first
 * dependant that was ever found.
 */
static void
list_dependants(Oid classid, Oid objid, AttrNumber attnum, const List *along, StringInfo lines,
				char **first)
{
	Relation	pg_depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[3];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(classid));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(objid));
	ScanKeyInit(&keys[2], Anum_pg_depend_refobjsubid, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(attnum));
	scan = systable_beginscan(pg_depend, DependReferenceIndexId, true, NULL,
							  attnum != 0 ? 3 : 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend depend = (Form_pg_depend) GETSTRUCT(tuple);
		ObjectAddress object;
		char	   *line;
		char	   *dependant;

		if (depend->deptype != DEPENDENCY_NORMAL || goes_along(pg_depend, depend, attnum) ||
			is_constraint_of(depend, along))
			continue;
		dependant = describe_dependant(depend);
		if (dependant == NULL)
			continue;			/* dropped meanwhile */
		ObjectAddressSubSet(object, classid, objid, attnum);
		line = psprintf("%s depends on %s\n", dependant, names_describe(&object));
		if (strstr(lines->data, line) == NULL)
			appendStringInfoString(lines, line);
		if (*first == NULL)
			*first = dependant;
	}
	systable_endscan(scan);
	table_close(pg_depend, AccessShareLock);
}

void
table_shape_check_dependants(const TableShape *layout)
{
	StringInfoData lines;
	char	   *column = NULL;
	char	   *first = NULL;

	initStringInfo(&lines);
	for (int i = 0; i < layout->ncolumns; i++)
	{
		int			before = lines.len;

		if (layout->columns[i].fate != COLUMN_DROPPED)
			continue;
		list_dependants(RelationRelationId, layout->published, i + 1, NIL, &lines, &first);
		if (lines.len > before && column == NULL)
			column = layout->columns[i].name;
	}
	if (column == NULL)
		return;
	lines.data[--lines.len] = '\0';
	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("cannot drop column \"%s\" of table %s because %s depends on it",
					column, names_qualified(layout->published), first),
			 errdetail("%s", lines.data),
			 errhint("Drop these before the run and create them again after it, or let the step return its columns as before: in that order and of those types, new ones at the end.")));
}

void
table_shape_check_replaceable(Oid published)
{
	StringInfoData lines;
	char	   *first = NULL;
	List	   *relids;
	ListCell   *lc;

	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(published)))
		return;
	initStringInfo(&lines);
	relids = find_all_inheritors(published, NoLock, NULL);
	foreach(lc, relids)
	{
		Oid			type = get_rel_type_id(lfirst_oid(lc));
		Oid			array = OidIsValid(type) ? get_array_type(type) : InvalidOid;

		list_dependants(RelationRelationId, lfirst_oid(lc), 0, relids, &lines, &first);
		if (OidIsValid(type))
			list_dependants(TypeRelationId, type, 0, relids, &lines, &first);
		if (OidIsValid(array))
			list_dependants(TypeRelationId, array, 0, relids, &lines, &first);
	}
	if (lines.len == 0)
		return;
	lines.data[--lines.len] = '\0';
	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("cannot replace table %s by one that is partitioned otherwise because %s depends on it",
					names_qualified(published), first),
			 errdetail("%s", lines.data),
			 errhint("Drop these before the run and create them again after it, or leave the step's partitions as they were.")));
}

/* ---- making a table like the published one ---- */

List *
table_shape_columns(const TableShape *layout)
{
	List	   *columns = NIL;

	for (int i = 0; i < layout->ncolumns; i++)
	{
		ShapeColumn *column = &layout->columns[i];

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
table_shape_imitate(const TableShape *layout, List *relids)
{
	Relation	pg_attribute = table_open(AttributeRelationId, RowExclusiveLock);
	ListCell   *lc;

	foreach(lc, relids)
	{
		int			i = foreach_current_index(lc);
		Oid			published = i == 0 ? layout->model : list_nth_oid(layout->heaps, i - 1);

		for (int k = 0; k < layout->ncolumns; k++)
		{
			ColumnFate	fate = layout->columns[k].fate;

			if (fate == COLUMN_GONE || fate == COLUMN_DROPPED)
				relation_attrs_copy_gap(pg_attribute, published, lfirst_oid(lc), k + 1);
			else if (fate == COLUMN_KEPT)
				relation_attrs_copy_column(pg_attribute, published, lfirst_oid(lc), k + 1);
		}
	}
	table_close(pg_attribute, RowExclusiveLock);
	CommandCounterIncrement();
}

/* ---- comparing ---- */

/* Do the columns fit; if not, would they once some were dropped and added? */
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

/* Can the columns of the two be told by their numbers?  *rewrites: see would_rewrite. */
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
table_shape_execute_utility(Node *statement, const char *text)
{
	PlannedStmt *utility = makeNode(PlannedStmt);

	utility->commandType = CMD_UTILITY;
	utility->utilityStmt = statement;
	utility->stmt_location = -1;
	ProcessUtility(utility, text, false, PROCESS_UTILITY_SUBCOMMAND, NULL, NULL,
				   None_Receiver, NULL);
	CommandCounterIncrement();
}

AlterTableCmd *
table_shape_alter_command(AlterTableType subtype, const char *name, Node *definition)
{
	AlterTableCmd *command = makeNode(AlterTableCmd);

	command->subtype = subtype;
	command->name = name != NULL ? pstrdup(name) : NULL;
	command->def = definition;
	command->behavior = DROP_RESTRICT;
	return command;
}

void
table_shape_execute_alter(Oid relid, List *commands)
{
	AlterTableStmt *alter = makeNode(AlterTableStmt);
	AlterTableUtilityContext context = {0};

	alter->relation = makeRangeVar(names_schema(get_rel_namespace(relid)),
								   names_relation(relid), -1);
	alter->cmds = commands;
	alter->objtype = OBJECT_TABLE;

	context.pstmt = makeNode(PlannedStmt);
	context.pstmt->commandType = CMD_UTILITY;
	context.pstmt->utilityStmt = (Node *) alter;
	context.queryString = "";
	context.relid = relid;
	AlterTable(alter, AccessExclusiveLock, &context);
	CommandCounterIncrement();
}

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
							   table_shape_alter_command(AT_DropColumn, NameStr(old->attname),
														 NULL));
		else if (old == NULL)
		{
			ColumnDef  *column = makeColumnDef(NameStr(att->attname), att->atttypid,
											   att->atttypmod, att->attcollation);

			commands = lappend(commands, table_shape_alter_command(AT_AddColumn, NULL,
																   (Node *) column));
		}
	}
	relation_close(s, NoLock);
	relation_close(p, NoLock);
	if (commands != NIL)
		table_shape_execute_alter(published, commands);
}
