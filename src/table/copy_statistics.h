/*-------------------------------------------------------------------------
 *
 * copy_statistics.h
 *	  Statistics objects of a published table, on the staged one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_COPY_STATISTICS_H
#define ETL_COPY_STATISTICS_H

#include "etl.h"

/*
 * Give the staged table statistics objects like those of the published one, with their targets, so
 * that ANALYZE fills them.
 */
extern void copy_statistics(Oid published, Oid staged);

/*
 * Give the published table's statistics objects what ANALYZE has found for those of the staged one;
 * both are one heap or partitioned table.  One that was added meanwhile has nothing until the next
 * ANALYZE.
 */
extern void copy_statistics_data_to(Oid published, Oid staged);

/*
 * Make the published table's statistics objects the staged one's, with all that they are: names,
 * owners, comments, and what was found for them.
 */
extern void copy_statistics_move(Oid published, Oid staged);

#endif							/* ETL_COPY_STATISTICS_H */
