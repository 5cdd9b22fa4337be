/*-------------------------------------------------------------------------
 *
 * check.c
 *	  Tests a step's new rows: its checks, and the constraints of the table
 *	  that they are to replace.
 *
 * How often the table is read: once for all checks that look at single rows
 * (CHECK, NOT NULL and the nulls of a PRIMARY KEY), whose wrong rows are counted
 * side by side; once for each UNIQUE that no unique index has proved already, and
 * for each FOREIGN KEY; as often as it says for a SELECT.  Sample rows of the
 * first kind need a second look, but only where there are any.
 *
 * The published table's constraints are read back as the server writes them in
 * a dump, and are then checks like others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "check.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "checkquery.h"
#include "commands/defrem.h"
#include "executor/executor.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "rowjson.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#define MAX_SAMPLES			5
#define MAX_TITLE_BYTES		200		/* of a check, in messages */
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
		rowjson_append(&json, slot);
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
	stepcheck_push_errors(check, &errors);
	checkquery_make(check, NULL, &test->queries);
	if (test->queries.rows != NULL)
		test->rows = checkquery_analyze(check, test->queries.rows, NULL);
	if (test->queries.groups != NULL)
		test->groups = checkquery_analyze(check, test->queries.groups, NULL);
	sqlerror_pop(&errors);
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

		errcontext("%s \"%s\"%s", check->constraint_of ? "constraint" : "check", check->sql,
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
	execute(checkquery_count(((Test *) linitial(scanned))->check, queries),
			((Test *) linitial(scanned))->check->text, &receiver);
	error_context_stack = callback.previous;

	foreach(lc, scanned)
		((Test *) lfirst(lc))->result->wrong_rows = receiver.counts[foreach_current_index(lc)];
}

/* Does the index hold, of each combination of these columns, at most one row? */
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

	stepcheck_push_errors(check, &errors);
	if (test->queries.by_row && test->result->wrong_rows > 0)
	{
		int64		counted = test->result->wrong_rows;

		execute(checkquery_analyze(check, checkquery_limit(test->queries.rows, MAX_SAMPLES), NULL),
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
	sqlerror_pop(&errors);
	test->result->tested_at = GetCurrentTimestamp();
}

/* ---- the verdict ---- */

static char *
found(const Test *test)
{
	const StepCheck *check = test->check;
	int64		n = test->result->wrong_rows;
	const char *rows = n == 1 ? "row" : "rows";

	if (check->constraint_of != NULL)
		return psprintf("constraint \"%s\" of table %s would be violated by " INT64_FORMAT " %s",
						title_of(check), check->constraint_of, n, rows);
	return psprintf("check \"%s\" found " INT64_FORMAT " wrong %s", title_of(check), n, rows);
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
			 detail.len > 0 ? errdetail("%s", detail.data) : 0,
			 errhint("etl.check_log has the results of all checks.")));
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

/* ---- constraints of a published table ---- */

/* Are the columns the same, but for dropped ones? */
static bool
same_columns(Relation a, Relation b)
{
	TupleDesc	x = RelationGetDescr(a);
	TupleDesc	y = RelationGetDescr(b);
	int			j = 0;

	for (int i = 0; i < x->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(x, i);
		Form_pg_attribute other;

		if (column->attisdropped)
			continue;
		while (j < y->natts && TupleDescAttr(y, j)->attisdropped)
			j++;
		if (j == y->natts)
			return false;
		other = TupleDescAttr(y, j++);
		if (strcmp(NameStr(column->attname), NameStr(other->attname)) != 0 ||
			column->atttypid != other->atttypid || column->atttypmod != other->atttypmod)
			return false;
	}
	while (j < y->natts && TupleDescAttr(y, j)->attisdropped)
		j++;
	return j == y->natts;
}

/* As in a dump: with nothing but pg_catalog in the search_path, all else is qualified. */
static char *
constraint_definition(Oid constraint)
{
	int			nestlevel = NewGUCNestLevel();
	char	   *definition;

	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	PushActiveSnapshot(GetTransactionSnapshot());
	definition = TextDatumGetCString(DirectFunctionCall1(pg_get_constraintdef,
												   ObjectIdGetDatum(constraint)));
	PopActiveSnapshot();
	AtEOXact_GUC(false, nestlevel);
	return definition;
}

static StepCheck *
make_constraint(const char *text, const char *name, Relation staged, const char *published)
{
	StepCheck  *check = stepcheck_parse_constraint(text, RelationGetRelationName(staged));

	check->table->schemaname = get_namespace_name(RelationGetNamespace(staged));
	check->name = name ? pstrdup(name) : NULL;
	check->constraint_of = published;
	return check;
}

/* False: the table that a foreign key references is not there. */
static bool
find_referenced(StepCheck *check, RefsTargetFunction target, void *arg)
{
	RangeVar   *referenced = check->referenced;
	const char *schema;

	if (referenced == NULL)
		return true;
	schema = target(referenced->schemaname, referenced->relname, false, arg);
	if (schema != NULL)
		referenced->schemaname = pstrdup(schema);
	return OidIsValid(RangeVarGetRelid(referenced, NoLock, true));
}

List *
check_constraints_of(Oid published, Oid staged, RefsTargetFunction target, void *arg)
{
	Relation	old = try_table_open(published, AccessShareLock);
	Relation	new;
	List	   *checks = NIL;
	char	   *title;
	Relation	pg_constraint;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;

	if (old == NULL)
		return NIL;
	new = table_open(staged, AccessShareLock);
	if (!same_columns(old, new))
	{
		table_close(new, NoLock);
		table_close(old, NoLock);
		return NIL;
	}
	title = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(old)),
									   RelationGetRelationName(old));

	for (int i = 0; i < RelationGetDescr(old)->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(RelationGetDescr(old), i);

		if (column->attnotnull && !column->attisdropped)
			checks = lappend(checks,
							 make_constraint(psprintf("NOT NULL (%s)",
													  quote_identifier(NameStr(column->attname))),
											 NULL, new, title));
	}

	pg_constraint = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(published));
	scan = systable_beginscan(pg_constraint, ConstraintRelidTypidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
		StepCheck  *check;

		/* a foreign key to a partitioned table has one more for each partition */
		if (form->contype != CONSTRAINT_CHECK &&
			(form->contype != CONSTRAINT_FOREIGN || OidIsValid(form->conparentid)))
			continue;
		check = make_constraint(constraint_definition(form->oid), NameStr(form->conname),
								new, title);
		if (!check->not_enforced && find_referenced(check, target, arg))
			checks = lappend(checks, check);
	}
	systable_endscan(scan);
	table_close(pg_constraint, AccessShareLock);
	table_close(new, NoLock);
	table_close(old, NoLock);

	return checks;
}
