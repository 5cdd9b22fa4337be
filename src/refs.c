/*-------------------------------------------------------------------------
 *
 * refs.c
 *	  From a step's SQL text: what kind of step it is, which relations it
 *	  reads and writes, and pointing those references somewhere else.
 *
 * One walk over the raw parse tree serves both: it finds every place that
 * names a relation, leaves out the names that mean something else (a WITH
 * query, a temporary table of the step), and hands the rest to a visitor.
 * refs_analyze's visitor takes notes, refs_retarget's visitor answers with
 * another schema.  So what is reported and what is rewritten cannot differ.
 *
 * raw_expression_tree_walker knows SELECT, INSERT, UPDATE, DELETE and MERGE
 * and raises an internal error for everything else.  Utility statements are
 * therefore taken apart here, and what is not known here names no relation as
 * far as this file is concerned.
 *
 * How names are looked up while walking.  A hash table holds one entry a name.
 * An entry counts the WITH queries of that name that are visible at this point
 * of the walk: it goes up where a WITH query comes into scope and down where it
 * leaves, so that inner and outer WITH lists need no stack.  An entry also says
 * whether an earlier statement of the step made a temporary table of that name.
 *
 * This file looks nothing up in the catalogs and knows nothing of pipelines.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "nodes/value.h"
#include "parser/parser.h"
#include "parser/scansup.h"
#include "tcop/cmdtag.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "compat.h"
#include "refs.h"

/* How a statement uses a relation that it names. */
typedef enum RefUse
{
	REF_READ,					/* its rows or its definition are needed */
	REF_WRITE,					/* its rows or its definition are changed */
	REF_CREATE,					/* it is made: it need not be there before */
	REF_COLUMN					/* qualifies a column of a table that the FROM
								 * clause names as well */
} RefUse;

/* schema is empty where the name is not qualified; identifiers never are. */
typedef struct NameKey
{
	char		schema[NAMEDATALEN];
	char		name[NAMEDATALEN];
} NameKey;

typedef struct NameEntry
{
	NameKey		key;			/* must be first */
	int			shadows;		/* visible WITH queries of this name */
	bool		temporary;		/* a temporary table of this step */
	int			read_at;		/* first byte of the first read, or -1 */
	int			written_at;		/* the same for writes */
	int			sequence;		/* order of first visit; breaks ties */
	int			position;		/* what the list in the making is sorted by */
} NameEntry;

typedef struct RefsContext RefsContext;

/* Returns the schema that the reference shall have, or NULL to keep it. */
typedef const char *(*VisitFunction) (RefsContext *context, const char *schema,
									  const char *name, RefUse use, int location);

struct RefsContext
{
	const char *sql;			/* NULL when retargeting */
	VisitFunction visit;
	RefsTargetFunction target;	/* for the retargeting visitor */
	void	   *target_arg;

	HTAB	   *names;			/* of NameEntry */
	List	   *new_temporaries;	/* char *; made by the statement being
									 * walked, temporary tables for the ones
									 * after it */

	/* Where the walk is. */
	int			statement_location;
	RangeVar   *modified;		/* target of the INSERT, UPDATE ... being
								 * walked */
	const char *new_schema;		/* inside CREATE SCHEMA: its name */
	bool		params_allowed; /* $1 belongs to the statement (PREPARE ...) */
	bool		definition;		/* described or defined here, not executed */

	/* What the walk saw. */
	bool		saw_temporary;	/* the statement uses a temporary table */
	bool		saw_change;		/* some INSERT, UPDATE, DELETE, MERGE or INTO */
};

/* Whether a statement can be executed inside a transaction block. */
typedef enum BlockRule
{
	BLOCK_FINE,
	BLOCK_MAY_REFUSE,			/* depends on what only run time knows */
	BLOCK_REFUSES
} BlockRule;

static bool walk_node(Node *node, void *arg);
static void walk_statement(RefsContext *context, Node *statement);


/*
 * Names
 */

static NameEntry *
find_name(RefsContext *context, const char *schema, const char *name, bool enter)
{
	NameKey		key;
	NameEntry  *entry;
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
		entry->sequence = (int) hash_get_num_entries(context->names);
	}
	return entry;
}

static bool
is_temporary_schema(const char *schema)
{
	return schema != NULL && strcmp(schema, "pg_temp") == 0;
}

/*
 * One reference.  Decides whether the name means a relation that others can
 * see, and only then asks the visitor.
 */
static const char *
visit_name(RefsContext *context, const char *schema, const char *name,
		   RefUse use, int location)
{
	if (location < 0)
		location = context->statement_location;

	if (is_temporary_schema(schema))
	{
		context->saw_temporary = true;
		return NULL;
	}

	if (schema == NULL)
	{
		NameEntry  *entry = find_name(context, NULL, name, false);
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

static void
visit_rangevar(RefsContext *context, RangeVar *relation, RefUse use)
{
	const char *schema;

	if (relation == NULL)
		return;

	schema = visit_name(context, relation->schemaname, relation->relname, use,
						relation->location);
	if (schema != NULL)
		relation->schemaname = pstrdup(schema);
}

static void
visit_rangevars(RefsContext *context, List *relations, RefUse use)
{
	ListCell   *lc;

	foreach(lc, relations)
	{
		Node	   *relation = (Node *) lfirst(lc);

		if (relation != NULL && IsA(relation, RangeVar))
			visit_rangevar(context, (RangeVar *) relation, use);
	}
}

/*
 * A relation that a statement makes.  The name of a temporary one means it from
 * the next statement on.
 */
static void
visit_created(RefsContext *context, RangeVar *relation, bool temporary)
{
	if (temporary || relation->relpersistence == RELPERSISTENCE_TEMP ||
		is_temporary_schema(relation->schemaname))
	{
		if (!context->definition)
			context->new_temporaries = lappend(context->new_temporaries,
											   relation->relname);
	}
	else
		visit_rangevar(context, relation, REF_CREATE);
}

/*
 * A relation that is given as a list of strings: a column, constraint, trigger
 * or the like of it may follow ("extra" strings).  A database may stand in
 * front.  Returns the list, which is a longer one where a schema was put in.
 */
static List *
visit_string_list(RefsContext *context, List *names, int extra, RefUse use, int location)
{
	int			nnames = list_length(names) - extra;
	char	   *schema;
	const char *new_schema;

	if (nnames < 1)
		return names;

	schema = nnames > 1 ? strVal(list_nth(names, nnames - 2)) : NULL;
	new_schema = visit_name(context, schema, strVal(list_nth(names, nnames - 1)),
							use, location);
	if (new_schema == NULL)
		return names;

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
		column->fields = visit_string_list(context, column->fields, 1, REF_COLUMN,
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
			find_name(context, NULL, lfirst_node(CommonTableExpr, lc)->ctename, true)->shadows++;
	}

	/* Without RECURSIVE, each sees those before it. */
	foreach(lc, ctes)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, lc);

		(void) walk_node(cte->ctequery, context);
		if (!with->recursive)
			find_name(context, NULL, cte->ctename, true)->shadows++;
	}

	if (modified != NULL)
	{
		context->saw_change = true;
		visit_rangevar(context, modified, REF_WRITE);
	}

	/* walk_node is told which RangeVar is the target, and leaves it out. */
	context->modified = modified;
	(void) raw_expression_tree_walker(query, walk_node, context);
	context->modified = save_modified;

	foreach(lc, ctes)
		find_name(context, NULL, lfirst_node(CommonTableExpr, lc)->ctename, true)->shadows--;
}

/*
 * The walker for queries and expressions.  Always returns false: go on.
 */
static bool
walk_node(Node *node, void *arg)
{
	RefsContext *context = (RefsContext *) arg;

	if (node == NULL)
		return false;

	switch (nodeTag(node))
	{
		case T_RangeVar:
			if ((RangeVar *) node != context->modified)
				visit_rangevar(context, (RangeVar *) node, REF_READ);
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
			visit_created(context, ((IntoClause *) node)->rel, false);
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
			return raw_expression_tree_walker(node, walk_node, arg);
	}
}

/* The value of a boolean option; the last one counts, as in the server. */
static bool
option_is_on(List *options, const char *name, bool default_value)
{
	bool		value = default_value;
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, name) == 0)
			value = defGetBoolean(option);
	}
	return value;
}

/*
 * Utility statements that carry a query.  Returns false for other statements.
 */
static bool
walk_query_holder(RefsContext *context, Node *statement)
{
	bool		save_definition = context->definition;
	bool		save_params = context->params_allowed;
	ListCell   *lc;

	switch (nodeTag(statement))
	{
		case T_CreateTableAsStmt:	/* and CREATE MATERIALIZED VIEW */
			{
				CreateTableAsStmt *stmt = (CreateTableAsStmt *) statement;

				walk_statement(context, stmt->query);
				visit_created(context, stmt->into->rel, false);
			}
			return true;

		case T_ViewStmt:
			{
				ViewStmt   *stmt = (ViewStmt *) statement;

				/* A view on a temporary table is a temporary view. */
				walk_statement(context, stmt->query);
				visit_created(context, stmt->view, context->saw_temporary);
			}
			return true;

		case T_CopyStmt:
			{
				CopyStmt   *stmt = (CopyStmt *) statement;

				visit_rangevar(context, stmt->relation,
							   stmt->is_from ? REF_WRITE : REF_READ);
				if (stmt->query != NULL)
					walk_statement(context, stmt->query);
				(void) walk_node(stmt->whereClause, context);
			}
			return true;

		case T_ExplainStmt:
			{
				ExplainStmt *stmt = (ExplainStmt *) statement;

				if (!option_is_on(stmt->options, "analyze", false))
					context->definition = true;
				walk_statement(context, stmt->query);
			}
			break;

		case T_DeclareCursorStmt:
			walk_statement(context, ((DeclareCursorStmt *) statement)->query);
			return true;

		case T_PrepareStmt:
			context->params_allowed = true;
			walk_statement(context, ((PrepareStmt *) statement)->query);
			break;

		case T_ExecuteStmt:
			(void) walk_node((Node *) ((ExecuteStmt *) statement)->params, context);
			return true;

		case T_CallStmt:
			(void) walk_node((Node *) ((CallStmt *) statement)->funccall, context);
			return true;

		case T_CreateFunctionStmt:
			{
				Node	   *body = ((CreateFunctionStmt *) statement)->sql_body;

				/* RETURN expression, or BEGIN ATOMIC: a list in a list */
				context->definition = true;
				context->params_allowed = true;
				if (body != NULL && IsA(body, List))
				{
					foreach(lc, linitial_node(List, (List *) body))
						walk_statement(context, (Node *) lfirst(lc));
				}
				else if (body != NULL)
					walk_statement(context, body);
			}
			break;

		case T_ReturnStmt:
			(void) walk_node(((ReturnStmt *) statement)->returnval, context);
			return true;

		case T_RuleStmt:
			{
				RuleStmt   *stmt = (RuleStmt *) statement;

				visit_rangevar(context, stmt->relation, REF_WRITE);
				context->definition = true;
				(void) walk_node(stmt->whereClause, context);
				foreach(lc, stmt->actions)
					walk_statement(context, (Node *) lfirst(lc));
			}
			break;

		default:
			return false;
	}

	context->definition = save_definition;
	context->params_allowed = save_params;
	return true;
}


/*
 * Definitions of relations
 */

/* A part of CREATE TABLE or ALTER TABLE; parts without relations are ignored. */
static void
walk_table_part(RefsContext *context, Node *part)
{
	ListCell   *lc;

	if (part == NULL)
		return;

	switch (nodeTag(part))
	{
		case T_List:
			foreach(lc, (List *) part)
				walk_table_part(context, (Node *) lfirst(lc));
			break;

		case T_RangeVar:		/* a parent, in ALTER TABLE ... INHERIT */
			visit_rangevar(context, (RangeVar *) part, REF_READ);
			break;

		case T_TableLikeClause:
			visit_rangevar(context, ((TableLikeClause *) part)->relation, REF_READ);
			break;

		case T_ColumnDef:
			(void) walk_node(((ColumnDef *) part)->raw_default, context);
			walk_table_part(context, (Node *) ((ColumnDef *) part)->constraints);
			break;

		case T_Constraint:
			{
				Constraint *constraint = (Constraint *) part;

				visit_rangevar(context, constraint->pktable, REF_READ);
				(void) walk_node(constraint->raw_expr, context);
				(void) walk_node((Node *) constraint->exclusions, context);
				(void) walk_node(constraint->where_clause, context);
			}
			break;

		case T_PartitionCmd:
			visit_rangevar(context, ((PartitionCmd *) part)->name, REF_READ);
			walk_table_part(context, (Node *) ((PartitionCmd *) part)->bound);
			break;

		case T_PartitionBoundSpec:
			{
				PartitionBoundSpec *bound = (PartitionBoundSpec *) part;

				(void) walk_node((Node *) bound->listdatums, context);
				(void) walk_node((Node *) bound->lowerdatums, context);
				(void) walk_node((Node *) bound->upperdatums, context);
			}
			break;

		case T_PartitionSpec:
			walk_table_part(context, (Node *) ((PartitionSpec *) part)->partParams);
			break;

		case T_PartitionElem:
			(void) walk_node(((PartitionElem *) part)->expr, context);
			break;

		case T_AlterTableCmd:
			if (((AlterTableCmd *) part)->subtype == AT_ColumnDefault)
				(void) walk_node(((AlterTableCmd *) part)->def, context);
			else
				walk_table_part(context, ((AlterTableCmd *) part)->def);
			break;

		case T_PublicationObjSpec:
			walk_table_part(context, (Node *) ((PublicationObjSpec *) part)->pubtable);
			break;

		case T_PublicationTable:
			visit_rangevar(context, ((PublicationTable *) part)->relation, REF_READ);
			(void) walk_node(((PublicationTable *) part)->whereClause, context);
			break;

		case T_StatsElem:
			(void) walk_node(((StatsElem *) part)->expr, context);
			break;

		default:
			break;
	}
}

/* OWNED BY table.column among a sequence's options */
static void
walk_sequence_options(RefsContext *context, List *options)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, "owned_by") == 0 && option->arg != NULL &&
			IsA(option->arg, List))
			option->arg = (Node *) visit_string_list(context, (List *) option->arg, 1,
													 REF_READ, option->location);
	}
}

/* The relation that an element of CREATE SCHEMA makes, or NULL. */
static RangeVar *
schema_element_relation(Node *element)
{
	switch (nodeTag(element))
	{
		case T_CreateStmt:
			return ((CreateStmt *) element)->relation;
		case T_ViewStmt:
			return ((ViewStmt *) element)->view;
		case T_CreateSeqStmt:
			return ((CreateSeqStmt *) element)->sequence;
		default:
			return NULL;
	}
}

/*
 * CREATE SCHEMA with elements.  The server sorts the elements, so each of them
 * sees all of them: their names shadow others as those of WITH RECURSIVE do.
 */
static void
walk_schema_elements(RefsContext *context, CreateSchemaStmt *stmt)
{
	const char *save_schema = context->new_schema;
	ListCell   *lc;
	RangeVar   *relation;

	context->new_schema = stmt->schemaname;
	if (stmt->schemaname == NULL && stmt->authrole != NULL &&
		stmt->authrole->roletype == ROLESPEC_CSTRING)
		context->new_schema = stmt->authrole->rolename;

	foreach(lc, stmt->schemaElts)
	{
		relation = schema_element_relation((Node *) lfirst(lc));
		if (relation != NULL && relation->schemaname == NULL)
			find_name(context, NULL, relation->relname, true)->shadows++;
	}

	foreach(lc, stmt->schemaElts)
		walk_statement(context, (Node *) lfirst(lc));

	foreach(lc, stmt->schemaElts)
	{
		relation = schema_element_relation((Node *) lfirst(lc));
		if (relation != NULL && relation->schemaname == NULL)
			find_name(context, NULL, relation->relname, true)->shadows--;
	}

	context->new_schema = save_schema;
}

/*
 * Utility statements that define a relation or something on one.  Returns false
 * for other statements.
 */
static bool
walk_definition(RefsContext *context, Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_CreateStmt:
		case T_CreateForeignTableStmt:	/* starts with a CreateStmt */
			{
				CreateStmt *stmt = (CreateStmt *) statement;

				visit_rangevars(context, stmt->inhRelations, REF_READ);
				walk_table_part(context, (Node *) stmt->tableElts);
				walk_table_part(context, (Node *) stmt->constraints);
				walk_table_part(context, (Node *) stmt->partbound);
				walk_table_part(context, (Node *) stmt->partspec);
				visit_created(context, stmt->relation, false);
			}
			return true;

		case T_AlterTableStmt:
			{
				AlterTableStmt *stmt = (AlterTableStmt *) statement;

				/* ALTER TYPE on a composite type uses this node, too. */
				if (stmt->objtype != OBJECT_TYPE)
				{
					visit_rangevar(context, stmt->relation, REF_WRITE);
					walk_table_part(context, (Node *) stmt->cmds);
				}
			}
			return true;

		case T_IndexStmt:
			{
				IndexStmt  *stmt = (IndexStmt *) statement;

				visit_rangevar(context, stmt->relation, REF_WRITE);
				(void) walk_node((Node *) stmt->indexParams, context);
				(void) walk_node(stmt->whereClause, context);
			}
			return true;

		case T_CreateStatsStmt:
			visit_rangevars(context, ((CreateStatsStmt *) statement)->relations, REF_WRITE);
			walk_table_part(context, (Node *) ((CreateStatsStmt *) statement)->exprs);
			return true;

		case T_CreateTrigStmt:
			{
				CreateTrigStmt *stmt = (CreateTrigStmt *) statement;

				visit_rangevar(context, stmt->relation, REF_WRITE);
				visit_rangevar(context, stmt->constrrel, REF_READ);
				(void) walk_node(stmt->whenClause, context);
			}
			return true;

		case T_CreatePolicyStmt:
			{
				CreatePolicyStmt *stmt = (CreatePolicyStmt *) statement;

				visit_rangevar(context, stmt->table, REF_WRITE);
				(void) walk_node(stmt->qual, context);
				(void) walk_node(stmt->with_check, context);
			}
			return true;

		case T_AlterPolicyStmt:
			{
				AlterPolicyStmt *stmt = (AlterPolicyStmt *) statement;

				visit_rangevar(context, stmt->table, REF_WRITE);
				(void) walk_node(stmt->qual, context);
				(void) walk_node(stmt->with_check, context);
			}
			return true;

		case T_CreateSeqStmt:
			walk_sequence_options(context, ((CreateSeqStmt *) statement)->options);
			visit_created(context, ((CreateSeqStmt *) statement)->sequence, false);
			return true;

		case T_AlterSeqStmt:
			visit_rangevar(context, ((AlterSeqStmt *) statement)->sequence, REF_WRITE);
			walk_sequence_options(context, ((AlterSeqStmt *) statement)->options);
			return true;

		case T_CreateSchemaStmt:
			walk_schema_elements(context, (CreateSchemaStmt *) statement);
			return true;

		case T_CreatePublicationStmt:
			walk_table_part(context, (Node *) ((CreatePublicationStmt *) statement)->pubobjects);
			return true;

		case T_AlterPublicationStmt:
			walk_table_part(context, (Node *) ((AlterPublicationStmt *) statement)->pubobjects);
			return true;

		default:
			return false;
	}
}


/*
 * Statements about relations that exist
 */

/*
 * How many strings follow a relation's name where an object of this type is
 * named by a list of strings; -1 where no relation is in it.
 */
static int
strings_after_relation(ObjectType type)
{
	switch (type)
	{
		case OBJECT_TABLE:
		case OBJECT_FOREIGN_TABLE:
		case OBJECT_VIEW:
		case OBJECT_MATVIEW:
		case OBJECT_SEQUENCE:
		case OBJECT_INDEX:
			return 0;
		case OBJECT_COLUMN:
		case OBJECT_TABCONSTRAINT:
		case OBJECT_TRIGGER:
		case OBJECT_RULE:
		case OBJECT_POLICY:
			return 1;
		default:
			return -1;
	}
}

/* DROP: also ends the time that a temporary table's name is taken. */
static void
walk_drop(RefsContext *context, DropStmt *stmt)
{
	int			extra = strings_after_relation(stmt->removeType);
	ListCell   *lc;

	if (extra < 0)
		return;

	foreach(lc, stmt->objects)
	{
		List	   *names = lfirst_node(List, lc);
		int			nnames = list_length(names);

		lfirst(lc) = visit_string_list(context, names, extra, REF_WRITE, -1);

		if (extra == 0 &&
			(nnames == 1 ||
			 (nnames == 2 && is_temporary_schema(strVal(linitial(names))))))
		{
			NameEntry  *entry = find_name(context, NULL, strVal(llast(names)), false);

			if (entry != NULL)
				entry->temporary = false;
		}
	}
}

/*
 * A relation gets another name or schema.  Both are written; the new one is not
 * a reference and so keeps what the statement says.
 */
static void
walk_move(RefsContext *context, RangeVar *relation, const char *schema, const char *name)
{
	NameEntry  *entry = NULL;

	/* Before the visitor points it elsewhere. */
	if (relation->schemaname == NULL)
		entry = find_name(context, NULL, relation->relname, false);

	if (entry != NULL && entry->temporary)
	{
		entry->temporary = false;
		context->new_temporaries = lappend(context->new_temporaries, unconstify(char *, name));
	}
	else if (!is_temporary_schema(relation->schemaname))
	{
		visit_rangevar(context, relation, REF_WRITE);
		(void) visit_name(context, schema, name, REF_CREATE, relation->location);
	}
}

static void
walk_rename(RefsContext *context, RenameStmt *stmt)
{
	if (stmt->relation == NULL || stmt->renameType == OBJECT_ATTRIBUTE)
		return;					/* attributes are those of composite types */

	if (strings_after_relation(stmt->renameType) == 0)
		walk_move(context, stmt->relation, stmt->relation->schemaname, stmt->newname);
	else
		visit_rangevar(context, stmt->relation, REF_WRITE);
}

static void
walk_object(RefsContext *context, ObjectType type, Node **object)
{
	int			extra = strings_after_relation(type);

	if (extra >= 0 && *object != NULL && IsA(*object, List))
		*object = (Node *) visit_string_list(context, (List *) *object, extra,
											 REF_WRITE, -1);
}

/* VACUUM and ANALYZE leave contents and definition alone; VACUUM FULL rewrites. */
static void
walk_vacuum(RefsContext *context, VacuumStmt *stmt)
{
	RefUse		use = option_is_on(stmt->options, "full", false) ? REF_WRITE : REF_READ;
	ListCell   *lc;

	foreach(lc, stmt->rels)
		visit_rangevar(context, lfirst_node(VacuumRelation, lc)->relation, use);
}

static void
walk_discard(RefsContext *context, DiscardStmt *stmt)
{
	HASH_SEQ_STATUS status;
	NameEntry  *entry;

	if (stmt->target != DISCARD_ALL && stmt->target != DISCARD_TEMP)
		return;

	hash_seq_init(&status, context->names);
	while ((entry = hash_seq_search(&status)) != NULL)
		entry->temporary = false;
}

/*
 * Utility statements that name relations without a query or a definition.
 */
static void
walk_relation_command(RefsContext *context, Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_TruncateStmt:
			visit_rangevars(context, ((TruncateStmt *) statement)->relations, REF_WRITE);
			break;

		case T_RefreshMatViewStmt:
			visit_rangevar(context, ((RefreshMatViewStmt *) statement)->relation, REF_WRITE);
			break;

		case T_ClusterStmt:
			visit_rangevar(context, ((ClusterStmt *) statement)->relation, REF_WRITE);
			break;

		case T_VacuumStmt:
			walk_vacuum(context, (VacuumStmt *) statement);
			break;

		case T_ReindexStmt:
			visit_rangevar(context, ((ReindexStmt *) statement)->relation, REF_READ);
			break;

		case T_LockStmt:
			visit_rangevars(context, ((LockStmt *) statement)->relations, REF_READ);
			break;

		case T_DropStmt:
			walk_drop(context, (DropStmt *) statement);
			break;

		case T_RenameStmt:
			walk_rename(context, (RenameStmt *) statement);
			break;

		case T_AlterObjectSchemaStmt:
			{
				AlterObjectSchemaStmt *stmt = (AlterObjectSchemaStmt *) statement;

				if (stmt->relation != NULL)
					walk_move(context, stmt->relation, stmt->newschema,
							  stmt->relation->relname);
			}
			break;

		case T_AlterObjectDependsStmt:
			visit_rangevar(context, ((AlterObjectDependsStmt *) statement)->relation,
						   REF_WRITE);
			break;

		case T_CommentStmt:
			walk_object(context, ((CommentStmt *) statement)->objtype,
						&((CommentStmt *) statement)->object);
			break;

		case T_SecLabelStmt:
			walk_object(context, ((SecLabelStmt *) statement)->objtype,
						&((SecLabelStmt *) statement)->object);
			break;

		case T_AlterExtensionContentsStmt:
			walk_object(context, ((AlterExtensionContentsStmt *) statement)->objtype,
						&((AlterExtensionContentsStmt *) statement)->object);
			break;

		case T_GrantStmt:
			{
				GrantStmt  *stmt = (GrantStmt *) statement;

				if (stmt->targtype == ACL_TARGET_OBJECT &&
					(stmt->objtype == OBJECT_TABLE || stmt->objtype == OBJECT_SEQUENCE))
					visit_rangevars(context, stmt->objects, REF_WRITE);
			}
			break;

		case T_DiscardStmt:
			walk_discard(context, (DiscardStmt *) statement);
			break;

		default:
			break;
	}
}

/* Any statement, also one inside another. */
static void
walk_statement(RefsContext *context, Node *statement)
{
	check_stack_depth();

	switch (nodeTag(statement))
	{
		case T_SelectStmt:
		case T_InsertStmt:
		case T_UpdateStmt:
		case T_DeleteStmt:
		case T_MergeStmt:
			(void) walk_node(statement, context);
			break;

		default:
			if (!walk_query_holder(context, statement) &&
				!walk_definition(context, statement))
				walk_relation_command(context, statement);
			break;
	}
}

/* The whole walk: one statement after the other, as they will be executed. */
static void
walk_raw_statements(RefsContext *context, List *statements)
{
	ListCell   *lc;
	ListCell   *name;

	foreach(lc, statements)
	{
		RawStmt    *raw = lfirst_node(RawStmt, lc);

		context->statement_location = Max(raw->stmt_location, 0);
		context->saw_temporary = false;
		walk_statement(context, raw->stmt);

		foreach(name, context->new_temporaries)
			find_name(context, NULL, (char *) lfirst(name), true)->temporary = true;
		list_free(context->new_temporaries);
		context->new_temporaries = NIL;
	}
}

static void
init_context(RefsContext *context, VisitFunction visit, MemoryContext memory)
{
	HASHCTL		hash_info = {0};

	memset(context, 0, sizeof(*context));
	context->visit = visit;

	hash_info.keysize = sizeof(NameKey);
	hash_info.entrysize = sizeof(NameEntry);
	hash_info.hcxt = memory;
	context->names = hash_create("names in a step", 64, &hash_info,
								 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}


/*
 * Statements that are special to a step
 */

/* ALTER SUBSCRIPTION: what it refuses depends on the kind and its options. */
static BlockRule
alter_subscription_rule(AlterSubscriptionStmt *stmt)
{
	switch (stmt->kind)
	{
		case ALTER_SUBSCRIPTION_REFRESH:
			return BLOCK_REFUSES;
		case ALTER_SUBSCRIPTION_SET_PUBLICATION:
		case ALTER_SUBSCRIPTION_ADD_PUBLICATION:
		case ALTER_SUBSCRIPTION_DROP_PUBLICATION:
			return option_is_on(stmt->options, "refresh", true) ? BLOCK_REFUSES : BLOCK_FINE;
		case ALTER_SUBSCRIPTION_OPTIONS:
			return BLOCK_MAY_REFUSE;
		default:
			return BLOCK_FINE;
	}
}

static BlockRule
reindex_rule(ReindexStmt *stmt, const char **command)
{
	switch (stmt->kind)
	{
		case REINDEX_OBJECT_SCHEMA:
			*command = "REINDEX SCHEMA";
			return BLOCK_REFUSES;
		case REINDEX_OBJECT_SYSTEM:
			*command = "REINDEX SYSTEM";
			return BLOCK_REFUSES;
		case REINDEX_OBJECT_DATABASE:
			*command = "REINDEX DATABASE";
			return BLOCK_REFUSES;
		default:
			break;
	}

	if (option_is_on(stmt->params, "concurrently", false))
	{
		*command = "REINDEX CONCURRENTLY";
		return BLOCK_REFUSES;
	}
	return BLOCK_MAY_REFUSE;	/* refuses for partitioned tables and indexes */
}

static bool
detaches_concurrently(AlterTableStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *command = lfirst_node(AlterTableCmd, lc);

		if (command->subtype == AT_DetachPartition &&
			castNode(PartitionCmd, command->def)->concurrent)
			return true;
	}
	return false;
}

static bool
has_option(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		if (strcmp(lfirst_node(DefElem, lc)->defname, name) == 0)
			return true;
	}
	return false;
}

/*
 * Does the statement refuse a transaction block, or may it end the transaction?
 * *command is what to call it in a message.
 */
static BlockRule
block_rule(Node *statement, const char **command)
{
	*command = GetCommandTagName(CreateCommandTag(statement));

	switch (nodeTag(statement))
	{
		case T_CreatedbStmt:
		case T_DropdbStmt:
		case T_CreateTableSpaceStmt:
		case T_DropTableSpaceStmt:
		case T_AlterSystemStmt:
			return BLOCK_REFUSES;

		case T_AlterDatabaseStmt:
			*command = "ALTER DATABASE SET TABLESPACE";
			return has_option(((AlterDatabaseStmt *) statement)->options, "tablespace") ?
				BLOCK_REFUSES : BLOCK_FINE;

		case T_VacuumStmt:
			return ((VacuumStmt *) statement)->is_vacuumcmd ? BLOCK_REFUSES : BLOCK_FINE;

		case T_ClusterStmt:		/* refuses for partitioned tables */
			return ((ClusterStmt *) statement)->relation == NULL ?
				BLOCK_REFUSES : BLOCK_MAY_REFUSE;

		case T_ReindexStmt:
			return reindex_rule((ReindexStmt *) statement, command);

		case T_IndexStmt:
			*command = "CREATE INDEX CONCURRENTLY";
			return ((IndexStmt *) statement)->concurrent ? BLOCK_REFUSES : BLOCK_FINE;

		case T_DropStmt:
			*command = "DROP INDEX CONCURRENTLY";
			return ((DropStmt *) statement)->concurrent ? BLOCK_REFUSES : BLOCK_FINE;

		case T_AlterTableStmt:
			*command = "ALTER TABLE ... DETACH CONCURRENTLY";
			return detaches_concurrently((AlterTableStmt *) statement) ?
				BLOCK_REFUSES : BLOCK_FINE;

		case T_CreateSubscriptionStmt:
			{
				List	   *options = ((CreateSubscriptionStmt *) statement)->options;

				/* It refuses if it makes a slot; that needs a connection. */
				return option_is_on(options, "connect", true) &&
					option_is_on(options, "create_slot", true) ?
					BLOCK_REFUSES : BLOCK_FINE;
			}

		case T_AlterSubscriptionStmt:
			return alter_subscription_rule((AlterSubscriptionStmt *) statement);

		case T_DropSubscriptionStmt:	/* refuses if it has a slot */
			return BLOCK_MAY_REFUSE;

		case T_DiscardStmt:
			return ((DiscardStmt *) statement)->target == DISCARD_ALL ?
				BLOCK_REFUSES : BLOCK_FINE;

		case T_DoStmt:			/* COMMIT inside */
		case T_CallStmt:
			return BLOCK_MAY_REFUSE;

		default:
			return BLOCK_FINE;
	}
}

/*
 * For an error about a whole statement: puts the position of its first token
 * into the error, which older grammars count from the semicolon before it.
 */
static int
statement_errposition(const char *sql, RawStmt *raw)
{
	const char *start = sql + Max(raw->stmt_location, 0);
	int			depth = 0;

	for (; *start != '\0'; start++)
	{
		if (start[0] == '/' && start[1] == '*')
		{
			depth++;
			start++;
		}
		else if (depth > 0)
		{
			if (start[0] == '*' && start[1] == '/')
			{
				depth--;
				start++;
			}
		}
		else if (start[0] == '-' && start[1] == '-')
			start += strcspn(start, "\r\n") - 1;
		else if (!scanner_isspace(*start))
			break;
	}

	return errposition(pg_mbstrlen_with_len(sql, (int) (start - sql)) + 1);
}

/*
 * Raises an error if the statement cannot be in a step, or not in this one.
 * Returns whether it may refuse a transaction block.
 */
static bool
check_statement(const char *sql, RawStmt *raw, bool is_only_one)
{
	Node	   *statement = raw->stmt;
	const char *command;
	BlockRule	rule;

	if (IsA(statement, TransactionStmt))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a step cannot contain %s",
						GetCommandTagName(CreateCommandTag(statement))),
				 errdetail("Each step is executed in a transaction of its own, which commits when the step succeeds."),
				 statement_errposition(sql, raw)));

	if (IsA(statement, ListenStmt) || IsA(statement, UnlistenStmt))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a step cannot contain %s",
						GetCommandTagName(CreateCommandTag(statement))),
				 errdetail("Steps are executed by background processes, which receive no notifications."),
				 statement_errposition(sql, raw)));

	if (IsA(statement, CopyStmt) && ((CopyStmt *) statement)->filename == NULL)
	{
		bool		is_from = ((CopyStmt *) statement)->is_from;

		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a step cannot contain %s",
						is_from ? "COPY FROM STDIN" : "COPY TO STDOUT"),
				 errdetail("Steps are executed by background processes, which have no client."),
				 errhint("Use a file of the server or PROGRAM."),
				 statement_errposition(sql, raw)));
	}

	rule = block_rule(statement, &command);
	if (rule == BLOCK_REFUSES && !is_only_one)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s must be the only statement of its step", command),
				 errdetail("It cannot run inside a transaction block, and the statements of a step are executed in one transaction."),
				 errhint("Make it a step of its own."),
				 statement_errposition(sql, raw)));

	return rule != BLOCK_FINE;
}


/*
 * The two visitors
 */

static const char *
note_reference(RefsContext *context, const char *schema, const char *name,
			   RefUse use, int location)
{
	NameEntry  *entry;
	int		   *first;

	if (use == REF_COLUMN)
		return NULL;

	entry = find_name(context, schema, name, true);
	first = use == REF_READ ? &entry->read_at : &entry->written_at;
	if (*first < 0 || location < *first)
		*first = location;
	return NULL;
}

static const char *
retarget_reference(RefsContext *context, const char *schema, const char *name,
				   RefUse use, int location)
{
	return context->target(schema, name, use == REF_CREATE, context->target_arg);
}


/*
 * Entry points
 */

static void
sql_error_callback(void *arg)
{
	int			position = geterrposition();

	/* What is a position in the step's SQL is none in the client's query. */
	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery((const char *) arg);
	}
}

static void
push_sql_error_callback(ErrorContextCallback *callback, const char *sql)
{
	callback->callback = sql_error_callback;
	callback->arg = unconstify(char *, sql);
	callback->previous = error_context_stack;
	error_context_stack = callback;
}

List *
refs_parse(const char *sql)
{
	ErrorContextCallback callback;
	List	   *statements;

	push_sql_error_callback(&callback, sql);
	statements = raw_parser(sql, RAW_PARSE_DEFAULT);
	error_context_stack = callback.previous;

	return statements;
}

static int
compare_positions(const ListCell *a, const ListCell *b)
{
	const NameEntry *left = lfirst(a);
	const NameEntry *right = lfirst(b);

	if (left->position != right->position)
		return left->position < right->position ? -1 : 1;
	return left->sequence < right->sequence ? -1 : 1;
}

/* The names that were read or written, as a list in the current context. */
static List *
collect_names(RefsContext *context, RefUse use)
{
	HASH_SEQ_STATUS status;
	NameEntry  *entry;
	List	   *entries = NIL;
	List	   *result = NIL;
	ListCell   *lc;

	hash_seq_init(&status, context->names);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		entry->position = use == REF_READ ? entry->read_at : entry->written_at;
		if (entry->position >= 0)
			entries = lappend(entries, entry);
	}
	list_sort(entries, compare_positions);

	foreach(lc, entries)
	{
		RefName    *ref = palloc(sizeof(RefName));

		entry = lfirst(lc);
		ref->schema = entry->key.schema[0] != '\0' ? pstrdup(entry->key.schema) : NULL;
		ref->name = pstrdup(entry->key.name);
		result = lappend(result, ref);
	}
	list_free(entries);

	return result;
}

StepRefs *
refs_analyze(const char *sql)
{
	MemoryContext caller_context = CurrentMemoryContext;
	MemoryContext work_context;
	ErrorContextCallback callback;
	RefsContext context;
	StepRefs   *refs;
	List	   *statements;
	ListCell   *lc;
	bool		is_only_one;
	bool		may_refuse_block = false;

	work_context = AllocSetContextCreate(caller_context, "references of a step",
										 ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(work_context);
	push_sql_error_callback(&callback, sql);

	statements = raw_parser(sql, RAW_PARSE_DEFAULT);
	if (statements == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the SQL of a step must contain a statement")));

	is_only_one = (list_length(statements) == 1);
	foreach(lc, statements)
	{
		if (check_statement(sql, lfirst_node(RawStmt, lc), is_only_one))
			may_refuse_block = true;
	}

	init_context(&context, note_reference, work_context);
	context.sql = sql;
	walk_raw_statements(&context, statements);

	error_context_stack = callback.previous;
	MemoryContextSwitchTo(caller_context);

	refs = palloc(sizeof(StepRefs));
	refs->reads = collect_names(&context, REF_READ);
	refs->writes = collect_names(&context, REF_WRITE);
	if (is_only_one && may_refuse_block)
		refs->kind = ETL_STEP_COMMAND_ALONE;
	else if (is_only_one && !context.saw_change &&
			 IsA(linitial_node(RawStmt, statements)->stmt, SelectStmt))
		refs->kind = ETL_STEP_QUERY;
	else
		refs->kind = ETL_STEP_COMMAND;

	MemoryContextDelete(work_context);
	return refs;
}

void
refs_retarget(List *raw_statements, RefsTargetFunction target, void *arg)
{
	MemoryContext names_context;
	RefsContext context;

	names_context = AllocSetContextCreate(CurrentMemoryContext, "names in a step",
										  ALLOCSET_SMALL_SIZES);
	init_context(&context, retarget_reference, names_context);
	context.target = target;
	context.target_arg = arg;
	context.params_allowed = true;	/* refs_analyze has looked for them */

	walk_raw_statements(&context, raw_statements);

	MemoryContextDelete(names_context);
}

char *
refs_name_to_text(const RefName *ref)
{
	return quote_qualified_identifier(ref->schema, ref->name);
}
