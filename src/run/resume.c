/*-------------------------------------------------------------------------
 *
 * resume.c
 *	  Going on from a run that did not succeed.
 *
 * The old run's staging schema is still there, and etl.log says which steps have
 * succeeded.  Of these are taken over:
 *
 * - commands, as what they did they have committed, and must not do twice; but what
 *	 one has written into a table of the run belongs to that table, and where that is
 *	 made again the command is executed again, or the run cannot be resumed;
 * - query steps whose tables are there and whole (logged, or made since the
 *	 server's last crash), but where the pipeline promises one snapshot and nobody
 *	 has asked for less only those that know nothing of the sources: the old run's
 *	 snapshot is gone, so everything else has to be read once more;
 * - everything, if all steps had succeeded: then there is nothing left to read,
 *	 and only publishing was in the way.
 *
 * A step that is executed needs the tables that it reads.  Where one is not there
 * (keep => false: it went when its last reader had ended) its step is executed,
 * too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "run/resume.h"

#include "access/xact.h"
#include "base/lock.h"
#include "table/relation_attrs.h"
#include "table/staging.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* What is known of a step of the old run. */
typedef struct ResumeStep
{
	PastStep   *past;			/* NULL: it has not succeeded */
	Oid			relid;			/* its table, where that can be used */
	bool		reads_source;	/* as its SQL says, or its plans have shown */
	bool		execute;
} ResumeStep;

/* ---- whether it may be resumed ---- */

static void
resume_refuse(int64 run_id, const char *why, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("run " INT64_FORMAT " cannot be resumed because %s", run_id, why),
			 detail ? errdetail_internal("%s", detail) : 0,
			 hint ? errhint("%s", hint) : 0));
}

/* The lock is looked at first: see etl.run_status. */
PastRun *
resume_find(int64 run_id)
{
	bool		alive = lock_run_holder(run_id) != 0;
	PastRun    *past = catalog_load_past_run(run_id);

	if (past == NULL)
		return NULL;
	if (past->dropped)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("pipeline \"%s\" of run " INT64_FORMAT " was dropped",
						past->pipeline, run_id)));
	if (past->status == ETL_RUN_RUNNING && alive)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("run " INT64_FORMAT " cannot be resumed because it is on", run_id),
				 errhint("Wait for its end with etl.wait, or cancel it with etl.cancel.")));
	if (past->status == ETL_RUN_SUCCESS)
		resume_refuse(run_id, "it succeeded", NULL, NULL);
	if (!past->begun)
		resume_refuse(run_id, "it did not begin", NULL, "Start it again with etl.run.");
	if (past->newer != 0)
		resume_refuse(run_id, "it is not the newest run of its pipeline",
					  psprintf("Run " INT64_FORMAT " of pipeline \"%s\" has begun since.",
							   past->newer, past->pipeline), NULL);
	if (!OidIsValid(staging_find(past->pipeline_id)))
		resume_refuse(run_id, "nothing is left of what it made",
					  "Its staging schema was dropped.", "Run the pipeline again.");
	return past;
}

/* ---- what is taken over ---- */

static bool
resume_is_selected(const RunState *run, int step)
{
	return run->selected == NULL || run->selected[step];
}

static bool
resume_is_query(const RunState *run, int step)
{
	return run->graph->steps[step]->kind == ETL_STEP_QUERY;
}

/* Return true if the SQL names a relation that is not a table of the run. */
static bool
resume_names_source(const RunState *run, int step)
{
	ListCell   *lc;

	foreach(lc, run->graph->steps[step]->reads)
	{
		int			upstream = pipeline_find_reference(run->graph, lfirst(lc));

		if (upstream < 0 || !resume_is_selected(run, upstream) ||
			!resume_is_query(run, upstream))
			return true;
	}
	return false;
}

static int
resume_compare_ids(const void *key, const void *element)
{
	int32		step_id = *(const int32 *) key;
	int32		other = (*(Step *const *) element)->step_id;

	return (step_id > other) - (step_id < other);
}

/* What bears the name of a step may have been changed, or made by somebody, since the run ended. */
static void
resume_check_table(RunState *run, Oid relid, const char *process_name)
{
	Oid			published = catalog_published(run->pipeline->id, run->pipeline->target_schema,
											  process_name);

	staging_check_table(run->staging, relid, process_name,
						OidIsValid(published) ? relation_attrs_owner(published) : InvalidOid);
}

static ResumeStep *
resume_load(RunState *run, const PastRun *past)
{
	PipelineGraph *graph = run->graph;
	ResumeStep *steps = palloc0(sizeof(ResumeStep) * Max(1, graph->nsteps));
	ListCell   *lc;

	foreach(lc, catalog_load_past_steps(run->request->resumes))
	{
		PastStep   *done = lfirst(lc);
		Step	  **found = bsearch(&done->step_id, graph->steps, graph->nsteps,
									sizeof(Step *), resume_compare_ids);
		ResumeStep *step;

		if (found == NULL)
			elog(ERROR, "run " INT64_FORMAT " has a step %d that its version does not have",
				 run->request->resumes, done->step_id);
		step = &steps[found - graph->steps];
		step->past = done;
		if ((*found)->kind != ETL_STEP_QUERY)
			continue;
		step->relid = get_relname_relid((*found)->process_name, run->staging);
		if (OidIsValid(step->relid))
			resume_check_table(run, step->relid, (*found)->process_name);
		if (OidIsValid(step->relid) && !past->survived && !staging_table_is_logged(step->relid))
			step->relid = InvalidOid;
	}
	for (int i = 0; i < graph->nsteps; i++)
		steps[i].reads_source = resume_is_query(run, i) &&
			(resume_names_source(run, i) || (steps[i].past && steps[i].past->read_sources));
	return steps;
}

/* Steps by level, so that each one comes after what it reads. */
static int *
resume_order(const PipelineGraph *graph)
{
	int		   *order = palloc(sizeof(int) * Max(1, graph->nsteps));
	int		   *start = palloc0(sizeof(int) * (graph->nsteps + 2));

	for (int i = 0; i < graph->nsteps; i++)
		start[dag_level(graph->dag, i) + 1]++;
	for (int i = 1; i <= graph->nsteps; i++)
		start[i] += start[i - 1];
	for (int i = 0; i < graph->nsteps; i++)
		order[start[dag_level(graph->dag, i)]++] = i;
	pfree(start);
	return order;
}

/* Return true if one of the query steps that the step comes after is among these. */
static bool
resume_follows(const RunState *run, int step, const bool *member)
{
	const int  *upstream;
	int			n = dag_upstream(run->graph->dag, step, &upstream);

	for (int i = 0; i < n; i++)
	{
		if (resume_is_selected(run, upstream[i]) && resume_is_query(run, upstream[i]) &&
			member[upstream[i]])
			return true;
	}
	return false;
}

/* Which steps know something of the sources: they read them, or what has read them. */
static bool *
resume_derived(const RunState *run, const ResumeStep *steps, const int *order)
{
	bool	   *derived = palloc0(sizeof(bool) * Max(1, run->graph->nsteps));

	for (int k = 0; k < run->graph->nsteps; k++)
	{
		int			i = order[k];

		derived[i] = resume_is_selected(run, i) && resume_is_query(run, i) &&
			(steps[i].reads_source || resume_follows(run, i, derived));
	}
	return derived;
}

/* What the executed steps read has to be there: from the last steps to the first. */
static void
resume_choose_inputs(RunState *run, ResumeStep *steps, const int *order)
{
	for (int k = run->graph->nsteps - 1; k >= 0; k--)
	{
		const int  *upstream;
		int			n = dag_upstream(run->graph->dag, order[k], &upstream);

		for (int u = 0; u < n && steps[order[k]].execute; u++)
		{
			if (resume_is_selected(run, upstream[u]) && resume_is_query(run, upstream[u]) &&
				!OidIsValid(steps[upstream[u]].relid))
				steps[upstream[u]].execute = true;
		}
	}
}

/*
 * Look at what a command writes: return true if that is the table of a step that is executed.
 * *kept is set if there is a table of a step that is not, *outside to something else that it
 * writes, or NULL.
 */
static bool
resume_writes_executed(const RunState *run, const ResumeStep *steps, int command,
					   bool *kept, const char **outside)
{
	bool		executed = false;
	ListCell   *lc;

	*kept = false;
	*outside = NULL;
	foreach(lc, run->graph->steps[command]->writes)
	{
		int			written = pipeline_find_reference(run->graph, lfirst(lc));

		if (written < 0 || !resume_is_selected(run, written) || !resume_is_query(run, written))
			*outside = lfirst(lc);
		else if (steps[written].execute)
			executed = true;
		else
			*kept = true;
	}
	return executed;
}

/*
 * Commands that have written into tables of the run are executed together with these: all of the
 * tables, and each command that writes one.  So are the tables of a command that could commit a
 * part of its work and then failed.  Return true if that has made more steps be executed.
 */
static bool
resume_choose_writers(RunState *run, ResumeStep *steps)
{
	PipelineGraph *graph = run->graph;
	bool		more = false;

	for (int i = 0; i < graph->nsteps; i++)
	{
		bool		kept;
		const char *outside;
		bool		executed;
		ListCell   *lc;

		if (!resume_is_selected(run, i) || resume_is_query(run, i))
			continue;
		executed = resume_writes_executed(run, steps, i, &kept, &outside);
		if (steps[i].past == NULL)
			executed = kept && graph->steps[i]->kind == ETL_STEP_COMMAND_ALONE;
		else if (executed && outside != NULL)
			resume_refuse(run->request->resumes, "a command would do twice what it has done",
						  psprintf("Step \"%s\" has written into a table that has to be made again, and into %s.",
								   graph->steps[i]->process_name, outside),
						  "Start another run with etl.run.");
		if (!executed || (steps[i].execute && !kept))
			continue;
		steps[i].execute = true;
		more = true;
		foreach(lc, graph->steps[i]->writes)
		{
			int			written = pipeline_find_reference(graph, lfirst(lc));

			if (written >= 0 && resume_is_selected(run, written) && resume_is_query(run, written))
				steps[written].execute = true;
		}
	}
	return more;
}

static void
resume_choose(RunState *run, ResumeStep *steps, const int *order, const bool *derived)
{
	PipelineGraph *graph = run->graph;
	bool		fresh = graph->pipeline->one_snapshot && !run->request->reuse;
	bool		any = false;

	for (int i = 0; i < graph->nsteps; i++)
	{
		steps[i].execute = resume_is_selected(run, i) &&
			(steps[i].past == NULL ||
			 (resume_is_query(run, i) && graph->steps[i]->keep && !OidIsValid(steps[i].relid)));
		any = any || steps[i].execute;
	}
	if (!any)
		return;					/* all had succeeded: only publishing is left */

	for (int i = 0; i < graph->nsteps; i++)
		steps[i].execute = steps[i].execute || (fresh && derived[i]);

	/* the one may bring about the other */
	do
		resume_choose_inputs(run, steps, order);
	while (resume_choose_writers(run, steps));
}

/* What the run knows of the steps from now on; the tables that it keeps. */
static List *
resume_adopt(RunState *run, const ResumeStep *steps, const bool *derived)
{
	List	   *keep = NIL;

	run->executed = palloc(sizeof(bool) * Max(1, run->graph->nsteps));
	for (int i = 0; i < run->graph->nsteps; i++)
	{
		RunStep    *rs = &run->steps[i];

		run->executed[i] = resume_is_selected(run, i) && steps[i].execute;
		if (!resume_is_selected(run, i) || steps[i].execute)
			continue;
		rs->reused = steps[i].past;
		rs->reused_derived = derived[i];
		rs->count_rows = steps[i].past->count_rows;
		rs->table_size = steps[i].past->table_size;
		rs->relid = steps[i].relid;
		/* one that has gone already has done its duty */
		rs->dropped = resume_is_query(run, i) && !OidIsValid(steps[i].relid);
		if (OidIsValid(rs->relid))
			keep = lappend_oid(keep, rs->relid);
	}
	list_sort(keep, list_oid_cmp);
	return keep;
}

void
resume_take_over(RunState *run)
{
	PastRun    *past;
	ResumeStep *steps;
	int		   *order;
	bool	   *derived;
	List	   *keep;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(run->context);
	past = resume_find(run->request->resumes);
	if (past == NULL)
		elog(ERROR, "run " INT64_FORMAT " does not exist", run->request->resumes);
	run->staging = staging_find(run->request->pipeline_id);
	steps = resume_load(run, past);
	order = resume_order(run->graph);
	derived = resume_derived(run, steps, order);
	resume_choose(run, steps, order, derived);
	keep = resume_adopt(run, steps, derived);
	PopActiveSnapshot();
	CommitTransactionCommand();

	staging_drop_others(run->staging, keep);
	MemoryContextSwitchTo(run->context);
}

void
resume_log(RunState *run)
{
	for (int i = 0; i < run->graph->nsteps; i++)
	{
		if (run->steps[i].reused != NULL)
			catalog_insert_reused(run->run_id, run->graph->steps[i]->process_name,
								  run->steps[i].reused);
	}
}

bool
resume_spans_instants(RunState *run)
{
	int64		origin = 0;		/* of what was taken over; 0: none yet */

	if (run->graph == NULL || run->executed == NULL)
		return false;
	for (int i = 0; i < run->graph->nsteps; i++)
	{
		const RunStep *rs = &run->steps[i];

		if (rs->reused == NULL || !rs->reused_derived)
			continue;
		if (run->read_sources || (origin != 0 && origin != rs->reused->run_id))
			return true;
		origin = rs->reused->run_id;
	}
	return false;
}
