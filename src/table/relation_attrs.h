/*-------------------------------------------------------------------------
 *
 * relation_attrs.h
 *	  How a table and its columns are stored and measured: the same for another
 *	  table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_RELATION_ATTRS_H
#define ETL_RELATION_ATTRS_H

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
extern void relation_attrs_copy_gap(Relation pg_attribute, Oid published, Oid staged,
									AttrNumber attnum);

/* Gives a column the statistics target, options, storage and compression of another one. */
extern void relation_attrs_copy_column(Relation pg_attribute, Oid published, Oid staged,
									   AttrNumber attnum);

/*
 * The same for all columns that two tables, or indexes, have in common under the same
 * number.
 */
extern void relation_attrs_copy_columns(Oid from, Oid to);

/*
 * Are the columns of two partitions the same in name and place, in what
 * relation_attrs_copy_column copies, and in their grants?
 */
extern bool relation_attrs_same_columns(Relation a, Relation b);

/*
 * Have two partitions the same owner, tablespace, grants, kind of replica identity and
 * storage parameters, TOAST included?
 */
extern bool relation_attrs_same_table(Oid a, Oid b);

/* Has anybody but the owner rights on the table, or that less than all?  tuple: of pg_class. */
extern bool relation_attrs_has_grants(HeapTuple tuple);

/* A copy of a relation's row in pg_class, palloc'd; an error if there is none. */
extern HeapTuple relation_attrs_class_row(Oid relid);

/* A relation's owner; an error if there is no such relation. */
extern Oid	relation_attrs_owner(Oid relid);

/* Makes it the role's, who is not asked; the caller has locked it with AccessExclusiveLock. */
extern void relation_attrs_give(Oid relid, Oid owner);

/*
 * The index by which subscribers know rows: the replica identity, or else the primary key.
 * Of a partition that of the whole table.  InvalidOid: there is none.
 */
extern Oid	relation_attrs_replica_index(Relation relation);

/* The storage parameters of a table's TOAST table; (Datum) 0: none.  palloc'd */
extern Datum relation_attrs_toast_options(Oid relid);

#endif							/* ETL_RELATION_ATTRS_H */
