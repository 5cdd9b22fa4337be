/*-------------------------------------------------------------------------
 *
 * freeze.h
 *	  Rows that all snapshots see, also where command steps have changed a step's table.
 *
 * The rows that a step writes are frozen: when they are published, a reader whose snapshot is older
 * sees all of them (row_writer.c).  Rows that a command step of the run has inserted, updated or
 * deleted afterwards carry its transaction, which such a snapshot does not see: that reader would
 * be shown the table as it was between the two steps, and as nobody has ever published it.  So a
 * table with such rows is written anew.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_FREEZE_H
#define ETL_FREEZE_H

#include "etl.h"

/*
 * Return true if all snapshots see the same rows of the table and its partitions.  The caller keeps
 * others from changing them.
 */
extern bool freeze_is_done(Oid relid);

/*
 * Write the heaps of the table that need it anew, with the rows that are visible now, frozen, and
 * build their indexes again; the relations keep their OIDs.  Then analyse the table.  In the
 * current transaction, as the table's owner; the caller has locked it and its partitions with
 * AccessExclusiveLock.
 */
extern void freeze_table(Oid relid);

#endif							/* ETL_FREEZE_H */
