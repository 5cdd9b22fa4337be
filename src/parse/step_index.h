/*-------------------------------------------------------------------------
 *
 * stepindex.h
 *	  The indexes that a step asks for: "(a, b)", "UNIQUE (a)", "USING gin (c)".
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_STEPINDEX_H
#define ETL_STEPINDEX_H

#include "base/sqlerror.h"
#include "etl.h"
#include "nodes/parsenodes.h"
#include "utils/relcache.h"

/*
 * Checks one element of add_step's "indexes": does it parse as the tail of
 * CREATE INDEX ON t ...?  Else raises syntax_error naming the element.
 */
extern void stepindex_check(const char *index);

/*
 * Parses such an element.  *statement is the whole CREATE INDEX; errors carries
 * the text already, and is told how positions in the one relate to positions in
 * the other.  Raises syntax_error.
 */
extern IndexStmt *stepindex_parse(const char *text, SqlErrorContext *errors,
								  char **statement);

/*
 * Builds these (List of char *) on a table of the current user's.  Errors: what
 * CREATE INDEX says, with the index's text as context.
 */
extern void stepindex_build(Oid relid, const List *indexes);

/* Was the index made by stepindex_build, of the table that has it? */
extern bool stepindex_is_declared(Relation index);

#endif							/* ETL_STEPINDEX_H */
