/*-------------------------------------------------------------------------
 *
 * command.h
 *	  Executes a command step: statements that make no table of their own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_COMMAND_H
#define ETL_COMMAND_H

#include "etl.h"
#include "nodes/pg_list.h"

/*
 * Executes statements (RawStmts as refs_parse made them, of the text sql) as a
 * client's simple query would, results thrown away.
 *
 * The caller has started a transaction and set no snapshot.  alone: the list
 * has one statement, executed at top level outside any transaction block: it may
 * commit and start transactions of its own (CALL, DO, VACUUM).  Otherwise all of
 * them run in one implicit transaction block.  On return a transaction is
 * open, outside any block, so that CommitTransactionCommand commits it; its
 * memory context is the current one; no portal and no snapshot is left.  On
 * error the caller aborts.
 *
 * raw_statements and sql may live in the transaction's memory: they are copied.
 * What a statement leaves in the session (settings, prepared statements, ...)
 * is the caller's to clear.
 *
 * An error's position is given inside sql, as internal query; with several
 * statements a context line says which one it was.
 *
 * Returns the number of rows that INSERT, UPDATE, DELETE, MERGE, COPY, SELECT
 * INTO, CREATE TABLE AS and REFRESH MATERIALIZED VIEW processed, of all
 * statements together; -1 where there was none of these.
 */
extern int64 command_execute(List *raw_statements, const char *sql, bool alone);

#endif							/* ETL_COMMAND_H */
