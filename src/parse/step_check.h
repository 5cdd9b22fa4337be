/*-------------------------------------------------------------------------
 *
 * step_check.h
 *	  The checks that a step asks for: "CHECK (amount >= 0)", "UNIQUE (id)",
 *	  "NOT NULL (a, b)", "WARN SELECT * FROM orders WHERE ...".
 *
 * From text to parse tree only: nothing is looked up in the catalogs, so that the
 * tables need not exist.  check_query.h says what a check means as a query.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_STEP_CHECK_H
#define ETL_STEP_CHECK_H

#include "base/sql_error.h"
#include "etl.h"
#include "nodes/parsenodes.h"
#include "parse/refs.h"

typedef enum StepCheckKind
{
	CHECK_QUERY,				/* a SELECT that returns the rows that are wrong */
	CHECK_EXPRESSION,
	CHECK_NOT_NULL,
	CHECK_UNIQUE,
	CHECK_PRIMARY_KEY,
	CHECK_FOREIGN_KEY
} StepCheckKind;

typedef struct StepCheck
{
	const char *text;			/* as the user gave it */
	StepCheckKind kind;
	bool		warn;			/* wrong rows are a warning */
	char	   *name;			/* of CONSTRAINT name; or NULL */

	/* Where errors are: see step_check_push_errors. */
	const char *sql;			/* the text without WARN: what positions count in */
	const char *source;			/* the SQL that was parsed: locations in the nodes below are places
								 * in it */
	int			offset;			/* characters from sql to source */

	RawStmt    *query;			/* CHECK_QUERY only; else NULL */
	RangeVar   *table;			/* all others: the table that is checked */
	Node	   *expression;		/* CHECK_EXPRESSION */
	List	   *columns;		/* of String: NOT NULL, UNIQUE, PRIMARY KEY, FOREIGN KEY */
	bool		nulls_not_distinct; /* UNIQUE */
	RangeVar   *referenced;		/* FOREIGN KEY: the table, */
	List	   *referenced_columns; /* of String: its columns; NIL: its primary key, */
	bool		match_full;		/* and MATCH FULL */
} StepCheck;

/*
 * Parses a check of the rows of the table of that name.
 *
 * Raises syntax_error for what is none of the forms, feature_not_supported for
 * EXCLUDE, WITHOUT OVERLAPS, PERIOD, NOT VALID and NOT ENFORCED and for a query
 * in a CHECK, and what refs_analyze raises for a SELECT.  Errors have the
 * position in the check's text and name the check in their context.
 */
extern StepCheck *step_check_parse(const char *text, const char *table);

/* What the check reads besides the table itself: of RefName *. */
extern List *step_check_reads(const StepCheck *check);

/* Points the check's tables somewhere else, in place: see refs_retarget. */
extern void step_check_retarget(StepCheck *check, RefsTargetFunction target, void *arg);

/*
 * Until sql_error_pop errors are ones in the check's text: those of the parser
 * (with check->source as source text) are given their place in it.
 */
extern void step_check_push_errors(const StepCheck *check, SqlErrorContext *errors);

#endif							/* ETL_STEP_CHECK_H */
