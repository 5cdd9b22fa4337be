/*-------------------------------------------------------------------------
 *
 * dag_bench.c
 *	  How long does it take to schedule 100,000 steps, without running them?
 *
 * A graph of the given number of steps (100,000), each of which reads about
 * three earlier ones, is built, checked for cycles, sealed and run to its end
 * in staged mode with 16 steps at a time.  Prints one line.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <time.h>

#include "graph/dag.h"

#define DEFAULT_STEPS	100000
#define READS			3		/* edges for each step */
#define REACH			2000	/* how far back they go */
#define WORKERS			16

static double
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000.0 + ts.tv_nsec / 1000000.0;
}

/* The same graph every time: a linear congruential generator will do */
static int
pseudo_random_below(int n)
{
	static uint64 state = 42;

	state = state * UINT64CONST(6364136223846793005) + UINT64CONST(1442695040888963407);
	return (int) ((state >> 33) % n);
}

/* Runs all of it with WORKERS steps at a time; returns how many there were */
static int
run_all(const Dag *dag)
{
	DagRun	   *run = dag_run_create(dag, NULL, true);
	int			running[WORKERS];
	int			nrunning = 0;
	int			started = 0;

	for (;;)
	{
		while (nrunning < WORKERS && dag_run_has_ready(run))
		{
			running[nrunning++] = dag_run_next(run);
			started++;
		}
		if (nrunning == 0)
			break;
		dag_run_succeeded(run, running[--nrunning]);
	}
	dag_run_free(run);

	return started;
}

int
main(int argc, char **argv)
{
	int			nsteps = argc > 1 ? atoi(argv[1]) : DEFAULT_STEPS;
	int			nedges = 0;
	int		   *path;
	Dag		   *dag;
	double		start = now_ms();
	double		built;
	double		checked;
	double		sealed;
	double		end;
	int			s;
	int			i;

	dag = dag_create(nsteps);
	for (s = 1; s < nsteps; s++)
	{
		for (i = 0; i < READS; i++)
		{
			dag_add_edge(dag, s - 1 - pseudo_random_below(Min(s, REACH)), s);
			nedges++;
		}
	}
	built = now_ms();
	if (dag_find_cycle(dag, &path) != 0)
		return 1;
	checked = now_ms();
	dag_seal(dag);
	sealed = now_ms();
	if (run_all(dag) != nsteps)
		return 1;
	end = now_ms();
	dag_free(dag);

	printf("scheduled %d steps with %d edges in %.1f ms"
		   " (build %.1f, cycle check %.1f, seal %.1f, run %.1f)\n",
		   nsteps, nedges, end - start, built - start, checked - built,
		   sealed - checked, end - sealed);
	return 0;
}
