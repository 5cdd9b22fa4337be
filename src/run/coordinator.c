/*-------------------------------------------------------------------------
 *
 * coordinator.c
 *	  The process that owns a run, from its birth to its end.
 *
 *	  being staffed				the processes that it cannot do without
 *	  waiting for its turn		the caller's transaction, the pipeline's lock
 *	  beginning					checks, staging schema, the run's row
 *	  stepping					scheduler.c, until no step is left
 *	  publishing				with conditional locks, until they are free
 *	  ending					the run's row, the locks, the caller's answer
 *
 * Whatever can happen meanwhile sets the process's latch: workers and the
 * postmaster (pool.c), the caller (request.c), and SIGINT, which means "cancel
 * this run" whoever sends it (etl.cancel, a caller that leaves,
 * pg_cancel_backend).
 *
 * The coordinator runs no SQL of the user's.  It alone decides; workers only
 * report.  Should it die, the server releases its locks and its exit callback
 * ends the workers: the run is then seen to have crashed (lock.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "run/coordinator.h"

#include "access/transam.h"
#include "access/xact.h"
#include "base/lock.h"
#include "base/security.h"
#include "base/session.h"
#include "define/target_check.h"
#include "metastore/catalog.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "run/process.h"
#include "run/publisher.h"
#include "run/resume.h"
#include "run/run_state.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "table/staging.h"
#include "tcop/tcopprot.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* How long to wait before asking again for a worker slot. */
#define COORDINATOR_SLOT_RETRY_MS	200

/* ---- waiting for its turn, beginning ---- */

/* The run_timeout counts from the call, so what the run has waited for counts, too. */
static TimestampTz
coordinator_deadline(const RunRequest *request)
{
	if (request->run_timeout_ms == 0)
		return DT_NOEND;
	return TimestampTzPlusMilliseconds(request->requested_at, request->run_timeout_ms);
}

/*
 * Get the processes that the run cannot do without.  The session that launches the run lets no
 * other one get any meanwhile, and it is the one that loses its patience.
 */
static void
coordinator_get_staff(RunState *run)
{
	run_signal_listen();
	while (!process_reserve())
	{
		run_signal_wait(TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													COORDINATOR_SLOT_RETRY_MS));
		CHECK_FOR_INTERRUPTS();
	}
	run_signal_ignore();
	request_settle(run->server, true);
}

/*
 * The caller's transaction must have committed.  If it did not, there is no run
 * and nobody to tell: the process ends.
 */
static void
coordinator_wait_for_commit(RunState *run)
{
	TransactionId xid = run->request->after;

	if (!TransactionIdIsValid(xid))
		return;

	StartTransactionCommand();
	run_signal_listen();
	XactLockTableWait(xid, NULL, NULL, XLTW_None);
	run_signal_ignore();
	CommitTransactionCommand();

	if (!TransactionIdDidCommit(xid))
		proc_exit(0);
}

/* Returns false where another run is on and this one shall be skipped. */
static bool
coordinator_take_turn(RunState *run, const char *pipeline)
{
	int32		id = run->request->pipeline_id;
	bool		wait = run->request->conflict == ETL_CONFLICT_WAIT;
	int			caller = wait ? request_waiting_pid(run->server) : 0;
	bool		free;

	StartTransactionCommand();
	if (caller != 0)
		lock_caller(caller);
	run_signal_listen();
	free = lock_pipeline(id, wait);
	run_signal_ignore();
	if (caller != 0)
		lock_caller_release(caller);
	CommitTransactionCommand();
	MemoryContextSwitchTo(run->context);

	run->has_turn = free;
	if (!free && run->request->conflict == ETL_CONFLICT_ERROR)
		ereport(ERROR,
				(errcode(ERRCODE_ETL_RUN_CONFLICT),
				 errmsg("pipeline \"%s\" is being run already", pipeline),
				 errdetail("Process %d has the pipeline's lock.", lock_pipeline_holder(id)),
				 errhint("on_conflict => 'wait' waits for it, 'skip' does nothing then.")));
	return free;
}

static void
coordinator_load(RunState *run)
{
	StartTransactionCommand();
	/* long definitions are read from TOAST tables */
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(run->context);

	run->graph = pipeline_load_graph(run->request->pipeline_id, run->request->version);
	run->pipeline = run->graph->pipeline;
	run->nselected = run->graph->nsteps;
	if (run->request->steps != NIL)
	{
		run->selected = pipeline_select(run->graph, run->request->steps);
		run->nselected = 0;
		for (int i = 0; i < run->graph->nsteps; i++)
			run->nselected += run->selected[i] ? 1 : 0;
		target_check_check_unselected(run->graph, run->selected);
	}
	target_check_check(run->graph, run->selected);

	run->steps = palloc0(sizeof(RunStep) * Max(1, run->graph->nsteps));
	for (int i = 0; i < run->graph->nsteps; i++)
	{
		run->steps[i].count_rows = -1;
		run->steps[i].table_size = -1;
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(run->context);
}

static void
coordinator_write_row(RunState *run, int64 run_id, int step_count)
{
	RunRow		row = {0};

	row.run_id = run_id;
	row.pipeline_id = run->request->pipeline_id;
	row.version = run->request->version;
	row.requested_by = GetUserNameFromId(run->request->requested_by, true);
	if (run->request->params != NULL)
		row.params = DatumGetJsonbP(DirectFunctionCall1(jsonb_in,
														CStringGetDatum(run->request->params)));
	row.steps = run->request->steps;
	row.step_count = step_count;
	row.pid = MyProcPid;
	row.resumes = run->request->resumes;
	catalog_insert_run(&row);
}

/* From here on the run is known: its row, and the lock that says it is alive. */
static void
coordinator_insert_run(RunState *run)
{
	run_state_begin(run);
	run->run_id = run->request->run_id;
	if (run->run_id == 0)
	{
		run->run_id = catalog_next_run_id();
		lock_run(run->run_id);
	}
	catalog_bury_runs(run->pipeline->id, run->run_id);
	catalog_write_survival_token();
	run->lost_outputs = catalog_load_lost() != NIL;

	coordinator_write_row(run, run->run_id, run->nselected);
	resume_log(run);
	run_state_commit(run);

	SetConfigOption("application_name",
					psprintf("%s run " INT64_FORMAT, ETL_EXTENSION_NAME, run->run_id),
					PGC_USERSET, PGC_S_OVERRIDE);
	run->started = GetCurrentTimestamp();
	run->deadline = coordinator_deadline(run->request);
}

static void
coordinator_share(RunState *run)
{
	int			nslots = run->pipeline->max_parallel > 0 ?
	run->pipeline->max_parallel : run->request->settings.max_parallel;
	int32	   *selected = NULL;
	bool	   *one_instant;
	dsm_segment *segment;

	MemoryContextSwitchTo(run->context);
	if (run->selected != NULL)
	{
		int			n = 0;

		selected = palloc(sizeof(int32) * run->nselected);
		for (int i = 0; i < run->graph->nsteps; i++)
		{
			if (run->selected[i])
				selected[n++] = run->graph->steps[i]->step_id;
		}
	}
	one_instant = palloc(sizeof(bool) * Max(1, run->graph->nsteps));
	run->ninstant = pipeline_mark_one_instant(run->graph, run->executed, one_instant);
	for (int i = 0; i < run->graph->nsteps; i++)
		run->steps[i].one_instant = one_instant[i];
	run->shared = run_shmem_create(Max(1, Min(nslots, run->nselected)), selected, run->nselected,
								   run->request->params,
								   pipeline_sources(run->graph, run->selected, one_instant),
								   &segment);
	run->shared->run_id = run->run_id;
	run->shared->pipeline_id = run->pipeline->id;
	run->shared->version = run->pipeline->version;
	run->shared->owner = run->request->owner;
	run->shared->staging = run->staging;
	run->shared->settings = run->request->settings;
	run->shared->lost_outputs = run->lost_outputs;
	/* who waits for the beginning only is about to go on */
	if (run->request->waits && request_waiting_pid(run->server) != 0)
	{
		run->shared->waiting[run->shared->nwaiting++] = request_waiting_pid(run->server);
		for (int i = 0; i < run->request->nancestors; i++)
			run->shared->waiting[run->shared->nwaiting++] = run->request->ancestors[i];
	}
	if (run->ninstant == 0)
		process_dismiss(PROCESS_SNAPSHOT_HOLDER);
	run->pool = pool_create(run->shared, segment);
	run->holder = snapshot_holder_create(run->shared, segment);
}

/*
 * A run that was promised, and its number given away, has a row even if it did
 * not begin; but for a transaction that has aborted nothing was promised.
 */
static void
coordinator_log_unbegun(RunState *run, EtlRunStatus status, const char *message)
{
	TransactionId after = run->request->after;

	if (run->request->run_id == 0)
		return;

	run_state_begin(run);
	if (TransactionIdIsValid(after))
	{
		XactLockTableWait(after, NULL, NULL, XLTW_None);
		if (!TransactionIdDidCommit(after))
		{
			run_state_commit(run);
			return;
		}
	}
	coordinator_write_row(run, run->request->run_id, 0);
	catalog_end_run(run->request->run_id, status, message, false);
	run_state_commit(run);
}

/* A run that could not begin: a caller that waits gets the error. */
static void
coordinator_refuse(RunState *run, ErrorData *error)
{
	RequestMessage answer = {0};
	bool		timed_out = run_signal_has(RUN_SIGNAL_DEADLINE);
	bool		cancelled = !timed_out && error->sqlerrcode == ERRCODE_QUERY_CANCELED;

	if (timed_out && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		error->message = pstrdup("the run was stopped by its pipeline's run_timeout before it began");
	else if (cancelled)
	{
		error->sqlerrcode = ERRCODE_ETL_RUN_CANCELLED;
		error->message = pstrdup("the run was cancelled before it began");
		if (run->request->conflict == ETL_CONFLICT_WAIT)
			error->hint = pstrdup("A run that waits for another one is also cancelled when that one needs a lock of the waiting session's: commit before the run.");
	}

	/* as at the end of a run */
	if (run->has_turn)
		lock_release_pipeline(run->request->pipeline_id);
	answer.kind = REQUEST_ERROR;
	answer.sqlerrcode = error->sqlerrcode;
	answer.message = error->message;
	answer.detail = error->detail;
	answer.hint = error->hint;
	answer.context = error->context;
	request_send(run->server, &answer);
	request_settle(run->server, false);

	coordinator_log_unbegun(run, cancelled ? ETL_RUN_CANCELLED : ETL_RUN_FAILED,
							error->message);
}

/* Returns false where there is nothing to run; the caller has been told. */
static bool
coordinator_begin_run(RunState *run)
{
	volatile bool begun = false;

	PG_TRY();
	{
		Pipeline   *pipeline;

		run_signal_arm_deadline(coordinator_deadline(run->request));
		coordinator_get_staff(run);
		coordinator_wait_for_commit(run);

		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		MemoryContextSwitchTo(run->context);
		pipeline = catalog_load_pipeline(run->request->pipeline_id, run->request->version);
		PopActiveSnapshot();
		CommitTransactionCommand();
		if (pipeline == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("the pipeline was dropped before its run could start")));

		if (coordinator_take_turn(run, pipeline->name))
		{
			coordinator_load(run);
			/* what a crashed run left may be in use */
			run_signal_listen();
			if (run->request->resumes != 0)
				resume_take_over(run);
			else
			{
				run->staging = staging_create(run->request->pipeline_id, run->request->owner);
				run->executed = run->selected;
			}
			run_signal_ignore();
			run_signal_disarm_deadline();
			MemoryContextSwitchTo(run->context);
			run->dag = dag_run_create(run->graph->dag, run->executed, run->pipeline->staged);
			coordinator_insert_run(run);
			begun = true;
		}
		else
		{
			run_state_tell(run, REQUEST_SKIPPED, 0, NULL, NULL, NULL);
			coordinator_log_unbegun(run, ETL_RUN_CANCELLED,
									"skipped, as another run of the pipeline was on");
		}
	}
	PG_CATCH();
	{
		ErrorData  *error;

		run_signal_ignore();
		run_signal_disarm_deadline();
		MemoryContextSwitchTo(run->context);
		error = CopyErrorData();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		coordinator_refuse(run, error);
	}
	PG_END_TRY();

	return begun;
}

/*
 * A part of the run's life in which an error (a full disk, say) makes the run
 * fail, but not die.
 */
static void
coordinator_guard(RunState *run, void (*part) (RunState *), const char *what)
{
	PG_TRY();
	{
		part(run);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(run->context);
		error = CopyErrorData();
		EmitErrorReport();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		run_signal_ignore();
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			run_state_check_signals(run);	/* the first reason counts */
		run_state_give_up(run, ETL_RUN_FAILED, error->sqlerrcode,
						  psprintf("run " INT64_FORMAT " of pipeline \"%s\" %s: %s",
								   run->run_id, run->pipeline->name, what, error->message),
						  error->detail, error->hint);
		if (run->pool != NULL)
			pool_stop_all(run->pool, STOP_CANCELLED);
	}
	PG_END_TRY();
}

/* ---- ending ---- */

static void
coordinator_answer(RunState *run)
{
	StringInfoData summary;

	MemoryContextSwitchTo(run->context);
	initStringInfo(&summary);
	appendStringInfo(&summary, "%d of %d %s succeeded", run->nsucceeded, run->nselected,
					 run->nselected == 1 ? "step" : "steps");
	if (run->nfailed > 0)
		appendStringInfo(&summary, ", %d failed", run->nfailed);
	if (run->nskipped > 0)
		appendStringInfo(&summary, ", %d skipped", run->nskipped);
	if (run->ncancelled > 0)
		appendStringInfo(&summary, ", %d cancelled", run->ncancelled);
	appendStringInfo(&summary, ", %s", run_state_seconds(run->started));

	if (run->verdict == ETL_RUN_SUCCESS)
		run_state_tell(run, REQUEST_FINISHED, 0,
					   psprintf("run " INT64_FORMAT " of pipeline \"%s\": SUCCESS, %s",
								run->run_id, run->pipeline->name, summary.data),
					   NULL, NULL);
	else
		run_state_tell(run, REQUEST_ERROR, run->reason.sqlerrcode, run->reason.message,
					   run->reason.detail ?
					   psprintf("%s\n%s", run->reason.detail, summary.data) : summary.data,
					   run->reason.hint ? run->reason.hint :
					   psprintf("SELECT * FROM etl.log WHERE run_id = " INT64_FORMAT
								" AND status <> 'SUCCESS' shows what happened.", run->run_id));
}

static void
coordinator_end_run(RunState *run)
{
	if (run->pool != NULL)
		pool_shutdown(run->pool);
	if (run->holder != NULL)
		snapshot_holder_shutdown(run->holder);
	if (run->verdict == ETL_RUN_SUCCESS)
	{
		if (run->staging_left)
			publisher_clean_up(run);
	}
	else
	{
		/* what the steps have made stays: etl.resume may go on from there */
		run_state_begin(run);
		catalog_end_run(run->run_id, run->verdict, run->reason.message,
						resume_spans_instants(run));
		run_state_notify(run, run->verdict);
		run_state_commit(run);
	}

	/* whoever gets the answer must be able to start the next run at once */
	lock_release_pipeline(run->pipeline->id);
	lock_release_run(run->run_id);
	coordinator_answer(run);
}

static void
coordinator_run(RunState *run)
{
	if (!coordinator_begin_run(run))
		return;
	run_state_tell(run, REQUEST_LAUNCHED, 0, NULL, NULL, NULL);

	coordinator_guard(run, coordinator_share, "could not be coordinated");
	if (run->pool != NULL)
	{
		run_state_show(run, "running steps");
		coordinator_guard(run, scheduler_run, "could not be coordinated");
		pool_dismiss(run->pool);
		snapshot_holder_dismiss(run->holder);
	}

	/* a failed step has left its reason, without ending the run early */
	if (run->verdict == ETL_RUN_RUNNING && run->nfailed > 0)
		run->verdict = ETL_RUN_FAILED;
	if (run->verdict == ETL_RUN_RUNNING)
		coordinator_guard(run, publisher_run, "could not be published");
	coordinator_end_run(run);
}

void
etl_coordinator_main(Datum arg)
{
	RunState   *run;
	MemoryContext context;
	CoordinatorStart start;

	run_signal_install();
	BackgroundWorkerUnblockSignals();

	memcpy(&start, MyBgworkerEntry->bgw_extra, sizeof(start));

	context = AllocSetContextCreate(TopMemoryContext, "etl run", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	run = palloc0(sizeof(RunState));
	run->context = context;
	run->tick_context = AllocSetContextCreate(context, "etl tick", ALLOCSET_DEFAULT_SIZES);
	run->verdict = ETL_RUN_RUNNING;
	run->server = request_attach(start.request, &run->request);
	if (run->server == NULL)
		return;					/* the caller has gone */

	BackgroundWorkerInitializeConnectionByOid(start.database, start.owner, security_worker_flags());
	session_pin_settings();
	/* meant for tables; its signal would look like one that cancels the run */
	SetConfigOption("lock_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
	MemoryContextSwitchTo(context);

	/* a run that was promised is held from before the promise is kept */
	if (run->request->run_id != 0)
		lock_run(run->request->run_id);
	request_accept(run->server);
	if (request_caller_is_gone(run->server))
		return;					/* too early to send us a signal */

	coordinator_run(run);
	process_dismiss(PROCESS_SNAPSHOT_HOLDER);
	process_dismiss(PROCESS_WORKER);

	/* a caller that takes in nothing, as its client does not, must not keep the process */
	pqsignal(SIGTERM, die);
	pqsignal(SIGINT, die);
	if (!run_signal_has(RUN_SIGNAL_TERMINATE))
		request_drain(run->server);
}
