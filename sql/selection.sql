-- Running some of the steps, in which order, and what becomes of the others.

\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/test/sql/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

--	a ── b ── d ── f		x (on its own)
--	 └── c ──┘└─── g
SELECT pg_temp.define('selection',
	'a', 'SELECT 1 AS n, etl.param(''tag'', ''first'') AS tag',
	'b', 'SELECT n * 10 AS n, tag || '' b'' AS tag FROM a',
	'c', 'SELECT n * 100 AS n FROM a',
	'd', 'SELECT b.n + c.n AS n, b.tag || '' d'' AS tag FROM b, c',
	'f', 'SELECT n + 1 AS n FROM d',
	'g', 'SELECT n + 2 AS n FROM d',
	'x', 'SELECT 7 AS n');
CREATE FUNCTION pg_temp.ran(steps text[], params jsonb DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	run bigint := etl.run('selection', steps => steps, params => params);
BEGIN
	RETURN (SELECT string_agg(process_name, ' ' ORDER BY process_name) FROM etl.log WHERE run_id = run);
END
$$;

-- what is not selected must be there from an earlier run
SELECT etl.run('selection', steps => '{b}');
SELECT etl.run('selection', steps => '{d+}');
SELECT etl.run('selection', steps => '{b,c,d}');
SELECT etl.run('selection', steps => '{f}');
SELECT to_regclass('selection.a'), count(*) FROM etl.run_log WHERE pipeline = 'selection' GROUP BY 1;

SELECT pg_temp.ran('{x}');
SELECT pg_temp.ran('{+b}');
SELECT process_name FROM etl.output WHERE pipeline = 'selection' ORDER BY 1;
SELECT pg_temp.ran('{c}');
SELECT pg_temp.ran('{+d}');
SELECT pg_temp.ran(NULL);
SELECT pg_temp.ran('{a+}');
SELECT pg_temp.ran('{b+}');
SELECT pg_temp.ran('{+d+}');
SELECT pg_temp.ran('{+c+}');
SELECT pg_temp.ran('{x+}');
SELECT pg_temp.ran('{+x,+b,a}');
SELECT pg_temp.ran('{f,g}');
SELECT pg_temp.ran('{a,a,a}');
SELECT steps, step_count FROM etl.run_log WHERE pipeline = 'selection' ORDER BY run_id DESC LIMIT 3;

-- unselected steps are read as they were published
SELECT pg_temp.ran('{a}', '{"tag": "second"}');
SELECT tag FROM selection.d;
SELECT pg_temp.ran('{d}');
SELECT tag FROM selection.d;
SELECT pg_temp.ran('{b}');
SELECT pg_temp.ran('{d}', '{"tag": "third"}');
SELECT tag FROM selection.d;

-- outputs say which run each of them comes from
SELECT process_name, dense_rank() OVER (ORDER BY run_id) AS run FROM etl.output WHERE pipeline = 'selection' ORDER BY 1;

-- a table that was published and is gone, or replaced by somebody's own
DROP TABLE selection.c;
SELECT etl.run('selection', steps => '{d}');
CREATE TABLE selection.c AS SELECT 5 AS n;
SELECT etl.run('selection', steps => '{d}');
SELECT etl.run('selection', steps => '{c}');
DROP TABLE selection.c;
SELECT pg_temp.ran('{c,d}');

-- keep => false leaves nothing to read later
SELECT etl.alter_step('selection', 'c', '{"keep": false}');
SELECT etl.run('selection', steps => '{d}');
SELECT pg_temp.ran('{c,d}');
SELECT etl.alter_step('selection', 'c', '{"keep": true}');

-- a dependency that is only declared needs no table
SELECT etl.add_step('selection', 'declared', 'SELECT 1 AS n', depends_on => '{late}');
SELECT etl.add_step('selection', 'late', 'SELECT 2 AS n');
SELECT pg_temp.ran('{declared}');
SELECT pg_temp.ran('{+declared}');
SELECT etl.drop_step('selection', s) FROM unnest('{declared,late}'::text[]) s;

-- ---- order: the graph first, then execution_order, then step_id

SELECT etl.create_pipeline('ordered', max_parallel => 1);
SELECT etl.add_step('ordered', 'third', 'SELECT 3 AS n', execution_order => 3);
SELECT etl.add_step('ordered', 'first', 'SELECT 1 AS n', execution_order => -1);
SELECT etl.add_step('ordered', 'second', 'SELECT 2 AS n', execution_order => 2);
SELECT etl.add_step('ordered', 'second_too', 'SELECT 2 AS n', execution_order => 2);
SELECT etl.add_step('ordered', 'root', 'SELECT 0 AS n');
SELECT etl.add_step('ordered', 'reads_third', 'SELECT n FROM third', execution_order => -100);
CREATE FUNCTION pg_temp.order_of(pipeline text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(process_name, ' ' ORDER BY start_time) FROM etl.log
	 WHERE run_id = (SELECT max(run_id) FROM etl.run_log r WHERE r.pipeline = $1)
$$;
SELECT * FROM pg_temp.try($$SELECT etl.run('ordered')$$);
SELECT pg_temp.order_of('ordered');

-- staged: an order begins when those before it have ended
SELECT etl.alter_pipeline('ordered', '{"ordering": "staged", "max_parallel": 4}');
SELECT etl.run('ordered');
SELECT etl.alter_step('ordered', 'reads_third', '{"execution_order": 4}');
SELECT etl.alter_step('ordered', 'second', '{"sql_query": "SELECT 2 AS n, pg_sleep(0.2)::text AS s"}');
SELECT * FROM pg_temp.try($$SELECT etl.run('ordered')$$);
SELECT l.process_name, m.execution_order,
	   (SELECT coalesce(bool_and(e.end_time <= l.start_time), true) FROM etl.log e JOIN etl.metadata f ON f.process_name = e.process_name AND f.pipeline = e.pipeline
		 WHERE e.run_id = l.run_id AND coalesce(f.execution_order, 0) < coalesce(m.execution_order, 0)) AS after_those_below
  FROM etl.log l JOIN etl.metadata m USING (pipeline, process_name)
 WHERE run_id = (SELECT max(run_id) FROM etl.run_log) ORDER BY m.execution_order, process_name;
-- a failed step does not hold the later orders up, only what reads it
SELECT etl.alter_step('ordered', 'first', '{"sql_query": "SELECT 1 / 0 AS n"}');
SELECT etl.add_step('ordered', 'reads_first', 'SELECT n FROM first', execution_order => 2);
SELECT * FROM pg_temp.try($$SELECT etl.run('ordered')$$);
SELECT * FROM pg_temp.steps('ordered');
SELECT pg_temp.forget('ordered');

-- ---- skipping: what reads a failed step; the others go on

SELECT etl.alter_step('selection', 'b', '{"sql_query": "SELECT 1 / (n - 1) AS n, tag FROM a"}');
SELECT pg_relation_filenode('selection.a') AS a_before, pg_relation_filenode('selection.x') AS x_before \gset
SELECT * FROM pg_temp.try($$SELECT etl.run('selection', params => '{"tag": "never"}')$$);
SELECT * FROM pg_temp.steps('selection');
-- a failed run publishes nothing, of its successful steps neither
SELECT pg_relation_filenode('selection.a') = :a_before AS same_a, pg_relation_filenode('selection.x') = :x_before AS same_x;
SELECT tag FROM selection.a;
-- what it made stays, for etl.resume
SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pg\_etl\_staging%';
-- two failed steps: the cause that is named is one that it reads
SELECT etl.alter_step('selection', 'x', '{"sql_query": "SELECT nothing"}');
SELECT etl.add_step('selection', 'y', 'SELECT n FROM x');
SELECT etl.alter_pipeline('selection', '{"max_parallel": 1}');
SELECT * FROM pg_temp.try($$SELECT etl.run('selection')$$);
SELECT * FROM pg_temp.steps('selection');
SELECT * FROM pg_temp.run_said('selection');
-- the whole of them
SELECT etl.alter_step('selection', 'a', '{"sql_query": "SELECT 1 / 0 AS n"}');
SELECT * FROM pg_temp.try($$SELECT etl.run('selection', steps => '{a+}')$$);
SELECT * FROM pg_temp.steps('selection');

SELECT pg_temp.forget('selection');
