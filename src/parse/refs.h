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

/*
 * A relation as the SQL names it, in the form that the parser makes of it: case
 * folded, quotes gone.  schema is NULL where it is not qualified; the database
 * in front of db.schema.name is left out.  As everywhere in PostgreSQL, an
 * identifier of 64 or more bytes is cut, with a NOTICE; what is compared with
 * name must have been cut alike.
 */
typedef struct RefName
{
	char	   *schema;
	char	   *name;
} RefName;

typedef struct StepRefs
{
	EtlStepKind kind;
	List	   *reads;			/* of RefName *, no duplicates, in order of appearance */
	List	   *writes;			/* the same; see refs_analyze */
	List	   *bound;			/* of these, what views, rules and the like are bound to */
} StepRefs;

/*
 * Parses a step's SQL into a list of RawStmt, in the current memory context.
 * Errors (syntax_error and what else the grammar raises) carry the SQL as
 * internal query and the position inside it.  The result depends on
 * standard_conforming_strings and backslash_quote.
 */
extern List *refs_parse(const char *sql);

/*
 * Parses and classifies a step's SQL.  The result is in the current memory
 * context.
 *
 * Written is what the SQL changes, rows or definition: the target of INSERT,
 * UPDATE, DELETE, MERGE, COPY FROM, TRUNCATE, REFRESH, CLUSTER and VACUUM FULL,
 * what CREATE makes, what ALTER (its new name, too), DROP, COMMENT and GRANT are
 * about, and the table that an index, trigger, rule, policy or statistics object
 * is put on.  Read is every other relation that is named: those of queries, and
 * those that a definition points at (LIKE, INHERITS, PARTITION OF, REFERENCES,
 * ATTACH PARTITION), and what ANALYZE, VACUUM, REINDEX and LOCK are about.  What
 * the body of a rule or SQL function or a plain EXPLAIN would write is only read,
 * as nothing is executed.  Both lists can name the same relation.
 *
 * Neither read nor written are the names of WITH queries, and temporary tables
 * that an earlier statement of the step makes.  Not seen is what hides in
 * strings and in bodies of functions, nor a table whose row type is named.
 *
 * One SELECT, VALUES or TABLE (with or without WITH) is a query.  Everything
 * else is a command, a query with a data-modifying WITH, SELECT INTO and CREATE
 * TABLE AS included.  A single statement that refuses a transaction block, may
 * refuse it for reasons that only the catalogs know (CLUSTER and REINDEX of what
 * may be partitioned) or may end the transaction (CALL, DO) is a command that is
 * executed alone.
 *
 * Raises, besides syntax errors: invalid_parameter_value for a step without any
 * statement; feature_not_supported for what cannot be a step: transaction
 * control (BEGIN, COMMIT, SAVEPOINT, ...), COPY FROM STDIN and COPY TO STDOUT,
 * LISTEN and UNLISTEN, a statement that always refuses a transaction block next
 * to other statements; undefined_parameter for $1 and its like, where they are
 * not parameters of the statement itself (PREPARE, CREATE FUNCTION).  All of
 * them but the first carry the SQL as internal query and the position of the
 * statement or parameter.  SQL that is nested too deeply for the stack raises
 * statement_too_complex, as it would when executed.
 */
extern StepRefs *refs_analyze(const char *sql);

/*
 * Called for each reference.  created: the statement makes a relation of that name, or a function,
 * type or the like whose name has no schema.  Returns the schema that the reference shall have, an
 * empty string to take its schema away, or NULL to leave it alone.  The string is copied.
 */
typedef const char *(*RefsTargetFunction) (const char *schema, const char *name,
										   bool created,
										   void *arg);

/*
 * Points the references in a list of RawStmt (as refs_parse made it) somewhere
 * else, in place: every relation that refs_analyze reports, read or written, and
 * every column reference that is qualified with a schema (nightly.orders.amount,
 * nightly.orders.*), for which the function returns a schema gets that schema.
 * New nodes are made in the current memory context.  Raises nothing that
 * refs_analyze has not raised for the same SQL.
 *
 * The function is asked for the schema of a column reference as it is written;
 * its answer must agree with the one for the table in the FROM clause.
 */
extern void refs_retarget(List *raw_statements, RefsTargetFunction target, void *arg);

/* RefName as text: identifiers quoted where needed, schema and dot in front. */
extern char *refs_name_to_text(const RefName *ref);

#endif							/* ETL_REFS_H */
