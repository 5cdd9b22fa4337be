/*-------------------------------------------------------------------------
 *
 * dag_private.h
 *	  The inside of a Dag, for the two files that implement dag.h.
 *
 * dag.c makes the graph and seals it; dag_run.c only reads it, and only when it
 * is sealed.  Nobody else may include this file.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_DAG_PRIVATE_H
#define ETL_DAG_PRIVATE_H

#include "graph/dag.h"

typedef struct DagEdge
{
	int			upstream;
	int			downstream;
} DagEdge;

/* Neighbours of step s: step[start[s]] to step[start[s + 1] - 1]. */
typedef struct DagAdjacency
{
	int		   *start;			/* nsteps + 1 entries */
	int		   *step;
} DagAdjacency;

struct Dag
{
	int			nsteps;
	bool		sealed;
	int		   *order;			/* DAG_NO_ORDER is replaced by dag_seal */

	/* until dag_seal: edges as they came, perhaps more than once */
	DagEdge    *edges;
	int			nedges;
	int			maxedges;

	/* from dag_seal on */
	DagAdjacency down;			/* who reads this step */
	DagAdjacency up;			/* what this step reads */
	int		   *level;
	int		   *height;
	int		   *topo;			/* the steps by level, then number */
	int		   *topo_rank;		/* its inverse: place of a step in topo */
	int		   *queue;			/* the steps by order, height, number */
	int		   *queue_rank;		/* its inverse */
	int		   *stage;			/* how many distinct orders are smaller */
	int			nstages;
};

#define AssertStep(dag, s)	Assert((s) >= 0 && (s) < (dag)->nsteps)

static inline int *
palloc_ints(int n)
{
	return (int *) palloc(sizeof(int) * (Size) n);
}

static inline int *
palloc0_ints(int n)
{
	return (int *) palloc0(sizeof(int) * (Size) n);
}

/* qsort comparator; subtracting would overflow */
static inline int
compare_ints(const void *a, const void *b)
{
	int			x = *(const int *) a;
	int			y = *(const int *) b;

	return (x > y) - (x < y);
}

#endif							/* ETL_DAG_PRIVATE_H */
