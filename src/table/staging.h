/*-------------------------------------------------------------------------
 *
 * staging.h
 *	  The schema that a run builds its tables in.
 *
 * One for each pipeline, owned by the pipeline's owner; it is there while a run is
 * on and, if that does not succeed, until the pipeline's next one, which may go on
 * from what it finds there.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_STAGING_H
#define ETL_STAGING_H

#include "etl.h"
#include "nodes/pg_list.h"

/*
 * Makes the schema, empty, and commits.  What a run that did not succeed has left
 * there is dropped first.  Outside a transaction, as the pipeline's owner.
 */
extern Oid	staging_create(int32 pipeline_id, Oid owner);

/*
 * The schema's name, palloc'd.  Raises undefined_schema where it is gone: the run that builds in it
 * cannot go on.
 */
extern char *staging_name(Oid staging);

/* The pipeline's schema; InvalidOid if there is none. */
extern Oid	staging_find(int32 pipeline_id);

/*
 * Drops the tables but for those to be kept (Oids, ascending), in transactions of its
 * own; waits until nobody uses them.
 */
extern void staging_drop_others(Oid staging, const List *keep);

/*
 * Drops the schema with all that is in it, in transactions of its own.  False where
 * somebody is using a table: that one stays, and the schema with it.
 */
extern bool staging_try_drop(Oid staging);

/* Drops the schema, if it is there, with all that is in it, in this transaction. */
extern void staging_drop_all(int32 pipeline_id);

/*
 * Raise an error unless the table is what the run's step has made, so that its storage can change
 * hands: it is there, in the run's schema and under the step's name; it, and each partition of it,
 * is a table of the current user's, or of "owner" (the published table's, to whom it is given
 * before what that role has defined is built on it; or Invalid), with no rules, no parent but the
 * table itself, and no column whose value is missing in its rows (ALTER TABLE ADD COLUMN ...
 * DEFAULT writes none). People, and steps, can do all of that to it.  Without a lock on it the
 * answer holds for now.
 */
extern void staging_check_table(Oid staging, Oid relid, const char *process_name, Oid owner);

/*
 * Let the owner of a table in the schema, to whom it was given, look it up there: in the current
 * transaction, as the schema's owner.
 */
extern void staging_let_in(Oid staging, Oid owner);

/*
 * Return true if the table and all of its partitions are logged, so that a crash leaves their rows.
 */
extern bool staging_table_is_logged(Oid relid);

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
