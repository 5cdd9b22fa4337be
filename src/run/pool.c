/*-------------------------------------------------------------------------
 *
 * pool.c
 *	  The workers of a run, as its coordinator sees them: starting, handing out
 *	  steps, taking in outcomes, interrupting.
 *
 * Knows processes and slots (run_shmem.h), and nothing of graphs, retries or the
 * catalog: a step is a number that the coordinator gives and gets back.
 *
 * Everything that happens to a worker sets the coordinator's latch: the worker
 * does it when an attempt ends and from its exit callback, the postmaster when
 * the process has started or ended.  Two things have to be timed: a step's
 * time-out with the escalation that follows an interrupt, and asking again for
 * a process slot, because the server does not tell when one becomes free.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "run/pool.h"

#include <signal.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "run/process.h"
#include "run/worker.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/procarray.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

/* How long an interrupted worker may take before it is interrupted harder. */
#define POOL_ESCALATE_MS		5000

/* How long to wait before asking again for a process slot. */
#define POOL_START_AGAIN_MS		1000

struct PoolWorker
{
	WorkerSlot *slot;
	BackgroundWorkerHandle *handle; /* NULL: the slot is free */
	bool		alive;			/* has it been given a step? */
	int			step;			/* -1: none */
	TimestampTz started;
	TimestampTz deadline;		/* DT_NOEND: none */
	TimestampTz escalate_at;	/* DT_NOEND: nothing was sent yet, or all was */
	bool		terminated;
};

struct Pool
{
	RunShared  *run;
	dsm_segment *segment;
	MemoryContext context;		/* of the pool, and of its workers' handles */
	int			busy;
	int			failed_starts;
	bool		starved;		/* the last request for a process failed */
	TimestampTz start_again_at;
	PoolWorker	workers[FLEXIBLE_ARRAY_MEMBER];
};

static void
pool_exit(int code, Datum arg)
{
	Pool	   *pool = (Pool *) DatumGetPointer(arg);

	pg_atomic_write_u32(&pool->run->over, 1);
	for (int i = 0; i < pool->run->nslots; i++)
	{
		PoolWorker *worker = &pool->workers[i];

		if (worker->handle != NULL)
			TerminateBackgroundWorker(worker->handle);
	}
}

Pool *
pool_create(RunShared *run, dsm_segment *segment)
{
	Pool	   *pool = palloc0(offsetof(Pool, workers) + run->nslots * sizeof(PoolWorker));

	pool->run = run;
	pool->segment = segment;
	pool->context = CurrentMemoryContext;
	for (int i = 0; i < run->nslots; i++)
	{
		pool->workers[i].slot = &run->slots[i];
		pool->workers[i].step = -1;
	}
	before_shmem_exit(pool_exit, PointerGetDatum(pool));
	return pool;
}

static bool
pool_start_worker(Pool *pool, int i)
{
	PoolWorker *worker = &pool->workers[i];
	MemoryContext oldcontext;
	WorkerStart start;
	char		name[BGW_MAXLEN];
	bool		registered;

	snprintf(name, sizeof(name), "%s worker %d of run " INT64_FORMAT,
			 ETL_EXTENSION_NAME, i + 1, pool->run->run_id);
	start.run = dsm_segment_handle(pool->segment);
	start.slot = i;
	start.database = MyDatabaseId;
	start.owner = pool->run->owner;
	StaticAssertStmt(sizeof(start) <= BGW_EXTRALEN, "WorkerStart does not fit");

	run_shmem_slot_set_state(worker->slot, SLOT_STARTING);
	oldcontext = MemoryContextSwitchTo(pool->context);
	registered = process_start(PROCESS_WORKER, name, &start, sizeof(start), &worker->handle);
	MemoryContextSwitchTo(oldcontext);
	if (!registered)
	{
		worker->handle = NULL;
		run_shmem_slot_set_state(worker->slot, SLOT_FREE);
		return false;
	}
	worker->alive = false;
	return true;
}

static bool
pool_has_ended(PoolWorker *worker)
{
	pid_t		pid;

	return GetBackgroundWorkerPid(worker->handle, &pid) == BGWH_STOPPED;
}

/* A slot whose process has ended can be used again. */
static void
pool_reap(Pool *pool)
{
	for (int i = 0; i < pool->run->nslots; i++)
	{
		PoolWorker *worker = &pool->workers[i];
		SlotState	state = run_shmem_slot_state(worker->slot);
		pid_t		pid;

		if (worker->handle == NULL)
			continue;
		if (worker->step >= 0 ||
			(state != SLOT_STARTING && state != SLOT_GONE) ||
			GetBackgroundWorkerPid(worker->handle, &pid) != BGWH_STOPPED)
			continue;

		if (!worker->alive)
		{
			pool->failed_starts++;
			pool->start_again_at =
				TimestampTzPlusMilliseconds(GetCurrentTimestamp(), POOL_START_AGAIN_MS);
			pool->starved = true;
		}
		pfree(worker->handle);
		worker->handle = NULL;
		run_shmem_slot_set_state(worker->slot, SLOT_FREE);
	}
}

bool
pool_provide(Pool *pool, int ready)
{
	int			available = 0;

	pool_reap(pool);
	for (int i = 0; i < pool->run->nslots; i++)
	{
		SlotState	state = run_shmem_slot_state(pool->workers[i].slot);

		if (state == SLOT_IDLE || state == SLOT_STARTING)
			available++;
	}
	if (available >= ready)
	{
		pool->starved = false;
		return true;
	}
	if (pool->starved && GetCurrentTimestamp() < pool->start_again_at)
		return false;

	pool->starved = false;
	for (int i = 0; i < pool->run->nslots && available < ready; i++)
	{
		if (pool->workers[i].handle != NULL)
			continue;
		if (!pool_start_worker(pool, i))
		{
			pool->starved = true;
			pool->start_again_at =
				TimestampTzPlusMilliseconds(GetCurrentTimestamp(), POOL_START_AGAIN_MS);
			return false;
		}
		available++;
	}
	return true;
}

PoolWorker *
pool_idle(Pool *pool)
{
	for (int i = 0; i < pool->run->nslots; i++)
	{
		if (run_shmem_slot_state(pool->workers[i].slot) == SLOT_IDLE)
			return &pool->workers[i];
	}
	return NULL;
}

void
pool_assign(Pool *pool, PoolWorker *worker, int step, int32 step_id, int attempt,
			bool logged, bool one_instant, int64 timeout_ms)
{
	WorkerSlot *slot = worker->slot;

	Assert(worker->step < 0);

	slot->step_id = step_id;
	slot->attempt = attempt;
	slot->logged = logged;
	slot->one_instant = one_instant;
	pg_atomic_write_u64(&slot->cost, 0);
	slot->done = false;
	slot->leaving = false;
	slot->status = ETL_STEP_FAILED;
	slot->cause = RETRY_CAUSE_WORKER_LOST;
	slot->retry_at = 0;
	slot->sqlerrcode = 0;
	slot->message[0] = '\0';
	slot->relid = InvalidOid;
	slot->count_rows = -1;
	slot->table_size = -1;
	slot->read_sources = false;
	pg_atomic_write_u32(&slot->stop, STOP_NONE);

	worker->alive = true;
	pool->failed_starts = 0;
	worker->step = step;
	worker->started = GetCurrentTimestamp();
	worker->deadline = timeout_ms < 0 ? DT_NOEND :
		TimestampTzPlusMilliseconds(worker->started, timeout_ms);
	worker->escalate_at = DT_NOEND;
	worker->terminated = false;
	pool->busy++;

	if (run_shmem_slot_hand_over(slot, SLOT_IDLE, SLOT_ASSIGNED))
		SetLatch(&slot->proc->procLatch);
}

static void
pool_fill_outcome(PoolWorker *worker, bool lost, PoolOutcome *outcome)
{
	WorkerSlot *slot = worker->slot;

	outcome->step = worker->step;
	outcome->attempt = slot->attempt;
	outcome->started = worker->started;
	outcome->lost = lost;
	outcome->status = slot->status;
	outcome->cause = slot->cause;
	outcome->retry_at = slot->retry_at;
	outcome->sqlerrcode = slot->sqlerrcode;
	strlcpy(outcome->message, slot->message, SLOT_MESSAGE_SIZE);
	outcome->relid = slot->relid;
	outcome->count_rows = slot->count_rows;
	outcome->table_size = slot->table_size;
	outcome->read_sources = slot->read_sources;
	if (!lost)
		return;

	outcome->status = ETL_STEP_FAILED;
	outcome->retry_at = 0;
	switch ((SlotStop) pg_atomic_read_u32(&slot->stop))
	{
		case STOP_CANCELLED:
		case STOP_RUN_TIMEOUT:
			outcome->status = ETL_STEP_CANCELLED;
			outcome->cause = RETRY_CAUSE_RUN_OVER;
			outcome->sqlerrcode = ERRCODE_QUERY_CANCELED;
			strlcpy(outcome->message, "the worker was terminated because the run is over",
					SLOT_MESSAGE_SIZE);
			break;
		case STOP_STEP_TIMEOUT:
			outcome->cause = RETRY_CAUSE_STEP_TIMEOUT;
			outcome->sqlerrcode = ERRCODE_QUERY_CANCELED;
			strlcpy(outcome->message, "the worker was terminated due to step_timeout",
					SLOT_MESSAGE_SIZE);
			break;
		case STOP_NONE:
			if (outcome->cause == RETRY_CAUSE_ADMIN)
			{
				outcome->sqlerrcode = ERRCODE_ADMIN_SHUTDOWN;
				strlcpy(outcome->message, "the worker was terminated by an administrator",
						SLOT_MESSAGE_SIZE);
			}
			else
			{
				outcome->cause = RETRY_CAUSE_WORKER_LOST;
				outcome->sqlerrcode = ERRCODE_ETL_RUN_LOST;
				strlcpy(outcome->message, "the worker ended unexpectedly; the server's log says why",
						SLOT_MESSAGE_SIZE);
			}
			break;
	}
}

bool
pool_collect(Pool *pool, PoolOutcome *outcome)
{
	for (int i = 0; i < pool->run->nslots; i++)
	{
		PoolWorker *worker = &pool->workers[i];
		SlotState	state = run_shmem_slot_state(worker->slot);

		if (worker->step < 0)
			continue;
		if (state == SLOT_ASSIGNED && pool_has_ended(worker))
		{
			/* it left while it was being handed the step, or without a word */
			state = SLOT_GONE;
			run_shmem_slot_set_state(worker->slot, state);
		}
		if (state != SLOT_DONE && state != SLOT_GONE)
			continue;

		pool_fill_outcome(worker, !worker->slot->done, outcome);
		worker->step = -1;
		pool->busy--;
		if (state == SLOT_DONE && !worker->slot->leaving)
			(void) run_shmem_slot_hand_over(worker->slot, SLOT_DONE, SLOT_IDLE);
		return true;
	}
	return false;
}

int
pool_busy(Pool *pool)
{
	return pool->busy;
}

int
pool_size(Pool *pool)
{
	int			n = 0;

	for (int i = 0; i < pool->run->nslots; i++)
		n += pool->workers[i].handle != NULL ? 1 : 0;
	return n;
}

void
pool_foreach_busy(Pool *pool, PoolBusyFunction function, void *arg)
{
	for (int i = 0; i < pool->run->nslots; i++)
	{
		if (pool->workers[i].step >= 0)
			function(pool->workers[i].step, pool->workers[i].slot, arg);
	}
}

/*
 * SIGINT first.  The process is the one that we started and that has not said
 * that it is done; should it end in this very instant, the postmaster has not
 * reaped it, so its number is not another's yet.
 */
static void
pool_stop(PoolWorker *worker, SlotStop reason)
{
	uint32		expected = STOP_NONE;

	if (!pg_atomic_compare_exchange_u32(&worker->slot->stop, &expected, reason))
		return;					/* it is being stopped already */

	if (run_shmem_slot_state(worker->slot) == SLOT_ASSIGNED &&
		BackendPidGetProc(worker->slot->pid) == worker->slot->proc)
		kill(worker->slot->pid, SIGINT);
	worker->deadline = DT_NOEND;
	worker->escalate_at =
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), POOL_ESCALATE_MS);
}

void
pool_stop_all(Pool *pool, SlotStop reason)
{
	/* whoever stops all starts no more, and need not be woken for that */
	pool->starved = false;
	for (int i = 0; i < pool->run->nslots; i++)
	{
		if (pool->workers[i].step >= 0)
			pool_stop(&pool->workers[i], reason);
	}
}

TimestampTz
pool_tick(Pool *pool)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = pool->starved ? pool->start_again_at : DT_NOEND;

	for (int i = 0; i < pool->run->nslots; i++)
	{
		PoolWorker *worker = &pool->workers[i];

		if (worker->step < 0)
			continue;
		if (worker->deadline <= now)
			pool_stop(worker, STOP_STEP_TIMEOUT);
		if (worker->escalate_at <= now)
		{
			/* never further than this: SIGKILL would restart the server */
			TerminateBackgroundWorker(worker->handle);
			worker->escalate_at = DT_NOEND;
		}
		next = Min(next, Min(worker->deadline, worker->escalate_at));
	}
	return next;
}

int
pool_failed_starts(Pool *pool)
{
	return pool->failed_starts;
}

void
pool_dismiss(Pool *pool)
{
	pg_atomic_write_u32(&pool->run->over, 1);
	for (int i = 0; i < pool->run->nslots; i++)
	{
		PoolWorker *worker = &pool->workers[i];
		SlotState	state = run_shmem_slot_state(worker->slot);

		if (worker->handle == NULL)
			continue;
		/* one that is still starting has nothing to listen to yet */
		if (state == SLOT_STARTING)
			TerminateBackgroundWorker(worker->handle);
		else if (state != SLOT_GONE)
			SetLatch(&worker->slot->proc->procLatch);
	}
}

void
pool_shutdown(Pool *pool)
{
	pool_dismiss(pool);

	/* after an error of ours, steps that pool_stop_all has interrupted may be on */
	for (;;)
	{
		PoolOutcome outcome;
		TimestampTz next;
		int			events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;

		while (pool_collect(pool, &outcome))
			;
		if (pool->busy == 0)
			break;
		next = pool_tick(pool);
		if (next != DT_NOEND)
			events |= WL_TIMEOUT;
		(void) WaitLatch(MyLatch, events,
						 TimestampDifferenceMilliseconds(GetCurrentTimestamp(), next),
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}

	for (int i = 0; i < pool->run->nslots; i++)
	{
		PoolWorker *worker = &pool->workers[i];

		if (worker->handle == NULL)
			continue;
		(void) WaitForBackgroundWorkerShutdown(worker->handle);
		pfree(worker->handle);
		worker->handle = NULL;
	}
}
