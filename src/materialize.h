/*-------------------------------------------------------------------------
 *
 * materialize.h
 *	  One query -> one table.
 *
 * The one place where a step's flags become storage and planner settings.
 * Knows nothing of pipelines, runs or processes: it works in the current
 * transaction, as the current user, with the current search_path.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_MATERIALIZE_H
#define ETL_MATERIALIZE_H

#include "etl.h"
#include "access/tupdesc.h"
#include "nodes/parsenodes.h"
#include "sqlerror.h"

typedef struct MaterializeTarget
{
	Oid			schema;			/* the current user must own it or may create in it */
	const char *name;
	bool		logged;			/* persist; else unlogged */
	bool		cache;			/* into shared buffers, not through the bulk-write ring */
	int			partitions;		/* 0: one heap; else 1 to ETL_MAX_PARTITIONS
								 * hash partitions */
	List	   *partition_by;	/* of char *: column names; NIL: the first hashable column */
	List	   *indexes;		/* of char *: '(a, b)', 'UNIQUE (a)', 'USING gin (tags)' */
} MaterializeTarget;

typedef struct MaterializeResult
{
	Oid			relid;
	uint64		rows;			/* from the executor */
	int64		size;			/* bytes: heap, TOAST, indexes, maps, all partitions */
} MaterializeResult;

/*
 * Plans and executes the query (one RawStmt, as refs_parse made it, of the
 * text sql) with parallel plans allowed, into a new table that holds exactly
 * its rows, frozen; builds the indexes; analyses the table.
 *
 * The table must not exist (duplicate_table).  Nothing is visible to others
 * until the caller commits, and then all snapshots see the rows, older ones
 * included; after an error and the caller's abort nothing is left.  Takes its
 * own snapshot from the transaction: the caller needs none.
 *
 * Partitions are called name_p0, name_p1, ... and live in the same schema.  The
 * partitioned table itself holds no rows and is permanent even where logged is
 * false; look at a partition to see whether the rows are.
 *
 * Errors: what the query raises, with its position inside sql as internal
 * query; what CREATE TABLE would say about the columns (duplicate_column, a
 * pseudo-type, indeterminate_collation); undefined_column for partition_by,
 * invalid_table_definition where no column can be hashed; what CREATE INDEX
 * says, with the index's text as context.
 */
extern void materialize_query(RawStmt *query, const char *sql,
							  const MaterializeTarget *target,
							  MaterializeResult *result);

/*
 * Sets, for the session, the planner settings that a flag stands for:
 * broadcast: joins are hash joins whose inner side each parallel process builds
 * for itself; partitionwise: partition-wise join and aggregate.  RESET ALL
 * takes them back.
 */
extern void materialize_planner_settings(bool broadcast, bool partitionwise);

/*
 * Checks one element of add_step's "indexes": does it parse as the tail of
 * CREATE INDEX ON t ...?  Else raises syntax_error naming the element.
 */
extern void materialize_check_index(const char *index);

/*
 * Parses such an element.  *statement is the whole CREATE INDEX; errors carries
 * the text already, and is told how positions in the one relate to positions in
 * the other.  Raises syntax_error.
 */
extern IndexStmt *materialize_parse_index(const char *text, SqlErrorContext *errors,
										  char **statement);

/* Raises indeterminate_collation: what materialize_query would say about a column. */
extern void materialize_check_collation(Form_pg_attribute column);

/*
 * The columns (char *) that a partitioned table of these rows gets as its key:
 * partition_by, or where that is NIL the first column that can be hashed.  Raises
 * undefined_column, invalid_table_definition.
 */
extern List *materialize_partition_key(List *partition_by, TupleDesc desc);

/* heap, TOAST, indexes, free space and visibility maps; with all partitions */
extern int64 materialize_table_size(Oid relid);

#endif							/* ETL_MATERIALIZE_H */
