/*-------------------------------------------------------------------------
 *
 * cpu_share.h
 *	  How many parallel workers a step's query may use beside the steps that run at the same time.
 *
 * The processors are there once.  A parallel plan does more work than a serial one to be done
 * earlier, which pays only as far as there are processors that have nothing else to do: those of
 * the server, divided among the steps that run now and are worth counting.  A step is worth
 * counting beside another whose cost is at most four times its own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_CPU_SHARE_H
#define ETL_CPU_SHARE_H

#include "etl.h"
#include "metastore/catalog.h"
#include "nodes/nodes.h"
#include "run/run_shmem.h"

/*
 * Return how many parallel workers a query of the step may use for each Gather, and show the other
 * workers of the run what the planner thinks that it costs.  A step that is alone, or sets
 * max_parallel_workers_per_gather itself, has what that setting says.
 */
extern int	cpu_share_workers(RunShared *run, WorkerSlot *slot, const Step *step, Cost cost);

#endif							/* ETL_CPU_SHARE_H */
