-- What broadcast and cache do, shown by the plans that steps were executed with.

\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/test/sql/helpers.sql'
\set ECHO none
\i :helpers
-- The nodes of a kept plan, the outermost first, with the rows they returned; not of those that
-- several processes may execute, as it is up to chance whether they do.
CREATE FUNCTION pg_temp.nodes(plan json) RETURNS SETOF text LANGUAGE sql AS $$
	WITH RECURSIVE node AS (
		SELECT ARRAY[s.n] AS place, s.statement -> 'Plan' AS node, false AS shared
		FROM json_array_elements(plan) WITH ORDINALITY AS s(statement, n)
		UNION ALL
		SELECT node.place || p.n, p.plan, node.shared OR node.node ->> 'Node Type' LIKE 'Gather%'
		FROM node, json_array_elements(node.node -> 'Plans') WITH ORDINALITY AS p(plan, n))
	SELECT repeat('  ', cardinality(place) - 1)
		|| CASE WHEN (node ->> 'Parallel Aware')::bool THEN 'Parallel ' ELSE '' END
		|| (node ->> 'Node Type')
		|| coalesce(' on ' || (node ->> 'Relation Name'), '')
		|| CASE WHEN node -> 'Actual Rows' IS NULL THEN ' (not executed)'
			WHEN shared THEN ' (several processes)'
			WHEN (node ->> 'Actual Loops')::int > 1 THEN ' (several times)'
			ELSE ' rows=' || (node ->> 'Actual Rows')::numeric::int END
	FROM node ORDER BY place
$$;
\set ECHO all

CREATE SCHEMA flags_source;
SET search_path = flags_source, public;
CREATE TABLE fact AS SELECT g AS id, g % 100 AS k, g % 50 AS l FROM generate_series(1, 100000) AS g;
CREATE TABLE dim AS SELECT g AS k, 'k' || g AS name FROM generate_series(0, 99) AS g;
CREATE TABLE dim2 AS SELECT g AS l, 'l' || g AS title FROM generate_series(0, 49) AS g;
ANALYZE fact, dim, dim2;
CREATE INDEX ON fact (k);
CREATE INDEX ON dim (k);
CREATE FUNCTION facts() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM flags_source.fact); END';

-- ---- broadcast: the same star join, in one process and in several, with and without

SELECT etl.create_pipeline('flags_join', max_attempts => 1, max_parallel => 1);
\set star 'SELECT f.id, d.name, e.title FROM fact f JOIN dim d USING (k) JOIN dim2 e USING (l)'
\set parallel '{parallel_setup_cost=0,parallel_tuple_cost=0,min_parallel_table_scan_size=0,max_parallel_workers_per_gather=2}'
\set serial '{max_parallel_workers_per_gather=0}'
SELECT etl.add_step('flags_join', 'serial', :'star', broadcast => true, settings => :'serial');
SELECT etl.add_step('flags_join', 'in_parallel', :'star', broadcast => true, settings => :'parallel');
SELECT etl.add_step('flags_join', 'large_sides', 'SELECT a.id FROM fact a JOIN fact b USING (id)', settings => :'parallel');
SELECT etl.add_step('flags_join', 'large_broadcast', 'SELECT a.id FROM fact a JOIN fact b USING (id)', broadcast => true, settings => :'parallel');
SELECT etl.add_step('flags_join', 'sorted', 'SELECT f.id FROM fact f JOIN dim d USING (k) ORDER BY f.k', broadcast => true, settings => :'serial');
SELECT etl.add_step('flags_join', 'one_row', 'SELECT f.id FROM dim d JOIN fact f USING (k) WHERE d.name = ''k7'' AND f.id < 1000', broadcast => true, settings => :'serial');
SELECT etl.add_step('flags_join', 'not_equal', 'SELECT count(*) FROM dim a JOIN dim b ON a.k < b.k', broadcast => true);
SELECT etl.add_step('flags_join', 'outer_join', 'SELECT count(*), count(b.k) AS matched FROM dim a FULL JOIN dim b ON a.k = b.k + 50', broadcast => true);
SET etl_framework.keep_plans = 'on';
SELECT * FROM pg_temp.try($$SELECT etl.run('flags_join')$$);
SELECT n.* FROM etl.log l, pg_temp.nodes(l.plan) AS n WHERE l.pipeline = 'flags_join' AND process_name = 'serial';
SELECT n.* FROM etl.log l, pg_temp.nodes(l.plan) AS n WHERE l.pipeline = 'flags_join' AND process_name = 'in_parallel';
-- the planner left to itself would share one hash table
SELECT n.* FROM etl.log l, pg_temp.nodes(l.plan) AS n WHERE l.pipeline = 'flags_join' AND process_name = 'large_sides';
SELECT n.* FROM etl.log l, pg_temp.nodes(l.plan) AS n WHERE l.pipeline = 'flags_join' AND process_name = 'large_broadcast';
-- no merge join although rows in that order are wanted, no nested loop although it would look up few
SELECT n.* FROM etl.log l, pg_temp.nodes(l.plan) AS n WHERE l.pipeline = 'flags_join' AND process_name = 'sorted';
SELECT n.* FROM etl.log l, pg_temp.nodes(l.plan) AS n WHERE l.pipeline = 'flags_join' AND process_name = 'one_row';
-- what cannot be hashed
SELECT n.* FROM etl.log l, pg_temp.nodes(l.plan) AS n WHERE l.pipeline = 'flags_join' AND process_name = 'not_equal';
SELECT * FROM flags_join.not_equal;
SELECT * FROM flags_join.outer_join;
SELECT count(*), count(DISTINCT name), count(DISTINCT title) FROM flags_join.in_parallel;
SELECT pg_temp.forget('flags_join');

-- the settings are back for the next step of the same worker, after an error too
SELECT etl.create_pipeline('flags_settings', max_attempts => 1, max_parallel => 1);
\set shown 'SELECT current_setting(''enable_hashjoin'') AS hash, current_setting(''enable_mergejoin'') AS merge, current_setting(''enable_nestloop'') AS loop, current_setting(''enable_parallel_hash'') AS shared'
SELECT etl.add_step('flags_settings', 'inside', :'shown', broadcast => true, execution_order => 1);
SELECT etl.add_step('flags_settings', 'after', :'shown', execution_order => 2);
SELECT etl.add_step('flags_settings', 'fails', 'SELECT 1 / 0 AS x', broadcast => true, execution_order => 3);
SELECT etl.add_step('flags_settings', 'after_error', :'shown', execution_order => 4, keep => true);
SELECT etl.add_step('flags_settings', 'pid_of_inside', 'INSERT INTO flags_source.dim SELECT 1000, string_agg(w::text, '' '') FROM (SELECT ''inside'', i.* FROM inside i UNION ALL SELECT ''after'', a.* FROM after a UNION ALL SELECT ''after_error'', e.* FROM after_error e) w', execution_order => 5);
SELECT * FROM pg_temp.try($$SELECT etl.run('flags_settings')$$);
SELECT name FROM dim WHERE k = 1000;
SELECT count(DISTINCT pid) FROM etl.log WHERE pipeline = 'flags_settings';
DELETE FROM dim WHERE k = 1000;
SELECT pg_temp.forget('flags_settings');

-- a side that does not fit
SELECT etl.create_pipeline('flags_fit', max_attempts => 1);
SELECT etl.add_step('flags_fit', 'large', 'SELECT a.id FROM fact a JOIN fact b USING (id)', broadcast => true, settings => '{work_mem=64kB,hash_mem_multiplier=1,max_parallel_workers_per_gather=0}');
SELECT etl.add_step('flags_fit', 'small', 'SELECT f.id FROM fact f JOIN dim d USING (k)', broadcast => true, settings => '{work_mem=64kB,hash_mem_multiplier=1}');
SELECT etl.add_step('flags_fit', 'command', 'INSERT INTO dim SELECT -1, '''' FROM fact a JOIN fact b USING (id) WHERE a.k + b.k < 0', broadcast => true, settings => '{work_mem=64kB,hash_mem_multiplier=1,max_parallel_workers_per_gather=0}');
SELECT etl.run('flags_fit') IS NOT NULL AS run \gset
SELECT process_name, unnest(warnings) FROM etl.log WHERE pipeline = 'flags_fit' ORDER BY step_id;
SELECT process_name, temp_blks_written > 0 AS temporary_files FROM etl.log WHERE pipeline = 'flags_fit' ORDER BY step_id;
SELECT pg_temp.forget('flags_fit');

-- ---- cache: the pages are there, and others' are not pushed out

CREATE EXTENSION pg_buffercache;
CREATE FUNCTION unexpected(n int) RETURNS SETOF int LANGUAGE plpgsql ROWS 10 AS $$
BEGIN
	RETURN QUERY SELECT * FROM generate_series(1, n);
END $$;
CREATE FUNCTION resident(t regclass) RETURNS numeric LANGUAGE sql AS $$
	SELECT round(100.0 * count(*) / (pg_relation_size(t) / current_setting('block_size')::int))
	FROM pg_buffercache
	WHERE relfilenode = pg_relation_filenode(t) AND relforknumber = 0
		AND reldatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
$$;
SELECT etl.create_pipeline('flags_cache', max_attempts => 1);
\set wide 'SELECT g AS id, repeat(''x'', 100) AS filler FROM generate_series(1, 200000) AS g'
SELECT etl.add_step('flags_cache', 'cached', :'wide', cache => true);
SELECT etl.add_step('flags_cache', 'cached_parts', :'wide', cache => true, repartition => 3);
SELECT etl.add_step('flags_cache', 'not_cached', :'wide');
SELECT etl.add_step('flags_cache', 'too_large', 'SELECT a.id, b.filler FROM cached a JOIN cached b USING (id)', cache => true);
SELECT etl.add_step('flags_cache', 'larger_than_expected', 'SELECT u AS id, repeat(''x'', 100) AS filler FROM unexpected(200000) AS u', cache => true);
SET etl_framework.cache_limit = 0.25;
-- a server with free buffers lets the others have them, too: take all there are
CREATE UNLOGGED TABLE filler (a text);
ALTER TABLE filler ALTER a SET STORAGE PLAIN;
INSERT INTO filler SELECT repeat('x', 5000) FROM generate_series(1, (SELECT setting::int FROM pg_settings WHERE name = 'shared_buffers') + 1000);
SELECT etl.run('flags_cache', steps => '{cached,cached_parts,not_cached}') IS NOT NULL AS run \gset
SELECT resident('flags_cache.cached'), (SELECT min(resident(c.oid)) FROM pg_class c WHERE c.relname ~ '^cached_parts_p\d' AND c.relnamespace = 'flags_cache'::regnamespace) AS parts,
	resident('flags_cache.not_cached') < 75 AS not_cached;
SET etl_framework.cache_limit = 0.01;
SELECT etl.run('flags_cache', steps => '{too_large,larger_than_expected}') IS NOT NULL AS run \gset
SELECT resident('flags_cache.too_large') < 75 AS too_large, resident('flags_cache.larger_than_expected') < 75 AS larger;
SELECT process_name, regexp_replace(unnest(warnings), '\m(2|3)\d MB', 'about 30 MB') AS warning FROM etl.log WHERE pipeline = 'flags_cache' ORDER BY step_id, run_id;
RESET etl_framework.cache_limit;
SET etl_framework.cache_limit = 1.1;
DROP TABLE filler;
SELECT etl.run('flags_cache', steps => '{not_cached}') IS NOT NULL AS run \gset
SELECT resident('flags_cache.not_cached');
SELECT pg_temp.forget('flags_cache');

-- ---- keep_plans

SELECT etl.create_pipeline('flags_plans', max_attempts => 1);
SELECT etl.add_step('flags_plans', 'quick', 'SELECT k FROM dim WHERE k < 3');
SELECT etl.add_step('flags_plans', 'slow', 'SELECT 1 AS a FROM pg_sleep(0.2)');
SELECT etl.add_step('flags_plans', 'fails', 'SELECT 1 / (k - 2) AS x FROM quick');
SELECT etl.add_step('flags_plans', 'commands', 'CREATE TEMP TABLE t AS SELECT k FROM dim; UPDATE dim SET name = name WHERE k = 1; DO $$BEGIN PERFORM count(*) FROM flags_source.dim2; END$$; ANALYZE flags_source.dim');
SELECT etl.add_step('flags_plans', 'vacuum', 'VACUUM flags_source.dim');
SELECT etl.add_step('flags_plans', 'in_functions', 'SELECT k, flags_source.facts() AS x FROM quick');
SET etl_framework.keep_plans = 'on';
SELECT * FROM pg_temp.try($$SELECT etl.run('flags_plans')$$);
SELECT l.process_name, n.node FROM etl.log l LEFT JOIN LATERAL pg_temp.nodes(l.plan) WITH ORDINALITY AS n(node, place) ON true WHERE l.pipeline = 'flags_plans' ORDER BY l.step_id, n.place;
-- a statement that has failed while its caller goes on: the plan of the next is not its own
SELECT etl.add_step('flags_plans', 'goes_on', $step$DO $$BEGIN
	FOR i IN 1 .. 4 LOOP
		BEGIN
			PERFORM 1 / (k - i) FROM generate_series(1, 2) AS k;
		EXCEPTION WHEN division_by_zero THEN NULL;
		END;
	END LOOP;
END$$$step$);
SELECT etl.run('flags_plans', steps => '{goes_on}') IS NOT NULL AS run \gset
SELECT n.node FROM etl.log l, pg_temp.nodes(l.plan) WITH ORDINALITY AS n(node, place) WHERE l.process_name = 'goes_on' ORDER BY n.place;
-- without times, unless they are asked for
SELECT plan::jsonb @? '$.**."Actual Total Time"' AS timed, plan::jsonb @? '$.**."Shared Hit Blocks"' AS buffers FROM etl.log WHERE pipeline = 'flags_plans' AND process_name = 'quick';
SET etl_framework.plan_timing = on;
SELECT etl.run('flags_plans', steps => '{quick}') IS NOT NULL AS run \gset
SELECT plan::jsonb @? '$.**."Actual Total Time"' AS timed, plan::jsonb @? '$.**."Shared Hit Blocks"' AS buffers FROM etl.log WHERE run_id = (SELECT max(run_id) FROM etl.log);
RESET etl_framework.plan_timing;
SET etl_framework.keep_plans = 'slow';
SET etl_framework.slow_step = '150ms';
SELECT etl.run('flags_plans', steps => '{quick,slow}') IS NOT NULL AS run \gset
SELECT process_name, plan IS NOT NULL AS kept FROM etl.log WHERE run_id = (SELECT max(run_id) FROM etl.log) ORDER BY step_id;
SET etl_framework.keep_plans = 'off';
SELECT etl.run('flags_plans', steps => '{quick}') IS NOT NULL AS run \gset
SELECT process_name, plan IS NOT NULL AS kept FROM etl.log WHERE run_id = (SELECT max(run_id) FROM etl.log);
SET etl_framework.keep_plans = 'sometimes';
-- (17 writes the units of the limits as well)
SELECT replace(t, ' ms', '') AS error FROM pg_temp.try('SET etl_framework.slow_step = -1') AS t;

-- what an attempt cost is in the log in any case
SELECT process_name, shared_blks_hit > 0 AS hit, shared_blks_read IS NOT NULL AS read, temp_blks_read = 0 AS temp, wal_bytes > 0 AS wal
FROM etl.log WHERE run_id = (SELECT max(run_id) FROM etl.log);
SELECT pg_temp.forget('flags_plans');

DROP EXTENSION pg_buffercache;
\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA flags_source CASCADE;
