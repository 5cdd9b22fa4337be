-- Parameters of a run: etl.param and where it finds them.

\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/test/sql/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

-- ---- by hand: the setting

SELECT etl.param('day'), etl.param('day', 'none'), etl.param('day', NULL);
SELECT etl.param(NULL);
SELECT etl.param(NULL, 'default');
SET etl_framework.params = '{"text": "a", "int": 7, "num": 1.50, "big": 1e30, "neg": -0.001, "yes": true, "no": false, "null": null, "list": [1, "b", null], "object": {"k": {"l": 1}}, "": "no name", "ü ñ": "名前", "quote''d": "it''s \"so\" \\ $$"}';
SELECT n AS name, etl.param(n) AS value, etl.param(n, 'default') AS or_default
  FROM unnest('{text,int,num,big,neg,yes,no,"null",list,object,"","ü ñ",quote''d}'::text[]) AS n;
SELECT n AS name, etl.param(n, 'default') AS or_default, etl.param(n, NULL) IS NULL AS or_null
  FROM unnest('{TEXT,missing,k}'::text[]) AS n;
SELECT etl.param('TEXT');
SELECT etl.param('list')::jsonb -> 1 AS element, etl.param('object')::jsonb #>> '{k,l}' AS nested, etl.param('int')::int + 1 AS number;
SELECT pg_typeof(etl.param('int'));
-- the setting decides, at every moment
SELECT etl.param('text'), set_config('etl_framework.params', '{"text": "b"}', false) IS NOT NULL AS changed;
SELECT etl.param('text');
BEGIN;
SET LOCAL etl_framework.params = '{"text": "local"}';
SELECT etl.param('text');
ROLLBACK;
SELECT etl.param('text');
SET etl_framework.params = '';
SELECT etl.param('text', 'gone');
SET etl_framework.params = '[1]';
SELECT etl.param('text');
SELECT etl.param('text');
SET etl_framework.params = '{"text": ';
SELECT split_part(t, ':', 1) FROM pg_temp.try($$SELECT etl.param('text')$$) t LIMIT 1;
SET etl_framework.params = '{"text": "again"}';
SELECT etl.param('text');
RESET etl_framework.params;
SELECT etl.param('text', 'reset');

-- ---- from a run

CREATE SCHEMA params_source;
SET search_path = params_source, public;
CREATE TABLE sales AS SELECT date '2024-01-01' + i AS day, i AS amount FROM generate_series(0, 99) i;
CREATE FUNCTION day() RETURNS date LANGUAGE sql STABLE AS $$SELECT etl.param('day')::date$$;
CREATE FUNCTION limit_plpgsql() RETURNS int LANGUAGE plpgsql STABLE AS $$BEGIN RETURN etl.param('limit', '3'); END$$;
CREATE TABLE noted (what text);

SELECT pg_temp.define('params',
	'of_day', 'SELECT * FROM sales WHERE day = etl.param(''day'')::date',
	'by_function', 'SELECT * FROM sales WHERE day = day()',
	'limited', 'SELECT amount FROM sales ORDER BY amount LIMIT limit_plpgsql()',
	'all_of_them', 'SELECT etl.param(''day'', NULL) AS day, etl.param(''limit'', NULL) AS "limit", etl.param(''none'', ''default'') AS none, etl.param(''odd'', NULL) AS odd',
	'noted', 'INSERT INTO params_source.noted VALUES (etl.param(''day'', ''no day''))',
	'in_do', $$DO 'BEGIN INSERT INTO params_source.noted VALUES (''do '' || etl.param(''day'', ''no day'')); END'$$);
SELECT * FROM pg_temp.try($sql$SELECT etl.run('params', params => '{"day": "2024-01-08", "limit": 2, "odd": "it''s $$ \" \\ ü"}')$sql$);
SELECT * FROM params.of_day;
SELECT * FROM params.by_function;
SELECT * FROM params.limited ORDER BY 1;
SELECT * FROM params.all_of_them;
SELECT * FROM noted ORDER BY 1;
SELECT params FROM etl.run_log WHERE pipeline = 'params';
-- they are the run's: the session keeps its own, and the next run has none
SELECT etl.param('day', 'not here');
SET etl_framework.params = '{"day": "2024-02-01", "limit": 1}';
SELECT * FROM pg_temp.try($sql$SELECT etl.run('params', params => '{"limit": 4}', steps => '{limited,all_of_them}')$sql$);
SELECT count(*) FROM params.limited;
SELECT * FROM params.all_of_them;
SELECT * FROM pg_temp.try($sql$SELECT etl.run('params', steps => '{limited,all_of_them}')$sql$);
SELECT count(*) FROM params.limited;
SELECT * FROM params.all_of_them;
SELECT etl.param('day');
RESET etl_framework.params;

-- one that is missing, or misspelt, publishes no empty table: in a query, a function, a parallel worker
SELECT * FROM pg_temp.try($sql$SELECT etl.run('params', steps => '{of_day}')$sql$);
SELECT * FROM pg_temp.try($sql$SELECT etl.run('params', steps => '{by_function}', params => '{"Day": "2024-01-08"}')$sql$);
SELECT step_id, error_message, sqlstate, error_detail, error_hint FROM etl.log WHERE pipeline = 'params' AND status = 'FAILED' ORDER BY run_id;
SELECT * FROM params.of_day;
-- one that does not fit
SELECT * FROM pg_temp.try($sql$SELECT etl.run('params', params => '{"day": "yesterweek"}', steps => '{of_day}')$sql$);
-- a large one
SELECT etl.run('params', steps => '{all_of_them}', params => jsonb_build_object('odd', repeat('x', 1000000))) AS run_id \gset
SELECT length(params::text) FROM etl.run_log WHERE run_id = :run_id;
SELECT length(odd) FROM params.all_of_them;

-- etl.start has them at commit
BEGIN;
CREATE TABLE params_source.written AS SELECT 1 AS n;
SELECT etl.start('params', params => '{"day": "2024-03-01"}', steps => '{of_day,all_of_them}') AS run_id \gset
COMMIT;
SELECT etl.wait(:run_id);
SELECT * FROM params.of_day;

-- parallel workers know them
SELECT etl.alter_step('params', 'of_day', $${
	"sql_query": "SELECT count(*) AS c, sum(amount) AS s FROM sales WHERE amount < etl.param('limit')::int",
	"settings": ["parallel_setup_cost=0", "parallel_tuple_cost=0", "min_parallel_table_scan_size=0", "parallel_leader_participation=off", "max_parallel_workers_per_gather=2"]}$$);
ANALYZE sales;
SELECT * FROM pg_temp.try($sql$SELECT etl.run('params', params => '{"limit": 10}', steps => '{of_day}')$sql$);
SELECT * FROM params.of_day;
SELECT * FROM pg_temp.try($sql$SELECT etl.run('params', params => '{"Limit": 10}', steps => '{of_day}')$sql$);
SELECT * FROM params.of_day;

SELECT pg_temp.forget('params');
DROP SCHEMA params_source CASCADE;
