/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The process that executes steps: one attempt after another, as its
 *	  coordinator hands them out.
 *
 * An attempt takes three transactions at the most:
 *
 *	 1. The attempt is logged as RUNNING; the step's SQL is parsed and pointed
 *		at the run's staging schema; its settings are made the session's.
 *	 2. The step is executed and logged as SUCCESS.  One commit, so that
 *		etl.log says SUCCESS if and only if the step's work is there.
 *	 3. Only after an error: the attempt is logged as FAILED or CANCELLED.
 *
 * The settings belong to the session and not to the transaction, because a
 * command step may commit in the middle; session_reset wipes them, with
 * everything else, before the next attempt.
 *
 * The coordinator interrupts a step with SIGINT, and says why in the slot's
 * "stop".  A SIGINT without that came from a person.  Interrupts of that kind
 * are held off in transactions 1 and 3: they are short, and must not be lost.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "run/worker.h"

#include <signal.h>

#include "access/xact.h"
#include "base/guc.h"
#include "base/names.h"
#include "base/security.h"
#include "base/session.h"
#include "common/pg_prng.h"
#include "define/pipeline.h"
#include "execute/check.h"
#include "execute/command.h"
#include "execute/materialize.h"
#include "execute/plan_capture.h"
#include "execute/source_check.h"
#include "executor/instrument.h"
#include "mb/pg_wchar.h"
#include "metastore/catalog.h"
#include "miscadmin.h"
#include "parse/refs.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "run/cpu_share.h"
#include "run/run_shmem.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "table/dependants.h"
#include "table/staging.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/ps_status.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

/* The attempt that is being made; everything in it lives in worker_context. */
typedef struct Attempt
{
	WorkerSlot *slot;
	Step	   *step;
	List	   *statements;		/* of RawStmt, resolved */
	List	   *checks;			/* of StepCheck *, resolved */
	List	   *check_results;	/* of CheckResult *: of those tested */
	bool		reads_partitions;	/* some step that it reads has "repartition" */
	List	   *lost;			/* of Oid: tables that are empty since a crash */
	Oid			published;		/* the table whose place the step's will take */
	List	   *own_indexes;	/* of char *: those of its indexes that are the step's */
	List	   *staged;			/* of char *: tables of the run that it names */
	LocalTransactionId lxid;	/* of the transaction that executes it; 0: none yet */
	bool		inserted;		/* is the RUNNING row committed? */
	bool		importing;		/* it is taking on the run's snapshot */
	TimestampTz started;
	BufferUsage buffers;		/* at the start */
	WalUsage	wal;
	AttemptCost cost;
	Oid			relid;
} Attempt;

static RunShared *worker_run = NULL;
static Pipeline *worker_pipeline = NULL;
static MemoryContext worker_context = NULL; /* reset between attempts */
static Attempt *worker_attempt = NULL;	/* for the error context */
static volatile sig_atomic_t worker_terminated = false; /* has SIGTERM come? */

static void
worker_sigterm(SIGNAL_ARGS)
{
	worker_terminated = true;
	die(postgres_signal_arg);
}

static void
worker_exit(int code, Datum arg)
{
	WorkerSlot *slot = (WorkerSlot *) DatumGetPointer(arg);

	/* an attempt that was cut short by a person's pg_terminate_backend */
	if (run_shmem_slot_state(slot) == SLOT_ASSIGNED)
		slot->cause = worker_terminated ? RETRY_CAUSE_ADMIN : RETRY_CAUSE_WORKER_LOST;

	run_shmem_slot_set_state(slot, SLOT_GONE);
	SetLatch(&worker_run->coordinator->procLatch);
}

static void
worker_error_context(void *arg)
{
	if (worker_attempt != NULL && worker_attempt->step != NULL)
		errcontext("step \"%s\" of pipeline \"%s\", run " INT64_FORMAT ", attempt %d",
				   worker_attempt->step->process_name, worker_pipeline->name,
				   worker_run->run_id, worker_attempt->slot->attempt);
}

/* What an observer sees: process title and pg_stat_activity. */
static void
worker_show(Attempt *attempt)
{
	char		title[NAMEDATALEN * 2 + 64];
	StringInfoData query;

	snprintf(title, sizeof(title), "run " INT64_FORMAT ": %s, attempt %d",
			 worker_run->run_id, attempt->step->process_name, attempt->slot->attempt);
	set_ps_display(title);

	initStringInfo(&query);
	appendStringInfo(&query, "/* run " INT64_FORMAT ", step %s, attempt %d */ %s",
					 worker_run->run_id, attempt->step->process_name,
					 attempt->slot->attempt, attempt->step->sql_query);
	pgstat_report_activity(STATE_RUNNING, query.data);
	pfree(query.data);
}

/*
 * Where a reference of the step's SQL leads: to the run's staging schema when it
 * names a step of this run, to the target schema when it names a step that is
 * not part of the run.  What a command creates belongs into the target schema,
 * although the staging schema comes first in the search path.
 */
static const char *
worker_resolve(const char *schema, const char *name, bool created, void *arg)
{
	Attempt    *attempt = (Attempt *) arg;
	int32		step_id;
	int32		repartition;
	EtlStepKind kind;

	if (schema != NULL && strcmp(schema, worker_pipeline->target_schema) != 0)
		return NULL;
	if (created)
		return worker_pipeline->target_schema;
	if (strcmp(name, attempt->step->process_name) == 0)
		return NULL;
	if (!catalog_lookup_step(worker_run->pipeline_id, worker_run->version, name,
							 &step_id, &kind, &repartition) ||
		kind != ETL_STEP_QUERY)
		return NULL;
	if (repartition > 0)
		attempt->reads_partitions = true;
	if (!run_shmem_is_selected(worker_run, step_id))
		return worker_pipeline->target_schema;
	if (!names_contain(attempt->staged, name))
		attempt->staged = lappend(attempt->staged, pstrdup(name));
	return staging_name(worker_run->staging);
}

/* In checks the step's own name means the table that it has just made. */
static const char *
worker_resolve_in_check(const char *schema, const char *name, bool created, void *arg)
{
	Attempt    *attempt = (Attempt *) arg;

	if (strcmp(name, attempt->step->process_name) == 0 &&
		(schema == NULL || strcmp(schema, worker_pipeline->target_schema) == 0))
		return staging_name(worker_run->staging);
	return worker_resolve(schema, name, created, arg);
}

/* staging, target, then the pipeline's own */
static void
worker_set_search_path(void)
{
	StringInfoData path;

	initStringInfo(&path);
	appendStringInfoString(&path, quote_identifier(staging_name(worker_run->staging)));
	appendStringInfo(&path, ", %s", quote_identifier(worker_pipeline->target_schema));
	if (worker_pipeline->search_path[0] != '\0')
		appendStringInfo(&path, ", %s", worker_pipeline->search_path);
	session_set("search_path", path.data);
	pfree(path.data);
}

static void
worker_prepare(Attempt *attempt)
{
	WorkerSlot *slot = attempt->slot;
	Step	   *step;
	const char *params;
	ListCell   *lc;

	StartTransactionCommand();
	MemoryContextSwitchTo(worker_context);
	PushActiveSnapshot(GetTransactionSnapshot());

	step = catalog_load_step(worker_run->pipeline_id, worker_run->version, slot->step_id);
	if (step == NULL)
		elog(ERROR, "step %d of pipeline %d, version %d does not exist",
			 slot->step_id, worker_run->pipeline_id, worker_run->version);
	attempt->step = step;
	worker_show(attempt);

	catalog_insert_attempt(worker_run->run_id, step->step_id, step->process_name,
						   slot->attempt);

	attempt->statements = refs_parse(step->sql_query);
	refs_retarget(attempt->statements, worker_resolve, attempt);
	foreach(lc, step->checks)
	{
		StepCheck  *check = step_check_parse(lfirst(lc), step->process_name);

		step_check_retarget(check, worker_resolve_in_check, attempt);
		attempt->checks = lappend(attempt->checks, check);
	}

	if (worker_run->lost_outputs)
		attempt->lost = catalog_load_lost();
	if (step->kind == ETL_STEP_QUERY && step->keep)
	{
		const char *schema = worker_pipeline->target_schema;

		attempt->published = catalog_published(worker_run->pipeline_id, schema,
											   step->process_name);
		attempt->own_indexes = catalog_output_indexes(worker_run->pipeline_id, schema,
													  step->process_name);
	}

	worker_set_search_path();
	params = run_shmem_params();
	session_set(GUC_PARAMS_NAME, params != NULL ? params : "{}");
	materialize_planner_settings(step->broadcast, attempt->reads_partitions);
	foreach(lc, step->settings)
		session_set_assignment((const char *) lfirst(lc));

	PopActiveSnapshot();
	/* if the server loses this row, it loses the attempt with it */
	(void) set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_LOCAL, true, 0, false);
	CommitTransactionCommand();
	attempt->inserted = true;
}

/*
 * The transaction reads as of the run's instant.  Its rows do not belong to that
 * past: they are written frozen, so that the steps after it see them.
 */
static void
worker_import_snapshot(Attempt *attempt)
{
	attempt->importing = true;
	if (run_shmem_holder_state(worker_run) != SNAPSHOT_HOLDER_READY)
		elog(ERROR, "there is no snapshot to import");
	XactIsoLevel = XACT_REPEATABLE_READ;
	XactReadOnly = false;
	ImportSnapshot(worker_run->holder.snapshot);
	attempt->importing = false;
}

static int
worker_parallel_workers(Cost cost)
{
	return cpu_share_workers(worker_run, worker_attempt->slot, worker_attempt->step, cost);
}

/* A query step: make its table, and test its checks. */
static void
worker_execute_query(Attempt *attempt)
{
	Step	   *step = attempt->step;
	MaterializeTarget target = {
		.table = {
			.schema = worker_run->staging,
			.name = step->process_name,
			.logged = attempt->slot->logged,
			.partitions = step->repartition,
			.partition_by = step->repartition_by,
			.partition_key = step->partition_key,
			.published = attempt->published,
			.own = attempt->own_indexes,
		},
		.cache = step->cache,
		.cache_limit = worker_run->settings.cache_limit,
		.indexes = step->indexes,
		.parallel_workers = worker_parallel_workers,
	};
	MaterializeResult result = {0};
	List	   *relids;

	materialize_query(linitial_node(RawStmt, attempt->statements), step->sql_query, &target,
					  &result);
	attempt->relid = result.relid;
	attempt->cost.count_rows = result.rows;
	attempt->cost.table_size = result.size;
	attempt->cost.warnings = result.warnings;
	attempt->cost.step_indexes = result.indexes;
	if (attempt->checks != NIL)
		check_rows(attempt->checks, &attempt->check_results, &attempt->cost.warnings);

	/* nobody reads the table before publish, which is flushed to disk */
	(void) set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_LOCAL, true, 0, false);
	session_settle();
	relids = plan_capture_relations();
	attempt->cost.read_sources = source_check_is_among(relids, worker_run->staging);
	if (attempt->slot->one_instant)
		source_check_unchanged(relids, worker_run->staging);
}

/*
 * What a command has made over a table of the run, a view say, would show rows before they are
 * published, and go with the run.
 */
static void
worker_check_dependants(const Attempt *attempt)
{
	ListCell   *lc;

	foreach(lc, attempt->staged)
	{
		Oid			relid = get_relname_relid(lfirst(lc), worker_run->staging);

		if (OidIsValid(relid))
			dependants_check_staged(relid, worker_run->staging);
	}
}

static void
worker_execute(Attempt *attempt)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	MemoryContextSwitchTo(worker_context);
	attempt->lxid = COMPAT_MY_LXID;
	attempt->cost.count_rows = -1;
	attempt->cost.table_size = -1;
	if (attempt->slot->one_instant)
		worker_import_snapshot(attempt);

	if (attempt->step->kind == ETL_STEP_QUERY)
		worker_execute_query(attempt);
	else
	{
		attempt->cost.count_rows =
			command_execute(attempt->statements, attempt->step->sql_query,
							attempt->step->kind == ETL_STEP_COMMAND_ALONE);
		session_settle();
		worker_check_dependants(attempt);
	}
}

static void
worker_watch(const Attempt *attempt)
{
	PlanCapture wanted = {0};

	MemoryContextSwitchTo(worker_context);
	wanted.keep = worker_run->settings.keep_plans != KEEP_PLANS_OFF;
	wanted.timing = worker_run->settings.plan_timing;
	wanted.broadcast = attempt->step->broadcast;
	wanted.lost = attempt->lost;
	wanted.relations = attempt->step->kind == ETL_STEP_QUERY;
	plan_capture_begin(&wanted);
}

/* What the attempt took until now; to be called once. */
static void
worker_measure(Attempt *attempt)
{
	BufferUsage buffers = {0};
	WalUsage	wal = {0};
	MemoryContext old;
	char	   *plans;
	List	   *warnings;

	BufferUsageAccumDiff(&buffers, &pgBufferUsage, &attempt->buffers);
	WalUsageAccumDiff(&wal, &pgWalUsage, &attempt->wal);
	attempt->cost.shared_blks_hit = buffers.shared_blks_hit;
	attempt->cost.shared_blks_read = buffers.shared_blks_read;
	attempt->cost.temp_blks_read = buffers.temp_blks_read;
	attempt->cost.temp_blks_written = buffers.temp_blks_written;
	attempt->cost.wal_bytes = (int64) wal.wal_bytes;

	/* the transaction's end must not take it along */
	old = MemoryContextSwitchTo(worker_context);
	plan_capture_end(&plans, &warnings);
	if (worker_run->settings.keep_plans == KEEP_PLANS_ON ||
		TimestampDifferenceExceeds(attempt->started, GetCurrentTimestamp(),
								   worker_run->settings.slow_step_ms))
		attempt->cost.plan = plans;
	attempt->cost.warnings = list_concat(attempt->cost.warnings, warnings);
	MemoryContextSwitchTo(old);
}

/* Return true if it has failed because of the run's snapshot, and so would do so again. */
static bool
worker_snapshot_cause(const Attempt *attempt, ErrorData *error)
{
	if (!attempt->slot->one_instant)
		return false;
	if (attempt->importing && run_shmem_holder_state(worker_run) != SNAPSHOT_HOLDER_READY)
	{
		error->sqlerrcode = ERRCODE_ETL_SNAPSHOT_LOST;
		error->message = pstrdup("the run's snapshot is gone");
		error->detail = pstrdup("The process that held it has ended.");
		return true;
	}
	if (error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE)
	{
		if (error->hint == NULL)
			error->hint = pstrdup("The step changes rows that somebody else has changed since the run's snapshot was taken. Change them in a command step, or set the pipeline's one_snapshot to false.");
		return true;
	}
	return error->sqlerrcode == ERRCODE_ETL_SOURCE_CHANGED;
}

/* Why it ended, where the error's SQLSTATE is not all there is to say. */
static RetryCause
worker_cause(Attempt *attempt, ErrorData *error)
{
	bool		committed = attempt->lxid != InvalidLocalTransactionId &&
	COMPAT_MY_LXID != attempt->lxid;

	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
	{
		switch ((SlotStop) pg_atomic_read_u32(&attempt->slot->stop))
		{
			case STOP_NONE:
				return RETRY_CAUSE_ADMIN;
			case STOP_STEP_TIMEOUT:
				error->message = pstrdup("canceling step due to step_timeout");
				return committed ? RETRY_CAUSE_COMMITTED : RETRY_CAUSE_STEP_TIMEOUT;
			case STOP_RUN_TIMEOUT:
				error->message = pstrdup("canceling step due to run_timeout");
				return RETRY_CAUSE_RUN_OVER;
			case STOP_CANCELLED:
				error->message = pstrdup("canceling step because the run was cancelled");
				return RETRY_CAUSE_RUN_OVER;
		}
	}
	if (committed)
		return RETRY_CAUSE_COMMITTED;
	if (error->sqlerrcode == ERRCODE_ETL_CHECK_FAILED)
		return RETRY_CAUSE_CHECK;
	return worker_snapshot_cause(attempt, error) ? RETRY_CAUSE_SNAPSHOT : RETRY_CAUSE_ERROR;
}

/* What the error's position is a place in; NULL: nothing that the user knows. */
static const char *
worker_place(const Attempt *attempt, const ErrorData *error)
{
	ListCell   *lc;

	if (error->internalpos <= 0 || error->internalquery == NULL || attempt->step == NULL)
		return NULL;
	if (strcmp(error->internalquery, attempt->step->sql_query) == 0)
		return "the step's SQL";
	foreach(lc, attempt->checks)
	{
		if (strcmp(error->internalquery, ((const StepCheck *) lfirst(lc))->sql) == 0)
			return "the check";
	}
	return NULL;
}

/* The place of the error, as one more line of context. */
static void
worker_locate(Attempt *attempt, ErrorData *error)
{
	int			line = 1;
	int			column = 1;
	const char *sql = error->internalquery;
	const char *place = worker_place(attempt, error);

	if (place == NULL)
		return;
	for (int i = 1; i < error->internalpos && *sql != '\0'; i++)
	{
		if (*sql == '\n')
		{
			line++;
			column = 0;
		}
		column++;
		sql += pg_mblen(sql);
	}
	error->context = psprintf("line %d, column %d of %s%s%s", line, column, place,
							  error->context ? "\n" : "",
							  error->context ? error->context : "");
}

/* What the caller is told of the attempt. */
static void
worker_say(WorkerSlot *slot, const char *message)
{
	int			length = pg_mbcliplen(message, strlen(message), SLOT_MESSAGE_SIZE - 1);

	memcpy(slot->message, message, length);
	slot->message[length] = '\0';
}

static void
worker_say_warnings(WorkerSlot *slot, const List *warnings)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	foreach(lc, warnings)
		appendStringInfo(&text, "%swarning: %s", text.len > 0 ? "\n" : "", (char *) lfirst(lc));
	worker_say(slot, text.data);
}

/* With the end of the attempt, in the transaction that logs it. */
static void
worker_log_checks(const Attempt *attempt)
{
	if (attempt->check_results != NIL)
		catalog_insert_check_results(worker_run->run_id, attempt->step->step_id,
									 attempt->step->process_name, attempt->slot->attempt,
									 attempt->check_results);
}

static void
worker_log_success(Attempt *attempt)
{
	XactReadOnly = false;		/* what the step may have set is not meant for us */
	catalog_attempt_succeeded(worker_run->run_id, attempt->slot->step_id, attempt->slot->attempt,
							  &attempt->cost);
	worker_log_checks(attempt);
}

static void
worker_say_success(Attempt *attempt)
{
	WorkerSlot *slot = attempt->slot;

	slot->status = ETL_STEP_SUCCESS;
	worker_say_warnings(slot, attempt->cost.warnings);
	slot->relid = attempt->relid;
	slot->count_rows = attempt->cost.count_rows;
	slot->table_size = attempt->cost.table_size;
	slot->read_sources = attempt->cost.read_sources;
}

/* Transaction 3.  The coordinator is told in any case. */
static void
worker_failed(Attempt *attempt, ErrorData *error, RetryCause cause)
{
	WorkerSlot *slot = attempt->slot;
	RetryPolicy policy;
	bool		again = false;

	/* without its row a step has no policy, and no better chance the next time */
	if (attempt->step != NULL)
	{
		pipeline_retry_policy(worker_pipeline, attempt->step, &policy);
		again = retry_again(&policy, slot->attempt, cause,
							unpack_sql_state(error->sqlerrcode));
	}

	slot->status = cause == RETRY_CAUSE_RUN_OVER ? ETL_STEP_CANCELLED : ETL_STEP_FAILED;
	slot->cause = cause;
	slot->sqlerrcode = error->sqlerrcode;
	slot->retry_at = 0;
	worker_say(slot, error->message);
	if (again)
	{
		int64		delay = retry_delay_ms(&policy, slot->attempt,
										   pg_prng_double(&pg_global_prng_state));

		slot->retry_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), delay);
	}

	StartTransactionCommand();
	XactReadOnly = false;		/* as the step may have left it */
	MemoryContextSwitchTo(worker_context);
	PushActiveSnapshot(GetTransactionSnapshot());
	catalog_attempt_failed(worker_run->run_id, slot->step_id,
						   attempt->step ? attempt->step->process_name : "",
						   slot->attempt, slot->status, error, slot->retry_at,
						   &attempt->cost);
	worker_log_checks(attempt);
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/*
 * Forget a cancellation that was meant for the attempt before, but not one that is meant for this.
 */
static void
worker_forget_cancel(const WorkerSlot *slot)
{
	QueryCancelPending = false;
	pg_memory_barrier();
	if (pg_atomic_read_u32(unconstify(pg_atomic_uint32 *, &slot->stop)) != STOP_NONE)
	{
		QueryCancelPending = true;
		InterruptPending = true;
	}
}

static Attempt *
worker_begin_attempt(WorkerSlot *slot)
{
	Attempt    *attempt = palloc0(sizeof(Attempt));

	attempt->slot = slot;
	attempt->started = GetCurrentTimestamp();
	attempt->buffers = pgBufferUsage;
	attempt->wal = pgWalUsage;
	return attempt;
}

/* Transactions 1 and 2. */
static void
worker_try(Attempt *attempt)
{
	HOLD_CANCEL_INTERRUPTS();
	worker_prepare(attempt);
	RESUME_CANCEL_INTERRUPTS();

	worker_watch(attempt);
	worker_execute(attempt);
	worker_measure(attempt);
	worker_log_success(attempt);
	CommitTransactionCommand();
	MemoryContextSwitchTo(worker_context);
	worker_say_success(attempt);
}

/*
 * After an error in one of these: end the transaction, and log why.  The process goes on, whatever
 * the error was.
 */
static void
worker_catch(Attempt *attempt)
{
	ErrorData  *error;
	RetryCause	cause;

	MemoryContextSwitchTo(worker_context);
	error = CopyErrorData();
	cause = worker_cause(attempt, error);
	EmitErrorReport();
	FlushErrorState();
	AbortOutOfAnyTransaction();
	MemoryContextSwitchTo(worker_context);
	worker_measure(attempt);
	attempt->cost.count_rows = -1;
	attempt->cost.table_size = -1;
	worker_locate(attempt, error);
	if (error->sqlerrcode == ERRCODE_ETL_CHECK_FAILED && error->hint == NULL)
		error->hint = "etl.check_log has the results of all checks.";

	HOLD_CANCEL_INTERRUPTS();
	worker_failed(attempt, error, cause);
	RESUME_CANCEL_INTERRUPTS();
}

static void
worker_make_attempt(WorkerSlot *slot)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(worker_context);

	worker_attempt = worker_begin_attempt(slot);
	worker_forget_cancel(slot);
	PG_TRY();
	{
		worker_try(worker_attempt);
	}
	PG_CATCH();
	{
		worker_catch(worker_attempt);
	}
	PG_END_TRY();
	worker_attempt = NULL;
	MemoryContextSwitchTo(oldcontext);
	MemoryContextReset(worker_context);
}

static void
worker_start(const WorkerStart *start)
{
	char		appname[NAMEDATALEN];

	BackgroundWorkerInitializeConnectionByOid(start->database, start->owner,
											  security_worker_flags());
	session_pin_settings();
	plan_capture_install();
	session_begin_worker(worker_run->nwaiting, worker_run->waiting);
	snprintf(appname, sizeof(appname), "%s run " INT64_FORMAT,
			 ETL_EXTENSION_NAME, worker_run->run_id);
	SetConfigOption("application_name", appname, PGC_USERSET, PGC_S_OVERRIDE);

	worker_context = AllocSetContextCreate(TopMemoryContext, "etl attempt",
										   ALLOCSET_DEFAULT_SIZES);

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(TopMemoryContext);
	worker_pipeline = catalog_load_pipeline(worker_run->pipeline_id, worker_run->version);
	PopActiveSnapshot();
	CommitTransactionCommand();
	if (worker_pipeline == NULL)
		elog(ERROR, "pipeline %d has no version %d", worker_run->pipeline_id, worker_run->version);
}

void
worker_before_other_run(void)
{
	if (worker_run == NULL || worker_run->holder.pid == 0)
		return;
	pg_read_barrier();			/* proc was written before pid */
	pg_atomic_write_u32(&worker_run->holder.give_way, 1);
	SetLatch(&worker_run->holder.proc->procLatch);
}

void
etl_worker_main(Datum arg)
{
	WorkerStart start;
	WorkerSlot *slot;
	dsm_segment *segment;
	ErrorContextCallback callback;

	pqsignal(SIGTERM, worker_sigterm);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();

	memcpy(&start, MyBgworkerEntry->bgw_extra, sizeof(start));
	worker_run = run_shmem_attach(start.run, &segment);
	if (worker_run == NULL)
		return;					/* the run is over */
	slot = &worker_run->slots[start.slot];
	slot->proc = MyProc;
	slot->pid = MyProcPid;
	before_shmem_exit(worker_exit, PointerGetDatum(slot));

	worker_start(&start);

	callback.callback = worker_error_context;
	callback.arg = NULL;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	run_shmem_slot_set_state(slot, SLOT_IDLE);
	SetLatch(&worker_run->coordinator->procLatch);

	for (;;)
	{
		if (run_shmem_slot_state(slot) == SLOT_ASSIGNED)
		{
			/*
			 * From the commit to the message that tells of it nothing may end the process: the
			 * coordinator would take a success for a loss.
			 */
			worker_make_attempt(slot);
			HOLD_INTERRUPTS();
			slot->done = true;
			slot->leaving = !session_reset();
			run_shmem_slot_set_state(slot, SLOT_DONE);
			RESUME_INTERRUPTS();
			SetLatch(&worker_run->coordinator->procLatch);

			pgstat_report_stat(false);
			pgstat_report_activity(STATE_IDLE, NULL);
			set_ps_display("idle");
			if (slot->leaving)
				return;			/* the coordinator starts a fresh process */
			continue;
		}
		if (pg_atomic_read_u32(&worker_run->over) != 0)
			return;

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, 0, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		QueryCancelPending = false;
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
	}
}
