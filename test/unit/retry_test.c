/*-------------------------------------------------------------------------
 *
 * retry_test.c
 *	  What retry.h promises, without a server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres_fe.h"

#include <limits.h>

#include "graph/retry.h"
#include "tap.h"

/* The largest number below 1, as the worst random number that may come */
#define ALMOST_ONE	(1.0 - 1.0 / ((double) (INT64CONST(1) << 53)))

static const char *const listed[] = {"22012", "23", "57014"};
static const char *const listed_class[] = {"57"};

static const RetryPolicy nothing = {3, 1000, false, false, 0, NULL};
static const RetryPolicy any = {3, 1000, true, false, 0, NULL};
static const RetryPolicy transient = {3, 1000, false, true, 0, NULL};
static const RetryPolicy states = {3, 1000, false, false, 3, listed};
static const RetryPolicy class57 = {3, 1000, false, false, 1, listed_class};

static bool
again_after(const RetryPolicy *policy, const char *sqlstate)
{
	return retry_again(policy, 1, RETRY_CAUSE_ERROR, sqlstate);
}

static void
test_transient(void)
{
	MUST(retry_is_transient("40001"));
	MUST(retry_is_transient("40P01"));
	MUST(retry_is_transient("40000"));
	MUST(retry_is_transient("08006"));
	MUST(retry_is_transient("08000"));
	MUST(retry_is_transient("53000"));
	MUST(retry_is_transient("53100"));
	MUST(retry_is_transient("53200"));
	MUST(retry_is_transient("53300"));
	MUST(retry_is_transient("55P03"));
}

static void
test_not_transient(void)
{
	MUST(!retry_is_transient("53400"));
	MUST(!retry_is_transient("55000"));
	MUST(!retry_is_transient("55006"));
	MUST(!retry_is_transient("55P04"));
	MUST(!retry_is_transient("57014"));
	MUST(!retry_is_transient("57P01"));
	MUST(!retry_is_transient("22012"));
	MUST(!retry_is_transient("42P01"));
	MUST(!retry_is_transient("XX000"));
	MUST(!retry_is_transient("00000"));
	MUST(!retry_is_transient("14000"));
	MUST(!retry_is_transient("04000"));
}

static void
test_max_attempts(void)
{
	RetryPolicy policy = any;

	MUST(retry_again(&policy, 1, RETRY_CAUSE_ERROR, "22012"));
	MUST(retry_again(&policy, 2, RETRY_CAUSE_ERROR, "22012"));
	MUST(!retry_again(&policy, 3, RETRY_CAUSE_ERROR, "22012"));
	MUST(!retry_again(&policy, 4, RETRY_CAUSE_ERROR, "22012"));
	MUST(!retry_again(&policy, INT_MAX, RETRY_CAUSE_ERROR, "22012"));

	policy.max_attempts = 1;
	MUST(!retry_again(&policy, 1, RETRY_CAUSE_ERROR, "22012"));
	MUST(!retry_again(&policy, 1, RETRY_CAUSE_WORKER_LOST, NULL));
}

static void
test_policies(void)
{
	MUST(!again_after(&nothing, "40001"));
	MUST(!again_after(&nothing, "22012"));

	MUST(again_after(&any, "40001"));
	MUST(again_after(&any, "22012"));
	MUST(again_after(&any, "XX000"));

	MUST(again_after(&transient, "40001"));
	MUST(again_after(&transient, "53200"));
	MUST(!again_after(&transient, "53400"));
	MUST(!again_after(&transient, "22012"));

	MUST(again_after(&states, "22012"));
	MUST(!again_after(&states, "22003"));
	MUST(again_after(&states, "23505"));
	MUST(again_after(&states, "23000"));
	MUST(!again_after(&states, "42301"));
	MUST(!again_after(&states, "40001"));
	MUST(again_after(&states, "57014"));
	MUST(!again_after(&states, "57P01"));
}

static void
test_words_add_up(void)
{
	RetryPolicy both = states;

	both.transient = true;
	MUST(again_after(&both, "40001"));
	MUST(again_after(&both, "22012"));
	MUST(!again_after(&both, "42P01"));
}

static void
test_never(void)
{
	RetryPolicy everything = states;
	const RetryCause causes[] = {
		RETRY_CAUSE_ADMIN, RETRY_CAUSE_RUN_OVER, RETRY_CAUSE_COMMITTED, RETRY_CAUSE_CHECK,
		RETRY_CAUSE_SNAPSHOT
	};
	int			i;

	everything.any = everything.transient = true;
	for (i = 0; i < (int) lengthof(causes); i++)
	{
		MUST(!retry_again(&everything, 1, causes[i], "40001"));
		MUST(!retry_again(&everything, 1, causes[i], "57014"));
		MUST(!retry_again(&everything, 1, causes[i], NULL));
	}
}

static void
test_step_timeout(void)
{
	MUST(!retry_again(&nothing, 1, RETRY_CAUSE_STEP_TIMEOUT, "57014"));
	MUST(!retry_again(&transient, 1, RETRY_CAUSE_STEP_TIMEOUT, "57014"));
	MUST(retry_again(&any, 1, RETRY_CAUSE_STEP_TIMEOUT, "57014"));
	MUST(retry_again(&states, 1, RETRY_CAUSE_STEP_TIMEOUT, "57014"));
	MUST(retry_again(&class57, 1, RETRY_CAUSE_STEP_TIMEOUT, "57014"));

	/* the time-out decides, whatever error the server made of it */
	MUST(!retry_again(&transient, 1, RETRY_CAUSE_STEP_TIMEOUT, "40001"));
	MUST(retry_again(&states, 1, RETRY_CAUSE_STEP_TIMEOUT, NULL));
}

static void
test_worker_lost(void)
{
	MUST(!retry_again(&nothing, 1, RETRY_CAUSE_WORKER_LOST, NULL));
	MUST(retry_again(&transient, 1, RETRY_CAUSE_WORKER_LOST, NULL));
	MUST(retry_again(&any, 1, RETRY_CAUSE_WORKER_LOST, NULL));
	MUST(!retry_again(&states, 1, RETRY_CAUSE_WORKER_LOST, NULL));
	MUST(!retry_again(&states, 1, RETRY_CAUSE_WORKER_LOST, "57014"));
}

static void
test_delay_doubles(void)
{
	MUST(retry_delay_ms(&any, 1, 0.0) == 500);
	MUST(retry_delay_ms(&any, 2, 0.0) == 1000);
	MUST(retry_delay_ms(&any, 3, 0.0) == 2000);
	MUST(retry_delay_ms(&any, 4, 0.0) == 4000);
	MUST(retry_delay_ms(&any, 1, 0.5) == 750);
	MUST(retry_delay_ms(&any, 3, 0.5) == 3000);
	MUST(retry_delay_ms(&any, 1, ALMOST_ONE) == 999);
}

static void
test_delay_capped(void)
{
	/* 1 s * 2^8 = 256 s is below five minutes, 1 s * 2^9 is not */
	MUST(RETRY_MAX_DELAY_MS == 5 * 60 * 1000);
	MUST(retry_delay_ms(&any, 9, 0.0) == 128000);
	MUST(retry_delay_ms(&any, 10, 0.0) == RETRY_MAX_DELAY_MS / 2);
	MUST(retry_delay_ms(&any, 64, 0.0) == RETRY_MAX_DELAY_MS / 2);
	MUST(retry_delay_ms(&any, 65, 0.5) == RETRY_MAX_DELAY_MS * 3 / 4);
	MUST(retry_delay_ms(&any, INT_MAX, ALMOST_ONE) == RETRY_MAX_DELAY_MS - 1);
}

static void
test_delay_above_cap(void)
{
	RetryPolicy policy = any;

	policy.base_delay_ms = INT64CONST(3600000);
	MUST(retry_delay_ms(&policy, 1, 0.0) == INT64CONST(1800000));
	MUST(retry_delay_ms(&policy, 2, 0.0) == INT64CONST(1800000));
	MUST(retry_delay_ms(&policy, 9, ALMOST_ONE) == INT64CONST(3599999));

	policy.base_delay_ms = PG_INT64_MAX;
	MUST(retry_delay_ms(&policy, 1, 0.0) == PG_INT64_MAX / 2 + 1);
	MUST(retry_delay_ms(&policy, 1000, ALMOST_ONE) > PG_INT64_MAX / 4 * 3);
}

static void
test_delay_zero(void)
{
	RetryPolicy policy = any;

	policy.base_delay_ms = 0;
	MUST(retry_delay_ms(&policy, 1, 0.0) == 0);
	MUST(retry_delay_ms(&policy, 2, ALMOST_ONE) == 0);
	MUST(retry_delay_ms(&policy, INT_MAX, ALMOST_ONE) == 0);
}

static void
test_delay_range(void)
{
	RetryPolicy policy = any;
	int64		base;
	int			attempt;
	int			r;

	for (base = 1; base < 2000000; base = base * 3 - 1)
	{
		int64		full = base;

		policy.base_delay_ms = base;
		for (attempt = 1; attempt < 30; attempt++)
		{
			for (r = 0; r <= 8; r++)
			{
				double		random = r == 8 ? ALMOST_ONE : r / 8.0;
				int64		delay = retry_delay_ms(&policy, attempt, random);

				MUST(delay * 2 >= full && delay <= full);
				MUST(delay >= 1);
			}
			full = Max(base, Min(full * 2, RETRY_MAX_DELAY_MS));
		}
		if (base == 1)
			base = 2;
	}
}

static void
test_words(void)
{
	MUST(retry_word_is_valid("any"));
	MUST(retry_word_is_valid("transient"));
	MUST(retry_word_is_valid("40001"));
	MUST(retry_word_is_valid("55P03"));
	MUST(retry_word_is_valid("XX000"));
	MUST(retry_word_is_valid("AZ09Z"));
	MUST(retry_word_is_valid("23"));
	MUST(retry_word_is_valid("HV"));
}

static void
test_not_words(void)
{
	MUST(!retry_word_is_valid(""));
	MUST(!retry_word_is_valid("ANY"));
	MUST(!retry_word_is_valid("any "));
	MUST(!retry_word_is_valid("an"));
	MUST(!retry_word_is_valid("Transient"));
	MUST(!retry_word_is_valid("transients"));
	MUST(!retry_word_is_valid("none"));
	MUST(!retry_word_is_valid("4"));
	MUST(!retry_word_is_valid("400"));
	MUST(!retry_word_is_valid("4000"));
	MUST(!retry_word_is_valid("400011"));
	MUST(!retry_word_is_valid("55p03"));
	MUST(!retry_word_is_valid("5 P03"));
	MUST(!retry_word_is_valid("4-"));
	MUST(!retry_word_is_valid("2\xc3"));
	MUST(!retry_word_is_valid("{any}"));
}

int
main(void)
{
	promise("rollbacks, lost connections, lacking resources and lock time-outs are transient",
			test_transient);
	promise("a configuration limit, and every other SQLSTATE, is not transient",
			test_not_transient);
	promise("there are never more than max_attempts attempts", test_max_attempts);
	promise("an error is retried when the policy names it", test_policies);
	promise("transient and listed SQLSTATEs add up", test_words_add_up);
	promise("what a person ended, a run that is over and committed work are never retried",
			test_never);
	promise("a step time-out is retried only with any or 57014", test_step_timeout);
	promise("a lost worker is retried with transient or any", test_worker_lost);
	promise("each delay is twice the one before", test_delay_doubles);
	promise("no delay is longer than five minutes", test_delay_capped);
	promise("a base above the cap is its own cap", test_delay_above_cap);
	promise("without a base delay there is no delay", test_delay_zero);
	promise("a delay is between half and all of what the attempt calls for",
			test_delay_range);
	promise("retry_on takes any, transient, SQLSTATEs and classes", test_words);
	promise("retry_on takes no other word", test_not_words);

	return promises_kept();
}
