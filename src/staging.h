/*-------------------------------------------------------------------------
 *
 * staging.h
 *	  The schema that a run builds its tables in.
 *
 * One for each pipeline, owned by the pipeline's owner; it is there only while
 * a run is on, or after a crash until the pipeline's next run.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_STAGING_H
#define ETL_STAGING_H

#include "etl.h"
#include "nodes/pg_list.h"

/*
 * Makes the schema, empty, and commits.  What a crashed run left there is
 * dropped first.  Outside a transaction, as the pipeline's owner.
 */
extern Oid	staging_create(int32 pipeline_id, Oid owner);

/*
 * Drops the schema with all that is in it, in transactions of its own.  wait:
 * until nobody uses any of it; otherwise what somebody is using stays, and with
 * it the schema: then it returns false.
 */
extern bool staging_drop(Oid staging, bool wait);

/*
 * Locks a table and its partitions, to be dropped or moved in the current
 * transaction.  False where somebody is using one: nothing is waited for, and
 * *busy (unless NULL) says which.
 */
extern bool staging_try_lock(Oid relid, Oid *busy);

/*
 * Raises dependent_objects_still_exist if there is anything in the schema but these
 * tables (of Oid).
 */
extern void staging_check_strays(Oid staging, const List *tables);

/*
 * Drops the schema in the current transaction; raises
 * dependent_objects_still_exist if there is anything left in it.
 */
extern void staging_drop_empty(Oid staging);

/*
 * Gives back the storage of one table, in the current transaction.  False, and
 * it stays, where somebody is using it.
 */
extern bool staging_drop_table(Oid relid);

#endif							/* ETL_STAGING_H */
