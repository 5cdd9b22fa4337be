/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  The process that executes steps.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_WORKER_H
#define ETL_WORKER_H

#include "etl.h"
#include "storage/dsm.h"

/* What a worker is started with, in bgw_extra. */
typedef struct WorkerStart
{
	dsm_handle	run;
	int			slot;
	Oid			database;
	Oid			owner;
} WorkerStart;

extern PGDLLEXPORT void etl_worker_main(Datum arg);

/*
 * In a worker whose step starts a run of another pipeline: that may want to publish
 * what this worker's run has locked for its snapshot, and this run would wait for
 * the other.  So the locks are given up.  In any other process nothing.
 */
extern void worker_before_other_run(void);

#endif							/* ETL_WORKER_H */
