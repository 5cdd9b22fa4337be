/*-------------------------------------------------------------------------
 *
 * pipeline.c
 *	  A version of a pipeline as a graph.
 *
 * References are stored as the text that a user could write.  They are compared
 * by taking that text apart again, and not as text: whether a name is quoted
 * depends on the keywords of the server version and on quote_all_identifiers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "base/nearest.h"
#include "define/pipeline.h"
#include "base/security.h"

#include "catalog/namespace.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/varlena.h"

/* How many steps of a cycle are shown. */
#define PIPELINE_MAX_CYCLE_SHOWN	20

typedef struct NameEntry
{
	char		name[NAMEDATALEN];	/* hash key */
	int			index;
} NameEntry;

PipelineNames *
pipeline_create_names(const char *what, int expected, Size entrysize)
{
	HASHCTL		control = {
		.keysize = NAMEDATALEN,
		.entrysize = entrysize,
		.hcxt = CurrentMemoryContext
	};

	return hash_create(what, Max(expected, 16), &control,
					   HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

Pipeline *
pipeline_open(const char *name)
{
	Pipeline   *pipeline = catalog_find_pipeline(name);

	if (pipeline == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("pipeline \"%s\" does not exist", name)));
	security_check_member(pipeline->owner, name);

	return pipeline;
}

/* ---- names ---- */

int
pipeline_find_step(const PipelineGraph *graph, const char *name)
{
	NameEntry  *entry;

	/* the hash function would take the beginning for the whole */
	if (strlen(name) >= NAMEDATALEN)
		return -1;
	entry = hash_search(graph->names, name, HASH_FIND, NULL);
	return entry ? entry->index : -1;
}

char *
pipeline_reference_name(const Pipeline *pipeline, const char *reference)
{
	char	   *copy = pstrdup(reference);
	char	   *name = NULL;
	List	   *parts;

	if (!SplitIdentifierString(copy, '.', &parts))
		elog(ERROR, "invalid reference \"%s\" in a table of schema \"%s\"",
			 reference, ETL_SCHEMA);
	if (list_length(parts) == 1)
		name = pstrdup(linitial(parts));
	else if (list_length(parts) == 2 &&
			 strcmp(linitial(parts), pipeline->target_schema) == 0)
		name = pstrdup(lsecond(parts));
	list_free(parts);
	pfree(copy);

	return name;
}

int
pipeline_find_reference(const PipelineGraph *graph, const char *reference)
{
	char	   *name = pipeline_reference_name(graph->pipeline, reference);
	int			index = -1;

	if (name != NULL)
	{
		index = pipeline_find_step(graph, name);
		pfree(name);
	}
	return index;
}

/* The step's name that is most like a wrong one, or NULL. */
static const char *
nearest_step(const PipelineGraph *graph, const char *name)
{
	Nearest		nearest;

	nearest_init(&nearest, name);
	for (int i = 0; i < graph->nsteps; i++)
		nearest_consider(&nearest, graph->steps[i]->process_name);
	return nearest.best;
}

/* ---- loading ---- */

void
pipeline_raise_unknown_version(const Pipeline *newest, int32 version)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("version %d of pipeline \"%s\" does not exist",
					version, newest->name),
			 errdetail("Its versions are 1 to %d.", newest->version)));
}

static Pipeline *
load_pipeline(int32 pipeline_id, int32 version)
{
	Pipeline   *pipeline = catalog_load_pipeline(pipeline_id, version);

	if (pipeline == NULL)
	{
		Pipeline   *newest = catalog_load_pipeline(pipeline_id, 0);

		if (newest == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("the pipeline does not exist any more")));
		pipeline_raise_unknown_version(newest, version);
	}
	return pipeline;
}

static void
add_references(PipelineGraph *graph, int index, const List *references, const bool *excluded)
{
	ListCell   *lc;

	foreach(lc, references)
	{
		int			upstream = pipeline_find_reference(graph, lfirst(lc));

		/* a command step may be named like the table that it writes */
		if (upstream == index && graph->steps[index]->kind != ETL_STEP_QUERY)
			continue;
		if (upstream >= 0 && !(excluded && excluded[upstream]))
			dag_add_edge(graph->dag, upstream, index);
	}
}

void
pipeline_link(PipelineGraph *graph, const bool *excluded)
{
	if (graph->dag != NULL)
		dag_free(graph->dag);
	graph->dag = dag_create(graph->nsteps);

	for (int i = 0; i < graph->nsteps; i++)
	{
		const Step *step = graph->steps[i];
		ListCell   *lc;

		if (step->has_order)
			dag_set_order(graph->dag, i, step->execution_order);
		if (excluded && excluded[i])
			continue;
		add_references(graph, i, step->reads, excluded);
		add_references(graph, i, step->writes, excluded);
		foreach(lc, step->depends_on)
		{
			int			upstream = pipeline_find_step(graph, lfirst(lc));

			if (upstream >= 0 && !(excluded && excluded[upstream]))
				dag_add_edge(graph->dag, upstream, i);
		}
	}
}

/* ---- what can be wrong with a graph ---- */

void
pipeline_check_dependency(const PipelineGraph *graph, int step, const char *name)
{
	const char *nearest;

	if (pipeline_find_step(graph, name) >= 0)
		return;
	nearest = nearest_step(graph, name);
	ereport(ERROR,
			(errcode(ERRCODE_ETL_INVALID_PIPELINE),
			 errmsg("step \"%s\" of pipeline \"%s\" depends on \"%s\", which is not a step of it",
					graph->steps[step]->process_name, graph->pipeline->name, name),
			 nearest ? errhint("Perhaps you mean the step \"%s\".", nearest) :
			 errhint("Tables that no step makes need not be declared in depends_on.")));
}

void
pipeline_raise_cycle(const PipelineGraph *graph, const int *path, int length)
{
	StringInfoData text;

	/* backwards: path[0] reads path[length - 1], and so on */
	initStringInfo(&text);
	appendStringInfoString(&text, quote_identifier(graph->steps[path[0]]->process_name));
	for (int i = length - 1; i >= 0; i--)
	{
		if (i > 0 && i < length - PIPELINE_MAX_CYCLE_SHOWN)
		{
			appendStringInfo(&text, " -> (%d more)", i);
			i = 1;
			continue;
		}
		appendStringInfo(&text, " -> %s",
						 quote_identifier(graph->steps[path[i]]->process_name));
	}

	ereport(ERROR,
			(errcode(ERRCODE_ETL_INVALID_PIPELINE),
			 errmsg("the steps of pipeline \"%s\" depend on each other in a cycle",
					graph->pipeline->name),
			 errdetail("%s, where each step reads, writes or depends on the next one.",
					   text.data),
			 errhint("Change the SQL or the depends_on of one of these steps.")));
}

void
pipeline_raise_order_conflict(const PipelineGraph *graph, int step, int upstream)
{
	ereport(ERROR,
			(errcode(ERRCODE_ETL_INVALID_PIPELINE),
			 errmsg("in pipeline \"%s\" step \"%s\" is ordered before step \"%s\", which it depends on",
					graph->pipeline->name, graph->steps[step]->process_name,
					graph->steps[upstream]->process_name),
			 errdetail("Their execution_order is %d and %d (the level in the graph where none was given), and with staged ordering a step starts when all steps of lower orders have ended.",
					   dag_order(graph->dag, step), dag_order(graph->dag, upstream)),
			 errhint("Change one of the two, or set the pipeline's ordering to \"graph\".")));
}

static PipelineGraph *
make_graph(Pipeline *pipeline, List *steps)
{
	PipelineGraph *graph = palloc0(sizeof(PipelineGraph));
	ListCell   *lc;

	graph->pipeline = pipeline;
	graph->nsteps = list_length(steps);
	if (graph->nsteps > ETL_MAX_STEPS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("pipeline \"%s\" has too many steps", pipeline->name),
				 errdetail("It has %d steps; at most %d are supported.",
						   graph->nsteps, ETL_MAX_STEPS)));

	graph->steps = palloc(sizeof(Step *) * Max(graph->nsteps, 1));
	graph->names = pipeline_create_names("pipeline steps", graph->nsteps, sizeof(NameEntry));
	foreach(lc, steps)
	{
		Step	   *step = lfirst(lc);
		int			index = foreach_current_index(lc);
		NameEntry  *entry;

		graph->steps[index] = step;
		entry = hash_search(graph->names, step->process_name, HASH_ENTER, NULL);
		entry->index = index;
	}
	list_free(steps);

	return graph;
}

PipelineGraph *
pipeline_load_unlinked(int32 pipeline_id, int32 version)
{
	Pipeline   *pipeline = load_pipeline(pipeline_id, version);

	return make_graph(pipeline,
					  catalog_load_steps_with_bodies(pipeline_id, pipeline->version));
}

PipelineGraph *
pipeline_load_graph(int32 pipeline_id, int32 version)
{
	Pipeline   *pipeline = load_pipeline(pipeline_id, version);
	PipelineGraph *graph = make_graph(pipeline,
									  catalog_load_steps(pipeline_id, pipeline->version));
	int		   *path;
	int			length;
	int			step;
	int			upstream;
	ListCell   *lc;

	for (int i = 0; i < graph->nsteps; i++)
	{
		foreach(lc, graph->steps[i]->depends_on)
			pipeline_check_dependency(graph, i, lfirst(lc));
	}
	pipeline_link(graph, NULL);
	length = dag_find_cycle(graph->dag, &path);
	if (length > 0)
		pipeline_raise_cycle(graph, path, length);
	dag_seal(graph->dag);
	if (pipeline->staged && dag_find_order_conflict(graph->dag, NULL, &step, &upstream))
		pipeline_raise_order_conflict(graph, step, upstream);

	return graph;
}

/* ---- selecting ---- */

List *
pipeline_selection_from_array(ArrayType *array)
{
	if (array == NULL)
		return NIL;
	if (ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"steps\" must not be empty"),
				 errhint("NULL selects all steps.")));
	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("\"steps\" must not contain null elements")));
	return catalog_array_to_list(array);
}

/*
 * Finds the step that a selector names, and which signs around the name mean
 * something.  The longest name wins: of 'a+' the step "a+", if there is one.
 */
static int
resolve_selector(const PipelineGraph *graph, const char *selector,
				 bool *ancestors, bool *descendants)
{
	int			length = strlen(selector);
	bool		front = length > 1 && selector[0] == '+';
	bool		back = length > 1 && selector[length - 1] == '+';

	for (int strip = 0; strip < 4; strip++)
	{
		char	   *name;
		int			index;

		*descendants = (strip & 1) != 0;
		*ancestors = (strip & 2) != 0;
		if ((*descendants && !back) || (*ancestors && !front) ||
			(*descendants && *ancestors && length < 3))
			continue;
		name = pnstrdup(selector + (*ancestors ? 1 : 0),
						length - (*ancestors ? 1 : 0) - (*descendants ? 1 : 0));
		index = pipeline_find_step(graph, name);
		pfree(name);
		if (index >= 0)
			return index;
	}
	return -1;
}

static void
raise_unknown_selector(const PipelineGraph *graph, const char *selector)
{
	int			length = strlen(selector);
	int			front = length > 1 && selector[0] == '+' ? 1 : 0;
	int			back = length - front > 1 && selector[length - 1] == '+' ? 1 : 0;
	char	   *name = pnstrdup(selector + front, length - front - back);
	const char *nearest = nearest_step(graph, name);

	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("step \"%s\" does not exist in version %d of pipeline \"%s\"",
					name, graph->pipeline->version, graph->pipeline->name),
			 nearest ? errhint("Perhaps you mean the step \"%s\".", nearest) : 0));
}

bool *
pipeline_select(const PipelineGraph *graph, const List *selectors)
{
	bool	   *selected = palloc0(sizeof(bool) * Max(graph->nsteps, 1));
	ListCell   *lc;

	if (selectors == NIL)
		memset(selected, true, sizeof(bool) * graph->nsteps);

	foreach(lc, selectors)
	{
		const char *selector = lfirst(lc);
		bool		ancestors;
		bool		descendants;
		int			index;

		if (selector[0] == '\0' || strcmp(selector, "+") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("an element of \"steps\" names no step"),
					 errhint("Write a step's name; \"+\" behind it adds the steps that read it, \"+\" before it those that it reads.")));

		index = resolve_selector(graph, selector, &ancestors, &descendants);
		if (index < 0)
			raise_unknown_selector(graph, selector);

		selected[index] = true;
		if (ancestors)
			dag_mark_ancestors(graph->dag, index, selected);
		if (descendants)
			dag_mark_descendants(graph->dag, index, selected);
	}

	return selected;
}

/* ---- during a run ---- */

static bool
is_selected(const bool *selected, int index)
{
	return selected == NULL || selected[index];
}

int
pipeline_mark_one_instant(const PipelineGraph *graph, const bool *executed, bool *member)
{
	bool	   *command = palloc(sizeof(bool) * Max(graph->nsteps, 1));
	int			n = 0;

	for (int i = 0; i < graph->nsteps; i++)
		command[i] = graph->steps[i]->kind != ETL_STEP_QUERY;
	dag_mark_after(graph->dag, executed, graph->pipeline->staged, command, member);
	for (int i = 0; i < graph->nsteps; i++)
	{
		member[i] = graph->pipeline->one_snapshot && is_selected(executed, i) &&
			!command[i] && !member[i];
		n += member[i] ? 1 : 0;
	}
	pfree(command);
	return n;
}

List *
pipeline_sources(const PipelineGraph *graph, const bool *selected, const bool *member)
{
	HASHCTL		control = {
		.keysize = 2 * (2 * NAMEDATALEN + 2) + 1,	/* two quoted names and a dot */
		.hcxt = CurrentMemoryContext
	};
	List	   *sources = NIL;
	HTAB	   *seen;

	control.entrysize = control.keysize;
	seen = hash_create("pipeline sources", 64, &control,
					   HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	for (int i = 0; i < graph->nsteps; i++)
	{
		ListCell   *lc;

		if (!member[i])
			continue;
		foreach(lc, graph->steps[i]->reads)
		{
			int			upstream = pipeline_find_reference(graph, lfirst(lc));
			bool		found;

			if (upstream >= 0 && is_selected(selected, upstream) &&
				graph->steps[upstream]->kind == ETL_STEP_QUERY)
				continue;
			(void) hash_search(seen, lfirst(lc), HASH_ENTER, &found);
			if (!found)
				sources = lappend(sources, lfirst(lc));
		}
	}
	hash_destroy(seen);
	return sources;
}

void
pipeline_check_snapshot(const PipelineGraph *graph, const bool *selected)
{
	bool	   *member;

	if (!OldSnapshotThresholdActiveCompat())
		return;
	member = palloc(sizeof(bool) * Max(graph->nsteps, 1));
	if (pipeline_mark_one_instant(graph, selected, member) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pipeline \"%s\" cannot be run with one snapshot on this server",
						graph->pipeline->name),
				 errdetail("The server's old_snapshot_threshold is set: rows that the snapshot needs may be removed."),
				 errhint("Set old_snapshot_threshold to -1, or the pipeline's one_snapshot to false.")));
	pfree(member);
}

bool
pipeline_is_logged(const PipelineGraph *graph, int index)
{
	const Step *step = graph->steps[index];
	const int  *readers;

	if (step->has_persist)
		return step->persist;
	switch (graph->pipeline->durability)
	{
		case ETL_DURABILITY_ALL:
			return true;
		case ETL_DURABILITY_OUTPUTS:
			return dag_downstream(graph->dag, index, &readers) == 0;
		case ETL_DURABILITY_UNLOGGED:
			break;
	}
	return false;
}

void
pipeline_retry_policy(const Pipeline *pipeline, const Step *step, RetryPolicy *policy)
{
	const char **sqlstates = palloc(sizeof(char *) * (list_length(pipeline->retry_on) + 1));
	ListCell   *lc;

	memset(policy, 0, sizeof(*policy));
	policy->max_attempts = step->max_attempts > 0 ? step->max_attempts : pipeline->max_attempts;
	policy->base_delay_ms = pipeline->retry_delay_ms;
	policy->sqlstates = sqlstates;
	foreach(lc, pipeline->retry_on)
	{
		const char *word = lfirst(lc);

		if (strcmp(word, "any") == 0)
			policy->any = true;
		else if (strcmp(word, "transient") == 0)
			policy->transient = true;
		else
			sqlstates[policy->nsqlstates++] = word;
	}
}
