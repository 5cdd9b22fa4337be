-- Query steps: which SQL becomes which table.

\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/test/sql/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

CREATE SCHEMA steps_source;
SET search_path = steps_source, public;
CREATE TABLE numbers AS SELECT i AS n FROM generate_series(1, 10) AS i;
CREATE FUNCTION shift(i int) RETURNS int LANGUAGE sql AS 'SELECT $1 + 1000';
CREATE VIEW even AS SELECT n FROM numbers WHERE n % 2 = 0;

-- ---- names: what means a step and what does not

SELECT pg_temp.define('steps',
	'base', 'SELECT n FROM numbers',
	'by_cte', 'WITH base AS (SELECT -1 AS n) SELECT n FROM base',
	'cte_inside', 'SELECT (WITH base AS (SELECT -2 AS n) SELECT n FROM base) AS inner_n, max(n) AS n FROM base',
	'cte_from_step', 'WITH base AS (SELECT n FROM base WHERE n > 8) SELECT n FROM base',
	'recursive', 'WITH RECURSIVE r AS (SELECT min(n) AS n FROM base UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT n FROM r',
	'in_subquery', 'SELECT n FROM numbers WHERE n IN (SELECT max(n) FROM base) AND EXISTS (SELECT FROM base)',
	'in_lateral', 'SELECT a.n, l.c FROM numbers a, LATERAL (SELECT count(*) AS c FROM base b WHERE b.n < a.n) l WHERE a.n > 8',
	'set_ops', '(SELECT n FROM base EXCEPT SELECT n FROM numbers WHERE n > 2) UNION ALL (SELECT 77 INTERSECT SELECT 77)',
	'as_alias', 'SELECT base.n FROM numbers AS base WHERE base.n = 3',
	'qualified', 'SELECT steps.base.n, base.n AS m, (steps.base.*)::text AS r FROM steps.base WHERE steps.base.n = 4',
	'other_schema', 'SELECT x.n FROM steps_source.numbers AS x JOIN steps.base USING (n) WHERE n = 5',
	'of_functions', 'SELECT shift(n) AS n FROM base WHERE n = 6',
	'of_view', 'SELECT n FROM even',
	'of_values', 'VALUES (1, ''one''), (2, ''two'')',
	'of_table', 'TABLE base',
	'system', 'SELECT tableoid::regclass::text AS t FROM base LIMIT 1',
	'locking', 'SELECT n FROM base ORDER BY n LIMIT 1 FOR UPDATE OF base',
	'sampled', 'SELECT count(*) AS c FROM base TABLESAMPLE bernoulli (100)',
	'window', 'SELECT n, sum(n) OVER w AS s FROM base WINDOW w AS (ORDER BY n) ORDER BY n DESC LIMIT 2');
SELECT process_name, depends_on, kind FROM etl.metadata WHERE pipeline = 'steps' ORDER BY step_id;
SELECT * FROM pg_temp.try($$SELECT etl.run('steps')$$);
SELECT step, status, count_rows, sqlstate, error FROM pg_temp.steps('steps');
SELECT * FROM steps.by_cte;
SELECT * FROM steps.cte_inside;
SELECT * FROM steps.cte_from_step ORDER BY n;
SELECT * FROM steps.recursive ORDER BY n;
SELECT * FROM steps.in_subquery;
SELECT * FROM steps.in_lateral ORDER BY n;
SELECT * FROM steps.set_ops ORDER BY n;
SELECT * FROM steps.as_alias;
SELECT * FROM steps.qualified;
SELECT * FROM steps.other_schema;
SELECT * FROM steps.of_functions;
SELECT * FROM steps.of_view ORDER BY n;
SELECT * FROM steps.of_values ORDER BY 1;
SELECT count(*) FROM steps.of_table;
SELECT * FROM steps.locking;
SELECT * FROM steps.sampled;
SELECT * FROM steps."window" ORDER BY n;
SELECT count(*) FROM etl.output WHERE pipeline = 'steps';
SELECT pg_temp.forget('steps');

-- quoted, mixed case, not ASCII, as long as names can be, with signs in them
SELECT repeat('ä', 31) || 'x' AS long_name \gset
SELECT octet_length(:'long_name');
SELECT etl.create_pipeline('Stëps "quoted"');
SELECT etl.add_step('Stëps "quoted"', 'MixedCase', 'SELECT 1 AS "Col Umn"');
SELECT etl.add_step('Stëps "quoted"', 'mixedcase', 'SELECT "Col Umn" + 1 AS n FROM "MixedCase"');
SELECT etl.add_step('Stëps "quoted"', 'with "quotes" and . and $', 'SELECT n + 1 AS n FROM MIXEDCASE');
SELECT etl.add_step('Stëps "quoted"', 'select', 'SELECT n + 1 AS n FROM "with ""quotes"" and . and $"');
SELECT etl.add_step('Stëps "quoted"', :'long_name', 'SELECT n + 1 AS n FROM "select"', indexes => '{(n)}');
SELECT etl.add_step('Stëps "quoted"', 'a+', 'SELECT n + 1 AS n FROM "Stëps ""quoted""".' || :'long_name');
SELECT etl.add_step('Stëps "quoted"', 'a', 'SELECT 0 AS n');
SELECT etl.add_step('Stëps "quoted"', '終わり', 'SELECT n + 1 AS "数" FROM "a+"', checks => NULL, cache => true);
SELECT * FROM pg_temp.try($$SELECT etl.run('Stëps "quoted"')$$);
SELECT step, status, count_rows, error FROM pg_temp.steps('Stëps "quoted"');
SELECT * FROM "Stëps ""quoted"""."終わり";
SELECT relation FROM etl.output WHERE pipeline = 'Stëps "quoted"' ORDER BY process_name COLLATE "C";
SELECT * FROM pg_temp.try($$SELECT etl.run('Stëps "quoted"', steps => '{a+}')$$);
SELECT step FROM pg_temp.steps('Stëps "quoted"');
SELECT pg_temp.forget('Stëps "quoted"');

-- ---- rows: none, no columns, large ones, literals of unknown type

SELECT pg_temp.define('steps',
	'no_rows', 'SELECT n, n::text AS t FROM numbers WHERE false',
	'no_columns', 'SELECT FROM numbers',
	'large', 'SELECT i, (SELECT string_agg(md5(i::text || j), '''') FROM generate_series(1, 500) j) AS t FROM generate_series(1, 20) i',
	'many', 'SELECT i, repeat(''x'', 200) AS pad FROM generate_series(1, 20000) i',
	'unknown', 'SELECT ''literal'' AS l, NULL AS n, 1 AS i, ARRAY[1,2] AS a, row(1, 2)::text AS r',
	'domains', 'SELECT 5::numeric(5,2) AS num, ''a''::varchar(3) AS v, ''b'' COLLATE "C" AS c, ''2024-01-01''::date AS d',
	'sum_large', 'SELECT count(*) AS rows, sum(length(t)) AS bytes, count(DISTINCT t) AS texts FROM large',
	'sum_many', 'SELECT count(*) AS rows, sum(i) AS total, sum(length(pad)) AS bytes FROM many',
	'sum_no_columns', 'SELECT count(*) AS rows FROM no_columns');
SELECT * FROM pg_temp.try($$SELECT etl.run('steps')$$);
SELECT step, status, count_rows, sqlstate, error FROM pg_temp.steps('steps');
SELECT * FROM steps.no_rows;
SELECT count(*) FROM steps.no_columns;
SELECT * FROM steps.unknown;
SELECT * FROM steps.sum_large;
SELECT * FROM steps.sum_many;
SELECT * FROM steps.sum_no_columns;
SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), collname
  FROM pg_attribute LEFT JOIN pg_collation c ON c.oid = attcollation
 WHERE attrelid IN ('steps.unknown'::regclass, 'steps.domains'::regclass) AND attnum > 0 ORDER BY attrelid::regclass::text, attnum;
-- the size is that of everything that belongs to the table
SELECT process_name, table_size = pg_total_relation_size('steps.' || process_name) AS as_it_is
  FROM etl.output WHERE pipeline = 'steps' ORDER BY process_name;
SELECT count(*) FROM etl.log l JOIN etl.output o USING (run_id, process_name, count_rows, table_size) WHERE o.pipeline = 'steps';

-- statistics are there, rows are frozen, pages all-visible
SELECT relname, reltuples, relallvisible > 0 AS all_visible
  FROM pg_class WHERE oid IN ('steps.many'::regclass, 'steps.large'::regclass, 'steps.no_rows'::regclass) ORDER BY relname;
SELECT tablename, attname, n_distinct FROM pg_stats WHERE schemaname = 'steps' AND tablename = 'many' ORDER BY 1, 2;
-- (pages that have no rows yet do not count)
CREATE FUNCTION not_frozen(relation regclass) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	result bigint := 0;
BEGIN
	IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_visibility') THEN
		CREATE EXTENSION IF NOT EXISTS pg_visibility;
		EXECUTE format('SELECT count(*) FROM pg_visibility($1)
			WHERE blkno IN (SELECT (ctid::text::point)[0] FROM %s) AND NOT (all_visible AND all_frozen AND pd_all_visible)', relation)
			USING relation INTO result;
		DROP EXTENSION pg_visibility;
	END IF;
	RETURN result;
END
$$;
SELECT not_frozen('steps.many'), not_frozen('steps.large');
-- a few rows are frozen as well, but not worth the file of a visibility map
CREATE FUNCTION rows_not_frozen(relation text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	result bigint := 0;
BEGIN
	IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pageinspect') THEN
		CREATE EXTENSION IF NOT EXISTS pageinspect;
		EXECUTE 'SELECT count(*) FROM heap_page_items(get_raw_page($1, 0)) WHERE t_infomask & 768 <> 768'
			USING relation INTO result;
		DROP EXTENSION pageinspect;
	END IF;
	RETURN result;
END
$$;
SELECT rows_not_frozen('steps.unknown'), rows_not_frozen('steps.many'),
       pg_relation_size('steps.unknown', 'vm') > 0 AS map_of_few, pg_relation_size('steps.many', 'vm') > 0 AS map_of_many;
SELECT pg_temp.forget('steps');

-- consumers are planned with the statistics of what they read
CREATE FUNCTION seen_reltuples(relation text) RETURNS real LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT reltuples FROM pg_class WHERE oid = to_regclass(relation));
END
$$;
SELECT pg_temp.define('steps',
	'counted', 'SELECT i, i % 10 AS ten FROM generate_series(1, 1234) i',
	'sees', 'SELECT seen_reltuples(''counted'') AS tuples, (SELECT string_agg(attname || n_distinct, '' '' ORDER BY attname) FROM pg_stats WHERE tablename = ''counted'') AS stats');
SELECT etl.alter_step('steps', 'sees', '{"depends_on": ["counted"]}');
-- (the catalogs' rows of a table that the run has made are younger than the run's snapshot)
SELECT etl.alter_pipeline('steps', '{"one_snapshot": false}');
SELECT * FROM pg_temp.try($$SELECT etl.run('steps')$$);
SELECT * FROM steps.sees;
SELECT pg_temp.forget('steps');

-- ---- indexes

SELECT etl.create_pipeline('steps');
SELECT etl.add_step('steps', 'indexed', 'SELECT n, n::text AS t, n % 3 AS m, ARRAY[n] AS a FROM numbers',
	indexes => '{(n),"UNIQUE (n, t)","unique(lower(t))","USING gin (a)","(m DESC NULLS LAST) INCLUDE (t) WHERE m > 0","USING hash (t)"}');
SELECT * FROM pg_temp.try($$SELECT etl.run('steps')$$);
SELECT replace(indexdef, indexname, '...') AS indexdef FROM pg_indexes WHERE schemaname = 'steps' ORDER BY indexdef COLLATE "C";
SELECT indisvalid AND indisready AS usable, count(*) FROM pg_index WHERE indrelid = 'steps.indexed'::regclass GROUP BY 1;
-- a UNIQUE index that the rows violate fails the step
SELECT etl.alter_step('steps', 'indexed', '{"indexes": ["UNIQUE (m)"]}');
SELECT * FROM pg_temp.try($$SELECT etl.run('steps')$$);
SELECT pg_temp.plain(error_message) AS error, error_detail, sqlstate, attempt FROM etl.log WHERE pipeline = 'steps' AND status = 'FAILED';
SELECT count(*) FROM pg_indexes WHERE schemaname = 'steps';
-- columns and types that do not fit
SELECT etl.alter_step('steps', 'indexed', '{"indexes": ["(nothing)"]}');
SELECT * FROM pg_temp.try($$SELECT etl.run('steps')$$);
SELECT etl.alter_step('steps', 'indexed', '{"indexes": ["USING gin (n)"]}');
SELECT count(*) FROM pg_temp.try($$SELECT etl.run('steps')$$);
SELECT sqlstate, error FROM pg_temp.steps('steps');
SELECT pg_temp.forget('steps');

-- ---- settings, for the step alone

CREATE FUNCTION setting(name text) RETURNS text LANGUAGE sql AS 'SELECT current_setting($1)';
SELECT etl.create_pipeline('steps', max_parallel => 1);
SELECT etl.add_step('steps', 'first', 'SELECT setting(''work_mem'') AS w, setting(''enable_nestloop'') AS nl, setting(''enable_parallel_hash'') AS ph, setting(''app.own'') AS own',
	settings => '{work_mem=77MB,app.own= spaced }', broadcast => true);
SELECT etl.add_step('steps', 'second', 'SELECT setting(''work_mem'') AS w, setting(''enable_nestloop'') AS nl, setting(''enable_parallel_hash'') AS ph, current_setting(''app.own'', true) AS own',
	depends_on => '{first}');
SELECT etl.add_step('steps', 'third', 'SELECT setting(''enable_nestloop'') AS nl, setting(''enable_mergejoin'') AS mj',
	settings => '{enable_nestloop=on}', broadcast => true);
SELECT * FROM pg_temp.try($$SELECT etl.run('steps')$$);
SELECT * FROM steps.first;
SELECT w = current_setting('work_mem') AS w, nl, ph, own FROM steps.second;
SELECT * FROM steps.third;
SELECT pg_temp.forget('steps');

-- ---- where rows are kept

SELECT etl.create_pipeline('steps');
SELECT etl.add_step('steps', 'read', 'SELECT 1 AS n', cache => true);
SELECT etl.add_step('steps', 'logged', 'SELECT n FROM read', persist => true);
SELECT etl.add_step('steps', 'unlogged', 'SELECT n FROM logged', persist => false);
SELECT etl.add_step('steps', 'output', 'SELECT n FROM unlogged');
SELECT * FROM pg_temp.try($$SELECT etl.run('steps')$$);
CREATE VIEW persistence AS
SELECT o.process_name, c.relpersistence FROM etl.output o JOIN pg_class c ON c.oid = o.relation
 WHERE o.pipeline = 'steps' ORDER BY 1;
SELECT * FROM persistence;
SELECT etl.alter_pipeline('steps', '{"durability": "outputs"}');
SELECT * FROM pg_temp.try($$SELECT etl.run('steps')$$);
SELECT * FROM persistence;
SELECT etl.alter_pipeline('steps', '{"durability": "all"}');
SELECT * FROM pg_temp.try($$SELECT etl.run('steps')$$);
SELECT * FROM persistence;
DROP VIEW persistence;
SELECT pg_temp.forget('steps');

-- ---- keep => false

SELECT etl.create_pipeline('steps');
SELECT etl.add_step('steps', 'scratch', 'SELECT n FROM numbers', keep => false, cache => true);
SELECT etl.add_step('steps', 'unread', 'SELECT n FROM numbers', keep => false);
SELECT etl.add_step('steps', 'one', 'SELECT sum(n) AS s FROM scratch');
SELECT etl.add_step('steps', 'two', 'SELECT max(n) AS s FROM scratch s JOIN one ON one.s > n');
SELECT * FROM pg_temp.try($$SELECT etl.run('steps')$$);
SELECT step, status, count_rows FROM pg_temp.steps('steps');
SELECT relname FROM pg_class WHERE relnamespace = 'steps'::regnamespace AND relkind = 'r' ORDER BY 1;
SELECT process_name FROM etl.output WHERE pipeline = 'steps' ORDER BY 1;
SELECT pg_temp.forget('steps');

-- ---- parallel plans

CREATE TABLE wide AS SELECT i, i % 7 AS g FROM generate_series(1, 20000) i;
ANALYZE wide;
CREATE FUNCTION pid() RETURNS int LANGUAGE plpgsql VOLATILE PARALLEL SAFE AS 'BEGIN RETURN pg_backend_pid(); END';
SELECT etl.create_pipeline('steps');
SELECT etl.alter_pipeline('steps', '{"max_parallel": 1}');
SELECT etl.add_step('steps', 'scanned', 'SELECT g, count(*) AS c, min(pid) AS pid FROM (SELECT g, pid() AS pid FROM wide OFFSET 0) w GROUP BY g',
	settings => '{parallel_setup_cost=0,parallel_tuple_cost=0,min_parallel_table_scan_size=0,max_parallel_workers_per_gather=2,parallel_leader_participation=off}');
SELECT etl.add_step('steps', 'joined', 'SELECT s.g, sum(s.c) AS c, count(*) AS rows FROM scanned s JOIN wide w USING (g) GROUP BY s.g', broadcast => true,
	settings => '{parallel_setup_cost=0,parallel_tuple_cost=0,min_parallel_table_scan_size=0}');
SELECT * FROM pg_temp.try($$SELECT etl.run('steps')$$);
SELECT g, c, s.pid <> l.pid AS by_other_process FROM steps.scanned s JOIN etl.log l ON l.process_name = 'scanned' ORDER BY g;
SELECT * FROM steps.joined ORDER BY g;
SELECT pg_temp.forget('steps');

-- ---- what cannot become a table fails the step

SELECT pg_temp.define('steps',
	'twice', 'SELECT 1 AS a, 2 AS a',
	'pseudo', 'SELECT NULL::cstring AS c',
	'system_name', 'SELECT 1 AS xmin',
	'missing', 'SELECT n FROM nowhere',
	'column_of', E'SELECT n,\n       nothing\n  FROM numbers',
	'collation', 'SELECT a || b AS c FROM (SELECT ''a'' COLLATE "C" AS a, ''b'' COLLATE "POSIX" AS b) s',
	'divides', 'SELECT 1 / (n - 5) AS q FROM numbers');
SELECT etl.alter_pipeline('steps', '{"max_parallel": 1}');
SELECT * FROM pg_temp.try($$SELECT etl.run('steps')$$);
SELECT l.process_name, l.status, l.attempt, l.sqlstate, l.error_message, l.error_detail, l.error_hint, pg_temp.plain(l.error_context) AS context
  FROM etl.log l WHERE l.pipeline = 'steps' AND run_id = (SELECT max(run_id) FROM etl.run_log) ORDER BY step_id \gx
SELECT pg_temp.forget('steps');

-- steps cannot be told from others by who made them: a step's name is unknown outside
SELECT pg_temp.define('steps', 'a', 'SELECT 1 AS n', 'b', 'SELECT * FROM pg_temp.a');
SELECT * FROM pg_temp.try($$SELECT etl.run('steps')$$);
SELECT pg_temp.forget('steps');

DROP SCHEMA steps_source CASCADE;
