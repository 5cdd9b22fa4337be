-- The example pipeline as examples/ has it, on fewer rows: the metadata of version
-- 1, of version 2, and version 1 again.  Everything is compared with plain SQL.

\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/test/sql/helpers.sql'
\set pipeline :srcdir '/examples/seed_pipeline.sql'
\set version2 :srcdir '/examples/seed_version2.sql'
\set ECHO none
\i :helpers
\set ECHO all

CREATE SCHEMA seed_source;
SET search_path = seed_source, public;
CREATE TABLE source_table (
	id			bigint PRIMARY KEY,
	customer_id	integer NOT NULL,
	category	text NOT NULL,
	amount		numeric(12,2) NOT NULL,
	status		text NOT NULL
);
-- the total of category_0 is 500, of category_1 501; customers have 1 to 20 orders
INSERT INTO source_table
SELECT i, (sqrt(8 * i + 1)::int - 1) / 2, 'category_' || i % 20,
	   CASE i % 20 WHEN 0 THEN 50 WHEN 1 THEN 50.1 ELSE ((i * 104729) % 100000) / 100.0 END,
	   CASE i % 100 WHEN 2 THEN 'cancelled' WHEN 3 THEN 'refunded' ELSE 'active' END
  FROM generate_series(1, 200) AS i;
CREATE TABLE lookup_table (category text PRIMARY KEY, extra_info text NOT NULL);
INSERT INTO lookup_table
SELECT 'category_' || i, 'department ' || i % 4 FROM generate_series(0, 18) AS i;

\o /dev/null
\i :pipeline
\o

SELECT version, step_id, process_name, depends_on, execution_order AS "order",
	   broadcast, cache, persist, repartition, kind
  FROM etl.metadata WHERE pipeline = 'nightly' ORDER BY step_id;

-- what it should make
CREATE VIEW should_clean AS
SELECT * FROM source_table WHERE status = 'active';
CREATE VIEW should_enrich AS
SELECT c.category, sum(c.amount) AS total, min(l.extra_info) AS extra_info
  FROM should_clean c JOIN lookup_table l USING (category) GROUP BY c.category;
CREATE VIEW should_stats AS
SELECT customer_id, count(*) AS count FROM should_clean GROUP BY customer_id;

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
	SELECT 'extract_data', (SELECT count(*) FROM nightly.extract_data), differing('nightly.extract_data', 'source_table')
	UNION ALL
	SELECT 'clean_data', (SELECT count(*) FROM nightly.clean_data), differing('nightly.clean_data', 'should_clean')
	UNION ALL
	SELECT 'aggregate_data', (SELECT count(*) FROM nightly.aggregate_data),
		differing('nightly.aggregate_data', '(SELECT category, sum(amount) FROM should_clean GROUP BY 1) AS s')
	UNION ALL
	SELECT 'customer_stats', (SELECT count(*) FROM nightly.customer_stats),
		differing('nightly.customer_stats', 'should_stats')
	UNION ALL
	SELECT 'enrich_data', (SELECT count(*) FROM nightly.enrich_data), differing('nightly.enrich_data', 'should_enrich')
	UNION ALL
	SELECT 'final_output', (SELECT count(*) FROM nightly.final_output),
		differing('nightly.final_output', '(SELECT * FROM should_enrich WHERE total > 500) AS s')
	UNION ALL
	SELECT 'report_data', (SELECT count(*) FROM nightly.report_data),
		differing('nightly.report_data', '(SELECT * FROM should_stats WHERE count > 10) AS s');
END
$$;

SELECT * FROM pg_temp.try($$SELECT etl.run('nightly')$$);
SELECT * FROM compare();
SELECT category FROM nightly.enrich_data WHERE total <= 500;
SELECT * FROM pg_temp.run_said('nightly');
SELECT step, attempt, status, count_rows FROM pg_temp.steps('nightly');
SELECT process_name, schema_name, relation, count_rows, table_size > 0 AS has_size
  FROM etl.output WHERE pipeline = 'nightly' ORDER BY relation::text COLLATE "C";

-- an eighth row of metadata: version 2
\i :version2
SELECT current_version FROM etl.pipeline WHERE pipeline = 'nightly';
SELECT version FROM etl.version WHERE pipeline = 'nightly' ORDER BY version;
DELETE FROM source_table WHERE id > 150;
SELECT * FROM pg_temp.try($$SELECT etl.run('nightly')$$);
SELECT * FROM compare();
SELECT differing('nightly.new_step',
	'(SELECT extra_info, sum(total) FROM should_enrich WHERE total > 500 GROUP BY 1) AS s');
SELECT * FROM pg_temp.run_said('nightly');
SELECT step, attempt, status, count_rows FROM pg_temp.steps('nightly');

-- version 1 again: new_step is not a step of it, and its table stays
CREATE TABLE kept AS SELECT * FROM nightly.new_step;
UPDATE source_table SET amount = amount + 1;
UPDATE lookup_table SET extra_info = 'all of it';
SELECT * FROM pg_temp.try($$SELECT etl.run('nightly', version => 1)$$);
SELECT * FROM compare();
SELECT differing('nightly.new_step', 'kept');
SELECT * FROM pg_temp.run_said('nightly');
SELECT count(*) FROM pg_temp.steps('nightly');
SELECT process_name FROM etl.metadata_at('nightly', 1) ORDER BY step_id;

-- nothing of the runs is left but the tables
SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pg\_etl\_staging%';

SELECT pg_temp.forget('nightly');
DROP SCHEMA seed_source CASCADE;
