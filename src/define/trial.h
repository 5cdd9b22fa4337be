/*-------------------------------------------------------------------------
 *
 * trial.h
 *	  Doing something as a step would do it, and taking it all back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_TRIAL_H
#define ETL_TRIAL_H

#include "metastore/catalog.h"

/*
 * Calls the function as the pipeline's owner, in a security-restricted context,
 * with the search_path that its steps have (but for the run's staging schema, and
 * with the caller's temporary tables last), in a subtransaction that is rolled back: locks,
 * settings and identity are then as they were.  Its memory context is a short-lived one.
 *
 * Returns the error that it raised, in "context"; NULL if it raised none.  What
 * says something about the server or the session, and not about the pipeline, is
 * raised again: internal errors, cancellation, a lock that is not to be had.
 */
extern ErrorData *trial_make(const Pipeline *pipeline, void (*function) (void *arg),
							 void *arg, MemoryContext context);

#endif							/* ETL_TRIAL_H */
