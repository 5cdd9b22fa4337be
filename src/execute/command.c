/*-------------------------------------------------------------------------
 *
 * command.c
 *	  Executes a command step: statements that make no table of their own.
 *
 * The same sequence as for a client's simple query: analyse, rewrite, plan, and
 * run in a portal.  SPI will not do, because no statement is at top level there,
 * and those that manage transactions themselves want to be.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/analyze.h"
#include "tcop/cmdtag.h"
#include "tcop/dest.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/backend_status.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"

#include "execute/command.h"
#include "compat.h"
#include "base/sql_error.h"

/*
 * Holds a step's statements and plans.  They must outlive the transaction, which
 * a statement may end, and after an error the portal, which still points to
 * them until the caller has aborted: so this is emptied by the next step, as
 * MessageContext is by the next message.
 */
static MemoryContext CommandContext = NULL;

/*
 * The number of rows that a statement processed, -1 if it counts none.  Analysis
 * has made a CreateTableAsStmt of SELECT INTO.
 */
static int64
rows_processed(const List *plans, const QueryCompletion *completion)
{
	switch (completion->commandTag)
	{
		case CMDTAG_INSERT:
		case CMDTAG_UPDATE:
		case CMDTAG_DELETE:
		case CMDTAG_MERGE:
		case CMDTAG_COPY:
		case CMDTAG_REFRESH_MATERIALIZED_VIEW:
			return (int64) completion->nprocessed;

		case CMDTAG_SELECT:
			/* the rows of a plain SELECT went nowhere */
			if (linitial_node(PlannedStmt, plans)->utilityStmt != NULL &&
				IsA(linitial_node(PlannedStmt, plans)->utilityStmt, CreateTableAsStmt))
				return (int64) completion->nprocessed;
			return -1;

		default:
			return -1;
	}
}

/*
 * Analyses, rewrites and plans one statement into CommandContext, with a
 * snapshot of its own: the one that it is executed under must be newer than the
 * locks that this takes.
 */
static List *
plan_statement(RawStmt *statement, const char *sql)
{
	MemoryContext old = MemoryContextSwitchTo(CommandContext);
	bool		snapshot_set = analyze_requires_snapshot(statement);
	List	   *plans;

	if (snapshot_set)
		PushActiveSnapshot(GetTransactionSnapshot());
	plans = pg_plan_queries(pg_analyze_and_rewrite_fixedparams(statement, sql,
															   NULL, 0, NULL),
							sql, CURSOR_OPT_PARALLEL_OK, NULL);
	if (snapshot_set)
		PopActiveSnapshot();
	MemoryContextSwitchTo(old);

	return plans;
}

/*
 * Runs one statement to its end and returns its row count.  The current memory
 * context must be the transaction's own: PortalRun then follows a statement
 * that ends the transaction into the next one.
 */
static int64
execute_statement(RawStmt *statement, const char *sql)
{
	Portal		portal;
	QueryCompletion completion;
	List	   *plans;

	/* it would take the transaction out of its owner's hands */
	if (IsA(statement->stmt, TransactionStmt))
		elog(ERROR, "transaction control in a command step");

	CHECK_FOR_INTERRUPTS();
	pgstat_report_query_id(0, true);
	plans = plan_statement(statement, sql);
	CHECK_FOR_INTERRUPTS();

	portal = CreatePortal("", true, true);
	portal->visible = false;	/* not in pg_cursors */
	PortalDefineQuery(portal, NULL, sql, CreateCommandTag(statement->stmt),
					  plans, NULL);
	PortalStart(portal, NULL, 0, InvalidSnapshot);
	(void) PortalRunCompat(portal, None_Receiver, &completion);
	PortalDrop(portal, false);

	return rows_processed(plans, &completion);
}

int64
command_execute(List *raw_statements, const char *sql, bool alone)
{
	SqlErrorContext errors = {.statements = list_length(raw_statements)};
	int64		total = -1;
	ListCell   *cell;

	if (alone && list_length(raw_statements) != 1)
		elog(ERROR, "%d statements cannot be executed alone",
			 list_length(raw_statements));

	if (CommandContext == NULL)
		CommandContext = AllocSetContextCreate(TopMemoryContext,
											   "etl command",
											   ALLOCSET_DEFAULT_SIZES);
	MemoryContextReset(CommandContext);
	MemoryContextSwitchTo(CommandContext);
	raw_statements = copyObject(raw_statements);
	sql = pstrdup(sql);
	MemoryContextSwitchTo(TopTransactionContext);

	errors.sql = sql;
	sql_error_push(&errors);
	foreach(cell, raw_statements)
	{
		int64		rows;

		errors.statement = foreach_current_index(cell) + 1;

		/*
		 * In the implicit block of a query string with several statements, a statement that
		 * refuses a transaction block fails, and CALL and DO cannot commit.
		 */
		if (!alone)
			BeginImplicitTransactionBlock();

		rows = execute_statement(lfirst_node(RawStmt, cell), sql);
		if (rows >= 0)
			total = Max(total, 0) + rows;

		/*
		 * What cannot be rolled back (CREATE DATABASE and its like) must not wait for what the
		 * caller does before it commits.
		 */
		if (MyXactFlags & XACT_FLAGS_NEEDIMMEDIATECOMMIT)
		{
			CommitTransactionCommand();
			StartTransactionCommand();
		}
		else
			CommandCounterIncrement();
	}

	/* or else the caller's CommitTransactionCommand would not commit */
	if (!alone)
		EndImplicitTransactionBlock();
	sql_error_pop(&errors);

	MemoryContextReset(CommandContext);
	MemoryContextSwitchTo(TopTransactionContext);
	Assert(!ActiveSnapshotSet());

	return total;
}
