/*-------------------------------------------------------------------------
 *
 * script_order.c
 *	  What the statements of a script touch, and which of them must not
 *	  overtake each other.
 *
 * In a script each statement sees what those before it have done.  As steps they
 * are only ordered by the names in their SQL and by depends_on.  So a step gets
 * into its depends_on, where its SQL does not name the other step:
 *
 * - what wrote a table last, if it reads or writes it;
 * - what has read a table since then, if it writes it.
 *
 * A step that may touch what it does not name (DO, CALL, CREATE FUNCTION) comes
 * after all steps before it, and before all steps after it.
 *
 * A table without a schema may be any table of that name on the way that names
 * are looked up: the target schema and the pipeline's search_path.  Nothing is
 * looked up in the catalogs, because the tables may be made by the script itself,
 * and because the same script shall always make the same pipeline.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/names.h"
#include "parse/refs.h"
#include "parse/step_check.h"
#include "script/script.h"

#include "catalog/pg_class.h"
#include "tcop/cmdtag.h"
#include "utils/hsearch.h"
#include "utils/varlena.h"

/* ---- what a statement touches ---- */

bool
script_is_local(const Pipeline *pipeline, const char *schema)
{
	return schema == NULL || strcmp(schema, pipeline->target_schema) == 0;
}

/* Return true if the statement may touch what it does not name. */
static bool
is_opaque(Node *statement, bool writes)
{
	switch (nodeTag(statement))
	{
		case T_DoStmt:
		case T_CallStmt:
			return true;
		case T_CopyStmt:
			return ((CopyStmt *) statement)->is_program;
		case T_SelectStmt:
		case T_InsertStmt:
		case T_UpdateStmt:
		case T_DeleteStmt:
		case T_MergeStmt:
		case T_CreateTableAsStmt:
		case T_RefreshMatViewStmt:
		case T_ExplainStmt:
		case T_VacuumStmt:
		case T_ClusterStmt:
		case T_ReindexStmt:
		case T_CheckPointStmt:
		case T_NotifyStmt:
			return false;
		default:
			return !writes && script_refusal(statement) == NULL;
	}
}

void
script_analyze(ScriptStep *step)
{
	StepRefs   *refs = refs_analyze(step->step->sql_query);
	ListCell   *lc;

	step->step->kind = refs->kind;
	step->reads = refs->reads;
	step->writes = refs->writes;
	if (refs->kind == ETL_STEP_QUERY)
		return;

	foreach(lc, refs_parse(step->step->sql_query))
	{
		Node	   *statement = lfirst_node(RawStmt, lc)->stmt;

		step->opaque |= is_opaque(statement, refs->writes != NIL);
		step->defines_view |= IsA(statement, ViewStmt);
		if (IsA(statement, CopyStmt) && ((CopyStmt *) statement)->filename != NULL)
		{
			RefName    *file = palloc(sizeof(RefName));

			file->schema = SCRIPT_FILES;
			file->name = ((CopyStmt *) statement)->filename;
			if (((CopyStmt *) statement)->is_from)
				step->reads = lappend(step->reads, file);
			else
				step->writes = lappend(step->writes, file);
		}
	}
}

static bool
is_temporary(Node *statement)
{
	const RangeVar *relation =
	IsA(statement, CreateStmt) ? ((CreateStmt *) statement)->relation :
	IsA(statement, ViewStmt) ? ((ViewStmt *) statement)->view :
	IsA(statement, CreateSeqStmt) ? ((CreateSeqStmt *) statement)->sequence : NULL;

	return relation != NULL &&
		(relation->relpersistence == RELPERSISTENCE_TEMP ||
		 (relation->schemaname != NULL && strcmp(relation->schemaname, "pg_temp") == 0));
}

const char *
script_refusal(Node *statement)
{
	if (is_temporary(statement))
		return "What is temporary goes with the session, and each step has its own.";

	switch (nodeTag(statement))
	{
		case T_VariableSetStmt:
			return "It would be forgotten at the end of its step: use the flag \"settings\" of the steps that need it, and the pipeline's search_path.";
		case T_PrepareStmt:
		case T_ExecuteStmt:
		case T_DeallocateStmt:
		case T_DeclareCursorStmt:
		case T_FetchStmt:
		case T_ClosePortalStmt:
		case T_DiscardStmt:
		case T_LoadStmt:
		case T_ConstraintsSetStmt:
		case T_LockStmt:
			return "It has an effect on its session only, and each step has its own.";
		case T_VariableShowStmt:
			return "Nobody sees what it shows.";
		case T_ExplainStmt:
			return "Nobody sees the plan.";
		default:
			return NULL;
	}
}

/* ---- who has touched what up to now ---- */

typedef struct Access
{
	const char *schema;			/* NULL: none */
	int			step;
} Access;

/* A table's name, in any schema. */
typedef struct NameAccess
{
	char		name[NAMEDATALEN];	/* hash key */
	List	   *reads;			/* of Access *, since the last write that covers them */
	List	   *writes;
	List	   *view_reads;		/* of RefName *: what a view of that name reads */
	int			step;			/* whose name it is; -1: none's */
} NameAccess;

typedef struct Order
{
	const Pipeline *pipeline;
	List	   *path;			/* of char *: its search_path */
	HTAB	   *names;
	ScriptStep **steps;
	int			nsteps;
	bool	   *has_follower;	/* a later step comes after it */
	int		   *behind;			/* the last barrier that it comes after; -1: none */
	int			barrier;		/* the last one */

	/* of the step that is looked at */
	bool	   *before;			/* it comes after that step */
	List	   *edges;			/* the same as numbers */
} Order;

static NameAccess *
find_name(Order *order, const char *name)
{
	NameAccess *access;
	bool		found;

	access = hash_search(order->names, name, HASH_ENTER, &found);
	if (!found)
	{
		access->reads = access->writes = access->view_reads = NIL;
		access->step = -1;
	}
	return access;
}

static bool
is_on_path(const Order *order, const char *schema)
{
	return script_is_local(order->pipeline, schema) || names_contain(order->path, schema);
}

/* Return true if the two can mean the same table, their names being equal. */
static bool
may_be_same(const Order *order, const char *a, const char *b)
{
	if (a != NULL && b != NULL)
		return strcmp(a, b) == 0;
	return is_on_path(order, a ? a : b);
}

static void
add_edge(Order *order, int step)
{
	if (order->before[step])
		return;
	order->before[step] = true;
	order->edges = lappend_int(order->edges, step);
}

static void
add_conflicts(Order *order, const List *accesses, const char *schema, int step)
{
	ListCell   *lc;

	foreach(lc, accesses)
	{
		const Access *access = lfirst(lc);

		/* what comes before the barrier is before all that comes after it */
		if (access->step != step && access->step >= order->barrier &&
			may_be_same(order, access->schema, schema))
			add_edge(order, access->step);
	}
}

/*
 * Those that are left when a step comes after those that it may be in conflict
 * with: who is in conflict with them is so with it.
 */
static List *
uncovered(const Order *order, List *accesses, const char *schema)
{
	List	   *rest = NIL;
	ListCell   *lc;

	foreach(lc, accesses)
	{
		Access	   *access = lfirst(lc);
		bool		covered = schema == NULL ? is_on_path(order, access->schema) :
		(access->schema != NULL && strcmp(access->schema, schema) == 0);

		if (!covered)
			rest = lappend(rest, access);
	}
	return rest;
}

static List *
note_access(List *accesses, const char *schema, int step)
{
	Access	   *access = palloc(sizeof(Access));

	access->schema = schema;
	access->step = step;
	return lappend(accesses, access);
}

/* ---- one step ---- */

/* The other step that a reference names; -1: it means no step. */
static int
named_step(Order *order, const RefName *ref, int step)
{
	int			other;

	if (!script_is_local(order->pipeline, ref->schema))
		return -1;
	other = find_name(order, ref->name)->step;
	return other == step ? -1 : other;
}

/* What a step reads, and what the views read that it reads. */
static List *
all_reads(Order *order, const ScriptStep *step)
{
	List	   *reads = list_copy(step->reads);
	ListCell   *lc;

	/* a view's list holds what its views read */
	foreach(lc, step->reads)
	{
		const RefName *ref = lfirst(lc);

		reads = list_concat(reads, find_name(order, ref->name)->view_reads);
	}
	return reads;
}

/* All that the order of the statements asks for. */
static void
find_edges(Order *order, int number, const List *reads)
{
	const ScriptStep *step = order->steps[number];
	ListCell   *lc;

	foreach(lc, reads)
	{
		const RefName *ref = lfirst(lc);

		add_conflicts(order, find_name(order, ref->name)->writes, ref->schema, number);
	}
	foreach(lc, step->writes)
	{
		const RefName *ref = lfirst(lc);
		NameAccess *access = find_name(order, ref->name);

		add_conflicts(order, access->writes, ref->schema, number);
		add_conflicts(order, access->reads, ref->schema, number);
	}
	if (step->opaque)
	{
		for (int i = order->barrier + 1; i < number; i++)
		{
			if (!order->has_follower[i])
				add_edge(order, i);
		}
	}
}

/* Edges that the SQL shows by name, and those of a depends_on that was given. */
static void
find_shown_edges(Order *order, int number)
{
	const ScriptStep *step = order->steps[number];
	ListCell   *lc;

	foreach(lc, list_concat_copy(step->reads, step->writes))
	{
		int			other = named_step(order, lfirst(lc), number);

		if (other >= 0)
			add_edge(order, other);
	}
	if (!step->given_depends_on)
		return;
	foreach(lc, step->step->depends_on)
	{
		const char *name = lfirst(lc);
		int			other = strlen(name) < NAMEDATALEN ? find_name(order, name)->step : -1;

		if (other >= 0 && other != number)
			add_edge(order, other);
	}
}

static void
check_no_later_step(Order *order, int number)
{
	const ScriptStep *step = order->steps[number];
	ListCell   *lc;

	foreach(lc, list_concat_copy(step->reads, step->writes))
	{
		const RefName *ref = lfirst(lc);
		int			other = named_step(order, ref, number);

		if (other > number)
			ereport(ERROR,
					(errcode(ERRCODE_ETL_INVALID_PIPELINE),
					 errmsg("step \"%s\" comes before step \"%s\", which it reads or writes",
							step->step->process_name,
							order->steps[other]->step->process_name),
					 errdetail("In a pipeline %s means the table of that step, which has to come first.",
							   refs_name_to_text(ref)),
					 errhint("Put the statements into another order, give the step another name, or qualify a table that no step makes with its schema."),
					 script_errplace(step->place.text, step->location)));
	}
}

static void
note_step(Order *order, int number, List *reads)
{
	const ScriptStep *step = order->steps[number];
	ListCell   *lc;

	foreach(lc, reads)
	{
		const RefName *ref = lfirst(lc);
		NameAccess *access = find_name(order, ref->name);

		access->reads = note_access(access->reads, ref->schema, number);
	}
	foreach(lc, step->writes)
	{
		const RefName *ref = lfirst(lc);
		NameAccess *access = find_name(order, ref->name);

		if (!step->given_depends_on)
		{
			access->reads = uncovered(order, access->reads, ref->schema);
			access->writes = uncovered(order, access->writes, ref->schema);
		}
		access->writes = note_access(access->writes, ref->schema, number);
		if (step->defines_view)
			access->view_reads = list_concat_unique_ptr(access->view_reads, reads);
	}
	if (step->step->kind == ETL_STEP_QUERY)
	{
		NameAccess *access = find_name(order, step->step->process_name);

		access->writes = note_access(access->writes, order->pipeline->target_schema, number);
	}
	if (step->opaque && !step->given_depends_on)
		order->barrier = number;
}

/* The depends_on that the order of the statements makes necessary. */
static List *
infer_depends_on(Order *order, int number, const List *reads)
{
	ScriptStep *step = order->steps[number];
	List	   *hidden;
	List	   *depends_on = NIL;
	ListCell   *lc;
	int			shown;
	int			behind = -1;

	find_shown_edges(order, number);
	shown = list_length(order->edges);
	if (!step->given_depends_on)
		find_edges(order, number, reads);
	foreach(lc, order->edges)
		behind = Max(behind, order->behind[lfirst_int(lc)]);
	if (!step->given_depends_on && behind < order->barrier)
		add_edge(order, order->barrier);

	hidden = list_copy_tail(order->edges, shown);
	list_sort(hidden, list_int_cmp);
	foreach(lc, hidden)
		depends_on = lappend(depends_on, order->steps[lfirst_int(lc)]->step->process_name);
	list_free(hidden);
	return depends_on;
}

/* The step is placed: it follows the steps that "edges" says. */
static void
finish_step(Order *order, int number, List *reads)
{
	ListCell   *lc;

	note_step(order, number, reads);
	order->behind[number] = order->barrier == number ? number : -1;
	foreach(lc, order->edges)
	{
		int			other = lfirst_int(lc);

		if (other < number)
			order->has_follower[other] = true;
		order->behind[number] = Max(order->behind[number], order->behind[other]);
		order->before[other] = false;
	}
	list_free(order->edges);
	order->edges = NIL;
}

static bool
same_names(const List *a, const List *b)
{
	ListCell   *la;
	ListCell   *lb;

	if (list_length(a) != list_length(b))
		return false;
	forboth(la, a, lb, b)
	{
		if (strcmp(lfirst(la), lfirst(lb)) != 0)
			return false;
	}
	return true;
}

static void
forget_edges(Order *order)
{
	ListCell   *lc;

	foreach(lc, order->edges)
		order->before[lfirst_int(lc)] = false;
	list_free(order->edges);
	order->edges = NIL;
}

static void
order_step(Order *order, int number, bool exporting)
{
	ScriptStep *step = order->steps[number];
	List	   *reads = all_reads(order, step);
	List	   *inferred;

	if (!exporting)
		check_no_later_step(order, number);
	inferred = infer_depends_on(order, number, reads);
	if (exporting && !same_names(inferred, step->step->depends_on))
	{
		step->given_depends_on = true;
		forget_edges(order);
		(void) infer_depends_on(order, number, reads);
	}
	else if (!step->given_depends_on)
		step->step->depends_on = inferred;
	finish_step(order, number, reads);
}

/* A check reads tables when its step has run: they count as read by the step. */
static void
add_check_reads(const Pipeline *pipeline, ScriptStep *step)
{
	ScriptPlace place = step->place;
	ListCell   *lc;
	ListCell   *read;

	/* the check is in a comment, of which only the beginning is known */
	place.sql_start = SCRIPT_ONLY_LOCATION;
	if (place.text !=NULL)
		script_place_push(&place);
	foreach(lc, step->step->checks)
	{
		foreach(read, step_check_reads(step_check_parse(lfirst(lc), step->step->process_name)))
		{
			const RefName *ref = lfirst(read);

			if (strcmp(ref->name, step->step->process_name) != 0 ||
				!script_is_local(pipeline, ref->schema))
				step->reads = lappend(step->reads, lfirst(read));
		}
	}
	if (place.text !=NULL)
		script_place_pop(&place);
}

void
script_order(const Pipeline *pipeline, List *steps, bool exporting)
{
	HASHCTL		control = {.keysize = NAMEDATALEN, .entrysize = sizeof(NameAccess),
	.hcxt = CurrentMemoryContext};
	int			n = list_length(steps);
	Order		order = {.pipeline = pipeline, .nsteps = n, .barrier = -1};

	if (n == 0)
		return;
	(void) SplitIdentifierString(pstrdup(pipeline->search_path), ',', &order.path);
	order.names = hash_create("tables of a script", 256, &control,
							  HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	order.steps = palloc(sizeof(ScriptStep *) * n);
	order.has_follower = palloc0(n);
	order.before = palloc0(n);
	order.behind = palloc(sizeof(int) * n);
	for (int i = 0; i < n; i++)
	{
		order.steps[i] = list_nth(steps, i);
		add_check_reads(pipeline, order.steps[i]);
		order.behind[i] = -1;
	}
	for (int i = 0; i < n; i++)
		find_name(&order, order.steps[i]->step->process_name)->step = i;
	for (int i = 0; i < n; i++)
		order_step(&order, i, exporting);
	hash_destroy(order.names);
}
