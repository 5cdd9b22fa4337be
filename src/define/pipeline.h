/*-------------------------------------------------------------------------
 *
 * pipeline.h
 *	  A version of a pipeline as a graph; selecting steps of it.
 *
 * Knows definitions and the catalogs, but nothing of runs and processes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_PIPELINE_H
#define ETL_PIPELINE_H

#include "graph/dag.h"
#include "graph/retry.h"
#include "metastore/catalog.h"

typedef struct HTAB PipelineNames;

typedef struct PipelineGraph
{
	Pipeline   *pipeline;
	int			nsteps;
	Step	  **steps;			/* index = number in the dag; ascending step_id */
	Dag		   *dag;			/* sealed */
	PipelineNames *names;		/* process_name -> index; private */
} PipelineGraph;

/*
 * The pipeline of that name.  Raises undefined_object where there is none that
 * the current user may see; the two cases cannot be told apart.
 */
extern Pipeline *pipeline_open(const char *name);

/* Raises undefined_object: the pipeline has no such version. */
extern void pipeline_raise_unknown_version(const Pipeline *newest, int32 version);

/*
 * Loads a version (0: the newest) in the current memory context.  A step comes
 * after the steps whose names its SQL reads or writes, unqualified or qualified
 * with the target schema, and after those that its depends_on names.
 *
 * Raises undefined_object for an unknown pipeline or version,
 * program_limit_exceeded for more than ETL_MAX_STEPS steps, and
 * ERRCODE_ETL_INVALID_PIPELINE, with detail and hint, where depends_on names no
 * step, where the graph has a cycle, and where in staged ordering an
 * execution_order contradicts the graph.
 */
extern PipelineGraph *pipeline_load_graph(int32 pipeline_id, int32 version);

/*
 * For those who want to know all that is wrong, and not only the first thing:
 * the steps with their bodies, not linked (dag is NULL).  Raises only
 * undefined_object and program_limit_exceeded.
 */
extern PipelineGraph *pipeline_load_unlinked(int32 pipeline_id, int32 version);

/*
 * Makes graph->dag anew, not sealed, with the edges between the steps that are
 * not excluded (NULL: none is).  Names in depends_on that no step has are left out.
 */
extern void pipeline_link(PipelineGraph *graph, const bool *excluded);

/*
 * What pipeline_load_graph raises: ERRCODE_ETL_INVALID_PIPELINE for a name in
 * depends_on that no step has; for a path that dag_find_cycle has found; for a
 * step that comes before its upstream in staged ordering.
 */
extern void pipeline_check_dependency(const PipelineGraph *graph, int step, const char *name);
extern void pipeline_raise_cycle(const PipelineGraph *graph, const int *path, int length);
extern void pipeline_raise_order_conflict(const PipelineGraph *graph, int step, int upstream);

/* An empty hash table, for about so many entries that begin with a name. */
extern PipelineNames *pipeline_create_names(const char *what, int expected, Size entrysize);

/* The step's index; -1 if there is none of that name. */
extern int	pipeline_find_step(const PipelineGraph *graph, const char *name);

/*
 * The step name that a reference, as Step's reads and writes contain them, would
 * mean: of one that is not qualified, or is with the target schema.  Else NULL.
 */
extern char *pipeline_reference_name(const Pipeline *pipeline, const char *reference);

/* The step whose table a reference means; -1 if it is some other relation. */
extern int	pipeline_find_reference(const PipelineGraph *graph, const char *reference);

/*
 * The steps that selectors (of char *) choose: 'a' that step, 'a+' also all that
 * read it, directly or through others, '+a' all that it reads, '+a+' both.
 * A step whose own name has such a sign is chosen by its exact name.  NIL
 * chooses all steps.  The result is palloc'd, an element a step.
 *
 * Raises undefined_object, with the nearest name as hint, for an unknown step,
 * and invalid_parameter_value for an empty selector.
 */
extern bool *pipeline_select(const PipelineGraph *graph, const List *selectors);

/*
 * The argument "steps" of etl.run and its kind as a list for pipeline_select; NULL
 * is NIL, all steps.  Raises invalid_parameter_value for an empty array and
 * null_value_not_allowed for a null element.
 */
extern List *pipeline_selection_from_array(ArrayType *array);

/*
 * Which of the executed steps (NULL: all) share the run's snapshot: the query
 * steps that no executed command step precedes, if the pipeline has one_snapshot.
 * member: an element a step.  Returns how many.
 */
extern int	pipeline_mark_one_instant(const PipelineGraph *graph, const bool *executed,
									  bool *member);

/*
 * What these steps read and the run does not make: of char *, as in Step's reads.
 * selected: the steps whose tables the run has, executed or not; NULL: all.
 */
extern List *pipeline_sources(const PipelineGraph *graph, const bool *selected,
							  const bool *member);

/*
 * Raises object_not_in_prerequisite_state where the server may remove rows from
 * under a snapshot (old_snapshot_threshold, up to 16) and the run needs one.
 */
extern void pipeline_check_snapshot(const PipelineGraph *graph, const bool *selected);

/* Is the step's table logged: its persist, else what the durability says. */
extern bool pipeline_is_logged(const PipelineGraph *graph, int index);

/*
 * How the attempts of a step are repeated; palloc'd parts point into the
 * pipeline.
 */
extern void pipeline_retry_policy(const Pipeline *pipeline, const Step *step,
								  RetryPolicy *policy);

#endif							/* ETL_PIPELINE_H */
