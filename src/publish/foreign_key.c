/*-------------------------------------------------------------------------
 *
 * foreign_key.c
 *	  Verifying the foreign keys from and to tables that get new rows.
 *
 * The server's triggers see single rows come and go, and none of them when storage
 * changes hands.  So what ALTER TABLE ADD FOREIGN KEY asks is asked here, of the
 * rows that will be there: whether one of them refers to none.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "publish/foreign_key.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "base/identity.h"
#include "base/names.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "table/relation_attrs.h"
#include "table/staging.h"
#include "table/table_shape.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/portal.h"
#include "utils/queryenvironment.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"

/* Keys that were read as one role, and are looked up as another. */
#define KEYS_RELATION	"etl_keys"
#define KEYS_BATCH		1000

/* Where the rows are that a table will have. */
static Oid
rows_of(Oid relid, const List *pairs)
{
	ListCell   *lc;

	foreach(lc, pairs)
	{
		TablePair  *pair = lfirst(lc);

		if (pair->published == relid)
			return pair->staged;
	}
	return relid;
}

/* Those of the table's own, or those that point at it.  all: also such as promise nothing. */
static List *
list_keys(Oid relid, bool own, bool all, List *keys)
{
	Relation	pg_constraint = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	/* the server has no index on confrelid, and scans, too */
	ScanKeyInit(&key, own ? Anum_pg_constraint_conrelid : Anum_pg_constraint_confrelid,
				BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(pg_constraint,
							  own ? ConstraintRelidTypidNameIndexId : InvalidOid,
							  own, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);

		if (form->contype == CONSTRAINT_FOREIGN && !OidIsValid(form->conparentid) &&
			(all || (form->convalidated && ConstraintIsEnforcedCompat(form))))
			keys = list_append_unique_oid(keys, form->oid);
	}
	systable_endscan(scan);
	table_close(pg_constraint, AccessShareLock);
	return keys;
}

List *
foreign_key_list(const List *pairs)
{
	List	   *keys = NIL;
	ListCell   *lc;

	foreach(lc, pairs)
	{
		Oid			relid = ((TablePair *) lfirst(lc))->published;

		keys = list_keys(relid, true, false, keys);
		keys = list_keys(relid, false, false, keys);
	}
	return keys;
}

List *
foreign_key_list_own(Oid relid)
{
	return list_keys(relid, true, true, NIL);
}

/* palloc'd */
static HeapTuple
key_row(Oid key)
{
	HeapTuple	tuple = SearchSysCacheCopy1(CONSTROID, ObjectIdGetDatum(key));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", key);
	return tuple;
}

List *
foreign_key_others(const List *keys, const List *pairs)
{
	List	   *others = NIL;
	ListCell   *lc;

	foreach(lc, keys)
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(key_row(lfirst_oid(lc)));

		if (rows_of(form->conrelid, pairs) == form->conrelid)
			others = list_concat_unique_oid(others,
											find_all_inheritors(form->conrelid, NoLock, NULL));
		if (rows_of(form->confrelid, pairs) == form->confrelid)
			others = list_concat_unique_oid(others,
											find_all_inheritors(form->confrelid, NoLock, NULL));
	}
	return others;
}

/* ---- the query ---- */

/* What a key is made of; the arrays are the constraint's. */
typedef struct KeyColumns
{
	int			n;
	int16	   *referring;		/* attribute numbers */
	int16	   *referred;
	Oid		   *operators;		/* referred = referring */
} KeyColumns;

static void *
key_array(HeapTuple tuple, AttrNumber column, Oid type, int *n)
{
	bool		isnull;
	ArrayType  *array = DatumGetArrayTypeP(SysCacheGetAttr(CONSTROID, tuple, column, &isnull));

	if (isnull || ARR_NDIM(array) != 1 || ARR_HASNULL(array) || ARR_ELEMTYPE(array) != type)
		elog(ERROR, "column %d of a foreign key is not an array of type %u", column, type);
	*n = ARR_DIMS(array)[0];
	return (char *) array + ARR_OVERHEAD_NONULLS(1);
}

static void
key_columns(HeapTuple tuple, KeyColumns *columns)
{
	columns->referring = key_array(tuple, Anum_pg_constraint_conkey, INT2OID, &columns->n);
	columns->referred = key_array(tuple, Anum_pg_constraint_confkey, INT2OID, &columns->n);
	columns->operators = key_array(tuple, Anum_pg_constraint_conpfeqop, OIDOID, &columns->n);
}

static const char *
column_name(Oid relid, AttrNumber attnum)
{
	return quote_identifier(get_attname(relid, attnum, false));
}

/* The collation to compare under, where it has to be said: the referred column's. */
static void
append_collation(StringInfo sql, Oid referred, AttrNumber pk, Oid referring, AttrNumber fk)
{
	Oid			type;
	int32		typmod;
	Oid			collations[2];
	HeapTuple	tuple;
	Form_pg_collation form;

	get_atttypetypmodcoll(referred, pk, &type, &typmod, &collations[0]);
	get_atttypetypmodcoll(referring, fk, &type, &typmod, &collations[1]);
	if (!OidIsValid(collations[0]) || collations[0] == collations[1])
		return;
	tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(collations[0]));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for collation %u", collations[0]);
	form = (Form_pg_collation) GETSTRUCT(tuple);
	appendStringInfo(sql, " COLLATE %s",
					 quote_qualified_identifier(names_schema(form->collnamespace),
												NameStr(form->collname)));
	ReleaseSysCache(tuple);
}

/* "pk.a OPERATOR(pg_catalog.=) fk.b" */
static void
append_match(StringInfo sql, Oid referred, Oid referring, const KeyColumns *columns, int i)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(columns->operators[i]));
	Form_pg_operator operator;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", columns->operators[i]);
	operator = (Form_pg_operator) GETSTRUCT(tuple);
	appendStringInfo(sql, "pk.%s", column_name(referred, columns->referred[i]));
	append_collation(sql, referred, columns->referred[i], referring, columns->referring[i]);
	appendStringInfo(sql, " OPERATOR(%s.%s) fk.%s",
					 quote_identifier(names_schema(operator->oprnamespace)),
					 NameStr(operator->oprname),
					 column_name(referring, columns->referring[i]));
	ReleaseSysCache(tuple);
}

/* Rows of a table alone: those of its children are not its own, of its partitions are. */
static void
append_table(StringInfo sql, Oid relid, const char *alias)
{
	appendStringInfo(sql, "%s%s AS %s",
					 get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE ? "" : "ONLY ",
					 names_qualified(relid),
					 alias);
}

/* "fk.a, fk.b" */
static void
append_key(StringInfo sql, Oid referring, const KeyColumns *columns)
{
	for (int i = 0; i < columns->n; i++)
		appendStringInfo(sql, "%sfk.%s", i == 0 ? "" : ", ",
						 column_name(referring, columns->referring[i]));
}

/* A row refers to something unless its key is null, or a part of it, as MATCH says. */
static void
append_refers(StringInfo sql, Form_pg_constraint form, Oid referring, const KeyColumns *columns)
{
	const char *separator = form->confmatchtype == FKCONSTR_MATCH_FULL ? " OR " : " AND ";

	appendStringInfoChar(sql, '(');
	for (int i = 0; i < columns->n; i++)
		appendStringInfo(sql, "%sfk.%s IS NOT NULL", i == 0 ? "" : separator,
						 column_name(referring, columns->referring[i]));
	appendStringInfoChar(sql, ')');
}

/* The keys of all rows that refer to something. */
static char *
keys_query(Form_pg_constraint form, Oid referring, const KeyColumns *columns)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	append_key(&sql, referring, columns);
	appendStringInfoString(&sql, " FROM ");
	append_table(&sql, referring, "fk");
	appendStringInfoString(&sql, " WHERE ");
	append_refers(&sql, form, referring, columns);
	return sql.data;
}

/*
 * As RI_Initial_Check puts it: the key of one row that refers to none.  The rows are those of the
 * table, or of a transient relation with its key's columns.
 */
static char *
violation_query(Form_pg_constraint form, Oid referring, const char *transient, Oid referred,
				const KeyColumns *columns)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	append_key(&sql, referring, columns);
	appendStringInfoString(&sql, " FROM ");
	if (transient != NULL)
		appendStringInfo(&sql, "%s AS fk", transient);
	else
		append_table(&sql, referring, "fk");
	appendStringInfoString(&sql, " LEFT JOIN ");
	append_table(&sql, referred, "pk");
	for (int i = 0; i < columns->n; i++)
	{
		appendStringInfoString(&sql, i == 0 ? " ON " : " AND ");
		append_match(&sql, referred, referring, columns, i);
	}
	appendStringInfo(&sql, " WHERE pk.%s IS NULL AND ",
					 column_name(referred, columns->referred[0]));
	append_refers(&sql, form, referring, columns);
	appendStringInfoString(&sql, " LIMIT 1");
	return sql.data;
}

/* ---- reading the rows ---- */

/* Read what the query returns into a tuplestore; *desc is its rows'. */
static Tuplestorestate *
read_keys(const char *sql, TupleDesc *desc)
{
	Tuplestorestate *store = tuplestore_begin_heap(false, false, work_mem);
	Portal		portal = SPI_cursor_open_with_args(NULL, sql, 0, NULL, NULL, NULL, true, 0);

	*desc = CreateTupleDescCopy(portal->tupDesc);
	for (;;)
	{
		SPI_cursor_fetch(portal, true, KEYS_BATCH);
		if (SPI_processed == 0)
			break;
		for (uint64 i = 0; i < SPI_processed; i++)
			tuplestore_puttuple(store, SPI_tuptable->vals[i]);
		SPI_freetuptable(SPI_tuptable);
		CHECK_FOR_INTERRUPTS();
	}
	SPI_cursor_close(portal);
	return store;
}

static void
register_keys(Tuplestorestate *store, TupleDesc desc)
{
	EphemeralNamedRelation relation = palloc0(sizeof(EphemeralNamedRelationData));
	int			rc;

	relation->md.name = KEYS_RELATION;
	relation->md.reliddesc = InvalidOid;
	relation->md.tupdesc = desc;
	relation->md.enrtype = ENR_NAMED_TUPLESTORE;
	relation->md.enrtuples = (double) tuplestore_tuple_count(store);
	relation->reldata = store;
	rc = SPI_register_relation(relation);
	if (rc != SPI_OK_REL_REGISTER)
		elog(ERROR, "SPI_register_relation failed: %s", SPI_result_code_string(rc));
}

/* The key that the query has returned, as text. */
static char *
shown_key(void)
{
	StringInfoData key;

	initStringInfo(&key);
	for (int i = 1; i <= SPI_tuptable->tupdesc->natts; i++)
	{
		char	   *value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, i);

		appendStringInfo(&key, "%s%s", i == 1 ? "" : ", ", value ? value : "null");
	}
	return key.data;
}

/*
 * Look for a row that refers to none; return true if there is one.  Then its key is in *values, as
 * text, if that is wanted (not NULL).
 *
 * Reading and comparing executes functions of users' own: the operators, casts and types of the
 * columns, and the tables' policies and index expressions.  So each table is read as its owner, who
 * has made it such, and keys are compared as the owner of the table referred to, as the server's
 * own triggers do.  Never as the owner of the etl tables, or as who happens to run the pipeline.
 */
static bool
find_violation(Form_pg_constraint form, Oid referring, Oid referred, const KeyColumns *columns,
			   char **values)
{
	MemoryContext caller = CurrentMemoryContext;
	Oid			owner = relation_attrs_owner(referred);
	const char *transient = NULL;
	const char *sql;
	Identity	identity;
	bool		found;
	int			rc;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (referring != form->conrelid)
		staging_let_in(get_rel_namespace(referring), relation_attrs_owner(referring));
	if (referred != form->confrelid)
		staging_let_in(get_rel_namespace(referred), owner);
	PushActiveSnapshot(GetLatestSnapshot());
	if (relation_attrs_owner(referring) != owner)
	{
		Tuplestorestate *keys;
		TupleDesc	desc;

		identity_become(&identity, relation_attrs_owner(referring));
		keys = read_keys(keys_query(form, referring, columns), &desc);
		identity_restore(&identity);
		transient = KEYS_RELATION;
		register_keys(keys, desc);
	}

	sql = violation_query(form, referring, transient, referred, columns);
	identity_become(&identity, owner);
	rc = SPI_execute(sql, true, 1);
	if (rc != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute failed for \"%s\": %s", sql, SPI_result_code_string(rc));
	found = SPI_processed > 0;
	if (found && values != NULL)
		*values = MemoryContextStrdup(caller, shown_key());
	identity_restore(&identity);
	PopActiveSnapshot();
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	MemoryContextSwitchTo(caller);
	return found;
}

static void
check_persistence(Form_pg_constraint form, Oid referring, Oid referred)
{
	if (get_rel_persistence(referring) != RELPERSISTENCE_PERMANENT ||
		get_rel_persistence(referred) == RELPERSISTENCE_PERMANENT)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
			 errmsg("foreign key \"%s\" of table \"%s\", which is logged, would refer to table \"%s\", which is not",
					NameStr(form->conname), names_relation(form->conrelid),
					names_relation(form->confrelid)),
			 errhint("Set persist of both steps to the same, or drop the foreign key.")));
}

static void
verify(Oid key, const List *pairs)
{
	HeapTuple	tuple = key_row(key);
	Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
	Oid			referring = rows_of(form->conrelid, pairs);
	Oid			referred = rows_of(form->confrelid, pairs);
	KeyColumns	columns;
	char	   *values = NULL;
	bool		may_see;

	if (ConstraintHasPeriodCompat(form))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("foreign key \"%s\" of table \"%s\" has PERIOD, and cannot be verified",
						NameStr(form->conname), names_relation(form->conrelid)),
				 errhint("Drop it.")));
	check_persistence(form, referring, referred);
	key_columns(tuple, &columns);
	for (int i = 0; i < columns.n; i++)
	{
		/* a key goes with its column where the table is replaced */
		if (referring != form->conrelid && !table_shape_has_column(referring, columns.referring[i]))
			return;
	}
	may_see = identity_can_read(GetUserId(), form->conrelid, columns.n, columns.referring);
	if (find_violation(form, referring, referred, &columns, may_see ? &values : NULL))
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("foreign key \"%s\" of table \"%s\" would be violated: rows that it refers to are not in the new \"%s\"",
						NameStr(form->conname), names_relation(form->conrelid),
						names_relation(form->confrelid)),
				 may_see ? errdetail("One that is missing has the key (%s).", values) : 0,
				 errhint("Remove the rows that refer to such, or drop the foreign key.")));
}

void
foreign_key_verify(const List *keys, const List *pairs)
{
	ListCell   *lc;

	foreach(lc, keys)
		verify(lfirst_oid(lc), pairs);
}
