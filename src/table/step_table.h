/*-------------------------------------------------------------------------
 *
 * step_table.h
 *	  The table that a step's rows go to: made, and measured.
 *
 * Works in the current transaction, as the current user.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_STEP_TABLE_H
#define ETL_STEP_TABLE_H

#include "access/tupdesc.h"
#include "catalog/pg_attribute.h"
#include "etl.h"
#include "nodes/pg_list.h"

typedef struct StepTable
{
	Oid			schema;			/* the current user must own it or may create in it */
	const char *name;
	bool		logged;			/* persist; else unlogged */
	int			partitions;		/* 0: one heap; else 1 to ETL_MAX_PARTITIONS hash partitions */
	List	   *partition_by;	/* of char *: column names; NIL: one is chosen */
	const char *partition_key;	/* the choice, if the table can have it; or NULL */
	Oid			published;		/* the table whose place it shall take; or Invalid */
	List	   *own;			/* of char *: names of its indexes that are the step's */
} StepTable;

/*
 * Creates the table, empty, with the columns that desc describes.  Returns its
 * OID, and behind it those of its partitions if it has any: the i-th of them is
 * for the rows with the remainder i.
 *
 * Where there is a published table that can take over the storage of one with
 * these columns, or that this one can replace (table_shape.h), the table is made like it:
 * with its tablespace, storage parameters and settings of columns, and with gaps for
 * dropped columns, so that a row of the query has to be converted by position.
 *
 * Partitions are called name_p0, name_p1, ... and live in the same schema.  The
 * partitioned table itself holds no rows and is permanent even where logged is
 * false; look at a partition to see whether the rows are.
 *
 * The table must not exist (duplicate_table).  Other errors: what CREATE TABLE
 * would say about the columns (duplicate_column, a pseudo-type,
 * indeterminate_collation); undefined_column for partition_by,
 * invalid_table_definition where no column can be hashed;
 * dependent_objects_still_exist where a column of the published table, or all of
 * it, would have to go and something depends on that; feature_not_supported where it
 * would have to be replaced and has something that this one could not have.
 */
extern List *step_table_define(const StepTable *table, TupleDesc desc);

/* Raises indeterminate_collation: what step_table_define would say about a column. */
extern void step_table_check_collation(Form_pg_attribute column);

/*
 * The columns (char *) that a partitioned table of these rows gets as its key:
 * partition_by; where that is NIL the chosen column, if there is one of that
 * name and it can be hashed; else the first column that can be.  Raises
 * undefined_column, invalid_table_definition.
 */
extern List *step_table_partition_key(List *partition_by, const char *chosen, TupleDesc desc);

/* heap, TOAST, indexes, free space and visibility maps; with all partitions */
extern int64 step_table_size(Oid relid);

#endif							/* ETL_STEP_TABLE_H */
