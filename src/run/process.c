/*-------------------------------------------------------------------------
 *
 * process.c
 *	  The background processes of a run: how they are registered, and how a run
 *	  gets those that it cannot do without before it begins.
 *
 * A run needs its coordinator, one worker and, for most pipelines, the process that holds its
 * snapshot.  A run that had some of them and waited for the others could wait for ever: for runs
 * that wait likewise, and a lack of worker slots is nothing that the server's deadlock detector
 * sees.  So a run gets all of them before it takes anything else, one run of the whole server at a
 * time (lock_admission), and a run that has begun waits for no slot in order to go on.
 *
 * A reserved process does not know yet what it will do: it waits on its latch, without a
 * connection to a database, until its coordinator calls it, and then continues as if it had been
 * registered for that.  Further workers are registered when there is work for them, and a run that
 * gets none is only slower.
 *
 * What the two share is a segment of the coordinator's, with a place for each role.  A place
 * belongs to the coordinator until it says CALLED or DISMISSED, and "start" is read after that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "run/process.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "run/snapshot_process.h"
#include "run/worker.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

typedef enum ReservedState
{
	RESERVED_STARTING,			/* no process has come to life yet */
	RESERVED_WAITING,			/* the process waits to be called */
	RESERVED_CALLED,			/* it shall do what "start" says */
	RESERVED_DISMISSED			/* it shall end */
} ReservedState;

typedef struct ReservedPlace
{
	pg_atomic_uint32 state;		/* ReservedState */
	PGPROC	   *proc;			/* the process's, valid from WAITING on */
	char		start[BGW_EXTRALEN];
} ReservedPlace;

typedef struct ReservedShared
{
	PGPROC	   *coordinator;
	ReservedPlace places[PROCESS_ROLES];
} ReservedShared;

/* What a reserved process is registered with. */
typedef struct ReservedStart
{
	dsm_handle	segment;
	ProcessRole role;
} ReservedStart;

static const char *const process_what[PROCESS_ROLES] = {
	[PROCESS_SNAPSHOT_HOLDER] = "snapshot",
	[PROCESS_WORKER] = "worker"
};

static const char *const process_function[PROCESS_ROLES] = {
	[PROCESS_SNAPSHOT_HOLDER] = "etl_snapshot_holder_main",
	[PROCESS_WORKER] = "etl_worker_main"
};

bool
process_register(const char *function, const char *what, const char *name,
				 const void *extra, Size extra_size, BackgroundWorkerHandle **handle)
{
	BackgroundWorker worker;

	Assert(extra_size <= BGW_EXTRALEN);
	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	strlcpy(worker.bgw_library_name, ETL_LIBRARY, sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, function, sizeof(worker.bgw_function_name));
	snprintf(worker.bgw_type, sizeof(worker.bgw_type), "%s %s", ETL_EXTENSION_NAME, what);
	strlcpy(worker.bgw_name, name, sizeof(worker.bgw_name));
	memcpy(worker.bgw_extra, extra, extra_size);
	return RegisterDynamicBackgroundWorker(&worker, handle);
}

/* ---- the coordinator ---- */

static dsm_segment *reserved_segment = NULL;
static ReservedShared *reserved = NULL;
static BackgroundWorkerHandle *reserved_handle[PROCESS_ROLES];	/* NULL: there is none */

static void
process_coordinator_exit(int code, Datum arg)
{
	for (int role = 0; role < PROCESS_ROLES; role++)
	{
		if (reserved_handle[role] != NULL)
			TerminateBackgroundWorker(reserved_handle[role]);
	}
}

static void
process_create_segment(void)
{
	reserved_segment = dsm_create(sizeof(ReservedShared), 0);
	dsm_pin_mapping(reserved_segment);
	reserved = dsm_segment_address(reserved_segment);
	memset(reserved, 0, sizeof(ReservedShared));
	reserved->coordinator = MyProc;
	for (int role = 0; role < PROCESS_ROLES; role++)
		pg_atomic_init_u32(&reserved->places[role].state, RESERVED_STARTING);
	before_shmem_exit(process_coordinator_exit, (Datum) 0);
}

static ReservedState
process_state(ProcessRole role)
{
	ReservedState state = (ReservedState) pg_atomic_read_u32(&reserved->places[role].state);

	pg_read_barrier();
	return state;
}

static void
process_forget(ProcessRole role)
{
	pfree(reserved_handle[role]);
	reserved_handle[role] = NULL;
}

bool
process_reserve(void)
{
	bool		complete = true;

	if (reserved == NULL)
		process_create_segment();
	for (int role = 0; role < PROCESS_ROLES; role++)
	{
		ReservedStart start;
		MemoryContext oldcontext;
		bool		registered;
		pid_t		pid;

		if (reserved_handle[role] != NULL &&
			GetBackgroundWorkerPid(reserved_handle[role], &pid) == BGWH_STOPPED)
			process_forget(role);
		if (reserved_handle[role] != NULL)
		{
			complete = complete && process_state(role) == RESERVED_WAITING;
			continue;
		}

		complete = false;
		start.segment = dsm_segment_handle(reserved_segment);
		start.role = role;
		pg_atomic_write_u32(&reserved->places[role].state, RESERVED_STARTING);
		oldcontext = MemoryContextSwitchTo(TopMemoryContext);
		registered = process_register("etl_reserved_process_main", process_what[role],
									  psprintf("%s %s", ETL_EXTENSION_NAME, process_what[role]),
									  &start, sizeof(start), &reserved_handle[role]);
		MemoryContextSwitchTo(oldcontext);
		if (!registered)
		{
			reserved_handle[role] = NULL;
			return false;
		}
	}
	return complete;
}

/* Tell a reserved process what to do; return false if it has ended meanwhile. */
static bool
process_tell(ProcessRole role, ReservedState what)
{
	ReservedPlace *place = &reserved->places[role];
	pid_t		pid;

	if (GetBackgroundWorkerPid(reserved_handle[role], &pid) == BGWH_STOPPED)
		return false;
	/* one that has not come to life yet finds it said; an exchange is a full barrier */
	if (pg_atomic_exchange_u32(&place->state, what) == RESERVED_WAITING)
		SetLatch(&place->proc->procLatch);
	return true;
}

bool
process_start(ProcessRole role, const char *name, const void *start, Size size,
			  BackgroundWorkerHandle **handle)
{
	if (reserved_handle[role] != NULL)
	{
		Assert(size <= BGW_EXTRALEN);
		memcpy(reserved->places[role].start, start, size);
		if (process_tell(role, RESERVED_CALLED))
		{
			/* the caller frees it, as it does one of its own */
			*handle = reserved_handle[role];
			reserved_handle[role] = NULL;
			return true;
		}
		process_forget(role);
	}
	return process_register(process_function[role], process_what[role], name, start, size,
							handle);
}

void
process_dismiss(ProcessRole role)
{
	if (reserved_handle[role] == NULL)
		return;
	(void) process_tell(role, RESERVED_DISMISSED);
	process_forget(role);
}

/* ---- the process ---- */

void
etl_reserved_process_main(Datum arg)
{
	ReservedStart start;
	ReservedShared *shared;
	ReservedPlace *place;
	dsm_segment *segment;
	uint32		state = RESERVED_STARTING;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	memcpy(&start, MyBgworkerEntry->bgw_extra, sizeof(start));
	segment = dsm_attach(start.segment);
	if (segment == NULL)
		return;					/* the coordinator has gone */
	dsm_pin_mapping(segment);
	shared = dsm_segment_address(segment);
	place = &shared->places[start.role];
	place->proc = MyProc;
	pg_write_barrier();
	if (pg_atomic_compare_exchange_u32(&place->state, &state, RESERVED_WAITING))
		SetLatch(&shared->coordinator->procLatch);

	for (;;)
	{
		state = pg_atomic_read_u32(&place->state);
		if (state != RESERVED_WAITING)
			break;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, 0, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	if (state != RESERVED_CALLED)
		return;

	pg_read_barrier();
	memcpy(MyBgworkerEntry->bgw_extra, place->start, BGW_EXTRALEN);
	dsm_detach(segment);
	if (start.role == PROCESS_WORKER)
		etl_worker_main(arg);
	else
		etl_snapshot_holder_main(arg);
}
