/*-------------------------------------------------------------------------
 *
 * sql_error.h
 *	  Errors in SQL that a user stored: where in that SQL they are.
 *
 * Nobody typed the SQL of a step just now, so an error's cursor position means
 * nothing to the client.  While an SqlErrorContext is pushed, it is turned into
 * an internal position in an internal query, as SPI does.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_SQL_ERROR_H
#define ETL_SQL_ERROR_H

#include "etl.h"

typedef struct SqlErrorContext
{
	const char *sql;			/* the text that the user knows */
	int			offset;			/* characters to take from a position in the text that was parsed,
								 * to get one in sql */
	const char *label;			/* NULL, or what sql is: a context line of label and sql is added */
	int			statement;		/* which statement of sql runs, from 1 */
	int			statements;		/* how many; above 1 a context line says which one it is */

	ErrorContextCallback callback;	/* private */
} SqlErrorContext;

/*
 * The text's errors are treated as said above from push to pop; an error pops
 * it by itself.  The struct is the caller's, must live in a frame that pops it,
 * and may be changed between the two.  Push takes over all fields but the
 * private one as the caller has set them.
 */
extern void sql_error_push(SqlErrorContext *context);
extern void sql_error_pop(SqlErrorContext *context);

#endif							/* ETL_SQL_ERROR_H */
