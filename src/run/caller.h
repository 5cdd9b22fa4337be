/*-------------------------------------------------------------------------
 *
 * caller.h
 *	  What a session does that has asked for a run: it launches the run, and passes on what the
 *	  coordinator says.
 *
 * All three raise what the coordinator has said was the error; configuration_limit_exceeded where
 * the server has no processes for the run in time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_CALLER_H
#define ETL_CALLER_H

#include "etl.h"
#include "run/request.h"

/*
 * Launch the run, and wait until it has ended; cancelled, or with its client gone, the session
 * cancels the run.  pipeline: its name.  Returns the run's number; 0: the pipeline was being run
 * already, and on_conflict says to skip.
 */
extern int64 caller_run(RunRequest *request, const char *pipeline);

/* Launch the run, and wait until it has begun.  Returns the same. */
extern int64 caller_start(RunRequest *request, const char *pipeline);

/* Launch a run that waits for this transaction, which is about to commit. */
extern void caller_start_pending(RunRequest *request);

#endif							/* ETL_CALLER_H */
