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
	int64		count_rows;
	int64		table_size;
} PublishOutput;

/* What became of waiting for a lock. */
typedef enum PublishWait
{
	PUBLISH_LOCKED,
	PUBLISH_CROSSED,			/* who has it waits for one that we have */
	PUBLISH_BUSY				/* it was not free in time */
} PublishWait;

/* What is to be published, and what was prepared for it in this transaction. */
typedef struct PublishSet
{
	int32		pipeline_id;
	int64		run_id;
	const char *target_schema;
	Oid			staging;		/* the schema that the outputs are in */
	List	   *outputs;		/* of PublishOutput * */

	/*
	 * Waits a little for a lock that is not free; since: when readers began to be held up;
	 * holding: there are others that keep readers out.  NULL: nothing is waited for.
	 */
	PublishWait (*wait) (Oid relation, LOCKMODE mode, TimestampTz since, bool holding);

	/* filled by publish_prepare */
	List	   *tasks;			/* private: of PublishTask *, one for each output */
	List	   *targets;		/* of Oid: tables that get new storage, with partitions */
	List	   *dropped;		/* of Oid: indexes that go */
	List	   *left;			/* of Oid: staged tables that stay behind, with partitions */
	List	   *narrow;			/* of Oid: targets without a wide row, when it was looked */
	TimestampTz shut_out;		/* when readers began to be held up; 0: they are not */
} PublishSet;

/* Why it cannot be done now. */
typedef struct PublishObstacle
{
	Oid			relation;		/* whose lock was not free; or Invalid */
	LOCKMODE	mode;
	Oid			table;			/* that relation, or the table that it is a part of */
	PublishOutput *stale;		/* publish_catch_up must be called for it; or NULL */
} PublishObstacle;

/*
 * Publishing takes four calls in the current transaction, as the current user (the
 * pipeline's owner): a new name appears in the target schema; a table that the
 * registry of outputs has takes over the storage of the run's, or is replaced by
 * it where the two do not fit; the registry is brought up to date.
 *
 * They return false where a lock was not free, or where people have added an
 * index or a constraint to a table since the step looked: then the caller must
 * abort the transaction, see to the obstacle, and may try again.
 *
 * publish_prepare looks at the outputs, and locks them against DDL.  Raises
 * duplicate_table where a name is taken by a table that is not the pipeline's,
 * dependent_objects_still_exist where something depends on a table or a column that
 * would have to go, insufficient_privilege where the table belongs to another role,
 * what staging_check_table raises where a staged table has been changed, and
 * feature_not_supported where one would be replaced that has something that the
 * other cannot have (replace_check_table).
 */
extern bool publish_prepare(PublishSet *set, PublishObstacle *obstacle);

/*
 * publish_verify makes sure that foreign keys from and to the tables hold.  Where
 * there are any this reads tables, and takes its time; signals may end it.  Raises
 * what foreign_key_verify does.  Then readers of tables that are replaced are locked
 * out.
 */
extern bool publish_verify(PublishSet *set, PublishObstacle *obstacle);

/*
 * publish_exchange changes the catalogs, while readers and writers are still there
 * (but for those of tables that are replaced).  Raises what replace_table_finish does.
 */
extern void publish_exchange(PublishSet *set);

/*
 * publish_finish keeps readers out, and does the rest.  The caller commits at once.
 */
extern bool publish_finish(PublishSet *set, PublishObstacle *obstacle);

/*
 * Builds on a staged table what people have added to the published one
 * meanwhile.  In the current transaction, which the caller commits.  Raises what
 * copy_constraints and index_match_build do.
 */
extern void publish_catch_up(const PublishSet *set, const PublishOutput *output);

#endif							/* ETL_PUBLISH_H */
