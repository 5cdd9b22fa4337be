/*-------------------------------------------------------------------------
 *
 * run_state.c
 *	  What the parts of a coordinator share: transactions, messages, the reason for the end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "run/run_state.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "base/lock.h"
#include "commands/async.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "replication/syncrep.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/ps_status.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

void
run_state_begin(RunState *run)
{
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
	bool		durable = synchronous_commit != SYNCHRONOUS_COMMIT_OFF;

	(void) set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_LOCAL, true, 0, false);
	run_state_commit(run);
	if (!durable)
		return;
	HOLD_INTERRUPTS();
	XLogFlush(XactLastCommitEnd);
	if (!run_signal_has(RUN_SIGNAL_CANCEL | RUN_SIGNAL_TERMINATE))
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

void
run_state_check_signals(RunState *run)
{
	if (run_signal_has(RUN_SIGNAL_TERMINATE))
		run_state_give_up(run, ETL_RUN_CANCELLED, ERRCODE_ADMIN_SHUTDOWN,
						  psprintf("run " INT64_FORMAT " of pipeline \"%s\" was terminated by an administrator",
								   run->run_id, run->pipeline->name),
						  NULL, NULL);
	else if (run_signal_has(RUN_SIGNAL_CANCEL))
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
