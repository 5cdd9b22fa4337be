/*-------------------------------------------------------------------------
 *
 * snapshot_process.c
 *	  The process that holds a run's snapshot.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "run/snapshot_process.h"

#include "access/xact.h"
#include "base/security.h"
#include "base/session.h"
#include "mb/pg_wchar.h"
#include "metastore/catalog.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "run/run_shmem.h"
#include "run/snapshot_sources.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/ps_status.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

/*
 * Names mean here what they mean in the steps.  A transaction of its own: reading
 * the catalog takes a snapshot, and the one that counts comes after the locks.
 */
static void
snapshot_process_set_search_path(RunShared *run)
{
	Pipeline   *pipeline;
	StringInfoData path;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	pipeline = catalog_load_pipeline(run->pipeline_id, run->version);
	if (pipeline == NULL)
		elog(ERROR, "pipeline %d has no version %d", run->pipeline_id, run->version);
	initStringInfo(&path);
	appendStringInfoString(&path, quote_identifier(pipeline->target_schema));
	if (pipeline->search_path[0] != '\0')
		appendStringInfo(&path, ", %s", pipeline->search_path);
	session_set("search_path", path.data);
	PopActiveSnapshot();
	CommitTransactionCommand();
}

static RunShared *holder_run = NULL;

static void
snapshot_process_exit(int code, Datum arg)
{
	/* the transaction has been aborted by now: its locks are free */
	run_shmem_holder_set_state(holder_run, SNAPSHOT_HOLDER_GONE);
	SetLatch(&holder_run->coordinator->procLatch);
}

/* Cancelling it (pg_cancel_backend) takes its locks, but not the snapshot. */
static void
snapshot_process_sigint(SIGNAL_ARGS)
{
	int			save_errno = errno;

	pg_atomic_write_u32(&holder_run->holder.give_way, 1);
	SetLatch(MyLatch);
	errno = save_errno;
}

static void
snapshot_process_show(const char *pipeline_phase)
{
	char	   *title = psprintf("run " INT64_FORMAT ": %s", holder_run->run_id, pipeline_phase);

	set_ps_display(title);
	pgstat_report_activity(STATE_RUNNING, title);
	pfree(title);
}

/* For as long as the snapshot is needed. */
static void
snapshot_process_wait(List *locked)
{
	SnapshotHolderSlot *slot = &holder_run->holder;

	while (pg_atomic_read_u32(&slot->dismissed) == 0 &&
		   pg_atomic_read_u32(&holder_run->over) == 0)
	{
		if (locked != NIL && pg_atomic_read_u32(&slot->give_way) != 0)
		{
			ListCell   *lc;

			foreach(lc, locked)
				UnlockRelationOid(lfirst_oid(lc), AccessShareLock);
			locked = NIL;
		}
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, 0, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

static void
snapshot_process_hold(void)
{
	SnapshotHolderSlot *slot = &holder_run->holder;
	List	   *locked;

	snapshot_process_set_search_path(holder_run);

	StartTransactionCommand();
	XactIsoLevel = XACT_REPEATABLE_READ;
	XactReadOnly = true;

	/* first the locks: what somebody is changing now has changed before the snapshot */
	locked = snapshot_sources_lock(run_shmem_sources(holder_run));
	strlcpy(slot->snapshot, ExportSnapshot(GetTransactionSnapshot()), sizeof(slot->snapshot));
	run_shmem_holder_set_state(holder_run, SNAPSHOT_HOLDER_READY);
	SetLatch(&holder_run->coordinator->procLatch);

	snapshot_process_show("holds the snapshot");
	snapshot_process_wait(locked);
	CommitTransactionCommand();
}

void
etl_snapshot_holder_main(Datum arg)
{
	MemoryContext context = CurrentMemoryContext;
	SnapshotHolderStart start;
	dsm_segment *segment;
	char		appname[NAMEDATALEN];

	memcpy(&start, MyBgworkerEntry->bgw_extra, sizeof(start));
	holder_run = run_shmem_attach(start.run, &segment);
	if (holder_run == NULL)
		return;					/* the run is over */

	pqsignal(SIGTERM, die);
	pqsignal(SIGINT, snapshot_process_sigint);
	BackgroundWorkerUnblockSignals();
	holder_run->holder.proc = MyProc;
	pg_write_barrier();
	holder_run->holder.pid = MyProcPid;
	before_shmem_exit(snapshot_process_exit, (Datum) 0);

	BackgroundWorkerInitializeConnectionByOid(start.database, start.owner,
											  security_worker_flags());
	session_pin_settings();
	SetConfigOption("lock_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
	snprintf(appname, sizeof(appname), "%s run " INT64_FORMAT,
			 ETL_EXTENSION_NAME, holder_run->run_id);
	SetConfigOption("application_name", appname, PGC_USERSET, PGC_S_OVERRIDE);
	snapshot_process_show("takes the snapshot");

	PG_TRY();
	{
		snapshot_process_hold();
	}
	PG_CATCH();
	{
		ErrorData  *error;
		int			length;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		length = pg_mbcliplen(error->message, strlen(error->message), SLOT_MESSAGE_SIZE - 1);
		memcpy(holder_run->holder.message, error->message, length);
		holder_run->holder.message[length] = '\0';
		PG_RE_THROW();
	}
	PG_END_TRY();
}
