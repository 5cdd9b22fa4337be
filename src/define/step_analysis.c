/*-------------------------------------------------------------------------
 *
 * step_analysis.c
 *	  What a step's SQL would mean, without any table of the run being there.
 *
 * The tables that a step reads may never have been made.  The parser knows a
 * kind of relation that is in no catalog, which triggers have for their
 * transition tables: an ephemeral named relation has nothing but a name and a
 * row type, and is found by its unqualified name before any table is looked for.
 * Each step that the SQL names is made such a relation.  Where the SQL qualifies
 * it with the target schema, that becomes part of one longer name, which no WITH
 * query can have, and the old name its alias.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "define/step_analysis.h"
#include "parse/check_query.h"
#include "parse/refs.h"
#include "base/sql_error.h"
#include "parse/step_index.h"

#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "tcop/tcopprot.h"
#include "utils/lsyscache.h"
#include "utils/queryenvironment.h"

/* ---- names ---- */

static void
register_relation(QueryEnvironment *environment, const char *name, TupleDesc desc)
{
	EphemeralNamedRelation relation;

	if (get_visible_ENR_metadata(environment, name) != NULL)
		return;
	relation = palloc0(sizeof(EphemeralNamedRelationData));
	relation->md.name = pstrdup(name);
	relation->md.reliddesc = InvalidOid;
	relation->md.tupdesc = desc;
	relation->md.enrtype = ENR_NAMED_TUPLESTORE;
	register_ENR(environment, relation);
}

/* The query step that a reference of the SQL means, or -1. */
static int
find_query_step(const PipelineGraph *graph, int step, const char *reference)
{
	int			found = pipeline_find_reference(graph, reference);

	return found >= 0 && found != step && graph->steps[found]->kind == ETL_STEP_QUERY ?
		found : -1;
}

typedef struct Names
{
	const PipelineGraph *graph;
	int			step;
	const TupleDesc *descs;
	TupleDesc	own;			/* in checks: the rows of the step itself; else NULL */
	QueryEnvironment *environment;
} Names;

static void
register_references(const Names *names)
{
	const PipelineGraph *graph = names->graph;
	ListCell   *lc;

	foreach(lc, graph->steps[names->step]->reads)
	{
		int			found = find_query_step(graph, names->step, lfirst(lc));

		if (found >= 0)
			register_relation(names->environment, graph->steps[found]->process_name,
							  names->descs[found]);
	}
}

/* The query step that a name with a schema means, or -1. */
static int
find_qualified(const Names *names, const char *schema, const char *name)
{
	const PipelineGraph *graph = names->graph;
	int			found;

	if (schema == NULL || strcmp(schema, graph->pipeline->target_schema) != 0)
		return -1;
	found = pipeline_find_step(graph, name);
	return found >= 0 && (found != names->step || names->own != NULL) &&
		graph->steps[found]->kind == ETL_STEP_QUERY ? found : -1;
}

static bool
rename_qualified(Node *node, void *arg)
{
	const Names *names = arg;
	RangeVar   *relation = (RangeVar *) node;
	int			found;

	if (node == NULL)
		return false;
	if (!IsA(node, RangeVar))
		return raw_expression_tree_walker(node, rename_qualified, arg);

	found = find_qualified(names, relation->schemaname, relation->relname);
	if (found < 0)
		return false;
	if (relation->alias == NULL)
		relation->alias = makeAlias(relation->relname, NIL);
	relation->relname = psprintf("%s.%s", relation->schemaname, relation->relname);
	relation->schemaname = NULL;
	relation->catalogname = NULL;
	register_relation(names->environment, relation->relname,
					  found == names->step ? names->own : names->descs[found]);
	return false;
}

/* For the columns that are qualified with schema and table. */
static const char *
unqualify(const char *schema, const char *name, bool created, void *arg)
{
	return find_qualified(arg, schema, name) >= 0 ? "" : NULL;
}

/* ---- steps ---- */

bool
step_analysis_is_possible(const PipelineGraph *graph, int step)
{
	const Step *s = graph->steps[step];
	ListCell   *lc;

	if (s->kind == ETL_STEP_QUERY)
		return true;

	foreach(lc, s->writes)
	{
		if (find_query_step(graph, step, lfirst(lc)) >= 0)
			return false;
	}
	foreach(lc, refs_parse(s->sql_query))
	{
		Node	   *statement = lfirst_node(RawStmt, lc)->stmt;

		switch (nodeTag(statement))
		{
			case T_SelectStmt:
				if (((SelectStmt *) statement)->intoClause != NULL)
					return false;
				break;
			case T_InsertStmt:
			case T_UpdateStmt:
			case T_DeleteStmt:
			case T_MergeStmt:
				break;
			default:
				return false;
		}
	}
	return true;
}

/* Views are named in every level of a query, WITH and sublinks included. */
static bool
collect_views(Node *node, void *arg)
{
	List	  **views = arg;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		ListCell   *lc;

		foreach(lc, ((Query *) node)->rtable)
		{
			const RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

			if (rte->rtekind == RTE_RELATION && rte->relkind == RELKIND_VIEW)
				*views = list_append_unique_oid(*views, rte->relid);
		}
		return query_tree_walker((Query *) node, collect_views, arg, 0);
	}
	return expression_tree_walker(node, collect_views, arg);
}

void
step_analysis_of_step(const PipelineGraph *graph, int step, const TupleDesc *descs,
					  StepAnalysis *analysis)
{
	const Step *s = graph->steps[step];
	SqlErrorContext errors = {.sql = s->sql_query};
	QueryEnvironment *environment = create_queryEnv();
	Names		names = {.graph = graph, .step = step, .descs = descs, .environment = environment};
	List	   *statements = refs_parse(s->sql_query);
	ListCell   *lc;

	memset(analysis, 0, sizeof(*analysis));
	register_references(&names);
	foreach(lc, statements)
		(void) rename_qualified(lfirst_node(RawStmt, lc)->stmt, &names);
	refs_retarget(statements, unqualify, &names);

	sql_error_push(&errors);
	foreach(lc, statements)
	{
		Query	   *query = parse_analyze_fixedparams(lfirst_node(RawStmt, lc), s->sql_query,
													  NULL, 0, environment);

		if (s->kind == ETL_STEP_QUERY)
			analysis->desc = ExecCleanTypeFromTL(query->targetList);
		(void) collect_views((Node *) query, &analysis->views);
		analysis->queries = list_concat(analysis->queries, pg_rewrite_query(query));
	}
	sql_error_pop(&errors);
}

/* ---- checks ---- */

static void
add_query(StepAnalysis *analysis, const StepCheck *check, RawStmt *raw,
		  QueryEnvironment *environment)
{
	Query	   *query = check_query_analyze(check, raw, environment);

	(void) collect_views((Node *) query, &analysis->views);
	analysis->queries = list_concat(analysis->queries, pg_rewrite_query(query));
}

void
step_analysis_of_check(const PipelineGraph *graph, int step, const TupleDesc *descs,
					   TupleDesc desc, const char *text, StepAnalysis *analysis)
{
	const char *name = graph->steps[step]->process_name;
	QueryEnvironment *environment = create_queryEnv();
	Names		names = {
		.graph = graph, .step = step, .descs = descs, .own = desc, .environment = environment
	};
	StepCheck  *check = step_check_parse(text, name);
	SqlErrorContext errors;
	CheckQueries queries;

	memset(analysis, 0, sizeof(*analysis));
	register_relation(environment, name, desc);
	register_references(&names);
	(void) rename_qualified(check->query ? check->query->stmt : (Node *) check->referenced, &names);
	step_check_retarget(check, unqualify, &names);

	step_check_push_errors(check, &errors);
	check_query_make(check, environment, &queries);
	if (queries.rows != NULL)
		add_query(analysis, check, queries.rows, environment);
	if (queries.groups != NULL)
		add_query(analysis, check, queries.groups, environment);
	sql_error_pop(&errors);
}

/* ---- indexes ---- */

/* SELECT the index's columns and expressions FROM the step WHERE its predicate. */
static RawStmt *
select_of_index(const IndexStmt *index, const Step *step)
{
	RawStmt    *raw = makeNode(RawStmt);
	SelectStmt *select = makeNode(SelectStmt);
	List	   *elements = list_concat(list_copy(index->indexParams),
									   index->indexIncludingParams);
	ListCell   *lc;

	foreach(lc, elements)
	{
		const IndexElem *element = lfirst_node(IndexElem, lc);
		ResTarget  *target = makeNode(ResTarget);

		target->location = -1;
		target->val = element->expr;
		if (element->name != NULL)
		{
			ColumnRef  *column = makeNode(ColumnRef);

			column->fields = list_make1(makeString(element->name));
			column->location = -1;
			target->val = (Node *) column;
		}
		select->targetList = lappend(select->targetList, target);
	}
	select->fromClause = list_make1(makeRangeVar(NULL, step->process_name, -1));
	select->whereClause = index->whereClause;
	raw->stmt = (Node *) select;
	return raw;
}

static void
check_partition_key(const IndexStmt *index, const List *partition_key)
{
	ListCell   *key;
	ListCell   *lc;

	if (!index->unique)
		return;
	foreach(key, partition_key)
	{
		bool		found = false;

		foreach(lc, index->indexParams)
		{
			const IndexElem *element = lfirst_node(IndexElem, lc);

			if (element->name != NULL && strcmp(element->name, lfirst(key)) == 0)
				found = true;
		}
		if (!found)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("unique index must contain column \"%s\", by which the table is partitioned",
							(const char *) lfirst(key))));
	}
}

static void
raise_mutable(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("functions in index %s must be marked IMMUTABLE", what)));
}

void
step_analysis_check_index(const Step *step, TupleDesc desc, const char *text,
						  const List *partition_key)
{
	SqlErrorContext errors = {.sql = text, .label = "index"};
	QueryEnvironment *environment = create_queryEnv();
	char	   *statement;
	const char *method;
	IndexStmt  *index;
	Query	   *query;
	Oid			method_oid;
	ListCell   *element;
	ListCell   *target;

	register_relation(environment, step->process_name, desc);
	sql_error_push(&errors);
	index = step_index_parse(text, &errors, &statement);
	method = index->accessMethod ? index->accessMethod : DEFAULT_INDEX_TYPE;
	method_oid = get_index_am_oid(method, false);
	query = parse_analyze_fixedparams(select_of_index(index, step), statement,
									  NULL, 0, environment);

	if (contain_mutable_functions(query->jointree->quals))
		raise_mutable("predicate");
	/* columns that are only included have no operator class */
	forboth(element, index->indexParams, target, query->targetList)
	{
		const IndexElem *e = lfirst_node(IndexElem, element);
		Node	   *expr = (Node *) lfirst_node(TargetEntry, target)->expr;

		if (contain_mutable_functions(expr))
			raise_mutable("expression");
		(void) ResolveOpClass(e->opclass, exprType(expr), method, method_oid);
	}
	check_partition_key(index, partition_key);
	sql_error_pop(&errors);
}
