/*-------------------------------------------------------------------------
 *
 * run.c
 *	  etl.run, etl.start, etl.resume, etl.wait, etl.cancel, etl.param, etl.run_status.
 *
 * The caller's part of a run: check what is asked for, launch the coordinator,
 * pass on what it says.  Everything that can be known to be wrong is an error
 * here, before any process is started.
 *
 * A run's processes cannot see what the calling transaction has not committed.
 * etl.run in a transaction that has written anything is therefore an error;
 * etl.start there launches the coordinator when the transaction is about to
 * commit, and the coordinator waits until it has.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include <signal.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "base/guc.h"
#include "base/lock.h"
#include "base/names.h"
#include "base/security.h"
#include "base/session.h"
#include "catalog/pg_inherits.h"
#include "define/option.h"
#include "define/pipeline.h"
#include "define/target_check.h"
#include "fmgr.h"
#include "metastore/catalog.h"
#include "miscadmin.h"
#include "run/caller.h"
#include "run/request.h"
#include "run/resume.h"
#include "run/pending_start.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/relcache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(etl_run);
PG_FUNCTION_INFO_V1(etl_start);
PG_FUNCTION_INFO_V1(etl_resume);
PG_FUNCTION_INFO_V1(etl_wait);
PG_FUNCTION_INFO_V1(etl_cancel);
PG_FUNCTION_INFO_V1(etl_run_status);

/* ---- what is asked for ---- */

static EtlConflict
run_conflict_word(const char *word)
{
	if (strcmp(word, "error") == 0)
		return ETL_CONFLICT_ERROR;
	if (strcmp(word, "wait") == 0)
		return ETL_CONFLICT_WAIT;
	if (strcmp(word, "skip") == 0)
		return ETL_CONFLICT_SKIP;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for on_conflict: \"%s\"", word),
			 errhint("Use \"error\", \"wait\" or \"skip\".")));
}

static void
run_check_nothing_written(const char *function, const char *hint)
{
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s cannot be called in a transaction that has written anything", function),
				 errdetail("The run's processes could not see what is not committed, neither definitions nor data."),
				 errhint("%s", hint)));
}

static bool
run_has_locked(Oid relid)
{
	Relation	relation = RelationIdGetRelation(relid);
	bool		locked;

	if (relation == NULL)
		return false;
	locked = CheckRelationLockedByMe(relation, AccessShareLock, true);
	RelationClose(relation);
	return locked;
}

/*
 * Raise object_in_use if this transaction, which is going to wait for the run, has locked a table
 * whose rows the run replaces: it would come to its end, and could not publish.
 */
static void
run_check_own_locks(const PipelineGraph *graph, const bool *selected)
{
	/* outside of a block only the statement's own locks could be in the way, as a rule none */
	if (!IsTransactionBlock())
		return;
	for (int i = 0; i < graph->nsteps; i++)
	{
		const Step *step = graph->steps[i];
		Oid			published;
		ListCell   *lc;

		if (step->kind != ETL_STEP_QUERY || !step->keep || (selected != NULL && !selected[i]))
			continue;
		published = catalog_published(graph->pipeline->id, graph->pipeline->target_schema,
									  step->process_name);
		if (!OidIsValid(published))
			continue;
		foreach(lc, find_all_inheritors(published, NoLock, NULL))
		{
			if (run_has_locked(lfirst_oid(lc)))
				ereport(ERROR,
						(errcode(ERRCODE_OBJECT_IN_USE),
						 errmsg("step \"%s\" could not be published, as this transaction has a lock on relation %s",
								step->process_name, names_qualified(lfirst_oid(lc))),
						 errdetail("It is held until the transaction ends, which waits for the run."),
						 errhint("Commit before the run, or start it with etl.start and wait for it in a new transaction.")));
		}
	}
}

/*
 * Refuses at once whatever the coordinator would refuse of a request for these
 * steps of this version (0: the newest), and completes the request.  waits: the
 * caller's transaction is going to wait for the run.
 */
static void
run_complete_request(RunRequest *request, const Pipeline *pipeline, int32 version, bool waits)
{
	PipelineGraph *graph = pipeline_load_graph(pipeline->id, version);
	bool	   *selected = NULL;
	const int  *waiting;

	if (graph->nsteps == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version %d of pipeline \"%s\" has no steps",
						graph->pipeline->version, pipeline->name),
				 errhint("Add steps with etl.add_step.")));
	if (request->steps != NIL)
	{
		selected = pipeline_select(graph, request->steps);
		target_check_check_unselected(graph, selected);
	}
	target_check_check(graph, selected);
	pipeline_check_snapshot(graph, selected);
	if (waits)
		run_check_own_locks(graph, selected);

	request->waits = waits;
	request->pipeline_id = pipeline->id;
	request->version = graph->pipeline->version;
	request->owner = pipeline->owner;
	request->requested_by = GetUserId();
	request->requested_at = GetCurrentTimestamp();
	if (graph->pipeline->run_timeout_ms != CATALOG_NO_TIMEOUT)
		request->run_timeout_ms = graph->pipeline->run_timeout_ms;
	guc_run_settings(&request->settings);
	request->nancestors = session_waiting(&waiting);
	if (request->nancestors >= ETL_MAX_NESTING)
		ereport(ERROR,
				(errcode(ERRCODE_STATEMENT_TOO_COMPLEX),
				 errmsg("runs that are started by steps of other runs are nested too deeply"),
				 errdetail("The limit is %d.", ETL_MAX_NESTING)));
	if (request->nancestors > 0)
		memcpy(request->ancestors, waiting, sizeof(int) * request->nancestors);
}

/* Reads the arguments that etl.run and etl.start share. */
static RunRequest *
run_read_arguments(FunctionCallInfo fcinfo, bool waits, char **pipeline_name)
{
	RunRequest *request = palloc0(sizeof(RunRequest));
	Pipeline   *pipeline;
	int32		version = 0;

	if (PG_ARGISNULL(0))
		option_raise_null("pipeline");
	if (PG_ARGISNULL(4))
		option_raise_null("on_conflict");

	pipeline = pipeline_open(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	security_check_worker_role(pipeline->owner, pipeline->name);
	if (!PG_ARGISNULL(1))
	{
		version = PG_GETARG_INT32(1);
		if (version < 1)
			pipeline_raise_unknown_version(pipeline, version);
	}
	if (!PG_ARGISNULL(2))
	{
		Jsonb	   *params = PG_GETARG_JSONB_P(2);

		if (!JB_ROOT_IS_OBJECT(params))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("params must be a JSON object"),
					 errhint("For example: params => '{\"day\": \"2024-01-31\"}'.")));
		request->params = JsonbToCString(NULL, &params->root, VARSIZE(params));
	}
	request->steps = pipeline_selection_from_array(PG_ARGISNULL(3) ? NULL :
												   PG_GETARG_ARRAYTYPE_P(3));
	request->conflict = run_conflict_word(text_to_cstring(PG_GETARG_TEXT_PP(4)));
	if (request->conflict == ETL_CONFLICT_WAIT && session_is_worker())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a step of a run cannot wait for its turn to run a pipeline"),
				 errdetail("The run that it would wait for may be its own, or be waiting for that."),
				 errhint("Use on_conflict => 'error' or 'skip' there.")));

	run_complete_request(request, pipeline, version, waits);
	*pipeline_name = pipeline->name;
	return request;
}

Datum
etl_run(PG_FUNCTION_ARGS)
{
	RunRequest *request;
	char	   *pipeline;
	int64		run_id;

	security_check_may_start("etl.run()");
	run_check_nothing_written("etl.run", "Commit first, or use etl.start, which starts the run when this transaction commits.");

	request = run_read_arguments(fcinfo, true, &pipeline);
	run_id = caller_run(request, pipeline);
	if (run_id == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(run_id);
}

/* ---- starting ---- */

Datum
etl_start(PG_FUNCTION_ARGS)
{
	RunRequest *request;
	char	   *pipeline;
	int64		run_id;

	security_check_may_start("etl.start()");
	request = run_read_arguments(fcinfo, false, &pipeline);
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
		PG_RETURN_INT64(pending_start_add(request));
	run_id = caller_start(request, pipeline);
	if (run_id == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64(run_id);
}

/* ---- steering ---- */

/*
 * The run's row: false where there is none, and for who may not see it.
 */
static bool
run_find(int64 run_id, EtlRunStatus *status)
{
	int32		pipeline_id;
	Oid			owner;

	return catalog_find_run(run_id, &pipeline_id, &owner, status) &&
		security_is_member(owner);
}

/*
 * The same, with the runs that etl.start has promised: such a run has a
 * coordinator, a session of the owner's, and no row yet.
 */
static bool
run_find_promised(int64 run_id, EtlRunStatus *status)
{
	int32		pipeline_id;
	Oid			owner;
	int			pid;
	PGPROC	   *coordinator;

	if (catalog_find_run(run_id, &pipeline_id, &owner, status))
		return security_is_member(owner);

	pid = lock_run_holder(run_id);
	coordinator = pid != 0 ? BackendPidGetProc(pid) : NULL;
	if (coordinator == NULL)
		return run_find(run_id, status);	/* it may have got its row meanwhile */
	*status = ETL_RUN_RUNNING;
	return security_is_member(coordinator->roleId);
}

static int64
run_id_argument(FunctionCallInfo fcinfo)
{
	int64		run_id;

	if (PG_ARGISNULL(0))
		option_raise_null("run_id");
	run_id = PG_GETARG_INT64(0);
	if (pending_start_has(run_id))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("run " INT64_FORMAT " has not been started", run_id),
				 errdetail("It starts when the current transaction commits.")));
	return run_id;
}

static void
run_unknown(int64 run_id)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("run " INT64_FORMAT " does not exist", run_id),
			 errhint("etl.run_log has the runs of your pipelines.")));
}

Datum
etl_resume(PG_FUNCTION_ARGS)
{
	RunRequest *request = palloc0(sizeof(RunRequest));
	PastRun    *past;
	Pipeline   *pipeline;
	int64		run_id;
	EtlRunStatus status;

	security_check_may_start("etl.resume()");
	run_check_nothing_written("etl.resume", "Commit first.");
	run_id = run_id_argument(fcinfo);
	if (PG_ARGISNULL(1))
		option_raise_null("reuse");

	if (!run_find(run_id, &status))
		run_unknown(run_id);
	past = resume_find(run_id);
	pipeline = past ? catalog_load_pipeline(past->pipeline_id, past->version) : NULL;
	if (pipeline == NULL)
		run_unknown(run_id);	/* it has just gone */
	security_check_worker_role(pipeline->owner, pipeline->name);

	request->params = past->params;
	request->steps = past->steps;
	request->conflict = ETL_CONFLICT_ERROR;
	request->resumes = run_id;
	request->reuse = PG_GETARG_BOOL(1);
	run_complete_request(request, pipeline, past->version, true);
	PG_RETURN_INT64(caller_run(request, pipeline->name));
}

/*
 * A run that etl.start has promised for a commit is held by its coordinator's
 * lock from before that commit, and gets its row a little later.
 */
Datum
etl_wait(PG_FUNCTION_ARGS)
{
	int64		timeout_ms = -1;
	int64		run_id;
	EtlRunStatus status;
	int			nestlevel;
	bool		ended;

	security_check_primary("etl.wait()");
	if (session_is_worker())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a step of a run cannot wait for a run"),
				 errdetail("The run that it would wait for may be its own, or be waiting for that."),
				 errhint("A command step can call etl.run.")));
	run_id = run_id_argument(fcinfo);
	if (!PG_ARGISNULL(1))
	{
		timeout_ms = catalog_interval_to_ms(PG_GETARG_INTERVAL_P(1));
		if (timeout_ms < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("timeout must not be negative")));
	}

	if (!run_find_promised(run_id, &status))
		run_unknown(run_id);

	/*
	 * Also where the row says already how it ended: the coordinator has the pipeline for another
	 * moment, and who has waited for a run may expect to be able to start the next one.
	 */
	nestlevel = session_watch_client();
	ended = lock_wait_for_run(run_id, timeout_ms);
	session_unwatch_client(nestlevel);
	if (ended && status == ETL_RUN_RUNNING)
	{
		if (!run_find(run_id, &status))
			run_unknown(run_id);
		if (status == ETL_RUN_RUNNING)
			status = ETL_RUN_CRASHED;
	}
	PG_RETURN_TEXT_P(cstring_to_text(catalog_run_status_word(status)));
}

/*
 * Asks the run's coordinator to cancel it.  The process is the one that holds
 * the run's lock at this moment, so its number cannot be somebody else's.
 */
Datum
etl_cancel(PG_FUNCTION_ARGS)
{
	EtlRunStatus status;
	int64		run_id;
	int			pid;

	security_check_primary("etl.cancel()");
	run_id = run_id_argument(fcinfo);
	if (!run_find_promised(run_id, &status))
		run_unknown(run_id);

	pid = status == ETL_RUN_RUNNING ? lock_run_holder(run_id) : 0;
	if (pid == 0 || BackendPidGetProc(pid) == NULL)
		PG_RETURN_BOOL(false);
	PG_RETURN_BOOL(kill(pid, SIGINT) == 0);
}

/*
 * The true status of a run whose row was seen to say "status".  Only RUNNING
 * needs a look: at the lock first and at the row again afterwards.  A
 * coordinator writes the run's end before it gives the lock up, so a row that
 * still says RUNNING then is one that nobody is going to change.
 */
Datum
etl_run_status(PG_FUNCTION_ARGS)
{
	int64		run_id = PG_GETARG_INT64(0);
	char	   *word = text_to_cstring(PG_GETARG_TEXT_PP(1));
	EtlRunStatus status = ETL_RUN_RUNNING;
	bool		alive;

	if (strcmp(word, catalog_run_status_word(ETL_RUN_RUNNING)) != 0)
		PG_RETURN_DATUM(PG_GETARG_DATUM(1));
	if (RecoveryInProgress())
		PG_RETURN_TEXT_P(cstring_to_text(catalog_run_status_word(ETL_RUN_UNKNOWN)));

	alive = lock_run_holder(run_id) != 0;
	if (!run_find(run_id, &status))
		PG_RETURN_NULL();
	if (status == ETL_RUN_RUNNING && !alive)
		status = ETL_RUN_CRASHED;
	PG_RETURN_TEXT_P(cstring_to_text(catalog_run_status_word(status)));
}
