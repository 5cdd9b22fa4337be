/*-------------------------------------------------------------------------
 *
 * dag.c
 *	  The graph of a pipeline's steps: building, checking and asking it.
 *
 * See dag.h for what is promised, dag_run.c for runs over the graph.  This file
 * knows numbers, arrays and palloc; it may not know the catalog, SQL, shared
 * memory, processes or the time, so that all of it can be tested without a
 * server.  Nor does it know of runs: to them a sealed graph is constant.
 *
 * While the graph is being built, edges are just appended to an array.  Then
 * they are brought into compressed form: one array with the neighbours of all
 * steps behind each other, and one that says where each step's neighbours
 * start.  Transposing a graph in this form (walk the steps in ascending order,
 * append each to the lists of its neighbours) takes linear time and leaves
 * every list ascending; it can drop duplicate edges on the way.  So the edges
 * are bucketed by reader in whatever order they came, transposed into the
 * lists of readers, and transposed again into the lists of what is read: no
 * sort by comparison is needed.
 *
 * Cycles: Kahn's algorithm takes away, one after another, the steps that nothing leads to, and then
 * in the same way those that lead to nothing.  What is left lies on a cycle, or between two.  From
 * the lowest-numbered one that a breadth-first search leads back to, that search has found the
 * shortest way.  People read that path in an error message, so it should be short and always the
 * same.
 *
 * Sealing: Kahn's algorithm gives levels, the same order backwards gives
 * heights.  Everything that decides which of two ready steps goes first (order,
 * height, number) is known then, so the steps are sorted by it once.  A step's
 * place in that sequence is its rank.  Steps of one order have neighbouring
 * ranks; they form a stage, and stages are numbered from 0.
 *
 * No function here recurses: graphs are as deep as people make them.
 *
 *-------------------------------------------------------------------------
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include <limits.h>

#include "graph/dag.h"
#include "graph/dag_private.h"

/* What the sort of dag_seal compares */
typedef struct DagQueueKey
{
	int			order;
	int			height;
	int			step;
} DagQueueKey;

/* qsort comparator: which of two ready steps goes first */
static int
compare_queue_keys(const void *a, const void *b)
{
	const DagQueueKey *x = (const DagQueueKey *) a;
	const DagQueueKey *y = (const DagQueueKey *) b;

	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	if (x->height != y->height)
		return x->height > y->height ? -1 : 1;
	return compare_ints(&x->step, &y->step);
}

/* ------------------------------------------------------------------------
 *		Building
 * ------------------------------------------------------------------------
 */

Dag *
dag_create(int nsteps)
{
	Dag		   *dag;
	int			s;

	Assert(nsteps >= 0);

	dag = (Dag *) palloc0(sizeof(Dag));
	dag->nsteps = nsteps;
	dag->order = palloc_ints(nsteps);
	for (s = 0; s < nsteps; s++)
		dag->order[s] = DAG_NO_ORDER;

	return dag;
}

void
dag_add_edge(Dag *dag, int upstream, int downstream)
{
	Assert(!dag->sealed);
	AssertStep(dag, upstream);
	AssertStep(dag, downstream);

	if (dag->edges == NULL)
	{
		dag->maxedges = 64;
		dag->edges = (DagEdge *) palloc(sizeof(DagEdge) * dag->maxedges);
	}
	else if (dag->nedges == dag->maxedges)
	{
		Assert(dag->maxedges <= INT_MAX / 2);
		dag->maxedges *= 2;
		dag->edges = (DagEdge *) repalloc(dag->edges,
										  sizeof(DagEdge) * (Size) dag->maxedges);
	}

	dag->edges[dag->nedges].upstream = upstream;
	dag->edges[dag->nedges].downstream = downstream;
	dag->nedges++;
}

void
dag_set_order(Dag *dag, int step, int order)
{
	Assert(!dag->sealed);
	AssertStep(dag, step);

	dag->order[step] = order;
}

static void
adjacency_free(DagAdjacency *adj)
{
	pfree(adj->start);
	pfree(adj->step);
}

void
dag_free(Dag *dag)
{
	if (dag->edges)
		pfree(dag->edges);
	if (dag->sealed)
	{
		adjacency_free(&dag->down);
		adjacency_free(&dag->up);
		pfree(dag->level);
		pfree(dag->height);
		pfree(dag->topo);
		pfree(dag->topo_rank);
		pfree(dag->queue);
		pfree(dag->queue_rank);
		pfree(dag->stage);
	}
	pfree(dag->order);
	pfree(dag);
}

/* ------------------------------------------------------------------------
 *		Compressed form
 * ------------------------------------------------------------------------
 */

/*
 * Turns the counts in start[1 .. nsteps] into the places where the lists
 * start, makes room for the lists, and returns a copy of the places for the
 * caller to move along while it fills them.
 */
static int *
adjacency_layout(DagAdjacency *adj, int nsteps)
{
	int		   *cursor = palloc_ints(nsteps);
	int			s;

	for (s = 0; s < nsteps; s++)
	{
		cursor[s] = adj->start[s];
		adj->start[s + 1] += adj->start[s];
	}
	adj->step = palloc_ints(adj->start[nsteps]);

	return cursor;
}

/* What each step reads: in the order of the edges, duplicates and all. */
static void
adjacency_from_edges(const Dag *dag, DagAdjacency *up)
{
	int		   *cursor;
	int			e;

	up->start = palloc0_ints(dag->nsteps + 1);
	for (e = 0; e < dag->nedges; e++)
		up->start[dag->edges[e].downstream + 1]++;

	cursor = adjacency_layout(up, dag->nsteps);
	for (e = 0; e < dag->nedges; e++)
		up->step[cursor[dag->edges[e].downstream]++] = dag->edges[e].upstream;

	pfree(cursor);
}

/*
 * The same edges seen from their other end.  Whatever the lists of "in" look
 * like, those of "out" are ascending and free of duplicates.
 */
static void
adjacency_transpose(int nsteps, const DagAdjacency *in, DagAdjacency *out)
{
	int		   *last = palloc_ints(nsteps); /* last entry of each list */
	int		   *cursor;
	int			s;
	int			i;

	out->start = palloc0_ints(nsteps + 1);
	for (s = 0; s < nsteps; s++)
		last[s] = -1;
	for (s = 0; s < nsteps; s++)
	{
		for (i = in->start[s]; i < in->start[s + 1]; i++)
		{
			if (last[in->step[i]] != s)
			{
				last[in->step[i]] = s;
				out->start[in->step[i] + 1]++;
			}
		}
	}

	cursor = adjacency_layout(out, nsteps);
	for (s = 0; s < nsteps; s++)
		last[s] = -1;
	for (s = 0; s < nsteps; s++)
	{
		for (i = in->start[s]; i < in->start[s + 1]; i++)
		{
			if (last[in->step[i]] != s)
			{
				last[in->step[i]] = s;
				out->step[cursor[in->step[i]]++] = s;
			}
		}
	}

	pfree(cursor);
	pfree(last);
}

/* ------------------------------------------------------------------------
 *		Checking
 * ------------------------------------------------------------------------
 */

/*
 * Mark as gone, one after another, the steps that no other step leads to by the edges of "out";
 * "in" has the same edges from their other end.
 */
static void
peel(int nsteps, const DagAdjacency *in, const DagAdjacency *out, bool *gone)
{
	int		   *count = palloc0_ints(nsteps);	/* of edges from steps that are not gone */
	int		   *queue = palloc_ints(nsteps);
	int			head = 0;
	int			tail = 0;

	for (int s = 0; s < nsteps; s++)
	{
		for (int i = in->start[s]; i < in->start[s + 1]; i++)
			count[s] += !gone[in->step[i]];
	}
	for (int s = 0; s < nsteps; s++)
	{
		if (!gone[s] && count[s] == 0)
			queue[tail++] = s;
	}
	while (head < tail)
	{
		int			s = queue[head++];

		gone[s] = true;
		for (int i = out->start[s]; i < out->start[s + 1]; i++)
		{
			int			t = out->step[i];

			if (--count[t] == 0 && !gone[t])
				queue[tail++] = t;
		}
	}
	pfree(count);
	pfree(queue);
}

/*
 * Find the shortest cycle through a step.  Returns its length and the palloc'd path, which starts
 * with the step; 0 if there is none.
 */
static int
shortest_cycle_through(int nsteps, const DagAdjacency *down, const bool *gone, int step, int **path)
{
	int		   *parent = palloc_ints(nsteps);	/* -1: not reached */
	int		   *queue = palloc_ints(nsteps);
	int			head = 0;
	int			tail = 0;
	int			last = -1;		/* the step that the first one reads */
	int			length = 0;

	for (int s = 0; s < nsteps; s++)
		parent[s] = -1;

	queue[tail++] = step;
	while (last < 0 && head < tail)
	{
		int			s = queue[head++];

		for (int i = down->start[s]; i < down->start[s + 1] && last < 0; i++)
		{
			int			t = down->step[i];

			if (t == step)
				last = s;
			else if (!gone[t] && parent[t] < 0)
			{
				parent[t] = s;
				queue[tail++] = t;
			}
		}
	}

	if (last >= 0)
	{
		length = 1;
		for (int s = last; s != step; s = parent[s])
			length++;
		*path = palloc_ints(length);
		for (int s = last, i = length - 1; i >= 0; s = parent[s], i--)
			(*path)[i] = s;
	}

	pfree(parent);
	pfree(queue);

	return length;
}

int
dag_find_cycle(const Dag *dag, int **path)
{
	DagAdjacency unsorted;
	DagAdjacency up;
	DagAdjacency down;
	bool	   *gone;
	int			length = 0;

	*path = NULL;
	if (dag->sealed || dag->nsteps == 0)
		return 0;

	adjacency_from_edges(dag, &unsorted);
	adjacency_transpose(dag->nsteps, &unsorted, &down);
	adjacency_transpose(dag->nsteps, &down, &up);
	gone = (bool *) palloc0(sizeof(bool) * (Size) dag->nsteps);
	peel(dag->nsteps, &up, &down, gone);
	peel(dag->nsteps, &down, &up, gone);
	for (int s = 0; s < dag->nsteps && length == 0; s++)
	{
		if (!gone[s])
			length = shortest_cycle_through(dag->nsteps, &down, gone, s, path);
	}

	pfree(gone);
	adjacency_free(&unsorted);
	adjacency_free(&up);
	adjacency_free(&down);

	return length;
}

/*
 * Levels, and the steps by level and number, by Kahn's algorithm.  Each level
 * is a stretch of topo; a step is complete when the last step that it reads
 * has been looked at, which is then on the level just before its own.
 */
static void
seal_levels(Dag *dag)
{
	int			n = dag->nsteps;
	int		   *waits_for = palloc_ints(n);
	int			head = 0;
	int			tail = 0;
	int			level = 0;
	int			s;
	int			i;

	dag->level = palloc0_ints(n);
	dag->topo = palloc_ints(n);
	dag->topo_rank = palloc_ints(n);

	for (s = 0; s < n; s++)
	{
		waits_for[s] = dag->up.start[s + 1] - dag->up.start[s];
		if (waits_for[s] == 0)
			dag->topo[tail++] = s;
	}

	while (head < tail)
	{
		int			end = tail;

		/* a whole level is known now: put it into the order of numbers */
		if (level > 0)
			qsort(dag->topo + head, end - head, sizeof(int), compare_ints);

		for (; head < end; head++)
		{
			s = dag->topo[head];
			dag->topo_rank[s] = head;
			dag->level[s] = level;
			for (i = dag->down.start[s]; i < dag->down.start[s + 1]; i++)
			{
				if (--waits_for[dag->down.step[i]] == 0)
					dag->topo[tail++] = dag->down.step[i];
			}
		}
		level++;
	}

	/* otherwise there is a cycle, and the caller did not look for it */
	Assert(tail == n);

	pfree(waits_for);
}

/* Heights: readers come later in topo, so go through it backwards. */
static void
seal_heights(Dag *dag)
{
	int			rank;
	int			i;

	dag->height = palloc0_ints(dag->nsteps);
	for (rank = dag->nsteps - 1; rank >= 0; rank--)
	{
		int			s = dag->topo[rank];

		for (i = dag->down.start[s]; i < dag->down.start[s + 1]; i++)
			dag->height[s] = Max(dag->height[s],
								 dag->height[dag->down.step[i]] + 1);
	}
}

/* The sequence in which ready steps are handed out, and its stages. */
static void
seal_queue(Dag *dag)
{
	int			n = dag->nsteps;
	DagQueueKey *keys = (DagQueueKey *) palloc(sizeof(DagQueueKey) * (Size) n);
	int			i;

	for (i = 0; i < n; i++)
	{
		keys[i].order = dag->order[i];
		keys[i].height = dag->height[i];
		keys[i].step = i;
	}
	qsort(keys, n, sizeof(DagQueueKey), compare_queue_keys);

	dag->queue = palloc_ints(n);
	dag->queue_rank = palloc_ints(n);
	dag->stage = palloc_ints(n);
	dag->nstages = 0;
	for (i = 0; i < n; i++)
	{
		if (i == 0 || keys[i].order != keys[i - 1].order)
			dag->nstages++;
		dag->queue[i] = keys[i].step;
		dag->queue_rank[keys[i].step] = i;
		dag->stage[keys[i].step] = dag->nstages - 1;
	}

	pfree(keys);
}

void
dag_seal(Dag *dag)
{
	DagAdjacency unsorted;
	int			s;

	Assert(!dag->sealed);

	adjacency_from_edges(dag, &unsorted);
	adjacency_transpose(dag->nsteps, &unsorted, &dag->down);
	adjacency_transpose(dag->nsteps, &dag->down, &dag->up);
	adjacency_free(&unsorted);

	if (dag->edges)
		pfree(dag->edges);
	dag->edges = NULL;
	dag->nedges = dag->maxedges = 0;

	seal_levels(dag);
	seal_heights(dag);
	for (s = 0; s < dag->nsteps; s++)
	{
		if (dag->order[s] == DAG_NO_ORDER)
			dag->order[s] = dag->level[s];
	}
	seal_queue(dag);

	dag->sealed = true;
}

/* ------------------------------------------------------------------------
 *		Asking
 * ------------------------------------------------------------------------
 */

int
dag_nsteps(const Dag *dag)
{
	return dag->nsteps;
}

int
dag_level(const Dag *dag, int step)
{
	Assert(dag->sealed);
	AssertStep(dag, step);
	return dag->level[step];
}

int
dag_order(const Dag *dag, int step)
{
	Assert(dag->sealed);
	AssertStep(dag, step);
	return dag->order[step];
}

int
dag_height(const Dag *dag, int step)
{
	Assert(dag->sealed);
	AssertStep(dag, step);
	return dag->height[step];
}

static int
adjacency_list(const DagAdjacency *adj, int step, const int **steps)
{
	*steps = adj->step + adj->start[step];
	return adj->start[step + 1] - adj->start[step];
}

int
dag_upstream(const Dag *dag, int step, const int **steps)
{
	Assert(dag->sealed);
	AssertStep(dag, step);
	return adjacency_list(&dag->up, step, steps);
}

int
dag_downstream(const Dag *dag, int step, const int **steps)
{
	Assert(dag->sealed);
	AssertStep(dag, step);
	return adjacency_list(&dag->down, step, steps);
}

/* Both directions of dag_mark_*: O(steps + edges), whatever member says. */
static void
mark_reachable(int nsteps, const DagAdjacency *adj, int step, bool *member)
{
	bool	   *seen = (bool *) palloc0(sizeof(bool) * (Size) nsteps);
	int		   *todo = palloc_ints(nsteps);
	int			ntodo = 0;

	todo[ntodo++] = step;
	while (ntodo > 0)
	{
		int			s = todo[--ntodo];
		int			i;

		for (i = adj->start[s]; i < adj->start[s + 1]; i++)
		{
			int			t = adj->step[i];

			if (!seen[t])
			{
				seen[t] = true;
				member[t] = true;
				todo[ntodo++] = t;
			}
		}
	}

	pfree(seen);
	pfree(todo);
}

void
dag_mark_ancestors(const Dag *dag, int step, bool *member)
{
	Assert(dag->sealed);
	AssertStep(dag, step);
	mark_reachable(dag->nsteps, &dag->up, step, member);
}

void
dag_mark_descendants(const Dag *dag, int step, bool *member)
{
	Assert(dag->sealed);
	AssertStep(dag, step);
	mark_reachable(dag->nsteps, &dag->down, step, member);
}

void
dag_mark_after(const Dag *dag, const bool *selected, bool staged,
			   const bool *from, bool *after)
{
	bool		any = false;
	int			first = 0;		/* the lowest order of "from" */
	int			rank;
	int			i;

	Assert(dag->sealed);

	for (i = 0; i < dag->nsteps; i++)
	{
		if ((selected && !selected[i]) || !from[i])
			continue;
		if (!any || dag->order[i] < first)
			first = dag->order[i];
		any = true;
	}

	for (rank = 0; rank < dag->nsteps; rank++)
	{
		int			s = dag->topo[rank];

		after[s] = false;
		if (!any || (selected && !selected[s]))
			continue;
		after[s] = staged && dag->order[s] > first;
		for (i = dag->up.start[s]; i < dag->up.start[s + 1] && !after[s]; i++)
		{
			int			u = dag->up.step[i];

			after[s] = (selected == NULL || selected[u]) && (from[u] || after[u]);
		}
	}
}

/*
 * Direct edges are enough: where a chain of members leads from a higher to a
 * lower order, one of its edges does.
 */
bool
dag_find_order_conflict(const Dag *dag, const bool *member,
						int *step, int *upstream)
{
	int			s;
	int			i;

	Assert(dag->sealed);

	for (s = 0; s < dag->nsteps; s++)
	{
		if (member && !member[s])
			continue;
		for (i = dag->up.start[s]; i < dag->up.start[s + 1]; i++)
		{
			int			u = dag->up.step[i];

			if (member && !member[u])
				continue;
			if (dag->order[u] > dag->order[s])
			{
				*step = s;
				*upstream = u;
				return true;
			}
		}
	}

	return false;
}
