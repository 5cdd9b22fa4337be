-- What the regression tests share.  Everything is temporary: a test begins with
--	\getenv srcdir PG_ABS_SRCDIR
--	\set helpers :srcdir '/test/sql/helpers.sql'
--	\set ECHO none
--	\i :helpers
--	\set ECHO all

-- The lines that a run prints contain times.
SET client_min_messages = warning;

-- A text without what differs each time: numbers of runs, processes and objects,
-- times.
CREATE FUNCTION pg_temp.plain(message text) RETURNS text LANGUAGE sql AS $$
	SELECT regexp_replace(regexp_replace(regexp_replace(regexp_replace($1,
		'\m(run|run_id =|[Pp]rocess) [0-9]+', '\1 N', 'g'),
		'\mpg_etl_staging_[0-9]+', 'pg_etl_staging_N', 'g'),
		'_[0-9]+_idx', '_N_idx', 'g'),
		'\m[0-9]+\.[0-9]+ s\M', 'T s', 'g')
$$;

-- What a statement says: its one result, or its error with all that belongs to
-- it.  A run's number is shown as N.
CREATE FUNCTION pg_temp.try(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	result text;
	state text;
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE statement INTO result;
	RETURN NEXT coalesce(CASE WHEN statement ~ '(run|start)\(' THEN regexp_replace(result, '^[0-9]+$', 'N') ELSE result END,
						 '(null)');
EXCEPTION WHEN OTHERS OR query_canceled THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN NEXT 'ERROR ' || state || ': ' || pg_temp.plain(message);
	IF detail <> '' THEN RETURN NEXT '  detail: ' || pg_temp.plain(detail); END IF;
	IF hint <> '' THEN RETURN NEXT '  hint: ' || pg_temp.plain(hint); END IF;
END
$$;

-- A pipeline's last run, a row an attempt.
CREATE FUNCTION pg_temp.steps(pipeline text)
RETURNS TABLE (step text, attempt int, status text, count_rows bigint, sqlstate text, error text) LANGUAGE sql AS $$
	SELECT l.process_name, l.attempt, l.status, l.count_rows, l.sqlstate, pg_temp.plain(l.error_message)
	  FROM etl.log l
	 WHERE l.run_id = (SELECT max(r.run_id) FROM etl.run_log r WHERE r.pipeline = $1)
	 ORDER BY l.step_id, l.attempt
$$;

CREATE FUNCTION pg_temp.run_said(pipeline text)
RETURNS TABLE (version int, status text, error text) LANGUAGE sql AS $$
	SELECT r.version, r.status, pg_temp.plain(r.error_message)
	  FROM etl.run_log r
	 WHERE r.pipeline = $1
	 ORDER BY r.run_id DESC
	 LIMIT 1
$$;

-- Makes a pipeline of these steps: name, SQL, name, SQL, ...
CREATE FUNCTION pg_temp.define(pipeline text, VARIADIC steps text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM etl.create_pipeline($1, retry_delay => '10 ms');
	FOR i IN 1 .. cardinality(steps) BY 2 LOOP
		PERFORM etl.add_step($1, steps[i], steps[i + 1]);
	END LOOP;
END
$$;

-- Drops a pipeline, its tables and its schema.
CREATE FUNCTION pg_temp.forget(pipeline text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	target text := (SELECT p.target_schema FROM etl.pipeline p WHERE p.pipeline = $1);
BEGIN
	PERFORM etl.drop_pipeline($1, drop_tables => true);
	EXECUTE format('DROP SCHEMA %I CASCADE', target);
END
$$;

-- Waits for a run without a snapshot that others could have to wait for.
CREATE PROCEDURE pg_temp.await(run bigint) LANGUAGE plpgsql AS $$
BEGIN
	WHILE EXISTS (SELECT FROM etl.run_log WHERE run_id = run AND status = 'RUNNING') LOOP
		COMMIT;
		PERFORM pg_sleep(0.01);
		COMMIT;
	END LOOP;
END
$$;
