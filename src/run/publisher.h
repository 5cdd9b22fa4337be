/*-------------------------------------------------------------------------
 *
 * publisher.h
 *	  A run whose steps have all succeeded is published.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_PUBLISHER_H
#define ETL_PUBLISHER_H

#include "run/run_state.h"

/*
 * Until the run's tables are published and its row says SUCCESS, or the run has
 * been given up: by a signal, after etl_framework.publish_timeout, or because a
 * session that waits for the run is in the way.  Outside a transaction.  Raises
 * what publish_prepare, publish_verify and staging_check_strays do; nothing is
 * published then.
 */
extern void publisher_run(RunState *run);

/* Gives back the storage that the published tables had before; raises nothing. */
extern void publisher_clean_up(RunState *run);

#endif							/* ETL_PUBLISHER_H */
