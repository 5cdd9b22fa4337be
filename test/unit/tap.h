/*-------------------------------------------------------------------------
 *
 * tap.h
 *	  The little that our unit tests need to speak TAP.
 *
 * A promise is a function; inside, MUST states what has to hold.  A promise
 * with a failed MUST is "not ok", with the places that failed as diagnostics.
 * A file's main calls promise() for each and returns promises_kept().
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_TEST_TAP_H
#define ETL_TEST_TAP_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Further failures of a promise are counted, but not printed. */
#define TAP_MAX_DIAGNOSTICS	5

static int	tap_promises = 0;
static int	tap_broken = 0;
static int	tap_failures = 0;	/* in the promise that is being tested */

static inline bool
tap_must(bool holds, const char *what, const char *file, int line)
{
	if (!holds && ++tap_failures <= TAP_MAX_DIAGNOSTICS)
		printf("# %s:%d: does not hold: %s\n", file, line, what);
	return holds;
}

/* Is an expression as well, so that a test can stop where going on is no use */
#define MUST(condition) tap_must((condition), #condition, __FILE__, __LINE__)

static inline void
promise(const char *words, void (*test) (void))
{
	tap_failures = 0;
	test();
	tap_promises++;
	if (tap_failures > 0)
		tap_broken++;
	printf("%sok %d - %s\n", tap_failures > 0 ? "not " : "", tap_promises, words);
	fflush(stdout);
}

static inline int
promises_kept(void)
{
	printf("1..%d\n", tap_promises);
	return tap_broken == 0 ? 0 : 1;
}

/* Does this function die by an assertion?  Tried in a process of its own. */
static inline bool
dies_by_assertion(void (*misuse) (void))
{
	int			status;
	pid_t		child;

	fflush(stdout);
	child = fork();
	if (child == 0)
	{
		struct rlimit no_core = {0, 0};

		setrlimit(RLIMIT_CORE, &no_core);
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(2);
		misuse();
		_exit(0);
	}
	return child > 0 && waitpid(child, &status, 0) == child &&
		WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

#endif							/* ETL_TEST_TAP_H */
