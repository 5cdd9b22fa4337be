/*-------------------------------------------------------------------------
 *
 * dependants.h
 *	  What depends on a table or column that would have to go.
 *
 * Views, foreign keys, functions and the like of other people, which DROP ... RESTRICT would refuse
 * to drop.  All functions raise dependent_objects_still_exist, and name all of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_DEPENDANTS_H
#define ETL_DEPENDANTS_H

#include "etl.h"
#include "table/table_shape.h"

/* Check that nothing depends on the columns that the published table is about to lose. */
extern void dependants_check_columns(const TableShape *shape);

/* Check that nothing depends on the table, its partitions, or one of their columns or row types. */
extern void dependants_check_table(Oid published);

/*
 * Check that nothing outside of the run's staging schema depends on a relation in it, which is
 * going to be dropped, or to be published: it would be bound to what one run has made.
 */
extern void dependants_check_staged(Oid relid, Oid staging);

#endif							/* ETL_DEPENDANTS_H */
