/*-------------------------------------------------------------------------
 *
 * dag_run.c
 *	  Runs over the graph of a pipeline's steps: which step may start next.
 *
 * See dag.h for what is promised, dag.c for the graph, which is only read here.
 * This file may not know more of the world than that one does: no catalog, SQL,
 * shared memory, processes or time.  What a step does, and whether one that has
 * failed is tried again, is decided by whoever calls.
 *
 * The ready queue is a binary heap of the ranks that sealing gave the steps:
 * plain integers.  Each step counts the steps it still waits for, each edge is
 * looked at a fixed number of times in the whole run (when its upper end
 * succeeds or fails, and when its lower end ends), and each stage counts its
 * steps that have not ended.  As no step ever un-ends, the first stage that has
 * not ended only moves forward, which makes the barrier of staged mode O(1)
 * amortised.  A step fails while what waits for it cannot have been queued, and
 * giving up a run empties the whole queue, so nothing is ever taken from the
 * middle of the heap.
 *
 * Skipping walks the graph with an array of its own, as graphs are as deep as
 * people make them.  What recurses here is no deeper than the heap.
 *
 *-------------------------------------------------------------------------
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "graph/dag.h"
#include "graph/dag_private.h"

/* What a run knows of a step, one piece of memory for all that is read together */
typedef struct DagRunStep
{
	DagStepState state;
	int			blockers;		/* selected steps it reads, not succeeded */
	int			pending_readers;
	int			cause;			/* SKIPPED: the failed step, or -1 */
} DagRunStep;

struct DagRun
{
	const Dag  *dag;
	bool		staged;
	bool		abandoned;
	int			unfinished;
	DagRunStep *steps;

	int		   *heap;			/* queue ranks of the READY steps */
	int			nready;

	int		   *stage_unfinished;	/* for each stage */
	int			open_stage;		/* the first that has not ended */

	int		   *scratch;		/* room for each selected step once */
};

/* A step becomes READY: into the heap with it. */
static void
ready_push(DagRun *run, int step)
{
	int			rank = run->dag->queue_rank[step];
	int			i = run->nready++;

	run->steps[step].state = DAG_READY;
	while (i > 0 && run->heap[(i - 1) / 2] > rank)
	{
		run->heap[i] = run->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	run->heap[i] = rank;
}

/* Takes the first step from the heap, which may not be empty. */
static int
ready_pop(DagRun *run)
{
	int			first = run->heap[0];
	int			rank = run->heap[--run->nready];	/* looks for a new place */
	int			i = 0;

	for (;;)
	{
		int			child = 2 * i + 1;

		if (child >= run->nready)
			break;
		if (child + 1 < run->nready && run->heap[child + 1] < run->heap[child])
			child++;
		if (run->heap[child] >= rank)
			break;
		run->heap[i] = run->heap[child];
		i = child;
	}
	run->heap[i] = rank;

	return run->dag->queue[first];
}

/* Moves open_stage over stages all of whose selected steps have ended. */
static void
advance_stage(DagRun *run)
{
	while (run->open_stage < run->dag->nstages &&
		   run->stage_unfinished[run->open_stage] == 0)
		run->open_stage++;
}

/* The bookkeeping of every end of a step, whichever it is. */
static void
step_ended(DagRun *run, int step, DagStepState state)
{
	const Dag  *dag = run->dag;
	int			i;

	run->steps[step].state = state;
	run->unfinished--;
	for (i = dag->up.start[step]; i < dag->up.start[step + 1]; i++)
		run->steps[dag->up.step[i]].pending_readers--;

	run->stage_unfinished[dag->stage[step]]--;
	advance_stage(run);
}

DagRun *
dag_run_create(const Dag *dag, const bool *selected, bool staged)
{
	DagRun	   *run;
	int			s;
	int			i;

	Assert(dag->sealed);

	run = (DagRun *) palloc0(sizeof(DagRun));
	run->dag = dag;
	run->staged = staged;
	run->steps = (DagRunStep *) palloc0(sizeof(DagRunStep) * (Size) dag->nsteps);
	run->stage_unfinished = palloc0_ints(dag->nstages);

	for (s = 0; s < dag->nsteps; s++)
	{
		run->steps[s].cause = -1;
		run->steps[s].state = DAG_NOT_SELECTED;
		if (selected && !selected[s])
			continue;

		run->steps[s].state = DAG_WAITING;
		run->unfinished++;
		run->stage_unfinished[dag->stage[s]]++;
		for (i = dag->up.start[s]; i < dag->up.start[s + 1]; i++)
		{
			int			u = dag->up.step[i];

			run->steps[u].pending_readers++;
			if (selected == NULL || selected[u])
				run->steps[s].blockers++;
		}
	}

	run->heap = palloc_ints(run->unfinished);
	run->scratch = palloc_ints(run->unfinished);
	for (s = 0; s < dag->nsteps; s++)
	{
		if (run->steps[s].state == DAG_WAITING && run->steps[s].blockers == 0)
			ready_push(run, s);
	}
	advance_stage(run);

	return run;
}

void
dag_run_free(DagRun *run)
{
	pfree(run->steps);
	pfree(run->heap);
	pfree(run->stage_unfinished);
	pfree(run->scratch);
	pfree(run);
}

int
dag_run_next(DagRun *run)
{
	int			step;

	if (!dag_run_has_ready(run))
		return -1;

	step = ready_pop(run);
	Assert(run->steps[step].state == DAG_READY);
	run->steps[step].state = DAG_RUNNING;

	return step;
}

/*
 * The first step of the queue has the smallest order of all ready ones.  When
 * the barrier holds that one back, it holds back all of them.
 */
bool
dag_run_has_ready(const DagRun *run)
{
	const Dag  *dag = run->dag;

	if (run->nready == 0)
		return false;
	return !run->staged ||
		dag->stage[dag->queue[run->heap[0]]] == run->open_stage;
}

/*
 * Ready steps below a place in the heap.  What stands below a step that waits
 * behind the barrier waits there too, so the walk visits few more than it counts.
 */
static int
ready_below(const DagRun *run, int place, int limit)
{
	const Dag  *dag = run->dag;
	int			n;

	if (limit <= 0 || place >= run->nready ||
		(run->staged && dag->stage[dag->queue[run->heap[place]]] != run->open_stage))
		return 0;

	n = 1 + ready_below(run, 2 * place + 1, limit - 1);
	return n + ready_below(run, 2 * place + 2, limit - n);
}

int
dag_run_ready(const DagRun *run, int limit)
{
	return ready_below(run, 0, limit);
}

void
dag_run_requeue(DagRun *run, int step)
{
	AssertStep(run->dag, step);
	Assert(run->steps[step].state == DAG_RUNNING);
	Assert(!run->abandoned);

	ready_push(run, step);
}

void
dag_run_succeeded(DagRun *run, int step)
{
	const DagAdjacency *down = &run->dag->down;
	int			i;

	AssertStep(run->dag, step);
	Assert(run->steps[step].state == DAG_RUNNING);

	step_ended(run, step, DAG_SUCCEEDED);
	for (i = down->start[step]; i < down->start[step + 1]; i++)
	{
		int			reader = down->step[i];

		/* one that is skipped, or not selected, waits for nothing */
		if (run->steps[reader].state == DAG_WAITING &&
			--run->steps[reader].blockers == 0)
			ready_push(run, reader);
	}
}

/*
 * Only waiting steps have to be looked at.  Whatever is selected and reads a
 * running step, directly or through other selected ones, cannot have become
 * ready; and where one is skipped already, so is all that reads it.  A reader
 * that is not selected passes nothing on: it is no constraint for its readers.
 */
int
dag_run_failed(DagRun *run, int step, int **skipped)
{
	const Dag  *dag = run->dag;
	int		   *ranks = run->scratch;	/* found, by their place in topo */
	int			nfound = 0;
	int			nexpanded = 0;
	int			from = step;
	int			i;

	AssertStep(dag, step);
	Assert(run->steps[step].state == DAG_RUNNING);

	step_ended(run, step, DAG_FAILED);
	for (;;)
	{
		for (i = dag->down.start[from]; i < dag->down.start[from + 1]; i++)
		{
			int			reader = dag->down.step[i];

			Assert(run->steps[reader].state == DAG_NOT_SELECTED ||
				   run->steps[reader].state == DAG_WAITING ||
				   run->steps[reader].state == DAG_SKIPPED);
			if (run->steps[reader].state != DAG_WAITING)
				continue;
			run->steps[reader].cause = step;
			step_ended(run, reader, DAG_SKIPPED);
			ranks[nfound++] = dag->topo_rank[reader];
		}
		if (nexpanded == nfound)
			break;
		from = dag->topo[ranks[nexpanded++]];
	}

	qsort(ranks, nfound, sizeof(int), compare_ints);
	*skipped = palloc_ints(nfound);
	for (i = 0; i < nfound; i++)
		(*skipped)[i] = dag->topo[ranks[i]];

	return nfound;
}

int
dag_run_abandon(DagRun *run, int **skipped)
{
	const Dag  *dag = run->dag;
	int			nfound = 0;
	int			rank;

	run->abandoned = true;
	run->nready = 0;
	for (rank = 0; rank < dag->nsteps; rank++)
	{
		int			s = dag->topo[rank];

		if (run->steps[s].state != DAG_WAITING &&
			run->steps[s].state != DAG_READY)
			continue;
		step_ended(run, s, DAG_SKIPPED);
		run->scratch[nfound++] = s;
	}

	*skipped = palloc_ints(nfound);
	memcpy(*skipped, run->scratch, sizeof(int) * nfound);

	return nfound;
}

DagStepState
dag_run_state(const DagRun *run, int step)
{
	AssertStep(run->dag, step);
	return run->steps[step].state;
}

int
dag_run_cause(const DagRun *run, int step)
{
	AssertStep(run->dag, step);
	Assert(run->steps[step].state == DAG_SKIPPED);
	return run->steps[step].cause;
}

int
dag_run_unfinished(const DagRun *run)
{
	return run->unfinished;
}

int
dag_run_pending_readers(const DagRun *run, int step)
{
	AssertStep(run->dag, step);
	return run->steps[step].pending_readers;
}
