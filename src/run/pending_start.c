/*-------------------------------------------------------------------------
 *
 * pending_start.c
 *	  Runs that begin when the transaction that asked for them commits.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "run/pending_start.h"

#include "access/xact.h"
#include "base/names.h"
#include "fmgr.h"
#include "metastore/catalog.h"
#include "miscadmin.h"
#include "run/caller.h"
#include "run/request.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"

typedef struct PendingStart
{
	RunRequest *request;
	SubTransactionId subxact;	/* forgotten when this one aborts */
} PendingStart;

static List *pending_starts = NIL;	/* in TopTransactionContext */

int64
pending_start_add(const RunRequest *request)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(TopTransactionContext);
	PendingStart *pending = palloc0(sizeof(PendingStart));
	ListCell   *lc;

	pending->subxact = GetCurrentSubTransactionId();
	pending->request = palloc(sizeof(RunRequest));
	*pending->request = *request;
	pending->request->params = request->params ? pstrdup(request->params) : NULL;
	pending->request->steps = NIL;
	foreach(lc, request->steps)
		pending->request->steps = lappend(pending->request->steps, pstrdup(lfirst(lc)));
	pending->request->after = GetTopTransactionId();
	pending->request->run_id = catalog_next_run_id();
	pending_starts = lappend(pending_starts, pending);
	MemoryContextSwitchTo(oldcontext);
	return pending->request->run_id;
}

/*
 * The coordinators are started before the commit, so that a server without a free process fails the
 * transaction and nothing is promised that does not happen; each waits for the transaction's end
 * before it does anything.
 */
static void
pending_start_launch(void)
{
	while (pending_starts != NIL)
	{
		caller_start_pending(((PendingStart *) linitial(pending_starts))->request);
		pending_starts = list_delete_first(pending_starts);
	}
}

static void
pending_start_xact(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			pending_start_launch();
			break;
		case XACT_EVENT_PRE_PREPARE:
			if (pending_starts != NIL)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot PREPARE a transaction that has called etl.start")));
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			pending_starts = NIL;
			break;
		default:
			break;
	}
}

static void
pending_start_subxact(SubXactEvent event, SubTransactionId subxact,
					  SubTransactionId parent, void *arg)
{
	ListCell   *lc;

	if (event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB)
		return;
	foreach(lc, pending_starts)
	{
		PendingStart *pending = lfirst(lc);

		if (pending->subxact != subxact)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			pending->subxact = parent;
		else
			pending_starts = foreach_delete_current(pending_starts, lc);
	}
}

void
pending_start_initialize(void)
{
	RegisterXactCallback(pending_start_xact, NULL);
	RegisterSubXactCallback(pending_start_subxact, NULL);
}

bool
pending_start_has(int64 run_id)
{
	ListCell   *lc;

	foreach(lc, pending_starts)
	{
		if (((PendingStart *) lfirst(lc))->request->run_id == run_id)
			return true;
	}
	return false;
}
