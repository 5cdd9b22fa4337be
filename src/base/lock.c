/*-------------------------------------------------------------------------
 *
 * lock.c
 *	  The heavyweight locks that say "this run is alive" and "this pipeline is
 *	  being run".
 *
 * A coordinator holds two exclusive locks from before its run's row is
 * written until its process is gone: one for the pipeline (so that a pipeline
 * has one run at a time) and one for the run (so that a row that says RUNNING
 * can be told from the truth).  The server releases them however the process
 * ends; no heartbeat is needed and no guess.
 *
 * A coordinator that waits for its turn has a third one, shared and in nobody's
 * way, which tells what the lock table cannot: the session that waits for it.
 *
 * All are advisory locks of classes (the tag's fourth field) that the SQL
 * functions cannot name, so nobody can take or release them by SQL.  They use
 * the user lock method because session-level locks of the default method are
 * released when a transaction aborts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/lock.h"

#include "base/subxact.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/guc.h"

#define LOCK_CLASS_PIPELINE		0xE701
#define LOCK_CLASS_RUN			0xE702
#define LOCK_CLASS_CALLER		0xE703
#define LOCK_CLASS_ADMISSION	0xE704	/* of no database */
#define LOCK_CLASS_QUEUED		0xE705

/*
 * How a run is waited for: until it ends, or for some time.  Both conflict with
 * the coordinator's ExclusiveLock.  Who waits for some time only is no reason to
 * end a run that waits for that session: it will give way.
 */
#define LOCK_RUN_PATIENT		ShareLock
#define LOCK_RUN_TIMED			RowShareLock

static void
lock_pipeline_tag(LOCKTAG *tag, int32 pipeline_id)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, 0, (uint32) pipeline_id,
						 LOCK_CLASS_PIPELINE);
}

static void
lock_run_tag(LOCKTAG *tag, int64 run_id)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) (run_id >> 32),
						 (uint32) run_id, LOCK_CLASS_RUN);
}

bool
lock_pipeline(int32 pipeline_id, bool wait)
{
	LOCKTAG		tag;

	lock_pipeline_tag(&tag, pipeline_id);
	return LockAcquire(&tag, ExclusiveLock, true, !wait) != LOCKACQUIRE_NOT_AVAIL;
}

bool
lock_pipeline_in_transaction(int32 pipeline_id)
{
	LOCKTAG		tag;

	lock_pipeline_tag(&tag, pipeline_id);
	return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

static void
lock_admission_tag(LOCKTAG *tag)
{
	SET_LOCKTAG_ADVISORY(*tag, InvalidOid, 0, 0, LOCK_CLASS_ADMISSION);
}

bool
lock_admission_try(void)
{
	LOCKTAG		tag;

	lock_admission_tag(&tag);
	return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

void
lock_admission(int timeout_ms)
{
	int			lock_timeout = LockTimeout;
	LOCKTAG		tag;

	lock_admission_tag(&tag);
	LockTimeout = timeout_ms;
	PG_TRY();
	{
		(void) LockAcquire(&tag, ExclusiveLock, false, false);
	}
	PG_FINALLY();
	{
		LockTimeout = lock_timeout;
	}
	PG_END_TRY();
}

void
lock_admission_release(void)
{
	LOCKTAG		tag;

	lock_admission_tag(&tag);
	(void) LockRelease(&tag, ExclusiveLock, false);
}

static void
lock_queued_tag(LOCKTAG *tag, int32 pipeline_id)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) pipeline_id, 0, LOCK_CLASS_QUEUED);
}

void
lock_show_queued(int32 pipeline_id)
{
	LOCKTAG		tag;

	lock_queued_tag(&tag, pipeline_id);
	(void) LockAcquire(&tag, ShareLock, false, false);
}

void
lock_hide_queued(int32 pipeline_id)
{
	LOCKTAG		tag;

	lock_queued_tag(&tag, pipeline_id);
	(void) LockRelease(&tag, ShareLock, false);
}

/* A run's number is its coordinator's own, so nobody else holds this lock. */
void
lock_run(int64 run_id)
{
	LOCKTAG		tag;

	lock_run_tag(&tag, run_id);
	(void) LockAcquire(&tag, ExclusiveLock, true, false);
}

void
lock_release_pipeline(int32 pipeline_id)
{
	LOCKTAG		tag;

	lock_pipeline_tag(&tag, pipeline_id);
	LockRelease(&tag, ExclusiveLock, true);
}

void
lock_release_run(int64 run_id)
{
	LOCKTAG		tag;

	lock_run_tag(&tag, run_id);
	LockRelease(&tag, ExclusiveLock, true);
}

static void
lock_caller_tag(LOCKTAG *tag, int pid)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, 0, (uint32) pid, LOCK_CLASS_CALLER);
}

void
lock_caller(int pid)
{
	LOCKTAG		tag;

	lock_caller_tag(&tag, pid);
	(void) LockAcquire(&tag, ShareLock, true, false);
}

void
lock_caller_release(int pid)
{
	LOCKTAG		tag;

	lock_caller_tag(&tag, pid);
	LockRelease(&tag, ShareLock, true);
}

/* Return the session that waits for a coordinator which waits for its turn; 0: none does. */
static int
lock_caller_of(const LockTable *table, int coordinator)
{
	for (int i = 0; i < table->nelements; i++)
	{
		const LockInstanceData *lock = &table->locks[i];
		LOCKTAG		tag;

		lock_caller_tag(&tag, (int) lock->locktag.locktag_field3);
		if (lock->pid == coordinator && memcmp(&lock->locktag, &tag, sizeof(LOCKTAG)) == 0)
			return (int) tag.locktag_field3;
	}
	return 0;
}

int
lock_pipeline_queue(const LockTable *table, int32 pipeline_id, LockQueued **queue)
{
	const LockInstanceData *lock;
	LOCKTAG		tag;
	int			position = 0;
	int			n = 0;

	lock_pipeline_tag(&tag, pipeline_id);
	*queue = palloc(sizeof(LockQueued) * Max(1, table->nelements));
	while ((lock = lock_table_next(table, &tag, &position)) != NULL)
	{
		if (lock->waitLockMode == NoLock)
			continue;
		(*queue)[n].coordinator = lock->pid;
		(*queue)[n].caller = lock_caller_of(table, lock->pid);
		if ((*queue)[n].caller != 0)
			n++;
	}
	return n;
}

static int
lock_holder(const LOCKTAG *tag)
{
	LockTable  *table = lock_table_read();
	const LockInstanceData *lock;
	int			position = 0;

	while ((lock = lock_table_next(table, tag, &position)) != NULL)
	{
		if ((lock->holdMask & LOCKBIT_ON(ExclusiveLock)) != 0)
			return lock->pid;
	}
	return 0;
}

int
lock_pipeline_holder(int32 pipeline_id)
{
	LOCKTAG		tag;

	lock_pipeline_tag(&tag, pipeline_id);
	return lock_holder(&tag);
}

int
lock_run_holder(int64 run_id)
{
	LOCKTAG		tag;

	lock_run_tag(&tag, run_id);
	return lock_holder(&tag);
}

typedef struct LockWait
{
	LOCKTAG		tag;
	LOCKMODE	mode;
	int64		timeout_ms;		/* < 0: none */
} LockWait;

static void
lock_wait(void *arg)
{
	LockWait   *wait = arg;
	int64		ms = wait->timeout_ms;
	char		timeout[32];

	/* lock_timeout is an int; 0 means none */
	snprintf(timeout, sizeof(timeout), "%d", ms < 0 || ms > PG_INT32_MAX ? 0 : (int) ms);
	(void) set_config_option("lock_timeout", timeout, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_LOCAL, true, 0, false);
	(void) LockAcquire(&wait->tag, wait->mode, false, false);
}

/*
 * Wait in the lock's queue.  The subtransaction turns the server's own lock_timeout into an answer;
 * it also keeps the session's lock_timeout, which is meant for tables, from ending the wait, and
 * gives the lock back.
 */
bool
lock_wait_for_run(int64 run_id, int64 timeout_ms)
{
	LockWait	wait = {.timeout_ms = timeout_ms};
	ErrorData  *error;

	lock_run_tag(&wait.tag, run_id);
	wait.mode = timeout_ms < 0 ? LOCK_RUN_PATIENT : LOCK_RUN_TIMED;
	if (timeout_ms == 0)
		return lock_holder(&wait.tag) == 0;
	error = subxact_try(lock_wait, &wait, SUBXACT_ROLL_BACK, CurrentMemoryContext);
	if (error == NULL)
		return true;
	if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
		ReThrowError(error);
	FreeErrorData(error);
	return false;
}

int
lock_run_waiters(const LockTable *table, int64 run_id, int room, int **pids)
{
	const LockInstanceData *lock;
	LOCKTAG		tag;
	int			position = 0;
	int			n = 0;

	lock_run_tag(&tag, run_id);
	*pids = palloc(sizeof(int) * (table->nelements + room));
	while ((lock = lock_table_next(table, &tag, &position)) != NULL)
	{
		if (lock->waitLockMode == LOCK_RUN_PATIENT)
			(*pids)[n++] = lock->pid;
	}
	return n;
}
