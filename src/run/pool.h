/*-------------------------------------------------------------------------
 *
 * pool.h
 *	  The workers of a run, as its coordinator sees them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_POOL_H
#define ETL_POOL_H

#include "etl.h"
#include "run/run_shmem.h"

typedef struct Pool Pool;
typedef struct PoolWorker PoolWorker;

/* How an attempt ended. */
typedef struct PoolOutcome
{
	int			step;			/* the caller's number of the step */
	int			attempt;
	TimestampTz started;
	EtlStepStatus status;
	bool		lost;			/* the process died: nothing was logged, and the fields below are
								 * the pool's words for it */
	RetryCause	cause;
	TimestampTz retry_at;		/* 0: not again */
	int			sqlerrcode;
	char		message[SLOT_MESSAGE_SIZE];
	Oid			relid;
	int64		count_rows;
	int64		table_size;
	bool		read_sources;
} PoolOutcome;

/*
 * A pool without workers yet.  When the coordinator's process ends, however it
 * does, its workers are told to end too.
 */
extern Pool *pool_create(RunShared *run, dsm_segment *segment);

/*
 * Makes sure that as many workers as there are slots for are there, or on their
 * way, for "ready" steps.  Returns false where the server had no free process
 * slot: pool_deadline says when that is asked again.
 */
extern bool pool_provide(Pool *pool, int ready);

/* An idle worker, or NULL. */
extern PoolWorker *pool_idle(Pool *pool);

/*
 * Hands a step to an idle worker.  Should the process have left since, the step
 * is collected as lost.  timeout_ms < 0: no time-out.
 */
extern void pool_assign(Pool *pool, PoolWorker *worker, int step, int32 step_id,
						int attempt, bool logged, bool one_instant, int64 timeout_ms);

/* Takes in the next attempt that has ended; false when there is none. */
extern bool pool_collect(Pool *pool, PoolOutcome *outcome);

/* Steps being executed. */
extern int	pool_busy(Pool *pool);

/* Workers that are there, or on their way. */
extern int	pool_size(Pool *pool);

/* Calls the function for each of them. */
typedef void (*PoolBusyFunction) (int step, WorkerSlot *slot, void *arg);
extern void pool_foreach_busy(Pool *pool, PoolBusyFunction function, void *arg);

/* Interrupts every step that is being executed. */
extern void pool_stop_all(Pool *pool, SlotStop reason);

/*
 * Does what is due: step time-outs, SIGTERM for those who did not heed SIGINT.
 * Returns when it wants to be called again (DT_NOEND: not of itself).
 */
extern TimestampTz pool_tick(Pool *pool);

/*
 * Workers that ended before they had come to life, in a row, with none that
 * did: the server's log says why.
 */
extern int	pool_failed_starts(Pool *pool);

/* Lets all workers go; pool_shutdown also waits until they have. */
extern void pool_dismiss(Pool *pool);
extern void pool_shutdown(Pool *pool);

#endif							/* ETL_POOL_H */
