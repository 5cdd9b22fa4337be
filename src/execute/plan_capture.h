/*-------------------------------------------------------------------------
 *
 * plan_capture.h
 *	  The plans that a step's SQL is executed with: kept, and looked at.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_PLAN_CAPTURE_H
#define ETL_PLAN_CAPTURE_H

#include "etl.h"
#include "nodes/pg_list.h"

/* What is wanted of the statements that are executed until plan_capture_end. */
typedef struct PlanCapture
{
	bool		keep;			/* their plans */
	bool		timing;			/* with times and buffers of every node */
	bool		broadcast;		/* a warning where a side to be hashed is too large */
	List	   *lost;			/* of Oid: an error where one of these is read */
	bool		relations;		/* which relations their plans have */
} PlanCapture;

/* Once in a process that executes steps. */
extern void plan_capture_install(void);

/*
 * From now on statements at top level are watched: a query step's query, the
 * statements of a command, and those of a DO block or procedure that it calls;
 * not what functions execute while a statement runs, but for lost tables, which
 * nobody may read (ERRCODE_ETL_OUTPUT_LOST).  What is noted lives in the current
 * memory context, which the transaction's end must not delete.
 */
extern void plan_capture_begin(const PlanCapture *wanted);

/*
 * The relations of all plans that have been executed since plan_capture_begin, in
 * functions too, but not in those that a parallel worker has executed: of Oid,
 * ascending.
 */
extern List *plan_capture_relations(void);

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
extern void plan_capture_end(char **plans, List **warnings);

#endif							/* ETL_PLAN_CAPTURE_H */
