/*-------------------------------------------------------------------------
 *
 * script_scan.c
 *	  Tokens, comments and places of a script.
 *
 * The parser forgets where clauses start and end, and knows nothing of comments.
 * So the script is also taken apart into tokens, by PostgreSQL's own scanner:
 * between two tokens there is only white space and comments.  Keywords are left
 * to us, because their numbers are the parser's secret; as the scanner is given
 * no keywords, it takes them for identifiers.
 *
 * This file knows nothing of steps and their flags.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/sql_error.h"
#include "script/script.h"

#include "common/keywords.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "parser/scanner.h"
#include "parser/scansup.h"

/* ---- places ---- */

static int
chars_before(const char *text, int location)
{
	return pg_mbstrlen_with_len(text, location);
}

int
script_errplace(const char *text, int location)
{
	internalerrposition(chars_before(text, location) + 1);
	internalerrquery(text);
	return 0;
}

static void
place_callback(void *arg)
{
	const ScriptPlace *place = arg;
	int			position = getinternalerrposition();

	if (position <= 0 || place->sql_start == SCRIPT_ONLY_LOCATION)
	{
		script_errplace(place->text, place->location);
		return;
	}
	if (place->sql_start < 0)
		return;

	/* counted in characters; what stands before the SQL's text is ASCII */
	position -= place->prefix;
	if (place->cut_length > 0 &&
		position > chars_before(place->text +place->sql_start, place->cut_at))
		position += chars_before(place->text +place->sql_start + place->cut_at,
								 place->cut_length);
	internalerrposition(Max(position, 1) + chars_before(place->text, place->sql_start));
	internalerrquery(place->text);
}

void
script_place_push(ScriptPlace *place)
{
	place->callback.callback = place_callback;
	place->callback.arg = place;
	place->callback.previous = error_context_stack;
	error_context_stack = &place->callback;
}

void
script_place_pop(ScriptPlace *place)
{
	Assert(error_context_stack == &place->callback);
	error_context_stack = place->callback.previous;
}

/* ---- tokens ---- */

static bool
is_word_char(char c)
{
	return isalnum((unsigned char) c) || c == '_' || c == '$' || IS_HIGHBIT_SET(c);
}

bool
script_token_is(const Script *script, int token, const char *word)
{
	int			length = strlen(word);
	const char *start;

	if (token < 0 || token >= script->ntokens)
		return false;
	start = script->text +script->tokens[token].start;
	return pg_strncasecmp(start, word, length) == 0 &&
		(!is_word_char(word[0]) || !is_word_char(start[length]));
}

int
script_token_at(const Script *script, int location)
{
	int			low = 0;
	int			high = script->ntokens;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (script->tokens[middle].start < location)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int
script_skip_name(const Script *script, int token)
{
	token++;
	while (script_token_is(script, token, "."))
		token += 2;
	return token;
}

static bool
starts_statement(const Script *script, int token)
{
	return token == 0 || script_token_is(script, token - 1, ";");
}

/*
 * What comes out of psql scripts and is no SQL.  COPY ... FROM STDIN is SQL, but
 * its data, in which the parser would find a mistake first, is not.
 */
static void
check_tokens(const Script *script)
{
	int			first = 0;

	for (int i = 0; i < script->ntokens; i++)
	{
		if (starts_statement(script, i))
			first = i;
		if (script_token_is(script, i, "\\"))
			ereport(ERROR,
					(errcode(ERRCODE_SYNTAX_ERROR),
					 errmsg("a script cannot contain psql's meta-commands"),
					 errdetail("It is read by the server."),
					 script_errplace(script->text, script->tokens[i].start)));
		if (script_token_is(script, first, "copy") && i > first &&
			script_token_is(script, i - 1, "from") && script_token_is(script, i, "stdin"))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a step cannot contain %s", "COPY FROM STDIN"),
					 errdetail("Steps are executed by background processes, which have no client."),
					 errhint("Use a file of the server or PROGRAM."),
					 script_errplace(script->text, script->tokens[first].start)));
	}
}

/* Takes a text apart; only the number of tokens where tokens is NULL. */
static int
scan_tokens(const char *text, ScriptToken **tokens)
{
	static const ScanKeywordList no_keywords = {.kw_string = "", .max_kw_len = 0};
	core_yy_extra_type extra;
	core_yyscan_t scanner;
	core_YYSTYPE value;
	YYLTYPE		location;
	int			token;
	int			n = 0;
	int			size = 256;
	int			depth = 0;

	if (tokens != NULL)
		*tokens = palloc(sizeof(ScriptToken) * size);
	scanner = scanner_init(text, &extra, &no_keywords, ScanKeywordTokens);
	extra.escape_string_warning = false;
	extra.standard_conforming_strings = true;	/* as refs_parse has it */
	while ((token = core_yylex(&value, &location, scanner)) != 0)
	{
		if (token == ')' || token == ']')
			depth--;
		if (tokens != NULL)
		{
			if (n == size)
				*tokens = repalloc(*tokens, sizeof(ScriptToken) * (size *= 2));
			(*tokens)[n].start = location;
			(*tokens)[n].depth = depth;
		}
		n++;
		if (token == '(' || token == '[')
			depth++;
	}
	scanner_finish(scanner);

	return n;
}

Script *
script_scan(const char *text)
{
	Script	   *script = palloc(sizeof(Script));
	SqlErrorContext errors = {.sql = text};

	sql_error_push(&errors);
	script->text = text;

	script->length = strlen(text);
	script->ntokens = scan_tokens(text, &script->tokens);
	sql_error_pop(&errors);

	check_tokens(script);
	return script;
}

/* A comment up to the end of its line swallows a token that is put behind it. */
bool
script_ends_in_comment(const char *sql, int length)
{
	char	   *text;

	while (length > 0 && scanner_isspace(sql[length - 1]))
		length--;
	text = pnstrdup(sql, length);

	return strstr(text, "--") != NULL &&
		scan_tokens(psprintf("%s x", text), NULL) == scan_tokens(text, NULL);
}

/* ---- names ---- */

const char *
script_quote_name(const char *name)
{
	StringInfoData quoted;
	bool		safe = (name[0] >= 'a' && name[0] <= 'z') || name[0] == '_';
	int			keyword;

	for (const char *c = name; *c != '\0'; c++)
	{
		if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '_'))
			safe = false;
	}
	keyword = safe ? ScanKeywordLookup(name, &ScanKeywords) : -1;
	if (safe && (keyword < 0 || ScanKeywordCategories[keyword] == UNRESERVED_KEYWORD))
		return name;

	initStringInfo(&quoted);
	appendStringInfoChar(&quoted, '"');
	for (const char *c = name; *c != '\0'; c++)
	{
		if (*c == '"')
			appendStringInfoChar(&quoted, '"');
		appendStringInfoChar(&quoted, *c);
	}
	appendStringInfoChar(&quoted, '"');
	return quoted.data;
}

/* ---- step comments ---- */

/* Reads the text of a step comment, which may go on in further comment lines. */
typedef struct Cursor
{
	const char *text;			/* the script */
	int			at;
	bool		open;			/* inside the parentheses: lines may end */
} Cursor;

/* A macro, so that the compiler sees that it does not return. */
#define RAISE_STEP_COMMENT(cursor, what) \
	ereport(ERROR, \
			(errcode(ERRCODE_SYNTAX_ERROR), \
			 errmsg("invalid step comment: %s", (what)), \
			 errhint("Write \"-- step: name (flag, flag = value, ...)\"; the name may be left out before CREATE TABLE AS."), \
			 script_errplace((cursor)->text, (cursor)->at)))

static void
skip_blanks(Cursor *cursor)
{
	for (;;)
	{
		const char *next = cursor->text +cursor->at;

		if (*next == ' ' || *next == '\t' || *next == '\r')
			cursor->at++;
		else if (*next == '\n' && cursor->open)
		{
			next++;
			next += strspn(next, " \t");
			if (strncmp(next, "--", 2) != 0)
				RAISE_STEP_COMMENT(cursor, "\")\" is missing");
			cursor->at = next + 2 - cursor->text;
		}
		else
			return;
	}
}

static bool
take_char(Cursor *cursor, char c)
{
	skip_blanks(cursor);
	if (cursor->text[cursor->at] != c)
		return false;
	cursor->at++;
	return true;
}

static void
raise_no_statement(const char *text, int location)
{
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("invalid step comment: it has no statement"),
			 script_errplace(text, location)));
}

/* A literal, with the escapes of E'' where "escapes" is set, or a quoted name. */
static char *
take_quoted(Cursor *cursor, char quote, bool escapes)
{
	StringInfoData value;
	Cursor		start = *cursor;

	initStringInfo(&value);
	for (cursor->at++;; cursor->at++)
	{
		char		c = cursor->text[cursor->at];

		if (c == '\0' || c == '\n')
			RAISE_STEP_COMMENT(&start, "a quote is not closed");
		if (c == quote && cursor->text[++cursor->at] != quote)
			return value.data;
		if (c == '\\' && escapes)
		{
			c = cursor->text[++cursor->at];
			if (c == 'n')
				c = '\n';
			else if (c == 'r')
				c = '\r';
			else if (c == 't')
				c = '\t';
			else if (c != '\\' && c != '\'')
				RAISE_STEP_COMMENT(cursor, "only \\n, \\r, \\t, \\\\ and \\' are known");
		}
		appendStringInfoChar(&value, c);
	}
}

/* The literal, name or other word that comes next; NULL if there is none. */
static char *
take_value(Cursor *cursor, bool fold)
{
	const char *start;
	int			length = 0;

	skip_blanks(cursor);
	start = cursor->text +cursor->at;
	if (*start == '\'')
		return take_quoted(cursor, '\'', false);
	if ((*start == 'E' || *start == 'e') && start[1] == '\'')
	{
		cursor->at++;
		return take_quoted(cursor, '\'', true);
	}
	if (*start == '"' && fold)
		return take_quoted(cursor, '"', false);

	while (is_word_char(start[length]) ||
		   (!fold && start[length] != '\0' && strchr("+-.", start[length]) != NULL))
		length++;
	if (length == 0)
		return NULL;
	cursor->at += length;
	return fold ? downcase_identifier(start, length, false, false) : pnstrdup(start, length);
}

static void
take_flags(Cursor *cursor, ScriptComments *comments)
{
	cursor->open = true;
	do
	{
		ScriptFlag *flag = palloc0(sizeof(ScriptFlag));

		skip_blanks(cursor);
		flag->location = cursor->at;
		flag->key = take_value(cursor, true);
		if (flag->key == NULL)
			RAISE_STEP_COMMENT(cursor, "the name of a flag is missing");
		if (take_char(cursor, '='))
		{
			flag->value = take_value(cursor, false);
			if (flag->value == NULL)
				RAISE_STEP_COMMENT(cursor, "a value is missing");
		}
		comments->flags = lappend(comments->flags, flag);
	} while (take_char(cursor, ','));
	if (!take_char(cursor, ')'))
		RAISE_STEP_COMMENT(cursor, "\",\" or \")\" is missing");
	cursor->open = false;
}

/* Finds the line that ends a block, and where the SQL before it ends. */
static void
find_block_end(const Cursor *cursor, const char *tag, ScriptComments *comments)
{
	char	   *end = psprintf("-- step end%s%s", tag ? " " : "", tag ? tag : "");
	int			length = strlen(end);
	const char *line = cursor->text +comments->next_line;

	for (;; line++)
	{
		if (strncmp(line, end, length) == 0 &&
			strspn(line + length, " \t\r") == strcspn(line + length, "\n"))
			break;
		line = strchr(line, '\n');
		if (line == NULL)
			RAISE_STEP_COMMENT(cursor, psprintf("there is no line \"%s\" behind it", end));
	}

	/* the line feed before that line is not part of the SQL */
	comments->block_end = Max(line - 1 - cursor->text, comments->next_line);
	comments->resume = line + length - cursor->text;
}

/* A step comment; at is behind "step:".  Returns where it ends. */
static int
take_step_comment(const char *text, int start, int at, ScriptComments *comments)
{
	Cursor		cursor = {.text = text, .at = at};
	char	   *tag = NULL;
	char	   *word;

	if (comments->location >= 0)
		raise_no_statement(text, comments->location);
	comments->location = start;
	comments->name = take_value(&cursor, true);
	if (take_char(&cursor, '('))
		take_flags(&cursor, comments);
	else if (comments->name == NULL)
		RAISE_STEP_COMMENT(&cursor, "there is neither a name nor a flag");

	word = take_value(&cursor, true);
	if (word != NULL)
	{
		if (strcmp(word, "begin") != 0)
			RAISE_STEP_COMMENT(&cursor, "nothing but \"begin\" can follow the name and the flags");
		if (comments->name == NULL)
			RAISE_STEP_COMMENT(&cursor, "a block of statements needs a name");
		tag = take_value(&cursor, true);
	}
	skip_blanks(&cursor);
	if (text[cursor.at] != '\n' && text[cursor.at] != '\0')
		RAISE_STEP_COMMENT(&cursor, "nothing but \"begin\" can follow the name and the flags");

	comments->next_line = cursor.at + (text[cursor.at] == '\n' ? 1 : 0);
	comments->is_block = (word != NULL);
	if (comments->is_block)
		find_block_end(&cursor, tag, comments);
	return cursor.at;
}

/* ---- other comments ---- */

/* Only there to be looked at: ------ */
static bool
is_ruler(const char *line, int length)
{
	return (int) strspn(line, "-=*#+~ \t\r") >= length;
}

/*
 * Appends a comment's lines to a description, without what every line of it
 * starts with: one blank, and in a bracketed comment the indentation and a star.
 */
static void
append_comment(StringInfo description, const char *start, int length, bool bracketed)
{
	const char *end = start + length;

	while (start <= end)
	{
		const char *stop = memchr(start, '\n', end - start);
		int			n;

		if (stop == NULL)
			stop = end;
		if (bracketed)
		{
			while (start < stop && scanner_isspace(*start))
				start++;
			if (start < stop && *start == '*')
				start++;
		}
		if (start < stop && *start == ' ')
			start++;
		n = stop - start;
		if (n > 0 && start[n - 1] == '\r')
			n--;
		if (bracketed)
		{
			while (n > 0 && scanner_isspace(start[n - 1]))
				n--;
		}
		appendBinaryStringInfo(description, start, n);
		appendStringInfoChar(description, '\n');
		start = stop + 1;
	}
}

/* Drops empty lines and rulers at both ends; NULL if nothing is left. */
static char *
finish_description(const StringInfo lines)
{
	char	   *start = lines->data;
	char	   *end = lines->data + lines->len;

	while (start < end)
	{
		char	   *stop = memchr(start, '\n', end - start);

		if (!is_ruler(start, stop - start))
			break;
		start = stop + 1;
	}
	while (end > start)
	{
		char	   *line = end - 1;

		while (line > start && line[-1] != '\n')
			line--;
		if (!is_ruler(line, end - 1 - line))
			break;
		end = line;
	}
	return start == end ? NULL : pnstrdup(start, end - 1 - start);
}

bool
script_is_comment(const char *text)
{
	StringInfoData lines;
	char	   *back;

	if (strchr(text, '\r') != NULL)
		return false;
	for (const char *line = text; line != NULL; line = strchr(line, '\n'))
	{
		line += (*line == '\n') ? 1 : 0;
		if (strncmp(line + strspn(line, " \t"), "step:", 5) == 0)
			return false;
	}
	initStringInfo(&lines);
	appendStringInfo(&lines, "%s\n", text);
	back = finish_description(&lines);
	return back != NULL && strcmp(back, text) == 0;
}

/* Where a bracketed comment ends, which may contain others. */
static int
skip_bracketed(const char *text, int at, int to)
{
	int			depth = 0;

	while (at < to)
	{
		if (text[at] == '/' && text[at + 1] == '*')
		{
			depth++;
			at += 2;
		}
		else if (text[at] == '*' && text[at + 1] == '/')
		{
			at += 2;
			if (--depth == 0)
				break;
		}
		else
			at++;
	}
	return at;
}

bool
script_has_step_comment(const char *text, int length)
{
	const char *end = text +length;

	for (const char *at = text; (at = strstr(at, "--")) != NULL && at < end; at += 2)
	{
		if (strncmp(at + 2 + strspn(at + 2, " \t"), "step:", strlen("step:")) == 0)
			return true;
	}
	return false;
}

ScriptComments *
script_comments(const Script *script, int from, int to, bool after)
{
	const char *text = script->text;
	ScriptComments *comments = palloc0(sizeof(ScriptComments));
	StringInfoData lines;
	int			newlines = after ? 0 : 2;	/* since the last comment */
	int			at = from;

	comments->location = -1;
	initStringInfo(&lines);
	while (at < to)
	{
		int			start = at;

		if (text[at] == '-' && text[at + 1] == '-')
		{
			int			word = at + 2 + strspn(text +at + 2, " \t");

			at += strcspn(text +at, "\n");
			if (newlines > 1)
				resetStringInfo(&lines);
			if (strncmp(text +word, "step:", 5) == 0)
			{
				at = take_step_comment(text, start, word + 5, comments);
				comments->is_last = true;
				if (comments->is_block)
					break;
				newlines = 0;
				continue;
			}
			if (newlines > 0)
				append_comment(&lines, text +start + 2, at - start - 2, false);
		}
		else if (text[at] == '/' && text[at + 1] == '*')
		{
			at = skip_bracketed(text, at, to);
			if (newlines > 1)
				resetStringInfo(&lines);
			if (newlines > 0)
				append_comment(&lines, text +start + 2, at - start - 4, true);
		}
		else
		{
			if (text[at] == '\n')
				newlines++;
			if (text[at] == ';' && comments->location >= 0)
				raise_no_statement(text, comments->location);
			at++;
			continue;
		}
		/* a comment on the line of the statement before stays out of it */
		if (newlines > 0)
			newlines = 0;
		comments->is_last = false;
	}

	if (newlines <= 1 || comments->is_last)
		comments->description = finish_description(&lines);
	return comments;
}
