/*-------------------------------------------------------------------------
 *
 * coordinator.h
 *	  The process that owns a run.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_COORDINATOR_H
#define ETL_COORDINATOR_H

#include "etl.h"
#include "storage/dsm.h"

/* What a coordinator is started with, in bgw_extra. */
typedef struct CoordinatorStart
{
	dsm_handle	request;
	Oid			database;
	Oid			owner;
} CoordinatorStart;

extern PGDLLEXPORT void etl_coordinator_main(Datum arg);

#endif							/* ETL_COORDINATOR_H */
