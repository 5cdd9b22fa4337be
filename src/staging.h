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

/*
 * Makes the schema, empty, and commits.  What a crashed run left there is
 * dropped first.  Raises duplicate_schema where the name is taken by a schema
 * of somebody else's.  Outside a transaction, as the pipeline's owner.
 */
extern Oid	staging_create(int32 pipeline_id, Oid owner);

/* Drops the schema with all that is in it, in transactions of its own. */
extern void staging_drop(Oid staging);

/*
 * Drops the schema in the current transaction; raises
 * dependent_objects_still_exist if there is anything left in it.
 */
extern void staging_drop_empty(Oid staging);

/* Gives back the storage of one table, in a transaction of its own. */
extern void staging_drop_table(Oid relid);

#endif							/* ETL_STAGING_H */
