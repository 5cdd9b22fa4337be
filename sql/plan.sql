--
-- etl.plan: the dry run
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_framework;
CREATE SCHEMA etl_plan_source;
CREATE TABLE etl_plan_source.orders AS SELECT i AS id, i % 10 AS customer, i AS amount FROM generate_series(1, 1000) i;
CREATE TABLE etl_plan_source.log (line text);
ANALYZE etl_plan_source.orders;

SELECT etl.create_pipeline('etl_plan', search_path => 'etl_plan_source', durability => 'outputs');
SELECT etl.update_metadata('etl_plan', '[
  {"process_name": "today", "sql_query": "SELECT * FROM orders", "cache": true, "repartition": 4, "indexes": ["(id)", "(customer)"]},
  {"process_name": "agg", "sql_query": "SELECT customer, sum(amount) AS total FROM etl_plan.today GROUP BY customer", "repartition": 2, "repartition_by": ["customer"], "settings": ["enable_sort=off"]},
  {"process_name": "scratch", "sql_query": "SELECT * FROM today", "keep": false, "persist": true},
  {"process_name": "best", "sql_query": "SELECT * FROM agg JOIN orders USING (customer)", "broadcast": true, "execution_order": 7, "depends_on": "note"},
  {"process_name": "note", "sql_query": "INSERT INTO log SELECT count(*) FROM scratch", "depends_on": "today"},
  {"process_name": "tidy", "sql_query": "VACUUM etl_plan_source.log", "execution_order": -1}
]');
-- never run: no estimates but for what reads no step, no durations; the longest chain by number of steps
SELECT step_id, process_name, kind, level, execution_order, depends_on, inferred, declared, sources FROM etl.plan('etl_plan');
SELECT process_name, flags FROM etl.plan('etl_plan');
SELECT process_name, selected, critical, expected_seconds, estimated_rows, estimated_cost > 0 AS cost FROM etl.plan('etl_plan');

-- with what the first run has published
SELECT etl.run('etl_plan') > 0 AS ran;
SELECT process_name, expected_seconds >= 0 AS expected, estimated_rows, estimated_cost > 0 AS cost FROM etl.plan('etl_plan');
-- the longest chain by durations
UPDATE etl.attempt_data SET end_time = start_time + CASE process_name WHEN 'tidy' THEN '9 s' ELSE '1.5 s' END::interval
WHERE run_id = (SELECT max(run_id) FROM etl.run_log WHERE pipeline = 'etl_plan');
SELECT process_name, critical, expected_seconds FROM etl.plan('etl_plan');
-- when each would have ended, with two workers and with one
SET etl_framework.max_parallel = 2;
SELECT process_name, expected_end FROM etl.plan('etl_plan');
SET etl_framework.max_parallel = 1;
SELECT max(expected_end) FROM etl.plan('etl_plan');
SELECT max(expected_end) FROM etl.plan('etl_plan', '{+agg}');
RESET etl_framework.max_parallel;

-- a selection, a version; staged
SELECT process_name, selected, critical FROM etl.plan('etl_plan', '{+note,today}');
SELECT process_name FROM etl.plan('etl_plan', version => 1);
SELECT etl.alter_pipeline('etl_plan', '{"ordering": "staged"}');
SELECT process_name, level, execution_order FROM etl.plan('etl_plan');

-- nothing stays
BEGIN READ ONLY;
SELECT count(*) FROM etl.plan('etl_plan');
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'etl_plan_source.orders'::regclass;
SELECT current_setting('enable_nestloop') AS nestloop, current_setting('enable_sort') AS sort, current_setting('search_path') AS path;
COMMIT;

SELECT * FROM etl.plan(NULL);
SELECT * FROM etl.plan('nothing');
SELECT * FROM etl.plan('etl_plan', '{}');
SELECT * FROM etl.plan('etl_plan', '{todya}');
SELECT * FROM etl.plan('etl_plan', version => 9);
SELECT etl.alter_step('etl_plan', 'today', '{"depends_on": ["agg"]}');
SELECT * FROM etl.plan('etl_plan');
-- an error in the SQL is validate's business
SELECT etl.alter_step('etl_plan', 'today', '{"depends_on": null, "sql_query": "SELECT * FROM gone"}');
SELECT process_name, estimated_rows FROM etl.plan('etl_plan', '{today}') WHERE selected;

CREATE ROLE regress_etl_plan;
SET ROLE regress_etl_plan;
SELECT * FROM etl.plan('etl_plan');
RESET ROLE;
DROP ROLE regress_etl_plan;
SELECT etl.drop_pipeline('etl_plan', drop_tables => true);
DROP SCHEMA etl_plan, etl_plan_source CASCADE;
