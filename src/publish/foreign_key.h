/*-------------------------------------------------------------------------
 *
 * foreign_key.h
 *	  Foreign keys from and to tables that get new rows: do they hold?
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_FOREIGN_KEY_H
#define ETL_FOREIGN_KEY_H

#include "etl.h"
#include "nodes/pg_list.h"

/*
 * The foreign keys that point at these tables, or from them (pairs, of
 * TablePair *): a List of their OIDs.  Without those of partitions that are parts
 * of others, and without those that promise nothing of the rows that are there (NOT
 * VALID, and from 18 on NOT ENFORCED).
 */
extern List *foreign_key_list(const List *pairs);

/* All that are the table's own, parts of others excepted: a List of their OIDs. */
extern List *foreign_key_list_own(Oid relid);

/*
 * The tables on the other side of these (of Oid) that are not among the pairs, with
 * their partitions.  While they are locked with ShareRowExclusiveLock what
 * foreign_key_verify has found stays true.
 */
extern List *foreign_key_others(const List *keys, const List *pairs);

/*
 * Raises foreign_key_violation where a row would refer to none, once the published
 * tables have the staged ones' rows; invalid_table_definition where a logged table
 * would refer to an unlogged one; feature_not_supported for a key with PERIOD.
 *
 * Both tables are read, in full, with the rights of the extension's owner.
 */
extern void foreign_key_verify(const List *keys, const List *pairs);

#endif							/* ETL_FOREIGN_KEY_H */
