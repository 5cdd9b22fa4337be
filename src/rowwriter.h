/*-------------------------------------------------------------------------
 *
 * rowwriter.h
 *	  Where a query's rows go: the executor's DestReceiver of a step's table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_ROWWRITER_H
#define ETL_ROWWRITER_H

#include "etl.h"
#include "nodes/pg_list.h"
#include "tcop/dest.h"

/* For CreateQueryDesc.  Lives in the current memory context. */
extern DestReceiver *rowwriter_create(void);

/*
 * Makes it ready for rows, between ExecutorStart and ExecutorRun: before the
 * query may go into parallel mode.
 *
 * relids: the table, and behind it its partitions if it has any, all of them
 * made by the current subtransaction.  cache: the pages stay in shared buffers
 * instead of going through the small ring that bulk writes otherwise use.
 */
extern void rowwriter_open(DestReceiver *self, List *relids, bool cache);

#endif							/* ETL_ROWWRITER_H */
