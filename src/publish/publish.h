/*-------------------------------------------------------------------------
 *
 * publish.h
 *	  From staging to target: the run's tables become visible, all at once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_PUBLISH_H
#define ETL_PUBLISH_H

#include "datatype/timestamp.h"
#include "etl.h"
#include "nodes/pg_list.h"
#include "storage/lockdefs.h"

/* One table of the run. */
typedef struct PublishOutput
{
	const char *process_name;
	Oid			relid;			/* in the staging schema */
	List	   *indexes;		/* of Oid: its indexes that the step asks for */
	int64		count_rows;
	int64		table_size;
} PublishOutput;

/* What became of a step of publishing, or of waiting for a lock. */
typedef enum PublishResult
{
	PUBLISH_OK,
	PUBLISH_BUSY,				/* a lock was not free: publish_obstacle */
	PUBLISH_CROSSED,			/* who has the lock waits for one that we have */
	PUBLISH_STALE				/* staged tables have to catch up: publish_stale */
} PublishResult;

/* What is to be published. */
typedef struct PublishRequest
{
	int32		pipeline_id;
	int64		run_id;
	const char *target_schema;
	Oid			staging;		/* the schema that the outputs are in */
	List	   *outputs;		/* of PublishOutput * */

	/*
	 * Wait a little for a lock that is not free; since: when readers began to be held up; holding:
	 * there are others that keep readers out.  Returns anything but PUBLISH_STALE.  NULL: nothing
	 * is waited for.
	 */
	PublishResult (*wait) (Oid relation, LOCKMODE mode, TimestampTz since, bool holding);
} PublishRequest;

/* A lock that was not free. */
typedef struct PublishObstacle
{
	Oid			relation;
	LOCKMODE	mode;
	Oid			table;			/* that relation, or the table that it is a part of */
} PublishObstacle;

typedef struct Publishing Publishing;

/*
 * Publishing takes four steps in the current transaction, as the current user (the pipeline's
 * owner): a new name appears in the target schema; a table that the registry of outputs has takes
 * over the storage of the run's, or is replaced by it where the two do not fit; the registry is
 * brought up to date.
 *
 * Where a step does not return PUBLISH_OK the caller aborts the transaction, sees to what is in the
 * way, and may begin again.  What is palloc'd here is in the memory context that was current at
 * publish_begin, and outlives the transaction if that does.
 */
extern Publishing *publish_begin(const PublishRequest *request);

/*
 * Look at the outputs, and lock them against DDL.  Raises duplicate_table where a name is taken by
 * a table that is not the pipeline's, dependent_objects_still_exist where something depends on a
 * table or a column that would have to go, insufficient_privilege where the table belongs to
 * another role, what staging_check_table raises where a staged table has been changed, and
 * feature_not_supported where one would be replaced that has something that the other cannot have
 * (replace_check_table).
 */
extern PublishResult publish_prepare(Publishing *publishing);

/*
 * Make sure that foreign keys from and to the tables hold.  Where there are any this reads tables,
 * and takes its time; signals may end it.  Raises what foreign_key_verify does.  Then readers of
 * tables that are replaced are locked out.
 */
extern PublishResult publish_verify(Publishing *publishing);

/*
 * Change the catalogs, while readers and writers are still there (but for those of tables that are
 * replaced).  Raises what replace_table_finish does.
 */
extern void publish_exchange(Publishing *publishing);

/* Keep readers out, and do the rest.  The caller commits at once. */
extern PublishResult publish_finish(Publishing *publishing);

/* Return what was in the way, after PUBLISH_BUSY. */
extern PublishObstacle publish_obstacle(const Publishing *publishing);

/* Return the staged tables that stay behind, with their partitions: of Oid. */
extern List *publish_left(const Publishing *publishing);

/* Return the outputs that have to catch up, after PUBLISH_STALE: of PublishOutput *. */
extern List *publish_stale(const Publishing *publishing);

/*
 * In a transaction of its own, which the caller commits: build on the staged table what people have
 * added to the published one since the step looked, and freeze what command steps have changed.
 * Raises what copy_constraints and index_match_build do.
 */
extern void publish_catch_up(const Publishing *publishing, const PublishOutput *output);

#endif							/* ETL_PUBLISH_H */
