/*-------------------------------------------------------------------------
 *
 * coordinator.c
 *	  The process that owns a run, from its birth to its end.
 *
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
#include "coordinator.h"

#include <signal.h>

#include "access/transam.h"
#include "access/xact.h"
#include "catalog.h"
#include "commands/async.h"
#include "lock.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "publish.h"
#include "resume.h"
#include "runstate.h"
#include "security.h"
#include "session.h"
#include "staging.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/ps_status.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* Between two tries to get the locks for publishing. */
#define PUBLISH_RETRY_MIN_MS	10
#define PUBLISH_RETRY_MAX_MS	1000

/*
 * From which pause on a try waits for locks, and how long at most: so long may
 * those be held up who want to read the tables.
 */
#define PUBLISH_PATIENT_FROM_MS	80
#define PUBLISH_PATIENCE_MS		100

/* For how long a run that has succeeded waits for those who read its staging tables. */
#define CLEAN_UP_TRIES			20
#define CLEAN_UP_RETRY_MS		100

/* What an observer sees: process title and pg_stat_activity. */
static void
coordinator_show(RunState *run, const char *phase)
{
	char	   *title = psprintf("run " INT64_FORMAT " of pipeline %s: %s",
								 run->run_id, run->pipeline->name, phase);

	set_ps_display(title);
	pgstat_report_activity(STATE_RUNNING, title);
}

/* ---- waiting for its turn, beginning ---- */

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
	runstate_allow_interrupts();
	XactLockTableWait(xid, NULL, NULL, XLTW_None);
	runstate_forbid_interrupts();
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
	runstate_allow_interrupts();
	free = lock_pipeline(id, wait);
	runstate_forbid_interrupts();
	if (caller != 0)
		lock_caller_release(caller);
	CommitTransactionCommand();
	MemoryContextSwitchTo(run->context);

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
		pipeline_check_unselected(run->graph, run->selected);
	}
	pipeline_check_targets(run->graph, run->selected);

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
	runstate_begin(run);
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
	runstate_commit(run);

	SetConfigOption("application_name",
					psprintf("%s run " INT64_FORMAT, ETL_EXTENSION_NAME, run->run_id),
					PGC_USERSET, PGC_S_OVERRIDE);
	run->started = GetCurrentTimestamp();
	run->deadline = DT_NOEND;
	if (run->pipeline->run_timeout_ms != CATALOG_NO_TIMEOUT)
		run->deadline = TimestampTzPlusMilliseconds(run->started,
													run->pipeline->run_timeout_ms);
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
	run->shared = shm_create(Max(1, Min(nslots, run->nselected)), selected, run->nselected,
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
	run->pool = pool_create(run->shared, segment);
	run->holder = holder_create(run->shared, segment);
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

	runstate_begin(run);
	if (TransactionIdIsValid(after))
	{
		XactLockTableWait(after, NULL, NULL, XLTW_None);
		if (!TransactionIdDidCommit(after))
		{
			runstate_commit(run);
			return;
		}
	}
	coordinator_write_row(run, run->request->run_id, 0);
	catalog_end_run(run->request->run_id, status, message, false);
	runstate_commit(run);
}

/* A run that could not begin: a caller that waits gets the error. */
static void
coordinator_refuse(RunState *run, ErrorData *error)
{
	RequestMessage answer = {0};
	bool		cancelled = error->sqlerrcode == ERRCODE_QUERY_CANCELED;

	if (cancelled)
	{
		error->sqlerrcode = ERRCODE_ETL_RUN_CANCELLED;
		error->message = pstrdup("the run was cancelled before it began");
		if (run->request->conflict == ETL_CONFLICT_WAIT)
			error->hint = pstrdup("A run that waits for another one is also cancelled when that one needs a lock of the waiting session's: commit before the run.");
	}

	answer.kind = REQUEST_ERROR;
	answer.sqlerrcode = error->sqlerrcode;
	answer.message = error->message;
	answer.detail = error->detail;
	answer.hint = error->hint;
	answer.context = error->context;
	request_send(run->server, &answer);

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
			runstate_allow_interrupts();
			if (run->request->resumes != 0)
				resume_take_over(run);
			else
			{
				run->staging = staging_create(run->request->pipeline_id, run->request->owner);
				run->executed = run->selected;
			}
			runstate_forbid_interrupts();
			MemoryContextSwitchTo(run->context);
			run->dag = dag_run_create(run->graph->dag, run->executed, run->pipeline->staged);
			coordinator_insert_run(run);
			begun = true;
		}
		else
		{
			runstate_tell(run, REQUEST_SKIPPED, 0, NULL, NULL, NULL);
			coordinator_log_unbegun(run, ETL_RUN_CANCELLED,
									"skipped, as another run of the pipeline was on");
		}
	}
	PG_CATCH();
	{
		ErrorData  *error;

		runstate_forbid_interrupts();
		MemoryContextSwitchTo(run->context);
		error = CopyErrorData();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		coordinator_refuse(run, error);
	}
	PG_END_TRY();

	return begun;
}

/* ---- publishing ---- */

/* The tables that the run leaves: kept, and not somebody else's already. */
static List *
coordinator_outputs(RunState *run)
{
	List	   *outputs = NIL;

	for (int i = 0; i < run->graph->nsteps; i++)
	{
		PublishOutput *output;

		if (!OidIsValid(run->steps[i].relid) || !run->graph->steps[i]->keep)
			continue;
		output = palloc0(sizeof(PublishOutput));
		output->process_name = run->graph->steps[i]->process_name;
		output->relid = run->steps[i].relid;
		output->count_rows = run->steps[i].count_rows;
		output->table_size = run->steps[i].table_size;
		outputs = lappend(outputs, output);
	}
	return outputs;
}

static void
coordinator_notify(RunState *run, EtlRunStatus status)
{
	StringInfoData payload;

	if (!run->request->settings.notify)
		return;
	initStringInfo(&payload);
	appendStringInfo(&payload, "{\"run_id\": " INT64_FORMAT ", \"pipeline\": ", run->run_id);
	escape_json(&payload, run->pipeline->name);
	appendStringInfo(&payload, ", \"status\": \"%s\"}", catalog_run_status_word(status));
	Async_Notify(ETL_EXTENSION_NAME, payload.data);
}

/*
 * People have added an index or a constraint to a published table since the step
 * looked: the run's table gets it, too, in a transaction of its own.
 */
static void
coordinator_catch_up(RunState *run, const PublishSet *set,
					 const PublishObstacle *obstacle)
{
	if (obstacle->stale == NULL)
		return;
	AbortOutOfAnyTransaction();
	runstate_begin(run);
	runstate_allow_interrupts();
	publish_catch_up(set, obstacle->stale);
	runstate_forbid_interrupts();
	runstate_commit(run);
}

/* What is left in staging is only what was left there on purpose. */
static void
coordinator_leave_staging(RunState *run, const PublishSet *set)
{
	run->staging_left = set->left != NIL;
	if (run->staging_left)
		staging_check_strays(run->staging, set->left);
	else
		staging_drop_empty(run->staging);
}

/* When the present try has waited long enough. */
static TimestampTz coordinator_patient_until = 0;

static bool
coordinator_wait_for_lock(Oid relation, LOCKMODE mode)
{
	long		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
													   coordinator_patient_until);

	return left > 0 && runstate_lock(relation, mode, left);
}

/*
 * One try.  Returns true when the run is published and its row says SUCCESS; else
 * obstacle says why not.
 */
static bool
coordinator_try_publish(RunState *run, bool patient, PublishObstacle *obstacle)
{
	PublishSet	set = {0};
	bool		verified;

	runstate_begin(run);
	memset(obstacle, 0, sizeof(*obstacle));

	/* tables that are not kept, and that somebody was reading when they should go */
	for (int i = 0; i < run->graph->nsteps; i++)
	{
		RunStep    *rs = &run->steps[i];

		if (OidIsValid(rs->relid) && !run->graph->steps[i]->keep && !rs->dropped &&
			!staging_drop_table(rs->relid))
		{
			obstacle->relation = obstacle->table = rs->relid;
			obstacle->mode = AccessExclusiveLock;
			return false;
		}
	}
	set.pipeline_id = run->pipeline->id;
	set.run_id = run->run_id;
	set.target_schema = run->pipeline->target_schema;
	set.outputs = coordinator_outputs(run);
	if (patient)
	{
		coordinator_patient_until =
			TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
										Min(PUBLISH_PATIENCE_MS, DeadlockTimeout / 2));
		set.wait = coordinator_wait_for_lock;
	}
	if (!publish_prepare(&set, obstacle))
	{
		coordinator_catch_up(run, &set, obstacle);
		return false;
	}
	runstate_allow_interrupts();
	verified = publish_verify(&set, obstacle);
	runstate_forbid_interrupts();
	if (!verified)
		return false;
	publish_exchange(&set);
	coordinator_leave_staging(run, &set);
	catalog_end_run(run->run_id, ETL_RUN_SUCCESS, NULL, resume_spans_instants(run));
	coordinator_notify(run, ETL_RUN_SUCCESS);
	if (!publish_finish(&set, obstacle))
		return false;
	runstate_commit(run);
	return true;
}

/* Would publishing have to wait for a session that waits for us? */
static void
coordinator_check_blocker(RunState *run, const PublishObstacle *obstacle)
{
	Oid			blocked = obstacle->relation;
	int		   *pids;
	int			npids = runstate_waiting_sessions(run, &pids);
	LockQueued *queue;
	int			nqueued = lock_pipeline_queue(run->pipeline->id, &queue);
	char	   *name = get_rel_name(obstacle->table);

	if (name == NULL)
		return;					/* dropped meanwhile, or nothing blocks us */

	/* one that waits for its turn gives way, and with it the session behind it */
	for (int i = 0; i < nqueued; i++)
	{
		if (lock_relation_blocked_by(blocked, obstacle->mode, queue[i].caller))
			(void) kill(queue[i].coordinator, SIGINT);
	}

	for (int i = 0; i < npids; i++)
	{
		if (!lock_relation_blocked_by(blocked, obstacle->mode, pids[i]))
			continue;
		runstate_give_up(run, ETL_RUN_CANCELLED, ERRCODE_T_R_DEADLOCK_DETECTED,
						 psprintf("run " INT64_FORMAT " of pipeline \"%s\" was cancelled: step \"%s\" cannot be published without %s on relation %s, which cannot be had before the session that waits for the run goes on",
								  run->run_id, run->pipeline->name, name,
								  GetLockmodeName(DEFAULT_LOCKMETHOD, obstacle->mode),
								  quote_qualified_identifier(run->pipeline->target_schema, name)),
						 psprintf("Process %d holds a lock on it, or waits for who does.", pids[i]),
						 "Commit before the run, or start it with etl.start and wait for it in a new transaction.");
		return;
	}
}

/* Has it taken too long?  Then the run fails, and says whose locks it is. */
static void
coordinator_check_publish_timeout(RunState *run, TimestampTz since,
								  const PublishObstacle *obstacle)
{
	int			timeout = run->request->settings.publish_timeout_ms;
	char	   *name = get_rel_name(obstacle->table);
	char	   *holders;

	if (timeout == 0 || name == NULL ||
		!TimestampDifferenceExceeds(since, GetCurrentTimestamp(), timeout))
		return;
	holders = lock_describe_holders(obstacle->relation, obstacle->mode);
	runstate_give_up(run, ETL_RUN_FAILED, ERRCODE_LOCK_NOT_AVAILABLE,
					 psprintf("run " INT64_FORMAT " of pipeline \"%s\" could not be published: %s on table %s was not free for %d ms",
							  run->run_id, run->pipeline->name,
							  GetLockmodeName(DEFAULT_LOCKMETHOD, obstacle->mode),
							  quote_qualified_identifier(run->pipeline->target_schema, name),
							  timeout),
					 holders,
					 "Let that end, or raise etl_framework.publish_timeout.");
}

static void
coordinator_publish(RunState *run)
{
	int			delay = PUBLISH_RETRY_MIN_MS;
	TimestampTz since = GetCurrentTimestamp();
	bool		told = false;

	coordinator_show(run, "publishing");
	for (;;)
	{
		PublishObstacle obstacle;
		bool		hurry;

		MemoryContextReset(run->tick_context);
		runstate_check_signals(run);
		request_flush(run->server);
		if (run->verdict != ETL_RUN_RUNNING)
			return;

		if (coordinator_try_publish(run, delay >= PUBLISH_PATIENT_FROM_MS, &obstacle))
		{
			run->verdict = ETL_RUN_SUCCESS;
			return;
		}
		if (obstacle.stale != NULL)
			continue;
		coordinator_check_blocker(run, &obstacle);
		coordinator_check_publish_timeout(run, since, &obstacle);
		/* it comes back soon: be there before it */
		hurry = delay == PUBLISH_RETRY_MAX_MS && lock_cancel_autovacuum(obstacle.relation);
		if (delay == PUBLISH_RETRY_MAX_MS && !told && get_rel_name(obstacle.table) != NULL)
		{
			told = true;
			runstate_tell(run, REQUEST_NOTICE, 0,
						  psprintf("all steps have succeeded; publishing waits for a lock on %s",
								   quote_qualified_identifier(run->pipeline->target_schema,
															  get_rel_name(obstacle.table))),
						  NULL, NULL);
		}
		AbortOutOfAnyTransaction();

		if (run->verdict != ETL_RUN_RUNNING)
			return;
		runstate_wait(TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												  hurry ? PUBLISH_RETRY_MIN_MS : delay));
		delay = Min(delay * 2, PUBLISH_RETRY_MAX_MS);
	}
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
		runstate_forbid_interrupts();
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			runstate_check_signals(run);	/* the first reason counts */
		runstate_give_up(run, ETL_RUN_FAILED, error->sqlerrcode,
						 psprintf("run " INT64_FORMAT " of pipeline \"%s\" %s: %s",
								  run->run_id, run->pipeline->name, what, error->message),
						 error->detail, error->hint);
		if (run->pool != NULL)
			pool_stop_all(run->pool, STOP_CANCELLED);
	}
	PG_END_TRY();
}

/* ---- ending ---- */

/* Gives back the storage that the published tables had before. */
static void
coordinator_clean_up(RunState *run)
{
	PG_TRY();
	{
		for (int i = 0; !staging_try_drop(run->staging) && i < CLEAN_UP_TRIES; i++)
			runstate_wait(TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													  CLEAN_UP_RETRY_MS));
	}
	PG_CATCH();
	{
		/* the pipeline's next run tries again, as where a table stayed in use */
		EmitErrorReport();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		runstate_forbid_interrupts();
	}
	PG_END_TRY();
}

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
	appendStringInfo(&summary, ", %s", runstate_seconds(run->started));

	if (run->verdict == ETL_RUN_SUCCESS)
		runstate_tell(run, REQUEST_FINISHED, 0,
					  psprintf("run " INT64_FORMAT " of pipeline \"%s\": SUCCESS, %s",
							   run->run_id, run->pipeline->name, summary.data),
					  NULL, NULL);
	else
		runstate_tell(run, REQUEST_ERROR, run->reason.sqlerrcode, run->reason.message,
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
		holder_shutdown(run->holder);
	if (run->verdict == ETL_RUN_SUCCESS)
	{
		if (run->staging_left)
			coordinator_clean_up(run);
	}
	else
	{
		/* what the steps have made stays: etl.resume may go on from there */
		runstate_begin(run);
		catalog_end_run(run->run_id, run->verdict, run->reason.message,
						resume_spans_instants(run));
		coordinator_notify(run, run->verdict);
		runstate_commit(run);
	}

	/* whoever gets the answer must be able to start the next run at once */
	lock_release(run->pipeline->id, run->run_id);
	coordinator_answer(run);
}

static void
coordinator_run(RunState *run)
{
	if (!coordinator_begin_run(run))
		return;
	runstate_tell(run, REQUEST_LAUNCHED, 0, NULL, NULL, NULL);

	coordinator_guard(run, coordinator_share, "could not be coordinated");
	if (run->pool != NULL)
	{
		coordinator_show(run, "running steps");
		coordinator_guard(run, scheduler_run, "could not be coordinated");
		pool_dismiss(run->pool);
		holder_dismiss(run->holder);
	}

	/* a failed step has left its reason, without ending the run early */
	if (run->verdict == ETL_RUN_RUNNING && run->nfailed > 0)
		run->verdict = ETL_RUN_FAILED;
	if (run->verdict == ETL_RUN_RUNNING)
		coordinator_guard(run, coordinator_publish, "could not be published");
	coordinator_end_run(run);
}

void
etl_coordinator_main(Datum arg)
{
	RunState   *run;
	MemoryContext context;
	Oid			database;
	Oid			owner;

	runstate_catch_signals();
	BackgroundWorkerUnblockSignals();

	memcpy(&database, MyBgworkerEntry->bgw_extra, sizeof(Oid));
	memcpy(&owner, MyBgworkerEntry->bgw_extra + sizeof(Oid), sizeof(Oid));

	context = AllocSetContextCreate(TopMemoryContext, "etl run", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	run = palloc0(sizeof(RunState));
	run->context = context;
	run->tick_context = AllocSetContextCreate(context, "etl tick", ALLOCSET_DEFAULT_SIZES);
	run->verdict = ETL_RUN_RUNNING;
	run->server = request_attach(DatumGetUInt32(arg), &run->request);
	if (run->server == NULL)
		return;					/* the caller has gone */

	BackgroundWorkerInitializeConnectionByOid(database, owner, security_worker_flags());
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
	request_drain(run->server);
}
