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

#endif							/* ETL_WORKER_H */
