/*-------------------------------------------------------------------------
 *
 * row_writer.h
 *	  Where a query's rows go: the executor's DestReceiver of a step's table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_ROW_WRITER_H
#define ETL_ROW_WRITER_H

#include "access/tupdesc.h"
#include "etl.h"
#include "nodes/pg_list.h"
#include "tcop/dest.h"

/* For CreateQueryDesc.  Lives in the current memory context. */
extern DestReceiver *row_writer_create(void);

/*
 * Makes it ready for rows, between ExecutorStart and ExecutorRun: before the
 * query may go into parallel mode.
 *
 * relids: the table, and behind it its partitions if it has any, all of them
 * made by the current subtransaction.  rows: what the query returns, which the
 * table may have with gaps for dropped columns in between.
 *
 * cache_pages: so many pages may go into shared buffers and stay there; the others
 * go through the small ring that bulk writes use (0: all of them).  evict: also
 * where other pages have to leave for them; else only while buffers are free.
 */
extern void row_writer_open(DestReceiver *self, List *relids, TupleDesc rows,
							uint64 cache_pages, bool evict);

/* After ExecutorFinish: return true if pages of the table went through the ring. */
extern bool row_writer_used_ring(DestReceiver *self);

#endif							/* ETL_ROW_WRITER_H */
