/*-------------------------------------------------------------------------
 *
 * refs.h
 *	  From a step's SQL text: what kind of step it is, which relations it
 *	  reads and writes, and pointing those references somewhere else.
 *
 * Works on the raw parse tree alone: no catalog look-ups, so that a step may
 * name tables that do not exist yet.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_REFS_H
#define ETL_REFS_H

#include "etl.h"
#include "nodes/pg_list.h"

/* A relation as the SQL names it; schema is NULL where it is not qualified. */
typedef struct RefName
{
	char	   *schema;
	char	   *name;
} RefName;

typedef struct StepRefs
{
	EtlStepKind kind;
	List	   *reads;			/* of RefName *, no duplicates, in order of appearance */
	List	   *writes;			/* the same; targets of INSERT, COPY FROM, CREATE ... */
} StepRefs;

/*
 * Parses a step's SQL into a list of RawStmt.  Errors (syntax_error and what
 * else the grammar raises) carry the SQL as internal query and the position
 * inside it.
 */
extern List *refs_parse(const char *sql);

/*
 * Parses and classifies a step's SQL.
 *
 * One SELECT, VALUES or TABLE (with or without WITH) is a query.  Everything
 * else is a command, a query with a data-modifying WITH, SELECT INTO and CREATE
 * TABLE AS included.  A single statement that refuses a transaction block or
 * may end the transaction (VACUUM, CREATE INDEX CONCURRENTLY, CALL, DO, ...) is
 * a command that is executed alone.
 *
 * Raises, besides syntax errors: invalid_parameter_value for a step without any
 * statement; feature_not_supported for what cannot be a step: transaction
 * control (BEGIN, COMMIT, SAVEPOINT, ...), COPY FROM STDIN and COPY TO STDOUT,
 * LISTEN and UNLISTEN, a statement that always refuses a transaction block next
 * to other statements; undefined_parameter for $1 and its like.  All of them
 * carry the SQL as internal query and the statement's position.
 */
extern StepRefs *refs_analyze(const char *sql);

/*
 * Called for each reference.  Returns the schema that it shall have, or NULL to leave it alone.
 */
typedef const char *(*RefsTargetFunction) (const char *schema, const char *name,
										   void *arg);

/*
 * Points the references in a list of RawStmt (as refs_parse made it) somewhere
 * else, in place: every RangeVar that is not a CTE's name, and every column
 * reference that is qualified with a schema (nightly.orders.amount), for which
 * the function returns a schema gets that schema.
 */
extern void refs_retarget(List *raw_statements, RefsTargetFunction target, void *arg);

/* RefName as text: identifiers quoted where needed, schema and dot in front. */
extern char *refs_name_to_text(const RefName *ref);

#endif							/* ETL_REFS_H */
