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
#include "nodes/parsenodes.h"
#include "table/step_table.h"

typedef struct MaterializeTarget
{
	StepTable	table;			/* it must not exist */
	bool		cache;			/* the table's pages stay in shared buffers */
	double		cache_limit;	/* unless it takes more than this share of them */
	List	   *indexes;		/* of char *: '(a, b)', 'UNIQUE (a)', 'USING gin (tags)' */

	/*
	 * Returns how many parallel workers a query may use whose plan has this cost; as many as the
	 * settings say where that is fewer.  NULL: as many as these say.
	 */
	int			(*parallel_workers) (Cost cost);
} MaterializeTarget;

typedef struct MaterializeResult
{
	Oid			relid;
	List	   *indexes;		/* of Oid: those of the target's "indexes" */
	uint64		rows;			/* from the executor */
	int64		size;			/* bytes: heap, TOAST, indexes, maps, all partitions */
	List	   *warnings;		/* of char *: what the user should know */
} MaterializeResult;

/*
 * Plans and executes the query (one RawStmt, as refs_parse made it, of the
 * text sql), in parallel where that pays, into a new table that holds exactly
 * its rows, frozen; builds the indexes; analyses the table.  Where the table is
 * to take the place of a published one it also gets that one's NOT NULL and CHECK
 * constraints and indexes that people have added there.
 *
 * Nothing is visible to others until the caller commits, and then all snapshots see the rows, older
 * ones included; after an error and the caller's abort nothing is left.  Takes its
 * own snapshot from the transaction: the caller needs none.
 *
 * Errors: what the query raises, with its position inside sql as internal
 * query; those of step_table_define, step_index_build, copy_constraints and
 * index_match_build.
 */
extern void materialize_query(RawStmt *query, const char *sql,
							  const MaterializeTarget *target,
							  MaterializeResult *result);

/*
 * Gather the statistics of a table, and of its partitions, which follow it in the list.
 */
extern void materialize_analyze(List *relids);

/*
 * Sets, for the session, the planner settings that a flag stands for:
 * broadcast: joins are hash joins whose inner side each parallel process builds
 * for itself; partitionwise: partition-wise join and aggregate.  RESET ALL
 * takes them back.
 */
extern void materialize_planner_settings(bool broadcast, bool partitionwise);

#endif							/* ETL_MATERIALIZE_H */
