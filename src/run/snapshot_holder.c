/*-------------------------------------------------------------------------
 *
 * snapshot_holder.c
 *	  The process that holds a run's snapshot, and how its coordinator starts,
 *	  watches and ends it.
 *
 * All query steps of a run read the sources as of one instant.  A snapshot lives
 * as long as the transaction that took it, and the coordinator needs
 * transactions of its own, so the snapshot has a process to itself: it takes and
 * exports it, says its name in the run's segment, and waits on its latch until
 * the last step that shares the snapshot has ended.  Workers import it as SET
 * TRANSACTION SNAPSHOT does.
 *
 * Before that it locks what the steps read, as a reader does, which keeps out
 * TRUNCATE, DROP, REFRESH and ALTER TABLE for as long as the snapshot is needed.
 * That is a courtesy, so that the run need not fail: these commands change a
 * table for all snapshots, old ones too, and what is not locked here, or was not
 * known, is found out where it is read (source_check.c).  So the locks can be given
 * up: somebody who waits for one may be somebody whom a step waits for.
 *
 * If it dies, no step can import the snapshot any more.  Those that have done so
 * are not concerned.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "run/snapshot_holder.h"

#include "access/relation.h"
#include "access/xact.h"
#include "base/security.h"
#include "base/session.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "mb/pg_wchar.h"
#include "metastore/catalog.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "rewrite/rewriteHandler.h"
#include "run/process.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/ps_status.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"
#include "utils/wait_event.h"

/* Of the server's lock table no more than this part is taken. */
#define HOLDER_LOCKS_SHARE		8

/* What the process is started with, in bgw_extra. */
typedef struct SnapshotHolderStart
{
	dsm_handle	run;
	Oid			database;
	Oid			owner;
} SnapshotHolderStart;

struct SnapshotHolder
{
	RunShared  *run;
	dsm_segment *segment;
	MemoryContext context;
	BackgroundWorkerHandle *handle; /* NULL: there is no process */
};

/* ---- the coordinator ---- */

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

/* ---- the process: what it locks ---- */

/* Relations to be locked; in the transaction's memory. */
typedef struct SnapshotSources
{
	List	   *relids;			/* of Oid */
	int			limit;
} SnapshotSources;

static void snapshot_holder_add_relation(SnapshotSources *sources, Oid relid);

static bool
snapshot_holder_walk_view(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		if (((RangeTblEntry *) node)->rtekind == RTE_RELATION)
			snapshot_holder_add_relation(arg, ((RangeTblEntry *) node)->relid);
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, snapshot_holder_walk_view, arg,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, snapshot_holder_walk_view, arg);
}

/* What a view reads.  Of one that is being changed right now, nothing. */
static void
snapshot_holder_add_view(SnapshotSources *sources, Oid relid)
{
	Relation	view;

	if (!ConditionalLockRelationOid(relid, AccessShareLock))
		return;
	view = try_relation_open(relid, NoLock);
	if (view != NULL)
	{
		if (view->rd_rel->relkind == RELKIND_VIEW)
			(void) snapshot_holder_walk_view((Node *) get_view_query(view), sources);
		relation_close(view, NoLock);
	}
	UnlockRelationOid(relid, AccessShareLock);
}

static void
snapshot_holder_add_relation(SnapshotSources *sources, Oid relid)
{
	char		relkind = get_rel_relkind(relid);
	ListCell   *lc;

	if (IsCatalogRelationOid(relid) || list_member_oid(sources->relids, relid) ||
		list_length(sources->relids) >= sources->limit)
		return;
	switch (relkind)
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
			foreach(lc, find_all_inheritors(relid, NoLock, NULL))
			{
				if (list_length(sources->relids) < sources->limit)
					sources->relids = list_append_unique_oid(sources->relids, lfirst_oid(lc));
			}
			break;
		case RELKIND_MATVIEW:
			sources->relids = lappend_oid(sources->relids, relid);
			break;
		case RELKIND_VIEW:
			sources->relids = lappend_oid(sources->relids, relid);
			snapshot_holder_add_view(sources, relid);
			break;
		default:
			break;
	}
}

/* The relation that a reference means; none that the owner may not read. */
static Oid
snapshot_holder_find_source(const char *reference)
{
	char	   *copy = pstrdup(reference);
	Oid			relid = InvalidOid;
	List	   *parts;

	if (!SplitIdentifierString(copy, '.', &parts))
		elog(ERROR, "invalid reference \"%s\" in a table of schema \"%s\"",
			 reference, ETL_SCHEMA);
	if (list_length(parts) == 1)
		relid = RelnameGetRelid(linitial(parts));
	else if (list_length(parts) == 2)
	{
		Oid			schema = get_namespace_oid(linitial(parts), true);

		if (OidIsValid(schema) &&
			COMPAT_NAMESPACE_ACLCHECK(schema, GetUserId(), ACL_USAGE) == ACLCHECK_OK)
			relid = get_relname_relid(lsecond(parts), schema);
	}
	if (OidIsValid(relid) &&
		pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK &&
		pg_attribute_aclcheck_all(relid, GetUserId(), ACL_SELECT, ACLMASK_ANY) != ACLCHECK_OK)
		relid = InvalidOid;
	return relid;
}

/*
 * Locks all of them, and waits for one only while it holds no other, so that it
 * can be part of no deadlock.
 */
static void
snapshot_holder_lock_all(const List *relids)
{
	Oid			waited_for = InvalidOid;

	for (;;)
	{
		Oid			busy = InvalidOid;
		ListCell   *lc;
		ListCell   *unlock;

		foreach(lc, relids)
		{
			if (lfirst_oid(lc) != waited_for &&
				!ConditionalLockRelationOid(lfirst_oid(lc), AccessShareLock))
			{
				busy = lfirst_oid(lc);
				break;
			}
		}
		if (!OidIsValid(busy))
			return;

		foreach(unlock, relids)
		{
			if (lfirst_oid(unlock) == busy)
				break;
			if (lfirst_oid(unlock) != waited_for)
				UnlockRelationOid(lfirst_oid(unlock), AccessShareLock);
		}
		if (OidIsValid(waited_for))
			UnlockRelationOid(waited_for, AccessShareLock);
		LockRelationOid(busy, AccessShareLock);
		waited_for = busy;
	}
}

/*
 * Names mean here what they mean in the steps.  A transaction of its own: reading
 * the catalog takes a snapshot, and the one that counts comes after the locks.
 */
static void
snapshot_holder_set_search_path(RunShared *run)
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

static List *
snapshot_holder_lock_sources(RunShared *run)
{
	SnapshotSources sources = {.relids = NIL};
	ListCell   *lc;

	sources.limit = max_locks_per_xact * MaxBackends / HOLDER_LOCKS_SHARE;
	foreach(lc, run_shmem_sources(run))
	{
		Oid			relid = snapshot_holder_find_source(lfirst(lc));

		if (OidIsValid(relid))
			snapshot_holder_add_relation(&sources, relid);
	}
	snapshot_holder_lock_all(sources.relids);
	return sources.relids;
}

/* ---- the process ---- */

static RunShared *holder_run = NULL;

static void
snapshot_holder_exit(int code, Datum arg)
{
	/* the transaction has been aborted by now: its locks are free */
	run_shmem_holder_set_state(holder_run, SNAPSHOT_HOLDER_GONE);
	SetLatch(&holder_run->coordinator->procLatch);
}

/* Cancelling it (pg_cancel_backend) takes its locks, but not the snapshot. */
static void
snapshot_holder_sigint(SIGNAL_ARGS)
{
	int			save_errno = errno;

	pg_atomic_write_u32(&holder_run->holder.give_way, 1);
	SetLatch(MyLatch);
	errno = save_errno;
}

static void
snapshot_holder_show(const char *pipeline_phase)
{
	char	   *title = psprintf("run " INT64_FORMAT ": %s", holder_run->run_id, pipeline_phase);

	set_ps_display(title);
	pgstat_report_activity(STATE_RUNNING, title);
	pfree(title);
}

/* For as long as the snapshot is needed. */
static void
snapshot_holder_wait(List *locked)
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
snapshot_holder_hold(void)
{
	SnapshotHolderSlot *slot = &holder_run->holder;
	List	   *locked;

	snapshot_holder_set_search_path(holder_run);

	StartTransactionCommand();
	XactIsoLevel = XACT_REPEATABLE_READ;
	XactReadOnly = true;

	/* first the locks: what somebody is changing now has changed before the snapshot */
	locked = snapshot_holder_lock_sources(holder_run);
	strlcpy(slot->snapshot, ExportSnapshot(GetTransactionSnapshot()), sizeof(slot->snapshot));
	run_shmem_holder_set_state(holder_run, SNAPSHOT_HOLDER_READY);
	SetLatch(&holder_run->coordinator->procLatch);

	snapshot_holder_show("holds the snapshot");
	snapshot_holder_wait(locked);
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
	pqsignal(SIGINT, snapshot_holder_sigint);
	BackgroundWorkerUnblockSignals();
	holder_run->holder.proc = MyProc;
	pg_write_barrier();
	holder_run->holder.pid = MyProcPid;
	before_shmem_exit(snapshot_holder_exit, (Datum) 0);

	BackgroundWorkerInitializeConnectionByOid(start.database, start.owner,
											  security_worker_flags());
	session_pin_settings();
	SetConfigOption("lock_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
	snprintf(appname, sizeof(appname), "%s run " INT64_FORMAT,
			 ETL_EXTENSION_NAME, holder_run->run_id);
	SetConfigOption("application_name", appname, PGC_USERSET, PGC_S_OVERRIDE);
	snapshot_holder_show("takes the snapshot");

	PG_TRY();
	{
		snapshot_holder_hold();
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
