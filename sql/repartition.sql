-- repartition: by which column, for how many, for which types, and what readers gain.

\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/test/sql/helpers.sql'
\set ECHO none
\i :helpers
CREATE FUNCTION pg_temp.keys(pipeline text) RETURNS TABLE (step text, partitioned text) LANGUAGE sql AS $$
	SELECT process_name, f FROM etl.plan($1), unnest(flags) AS f WHERE f LIKE '%hash partitions%' ORDER BY step_id
$$;
CREATE FUNCTION pg_temp.partitions(t regclass) RETURNS text LANGUAGE sql AS $$
	SELECT format('%s x %s', pg_get_partkeydef($1), count(*)) FROM pg_inherits WHERE inhparent = $1
$$;
\set ECHO all

-- ---- the key: what readers join on and group by

SELECT etl.create_pipeline('keys');
SELECT etl.update_metadata('keys', '[
	{"process_name": "fact", "sql_query": "SELECT g AS id, g % 10 AS k, g % 7 AS l, g AS other FROM generate_series(1, 100) AS g", "repartition": 4},
	{"process_name": "dim", "sql_query": "SELECT g AS code, g AS k FROM generate_series(0, 9) AS g", "repartition": 4},
	{"process_name": "all_columns", "sql_query": "SELECT * FROM fact", "repartition": 2},
	{"process_name": "nobody", "sql_query": "SELECT 1 AS a", "repartition": 2},
	{"process_name": "said", "sql_query": "SELECT 1 AS a, 2 AS b", "repartition": 2, "repartition_by": ["b"]},
	{"process_name": "j1", "sql_query": "SELECT f.id, d.code FROM fact f JOIN dim d USING (k)"},
	{"process_name": "j2", "sql_query": "SELECT f.id FROM fact AS f, dim AS d WHERE d.k = f.k AND f.id > 3"},
	{"process_name": "j3", "sql_query": "SELECT count(*) FROM keys.fact JOIN keys.dim ON keys.fact.l = keys.dim.code"},
	{"process_name": "g1", "sql_query": "SELECT l, count(*) FROM fact GROUP BY l"},
	{"process_name": "shadowed", "sql_query": "WITH fact AS (SELECT 1 AS other) SELECT other FROM fact GROUP BY other"},
	{"process_name": "shadowed2", "sql_query": "WITH fact AS (SELECT 2 AS other) SELECT other FROM fact GROUP BY other"},
	{"process_name": "shadowed3", "sql_query": "WITH fact AS (SELECT 3 AS other) SELECT other FROM fact GROUP BY other"},
	{"process_name": "inner", "sql_query": "SELECT * FROM (SELECT id, count(*) FROM all_columns GROUP BY id) s WHERE EXISTS (SELECT FROM all_columns a WHERE a.id = s.id)"},
	{"process_name": "reads_said", "sql_query": "SELECT a FROM said GROUP BY a"}]');
-- fact: two on l, two on k; of k two are joins, of l one
SELECT * FROM pg_temp.keys('keys');
SELECT etl.run('keys') IS NOT NULL AS run \gset
SELECT pg_temp.partitions('keys.fact'), pg_temp.partitions('keys.dim'), pg_temp.partitions('keys.all_columns'), pg_temp.partitions('keys.nobody'), pg_temp.partitions('keys.said');

-- a reader that changes, comes or goes changes no key
SELECT etl.alter_step('keys', 'j1', '{"sql_query": "SELECT f.id FROM fact f JOIN dim d ON d.code = f.other"}');
SELECT etl.drop_step('keys', 'j2');
SELECT etl.add_step('keys', 'g2', 'SELECT other, count(*) FROM fact GROUP BY other');
SELECT etl.alter_step('keys', 'fact', '{"description": "facts", "cache": true}');
SELECT * FROM pg_temp.keys('keys') WHERE step IN ('fact', 'dim');
-- nor does a script that says what is there already
SELECT current_version AS before FROM etl.pipeline WHERE pipeline = 'keys' \gset
SELECT etl.define('keys', etl.export('keys')) = :before AS same_version;
SELECT * FROM pg_temp.keys('keys') WHERE step IN ('fact', 'dim');
-- a step that is defined anew gets a new one
SELECT etl.alter_step('keys', 'fact', '{"repartition": 3}');
SELECT * FROM pg_temp.keys('keys') WHERE step IN ('fact', 'dim');
-- each version has its own
SELECT step, partitioned FROM (SELECT process_name AS step, f AS partitioned FROM etl.plan('keys', version => 2), unnest(flags) AS f) s WHERE partitioned LIKE '%hash%' AND step = 'fact';
SELECT etl.rollback('keys', 2) > :before AS rolled_back;
SELECT * FROM pg_temp.keys('keys') WHERE step IN ('fact', 'dim');
SELECT pg_temp.forget('keys');

-- steps that are added one by one: the first reader that says something decides
SELECT etl.create_pipeline('keys');
SELECT etl.add_step('keys', 'base', 'SELECT g AS a, g AS b, g AS c FROM generate_series(1, 10) AS g', repartition => 2);
SELECT etl.add_step('keys', 'silent', 'SELECT a FROM base');
SELECT * FROM pg_temp.keys('keys');
SELECT etl.add_step('keys', 'first', 'SELECT b FROM base GROUP BY b');
SELECT etl.add_step('keys', 'second', 'SELECT c FROM base GROUP BY c');
SELECT etl.add_step('keys', 'third', 'SELECT c FROM base GROUP BY c');
SELECT * FROM pg_temp.keys('keys');
-- a column that turns out not to be there, or not to hash, is no key
SELECT etl.add_step('keys', 'star', 'SELECT * FROM base', repartition => 2);
SELECT etl.add_step('keys', 'misled', 'SELECT x.nothing FROM star s, LATERAL (SELECT 1 AS nothing) x WHERE s.b = x.nothing');
SELECT etl.add_step('keys', 'unhashable', 'SELECT point(a, b)::text::point AS p, a FROM base', repartition => 2);
SELECT etl.add_step('keys', 'same_point', 'SELECT x.a FROM unhashable x JOIN unhashable y ON x.p ~= y.p JOIN unhashable z ON x.p = z.p WHERE false');
SELECT * FROM pg_temp.keys('keys');
SELECT * FROM pg_temp.try($$SELECT etl.run('keys', steps => '{base,star,unhashable}')$$);
SELECT pg_temp.partitions('keys.star'), pg_temp.partitions('keys.unhashable');
-- once there are tables to look at, etl.plan says what it is in truth
SELECT etl.add_step('keys', 'nobodys', 'SELECT point(a, b) AS p, c FROM base', repartition => 2);
SELECT * FROM pg_temp.keys('keys');
SELECT etl.drop_step('keys', 'nobodys');
SELECT etl.add_step('keys', 'wrong', 'SELECT 1 AS a', repartition => 2, repartition_by => '{b}');
SELECT process_name, severity, message FROM etl.validate('keys') WHERE process_name = 'wrong';
SELECT * FROM pg_temp.try($$SELECT etl.run('keys', steps => '{wrong}')$$);
-- what looks like a join or a group, and is none; and what does not, and is one
SELECT etl.add_step('keys', 'shown', 'SELECT a AS k, b AS other, max(c), c AS last FROM base GROUP BY a, b, c', repartition => 2);
SELECT etl.add_step('keys', 'within', 'SELECT k FROM shown WHERE other = last AND shown.other = k');
SELECT etl.add_step('keys', 'expression', 'SELECT other + 1 AS o FROM shown GROUP BY o');
SELECT etl.add_step('keys', 'not_its', 'SELECT x.nothing FROM shown s JOIN LATERAL (SELECT 1 AS nothing) x ON x.nothing = s.nowhere');
SELECT * FROM pg_temp.keys('keys') WHERE step = 'shown';
SELECT etl.add_step('keys', 'by_number', 'SELECT count(*), last FROM shown GROUP BY 2');
SELECT * FROM pg_temp.keys('keys') WHERE step = 'shown';
SELECT etl.alter_step('keys', 'shown', '{"repartition": 3}');
SELECT etl.alter_step('keys', 'by_number', '{"sql_query": "SELECT *, count(*) FROM shown GROUP BY 2"}');
SELECT etl.alter_step('keys', 'expression', '{"sql_query": "SELECT other AS o FROM shown GROUP BY o"}');
SELECT etl.alter_step('keys', 'shown', '{"repartition": 4}');
SELECT * FROM pg_temp.keys('keys') WHERE step = 'shown';
SELECT etl.add_step('keys', 'by_function', 'SELECT max FROM shown JOIN base ON base.c = max');
SELECT etl.drop_step('keys', 'expression');
SELECT etl.drop_step('keys', 'by_number');
SELECT etl.alter_step('keys', 'shown', '{"repartition": 3}');
SELECT * FROM pg_temp.keys('keys') WHERE step = 'shown';
-- nor is one that its unique indexes would not allow
SELECT etl.add_step('keys', 'unique_rows', 'SELECT a, b, c FROM base', repartition => 2, indexes => ARRAY['(c)', 'UNIQUE (b, a)']);
SELECT etl.add_step('keys', 'by_c', 'SELECT c FROM unique_rows GROUP BY c');
SELECT * FROM pg_temp.keys('keys') WHERE step = 'unique_rows';
SELECT etl.add_step('keys', 'by_a', 'SELECT a FROM unique_rows GROUP BY a');
SELECT * FROM pg_temp.keys('keys') WHERE step = 'unique_rows';
SELECT etl.add_step('keys', 'by_c_again', 'SELECT c FROM unique_rows GROUP BY c');
SELECT * FROM pg_temp.keys('keys') WHERE step = 'unique_rows';
SELECT etl.alter_step('keys', 'unique_rows', '{"indexes": ["(c)"]}');
SELECT * FROM pg_temp.keys('keys') WHERE step = 'unique_rows';
SELECT pg_temp.forget('keys');

-- ---- how many

SELECT etl.create_pipeline('parts');
\set rows 'SELECT g AS id, CASE WHEN g % 9 > 0 THEN g % 9 END AS k FROM generate_series(1, 5000) AS g'
SELECT etl.add_step('parts', 'one', :'rows', repartition => 1);
SELECT etl.add_step('parts', 'two', :'rows', repartition => 2, repartition_by => '{k}');
SELECT etl.add_step('parts', 'seven', :'rows', repartition => 7, repartition_by => '{k,id}');
SELECT etl.add_step('parts', 'most', :'rows', repartition => 1024);
SELECT * FROM pg_temp.try($$SELECT etl.add_step('parts', 'more', 'SELECT 1 AS a', repartition => 1025)$$);
SELECT * FROM pg_temp.try($$SELECT etl.add_step('parts', 'none', 'SELECT 1 AS a', repartition => 0)$$);
SELECT etl.run('parts') IS NOT NULL AS run \gset
CREATE FUNCTION pg_temp.same(t regclass) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
	equal bool;
BEGIN
	EXECUTE format('SELECT count(*) = 5000 AND NOT EXISTS ((TABLE %1$s) EXCEPT ALL (%2$s)) FROM %1$s', t,
		'SELECT g AS id, CASE WHEN g % 9 > 0 THEN g % 9 END AS k FROM generate_series(1, 5000) AS g') INTO equal;
	RETURN equal;
END $$;
SELECT t, pg_temp.partitions(t), pg_temp.same(t) FROM unnest('{parts.one,parts.two,parts.seven,parts.most}'::regclass[]) AS t;
-- every row is where the server itself would look for it
SELECT count(*) FROM parts.seven WHERE k = 3 AND id = 3;
SELECT count(*) FROM parts.two WHERE k IS NULL;
-- statistics of the whole and of each part
SELECT tablename, inherited, n_distinct FROM pg_stats WHERE schemaname = 'parts' AND tablename IN ('two', 'two_p0', 'two_p1') AND attname = 'k' AND (inherited OR tablename <> 'two') ORDER BY 1;
SELECT reltuples FROM pg_class WHERE oid = 'parts.seven'::regclass;
-- other numbers and other keys in the next versions
SELECT etl.alter_step('parts', 'two', '{"repartition": 5}');
SELECT etl.alter_step('parts', 'seven', '{"repartition_by": ["id"]}');
SELECT etl.alter_step('parts', 'most', '{"repartition": null}');
SELECT etl.alter_step('parts', 'one', '{"repartition": 3, "repartition_by": ["k"]}');
SELECT etl.run('parts') IS NOT NULL AS run \gset
SELECT t, pg_temp.partitions(t), pg_temp.same(t) FROM unnest('{parts.one,parts.two,parts.seven,parts.most}'::regclass[]) AS t;
SELECT count(*) FROM pg_class WHERE relnamespace = 'parts'::regnamespace AND relkind IN ('r', 'p');
SELECT pg_temp.forget('parts');

-- ---- every type that can be hashed, NULLs included

-- enums are hashed by their OIDs: many of them do not all get into one partition
CREATE TYPE mood AS ENUM ('awful', 'sad', 'bored', 'so so', 'ok', 'calm', 'glad', 'happy', 'proud', 'elated');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TEMP TABLE sample (type text, expression text);
INSERT INTO sample VALUES
	('bool', 'g % 2 = 0'), ('"char"', '(65 + g % 26)::"char"'), ('char', '(g % 10)::text::char(3)'), ('varchar', 'g::text::varchar'),
	('text', 'repeat(g::text, 3)'), ('name', '(''n'' || g)::name'), ('bytea', 'decode(lpad(to_hex(g), 8, ''0''), ''hex'')'),
	('int2', 'g::int2'), ('int4', 'g'), ('int8', 'g::int8 * 10000000000'), ('float4', 'g / 3.0::float4'), ('float8', 'CASE g % 4 WHEN 0 THEN ''-0''::float8 WHEN 1 THEN ''NaN'' ELSE g / 7.0::float8 END'),
	('numeric', '(g / 10)::numeric(10, 2)'), ('oid', 'g::oid'), ('oidvector', '(g || '' 1'')::oidvector'),
	('date', '''2024-01-01''::date + g'), ('time', '''00:00''::time + g * ''1 s''::interval'), ('timetz', '''00:00+01''::timetz + g * ''1 s''::interval'),
	('timestamp', '''2024-01-01''::timestamp + g * ''1 h''::interval'), ('timestamptz', '''2024-01-01 00:00+00''::timestamptz + g * ''1 h''::interval'), ('interval', 'CASE g % 2 WHEN 0 THEN ''1 month''::interval ELSE ''30 days'' END * (g / 10)'),
	('uuid', 'md5(g::text)::uuid'), ('inet', '''10.0.0.0''::inet + g'), ('cidr', 'cidr(''10.0.'' || g % 256 || ''.0/24'')'), ('macaddr', '(''08:00:2b:01:02:'' || lpad(to_hex(g % 256), 2, ''0''))::macaddr'), ('macaddr8', '(''08:00:2b:01:02:03:04:'' || lpad(to_hex(g % 256), 2, ''0''))::macaddr8'),
	('jsonb', 'jsonb_build_object(''a'', g % 20)'), ('xid8', 'g::text::xid8'), ('tid', '(''('' || g || '',1)'')::tid'), ('pg_lsn', '(''0/'' || to_hex(g))::pg_lsn'), ('aclitem', '(''=r/'' || current_user)::aclitem'),
	('xid', 'g::text::xid'), ('cid', 'g::text::cid'),
	('anyarray', 'ARRAY[g, NULL, g % 3]'), ('anyenum', '(enum_range(NULL::mood))[1 + g % 10]'), ('anyrange', 'int4range(g, g + 5)'), ('anymultirange', 'int4multirange(int4range(g, g + 5), int4range(g + 10, g + 12))'),
	('record', 'ROW(g, ''x'')::pair'), ('domain', '(1 + g % 5)::positive'), ('citext-like collation', '(g % 10)::text COLLATE "C"');
-- none is missing
SELECT t.typname FROM pg_opclass c JOIN pg_am a ON a.oid = c.opcmethod JOIN pg_type t ON t.oid = c.opcintype
WHERE a.amname = 'hash' AND c.opcdefault AND c.oid < 16384
	AND NOT EXISTS (SELECT FROM sample s WHERE to_regtype(s.type) = t.oid OR s.type = t.typname) ORDER BY 1;
SELECT etl.create_pipeline('types', search_path => 'public');
SELECT count(etl.add_step('types', 's' || n, format('SELECT CASE WHEN g %% 5 > 0 THEN %s END AS v, g FROM generate_series(1, 200) AS g', expression), repartition => 3, repartition_by => '{v}')) AS steps
FROM (SELECT row_number() OVER (ORDER BY type) AS n, expression FROM sample) s;
SELECT * FROM pg_temp.try($$SELECT etl.run('types')$$);
-- the same rows, in more than one place, and each where an INSERT would put it
CREATE FUNCTION pg_temp.wrong(step text, expression text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	places int;
	differ bool;
	misplaced bool;
BEGIN
	EXECUTE format('SELECT count(DISTINCT tableoid) FROM types.%I', step) INTO places;
	EXECUTE format('SELECT EXISTS ((SELECT v::text, g FROM types.%1$I) EXCEPT ALL (SELECT (CASE WHEN g %% 5 > 0 THEN %2$s END)::text, g FROM generate_series(1, 200) AS g))
		OR (SELECT count(*) FROM types.%1$I) <> 200', step, expression) INTO differ;
	EXECUTE format('SELECT bool_or(NOT satisfies_hash_partition(%L::regclass, 3, right(tableoid::regclass::text, 1)::int, v)) FROM types.%I', 'types.' || step, step) INTO misplaced;
	RETURN nullif(concat_ws(', ', CASE WHEN places < 2 THEN 'one place' END, CASE WHEN differ THEN 'rows differ' END, CASE WHEN misplaced THEN 'misplaced' END), '');
END $$;
SELECT type, pg_temp.wrong('s' || n, expression) AS wrong
FROM (SELECT row_number() OVER (ORDER BY type) AS n, type, expression FROM sample) s WHERE pg_temp.wrong('s' || n, expression) IS NOT NULL;
SELECT pg_temp.forget('types');
DROP TYPE mood, pair, positive;

-- ---- what it is for: readers join and aggregate part by part

SELECT etl.create_pipeline('wise', max_attempts => 1);
SELECT etl.add_step('wise', 'orders', 'SELECT g AS id, g % 1000 AS customer, g % 13 AS amount FROM generate_series(1, 20000) AS g', repartition => 3, repartition_by => '{customer}');
SELECT etl.add_step('wise', 'customers', 'SELECT g AS customer, ''c'' || g AS name FROM generate_series(0, 999) AS g', repartition => 3, repartition_by => '{customer}');
SELECT etl.add_step('wise', 'joined', 'SELECT o.id, c.name FROM orders o JOIN customers c USING (customer)', settings => '{max_parallel_workers_per_gather=0}');
SELECT etl.add_step('wise', 'grouped', 'SELECT customer, sum(amount) AS total FROM orders GROUP BY customer', settings => '{max_parallel_workers_per_gather=0}');
SELECT etl.add_step('wise', 'both', 'SELECT customer, name, sum(amount) AS total FROM orders JOIN customers USING (customer) GROUP BY customer, name', broadcast => true, settings => '{max_parallel_workers_per_gather=0}');
SET etl_framework.keep_plans = 'on';
SELECT etl.run('wise') IS NOT NULL AS run \gset
CREATE FUNCTION pg_temp.shape(plan json) RETURNS text LANGUAGE sql AS $$
	WITH RECURSIVE node AS (
		SELECT ARRAY[1::bigint] AS place, plan -> 0 -> 'Plan' AS node
		UNION ALL
		SELECT node.place || p.n, p.plan FROM node, json_array_elements(node.node -> 'Plans') WITH ORDINALITY AS p(plan, n))
	SELECT string_agg(repeat(' ', cardinality(place) - 1) || (node ->> 'Node Type'), E'\n' ORDER BY place) FROM node
$$;
\pset format unaligned
SELECT process_name, pg_temp.shape(plan) FROM etl.log WHERE pipeline = 'wise' AND process_name IN ('joined', 'grouped', 'both') ORDER BY step_id;
\pset format aligned
SELECT count(*), count(DISTINCT name) FROM wise.joined;
SELECT sum(total) FROM wise.grouped;
SELECT sum(total) FROM wise.both;
SELECT pg_temp.forget('wise');
