/*-------------------------------------------------------------------------
 *
 * dag_test.c
 *	  What dag.h promises, without a server.
 *
 * First the promises one by one, on graphs small enough to draw; then random
 * graphs against an oracle that knows nothing but a matrix of edges and looks
 * at all of it for every answer.  The random part prints its seed; give that
 * seed as the argument to see the same graphs again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <limits.h>
#include <time.h>

#include "graph/dag.h"
#include "tap.h"

#define MAX_STEPS		200
#define DEEP_STEPS		100000

/* ---- random numbers: xorshift64*, the same on every machine ---- */

static uint64 random_state;

static void
random_seed(uint64 seed)
{
	random_state = (seed + 1) * UINT64CONST(0x9E3779B97F4A7C15);
	if (random_state == 0)
		random_state = 1;
}

/* 0 to n - 1 */
static int
random_below(int n)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (int) (((random_state * UINT64CONST(0x2545F4914F6CDD1D)) >> 33) % n);
}

static bool
random_percent(int percent)
{
	return random_below(100) < percent;
}

/* ---- graphs from literals ---- */

typedef struct Edge
{
	int			upstream;
	int			downstream;
} Edge;

static Dag *
graph(int nsteps, const Edge *edges, int nedges)
{
	Dag		   *dag = dag_create(nsteps);
	int			i;

	for (i = 0; i < nedges; i++)
		dag_add_edge(dag, edges[i].upstream, edges[i].downstream);
	return dag;
}

static Dag *
sealed_graph(int nsteps, const Edge *edges, int nedges)
{
	Dag		   *dag = graph(nsteps, edges, nedges);
	int		   *path;

	MUST(dag_find_cycle(dag, &path) == 0);
	MUST(path == NULL);
	dag_seal(dag);
	return dag;
}

#define GRAPH(n, edges)			graph(n, edges, (int) lengthof(edges))
#define SEALED_GRAPH(n, edges)	sealed_graph(n, edges, (int) lengthof(edges))

static bool
same_steps(const int *steps, int nsteps, const int *expected, int nexpected)
{
	return nsteps == nexpected &&
		memcmp(steps, expected, sizeof(int) * nexpected) == 0;
}

/* Are the steps exactly these?  SAME(steps, nsteps, 1, 2, 3) */
#define SAME(steps, nsteps, ...) \
	same_steps(steps, nsteps, (const int[]) {__VA_ARGS__}, \
			   (int) lengthof(((const int[]) {__VA_ARGS__})))

/*
 * The pipeline of the examples: extract 0, clean 1, aggregate 2, stats 3,
 * lookup 4, enrich 5, final 6, report 7.
 */
static const Edge seed_edges[] = {
	{0, 1}, {1, 2}, {1, 3}, {2, 5}, {4, 5}, {5, 6}, {5, 7}
};

#define SEED_STEPS	8

/* ---- cycles ---- */

/* Does the graph have a cycle, and is it exactly this one? */
static bool
cycle_is(Dag *dag, const int *expected, int nexpected)
{
	int		   *path;
	int			n = dag_find_cycle(dag, &path);
	bool		same = same_steps(path, n, expected, nexpected);

	if (n > 0)
		pfree(path);
	dag_free(dag);
	return same;
}

#define CYCLE_IS(dag, ...) \
	cycle_is(dag, (const int[]) {__VA_ARGS__}, \
			 (int) lengthof(((const int[]) {__VA_ARGS__})))

static void
test_cycle_of_one(void)
{
	static const Edge edges[] = {{0, 1}, {1, 2}, {1, 1}};

	MUST(CYCLE_IS(GRAPH(3, edges), 1));
}

static void
test_cycle_path(void)
{
	static const Edge edges[] = {{3, 1}, {1, 4}, {4, 2}, {2, 3}, {0, 3}, {2, 5}};

	MUST(CYCLE_IS(GRAPH(6, edges), 1, 4, 2, 3));
}

static void
test_cycle_choice(void)
{
	/* 0 leads into the cycle of 5 and 6, but 2 is lower */
	static const Edge two[] = {{0, 5}, {5, 6}, {6, 5}, {3, 2}, {2, 3}};

	/* a long way and a short way round */
	static const Edge shorter[] = {{0, 1}, {1, 2}, {2, 0}, {0, 3}, {3, 0}};

	/* two ways of one length */
	static const Edge ways[] = {{0, 3}, {3, 0}, {2, 0}, {0, 2}};
	static const Edge crossed[] = {
		{0, 1}, {0, 2}, {1, 4}, {2, 3}, {3, 0}, {4, 0}
	};

	MUST(CYCLE_IS(GRAPH(7, two), 2, 3));
	MUST(CYCLE_IS(GRAPH(4, shorter), 0, 3));
	MUST(CYCLE_IS(GRAPH(4, ways), 0, 2));
	MUST(CYCLE_IS(GRAPH(5, crossed), 0, 1, 4));
}

static void
test_no_cycle(void)
{
	static const Edge diamond[] = {{0, 1}, {0, 2}, {1, 3}, {2, 3}, {0, 3}, {0, 3}};

	dag_free(SEALED_GRAPH(4, diamond));
	dag_free(SEALED_GRAPH(SEED_STEPS, seed_edges));
	dag_free(sealed_graph(0, NULL, 0));
	dag_free(sealed_graph(5, NULL, 0));
}

/*
 * A chain as deep as may come, against the order of the numbers, so that a
 * search that recurses has to go all the way down.
 */
static void
test_deep_chain(void)
{
	Dag		   *dag = dag_create(DEEP_STEPS);
	DagRun	   *run;
	bool	   *member = palloc0(DEEP_STEPS);
	int		   *path;
	int		   *skipped;
	int			in_sequence = 0;
	int			s;

	for (s = 1; s < DEEP_STEPS; s++)
		dag_add_edge(dag, s, s - 1);
	MUST(dag_find_cycle(dag, &path) == 0);
	dag_seal(dag);

	MUST(dag_level(dag, 0) == DEEP_STEPS - 1);
	MUST(dag_height(dag, DEEP_STEPS - 1) == DEEP_STEPS - 1);
	dag_mark_ancestors(dag, 0, member);
	MUST(!member[0] && member[1] && member[DEEP_STEPS - 1]);

	run = dag_run_create(dag, NULL, true);
	for (s = DEEP_STEPS - 1; dag_run_has_ready(run); s--)
	{
		in_sequence += (dag_run_next(run) == s);
		dag_run_succeeded(run, s);
	}
	MUST(in_sequence == DEEP_STEPS);
	MUST(dag_run_unfinished(run) == 0);
	dag_run_free(run);

	run = dag_run_create(dag, NULL, false);
	MUST(dag_run_failed(run, dag_run_next(run), &skipped) == DEEP_STEPS - 1);
	MUST(skipped[0] == DEEP_STEPS - 2 && skipped[DEEP_STEPS - 2] == 0);
	pfree(skipped);
	dag_run_free(run);

	pfree(member);
	dag_free(dag);
}

static void
test_deep_cycle(void)
{
	Dag		   *dag = dag_create(DEEP_STEPS);
	int		   *path;
	int			in_sequence = 1;
	int			s;

	for (s = 1; s < DEEP_STEPS; s++)
		dag_add_edge(dag, s, s - 1);
	dag_add_edge(dag, 0, DEEP_STEPS - 1);

	if (MUST(dag_find_cycle(dag, &path) == DEEP_STEPS))
	{
		for (s = 1; s < DEEP_STEPS; s++)
			in_sequence += (path[s] == DEEP_STEPS - s);
		MUST(path[0] == 0 && in_sequence == DEEP_STEPS);
		pfree(path);
	}
	dag_free(dag);
}

/* ---- asking ---- */

static void
test_empty(void)
{
	Dag		   *dag = sealed_graph(0, NULL, 0);
	DagRun	   *run = dag_run_create(dag, NULL, true);
	int		   *skipped;
	int			step;
	int			upstream;

	MUST(dag_nsteps(dag) == 0);
	MUST(!dag_find_order_conflict(dag, NULL, &step, &upstream));
	MUST(!dag_run_has_ready(run));
	MUST(dag_run_next(run) == -1);
	MUST(dag_run_unfinished(run) == 0);
	MUST(dag_run_abandon(run, &skipped) == 0);
	pfree(skipped);
	dag_run_free(run);
	dag_free(dag);
}

static void
test_levels_and_heights(void)
{
	static const int levels[] = {0, 1, 2, 2, 0, 3, 4, 4};
	static const int heights[] = {4, 3, 2, 0, 2, 1, 0, 0};
	Dag		   *dag = SEALED_GRAPH(SEED_STEPS, seed_edges);
	int			s;

	MUST(dag_nsteps(dag) == SEED_STEPS);
	for (s = 0; s < SEED_STEPS; s++)
	{
		MUST(dag_level(dag, s) == levels[s]);
		MUST(dag_height(dag, s) == heights[s]);
		MUST(dag_order(dag, s) == levels[s]);
	}
	dag_free(dag);
}

static void
test_orders(void)
{
	Dag		   *dag = GRAPH(SEED_STEPS, seed_edges);

	dag_set_order(dag, 0, 7);
	dag_set_order(dag, 1, -3);
	dag_set_order(dag, 5, 0);
	dag_set_order(dag, 6, 9);
	dag_set_order(dag, 6, DAG_NO_ORDER);
	dag_seal(dag);
	MUST(dag_order(dag, 0) == 7);
	MUST(dag_order(dag, 1) == -3);
	MUST(dag_order(dag, 5) == 0);
	MUST(dag_order(dag, 6) == 4);
	MUST(dag_level(dag, 5) == 3);
	dag_free(dag);
}

static void
test_neighbours(void)
{
	static const Edge edges[] = {
		{4, 2}, {0, 2}, {4, 2}, {3, 2}, {0, 1}, {0, 2}, {4, 2}, {0, 4}
	};
	Dag		   *dag = SEALED_GRAPH(5, edges);
	const int  *steps;
	int			n;

	n = dag_upstream(dag, 2, &steps);
	MUST(SAME(steps, n, 0, 3, 4));
	n = dag_downstream(dag, 0, &steps);
	MUST(SAME(steps, n, 1, 2, 4));
	n = dag_downstream(dag, 4, &steps);
	MUST(SAME(steps, n, 2));
	MUST(dag_upstream(dag, 0, &steps) == 0);
	MUST(dag_downstream(dag, 2, &steps) == 0);
	dag_free(dag);
}

/* dag_add_edge has to make room several times */
static void
test_many_duplicates(void)
{
	Dag		   *dag = dag_create(3);
	DagRun	   *run;
	const int  *steps;
	int			i;

	for (i = 0; i < 1000; i++)
	{
		dag_add_edge(dag, 2, 1);
		dag_add_edge(dag, 1, 0);
	}
	dag_seal(dag);
	MUST(dag_downstream(dag, 2, &steps) == 1 && steps[0] == 1);
	MUST(dag_upstream(dag, 0, &steps) == 1 && steps[0] == 1);

	run = dag_run_create(dag, NULL, false);
	MUST(dag_run_pending_readers(run, 2) == 1);
	MUST(dag_run_next(run) == 2);
	dag_run_succeeded(run, 2);
	MUST(dag_run_next(run) == 1);
	dag_run_free(run);
	dag_free(dag);
}

static void
test_marks(void)
{
	Dag		   *dag = SEALED_GRAPH(SEED_STEPS, seed_edges);
	bool		member[SEED_STEPS] = {false};
	static const bool ancestors[SEED_STEPS] = {true, true, true, false, true};
	static const bool descendants[SEED_STEPS] = {
		false, false, true, true, false, true, true, true
	};

	dag_mark_ancestors(dag, 5, member);
	MUST(memcmp(member, ancestors, sizeof(member)) == 0);

	memset(member, 0, sizeof(member));
	dag_mark_descendants(dag, 1, member);
	MUST(memcmp(member, descendants, sizeof(member)) == 0);

	/* the step keeps what it had */
	member[4] = true;
	dag_mark_descendants(dag, 4, member);
	MUST(member[4]);
	dag_free(dag);
}

static void
test_marks_walk_through(void)
{
	Dag		   *dag = SEALED_GRAPH(SEED_STEPS, seed_edges);
	bool		member[SEED_STEPS] = {false};

	member[1] = true;
	dag_mark_descendants(dag, 0, member);
	MUST(member[2] && member[7]);
	member[5] = true;
	dag_mark_ancestors(dag, 6, member);
	MUST(member[0] && member[4]);
	dag_free(dag);
}

static void
test_order_conflict(void)
{
	Dag		   *dag = GRAPH(SEED_STEPS, seed_edges);
	bool		member[SEED_STEPS];
	int			step = -1;
	int			upstream = -1;

	dag_set_order(dag, 1, 5);	/* 2 and 3 read it, and come on level 2 */
	dag_set_order(dag, 6, 3);	/* as its upstream 5: no conflict */
	dag_seal(dag);

	MUST(dag_find_order_conflict(dag, NULL, &step, &upstream));
	MUST(step == 2 && upstream == 1);

	memset(member, true, sizeof(member));
	member[2] = false;
	MUST(dag_find_order_conflict(dag, member, &step, &upstream));
	MUST(step == 3 && upstream == 1);

	memset(member, true, sizeof(member));
	member[1] = false;
	MUST(!dag_find_order_conflict(dag, member, &step, &upstream));
	dag_free(dag);
}

/* ---- running ---- */

static void
test_priority(void)
{
	/* 0 and 2 come first by height, then 1 by number, 3 and 4 by order */
	static const Edge edges[] = {{0, 5}, {2, 6}, {6, 7}};
	Dag		   *dag = GRAPH(8, edges);
	DagRun	   *run;
	int			got[5];
	int			i;

	dag_set_order(dag, 3, -1);
	dag_set_order(dag, 4, 1);
	dag_seal(dag);
	run = dag_run_create(dag, NULL, false);
	for (i = 0; i < 5; i++)
		got[i] = dag_run_next(run);
	MUST(SAME(got, 5, 3, 2, 0, 1, 4));
	MUST(dag_run_next(run) == -1);
	dag_run_free(run);
	dag_free(dag);
}

static void
test_waits_for_all(void)
{
	Dag		   *dag = SEALED_GRAPH(SEED_STEPS, seed_edges);
	DagRun	   *run = dag_run_create(dag, NULL, false);

	MUST(dag_run_state(run, 0) == DAG_READY);
	MUST(dag_run_state(run, 1) == DAG_WAITING);
	MUST(dag_run_next(run) == 0);
	MUST(dag_run_state(run, 0) == DAG_RUNNING);
	MUST(dag_run_next(run) == 4);
	MUST(!dag_run_has_ready(run));
	MUST(dag_run_next(run) == -1);

	dag_run_succeeded(run, 0);
	MUST(dag_run_state(run, 0) == DAG_SUCCEEDED);
	MUST(dag_run_next(run) == 1);
	dag_run_succeeded(run, 1);
	MUST(dag_run_next(run) == 2);
	dag_run_succeeded(run, 2);
	MUST(dag_run_state(run, 5) == DAG_WAITING); /* 4 still runs */
	dag_run_succeeded(run, 4);
	MUST(dag_run_state(run, 5) == DAG_READY);
	MUST(dag_run_unfinished(run) == 4);
	dag_run_free(run);
	dag_free(dag);
}

static void
test_requeue(void)
{
	Dag		   *dag = SEALED_GRAPH(SEED_STEPS, seed_edges);
	DagRun	   *run = dag_run_create(dag, NULL, true);

	MUST(dag_run_next(run) == 0);
	MUST(dag_run_next(run) == 4);
	dag_run_requeue(run, 0);
	MUST(dag_run_state(run, 0) == DAG_READY);
	MUST(dag_run_state(run, 1) == DAG_WAITING);
	MUST(dag_run_unfinished(run) == SEED_STEPS);
	MUST(dag_run_has_ready(run));
	MUST(dag_run_next(run) == 0);
	dag_run_free(run);
	dag_free(dag);
}

static void
test_staged_barrier(void)
{
	static const Edge edges[] = {{0, 2}};
	Dag		   *dag = GRAPH(4, edges);
	DagRun	   *run;

	/* stages: {0, 1}, {2}, {3} although only 2 reads anything */
	dag_set_order(dag, 3, 40);
	dag_seal(dag);
	run = dag_run_create(dag, NULL, true);
	MUST(dag_run_state(run, 3) == DAG_READY);
	MUST(dag_run_next(run) == 0);
	MUST(dag_run_next(run) == 1);
	dag_run_succeeded(run, 0);
	MUST(dag_run_state(run, 2) == DAG_READY);
	MUST(!dag_run_has_ready(run));	/* 1 still runs */
	MUST(dag_run_next(run) == -1);
	dag_run_requeue(run, 1);
	MUST(dag_run_next(run) == 1);
	MUST(!dag_run_has_ready(run));
	dag_run_succeeded(run, 1);
	MUST(dag_run_next(run) == 2);
	MUST(!dag_run_has_ready(run));
	dag_run_succeeded(run, 2);
	MUST(dag_run_next(run) == 3);
	dag_run_free(run);

	/* a failed and a skipped stage have ended as well */
	run = dag_run_create(dag, NULL, true);
	MUST(dag_run_next(run) == 0);
	MUST(dag_run_next(run) == 1);
	dag_run_succeeded(run, 1);
	{
		int		   *skipped;
		int			n = dag_run_failed(run, 0, &skipped);

		MUST(SAME(skipped, n, 2));
		pfree(skipped);
	}
	MUST(dag_run_next(run) == 3);
	dag_run_free(run);

	/* in graph mode the same order is no barrier */
	run = dag_run_create(dag, NULL, false);
	MUST(dag_run_next(run) == 0);
	MUST(dag_run_next(run) == 1);
	MUST(dag_run_next(run) == 3);
	dag_run_free(run);
	dag_free(dag);
}

static void
test_failure_skips(void)
{
	Dag		   *dag = SEALED_GRAPH(SEED_STEPS, seed_edges);
	DagRun	   *run = dag_run_create(dag, NULL, false);
	int		   *skipped;
	int			n;

	MUST(dag_run_next(run) == 0);
	MUST(dag_run_next(run) == 4);
	dag_run_succeeded(run, 0);
	MUST(dag_run_next(run) == 1);

	n = dag_run_failed(run, 4, &skipped);
	MUST(SAME(skipped, n, 5, 6, 7));
	pfree(skipped);
	MUST(dag_run_state(run, 4) == DAG_FAILED);
	MUST(dag_run_state(run, 6) == DAG_SKIPPED);
	MUST(dag_run_cause(run, 6) == 4);
	MUST(dag_run_state(run, 2) == DAG_WAITING);
	MUST(dag_run_unfinished(run) == 3);

	/* those that are skipped already are not reported again */
	n = dag_run_failed(run, 1, &skipped);
	MUST(SAME(skipped, n, 2, 3));
	pfree(skipped);
	MUST(dag_run_cause(run, 3) == 1);
	MUST(dag_run_cause(run, 6) == 4);
	MUST(dag_run_unfinished(run) == 0);
	MUST(!dag_run_has_ready(run));
	dag_run_free(run);
	dag_free(dag);
}

static void
test_selection(void)
{
	Dag		   *dag = SEALED_GRAPH(SEED_STEPS, seed_edges);
	bool		selected[SEED_STEPS] = {false};
	DagRun	   *run;
	int		   *skipped;

	/* 1 and 6: what lies between is taken as it is */
	selected[1] = selected[6] = true;
	run = dag_run_create(dag, selected, false);
	MUST(dag_run_unfinished(run) == 2);
	MUST(dag_run_state(run, 0) == DAG_NOT_SELECTED);
	MUST(dag_run_state(run, 2) == DAG_NOT_SELECTED);
	MUST(dag_run_next(run) == 1);
	MUST(dag_run_state(run, 6) == DAG_READY);

	/* so the failure of 1 does not reach 6 */
	MUST(dag_run_failed(run, 1, &skipped) == 0);
	pfree(skipped);
	MUST(dag_run_next(run) == 6);
	dag_run_succeeded(run, 6);
	MUST(dag_run_unfinished(run) == 0);
	MUST(dag_run_state(run, 7) == DAG_NOT_SELECTED);
	dag_run_free(run);
	dag_free(dag);
}

static void
test_pending_readers(void)
{
	Dag		   *dag = SEALED_GRAPH(SEED_STEPS, seed_edges);
	bool		selected[SEED_STEPS] = {false, true, true, true, true, true, true, true};
	DagRun	   *run = dag_run_create(dag, selected, false);
	int		   *skipped;

	MUST(dag_run_pending_readers(run, 0) == 1); /* not selected, but read */
	MUST(dag_run_pending_readers(run, 1) == 2);
	MUST(dag_run_pending_readers(run, 7) == 0);
	MUST(dag_run_next(run) == 4);
	MUST(dag_run_next(run) == 1);
	dag_run_requeue(run, 1);
	MUST(dag_run_pending_readers(run, 0) == 1);
	MUST(dag_run_next(run) == 1);
	dag_run_succeeded(run, 1);
	MUST(dag_run_pending_readers(run, 0) == 0);
	MUST(dag_run_next(run) == 2);
	dag_run_succeeded(run, 2);
	MUST(dag_run_pending_readers(run, 1) == 1);
	MUST(dag_run_pending_readers(run, 2) == 1);
	MUST(dag_run_failed(run, 4, &skipped) == 3);
	pfree(skipped);
	MUST(dag_run_pending_readers(run, 2) == 0); /* 5 is skipped */
	MUST(dag_run_pending_readers(run, 5) == 0);
	dag_run_free(run);

	selected[2] = false;
	run = dag_run_create(dag, selected, false);
	MUST(dag_run_pending_readers(run, 1) == 1);
	dag_run_free(run);
	dag_free(dag);
}

static void
test_abandon(void)
{
	Dag		   *dag = SEALED_GRAPH(SEED_STEPS, seed_edges);
	DagRun	   *run = dag_run_create(dag, NULL, false);
	int		   *skipped;
	int			n;

	MUST(dag_run_next(run) == 0);
	n = dag_run_abandon(run, &skipped);
	MUST(SAME(skipped, n, 4, 1, 2, 3, 5, 6, 7));
	pfree(skipped);
	MUST(dag_run_cause(run, 4) == -1);
	MUST(dag_run_cause(run, 7) == -1);
	MUST(dag_run_state(run, 0) == DAG_RUNNING);
	MUST(dag_run_unfinished(run) == 1);
	MUST(!dag_run_has_ready(run));

	dag_run_succeeded(run, 0);
	MUST(dag_run_state(run, 0) == DAG_SUCCEEDED);
	MUST(dag_run_state(run, 1) == DAG_SKIPPED);
	MUST(!dag_run_has_ready(run));
	MUST(dag_run_unfinished(run) == 0);
	MUST(dag_run_abandon(run, &skipped) == 0);
	pfree(skipped);
	dag_run_free(run);

	run = dag_run_create(dag, NULL, true);
	MUST(dag_run_next(run) == 0);
	MUST(dag_run_abandon(run, &skipped) == SEED_STEPS - 1);
	pfree(skipped);
	MUST(dag_run_failed(run, 0, &skipped) == 0);
	pfree(skipped);
	MUST(dag_run_state(run, 0) == DAG_FAILED);
	MUST(dag_run_unfinished(run) == 0);
	dag_run_free(run);
	dag_free(dag);
}

/* Are these the steps that come after "from", as a string of 0 and 1? */
static bool
after_is(const Dag *dag, const bool *selected, bool staged, const bool *from, const char *expected)
{
	bool	   *after = (bool *) palloc(sizeof(bool) * dag_nsteps(dag));
	bool		same = true;
	int			i;

	memset(after, true, sizeof(bool) * dag_nsteps(dag));
	dag_mark_after(dag, selected, staged, from, after);
	for (i = 0; i < dag_nsteps(dag); i++)
		same = same && after[i] == (expected[i] == '1');
	pfree(after);
	return same;
}

static void
test_mark_after(void)
{
	static const Edge edges[] = {{0, 1}, {1, 2}, {2, 3}, {0, 4}};
	Dag		   *dag = SEALED_GRAPH(6, edges);
	bool		none[6] = {false};
	bool		one[6] = {false, true, false, false, false, false};
	bool		first[6] = {true, false, false, false, false, false};
	bool		without_2[6] = {true, true, false, true, true, true};
	bool		without_1[6] = {true, false, true, true, true, true};

	MUST(after_is(dag, NULL, false, none, "000000"));
	MUST(after_is(dag, NULL, false, one, "001100"));
	MUST(after_is(dag, NULL, false, first, "011110"));
	/* one that is not selected is no constraint, and none itself */
	MUST(after_is(dag, without_2, false, one, "000000"));
	MUST(after_is(dag, without_1, false, one, "000000"));
	MUST(after_is(dag, without_1, false, first, "000010"));

	/* staged: the levels are the orders here; 5 is of order 0 */
	MUST(after_is(dag, NULL, true, none, "000000"));
	MUST(after_is(dag, NULL, true, one, "001100"));
	MUST(after_is(dag, NULL, true, first, "011110"));
	MUST(after_is(dag, without_2, true, one, "000100"));
	MUST(after_is(dag, without_1, true, one, "000000"));
	dag_free(dag);
}

static void
misuse_seal_cycle(void)
{
	static const Edge edges[] = {{0, 1}, {1, 0}};

	dag_seal(GRAPH(2, edges));
}

static void
misuse_edge_after_seal(void)
{
	dag_add_edge(SEALED_GRAPH(SEED_STEPS, seed_edges), 0, 7);
}

static void
misuse_no_such_step(void)
{
	dag_add_edge(dag_create(2), 0, 2);
}

static void
misuse_ask_unsealed(void)
{
	dag_level(dag_create(2), 0);
}

static void
misuse_end_twice(void)
{
	DagRun	   *run = dag_run_create(SEALED_GRAPH(SEED_STEPS, seed_edges), NULL, false);

	dag_run_succeeded(run, dag_run_next(run));
	dag_run_succeeded(run, 0);
}

static void
misuse_fail_waiting(void)
{
	DagRun	   *run = dag_run_create(SEALED_GRAPH(SEED_STEPS, seed_edges), NULL, false);
	int		   *skipped;

	dag_run_failed(run, 1, &skipped);
}

static void
misuse_requeue_abandoned(void)
{
	DagRun	   *run = dag_run_create(SEALED_GRAPH(SEED_STEPS, seed_edges), NULL, false);
	int			step = dag_run_next(run);
	int		   *skipped;

	dag_run_abandon(run, &skipped);
	dag_run_requeue(run, step);
}

static void
misuse_cause(void)
{
	dag_run_cause(dag_run_create(SEALED_GRAPH(SEED_STEPS, seed_edges), NULL, false), 1);
}

static void
test_misuse(void)
{
	MUST(dies_by_assertion(misuse_seal_cycle));
	MUST(dies_by_assertion(misuse_edge_after_seal));
	MUST(dies_by_assertion(misuse_no_such_step));
	MUST(dies_by_assertion(misuse_ask_unsealed));
	MUST(dies_by_assertion(misuse_end_twice));
	MUST(dies_by_assertion(misuse_fail_waiting));
	MUST(dies_by_assertion(misuse_requeue_abandoned));
	MUST(dies_by_assertion(misuse_cause));
}

/* ------------------------------------------------------------------------
 *		The oracle: a matrix, and loops over all of it
 * ------------------------------------------------------------------------
 */

static int	o_nsteps;
static bool o_reads[MAX_STEPS][MAX_STEPS];	/* [upstream][downstream] */
static bool o_selected[MAX_STEPS];
static int	o_order[MAX_STEPS];
static int	o_level[MAX_STEPS];
static int	o_height[MAX_STEPS];
static bool o_staged;

/* What was told to the run.  WAITING stands for READY, too: see oracle_state */
static DagStepState o_state[MAX_STEPS];
static int	o_cause[MAX_STEPS];

/* A random graph; without cycles when it is to be acyclic */
static Dag *
random_graph(int nsteps, int percent, bool acyclic)
{
	Dag		   *dag = dag_create(nsteps);
	int			place[MAX_STEPS];
	int			i;
	int			j;

	/* edges go up in a random sequence of the steps, not in their numbers */
	for (i = 0; i < nsteps; i++)
	{
		j = random_below(i + 1);
		place[i] = place[j];
		place[j] = i;
	}

	o_nsteps = nsteps;
	memset(o_reads, 0, sizeof(o_reads));
	for (i = 0; i < nsteps; i++)
	{
		for (j = 0; j < nsteps; j++)
		{
			if ((acyclic && place[i] >= place[j]) || !random_percent(percent))
				continue;
			o_reads[i][j] = true;
		}
	}

	/* added from the far end, and some of them twice */
	for (i = nsteps - 1; i >= 0; i--)
	{
		for (j = 0; j < nsteps; j++)
		{
			if (!o_reads[i][j])
				continue;
			dag_add_edge(dag, i, j);
			if (random_percent(20))
				dag_add_edge(dag, i, j);
		}
	}

	return dag;
}

/* Mostly small graphs, where corners meet, and some large ones */
static int
random_size(void)
{
	return random_percent(90) ? 1 + random_below(24) : 1 + random_below(MAX_STEPS);
}

/* From no edge at all, over a few for each step, to dense */
static int
random_density(int nsteps)
{
	return random_percent(70) ? random_below(Min(100, 400 / nsteps + 1)) :
		random_below(60);
}

static void
oracle_levels(void)
{
	bool		changed = true;
	int			i;
	int			j;

	memset(o_level, 0, sizeof(o_level));
	memset(o_height, 0, sizeof(o_height));
	while (changed)
	{
		changed = false;
		for (i = 0; i < o_nsteps; i++)
		{
			for (j = 0; j < o_nsteps; j++)
			{
				if (!o_reads[i][j])
					continue;
				if (o_level[j] < o_level[i] + 1)
				{
					o_level[j] = o_level[i] + 1;
					changed = true;
				}
				if (o_height[i] < o_height[j] + 1)
				{
					o_height[i] = o_height[j] + 1;
					changed = true;
				}
			}
		}
	}
}

static bool
oracle_ended(int step)
{
	return o_state[step] == DAG_SUCCEEDED || o_state[step] == DAG_FAILED ||
		o_state[step] == DAG_SKIPPED;
}

static DagStepState
oracle_state(int step)
{
	int			u;

	if (o_state[step] != DAG_WAITING)
		return o_state[step];
	for (u = 0; u < o_nsteps; u++)
	{
		if (o_reads[u][step] && o_selected[u] && o_state[u] != DAG_SUCCEEDED)
			return DAG_WAITING;
	}
	return DAG_READY;
}

static int
oracle_next(void)
{
	int			lowest = INT_MAX;	/* order that has not ended */
	int			best = -1;
	int			s;

	for (s = 0; s < o_nsteps; s++)
	{
		if (o_selected[s] && !oracle_ended(s))
			lowest = Min(lowest, o_order[s]);
	}
	for (s = 0; s < o_nsteps; s++)
	{
		if (oracle_state(s) != DAG_READY || (o_staged && o_order[s] != lowest))
			continue;
		if (best < 0 || o_order[s] < o_order[best] ||
			(o_order[s] == o_order[best] && o_height[s] > o_height[best]))
			best = s;
	}
	return best;
}

/* Compares everything that can be asked of the run */
static bool
oracle_agrees(const DagRun *run)
{
	int			unfinished = 0;
	int			s;
	int			d;

	for (s = 0; s < o_nsteps; s++)
	{
		int			readers = 0;

		for (d = 0; d < o_nsteps; d++)
			readers += (o_reads[s][d] && o_selected[d] && !oracle_ended(d));
		if (!MUST(dag_run_pending_readers(run, s) == readers) ||
			!MUST(dag_run_state(run, s) == oracle_state(s)))
			return false;
		if (o_state[s] == DAG_SKIPPED &&
			!MUST(dag_run_cause(run, s) == o_cause[s]))
			return false;
		unfinished += (o_selected[s] && !oracle_ended(s));
	}
	return MUST(dag_run_unfinished(run) == unfinished) &&
		MUST(dag_run_has_ready(run) == (oracle_next() >= 0));
}

/*
 * Marks what the oracle thinks is skipped, and compares it with what the run
 * said: the same steps, by level and number.
 */
static bool
oracle_skips(const bool *skip, int cause, const int *skipped, int nskipped)
{
	int			expected = 0;
	int			i;
	int			s;

	for (s = 0; s < o_nsteps; s++)
	{
		if (!skip[s])
			continue;
		expected++;
		o_state[s] = DAG_SKIPPED;
		o_cause[s] = cause;
	}
	if (!MUST(nskipped == expected))
		return false;
	for (i = 0; i < nskipped; i++)
	{
		if (!MUST(skip[skipped[i]]))
			return false;
		if (i > 0 &&
			!MUST(o_level[skipped[i - 1]] < o_level[skipped[i]] ||
				  (o_level[skipped[i - 1]] == o_level[skipped[i]] &&
				   skipped[i - 1] < skipped[i])))
			return false;
	}
	return true;
}

static bool
fail_step(DagRun *run, int step)
{
	bool		skip[MAX_STEPS] = {false};
	bool		changed = true;
	int		   *skipped;
	int			nskipped;
	bool		right;
	int			u;
	int			d;

	o_state[step] = DAG_FAILED;
	while (changed)
	{
		changed = false;
		for (u = 0; u < o_nsteps; u++)
		{
			for (d = 0; (u == step || skip[u]) && d < o_nsteps; d++)
			{
				if (o_reads[u][d] && o_selected[d] && !oracle_ended(d) && !skip[d])
					skip[d] = changed = true;
			}
		}
	}

	nskipped = dag_run_failed(run, step, &skipped);
	right = oracle_skips(skip, step, skipped, nskipped);
	pfree(skipped);
	return right;
}

static bool
abandon_run(DagRun *run)
{
	bool		skip[MAX_STEPS] = {false};
	int		   *skipped;
	int			nskipped;
	bool		right;
	int			s;

	for (s = 0; s < o_nsteps; s++)
		skip[s] = (o_state[s] == DAG_WAITING);
	nskipped = dag_run_abandon(run, &skipped);
	right = oracle_skips(skip, -1, skipped, nskipped);
	pfree(skipped);
	return right;
}

/*
 * One run to its end, with random numbers of workers, failures and retries.
 * Where nothing can be started and nothing runs, what is left is abandoned;
 * that may happen only in a staged run with a conflict of orders.
 */
static bool
random_run(const Dag *dag, bool conflict)
{
	DagRun	   *run = dag_run_create(dag, o_selected, o_staged);
	int			workers = 1 + random_below(8);
	int			failures = random_percent(50) ? 0 : random_below(30);
	int			retries = random_below(40);
	bool		give_up = random_percent(15);
	bool		abandoned = false;
	int			running[MAX_STEPS];
	int			nrunning = 0;
	bool		right = true;

	while (right && (right = oracle_agrees(run)))
	{
		int			next = oracle_next();

		if (give_up && !abandoned && random_percent(5))
		{
			abandoned = true;
			right = abandon_run(run);
		}
		else if (next >= 0 && nrunning < workers && random_percent(70))
		{
			right = MUST(dag_run_next(run) == next);
			o_state[next] = DAG_RUNNING;
			running[nrunning++] = next;
		}
		else if (nrunning > 0)
		{
			int			which = random_below(nrunning);
			int			step = running[which];

			running[which] = running[--nrunning];
			if (random_percent(failures))
				right = fail_step(run, step);
			else if (!abandoned && random_percent(retries))
			{
				o_state[step] = DAG_WAITING;
				dag_run_requeue(run, step);
			}
			else
			{
				o_state[step] = DAG_SUCCEEDED;
				dag_run_succeeded(run, step);
			}
		}
		else if (next < 0)
		{
			right = MUST(dag_run_next(run) == -1);
			if (!right || dag_run_unfinished(run) == 0)
				break;
			right = MUST(o_staged && conflict) && MUST(!abandoned);
			if (right)
				right = abandon_run(run);
			abandoned = true;
		}
	}

	dag_run_free(run);
	return right;
}

/* A graph, and everything about it but its runs */
static bool
sealed_graph_agrees(const Dag *dag)
{
	bool		reach[MAX_STEPS][MAX_STEPS];
	int			s;
	int			i;
	int			k;

	memcpy(reach, o_reads, sizeof(reach));
	for (k = 0; k < o_nsteps; k++)
	{
		for (s = 0; s < o_nsteps; s++)
		{
			for (i = 0; reach[s][k] && i < o_nsteps; i++)
				reach[s][i] = reach[s][i] || reach[k][i];
		}
	}

	for (s = 0; s < o_nsteps; s++)
	{
		bool		up[MAX_STEPS];
		bool		down[MAX_STEPS];
		bool		noise[MAX_STEPS];
		const int  *upstream;
		const int  *downstream;
		int			nup = dag_upstream(dag, s, &upstream);
		int			ndown = dag_downstream(dag, s, &downstream);

		for (i = 0; i < o_nsteps; i++)
			up[i] = down[i] = noise[i] = random_percent(10);
		dag_mark_ancestors(dag, s, up);
		dag_mark_descendants(dag, s, down);
		for (i = 0; i < o_nsteps; i++)
		{
			if (o_reads[i][s] && (!MUST(nup-- > 0) || !MUST(*upstream++ == i)))
				return false;
			if (o_reads[s][i] && (!MUST(ndown-- > 0) || !MUST(*downstream++ == i)))
				return false;
			if (!MUST(up[i] == (noise[i] || reach[i][s])) ||
				!MUST(down[i] == (noise[i] || reach[s][i])))
				return false;
		}
		if (!MUST(nup == 0 && ndown == 0) ||
			!MUST(dag_level(dag, s) == o_level[s]) ||
			!MUST(dag_height(dag, s) == o_height[s]) ||
			!MUST(dag_order(dag, s) == o_order[s]))
			return false;
	}
	return true;
}

/* Does dag_find_order_conflict find the first one of the members, or none? */
static bool
conflict_agrees(const Dag *dag, bool *conflict)
{
	int			step = -1;
	int			upstream = -1;
	int			s;
	int			u;

	*conflict = dag_find_order_conflict(dag, o_selected, &step, &upstream);
	for (s = 0; s < o_nsteps; s++)
	{
		for (u = 0; u < o_nsteps; u++)
		{
			if (o_reads[u][s] && o_selected[u] && o_selected[s] &&
				o_order[u] > o_order[s])
				return MUST(*conflict) && MUST(step == s && upstream == u);
		}
	}
	return MUST(!*conflict);
}

static void
test_random_runs(void)
{
	int			round;

	for (round = 0; round < 400; round++)
	{
		int			nsteps = random_size();
		Dag		   *dag = random_graph(nsteps, random_density(nsteps), true);
		int			orders = random_percent(50) ? 0 : random_below(100);
		int			picked = random_percent(50) ? 100 : random_below(100);
		int		   *path;
		bool		conflict;
		bool		right;
		int			s;

		oracle_levels();
		for (s = 0; s < nsteps; s++)
		{
			o_order[s] = o_level[s];
			if (random_percent(orders))
			{
				/* near the level mostly, so that not all of it conflicts */
				o_order[s] += random_below(5) - 1;
				if (random_percent(3))
					o_order[s] = random_percent(50) ? INT_MAX : INT_MIN + 1;
				dag_set_order(dag, s, o_order[s]);
			}
			o_selected[s] = random_percent(picked);
			o_state[s] = o_selected[s] ? DAG_WAITING : DAG_NOT_SELECTED;
		}
		o_staged = random_percent(50);

		right = MUST(dag_find_cycle(dag, &path) == 0);
		dag_seal(dag);
		right = right && sealed_graph_agrees(dag) &&
			conflict_agrees(dag, &conflict) && random_run(dag, conflict);
		dag_free(dag);
		if (!right)
		{
			printf("# in round %d: %d steps, staged %d\n", round, nsteps, o_staged);
			return;
		}
	}
}

/* The distance to all steps from one, over at least one edge; 0: none */
static void
oracle_distances(int from, int *distance)
{
	bool		changed = true;
	int			i;
	int			j;

	for (i = 0; i < o_nsteps; i++)
		distance[i] = o_reads[from][i] ? 1 : 0;
	while (changed)
	{
		changed = false;
		for (i = 0; i < o_nsteps; i++)
		{
			for (j = 0; distance[i] > 0 && j < o_nsteps; j++)
			{
				if (o_reads[i][j] &&
					(distance[j] == 0 || distance[j] > distance[i] + 1))
				{
					distance[j] = distance[i] + 1;
					changed = true;
				}
			}
		}
	}
}

static bool
cycle_agrees(const Dag *dag)
{
	int			distance[MAX_STEPS];
	int		   *path;
	int			n = dag_find_cycle(dag, &path);
	int			s;
	int			i;
	bool		right = true;

	for (s = 0; s < o_nsteps; s++)
	{
		oracle_distances(s, distance);
		if (distance[s] > 0)
			break;
	}
	if (s == o_nsteps)
		return MUST(n == 0) && MUST(path == NULL);

	right = MUST(n == distance[s]) && MUST(path[0] == s);
	for (i = 0; right && i < n; i++)
		right = MUST(o_reads[path[i]][path[(i + 1) % n]]);
	pfree(path);
	return right;
}

static void
test_random_cycles(void)
{
	int			cyclic = 0;
	int			round;

	for (round = 0; round < 1500; round++)
	{
		int			nsteps = 1 + random_below(round % 50 == 0 ? 100 : 12);
		Dag		   *dag = random_graph(nsteps, random_below(160 / nsteps + 1), false);
		int		   *path = NULL;
		bool		right = cycle_agrees(dag);

		if (dag_find_cycle(dag, &path) > 0)
		{
			cyclic++;
			pfree(path);
		}
		dag_free(dag);
		if (!right)
		{
			printf("# in round %d: %d steps\n", round, nsteps);
			return;
		}
	}

	/* both kinds came, or this test does not say much */
	MUST(cyclic > 100 && cyclic < 1400);
}

/* A single edge back in an acyclic graph */
static void
test_random_back_edge(void)
{
	int			round;

	for (round = 0; round < 300; round++)
	{
		int			nsteps = random_size();
		Dag		   *dag = random_graph(nsteps, random_density(nsteps), true);
		int		   *path;
		bool		right = MUST(dag_find_cycle(dag, &path) == 0);
		int			from = random_below(nsteps);
		int			to = random_below(nsteps);

		o_reads[from][to] = true;
		dag_add_edge(dag, from, to);
		right = right && cycle_agrees(dag);
		dag_free(dag);
		if (!right)
		{
			printf("# in round %d: %d steps\n", round, nsteps);
			return;
		}
	}
}

int
main(int argc, char **argv)
{
	unsigned long seed = (unsigned long) time(NULL);

	if (argc > 1)
		seed = strtoul(argv[1], NULL, 10);
	printf("# seed %lu\n", seed);
	random_seed(seed);

	promise("a step that reads itself is a cycle of length 1", test_cycle_of_one);
	promise("a cycle is reported with its path, lowest step first", test_cycle_path);
	promise("of several cycles it is the shortest through the lowest step",
			test_cycle_choice);
	promise("no cycle is reported where there is none", test_no_cycle);
	promise("a chain of 100,000 steps is checked, sealed, run and skipped", test_deep_chain);
	promise("a cycle of 100,000 steps is found", test_deep_cycle);

	promise("a graph without steps is a graph", test_empty);
	promise("levels and heights are the longest chains above and below",
			test_levels_and_heights);
	promise("the order of a step is its execution_order or its level", test_orders);
	promise("neighbours are ascending and without duplicates", test_neighbours);
	promise("an edge that was added often counts once", test_many_duplicates);
	promise("marking reaches all that is upstream or downstream, not the step itself",
			test_marks);
	promise("marking walks through steps that are marked already", test_marks_walk_through);
	promise("a step of a lower order than what it reads is a conflict among members",
			test_order_conflict);

	promise("smaller order goes first, then greater height, then smaller number",
			test_priority);
	promise("a step is ready when all that it reads has succeeded", test_waits_for_all);
	promise("a requeued step is handed out again, and its readers wait", test_requeue);
	promise("staged: an order starts when all lower orders have ended", test_staged_barrier);
	promise("a failure skips what is downstream, once, and is its cause",
			test_failure_skips);
	promise("a step that is not selected is no constraint", test_selection);
	promise("pending readers are the selected ones that have not ended",
			test_pending_readers);
	promise("an abandoned run starts nothing more and lets running steps end",
			test_abandon);
	promise("what comes after others does so by edges between selected steps, or by its order",
			test_mark_after);
	promise("misuse trips an assertion", test_misuse);

	promise("random runs go as the oracle says", test_random_runs);
	promise("random graphs have the cycle that the oracle finds, or none",
			test_random_cycles);
	promise("one edge back in an acyclic graph is found, and only then",
			test_random_back_edge);

	return promises_kept();
}
