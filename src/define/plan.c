/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  etl.plan: the dry run.
 *
 * What a run would do follows from the definition alone; how long it would take
 * from the log; and how much it would read from the server's planner, which is
 * shown the tables that earlier runs have published.  Planning is done on trial
 * (trial.c): as the owner, and without anything staying.  As in EXPLAIN, functions
 * are called only where they are IMMUTABLE and their arguments constant.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "metastore/catalog.h"
#include "define/option.h"
#include "base/guc.h"
#include "execute/materialize.h"
#include "define/pipeline.h"
#include "parse/refs.h"
#include "base/session.h"
#include "table/step_table.h"
#include "define/trial.h"

#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "nodes/plannodes.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(etl_plan);

#define PLAN_COLUMNS	16

typedef struct DryRun
{
	PipelineGraph *graph;
	bool	   *selected;
	int64	   *ms;				/* of each step; -1: not known */
	double		average;		/* of the selected steps' known ms; -1: none is */
	bool	   *critical;
	double	   *end;			/* ms after the run's start; -1: not known */
} DryRun;

/* ---- what the planner says ---- */

typedef struct Estimate
{
	const PipelineGraph *graph;
	int			step;
	bool		reads_partitions;
	double		rows;
	double		cost;
	MemoryContext context;		/* for what outlives the trial */
	char	   *partition_key;	/* of a table that is partitioned by one column that the user has
								 * not named; NULL: not known */
} Estimate;

/* A step's name means the table that was published last. */
static const char *
published_schema(const char *schema, const char *name, bool created, void *arg)
{
	Estimate   *estimate = arg;
	const PipelineGraph *graph = estimate->graph;
	int			found;

	if (schema != NULL && strcmp(schema, graph->pipeline->target_schema) != 0)
		return NULL;
	found = pipeline_find_step(graph, name);
	if (found < 0 || found == estimate->step || graph->steps[found]->kind != ETL_STEP_QUERY)
		return NULL;
	if (graph->steps[found]->repartition > 0)
		estimate->reads_partitions = true;
	return graph->pipeline->target_schema;
}

static void
plan_step(void *arg)
{
	Estimate   *estimate = arg;
	const Step *step = estimate->graph->steps[estimate->step];
	List	   *statements = refs_parse(step->sql_query);
	List	   *queries;
	PlannedStmt *plan;
	ListCell   *lc;

	refs_retarget(statements, published_schema, estimate);
	materialize_planner_settings(step->broadcast, estimate->reads_partitions);
	foreach(lc, step->settings)
		session_set_assignment(lfirst(lc));

	queries = pg_analyze_and_rewrite_fixedparams(linitial_node(RawStmt, statements),
												 step->sql_query, NULL, 0, NULL);
	if (step->repartition > 0 && step->repartition_by == NIL)
	{
		TupleDesc	desc = ExecCleanTypeFromTL(linitial_node(Query, queries)->targetList);

		estimate->partition_key =
			MemoryContextStrdup(estimate->context,
								linitial(step_table_partition_key(NIL, step->partition_key, desc)));
	}
	plan = linitial_node(PlannedStmt, pg_plan_queries(queries, step->sql_query,
													  CURSOR_OPT_PARALLEL_OK, NULL));
	estimate->rows = plan->planTree->plan_rows;
	estimate->cost = plan->planTree->total_cost;
}

/* ---- what the log says ---- */

static void
load_durations(DryRun *run)
{
	ListCell   *lc;

	run->ms = palloc(sizeof(int64) * Max(run->graph->nsteps, 1));
	for (int i = 0; i < run->graph->nsteps; i++)
		run->ms[i] = -1;
	foreach(lc, catalog_load_durations(run->graph->pipeline->id))
	{
		const StepDuration *duration = lfirst(lc);
		int			step = pipeline_find_step(run->graph, duration->process_name);

		if (step >= 0)
			run->ms[step] = duration->ms;
	}
}

/* A step that has never succeeded counts as the average of the others. */
static double
expected_ms(const DryRun *run, int step)
{
	return run->ms[step] >= 0 ? run->ms[step] : run->average;
}

static void
compute_average(DryRun *run)
{
	double		total = 0;
	int			known = 0;

	for (int i = 0; i < run->graph->nsteps; i++)
	{
		if (run->selected[i] && run->ms[i] >= 0)
		{
			total += run->ms[i];
			known++;
		}
	}
	run->average = known > 0 ? total / known : -1;
}

/* ---- order ---- */

/*
 * The selected steps as one worker would take them; returns how many.  All others
 * follow in the array.
 */
static int
order_steps(const DryRun *run, int *order)
{
	const PipelineGraph *graph = run->graph;
	DagRun	   *steps = dag_run_create(graph->dag, run->selected, graph->pipeline->staged);
	int			n = 0;
	int			nselected;
	int			step;

	while ((step = dag_run_next(steps)) >= 0)
	{
		order[n++] = step;
		dag_run_succeeded(steps, step);
	}
	dag_run_free(steps);
	nselected = n;
	for (int i = 0; i < graph->nsteps; i++)
	{
		if (!run->selected[i])
			order[n++] = i;
	}
	Assert(n == graph->nsteps);
	return nselected;
}

/* Marks the longest chain among the selected steps, which "order" begins with. */
static void
mark_critical(DryRun *run, const int *order, int nselected)
{
	int			nsteps = run->graph->nsteps;
	double	   *finish = palloc0(sizeof(double) * Max(nsteps, 1));
	int		   *before = palloc(sizeof(int) * Max(nsteps, 1));
	int			last = -1;

	run->critical = palloc0(sizeof(bool) * Max(nsteps, 1));
	for (int i = 0; i < nselected; i++)
	{
		int			step = order[i];
		double		weight = expected_ms(run, step);
		const int  *upstream;
		int			n = dag_upstream(run->graph->dag, step, &upstream);

		before[step] = -1;
		for (int j = 0; j < n; j++)
		{
			if (run->selected[upstream[j]] &&
				(before[step] < 0 || finish[upstream[j]] > finish[before[step]]))
				before[step] = upstream[j];
		}
		/* a chain of more steps is longer, also where they take no time */
		finish[step] = Max(weight, 0.001) + (before[step] >= 0 ? finish[before[step]] : 0);
		if (last < 0 || finish[step] > finish[last])
			last = step;
	}
	for (; last >= 0; last = before[last])
		run->critical[last] = true;
}

/*
 * When the selected steps would end: the run played through with its workers,
 * each step taking as long as expected.
 */
static void
play_through(DryRun *run)
{
	const Pipeline *pipeline = run->graph->pipeline;
	RunSettings settings;
	int			nworkers;
	int		   *busy;			/* steps */
	int			nbusy = 0;
	DagRun	   *steps = dag_run_create(run->graph->dag, run->selected, pipeline->staged);
	double		now = 0;

	guc_run_settings(&settings);
	nworkers = pipeline->max_parallel > 0 ? pipeline->max_parallel : settings.max_parallel;
	busy = palloc(sizeof(int) * nworkers);
	run->end = palloc(sizeof(double) * Max(run->graph->nsteps, 1));
	for (int i = 0; i < run->graph->nsteps; i++)
		run->end[i] = -1;

	while (run->average >= 0)
	{
		int			first = 0;
		int			step;

		while (nbusy < nworkers && (step = dag_run_next(steps)) >= 0)
		{
			run->end[step] = now + expected_ms(run, step);
			busy[nbusy++] = step;
		}
		if (nbusy == 0)
			break;
		for (int i = 1; i < nbusy; i++)
		{
			if (run->end[busy[i]] < run->end[busy[first]])
				first = i;
		}
		now = run->end[busy[first]];
		dag_run_succeeded(steps, busy[first]);
		busy[first] = busy[--nbusy];
	}
	dag_run_free(steps);
	pfree(busy);
}

/* ---- rows ---- */

static List *
step_names(const PipelineGraph *graph, const int *steps, int n)
{
	List	   *names = NIL;

	for (int i = 0; i < n; i++)
		names = lappend(names, graph->steps[steps[i]]->process_name);
	return names;
}

/* Splits what the SQL names: steps that come first, and other relations it reads. */
static void
split_references(const PipelineGraph *graph, int step, List **inferred, List **sources)
{
	const Step *s = graph->steps[step];
	List	   *steps = NIL;
	ListCell   *lc;

	*inferred = *sources = NIL;
	foreach(lc, list_concat(list_copy(s->reads), s->writes))
	{
		int			found = pipeline_find_reference(graph, lfirst(lc));
		bool		is_step = found >= 0 && found != step;

		if (is_step)
			steps = list_append_unique_int(steps, found);
		else if (foreach_current_index(lc) < list_length(s->reads))
			*sources = lappend(*sources, lfirst(lc));
	}
	list_sort(steps, list_int_cmp);
	foreach(lc, steps)
		* inferred = lappend(*inferred, graph->steps[lfirst_int(lc)]->process_name);
}

static char *
join_names(const List *names)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	foreach(lc, names)
		appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "", quote_identifier(lfirst(lc)));
	return text.data;
}

/* Which it is, and why; known: what the query's columns say, or NULL. */
static char *
partition_key_in_words(const Step *step, const char *known)
{
	const char *key = step->partition_key;
	char	   *readers;

	if (step->repartition_by != NIL)
		return join_names(step->repartition_by);
	if (key == NULL)
		return psprintf("%s%sthe first column that can be hashed, as no step is known to join or group on one",
						known != NULL ? known : "", known != NULL ? ", " : "");

	readers = psprintf("%s %s", join_names(step->partition_readers),
					   list_length(step->partition_readers) == 1 ?
					   "joins or groups" : "join or group");
	if (known != NULL && strcmp(known, key) != 0)
		return psprintf("%s, the first column that can be hashed, as %s, on which %s, is none",
						known, key, readers);
	return psprintf("%s, on which %s", key, readers);
}

static List *
flags_in_words(const PipelineGraph *graph, int index, const char *partition_key)
{
	const Step *step = graph->steps[index];
	List	   *flags = NIL;
	ListCell   *lc;

	if (step->kind == ETL_STEP_QUERY)
	{
		flags = lappend(flags, pipeline_is_logged(graph, index) ?
						"logged table" : "unlogged table");
		if (step->cache)
			flags = lappend(flags, "written into shared buffers");
		if (step->repartition > 0)
			flags = lappend(flags, psprintf("%d hash partitions by %s", step->repartition,
											partition_key_in_words(step, partition_key)));
		foreach(lc, step->indexes)
			flags = lappend(flags, psprintf("index %s", (const char *) lfirst(lc)));
		foreach(lc, step->checks)
			flags = lappend(flags, psprintf("check %s", (const char *) lfirst(lc)));
		if (!step->keep)
			flags = lappend(flags, "dropped when its readers have ended");
	}
	else
		flags = lappend(flags, step->kind == ETL_STEP_COMMAND ?
						"commands in one transaction" : "command outside a transaction block");
	if (step->broadcast)
		flags = lappend(flags, "joins are broadcast hash joins");
	foreach(lc, step->settings)
		flags = lappend(flags, psprintf("setting %s", (const char *) lfirst(lc)));
	return flags;
}

static void
put_list(Datum *value, bool *isnull, const List *list)
{
	*isnull = list == NIL;
	if (list != NIL)
		*value = PointerGetDatum(catalog_list_to_array(list));
}

static void
put_step(const DryRun *run, int index, ReturnSetInfo *rsinfo)
{
	const PipelineGraph *graph = run->graph;
	const Step *step = graph->steps[index];
	Estimate	estimate = {.graph = graph, .step = index, .context = CurrentMemoryContext};
	bool		planned = step->kind == ETL_STEP_QUERY &&
	trial_make(graph->pipeline, plan_step, &estimate, CurrentMemoryContext) == NULL;
	Datum		values[PLAN_COLUMNS] = {0};
	bool		nulls[PLAN_COLUMNS] = {false};
	const int  *upstream;
	int			n = dag_upstream(graph->dag, index, &upstream);
	List	   *inferred;
	List	   *sources;

	split_references(graph, index, &inferred, &sources);
	values[0] = Int32GetDatum(step->step_id);
	values[1] = CStringGetTextDatum(step->process_name);
	values[2] = CStringGetTextDatum(catalog_kind_word(step->kind));
	values[3] = Int32GetDatum(dag_level(graph->dag, index));
	values[4] = Int32GetDatum(dag_order(graph->dag, index));
	put_list(&values[5], &nulls[5], step_names(graph, upstream, n));
	put_list(&values[6], &nulls[6], inferred);
	put_list(&values[7], &nulls[7], step->depends_on);
	put_list(&values[8], &nulls[8], sources);
	put_list(&values[9], &nulls[9], flags_in_words(graph, index, estimate.partition_key));
	values[10] = BoolGetDatum(run->selected[index]);
	values[11] = BoolGetDatum(run->critical[index]);
	nulls[12] = run->ms[index] < 0;
	values[12] = Float8GetDatum(run->ms[index] / 1000.0);
	nulls[13] = run->end[index] < 0;
	values[13] = Float8GetDatum(run->end[index] / 1000.0);
	if (!planned)
		nulls[14] = nulls[15] = true;
	else
	{
		values[14] = Int64GetDatum((int64) Min(estimate.rows, 1e18));
		values[15] = Float8GetDatum(estimate.cost);
	}
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* The graph, checked as for a run, and with the steps' bodies. */
static PipelineGraph *
load_graph(const Pipeline *pipeline, int32 version)
{
	PipelineGraph *graph = pipeline_load_graph(pipeline->id, version);
	ListCell   *lc;

	foreach(lc, catalog_load_steps_with_bodies(pipeline->id, graph->pipeline->version))
		graph->steps[foreach_current_index(lc)] = lfirst(lc);
	return graph;
}

Datum
etl_plan(PG_FUNCTION_ARGS)
{
	char	   *name = option_text_argument(fcinfo, 0, "pipeline");
	List	   *selectors = pipeline_selection_from_array(PG_ARGISNULL(1) ? NULL :
														  PG_GETARG_ARRAYTYPE_P(1));
	int32		version = PG_ARGISNULL(2) ? 0 : PG_GETARG_INT32(2);
	Pipeline   *pipeline = pipeline_open(name);
	DryRun		run;
	int		   *order;

	if (!PG_ARGISNULL(2) && (version < 1 || version > pipeline->version))
		pipeline_raise_unknown_version(pipeline, version);

	run.graph = load_graph(pipeline, version);
	run.selected = pipeline_select(run.graph, selectors);
	load_durations(&run);
	compute_average(&run);
	play_through(&run);
	order = palloc(sizeof(int) * Max(run.graph->nsteps, 1));
	mark_critical(&run, order, order_steps(&run, order));

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < run.graph->nsteps; i++)
		put_step(&run, order[i], (ReturnSetInfo *) fcinfo->resultinfo);

	return (Datum) 0;
}
