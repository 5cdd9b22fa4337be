/*-------------------------------------------------------------------------
 *
 * dag.h
 *	  The graph of a pipeline's steps and the order in which they may run.
 *
 * Pure C: no catalog, no SQL, no shared memory, no clock.  Steps are numbers
 * from 0 to nsteps - 1; what they stand for is the caller's business.  Memory
 * comes from palloc in the current memory context, so that the same files
 * link into a server module and into a unit test built with -DFRONTEND.
 *
 * dag.c builds, checks and asks the graph, dag_run.c runs over it.
 *
 * Life of a Dag: dag_create, dag_add_edge / dag_set_order as often as wanted,
 * then dag_find_cycle; only when that returns 0 may dag_seal and everything
 * below it be called.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_DAG_H
#define ETL_DAG_H

#define DAG_NO_ORDER	(-2147483647 - 1)

typedef struct Dag Dag;
typedef struct DagRun DagRun;

/* ---- building ---- */

/* A graph of nsteps steps without edges.  nsteps may be 0. */
extern Dag *dag_create(int nsteps);

/*
 * "downstream" reads "upstream".  Adding an edge twice is the same as adding
 * it once; upstream == downstream is a cycle of length 1.  Amortised O(1).
 */
extern void dag_add_edge(Dag *dag, int upstream, int downstream);

/* The step's execution_order; DAG_NO_ORDER (the default) means its level. */
extern void dag_set_order(Dag *dag, int step, int order);

extern void dag_free(Dag *dag);

/* ---- checking ---- */

/*
 * Looks for a cycle.  Returns 0 when there is none (*path is NULL then); else
 * its length n, and *path is a palloc'd array of the n steps on it such that
 * path[i + 1] reads path[i] and path[0] reads path[n - 1].
 *
 * The answer depends on the graph only, not on how it was built: path[0] is
 * the lowest-numbered step that is on any cycle, and the path is the shortest
 * one from there back to it, the lexicographically smallest where there are
 * several.  Not recursive: a chain of 100,000 steps must not overflow the
 * stack.
 */
extern int	dag_find_cycle(const Dag *dag, int **path);

/* Computes levels, orders and heights; call once, after dag_find_cycle said 0. */
extern void dag_seal(Dag *dag);

/* ---- asking (sealed graphs only, but for dag_nsteps) ---- */

extern int	dag_nsteps(const Dag *dag);

/* 0 for a step that reads no step, else 1 + the highest level it reads. */
extern int	dag_level(const Dag *dag, int step);

/* The step's execution_order, or its level where none was set. */
extern int	dag_order(const Dag *dag, int step);

/* The longest chain of steps that wait for this one: 0 where nobody reads it. */
extern int	dag_height(const Dag *dag, int step);

/* Direct neighbours, without duplicates, ascending; the array is the graph's. */
extern int	dag_upstream(const Dag *dag, int step, const int **steps);
extern int	dag_downstream(const Dag *dag, int step, const int **steps);

/*
 * Sets member[s] to true for every step that "step" reads, directly or through
 * others (dag_mark_ancestors), or that reads it (dag_mark_descendants).  The
 * step itself is not touched.  Steps already true are still walked through.
 */
extern void dag_mark_ancestors(const Dag *dag, int step, bool *member);
extern void dag_mark_descendants(const Dag *dag, int step, bool *member);

/*
 * Sets after[s], for every step, to whether a run over the selected steps (all,
 * where selected is NULL) starts it only after one of the steps "from" has ended:
 * because it reads that one, directly or through other selected ones, or, where
 * staged, because its order is higher.  What is not selected is neither.
 */
extern void dag_mark_after(const Dag *dag, const bool *selected, bool staged,
						   const bool *from, bool *after);

/*
 * Looks for a step whose order contradicts the graph in staged mode: it has to
 * wait for a step of a higher order, which waits for the barrier.  Returns
 * true and the pair when there is one among the members (all, where member is
 * NULL): "step" reads "upstream", whose order is higher.  Of several it is the
 * lowest step, and its lowest upstream.  A staged run over members with such a
 * conflict can get stuck: nothing is ready, nothing runs, steps are unfinished.
 */
extern bool dag_find_order_conflict(const Dag *dag, const bool *member,
									int *step, int *upstream);

/* ---- running ---- */

typedef enum DagStepState
{
	DAG_NOT_SELECTED,			/* not part of this run: counts as available */
	DAG_WAITING,				/* something that it reads has not ended */
	DAG_READY,					/* in the queue (staged: perhaps behind the barrier) */
	DAG_RUNNING,				/* handed out by dag_run_next */
	DAG_SUCCEEDED,
	DAG_FAILED,
	DAG_SKIPPED
} DagStepState;

/*
 * A run over the selected steps (all, where selected is NULL).  An edge from a
 * step that is not selected is no constraint.  staged: a step of order n is
 * handed out only when all selected steps of lower orders have ended
 * (succeeded, failed or skipped).  The run points into the graph, which has to
 * outlive it and may serve several runs at a time.
 */
extern DagRun *dag_run_create(const Dag *dag, const bool *selected, bool staged);
extern void dag_run_free(DagRun *run);

/*
 * The next step to start, now RUNNING; -1 when none is ready.  Smaller order
 * first, then greater height (the longer chain of waiters), then smaller
 * number.  O(log n).
 */
extern int	dag_run_next(DagRun *run);

/* Return true if there is a step that dag_run_next would return. */
extern bool dag_run_has_ready(const DagRun *run);

/* How many such steps there are, counted up to a limit.  O(limit). */
extern int	dag_run_ready(const DagRun *run, int limit);

/*
 * A RUNNING step goes back to the queue (it is to be tried again).  Not after
 * dag_run_abandon.
 */
extern void dag_run_requeue(DagRun *run, int step);

/* A RUNNING step has succeeded: what waited for it alone becomes ready. */
extern void dag_run_succeeded(DagRun *run, int step);

/*
 * A RUNNING step has failed for good: every selected step downstream of it
 * that has not ended becomes SKIPPED.  As a step that is not selected is no
 * constraint, what reads the failed one only through such a step is not meant.
 * Returns how many; *skipped is a palloc'd array of them (also where there are
 * none), in topological order: by level, then number.
 */
extern int	dag_run_failed(DagRun *run, int step, int **skipped);

/*
 * The run is being given up: every step that is WAITING or READY becomes
 * SKIPPED (RUNNING ones stay so until the caller says how they ended, and
 * then make nothing ready).  Returns how many, as dag_run_failed does.
 */
extern int	dag_run_abandon(DagRun *run, int **skipped);

extern DagStepState dag_run_state(const DagRun *run, int step);

/* For a SKIPPED step: the failed step that caused it; -1 after dag_run_abandon. */
extern int	dag_run_cause(const DagRun *run, int step);

/* Selected steps that have not ended: waiting, ready and running ones. */
extern int	dag_run_unfinished(const DagRun *run);

/*
 * Selected direct readers of a step (selected or not) that have not ended.
 * When it falls to 0 nobody needs the step's table any more.
 */
extern int	dag_run_pending_readers(const DagRun *run, int step);

#endif							/* ETL_DAG_H */
