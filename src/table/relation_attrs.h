/*-------------------------------------------------------------------------
 *
 * setting.h
 *	  How a table and its columns are stored and measured: the same for another
 *	  table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_SETTING_H
#define ETL_SETTING_H

#include "access/attnum.h"
#include "access/htup.h"
#include "etl.h"
#include "utils/relcache.h"

/* More options than a column can have. */
#define SETTING_MAX_OPTIONS		16

/*
 * Makes a column of a staged table a dropped one, as the published table has it, or
 * will have it.  pg_attribute is open, with RowExclusiveLock.
 */
extern void setting_copy_gap(Relation pg_attribute, Oid published, Oid staged,
							 AttrNumber attnum);

/* Gives a column the statistics target, options, storage and compression of another one. */
extern void setting_copy_column(Relation pg_attribute, Oid published, Oid staged,
								AttrNumber attnum);

/*
 * The same for all columns that two tables, or indexes, have in common under the same
 * number.
 */
extern void setting_copy_columns(Oid from, Oid to);

/*
 * Are the columns of two partitions the same in name and place, in what
 * setting_copy_column copies, and in their grants?
 */
extern bool setting_same_columns(Relation a, Relation b);

/*
 * Have two partitions the same owner, tablespace, grants, kind of replica identity and
 * storage parameters, TOAST included?
 */
extern bool setting_same_table(Oid a, Oid b);

/* Has anybody but the owner rights on the table, or that less than all?  tuple: of pg_class. */
extern bool setting_has_grants(HeapTuple tuple);

/* A copy of a relation's row in pg_class, palloc'd; an error if there is none. */
extern HeapTuple setting_class_row(Oid relid);

/* A relation's owner; an error if there is no such relation. */
extern Oid	setting_owner(Oid relid);

/* Makes it the role's, who is not asked; the caller has locked it with AccessExclusiveLock. */
extern void setting_give(Oid relid, Oid owner);

/*
 * The index by which subscribers know rows: the replica identity, or else the primary key.
 * Of a partition that of the whole table.  InvalidOid: there is none.
 */
extern Oid	setting_replica_index(Relation relation);

/* The storage parameters of a table's TOAST table; (Datum) 0: none.  palloc'd */
extern Datum setting_toast_options(Oid relid);

#endif							/* ETL_SETTING_H */
