/*-------------------------------------------------------------------------
 *
 * publish.h
 *	  From staging to target: the run's tables become visible, all at once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_PUBLISH_H
#define ETL_PUBLISH_H

#include "etl.h"
#include "nodes/pg_list.h"

/* One table of the run. */
typedef struct PublishOutput
{
	const char *process_name;
	Oid			relid;			/* in the staging schema */
	int64		count_rows;
	int64		table_size;
} PublishOutput;

/*
 * Moves the outputs into the target schema, in the current transaction and as
 * the current user (the pipeline's owner): a new name appears, a table that the
 * registry of outputs has is replaced, and the registry is brought up to date.
 *
 * Locks on what is replaced are taken without waiting.  Returns InvalidOid when
 * all is done; else the table whose lock was not free, and the caller must
 * abort the transaction and may try again later.
 *
 * Raises duplicate_table where a name is taken by a table that is not the
 * pipeline's, dependent_objects_still_exist where something depends on a table
 * that would have to be replaced, insufficient_privilege where that belongs to
 * another role, and feature_not_supported where it has row-level security.
 */
extern Oid	publish_outputs(int32 pipeline_id, int64 run_id, const char *target_schema,
							List *outputs);

#endif							/* ETL_PUBLISH_H */
