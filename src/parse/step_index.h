/*-------------------------------------------------------------------------
 *
 * step_index.h
 *	  The indexes that a step asks for: "(a, b)", "UNIQUE (a)", "USING gin (c)".
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_STEP_INDEX_H
#define ETL_STEP_INDEX_H

#include "base/sql_error.h"
#include "etl.h"
#include "nodes/parsenodes.h"
#include "utils/relcache.h"

/*
 * Check that one element of add_step's "indexes" parses as the tail of CREATE INDEX ON t ...; else
 * raise syntax_error naming the element.
 */
extern void step_index_check(const char *index);

/*
 * Parses such an element.  *statement is the whole CREATE INDEX; errors carries
 * the text already, and is told how positions in the one relate to positions in
 * the other.  Raises syntax_error.
 */
extern IndexStmt *step_index_parse(const char *text, SqlErrorContext *errors,
								   char **statement);

/*
 * Build these (List of char *) on a table of the current user's.  Returns their OIDs; of a
 * partitioned table the partitioned indexes'.  Errors: what CREATE INDEX says, with the index's
 * text as context.
 */
extern List *step_index_build(Oid relid, const List *indexes);

#endif							/* ETL_STEP_INDEX_H */
