/*-------------------------------------------------------------------------
 *
 * validate.c
 *	  etl.validate: everything that is wrong with a version of a pipeline, before
 *	  anything runs.
 *
 * The checks raise errors, as they do when a pipeline is defined or run.  Here
 * each is made on trial (trial.c), and the error becomes a row.  Nothing is
 * executed and nothing is written, so that it can be asked in a read-only
 * transaction.
 *
 * Steps are analysed in the order of the graph, with the row types of those
 * before them (step_analysis.c).  What reads a step that has an error cannot be
 * checked: it gets one row that says so.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "define/step_analysis.h"
#include "metastore/catalog.h"
#include "define/definition.h"
#include "define/option.h"
#include "define/pipeline.h"
#include "base/security.h"
#include "define/target_check.h"
#include "table/step_table.h"
#include "define/trial.h"

#include "access/xlog.h"
#include "base/names.h"
#include "catalog/heap.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_namespace.h"
#include "commands/defrem.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_relation.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(etl_validate);

#define VALIDATE_COLUMNS	7
#define THE_PIPELINE		(-1)	/* a problem that is no step's */

typedef struct Problem
{
	int			step;			/* or THE_PIPELINE */
	int			number;			/* order of finding */
	bool		is_error;		/* else a warning */
	int			sqlerrcode;
	char	   *message;
	char	   *detail;			/* or NULL */
	char	   *hint;			/* or NULL */
	int			position;		/* in the step's SQL, in characters from 1; 0: none */
} Problem;

/* A table that a step of this version has published. */
typedef struct OutputEntry
{
	Oid			relid;			/* hash key */
	int			step;
} OutputEntry;

/* A relation that command steps change. */
typedef struct WrittenEntry
{
	char		name[2 * NAMEDATALEN + 8];	/* hash key: the reference, cut */
	int			step;			/* the last of them */
} WrittenEntry;

typedef struct Validation
{
	PipelineGraph *graph;
	MemoryContext context;		/* of what outlives a check */
	List	   *problems;
	int		   *broken;			/* of each step: the step because of whose error its rows are not
								 * known; -1: they are */
	TupleDesc  *descs;			/* of each query step that is not broken */
	HTAB	   *outputs;		/* of OutputEntry */
	HTAB	   *written;		/* of WrittenEntry */
} Validation;

/* What a check is about; each uses what it needs. */
typedef struct Subject
{
	int			step;
	int			upstream;
	int			column;
	const char *text;
	const int  *path;
	int			length;
	StepAnalysis analysis;
	List	   *partition_key;
} Subject;

typedef void (*CheckFunction) (Validation *v, Subject *subject);

/* ---- problems ---- */

static Problem *
add_problem(Validation *v, int step, int sqlerrcode, char *message)
{
	MemoryContext old = MemoryContextSwitchTo(v->context);
	Problem    *problem = palloc0(sizeof(Problem));

	problem->step = step;
	problem->number = list_length(v->problems);
	problem->is_error = true;
	problem->sqlerrcode = sqlerrcode;
	problem->message = pstrdup(message);
	v->problems = lappend(v->problems, problem);
	MemoryContextSwitchTo(old);

	return problem;
}

static Problem *
add_error(Validation *v, int step, const ErrorData *error)
{
	Problem    *problem = add_problem(v, step, error->sqlerrcode, error->message);

	problem->detail = error->detail;
	problem->hint = error->hint;
	if (step != THE_PIPELINE && error->internalpos > 0 && error->internalquery != NULL &&
		strcmp(error->internalquery, v->graph->steps[step]->sql_query) == 0)
		problem->position = error->internalpos;
	return problem;
}

typedef struct Attempt
{
	Validation *v;
	CheckFunction check;
	Subject    *subject;
} Attempt;

static void
make_check(void *arg)
{
	const Attempt *attempt = arg;

	attempt->check(attempt->v, attempt->subject);
}

/* Makes a check; its error in v->context, NULL if it raised none. */
static ErrorData *
attempt(Validation *v, CheckFunction check, Subject *subject)
{
	Attempt		attempt = {.v = v, .check = check, .subject = subject};

	return trial_make(v->graph->pipeline, make_check, &attempt, v->context);
}

/* The same; an error is the step's (or the pipeline's) problem.  False if there is one. */
static bool
passes(Validation *v, CheckFunction check, Subject *subject)
{
	ErrorData  *error = attempt(v, check, subject);

	if (error != NULL)
		(void) add_error(v, subject->step, error);
	return error == NULL;
}

/* ---- the graph ---- */

static void
check_dependency(Validation *v, Subject *subject)
{
	pipeline_check_dependency(v->graph, subject->step, subject->text);
}

static void
raise_cycle(Validation *v, Subject *subject)
{
	pipeline_raise_cycle(v->graph, subject->path, subject->length);
}

static void
check_order(Validation *v, Subject *subject)
{
	pipeline_raise_order_conflict(v->graph, subject->step, subject->upstream);
}

static void
validate_graph(Validation *v)
{
	PipelineGraph *graph = v->graph;
	bool	   *in_cycle = palloc0(sizeof(bool) * Max(graph->nsteps, 1));
	Subject		subject = {0};
	ListCell   *lc;
	int		   *path;

	for (subject.step = 0; subject.step < graph->nsteps; subject.step++)
	{
		foreach(lc, graph->steps[subject.step]->depends_on)
		{
			subject.text = lfirst(lc);
			if (pipeline_find_step(graph, subject.text) < 0)
				(void) passes(v, check_dependency, &subject);
		}
	}

	/* one cycle after the other, until what is left has none */
	pipeline_link(graph, NULL);
	while ((subject.length = dag_find_cycle(graph->dag, &path)) > 0)
	{
		subject.path = path;
		subject.step = path[0];
		(void) passes(v, raise_cycle, &subject);
		for (int i = 0; i < subject.length; i++)
		{
			in_cycle[path[i]] = true;
			v->broken[path[i]] = path[0];
		}
		pipeline_link(graph, in_cycle);
	}
	dag_seal(graph->dag);

	for (subject.step = 0; graph->pipeline->staged && subject.step < graph->nsteps; subject.step++)
	{
		const int  *upstream;
		int			n = dag_upstream(graph->dag, subject.step, &upstream);

		for (int i = 0; i < n; i++)
		{
			subject.upstream = upstream[i];
			if (dag_order(graph->dag, upstream[i]) > dag_order(graph->dag, subject.step))
				(void) passes(v, check_order, &subject);
		}
	}
}

/* ---- the pipeline ---- */

static void
check_owner(Validation *v, Subject *subject)
{
	security_check_worker_role(v->graph->pipeline->owner, v->graph->pipeline->name);
}

static void
check_schema(Validation *v, Subject *subject)
{
	const Pipeline *pipeline = v->graph->pipeline;
	Oid			schema = get_namespace_oid(pipeline->target_schema, true);

	if (OidIsValid(schema) &&
		COMPAT_NAMESPACE_ACLCHECK(schema, pipeline->owner, ACL_CREATE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_SCHEMA, pipeline->target_schema);
}

static void
check_target(Validation *v, Subject *subject)
{
	bool	   *selected = palloc0(sizeof(bool) * v->graph->nsteps);

	if (subject->step == THE_PIPELINE)
		memset(selected, true, sizeof(bool) * v->graph->nsteps);
	else
		selected[subject->step] = true;
	target_check_check(v->graph, selected);
}

static void
validate_pipeline(Validation *v)
{
	Subject		subject = {.step = THE_PIPELINE};

	(void) passes(v, check_owner, &subject);
	(void) passes(v, check_schema, &subject);
}

/* What is logged depends on the graph. */
static void
validate_targets(Validation *v)
{
	Subject		subject = {.step = THE_PIPELINE};
	ErrorData  *error;

	/* step by step only if there is anything to be found */
	error = attempt(v, check_target, &subject);
	if (error != NULL && (error->sqlerrcode == ERRCODE_UNDEFINED_SCHEMA ||
						  error->sqlerrcode == ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE))
		(void) add_error(v, THE_PIPELINE, error);
	else if (error != NULL)
	{
		for (subject.step = 0; subject.step < v->graph->nsteps; subject.step++)
			(void) passes(v, check_target, &subject);
	}
}

/* ---- what a step reads ---- */

typedef struct Reading
{
	Validation *v;
	int			step;
	List	   *denied;			/* of Oid: told already */
	List	   *seen;			/* of int: steps that are read through views */
} Reading;

static void
note_denied(Reading *reading, Oid relid)
{
	const Pipeline *pipeline = reading->v->graph->pipeline;
	MemoryContext old = MemoryContextSwitchTo(reading->v->context);
	char	   *name = names_qualified(relid);
	char	   *owner = GetUserNameFromId(pipeline->owner, false);
	Problem    *problem;

	problem = add_problem(reading->v, reading->step, ERRCODE_INSUFFICIENT_PRIVILEGE,
						  psprintf("permission denied for relation %s", name));
	problem->detail = psprintf("The pipeline's owner \"%s\" lacks a privilege on it that the step's SQL needs.",
							   owner);
	problem->hint = psprintf("Grant it to %s.", quote_identifier(owner));
	MemoryContextSwitchTo(old);
}

/* Rights, and tables of this run that are read behind its back. */
static bool
look_at_relations(Node *node, void *arg)
{
	Reading    *reading = arg;
	ListCell   *lc;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, look_at_relations, arg);

	foreach(lc, ((Query *) node)->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);
		OutputEntry *output;

		if (!ExecCheckRelationCompat((Query *) node, rte) &&
			!list_member_oid(reading->denied, rte->relid))
		{
			reading->denied = lappend_oid(reading->denied, rte->relid);
			note_denied(reading, rte->relid);
		}
		if (rte->rtekind != RTE_RELATION)
			continue;
		output = hash_search(reading->v->outputs, &rte->relid, HASH_FIND, NULL);
		if (output != NULL && output->step != reading->step)
			reading->seen = list_append_unique_int(reading->seen, output->step);
	}
	return query_tree_walker((Query *) node, look_at_relations, arg, 0);
}

static char *
names_of_views(const List *views)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	foreach(lc, views)
	{
		Oid			view = lfirst_oid(lc);

		appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "",
						 names_qualified(view));
	}
	return text.data;
}

/* The SQL names steps, which analysis points elsewhere: their tables come from views. */
static void
note_views(Reading *reading, const List *views)
{
	Validation *v = reading->v;
	MemoryContext old = MemoryContextSwitchTo(v->context);
	ListCell   *lc;

	foreach(lc, reading->seen)
	{
		const Step *output = v->graph->steps[lfirst_int(lc)];
		Problem    *problem;

		if (views == NIL)
			break;
		problem = add_problem(v, reading->step, ERRCODE_ETL_INVALID_PIPELINE,
							  psprintf("step \"%s\" reads the table of step \"%s\" through a view",
									   v->graph->steps[reading->step]->process_name,
									   output->process_name));
		problem->detail = psprintf("The view sees that table as the run before left it.  The step's SQL names %s.",
								   names_of_views(views));
		problem->hint = "Make the view a step of the pipeline.";
	}
	MemoryContextSwitchTo(old);
}

static void
look_at_reads(Validation *v, int step, const StepAnalysis *analysis)
{
	Reading		reading = {.v = v, .step = step};
	ListCell   *lc;

	foreach(lc, analysis->queries)
		(void) look_at_relations((Node *) lfirst_node(Query, lc), &reading);
	note_views(&reading, analysis->views);
}

/* ---- steps ---- */

static void
check_definition(Validation *v, Subject *subject)
{
	Step		step = *v->graph->steps[subject->step];

	definition_check_step(v->graph->pipeline, &step);
}

static void
analyse(Validation *v, Subject *subject)
{
	StepAnalysis analysis;

	step_analysis_of_step(v->graph, subject->step, v->descs, &analysis);
	if (analysis.desc != NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(v->context);

		subject->analysis.desc = CreateTupleDescCopy(analysis.desc);
		MemoryContextSwitchTo(old);
	}
	look_at_reads(v, subject->step, &analysis);
}

static void
check_column(Validation *v, Subject *subject)
{
	TupleDesc	desc = subject->analysis.desc;
	Form_pg_attribute column = TupleDescAttr(desc, subject->column);

	for (int i = 0; i < subject->column; i++)
	{
		if (strcmp(NameStr(TupleDescAttr(desc, i)->attname), NameStr(column->attname)) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("column \"%s\" specified more than once", NameStr(column->attname)),
					 errdetail("The step's table would have two columns of that name."),
					 errhint("Give one of them another name with AS.")));
	}
	if (SystemAttributeByName(NameStr(column->attname)) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_COLUMN),
				 errmsg("column name \"%s\" conflicts with a system column name",
						NameStr(column->attname))));
	CheckAttributeType(NameStr(column->attname), column->atttypid, column->attcollation,
					   NIL, 0);
	step_table_check_collation(column);
}

static void
check_columns(Validation *v, Subject *subject)
{
	for (subject->column = 0; subject->column < subject->analysis.desc->natts; subject->column++)
		check_column(v, subject);
}

/* One by one only if there is anything to be found. */
static bool
columns_pass(Validation *v, Subject *subject)
{
	if (attempt(v, check_columns, subject) == NULL)
		return true;
	for (subject->column = 0; subject->column < subject->analysis.desc->natts; subject->column++)
		(void) passes(v, check_column, subject);
	return false;
}

static List *
names_that_last(Validation *v, const List *names)
{
	MemoryContext old = MemoryContextSwitchTo(v->context);
	List	   *copy = NIL;
	ListCell   *lc;

	foreach(lc, names)
		copy = lappend(copy, pstrdup(lfirst(lc)));
	MemoryContextSwitchTo(old);
	return copy;
}

static void
check_partitions(Validation *v, Subject *subject)
{
	const Step *step = v->graph->steps[subject->step];
	TupleDesc	desc = subject->analysis.desc;
	ListCell   *lc;

	subject->partition_key = step_table_partition_key(step->repartition_by, step->partition_key,
													  desc);
	foreach(lc, subject->partition_key)
	{
		for (int i = 0; i < desc->natts; i++)
		{
			Form_pg_attribute column = TupleDescAttr(desc, i);

			if (strcmp(NameStr(column->attname), lfirst(lc)) == 0)
				(void) ResolveOpClass(NIL, column->atttypid, "hash", HASH_AM_OID);
		}
	}

	/* what was chosen is needed for the indexes */
	subject->partition_key = names_that_last(v, subject->partition_key);
}

static void
check_index(Validation *v, Subject *subject)
{
	step_analysis_check_index(v->graph->steps[subject->step], subject->analysis.desc,
							  subject->text, subject->partition_key);
}

/* A step that the SQL reads and whose rows are not known, or -1. */
static int
broken_upstream(const Validation *v, int index)
{
	ListCell   *lc;

	foreach(lc, v->graph->steps[index]->reads)
	{
		int			upstream = pipeline_find_reference(v->graph, lfirst(lc));

		if (upstream >= 0 && upstream != index && v->broken[upstream] >= 0 &&
			v->graph->steps[upstream]->kind == ETL_STEP_QUERY)
			return upstream;
	}
	return -1;
}

static bool
reads_steps(const Validation *v, int index)
{
	ListCell   *lc;

	foreach(lc, v->graph->steps[index]->reads)
	{
		if (pipeline_find_reference(v->graph, lfirst(lc)) >= 0)
			return true;
	}
	return false;
}

/*
 * A command step that changes something that this step names: it may have made
 * it, or given it a column, before this step runs.  -1 if there is none.
 */
static int
find_maker(const Validation *v, int index)
{
	const Step *step = v->graph->steps[index];
	ListCell   *lc;

	foreach(lc, list_concat(list_copy(step->reads), step->writes))
	{
		WrittenEntry *entry = hash_search(v->written, lfirst(lc), HASH_FIND, NULL);

		if (entry != NULL && entry->step != index)
			return entry->step;
	}
	return -1;
}

/* An error of analysis need not be one when the step runs. */
static Problem *
add_analysis_error(Validation *v, int index, const ErrorData *error)
{
	Problem    *problem = add_error(v, index, error);
	int			maker = find_maker(v, index);

	if (maker >= 0)
	{
		problem->is_error = false;
		problem->detail = psprintf("This is so now; step \"%s\" changes a relation that the step names.",
								   v->graph->steps[maker]->process_name);
	}
	else if (reads_steps(v, index) &&
			 (error->sqlerrcode == ERRCODE_FEATURE_NOT_SUPPORTED ||
			  error->sqlerrcode == ERRCODE_WRONG_OBJECT_TYPE))
	{
		problem->is_error = false;
		problem->detail = "The step could not be checked, because the tables that it reads are not there yet.";
	}
	return problem;
}

static void
check_check(Validation *v, Subject *subject)
{
	StepAnalysis analysis;

	step_analysis_of_check(v->graph, subject->step, v->descs, subject->analysis.desc,
						   subject->text, &analysis);
	look_at_reads(v, subject->step, &analysis);
}

/* Elements of an argument that are SQL of their own; "what" each is. */
static void
validate_elements(Validation *v, Subject *subject, const List *elements, CheckFunction check,
				  const char *what)
{
	ListCell   *lc;

	foreach(lc, elements)
	{
		ErrorData  *error;
		Problem    *problem;

		subject->text = lfirst(lc);
		error = attempt(v, check, subject);
		if (error == NULL)
			continue;
		problem = check == check_check ? add_analysis_error(v, subject->step, error) :
			add_error(v, subject->step, error);
		problem->detail = psprintf("%s \"%s\".%s%s", what, subject->text,
								   problem->detail ? "  " : "",
								   problem->detail ? problem->detail : "");
	}
}

static void
validate_table(Validation *v, Subject *subject)
{
	const Step *step = v->graph->steps[subject->step];

	if (step->repartition > 0)
		(void) passes(v, check_partitions, subject);
	validate_elements(v, subject, step->indexes, check_index, "Index");
	validate_elements(v, subject, step->checks, check_check, "Check");
}

static void
validate_step(Validation *v, int index)
{
	const PipelineGraph *graph = v->graph;
	Subject		subject = {.step = index};
	int			upstream = broken_upstream(v, index);
	ErrorData  *error;

	if (!passes(v, check_definition, &subject))
		v->broken[index] = index;
	if (v->broken[index] >= 0)
		return;
	if (upstream >= 0)
	{
		int			cause = v->broken[upstream];
		Problem    *problem;

		v->broken[index] = cause;
		problem = add_problem(v, index, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
							  psprintf("step \"%s\" cannot be checked because step \"%s\" has an error",
									   graph->steps[index]->process_name,
									   graph->steps[cause]->process_name));
		problem->is_error = false;
		return;
	}
	/* changing steps takes locks that there are none of during recovery */
	if (!step_analysis_is_possible(graph, index) ||
		(RecoveryInProgress() && graph->steps[index]->kind != ETL_STEP_QUERY))
		return;

	error = attempt(v, analyse, &subject);
	if (error != NULL)
		(void) add_analysis_error(v, index, error);
	if (graph->steps[index]->kind != ETL_STEP_QUERY)
		return;
	if (error != NULL || !columns_pass(v, &subject))
	{
		v->broken[index] = index;
		return;
	}
	v->descs[index] = subject.analysis.desc;
	validate_table(v, &subject);
}

static int
compare_places(const void *a, const void *b, void *arg)
{
	const Dag  *dag = arg;
	int			x = *(const int *) a;
	int			y = *(const int *) b;
	int			by_level = dag_level(dag, x) - dag_level(dag, y);

	return by_level != 0 ? by_level : x - y;
}

static void
validate_steps(Validation *v)
{
	int			nsteps = v->graph->nsteps;
	int		   *order = palloc(sizeof(int) * Max(nsteps, 1));

	for (int i = 0; i < nsteps; i++)
		order[i] = i;
	qsort_arg(order, nsteps, sizeof(int), compare_places, v->graph->dag);
	for (int i = 0; i < nsteps; i++)
		validate_step(v, order[i]);
}

/* Who can create objects in the target schema can put them before those that steps mean. */
static void
validate_creators(Validation *v)
{
	const Pipeline *pipeline = v->graph->pipeline;
	char	   *creators = target_check_creators(pipeline->target_schema, pipeline->owner);
	Problem    *problem;

	if (creators == NULL)
		return;
	problem = add_problem(v, THE_PIPELINE, ERRCODE_INSUFFICIENT_PRIVILEGE,
						  psprintf("other roles can create objects in schema \"%s\"",
								   pipeline->target_schema));
	problem->is_error = false;
	problem->detail = psprintf("These are %s. What the steps' SQL names without a schema is looked for there.",
							   creators);
	problem->hint = "REVOKE CREATE ON SCHEMA ... FROM those whom the pipeline's owner does not trust.";
}

/* ---- the whole ---- */

static void
load_outputs(Validation *v)
{
	HASHCTL		control = {
		.keysize = sizeof(Oid),
		.entrysize = sizeof(OutputEntry),
		.hcxt = CurrentMemoryContext
	};
	ListCell   *lc;

	v->outputs = hash_create("outputs", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	foreach(lc, catalog_load_outputs(v->graph->pipeline->id))
	{
		const Output *output = lfirst(lc);
		int			step = pipeline_find_step(v->graph, output->process_name);
		OutputEntry *entry;

		if (step < 0 || v->graph->steps[step]->kind != ETL_STEP_QUERY ||
			strcmp(output->schema, v->graph->pipeline->target_schema) != 0)
			continue;
		entry = hash_search(v->outputs, &output->relid, HASH_ENTER, NULL);
		entry->step = step;
	}
}

static void
load_written(Validation *v)
{
	HASHCTL		control = {
		.keysize = sizeof(((WrittenEntry *) NULL)->name),
		.entrysize = sizeof(WrittenEntry),
		.hcxt = CurrentMemoryContext
	};

	v->written = hash_create("written relations", 256, &control,
							 HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	for (int i = 0; i < v->graph->nsteps; i++)
	{
		ListCell   *lc;

		foreach(lc, v->graph->steps[i]->writes)
		{
			WrittenEntry *entry = hash_search(v->written, lfirst(lc), HASH_ENTER, NULL);

			entry->step = i;
		}
	}
}

static Validation *
begin_validation(const Pipeline *pipeline, int32 version)
{
	Validation *v = palloc0(sizeof(Validation));

	v->graph = pipeline_load_unlinked(pipeline->id, version);
	v->context = CurrentMemoryContext;
	v->broken = palloc(sizeof(int) * Max(v->graph->nsteps, 1));
	for (int i = 0; i < v->graph->nsteps; i++)
		v->broken[i] = -1;
	v->descs = palloc0(sizeof(TupleDesc) * Max(v->graph->nsteps, 1));
	load_outputs(v);
	load_written(v);

	return v;
}

static int
compare_problems(const ListCell *a, const ListCell *b)
{
	const Problem *x = lfirst(a);
	const Problem *y = lfirst(b);

	return x->step != y->step ? (x->step < y->step ? -1 : 1) :
		x->number < y->number ? -1 : 1;
}

static void
put_problem(const Validation *v, const Problem *problem, ReturnSetInfo *rsinfo)
{
	Datum		values[VALIDATE_COLUMNS] = {0};
	bool		nulls[VALIDATE_COLUMNS] = {false};
	const char *texts[] = {
		problem->step == THE_PIPELINE ? NULL : v->graph->steps[problem->step]->process_name,
		problem->is_error ? "error" : "warning",
		unpack_sql_state(problem->sqlerrcode),
		problem->message,
		problem->detail,
		problem->hint
	};

	for (int i = 0; i < (int) lengthof(texts); i++)
	{
		nulls[i] = texts[i] == NULL;
		if (!nulls[i])
			values[i] = CStringGetTextDatum(texts[i]);
	}
	nulls[VALIDATE_COLUMNS - 1] = problem->position == 0;
	values[VALIDATE_COLUMNS - 1] = Int32GetDatum(problem->position);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

Datum
etl_validate(PG_FUNCTION_ARGS)
{
	char	   *name = option_text_argument(fcinfo, 0, "pipeline");
	Pipeline   *pipeline = pipeline_open(name);
	int32		version = PG_ARGISNULL(1) ? 0 : PG_GETARG_INT32(1);
	Validation *v;
	ListCell   *lc;

	if (!PG_ARGISNULL(1) && (version < 1 || version > pipeline->version))
		pipeline_raise_unknown_version(pipeline, version);

	v = begin_validation(pipeline, version);
	validate_pipeline(v);
	validate_graph(v);
	validate_targets(v);
	validate_creators(v);
	validate_steps(v);

	InitMaterializedSRF(fcinfo, 0);
	list_sort(v->problems, compare_problems);
	foreach(lc, v->problems)
		put_problem(v, lfirst(lc), (ReturnSetInfo *) fcinfo->resultinfo);

	return (Datum) 0;
}
