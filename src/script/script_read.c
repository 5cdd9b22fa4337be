/*-------------------------------------------------------------------------
 *
 * script_read.c
 *	  Makes steps of the statements of a script.
 *
 * The script is parsed as a whole, which finds the statements; their SQL is cut
 * out of its text, so that it stays as it was written.
 *
 * What the order of the statements means is not this file's business.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/nearest.h"
#include "define/definition.h"
#include "parse/refs.h"
#include "script/script.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "lib/stringinfo.h"
#include "parser/scansup.h"
#include "tcop/cmdtag.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/varlena.h"

/* A statement of the script, or a block of them. */
typedef struct Unit
{
	Node	   *statement;		/* NULL: a block */
	int			first;			/* its first token */
	int			behind;			/* the token of its first semicolon */
	int			sql_start;		/* of a command's SQL */
	int			sql_end;		/* of any SQL that goes up to the end */
	ScriptComments *comments;
} Unit;

typedef struct Reader
{
	const Pipeline *pipeline;
	Script	   *script;
	List	   *steps;			/* of ScriptStep * */
} Reader;

#define SCRIPT_ERROR(code, location, ...) \
	ereport(ERROR, (errcode(code), __VA_ARGS__, \
					script_errplace(reader->script->text, (location))))

static const char *
command_name(Node *statement)
{
	return GetCommandTagName(CreateCommandTag(statement));
}

/* ---- flags ---- */

static const Option *
find_option(const char *key, int *number)
{
	for (int i = 0; i < definition_step_count; i++)
	{
		*number = i;
		if (strcmp(definition_step_options[i].name, key) == 0 &&
			strcmp(key, "sql_query") != 0)
			return &definition_step_options[i];
	}
	return NULL;
}

static void
raise_unknown_flag(const char *key)
{
	Nearest		nearest;

	nearest_init(&nearest, key);
	for (int i = 0; i < definition_step_count; i++)
	{
		if (strcmp(definition_step_options[i].name, "sql_query") != 0)
			nearest_consider(&nearest, definition_step_options[i].name);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown flag \"%s\" of a step", key),
			 nearest.best ? errhint("Perhaps you mean the flag \"%s\".", nearest.best) :
			 errhint("Flags are arguments of etl.add_step; storage parameters of tables are not supported.")));
}

static void
set_flag(Reader *reader, ScriptStep *step, const char *key, const char *value, int location)
{
	ScriptPlace place = {.text = reader->script->text, .location = location,
	.sql_start = SCRIPT_NO_SQL};
	const Option *option;
	List	   *names;
	int			number;

	script_place_push(&place);
	option = find_option(key, &number);
	if (option == NULL)
		raise_unknown_flag(key);
	if ((step->given & (UINT64CONST(1) << number)) && option->type != OPTION_TEXT_LIST)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("flag \"%s\" is given twice", key)));
	if (value == NULL && option->type != OPTION_BOOL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("flag \"%s\" needs a value", key)));

	step->given |= UINT64CONST(1) << number;
	switch (option->type)
	{
		case OPTION_NAME_LIST:
			if (!SplitIdentifierString(pstrdup(value), ',', &names))
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("invalid value for flag \"%s\": \"%s\"", key, value),
						 errdetail("It must be a list of names, separated by commas.")));
			option_take_list(option, step->step, names);
			break;
		case OPTION_TEXT_LIST:
			option_add_element(option, step->step, pstrdup(value));
			break;
		default:
			option_take_text(option, step->step, value ? pstrdup(value) : "true");
			break;
	}
	if (strcmp(key, "depends_on") == 0)
		step->given_depends_on = true;
	script_place_pop(&place);
}

static bool
is_given(const ScriptStep *step, const char *key)
{
	int			number;

	(void) find_option(key, &number);
	return (step->given & (UINT64CONST(1) << number)) != 0;
}

/* The flags among the storage parameters of CREATE TABLE. */
static void
set_with_options(Reader *reader, ScriptStep *step, List *options)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (option->defnamespace != NULL)
			SCRIPT_ERROR(ERRCODE_FEATURE_NOT_SUPPORTED, option->location,
						 errmsg("storage parameter \"%s.%s\" is not supported",
								option->defnamespace, option->defname));
		set_flag(reader, step, option->defname,
				 option->arg ? defGetString(option) : NULL, option->location);
	}
}

/* ---- making steps ---- */

static ScriptStep *
add_step(Reader *reader, const Unit *unit)
{
	ScriptStep *step = palloc0(sizeof(ScriptStep));
	ListCell   *lc;

	step->step = palloc(sizeof(Step));
	definition_default_step(step->step);
	step->location = unit->first < reader->script->ntokens ?
		reader->script->tokens[unit->first].start : unit->sql_start;
	step->place.text = reader->script->text;
	step->place.location = step->location;
	step->place.sql_start = SCRIPT_NO_SQL;
	step->step->process_name = unit->comments->name;
	foreach(lc, unit->comments->flags)
	{
		const ScriptFlag *flag = lfirst(lc);

		set_flag(reader, step, flag->key, flag->value, flag->location);
	}
	if (step->step->process_name != NULL)
	{
		ScriptPlace place = {.text = reader->script->text,
		.location = unit->comments->location, .sql_start = SCRIPT_NO_SQL};

		script_place_push(&place);
		option_check_name("step", step->step->process_name);
		script_place_pop(&place);
	}
	if (unit->comments->description != NULL && !is_given(step, "description"))
		step->step->description = unit->comments->description;
	reader->steps = lappend(reader->steps, step);
	return step;
}

/*
 * The text from start to end, without the line feed that ends a line comment
 * there.
 */
static char *
cut_sql(const Reader *reader, int start, int end)
{
	const char *text = reader->script->text;
	char	   *sql = pnstrdup(text +start, Max(end - start, 0));
	int			length = strlen(sql);

	if (script_ends_in_comment(sql, length))
	{
		char	   *feed;

		while (length > 0 && scanner_isspace(sql[length - 1]))
			length--;
		feed = sql + length;
		if (feed[0] == '\r' && feed[1] == '\n')
			memmove(feed, feed + 2, strlen(feed + 2) + 1);
		else if (feed[0] != '\0')
			memmove(feed, feed + 1, strlen(feed + 1) + 1);
	}
	return sql;
}

/* Parse the SQL that has been cut out, and note where its parts are. */
static void
set_sql(ScriptStep *step, char *sql, int sql_start)
{
	step->step->sql_query = sql;
	step->place.sql_start = sql_start;
	script_place_push(&step->place);
	script_analyze(step);
	script_place_pop(&step->place);
}

/* A statement as it stands there. */
static void
read_command(Reader *reader, const Unit *unit)
{
	ScriptStep *step = add_step(reader, unit);

	if (unit->statement != NULL)
	{
		const char *refusal = script_refusal(unit->statement);

		if (refusal != NULL)
			SCRIPT_ERROR(ERRCODE_FEATURE_NOT_SUPPORTED, step->location,
						 errmsg("%s cannot be a step of its own",
								command_name(unit->statement)),
						 errdetail("%s", refusal),
						 errhint("If other statements shall see its effect, put it into one step with them: between \"-- step: name begin\" and \"-- step end\"."));
	}
	set_sql(step, cut_sql(reader, unit->sql_start, unit->sql_end), unit->sql_start);

	if (unit->statement != NULL && step->step->kind == ETL_STEP_QUERY)
	{
		/* executed for what its functions do: nobody asked for a table */
		step->opaque = true;
		if (!is_given(step, "keep"))
			step->step->keep = false;
		step->base_name = "select";
		return;
	}
	if (step->writes != NIL)
		step->base_name = ((const RefName *) linitial(step->writes))->name;
	else
	{
		char	   *name = asc_tolower(command_name(unit->statement),
									   strlen(command_name(unit->statement)));

		for (char *c = name; *c != '\0'; c++)
			*c = (*c == ' ') ? '_' : *c;
		step->base_name = name;
	}
}

/* ---- CREATE TABLE AS and SELECT INTO ---- */

static void
check_into(Reader *reader, const IntoClause *into, int location)
{
	const char *schema = into->rel->schemaname;
	const char *target = reader->pipeline->target_schema;

	if (into->rel->catalogname != NULL || (schema != NULL && strcmp(schema, target) != 0))
		SCRIPT_ERROR(ERRCODE_FEATURE_NOT_SUPPORTED, into->rel->location,
					 errmsg("a step cannot make its table in schema \"%s\"", schema),
					 errdetail("The tables of pipeline \"%s\" are made in schema \"%s\".",
							   reader->pipeline->name, target),
					 errhint("Leave out the schema, or use CREATE TABLE and INSERT, which are executed as they are."));
	if (into->onCommit != ONCOMMIT_NOOP &&
		(into->onCommit != ONCOMMIT_PRESERVE_ROWS ||
		 into->rel->relpersistence != RELPERSISTENCE_TEMP))
		SCRIPT_ERROR(ERRCODE_FEATURE_NOT_SUPPORTED, location,
					 errmsg("ON COMMIT is not supported for the table of a step"),
					 errdetail("It lives as long as a step reads it, or, with keep, until the next run."));
	if (into->tableSpaceName != NULL)
		SCRIPT_ERROR(ERRCODE_FEATURE_NOT_SUPPORTED, location,
					 errmsg("TABLESPACE is not supported for the table of a step"));
	if (into->accessMethod != NULL && strcmp(into->accessMethod, "heap") != 0)
		SCRIPT_ERROR(ERRCODE_FEATURE_NOT_SUPPORTED, location,
					 errmsg("access method \"%s\" is not supported for the table of a step",
							into->accessMethod),
					 errdetail("Steps make heap tables."));
}

/* What the clause says about the table; the step's name is the table's. */
static ScriptStep *
add_table_step(Reader *reader, const Unit *unit, const IntoClause *into)
{
	ScriptStep *step = add_step(reader, unit);
	char	   *name = into->rel->relname;

	check_into(reader, into, step->location);
	if (step->step->process_name != NULL && strcmp(step->step->process_name, name) != 0)
		SCRIPT_ERROR(ERRCODE_INVALID_PARAMETER_VALUE, unit->comments->location,
					 errmsg("step \"%s\" cannot make table \"%s\"",
							step->step->process_name, name),
					 errdetail("A step is named like the table that it makes."));
	step->step->process_name = name;
	set_with_options(reader, step, into->options);

	if (into->rel->relpersistence == RELPERSISTENCE_UNLOGGED)
	{
		if (step->step->has_persist && step->step->persist)
			SCRIPT_ERROR(ERRCODE_INVALID_PARAMETER_VALUE, step->location,
						 errmsg("UNLOGGED contradicts \"persist\""));
		step->step->has_persist = true;
		step->step->persist = false;
	}
	if (into->rel->relpersistence == RELPERSISTENCE_TEMP)
	{
		if (is_given(step, "keep") && step->step->keep)
			SCRIPT_ERROR(ERRCODE_INVALID_PARAMETER_VALUE, step->location,
						 errmsg("TEMPORARY contradicts \"keep\""));
		step->step->keep = false;
	}
	return step;
}

/*
 * The query as it stands there, or inside another one that gives its columns
 * other names, or takes its rows away.
 */
static void
set_query(Reader *reader, ScriptStep *step, const IntoClause *into, char *sql, int sql_start)
{
	StringInfoData wrapped;
	ListCell   *lc;

	if (into->colNames != NIL || into->skipData)
	{
		static const char prefix[] = "SELECT * FROM (\n";

		initStringInfo(&wrapped);
		appendStringInfo(&wrapped, "%s%s\n) AS %s", prefix, sql,
						 script_quote_name(step->step->process_name));
		foreach(lc, into->colNames)
			appendStringInfo(&wrapped, "%s%s%s", foreach_current_index(lc) == 0 ? " (" : ", ",
							 script_quote_name(strVal(lfirst(lc))),
							 lnext(into->colNames, lc) == NULL ? ")" : "");
		if (into->skipData)
			appendStringInfoString(&wrapped, "\nLIMIT 0");
		step->place.prefix = strlen(prefix);
		sql = wrapped.data;
	}
	set_sql(step, sql, sql_start);
	if (step->step->kind != ETL_STEP_QUERY)
		SCRIPT_ERROR(ERRCODE_FEATURE_NOT_SUPPORTED, step->location,
					 errmsg("the query of a table cannot change other tables"),
					 errhint("Make two statements of it."));
}

/* Return true if this is the WITH of WITH [NO] DATA at the end of a statement. */
static int
find_with_data(const Reader *reader, const Unit *unit)
{
	int			with = unit->behind - 2;

	if (!script_token_is(reader->script, unit->behind - 1, "data"))
		return -1;
	if (script_token_is(reader->script, with, "no"))
		with--;
	if (!script_token_is(reader->script, with, "with") ||
		script_token_is(reader->script, with - 1, "."))
		return -1;
	return with;
}

static void
read_create_table_as(Reader *reader, const Unit *unit)
{
	const Script *script = reader->script;
	CreateTableAsStmt *create = castNode(CreateTableAsStmt, unit->statement);
	ScriptStep *step = add_table_step(reader, unit, create->into);
	int			as = unit->first;
	int			with = find_with_data(reader, unit);
	int			start;
	int			end = unit->sql_end;

	if (create->if_not_exists)
		SCRIPT_ERROR(ERRCODE_FEATURE_NOT_SUPPORTED, step->location,
					 errmsg("IF NOT EXISTS is not supported for the table of a step"),
					 errdetail("Every run makes the table anew, and replaces the one before it."),
					 errhint("Leave out IF NOT EXISTS."));
	if (IsA(create->query, ExecuteStmt))
		SCRIPT_ERROR(ERRCODE_FEATURE_NOT_SUPPORTED, step->location,
					 errmsg("a step cannot execute a prepared statement"),
					 errdetail("Each step begins with a new session."),
					 errhint("Write the query itself."));

	while (!script_token_is(script, as, "as") || script->tokens[as].depth > 0)
		as++;
	start = script->tokens[as].start + strlen("as");
	if (script->text[start] == '\r' && script->text[start + 1] == '\n')
		start += 2;
	else if (scanner_isspace(script->text[start]))
		start++;
	if (with > as)
	{
		end = script->tokens[with].start;
		while (end > start && scanner_isspace(script->text[end - 1]))
			end--;
	}
	set_query(reader, step, create->into, cut_sql(reader, start, end), start);
}

static SelectStmt *
leftmost_select(Node *statement)
{
	SelectStmt *select = (SelectStmt *) statement;

	if (!IsA(statement, SelectStmt))
		return NULL;
	while (select->larg != NULL)
		select = select->larg;
	return select;
}

/* SELECT a INTO x FROM t: the SQL is what is left without INTO x. */
static void
read_select_into(Reader *reader, const Unit *unit, const IntoClause *into)
{
	static const char *const words[] = {"table", "temp", "temporary", "unlogged", "local",
	"global", NULL};
	const Script *script = reader->script;
	ScriptStep *step = add_table_step(reader, unit, into);
	int			into_token = script_token_at(script, into->rel->location);
	int			next = script_skip_name(script, into_token);
	int			start = script->tokens[unit->first].start;
	int			left_end;
	int			right;
	char	   *sql;

	do
	{
		bool		is_option = false;

		into_token--;
		for (int i = 0; words[i] != NULL; i++)
			is_option |= script_token_is(script, into_token, words[i]);
		if (!is_option)
			break;
	} while (into_token > unit->first);

	left_end = script->tokens[into_token].start;
	right = next < script->ntokens && next < unit->behind ?
		script->tokens[next].start : unit->sql_end;
	sql = cut_sql(reader, right, unit->sql_end);
	if (sql[0] == '\0')
	{
		while (left_end > start && scanner_isspace(script->text[left_end - 1]))
			left_end--;
	}
	sql = psprintf("%s%s", pnstrdup(script->text +start, left_end - start), sql);
	step->place.cut_at = left_end - start;
	step->place.cut_length = right - left_end;
	set_query(reader, step, into, sql, start);
}

/* ---- statements about a step's table that are no steps ---- */

/* The query step of that name, among those read up to now. */
static ScriptStep *
find_table_step(Reader *reader, const char *schema, const char *name)
{
	ListCell   *lc;

	if (!script_is_local(reader->pipeline, schema))
		return NULL;
	foreach(lc, reader->steps)
	{
		ScriptStep *step = lfirst(lc);

		if (step->step->kind == ETL_STEP_QUERY && step->step->process_name != NULL &&
			strcmp(step->step->process_name, name) == 0)
			return step;
	}
	return NULL;
}

/*
 * CREATE INDEX on the table of a step becomes one of its indexes, as long as no
 * other statement has changed the table.
 */
static bool
read_index(Reader *reader, const Unit *unit)
{
	const Script *script = reader->script;
	IndexStmt  *index = castNode(IndexStmt, unit->statement);
	ScriptStep *step = find_table_step(reader, index->relation->schemaname,
									   index->relation->relname);
	int			number;
	int			start;
	char	   *text;
	ListCell   *lc;
	ListCell   *ref;

	if (step == NULL || unit->comments->location >= 0)
		return false;
	foreach(lc, reader->steps)
	{
		foreach(ref, ((ScriptStep *) lfirst(lc))->writes)
		{
			const RefName *name = lfirst(ref);

			if (strcmp(name->name, index->relation->relname) == 0)
				return false;
		}
	}

	start = script_skip_name(script, script_token_at(script, index->relation->location));
	start = script->tokens[start].start;
	text = pnstrdup(script->text +start, unit->sql_end - start);

	while (text[0] != '\0' && scanner_isspace(text[strlen(text) - 1]))
		text[		strlen(text) - 1] = '\0';

	if (index->unique)
		text = psprintf("UNIQUE %s", text);

	option_add_element(find_option("indexes", &number), step->step, text);

	if (index->idxname != NULL)
		ereport(NOTICE,
				(errmsg("index \"%s\" becomes an index of step \"%s\", without its name",
						index->idxname, step->step->process_name),
				 errdetail("The names of such indexes are chosen when they are built.")));
	return true;
}

/* Return true if a later statement makes a table of that name. */
static bool
is_made_later(Reader *reader, const List *units, int unit_number, const char *name)
{
	for (int i = unit_number + 1; i < list_length(units); i++)
	{
		const Unit *unit = list_nth(units, i);
		const IntoClause *into = NULL;

		if (unit->statement == NULL)
			continue;
		if (IsA(unit->statement, CreateTableAsStmt))
			into = ((CreateTableAsStmt *) unit->statement)->into;
		else if (IsA(unit->statement, SelectStmt))
			into = leftmost_select(unit->statement)->intoClause;
		if (into != NULL && strcmp(into->rel->relname, name) == 0)
			return true;
	}
	return false;
}

/*
 * DROP TABLE of a table that an earlier statement made: it is not kept.  Of one
 * that a later statement makes: each run replaces it anyway.
 */
static bool
read_drop(Reader *reader, const List *units, int unit_number)
{
	const Unit *unit = list_nth(units, unit_number);
	DropStmt   *drop = castNode(DropStmt, unit->statement);
	int			made = 0;
	int			replaced = 0;
	ListCell   *lc;

	if (drop->removeType != OBJECT_TABLE || unit->comments->location >= 0)
		return false;
	for (int pass = 0; pass < 2; pass++)
	{
		foreach(lc, drop->objects)
		{
			RangeVar   *relation = makeRangeVarFromNameList(lfirst_node(List, lc));
			ScriptStep *step = find_table_step(reader, relation->schemaname, relation->relname);

			if (pass == 0)
			{
				made += (step != NULL);
				replaced += (step == NULL &&
							 script_is_local(reader->pipeline, relation->schemaname) &&
							 is_made_later(reader, units, unit_number, relation->relname));
			}
			else if (step != NULL)
				step->step->keep = false;
		}
		if (made + replaced == 0)
			return false;
		if (made + replaced < list_length(drop->objects))
			SCRIPT_ERROR(ERRCODE_FEATURE_NOT_SUPPORTED,
						 reader->script->tokens[unit->first].start,
						 errmsg("DROP TABLE names tables that the script makes and others"),
						 errhint("Make two statements of it."));
	}
	if (replaced > 0)
		ereport(NOTICE,
				(errmsg("DROP TABLE is left out"),
				 errdetail("A run replaces the tables that the steps make.")));
	return true;
}

/* The table of a step must be there, under its name, when the run publishes it. */
static void
check_move(Reader *reader, const Unit *unit)
{
	RangeVar   *relation = NULL;

	if (IsA(unit->statement, RenameStmt) &&
		((RenameStmt *) unit->statement)->renameType == OBJECT_TABLE)
		relation = ((RenameStmt *) unit->statement)->relation;
	else if (IsA(unit->statement, AlterObjectSchemaStmt))
		relation = ((AlterObjectSchemaStmt *) unit->statement)->relation;
	if (relation == NULL ||
		find_table_step(reader, relation->schemaname, relation->relname) == NULL)
		return;
	SCRIPT_ERROR(ERRCODE_FEATURE_NOT_SUPPORTED, relation->location,
				 errmsg("table \"%s\" of a step cannot get another name or schema",
						relation->relname),
				 errhint("Make it under the name that it shall have."));
}

/* ---- statements ---- */

static void
read_unit(Reader *reader, const List *units, int number)
{
	const Unit *unit = list_nth(units, number);
	SelectStmt *select;

	if (unit->statement == NULL)
	{
		ScriptStep *step = add_step(reader, unit);

		set_sql(step, pnstrdup(reader->script->text +unit->sql_start,
							   unit->sql_end - unit->sql_start), unit->sql_start);
		return;
	}

	switch (nodeTag(unit->statement))
	{
		case T_CreateTableAsStmt:
			if (((CreateTableAsStmt *) unit->statement)->objtype == OBJECT_TABLE)
			{
				read_create_table_as(reader, unit);
				return;
			}
			break;
		case T_SelectStmt:
			select = leftmost_select(unit->statement);
			if (select->intoClause != NULL)
			{
				read_select_into(reader, unit, select->intoClause);
				return;
			}
			break;
		case T_IndexStmt:
			if (read_index(reader, unit))
				return;
			break;
		case T_DropStmt:
			if (read_drop(reader, units, number))
				return;
			break;
		case T_RenameStmt:
		case T_AlterObjectSchemaStmt:
			check_move(reader, unit);
			break;
		default:
			break;
	}
	read_command(reader, unit);
}

/* No statement may start inside a block and go on behind it. */
static void
check_block_end(Reader *reader, int block_end)
{
	const Script *script = reader->script;
	int			next = script_token_at(script, block_end);

	if (next < script->ntokens && next > 0 &&
		!script_token_is(script, next, ";") && !script_token_is(script, next - 1, ";"))
		SCRIPT_ERROR(ERRCODE_SYNTAX_ERROR, script->tokens[next].start,
					 errmsg("a semicolon is missing at the end of the step before"));
}

/*
 * The statements with what belongs to them.  Statements inside a block are left
 * out: they are part of its SQL.
 */
static List *
find_units(Reader *reader, List *statements)
{
	const Script *script = reader->script;
	List	   *units = NIL;
	int			from = 0;		/* end of what has been dealt with */
	int			block_end = -1;
	bool		after = false;	/* a statement ends there */
	ListCell   *lc;

	foreach(lc, statements)
	{
		RawStmt    *raw = lfirst_node(RawStmt, lc);
		Unit	   *unit = palloc0(sizeof(Unit));
		int			end = raw->stmt_len > 0 ? raw->stmt_location + raw->stmt_len : script->length;

		/* older grammars count the white space before it */
		unit->first = script_token_at(script, raw->stmt_location);
		while (script_token_is(script, unit->first, ";"))
			unit->first++;
		if (script->tokens[unit->first].start < block_end)
			continue;

		unit->statement = raw->stmt;
		unit->comments = script_comments(script, from, script->tokens[unit->first].start, after);
		if (unit->comments->is_block)
		{
			unit->statement = NULL;
			unit->sql_start = unit->comments->next_line;
			unit->sql_end = block_end = unit->comments->block_end;
			from = unit->comments->resume;
			check_block_end(reader, block_end);
			units = lappend(units, unit);
			after = true;
			continue;
		}

		unit->behind = script_token_at(script, end);
		while (unit->behind < script->ntokens && script_token_is(script, unit->behind - 1, ";"))
			unit->behind--;		/* empty statements count as part of this one */
		if (unit->behind < script->ntokens)
			end = script->tokens[unit->behind].start;
		unit->sql_end = end;
		unit->sql_start = unit->comments->is_last ? unit->comments->next_line :
			script->tokens[unit->first].start;
		from = Min(end + 1, script->length);
		for (int i = unit->behind + 1; script_token_is(script, i, ";") &&
			 !script_has_step_comment(script->text +from, script->tokens[i].start - from); i++)
		{
			unit->sql_end = script->tokens[i].start;
			from = unit->sql_end + 1;
		}
		/* without a semicolon there is only white space to leave out */
		while (unit->behind == script->ntokens && unit->sql_end > unit->sql_start &&
			   scanner_isspace(script->text[unit->sql_end - 1]))
			unit->sql_end--;
		units = lappend(units, unit);
		after = true;
	}

	/* a step comment behind the last statement has none */
	if (from < script->length)
	{
		const ScriptComments *rest = script_comments(script, from, script->length, after);

		if (rest->location >= 0)
			SCRIPT_ERROR(ERRCODE_SYNTAX_ERROR, rest->location,
						 errmsg("invalid step comment: it has no statement"));
	}
	return units;
}

List *
script_read(const Pipeline *pipeline, const char *text)
{
	Reader		reader = {.pipeline = pipeline};
	List	   *units;

	reader.script = script_scan(text);
	units = find_units(&reader, refs_parse(text));
	for (int i = 0; i < list_length(units); i++)
		read_unit(&reader, units, i);
	script_name_steps(pipeline, reader.steps);
	return reader.steps;
}
