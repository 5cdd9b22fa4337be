/*-------------------------------------------------------------------------
 *
 * script.h
 *	  A pipeline's steps as an ordinary SQL script, read and written.
 *
 * Private to the script_*.c files.  script_scan.c knows tokens, comments and
 * places; script_read.c makes steps of statements, and script_names.c names for
 * them; script_order.c finds out what the order of the statements means;
 * script_import.c and script_export.c are etl.define and etl.export.
 *
 * How a script and its steps correspond:
 *
 * - CREATE TABLE x AS query: a query step x.  Its SQL is the text behind AS,
 *	 without the one character of white space that follows, up to the semicolon.
 * - Any other statement: a command step, whose SQL is the statement from its
 *	 first token on, or from the line behind its step comment on.
 * - "-- step: name (flag, flag = value, ...)" above a statement names and flags
 *	 its step.  With "begin" at its end, the step's SQL is the text of the lines
 *	 down to a line "-- step end": several statements, or one in a form that
 *	 nothing else can express.  A word behind both tells nested ones apart.
 * - Further empty statements belong to the SQL of the one before them.  A line
 *	 feed that ends a line comment at the end of the SQL does not.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_SCRIPT_H
#define ETL_SCRIPT_H

#include "define/option.h"
#include "metastore/catalog.h"
#include "nodes/parsenodes.h"

/* ---- script_scan.c ---- */

typedef struct ScriptToken
{
	int			start;			/* byte in the script */
	int			depth;			/* of parentheses and brackets around it */
} ScriptToken;

typedef struct Script
{
	const char *text;
	int			length;
	ScriptToken *tokens;
	int			ntokens;
} Script;

/* What the comments above a statement say. */
typedef struct ScriptComments
{
	char	   *description;	/* NULL: none */
	int			location;		/* of the step comment; -1: there is none */
	char	   *name;			/* that it gives, or NULL */
	List	   *flags;			/* of ScriptFlag * */
	int			next_line;		/* where the line behind it starts */
	bool		is_last;		/* only white space follows it */
	bool		is_block;		/* "begin": the fields below count */
	int			block_end;		/* where the SQL ends, which starts at next_line */
	int			resume;			/* where the script goes on */
} ScriptComments;

typedef struct ScriptFlag
{
	char	   *key;
	char	   *value;			/* NULL: none was given */
	int			location;
} ScriptFlag;

/*
 * Where errors are, while it is pushed.  An error without a place gets
 * "location"; one that has a place in the SQL of a step (as internal position),
 * gets that place in the script, if sql_start says where the SQL is.
 */
#define SCRIPT_NO_SQL			(-1)	/* a place is one in the script already */
#define SCRIPT_ONLY_LOCATION	(-2)	/* a place is one in something else */

typedef struct ScriptPlace
{
	const char *text;			/* the script */
	int			location;
	int			sql_start;		/* where the SQL's text starts in the script, or one of the above */
	int			prefix;			/* bytes before that in the SQL */
	int			cut_at;			/* byte of the SQL behind which ... */
	int			cut_length;		/* ... so many of the script are missing */
	ErrorContextCallback callback;	/* private */
} ScriptPlace;

extern void script_place_push(ScriptPlace *place);
extern void script_place_pop(ScriptPlace *place);

/* In an ereport about the script: a place in it. */
extern int	script_errplace(const char *text, int location);

/* Raises errors for what no parser of SQL would describe well. */
extern Script *script_scan(const char *text);

/* Return true if the token is this word (lower case), not quoted. */
extern bool script_token_is(const Script *script, int token, const char *word);

/* The first token at or behind a place; ntokens if there is none. */
extern int	script_token_at(const Script *script, int location);

/* Where a name of one or more parts ends that starts at a token: the token behind it. */
extern int	script_skip_name(const Script *script, int token);

/*
 * Reads the comments of a range without tokens other than semicolons.  after:
 * a statement ends right before it, whose line's comments are not meant.  Only
 * the start of a range is known where a block begins in it.
 */
extern ScriptComments *script_comments(const Script *script, int from, int to, bool after);

/* Return true if there is what looks like a step comment.  It may be inside of a string. */
extern bool script_has_step_comment(const char *text, int length);

/* Return true if the text of SQL ends in a line comment (white space aside). */
extern bool script_ends_in_comment(const char *sql, int length);

/* Return true if the text can be written as comment lines, and read back from them. */
extern bool script_is_comment(const char *text);

/* The name as SQL and step comments understand it, the same under all settings. */
extern const char *script_quote_name(const char *name);

/* ---- script_read.c ---- */

typedef struct ScriptStep
{
	Step	   *step;			/* step_id is 0 */
	int			location;		/* in the script */
	const char *base_name;		/* to make a name of, where it has none yet */
	bool		given_depends_on;	/* that nothing is to be added to */
	uint64		given;			/* by number in definition_step_options */

	/* What it touches; a file of the server is a name in SCRIPT_FILES. */
	List	   *reads;			/* of RefName * */
	List	   *writes;			/* of RefName * */
	bool		opaque;			/* and perhaps something that it does not name */
	bool		defines_view;	/* who reads what it writes reads what it reads */

	ScriptPlace place;			/* for errors */
} ScriptStep;

/* No schema can be called so. */
#define SCRIPT_FILES	""

/* The steps of a script, of ScriptStep *, with names; script_order is yet to come. */
extern List *script_read(const Pipeline *pipeline, const char *text);

/* ---- script_names.c ---- */

/*
 * Names the steps that have no name; the same script always gives the same names.
 * Raises duplicate_object where two were given the same one.
 */
extern void script_name_steps(const Pipeline *pipeline, List *steps);

/* ---- script_order.c ---- */

/*
 * Fills in the kind of a step and what its SQL touches; raises what refs_analyze
 * raises.
 */
extern void script_analyze(ScriptStep *step);

/*
 * Why a statement would be of no use as the only one of a step; NULL if it would.
 */
extern const char *script_refusal(Node *statement);

/* Return true if a reference to this schema means a step's table, if there is one. */
extern bool script_is_local(const Pipeline *pipeline, const char *schema);

/*
 * Completes depends_on, so that no step can overtake another in a way that the
 * order of the statements forbids.  A step that was given its depends_on keeps
 * it.  Raises ERRCODE_ETL_INVALID_PIPELINE where a statement names a step that
 * comes after it.
 *
 * exporting: depends_on is what the steps have; given_depends_on is set, instead,
 * for those steps that would get another one.  No error is raised.
 */
extern void script_order(const Pipeline *pipeline, List *steps, bool exporting);

#endif							/* ETL_SCRIPT_H */
