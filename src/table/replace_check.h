/*-------------------------------------------------------------------------
 *
 * replace_check.h
 *	  What a published table has that a table which replaces it could not have.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_REPLACE_CHECK_H
#define ETL_REPLACE_CHECK_H

#include "etl.h"
#include "nodes/pg_list.h"

/*
 * Check that another table can replace this one.  Raises dependent_objects_still_exist where views,
 * foreign keys and the like depend on the table; feature_not_supported, and names it, where the
 * table has something that replace_table.c cannot give to the other, where one of its partitions
 * has something that the table itself has not, and where partitions differ in their settings, so
 * that it cannot be said which the new ones should have.
 *
 * corresponds: the other table has its columns at the same places; where it does not, only grants
 * and comments can be carried over.  partitioned: it is so, by these columns (key, of char *; NIL:
 * not known yet).  own: names (char *) of the indexes that are the step's.
 */
extern void replace_check_table(Oid relid, bool corresponds, bool partitioned,
								const List *key, const List *own);

#endif							/* ETL_REPLACE_CHECK_H */
