/*-------------------------------------------------------------------------
 *
 * resume.h
 *	  Going on from a run that did not succeed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_RESUME_H
#define ETL_RESUME_H

#include "etl.h"
#include "metastore/catalog.h"
#include "run/run_state.h"

/*
 * The run, if it can be gone on from: raises undefined_object where its pipeline
 * was dropped, object_in_use where it is on, and object_not_in_prerequisite_state
 * where it succeeded, did not begin or is not the newest one of its pipeline, or
 * its staging schema is gone.  NULL: there is no such run.  Who may do that is
 * checked by the caller.  Needs a transaction.
 */
extern PastRun *resume_find(int64 run_id);

/*
 * In a coordinator, with the graph loaded and the pipeline's lock held: decides
 * which steps are taken over from the run that the request names (run->executed:
 * the others), fills in what is known of their tables, and drops all others from
 * the staging schema.  In transactions of its own; raises what resume_find does.
 */
extern void resume_take_over(RunState *run);

/* Logs the steps that were taken over, in the current transaction. */
extern void resume_log(RunState *run);

/*
 * Return true if the run's tables are as of more than one instant, now that all steps have ended.
 */
extern bool resume_spans_instants(RunState *run);

#endif							/* ETL_RESUME_H */
