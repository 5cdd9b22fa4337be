/*-------------------------------------------------------------------------
 *
 * step_analysis.h
 *	  What a step's SQL would mean, without any table of the run being there.
 *
 * Nothing is executed, planned or written: the server's parser and rewriter look
 * at the SQL, and where it names a step of the pipeline they are given the row
 * type that this step's own SQL has.
 *
 * The functions work as the current user, with the current search_path, and
 * take the locks on tables and views that analysis takes; a subtransaction of
 * the caller's that is rolled back gives all of that back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_STEP_ANALYSIS_H
#define ETL_STEP_ANALYSIS_H

#include "define/pipeline.h"

#include "access/tupdesc.h"
#include "nodes/parsenodes.h"

typedef struct StepAnalysis
{
	List	   *views;			/* of Oid: the views that the SQL itself names */
	List	   *queries;		/* of Query, rewritten: views are subqueries in them */
	TupleDesc	desc;			/* the rows of a query step; NULL for commands */
} StepAnalysis;

/*
 * Return true if the step's SQL can be analysed before it runs: for query steps; for
 * command steps if all of their statements are queries or INSERT, UPDATE, DELETE
 * and MERGE, and none of them changes a step's table.
 */
extern bool step_analysis_is_possible(const PipelineGraph *graph, int step);

/*
 * Analyses it.  descs has the row type of each query step that its SQL names.
 * Raises whatever the SQL raises, with the position in the step's SQL.
 */
extern void step_analysis_of_step(const PipelineGraph *graph, int step, const TupleDesc *descs,
								  StepAnalysis *analysis);

/*
 * Checks an element of "indexes" of a step with these rows: columns, expressions,
 * access method, operator classes.  partition_key: column names (char *) that a
 * unique index has to contain.  Raises what CREATE INDEX would, with the position
 * in the index's text.
 */
extern void step_analysis_check_index(const Step *step, TupleDesc desc, const char *index,
									  const List *partition_key);

/*
 * Analyses an element of "checks" of a step with these rows; descs as for
 * step_analysis_of_step.  Raises what testing the check would, before it has looked at a
 * row, with the position in the check's text.
 */
extern void step_analysis_of_check(const PipelineGraph *graph, int step, const TupleDesc *descs,
								   TupleDesc desc, const char *text, StepAnalysis *analysis);

#endif							/* ETL_STEP_ANALYSIS_H */
