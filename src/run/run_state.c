/*-------------------------------------------------------------------------
 *
 * run_state.c
 *	  What the parts of a coordinator share: transactions, messages, signals,
 *	  waiting.
 *
 * A signal only leaves a mark and sets the latch, so that it is heeded where the
 * coordinator can act on it; except while a lock or a standby is waited for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "run/run_state.h"

#include <signal.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "base/lock.h"
#include "base/subxact.h"
#include "commands/async.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "replication/syncrep.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/ps_status.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

static volatile sig_atomic_t cancel_requested = false;
static volatile sig_atomic_t terminate_requested = false;
static volatile sig_atomic_t deadline_has_passed = false;

/* While a lock is waited for, a signal must end the wait. */
static volatile sig_atomic_t interruptible = false;

static void
run_state_signalled(void)
{
	int			save_errno = errno;

	/*
	 * A commit that waits for standbys looks at this mark without asking whether interrupts are
	 * held off; those that follow do not wait.  Elsewhere cancel interrupts are held off.
	 */
	synchronous_commit = SYNCHRONOUS_COMMIT_LOCAL_FLUSH;
	QueryCancelPending = true;
	if (interruptible)
		InterruptPending = true;
	SetLatch(MyLatch);
	errno = save_errno;
}

static void
run_state_sigint(SIGNAL_ARGS)
{
	cancel_requested = true;
	run_state_signalled();
}

static void
run_state_sigterm(SIGNAL_ARGS)
{
	terminate_requested = true;
	run_state_signalled();
}

/* A signal's mark goes with a transaction's own setting, and with one that is aborted. */
static void
run_state_mark_again(void)
{
	if (cancel_requested || terminate_requested)
		synchronous_commit = SYNCHRONOUS_COMMIT_LOCAL_FLUSH;
}

void
run_state_begin(RunState *run)
{
	run_state_mark_again();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(run->tick_context);
}

void
run_state_commit(RunState *run)
{
	if (ActiveSnapshotSet())
		PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(run->tick_context);
}

void
run_state_commit_early(RunState *run)
{
	(void) set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_LOCAL, true, 0, false);
	run_state_commit(run);
	run_state_mark_again();
	if (synchronous_commit == SYNCHRONOUS_COMMIT_OFF)
		return;
	HOLD_INTERRUPTS();
	XLogFlush(XactLastCommitEnd);
	SyncRepWaitForLSN(XactLastCommitEnd, true);
	RESUME_INTERRUPTS();
}

void
run_state_tell(RunState *run, RequestMessageKind kind, int sqlerrcode,
			   const char *message, const char *detail, const char *hint)
{
	RequestMessage answer = {0};

	answer.kind = kind;
	answer.run_id = run->run_id;
	answer.sqlerrcode = sqlerrcode;
	answer.message = (char *) message;
	answer.detail = (char *) detail;
	answer.hint = (char *) hint;
	request_send(run->server, &answer);
}

/*
 * Gives the run up, for the first reason that there is.  Texts are copied.
 */
void
run_state_give_up(RunState *run, EtlRunStatus verdict, int sqlerrcode,
				  const char *message, const char *detail, const char *hint)
{
	MemoryContext oldcontext;

	if (run->verdict != ETL_RUN_RUNNING)
		return;
	oldcontext = MemoryContextSwitchTo(run->context);
	run->verdict = verdict;
	run->reason.sqlerrcode = sqlerrcode;
	run->reason.message = pstrdup(message);
	run->reason.detail = detail ? pstrdup(detail) : NULL;
	run->reason.hint = hint ? pstrdup(hint) : NULL;
	MemoryContextSwitchTo(oldcontext);
}

char *
run_state_seconds(TimestampTz since)
{
	return psprintf("%.3f s", (GetCurrentTimestamp() - since) / 1000000.0);
}

int
run_state_waiting_sessions(RunState *run, const LockTable *table, int **pids)
{
	int			n = lock_run_waiters(table, run->run_id, ETL_MAX_NESTING + 1, pids);
	int			caller = request_waiting_pid(run->server);

	if (caller == 0)
		return n;
	(*pids)[n++] = caller;
	for (int i = 0; i < run->request->nancestors; i++)
		(*pids)[n++] = run->request->ancestors[i];
	return n;
}

bool
run_state_is_terminated(void)
{
	return terminate_requested;
}

void
run_state_check_signals(RunState *run)
{
	if (terminate_requested)
		run_state_give_up(run, ETL_RUN_CANCELLED, ERRCODE_ADMIN_SHUTDOWN,
						  psprintf("run " INT64_FORMAT " of pipeline \"%s\" was terminated by an administrator",
								   run->run_id, run->pipeline->name),
						  NULL, NULL);
	else if (cancel_requested)
		run_state_give_up(run, ETL_RUN_CANCELLED, ERRCODE_ETL_RUN_CANCELLED,
						  request_caller_is_gone(run->server) ?
						  psprintf("run " INT64_FORMAT " of pipeline \"%s\" was cancelled because the session that waited for it stopped waiting",
								   run->run_id, run->pipeline->name) :
						  psprintf("run " INT64_FORMAT " of pipeline \"%s\" was cancelled",
								   run->run_id, run->pipeline->name),
						  NULL, NULL);
	QueryCancelPending = false;
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
	CHECK_FOR_INTERRUPTS();
}

void
run_state_wait(TimestampTz until)
{
	int			events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;
	long		timeout = -1;

	if (until != DT_NOEND)
	{
		events |= WL_TIMEOUT;
		timeout = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);
	}
	(void) WaitLatch(MyLatch, events, timeout, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
}

void
run_state_catch_signals(void)
{
	pqsignal(SIGINT, run_state_sigint);
	pqsignal(SIGTERM, run_state_sigterm);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	HOLD_CANCEL_INTERRUPTS();
}

void
run_state_allow_interrupts(void)
{
	interruptible = true;
	RESUME_CANCEL_INTERRUPTS();
	if (cancel_requested || terminate_requested || deadline_has_passed)
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("canceling the run due to user request")));
}

void
run_state_forbid_interrupts(void)
{
	interruptible = false;
	QueryCancelPending = false;
	if (QueryCancelHoldoffCount == 0)	/* as after an error */
		HOLD_CANCEL_INTERRUPTS();
}

/* ---- a time at which waiting ends ---- */

static TimeoutId deadline_timeout = MAX_TIMEOUTS;

static void
run_state_deadline(void)
{
	deadline_has_passed = true;
	QueryCancelPending = true;
	if (interruptible)
		InterruptPending = true;
	SetLatch(MyLatch);
}

void
run_state_arm_deadline(TimestampTz at)
{
	if (at == DT_NOEND)
		return;
	if (deadline_timeout == MAX_TIMEOUTS)
		deadline_timeout = RegisterTimeout(USER_TIMEOUT, run_state_deadline);
	enable_timeout_at(deadline_timeout, at);
}

void
run_state_disarm_deadline(void)
{
	if (deadline_timeout != MAX_TIMEOUTS)
		disable_timeout(deadline_timeout, false);
}

bool
run_state_deadline_has_passed(void)
{
	return deadline_has_passed;
}

/*
 * The server's lock_timeout would send this process a SIGINT, which means
 * something else here.
 */
static void
run_state_out_of_patience(void)
{
	QueryCancelPending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
}

typedef struct PatientLock
{
	Oid			relid;
	LOCKMODE	mode;
	int			patience_ms;
	TimeoutId	timeout;
} PatientLock;

static void
run_state_lock_in_time(void *arg)
{
	const PatientLock *lock = arg;
	bool		allowed = interruptible;	/* as while foreign keys are verified */

	PG_TRY();
	{
		enable_timeout_after(lock->timeout, lock->patience_ms);
		if (!allowed)
			run_state_allow_interrupts();
		LockRelationOid(lock->relid, lock->mode);
	}
	PG_CATCH();
	{
		run_state_forbid_interrupts();
		disable_timeout(lock->timeout, false);
		PG_RE_THROW();
	}
	PG_END_TRY();
	run_state_forbid_interrupts();
	disable_timeout(lock->timeout, false);
}

bool
run_state_lock(Oid relid, LOCKMODE mode, int patience_ms)
{
	static TimeoutId timeout = MAX_TIMEOUTS;
	PatientLock lock = {.relid = relid, .mode = mode, .patience_ms = patience_ms};
	bool		allowed = interruptible;
	ErrorData  *error;

	if (timeout == MAX_TIMEOUTS)
		timeout = RegisterTimeout(USER_TIMEOUT, run_state_out_of_patience);
	lock.timeout = timeout;
	error = subxact_try(run_state_lock_in_time, &lock, SUBXACT_RELEASE, CurrentMemoryContext);
	if (error != NULL && error->sqlerrcode != ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	if (allowed)
		run_state_allow_interrupts();
	QueryCancelPending = cancel_requested || terminate_requested;
	if (error == NULL)
		return true;
	FreeErrorData(error);
	return false;
}

void
run_state_show(RunState *run, const char *phase)
{
	char	   *title = psprintf("run " INT64_FORMAT " of pipeline %s: %s",
								 run->run_id, run->pipeline->name, phase);

	set_ps_display(title);
	pgstat_report_activity(STATE_RUNNING, title);
}

void
run_state_notify(RunState *run, EtlRunStatus status)
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
