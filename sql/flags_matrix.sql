-- All combinations of the flags, with both kinds of step and each durability: each
-- works, or is refused with its reason.

\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/test/sql/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

CREATE SCHEMA matrix_source;
-- left to itself, the planner looks the few rows up in a by a nested loop
CREATE TABLE matrix_source.a AS SELECT g AS id, g % 100 AS k FROM generate_series(1, 20000) AS g;
CREATE INDEX ON matrix_source.a (k);
CREATE TABLE matrix_source.b AS SELECT g AS k, 'k' || g AS name FROM generate_series(0, 99) AS g;
CREATE TABLE matrix_source.written (step text, id int);
ANALYZE matrix_source.a, matrix_source.b;
SET etl_framework.keep_plans = 'on';
CREATE TEMP TABLE matrix AS
SELECT format('s%s', row_number() OVER (ORDER BY broadcast, cache, persist NULLS FIRST, repartition NULLS FIRST, keep)) AS step, *
FROM (VALUES (false), (true)) AS b(broadcast), (VALUES (false), (true)) AS c(cache),
	(VALUES (NULL), (false), (true)) AS p(persist), (VALUES (NULL), (4)) AS r(repartition), (VALUES (true), (false)) AS k(keep);
SELECT count(*) FROM matrix;

-- ---- queries: every one works

CREATE FUNCTION pg_temp.try_matrix(durability text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM etl.create_pipeline('matrix', search_path => 'matrix_source', durability => durability);
	PERFORM etl.add_step('matrix', m.step, 'SELECT a.id, a.k FROM a JOIN b USING (k) WHERE b.name = ''k7''', broadcast => m.broadcast, cache => m.cache,
		persist => m.persist, repartition => m.repartition, keep => m.keep) FROM matrix m ORDER BY m.step;
	-- somebody reads half of them
	PERFORM etl.add_step('matrix', 'reader_of_' || m.step, 'SELECT count(*) AS n FROM ' || m.step) FROM matrix m WHERE m.cache ORDER BY m.step;
END $$;
CREATE FUNCTION pg_temp.look_at_matrix(durability text) RETURNS TABLE (steps bigint, succeeded bigint, published bigint, logged bigint, partitioned bigint) LANGUAGE sql AS $$
	SELECT (SELECT count(*) FROM etl.log l WHERE l.pipeline = 'matrix' AND l.run_id = (SELECT max(run_id) FROM etl.run_log)),
		(SELECT count(*) FROM etl.log l WHERE l.pipeline = 'matrix' AND l.run_id = (SELECT max(run_id) FROM etl.run_log) AND status = 'SUCCESS'),
		(SELECT count(*) FROM etl.output WHERE pipeline = 'matrix' AND process_name LIKE 's%'),
		(SELECT count(*) FROM etl.output o WHERE pipeline = 'matrix' AND process_name LIKE 's%'
			AND 'p' = ALL (SELECT c.relpersistence FROM pg_class c WHERE c.oid = o.relation UNION SELECT c.relpersistence FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = o.relation)),
		(SELECT count(*) FROM etl.output o JOIN pg_class c ON c.oid = o.relation WHERE pipeline = 'matrix' AND process_name LIKE 's%' AND relkind = 'p')
$$;
-- what is not as its flags say
CREATE FUNCTION pg_temp.wrong_in_matrix(durability text) RETURNS TABLE (step text, wrong text) LANGUAGE plpgsql AS $$
DECLARE
	m record;
	n bigint;
	leaves "char"[];
	logged bool;
	kind "char";
	joins text;
	cached text[];
BEGIN
	FOR m IN SELECT * FROM matrix ORDER BY matrix.step LOOP
		SELECT jsonb_path_query_first(l.plan::jsonb, 'strict $.**."Node Type" ? (@ == "Hash Join" || @ == "Nested Loop" || @ == "Merge Join")') #>> '{}', l.warnings INTO joins, cached
		FROM etl.log l WHERE l.process_name = m.step AND l.run_id = (SELECT max(run_id) FROM etl.run_log);
		IF joins IS DISTINCT FROM (CASE WHEN m.broadcast THEN 'Hash Join' ELSE 'Nested Loop' END) THEN RETURN QUERY SELECT m.step, 'joins by ' || joins; END IF;
		IF current_setting('etl_framework.cache_limit') = '0' AND m.cache <> coalesce(cached[1] LIKE 'cache: %', false) THEN RETURN QUERY SELECT m.step, 'cached: ' || coalesce(cached::text, 'in silence'); END IF;
		IF current_setting('etl_framework.cache_limit') <> '0' AND cached IS NOT NULL THEN RETURN QUERY SELECT m.step, cached::text; END IF;
		IF m.cache AND to_regclass('matrix.reader_of_' || m.step) IS NOT NULL THEN
			EXECUTE format('SELECT n FROM matrix.reader_of_%s', m.step) INTO n;
			IF n <> 200 THEN RETURN QUERY SELECT m.step, 'was read as ' || n || ' rows'; END IF;
		END IF;
		IF NOT m.keep THEN
			IF to_regclass('matrix.' || m.step) IS NOT NULL THEN RETURN QUERY SELECT m.step, 'was kept'; END IF;
			CONTINUE;
		END IF;
		EXECUTE format('SELECT count(*) FROM matrix.%I', m.step) INTO n;
		IF n <> 200 THEN RETURN QUERY SELECT m.step, n || ' rows'; END IF;
		SELECT relkind INTO kind FROM pg_class WHERE oid = ('matrix.' || m.step)::regclass;
		IF (kind = 'p') <> (m.repartition IS NOT NULL) THEN RETURN QUERY SELECT m.step, 'relkind ' || kind; END IF;
		SELECT array_agg(DISTINCT c.relpersistence) INTO leaves FROM pg_class c
		WHERE CASE WHEN kind = 'p' THEN c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = ('matrix.' || m.step)::regclass) ELSE c.oid = ('matrix.' || m.step)::regclass END;
		logged := coalesce(m.persist, durability = 'all' OR durability = 'outputs' AND NOT m.cache);
		IF leaves IS DISTINCT FROM ARRAY[CASE WHEN logged THEN 'p' ELSE 'u' END]::"char"[] THEN RETURN QUERY SELECT m.step, 'persistence ' || leaves::text; END IF;
	END LOOP;
END $$;

SELECT pg_temp.try_matrix('unlogged');
SELECT * FROM pg_temp.try($$SELECT etl.run('matrix')$$);
SELECT * FROM pg_temp.look_at_matrix('unlogged');
SELECT * FROM pg_temp.wrong_in_matrix('unlogged');
-- and once more, over what is there, with no room for what is cached
SET etl_framework.cache_limit = 0;
SELECT * FROM pg_temp.try($$SELECT etl.run('matrix')$$);
SELECT * FROM pg_temp.look_at_matrix('unlogged');
SELECT * FROM pg_temp.wrong_in_matrix('unlogged');
RESET etl_framework.cache_limit;
-- and with all flags changed
SELECT count(etl.alter_step('matrix', step, jsonb_build_object('broadcast', NOT broadcast, 'persist', NOT coalesce(persist, false), 'repartition', CASE WHEN repartition IS NULL THEN 3 END))) FROM matrix;
UPDATE matrix SET broadcast = NOT broadcast, persist = NOT coalesce(persist, false), repartition = CASE WHEN repartition IS NULL THEN 3 END;
SELECT * FROM pg_temp.try($$SELECT etl.run('matrix')$$);
SELECT * FROM pg_temp.look_at_matrix('unlogged');
SELECT * FROM pg_temp.wrong_in_matrix('unlogged');
SELECT pg_temp.forget('matrix');
UPDATE matrix SET persist = NULL WHERE NOT persist;
SELECT pg_temp.try_matrix('outputs');
SELECT * FROM pg_temp.try($$SELECT etl.run('matrix')$$);
SELECT * FROM pg_temp.look_at_matrix('outputs');
SELECT * FROM pg_temp.wrong_in_matrix('outputs');
SELECT pg_temp.forget('matrix');
SELECT pg_temp.try_matrix('all');
SELECT * FROM pg_temp.try($$SELECT etl.run('matrix')$$);
SELECT * FROM pg_temp.look_at_matrix('all');
SELECT * FROM pg_temp.wrong_in_matrix('all');
SELECT pg_temp.forget('matrix');

-- ---- commands: broadcast works; the rest says why not

SELECT etl.create_pipeline('matrix', search_path => 'matrix_source');
CREATE FUNCTION pg_temp.try_command(m matrix) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM etl.add_step('matrix', m.step, format('INSERT INTO matrix_source.written SELECT %L, a.id FROM a JOIN b USING (k) WHERE b.name = ''k7''', m.step), broadcast => m.broadcast, cache => m.cache,
		persist => m.persist, repartition => m.repartition, keep => m.keep);
	RETURN 'works';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ': ' || SQLERRM;
END $$;
SELECT broadcast, cache, persist IS NOT NULL AS persist, repartition IS NOT NULL AS repartition, keep, min(t) AS answer, count(DISTINCT t) AS answers
FROM (SELECT m.*, pg_temp.try_command(m) AS t FROM matrix m) s GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5;
SELECT * FROM pg_temp.try($$SELECT etl.run('matrix')$$);
SELECT step, broadcast, (SELECT count(*) FROM matrix_source.written w WHERE w.step = m.step) AS written,
	jsonb_path_query_first(l.plan::jsonb, 'strict $.**."Node Type" ? (@ == "Hash Join" || @ == "Nested Loop" || @ == "Merge Join")') #>> '{}' AS joins
FROM matrix m JOIN etl.log l ON l.process_name = m.step AND l.run_id = (SELECT max(run_id) FROM etl.run_log) ORDER BY step;
SELECT count(*) FROM etl.metadata WHERE pipeline = 'matrix';
SELECT etl.drop_pipeline('matrix');
DROP SCHEMA matrix CASCADE;
DROP SCHEMA matrix_source CASCADE;
