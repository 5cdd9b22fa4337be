/*-------------------------------------------------------------------------
 *
 * column_settings.h
 *	  How a column is stored and measured, the same for a column of another table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_COLUMN_SETTINGS_H
#define ETL_COLUMN_SETTINGS_H

#include "access/attnum.h"
#include "etl.h"
#include "utils/relcache.h"

/*
 * Make a column of a staged table a dropped one, as the published table has it, or will have it.
 * pg_attribute is open, with RowExclusiveLock.
 */
extern void column_settings_copy_gap(Relation pg_attribute, Oid published, Oid staged,
									 AttrNumber attnum);

/* Give a column the statistics target, options, storage and compression of another one. */
extern void column_settings_copy(Relation pg_attribute, Oid published, Oid staged,
								 AttrNumber attnum);

/*
 * Do so for all columns that two tables, or indexes, have in common under the same number.
 */
extern void column_settings_copy_all(Oid from, Oid to);

/*
 * Return true if the columns of two partitions are the same in name and place, in what
 * column_settings_copy copies, and in their grants.
 */
extern bool column_settings_are_same(Relation a, Relation b);

#endif							/* ETL_COLUMN_SETTINGS_H */
