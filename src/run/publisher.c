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

/* Return the tables that the run leaves: kept, and not somebody else's already. */
static List *
publisher_outputs(RunState *run)
{
	List	   *indexes = catalog_load_step_indexes(run->run_id);
	ListCell   *next = list_head(indexes);	/* both are in the order of step_id */
	List	   *outputs = NIL;

	for (int i = 0; i < run->graph->nsteps; i++)
	{
		int32		step_id = run->graph->steps[i]->step_id;
		PublishOutput *output;

		while (next != NULL && ((StepIndexes *) lfirst(next))->step_id < step_id)
			next = lnext(indexes, next);
		if (!OidIsValid(run->steps[i].relid) || !run->graph->steps[i]->keep)
			continue;
		output = palloc0(sizeof(PublishOutput));
		output->process_name = run->graph->steps[i]->process_name;
		output->relid = run->steps[i].relid;
		if (next != NULL && ((StepIndexes *) lfirst(next))->step_id == step_id)
			output->indexes = ((StepIndexes *) lfirst(next))->indexes;
		output->count_rows = run->steps[i].count_rows;
		output->table_size = run->steps[i].table_size;
		outputs = lappend(outputs, output);
	}
	return outputs;
}

/* See to it that nothing is left in staging but what was left there on purpose. */
static void
publisher_leave_staging(RunState *run, const List *left)
{
	run->staging_left = left != NIL;
	if (run->staging_left)
		staging_check_strays(run->staging, left);
	else
		staging_drop_empty(run->staging);
}

/*
 * Wait for a lock.  A session that has it may want one that we hold as soon as it gets to its next
 * statement, so it is watched for that long; one that does not wait for us by then is waited for.
 */
static PublishResult
publisher_wait_for_lock(Oid relation, LOCKMODE mode, TimestampTz since, bool holding)
{
	TimestampTz until = TimestampTzPlusMilliseconds(since,
													Min(PUBLISH_PATIENCE_MS, DeadlockTimeout / 2));
	int			nap = 1;
	long		left;

	while ((left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until)) > 0)
	{
		if (!holding || nap > PUBLISH_NAP_MAX_MS)
			return run_signal_lock(relation, mode, left) ? PUBLISH_OK : PUBLISH_BUSY;
		if (lock_table_is_crossed(lock_table_read(), relation, mode))
			return PUBLISH_CROSSED;
		run_signal_wait(TimestampTzPlusMilliseconds(GetCurrentTimestamp(), Min(nap, left)));
		if (ConditionalLockRelationOid(relation, mode))
			return PUBLISH_OK;
		nap *= 2;
	}
	return PUBLISH_BUSY;
}

/*
 * Drop the tables that are not kept, and that somebody was reading when they should go.  Returns
 * false where somebody still is.
 */
static bool
publisher_drop_unkept(RunState *run, PublishObstacle *obstacle)
{
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
	return true;
}

/* The steps of publish.c, in the transaction that ends with the run's SUCCESS. */
static PublishResult
publisher_publish(RunState *run, Publishing *publishing)
{
	PublishResult result = publish_prepare(publishing);

	if (result != PUBLISH_OK)
		return result;
	run_signal_listen();
	result = publish_verify(publishing);
	run_signal_ignore();
	if (result != PUBLISH_OK)
		return result;
	publish_exchange(publishing);
	publisher_leave_staging(run, publish_left(publishing));
	catalog_end_run(run->run_id, ETL_RUN_SUCCESS, NULL, resume_spans_instants(run));
	result = publish_finish(publishing);
	if (result == PUBLISH_OK)
		run_state_commit_early(run);
	return result;
}

/*
 * Try once.  PUBLISH_OK: the run is published, and its row says SUCCESS.  Else the transaction is
 * still there; after PUBLISH_BUSY *obstacle is what was in the way.  wait: see PublishRequest.
 */
static PublishResult
publisher_try(RunState *run, bool patient, Publishing **publishing, PublishObstacle *obstacle)
{
	PublishRequest request = {
		.pipeline_id = run->pipeline->id,
		.run_id = run->run_id,
		.target_schema = run->pipeline->target_schema,
		.staging = run->staging,
		.wait = patient ? publisher_wait_for_lock : NULL
	};
	PublishResult result;

	run_state_begin(run);
	(void) staging_name(run->staging);	/* raises the error where it is gone */
	if (!publisher_drop_unkept(run, obstacle))
		return PUBLISH_BUSY;
	request.outputs = publisher_outputs(run);
	*publishing = publish_begin(&request);
	result = publisher_publish(run, *publishing);
	*obstacle = publish_obstacle(*publishing);
	return result;
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

/* Give the run up if publishing would have to wait for a session that waits for us. */
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

/* Give the run up if it has taken too long, and say whose locks it is. */
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

/*
 * Staged tables catch up with what people have added to the published ones since the steps looked,
 * and with what command steps have changed, each in a transaction of its own.  times: how often
 * that has been so.
 */
static void
publisher_catch_up(RunState *run, const Publishing *publishing, int times)
{
	const PublishOutput *output = NULL;
	ListCell   *lc;

	AbortOutOfAnyTransaction();
	foreach(lc, publish_stale(publishing))
	{
		output = lfirst(lc);
		run_state_begin(run);
		run_signal_listen();
		publish_catch_up(publishing, output);
		run_signal_ignore();
		run_state_commit(run);
	}
	if (times >= PUBLISH_CATCH_UPS)
		run_state_give_up(run, ETL_RUN_FAILED, ERRCODE_OBJECT_IN_USE,
						  psprintf("run " INT64_FORMAT " of pipeline \"%s\" could not be published: table \"%s\" is being altered again and again",
								   run->run_id, run->pipeline->name, output->process_name),
						  psprintf("Each of %d tries has found a new index or constraint.",
								   PUBLISH_CATCH_UPS),
						  "Let that end, and go on with etl.resume.");
}

/* How the tries go on, one after another. */
typedef enum PublisherMood
{
	PUBLISHER_HASTY,			/* takes locks that are free, and is soon back */
	PUBLISHER_PATIENT,			/* waits a moment for locks, and longer between tries */
	PUBLISHER_STUCK				/* the same, and does something about who is in the way */
} PublisherMood;

typedef struct Publisher
{
	TimestampTz since;			/* the first try */
	int			pause_ms;		/* after the next one */
	int			catch_ups;
	bool		told;			/* the caller, that publishing waits */
} Publisher;

static PublisherMood
publisher_mood(const Publisher *publisher)
{
	if (publisher->pause_ms < PUBLISH_PATIENT_FROM_MS)
		return PUBLISHER_HASTY;
	return publisher->pause_ms < PUBLISH_RETRY_MAX_MS ? PUBLISHER_PATIENT : PUBLISHER_STUCK;
}

/*
 * See to what is in the way, and end the transaction.  Returns for how many milliseconds to wait
 * before the next try.
 */
static int
publisher_face(RunState *run, Publisher *publisher, const PublishObstacle *obstacle)
{
	bool		stuck = publisher_mood(publisher) == PUBLISHER_STUCK;
	int			pause = publisher->pause_ms;

	publisher_check_blocker(run, obstacle);
	publisher_check_publish_timeout(run, publisher->since, obstacle);
	/* autovacuum that was cancelled comes back soon: be there before it */
	if (stuck && lock_table_cancel_autovacuum(lock_table_read(), obstacle->relation))
		pause = PUBLISH_RETRY_MIN_MS;
	if (stuck && !publisher->told && names_relation_if_any(obstacle->table) != NULL)
	{
		publisher->told = true;
		run_state_tell(run, REQUEST_NOTICE, 0,
					   psprintf("all steps have succeeded; publishing waits for a lock on %s",
								publisher_table_name(run, obstacle->table)),
					   NULL, NULL);
	}
	AbortOutOfAnyTransaction();
	publisher->pause_ms = Min(publisher->pause_ms * 2, PUBLISH_RETRY_MAX_MS);
	return pause;
}

void
publisher_run(RunState *run)
{
	Publisher	publisher = {
		.since = GetCurrentTimestamp(),
		.pause_ms = PUBLISH_RETRY_MIN_MS
	};

	run_state_show(run, "publishing");
	for (;;)
	{
		Publishing *publishing;
		PublishObstacle obstacle;
		PublishResult result;
		int			pause;

		MemoryContextReset(run->tick_context);
		run_state_check_signals(run);
		request_flush(run->server);
		if (run->verdict != ETL_RUN_RUNNING)
			return;

		result = publisher_try(run, publisher_mood(&publisher) >= PUBLISHER_PATIENT,
							   &publishing, &obstacle);
		if (result == PUBLISH_OK)
			break;
		if (result == PUBLISH_STALE)
		{
			publisher_catch_up(run, publishing, ++publisher.catch_ups);
			continue;
		}
		pause = publisher_face(run, &publisher, &obstacle);
		if (run->verdict == ETL_RUN_RUNNING)
			run_signal_wait(TimestampTzPlusMilliseconds(GetCurrentTimestamp(), pause));
	}
	run->verdict = ETL_RUN_SUCCESS;
	publisher_notify(run);
	elog(DEBUG1, "run " INT64_FORMAT " was published after %s",
		 run->run_id, run_state_seconds(publisher.since));
}

void
publisher_clean_up(RunState *run)
{
	PG_TRY();
	{
		for (int i = 0; !staging_try_drop(run->staging) && i < CLEAN_UP_TRIES; i++)
			run_signal_wait(TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
														CLEAN_UP_RETRY_MS));
	}
	PG_CATCH();
	{
		/* the pipeline's next run tries again, as where a table stayed in use */
		EmitErrorReport();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		run_signal_ignore();
	}
	PG_END_TRY();
}
