/*-------------------------------------------------------------------------
 *
 * source_check.h
 *	  What a step has read that its run has not made.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_SOURCE_CHECK_H
#define ETL_SOURCE_CHECK_H

#include "etl.h"
#include "nodes/pg_list.h"

/*
 * Return true if one of the relations of a step's plans (Oids) is one that the run has not made
 * (one outside of its staging schema), the system's own left aside.
 */
extern bool source_check_is_among(const List *relids, Oid staging);

/*
 * To be called under the run's snapshot, after the step's SQL has been executed:
 * each of these relations is now stored where it was when the snapshot was taken,
 * with the partitions that it had; else raises ERRCODE_ETL_SOURCE_CHANGED, which
 * names it.  The locks that the execution has taken see to it that it stays so.
 */
extern void source_check_unchanged(const List *relids, Oid staging);

#endif							/* ETL_SOURCE_CHECK_H */
