/*-------------------------------------------------------------------------
 *
 * materialize.c
 *	  One query -> one table.
 *
 * What CREATE TABLE AS does, but
 *
 * - rows are written frozen, with "cache" into shared buffers, with "partitions"
 *	 routed (row_writer.c);
 * - indexes are built and statistics are gathered before anybody else sees the
 *	 table.
 *
 * Knows nothing of pipelines, runs or processes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "execute/materialize.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "base/sql_error.h"
#include "commands/vacuum.h"
#include "execute/row_writer.h"
#include "executor/executor.h"
#include "jit/jit.h"
#include "nodes/makefuncs.h"
#include "optimizer/cost.h"
#include "parse/step_index.h"
#include "parser/parse_node.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "table/copy_constraints.h"
#include "table/copy_statistics.h"
#include "table/index_match.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Statistics targets of partitions are not made smaller than this. */
#define MIN_PARTITION_TARGET	10

/*
 * Before 18 a join that only a disabled method can do (a broadcast step's, where
 * it has no hashable condition) costs disable_cost more.  What it costs without.
 */
static Cost
real_cost(const PlannedStmt *plan)
{
	Cost		cost = plan->planTree->total_cost;

	return cost >= disable_cost ? fmod(cost, disable_cost) : cost;
}

static PlannedStmt *
plan_once(RawStmt *query, const char *sql)
{
	List	   *queries;
	PlannedStmt *plan;

	/* analysis may scribble on its input, which is the caller's */
	queries = pg_analyze_and_rewrite_fixedparams(copyObject(query), sql,
												 NULL, 0, NULL);
	if (list_length(queries) != 1 ||
		linitial_node(Query, queries)->commandType != CMD_SELECT ||
		linitial_node(Query, queries)->hasModifyingCTE)
		elog(ERROR, "statement to materialize is not one SELECT");
	plan = pg_plan_query(linitial_node(Query, queries), sql, CURSOR_OPT_PARALLEL_OK, NULL);

	/* with disable_cost it looks dear enough to be compiled */
	if (real_cost(plan) < jit_above_cost)
		plan->jitFlags = PGJIT_NONE;
	return plan;
}

static PlannedStmt *
plan_query(RawStmt *query, const char *sql, const MaterializeTarget *target)
{
	PlannedStmt *plan;
	int			workers = max_parallel_workers_per_gather;

	PushActiveSnapshot(GetTransactionSnapshot());
	plan = plan_once(query, sql);
	if (target->parallel_workers != NULL)
		workers = target->parallel_workers(real_cost(plan));
	if (plan->parallelModeNeeded && workers < max_parallel_workers_per_gather)
	{
		int			nestlevel = NewGUCNestLevel();

		(void) set_config_option("max_parallel_workers_per_gather", psprintf("%d", workers),
								 PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
		plan = plan_once(query, sql);
		AtEOXact_GUC(true, nestlevel);
	}

	/*
	 * Execution takes a new snapshot: this one is older than the locks on the tables that the
	 * query names.
	 */
	PopActiveSnapshot();

	return plan;
}

/* What the planner expects the query's rows to take as a table. */
static double
expected_pages(const PlannedStmt *plan)
{
	double		row = MAXALIGN(SizeofHeapTupleHeader) + MAXALIGN(plan->planTree->plan_width) +
	sizeof(ItemIdData);

	return ceil(plan->planTree->plan_rows / Max(1.0, floor((BLCKSZ - SizeOfPageHeaderData) / row)));
}

/*
 * How many pages of the table may stay in shared buffers.  None where it is
 * expected to take more than the limit: half a table in them helps nobody, and
 * what is there has been pushed out for it.
 */
static uint64
cache_pages(double expected, const MaterializeTarget *target)
{
	double		limit = target->cache_limit * NBuffers;

	return expected > limit ? 0 : (uint64) limit;
}

/* Why not all of it has stayed there; pages: as was expected, 0 if more came. */
static char *
cache_warning(const MaterializeTarget *target, double pages)
{
	int64		size = (int64) Min(pages * BLCKSZ, (double) (PG_INT64_MAX / 2));

	if (pages == 0)
		return psprintf("cache: the table takes more than %g of shared_buffers (etl_framework.cache_limit): what exceeds that did not stay there",
						target->cache_limit);
	return psprintf("cache: the table was expected to take %s, more than %g of shared_buffers (etl_framework.cache_limit): it did not stay there",
					text_to_cstring(DatumGetTextPP(DirectFunctionCall1(pg_size_pretty,
																	   Int64GetDatum(size)))),
					target->cache_limit);
}

/*
 * Creates the table and fills it.  cached: how many of its pages may stay in
 * shared buffers.  Returns the number of rows; *relids is the table, and behind
 * it its partitions if it has any.
 */
static uint64
execute_plan(PlannedStmt *plan, const char *sql, const MaterializeTarget *target,
			 uint64 cached, List **relids, bool *used_ring)
{
	DestReceiver *writer = row_writer_create();
	QueryDesc  *desc;
	uint64		rows;

	PushCopiedSnapshot(GetTransactionSnapshot());
	UpdateActiveSnapshotCommandId();

	desc = CreateQueryDesc(plan, sql, GetActiveSnapshot(), InvalidSnapshot,
						   writer, NULL, NULL, 0);
	ExecutorStart(desc, 0);

	*relids = step_table_define(&target->table, desc->tupDesc);
	row_writer_open(writer, *relids, desc->tupDesc, cached, target->cache);

	ExecutorRunCompat(desc);
	rows = desc->estate->es_processed;
	ExecutorFinish(desc);
	*used_ring = row_writer_used_ring(writer);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);

	PopActiveSnapshot();
	CommandCounterIncrement();

	return rows;
}

/*
 * ANALYZE, in this transaction: "not at top level" keeps it from committing.
 * Relations are given by OID, so partitions must be listed.
 */
static void
analyze_tables(List *relids)
{
	VacuumStmt *analyze = makeNode(VacuumStmt);
	MemoryContext save = PortalContext;
	ListCell   *cell;

	analyze->is_vacuumcmd = false;
	foreach(cell, relids)
		analyze->rels = lappend(analyze->rels,
								makeVacuumRelation(NULL, lfirst_oid(cell), NIL));

	PushActiveSnapshot(GetTransactionSnapshot());

	/*
	 * ANALYZE keeps its working memory below the portal's, and a background worker need not have a
	 * portal.
	 */
	PG_TRY();
	{
		PortalContext = CurrentMemoryContext;
		ExecVacuum(make_parsestate(NULL), analyze, false);
	}
	PG_FINALLY();
	{
		PortalContext = save;
	}
	PG_END_TRY();

	PopActiveSnapshot();
	CommandCounterIncrement();
}

/*
 * The samples of the partitions are together as large as that of the table: each holds only its
 * share of the values, and samples of the usual size would make n partitions n
 * times as dear as one heap with the same rows.
 */
void
materialize_analyze(List *relids)
{
	int			npartitions = list_length(relids) - 1;

	analyze_tables(list_make1_oid(linitial_oid(relids)));
	if (npartitions > 0)
	{
		int			target = Max(default_statistics_target / npartitions,
								 Min(default_statistics_target, MIN_PARTITION_TARGET));
		int			nestlevel = NewGUCNestLevel();

		(void) set_config_option("default_statistics_target", psprintf("%d", target),
								 PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
		analyze_tables(list_copy_tail(relids, 1));
		AtEOXact_GUC(true, nestlevel);
	}
}

/* ----------------------------------------------------------------
 *		The whole
 * ----------------------------------------------------------------
 */

void
materialize_query(RawStmt *query, const char *sql,
				  const MaterializeTarget *target, MaterializeResult *result)
{
	SqlErrorContext errors = {.sql = sql};
	MemoryContext context;
	MemoryContext old;
	PlannedStmt *plan;
	List	   *relids;
	List	   *indexes;
	double		expected;
	uint64		cached;
	bool		used_ring;

	context = AllocSetContextCreate(CurrentMemoryContext, "materialize",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);

	sql_error_push(&errors);
	plan = plan_query(query, sql, target);
	expected = expected_pages(plan);
	cached = cache_pages(expected, target);
	result->rows = execute_plan(plan, sql, target, cached, &relids, &used_ring);
	sql_error_pop(&errors);

	result->relid = linitial_oid(relids);
	if (OidIsValid(target->table.published))
		copy_constraints(target->table.published, result->relid);
	indexes = step_index_build(result->relid, target->indexes);
	if (OidIsValid(target->table.published))
	{
		index_match_build(target->table.published, result->relid, target->table.own, indexes);
		copy_statistics(target->table.published, result->relid);
	}
	materialize_analyze(relids);
	result->size = step_table_size(result->relid);

	MemoryContextSwitchTo(old);
	result->indexes = list_copy(indexes);
	MemoryContextDelete(context);

	if (target->cache && used_ring)
		result->warnings = lappend(result->warnings,
								   cache_warning(target, cached > 0 ? 0 : expected));
}

void
materialize_planner_settings(bool broadcast, bool partitionwise)
{
	static const char *const settings[][2] = {
		{"enable_hashjoin", "on"},
		{"enable_mergejoin", "off"},
		{"enable_nestloop", "off"},
		{"enable_parallel_hash", "off"}
	};

	for (int i = 0; broadcast && i < (int) lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION);

	if (partitionwise)
	{
		SetConfigOption("enable_partitionwise_join", "on", PGC_USERSET, PGC_S_SESSION);
		SetConfigOption("enable_partitionwise_aggregate", "on", PGC_USERSET, PGC_S_SESSION);
	}
}
