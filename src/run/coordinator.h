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

extern PGDLLEXPORT void etl_coordinator_main(Datum arg);

#endif							/* ETL_COORDINATOR_H */
