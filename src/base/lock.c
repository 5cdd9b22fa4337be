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

#include <signal.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/array.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/resowner.h"

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

/* How many processes a chain of waiters may lead through. */
#define LOCK_MAX_CHAIN			1000

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
lock_release(int32 pipeline_id, int64 run_id)
{
	LOCKTAG		tag;

	lock_pipeline_tag(&tag, pipeline_id);
	LockRelease(&tag, ExclusiveLock, true);
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

/* The session that waits for a coordinator which waits for its turn; 0: none. */
static int
lock_caller_of(const LockData *locks, int coordinator)
{
	for (int i = 0; i < locks->nelements; i++)
	{
		LockInstanceData *lock = &locks->locks[i];
		LOCKTAG		tag;

		lock_caller_tag(&tag, (int) lock->locktag.locktag_field3);
		if (lock->pid == coordinator && memcmp(&lock->locktag, &tag, sizeof(LOCKTAG)) == 0)
			return (int) tag.locktag_field3;
	}
	return 0;
}

int
lock_pipeline_queue(int32 pipeline_id, LockQueued **queue)
{
	LockData   *locks = GetLockStatusData();
	LOCKTAG		tag;
	int			n = 0;

	lock_pipeline_tag(&tag, pipeline_id);
	*queue = palloc(sizeof(LockQueued) * Max(1, locks->nelements));

	for (int i = 0; i < locks->nelements; i++)
	{
		LockInstanceData *lock = &locks->locks[i];

		if (memcmp(&lock->locktag, &tag, sizeof(LOCKTAG)) != 0 || lock->waitLockMode == NoLock)
			continue;
		(*queue)[n].coordinator = lock->pid;
		(*queue)[n].caller = lock_caller_of(locks, lock->pid);
		if ((*queue)[n].caller != 0)
			n++;
	}
	return n;
}

static int
lock_holder(const LOCKTAG *tag)
{
	LockData   *locks = GetLockStatusData();

	for (int i = 0; i < locks->nelements; i++)
	{
		LockInstanceData *lock = &locks->locks[i];

		if (memcmp(&lock->locktag, tag, sizeof(LOCKTAG)) == 0 &&
			(lock->holdMask & LOCKBIT_ON(ExclusiveLock)) != 0)
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

/*
 * Waits in the lock's queue.  A subtransaction turns the server's own
 * lock_timeout into an answer; it also keeps the session's lock_timeout, which
 * is meant for tables, from ending the wait.
 */
bool
lock_wait_for_run(int64 run_id, int64 timeout_ms)
{
	MemoryContext oldcontext = CurrentMemoryContext;
	ResourceOwner oldowner = CurrentResourceOwner;
	LOCKTAG		tag;
	volatile LOCKMODE mode = timeout_ms < 0 ? LOCK_RUN_PATIENT : LOCK_RUN_TIMED;
	char		timeout[32];
	volatile bool result = true;

	lock_run_tag(&tag, run_id);

	if (timeout_ms == 0)
		return lock_holder(&tag) == 0;

	/* lock_timeout is an int; 0 means none */
	snprintf(timeout, sizeof(timeout), "%d",
			 (timeout_ms < 0 || timeout_ms > PG_INT32_MAX) ? 0 : (int) timeout_ms);

	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		(void) set_config_option("lock_timeout", timeout, PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_LOCAL, true, 0, false);
		(void) LockAcquire(&tag, mode, false, false);
		LockRelease(&tag, mode, false);
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(oldcontext);
		CurrentResourceOwner = oldowner;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(oldcontext);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(oldcontext);
		CurrentResourceOwner = oldowner;

		if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
			ReThrowError(error);
		FreeErrorData(error);
		result = false;
	}
	PG_END_TRY();

	return result;
}

int
lock_run_waiters(int64 run_id, int room, int **pids)
{
	LockData   *locks = GetLockStatusData();
	LOCKTAG		tag;
	int			n = 0;

	lock_run_tag(&tag, run_id);
	*pids = palloc(sizeof(int) * (locks->nelements + room));

	for (int i = 0; i < locks->nelements; i++)
	{
		LockInstanceData *lock = &locks->locks[i];

		if (memcmp(&lock->locktag, &tag, sizeof(LOCKTAG)) == 0 &&
			lock->waitLockMode == LOCK_RUN_PATIENT)
			(*pids)[n++] = lock->pid;
	}
	return n;
}

/*
 * Breadth-first through pg_blocking_pids.  What it says of each process is
 * taken at another instant, so a chain that it shows may be gone already; a
 * chain that ends in a process that is waiting for this run cannot resolve
 * itself, though, and that is the only one that the callers ask for.
 */
bool
lock_is_waiting_for(int pid, int target)
{
	int			chain[LOCK_MAX_CHAIN];
	int			nchain = 1;

	chain[0] = pid;
	for (int i = 0; i < nchain; i++)
	{
		ArrayType  *blockers;
		Datum	   *elements;
		int			nelements;

		blockers = DatumGetArrayTypeP(DirectFunctionCall1(pg_blocking_pids,
														  Int32GetDatum(chain[i])));
		deconstruct_array(blockers, INT4OID, sizeof(int32), true, TYPALIGN_INT,
						  &elements, NULL, &nelements);
		for (int e = 0; e < nelements; e++)
		{
			int			blocker = DatumGetInt32(elements[e]);
			bool		known = false;

			if (blocker == target)
				return true;
			for (int k = 0; k < nchain && !known; k++)
				known = (chain[k] == blocker);
			/* 0 stands for a prepared transaction, which waits for nobody */
			if (!known && blocker != 0 && nchain < LOCK_MAX_CHAIN)
				chain[nchain++] = blocker;
		}
	}
	return false;
}

bool
lock_relation_blocked_by(Oid relid, LOCKMODE mode, int target)
{
	LockData   *locks = GetLockStatusData();
	LOCKTAG		tag;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, relid);

	for (int i = 0; i < locks->nelements; i++)
	{
		LockInstanceData *lock = &locks->locks[i];

		if (memcmp(&lock->locktag, &tag, sizeof(LOCKTAG)) != 0 ||
			lock->pid == MyProcPid)
			continue;

		for (LOCKMODE held = 1; held <= MaxLockMode; held++)
		{
			if ((lock->holdMask & LOCKBIT_ON(held)) == 0 ||
				!DoLockModesConflict(held, mode))
				continue;
			if (lock->leaderPid == target ||
				lock_is_waiting_for(lock->pid, target))
				return true;
		}
	}
	return false;
}

/* The strongest of the modes that conflict with one; NoLock: none does. */
static LOCKMODE
lock_strongest_conflict(LOCKMASK held, LOCKMODE mode)
{
	for (LOCKMODE m = MaxLockMode; m > NoLock; m--)
	{
		if ((held & LOCKBIT_ON(m)) != 0 && DoLockModesConflict(m, mode))
			return m;
	}
	return NoLock;
}

/*
 * Does the process (a leader of parallel processes, or one alone) wait for a relation
 * that we keep all others out of?
 */
static bool
lock_waits_for_me(const LockData *locks, int pid)
{
	for (int i = 0; i < locks->nelements; i++)
	{
		const LockInstanceData *waiter = &locks->locks[i];

		if (waiter->leaderPid != pid || waiter->waitLockMode == NoLock)
			continue;
		for (int k = 0; k < locks->nelements; k++)
		{
			const LockInstanceData *mine = &locks->locks[k];

			if (mine->pid == MyProcPid &&
				memcmp(&mine->locktag, &waiter->locktag, sizeof(LOCKTAG)) == 0 &&
				(mine->holdMask & LOCKBIT_ON(AccessExclusiveLock)) != 0)
				return true;
		}
	}
	return false;
}

bool
lock_relation_is_crossed(Oid relid, LOCKMODE mode)
{
	LockData   *locks = GetLockStatusData();
	LOCKTAG		tag;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, relid);
	for (int i = 0; i < locks->nelements; i++)
	{
		const LockInstanceData *lock = &locks->locks[i];

		if (memcmp(&lock->locktag, &tag, sizeof(LOCKTAG)) == 0 && lock->pid != MyProcPid &&
			lock_strongest_conflict(lock->holdMask, mode) != NoLock &&
			lock_waits_for_me(locks, lock->leaderPid))
			return true;
	}
	return false;
}

char *
lock_describe_holders(Oid relid, LOCKMODE mode)
{
	LockData   *locks = GetLockStatusData();
	StringInfoData lines;
	LOCKTAG		tag;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, relid);
	initStringInfo(&lines);
	for (int i = 0; i < locks->nelements; i++)
	{
		LockInstanceData *lock = &locks->locks[i];
		LOCKMODE	held = lock_strongest_conflict(lock->holdMask, mode);

		if (memcmp(&lock->locktag, &tag, sizeof(LOCKTAG)) != 0 || lock->pid == MyProcPid ||
			held == NoLock)
			continue;
		if (lines.len > 0)
			appendStringInfoChar(&lines, '\n');
		if (lock->pid == 0)
			appendStringInfo(&lines, "A prepared transaction holds %s.",
							 GetLockmodeName(DEFAULT_LOCKMETHOD, held));
		else
			appendStringInfo(&lines, "Process %d holds %s: %s", lock->pid,
							 GetLockmodeName(DEFAULT_LOCKMETHOD, held),
							 pgstat_get_backend_current_activity(lock->pid, true));
	}
	return lines.len > 0 ? lines.data : NULL;
}

/*
 * Who takes locks without waiting never gets as far as the deadlock check, where
 * the server sends this signal.
 */
bool
lock_cancel_autovacuum(Oid relid)
{
	LockData   *locks = GetLockStatusData();
	bool		cancelled = false;
	LOCKTAG		tag;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, relid);
	for (int i = 0; i < locks->nelements; i++)
	{
		LockInstanceData *lock = &locks->locks[i];
		PGPROC	   *proc;

		if (memcmp(&lock->locktag, &tag, sizeof(LOCKTAG)) != 0 || lock->holdMask == 0)
			continue;
		proc = BackendPidGetProc(lock->pid);
		if (proc != NULL && (proc->statusFlags & PROC_IS_AUTOVACUUM) != 0 &&
			(proc->statusFlags & PROC_VACUUM_FOR_WRAPAROUND) == 0)
		{
			(void) kill(lock->pid, SIGINT);
			cancelled = true;
		}
	}
	return cancelled;
}

char *
lock_describe_wait(int pid)
{
	LockData   *locks = GetLockStatusData();

	for (int i = 0; i < locks->nelements; i++)
	{
		LockInstanceData *lock = &locks->locks[i];
		StringInfoData buf;

		if (lock->leaderPid != pid || lock->waitLockMode == NoLock)
			continue;

		initStringInfo(&buf);
		appendStringInfo(&buf, "%s on ",
						 GetLockmodeName(lock->locktag.locktag_lockmethodid,
										 lock->waitLockMode));
		if (lock->locktag.locktag_type == LOCKTAG_RELATION &&
			lock->locktag.locktag_field1 == MyDatabaseId)
		{
			Datum		relid = ObjectIdGetDatum(lock->locktag.locktag_field2);

			appendStringInfo(&buf, "relation %s",
							 DatumGetCString(DirectFunctionCall1(regclassout, relid)));
		}
		else
			DescribeLockTag(&buf, &lock->locktag);
		return buf.data;
	}
	return NULL;
}
