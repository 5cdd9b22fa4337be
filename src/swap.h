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
 * Exchanges the storage of tables that fit (pairs, of LayoutPair *), that of their
 * TOAST tables and that of their indexes (twins, of TwinIndex *): files,
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
 */
extern void swap_storage(const List *pairs, const List *twins);

/*
 * What is left to do once the caller has AccessExclusiveLock on a published table:
 * sees to it that this session does not use it, and tells those serializable
 * transactions that have read it that all of its rows have changed.
 */
extern void swap_shut_out(Oid published);

#endif							/* ETL_SWAP_H */
