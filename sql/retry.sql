-- Which failures are tried again, how often and when.

\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/test/sql/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

CREATE SCHEMA retry_source;
SET search_path = retry_source, public;

-- Fails as often as it is told to; a sequence remembers, whatever is rolled back.
CREATE SEQUENCE calls;
CREATE FUNCTION fail(times int, state text, message text DEFAULT 'as told') RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	IF nextval('retry_source.calls') <= times THEN
		RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message, DETAIL = 'some detail', HINT = 'some hint';
	END IF;
	RETURN 42;
END
$$;
-- Runs the pipeline with this retry_on, its step failing like this.
CREATE FUNCTION attempts(retry_on text[], state text, times int, max_attempts int DEFAULT NULL)
RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM setval('retry_source.calls', 1, false);
	PERFORM etl.alter_pipeline('retry', jsonb_build_object('retry_on', retry_on));
	PERFORM etl.alter_step('retry', 'a', jsonb_build_object(
		'sql_query', format('SELECT retry_source.fail(%s, %L) AS x', times, state), 'max_attempts', max_attempts));
	RETURN etl.start('retry');
END
$$;

SELECT etl.create_pipeline('retry', retry_delay => '10 ms', one_snapshot => false);
SELECT etl.add_step('retry', 'a', 'SELECT 1 AS x');

CREATE TABLE cases (id int, retry_on text[], state text, times int, max_attempts int, run_id bigint, said text);
INSERT INTO cases (id, retry_on, state, times, max_attempts) VALUES
	(1, '{transient}', '40001', 2, NULL),				-- succeeds at last
	(2, '{transient}', '40001', 3, NULL),				-- three attempts are the default
	(3, '{transient}', '40P01', 1, NULL),
	(4, '{transient}', '55P03', 1, NULL),
	(5, '{transient}', '53100', 1, NULL),
	(6, '{transient}', '53400', 1, NULL),				-- a configured limit stays one
	(7, '{transient}', '08006', 1, NULL),
	(8, '{transient}', '22012', 1, NULL),
	(9, '{transient}', '23505', 1, NULL),
	(10, '{transient}', '42601', 1, NULL),
	(11, '{transient}', '57014', 1, NULL),			-- a person cancelled
	(12, '{any}', '22012', 1, NULL),
	(13, '{any}', '42601', 1, NULL),
	(14, '{any}', '40001', 9, 5),
	(15, '{any}', '40001', 9, 1),
	(16, '{22012}', '22012', 1, NULL),
	(17, '{22012}', '22013', 1, NULL),
	(18, '{22012}', '40001', 1, NULL),
	(19, '{22}', '22013', 1, NULL),
	(20, '{22}', '23505', 1, NULL),
	(21, '{22012,transient,23}', '40001', 1, NULL),
	(22, '{22012,transient,23}', '23505', 1, NULL),
	(23, '{P0001}', 'P0001', 1, NULL);
CREATE PROCEDURE try_all() LANGUAGE plpgsql AS $$
DECLARE
	c cases;
BEGIN
	FOR c IN SELECT * FROM cases ORDER BY id LOOP
		UPDATE cases SET run_id = attempts(c.retry_on, c.state, c.times, c.max_attempts)::bigint
		 WHERE id = c.id RETURNING cases.run_id INTO c.run_id;
		COMMIT;
		c.said := etl.wait(c.run_id);
		UPDATE cases SET said = c.said WHERE id = c.id;
		COMMIT;
	END LOOP;
END
$$;
CALL try_all();
SELECT c.id, c.retry_on, c.state, c.times, c.max_attempts AS max, c.said,
	   string_agg(l.status || CASE WHEN retry_at IS NOT NULL THEN '..' ELSE '' END, ' ' ORDER BY l.attempt) AS attempts
  FROM cases c JOIN etl.log l USING (run_id) GROUP BY c.id, c.retry_on, c.state, c.times, c.max_attempts, c.said ORDER BY c.id;

-- a row an attempt, with all that there is to say
SELECT run_id AS failed FROM cases WHERE id = 2 \gset
SELECT l.attempt, l.status, l.error_message, l.sqlstate, l.error_detail, l.error_hint, pg_temp.plain(l.error_context) AS error_context,
	   count_rows, table_size, start_time <= end_time AS ends, pid > 0 AS pid, retry_at > start_time AS tried_later,
	   shared_blks_hit >= 0 AS hit, shared_blks_read >= 0 AS read, temp_blks_read >= 0 AS temp_read,
	   temp_blks_written >= 0 AS temp_written, wal_bytes >= 0 AS wal
  FROM etl.log l WHERE run_id = :failed ORDER BY attempt \gx
SELECT count(*), count(DISTINCT attempt), min(attempt), max(attempt) FROM etl.log WHERE run_id = :failed;
SELECT run_id AS succeeded FROM cases WHERE id = 1 \gset
SELECT attempt, status, error_message, sqlstate, count_rows, table_size > 0 AS size, retry_at IS NOT NULL AS tried_later
  FROM etl.log WHERE run_id = :succeeded ORDER BY attempt;
-- an attempt does not begin before its time
SELECT bool_and(n.start_time >= l.retry_at) AS after_its_time
  FROM etl.log l JOIN etl.log n ON n.run_id = l.run_id AND n.step_id = l.step_id AND n.attempt = l.attempt + 1;

-- the delay: at least half of what is doubled each time, at most all of it
SELECT etl.alter_pipeline('retry', '{"retry_delay": "40 ms", "retry_on": ["any"], "max_attempts": 5}');
SELECT etl.alter_step('retry', 'a', $${"sql_query": "SELECT retry_source.fail(4, '40001')", "max_attempts": null}$$);
SELECT setval('calls', 1, false);
SELECT * FROM pg_temp.try($$SELECT etl.run('retry')$$);
SELECT attempt, retry_at - start_time >= interval '20 ms' * 2 ^ (attempt - 1) AS long_enough,
	   retry_at - end_time <= interval '40 ms' * 2 ^ (attempt - 1) AS not_too_long
  FROM etl.log WHERE run_id = (SELECT max(run_id) FROM etl.run_log) AND retry_at IS NOT NULL ORDER BY 1;

-- no delay at all
SELECT etl.alter_pipeline('retry', '{"retry_delay": "0"}');
SELECT setval('calls', 1, false);
SELECT * FROM pg_temp.try($$SELECT etl.run('retry')$$);
SELECT count(*) FROM pg_temp.steps('retry');

-- what cannot be parsed is no step, so a retry never meets it; unknown names are found when it runs
SELECT etl.alter_step('retry', 'a', '{"sql_query": "SELEC 1"}');
SELECT etl.alter_step('retry', 'a', '{"sql_query": "SELECT nothing FROM nowhere"}');
SELECT etl.alter_pipeline('retry', '{"retry_on": ["transient"]}');
SELECT * FROM pg_temp.try($$SELECT etl.run('retry')$$);
SELECT * FROM pg_temp.steps('retry');

-- the others go on while one waits for its next attempt, and what reads it waits with it
SELECT etl.alter_pipeline('retry', '{"retry_delay": "1 s", "max_parallel": 1}');
SELECT etl.alter_step('retry', 'a', $${"sql_query": "SELECT retry_source.fail(1, '40001') AS x"}$$);
SELECT etl.add_step('retry', 'reads', 'SELECT x + 1 AS y FROM a');
SELECT etl.add_step('retry', 'other', 'SELECT 1 AS z');
SELECT etl.add_step('retry', 'other_too', 'SELECT z FROM other');
SELECT setval('calls', 1, false);
SELECT * FROM pg_temp.try($$SELECT etl.run('retry')$$);
SELECT process_name, attempt FROM etl.log WHERE run_id = (SELECT max(run_id) FROM etl.run_log) ORDER BY start_time;
SELECT * FROM retry.reads;

-- a time-out is tried again where that is asked for
SELECT etl.drop_step('retry', s) FROM unnest('{reads,other,other_too}'::text[]) s;
SELECT etl.alter_pipeline('retry', '{"retry_on": ["transient"], "retry_delay": "10 ms"}');
SELECT etl.alter_step('retry', 'a', $${"sql_query": "SELECT pg_sleep(60)::text AS x", "step_timeout": "50 ms"}$$);
SELECT * FROM pg_temp.try($$SELECT etl.run('retry')$$);
SELECT * FROM pg_temp.steps('retry');
SELECT etl.alter_pipeline('retry', '{"retry_on": ["57014"], "max_attempts": 2}');
SELECT * FROM pg_temp.try($$SELECT etl.run('retry')$$);
SELECT * FROM pg_temp.steps('retry');
-- an attempt has the time for itself, not the step
SELECT etl.alter_pipeline('retry', '{"retry_on": ["any"], "retry_delay": "10 ms"}');
SELECT etl.alter_step('retry', 'a', $${"sql_query": "SELECT retry_source.fail(1, '40001') AS x", "step_timeout": "1 minute"}$$);
SELECT setval('calls', 1, false);
SELECT * FROM pg_temp.try($$SELECT etl.run('retry')$$);

-- the run's own time-out ends it, also while a step waits for its next attempt
SELECT etl.alter_pipeline('retry', '{"run_timeout": "2 s", "retry_delay": "1 minute"}');
SELECT setval('calls', 1, false);
SELECT * FROM pg_temp.try($$SELECT etl.run('retry')$$);
SELECT * FROM pg_temp.steps('retry');
SELECT retry_at FROM etl.log WHERE run_id = (SELECT max(run_id) FROM etl.run_log);
SELECT etl.alter_step('retry', 'a', $${"sql_query": "SELECT pg_sleep(60)::text AS x"}$$);
SELECT etl.add_step('retry', 'after', 'SELECT x FROM a');
SELECT * FROM pg_temp.try($$SELECT etl.run('retry')$$);
SELECT * FROM pg_temp.steps('retry');
SELECT * FROM pg_temp.run_said('retry');

-- a serialization failure under the run's snapshot would come back, whatever the policy says
SELECT etl.alter_pipeline('retry', '{"run_timeout": null, "retry_delay": "10 ms", "one_snapshot": true}');
SELECT etl.drop_step('retry', 'after');
SELECT etl.alter_step('retry', 'a', $${"sql_query": "SELECT retry_source.fail(1, '40001') AS x"}$$);
SELECT setval('calls', 1, false);
SELECT * FROM pg_temp.try($$SELECT etl.run('retry')$$);
SELECT * FROM pg_temp.steps('retry');

SELECT pg_temp.forget('retry');
DROP SCHEMA retry_source CASCADE;
