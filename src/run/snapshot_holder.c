/*-------------------------------------------------------------------------
 *
 * snapshot_holder.c
 *	  How a run's coordinator starts, watches and ends the process that holds its snapshot.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "run/snapshot_holder.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "run/process.h"
#include "run/snapshot_process.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

struct SnapshotHolder
{
	RunShared  *run;
	dsm_segment *segment;
	MemoryContext context;
	BackgroundWorkerHandle *handle; /* NULL: there is no process */
};

static void
snapshot_holder_coordinator_exit(int code, Datum arg)
{
	SnapshotHolder *holder = (SnapshotHolder *) DatumGetPointer(arg);

	pg_atomic_write_u32(&holder->run->holder.dismissed, 1);
	if (holder->handle != NULL)
		TerminateBackgroundWorker(holder->handle);
}

SnapshotHolder *
snapshot_holder_create(RunShared *run, dsm_segment *segment)
{
	SnapshotHolder *holder = palloc0(sizeof(SnapshotHolder));

	holder->run = run;
	holder->segment = segment;
	holder->context = CurrentMemoryContext;
	before_shmem_exit(snapshot_holder_coordinator_exit, PointerGetDatum(holder));
	return holder;
}

static bool
snapshot_holder_has_ended(SnapshotHolder *holder)
{
	pid_t		pid;

	return GetBackgroundWorkerPid(holder->handle, &pid) == BGWH_STOPPED;
}

bool
snapshot_holder_start(SnapshotHolder *holder)
{
	SnapshotHolderSlot *slot = &holder->run->holder;
	MemoryContext oldcontext;
	SnapshotHolderStart start;
	char		name[BGW_MAXLEN];
	bool		registered;

	if (holder->handle != NULL)
	{
		if (!snapshot_holder_has_ended(holder))
			return pg_atomic_read_u32(&slot->dismissed) == 0 &&
				run_shmem_holder_state(holder->run) != SNAPSHOT_HOLDER_GONE;
		pfree(holder->handle);
		holder->handle = NULL;
	}

	snprintf(name, sizeof(name), "%s snapshot of run " INT64_FORMAT,
			 ETL_EXTENSION_NAME, holder->run->run_id);
	start.run = dsm_segment_handle(holder->segment);
	start.database = MyDatabaseId;
	start.owner = holder->run->owner;
	StaticAssertStmt(sizeof(start) <= BGW_EXTRALEN, "SnapshotHolderStart does not fit");

	pg_atomic_write_u32(&slot->dismissed, 0);
	pg_atomic_write_u32(&slot->give_way, 0);
	slot->pid = 0;
	slot->message[0] = '\0';
	run_shmem_holder_set_state(holder->run, SNAPSHOT_HOLDER_STARTING);
	oldcontext = MemoryContextSwitchTo(holder->context);
	registered = process_start(PROCESS_SNAPSHOT_HOLDER, name, &start, sizeof(start),
							   &holder->handle);
	MemoryContextSwitchTo(oldcontext);
	if (!registered)
	{
		holder->handle = NULL;
		run_shmem_holder_set_state(holder->run, SNAPSHOT_HOLDER_NONE);
	}
	return registered;
}

SnapshotHolderState
snapshot_holder_state(SnapshotHolder *holder)
{
	SnapshotHolderState state = run_shmem_holder_state(holder->run);

	if (holder->handle == NULL || pg_atomic_read_u32(&holder->run->holder.dismissed) != 0)
		return SNAPSHOT_HOLDER_NONE;
	/* it may have ended before it could say anything */
	if (state == SNAPSHOT_HOLDER_STARTING && snapshot_holder_has_ended(holder))
		state = SNAPSHOT_HOLDER_GONE;
	return state;
}

const char *
snapshot_holder_message(SnapshotHolder *holder)
{
	const char *message = holder->run->holder.message;

	return message[0] != '\0' ? message : NULL;
}

int
snapshot_holder_pid(SnapshotHolder *holder)
{
	SnapshotHolderState state = snapshot_holder_state(holder);

	return state == SNAPSHOT_HOLDER_STARTING || state == SNAPSHOT_HOLDER_READY ?
		holder->run->holder.pid : 0;
}

/* Wakes the process up; where it has ended, whoever has its place wakes in vain. */
static void
snapshot_holder_wake(SnapshotHolder *holder)
{
	if (holder->run->holder.pid != 0)
	{
		pg_read_barrier();		/* proc was written before pid */
		SetLatch(&holder->run->holder.proc->procLatch);
	}
}

void
snapshot_holder_give_way(SnapshotHolder *holder)
{
	pg_atomic_write_u32(&holder->run->holder.give_way, 1);
	snapshot_holder_wake(holder);
}

bool
snapshot_holder_gave_way(SnapshotHolder *holder)
{
	return pg_atomic_read_u32(&holder->run->holder.give_way) != 0;
}

void
snapshot_holder_dismiss(SnapshotHolder *holder)
{
	if (holder->handle == NULL || pg_atomic_exchange_u32(&holder->run->holder.dismissed, 1) != 0)
		return;
	/* one that is still starting, or waits for a lock, does not listen yet */
	if (run_shmem_holder_state(holder->run) == SNAPSHOT_HOLDER_STARTING)
		TerminateBackgroundWorker(holder->handle);
	else
		snapshot_holder_wake(holder);
}

void
snapshot_holder_shutdown(SnapshotHolder *holder)
{
	if (holder->handle == NULL)
		return;
	snapshot_holder_dismiss(holder);
	(void) WaitForBackgroundWorkerShutdown(holder->handle);
	pfree(holder->handle);
	holder->handle = NULL;
}
