/*-------------------------------------------------------------------------
 *
 * pending_start.h
 *	  Runs that begin when the transaction that asked for them commits.
 *
 * The run's processes cannot see what this transaction has written before it has committed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_PENDING_START_H
#define ETL_PENDING_START_H

#include "etl.h"
#include "run/request.h"

/* Register the transaction callbacks. */
extern void pending_start_initialize(void);

/*
 * Start the run when the current transaction commits, unless the current subtransaction is rolled
 * back.  The request is copied.  Returns the run's number.
 */
extern int64 pending_start_add(const RunRequest *request);

/* Return true if this transaction will start the run when it commits. */
extern bool pending_start_has(int64 run_id);

#endif							/* ETL_PENDING_START_H */
