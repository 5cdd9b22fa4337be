-- A worker runs one step after another: nothing of a step's session reaches the
-- next one.  max_parallel is 1, so that one process does it all.

\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/test/sql/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

CREATE SCHEMA session_source;
SET search_path = session_source, public;
CREATE TABLE noted (what text, value text);
CREATE SEQUENCE numbers;
CREATE FUNCTION lastval_or_not() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN lastval();
EXCEPTION WHEN OBJECT_NOT_IN_PREREQUISITE_STATE THEN
	RETURN NULL;
END
$$;
-- What a session can keep.
CREATE FUNCTION session_state() RETURNS TABLE (what text, value text) LANGUAGE sql AS $$
	SELECT 'setting', current_setting('work_mem')
	UNION ALL SELECT 'local setting', current_setting('maintenance_work_mem')
	UNION ALL SELECT 'own setting', nullif(current_setting('app.own', true), '')
	UNION ALL SELECT 'params', nullif(current_setting('etl_framework.params'), '')
	UNION ALL SELECT 'time zone', current_setting('TimeZone')
	UNION ALL SELECT 'search path', regexp_replace(current_setting('search_path'), 'pg_etl_staging_[0-9]+', 'pg_etl_staging_N')
	UNION ALL SELECT 'role', current_setting('role')
	UNION ALL SELECT 'user', (current_user = session_user)::text
	UNION ALL SELECT 'isolation', current_setting('default_transaction_isolation')
	UNION ALL SELECT 'temporary tables', (SELECT string_agg(relname, ' ') FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind = 'r')
	UNION ALL SELECT 'prepared statements', (SELECT string_agg(name, ' ') FROM pg_prepared_statements)
	UNION ALL SELECT 'cursors', (SELECT string_agg(name, ' ') FROM pg_cursors)
	UNION ALL SELECT 'locks', (SELECT count(*)::text FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory')
	UNION ALL SELECT 'channels', (SELECT string_agg(c, ' ') FROM pg_listening_channels() c)
	UNION ALL SELECT 'lastval', lastval_or_not()
$$;
CREATE TABLE state_before (what text, value text);
CREATE TABLE state_after (what text, value text);
CREATE ROLE regress_session_other;

-- before: what a fresh worker has
SELECT etl.create_pipeline('session', max_parallel => 1, retry_delay => '0');
SELECT etl.add_step('session', 'before', 'TRUNCATE state_before; INSERT INTO state_before SELECT * FROM session_state()', execution_order => 1);
SELECT etl.add_step('session', 'after', 'TRUNCATE state_after; INSERT INTO state_after SELECT * FROM session_state()', execution_order => 3);
SELECT * FROM pg_temp.try($$SELECT etl.run('session')$$);
SELECT * FROM state_before WHERE what <> 'time zone';
SELECT count(*) FROM state_before JOIN state_after USING (what) WHERE state_before.value IS NOT DISTINCT FROM state_after.value;
SELECT count(DISTINCT pid) FROM etl.log WHERE pipeline = 'session';

-- a step that leaves all of that behind, then: is there a difference?
CREATE FUNCTION leaves(statements text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM etl.add_step('session', 'leaves', statements, execution_order => 2);
	RETURN etl.start('session', on_conflict => 'wait');
END
$$;
CREATE PROCEDURE show_leaving(statements text) LANGUAGE plpgsql AS $$
DECLARE
	run bigint;
	said text;
	difference text;
BEGIN
	run := leaves(statements);
	COMMIT;
	said := etl.wait(run);
	SELECT said || coalesce(': ' || error_message, '') INTO said FROM etl.log WHERE run_id = run AND process_name = 'leaves';
	SELECT string_agg(format('%s: %s, %s', what, b.value, a.value), '; ')
	  INTO difference
	  FROM state_before b FULL JOIN state_after a USING (what)
	 WHERE a.value IS DISTINCT FROM b.value;
	INSERT INTO noted VALUES (statements, said || coalesce(', differs: ' || difference, ''));
	PERFORM etl.drop_step('session', 'leaves');
	COMMIT;
END
$$;
CALL show_leaving('SET work_mem = ''3MB''; SET app.own = ''1''; SET TimeZone = ''Asia/Tokyo''');
CALL show_leaving('SET search_path = pg_catalog; SET default_transaction_isolation = ''serializable''');
CALL show_leaving('SET etl_framework.params = ''{"a": 1}''');
CALL show_leaving('SET LOCAL maintenance_work_mem = ''77MB''');
CALL show_leaving('SELECT set_config(''work_mem'', ''5MB'', false) AS a, set_config(''app.own'', ''2'', false) AS b');
CALL show_leaving('SET ROLE regress_session_other');
CALL show_leaving('SET SESSION AUTHORIZATION regress_session_other');
CALL show_leaving('CREATE TEMP TABLE left_behind AS SELECT 1 AS n; CREATE TEMP VIEW left_too AS SELECT 1 AS n');
CALL show_leaving('PREPARE left_behind AS SELECT 1');
CALL show_leaving('DECLARE left_behind CURSOR WITH HOLD FOR SELECT generate_series(1, 10); FETCH 2 FROM left_behind');
CALL show_leaving('SELECT pg_advisory_lock(77)::text AS a, pg_advisory_lock_shared(1, 2)::text AS b');
CALL show_leaving('SELECT nextval(''session_source.numbers'')');
CALL show_leaving('DO ''BEGIN EXECUTE ''''LISTEN left_behind''''; END''');
CALL show_leaving('DO ''BEGIN SET work_mem = ''''9MB''''; PERFORM pg_advisory_lock(1); RAISE EXCEPTION ''''fails''''; END''');
CALL show_leaving('DO ''BEGIN SET work_mem = ''''9MB''''; COMMIT; PERFORM 1 / 0; END''');
CALL show_leaving('SET CONSTRAINTS ALL DEFERRED; SET TRANSACTION READ ONLY');
SELECT * FROM noted;

-- nor does an attempt reach the next one
TRUNCATE noted;
SELECT setval('numbers', 1, false);
SELECT etl.add_step('session', 'leaves', $$DO 'BEGIN INSERT INTO session_source.noted SELECT * FROM session_state() WHERE what IN (''setting'', ''own setting'', ''locks''); IF nextval(''session_source.numbers'') = 1 THEN SET work_mem = ''9MB''; SET app.own = ''3''; PERFORM pg_advisory_lock(1); RAISE serialization_failure; END IF; END'$$, execution_order => 2);
SELECT * FROM pg_temp.try($$SELECT etl.run('session')$$);
SELECT step, attempt, status FROM pg_temp.steps('session') WHERE step = 'leaves';
SELECT * FROM noted;
SELECT etl.drop_step('session', 'leaves');

-- random() is not what setseed in another step has made of it
SELECT etl.add_step('session', 'leaves', 'SELECT setseed(0.5)::text AS s', execution_order => 2);
SELECT etl.alter_step('session', 'after', '{"sql_query": "SELECT random() AS r"}');
SELECT * FROM pg_temp.try($$SELECT etl.run('session')$$);
SELECT setseed(0.5);
SELECT count(*) FROM session.after WHERE r = random();

-- neither does the caller's session reach the steps, nor they it
SET work_mem = '123MB';
SET app.own = 'caller';
CREATE TEMP TABLE of_caller AS SELECT 1 AS n;
SELECT etl.alter_step('session', 'after', '{"sql_query": "SELECT * FROM session_state()"}');
SELECT etl.alter_step('session', 'leaves', '{"sql_query": "SELECT n FROM of_caller"}');
SELECT * FROM pg_temp.try($$SELECT etl.run('session')$$);
SELECT etl.drop_step('session', 'leaves');
SELECT * FROM pg_temp.try($$SELECT etl.run('session')$$);
SELECT count(*) FROM session.after WHERE value ~ '123|caller';
SHOW work_mem;

-- settings of the role and of the database are there, except for those that would change what a run means
ALTER DATABASE :"DBNAME" SET app.of_database = 'yes';
ALTER DATABASE :"DBNAME" SET default_transaction_read_only = on;
SET default_transaction_read_only = off;
ALTER DATABASE :"DBNAME" SET default_transaction_isolation = 'serializable';
ALTER DATABASE :"DBNAME" SET statement_timeout = '1ms';
SELECT etl.alter_step('session', 'after', $${"sql_query": "SELECT current_setting('app.of_database') AS d, current_setting('transaction_read_only') AS ro, current_setting('transaction_isolation') <> 'serializable' AS i, pg_sleep(0.01)::text AS s"}$$);
SELECT * FROM pg_temp.try($$SELECT etl.run('session', steps => '{after}')$$);
SELECT d, ro, i FROM session.after;
ALTER DATABASE :"DBNAME" RESET app.of_database;
ALTER DATABASE :"DBNAME" RESET default_transaction_read_only;
ALTER DATABASE :"DBNAME" RESET default_transaction_isolation;
ALTER DATABASE :"DBNAME" RESET statement_timeout;

SELECT pg_temp.forget('session');
DROP SCHEMA session_source CASCADE;
DROP ROLE regress_session_other;
