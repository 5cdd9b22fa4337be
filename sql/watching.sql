-- What shows how a run is getting on, and that everything says what it is.

\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/test/sql/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

-- every function, view, view's column that is not plain, type and schema has its comment
SELECT p.oid::regprocedure FROM pg_proc p
 WHERE p.pronamespace = 'etl'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL
   AND has_function_privilege('public', p.oid, 'EXECUTE') ORDER BY 1;
SELECT c.oid::regclass FROM pg_class c
 WHERE c.relnamespace = 'etl'::regnamespace AND obj_description(c.oid, 'pg_class') IS NULL
   AND has_table_privilege('public', c.oid, 'SELECT') AND c.relkind IN ('r', 'v') ORDER BY 1;
SELECT obj_description('etl'::regnamespace, 'pg_namespace') IS NOT NULL AS schema,
	   (SELECT obj_description(oid, 'pg_extension') FROM pg_extension WHERE extname = 'etl_framework') IS NOT NULL AS extension;
-- nothing of the state is granted to anybody, nothing of it is executable in somebody's name
SELECT c.oid::regclass FROM pg_class c
 WHERE c.relnamespace = 'etl'::regnamespace AND c.relname ~ '_(data|all|seq)$' AND c.relacl::text ~ '[{,]=' ORDER BY 1;
SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'etl'::regnamespace AND p.prosecdef;
SELECT c.relname FROM pg_class c
 WHERE c.relnamespace = 'etl'::regnamespace AND c.relkind = 'v' AND c.relname <> 'metadata_all'
   AND NOT 'security_barrier=true' = ANY (c.reloptions);
-- the columns, which are a public interface
\pset format unaligned
SELECT c.relname || ': ' || string_agg(a.attname, ', ' ORDER BY a.attnum) AS "view: columns"
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
 WHERE c.relnamespace = 'etl'::regnamespace AND c.relkind = 'v' AND c.relname <> 'metadata_all' AND a.attnum > 0
 GROUP BY c.relname ORDER BY c.relname COLLATE "C";
\pset format aligned

-- ---- a run that stands still at its second step, until it may go on

CREATE SCHEMA watching_source;
-- What a step does with a sequence everybody sees at once, whatever their snapshot.
CREATE SEQUENCE watching_source.gate;
CREATE FUNCTION watching_source.stand() RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
	WHILE (SELECT last_value FROM watching_source.gate) < 3 LOOP
		IF (SELECT last_value FROM watching_source.gate) = 1 THEN
			PERFORM setval('watching_source.gate', 2);
		END IF;
		PERFORM pg_sleep(0.01);
	END LOOP;
	RETURN true;
END
$$;
CREATE FUNCTION pg_temp.gate(state int) RETURNS void LANGUAGE sql AS $$SELECT setval('watching_source.gate', $1)$$;
-- until the step stands, and so many others have been skipped
CREATE PROCEDURE pg_temp.await_standing(nskipped int DEFAULT 1) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 6000 LOOP
		COMMIT;
		EXIT WHEN (SELECT skipped = nskipped FROM etl.progress WHERE pipeline = 'watching')
			AND (SELECT last_value FROM watching_source.gate) = 2;
		PERFORM pg_sleep(0.01);
	END LOOP;
END
$$;
SELECT pg_temp.define('watching',
	'first', 'SELECT 1 AS n',
	'stands', 'SELECT n, watching_source.stand() AS stood FROM first',
	'after', 'SELECT n FROM stands',
	'fails', 'SELECT 1 / (n - 1) AS n FROM first',
	'skipped', 'SELECT n FROM fails');
SELECT count(*) FROM etl.progress;
SELECT pg_temp.gate(1);
SELECT etl.start('watching', params => '{"p": 1}') AS run_id \gset
CALL pg_temp.await_standing();
SELECT pipeline, version, status, elapsed > '0' AS elapsed, start_time < now() + '1 min' AS started, steps, done, running, failed, skipped, waiting, running_steps
  FROM etl.progress WHERE run_id = :run_id;
SELECT process_name, attempt, status, end_time IS NULL AS runs, count_rows, pid IS NOT NULL AS pid FROM etl.log WHERE run_id = :run_id ORDER BY step_id;
SELECT pipeline, version, requested_by = current_user AS requested_by, status, end_time, error_message, params, steps, step_count, pid IS NOT NULL AS pid
  FROM etl.run_log WHERE run_id = :run_id;
-- what the server shows of its processes
SELECT backend_type, application_name = backend_type OR application_name LIKE 'etl\_framework run %' AS application, state,
	   pg_temp.plain(query) AS query, usename = current_user AS owner
  FROM pg_stat_activity
 WHERE backend_type LIKE 'etl\_framework%' AND state = 'active' ORDER BY 1, state COLLATE "C", query COLLATE "C";
SELECT count(*) FROM pg_stat_activity a JOIN etl.run_log r ON r.pid = a.pid WHERE r.run_id = :run_id;
SELECT count(*) FROM pg_stat_activity a JOIN etl.log l ON l.pid = a.pid WHERE l.run_id = :run_id AND l.status = 'RUNNING';
-- to wait with a time-out, and to start another
SELECT etl.wait(:run_id, '0');
SELECT etl.wait(:run_id, '10 ms');
SELECT * FROM pg_temp.try($$SELECT etl.run('watching')$$);
SELECT * FROM pg_temp.try($$SELECT etl.start('watching')$$);
SELECT etl.run('watching', on_conflict => 'skip');
SELECT etl.start('watching', on_conflict => 'skip');
SELECT etl.drop_pipeline('watching');
-- nobody has to have seen it: others see nothing of it
CREATE ROLE regress_watching_stranger;
SET ROLE regress_watching_stranger;
SELECT count(*) FROM etl.progress;
SELECT count(*) FROM etl.run_log;
SELECT count(*) FROM etl.log;
RESET ROLE;
DROP ROLE regress_watching_stranger;
-- it goes on
SELECT pg_temp.gate(3);
SELECT etl.wait(:run_id);
SELECT count(*) FROM etl.progress;
SELECT process_name, status, end_time >= start_time AS ended FROM etl.log WHERE run_id = :run_id ORDER BY step_id;

-- ---- to cancel it where it stands

SELECT pg_temp.gate(1);
SELECT etl.start('watching') AS run_id \gset
CALL pg_temp.await_standing();
SELECT etl.cancel(:run_id);
SELECT etl.wait(:run_id);
SELECT etl.cancel(:run_id);
SELECT pg_temp.gate(3);
SELECT * FROM pg_temp.run_said('watching');
SELECT * FROM pg_temp.steps('watching');
-- what it made stays, for etl.resume
SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pg\_etl\_staging%';

-- ---- an error in the caller's session ends the run that it waits for

SELECT pg_temp.gate(1);
SET statement_timeout = '1 s';
SELECT etl.run('watching');
RESET statement_timeout;
SELECT etl.wait(max(run_id)) FROM etl.run_log WHERE pipeline = 'watching';
SELECT pg_temp.gate(3);
SELECT * FROM pg_temp.run_said('watching');
SELECT step, status FROM pg_temp.steps('watching') WHERE step IN ('stands', 'after');

-- one that it has started goes on
SELECT etl.alter_step('watching', 'fails', '{"sql_query": "SELECT n FROM first"}');
SELECT pg_temp.gate(1);
SELECT etl.start('watching') AS run_id \gset
SET statement_timeout = '100 ms';
SELECT etl.wait(:run_id);
RESET statement_timeout;
-- the session's own lock_timeout is for tables
SET lock_timeout = '1 ms';
SELECT etl.wait(:run_id, '100 ms');
SHOW lock_timeout;
RESET lock_timeout;
SELECT etl.wait(:run_id, '0'), etl.wait(:run_id, '1 us'), etl.wait(:run_id, '1 ms');
SELECT pg_temp.gate(3);
SELECT etl.wait(:run_id, '1 month');

-- ---- who waits for a run and holds what a step waits for

SELECT pg_temp.define('watching_locks', 'first', 'SELECT 1 AS n', 'stands', 'SELECT n, pg_advisory_xact_lock(8341)::text AS locked FROM first');
SELECT pg_advisory_lock(8341);
SELECT regexp_replace(t, 'advisory lock [^ ]*,', 'advisory lock N,') FROM pg_temp.try($$SELECT etl.run('watching_locks')$$) t;
SELECT step, attempt, status, error FROM pg_temp.steps('watching_locks') WHERE step = 'stands';
SELECT etl.start('watching_locks') AS run_id \gset
-- to look at it for some time does no harm
SELECT etl.wait(:run_id, '1500 ms');
-- to wait for it for ever would last for ever
SELECT etl.wait(:run_id);
SELECT regexp_replace(error, 'advisory lock [^ ]*,', 'advisory lock N,') FROM pg_temp.run_said('watching_locks');
SELECT etl.start('watching_locks') AS run_id \gset
SELECT etl.wait(:run_id, '10 ms');
SELECT pg_advisory_unlock(8341);
SELECT etl.wait(:run_id);

SELECT pg_temp.forget('watching_locks');
SELECT pg_temp.forget('watching');
DROP SCHEMA watching_source CASCADE;
