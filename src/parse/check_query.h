/*-------------------------------------------------------------------------
 *
 * check_query.h
 *	  What a check means as a query: which rows are wrong.
 *
 * Queries are built as parse trees, from the nodes of the check and from names,
 * and never as text.  A row is wrong where the constraint would refuse it; in
 * particular a CHECK that is unknown is fulfilled, and a key that has a null is
 * equal to no other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_CHECK_QUERY_H
#define ETL_CHECK_QUERY_H

#include "parse/step_check.h"
#include "utils/queryenvironment.h"

typedef struct CheckQueries
{
	RawStmt    *rows;			/* returns the rows that are wrong; NULL for UNIQUE */
	bool		by_row;			/* "rows" is one scan of check->table, which looks at each row by
								 * itself */
	RawStmt    *groups;			/* UNIQUE, PRIMARY KEY: returns each value that several rows have,
								 * and in its last column how many; else NULL */
} CheckQueries;

/*
 * Makes them.  Tables are looked up in the environment first, which may be NULL.
 *
 * Raises undefined_column for a column that the table does not have, and for a
 * FOREIGN KEY undefined_object where no columns are named and the referenced table
 * has no primary key, or its columns have no equality, and datatype_mismatch
 * where they cannot be compared.  Tables that the check reads are locked in
 * ACCESS SHARE mode.
 */
extern void check_query_make(const StepCheck *check, QueryEnvironment *environment,
							 CheckQueries *queries);

/*
 * Analyses one of them.  Raises whatever parse analysis does; with
 * step_check_push_errors it has its position in the check's text.
 */
extern Query *check_query_analyze(const StepCheck *check, RawStmt *raw,
								  QueryEnvironment *environment);

/*
 * One row, with a column for each of these queries (of Query: analysed "rows" that
 * are "by_row", of the table of this check): how many rows each would return.
 */
extern Query *check_query_count(const StepCheck *check, const List *queries);

/* The same query, of which only the first rows are wanted. */
extern RawStmt *check_query_limit(const RawStmt *raw, int rows);

#endif							/* ETL_CHECK_QUERY_H */
