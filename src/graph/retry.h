/*-------------------------------------------------------------------------
 *
 * retry.h
 *	  Is a failed attempt tried again, and when?
 *
 * Pure C, no clock and no random numbers of its own: both come in as
 * arguments, so that every decision can be tested.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_RETRY_H
#define ETL_RETRY_H

/* No delay is longer than this: 5 minutes. */
#define RETRY_MAX_DELAY_MS	INT64CONST(300000)

typedef struct RetryPolicy
{
	int			max_attempts;	/* 1: never again */
	int64		base_delay_ms;	/* before the second attempt; >= 0 */
	bool		any;			/* {any}: whatever the error was */
	bool		transient;		/* {transient}: see retry_is_transient */
	int			nsqlstates;		/* further SQLSTATEs, or classes of two */
	const char *const *sqlstates;	/* characters ("40001", "23") */
} RetryPolicy;

/* Why an attempt ended, where it is not (only) its SQLSTATE that tells. */
typedef enum RetryCause
{
	RETRY_CAUSE_ERROR,			/* an error with a SQLSTATE */
	RETRY_CAUSE_STEP_TIMEOUT,	/* step_timeout ran out */
	RETRY_CAUSE_WORKER_LOST,	/* the process went away without a word */
	RETRY_CAUSE_ADMIN,			/* a person cancelled or terminated it */
	RETRY_CAUSE_RUN_OVER,		/* the run is being given up */
	RETRY_CAUSE_COMMITTED,		/* part of its work was already committed */
	RETRY_CAUSE_CHECK,			/* its rows are wrong: they would be so again */
	RETRY_CAUSE_SNAPSHOT		/* the run's snapshot is the reason: it would be the same the next
								 * time */
} RetryCause;

/*
 * Transient: classes 40 (transaction rollback) and 08 (connection), class 53
 * (insufficient resources) without 53400 (configuration limit exceeded), and
 * 55P03 (lock not available).
 */
extern bool retry_is_transient(const char *sqlstate);

/*
 * Return true if attempt number "attempt" (from 1), which ended so, may be followed by another one:
 * after ADMIN, RUN_OVER, COMMITTED, CHECK and SNAPSHOT never; STEP_TIMEOUT only with {any} or
 * when 57014, or its class, is listed; WORKER_LOST with {transient} or {any}.
 * The SQLSTATE is looked at for ERROR only, and may be NULL for the others.
 */
extern bool retry_again(const RetryPolicy *policy, int attempt,
						RetryCause cause, const char *sqlstate);

/*
 * Milliseconds to wait after attempt number "attempt" (from 1): base_delay_ms
 * doubled for each attempt before this one, capped at RETRY_MAX_DELAY_MS,
 * times a factor between 0.5 and 1 that "random" (0 <= random < 1) chooses.
 * A base above the cap is the user's wish: the cap is then the base.  Whole
 * milliseconds that do not leave this range: a base of 1 never becomes 0.
 */
extern int64 retry_delay_ms(const RetryPolicy *policy, int attempt, double random);

/*
 * Return true if this is a word that retry_on may contain: "any", "transient", a SQLSTATE of five or a
 * class of two characters from 0-9 and A-Z.
 */
extern bool retry_word_is_valid(const char *word);

#endif							/* ETL_RETRY_H */
