/*-------------------------------------------------------------------------
 *
 * refs.c
 *	  From a step's SQL text: what kind of step it is, which relations it
 *	  reads and writes, and pointing those references somewhere else.
 *
 * One walk over the raw parse tree (refs_walk.c, refs_utility.c) serves both:
 * it hands each reference to a visitor.  refs_analyze's visitor takes notes,
 * refs_retarget's visitor answers with another schema.  So what is reported and
 * what is rewritten cannot differ.  Where names hide in a statement is the
 * walk's business; this file only tells apart what a step can contain and how
 * it has to be executed.
 *
 * This file looks nothing up in the catalogs and knows nothing of pipelines.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "parser/scansup.h"
#include "tcop/cmdtag.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/sql_error.h"
#include "parse/refs.h"
#include "parse/refs_walk.h"

/* Whether a statement can be executed inside a transaction block. */
typedef enum BlockRule
{
	BLOCK_FINE,
	BLOCK_MAY_REFUSE,			/* depends on what only run time knows */
	BLOCK_REFUSES
} BlockRule;


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
			return refs_option_is_on(stmt->options, "refresh", true) ? BLOCK_REFUSES : BLOCK_FINE;
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

	if (refs_option_is_on(stmt->params, "concurrently", false))
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
 * Find out whether the statement refuses a transaction block, or may end the transaction.
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
				return refs_option_is_on(options, "connect", true) &&
					refs_option_is_on(options, "create_slot", true) ?
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
	RefsNameEntry *entry;
	int		   *first;

	if (use == REF_COLUMN || use == REF_OBJECT)
		return NULL;

	entry = refs_find_name(context, schema, name, true);
	entry->bound |= context->binds && use == REF_READ;
	first = use == REF_READ ? &entry->read_at : &entry->written_at;
	if (*first < 0 || location < *first)
		*first = location;
	return NULL;
}

/* What the visitor of refs_retarget asks. */
typedef struct RefsTarget
{
	RefsTargetFunction function;
	void	   *arg;
} RefsTarget;

static const char *
retarget_reference(RefsContext *context, const char *schema, const char *name,
				   RefUse use, int location)
{
	const RefsTarget *target = context->visit_arg;

	return target->function(schema, name, use == REF_CREATE || use == REF_OBJECT, target->arg);
}


/*
 * Entry points
 */

/*
 * Strings mean what the standard says, whatever the session that defines the
 * step, or runs it, has set.
 */
List *
refs_parse(const char *sql)
{
	SqlErrorContext errors = {.sql = sql};
	bool		save = standard_conforming_strings;
	List	   *statements;

	sql_error_push(&errors);
	PG_TRY();
	{
		standard_conforming_strings = true;
		statements = raw_parser(sql, RAW_PARSE_DEFAULT);
	}
	PG_FINALLY();
	{
		standard_conforming_strings = save;
	}
	PG_END_TRY();
	sql_error_pop(&errors);

	return statements;
}

static int
compare_positions(const ListCell *a, const ListCell *b)
{
	const RefsNameEntry *left = lfirst(a);
	const RefsNameEntry *right = lfirst(b);

	if (left->position != right->position)
		return left->position < right->position ? -1 : 1;
	return left->sequence < right->sequence ? -1 : 1;
}

/*
 * Return the names that were read or written as a list in the current context.  bound: those alone
 * that a view or the like is bound to.
 */
static List *
collect_names(RefsContext *context, RefUse use, bool bound)
{
	HASH_SEQ_STATUS status;
	RefsNameEntry *entry;
	List	   *entries = NIL;
	List	   *result = NIL;
	ListCell   *lc;

	hash_seq_init(&status, context->names);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		entry->position = use == REF_READ ? entry->read_at : entry->written_at;
		if (entry->position >= 0 && (!bound || entry->bound))
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
	SqlErrorContext errors = {.sql = sql};
	RefsContext context;
	StepRefs   *refs;
	List	   *statements;
	ListCell   *lc;
	bool		is_only_one;
	bool		may_refuse_block = false;

	work_context = AllocSetContextCreate(caller_context, "references of a step",
										 ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(work_context);
	sql_error_push(&errors);

	statements = refs_parse(sql);
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

	refs_walk_init(&context, note_reference, work_context);
	context.sql = sql;
	refs_walk(&context, statements);

	sql_error_pop(&errors);
	MemoryContextSwitchTo(caller_context);

	refs = palloc(sizeof(StepRefs));
	refs->reads = collect_names(&context, REF_READ, false);
	refs->writes = collect_names(&context, REF_WRITE, false);
	refs->bound = collect_names(&context, REF_READ, true);
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
	RefsTarget	target_and_arg = {target, arg};

	names_context = AllocSetContextCreate(CurrentMemoryContext, "names in a step",
										  ALLOCSET_SMALL_SIZES);
	refs_walk_init(&context, retarget_reference, names_context);
	context.visit_arg = &target_and_arg;
	context.params_allowed = true;	/* refs_analyze has looked for them */

	refs_walk(&context, raw_statements);

	MemoryContextDelete(names_context);
}

char *
refs_name_to_text(const RefName *ref)
{
	return quote_qualified_identifier(ref->schema, ref->name);
}
