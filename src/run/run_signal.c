/*-------------------------------------------------------------------------
 *
 * run_signal.c
 *	  What may stop a coordinator: signals and a deadline; and waiting, which they end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "run/run_signal.h"

#include <signal.h>

#include "access/xact.h"
#include "base/subxact.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

static pg_atomic_uint32 marks;
static volatile sig_atomic_t listening = false;
static TimeoutId deadline_timeout = MAX_TIMEOUTS;

/*
 * QueryCancelPending is set in any case: a commit that waits for standbys looks at it without
 * asking whether cancel interrupts are held off.
 */
static void
run_signal_mark(uint32 mark)
{
	pg_atomic_fetch_or_u32(&marks, mark);
	QueryCancelPending = true;
	if (listening)
		InterruptPending = true;
	SetLatch(MyLatch);
}

static void
run_signal_sigint(SIGNAL_ARGS)
{
	int			save_errno = errno;

	run_signal_mark(RUN_SIGNAL_CANCEL);
	errno = save_errno;
}

static void
run_signal_sigterm(SIGNAL_ARGS)
{
	int			save_errno = errno;

	run_signal_mark(RUN_SIGNAL_TERMINATE);
	errno = save_errno;
}

static void
run_signal_deadline(void)
{
	run_signal_mark(RUN_SIGNAL_DEADLINE);
}

/*
 * Who was told to stop does not wait for standbys: neither in a commit that waits already, which
 * the mark ends, nor in those that follow.
 */
static void
run_signal_pre_commit(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_PRE_COMMIT &&
		run_signal_has(RUN_SIGNAL_CANCEL | RUN_SIGNAL_TERMINATE) &&
		synchronous_commit > SYNCHRONOUS_COMMIT_LOCAL_FLUSH)
		(void) set_config_option("synchronous_commit", "local", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_LOCAL, true, 0, false);
}

void
run_signal_install(void)
{
	RegisterXactCallback(run_signal_pre_commit, NULL);
	pg_atomic_init_u32(&marks, 0);
	pqsignal(SIGINT, run_signal_sigint);
	pqsignal(SIGTERM, run_signal_sigterm);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	HOLD_CANCEL_INTERRUPTS();
}

bool
run_signal_has(uint32 some)
{
	return (pg_atomic_read_u32(&marks) & some) != 0;
}

void
run_signal_listen(void)
{
	listening = true;
	RESUME_CANCEL_INTERRUPTS();
	if (run_signal_has(RUN_SIGNAL_CANCEL | RUN_SIGNAL_TERMINATE | RUN_SIGNAL_DEADLINE))
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("canceling the run due to user request")));
}

void
run_signal_ignore(void)
{
	listening = false;
	QueryCancelPending = false;
	if (QueryCancelHoldoffCount == 0)	/* as after an error */
		HOLD_CANCEL_INTERRUPTS();
}

void
run_signal_arm_deadline(TimestampTz at)
{
	if (at == DT_NOEND)
		return;
	if (deadline_timeout == MAX_TIMEOUTS)
		deadline_timeout = RegisterTimeout(USER_TIMEOUT, run_signal_deadline);
	enable_timeout_at(deadline_timeout, at);
}

void
run_signal_disarm_deadline(void)
{
	if (deadline_timeout != MAX_TIMEOUTS)
		disable_timeout(deadline_timeout, false);
}

/* ---- waiting ---- */

void
run_signal_wait(TimestampTz until)
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

/* The server's lock_timeout would send this process a SIGINT, which means something else here. */
static void
run_signal_out_of_patience(void)
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
run_signal_lock_in_time(void *arg)
{
	const PatientLock *lock = arg;
	bool		was_listening = listening;	/* as while foreign keys are verified */

	PG_TRY();
	{
		enable_timeout_after(lock->timeout, lock->patience_ms);
		if (!was_listening)
			run_signal_listen();
		LockRelationOid(lock->relid, lock->mode);
	}
	PG_CATCH();
	{
		run_signal_ignore();
		disable_timeout(lock->timeout, false);
		PG_RE_THROW();
	}
	PG_END_TRY();
	run_signal_ignore();
	disable_timeout(lock->timeout, false);
}

bool
run_signal_lock(Oid relid, LOCKMODE mode, int patience_ms)
{
	static TimeoutId timeout = MAX_TIMEOUTS;
	PatientLock lock = {.relid = relid, .mode = mode, .patience_ms = patience_ms};
	bool		was_listening = listening;
	ErrorData  *error;

	if (timeout == MAX_TIMEOUTS)
		timeout = RegisterTimeout(USER_TIMEOUT, run_signal_out_of_patience);
	lock.timeout = timeout;
	error = subxact_try(run_signal_lock_in_time, &lock, SUBXACT_RELEASE, CurrentMemoryContext);
	if (error != NULL && error->sqlerrcode != ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	if (was_listening)
		run_signal_listen();
	if (error == NULL)
		return true;
	FreeErrorData(error);
	return false;
}
