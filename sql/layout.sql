-- A published table stays itself when the columns of its step change.

\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/test/sql/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

CREATE SCHEMA layout_source;
SET search_path = layout_source, public;
CREATE ROLE regress_layout_reader;
CREATE TABLE source AS SELECT i AS id, i % 7 AS a, 'b' || i AS b, i * 1.5 AS c FROM generate_series(1, 50) AS i;

-- one step at a time, so that the same one fails first
SELECT etl.create_pipeline('layout', max_parallel => 1);
SELECT etl.add_step('layout', 'heap', 'SELECT id, a, b FROM source', indexes => '{UNIQUE (id)}');
SELECT etl.add_step('layout', 'parts', 'SELECT id, a, b FROM source', repartition => 3, repartition_by => '{id}', indexes => '{UNIQUE (id)}');
SELECT * FROM pg_temp.try($$SELECT etl.run('layout')$$);
GRANT SELECT ON layout.heap, layout.parts TO regress_layout_reader;
CREATE VIEW sums AS SELECT (SELECT sum(id) FROM layout.heap) AS heap, (SELECT sum(id) FROM layout.parts) AS parts;
CREATE INDEX heap_mine ON layout.heap (id DESC);
CREATE INDEX parts_mine ON layout.parts (id DESC);
CREATE TABLE before AS SELECT name, name::regclass AS relid FROM unnest('{layout.heap,layout.parts}'::text[]) AS name;

-- What is there after a run with this query in both steps.
CREATE FUNCTION pg_temp.look(query text) RETURNS TABLE (name text, same bool, columns text, indexes bigint, granted bool, right_rows bool)
LANGUAGE plpgsql AS $$
DECLARE
	t text;
BEGIN
	FOREACH t IN ARRAY '{layout.heap,layout.parts}'::text[]
	LOOP
		name := t;
		same := (SELECT b.relid::oid = t::regclass::oid FROM before b WHERE b.name = t);
		columns := (SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum)
			FROM pg_attribute WHERE attrelid = t::regclass AND attnum > 0 AND NOT attisdropped);
		indexes := (SELECT count(*) FROM pg_index WHERE indrelid = t::regclass AND indisvalid);
		granted := has_table_privilege('regress_layout_reader', t, 'SELECT');
		-- by name: the order of columns is the table's own
		EXECUTE format('SELECT NOT EXISTS ((SELECT to_jsonb(x) FROM %s x EXCEPT ALL SELECT to_jsonb(y) FROM (%s) y) UNION ALL'
			' (SELECT to_jsonb(y) FROM (%2$s) y EXCEPT ALL SELECT to_jsonb(x) FROM %1$s x))', t, query) INTO right_rows;
		RETURN NEXT;
	END LOOP;
END
$$;
-- Both steps get this query.
CREATE FUNCTION pg_temp.ask(query text) RETURNS void LANGUAGE sql AS $$
	SELECT etl.alter_step('layout', step, jsonb_build_object('sql_query', query)) FROM unnest('{heap,parts}'::text[]) AS step
$$;

-- ---- a column at the end

\set query 'SELECT id, a, b, c FROM layout_source.source'
SELECT pg_temp.ask(:'query');
SELECT * FROM pg_temp.try($$SELECT etl.run('layout')$$);
SELECT * FROM pg_temp.look(:'query');

-- ---- one that goes from the middle

\set query 'SELECT id, b, c FROM layout_source.source'
SELECT pg_temp.ask(:'query');
SELECT * FROM pg_temp.try($$SELECT etl.run('layout')$$);
SELECT * FROM pg_temp.look(:'query');

-- ---- and comes back, beside one of another type

\set query 'SELECT id, a, b, c::text AS c FROM layout_source.source'
SELECT pg_temp.ask(:'query');
SELECT * FROM pg_temp.try($$SELECT etl.run('layout')$$);
SELECT * FROM pg_temp.look(:'query');

-- ---- another order

\set query 'SELECT b, a, id, c::text AS c FROM layout_source.source WHERE id > 10'
SELECT pg_temp.ask(:'query');
SELECT * FROM pg_temp.try($$SELECT etl.run('layout')$$);
DROP VIEW sums;
DROP INDEX layout.heap_mine, layout.parts_mine;
SELECT * FROM pg_temp.try($$SELECT etl.run('layout')$$);
SELECT * FROM pg_temp.look(:'query');

-- ---- once more with the gaps that all that has left

SELECT * FROM pg_temp.try($$SELECT etl.run('layout')$$);
SELECT * FROM pg_temp.look(:'query');

SELECT pg_temp.forget('layout');
DROP SCHEMA layout_source CASCADE;
DROP ROLE regress_layout_reader;
