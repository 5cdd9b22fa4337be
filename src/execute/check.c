/*-------------------------------------------------------------------------
 *
 * check.c
 *	  Tests checks: counts the rows that are wrong, and shows some.
 *
 * How often the table is read: once for all checks that look at single rows
 * (CHECK, NOT NULL and the nulls of a PRIMARY KEY), whose wrong rows are counted
 * side by side; once for each UNIQUE that no unique index has proved already, and
 * for each FOREIGN KEY; as often as it says for a SELECT.  Sample rows of the
 * first kind need a second look, but only where there are any.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "execute/check.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"
#include "commands/defrem.h"
#include "execute/row_json.h"
#include "executor/executor.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "parse/check_query.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#define MAX_SAMPLES			5
#define MAX_TITLE_BYTES		200 /* of a check, in messages */
#define MAX_DETAIL_BYTES	1000	/* of sample rows, in an error */

/* A check that is being tested. */
typedef struct Test
{
	const StepCheck *check;
	CheckQueries queries;
	Query	   *rows;			/* analysed; or NULL */
	Query	   *groups;			/* the same */
	CheckResult *result;
} Test;

/* ---- executing ---- */

typedef struct CheckReceiver
{
	DestReceiver pub;
	int64	   *counts;			/* NULL, or where the columns of the only row go */
	CheckResult *result;		/* else: what the rows are added to */
	bool		grouped;		/* a row stands for as many as its last column says */
	MemoryContext context;		/* of the samples */
} CheckReceiver;

static void
receive_startup(DestReceiver *self, int operation, TupleDesc desc)
{
}

static void
receive_nothing(DestReceiver *self)
{
}

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	CheckReceiver *receiver = (CheckReceiver *) self;
	CheckResult *result = receiver->result;
	int			natts = slot->tts_tupleDescriptor->natts;
	bool		isnull;

	if (receiver->counts != NULL)
	{
		for (int i = 0; i < natts; i++)
			receiver->counts[i] = DatumGetInt64(slot_getattr(slot, i + 1, &isnull));
		return true;
	}

	result->wrong_rows += receiver->grouped ?
		DatumGetInt64(slot_getattr(slot, natts, &isnull)) : 1;
	if (list_length(result->samples) < MAX_SAMPLES)
	{
		MemoryContext old = MemoryContextSwitchTo(receiver->context);
		StringInfoData json;

		initStringInfo(&json);
		row_json_append(&json, slot);
		result->samples = lappend(result->samples, json.data);
		MemoryContextSwitchTo(old);
	}
	return true;
}

static void
execute(Query *query, const char *text, CheckReceiver *receiver)
{
	List	   *queries;
	List	   *plans;
	QueryDesc  *desc;

	receiver->pub.receiveSlot = receive_row;
	receiver->pub.rStartup = receive_startup;
	receiver->pub.rShutdown = receive_nothing;
	receiver->pub.rDestroy = receive_nothing;
	receiver->pub.mydest = DestNone;

	queries = pg_rewrite_query(query);
	if (list_length(queries) != 1 || linitial_node(Query, queries)->commandType != CMD_SELECT)
		elog(ERROR, "a check is not one SELECT");
	PushActiveSnapshot(GetTransactionSnapshot());
	plans = pg_plan_queries(queries, text, CURSOR_OPT_PARALLEL_OK, NULL);
	PopActiveSnapshot();

	PushCopiedSnapshot(GetTransactionSnapshot());
	UpdateActiveSnapshotCommandId();
	desc = CreateQueryDesc(linitial_node(PlannedStmt, plans), text, GetActiveSnapshot(),
						   InvalidSnapshot, &receiver->pub, NULL, NULL, 0);
	ExecutorStart(desc, 0);
	ExecutorRunCompat(desc);
	ExecutorFinish(desc);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);
	PopActiveSnapshot();
	CommandCounterIncrement();
}

/* ---- testing ---- */

static char *
clip(const char *text, int limit)
{
	int			length = strlen(text);

	if (length <= limit)
		return pstrdup(text);
	return psprintf("%.*s...", pg_mbcliplen(text, length, limit), text);
}

/* What to call a check. */
static char *
title_of(const StepCheck *check)
{
	return clip(check->name != NULL ? check->name : check->sql, MAX_TITLE_BYTES);
}

static Test *
prepare(const StepCheck *check, int number, MemoryContext context)
{
	Test	   *test = palloc0(sizeof(Test));
	CheckResult *result = MemoryContextAllocZero(context, sizeof(CheckResult));
	SqlErrorContext errors;

	result->number = number;
	result->text = MemoryContextStrdup(context, check->text);
	result->name = check->name ? MemoryContextStrdup(context, check->name) : NULL;
	result->warn = check->warn;
	test->check = check;
	test->result = result;

	/* functions that are folded already here may read tables */
	PushActiveSnapshot(GetTransactionSnapshot());
	step_check_push_errors(check, &errors);
	check_query_make(check, NULL, &test->queries);
	if (test->queries.rows != NULL)
		test->rows = check_query_analyze(check, test->queries.rows, NULL);
	if (test->queries.groups != NULL)
		test->groups = check_query_analyze(check, test->queries.groups, NULL);
	sql_error_pop(&errors);
	PopActiveSnapshot();

	return test;
}

/* An error in that scan can be any of these checks'. */
static void
scan_error_context(void *arg)
{
	const List *tests = arg;
	ListCell   *lc;

	foreach(lc, tests)
	{
		const StepCheck *check = ((const Test *) lfirst(lc))->check;

		errcontext("check \"%s\"%s", check->sql,
				   list_length(tests) > 1 ? ", or another one of the same scan" : "");
		if (foreach_current_index(lc) == MAX_SAMPLES - 1)
			break;
	}
}

/* Counts the wrong rows of all tests that look at single rows. */
static void
scan_once(const List *tests)
{
	ErrorContextCallback callback = {.previous = error_context_stack};
	CheckReceiver receiver = {0};
	List	   *scanned = NIL;
	List	   *queries = NIL;
	ListCell   *lc;

	foreach(lc, tests)
	{
		Test	   *test = lfirst(lc);

		if (!test->queries.by_row)
			continue;
		scanned = lappend(scanned, test);
		queries = lappend(queries, test->rows);
	}
	if (scanned == NIL)
		return;

	callback.callback = scan_error_context;
	callback.arg = scanned;
	error_context_stack = &callback;
	receiver.counts = palloc0(sizeof(int64) * list_length(scanned));
	execute(check_query_count(((Test *) linitial(scanned))->check, queries),
			((Test *) linitial(scanned))->check->text, &receiver);
	error_context_stack = callback.previous;

	foreach(lc, scanned)
		((Test *) lfirst(lc))->result->wrong_rows = receiver.counts[foreach_current_index(lc)];
}

/* Return true if the index holds, of each combination of these columns, at most one row. */
static bool
index_proves(Oid relid, Oid index, const StepCheck *check)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	Relation	relation;
	Form_pg_index form;
	bool		proved;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for index %u", index);
	form = (Form_pg_index) GETSTRUCT(tuple);
	proved = form->indisunique && form->indisvalid && form->indimmediate &&
		heap_attisnull(tuple, Anum_pg_index_indpred, NULL) &&
		(form->indnullsnotdistinct || !check->nulls_not_distinct);

	relation = index_open(index, AccessShareLock);
	for (int i = 0; proved && i < form->indnkeyatts; i++)
	{
		AttrNumber	attnum = form->indkey.values[i];
		Oid			type;
		int32		typmod;
		Oid			collation;
		Oid			opclass;
		bool		listed = false;
		ListCell   *lc;

		if (attnum <= 0)
		{
			proved = false;		/* an expression */
			break;
		}
		foreach(lc, check->columns)
			listed |= strcmp(strVal(lfirst(lc)), get_attname(relid, attnum, false)) == 0;
		get_atttypetypmodcoll(relid, attnum, &type, &typmod, &collation);
		opclass = GetDefaultOpClass(type, BTREE_AM_OID);
		proved = listed && relation->rd_indcollation[i] == collation &&
			OidIsValid(opclass) && relation->rd_opfamily[i] == get_opclass_family(opclass);
	}
	index_close(relation, AccessShareLock);
	ReleaseSysCache(tuple);

	return proved;
}

/* The step's own unique indexes would not have been built over rows that are equal. */
static bool
is_proved_unique(const StepCheck *check)
{
	Oid			relid = RangeVarGetRelid(check->table, AccessShareLock, false);
	Relation	relation = table_open(relid, NoLock);
	bool		proved = false;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(relation))
		proved = proved || index_proves(relid, lfirst_oid(lc), check);
	table_close(relation, NoLock);
	return proved;
}

/* What scan_once has not done. */
static void
finish(Test *test, MemoryContext context)
{
	const StepCheck *check = test->check;
	CheckReceiver receiver = {.result = test->result, .context = context};
	SqlErrorContext errors;

	step_check_push_errors(check, &errors);
	if (test->queries.by_row && test->result->wrong_rows > 0)
	{
		int64		counted = test->result->wrong_rows;

		execute(check_query_analyze(check, check_query_limit(test->queries.rows, MAX_SAMPLES),
									NULL),
				check->text, &receiver);
		test->result->wrong_rows = counted;
	}
	else if (test->rows != NULL && !test->queries.by_row)
		execute(test->rows, check->text, &receiver);

	if (test->groups != NULL && !is_proved_unique(check))
	{
		receiver.grouped = true;
		execute(test->groups, check->text, &receiver);
	}
	sql_error_pop(&errors);
	test->result->tested_at = GetCurrentTimestamp();
}

/* ---- the verdict ---- */

static char *
found(const Test *test)
{
	int64		n = test->result->wrong_rows;

	return psprintf("check \"%s\" found " INT64_FORMAT " wrong %s", title_of(test->check), n,
					n == 1 ? "row" : "rows");
}

/* A line a check, with as many rows as fit. */
static void
append_samples(StringInfo detail, const Test *test, bool several)
{
	int			room = MAX_DETAIL_BYTES - detail->len;
	ListCell   *lc;

	foreach(lc, test->result->samples)
	{
		const char *sample = lfirst(lc);
		bool		first = foreach_current_index(lc) == 0;

		if ((int) strlen(sample) > room)
			break;
		room -= strlen(sample);
		if (!first)
			appendStringInfoString(detail, ", ");
		else if (several)
			appendStringInfo(detail, "%s%s: ", detail->len > 0 ? "\n" : "", title_of(test->check));
		else
			appendStringInfoString(detail, "Wrong: ");
		appendStringInfoString(detail, sample);
	}
}

static void
raise_failed(const List *failed)
{
	StringInfoData detail;
	ListCell   *lc;
	int			more = list_length(failed) - 1;

	initStringInfo(&detail);
	foreach(lc, failed)
		append_samples(&detail, lfirst(lc), more > 0);
	ereport(ERROR,
			(errcode(ERRCODE_ETL_CHECK_FAILED),
			 more == 0 ? errmsg("%s", found(linitial(failed))) :
			 errmsg_plural("%s, and %d more check failed", "%s, and %d more checks failed",
						   more, found(linitial(failed)), more),
			 detail.len > 0 ? errdetail("%s", detail.data) : 0));
}

void
check_rows(const List *checks, List **results, List **warnings)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "checks", ALLOCSET_DEFAULT_SIZES);
	List	   *tests = NIL;
	List	   *failed = NIL;
	ListCell   *lc;

	MemoryContextSwitchTo(context);
	foreach(lc, checks)
		tests = lappend(tests, prepare(lfirst(lc), foreach_current_index(lc) + 1, caller));
	scan_once(tests);
	foreach(lc, tests)
	{
		Test	   *test = lfirst(lc);

		finish(test, caller);
		MemoryContextSwitchTo(caller);
		*results = lappend(*results, test->result);
		if (test->result->wrong_rows > 0 && test->check->warn)
			*warnings = lappend(*warnings, found(test));
		MemoryContextSwitchTo(context);
		if (test->result->wrong_rows > 0 && !test->check->warn)
			failed = lappend(failed, test);
	}
	if (failed != NIL)
		raise_failed(failed);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}
