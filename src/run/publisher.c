/*-------------------------------------------------------------------------
 *
 * publisher.c
 *	  A run whose steps have all succeeded is published: try after try, until
 *	  the locks are there.
 *
 * publish.c knows how it is done in one transaction; here it is decided when the
 * next try is made, how long one may wait, whether somebody in the way waits for
 * this very run, and when it has been enough.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "run/publisher.h"

#include <signal.h>

#include "access/xact.h"
#include "base/lock.h"
#include "base/names.h"
#include "metastore/catalog.h"
#include "publish/publish.h"
#include "run/resume.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "table/staging.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* Between two tries to get the locks for publishing. */
#define PUBLISH_RETRY_MIN_MS	10
#define PUBLISH_RETRY_MAX_MS	1000

/*
 * From which pause on a try waits for locks, and how long at most: so long may
 * those be held up who want to read the tables.
 */
#define PUBLISH_PATIENT_FROM_MS	80
#define PUBLISH_PATIENCE_MS		100

/* Those who have what we wait for are watched for 1, 2 and 4 ms before we wait. */
#define PUBLISH_NAP_MAX_MS		4

/* For how long a run that has succeeded waits for those who read its staging tables. */
#define CLEAN_UP_TRIES			20
#define CLEAN_UP_RETRY_MS		100

/* How often what people add to the tables is made up for. */
#define PUBLISH_CATCH_UPS		20

/* The tables that the run leaves: kept, and not somebody else's already. */
static List *
publisher_outputs(RunState *run)
{
	List	   *outputs = NIL;

	for (int i = 0; i < run->graph->nsteps; i++)
	{
		PublishOutput *output;

		if (!OidIsValid(run->steps[i].relid) || !run->graph->steps[i]->keep)
			continue;
		output = palloc0(sizeof(PublishOutput));
		output->process_name = run->graph->steps[i]->process_name;
		output->relid = run->steps[i].relid;
		output->count_rows = run->steps[i].count_rows;
		output->table_size = run->steps[i].table_size;
		outputs = lappend(outputs, output);
	}
	return outputs;
}

/*
 * People have added an index or a constraint to a published table since the step
 * looked: the run's table gets it, too, in a transaction of its own.
 */
static void
publisher_catch_up(RunState *run, const PublishSet *set,
				   const PublishObstacle *obstacle)
{
	if (obstacle->stale == NULL)
		return;
	AbortOutOfAnyTransaction();
	run_state_begin(run);
	run_state_allow_interrupts();
	publish_catch_up(set, obstacle->stale);
	run_state_forbid_interrupts();
	run_state_commit(run);
}

/* What is left in staging is only what was left there on purpose. */
static void
publisher_leave_staging(RunState *run, const PublishSet *set)
{
	run->staging_left = set->left != NIL;
	if (run->staging_left)
		staging_check_strays(run->staging, set->left);
	else
		staging_drop_empty(run->staging);
}

/*
 * Who has the lock may be about to want one that we hold.  That shows within the time
 * that a session takes to get to its next statement; who does not wait for us by then
 * is waited for.
 */
static PublishWait
publisher_wait_for_lock(Oid relation, LOCKMODE mode, TimestampTz since, bool holding)
{
	TimestampTz until = TimestampTzPlusMilliseconds(since,
													Min(PUBLISH_PATIENCE_MS, DeadlockTimeout / 2));
	int			nap = 1;
	long		left;

	while ((left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until)) > 0)
	{
		if (!holding || nap > PUBLISH_NAP_MAX_MS)
			return run_state_lock(relation, mode, left) ? PUBLISH_LOCKED : PUBLISH_BUSY;
		if (lock_table_is_crossed(lock_table_read(), relation, mode))
			return PUBLISH_CROSSED;
		run_state_wait(TimestampTzPlusMilliseconds(GetCurrentTimestamp(), Min(nap, left)));
		if (ConditionalLockRelationOid(relation, mode))
			return PUBLISH_LOCKED;
		nap *= 2;
	}
	return PUBLISH_BUSY;
}

/*
 * One try.  Returns true when the run is published and its row says SUCCESS; else
 * obstacle says why not.
 */
static bool
publisher_try_publish(RunState *run, bool patient, PublishObstacle *obstacle)
{
	PublishSet	set = {0};
	bool		verified;

	run_state_begin(run);
	memset(obstacle, 0, sizeof(*obstacle));
	(void) staging_name(run->staging);	/* raises the error where it is gone */

	/* tables that are not kept, and that somebody was reading when they should go */
	for (int i = 0; i < run->graph->nsteps; i++)
	{
		RunStep    *rs = &run->steps[i];

		if (OidIsValid(rs->relid) && !run->graph->steps[i]->keep && !rs->dropped &&
			!staging_drop_table(rs->relid))
		{
			obstacle->relation = obstacle->table = rs->relid;
			obstacle->mode = AccessExclusiveLock;
			return false;
		}
	}
	set.pipeline_id = run->pipeline->id;
	set.run_id = run->run_id;
	set.target_schema = run->pipeline->target_schema;
	set.staging = run->staging;
	set.outputs = publisher_outputs(run);
	if (patient)
		set.wait = publisher_wait_for_lock;
	if (!publish_prepare(&set, obstacle))
	{
		publisher_catch_up(run, &set, obstacle);
		return false;
	}
	run_state_allow_interrupts();
	verified = publish_verify(&set, obstacle);
	run_state_forbid_interrupts();
	if (!verified)
		return false;
	publish_exchange(&set);
	publisher_leave_staging(run, &set);
	catalog_end_run(run->run_id, ETL_RUN_SUCCESS, NULL, resume_spans_instants(run));
	if (!publish_finish(&set, obstacle))
		return false;
	run_state_commit_early(run);
	return true;
}

/*
 * Listeners hear of it when it is there to stay.  And a commit that notifies waits for
 * every other one that does, and for what that waits for: not with all tables in hand.
 */
static void
publisher_notify(RunState *run)
{
	run_state_begin(run);
	run_state_notify(run, ETL_RUN_SUCCESS);
	run_state_commit(run);
}

/* As people know it: a table of the run by the name that it is about to have. */
static char *
publisher_table_name(const RunState *run, Oid table)
{
	Oid			schema = get_rel_namespace(table);

	return quote_qualified_identifier(schema == run->staging ? run->pipeline->target_schema :
									  names_schema(schema), names_relation(table));
}

/* Would publishing have to wait for a session that waits for us? */
static void
publisher_check_blocker(RunState *run, const PublishObstacle *obstacle)
{
	Oid			blocked = obstacle->relation;
	int		   *pids;
	LockTable  *table = lock_table_read();
	int			npids = run_state_waiting_sessions(run, table, &pids);
	LockQueued *queue;
	int			nqueued = lock_pipeline_queue(table, run->pipeline->id, &queue);
	char	   *name = names_relation_if_any(obstacle->table);

	if (name == NULL)
		return;					/* dropped meanwhile, or nothing blocks us */

	/* one that waits for its turn gives way, and with it the session behind it */
	for (int i = 0; i < nqueued; i++)
	{
		if (lock_table_is_blocked_by(table, blocked, obstacle->mode, queue[i].caller))
			(void) kill(queue[i].coordinator, SIGINT);
	}

	for (int i = 0; i < npids; i++)
	{
		if (!lock_table_is_blocked_by(table, blocked, obstacle->mode, pids[i]))
			continue;
		run_state_give_up(run, ETL_RUN_CANCELLED, ERRCODE_T_R_DEADLOCK_DETECTED,
						  psprintf("run " INT64_FORMAT " of pipeline \"%s\" was cancelled: step \"%s\" cannot be published without %s on relation %s, which cannot be had before the session that waits for the run goes on",
								   run->run_id, run->pipeline->name, name,
								   GetLockmodeName(DEFAULT_LOCKMETHOD, obstacle->mode),
								   publisher_table_name(run, obstacle->table)),
						  psprintf("Process %d holds a lock on it, or waits for who does.", pids[i]),
						  "Commit before the run, or start it with etl.start and wait for it in a new transaction.");
		return;
	}
}

/* Has it taken too long?  Then the run fails, and says whose locks it is. */
static void
publisher_check_publish_timeout(RunState *run, TimestampTz since,
								const PublishObstacle *obstacle)
{
	int			timeout = run->request->settings.publish_timeout_ms;
	char	   *name = names_relation_if_any(obstacle->table);
	char	   *holders;

	if (timeout == 0 || name == NULL ||
		!TimestampDifferenceExceeds(since, GetCurrentTimestamp(), timeout))
		return;
	holders = lock_table_describe_holders(lock_table_read(), obstacle->relation, obstacle->mode);
	run_state_give_up(run, ETL_RUN_FAILED, ERRCODE_LOCK_NOT_AVAILABLE,
					  psprintf("run " INT64_FORMAT " of pipeline \"%s\" could not be published: %s on table %s was not free for %d ms",
							   run->run_id, run->pipeline->name,
							   GetLockmodeName(DEFAULT_LOCKMETHOD, obstacle->mode),
							   publisher_table_name(run, obstacle->table),
							   timeout),
					  holders,
					  "Let that end, or raise etl_framework.publish_timeout.");
}

void
publisher_run(RunState *run)
{
	int			delay = PUBLISH_RETRY_MIN_MS;
	TimestampTz since = GetCurrentTimestamp();
	bool		told = false;
	int			caught_up = 0;

	run_state_show(run, "publishing");
	for (int tries = 1;; tries++)
	{
		PublishObstacle obstacle;
		bool		hurry;

		MemoryContextReset(run->tick_context);
		run_state_check_signals(run);
		request_flush(run->server);
		if (run->verdict != ETL_RUN_RUNNING)
			return;

		if (publisher_try_publish(run, delay >= PUBLISH_PATIENT_FROM_MS, &obstacle))
		{
			run->verdict = ETL_RUN_SUCCESS;
			publisher_notify(run);
			elog(DEBUG1, "run " INT64_FORMAT " was published at try %d, after %s",
				 run->run_id, tries, run_state_seconds(since));
			return;
		}
		if (obstacle.stale != NULL)
		{
			if (++caught_up < PUBLISH_CATCH_UPS)
				continue;
			run_state_give_up(run, ETL_RUN_FAILED, ERRCODE_OBJECT_IN_USE,
							  psprintf("run " INT64_FORMAT " of pipeline \"%s\" could not be published: table \"%s\" is being altered again and again",
									   run->run_id, run->pipeline->name,
									   obstacle.stale->process_name),
							  psprintf("Each of %d tries has found a new index or constraint.",
									   PUBLISH_CATCH_UPS),
							  "Let that end, and go on with etl.resume.");
			AbortOutOfAnyTransaction();
			return;
		}
		publisher_check_blocker(run, &obstacle);
		publisher_check_publish_timeout(run, since, &obstacle);
		/* it comes back soon: be there before it */
		hurry = delay == PUBLISH_RETRY_MAX_MS &&
			lock_table_cancel_autovacuum(lock_table_read(), obstacle.relation);
		if (delay == PUBLISH_RETRY_MAX_MS && !told && names_relation_if_any(obstacle.table) != NULL)
		{
			told = true;
			run_state_tell(run, REQUEST_NOTICE, 0,
						   psprintf("all steps have succeeded; publishing waits for a lock on %s",
									publisher_table_name(run, obstacle.table)),
						   NULL, NULL);
		}
		AbortOutOfAnyTransaction();

		if (run->verdict != ETL_RUN_RUNNING)
			return;
		run_state_wait(TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												   hurry ? PUBLISH_RETRY_MIN_MS : delay));
		delay = Min(delay * 2, PUBLISH_RETRY_MAX_MS);
	}
}

void
publisher_clean_up(RunState *run)
{
	PG_TRY();
	{
		for (int i = 0; !staging_try_drop(run->staging) && i < CLEAN_UP_TRIES; i++)
			run_state_wait(TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													   CLEAN_UP_RETRY_MS));
	}
	PG_CATCH();
	{
		/* the pipeline's next run tries again, as where a table stayed in use */
		EmitErrorReport();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		run_state_forbid_interrupts();
	}
	PG_END_TRY();
}
