/*-------------------------------------------------------------------------
 *
 * snapshot_holder.h
 *	  How a run's coordinator starts, watches and ends the process that holds its snapshot.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_SNAPSHOT_HOLDER_H
#define ETL_SNAPSHOT_HOLDER_H

#include "etl.h"
#include "run/run_shmem.h"

typedef struct SnapshotHolder SnapshotHolder;

/*
 * A holder that has not been started.  When the coordinator's process ends,
 * however it does, so does the holder.
 */
extern SnapshotHolder *snapshot_holder_create(RunShared *run, dsm_segment *segment);

/*
 * Starts the process, unless it is there.  False where the server had no free
 * process slot, or the last one has not been given back yet.
 */
extern bool snapshot_holder_start(SnapshotHolder *holder);

/*
 * How it stands.  READY: steps can import the snapshot.  GONE: it has ended
 * without having been asked to; snapshot_holder_message says why, if it is known.
 */
extern SnapshotHolderState snapshot_holder_state(SnapshotHolder *holder);
extern const char *snapshot_holder_message(SnapshotHolder *holder); /* or NULL */

/* Its process, once it is there: 0 if it is not. */
extern int	snapshot_holder_pid(SnapshotHolder *holder);

/*
 * Somebody waits for a lock that it has on a source, and the run for somebody: it
 * keeps the snapshot, but no locks.  Whoever changes a source then is found out
 * by the steps that read it (source_check.c).
 */
extern void snapshot_holder_give_way(SnapshotHolder *holder);
extern bool snapshot_holder_gave_way(SnapshotHolder *holder);

/*
 * Lets it go: nobody needs the snapshot any more, or not yet.  snapshot_holder_shutdown
 * also waits until it has gone.
 */
extern void snapshot_holder_dismiss(SnapshotHolder *holder);
extern void snapshot_holder_shutdown(SnapshotHolder *holder);

#endif							/* ETL_SNAPSHOT_HOLDER_H */
