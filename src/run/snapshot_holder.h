/*-------------------------------------------------------------------------
 *
 * holder.h
 *	  The process that holds a run's snapshot, and how its coordinator starts,
 *	  watches and ends it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_HOLDER_H
#define ETL_HOLDER_H

#include "etl.h"
#include "run/shm.h"

typedef struct Holder Holder;

/* ---- the coordinator ---- */

/*
 * A holder that has not been started.  When the coordinator's process ends,
 * however it does, so does the holder.
 */
extern Holder *holder_create(RunShared *run, dsm_segment *segment);

/*
 * Starts the process, unless it is there.  False where the server had no free
 * process slot, or the last one has not been given back yet.
 */
extern bool holder_start(Holder *holder);

/*
 * How it stands.  READY: steps can import the snapshot.  GONE: it has ended
 * without having been asked to; holder_message says why, if it is known.
 */
extern HolderState holder_state(Holder *holder);
extern const char *holder_message(Holder *holder);	/* or NULL */

/* Its process, once it is there: 0 if it is not. */
extern int	holder_pid(Holder *holder);

/*
 * Somebody waits for a lock that it has on a source, and the run for somebody: it
 * keeps the snapshot, but no locks.  Whoever changes a source then is found out
 * by the steps that read it (source.c).
 */
extern void holder_give_way(Holder *holder);
extern bool holder_gave_way(Holder *holder);

/*
 * Lets it go: nobody needs the snapshot any more, or not yet.  holder_shutdown
 * also waits until it has gone.
 */
extern void holder_dismiss(Holder *holder);
extern void holder_shutdown(Holder *holder);

/* ---- the process ---- */

extern PGDLLEXPORT void etl_holder_main(Datum arg);

#endif							/* ETL_HOLDER_H */
