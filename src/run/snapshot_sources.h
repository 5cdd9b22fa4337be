/*-------------------------------------------------------------------------
 *
 * snapshot_sources.h
 *	  Which relations a run's snapshot reads, and locks on them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_SNAPSHOT_SOURCES_H
#define ETL_SNAPSHOT_SOURCES_H

#include "etl.h"
#include "nodes/pg_list.h"

/*
 * Lock, with AccessShareLock, the relations that these references (of char *, as Step's reads) mean
 * with the current search_path, their partitions and what views read; none that the current user
 * may not read, and no more than a part of the server's lock table.  Waits for one lock only while
 * it holds no other.  Returns the OIDs of what it has locked.
 */
extern List *snapshot_sources_lock(const List *references);

#endif							/* ETL_SNAPSHOT_SOURCES_H */
