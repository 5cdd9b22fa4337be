-- What the steps of random pipelines call, and what the test asks afterwards.

CREATE SCHEMA chaos;

-- Changes before every run, so that old results cannot pass for new ones.
CREATE TABLE chaos.source (pipeline text PRIMARY KEY, v bigint NOT NULL);

-- What command steps leave.
CREATE TABLE chaos.command_log (pipeline text NOT NULL, step text NOT NULL, total bigint NOT NULL);

-- The first "times" executions of a step fail.
CREATE TABLE chaos.trouble (
	pipeline text, step text, times int NOT NULL, how text NOT NULL,
	PRIMARY KEY (pipeline, step)
);

-- Called by every step, once an attempt.  A sequence counts, because that
-- survives the attempt's end.
CREATE FUNCTION chaos.attempt(pipeline_name text, step_name text) RETURNS int
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	n bigint := nextval(format('chaos.%I', pipeline_name || ' ' || step_name)::regclass);
	trouble chaos.trouble;
BEGIN
	SELECT * INTO trouble FROM chaos.trouble t WHERE t.pipeline = pipeline_name AND t.step = step_name;
	IF trouble.times IS NULL OR n > trouble.times THEN
		RETURN n;
	ELSIF trouble.how = 'timeout' THEN
		PERFORM pg_sleep(60);
	ELSIF trouble.how = 'cancel' THEN
		PERFORM pg_cancel_backend(pg_backend_pid());
		PERFORM pg_sleep(60);
	ELSIF trouble.how = 'terminate' THEN
		PERFORM pg_terminate_backend(pg_backend_pid());
		PERFORM pg_sleep(60);
	END IF;
	RAISE EXCEPTION USING ERRCODE = trouble.how, MESSAGE = format('failure %s of %s', n, step_name);
END $$;

CREATE PROCEDURE chaos.work(pipeline_name text, step_name text, constant bigint)
LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO chaos.command_log VALUES (pipeline_name, step_name, constant);
	COMMIT;
	PERFORM chaos.attempt(pipeline_name, step_name);
END $$;

-- steps: their names; troubles: {step: {times, how}}
CREATE FUNCTION chaos.prepare(pipeline_name text, steps jsonb, troubles jsonb, new_source bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	step text;
BEGIN
	DELETE FROM chaos.source s WHERE s.pipeline = pipeline_name;
	INSERT INTO chaos.source VALUES (pipeline_name, new_source);
	DELETE FROM chaos.command_log l WHERE l.pipeline = pipeline_name;
	DELETE FROM chaos.trouble t WHERE t.pipeline = pipeline_name;
	INSERT INTO chaos.trouble
		SELECT pipeline_name, key, (value->>'times')::int, value->>'how' FROM jsonb_each(troubles);
	FOR step IN SELECT jsonb_array_elements_text(steps) LOOP
		EXECUTE format('CREATE SEQUENCE IF NOT EXISTS chaos.%I', pipeline_name || ' ' || step);
		PERFORM setval(format('chaos.%I', pipeline_name || ' ' || step)::regclass, 1, false);
	END LOOP;
END $$;

-- {table: ["k:v", ...]}
CREATE FUNCTION chaos.contents(schema_name text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
	result jsonb := '{}';
	found_name name;
	found_rows jsonb;
BEGIN
	FOR found_name IN
		SELECT c.relname FROM pg_class c
		WHERE c.relnamespace = to_regnamespace(quote_ident(schema_name))
		  AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
	LOOP
		EXECUTE format('SELECT coalesce(jsonb_agg(k || '':'' || v ORDER BY k, v), ''[]'') FROM %I.%I',
					   schema_name, found_name) INTO found_rows;
		result := result || jsonb_build_object(found_name, found_rows);
	END LOOP;
	RETURN result;
END $$;

CREATE FUNCTION chaos.microseconds(timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE AS 'SELECT (extract(epoch FROM $1) * 1000000)::bigint';

-- All that is to be known of a pipeline after a run.
CREATE FUNCTION chaos.look(pipeline_name text, wanted bigint) RETURNS jsonb
LANGUAGE sql AS $$
SELECT jsonb_build_object(
	'run', (SELECT to_jsonb(r) FROM etl.run_log r WHERE r.run_id = wanted),
	'newest', (SELECT max(r.run_id) FROM etl.run_log r WHERE r.pipeline = pipeline_name),
	'log', (SELECT coalesce(jsonb_agg(jsonb_build_object(
				'step', l.process_name, 'attempt', l.attempt, 'status', l.status,
				'start', chaos.microseconds(l.start_time), 'end', chaos.microseconds(l.end_time),
				'retry_at', chaos.microseconds(l.retry_at), 'pid', l.pid, 'sqlstate', l.sqlstate,
				'message', l.error_message, 'rows', l.count_rows)
				ORDER BY l.start_time, l.attempt), '[]')
			FROM etl.log l WHERE l.run_id = wanted),
	'output', (SELECT coalesce(jsonb_object_agg(o.process_name, jsonb_build_object(
				'run_id', o.run_id, 'rows', o.count_rows,
				'there', o.relation = to_regclass(format('%I.%I', o.schema_name, o.process_name)))), '{}')
			FROM etl.output o WHERE o.pipeline = pipeline_name),
	'tables', chaos.contents(pipeline_name),
	'commands', (SELECT coalesce(jsonb_agg(l.step || ':' || l.total ORDER BY l.step, l.total), '[]')
			FROM chaos.command_log l WHERE l.pipeline = pipeline_name),
	'executions', (SELECT coalesce(jsonb_object_agg(substr(s.sequencename, length(pipeline_name) + 2), s.last_value), '{}')
			FROM pg_sequences s
			WHERE s.schemaname = 'chaos' AND starts_with(s.sequencename, pipeline_name || ' ')),
	'staging', (SELECT count(*) FROM pg_namespace WHERE nspname = 'pg_etl_staging_' ||
			(SELECT d.pipeline_id FROM etl.pipeline_data d WHERE d.pipeline = pipeline_name)))
$$;
