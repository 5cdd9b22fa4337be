/*-------------------------------------------------------------------------
 *
 * lock_table.h
 *	  Questions to the server's lock table: who holds, who waits, and for whom.
 *
 * lock_table_read takes the table at one instant; the questions that take it are answered from
 * that. It is as large as the server has locks: those who ask again and again let go of the memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_LOCK_TABLE_H
#define ETL_LOCK_TABLE_H

#include "etl.h"
#include "storage/lock.h"

typedef LockData LockTable;

/* Return the lock table as it is now, palloc'd. */
extern LockTable *lock_table_read(void);

/*
 * Return the next entry of the table that is for this lock, or NULL.  *position is 0 at first.
 */
extern const LockInstanceData *lock_table_next(const LockTable *table, const LOCKTAG *tag,
											   int *position);

/*
 * Return true if "mode" on the relation would have to wait for the process "target", because it, or
 * somebody who waits for it, holds a lock that conflicts.
 */
extern bool lock_table_is_blocked_by(const LockTable *table, Oid relid, LOCKMODE mode, int target);

/*
 * Return true if somebody whom "mode" on the relation would have to wait for waits for another
 * relation that this process keeps all others out of.
 */
extern bool lock_table_is_crossed(const LockTable *table, Oid relid, LOCKMODE mode);

/*
 * Describe the processes whose locks keep "mode" on the relation from being had, a line each:
 * process, lock, and what it executes as far as the current user may see that.  NULL: there are
 * none.
 */
extern char *lock_table_describe_holders(const LockTable *table, Oid relid, LOCKMODE mode);

/*
 * Cancel autovacuum where it has a lock on the relation, as the server does for whoever waits for
 * one; not where it prevents wraparound.  Returns true if it had one.
 */
extern bool lock_table_cancel_autovacuum(const LockTable *table, Oid relid);

/*
 * Describe what a process waits for, as in "ShareLock on relation public.t"; NULL if it does not
 * wait.  Needs a transaction.
 */
extern char *lock_table_describe_wait(const LockTable *table, int pid);

/*
 * Return true if a process waits for another one's lock, directly or through others.  Looks for
 * itself, with the server's own knowledge of the queues.
 */
extern bool lock_table_is_waiting_for(int pid, int target);

#endif							/* ETL_LOCK_TABLE_H */
