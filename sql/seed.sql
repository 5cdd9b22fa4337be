-- The example pipeline in small: seven steps, an eighth one in version 2, and
-- version 1 again.  Everything is compared with plain SQL.

\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/test/sql/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

CREATE SCHEMA seed_source;
SET search_path = seed_source, public;
CREATE TABLE source_table (
	id			bigint PRIMARY KEY,
	customer_id	integer NOT NULL,
	category	text,
	amount		numeric(12,2),
	created_at	timestamptz NOT NULL
);
INSERT INTO source_table
SELECT i, 1 + (i * 7919) % 50,
	   CASE WHEN i % 100 = 3 THEN NULL ELSE 'category_' || (i * 31) % 20 END,
	   CASE WHEN i % 100 = 1 THEN NULL WHEN i % 100 = 2 THEN -1 ELSE ((i * 104729) % 100000) / 100.0 END,
	   timestamptz '2024-01-01 00:00:00+00' + i * interval '20 seconds'
  FROM generate_series(1::bigint, 2000) AS i;
CREATE TABLE lookup_table (category text PRIMARY KEY, department text NOT NULL);
INSERT INTO lookup_table
SELECT 'category_' || i, 'department_' || i % 4 FROM generate_series(0, 18) AS i;

-- a transaction, a version
BEGIN;
SELECT etl.create_pipeline('seed');
SELECT etl.add_step('seed', 'extract_data', 'SELECT * FROM source_table');
SELECT etl.add_step('seed', 'clean_data',
	'SELECT * FROM extract_data WHERE amount >= 0 AND category IS NOT NULL',
	cache => true, repartition => 4);
SELECT etl.add_step('seed', 'aggregate_data',
	'SELECT category, SUM(amount) AS total FROM clean_data GROUP BY category', cache => true);
SELECT etl.add_step('seed', 'customer_stats',
	'SELECT customer_id, count(*) AS events, max(created_at) AS last_seen FROM clean_data GROUP BY customer_id');
SELECT etl.add_step('seed', 'enrich_data',
	'SELECT a.category, a.total, l.department FROM aggregate_data a JOIN lookup_table l ON a.category = l.category',
	broadcast => true, cache => true);
SELECT etl.add_step('seed', 'final_output', 'SELECT category, department, round(total) AS total FROM enrich_data');
SELECT etl.add_step('seed', 'report_data',
	'SELECT department, sum(total) AS total FROM enrich_data GROUP BY department');
COMMIT;

SELECT version, step_id, process_name, depends_on, broadcast, cache, repartition, kind
  FROM etl.metadata WHERE pipeline = 'seed' ORDER BY step_id;

-- what it should make
CREATE VIEW should_clean AS
SELECT * FROM source_table WHERE amount >= 0 AND category IS NOT NULL;
CREATE VIEW should_enrich AS
SELECT c.category, sum(c.amount) AS total, min(l.department) AS department
  FROM should_clean c JOIN lookup_table l USING (category) GROUP BY c.category;

CREATE FUNCTION differing(a text, b text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	result bigint;
BEGIN
	EXECUTE format('SELECT count(*) FROM ((SELECT * FROM %1$s EXCEPT ALL SELECT * FROM %2$s)
		UNION ALL (SELECT * FROM %2$s EXCEPT ALL SELECT * FROM %1$s)) d', a, b) INTO result;
	RETURN result;
END
$$;

CREATE FUNCTION compare() RETURNS TABLE (output text, rows bigint, differing bigint) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY
	SELECT 'extract_data', (SELECT count(*) FROM seed.extract_data), differing('seed.extract_data', 'source_table')
	UNION ALL
	SELECT 'clean_data', (SELECT count(*) FROM seed.clean_data), differing('seed.clean_data', 'should_clean')
	UNION ALL
	SELECT 'aggregate_data', (SELECT count(*) FROM seed.aggregate_data),
		differing('seed.aggregate_data', '(SELECT category, sum(amount) FROM should_clean GROUP BY 1) AS s')
	UNION ALL
	SELECT 'customer_stats', (SELECT count(*) FROM seed.customer_stats),
		differing('seed.customer_stats', '(SELECT customer_id, count(*), max(created_at) FROM should_clean GROUP BY 1) AS s')
	UNION ALL
	SELECT 'enrich_data', (SELECT count(*) FROM seed.enrich_data), differing('seed.enrich_data', 'should_enrich')
	UNION ALL
	SELECT 'final_output', (SELECT count(*) FROM seed.final_output),
		differing('seed.final_output', '(SELECT category, department, round(total) FROM should_enrich) AS s')
	UNION ALL
	SELECT 'report_data', (SELECT count(*) FROM seed.report_data),
		differing('seed.report_data', '(SELECT department, sum(total) FROM should_enrich GROUP BY 1) AS s');
END
$$;

SELECT * FROM pg_temp.try($$SELECT etl.run('seed')$$);
SELECT * FROM compare();
SELECT * FROM pg_temp.run_said('seed');
SELECT step, attempt, status, count_rows FROM pg_temp.steps('seed');
SELECT process_name, schema_name, relation, count_rows, table_size > 0 AS has_size
  FROM etl.output WHERE pipeline = 'seed' ORDER BY relation::text COLLATE "C";

-- an eighth step: version 2
SELECT etl.add_step('seed', 'new_step', 'SELECT count(*) AS departments FROM report_data');
SELECT current_version FROM etl.pipeline WHERE pipeline = 'seed';
SELECT version FROM etl.version WHERE pipeline = 'seed' ORDER BY version;
DELETE FROM source_table WHERE id > 1000;
SELECT * FROM pg_temp.try($$SELECT etl.run('seed')$$);
SELECT * FROM compare();
SELECT * FROM seed.new_step;
SELECT * FROM pg_temp.run_said('seed');
SELECT step, attempt, status, count_rows FROM pg_temp.steps('seed');

-- version 1 again: new_step is not a step of it, and its table stays
UPDATE source_table SET amount = amount + 1;
UPDATE lookup_table SET department = 'all of it';
SELECT * FROM pg_temp.try($$SELECT etl.run('seed', version => 1)$$);
SELECT * FROM compare();
SELECT * FROM seed.new_step;
SELECT * FROM pg_temp.run_said('seed');
SELECT count(*) FROM pg_temp.steps('seed');
SELECT process_name FROM etl.metadata_at('seed', 1) ORDER BY step_id;

-- nothing of the runs is left but the tables
SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pg\_etl\_staging%';

SELECT pg_temp.forget('seed');
DROP SCHEMA seed_source CASCADE;
