/*-------------------------------------------------------------------------
 *
 * refs_walk.h
 *	  The walk over a step's raw parse tree: finds every relation that is named.
 *
 * Private to refs.c, which asks for walks, and to the files that do the
 * walking: refs_walk.c (names, queries, WITH) and refs_utility.c (utility
 * statements).  Everybody else uses refs.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_REFS_WALK_H
#define ETL_REFS_WALK_H

#include "postgres.h"

#include "nodes/parsenodes.h"
#include "utils/hsearch.h"

/* How a statement uses a relation that it names. */
typedef enum RefUse
{
	REF_READ,					/* its rows or its definition are needed */
	REF_WRITE,					/* its rows or its definition are changed */
	REF_CREATE,					/* it is made: it need not be there before */
	REF_OBJECT,					/* no relation: a function, type or the like that is made */
	REF_COLUMN					/* qualifies a column of a table that FROM names as well */
} RefUse;

/* schema is empty where the name is not qualified; identifiers never are. */
typedef struct RefsNameKey
{
	char		schema[NAMEDATALEN];
	char		name[NAMEDATALEN];
} RefsNameKey;

typedef struct RefsNameEntry
{
	RefsNameKey key;			/* must be first */
	int			shadows;		/* visible WITH queries of this name */
	bool		temporary;		/* a temporary table of this step */
	int			sequence;		/* order of first visit */

	/* The visitor's own; the walk only makes them -1. */
	int			read_at;		/* first byte of the first read */
	int			written_at;		/* the same for writes */
	int			position;		/* what the list in the making is sorted by */
	bool		bound;			/* a view or the like is bound to it */
} RefsNameEntry;

typedef struct RefsContext RefsContext;

/* Returns the schema that the reference shall have, or NULL to keep it. */
typedef const char *(*RefsVisitFunction) (RefsContext *context, const char *schema,
										  const char *name, RefUse use, int location);

struct RefsContext
{
	const char *sql;			/* for positions in errors; not needed where params_allowed */
	RefsVisitFunction visit;
	void	   *visit_arg;		/* the visitor's own */

	HTAB	   *names;			/* of RefsNameEntry */
	List	   *new_temporaries;	/* char *; made by the statement being walked, temporary tables
									 * for the ones after it */

	/* Where the walk is. */
	int			statement_location;
	RangeVar   *modified;		/* target of the INSERT, UPDATE ... being walked */
	const char *new_schema;		/* inside CREATE SCHEMA: its name */
	bool		params_allowed; /* $1 belongs to the statement (PREPARE ...) */
	bool		definition;		/* described or defined here, not executed */
	bool		binds;			/* the query of something that outlives the step */

	/* What the walk saw. */
	bool		saw_temporary;	/* the statement uses a temporary table */
	bool		saw_change;		/* some INSERT, UPDATE, DELETE, MERGE or INTO */
};

/* ---- for refs.c ---- */

/*
 * An empty context, which lives as long as the memory that its names are put
 * into.  The caller sets sql and visit_arg, and params_allowed where nobody is
 * to complain of parameters.
 */
extern void refs_walk_init(RefsContext *context, RefsVisitFunction visit,
						   MemoryContext memory);

/*
 * The whole walk: calls the visitor for each reference in a list of RawStmt,
 * one statement after the other, and puts the schemas that it returns into the
 * tree.  Says in saw_change what it came across.  Raises undefined_parameter,
 * see refs_analyze, and statement_too_complex.
 */
extern void refs_walk(RefsContext *context, List *statements);

/* The entry of a name; a new one where there is none and enter is set, else NULL. */
extern RefsNameEntry *refs_find_name(RefsContext *context, const char *schema,
									 const char *name, bool enter);

/* The value of a boolean option; the last one counts, as in the server. */
extern bool refs_option_is_on(List *options, const char *name, bool default_value);

/* ---- between refs_walk.c and refs_utility.c ---- */

/* Any statement but SELECT, INSERT, UPDATE, DELETE and MERGE. */
extern void refs_walk_utility(RefsContext *context, Node *statement);

/* Any statement, also one inside another. */
extern void refs_walk_statement(RefsContext *context, Node *statement);

/* An expression, a query or a list of such; a raw_expression_tree_walker. */
extern bool refs_walk_node(Node *node, void *arg);

/* References, in the forms in which statements have them; see refs_walk.c. */
extern const char *refs_visit_name(RefsContext *context, const char *schema,
								   const char *name, RefUse use, int location);
extern void refs_visit_rangevar(RefsContext *context, RangeVar *relation, RefUse use);
extern void refs_visit_created(RefsContext *context, RangeVar *relation, bool temporary);
extern List *refs_visit_string_list(RefsContext *context, List *names, int extra,
									RefUse use, int location);

extern List *refs_visit_object(RefsContext *context, List *names);

extern bool refs_is_temporary_schema(const char *schema);

#endif							/* ETL_REFS_WALK_H */
