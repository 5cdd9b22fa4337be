/*-------------------------------------------------------------------------
 *
 * spi.c
 *	  Fixed SQL, executed as the owner of the etl tables.
 *
 * Identity.  The tables have no grants, so that whoever may not be trusted with
 * them has to come through here.  The identity is that of the tables' owner
 * (pg_class.relowner), and not of the extension's: ALTER TABLE ... OWNER may
 * have separated the two.  SECURITY_RESTRICTED_OPERATION keeps whatever code
 * should get to run in between from changing the session's state.
 *
 * Settings.  The only setting that decides what fixed, fully qualified SQL over
 * built-in types means is search_path (it finds the operators), so it is
 * pinned.  So is enable_seqscan: a plan that was made while a table had one page
 * is kept for the session, and as a sequential scan it would make a session
 * that defines thousands of steps quadratic.  That makes a table without an
 * index so dear (disable_cost) that its plan would be compiled, which takes
 * longer than a step: so jit is off.  This is on the path of every step, and
 * each further setting would cost some microseconds.  Considered and left alone:
 *	- row_security: the etl tables have no policies;
 *	- default_transaction_*: too late within a transaction, and a read-only one
 *	  refuses our writes with an error that says so;
 *	- statement_timeout, transaction_timeout, lock_timeout: the user's wish also
 *	  while a framework statement waits for a lock;
 *	- standard_conforming_strings, transform_null_equals, IntervalStyle,
 *	  DateStyle, quote_all_identifiers: the statements contain no backslash and
 *	  no "= NULL", turn no time into text and quote no identifier;
 *	- enable_* otherwise, plan_cache_mode and their like: slower, never wrong.
 *
 * Snapshot.  In a REPEATABLE READ transaction SPI would use the transaction's
 * snapshot, and miss rows that were committed after it (the attempt's own
 * row, say).  So every statement gets the latest snapshot explicitly.  In
 * parallel mode no new snapshot can be taken: reads then use the active one.
 *
 * May not know what the statements are about.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "base/spi.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* Any of the etl tables would do: they are made together. */
#define SPI_OWNER_TABLE		"pipeline_data"

Oid
etl_spi_schema(void)
{
	Oid			schema = get_namespace_oid(ETL_SCHEMA, true);

	if (!OidIsValid(schema))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"%s\" is not installed in this database",
						ETL_EXTENSION_NAME),
				 errhint("Execute CREATE EXTENSION %s.", ETL_EXTENSION_NAME)));
	return schema;
}

/* Two look-ups in the system caches: cheap enough not to be remembered. */
Oid
etl_spi_owner(void)
{
	Oid			relid = get_relname_relid(SPI_OWNER_TABLE, etl_spi_schema());
	HeapTuple	tuple = NULL;
	Oid			owner;

	if (OidIsValid(relid))
		tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"%s.%s\" does not exist", ETL_SCHEMA, SPI_OWNER_TABLE),
				 errhint("Execute CREATE EXTENSION %s.", ETL_EXTENSION_NAME)));
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);

	return owner;
}

void
etl_spi_begin(EtlSpi *spi)
{
	Oid			owner = etl_spi_owner();
	int			rc;

	spi->caller = CurrentMemoryContext;

	rc = SPI_connect();
	if (rc != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed: %s", SPI_result_code_string(rc));

	GetUserIdAndSecContext(&spi->save_userid, &spi->save_sec_context);
	SetUserIdAndSecContext(owner,
						   spi->save_sec_context | SECURITY_RESTRICTED_OPERATION);
	spi->save_nestlevel = NewGUCNestLevel();

	/* pg_temp last: it would otherwise be the first place for tables */
	(void) set_config_option("search_path", "pg_catalog, pg_temp",
							 PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("enable_seqscan", "off",
							 PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("jit", "off",
							 PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

void
etl_spi_end(EtlSpi *spi)
{
	int			rc;

	AtEOXact_GUC(false, spi->save_nestlevel);
	SetUserIdAndSecContext(spi->save_userid, spi->save_sec_context);

	rc = SPI_finish();
	if (rc != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed: %s", SPI_result_code_string(rc));
	MemoryContextSwitchTo(spi->caller);
}

/* ---- what such a statement may touch ---- */

static bool
spi_is_ours(Oid schema)
{
	return schema == PG_CATALOG_NAMESPACE || schema == etl_spi_schema();
}

static bool
spi_check_function(Oid function, void *statement)
{
	if (!spi_is_ours(get_func_namespace(function)))
		elog(ERROR, "function %u is not one that \"%s\" may call", function, (char *) statement);
	return false;
}

/*
 * Nothing of a user's is executed under this identity: raise an internal error if the query reads
 * or writes a relation, or calls a function, outside of pg_catalog and the extension's own schema.
 */
static bool
spi_check_node(Node *node, void *statement)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (OidIsValid(rte->relid) && !spi_is_ours(get_rel_namespace(rte->relid)))
			elog(ERROR, "relation %u is not one that \"%s\" may use", rte->relid,
				 (char *) statement);
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, spi_check_node, statement,
								 QTW_EXAMINE_RTES_BEFORE);
	(void) check_functions_in_node(node, spi_check_function, statement);
	return expression_tree_walker(node, spi_check_node, statement);
}

static void
spi_check_plan(SPIPlanPtr plan, const char *sql)
{
	ListCell   *source;

	foreach(source, SPI_plan_get_plan_sources(plan))
	{
		ListCell   *query;

		foreach(query, ((CachedPlanSource *) lfirst(source))->query_list)
			(void) spi_check_node(lfirst(query), unconstify(char *, sql));
	}
}

/*
 * Analysis is done here as the owner and with the pinned settings; should it
 * have to be repeated later (the plan was invalidated), the plan cache finds
 * the same search_path, as it is executed nowhere else.
 */
static void
spi_prepare(EtlStatement *statement)
{
	SPIPlanPtr	plan;

	Assert(statement->nargs <= ETL_SPI_MAX_ARGS);

	plan = SPI_prepare(statement->sql, statement->nargs, statement->argtypes);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed for \"%s\": %s",
			 statement->sql, SPI_result_code_string(SPI_result));
	spi_check_plan(plan, statement->sql);
	SPI_keepplan(plan);
	statement->plan = plan;
}

uint64
etl_spi_execute(EtlStatement *statement, const Datum *values,
				const char *nulls, bool read_only, long limit)
{
	int			rc;

	PushActiveSnapshot(IsInParallelMode() ? GetActiveSnapshot() : GetLatestSnapshot());

	if (statement->plan == NULL)
		spi_prepare(statement);

	/* SPI only reads the values; its prototype does not say so */
	rc = SPI_execute_snapshot(statement->plan, unconstify(Datum *, values), nulls,
							  GetActiveSnapshot(), InvalidSnapshot,
							  read_only, true, limit);
	if (rc < 0)
		elog(ERROR, "SPI_execute_snapshot failed for \"%s\": %s",
			 statement->sql, SPI_result_code_string(rc));

	PopActiveSnapshot();

	return SPI_processed;
}
