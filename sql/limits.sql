-- Large and deep input: works, or is refused with a reason.
\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/test/sql/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all
SELECT etl.create_pipeline('limits', max_attempts => 1);

-- 10 MB of SQL
SELECT etl.add_step('limits', 'long', 'SELECT length(''' || repeat('x', 10 * 1024 * 1024) || ''') AS n');
SELECT * FROM pg_temp.try($$SELECT etl.run('limits')$$);
SELECT n FROM limits.long;
SELECT length(sql_query) FROM etl.metadata WHERE pipeline = 'limits';
SELECT count(*) FROM etl.validate('limits');
SELECT etl.drop_step('limits', 'long');

-- WITH in WITH in WITH, each hiding a step's name; and too deep for the stack
SELECT etl.add_step('limits', 'deep',
	repeat('WITH deep AS (', 200) || 'SELECT 7 AS n' || repeat(') SELECT n FROM deep', 200));
SELECT * FROM pg_temp.try($$SELECT etl.run('limits')$$);
SELECT n FROM limits.deep;
CREATE FUNCTION pg_temp.state_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'none';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END
$$;
SELECT pg_temp.state_of($$SELECT etl.add_step('limits', 'deeper', repeat('SELECT * FROM (', 100000) || 'SELECT 1' || repeat(') x', 100000))$$);

-- many columns, many inputs
SELECT etl.add_step('limits', 'wide', 'SELECT ' || string_agg(i || ' AS c' || i, ', ') || ' FROM deep') FROM generate_series(1, 1600) i;
SELECT * FROM pg_temp.try($$SELECT etl.add_step('limits', 'wider', 'SELECT ' || (SELECT string_agg(i || ' AS c' || i, ', ') FROM generate_series(1, 1665) i)) > 0$$);
SELECT process_name, sqlstate FROM etl.validate('limits');
SELECT etl.drop_step('limits', 'wider') FROM etl.metadata WHERE pipeline = 'limits' AND process_name = 'wider';
SELECT * FROM pg_temp.try($$SELECT etl.run('limits')$$);
SELECT c1, c1600 FROM limits.wide;

-- 5,000 steps in one call, and one that reads them all
SELECT etl.create_pipeline('limits_many', max_attempts => 1);
SELECT etl.update_metadata('limits_many',
	(SELECT jsonb_agg(jsonb_build_object('process_name', 's' || i, 'sql_query', 'SELECT ' || i || ' AS n')) FROM generate_series(1, 5000) i));
SELECT count(*), count(DISTINCT step_id) FROM etl.metadata WHERE pipeline = 'limits_many';
-- there is nothing wrong with them but that they need so many locks at once
SELECT process_name, sqlstate, regexp_replace(message, 'which has [0-9]+', 'which has N') AS message, hint ~ 'max_locks_per_transaction' AS hinted FROM etl.validate('limits_many');
SELECT * FROM pg_temp.try($$SELECT regexp_replace(etl.run('limits_many')::text, '.', '')$$) AS t WHERE t !~ 'publishing 5000 tables takes 10000 entries|max_locks_per_transaction';
SELECT count(*), max(level) FROM etl.plan('limits_many');
SELECT etl.add_step('limits_many', 'total', 'SELECT sum(n) AS n FROM (' || string_agg('SELECT n FROM s' || i, ' UNION ALL ' ORDER BY i) || ') x')
  FROM generate_series(1, 300) i;
SELECT * FROM pg_temp.try($$SELECT etl.run('limits_many', steps => '{+total}')$$);
SELECT n FROM limits_many.total;

-- errors as long as the values in them: the log keeps their beginning
SELECT etl.create_pipeline('limits_error', target_schema => 'limits', max_attempts => 1);
SELECT etl.add_step('limits_error', 'long', $$DO 'BEGIN RAISE EXCEPTION USING message = repeat(''ä'', 1000000), detail = repeat(''ö'', 2000000), hint = repeat(''x'', 65536); END'$$);
SELECT count(*) AS lines FROM pg_temp.try($$SELECT etl.run('limits_error')$$);
SELECT left(error_message, 3) AS message, right(error_message, 20) AS message_end, right(error_detail, 20) AS detail_end, length(error_hint) AS hint,
	octet_length(error_message) BETWEEN 65536 AND 65600 AND octet_length(error_detail) BETWEEN 65536 AND 65600 AS cut
  FROM etl.log WHERE pipeline = 'limits_error';
SELECT octet_length(error_message) < 2000 AS short FROM etl.run_log WHERE pipeline = 'limits_error';
SELECT etl.drop_pipeline('limits_error');

SELECT etl.drop_pipeline('limits', true), etl.drop_pipeline('limits_many', true);
DROP SCHEMA limits, limits_many;
