/*-------------------------------------------------------------------------
 *
 * lock.h
 *	  The heavyweight locks that say "this run is alive" and "this pipeline is
 *	  being run".
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_LOCK_H
#define ETL_LOCK_H

#include "base/lock_table.h"
#include "etl.h"

/*
 * Taken by a coordinator, held until its process ends.  lock_pipeline returns
 * false where the lock is not free and wait is false.
 */
extern bool lock_pipeline(int32 pipeline_id, bool wait);
extern void lock_run(int64 run_id);

/*
 * Keeps runs of the pipeline from beginning until the current transaction ends.
 * False where one is on.
 */
extern bool lock_pipeline_in_transaction(int32 pipeline_id);

/*
 * Give them up.  The pipeline's goes first: who has waited for the run's can have the pipeline's at
 * once.
 */
extern void lock_release_pipeline(int32 pipeline_id);
extern void lock_release_run(int64 run_id);

/*
 * Take the lock of the whole server under which a session gets a run its first processes: one run
 * at a time, in the order in which they have asked.  It is the current transaction's, so an error
 * gives it back, too; lock_admission_release does so earlier.
 *
 * lock_admission_try returns false if it is not free, or others wait for it.  lock_admission waits
 * for it, interruptibly, at most timeout_ms (0: without a limit), and raises lock_not_available
 * after that; the session's lock_timeout does not count.
 */
extern bool lock_admission_try(void);
extern void lock_admission(int timeout_ms);
extern void lock_admission_release(void);

/*
 * Show, until the end of the transaction or lock_hide_queued, that this session waits for processes
 * for a run of the pipeline: private.queued reads it from pg_locks.
 */
extern void lock_show_queued(int32 pipeline_id);
extern void lock_hide_queued(int32 pipeline_id);

/* The process that holds the lock; 0 if there is none.  Takes no lock itself. */
extern int	lock_pipeline_holder(int32 pipeline_id);
extern int	lock_run_holder(int64 run_id);

/*
 * Waits until nobody holds the run's lock.  timeout_ms < 0: for as long as it
 * takes.  Returns false when the time ran out first.
 */
extern bool lock_wait_for_run(int64 run_id, int64 timeout_ms);

/*
 * The processes that are in lock_wait_for_run without a time-out; *pids is
 * palloc'd, with room for so many more.
 */
extern int	lock_run_waiters(const LockTable *table, int64 run_id, int room, int **pids);

/*
 * Says, while a coordinator waits for the pipeline's lock, which session waits
 * for that coordinator: so the run that has the lock can see them both.
 */
extern void lock_caller(int pid);
extern void lock_caller_release(int pid);

/* Those that wait so; *queue is palloc'd. */
typedef struct LockQueued
{
	int			coordinator;
	int			caller;
} LockQueued;
extern int	lock_pipeline_queue(const LockTable *table, int32 pipeline_id, LockQueued **queue);

#endif							/* ETL_LOCK_H */
