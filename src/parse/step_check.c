/*-------------------------------------------------------------------------
 *
 * step_check.c
 *	  The checks that a step asks for: from text to parse tree.
 *
 * A constraint is parsed as what follows ADD in ALTER TABLE, so that it means
 * what it means there.  NOT NULL (a, b) is the only form that is not
 * PostgreSQL's own; it has the shape of UNIQUE (a, b), and is parsed as that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "parse/step_check.h"

#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parser.h"
#include "parser/scansup.h"

#define CHECK_TABLE		"etl_table"
#define CHECK_PREFIX	"ALTER TABLE " CHECK_TABLE " ADD "

void
step_check_push_errors(const StepCheck *check, SqlErrorContext *errors)
{
	memset(errors, 0, sizeof(*errors));
	errors->sql = check->sql;
	errors->offset = check->offset;
	errors->label = "check";
	sql_error_push(errors);
}

/* ---- the beginning of the text ---- */

/* Behind white space and comments. */
static const char *
skip_space(const char *p)
{
	int			depth = 0;

	for (; *p != '\0'; p++)
	{
		if (p[0] == '/' && p[1] == '*')
		{
			depth++;
			p++;
		}
		else if (depth > 0)
		{
			if (p[0] == '*' && p[1] == '/')
			{
				depth--;
				p++;
			}
		}
		else if (p[0] == '-' && p[1] == '-')
			p += strcspn(p, "\r\n") - 1;
		else if (!scanner_isspace(*p))
			break;
	}
	return p;
}

static bool
is_name_character(char c)
{
	return c == '_' || c == '$' || IS_HIGHBIT_SET(c) || isalnum((unsigned char) c);
}

/* If the word is at p, steps over it and what is blank behind it. */
static bool
skip_word(const char **p, const char *word)
{
	size_t		length = strlen(word);

	if (pg_strncasecmp(*p, word, length) != 0 || is_name_character((*p)[length]))
		return false;
	*p = skip_space(*p + length);
	return true;
}

/* The same for an identifier, quoted or not. */
static bool
skip_identifier(const char **p)
{
	const char *end = *p;

	if (*end == '"')
	{
		for (end++; *end != '\0'; end++)
		{
			if (*end == '"' && *++end != '"')
				break;
		}
	}
	else
	{
		while (is_name_character(*end))
			end++;
	}
	if (end == *p)
		return false;
	*p = skip_space(end);
	return true;
}

static bool
begins_query(const char *p)
{
	return *p == '(' || skip_word(&p, "select") || skip_word(&p, "with") ||
		skip_word(&p, "values") || skip_word(&p, "table");
}

static bool
begins_constraint(const char *p)
{
	static const char *const words[] = {
		"constraint", "check", "not", "unique", "primary", "foreign", "exclude"
	};

	for (int i = 0; i < (int) lengthof(words); i++)
	{
		if (skip_word(&p, words[i]))
			return true;
	}
	return false;
}

/*
 * [CONSTRAINT name] NOT NULL: makes the two words "UNIQUE", in a copy where all
 * that follows keeps its place.  NULL if the check is none of that kind.
 */
static char *
not_null_as_unique(const char *sql)
{
	static const char unique[] = "UNIQUE";
	const char *p = sql;
	const char *start;
	const char *end;
	char	   *copy;

	if (skip_word(&p, "constraint") && !skip_identifier(&p))
		return NULL;
	start = p;
	if (!skip_word(&p, "not"))
		return NULL;
	end = p + strlen("null");
	if (!skip_word(&p, "null"))
		return NULL;
	if (*p != '(')
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("NOT NULL needs columns in parentheses"),
				 errhint("Write NOT NULL (a, b).")));

	copy = pstrdup(sql);
	memset(copy + (start - sql), ' ', end - start);
	memcpy(copy + (start - sql), unique, strlen(unique));
	return copy;
}

/* ---- constraints ---- */

static int
location_in(const StepCheck *check, int location)
{
	return location < 0 ? 0 :
		errposition(pg_mbstrlen_with_len(check->source, location) + 1);
}

/* What CREATE TABLE would refuse in a CHECK, but a query would not. */
static bool
refuse_in_expression(Node *node, void *arg)
{
	const StepCheck *check = arg;

	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot use subquery in check constraint"),
				 errhint("Write the check as a SELECT that returns the rows that are wrong."),
				 location_in(check, ((SubLink *) node)->location)));
	if (IsA(node, ParamRef))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_PARAMETER),
				 errmsg("there is no parameter $%d", ((ParamRef *) node)->number),
				 errhint("Use etl.param('name') to read a parameter of the run."),
				 location_in(check, ((ParamRef *) node)->location)));
	return raw_expression_tree_walker(node, refuse_in_expression, arg);
}

static void
refuse(const StepCheck *check, const Constraint *constraint, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("a check cannot be %s", what),
			 errhint("Write it as a SELECT that returns the rows that are wrong."),
			 location_in(check, constraint->location)));
}

static void
raise_invalid(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("invalid check"),
			 errhint("A check is CHECK (...), NOT NULL (...), UNIQUE (...), PRIMARY KEY (...), FOREIGN KEY (...) REFERENCES ..., or a SELECT that returns the rows that are wrong; WARN in front makes it a warning.")));
}

/* The one constraint that the text must be. */
static Constraint *
parse_constraint(const char *source)
{
	List	   *parsed = raw_parser(source, RAW_PARSE_DEFAULT);
	AlterTableStmt *alter = NULL;
	AlterTableCmd *command = NULL;

	if (list_length(parsed) == 1 &&
		IsA(linitial_node(RawStmt, parsed)->stmt, AlterTableStmt))
		alter = (AlterTableStmt *) linitial_node(RawStmt, parsed)->stmt;
	if (alter != NULL && list_length(alter->cmds) == 1)
		command = linitial_node(AlterTableCmd, alter->cmds);
	if (command == NULL || command->subtype != AT_AddConstraint)
		raise_invalid();
	return castNode(Constraint, command->def);
}

static void
take_constraint(StepCheck *check, Constraint *constraint, const char *table)
{
	check->table = makeRangeVar(NULL, pstrdup(table), -1);
	check->name = constraint->conname;
	check->columns = constraint->keys;

	switch (constraint->contype)
	{
		case CONSTR_CHECK:
			check->kind = CHECK_EXPRESSION;
			check->expression = constraint->raw_expr;
			(void) refuse_in_expression(check->expression, check);
			break;
		case CONSTR_UNIQUE:
		case CONSTR_PRIMARY:
			check->kind = constraint->contype == CONSTR_UNIQUE ? CHECK_UNIQUE : CHECK_PRIMARY_KEY;
			check->nulls_not_distinct = constraint->nulls_not_distinct;
			if (constraint->indexname != NULL)
				refuse(check, constraint, "a constraint with USING INDEX");
			if (COMPAT_CONSTRAINT_IS_TEMPORAL(constraint))
				refuse(check, constraint, "a constraint with WITHOUT OVERLAPS");
			break;
		case CONSTR_FOREIGN:
			check->kind = CHECK_FOREIGN_KEY;
			check->columns = constraint->fk_attrs;
			check->referenced = constraint->pktable;
			check->referenced_columns = constraint->pk_attrs;
			check->match_full = constraint->fk_matchtype == FKCONSTR_MATCH_FULL;
			if (COMPAT_CONSTRAINT_IS_TEMPORAL(constraint))
				refuse(check, constraint, "a constraint with PERIOD");
			if (check->referenced_columns != NIL &&
				list_length(check->referenced_columns) != list_length(check->columns))
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_FOREIGN_KEY),
						 errmsg("number of referencing and referenced columns for foreign key disagree"),
						 location_in(check, constraint->location)));
			break;
		case CONSTR_EXCLUSION:
			refuse(check, constraint, "an EXCLUDE constraint");
			break;
		default:
			raise_invalid();
	}
}

/* Strings mean what the standard says: see refs_parse. */
static Constraint *
parse_as_standard(const char *source)
{
	bool		save = standard_conforming_strings;
	Constraint *constraint;

	PG_TRY();
	{
		standard_conforming_strings = true;
		constraint = parse_constraint(source);
	}
	PG_FINALLY();
	{
		standard_conforming_strings = save;
	}
	PG_END_TRY();
	return constraint;
}

static Constraint *
parse_table_constraint(StepCheck *check, SqlErrorContext *errors, const char *table)
{
	char	   *as_unique = not_null_as_unique(check->sql);
	Constraint *constraint;

	check->source = psprintf("%s%s", CHECK_PREFIX, as_unique ? as_unique : check->sql);
	errors->offset = check->offset = strlen(CHECK_PREFIX);
	constraint = parse_as_standard(check->source);
	take_constraint(check, constraint, table);

	if (as_unique != NULL)
	{
		if (constraint->nulls_not_distinct || constraint->including != NIL ||
			constraint->options != NIL || constraint->indexspace != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_SYNTAX_ERROR),
					 errmsg("invalid check"),
					 errhint("Write NOT NULL (a, b).")));
		check->kind = CHECK_NOT_NULL;
	}
	return constraint;
}

/* ---- queries ---- */

static void
parse_query(StepCheck *check)
{
	StepRefs   *refs = refs_analyze(check->sql);

	if (refs->kind != ETL_STEP_QUERY)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a check must be a single query that changes nothing"),
				 errhint("Write a SELECT that returns the rows that are wrong.")));
	check->kind = CHECK_QUERY;
	check->source = check->sql;
	check->query = linitial_node(RawStmt, refs_parse(check->sql));
}

/* ---- the whole ---- */

StepCheck *
step_check_parse(const char *text, const char *table)
{
	StepCheck  *check = palloc0(sizeof(StepCheck));
	SqlErrorContext errors;
	Constraint *constraint;

	check->text = text;

	check->sql = skip_space(text);
	check->warn = skip_word(&check->sql, "warn");
	if (*check->sql == '\0')
		check->sql = text;		/* as what is shown of it */

	step_check_push_errors(check, &errors);
	if (begins_query(check->sql))
		parse_query(check);
	else if (!begins_constraint(check->sql))
		raise_invalid();
	else
	{
		constraint = parse_table_constraint(check, &errors, table);
		if (constraint->skip_validation)
			refuse(check, constraint, "NOT VALID");
		if (COMPAT_CONSTRAINT_IS_NOT_ENFORCED(constraint))
			refuse(check, constraint, "NOT ENFORCED");
	}
	sql_error_pop(&errors);

	return check;
}

/* ---- tables ---- */

List *
step_check_reads(const StepCheck *check)
{
	RefName    *ref;

	if (check->kind == CHECK_QUERY)
		return refs_analyze(check->sql)->reads;
	if (check->kind != CHECK_FOREIGN_KEY)
		return NIL;
	ref = palloc(sizeof(RefName));
	ref->schema = check->referenced->schemaname;
	ref->name = check->referenced->relname;
	return list_make1(ref);
}

void
step_check_retarget(StepCheck *check, RefsTargetFunction target, void *arg)
{
	RawStmt    *raw = check->query;

	/* what names relations, as a query */
	if (raw == NULL)
	{
		SelectStmt *select = makeNode(SelectStmt);

		select->fromClause = list_make1(check->table);
		if (check->referenced != NULL)
			select->fromClause = lappend(select->fromClause, check->referenced);
		select->whereClause = check->expression;
		raw = makeNode(RawStmt);
		raw->stmt = (Node *) select;
	}
	refs_retarget(list_make1(raw), target, arg);
}
