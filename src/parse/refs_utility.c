/*-------------------------------------------------------------------------
 *
 * refs_utility.c
 *	  The walk over a step's raw parse tree: utility statements.
 *
 * The server has no walker for them, so each is taken apart here by hand:
 * those that carry a query, those that define a relation or something on one,
 * and those about relations that exist.  What is not known here names no
 * relation as far as refs.h is concerned.  A new version of PostgreSQL that
 * brings a statement, or a clause of one, concerns this file.
 *
 * Like refs_walk.c, it looks nothing up in the catalogs and knows nothing of
 * what visitors do.  It may not know how names are looked up, but for the
 * entries that make and end a temporary table or shadow a name.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "nodes/value.h"

#include "parse/refs_walk.h"

/* The value of a boolean option; the last one counts, as in the server. */
bool
refs_option_is_on(List *options, const char *name, bool default_value)
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

static void
visit_rangevars(RefsContext *context, List *relations, RefUse use)
{
	ListCell   *lc;

	foreach(lc, relations)
	{
		Node	   *relation = (Node *) lfirst(lc);

		if (relation != NULL && IsA(relation, RangeVar))
			refs_visit_rangevar(context, (RangeVar *) relation, use);
	}
}


/*
 * Statements that carry a query
 */

/*
 * Utility statements that carry a query.  Returns false for other statements.
 */
static bool
walk_query_holder(RefsContext *context, Node *statement)
{
	bool		save_definition = context->definition;
	bool		save_binds = context->binds;
	bool		save_params = context->params_allowed;
	ListCell   *lc;

	switch (nodeTag(statement))
	{
		case T_CreateTableAsStmt:	/* and CREATE MATERIALIZED VIEW */
			{
				CreateTableAsStmt *stmt = (CreateTableAsStmt *) statement;

				context->binds = context->binds || stmt->objtype == OBJECT_MATVIEW;
				refs_walk_statement(context, stmt->query);
				refs_visit_created(context, stmt->into->rel, false);
			}
			break;

		case T_ViewStmt:
			{
				ViewStmt   *stmt = (ViewStmt *) statement;

				/* A view on a temporary table is a temporary view. */
				context->binds = stmt->view->relpersistence != RELPERSISTENCE_TEMP;
				refs_walk_statement(context, stmt->query);
				refs_visit_created(context, stmt->view, context->saw_temporary);
			}
			break;

		case T_CopyStmt:
			{
				CopyStmt   *stmt = (CopyStmt *) statement;

				refs_visit_rangevar(context, stmt->relation,
									stmt->is_from ? REF_WRITE : REF_READ);
				if (stmt->query != NULL)
					refs_walk_statement(context, stmt->query);
				(void) refs_walk_node(stmt->whereClause, context);
			}
			return true;

		case T_ExplainStmt:
			{
				ExplainStmt *stmt = (ExplainStmt *) statement;

				if (!refs_option_is_on(stmt->options, "analyze", false))
					context->definition = true;
				refs_walk_statement(context, stmt->query);
			}
			break;

		case T_DeclareCursorStmt:
			refs_walk_statement(context, ((DeclareCursorStmt *) statement)->query);
			return true;

		case T_PrepareStmt:
			context->params_allowed = true;
			refs_walk_statement(context, ((PrepareStmt *) statement)->query);
			break;

		case T_ExecuteStmt:
			(void) refs_walk_node((Node *) ((ExecuteStmt *) statement)->params, context);
			return true;

		case T_CallStmt:
			(void) refs_walk_node((Node *) ((CallStmt *) statement)->funccall, context);
			return true;

		case T_CreateFunctionStmt:
			{
				Node	   *body = ((CreateFunctionStmt *) statement)->sql_body;

				((CreateFunctionStmt *) statement)->funcname =
					refs_visit_object(context, ((CreateFunctionStmt *) statement)->funcname);

				/* RETURN expression, or BEGIN ATOMIC: a list in a list */
				context->definition = true;
				context->binds = true;
				context->params_allowed = true;
				if (body != NULL && IsA(body, List))
				{
					foreach(lc, linitial_node(List, (List *) body))
						refs_walk_statement(context, (Node *) lfirst(lc));
				}
				else if (body != NULL)
					refs_walk_statement(context, body);
			}
			break;

		case T_ReturnStmt:
			(void) refs_walk_node(((ReturnStmt *) statement)->returnval, context);
			return true;

		case T_RuleStmt:
			{
				RuleStmt   *stmt = (RuleStmt *) statement;

				refs_visit_rangevar(context, stmt->relation, REF_WRITE);
				context->definition = true;
				context->binds = true;
				(void) refs_walk_node(stmt->whereClause, context);
				foreach(lc, stmt->actions)
					refs_walk_statement(context, (Node *) lfirst(lc));
			}
			break;

		default:
			return false;
	}

	context->definition = save_definition;
	context->binds = save_binds;
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
			refs_visit_rangevar(context, (RangeVar *) part, REF_READ);
			break;

		case T_TableLikeClause:
			refs_visit_rangevar(context, ((TableLikeClause *) part)->relation, REF_READ);
			break;

		case T_ColumnDef:
			(void) refs_walk_node(((ColumnDef *) part)->raw_default, context);
			walk_table_part(context, (Node *) ((ColumnDef *) part)->constraints);
			break;

		case T_Constraint:
			{
				Constraint *constraint = (Constraint *) part;

				refs_visit_rangevar(context, constraint->pktable, REF_READ);
				(void) refs_walk_node(constraint->raw_expr, context);
				(void) refs_walk_node((Node *) constraint->exclusions, context);
				(void) refs_walk_node(constraint->where_clause, context);
			}
			break;

		case T_PartitionCmd:
			refs_visit_rangevar(context, ((PartitionCmd *) part)->name, REF_READ);
			walk_table_part(context, (Node *) ((PartitionCmd *) part)->bound);
			break;

		case T_PartitionBoundSpec:
			{
				PartitionBoundSpec *bound = (PartitionBoundSpec *) part;

				(void) refs_walk_node((Node *) bound->listdatums, context);
				(void) refs_walk_node((Node *) bound->lowerdatums, context);
				(void) refs_walk_node((Node *) bound->upperdatums, context);
			}
			break;

		case T_PartitionSpec:
			walk_table_part(context, (Node *) ((PartitionSpec *) part)->partParams);
			break;

		case T_PartitionElem:
			(void) refs_walk_node(((PartitionElem *) part)->expr, context);
			break;

		case T_AlterTableCmd:
			if (((AlterTableCmd *) part)->subtype == AT_ColumnDefault)
				(void) refs_walk_node(((AlterTableCmd *) part)->def, context);
			else
				walk_table_part(context, ((AlterTableCmd *) part)->def);
			break;

		case T_PublicationObjSpec:
			walk_table_part(context, (Node *) ((PublicationObjSpec *) part)->pubtable);
			break;

		case T_PublicationTable:
			refs_visit_rangevar(context, ((PublicationTable *) part)->relation, REF_READ);
			(void) refs_walk_node(((PublicationTable *) part)->whereClause, context);
			break;

		case T_StatsElem:
			(void) refs_walk_node(((StatsElem *) part)->expr, context);
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
			option->arg = (Node *) refs_visit_string_list(context, (List *) option->arg, 1,
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
			refs_find_name(context, NULL, relation->relname, true)->shadows++;
	}

	foreach(lc, stmt->schemaElts)
		refs_walk_statement(context, (Node *) lfirst(lc));

	foreach(lc, stmt->schemaElts)
	{
		relation = schema_element_relation((Node *) lfirst(lc));
		if (relation != NULL && relation->schemaname == NULL)
			refs_find_name(context, NULL, relation->relname, true)->shadows--;
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
				refs_visit_created(context, stmt->relation, false);
			}
			return true;

		case T_AlterTableStmt:
			{
				AlterTableStmt *stmt = (AlterTableStmt *) statement;

				/* ALTER TYPE on a composite type uses this node, too. */
				if (stmt->objtype != OBJECT_TYPE)
				{
					refs_visit_rangevar(context, stmt->relation, REF_WRITE);
					walk_table_part(context, (Node *) stmt->cmds);
				}
			}
			return true;

		case T_IndexStmt:
			{
				IndexStmt  *stmt = (IndexStmt *) statement;

				refs_visit_rangevar(context, stmt->relation, REF_WRITE);
				(void) refs_walk_node((Node *) stmt->indexParams, context);
				(void) refs_walk_node(stmt->whereClause, context);
			}
			return true;

		case T_CreateStatsStmt:
			visit_rangevars(context, ((CreateStatsStmt *) statement)->relations, REF_WRITE);
			walk_table_part(context, (Node *) ((CreateStatsStmt *) statement)->exprs);
			return true;

		case T_CreateTrigStmt:
			{
				CreateTrigStmt *stmt = (CreateTrigStmt *) statement;

				refs_visit_rangevar(context, stmt->relation, REF_WRITE);
				refs_visit_rangevar(context, stmt->constrrel, REF_READ);
				(void) refs_walk_node(stmt->whenClause, context);
			}
			return true;

		case T_CreatePolicyStmt:
			{
				CreatePolicyStmt *stmt = (CreatePolicyStmt *) statement;

				refs_visit_rangevar(context, stmt->table, REF_WRITE);
				(void) refs_walk_node(stmt->qual, context);
				(void) refs_walk_node(stmt->with_check, context);
			}
			return true;

		case T_AlterPolicyStmt:
			{
				AlterPolicyStmt *stmt = (AlterPolicyStmt *) statement;

				refs_visit_rangevar(context, stmt->table, REF_WRITE);
				(void) refs_walk_node(stmt->qual, context);
				(void) refs_walk_node(stmt->with_check, context);
			}
			return true;

		case T_CreateSeqStmt:
			walk_sequence_options(context, ((CreateSeqStmt *) statement)->options);
			refs_visit_created(context, ((CreateSeqStmt *) statement)->sequence, false);
			return true;

		case T_AlterSeqStmt:
			refs_visit_rangevar(context, ((AlterSeqStmt *) statement)->sequence, REF_WRITE);
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
 * Definitions of other things, whose names are given a schema as those of relations are.  Returns
 * false for other statements.
 */
static bool
walk_object_definition(RefsContext *context, Node *statement)
{
	List	  **names;

	switch (nodeTag(statement))
	{
		case T_DefineStmt:		/* aggregates, operators, types, text search, collations */
			names = &((DefineStmt *) statement)->defnames;
			break;
		case T_CreateDomainStmt:
			names = &((CreateDomainStmt *) statement)->domainname;
			break;
		case T_CreateEnumStmt:
			names = &((CreateEnumStmt *) statement)->typeName;
			break;
		case T_CreateRangeStmt:
			names = &((CreateRangeStmt *) statement)->typeName;
			break;
		case T_CreateConversionStmt:
			names = &((CreateConversionStmt *) statement)->conversion_name;
			break;
		case T_CreateOpClassStmt:
			names = &((CreateOpClassStmt *) statement)->opclassname;
			break;
		case T_CreateOpFamilyStmt:
			names = &((CreateOpFamilyStmt *) statement)->opfamilyname;
			break;
		case T_CompositeTypeStmt:
			{
				RangeVar   *type = ((CompositeTypeStmt *) statement)->typevar;
				List	   *name = list_make1(makeString(type->relname));

				if (type->schemaname == NULL)
					name = refs_visit_object(context, name);
				if (list_length(name) == 2)
					type->schemaname = strVal(linitial(name));
			}
			return true;
		default:
			return false;
	}
	*names = refs_visit_object(context, *names);
	return true;
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

		lfirst(lc) = refs_visit_string_list(context, names, extra, REF_WRITE, -1);

		if (extra == 0 &&
			(nnames == 1 ||
			 (nnames == 2 && refs_is_temporary_schema(strVal(linitial(names))))))
		{
			RefsNameEntry *entry = refs_find_name(context, NULL, strVal(llast(names)), false);

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
	RefsNameEntry *entry = NULL;

	/* Before the visitor points it elsewhere. */
	if (relation->schemaname == NULL)
		entry = refs_find_name(context, NULL, relation->relname, false);

	if (entry != NULL && entry->temporary)
	{
		entry->temporary = false;
		context->new_temporaries = lappend(context->new_temporaries, unconstify(char *, name));
	}
	else if (!refs_is_temporary_schema(relation->schemaname))
	{
		refs_visit_rangevar(context, relation, REF_WRITE);
		(void) refs_visit_name(context, schema, name, REF_CREATE, relation->location);
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
		refs_visit_rangevar(context, stmt->relation, REF_WRITE);
}

static void
walk_object(RefsContext *context, ObjectType type, Node **object)
{
	int			extra = strings_after_relation(type);

	if (extra >= 0 && *object != NULL && IsA(*object, List))
		*object = (Node *) refs_visit_string_list(context, (List *) *object, extra,
												  REF_WRITE, -1);
}

/* VACUUM and ANALYZE leave contents and definition alone; VACUUM FULL rewrites. */
static void
walk_vacuum(RefsContext *context, VacuumStmt *stmt)
{
	RefUse		use = refs_option_is_on(stmt->options, "full", false) ? REF_WRITE : REF_READ;
	ListCell   *lc;

	foreach(lc, stmt->rels)
		refs_visit_rangevar(context, lfirst_node(VacuumRelation, lc)->relation, use);
}

static void
walk_discard(RefsContext *context, DiscardStmt *stmt)
{
	HASH_SEQ_STATUS status;
	RefsNameEntry *entry;

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
			refs_visit_rangevar(context, ((RefreshMatViewStmt *) statement)->relation, REF_WRITE);
			break;

		case T_ClusterStmt:
			refs_visit_rangevar(context, ((ClusterStmt *) statement)->relation, REF_WRITE);
			break;

		case T_VacuumStmt:
			walk_vacuum(context, (VacuumStmt *) statement);
			break;

		case T_ReindexStmt:
			refs_visit_rangevar(context, ((ReindexStmt *) statement)->relation, REF_READ);
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
			refs_visit_rangevar(context, ((AlterObjectDependsStmt *) statement)->relation,
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

void
refs_walk_utility(RefsContext *context, Node *statement)
{
	if (!walk_query_holder(context, statement) &&
		!walk_definition(context, statement) &&
		!walk_object_definition(context, statement))
		walk_relation_command(context, statement);
}
