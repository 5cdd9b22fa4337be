/*-------------------------------------------------------------------------
 *
 * caller.c
 *	  What a session does that has asked for a run: it launches the run, and passes on what the
 *	  coordinator says.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "run/caller.h"

#include "base/session.h"
#include "fmgr.h"
#include "run/request.h"
#include "run/worker.h"
#include "utils/memutils.h"

/* How long a step, and etl.start, wait for the processes of the run that they start. */
#define CALLER_NESTED_PATIENCE_MS	60000

#define CALLER_START_PATIENCE_MS	5000

/*
 * How long to wait for the run's processes, in milliseconds; 0: without a limit.  A run that waits
 * for itself ends with its run_timeout.  Others hold something meanwhile: a step the processes of
 * its own run, which the one that has what it waits for may be waiting for in its turn, and who
 * calls etl.start does not expect to wait.
 */
static int64
caller_patience(const RunRequest *request, bool waits)
{
	int64		patience = 0;

	if (session_is_worker())
		patience = CALLER_NESTED_PATIENCE_MS;
	else if (!waits)
		patience = CALLER_START_PATIENCE_MS;
	if (request->run_timeout_ms > 0 && (patience == 0 || request->run_timeout_ms < patience))
		patience = request->run_timeout_ms;
	return patience;
}

static void
caller_report(int elevel, const RequestMessage *message)
{
	ereport(elevel,
			(message->sqlerrcode ? errcode(message->sqlerrcode) : 0,
			 errmsg_internal("%s", message->message),
			 message->detail ? errdetail_internal("%s", message->detail) : 0,
			 message->hint ? errhint("%s", message->hint) : 0,
			 message->context ? errcontext("%s", message->context) : 0));
}

static void
caller_raise_lost(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_ETL_RUN_LOST),
			 errmsg("the run's coordinator ended without an answer"),
			 errhint("The server's log says why; etl.run_log says how far the run got.")));
}

/*
 * Passes on what the coordinator says until the run has ended or, where
 * only_launch is set, has begun.  Returns the run's number; 0 if it was skipped.
 */
static int64
caller_follow(RequestCaller *caller, bool only_launch, const char *pipeline)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "etl message",
												  ALLOCSET_SMALL_SIZES);
	RequestMessage message;

	for (;;)
	{
		MemoryContext oldcontext;
		bool		received;

		/* one message after another, for as long as the run lasts */
		MemoryContextReset(context);
		oldcontext = MemoryContextSwitchTo(context);
		received = request_receive(caller, &message);
		MemoryContextSwitchTo(oldcontext);
		if (!received)
			break;

		switch (message.kind)
		{
			case REQUEST_LAUNCHED:
				if (only_launch)
				{
					request_release(caller);
					return message.run_id;
				}
				break;
			case REQUEST_SKIPPED:
				request_release(caller);
				ereport(NOTICE,
						(errmsg("pipeline \"%s\" is being run already, skipping", pipeline)));
				return 0;
			case REQUEST_NOTICE:
				caller_report(NOTICE, &message);
				break;
			case REQUEST_WARNING:
				caller_report(WARNING, &message);
				break;
			case REQUEST_FINISHED:
				request_release(caller);
				caller_report(NOTICE, &message);
				return message.run_id;
			case REQUEST_ERROR:
				request_release(caller);
				caller_report(ERROR, &message);
		}
	}
	caller_raise_lost();
	return 0;
}

int64
caller_run(RunRequest *request, const char *pipeline)
{
	int			nestlevel;
	int64		run_id;

	/* the run may change what this step's own run has locked for the others */
	worker_before_other_run();
	nestlevel = session_watch_client();
	run_id = caller_follow(request_launch(request, caller_patience(request, true)), false,
						   pipeline);
	session_unwatch_client(nestlevel);
	return run_id;
}

int64
caller_start(RunRequest *request, const char *pipeline)
{
	return caller_follow(request_launch(request, caller_patience(request, false)), true, pipeline);
}

void
caller_start_pending(RunRequest *request)
{
	RequestCaller *caller = request_launch(request, caller_patience(request, false));

	if (!request_is_staffed(caller))
		(void) caller_follow(caller, true, ""); /* raises the error */
	request_release(caller);
}
