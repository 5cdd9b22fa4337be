/*-------------------------------------------------------------------------
 *
 * swap.h
 *	  The published table takes over the storage of a staged one, and keeps its
 *	  OID.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_SWAP_H
#define ETL_SWAP_H

#include "etl.h"
#include "nodes/pg_list.h"

/*
 * Exchanges the storage of tables that fit (pairs, of TablePair *), that of their
 * TOAST tables and that of their indexes (twins, of IndexPair *): files,
 * persistence, freeze limits, sizes, and column statistics.  A staged index that
 * has no twin moves to the published table; a published one without a twin is left
 * to the caller to drop.
 *
 * The caller has locked these tables, their TOAST tables and the published indexes
 * with ShareUpdateExclusiveLock or more, so that nobody else changes their catalog
 * rows; readers and writers need not be kept out yet.  Before the end of the
 * transaction swap_shut_out must be called for the published tables.
 *
 * The staged tables have the old storage then, and nothing is to be read from
 * them: all that can be done to them is to be dropped.
 *
 * Returns (of Oid) the published tables that have kept their TOAST tables, as no row
 * needs them.  A writer may have put something there before he was kept out:
 * swap_is_narrow must say of each that it is not so, or the transaction be aborted.
 */
extern List *swap_storage(const List *pairs, const List *twins);

/*
 * Return true if there is nothing in the table's TOAST table.  The caller has a lock on both that
 * keeps writers away.
 */
extern bool swap_is_narrow(Oid published);

/*
 * What is left to do once the caller has AccessExclusiveLock on a published table:
 * sees to it that this session does not use it, and tells those serializable
 * transactions that have read it that all of its rows have changed.
 */
extern void swap_shut_out(Oid published);

#endif							/* ETL_SWAP_H */
