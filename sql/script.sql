--
-- Pipelines as scripts: what runs by hand runs as a pipeline, and what is exported can be read back
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_framework;
\pset format unaligned
\pset tuples_only on

CREATE SCHEMA script_src;
CREATE SCHEMA hand;

-- a script is kept under its name, run by hand in schema "hand", and defined and run as a pipeline
CREATE TABLE script_src.script (name text PRIMARY KEY, body text NOT NULL);

-- tables of one schema that are not, or not with the same columns and rows, in the other
CREATE FUNCTION script_src.difference(a text, b text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    t text;
    n bigint;
BEGIN
    FOR t IN SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition
             AND relnamespace IN (a::regnamespace, b::regnamespace) GROUP BY relname ORDER BY relname COLLATE "C"
    LOOP
        IF to_regclass(format('%I.%I', a, t)) IS NULL OR to_regclass(format('%I.%I', b, t)) IS NULL THEN
            RETURN NEXT t || ': only in one of them';
            CONTINUE;
        END IF;
        EXECUTE format('SELECT count(*) FROM ((TABLE %1$I.%3$I EXCEPT ALL TABLE %2$I.%3$I) UNION ALL
                        (TABLE %2$I.%3$I EXCEPT ALL TABLE %1$I.%3$I)) d', a, b, t) INTO n;
        IF n > 0 THEN
            RETURN NEXT format('%s: %s different rows', t, n);
        END IF;
    END LOOP;
END $$;

-- define(export(x)) makes no new version of x, and the same content elsewhere; the text is a fixed point, too
CREATE FUNCTION script_src.round_trip(pipeline text, version int = NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    p etl.pipeline;
    script text := etl.export(pipeline, version);
    same bool;
BEGIN
    SELECT * INTO p FROM etl.pipeline o WHERE o.pipeline = round_trip.pipeline;
    IF round_trip.version IS NULL AND etl.define(pipeline, script) <> p.current_version THEN
        RETURN 'a new version';
    END IF;
    PERFORM etl.create_pipeline('etl_copy', target_schema => p.target_schema, search_path => p.search_path,
        max_parallel => p.max_parallel, max_attempts => p.max_attempts, retry_delay => p.retry_delay,
        retry_on => p.retry_on, step_timeout => p.step_timeout, run_timeout => p.run_timeout,
        ordering => p.ordering, durability => p.durability, description => p.description);
    PERFORM etl.define('etl_copy', script);
    SELECT count(DISTINCT v.checksum) = 1 INTO same FROM etl.version v
    WHERE (v.pipeline, v.version) IN ((round_trip.pipeline, coalesce(round_trip.version, p.current_version)), ('etl_copy', 1));
    same := same AND etl.export('etl_copy') = script;
    PERFORM etl.drop_pipeline('etl_copy');
    RETURN CASE WHEN same THEN 'same' ELSE 'different' END;
END $$;

--
-- the TPC-H reports, from a few generated rows
--
CREATE TABLE script_src.nation AS SELECT n AS n_nationkey, 'NATION ' || n AS n_name, n % 2 AS n_regionkey FROM generate_series(0, 4) n;
CREATE TABLE script_src.region AS SELECT * FROM (VALUES (0, 'ASIA'), (1, 'EUROPE')) r(r_regionkey, r_name);
CREATE TABLE script_src.customer AS SELECT c AS c_custkey, 'Customer ' || c AS c_name, c % 5 AS c_nationkey,
    (ARRAY['BUILDING', 'MACHINERY'])[1 + c % 2] AS c_mktsegment, (c * 37 % 100)::numeric AS c_acctbal FROM generate_series(1, 30) c;
CREATE TABLE script_src.supplier AS SELECT s AS s_suppkey, 'Supplier ' || s AS s_name, s % 5 AS s_nationkey FROM generate_series(1, 10) s;
CREATE TABLE script_src.orders AS SELECT o AS o_orderkey, 1 + o * 7 % 30 AS o_custkey, date '1995-01-01' + o * 3 AS o_orderdate,
    (ARRAY['1-URGENT', '3-MEDIUM'])[1 + o % 2] AS o_orderpriority FROM generate_series(1, 200) o;
CREATE TABLE script_src.lineitem AS SELECT 1 + l % 200 AS l_orderkey, l / 200 AS l_linenumber, 1 + l * 3 % 10 AS l_suppkey, 1 + l % 50 AS l_quantity,
    (l * 13 % 1000)::numeric AS l_extendedprice, (l % 10)::numeric / 100 AS l_discount, date '1995-01-05' + l % 600 AS l_shipdate,
    (ARRAY['R', 'A', 'N'])[1 + l % 3] AS l_returnflag FROM generate_series(1, 1000) l;

INSERT INTO script_src.script VALUES ('etl_tpch', $script$
-- TPC-H, nearly.

DROP TABLE IF EXISTS li, shipping;

-- The line items with their price.
-- step: (cache)
CREATE TABLE li AS
    SELECT l.*, l_extendedprice * (1 - l_discount) AS price
    FROM lineitem l;

CREATE INDEX ON li (l_orderkey);
ANALYZE li;

CREATE TEMPORARY TABLE geography AS
SELECT n_nationkey, n_name, r_name FROM nation JOIN region ON n_regionkey = r_regionkey;

-- Q1: pricing summary
CREATE TABLE pricing AS
SELECT l_returnflag, sum(l_quantity) AS quantity, sum(price) AS price, count(*) AS items
FROM li WHERE l_shipdate <= date '1996-06-01' GROUP BY l_returnflag ORDER BY l_returnflag;

-- Q3: shipping priority
CREATE UNLOGGED TABLE shipping AS
SELECT o_orderkey, o_orderdate, sum(price) AS revenue
FROM customer JOIN orders ON o_custkey = c_custkey JOIN li ON l_orderkey = o_orderkey
WHERE c_mktsegment = 'BUILDING' GROUP BY 1, 2;

CREATE TABLE shipping_top AS SELECT * FROM shipping ORDER BY revenue DESC, o_orderkey LIMIT 10;

-- Q4: order priority
SELECT o_orderpriority, count(*) AS orders
INTO priorities
FROM orders o
WHERE EXISTS (SELECT FROM li WHERE l_orderkey = o.o_orderkey AND l_quantity > 40)
GROUP BY 1;

-- Q5: local suppliers
CREATE TABLE volume (nation, revenue) AS
SELECT n_name, sum(price)
FROM li JOIN supplier ON s_suppkey = l_suppkey JOIN geography ON n_nationkey = s_nationkey
WHERE r_name = 'ASIA'
GROUP BY n_name;

-- Q13 and Q22 have their results put together
CREATE TABLE customers AS SELECT c_custkey, count(o_orderkey) AS orders FROM customer LEFT JOIN orders ON o_custkey = c_custkey GROUP BY 1;
CREATE TABLE report AS SELECT 'orders' AS what, orders AS value, count(*) AS n FROM customers GROUP BY orders WITH NO DATA;
INSERT INTO report SELECT 'orders', orders, count(*) FROM customers GROUP BY orders;
INSERT INTO report SELECT 'no orders', c_nationkey, count(*) FROM customer JOIN customers USING (c_custkey) WHERE orders = 0 OR c_acctbal > 50 GROUP BY 2;
UPDATE report SET n = n * 10 WHERE what = 'no orders';
CREATE TABLE report_sum AS SELECT what, sum(n) AS n FROM report GROUP BY what;
DELETE FROM report WHERE value > 3;

-- Q15: top supplier
WITH revenue AS (SELECT l_suppkey, sum(price) AS total FROM li GROUP BY 1)
SELECT s_name, total INTO UNLOGGED TABLE top_supplier FROM supplier, revenue
WHERE s_suppkey = l_suppkey AND total = (SELECT max(total) FROM revenue);

-- Q18: large orders
CREATE TABLE large AS SELECT l_orderkey, sum(l_quantity) AS quantity FROM li GROUP BY 1 HAVING sum(l_quantity) > 100;
CREATE TABLE large_customers AS SELECT c_name, quantity FROM large JOIN orders ON o_orderkey = l_orderkey JOIN customer ON c_custkey = o_custkey;
DROP TABLE large;
CREATE TABLE summary AS
SELECT (SELECT sum(price) FROM pricing) AS priced, (SELECT sum(revenue) FROM shipping_top) AS top,
       (SELECT sum(n) FROM report) AS reported, (SELECT count(*) FROM large_customers) AS large
$script$);
SET search_path = hand, script_src;
SELECT body FROM script WHERE name = 'etl_tpch' \gexec
DROP TABLE geography;
RESET search_path;

SELECT etl.create_pipeline('etl_tpch', search_path => 'script_src');
SELECT etl.define('etl_tpch', body) FROM script_src.script WHERE name = 'etl_tpch';
-- what is declared is what the SQL does not show
SELECT s.process_name, s.kind, s.depends_on, s.persist, s.keep, s.indexes, s.description
FROM etl.step_data s JOIN etl.pipeline_data p USING (pipeline_id) WHERE p.pipeline = 'etl_tpch' ORDER BY step_id;
SELECT etl.run('etl_tpch') > 0;
SELECT script_src.difference('hand', 'etl_tpch');
SELECT etl.run('etl_tpch') > 0;
SELECT script_src.difference('hand', 'etl_tpch');
SELECT script_src.round_trip('etl_tpch');
SELECT etl.export('etl_tpch');

-- by hand the export makes the same tables as the script did
DROP SCHEMA hand CASCADE;
CREATE SCHEMA hand;
SET search_path = hand, script_src;
SELECT etl.export('etl_tpch') \gexec
DROP TABLE geography, large;
RESET search_path;
SELECT script_src.difference('hand', 'etl_tpch');

--
-- a load with statements that change tables, in an order that matters
--
INSERT INTO script_src.script VALUES ('etl_load', $script$
CREATE TABLE stock (item int PRIMARY KEY, amount int NOT NULL);
CREATE TABLE journal (at serial, what text, amount bigint);
CREATE VIEW low AS SELECT item, amount FROM stock WHERE amount < 10;
CREATE FUNCTION total() RETURNS bigint LANGUAGE sql AS 'SELECT sum(amount) FROM stock';

INSERT INTO stock SELECT i, i * 2 FROM generate_series(1, 10) i;
CREATE TABLE low_before AS SELECT * FROM low;
UPDATE stock SET amount = amount - 3;
CREATE TABLE low_after AS SELECT * FROM low;
INSERT INTO journal (what, amount) SELECT 'updated', sum(amount) FROM stock;
MERGE INTO stock s USING (SELECT item + 5 AS item FROM low) n ON n.item = s.item
    WHEN MATCHED THEN UPDATE SET amount = s.amount + 100
    WHEN NOT MATCHED THEN INSERT VALUES (n.item, 1);
CREATE TABLE merged AS SELECT count(*) AS n, sum(amount) AS amount FROM stock;
DO $$ BEGIN INSERT INTO journal (what, amount) VALUES ('do', total()); END $$;
TRUNCATE stock;
INSERT INTO journal (what, amount) SELECT 'truncated', count(*) FROM stock;
INSERT INTO script_src.region SELECT 100 + max(at), 'journal' FROM journal;
CREATE TABLE regions AS SELECT * FROM region;
DELETE FROM region WHERE r_regionkey >= 100;
CREATE TABLE rest AS SELECT count(*) FROM region;
CREATE TABLE journals AS SELECT what, amount FROM journal ORDER BY at;
DROP VIEW low;
DROP FUNCTION total;
$script$);
DROP SCHEMA hand CASCADE;
CREATE SCHEMA hand;
SET search_path = hand, script_src;
SELECT body FROM script WHERE name = 'etl_load' \gexec
RESET search_path;
SELECT etl.create_pipeline('etl_load', search_path => 'script_src');
SELECT etl.define('etl_load', body) FROM script_src.script WHERE name = 'etl_load';
SELECT s.process_name, s.depends_on FROM etl.step_data s JOIN etl.pipeline_data p USING (pipeline_id)
WHERE p.pipeline = 'etl_load' ORDER BY step_id;
SELECT etl.run('etl_load') > 0;
SELECT script_src.difference('hand', 'etl_load');
SELECT script_src.round_trip('etl_load');

--
-- the same script twice, and a changed one: rows of steps that stay the same stay
--
SELECT etl.create_pipeline('etl_script');
SELECT etl.define('etl_script', 'CREATE TABLE a AS SELECT 1 AS x; CREATE TABLE b AS SELECT * FROM a; CREATE TABLE c AS SELECT * FROM b');
SELECT etl.define('etl_script', 'CREATE TABLE a AS SELECT 1 AS x; CREATE TABLE b AS SELECT * FROM a; CREATE TABLE c AS SELECT * FROM b');
SELECT etl.define('etl_script', 'CREATE TABLE a AS SELECT 1 AS x; CREATE TABLE d AS SELECT 2 AS y; CREATE TABLE b AS SELECT * FROM a, d;');
SELECT s.step_id, s.process_name, s.from_version, s.until_version, s.sql_query
FROM etl.step_data s JOIN etl.pipeline_data p USING (pipeline_id) WHERE p.pipeline = 'etl_script' ORDER BY 1, 3;
-- one transaction, one version; older versions can be exported, and defined again
BEGIN;
SELECT etl.define('etl_script', 'CREATE TABLE a AS SELECT 3 AS x');
SELECT etl.define('etl_script', 'CREATE TABLE z AS SELECT 4 AS x');
SELECT etl.alter_step('etl_script', 'z', '{"cache": true}');
COMMIT;
SELECT etl.export('etl_script');
SELECT etl.export('etl_script', 3);
SELECT script_src.round_trip('etl_script', v), v FROM generate_series(2, 4) v;
SELECT etl.define('etl_script', etl.export('etl_script', 2));
SELECT etl.export('etl_script', 1);
SELECT etl.define('etl_script', etl.export('etl_script', 1));

--
-- where SQL starts and ends
--
SELECT etl.define('etl_script', $$
CREATE TABLE a AS-- first
	SELECT 1 AS "with", 2 AS data  -- last
;
CREATE TABLE b AS
	SELECT a.with data FROM a
	-- the end
 ; ;
-- step: a_2
	DELETE FROM a  -- all of them
;;
SELECT 'ä' AS "ö", 2 AS y  -- two
	INTO TEMP c -- name
	FROM a;
SELECT ';' AS x INTO TABLE d;
CREATE TABLE "E" AS (SELECT 1 AS x) WITH DATA;
CREATE TABLE f(x, "Y") USING heap AS TABLE a WITH NO DATA;
CREATE TEMP TABLE g ON COMMIT PRESERVE ROWS AS VALUES (1);
CREATE TABLE etl_script.h WITHOUT OIDS AS WITH x AS (SELECT 1 AS y) SELECT * FROM x
  -- without a semicolon $$);
SELECT process_name, '>' || sql_query || '<', keep, depends_on FROM etl.metadata WHERE pipeline = 'etl_script' ORDER BY step_id;
SELECT script_src.round_trip('etl_script');
SELECT etl.export('etl_script');

--
-- comments and flags
--
SELECT etl.define('etl_script', $$
-- of the file

--------------
-- What it is,
--
--   in lines
--------------
-- step: a (cache, broadcast = on, persist, repartition = 4, repartition_by = 'x, "Y"', keep = false,
--          settings = 'work_mem=64MB', settings = E'application_name=it''s\n', max_attempts = 7, step_timeout = '90 s',
--          execution_order = -5, indexes = '(x)')
CREATE TABLE a AS SELECT 1 AS x, 2 AS "Y";  -- not of b
-- not of b either

CREATE TABLE b AS SELECT * FROM a;
/*
 * Of c.
 */
CREATE TABLE c WITH (cache = true, repartition = 2, execution_order = -1, step_timeout = '1 day', depends_on = 'b',
                     settings = 'work_mem=1MB', settings = 'jit=off', description = 'other') AS SELECT 1 AS x;
/* Of d. */ CREATE TABLE d AS SELECT 1 AS x;
-- step: (depends_on = '')
-- Of "e e".
CREATE TABLE "e e" AS SELECT * FROM b, c;
-- step: "F.f"

-- Of f.
INSERT INTO public.t SELECT * FROM "e e";
-- step: 'it''s' (description = E'a\\b''\t\n\n')
DELETE FROM public.t;
-- step: block (max_attempts = 1) begin

  -- two
  CREATE TEMP TABLE t AS SELECT 1;
  INSERT INTO public.t TABLE t
-- step end
;
-- step: nested begin x
DO '
-- step end
';
SET work_mem = 64
-- step end x
;
-- step: set begin
SET work_mem = 64;
-- step end
CREATE TABLE z AS SELECT 1 AS x;
$$);
\pset format aligned
\pset tuples_only off
\x on
SELECT s.process_name, kind, sql_query, depends_on, execution_order, broadcast, cache, persist, repartition, repartition_by, keep, indexes,
    settings, max_attempts, step_timeout, description
FROM etl.step_data s JOIN etl.pipeline_data p USING (pipeline_id) WHERE p.pipeline = 'etl_script' AND until_version IS NULL ORDER BY step_id;
\x off
\pset tuples_only on
\pset format unaligned
SELECT script_src.round_trip('etl_script');
SELECT etl.export('etl_script');

--
-- pipelines that no script made
--
SELECT etl.create_pipeline('etl_odd');
SELECT script_src.round_trip('etl_odd');
SELECT count(*) FROM (SELECT etl.add_step('etl_odd', name, 'SELECT 1 AS x', description => name)
    FROM unnest(ARRAY['a.b', 'a"b', 'a''b', 'Ä', 'select', 'begin', 'step: x', '-- step: y', E'new\nline', E'\\', ' ', '$$', repeat('ü', 31) || 'x',
                      'a b', 'E''x''', '1', 'with', 'as', '"', '/*', E'\ttab', 'name (cache)', 'x;y', '--']) name) s;
SELECT script_src.round_trip('etl_odd');
SELECT count(*) FROM (SELECT etl.add_step('etl_odd', 'q' || n, sql)
    FROM unnest(ARRAY[E'\n\tSELECT 1 AS x\n', 'SELECT 1 AS x;', E'SELECT 1 AS x; -- end', E' \n SELECT 1 AS x -- end', E'SELECT 1 AS x -- end\n', E'SELECT 1 AS x;\n\n;',
        ';SELECT 1 AS x', E'-- step: a\nSELECT 1 AS x', E'SELECT $$a;\n-- step: b\n$$ AS x', E'SELECT E''\\'' -- '' AS x', E'SELECT ''-- \\'' AS x -- \\', 'SELECT''--'' AS x',
        E'SELECT 1 AS x /* ; /* -- */ */', E'/* a */ SELECT $a$ $$ $a$ AS x /* b */', '(SELECT 1 AS x)', 'VALUES (1)', 'TABLE "a.b"', E'\r\nSELECT 1 AS x\r\n', E'SELECT 1 AS x -- end\r\n',
        E'SELECT 1 AS x\n-- step end\n', E'\n\n', 'SELECT U&"d\0061t\+000061" FROM (SELECT 1 AS data) s', E'SELECT x.with data FROM (SELECT 1 AS "with") x'
        ]) WITH ORDINALITY o(sql, n) WHERE btrim(sql, E'\n') <> '') s;
SELECT script_src.round_trip('etl_odd');
SELECT count(*) FROM (SELECT etl.add_step('etl_odd', 'c' || n, sql)
    FROM unnest(ARRAY[E'\n\tINSERT INTO public.t VALUES (1)\n', 'DELETE FROM public.t;', E'-- all\nDELETE FROM public.t', 'DELETE FROM public.t -- all',
        'DELETE FROM public.t; DELETE FROM public.u', E'SET work_mem = ''1MB''', 'CREATE TEMP TABLE t (a int)', 'CREATE TABLE n AS SELECT 1', 'SELECT 1 INTO n',
        'CREATE INDEX ON q1 (x)', 'DROP TABLE q1', 'ALTER TABLE q1 RENAME TO q0', 'VACUUM', 'DO $$ BEGIN NULL; END $$', 'CALL public.p()', 'LOCK q1', E'DO ''\n-- step end\n-- step end b1\n''',
        'CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END', ';;DELETE FROM public.t', E'\n-- step: x\nDELETE FROM public.t', 'WITH d AS (DELETE FROM q2 RETURNING *) SELECT * FROM d',
        E'COPY public.t TO ''/dev/null''', 'CREATE MATERIALIZED VIEW mv AS SELECT 1 AS x', E'DELETE FROM public.t -- all\n;\n', 'INSERT INTO c1 VALUES (1)'
        ]) WITH ORDINALITY o(sql, n)) s;
SELECT script_src.round_trip('etl_odd');
SELECT etl.add_step('etl_odd', 'd1', 'SELECT 1 AS x', depends_on => ARRAY['q1', 'c3', 'a.b', E'new\nline', 'missing', 'q1'], indexes => ARRAY['(x)', 'UNIQUE (x)', E'(x) -- ;', ' (x)', 'UNIQUE  (x)'],
    settings => ARRAY['work_mem = 1MB', E'application_name=\\n']) > 0;
SELECT etl.add_step('etl_odd', 'd2', 'SELECT 1 AS x, 2 AS "ä b"', indexes => '{(x),"USING btree (\"ä b\")"}', repartition => 2, repartition_by => '{"ä b"}', persist => false, keep => false,
    execution_order => 0, step_timeout => '1.001 s', max_attempts => 1000, broadcast => true, description => '') > 0;
SELECT etl.add_step('etl_odd', 'd3', 'SELECT 1 AS x', description => E'step: x (y)', persist => false) > 0;
SELECT etl.add_step('etl_odd', 'd4', 'SELECT 1 AS x', description => E'a\n\n  step: x', persist => true) > 0;
SELECT etl.add_step('etl_odd', 'd5', 'SELECT 1 AS x', description => E'a\n\n  "b" \n * c -- d', step_timeout => '1 year') > 0;
SELECT etl.add_step('etl_odd', 'd6', 'DELETE FROM public.t', description => E'\n-----\n') > 0;
SELECT script_src.round_trip('etl_odd');
-- whatever the session has set
INSERT INTO script_src.script VALUES ('etl_odd', etl.export('etl_odd'));
SELECT current_version AS version FROM etl.pipeline WHERE pipeline = 'etl_odd' \gset
SET quote_all_identifiers = on;
SET standard_conforming_strings = off;
SET IntervalStyle = iso_8601;
SELECT etl.export('etl_odd') = o.body, etl.define('etl_odd', o.body) = :version
FROM script_src.script o WHERE name = 'etl_odd';
RESET quote_all_identifiers;
RESET standard_conforming_strings;
RESET IntervalStyle;
SELECT etl.export('etl_odd');

-- by hand too: in an order of its own, and with a cycle, which only define refuses
SELECT etl.create_pipeline('etl_cycle');
SELECT etl.add_step('etl_cycle', 'c', 'SELECT * FROM b'), etl.add_step('etl_cycle', 'b', 'SELECT * FROM a'), etl.add_step('etl_cycle', 'd', 'SELECT 1 AS x', depends_on => '{c}'),
    etl.add_step('etl_cycle', 'a', 'SELECT 1 AS x');
SELECT etl.export('etl_cycle');
SELECT script_src.round_trip('etl_cycle');
SELECT etl.alter_step('etl_cycle', 'a', '{"sql_query": "SELECT * FROM c"}');
SELECT etl.export('etl_cycle');
SELECT etl.define('etl_cycle', etl.export('etl_cycle'));

--
-- what cannot be a step, and where
--
\set SHOW_CONTEXT never
SELECT etl.define(NULL, '');
SELECT etl.define('etl_script', NULL);
SELECT etl.define('nothing', 'CREATE TABLE a AS SELECT 1');
SELECT etl.export(NULL);
SELECT etl.export('nothing');
SELECT etl.export('etl_script', 0);
SELECT etl.export('etl_script', 1000);
SELECT etl.define('etl_script', '');
SELECT etl.define('etl_script', '-- nothing but a comment');
SELECT etl.define('etl_script', E'CREATE TABLE a AS SELECT 1;\nCREATE TABLE b AS SELEC 2;');
SELECT etl.define('etl_script', E'CREATE TABLE a AS SELECT ''1;');
SELECT etl.define('etl_script', E'CREATE TABLE a AS SELECT 1;\n\\echo done');
SELECT etl.define('etl_script', E'CREATE TABLE a AS SELECT 1;\nCOPY public.t FROM STDIN;\n1\t2\n\\.\n');
SELECT etl.define('etl_script', E'SELECT ''ä'' AS x INTO a;\nBEGIN;');
SELECT etl.define('etl_script', E'COPY (SELECT 1) TO STDOUT');
SELECT etl.define('etl_script', E'SELECT ''ä''\nAS x INTO a FROM t WHERE x = $1;\n');
SELECT etl.define('etl_script', E'CREATE TABLE "ä" AS\nSELECT ''ä'' AS x FROM t\nWHERE x = $1;\n');
SELECT etl.define('etl_script', E'CREATE TABLE "ä" (x) AS\nSELECT ''ä'' AS x FROM t\nWHERE x = $1;\n');
SELECT etl.define('etl_script', E'DELETE FROM public.t;\nSET work_mem = 64;');
SELECT etl.define('etl_script', E'PREPARE p AS SELECT 1; CREATE TABLE a AS EXECUTE p;');
SELECT etl.define('etl_script', E'CREATE TABLE a AS EXECUTE p;');
SELECT etl.define('etl_script', E'CREATE TEMP TABLE t (a int);');
SELECT etl.define('etl_script', E'EXPLAIN SELECT 1;');
SELECT etl.define('etl_script', E'CREATE TABLE public.a AS SELECT 1 AS x;');
SELECT etl.define('etl_script', E'SELECT 1 AS x\nINTO pg_temp.a;');
SELECT etl.define('etl_script', E'CREATE TABLE IF NOT EXISTS a AS SELECT 1 AS x;');
SELECT etl.define('etl_script', E'CREATE TEMP TABLE a ON COMMIT DROP AS SELECT 1 AS x;');
SELECT etl.define('etl_script', E'CREATE TABLE a TABLESPACE pg_default AS SELECT 1 AS x;');
SELECT etl.define('etl_script', E'CREATE TABLE a USING columnar AS SELECT 1 AS x;');
SELECT etl.define('etl_script', E'CREATE TABLE a WITH (fillfactor = 70) AS SELECT 1 AS x;');
SELECT etl.define('etl_script', E'CREATE TABLE a WITH (toast.cache) AS SELECT 1 AS x;');
SELECT etl.define('etl_script', E'CREATE TABLE a\nWITH (cash) AS SELECT 1 AS x;');
SELECT etl.define('etl_script', E'-- step: a (cache)\nCREATE TABLE a WITH (cache) AS SELECT 1 AS x;');
SELECT etl.define('etl_script', E'CREATE TABLE a WITH (repartition) AS SELECT 1 AS x;');
SELECT etl.define('etl_script', E'CREATE TABLE a WITH (repartition = 4096) AS SELECT 1 AS x;');
SELECT etl.define('etl_script', E'CREATE TABLE a WITH (repartition = many) AS SELECT 1 AS x;');
SELECT etl.define('etl_script', E'CREATE TABLE a WITH (cache = maybe) AS SELECT 1 AS x;');
SELECT etl.define('etl_script', E'CREATE TABLE a WITH (repartition_by = ''x,,y'') AS SELECT 1 AS x;');
SELECT etl.define('etl_script', E'CREATE TABLE a WITH (settings = ''no_such=1'') AS SELECT 1 AS x;');
SELECT etl.define('etl_script', E'CREATE TABLE a WITH (step_timeout = ''soon'') AS SELECT 1 AS x;');
SELECT etl.define('etl_script', E'CREATE TABLE a WITH (indexes = ''x'') AS SELECT 1 AS x;');
SELECT etl.define('etl_script', E'CREATE UNLOGGED TABLE a WITH (persist) AS SELECT 1 AS x;');
SELECT etl.define('etl_script', E'CREATE TEMP TABLE a WITH (keep) AS SELECT 1 AS x;');
SELECT etl.define('etl_script', E'CREATE TABLE a AS SELECT 1 AS x;\n-- step: x (cache)\nDELETE FROM public.t;');
SELECT etl.define('etl_script', E'-- step: b\nCREATE TABLE a AS SELECT 1 AS x;');
SELECT etl.define('etl_script', E'CREATE TABLE a AS SELECT 1 AS x;\nCREATE TABLE a AS SELECT 2 AS x;');
SELECT etl.define('etl_script', E'CREATE TABLE a AS SELECT 1 AS x;\n  CREATE TABLE b AS SELECT * FROM c;\nCREATE TABLE c AS SELECT 2 AS x;');
SELECT etl.define('etl_script', E'CREATE TABLE a AS SELECT * FROM a');
SELECT etl.define('etl_script', E'CREATE TABLE a AS SELECT 1 AS x; DROP TABLE a, public.t');
SELECT etl.define('etl_script', E'CREATE TABLE a AS SELECT 1 AS x; ALTER TABLE a RENAME TO b');
SELECT etl.define('etl_script', E'CREATE TABLE a AS SELECT 1 AS x; ALTER TABLE a SET SCHEMA public');
SELECT etl.define('etl_script', E'VACUUM;\n-- step: x begin\nVACUUM; VACUUM;\n-- step end');
-- step comments that nobody would understand
SELECT etl.define('etl_script', E'-- step:\nDELETE FROM public.t');
SELECT etl.define('etl_script', E'-- step: x the delete\nDELETE FROM public.t');
SELECT etl.define('etl_script', E'-- step: x (max_attempts)\nDELETE FROM public.t');
SELECT etl.define('etl_script', E'-- step: x (max_attempts = )\nDELETE FROM public.t');
SELECT etl.define('etl_script', E'-- step: x (max_attempts = 3\nDELETE FROM public.t');
SELECT etl.define('etl_script', E'-- step: x (max_attempts = 3,)\nDELETE FROM public.t');
SELECT etl.define('etl_script', E'-- step: x (max_attempts = 3, max_attempts = 4)\nDELETE FROM public.t');
SELECT etl.define('etl_script', E'-- step: x (settings = ''a\nDELETE FROM public.t');
SELECT etl.define('etl_script', E'-- step: x (settings = E''\\q'')\nDELETE FROM public.t');
SELECT etl.define('etl_script', E'-- step: x (step_id = 3)\nDELETE FROM public.t');
SELECT etl.define('etl_script', E'-- step: x (sql_query = '''')\nDELETE FROM public.t');
SELECT etl.define('etl_script', E'-- step: x begin\nDELETE FROM public.t');
SELECT etl.define('etl_script', E'-- step: (cache) begin\nDELETE FROM public.t\n-- step end');
SELECT etl.define('etl_script', E'-- step: x begin\n-- step end\nDELETE FROM public.t');
SELECT etl.define('etl_script', E'-- step: x\n\n-- step: y\nDELETE FROM public.t');
SELECT etl.define('etl_script', E'DELETE FROM public.t;\n-- step: x\n');
SELECT etl.define('etl_script', E'DELETE FROM public.t;\n-- step: x\n;\nDELETE FROM public.t');
SELECT etl.define('etl_script', E'-- step: "' || repeat('x', 64) || E'"\nDELETE FROM public.t');
-- none of them has changed anything
SELECT current_version FROM etl.pipeline WHERE pipeline = 'etl_script';

-- what is left out, or becomes something else, is said
SET client_min_messages = notice;
SELECT etl.define('etl_script', $$
DROP TABLE IF EXISTS a CASCADE;
CREATE TABLE a AS SELECT 1 AS x;
CREATE UNIQUE INDEX CONCURRENTLY a_x ON etl_script.a USING btree (x) WITH (fillfactor = 70) WHERE x > 0;
INSERT INTO a VALUES (2);
CREATE INDEX a_x2 ON a (x);
-- step: dropped
DROP TABLE IF EXISTS public.a, a;
$$);
SET client_min_messages = warning;
SELECT process_name, indexes, keep, sql_query FROM etl.metadata WHERE pipeline = 'etl_script' ORDER BY step_id;
SELECT script_src.round_trip('etl_script');

-- names of statements: after what they write, in the order of the script, and never one that means something else
SELECT etl.define('etl_script', $$
CREATE TABLE r AS SELECT * FROM t, u_2;
INSERT INTO t VALUES (1);
INSERT INTO u VALUES (1);
INSERT INTO u SELECT * FROM u;
INSERT INTO public.r VALUES (1);
UPDATE "TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT" SET x = 1;
UPDATE "TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT" SET x = 1;
CALL p();
CALL p();
VACUUM;
$$);
SELECT s.process_name, sql_query, depends_on FROM etl.step_data s JOIN etl.pipeline_data p USING (pipeline_id)
WHERE p.pipeline = 'etl_script' AND until_version IS NULL ORDER BY step_id;
SELECT script_src.round_trip('etl_script');

-- who may not see the pipeline cannot read or write it
CREATE ROLE regress_etl_script;
SET ROLE regress_etl_script;
SELECT etl.export('etl_script');
SELECT etl.define('etl_script', 'CREATE TABLE a AS SELECT 1 AS x');
RESET ROLE;
DROP ROLE regress_etl_script;

SELECT etl.drop_pipeline(p, true) FROM unnest(ARRAY['etl_tpch', 'etl_load', 'etl_script', 'etl_odd', 'etl_cycle']) p;
DROP SCHEMA script_src, hand, etl_tpch, etl_load, etl_script, etl_odd, etl_cycle CASCADE;
