/*-------------------------------------------------------------------------
 *
 * planwatch.h
 *	  The plans that a step's SQL is executed with: kept, and looked at.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_PLANWATCH_H
#define ETL_PLANWATCH_H

#include "etl.h"
#include "nodes/pg_list.h"

/* What is wanted of the statements that are executed until planwatch_end. */
typedef struct PlanWatch
{
	bool		keep;			/* their plans */
	bool		timing;			/* with times and buffers of every node */
	bool		broadcast;		/* a warning where a side to be hashed is too large */
	List	   *lost;			/* of Oid: an error where one of these is read */
	bool		relations;		/* which relations their plans have */
} PlanWatch;

/* Once in a process that executes steps. */
extern void planwatch_install(void);

/*
 * From now on statements at top level are watched: a query step's query, the
 * statements of a command, and those of a DO block or procedure that it calls;
 * not what functions execute while a statement runs, but for lost tables, which
 * nobody may read (ERRCODE_ETL_OUTPUT_LOST).  What is noted lives in the current
 * memory context, which the transaction's end must not delete.
 */
extern void planwatch_begin(const PlanWatch *wanted);

/*
 * The relations of all plans that have been executed since planwatch_begin, in
 * functions too, but not in those that a parallel worker has executed: of Oid,
 * ascending.
 */
extern List *planwatch_relations(void);

/*
 * No longer.  Also after an error; calling it twice does no harm.
 *
 * *plans: NULL, or JSON text: an array with an element for each statement that
 * had a plan, as EXPLAIN (FORMAT JSON) prints it: with the rows that each node
 * has returned where the statement has come to its end, else with estimates
 * only.  Of very many or very large ones the last are left out.
 *
 * *warnings: of char *.
 */
extern void planwatch_end(char **plans, List **warnings);

#endif							/* ETL_PLANWATCH_H */
