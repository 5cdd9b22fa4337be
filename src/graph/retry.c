/*-------------------------------------------------------------------------
 *
 * retry.c
 *	  Is a failed attempt tried again, and when?
 *
 * See retry.h for what is promised.  Two questions, each a function of its
 * arguments: retry_again weighs why the attempt ended against what the policy
 * lists, retry_delay_ms is an exponential back-off with jitter, so that steps
 * that failed together do not come back together.  This file may not know the
 * time, random numbers, the catalog or what a step is.
 *
 *-------------------------------------------------------------------------
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "graph/retry.h"

#define SQLSTATE_LENGTH			5
#define SQLSTATE_CLASS_LENGTH	2

/* What the server reports when a time-out cancels a statement */
#define SQLSTATE_QUERY_CANCELED	"57014"

/* Return true if the SQLSTATE is this one, or of this class of two characters. */
static bool
sqlstate_matches(const char *sqlstate, const char *pattern)
{
	if (strlen(pattern) == SQLSTATE_CLASS_LENGTH)
		return strncmp(sqlstate, pattern, SQLSTATE_CLASS_LENGTH) == 0;
	return strcmp(sqlstate, pattern) == 0;
}

static bool
sqlstate_is_listed(const RetryPolicy *policy, const char *sqlstate)
{
	int			i;

	for (i = 0; i < policy->nsqlstates; i++)
	{
		if (sqlstate_matches(sqlstate, policy->sqlstates[i]))
			return true;
	}
	return false;
}

bool
retry_is_transient(const char *sqlstate)
{
	if (sqlstate_matches(sqlstate, "53"))
		return !sqlstate_matches(sqlstate, "53400");

	return sqlstate_matches(sqlstate, "40") ||
		sqlstate_matches(sqlstate, "08") ||
		sqlstate_matches(sqlstate, "55P03");
}

bool
retry_again(const RetryPolicy *policy, int attempt,
			RetryCause cause, const char *sqlstate)
{
	Assert(attempt >= 1);

	if (attempt >= policy->max_attempts)
		return false;

	/* no default: the compiler shall complain about a cause without a case */
	switch (cause)
	{
		case RETRY_CAUSE_ADMIN:
		case RETRY_CAUSE_RUN_OVER:
		case RETRY_CAUSE_COMMITTED:
		case RETRY_CAUSE_CHECK:
		case RETRY_CAUSE_SNAPSHOT:
			return false;

		case RETRY_CAUSE_STEP_TIMEOUT:
			return policy->any ||
				sqlstate_is_listed(policy, SQLSTATE_QUERY_CANCELED);

		case RETRY_CAUSE_WORKER_LOST:
			return policy->any || policy->transient;

		case RETRY_CAUSE_ERROR:
			Assert(sqlstate != NULL && strlen(sqlstate) == SQLSTATE_LENGTH);
			return policy->any ||
				(policy->transient && retry_is_transient(sqlstate)) ||
				sqlstate_is_listed(policy, sqlstate);
	}

	Assert(false);
	return false;
}

int64
retry_delay_ms(const RetryPolicy *policy, int attempt, double random)
{
	int64		delay = policy->base_delay_ms;
	int64		half;

	Assert(attempt >= 1);
	Assert(policy->base_delay_ms >= 0);
	Assert(random >= 0 && random < 1);

	/* a base of 0 would be doubled in vain, one above the cap stays as it is */
	while (--attempt > 0 && delay > 0 && delay < RETRY_MAX_DELAY_MS)
		delay = Min(delay * 2, RETRY_MAX_DELAY_MS);

	/*
	 * Half of it is certain (rounded up, so that 1 ms does not become 0), the other half is left
	 * to chance.  This never exceeds delay, as a product with a factor that has been rounded to 1
	 * could.
	 */
	half = delay / 2;
	return (delay - half) + (int64) ((double) half * random);
}

bool
retry_word_is_valid(const char *word)
{
	size_t		length = strlen(word);

	if (strcmp(word, "any") == 0 || strcmp(word, "transient") == 0)
		return true;

	if (length != SQLSTATE_LENGTH && length != SQLSTATE_CLASS_LENGTH)
		return false;
	return strspn(word, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == length;
}
