/*-------------------------------------------------------------------------
 *
 * refs_walk.c
 *	  The walk over a step's raw parse tree: names, queries, WITH.
 *
 * The walk finds every place that names a relation, leaves out the names that
 * mean something else (a WITH query, a temporary table of the step), and hands
 * the rest to a visitor.
 *
 * raw_expression_tree_walker knows SELECT, INSERT, UPDATE, DELETE and MERGE
 * and raises an internal error for everything else.  Utility statements are
 * therefore taken apart by our own code, in refs_utility.c; this file knows
 * none of them.
 *
 * How names are looked up while walking.  A hash table holds one entry a name.
 * An entry counts the WITH queries of that name that are visible at this point
 * of the walk: it goes up where a WITH query comes into scope and down where it
 * leaves, so that inner and outer WITH lists need no stack.  An entry also says
 * whether an earlier statement of the step made a temporary table of that name.
 *
 * This file looks nothing up in the catalogs, and knows neither what visitors
 * do with a reference nor what kind of step it is in.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/value.h"

#include "parse/refs_walk.h"


/*
 * Names
 */

RefsNameEntry *
refs_find_name(RefsContext *context, const char *schema, const char *name, bool enter)
{
	RefsNameKey key;
	RefsNameEntry *entry;
	bool		found;

	memset(&key, 0, sizeof(key));
	if (schema != NULL)
		strlcpy(key.schema, schema, NAMEDATALEN);
	strlcpy(key.name, name, NAMEDATALEN);

	entry = hash_search(context->names, &key, enter ? HASH_ENTER : HASH_FIND, &found);
	if (entry != NULL && !found)
	{
		entry->shadows = 0;
		entry->temporary = false;
		entry->read_at = -1;
		entry->written_at = -1;
		entry->bound = false;
		entry->position = -1;
		entry->sequence = (int) hash_get_num_entries(context->names);
	}
	return entry;
}

bool
refs_is_temporary_schema(const char *schema)
{
	return schema != NULL && strcmp(schema, "pg_temp") == 0;
}

/*
 * One reference.  Decides whether the name means a relation that others can
 * see, and only then asks the visitor.
 */
const char *
refs_visit_name(RefsContext *context, const char *schema, const char *name,
				RefUse use, int location)
{
	if (location < 0)
		location = context->statement_location;

	if (refs_is_temporary_schema(schema))
	{
		context->saw_temporary = true;
		return NULL;
	}

	if (schema == NULL)
	{
		RefsNameEntry *entry = refs_find_name(context, NULL, name, false);
		bool		shadowed = (entry != NULL && entry->shadows > 0);

		/* Only what is read can be a WITH query: targets never are. */
		if (shadowed && use == REF_READ)
			return NULL;

		/* CREATE SCHEMA's elements live in the new schema, and stay there. */
		if (context->new_schema != NULL && (shadowed || use == REF_CREATE))
		{
			(void) context->visit(context, context->new_schema, name, use, location);
			return NULL;
		}

		if (entry != NULL && entry->temporary && use != REF_CREATE)
		{
			context->saw_temporary = true;
			return NULL;
		}
	}

	if (context->definition)
	{
		if (use == REF_CREATE)
			return NULL;
		if (use == REF_WRITE)
			use = REF_READ;
	}

	return context->visit(context, schema, name, use, location);
}

void
refs_visit_rangevar(RefsContext *context, RangeVar *relation, RefUse use)
{
	const char *schema;

	if (relation == NULL)
		return;

	schema = refs_visit_name(context, relation->schemaname, relation->relname, use,
							 relation->location);
	if (schema == NULL)
		return;
	if (schema[0] == '\0')
		relation->catalogname = relation->schemaname = NULL;
	else
		relation->schemaname = pstrdup(schema);
}

/*
 * A relation that a statement makes.  The name of a temporary one means it from
 * the next statement on.
 */
void
refs_visit_created(RefsContext *context, RangeVar *relation, bool temporary)
{
	if (temporary || relation->relpersistence == RELPERSISTENCE_TEMP ||
		refs_is_temporary_schema(relation->schemaname))
	{
		if (!context->definition)
			context->new_temporaries = lappend(context->new_temporaries,
											   relation->relname);
	}
	else
		refs_visit_rangevar(context, relation, REF_CREATE);
}

/*
 * The name of something else than a relation that a statement makes, as a list of strings.  Returns
 * the list, with a schema in front if it has none.
 */
List *
refs_visit_object(RefsContext *context, List *names)
{
	const char *schema;

	if (list_length(names) != 1)
		return names;
	schema = context->visit(context, NULL, strVal(linitial(names)), REF_OBJECT,
							context->statement_location);
	return schema != NULL ? lcons(makeString(pstrdup(schema)), names) : names;
}

/*
 * A relation that is given as a list of strings: a column, constraint, trigger
 * or the like of it may follow ("extra" strings).  A database may stand in
 * front.  Returns the list, which is a longer one where a schema was put in.
 */
List *
refs_visit_string_list(RefsContext *context, List *names, int extra, RefUse use, int location)
{
	int			nnames = list_length(names) - extra;
	char	   *schema;
	const char *new_schema;

	if (nnames < 1)
		return names;

	schema = nnames > 1 ? strVal(list_nth(names, nnames - 2)) : NULL;
	new_schema = refs_visit_name(context, schema, strVal(list_nth(names, nnames - 1)),
								 use, location);
	if (new_schema == NULL)
		return names;

	if (new_schema[0] == '\0')
		return list_copy_tail(names, nnames - 1);
	if (schema == NULL)
		return lcons(makeString(pstrdup(new_schema)), names);
	lfirst(list_nth_cell(names, nnames - 2)) = makeString(pstrdup(new_schema));
	return names;
}


/*
 * Queries
 */

/*
 * A column reference.  The grammar's a.b is always table and column, and so is
 * a.b.c always schema, table and column, with a database in front where there
 * are four parts: fields of a composite column need parentheses, and a whole
 * row is a.b.*.  The schema is thus one from the FROM clause, whose table the
 * same visitor sees.
 */
static void
visit_column(RefsContext *context, ColumnRef *column)
{
	int			nfields = list_length(column->fields);

	if (nfields == 3 || nfields == 4)
		column->fields = refs_visit_string_list(context, column->fields, 1, REF_COLUMN,
												column->location);
}

static void
refuse_parameter(RefsContext *context, ParamRef *param)
{
	int			offset = Max(param->location, 0);

	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_PARAMETER),
			 errmsg("there is no parameter $%d", param->number),
			 errhint("Use etl.param('name') to read a parameter of the run."),
			 errposition(pg_mbstrlen_with_len(context->sql, offset) + 1)));
}

/*
 * A statement that may have a WITH clause and a target: names come into scope,
 * the rest is walked, names go out of scope.
 */
static void
walk_query(RefsContext *context, Node *query, WithClause *with, RangeVar *modified)
{
	RangeVar   *save_modified = context->modified;
	List	   *ctes = with != NULL ? with->ctes : NIL;
	ListCell   *lc;

	/* WITH RECURSIVE: all of them see all of them. */
	if (with != NULL && with->recursive)
	{
		foreach(lc, ctes)
			refs_find_name(context, NULL, lfirst_node(CommonTableExpr, lc)->ctename,
						   true)->shadows++;
	}

	/* Without RECURSIVE, each sees those before it. */
	foreach(lc, ctes)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, lc);

		(void) refs_walk_node(cte->ctequery, context);
		if (!with->recursive)
			refs_find_name(context, NULL, cte->ctename, true)->shadows++;
	}

	if (modified != NULL)
	{
		context->saw_change = true;
		refs_visit_rangevar(context, modified, REF_WRITE);
	}

	/* refs_walk_node is told which RangeVar is the target, and leaves it out. */
	context->modified = modified;
	(void) raw_expression_tree_walker(query, refs_walk_node, context);
	context->modified = save_modified;

	foreach(lc, ctes)
		refs_find_name(context, NULL, lfirst_node(CommonTableExpr, lc)->ctename, true)->shadows--;
}

/*
 * The walker for queries and expressions.  Always returns false: go on.
 */
bool
refs_walk_node(Node *node, void *arg)
{
	RefsContext *context = (RefsContext *) arg;

	if (node == NULL)
		return false;

	switch (nodeTag(node))
	{
		case T_RangeVar:
			if ((RangeVar *) node != context->modified)
				refs_visit_rangevar(context, (RangeVar *) node, REF_READ);
			return false;

		case T_ColumnRef:
			visit_column(context, (ColumnRef *) node);
			return false;

		case T_ParamRef:
			if (!context->params_allowed)
				refuse_parameter(context, (ParamRef *) node);
			return false;

		case T_LockingClause:	/* FOR UPDATE OF names aliases */
		case T_WithClause:		/* walk_query has been there */
			return false;

		case T_IntoClause:
			context->saw_change = true;
			refs_visit_created(context, ((IntoClause *) node)->rel, false);
			return false;

		case T_SelectStmt:
			walk_query(context, node, ((SelectStmt *) node)->withClause, NULL);
			return false;

		case T_InsertStmt:
			walk_query(context, node, ((InsertStmt *) node)->withClause,
					   ((InsertStmt *) node)->relation);
			return false;

		case T_UpdateStmt:
			walk_query(context, node, ((UpdateStmt *) node)->withClause,
					   ((UpdateStmt *) node)->relation);
			return false;

		case T_DeleteStmt:
			walk_query(context, node, ((DeleteStmt *) node)->withClause,
					   ((DeleteStmt *) node)->relation);
			return false;

		case T_MergeStmt:
			walk_query(context, node, ((MergeStmt *) node)->withClause,
					   ((MergeStmt *) node)->relation);
			return false;

		default:
			return raw_expression_tree_walker(node, refs_walk_node, arg);
	}
}


/*
 * Statements
 */

/* Any statement, also one inside another. */
void
refs_walk_statement(RefsContext *context, Node *statement)
{
	check_stack_depth();

	switch (nodeTag(statement))
	{
		case T_SelectStmt:
		case T_InsertStmt:
		case T_UpdateStmt:
		case T_DeleteStmt:
		case T_MergeStmt:
			(void) refs_walk_node(statement, context);
			break;

		default:
			refs_walk_utility(context, statement);
			break;
	}
}

/* The whole walk: one statement after the other, as they will be executed. */
void
refs_walk(RefsContext *context, List *statements)
{
	ListCell   *lc;
	ListCell   *name;

	foreach(lc, statements)
	{
		RawStmt    *raw = lfirst_node(RawStmt, lc);

		context->statement_location = Max(raw->stmt_location, 0);
		context->saw_temporary = false;
		refs_walk_statement(context, raw->stmt);

		foreach(name, context->new_temporaries)
			refs_find_name(context, NULL, (char *) lfirst(name), true)->temporary = true;
		list_free(context->new_temporaries);
		context->new_temporaries = NIL;
	}
}

void
refs_walk_init(RefsContext *context, RefsVisitFunction visit, MemoryContext memory)
{
	HASHCTL		hash_info = {0};

	memset(context, 0, sizeof(*context));
	context->visit = visit;

	hash_info.keysize = sizeof(RefsNameKey);
	hash_info.entrysize = sizeof(RefsNameEntry);
	hash_info.hcxt = memory;
	context->names = hash_create("names in a step", 64, &hash_info,
								 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}
