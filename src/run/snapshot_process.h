/*-------------------------------------------------------------------------
 *
 * snapshot_process.h
 *	  The process that holds a run's snapshot.
 *
 * All query steps of a run read the sources as of one instant.  A snapshot lives
 * as long as the transaction that took it, and the coordinator needs
 * transactions of its own, so the snapshot has a process to itself: it takes and
 * exports it, says its name in the run's segment, and waits on its latch until
 * the last step that shares the snapshot has ended.  Workers import it as SET
 * TRANSACTION SNAPSHOT does.
 *
 * Before that it locks what the steps read, as a reader does, which keeps out
 * TRUNCATE, DROP, REFRESH and ALTER TABLE for as long as the snapshot is needed.
 * That is a courtesy, so that the run need not fail: these commands change a
 * table for all snapshots, old ones too, and what is not locked here, or was not
 * known, is found out where it is read (source_check.c).  So the locks can be given
 * up: somebody who waits for one may be somebody whom a step waits for.
 *
 * If it dies, no step can import the snapshot any more.  Those that have done so
 * are not concerned.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_SNAPSHOT_PROCESS_H
#define ETL_SNAPSHOT_PROCESS_H

#include "etl.h"
#include "storage/dsm.h"

/* What the process is started with, in bgw_extra. */
typedef struct SnapshotHolderStart
{
	dsm_handle	run;
	Oid			database;
	Oid			owner;
} SnapshotHolderStart;

extern PGDLLEXPORT void etl_snapshot_holder_main(Datum arg);

#endif							/* ETL_SNAPSHOT_PROCESS_H */
