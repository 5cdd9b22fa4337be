/*-------------------------------------------------------------------------
 *
 * relation_attrs.h
 *	  What a table has beside its columns: owner, grants, storage, replica identity.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_RELATION_ATTRS_H
#define ETL_RELATION_ATTRS_H

#include "access/attnum.h"
#include "access/htup.h"
#include "access/tupdesc.h"
#include "etl.h"
#include "utils/relcache.h"

/* Return a palloc'd copy of a relation's row in pg_class; raise an error if there is none. */
extern HeapTuple relation_attrs_class_row(Oid relid);

/* Return a relation's owner; raise an error if there is no such relation. */
extern Oid	relation_attrs_owner(Oid relid);

/*
 * Give a relation to a role.  Nobody's rights are asked for.  The caller has locked it with
 * AccessExclusiveLock.
 */
extern void relation_attrs_give(Oid relid, Oid owner);

/*
 * Return true if the table has grants other than those that its owner has by default.  tuple: its
 * row in pg_class.
 */
extern bool relation_attrs_has_grants(HeapTuple tuple);

/*
 * Return the index by which subscribers know rows: the replica identity, or else the primary key;
 * of a partition that of the whole table.  InvalidOid: there is none.
 */
extern Oid	relation_attrs_replica_index(Relation relation);

/* Return the storage parameters of a table's TOAST table, palloc'd; (Datum) 0 if it has none. */
extern Datum relation_attrs_toast_options(Oid relid);

/*
 * Return true if two partitions have the same owner, tablespace, grants, kind of replica identity
 * and storage parameters, those of TOAST included.
 */
extern bool relation_attrs_same_table(Oid a, Oid b);

/* Return true if two rows of a syscache have the same values, or nulls, in these n columns. */
extern bool relation_attrs_same_values(int cache, HeapTuple a, HeapTuple b, TupleDesc desc,
									   const AttrNumber *columns, int n);

#endif							/* ETL_RELATION_ATTRS_H */
