/*-------------------------------------------------------------------------
 *
 * foreign_key.c
 *	  Foreign keys from and to tables that get new rows: do they hold?
 *
 * The server's triggers see single rows come and go, and none of them when storage
 * changes hands.  So what ALTER TABLE ADD FOREIGN KEY asks is asked here, of the
 * rows that will be there: is there one that refers to none?
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "publish/foreign_key.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "base/names.h"
#include "base/spi.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "table/table_shape.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

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

/* As RI_Initial_Check puts it: one row that refers to none. */
static char *
violation_query(Form_pg_constraint form, Oid referring, Oid referred, const KeyColumns *columns)
{
	StringInfoData sql;
	const char *separator = form->confmatchtype == FKCONSTR_MATCH_FULL ? " OR " : " AND ";

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT pg_catalog.concat_ws(', '");
	for (int i = 0; i < columns->n; i++)
		appendStringInfo(&sql, ", COALESCE(fk.%s::pg_catalog.text, 'null')",
						 column_name(referring, columns->referring[i]));
	appendStringInfoString(&sql, ") FROM ");
	append_table(&sql, referring, "fk");
	appendStringInfoString(&sql, " LEFT JOIN ");
	append_table(&sql, referred, "pk");
	for (int i = 0; i < columns->n; i++)
	{
		appendStringInfoString(&sql, i == 0 ? " ON " : " AND ");
		append_match(&sql, referred, referring, columns, i);
	}
	appendStringInfo(&sql, " WHERE pk.%s IS NULL AND (",
					 column_name(referred, columns->referred[0]));
	for (int i = 0; i < columns->n; i++)
		appendStringInfo(&sql, "%sfk.%s IS NOT NULL", i == 0 ? "" : separator,
						 column_name(referring, columns->referring[i]));
	appendStringInfoString(&sql, ") LIMIT 1");
	return sql.data;
}

/* The values of a row that refers to none, or NULL: there is no such row. */
static char *
find_violation(const char *sql)
{
	EtlSpi		spi;
	SPIPlanPtr	plan;
	char	   *values = NULL;
	int			rc;

	etl_spi_begin(&spi);
	/* unlike other queries of the extension's this one reads whole tables */
	(void) set_config_option("enable_seqscan", "on", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	PushActiveSnapshot(GetLatestSnapshot());
	plan = SPI_prepare(sql, 0, NULL);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed for \"%s\": %s", sql, SPI_result_code_string(SPI_result));
	rc = SPI_execute_snapshot(plan, NULL, NULL, GetActiveSnapshot(), InvalidSnapshot,
							  true, false, 1);
	if (rc != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute_snapshot failed for \"%s\": %s", sql, SPI_result_code_string(rc));
	if (SPI_processed > 0)
		values = MemoryContextStrdup(spi.caller,
									 SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1));
	PopActiveSnapshot();
	etl_spi_end(&spi);
	return values;
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
	bool		may_see = pg_class_aclcheck(form->conrelid, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
	KeyColumns	columns;
	char	   *values;

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
	values = find_violation(violation_query(form, referring, referred, &columns));
	if (values != NULL)
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
