/*-------------------------------------------------------------------------
 *
 * catalog_run.c
 *	  What runs leave behind: their own rows, their attempts' and checks'.
 *
 * The only file that knows the columns of etl.run_data, etl.attempt_data and
 * etl.check_data.  How its SQL is written and why: see catalog.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "metastore/catalog.h"
#include "metastore/catalog_row.h"
#include "base/spi.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

/* ---- words ---- */

static const char *const step_status_words[] = {
	[ETL_STEP_RUNNING] = "RUNNING",
	[ETL_STEP_SUCCESS] = "SUCCESS",
	[ETL_STEP_FAILED] = "FAILED",
	[ETL_STEP_SKIPPED] = "SKIPPED",
	[ETL_STEP_CANCELLED] = "CANCELLED",
};

static const char *const run_status_words[] = {
	[ETL_RUN_RUNNING] = "RUNNING",
	[ETL_RUN_SUCCESS] = "SUCCESS",
	[ETL_RUN_FAILED] = "FAILED",
	[ETL_RUN_CANCELLED] = "CANCELLED",
	[ETL_RUN_CRASHED] = "CRASHED",
	[ETL_RUN_UNKNOWN] = "UNKNOWN",
};

const char *
catalog_step_status_word(EtlStepStatus status)
{
	return step_status_words[status];
}

const char *
catalog_run_status_word(EtlRunStatus status)
{
	return run_status_words[status];
}

/* ---- runs ---- */

int64
catalog_next_run_id(void)
{
	static EtlStatement statement = {
		.sql = "SELECT pg_catalog.nextval('etl.run_id_seq'::pg_catalog.regclass)"
	};
	Params		params = {.n = 0};
	Row			row;

	(void) catalog_query_row(&statement, &params, false, &row);
	return row_get_int64(&row, 0);
}

void
catalog_insert_run(const RunRow *run)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.run_data"
		" (run_id, pipeline_id, version, requested_by, start_time, status, params, steps,"
		"  step_count, pid, resumes, token)"
		" VALUES ($1, $2, $3, $4, pg_catalog.clock_timestamp(), 'RUNNING', $5, $6, $7, $8, $9,"
		"  (SELECT s.token FROM etl.survival_data s))",
		.nargs = 9,
		.argtypes = {INT8OID, INT4OID, INT4OID, TEXTOID, JSONBOID, TEXTARRAYOID, INT4OID, INT4OID,
		INT8OID}
	};
	Params		params = {.n = 0};

	params_put_int64(&params, run->run_id);
	params_put_int32(&params, run->pipeline_id);
	params_put_int32(&params, run->version);
	params_put_text(&params, run->requested_by);
	params_put_datum(&params, run->params ? JsonbPGetDatum(run->params) : (Datum) 0,
					 run->params == NULL);
	params_put_list_or_null(&params, run->steps);
	params_put_int32(&params, run->step_count);
	params_put_int32(&params, run->pid);
	params_put_int64_unless(&params, run->resumes, run->resumes == 0);
	catalog_execute_write(&statement, &params);
}

void
catalog_end_run(int64 run_id, EtlRunStatus status, const char *error_message, bool two_instants)
{
	static EtlStatement statement = {
		.sql = "UPDATE etl.run_data SET end_time = pg_catalog.clock_timestamp(), status = $2,"
		" error_message = $3, two_instants = $4 WHERE run_id = $1 AND status = 'RUNNING'",
		.nargs = 4,
		.argtypes = {INT8OID, TEXTOID, TEXTOID, BOOLOID}
	};
	Params		params = {.n = 0};

	params_put_int64(&params, run_id);
	params_put_text(&params, run_status_words[status]);
	params_put_message(&params, error_message);
	params_put_bool(&params, two_instants);
	if (catalog_execute_write(&statement, &params) != 1)
		elog(ERROR, "run " INT64_FORMAT " is not logged as running", run_id);
}

/*
 * When exactly they ended nobody knows: the last thing that was logged of them
 * stands in for it.
 */
int
catalog_bury_runs(int32 pipeline_id, int64 except)
{
	static EtlStatement statement = {
		.sql = "WITH dead AS ("
		"  UPDATE etl.run_data r SET status = 'CRASHED',"
		"   end_time = GREATEST(r.start_time,"
		"    (SELECT pg_catalog.max(GREATEST(a.start_time, a.end_time))"
		"     FROM etl.attempt_data a WHERE a.run_id = r.run_id)),"
		"   error_message = 'the processes of the run ended without saying how'"
		"  WHERE r.pipeline_id = $1 AND r.status = 'RUNNING' AND r.run_id <> $2"
		"  RETURNING r.run_id, r.end_time),"
		" attempts AS ("
		"  UPDATE etl.attempt_data a SET status = 'FAILED', end_time = dead.end_time,"
		"   error_message = 'the processes of the run ended without saying how'"
		"  FROM dead WHERE a.run_id = dead.run_id AND a.status = 'RUNNING')"
		" SELECT pg_catalog.count(*) FROM dead",
		.nargs = 2,
		.argtypes = {INT4OID, INT8OID}
	};
	Params		params = {.n = 0};
	Row			row;

	params_put_int32(&params, pipeline_id);
	params_put_int64(&params, except);
	(void) catalog_query_row(&statement, &params, false, &row);
	return (int) row_get_int64(&row, 0);
}

bool
catalog_find_run(int64 run_id, int32 *pipeline_id, Oid *owner, EtlRunStatus *status)
{
	static EtlStatement statement = {
		.sql = "SELECT r.pipeline_id, p.owner, r.status FROM etl.run_data r"
		" JOIN etl.pipeline_data p ON p.pipeline_id = r.pipeline_id"
		" WHERE r.run_id = $1",
		.nargs = 1,
		.argtypes = {INT8OID}
	};
	Params		params = {.n = 0};
	Row			row;

	params_put_int64(&params, run_id);

	if (!catalog_query_row(&statement, &params, true, &row))
		return false;
	*pipeline_id = row_get_int32(&row, 0);
	*owner = row_get_oid(&row);
	*status = catalog_word_index(row_get_text(&row), run_status_words,
								 lengthof(run_status_words));
	return true;
}

/* ---- runs to go on from ---- */

/*
 * Which run was the last one is a matter of when they began: a number may have been
 * given away long before.
 */
PastRun *
catalog_load_past_run(int64 run_id)
{
	static EtlStatement statement = {
		.sql = "SELECT r.pipeline_id, p.pipeline, p.owner, p.dropped_at IS NOT NULL, r.version,"
		" r.status, r.params::text, r.steps, r.step_count > 0,"
		" (SELECT n.run_id FROM etl.run_data n WHERE n.pipeline_id = r.pipeline_id"
		"   AND (n.start_time, n.run_id) > (r.start_time, r.run_id) AND n.step_count > 0"
		"  ORDER BY n.start_time DESC, n.run_id DESC LIMIT 1),"
		" r.token = (SELECT s.token FROM etl.survival_data s)"
		" FROM etl.run_data r JOIN etl.pipeline_data p ON p.pipeline_id = r.pipeline_id"
		" WHERE r.run_id = $1",
		.nargs = 1,
		.argtypes = {INT8OID}
	};
	Params		params = {.n = 0};
	PastRun    *run;
	Row			row;

	params_put_int64(&params, run_id);
	if (!catalog_query_row(&statement, &params, true, &row))
		return NULL;
	run = palloc0(sizeof(PastRun));
	run->pipeline_id = row_get_int32(&row, 0);
	run->pipeline = row_get_text(&row);
	run->owner = row_get_oid(&row);
	run->dropped = row_get_bool(&row, false);
	run->version = row_get_int32(&row, 0);
	run->status = catalog_word_index(row_get_text(&row), run_status_words,
									 lengthof(run_status_words));
	run->params = row_get_text(&row);
	run->steps = row_get_list(&row);
	run->begun = row_get_bool(&row, false);
	run->newer = row_get_int64(&row, 0);
	run->survived = row_get_bool(&row, false);

	return run;
}

static void *
read_past_step(Row *row)
{
	PastStep   *step = palloc(sizeof(PastStep));

	step->step_id = row_get_int32(row, 0);
	step->count_rows = row_get_int64(row, -1);
	step->table_size = row_get_int64(row, -1);
	step->read_sources = row_get_bool(row, false);
	step->step_indexes = row_get_oids(row);
	step->run_id = row_get_int64(row, 0);

	return step;
}

List *
catalog_load_past_steps(int64 run_id)
{
	static EtlStatement statement = {
		.sql = "SELECT a.step_id, a.count_rows, a.table_size, a.read_sources, a.step_indexes,"
		" COALESCE(a.reused_from, a.run_id)"
		" FROM etl.attempt_data a WHERE a.run_id = $1 AND a.status = 'SUCCESS'",
		.nargs = 1,
		.argtypes = {INT8OID}
	};
	Params		params = {.n = 0};

	params_put_int64(&params, run_id);
	return catalog_query_list(&statement, &params, read_past_step);
}

/* ---- attempts ---- */

static void *
read_step_indexes(Row *row)
{
	StepIndexes *step = palloc(sizeof(StepIndexes));

	step->step_id = row_get_int32(row, 0);
	step->indexes = row_get_oids(row);

	return step;
}

List *
catalog_load_step_indexes(int64 run_id)
{
	static EtlStatement statement = {
		.sql = "SELECT a.step_id, a.step_indexes FROM etl.attempt_data a"
		" WHERE a.run_id = $1 AND a.status = 'SUCCESS' AND a.step_indexes IS NOT NULL"
		" ORDER BY a.step_id",
		.nargs = 1,
		.argtypes = {INT8OID}
	};
	Params		params = {.n = 0};

	params_put_int64(&params, run_id);
	return catalog_query_list(&statement, &params, read_step_indexes);
}

static void *
read_duration(Row *row)
{
	StepDuration *duration = palloc(sizeof(StepDuration));

	duration->process_name = row_get_text(row);
	duration->ms = row_get_int64(row, 0);

	return duration;
}

List *
catalog_load_durations(int32 pipeline_id)
{
	static EtlStatement statement = {
		.sql = "SELECT a.process_name, pg_catalog.round(1000 * pg_catalog.percentile_cont(0.5)"
		"  WITHIN GROUP (ORDER BY pg_catalog.date_part('epoch', a.end_time - a.start_time)))::bigint"
		" FROM (SELECT r.run_id FROM etl.run_data r WHERE r.pipeline_id = $1"
		"       ORDER BY r.run_id DESC LIMIT 10) r"
		" JOIN etl.attempt_data a ON a.run_id = r.run_id AND a.status = 'SUCCESS'"
		"  AND a.attempt > 0"
		" GROUP BY a.process_name",
		.nargs = 1,
		.argtypes = {INT4OID}
	};
	Params		params = {.n = 0};

	params_put_int32(&params, pipeline_id);
	return catalog_query_list(&statement, &params, read_duration);
}

void
catalog_insert_reused(int64 run_id, const char *process_name, const PastStep *step)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.attempt_data"
		" (run_id, step_id, process_name, attempt, start_time, end_time, status,"
		"  count_rows, table_size, read_sources, step_indexes, reused_from)"
		" SELECT $1, $2, $3, 0, t.now, t.now, 'SUCCESS', $4, $5, $6, $7, $8"
		" FROM pg_catalog.clock_timestamp() AS t(now)",
		.nargs = 8,
		.argtypes = {INT8OID, INT4OID, TEXTOID, INT8OID, INT8OID, BOOLOID, OIDARRAYOID, INT8OID}
	};
	Params		params = {.n = 0};

	params_put_int64(&params, run_id);
	params_put_int32(&params, step->step_id);
	params_put_text(&params, process_name);
	params_put_int64_unless(&params, step->count_rows, step->count_rows < 0);
	params_put_int64_unless(&params, step->table_size, step->table_size < 0);
	params_put_bool(&params, step->read_sources);
	params_put_oids(&params, step->step_indexes);
	params_put_int64(&params, step->run_id);
	catalog_execute_write(&statement, &params);
}

static void
put_cost(Params *params, const AttemptCost *cost)
{
	static const AttemptCost none = {.count_rows = -1, .table_size = -1};
	bool		isnull = cost == NULL;

	if (isnull)
		cost = &none;
	params_put_int64_unless(params, cost->count_rows, cost->count_rows < 0);
	params_put_int64_unless(params, cost->table_size, cost->table_size < 0);
	params_put_int64_unless(params, cost->shared_blks_hit, isnull);
	params_put_int64_unless(params, cost->shared_blks_read, isnull);
	params_put_int64_unless(params, cost->temp_blks_read, isnull);
	params_put_int64_unless(params, cost->temp_blks_written, isnull);
	params_put_int64_unless(params, cost->wal_bytes, isnull);
	params_put_list_or_null(params, cost->warnings);
	params_put_text(params, cost->plan);
}

void
catalog_insert_attempt(int64 run_id, int32 step_id, const char *process_name, int attempt)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.attempt_data"
		" (run_id, step_id, process_name, attempt, start_time, status, pid)"
		" VALUES ($1, $2, $3, $4, pg_catalog.clock_timestamp(), 'RUNNING', $5)",
		.nargs = 5,
		.argtypes = {INT8OID, INT4OID, TEXTOID, INT4OID, INT4OID}
	};
	Params		params = {.n = 0};

	params_put_int64(&params, run_id);
	params_put_int32(&params, step_id);
	params_put_text(&params, process_name);
	params_put_int32(&params, attempt);
	params_put_int32(&params, MyProcPid);
	catalog_execute_write(&statement, &params);
}

void
catalog_attempt_succeeded(int64 run_id, int32 step_id, int attempt, const AttemptCost *cost)
{
	static EtlStatement statement = {
		.sql = "UPDATE etl.attempt_data SET end_time = pg_catalog.clock_timestamp(),"
		" status = 'SUCCESS', count_rows = $4, table_size = $5, shared_blks_hit = $6,"
		" shared_blks_read = $7, temp_blks_read = $8, temp_blks_written = $9, wal_bytes = $10,"
		" warnings = $11, plan = $12::json, read_sources = $13, step_indexes = $14"
		" WHERE run_id = $1 AND step_id = $2 AND attempt = $3 AND status = 'RUNNING'",
		.nargs = 14,
		.argtypes = {INT8OID, INT4OID, INT4OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID,
		INT8OID, INT8OID, TEXTARRAYOID, TEXTOID, BOOLOID, OIDARRAYOID}
	};
	Params		params = {.n = 0};

	params_put_int64(&params, run_id);
	params_put_int32(&params, step_id);
	params_put_int32(&params, attempt);
	put_cost(&params, cost);
	params_put_bool(&params, cost->read_sources);
	params_put_oids(&params, cost->step_indexes);
	if (catalog_execute_write(&statement, &params) != 1)
		elog(ERROR, "attempt %d of step %d of run " INT64_FORMAT " is not logged as running",
			 attempt, step_id, run_id);
}

bool
catalog_attempt_failed(int64 run_id, int32 step_id, const char *process_name, int attempt,
					   EtlStepStatus status, const ErrorData *error, TimestampTz retry_at,
					   const AttemptCost *cost)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.attempt_data AS a"
		" (run_id, step_id, process_name, attempt, start_time, end_time, status, retry_at,"
		"  error_message, sqlstate, error_detail, error_hint, error_context,"
		"  count_rows, table_size, shared_blks_hit, shared_blks_read, temp_blks_read,"
		"  temp_blks_written, wal_bytes, warnings, plan)"
		" VALUES ($1, $2, $3, $4, pg_catalog.clock_timestamp(), pg_catalog.clock_timestamp(),"
		"  $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20::json)"
		" ON CONFLICT (run_id, step_id, attempt) DO UPDATE"
		" SET end_time = excluded.end_time, status = excluded.status,"
		"  retry_at = excluded.retry_at, error_message = excluded.error_message,"
		"  sqlstate = excluded.sqlstate, error_detail = excluded.error_detail,"
		"  error_hint = excluded.error_hint, error_context = excluded.error_context,"
		"  count_rows = excluded.count_rows, table_size = excluded.table_size,"
		"  shared_blks_hit = excluded.shared_blks_hit,"
		"  shared_blks_read = excluded.shared_blks_read,"
		"  temp_blks_read = excluded.temp_blks_read,"
		"  temp_blks_written = excluded.temp_blks_written, wal_bytes = excluded.wal_bytes,"
		"  warnings = excluded.warnings, plan = excluded.plan"
		" WHERE a.status = 'RUNNING'",
		.nargs = 20,
		.argtypes = {INT8OID, INT4OID, TEXTOID, INT4OID, TEXTOID, TIMESTAMPTZOID,
			TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
			INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID,
			TEXTARRAYOID, TEXTOID
		}
	};
	Params		params = {.n = 0};

	params_put_int64(&params, run_id);
	params_put_int32(&params, step_id);
	params_put_text(&params, process_name);
	params_put_int32(&params, attempt);
	params_put_text(&params, step_status_words[status]);
	params_put_datum(&params, TimestampTzGetDatum(retry_at), retry_at == 0);
	params_put_message(&params, error->message);
	params_put_text(&params, unpack_sql_state(error->sqlerrcode));
	params_put_message(&params, error->detail);
	params_put_message(&params, error->hint);
	params_put_message(&params, error->context);
	put_cost(&params, cost);

	return catalog_execute_write(&statement, &params) == 1;
}

void
catalog_attempt_not_repeated(int64 run_id, int32 step_id, int attempt)
{
	static EtlStatement statement = {
		.sql = "UPDATE etl.attempt_data SET retry_at = NULL"
		" WHERE run_id = $1 AND step_id = $2 AND attempt = $3",
		.nargs = 3,
		.argtypes = {INT8OID, INT4OID, INT4OID}
	};
	Params		params = {.n = 0};

	params_put_int64(&params, run_id);
	params_put_int32(&params, step_id);
	params_put_int32(&params, attempt);
	catalog_execute_write(&statement, &params);
}

void
catalog_insert_unstarted(int64 run_id, int32 step_id, const char *process_name,
						 EtlStepStatus status, const char *reason)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.attempt_data"
		" (run_id, step_id, process_name, attempt, start_time, end_time, status, error_message)"
		" SELECT $1, $2, $3, 0, t.now, t.now, $4, $5"
		" FROM pg_catalog.clock_timestamp() AS t(now)",
		.nargs = 5,
		.argtypes = {INT8OID, INT4OID, TEXTOID, TEXTOID, TEXTOID}
	};
	Params		params = {.n = 0};

	params_put_int64(&params, run_id);
	params_put_int32(&params, step_id);
	params_put_text(&params, process_name);
	params_put_text(&params, step_status_words[status]);
	params_put_text(&params, reason);
	catalog_execute_write(&statement, &params);
}

/* ---- checks ---- */

void
catalog_insert_check_results(int64 run_id, int32 step_id, const char *process_name,
							 int attempt, const List *results)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.check_data"
		" (run_id, step_id, process_name, attempt, number, check_text, check_name, severity,"
		"  wrong_rows, sample_rows, tested_at)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,"
		"  (SELECT pg_catalog.jsonb_agg(s.row::jsonb ORDER BY s.number)"
		"   FROM pg_catalog.unnest($10) WITH ORDINALITY AS s(row, number)), $11)",
		.nargs = 11,
		.argtypes = {INT8OID, INT4OID, TEXTOID, INT4OID, INT4OID, TEXTOID, TEXTOID, TEXTOID,
		INT8OID, TEXTARRAYOID, TIMESTAMPTZOID}
	};
	ListCell   *lc;

	foreach(lc, results)
	{
		const CheckResult *result = lfirst(lc);
		Params		params = {.n = 0};

		params_put_int64(&params, run_id);
		params_put_int32(&params, step_id);
		params_put_text(&params, process_name);
		params_put_int32(&params, attempt);
		params_put_int32(&params, result->number);
		params_put_text(&params, result->text);
		params_put_text(&params, result->name);
		params_put_text(&params, result->warn ? "WARN" : "ERROR");
		params_put_int64(&params, result->wrong_rows);
		params_put_list(&params, result->samples);
		params_put_datum(&params, TimestampTzGetDatum(result->tested_at), false);
		catalog_execute_write(&statement, &params);
	}
}
