/*-------------------------------------------------------------------------
 *
 * lock_table.c
 *	  Questions to the server's lock table: who holds, who waits, and for whom.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/lock_table.h"

#include <signal.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/array.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"

/* How many processes a chain of waiters may lead through. */
#define LOCK_TABLE_MAX_CHAIN	1000

LockTable *
lock_table_read(void)
{
	return GetLockStatusData();
}

const LockInstanceData *
lock_table_next(const LockTable *table, const LOCKTAG *tag, int *position)
{
	while (*position < table->nelements)
	{
		const LockInstanceData *lock = &table->locks[(*position)++];

		if (memcmp(&lock->locktag, tag, sizeof(LOCKTAG)) == 0)
			return lock;
	}
	return NULL;
}

/* Return the strongest of the modes that conflict with one; NoLock: none does. */
static LOCKMODE
lock_table_strongest_conflict(LOCKMASK held, LOCKMODE mode)
{
	for (LOCKMODE m = MaxLockMode; m > NoLock; m--)
	{
		if ((held & LOCKBIT_ON(m)) != 0 && DoLockModesConflict(m, mode))
			return m;
	}
	return NoLock;
}

/* Return the next lock of somebody else on the relation that conflicts with "mode", or NULL. */
static const LockInstanceData *
lock_table_next_conflict(const LockTable *table, Oid relid, LOCKMODE mode, int *position)
{
	const LockInstanceData *lock;
	LOCKTAG		tag;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, relid);
	while ((lock = lock_table_next(table, &tag, position)) != NULL)
	{
		if (lock->pid != MyProcPid && lock_table_strongest_conflict(lock->holdMask, mode) != NoLock)
			return lock;
	}
	return NULL;
}

/* Return the lock that the process, or the leader of parallel processes, waits for; or NULL. */
static const LockInstanceData *
lock_table_wait(const LockTable *table, int pid)
{
	for (int i = 0; i < table->nelements; i++)
	{
		const LockInstanceData *lock = &table->locks[i];

		if (lock->leaderPid == pid && lock->waitLockMode != NoLock)
			return lock;
	}
	return NULL;
}

/*
 * Breadth-first through pg_blocking_pids.  What it says of each process is taken at another
 * instant, so a chain that it shows may be gone already; a chain that ends in a process that is
 * waiting for this run cannot resolve itself, though, and that is the only one that the callers ask
 * for.
 */
bool
lock_table_is_waiting_for(int pid, int target)
{
	int			chain[LOCK_TABLE_MAX_CHAIN];
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
			if (!known && blocker != 0 && nchain < LOCK_TABLE_MAX_CHAIN)
				chain[nchain++] = blocker;
		}
	}
	return false;
}

bool
lock_table_is_blocked_by(const LockTable *table, Oid relid, LOCKMODE mode, int target)
{
	const LockInstanceData *lock;
	int			position = 0;

	while ((lock = lock_table_next_conflict(table, relid, mode, &position)) != NULL)
	{
		if (lock->leaderPid == target || lock_table_is_waiting_for(lock->pid, target))
			return true;
	}
	return false;
}

/* Return true if this process keeps all others out of what the lock is for. */
static bool
lock_table_is_mine(const LockTable *table, const LOCKTAG *tag)
{
	const LockInstanceData *lock;
	int			position = 0;

	while ((lock = lock_table_next(table, tag, &position)) != NULL)
	{
		if (lock->pid == MyProcPid && (lock->holdMask & LOCKBIT_ON(AccessExclusiveLock)) != 0)
			return true;
	}
	return false;
}

bool
lock_table_is_crossed(const LockTable *table, Oid relid, LOCKMODE mode)
{
	const LockInstanceData *lock;
	int			position = 0;

	while ((lock = lock_table_next_conflict(table, relid, mode, &position)) != NULL)
	{
		const LockInstanceData *wait = lock_table_wait(table, lock->leaderPid);

		if (wait != NULL && lock_table_is_mine(table, &wait->locktag))
			return true;
	}
	return false;
}

char *
lock_table_describe_holders(const LockTable *table, Oid relid, LOCKMODE mode)
{
	const LockInstanceData *lock;
	StringInfoData lines;
	int			position = 0;

	initStringInfo(&lines);
	while ((lock = lock_table_next_conflict(table, relid, mode, &position)) != NULL)
	{
		LOCKMODE	held = lock_table_strongest_conflict(lock->holdMask, mode);

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
 * Who takes locks without waiting never gets as far as the deadlock check, where the server sends
 * this signal.
 */
bool
lock_table_cancel_autovacuum(const LockTable *table, Oid relid)
{
	const LockInstanceData *lock;
	bool		cancelled = false;
	int			position = 0;
	LOCKTAG		tag;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, relid);
	while ((lock = lock_table_next(table, &tag, &position)) != NULL)
	{
		PGPROC	   *proc = lock->holdMask != 0 ? BackendPidGetProc(lock->pid) : NULL;

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
lock_table_describe_wait(const LockTable *table, int pid)
{
	const LockInstanceData *lock = lock_table_wait(table, pid);
	StringInfoData text;

	if (lock == NULL)
		return NULL;
	initStringInfo(&text);
	appendStringInfo(&text, "%s on ",
					 GetLockmodeName(lock->locktag.locktag_lockmethodid, lock->waitLockMode));
	if (lock->locktag.locktag_type == LOCKTAG_RELATION &&
		lock->locktag.locktag_field1 == MyDatabaseId)
	{
		Datum		relid = ObjectIdGetDatum(lock->locktag.locktag_field2);

		appendStringInfo(&text, "relation %s",
						 DatumGetCString(DirectFunctionCall1(regclassout, relid)));
	}
	else
		DescribeLockTag(&text, &lock->locktag);
	return text.data;
}
