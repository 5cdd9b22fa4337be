/*-------------------------------------------------------------------------
 *
 * script_export.c
 *	  etl.export: a version of a pipeline as a script.
 *
 * The inverse of etl.define.  A step is written in the simplest form that can be
 * read back as exactly the same step, which is found out by reading it back;
 * the last resort is a block, which holds any SQL as it is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "define/definition.h"
#include "define/pipeline.h"
#include "graph/dag.h"
#include "parse/refs.h"
#include "script/script.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"

PG_FUNCTION_INFO_V1(etl_export);

/* A line of flags longer than this is broken after each flag. */
#define EXPORT_MAX_LINE		100

typedef enum StepForm
{
	FORM_TABLE_AND_INDEXES,		/* CREATE TABLE AS, CREATE INDEX */
	FORM_TABLE,					/* CREATE TABLE AS */
	FORM_STATEMENT,
	FORM_BLOCK
} StepForm;

/* ---- order ---- */

typedef struct NumberedName
{
	char		name[NAMEDATALEN];	/* hash key */
	int			number;
} NumberedName;

static HTAB *
number_steps(const List *steps)
{
	HASHCTL		control = {.keysize = NAMEDATALEN, .entrysize = sizeof(NumberedName),
	.hcxt = CurrentMemoryContext};
	HTAB	   *table = hash_create("steps of a script", Max(list_length(steps), 16), &control,
									HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	ListCell   *lc;

	foreach(lc, steps)
	{
		const ScriptStep *step = lfirst(lc);
		NumberedName *entry = hash_search(table, step->step->process_name, HASH_ENTER, NULL);

		entry->number = foreach_current_index(lc);
	}
	return table;
}

static void
add_upstream(Dag *dag, HTAB *table, const char *name, int downstream)
{
	NumberedName *entry = strlen(name) < NAMEDATALEN ?
	hash_search(table, name, HASH_FIND, NULL) : NULL;

	if (entry != NULL && entry->number != downstream)
		dag_add_edge(dag, entry->number, downstream);
}

/*
 * Appends the steps that a step comes after, and then itself, to the result.
 * Without recursion: a chain may be as long as the pipeline.
 */
static List *
append_with_upstream(const Dag *dag, int step, bool *done, int *stack, int *next,
					 const List *steps, List *result)
{
	int			depth = 0;

	stack[0] = step;
	next[step] = 0;
	while (depth >= 0)
	{
		const int  *upstream;
		int			current = stack[depth];
		int			n = dag_upstream(dag, current, &upstream);

		while (next[current] < n && done[upstream[next[current]]])
			next[current]++;
		if (next[current] < n)
		{
			stack[++depth] = upstream[next[current]];
			next[stack[depth]] = 0;
			continue;
		}
		done[current] = true;
		result = lappend(result, list_nth(steps, current));
		depth--;
	}
	return result;
}

/*
 * Each step behind those that it comes after, and otherwise ascending step_id.
 * Where the steps depend on each other in a cycle: ascending step_id.
 */
static List *
sort_steps(const Pipeline *pipeline, List *steps)
{
	int			n = list_length(steps);
	HTAB	   *table = number_steps(steps);
	Dag		   *dag = dag_create(n);
	bool	   *done = palloc0(Max(n, 1));
	int		   *stack = palloc(sizeof(int) * Max(n, 1));
	int		   *next = palloc(sizeof(int) * Max(n, 1));
	List	   *result = NIL;
	int		   *cycle;
	ListCell   *lc;
	ListCell   *name;

	foreach(lc, steps)
	{
		const ScriptStep *step = lfirst(lc);
		int			number = foreach_current_index(lc);

		foreach(name, list_concat_copy(step->reads, step->writes))
		{
			const RefName *ref = lfirst(name);

			if (script_is_local(pipeline, ref->schema))
				add_upstream(dag, table, ref->name, number);
		}
		foreach(name, step->step->depends_on)
			add_upstream(dag, table, lfirst(name), number);
	}
	if (dag_find_cycle(dag, &cycle) > 0)
		return steps;

	dag_seal(dag);
	for (int i = 0; i < n; i++)
	{
		if (!done[i])
			result = append_with_upstream(dag, i, done, stack, next, steps, result);
	}
	return result;
}

/* ---- flags ---- */

/* A literal for a step comment, which is one line. */
static char *
literal(const char *value)
{
	StringInfoData text;
	bool		escape = strpbrk(value, "\n\r") != NULL;

	initStringInfo(&text);
	appendStringInfoString(&text, escape ? "E'" : "'");
	for (const char *c = value; *c != '\0'; c++)
	{
		if (*c == '\n' || *c == '\r')
			appendStringInfoString(&text, *c == '\n' ? "\\n" : "\\r");
		else
		{
			if (*c == '\'' || (*c == '\\' && escape))
				appendStringInfoChar(&text, *c);
			appendStringInfoChar(&text, *c);
		}
	}
	appendStringInfoChar(&text, '\'');
	return text.data;
}

static char *
list_of_names(const List *names)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	foreach(lc, names)
		appendStringInfo(&text, "%s%s", foreach_current_index(lc) == 0 ? "" : ", ",
						 script_quote_name(lfirst(lc)));
	return literal(text.data);
}

/* In one unit, the largest that fits: the same whatever IntervalStyle says. */
static char *
interval_flag(int64 ms)
{
	static const struct
	{
		int64		ms;
		const char *name;
	}			units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "min"}, {1000, "s"}, {1, "ms"}};
	int			i = 0;

	while (ms % units[i].ms != 0)
		i++;
	return psprintf("'" INT64_FORMAT " %s'", ms / units[i].ms, units[i].name);
}

/* Return true if the form says this without a flag. */
static bool
is_in_form(const ScriptStep *step, const char *flag, StepForm form)
{
	const Step *s = step->step;
	bool		makes_table = form == FORM_TABLE || form == FORM_TABLE_AND_INDEXES;

	if (strcmp(flag, "sql_query") == 0)
		return true;
	if (strcmp(flag, "description") == 0)
		return script_is_comment(s->description);
	if (strcmp(flag, "keep") == 0)
		return makes_table;		/* TEMPORARY */
	if (strcmp(flag, "persist") == 0)
		return makes_table && s->keep && !s->persist;	/* UNLOGGED */
	if (strcmp(flag, "indexes") == 0)
		return form == FORM_TABLE_AND_INDEXES;
	return false;
}

static List *
append_flag(List *flags, const Option *option, const Step *step)
{
	const char *member = (const char *) step + option->offset;
	ListCell   *lc;

	switch (option->type)
	{
		case OPTION_TEXT_LIST:
			foreach(lc, *(List *const *) member)
				flags = lappend(flags, psprintf("%s = %s", option->name, literal(lfirst(lc))));
			return flags;
		case OPTION_NAME_LIST:
			return lappend(flags, psprintf("%s = %s", option->name,
										   list_of_names(*(List *const *) member)));
		case OPTION_BOOL:
			return lappend(flags, psprintf("%s%s", option->name,
										   *(const bool *) member ? "" : " = false"));
		case OPTION_INT:
			return lappend(flags, psprintf("%s = %d", option->name, *(const int32 *) member));
		case OPTION_INTERVAL:
			return lappend(flags, psprintf("%s = %s", option->name,
										   interval_flag(*(const int64 *) member)));
		case OPTION_TEXT:
		case OPTION_NAME:
			return lappend(flags, psprintf("%s = %s", option->name,
										   literal(*(char *const *) member)));
		case OPTION_WORD:
			break;
	}
	elog(ERROR, "flag \"%s\" cannot be written", option->name);
}

static List *
step_flags(const ScriptStep *step, StepForm form)
{
	List	   *flags = NIL;
	Step		defaults;

	definition_default_step(&defaults);
	for (int i = 0; i < definition_step_count; i++)
	{
		const Option *option = &definition_step_options[i];
		bool		is_depends_on = strcmp(option->name, "depends_on") == 0;

		if (is_depends_on ? step->given_depends_on :
			!option_equal(option, step->step, &defaults) && !is_in_form(step, option->name, form))
			flags = append_flag(flags, option, step->step);
	}
	return flags;
}

/* ---- one step ---- */

static void
append_description(StringInfo script, const char *description)
{
	if (description == NULL || !script_is_comment(description))
		return;
	for (const char *line = description;; line++)
	{
		int			length = strcspn(line, "\n");

		appendStringInfo(script, "--%s%.*s\n", length > 0 ? " " : "", length, line);
		line += length;
		if (*line == '\0')
			break;
	}
}

/* The step comment, without the end of its line; nothing where it says nothing. */
static void
append_step_comment(StringInfo script, const ScriptStep *step, StepForm form)
{
	const char *name = step->step->process_name;
	List	   *flags = step_flags(step, form);
	int			length = 0;
	bool		broken;
	ListCell   *lc;

	if (flags == NIL && (form == FORM_TABLE || form == FORM_TABLE_AND_INDEXES))
		return;
	foreach(lc, flags)
		length += strlen(lfirst(lc)) + strlen(", ");
	broken = list_length(flags) > 1 && length + strlen(name) > EXPORT_MAX_LINE;

	appendStringInfo(script, "-- step: %s", strpbrk(name, "\n\r") != NULL ?
					 literal(name) : script_quote_name(name));
	foreach(lc, flags)
		appendStringInfo(script, "%s%s%s", foreach_current_index(lc) == 0 ? " (" : ",",
						 broken ? "\n--     " : foreach_current_index(lc) == 0 ? "" : " ",
						 (char *) lfirst(lc));
	if (flags != NIL)
		appendStringInfoChar(script, ')');
}

/* SQL and the semicolon behind it. */
static void
append_sql(StringInfo script, const char *sql)
{
	appendStringInfo(script, "%s%s;\n", sql,
					 script_ends_in_comment(sql, strlen(sql)) ? "\n" : "");
}

static void
append_indexes(StringInfo script, const ScriptStep *step)
{
	ListCell   *lc;

	foreach(lc, step->step->indexes)
	{
		const char *index = lfirst(lc);
		bool		is_unique = strncmp(index, "UNIQUE ", strlen("UNIQUE ")) == 0;

		appendStringInfo(script, "CREATE %sINDEX ON %s %s;\n", is_unique ? "UNIQUE " : "",
						 script_quote_name(step->step->process_name),
						 index + (is_unique ? strlen("UNIQUE ") : 0));
	}
}

static void
append_block(StringInfo script, const ScriptStep *step)
{
	const char *sql = step->step->sql_query;
	const Script *tokens = script_scan(sql);
	char	   *end = "-- step end";
	char	   *tag = "";

	for (int i = 1; strstr(sql, end) != NULL; i++)
	{
		tag = psprintf(" b%d", i);
		end = psprintf("-- step end%s", tag);
	}
	append_step_comment(script, step, FORM_BLOCK);
	appendStringInfo(script, " begin%s\n%s\n%s\n", tag, sql, end);
	if (!script_token_is(tokens, tokens->ntokens - 1, ";"))
		appendStringInfoString(script, ";\n");
}

static char *
step_text(const ScriptStep *step, StepForm form)
{
	StringInfoData script;

	initStringInfo(&script);
	append_description(&script, step->step->description);
	if (form == FORM_BLOCK)
	{
		append_block(&script, step);
		return script.data;
	}

	append_step_comment(&script, step, form);
	if (script.len > 0 && script.data[script.len - 1] != '\n')
		appendStringInfoChar(&script, '\n');
	if (form != FORM_STATEMENT)
		appendStringInfo(&script, "CREATE %sTABLE %s AS\n",
						 !step->step->keep ? "TEMPORARY " :
						 step->step->has_persist && !step->step->persist ? "UNLOGGED " : "",
						 script_quote_name(step->step->process_name));
	append_sql(&script, step->step->sql_query);
	if (form == FORM_TABLE_AND_INDEXES)
		append_indexes(&script, step);
	return script.data;
}

/* ---- which form ---- */

/* Return true if CREATE INDEX can say the indexes in one line. */
static bool
are_plain_indexes(const List *indexes)
{
	ListCell   *lc;

	foreach(lc, indexes)
	{
		const char *index = lfirst(lc);

		if (strncmp(index, "UNIQUE ", strlen("UNIQUE ")) == 0)
			index += strlen("UNIQUE ");
		if ((index[0] != '(' && strncmp(index, "USING ", strlen("USING ")) != 0) ||
			strpbrk(index, ";\n\r") != NULL ||
			strstr(index, "--") != NULL || strstr(index, "/*") != NULL)
			return false;
	}
	return true;
}

/*
 * The forms that can be tried: reading them back may show that they say something
 * else, but raises no error.
 */
static StepForm
first_form(const ScriptStep *step)
{
	const Step *s = step->step;
	List	   *statements;
	Node	   *statement;

	if (script_has_step_comment(s->sql_query, strlen(s->sql_query)) ||
		script_token_is(script_scan(s->sql_query), 0, ";"))
		return FORM_BLOCK;
	if (s->kind == ETL_STEP_QUERY)
		return s->indexes != NIL && are_plain_indexes(s->indexes) ?
			FORM_TABLE_AND_INDEXES : FORM_TABLE;

	statements = refs_parse(s->sql_query);
	statement = linitial_node(RawStmt, statements)->stmt;
	if (list_length(statements) > 1 || script_refusal(statement) != NULL ||
		IsA(statement, SelectStmt) || IsA(statement, RenameStmt) ||
		IsA(statement, AlterObjectSchemaStmt) ||
		(IsA(statement, CreateTableAsStmt) &&
		 ((CreateTableAsStmt *) statement)->objtype == OBJECT_TABLE))
		return FORM_BLOCK;
	return FORM_STATEMENT;
}

/* Return true if that is what etl.define makes of the text. */
static bool
reads_back(const Pipeline *pipeline, const ScriptStep *step, const char *text)
{
	List	   *steps = script_read(pipeline, text);
	const ScriptStep *back;
	Step		expected = *step->step;

	if (list_length(steps) != 1)
		return false;
	back = linitial(steps);
	if (!step->given_depends_on)
		expected.depends_on = NIL;
	return strcmp(back->step->process_name, expected.process_name) == 0 &&
		back->step->kind == expected.kind &&
		definition_step_equal(back->step, &expected);
}

static void
append_step(StringInfo script, const Pipeline *pipeline, const ScriptStep *step)
{
	StepForm	form = first_form(step);
	char	   *text = step_text(step, form);

	while (!reads_back(pipeline, step, text))
	{
		if (form == FORM_BLOCK)
			elog(ERROR, "step \"%s\" of pipeline \"%s\" cannot be written as a script",
				 step->step->process_name, pipeline->name);
		form = form == FORM_TABLE_AND_INDEXES ? FORM_TABLE : FORM_BLOCK;
		text = step_text(step, form);
	}
	appendStringInfo(script, "\n%s", text);
}

/* ---- etl.export ---- */

static int32
version_argument(FunctionCallInfo fcinfo, const Pipeline *newest)
{
	int32		version = PG_ARGISNULL(1) ? newest->version : PG_GETARG_INT32(1);

	if (version < 1 || version > newest->version)
		pipeline_raise_unknown_version(newest, version);
	return version;
}

Datum
etl_export(PG_FUNCTION_ARGS)
{
	Pipeline   *newest = pipeline_open(option_text_argument(fcinfo, 0, "pipeline"));
	int32		version = version_argument(fcinfo, newest);
	Pipeline   *pipeline = catalog_load_pipeline(newest->id, version);
	List	   *steps = NIL;
	StringInfoData script;
	ListCell   *lc;

	if (pipeline == NULL)
		pipeline_raise_unknown_version(newest, version);
	foreach(lc, catalog_load_steps_with_bodies(pipeline->id, version))
	{
		ScriptStep *step = palloc0(sizeof(ScriptStep));

		step->step = lfirst(lc);
		script_analyze(step);
		steps = lappend(steps, step);
	}
	steps = sort_steps(pipeline, steps);
	script_order(pipeline, steps, true);

	initStringInfo(&script);
	appendStringInfoString(&script,
						   "-- The steps of a pipeline, as etl.export() writes and etl.define() reads them.\n");
	foreach(lc, steps)
		append_step(&script, pipeline, lfirst(lc));

	PG_RETURN_TEXT_P(cstring_to_text_with_len(script.data, script.len));
}
