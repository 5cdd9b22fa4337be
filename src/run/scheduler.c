/*-------------------------------------------------------------------------
 *
 * scheduler.c
 *	  The loop of a coordinator over its run's steps.
 *
 * One turn: heed signals, take in what has ended, hand out what is ready, do
 * what is due, compute when to look again, and wait for the latch.  Which steps
 * are ready is the graph's business (dag_run.c), processes are the pool's
 * (pool.c), and whether an attempt is followed by another one was decided where
 * it ended (retry.c, called by the worker).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "run/run_state.h"

#include <signal.h>

#include "access/xact.h"
#include "base/lock.h"
#include "common/pg_prng.h"
#include "metastore/catalog.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "table/staging.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

/* Workers that die at birth, in a row, before the run gives up. */
#define MAX_FAILED_STARTS		5

/* About how long to wait before asking again for the holder's process slot. */
#define HOLDER_AGAIN_MS			1000

/* How long a run that has lost its processes waits for a slot. */
#define STRANDED_LIMIT_MS		60000

static const char *
scheduler_step_name(RunState *run, int step)
{
	return run->graph->steps[step]->process_name;
}

/* "[3/7] clean_data: SUCCESS, 1000 rows, 48 kB, 0.012 s" */
static void
scheduler_tell_ended(RunState *run, int step, const char *status, const char *message)
{
	RunStep    *rs = &run->steps[step];
	StringInfoData line;

	initStringInfo(&line);
	appendStringInfo(&line, "[%d/%d] %s: %s", run->nended, run->nselected,
					 scheduler_step_name(run, step), status);
	if (rs->count_rows >= 0)
		appendStringInfo(&line, ", " INT64_FORMAT " %s", rs->count_rows,
						 rs->count_rows == 1 ? "row" : "rows");
	if (rs->table_size >= 0)
	{
		Datum		size = DirectFunctionCall1(pg_size_pretty, Int64GetDatum(rs->table_size));

		appendStringInfo(&line, ", %s", text_to_cstring(DatumGetTextPP(size)));
	}
	if (rs->attempts > 0)
		appendStringInfo(&line, ", %s", run_state_seconds(rs->started));
	if (rs->attempts > 1)
		appendStringInfo(&line, ", %d attempts", rs->attempts);
	if (rs->reused != NULL)
		appendStringInfo(&line, ", reused from run " INT64_FORMAT, rs->reused->run_id);
	run_state_tell(run, REQUEST_NOTICE, 0, line.data, message, NULL);
}

/* ---- what happens to steps ---- */

/* A step has ended, however it did.  Let the snapshot go with the last one that needs it. */
static void
scheduler_ended(RunState *run, int step)
{
	run->nended++;
	if (run->steps[step].one_instant && --run->ninstant == 0)
		snapshot_holder_dismiss(run->holder);
}

/* keep => false: the storage is given back when the last reader has ended. */
static void
scheduler_release(RunState *run, int step)
{
	RunStep    *rs = &run->steps[step];

	if (run->graph->steps[step]->keep || rs->dropped || rs->wanted || !OidIsValid(rs->relid) ||
		dag_run_pending_readers(run->dag, step) > 0)
		return;
	/* if somebody is reading it, it has to stay until the run is published */
	run_state_begin(run);
	rs->dropped = staging_drop_table(rs->relid);
	run_state_commit(run);
}

static void
scheduler_release_inputs(RunState *run, int step)
{
	const int  *upstream;
	int			n = dag_upstream(run->graph->dag, step, &upstream);

	for (int i = 0; i < n; i++)
		scheduler_release(run, upstream[i]);
}

/* The step did not succeed: whoever resumes the run needs what it reads. */
static void
scheduler_keep_inputs(RunState *run, int step)
{
	const int  *upstream;
	int			n = dag_upstream(run->graph->dag, step, &upstream);

	for (int i = 0; i < n; i++)
		run->steps[upstream[i]].wanted = true;
}

/* Steps that end without having been tried, in one transaction. */
static void
scheduler_unstarted(RunState *run, int n, const int *steps, EtlStepStatus status)
{
	if (n == 0)
		return;

	run_state_begin(run);
	for (int i = 0; i < n; i++)
	{
		int			cause = dag_run_cause(run->dag, steps[i]);
		char	   *why;

		if (cause >= 0)
			why = psprintf("skipped because step \"%s\" failed", scheduler_step_name(run, cause));
		else
			why = run->reason.message;
		catalog_insert_unstarted(run->run_id, run->graph->steps[steps[i]]->step_id,
								 scheduler_step_name(run, steps[i]), status, why);
		scheduler_ended(run, steps[i]);
		if (status == ETL_STEP_SKIPPED)
			run->nskipped++;
		else
			run->ncancelled++;
		scheduler_tell_ended(run, steps[i],
							 status == ETL_STEP_SKIPPED ? "SKIPPED" : "CANCELLED", why);
	}
	run_state_commit(run);

	for (int i = 0; i < n; i++)
		scheduler_keep_inputs(run, steps[i]);
}

/* Steps that were taken over from an earlier run have ended before this one began. */
static void
scheduler_take_over(RunState *run)
{
	for (int i = 0; i < run->graph->nsteps; i++)
	{
		if (run->steps[i].reused == NULL)
			continue;
		run->nended++;
		run->nsucceeded++;
		scheduler_tell_ended(run, i, "SUCCESS", NULL);
		MemoryContextReset(run->tick_context);
	}
}

/* The worker could not say how its attempt ended, so we do. */
static bool
scheduler_log_lost(RunState *run, const PoolOutcome *outcome)
{
	ErrorData	error = {0};
	bool		logged;

	error.sqlerrcode = outcome->sqlerrcode;
	error.message = (char *) outcome->message;
	run_state_begin(run);
	logged = catalog_attempt_failed(run->run_id, run->graph->steps[outcome->step]->step_id,
									scheduler_step_name(run, outcome->step),
									outcome->attempt, outcome->status, &error,
									outcome->retry_at, NULL);
	run_state_commit(run);
	return logged;
}

static void
scheduler_step_succeeded(RunState *run, const PoolOutcome *outcome)
{
	RunStep    *rs = &run->steps[outcome->step];

	rs->relid = outcome->relid;
	rs->count_rows = outcome->count_rows;
	rs->table_size = outcome->table_size;
	run->read_sources = run->read_sources || outcome->read_sources;
	scheduler_ended(run, outcome->step);
	run->nsucceeded++;
	dag_run_succeeded(run->dag, outcome->step);
	scheduler_tell_ended(run, outcome->step, "SUCCESS",
						 outcome->message[0] != '\0' ? outcome->message : NULL);
	scheduler_release(run, outcome->step);
	scheduler_release_inputs(run, outcome->step);
}

static void
scheduler_step_failed(RunState *run, const PoolOutcome *outcome)
{
	RunStep    *rs = &run->steps[outcome->step];
	bool		cancelled = outcome->status == ETL_STEP_CANCELLED;
	int		   *skipped;
	int			nskipped;

	rs->count_rows = -1;
	rs->table_size = -1;
	scheduler_ended(run, outcome->step);
	if (cancelled)
		run->ncancelled++;
	else
		run->nfailed++;

	nskipped = dag_run_failed(run->dag, outcome->step, &skipped);
	scheduler_tell_ended(run, outcome->step, cancelled ? "CANCELLED" : "FAILED",
						 outcome->message);
	if (run->verdict == ETL_RUN_RUNNING && run->nfailed == 1 && !cancelled)
	{
		/* the run goes on, but how it ends is now known: keep the first error */
		MemoryContext oldcontext = MemoryContextSwitchTo(run->context);

		run->reason.message = psprintf("run " INT64_FORMAT " of pipeline \"%s\" failed at step \"%s\": %s",
									   run->run_id, run->pipeline->name,
									   scheduler_step_name(run, outcome->step),
									   outcome->message);
		run->reason.sqlerrcode = ERRCODE_ETL_RUN_FAILED;
		MemoryContextSwitchTo(oldcontext);
	}
	scheduler_unstarted(run, nskipped, skipped, ETL_STEP_SKIPPED);
	scheduler_keep_inputs(run, outcome->step);
}

/* The attempt's row says that another one follows, but the run is being ended. */
static void
scheduler_forget_retry(RunState *run, int step, int attempt)
{
	run_state_begin(run);
	catalog_attempt_not_repeated(run->run_id, run->graph->steps[step]->step_id, attempt);
	run_state_commit(run);
}

static void
scheduler_retry_later(RunState *run, const PoolOutcome *outcome)
{
	RunStep    *rs = &run->steps[outcome->step];

	rs->retry_at = outcome->retry_at;
	pairingheap_add(run->retries, &rs->retry_node);
	run->nretries++;
	run_state_tell(run, REQUEST_NOTICE, 0,
				   psprintf("%s: attempt %d failed, next one in %.1f s",
							scheduler_step_name(run, outcome->step), outcome->attempt,
							Max(0, outcome->retry_at - GetCurrentTimestamp()) / 1000000.0),
				   outcome->message, NULL);
}

static void
scheduler_take_in(RunState *run, PoolOutcome *outcome)
{
	if (outcome->lost)
	{
		RetryPolicy policy;

		/* what may end transactions may have committed some of its work */
		if (run->graph->steps[outcome->step]->kind == ETL_STEP_COMMAND_ALONE)
			outcome->cause = RETRY_CAUSE_COMMITTED;
		pipeline_retry_policy(run->pipeline, run->graph->steps[outcome->step], &policy);
		if (run->verdict == ETL_RUN_RUNNING &&
			retry_again(&policy, outcome->attempt, outcome->cause,
						unpack_sql_state(outcome->sqlerrcode)))
			outcome->retry_at =
				TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
											retry_delay_ms(&policy, outcome->attempt,
														   pg_prng_double(&pg_global_prng_state)));
		(void) scheduler_log_lost(run, outcome);
	}

	if (outcome->status == ETL_STEP_SUCCESS)
		scheduler_step_succeeded(run, outcome);
	else if (outcome->retry_at != 0 && run->verdict == ETL_RUN_RUNNING)
		scheduler_retry_later(run, outcome);
	else
	{
		if (outcome->retry_at != 0)
			scheduler_forget_retry(run, outcome->step, outcome->attempt);
		scheduler_step_failed(run, outcome);
	}
}

/* ---- handing out ---- */

/* Some process that the run wants has not got a slot. */
static void
scheduler_tell_starved(RunState *run)
{
	if (run->starved)
		return;
	run->starved = true;
	run_state_tell(run, REQUEST_WARNING, ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
				   "not all workers of the run could be started",
				   "The run goes on with those that it has.",
				   pool_failed_starts(run->pool) > 0 ?
				   "They have ended before they could start. The server's log says why." :
				   psprintf("All of the server's max_worker_processes (%d) are in use. "
							"Raise that setting, or lower the pipeline's max_parallel.",
							max_worker_processes));
}

/* The next try to start the holder; runs that compete shall not do it in step. */
static void
scheduler_holder_later(RunState *run)
{
	int64		delay = HOLDER_AGAIN_MS * (0.5 + pg_prng_double(&pg_global_prng_state));

	run->holder_again_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), delay);
}

/*
 * The process that holds the snapshot has ended.  If no step has started since it
 * was taken, another snapshot will do.  Else no more steps are started; those
 * that run are not concerned, and may be the last that needed it.
 */
static void
scheduler_holder_gone(RunState *run)
{
	const char *message = snapshot_holder_message(run->holder);

	if (run->snapshot_used)
	{
		if (pool_busy(run->pool) == 0)
			run_state_give_up(run, ETL_RUN_FAILED, ERRCODE_ETL_SNAPSHOT_LOST,
							  psprintf("run " INT64_FORMAT " of pipeline \"%s\" failed: its snapshot is gone",
									   run->run_id, run->pipeline->name),
							  "The process that held it has ended, and the steps that are left could only read the sources as of another instant.",
							  NULL);
	}
	else if (message != NULL || ++run->holder_failures >= MAX_FAILED_STARTS)
		run_state_give_up(run, ETL_RUN_FAILED, ERRCODE_ETL_SNAPSHOT_LOST,
						  psprintf("run " INT64_FORMAT " of pipeline \"%s\" failed: no snapshot could be taken for it",
								   run->run_id, run->pipeline->name),
						  message, "The server's log says more.");
	else
	{
		snapshot_holder_dismiss(run->holder);
		scheduler_holder_later(run);
	}
}

/*
 * Return true if steps may be started, as far as the snapshot is concerned.  It is taken before
 * the first one, so that it does not depend on chance whether it has what a
 * command step does.
 */
static bool
scheduler_has_snapshot(RunState *run)
{
	if (run->ninstant == 0)
		return true;

	switch (snapshot_holder_state(run->holder))
	{
		case SNAPSHOT_HOLDER_READY:
			return true;
		case SNAPSHOT_HOLDER_STARTING:
			break;
		case SNAPSHOT_HOLDER_GONE:
			scheduler_holder_gone(run);
			break;
		case SNAPSHOT_HOLDER_NONE:
			if (run->holder_again_at <= GetCurrentTimestamp() &&
				!snapshot_holder_start(run->holder))
			{
				scheduler_tell_starved(run);
				scheduler_holder_later(run);
			}
			break;
	}
	return false;
}

/*
 * Workers for the steps that are ready.  The run has had one from the beginning; how many more
 * there are depends on what else the server does.
 */
static void
scheduler_provide(RunState *run)
{
	SnapshotHolderState holder = run->ninstant > 0 ? snapshot_holder_state(run->holder) :
	SNAPSHOT_HOLDER_READY;
	int			wanted = 0;

	/* how many are ready beyond one is for the pool to find out, step by step */
	if (holder == SNAPSHOT_HOLDER_READY || holder == SNAPSHOT_HOLDER_STARTING)
		wanted = Min(dag_run_ready(run->dag, run->shared->nslots),
					 run->shared->nslots - pool_busy(run->pool));
	if (!pool_provide(run->pool, wanted))
		scheduler_tell_starved(run);
	if (wanted > 0 && pool_failed_starts(run->pool) >= MAX_FAILED_STARTS &&
		pool_busy(run->pool) == 0)
		run_state_give_up(run, ETL_RUN_FAILED, ERRCODE_ETL_RUN_LOST,
						  psprintf("run " INT64_FORMAT " of pipeline \"%s\" failed: its workers end before they can start",
								   run->run_id, run->pipeline->name),
						  NULL, "The server's log says why.");
}

/*
 * A run has its processes before it begins, but they may be ended by people.  Where it has none
 * to go on with it waits for a slot, for so long: it keeps others from running meanwhile.
 */
static void
scheduler_check_stranded(RunState *run)
{
	bool		stranded = pool_busy(run->pool) == 0 && dag_run_has_ready(run->dag) &&
	(pool_size(run->pool) == 0 ||
	 (run->ninstant > 0 && snapshot_holder_state(run->holder) == SNAPSHOT_HOLDER_NONE));

	if (!stranded)
		run->stranded_since = 0;
	else if (run->stranded_since == 0)
		run->stranded_since = GetCurrentTimestamp();
	else if (TimestampDifferenceExceeds(run->stranded_since, GetCurrentTimestamp(),
										STRANDED_LIMIT_MS))
		run_state_give_up(run, ETL_RUN_FAILED, ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
						  psprintf("run " INT64_FORMAT " of pipeline \"%s\" failed: it has lost a process, and no background worker is free",
								   run->run_id, run->pipeline->name),
						  NULL,
						  psprintf("All of the server's max_worker_processes (%d) are in use. etl.resume goes on from here.",
								   max_worker_processes));
}

static void
scheduler_hand_out(RunState *run)
{
	bool		may_start = scheduler_has_snapshot(run);
	PoolWorker *worker;

	while (may_start && dag_run_has_ready(run->dag) && (worker = pool_idle(run->pool)) != NULL)
	{
		int			step = dag_run_next(run->dag);
		Step	   *s = run->graph->steps[step];
		RunStep    *rs = &run->steps[step];
		int64		timeout = s->step_timeout_ms != CATALOG_NO_TIMEOUT ?
		s->step_timeout_ms : run->pipeline->step_timeout_ms;

		if (rs->attempts++ == 0)
			rs->started = GetCurrentTimestamp();
		pool_assign(run->pool, worker, step, s->step_id, rs->attempts,
					pipeline_is_logged(run->graph, step), rs->one_instant, timeout);
		run->snapshot_used = true;
	}
	scheduler_provide(run);
	scheduler_check_stranded(run);
}

/* ---- waiting ---- */

typedef struct WaitCheck
{
	RunState   *run;
	LockTable  *table;
	int			npids;
	int		   *pids;			/* sessions that wait for this run */
	int			nqueued;
	LockQueued *queue;			/* runs that wait for the end of this one */
	int			holder;			/* the process that holds the snapshot; 0 */
	int			nstuck;			/* workers that wait for it, without its locks */
} WaitCheck;

/* Give the run up if one of its processes waits for a session that waits for the run. */
static void
scheduler_check_process(WaitCheck *check, int pid, const char *who)
{
	RunState   *run = check->run;

	for (int i = 0; i < check->npids; i++)
	{
		char	   *what;

		if (!lock_table_is_waiting_for(pid, check->pids[i]))
			continue;
		what = lock_table_describe_wait(check->table, pid);
		run_state_give_up(run, ETL_RUN_CANCELLED, ERRCODE_T_R_DEADLOCK_DETECTED,
						  psprintf("run " INT64_FORMAT " of pipeline \"%s\" was cancelled: %s waits for %s, which cannot be had before the session that waits for the run goes on",
								   run->run_id, run->pipeline->name, who,
								   what ? what : "a lock"),
						  psprintf("Process %d waits for process %d, directly or through others.",
								   pid, check->pids[i]),
						  what && strstr(what, "virtual transaction") ?
						  "While sessions wait for the run, in etl.run or etl.wait, it cannot wait for all older snapshots to go: use etl.start, and look at etl.run_log." :
						  "Commit before the run, or start it with etl.start and wait for it in a new transaction.");
		return;
	}

	/* one that waits for its turn gives way, and with it the session behind it */
	for (int i = 0; i < check->nqueued; i++)
	{
		if (lock_table_is_waiting_for(pid, check->queue[i].caller))
			(void) kill(check->queue[i].coordinator, SIGINT);
	}
}

static bool
scheduler_waits_for_lock(PGPROC *proc)
{
	return (proc->wait_event_info & 0xFF000000) == PG_WAIT_LOCK;
}

/* Return true if its deadlock check has been due. */
static bool
scheduler_waits_for_long(PGPROC *proc)
{
	TimestampTz since = (TimestampTz) pg_atomic_read_u64(&proc->waitStart);

	return since != 0 && TimestampDifferenceExceeds(since, GetCurrentTimestamp(), DeadlockTimeout);
}

static void
scheduler_check_worker(int step, WorkerSlot *slot, void *arg)
{
	WaitCheck  *check = arg;
	RunState   *run = check->run;

	/* cheap, and right nearly always: most do not wait for a heavyweight lock at all */
	if (run_shmem_slot_state(slot) != SLOT_ASSIGNED || run->verdict != ETL_RUN_RUNNING ||
		!scheduler_waits_for_lock(slot->proc))
		return;
	scheduler_check_process(check, slot->pid,
							psprintf("step \"%s\"", scheduler_step_name(run, step)));

	/*
	 * The holder waits for steps, so no step can wait for it: for a command of its own that
	 * changes a source, or behind somebody else's.  But a pipeline that publishes what we read
	 * waits for less than deadlock_timeout at a time, and goes out of the way by itself.
	 */
	if (check->holder == 0 || !scheduler_waits_for_long(slot->proc) ||
		!lock_table_is_waiting_for(slot->pid, check->holder))
		return;
	if (snapshot_holder_gave_way(run->holder))
		check->nstuck++;
	else
		snapshot_holder_give_way(run->holder);
}

/*
 * Steps that wait for all older snapshots to go (CREATE INDEX CONCURRENTLY) wait
 * for the run's own.  Others that are executed may end that.
 */
static void
scheduler_check_stuck(RunState *run, int nstuck)
{
	if (nstuck == 0 || nstuck < pool_busy(run->pool))
		run->stuck_at = -1;
	else if (run->stuck_at != run->nended)
		run->stuck_at = run->nended;	/* once more, and it is no coincidence */
	else
		run_state_give_up(run, ETL_RUN_CANCELLED, ERRCODE_T_R_DEADLOCK_DETECTED,
						  psprintf("run " INT64_FORMAT " of pipeline \"%s\" was cancelled: a step waits for all older snapshots to go, and the run for that step",
								   run->run_id, run->pipeline->name),
						  "One of them is the run's own, which the query steps share that are left.",
						  "Let the step depend on those steps, or set the pipeline's one_snapshot to false.");
}

/*
 * A process of the run that waits for a session which waits for this run would wait
 * for ever, and the server's deadlock detector cannot see it.
 */
static void
scheduler_check_waits(RunState *run)
{
	WaitCheck	check = {.run = run};

	StartTransactionCommand();
	MemoryContextSwitchTo(run->tick_context);
	check.table = lock_table_read();
	check.npids = run_state_waiting_sessions(run, check.table, &check.pids);
	check.nqueued = lock_pipeline_queue(check.table, run->pipeline->id, &check.queue);
	check.holder = snapshot_holder_pid(run->holder);
	if (check.npids > 0 || check.nqueued > 0 || check.holder != 0)
		pool_foreach_busy(run->pool, scheduler_check_worker, &check);
	if (check.holder != 0 && snapshot_holder_state(run->holder) == SNAPSHOT_HOLDER_STARTING)
		scheduler_check_process(&check, check.holder, "its snapshot");
	CommitTransactionCommand();
	MemoryContextSwitchTo(run->tick_context);
	if (run->verdict == ETL_RUN_RUNNING)
		scheduler_check_stuck(run, check.nstuck);
}

static void
scheduler_worker_waits(int step, WorkerSlot *slot, void *arg)
{
	if (scheduler_waits_for_lock(slot->proc))
		*(bool *) arg = true;
}

/* A step that will not get its next attempt has failed with its last one. */
static void
scheduler_no_retry(RunState *run, int step)
{
	scheduler_ended(run, step);
	run->nfailed++;
	scheduler_forget_retry(run, step, run->steps[step].attempts);
	scheduler_tell_ended(run, step, "FAILED", run->reason.message);
}

/* Once the verdict is there: no step is started any more, those running are stopped. */
static void
scheduler_wind_up(RunState *run, bool timed_out)
{
	int		   *given_up;
	int			n;
	int			nunstarted = 0;

	pool_stop_all(run->pool, timed_out ? STOP_RUN_TIMEOUT : STOP_CANCELLED);

	/* steps that wait for the time of their next attempt */
	while (!pairingheap_is_empty(run->retries))
	{
		RunStep    *rs = pairingheap_container(RunStep, retry_node,
											   pairingheap_remove_first(run->retries));
		int			step = rs - run->steps;

		run->nretries--;
		n = dag_run_failed(run->dag, step, &given_up);
		scheduler_no_retry(run, step);
		scheduler_unstarted(run, n, given_up, ETL_STEP_SKIPPED);
	}

	/* and of those in the queue the ones that have had an attempt already */
	n = dag_run_abandon(run->dag, &given_up);
	for (int i = 0; i < n; i++)
	{
		if (run->steps[given_up[i]].attempts > 0)
			scheduler_no_retry(run, given_up[i]);
		else
			given_up[nunstarted++] = given_up[i];
	}
	scheduler_unstarted(run, nunstarted, given_up, ETL_STEP_CANCELLED);
}

static int
scheduler_compare_retries(const pairingheap_node *a, const pairingheap_node *b, void *arg)
{
	TimestampTz ta = pairingheap_const_container(RunStep, retry_node, a)->retry_at;
	TimestampTz tb = pairingheap_const_container(RunStep, retry_node, b)->retry_at;

	/* the heap's first is its greatest */
	return (ta < tb) ? 1 : (ta > tb) ? -1 : 0;
}

/* Put attempts whose time has come back into the queue.  Returns when the next one is due. */
static TimestampTz
scheduler_requeue(RunState *run)
{
	while (!pairingheap_is_empty(run->retries))
	{
		RunStep    *rs = pairingheap_container(RunStep, retry_node,
											   pairingheap_first(run->retries));

		if (rs->retry_at > GetCurrentTimestamp())
			return rs->retry_at;
		pairingheap_remove_first(run->retries);
		run->nretries--;
		dag_run_requeue(run->dag, rs - run->steps);
	}
	return DT_NOEND;
}

/* The loop: until every step has ended. */
void
scheduler_run(RunState *run)
{
	bool		wound_up = false;
	TimestampTz next_wait_check = DT_NOBEGIN;

	run->retries = pairingheap_allocate(scheduler_compare_retries, NULL);
	run->stuck_at = -1;
	MemoryContextSwitchTo(run->tick_context);
	scheduler_take_over(run);

	for (;;)
	{
		TimestampTz wake_at;
		PoolOutcome outcome;
		bool		lock_waits = false;

		MemoryContextReset(run->tick_context);
		MemoryContextSwitchTo(run->tick_context);

		run_state_check_signals(run);
		request_flush(run->server);
		while (pool_collect(run->pool, &outcome))
			scheduler_take_in(run, &outcome);

		if (run->deadline <= GetCurrentTimestamp())
			run_state_give_up(run, ETL_RUN_FAILED, ERRCODE_QUERY_CANCELED,
							  psprintf("run " INT64_FORMAT " of pipeline \"%s\" was stopped by its run_timeout",
									   run->run_id, run->pipeline->name),
							  NULL, NULL);
		wake_at = scheduler_requeue(run);
		if (run->verdict == ETL_RUN_RUNNING)
			scheduler_hand_out(run);
		if (run->verdict != ETL_RUN_RUNNING && !wound_up)
		{
			wound_up = true;
			scheduler_wind_up(run, run->deadline <= GetCurrentTimestamp());
			run->deadline = DT_NOEND;
		}
		if (dag_run_unfinished(run->dag) == 0)
			return;

		/* a session may begin to wait for us, or to hold a lock, at any time */
		pool_foreach_busy(run->pool, scheduler_worker_waits, &lock_waits);
		lock_waits = lock_waits || snapshot_holder_state(run->holder) == SNAPSHOT_HOLDER_STARTING;
		if (lock_waits && GetCurrentTimestamp() >= next_wait_check)
		{
			scheduler_check_waits(run);
			next_wait_check = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), DeadlockTimeout);
			if (run->verdict != ETL_RUN_RUNNING && !wound_up)
				continue;
		}

		wake_at = Min(wake_at, pool_tick(run->pool));
		wake_at = Min(wake_at, run->deadline);
		if (run->verdict == ETL_RUN_RUNNING && run->ninstant > 0 &&
			snapshot_holder_state(run->holder) == SNAPSHOT_HOLDER_NONE)
			wake_at = Min(wake_at, run->holder_again_at);
		if (pool_busy(run->pool) > 0 ||
			snapshot_holder_state(run->holder) == SNAPSHOT_HOLDER_STARTING)
			wake_at = Min(wake_at, TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
															   DeadlockTimeout));
		run_signal_wait(wake_at);
	}
}
