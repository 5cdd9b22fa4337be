/*-------------------------------------------------------------------------
 *
 * table_shape.h
 *	  Columns and partitions: can a staged table's storage become that of the
 *	  published table?
 *
 * Two tables can exchange their storage if their columns are the same in number,
 * order and type, those that were dropped included, and if their partitions are
 * too.  So a step's table is made like the published one, with gaps where that
 * has lost columns or is about to lose them, and new columns at the end.  When
 * the run is published, ALTER TABLE drops and adds the same columns there.
 *
 * Works in the current transaction, as the current user.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_TABLE_SHAPE_H
#define ETL_TABLE_SHAPE_H

#include "access/tupdesc.h"
#include "etl.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "utils/relcache.h"

typedef enum ColumnFate
{
	COLUMN_KEPT,				/* the published table has it at this place */
	COLUMN_GONE,				/* it has had one that was dropped */
	COLUMN_DROPPED,				/* it has one that the step does not return */
	COLUMN_ADDED				/* new, at the end */
} ColumnFate;

typedef struct ShapeColumn
{
	ColumnFate	fate;
	char	   *name;
	Oid			type;
	int32		typmod;
	Oid			collation;
} ShapeColumn;

typedef struct TableShape
{
	Oid			published;
	bool		replaces;		/* it cannot take over the storage, but is replaced */
	Oid			model;			/* whose storage and settings the table itself gets */
	List	   *heaps;			/* of Oid: the same for each partition, by remainder */
	int			ncolumns;		/* of the table to be made, with gaps */
	ShapeColumn *columns;
} TableShape;

/*
 * How to make a table for these rows whose storage the published table can take
 * over; or, where that is partitioned otherwise (or a column of its partition key
 * would go, or it would have to be rewritten), one that can replace it, with the same
 * columns at the same places.  partitions and key (of char *): as the table would be
 * partitioned.  NULL where there is no such table, it is another role's, or it has
 * lost so many columns that there is no place for more.
 *
 * Columns that are the same, in the same order, stay; from the first one on that
 * is not, all are added at the end, and what the step does not return any more,
 * or not in that order, goes.
 */
extern TableShape *table_shape_plan(Oid published, TupleDesc rows, int partitions, List *key);

/* The columns for CREATE TABLE: of ColumnDef *.  Gaps have a column for now. */
extern List *table_shape_columns(const TableShape *shape);

/*
 * Puts into a CREATE TABLE where a published heap is stored, and its storage
 * parameters, which a table that is partitioned (create->partspec) cannot have.
 */
extern void table_shape_storage(Oid published, CreateStmt *create);

/* Return true if the relation has a column of this number that is not dropped. */
extern bool table_shape_has_column(Oid relid, AttrNumber attnum);

/* The first partition of a table that is a heap; the table itself where it is one. */
extern Oid	table_shape_first_heap(Oid relid);

/*
 * Makes the gaps in the table and its partitions (relids: as step_table_define
 * returns them), and gives their columns the storage, compression and statistics
 * settings of the published ones.
 */
extern void table_shape_imitate(const TableShape *shape, List *relids);

/* Two heaps, or partitioned tables, that belong together. */
typedef struct TablePair
{
	Oid			published;
	Oid			staged;
} TablePair;

typedef enum ShapeFit
{
	SHAPE_FITS,					/* storage can be exchanged */
	SHAPE_ALTER,				/* once table_shape_alter was called */
	SHAPE_REPLACE				/* no */
} ShapeFit;

/*
 * Compares them.  *pairs: of TablePair *, the tables themselves first, then
 * their partitions.  For SHAPE_REPLACE the tables alone, whose columns are the same
 * under the same numbers as far as both have them; NIL where they are not.
 */
extern ShapeFit table_shape_compare(Oid published, Oid staged, List **pairs);

/*
 * Return true if an expression that is defined on the published table uses a column that the staged
 * one does not have: what it belongs to goes with the column.  constraint: its name, for the error
 * feature_not_supported, which is raised where the expression refers to the whole row.
 */
extern bool table_shape_lacks_column(Relation staged, Node *expression, const char *constraint);

/*
 * Drops and adds columns of the published table, which the caller has locked
 * with AccessExclusiveLock, until it fits.
 */
extern void table_shape_alter(Oid published, Oid staged);

#endif							/* ETL_TABLE_SHAPE_H */
