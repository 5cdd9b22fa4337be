/*-------------------------------------------------------------------------
 *
 * plan_capture.c
 *	  The plans that a step's SQL is executed with: kept, and looked at.
 *
 * The executor's hooks see the statements of query steps and of commands alike.
 * They do nothing but between plan_capture_begin and plan_capture_end, so that the
 * framework's own statements are not watched.
 *
 * A plan is written down when its statement starts, with estimates, and once
 * more when it ends, with what has happened: the plan of a statement that fails
 * or is cancelled is kept as well.  Rows are counted with INSTRUMENT_ROWS, which
 * costs a few additions a row and node; times need a look at the clock each.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "execute/plan_capture.h"

#include "base/names.h"
#include "commands/explain.h"
#include "executor/executor.h"
#include "executor/hashjoin.h"
#include "executor/nodeHash.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_relation.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* Bounds of what is kept of one attempt. */
#define MAX_PLANS			20
#define MAX_PLANS_BYTES		(8 * 1024 * 1024)

typedef struct CapturedPlan
{
	QueryDesc  *running;		/* NULL: it has ended */
	char	   *json;
} CapturedPlan;

static bool watching = false;
static PlanCapture watch;
static MemoryContext watch_context;
static List *watched_plans = NIL;	/* of CapturedPlan *, in watch_context */
static Size watched_bytes = 0;
static List *watch_warnings = NIL;
static HTAB *watched_relations = NULL;	/* of Oid */
static int	nesting = 0;		/* statements that are being run around this one */

static ExecutorStart_hook_type previous_start = NULL;
static ExecutorRun_hook_type previous_run = NULL;
static ExecutorFinish_hook_type previous_finish = NULL;
static ExecutorEnd_hook_type previous_end = NULL;
static ExecutorCheckPerms_hook_type previous_check = NULL;

/* ---- a side of a broadcast join that does not fit ---- */

static double
hashed_bytes(const Plan *plan)
{
	/* what ExecChooseHashTableSize reckons with */
	return plan->plan_rows * (HJTUPLE_OVERHEAD + MAXALIGN(SizeofMinimalTupleHeader) +
							  MAXALIGN(plan->plan_width));
}

static char *
pretty_size(double bytes)
{
	int64		size = (int64) Min(bytes, (double) PG_INT64_MAX / 2);

	return text_to_cstring(DatumGetTextPP(DirectFunctionCall1(pg_size_pretty,
															  Int64GetDatum(size))));
}

static bool
look_at_joins(PlanState *state, void *arg)
{
	if (IsA(state, HashJoinState))
	{
		double		bytes = hashed_bytes(outerPlan(innerPlan(state->plan)));
		double		limit = (double) get_hash_memory_limit();

		if (bytes > limit)
			watch_warnings =
				lappend(watch_warnings,
						psprintf("broadcast: a side of a join is expected to take %s, more than the %s of work_mem and hash_mem_multiplier: each process writes its copy to temporary files",
								 pretty_size(bytes), pretty_size(limit)));
	}
	return planstate_tree_walker(state, look_at_joins, arg);
}

/* ---- which tables there are, and those that are empty since a crash ---- */

/*
 * The server asks this for the tables that a query is about to use, and for that
 * of a COPY.  A table that is only written need not have its rows.  Partitions
 * that the planner has added have no rights of their own to be asked for.
 */
static bool
plan_capture_check_tables(COMPAT_CHECK_PERMS_PARAMETERS)
{
	ListCell   *lc;

	foreach(lc, tables)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (watching && watch.relations && rte->rtekind == RTE_RELATION)
			(void) hash_search(watched_relations, &rte->relid, HASH_ENTER, NULL);
		if (watching && rte->rtekind == RTE_RELATION &&
			(COMPAT_HAS_NO_PERMS(rte) || (CompatRequiredPerms(rights, rte) & ACL_SELECT) != 0) &&
			list_member_oid(watch.lost, rte->relid))
			ereport(ERROR,
					(errcode(ERRCODE_ETL_OUTPUT_LOST),
					 errmsg("the rows of table \"%s\" are lost", names_relation(rte->relid)),
					 errdetail("A pipeline has made it as an unlogged table, and the server has crashed since."),
					 errhint("Run that pipeline again first: see etl.output.")));
	}
	return previous_check == NULL || previous_check(COMPAT_CHECK_PERMS_ARGUMENTS);
}

List *
plan_capture_relations(void)
{
	List	   *relids = NIL;
	HASH_SEQ_STATUS scan;
	Oid		   *relid;

	if (!watching || watched_relations == NULL)
		return NIL;
	hash_seq_init(&scan, watched_relations);
	while ((relid = hash_seq_search(&scan)) != NULL)
		relids = lappend_oid(relids, *relid);
	list_sort(relids, list_oid_cmp);
	return relids;
}

/* ---- plans as JSON ---- */

/* The element that EXPLAIN's array has for a statement. */
static char *
plan_to_json(QueryDesc *desc, bool executed)
{
	ExplainState *es = NewExplainState();
	char	   *json;

	es->format = EXPLAIN_FORMAT_JSON;
	es->analyze = executed && desc->instrument_options != 0;
	es->timing = es->analyze && watch.timing;
	es->buffers = es->timing;
	es->summary = false;

	ExplainBeginOutput(es);
	ExplainOpenGroup("Query", NULL, true, es);
	ExplainPrintPlan(es, desc);
	ExplainPrintJITSummary(es, desc);
	ExplainCloseGroup("Query", NULL, true, es);
	ExplainEndOutput(es);

	/* without the array's brackets */
	json = strchr(es->str->data, '[') + 1;
	*strrchr(json, ']') = '\0';
	return json;
}

static void
note_plan(CapturedPlan *plan, QueryDesc *desc, bool executed)
{
	MemoryContext scratch = AllocSetContextCreate(CurrentMemoryContext, "etl plan",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(scratch);
	char	   *json = plan_to_json(desc, executed);

	if (plan->json != NULL)
	{
		watched_bytes -= strlen(plan->json);
		pfree(plan->json);
		plan->json = NULL;
	}
	if (watched_bytes + strlen(json) <= MAX_PLANS_BYTES)
	{
		plan->json = MemoryContextStrdup(watch_context, json);
		watched_bytes += strlen(json);
	}
	plan->running = executed ? NULL : desc;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(scratch);
}

/*
 * A statement that has failed, in a subtransaction that its caller has survived,
 * never ends, and its descriptor's place may be another's by now.
 */
static void
forget_running(const QueryDesc *desc)
{
	ListCell   *lc;

	foreach(lc, watched_plans)
	{
		CapturedPlan *plan = lfirst(lc);

		if (plan->running == desc)
			plan->running = NULL;
	}
}

/* ---- the executor's hooks ---- */

static void
plan_capture_start(QueryDesc *desc, int eflags)
{
	bool		look = watching && nesting == 0 && (eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0;

	if (look && watch.keep)
		desc->instrument_options |= watch.timing ?
			(INSTRUMENT_TIMER | INSTRUMENT_ROWS | INSTRUMENT_BUFFERS) : INSTRUMENT_ROWS;

	if (previous_start)
		previous_start(desc, eflags);
	else
		standard_ExecutorStart(desc, eflags);

	if (look && desc->planstate != NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(watch_context);

		if (watch.broadcast)
			(void) look_at_joins(desc->planstate, NULL);
		if (watch.keep && list_length(watched_plans) < MAX_PLANS)
		{
			CapturedPlan *plan = palloc0(sizeof(CapturedPlan));

			forget_running(desc);
			watched_plans = lappend(watched_plans, plan);
			note_plan(plan, desc, false);
		}
		MemoryContextSwitchTo(old);
	}
}

static void
plan_capture_run(COMPAT_EXECUTOR_RUN_PARAMETERS)
{
	nesting++;
	PG_TRY();
	{
		if (previous_run)
			previous_run(COMPAT_EXECUTOR_RUN_ARGUMENTS);
		else
			standard_ExecutorRun(COMPAT_EXECUTOR_RUN_ARGUMENTS);
	}
	PG_FINALLY();
	{
		nesting--;
	}
	PG_END_TRY();
}

static void
plan_capture_finish(QueryDesc *desc)
{
	nesting++;
	PG_TRY();
	{
		if (previous_finish)
			previous_finish(desc);
		else
			standard_ExecutorFinish(desc);
	}
	PG_FINALLY();
	{
		nesting--;
	}
	PG_END_TRY();
}

static void
plan_capture_executor_end(QueryDesc *desc)
{
	ListCell   *lc;

	if (watching && nesting == 0)
	{
		foreach(lc, watched_plans)
		{
			CapturedPlan *plan = lfirst(lc);

			if (plan->running == desc)
				note_plan(plan, desc, true);
		}
	}

	if (previous_end)
		previous_end(desc);
	else
		standard_ExecutorEnd(desc);
}

void
plan_capture_install(void)
{
	previous_start = ExecutorStart_hook;
	ExecutorStart_hook = plan_capture_start;
	previous_run = ExecutorRun_hook;
	ExecutorRun_hook = plan_capture_run;
	previous_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = plan_capture_finish;
	previous_end = ExecutorEnd_hook;
	ExecutorEnd_hook = plan_capture_executor_end;
	previous_check = ExecutorCheckPerms_hook;
	ExecutorCheckPerms_hook = plan_capture_check_tables;
}

void
plan_capture_begin(const PlanCapture *wanted)
{
	watch = *wanted;
	watch_context = CurrentMemoryContext;
	watched_plans = NIL;
	watched_bytes = 0;
	watch_warnings = NIL;
	nesting = 0;
	watched_relations = NULL;
	if (watch.relations)
	{
		HASHCTL		control = {
			.keysize = sizeof(Oid),
			.entrysize = sizeof(Oid),
			.hcxt = watch_context
		};

		watched_relations = hash_create("etl relations", 32, &control,
										HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	watching = watch.keep || watch.broadcast || watch.lost != NIL || watch.relations;
}

void
plan_capture_end(char **plans, List **warnings)
{
	StringInfoData json;
	ListCell   *lc;

	*plans = NULL;
	*warnings = NIL;
	if (!watching)
		return;
	watching = false;

	initStringInfo(&json);
	foreach(lc, watched_plans)
	{
		CapturedPlan *plan = lfirst(lc);

		if (plan->json != NULL)
		{
			appendStringInfoString(&json, json.len == 0 ? "[" : ", ");
			appendStringInfoString(&json, plan->json);
		}
	}
	if (json.len > 0)
	{
		appendStringInfoChar(&json, ']');
		*plans = json.data;
	}
	*warnings = watch_warnings;
}
