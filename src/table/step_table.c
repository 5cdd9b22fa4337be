/*-------------------------------------------------------------------------
 *
 * step_table.c
 *	  The table that a step's rows go to: made, and measured.
 *
 * Tables are defined by the functions behind CREATE TABLE and not by SQL, so no
 * text is put together from names, and a step leaves no trace in query
 * statistics but its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "table/step_table.h"

#include "access/xact.h"
#include "base/names.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/toasting.h"
#include "commands/defrem.h"
#include "commands/tablecmds.h"
#include "common/hashfn.h"
#include "nodes/makefuncs.h"
#include "table/dependants.h"
#include "table/relation_attrs.h"
#include "table/replace_check.h"
#include "table/table_shape.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

void
step_table_check_collation(Form_pg_attribute column)
{
	/*
	 * DefineRelation would take the type's default collation, so that the table silently sorted
	 * otherwise than the query.
	 */
	if (!OidIsValid(column->attcollation) && type_is_collatable(column->atttypid))
		ereport(ERROR,
				(errcode(ERRCODE_INDETERMINATE_COLLATION),
				 errmsg("no collation was derived for column \"%s\" with collatable type %s",
						NameStr(column->attname), format_type_be(column->atttypid)),
				 errhint("Use the COLLATE clause to set the collation explicitly.")));
}

/*
 * The query's columns as CREATE TABLE wants them.  What cannot be a column
 * (pseudo-types, a name that occurs twice) is left to DefineRelation to refuse.
 */
static List *
columns_of(TupleDesc desc)
{
	List	   *columns = NIL;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		step_table_check_collation(att);
		columns = lappend(columns,
						  makeColumnDef(NameStr(att->attname), att->atttypid,
										att->atttypmod, att->attcollation));
	}

	return columns;
}

static RangeVar *
table_name(const StepTable *table, const char *name)
{
	return makeRangeVar(names_schema(table->schema), pstrdup(name), -1);
}

/*
 * Creates one heap and its TOAST table; with a bound it is a partition of
 * parent and has the parent's columns.  model: stored as that one is, if valid.
 */
static Oid
define_heap(const StepTable *table, const char *name, List *columns,
			RangeVar *parent, PartitionBoundSpec *bound, Oid model)
{
	CreateStmt *create = makeNode(CreateStmt);
	ObjectAddress address;

	create->relation = table_name(table, name);
	create->relation->relpersistence =
		table->logged ? RELPERSISTENCE_PERMANENT : RELPERSISTENCE_UNLOGGED;
	create->tableElts = columns;
	create->oncommit = ONCOMMIT_NOOP;
	/* writing frozen rows is a matter of heap, whatever the session's default */
	create->accessMethod = pstrdup("heap");
	if (bound != NULL)
	{
		create->inhRelations = list_make1(parent);
		create->partbound = bound;
	}
	if (OidIsValid(model))
		table_shape_storage(model, create);

	address = DefineRelation(create, RELKIND_RELATION, InvalidOid, NULL, NULL);
	CommandCounterIncrement();
	NewRelationCreateToastTable(address.objectId,
								OidIsValid(model) ? relation_attrs_toast_options(model) :
								(Datum) 0);

	return address.objectId;
}

/*
 * The name of a partition: <table>_p<number>.  Where that is too long for a
 * name the table's part is cut, at a character's boundary; the hash of the
 * whole name then keeps apart the partitions of tables that begin alike.
 */
static char *
partition_name(const char *parent, int number)
{
	char		label[16];
	char		hash[16];

	snprintf(label, sizeof(label), "p%d", number);
	if (strlen(parent) + 1 + strlen(label) < NAMEDATALEN)
		return makeObjectName(parent, NULL, label);

	snprintf(hash, sizeof(hash), "%08x",
			 hash_bytes((const unsigned char *) parent, strlen(parent)));
	return makeObjectName(parent, hash, label);
}

/*
 * That a type has an operator class is not enough: for an array or a row, it
 * depends on what is inside.
 */
static bool
is_hashable(Form_pg_attribute att)
{
	TypeCacheEntry *type = lookup_type_cache(att->atttypid, TYPECACHE_HASH_EXTENDED_PROC);

	return OidIsValid(GetDefaultOpClass(att->atttypid, HASH_AM_OID)) &&
		OidIsValid(type->hash_extended_proc);
}

static Form_pg_attribute
find_column(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
	{
		if (strcmp(NameStr(TupleDescAttr(desc, i)->attname), name) == 0)
			return TupleDescAttr(desc, i);
	}
	return NULL;
}

static List *
choose_partition_key(const char *chosen, TupleDesc desc)
{
	Form_pg_attribute att = chosen != NULL ? find_column(desc, chosen) : NULL;

	if (att != NULL && is_hashable(att))
		return list_make1(pstrdup(chosen));
	for (int i = 0; i < desc->natts; i++)
	{
		att = TupleDescAttr(desc, i);
		if (is_hashable(att))
			return list_make1(pstrdup(NameStr(att->attname)));
	}

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
			 errmsg("no column to partition by"),
			 errdetail("The query has no column whose type has a default operator class for access method \"hash\"."),
			 errhint("Leave out the partitions, or add a column that can be hashed.")));
	return NIL;					/* keep compiler quiet */
}

List *
step_table_partition_key(List *partition_by, const char *chosen, TupleDesc desc)
{
	ListCell   *cell;

	if (partition_by == NIL)
		return choose_partition_key(chosen, desc);

	foreach(cell, partition_by)
	{
		const char *name = lfirst(cell);

		if (find_column(desc, name) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" named in partition key does not exist", name),
					 errhint("A table is partitioned by columns that its query returns.")));
	}
	return partition_by;
}

/* The PARTITION BY HASH (...) of the table. */
static PartitionSpec *
partition_spec(List *columns)
{
	PartitionSpec *spec = makeNode(PartitionSpec);
	ListCell   *cell;

	spec->strategy = PARTITION_SPEC_HASH;
	spec->location = -1;
	foreach(cell, columns)
	{
		PartitionElem *key = makeNode(PartitionElem);

		key->name = pstrdup((const char *) lfirst(cell));
		key->location = -1;
		spec->partParams = lappend(spec->partParams, key);
	}

	return spec;
}

/*
 * Creates a table that is partitioned by hash, and its partitions: the i-th of
 * the list of OIDs behind the parent's holds the rows with the remainder i.
 *
 * The parent holds no rows and is always permanent, because from 18 on a
 * partitioned table cannot be unlogged (and before that it made no
 * difference); the partitions are logged or not.
 */
static List *
define_partitioned(const StepTable *table, List *columns, List *key, const TableShape *shape)
{
	CreateStmt *create = makeNode(CreateStmt);
	ObjectAddress address;
	List	   *relids;

	create->relation = table_name(table, table->name);
	create->tableElts = columns;
	create->oncommit = ONCOMMIT_NOOP;
	create->partspec = partition_spec(key);
	if (shape != NULL)
		table_shape_storage(shape->published, create);
	address = DefineRelation(create, RELKIND_RELATION, InvalidOid, NULL, NULL);
	CommandCounterIncrement();
	relids = list_make1_oid(address.objectId);

	for (int i = 0; i < table->partitions; i++)
	{
		PartitionBoundSpec *bound = makeNode(PartitionBoundSpec);

		bound->strategy = PARTITION_STRATEGY_HASH;
		bound->modulus = table->partitions;
		bound->remainder = i;
		bound->location = -1;
		relids = lappend_oid(relids,
							 define_heap(table, partition_name(table->name, i),
										 NIL,
										 table_name(table, table->name),
										 bound,
										 shape != NULL ? list_nth_oid(shape->heaps, i) :
										 InvalidOid));
	}

	return relids;
}

List *
step_table_define(const StepTable *table, TupleDesc desc)
{
	List	   *columns = columns_of(desc); /* checks them, too */
	List	   *key = NIL;
	TableShape *shape;
	List	   *relids;

	if (table->partitions > ETL_MAX_PARTITIONS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("number of partitions must be between 1 and %d",
						ETL_MAX_PARTITIONS)));
	if (table->partitions > 0)
		key = step_table_partition_key(table->partition_by, table->partition_key, desc);

	shape = table_shape_plan(table->published, desc, table->partitions, key);
	if (OidIsValid(table->published) && (shape == NULL || shape->replaces))
		replace_check_table(table->published, shape != NULL, table->partitions > 0, key,
							table->own);
	if (shape != NULL)
	{
		dependants_check_columns(shape);
		columns = table_shape_columns(shape);
	}

	if (table->partitions > 0)
		relids = define_partitioned(table, columns, key, shape);
	else
		relids = list_make1_oid(define_heap(table, table->name, columns, NULL, NULL,
											shape != NULL ? shape->model : InvalidOid));
	if (shape != NULL)
		table_shape_imitate(shape, relids);
	return relids;
}

int64
step_table_size(Oid relid)
{
	int64		size = 0;
	ListCell   *cell;

	/* the table itself, and its partitions where it has any */
	foreach(cell, find_all_inheritors(relid, AccessShareLock, NULL))
	{
		LOCAL_FCINFO(fcinfo, 1);
		Datum		value;

		InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
		fcinfo->args[0].value = ObjectIdGetDatum(lfirst_oid(cell));
		fcinfo->args[0].isnull = false;
		value = pg_total_relation_size(fcinfo);
		if (!fcinfo->isnull)	/* NULL: there is no such relation */
			size += DatumGetInt64(value);
	}

	return size;
}
