-- Write, audit, publish: what can be a check, what it finds, and what comes of it.

\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/test/sql/helpers.sql'
\set ECHO none
\i :helpers
-- The results of a pipeline's last run.
CREATE FUNCTION pg_temp.results(pipeline text)
RETURNS TABLE (step text, attempt int, check_text text, name text, severity text, status text, wrong_rows bigint) LANGUAGE sql AS $$
	SELECT c.process_name, c.attempt, c.check_text, c.check_name, c.severity, c.status, c.wrong_rows
	  FROM etl.check_log c
	 WHERE c.run_id = (SELECT max(r.run_id) FROM etl.run_log r WHERE r.pipeline = $1)
	 ORDER BY c.step_id, c.attempt, c.check_number
$$;
-- The error of its last run's only failed attempt.
CREATE FUNCTION pg_temp.why(pipeline text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT unnest(array_remove(ARRAY[l.sqlstate || ': ' || l.error_message, 'detail: ' || l.error_detail, 'hint: ' || l.error_hint,
									 'context: ' || pg_temp.plain(l.error_context), 'retry: ' || l.retry_at, 'warnings: ' || l.warnings::text], NULL))
	  FROM etl.log l
	 WHERE l.run_id = (SELECT max(r.run_id) FROM etl.run_log r WHERE r.pipeline = $1) AND l.status = 'FAILED'
$$;
\set ECHO all

CREATE SCHEMA checks_source;
SET search_path = checks_source, public;

-- ---- every form, and what it counts

SELECT etl.create_pipeline('checks', retry_on => '{any}', retry_delay => '10 ms', max_attempts => 3);
SELECT etl.add_step('checks', 'customers', $$SELECT n AS id, 'c' || n AS name FROM generate_series(1, 3) AS n$$,
	checks => '{PRIMARY KEY (id),UNIQUE (name)}');
SELECT etl.add_step('checks', 'orders', $$SELECT * FROM (VALUES
	(1, 1, 10.5, 'a', 'x', 1),
	(2, 2, -1.0, 'a', 'x', 2),
	(3, 9, NULL, 'b', NULL, NULL),
	(4, NULL, 0, NULL, NULL, NULL),
	(NULL, 3, 7, NULL, 'y', 3)) AS v (id, customer_id, amount, k1, k2, k3)$$,
	checks => ARRAY['CHECK (amount >= 0)', 'NOT NULL (id)', 'not null (k1, k2)', 'CONSTRAINT key PRIMARY KEY (id)',
		'UNIQUE (k1, k2)', 'UNIQUE NULLS NOT DISTINCT (k3)', 'CONSTRAINT "its customer" FOREIGN KEY (customer_id) REFERENCES customers (id)',
		'SELECT o.*, c.name FROM orders o JOIN customers c ON c.id = customer_id WHERE c.name = ''c2''', 'CHECK (checks.orders.id < 100 OR orders.k1 = ''z'')']);
SELECT * FROM etl.validate('checks');
SELECT step_id, process_name, depends_on, inferred, sources FROM etl.plan('checks');
SELECT * FROM pg_temp.try($$SELECT etl.run('checks')$$);
SELECT * FROM pg_temp.results('checks');
-- whatever retry_on says, the same rows would be wrong again
SELECT * FROM pg_temp.steps('checks');
SELECT * FROM pg_temp.why('checks');
SELECT check_text, sample_rows FROM etl.check_log WHERE pipeline = 'checks' AND process_name = 'orders' AND wrong_rows > 0 AND check_text NOT LIKE '%UNIQUE%' ORDER BY check_number;
SELECT check_text, s FROM etl.check_log, jsonb_array_elements(sample_rows) AS s WHERE pipeline = 'checks' AND check_text LIKE '%UNIQUE%' ORDER BY check_number, s::text;
-- nothing was published
SELECT to_regclass('checks.orders'), to_regclass('checks.customers');

-- warnings: the run goes on, and says so
SELECT etl.alter_step('checks', 'orders', '{"checks": ["WARN CHECK (amount >= 0)", "warn\n -- why not\n NOT NULL (id)", "WARN (SELECT 1 WHERE false)", "/* fine */ WARN UNIQUE (k1)"]}');
SELECT * FROM pg_temp.try($$SELECT etl.run('checks')$$);
SELECT * FROM pg_temp.results('checks');
SELECT process_name, status, warnings FROM etl.log WHERE run_id = (SELECT max(run_id) FROM etl.run_log) ORDER BY step_id;
SELECT count(*) FROM checks.orders;
-- they are tested, not made
SELECT count(*) FROM pg_constraint WHERE conrelid = 'checks.orders'::regclass;

-- one error among warnings; the table stays as the run before left it
SELECT etl.alter_step('checks', 'orders', '{"sql_query": "SELECT 1 AS id, 2 AS amount", "checks": ["WARN CHECK (amount > 9)", "CHECK (amount > 5)"]}');
SELECT * FROM pg_temp.try($$SELECT etl.run('checks')$$);
SELECT * FROM pg_temp.why('checks');
SELECT count(*) FROM checks.orders;

-- an error of a check's own SQL is one of the step, and is tried again as one
SELECT etl.alter_step('checks', 'orders', '{"sql_query": "SELECT 1 AS id, 0 AS amount", "max_attempts": 2, "checks": ["CHECK (1 / amount > 0)"]}');
SELECT * FROM pg_temp.try($$SELECT etl.run('checks')$$);
SELECT * FROM pg_temp.steps('checks');
SELECT pg_temp.plain(error_context) FROM etl.log WHERE run_id = (SELECT max(run_id) FROM etl.run_log) AND attempt = 2;
SELECT etl.alter_step('checks', 'orders', '{"max_attempts": 1, "checks": ["NOT NULL (id)", "SELECT 1 / (id - 1) FROM orders"]}');
SELECT * FROM pg_temp.try($$SELECT etl.run('checks')$$);
SELECT attempt, pg_temp.plain(error_context) FROM etl.log WHERE run_id = (SELECT max(run_id) FROM etl.run_log) AND process_name = 'orders';
SELECT * FROM pg_temp.results('checks');

-- ---- what a check cannot be, and where the mistake is

\set VERBOSITY default
SELECT etl.add_step('checks', 'x', 'SELECT 1 AS a', checks => '{CHECK (a >)}');
SELECT etl.add_step('checks', 'x', 'SELECT 1 AS a', checks => '{"WARN CHECK (a = 1 b)"}');
SELECT etl.add_step('checks', 'x', 'SELECT 1 AS a', checks => '{"WARN  SELECT ''é'' FRM a"}');
SELECT etl.add_step('checks', 'x', 'SELECT 1 AS a', checks => '{NOT NULL a}');
SELECT etl.add_step('checks', 'x', 'SELECT 1 AS a', checks => '{NOT NULL (a) INCLUDE (a)}');
SELECT etl.add_step('checks', 'x', 'SELECT 1 AS a', checks => '{NOT NULL (a b)}');
SELECT etl.add_step('checks', 'x', 'SELECT 1 AS a', checks => '{WARN}');
SELECT etl.add_step('checks', 'x', 'SELECT 1 AS a', checks => '{""}');
SELECT etl.add_step('checks', 'x', 'SELECT 1 AS a', checks => '{a int}');
SELECT etl.add_step('checks', 'x', 'SELECT 1 AS a', checks => '{"CHECK (true), ADD b int"}');
SELECT etl.add_step('checks', 'x', 'SELECT 1 AS a', checks => '{"CHECK (true); DROP TABLE checks.orders"}');
SELECT etl.add_step('checks', 'x', 'SELECT 1 AS a', checks => '{"SELECT 1; SELECT 2"}');
SELECT etl.add_step('checks', 'x', 'SELECT 1 AS a', checks => '{"WITH d AS (DELETE FROM checks.orders RETURNING 1) SELECT * FROM d"}');
SELECT etl.add_step('checks', 'x', 'SELECT 1 AS a', checks => '{"DELETE FROM checks.orders"}');
SELECT etl.add_step('checks', 'x', 'SELECT 1 AS a', checks => '{"CHECK (a IN (SELECT id FROM customers))"}');
SELECT etl.add_step('checks', 'x', 'SELECT 1 AS a', checks => '{CHECK (a = $1)}');
SELECT etl.add_step('checks', 'x', 'SELECT 1 AS a', checks => '{SELECT $1}');
SELECT etl.add_step('checks', 'x', 'SELECT 1 AS a', checks => '{EXCLUDE USING gist (a WITH &&)}');
SELECT etl.add_step('checks', 'x', 'SELECT 1 AS a', checks => '{CHECK (a > 0) NOT VALID}');
SELECT etl.add_step('checks', 'x', 'SELECT 1 AS a', checks => '{UNIQUE USING INDEX i}');
SELECT etl.add_step('checks', 'x', 'SELECT 1 AS a', checks => '{"FOREIGN KEY (a) REFERENCES r (b, c)"}');
SELECT etl.add_step('checks', 'x', 'TRUNCATE t', checks => '{CHECK (true)}');

-- what only the rows' types can tell: validate, and the run
CREATE TABLE no_key (id int);
CREATE TABLE with_key (id int PRIMARY KEY, t text);
SELECT etl.create_pipeline('checks_wrong');
SELECT etl.add_step('checks_wrong', 'r', $$SELECT 1 AS id, 'x' AS t, '{}'::json AS j$$);
SELECT etl.add_step('checks_wrong', 's', $$SELECT 1 AS id, 'x' AS t, '{}'::json AS j$$, checks => ARRAY[
	'CHECK (no > 0)', 'CHECK (id)', 'CHECK (sum(id) > 0)', 'CHECK (generate_series(1, id) > 0)', 'NOT NULL (id, nonsense)', 'UNIQUE (to_json)', 'UNIQUE (id, id)', 'UNIQUE (j)',
	'FOREIGN KEY (id) REFERENCES r (t)', 'FOREIGN KEY (id) REFERENCES r', 'FOREIGN KEY (id) REFERENCES no_key', 'FOREIGN KEY (id) REFERENCES with_key',
	'FOREIGN KEY (id, t) REFERENCES with_key', 'FOREIGN KEY (id) REFERENCES nowhere (id)', 'FOREIGN KEY (id) REFERENCES no_key (nope)', 'FOREIGN KEY (j) REFERENCES r (j)',
	'SELECT * FROM nowhere', 'SELECT no FROM s', 'SELECT * FROM checks_wrong.s JOIN checks_wrong.r USING (id) WHERE checks_wrong.s.t = r.t', 'CHECK (checks_wrong.s.id = s.id)']);
SELECT process_name, severity, sqlstate, message, detail, hint FROM etl.validate('checks_wrong') ORDER BY detail;
SELECT * FROM pg_temp.try($$SELECT etl.run('checks_wrong')$$);
SELECT etl.alter_step('checks_wrong', 's', '{"checks": ["CHECK (id > 0)", "WARN CHECK (no > 0)"]}');
SELECT * FROM pg_temp.try($$SELECT etl.run('checks_wrong')$$);
SELECT * FROM pg_temp.why('checks_wrong');
-- a step that a check reads and that has an error
SELECT etl.alter_step('checks_wrong', 's', '{"checks": ["FOREIGN KEY (id) REFERENCES r (id)"]}');
SELECT etl.alter_step('checks_wrong', 'r', '{"sql_query": "SELECT * FROM nowhere"}');
SELECT process_name, severity, message FROM etl.validate('checks_wrong');

-- ---- what checks read is what the step depends on

SELECT etl.create_pipeline('checks_graph');
SELECT etl.add_step('checks_graph', 'a', 'SELECT 1 AS id', checks => '{FOREIGN KEY (id) REFERENCES b (id)}');
SELECT etl.add_step('checks_graph', 'b', 'SELECT 1 AS id', checks => '{SELECT * FROM c WHERE id = 0}');
SELECT etl.add_step('checks_graph', 'c', 'SELECT n AS id, n - 1 AS parent FROM generate_series(1, 5) AS n', keep => false,
	checks => '{FOREIGN KEY (parent) REFERENCES c (id),SELECT * FROM checks_graph.c WHERE id > 5}');
SELECT process_name, level, depends_on FROM etl.plan('checks_graph') ORDER BY level;
SELECT * FROM pg_temp.try($$SELECT etl.run('checks_graph')$$);
-- its own name is no cycle: parent 0 is nobody's id
SELECT * FROM pg_temp.results('checks_graph');
SELECT etl.alter_step('checks_graph', 'c', '{"sql_query": "SELECT n AS id, nullif(n - 1, 0) AS parent FROM generate_series(1, 5) AS n"}');
SELECT * FROM pg_temp.try($$SELECT etl.run('checks_graph')$$);
SELECT * FROM pg_temp.results('checks_graph');
-- a selection needs what its checks read
SELECT * FROM pg_temp.try($$SELECT etl.run('checks_graph', steps => '{b}')$$);
SELECT * FROM pg_temp.try($$SELECT etl.run('checks_graph', steps => '{a}')$$);
SELECT etl.alter_step('checks_graph', 'c', '{"checks": ["SELECT 1 FROM a WHERE false"]}');
SELECT * FROM pg_temp.try($$SELECT etl.run('checks_graph')$$);
SELECT message, detail FROM etl.validate('checks_graph') WHERE sqlstate = 'ZE005';

-- ---- define and export carry checks

SELECT etl.create_pipeline('checks_script');
SELECT etl.define('checks_script', $script$
CREATE TABLE customers AS SELECT 1 AS id;
-- step: orders (checks = 'CHECK (amount >= 0)', checks = 'WARN NOT NULL (id)',
--   checks = 'FOREIGN KEY (id) REFERENCES customers (id)', checks = 'SELECT ''a'' WHERE false')
CREATE TABLE orders AS SELECT 1 AS id, 2 AS amount;
$script$);
SELECT process_name, checks, depends_on FROM etl.metadata WHERE pipeline = 'checks_script' ORDER BY step_id;
SELECT level, process_name, inferred FROM etl.plan('checks_script');
SELECT etl.export('checks_script');
SELECT etl.define('checks_script', etl.export('checks_script'));
SELECT column_name, old_value, new_value FROM etl.diff('checks_script', 1, 2) WHERE column_name = 'checks';
SELECT checksum AS before FROM etl.version WHERE pipeline = 'checks_script' AND version = 2 \gset
SELECT etl.alter_step('checks_script', 'orders', '{"checks": ["CHECK (amount >= 1)"]}');
SELECT count(DISTINCT checksum) FROM etl.version WHERE pipeline = 'checks_script';
SELECT etl.rollback('checks_script', 2);
SELECT checksum = :'before' AS same FROM etl.version WHERE pipeline = 'checks_script' AND version = 4;
SELECT etl.define('checks_script', $script$
-- step: orders (checks = 'FOREIGN KEY (id) REFERENCES customers (id)')
CREATE TABLE orders AS SELECT 1 AS id;
CREATE TABLE customers AS SELECT 1 AS id;
$script$);
SELECT etl.define('checks_script', $script$
CREATE TABLE customers AS SELECT 1 AS id;
-- step: orders (checks = 'CHECK (id >)')
CREATE TABLE orders AS SELECT 1 AS id;
$script$);

-- ---- names, partitions, types, sizes

SELECT etl.create_pipeline('Checks "odd"', target_schema => 'Checks "odd"');
SELECT etl.add_step('Checks "odd"', 'Ünï "t"', $$SELECT n AS "Id", n % 3 AS "a ""b""", NULL::int AS nothing FROM generate_series(1, 6) AS n$$,
	repartition => 3, repartition_by => '{Id}', checks => ARRAY['CHECK ("Id" > 1)', 'NOT NULL ("Id", "a ""b""")', 'UNIQUE ("Id")', 'UNIQUE ("a ""b""")',
	'CONSTRAINT "the ""key""" PRIMARY KEY ("Id")', 'CONSTRAINT "n ""n""" NOT NULL (nothing)', 'FOREIGN KEY ("a ""b""") REFERENCES "Checks ""odd"""."Ünï ""t""" ("Id")', 'SELECT "Id" FROM "Ünï ""t""" WHERE "Id" = 6']);
SELECT * FROM pg_temp.try($$SELECT etl.run('Checks "odd"')$$);
SELECT * FROM pg_temp.results('Checks "odd"');

-- no rows, and no columns
SELECT etl.create_pipeline('checks_empty');
SELECT etl.add_step('checks_empty', 'e', 'SELECT 1 AS id, 2 AS r WHERE false', checks => '{CHECK (id > 0),NOT NULL (id),UNIQUE (id),PRIMARY KEY (id),FOREIGN KEY (r) REFERENCES e (id),SELECT * FROM e}');
SELECT etl.add_step('checks_empty', 'no_columns', 'SELECT FROM generate_series(1, 3)', checks => '{WARN CHECK (false),WARN SELECT FROM no_columns}');
SELECT * FROM pg_temp.try($$SELECT etl.run('checks_empty')$$);
SELECT * FROM pg_temp.results('checks_empty');
SELECT process_name, sample_rows FROM etl.check_log WHERE pipeline = 'checks_empty' AND wrong_rows > 0;

-- samples: few, short, and what JSON can say
SELECT etl.create_pipeline('checks_samples');
SELECT etl.add_step('checks_samples', 'many', $$SELECT n, 'NaN'::float8 AS nan, 1.50 AS num, n > 3 AS b, DATE '2024-02-03' AS d, TIMESTAMPTZ '2024-02-03 10:00+00' AS ts, ARRAY[1, 2] AS arr,
	'{"x": [1]}'::jsonb AS j, repeat('é', 200) AS long, repeat('x', 1000000) AS huge, 'say "hi"' AS quoted FROM generate_series(1, 20) AS n$$, checks => '{WARN CHECK (n = 0)}');
SELECT etl.add_step('checks_samples', 'wide', (SELECT 'SELECT ' || string_agg(format('repeat(''%s'', 90) AS column_%s', n % 10, n), ', ') FROM generate_series(1, 200) AS n), checks => '{WARN SELECT * FROM wide}');
SELECT etl.run('checks_samples') IS NOT NULL AS run;
SELECT process_name, wrong_rows, jsonb_array_length(sample_rows) FROM etl.check_log WHERE pipeline = 'checks_samples' ORDER BY step_id;
SET TimeZone = 'UTC';
SELECT key, value FROM etl.check_log, jsonb_each(sample_rows -> 0) WHERE pipeline = 'checks_samples' AND process_name = 'many' AND key NOT IN ('ts') ORDER BY key;
SELECT value #>> '{}' IS NOT NULL AND (value #>> '{}')::timestamptz = '2024-02-03 10:00+00' AS ts FROM etl.check_log, jsonb_each(sample_rows -> 0) WHERE pipeline = 'checks_samples' AND key = 'ts';
SELECT length(sample_rows::text) < 3000 AS short, length(sample_rows::text) > 1500 AS not_too_short FROM etl.check_log WHERE pipeline = 'checks_samples' AND process_name = 'wide';

-- ---- a unique index of the step proves what it proves, and no more

SELECT etl.create_pipeline('checks_index');
SELECT etl.add_step('checks_index', 't', $$SELECT n AS id, CASE WHEN n > 2 THEN n END AS a, 'x' || n / 2 AS c FROM generate_series(1, 6) AS n$$,
	indexes => '{UNIQUE (id),UNIQUE (a),"UNIQUE ((id + 1))","UNIQUE (c) WHERE id > 100","UNIQUE (c, id)","UNIQUE (lower(c), id)"}',
	checks => '{WARN UNIQUE (id),WARN PRIMARY KEY (id),"WARN UNIQUE (a, c)",WARN UNIQUE (a),WARN UNIQUE NULLS NOT DISTINCT (a),WARN UNIQUE (c)}');
SELECT etl.run('checks_index') IS NOT NULL AS run;
SELECT check_text, wrong_rows FROM pg_temp.results('checks_index');

-- ---- constraints that users have put on a published table

SELECT etl.create_pipeline('checks_published');
CREATE TABLE places (id int PRIMARY KEY);
INSERT INTO places VALUES (1), (2);
CREATE TABLE rows_of (id int, place int, amount int, note text);
INSERT INTO rows_of VALUES (1, 1, 5, 'x'), (2, 2, 6, 'y');
SELECT etl.add_step('checks_published', 'p', 'SELECT * FROM rows_of', checks => '{CHECK (id > 0)}');
SELECT etl.add_step('checks_published', 'upstream', 'SELECT 1 AS id');
SELECT etl.run('checks_published') IS NOT NULL AS run;
CREATE FUNCTION checks_source.fine(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 < 100';
CREATE FUNCTION pg_temp.with_constraints() RETURNS void LANGUAGE sql AS $$
	ALTER TABLE checks_published.p ALTER note SET NOT NULL, ADD CONSTRAINT "positive ""amount""" CHECK (amount > 0), ADD CHECK (checks_source.fine(amount)) NOT VALID,
		ADD CONSTRAINT its_place FOREIGN KEY (place) REFERENCES checks_source.places ON DELETE CASCADE
$$;
SELECT pg_temp.with_constraints();
UPDATE rows_of SET amount = -1, note = NULL, place = 7 WHERE id = 2;
SELECT * FROM pg_temp.try($$SELECT etl.run('checks_published')$$);
SELECT * FROM pg_temp.why('checks_published');
SELECT * FROM pg_temp.results('checks_published');
SELECT * FROM checks_published.p ORDER BY id;
UPDATE rows_of SET amount = 100, note = 'z', place = 2 WHERE id = 2;
SELECT * FROM pg_temp.try($$SELECT etl.run('checks_published')$$);
SELECT * FROM pg_temp.why('checks_published');
UPDATE rows_of SET amount = 9 WHERE id = 2;
SELECT * FROM pg_temp.try($$SELECT etl.run('checks_published')$$);
SELECT * FROM pg_temp.results('checks_published');
SELECT etl.alter_step('checks_published', 'p', '{"sql_query": "SELECT id, place::bigint AS place, note FROM rows_of"}');
SELECT * FROM pg_temp.try($$SELECT etl.run('checks_published')$$);
SELECT * FROM pg_temp.results('checks_published');

-- foreign keys between tables that are published together, whichever is made first; and to the table itself
SELECT etl.create_pipeline('checks_keys');
CREATE TABLE nodes (id int, parent int, kind int);
INSERT INTO nodes VALUES (1, NULL, 1), (2, 1, 2);
SELECT etl.add_step('checks_keys', 'kinds', 'SELECT DISTINCT kind AS id FROM nodes WHERE kind < 10', indexes => '{UNIQUE (id)}');
SELECT etl.add_step('checks_keys', 'nodes', 'SELECT * FROM checks_source.nodes', indexes => '{UNIQUE (id)}');
SELECT etl.add_step('checks_keys', 'first_node', 'SELECT min(id) AS id FROM nodes');
SELECT etl.run('checks_keys') IS NOT NULL AS run;
CREATE FUNCTION pg_temp.with_keys() RETURNS void LANGUAGE sql AS $$
	ALTER TABLE checks_keys.nodes ADD CONSTRAINT its_parent FOREIGN KEY (parent) REFERENCES checks_keys.nodes (id), ADD CONSTRAINT its_kind FOREIGN KEY (kind) REFERENCES checks_keys.kinds (id);
	ALTER TABLE checks_keys.first_node ADD CONSTRAINT some_node FOREIGN KEY (id) REFERENCES checks_keys.nodes (id)
$$;
SELECT pg_temp.with_keys();
-- all are new, and fit
UPDATE nodes SET id = id + 100, parent = parent + 100, kind = kind + 3;
SELECT * FROM pg_temp.try($$SELECT etl.run('checks_keys')$$);
SELECT * FROM pg_temp.results('checks_keys');
UPDATE nodes SET kind = 11 WHERE id = 102;
SELECT * FROM pg_temp.try($$SELECT etl.run('checks_keys')$$);
SELECT * FROM pg_temp.run_said('checks_keys');
SELECT step, status FROM pg_temp.steps('checks_keys');
SELECT * FROM checks_keys.nodes ORDER BY id;
-- where the other one is not selected it is its published table that counts
SELECT * FROM pg_temp.try($$SELECT etl.run('checks_keys', steps => '{nodes}')$$);
UPDATE nodes SET parent = 7, kind = 4 WHERE id = 102;
SELECT * FROM pg_temp.try($$SELECT etl.run('checks_keys')$$);

-- ---- who sees what checks have found

CREATE ROLE regress_checks_owner LOGIN;
CREATE ROLE regress_checks_other LOGIN;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_checks_owner', current_database()); END $$;
GRANT USAGE ON SCHEMA checks_source TO regress_checks_owner;
CREATE TABLE secrets AS SELECT 1 AS id;
SET ROLE regress_checks_owner;
SELECT etl.create_pipeline('checks_rights');
SELECT etl.add_step('checks_rights', 's', $$SELECT 'my secret' AS word$$, checks => ARRAY['WARN CHECK (word = '''')', 'SELECT * FROM checks_source.secrets']);
SELECT severity, sqlstate, message, detail, hint FROM etl.validate('checks_rights');
SELECT * FROM pg_temp.try($$SELECT etl.run('checks_rights')$$);
SELECT etl.alter_step('checks_rights', 's', '{"checks": ["WARN CHECK (word = '''')"]}');
SELECT etl.run('checks_rights') IS NOT NULL AS run;
SELECT pipeline, check_text, sample_rows FROM etl.check_log;
SELECT count(*) FROM etl.check_data;
SET ROLE regress_checks_other;
SELECT pipeline, check_text, sample_rows FROM etl.check_log;
SELECT count(*) FROM etl.check_data;
RESET ROLE;
-- the results stay when the pipeline goes
SET ROLE regress_checks_owner;
SELECT pg_temp.forget('checks_rights');
SELECT pipeline, check_text, sample_rows FROM etl.check_log;
RESET ROLE;

-- ---- the verdict is that of the constraint, whatever the rows are

\set ECHO none
CREATE TYPE pair AS (x int, y int);
CREATE DOMAIN natural_number AS int;
CREATE TABLE random_rows (id int, a int, b bigint, t text, p pair, n natural_number, v varchar(3));
CREATE TABLE random_keys (x bigint, y int, t text COLLATE "C", v text, UNIQUE (x), UNIQUE (y, x), UNIQUE (t), UNIQUE (v), UNIQUE (y));
CREATE TABLE constraints (number int GENERATED ALWAYS AS IDENTITY, definition text, refused int DEFAULT 0, accepted int DEFAULT 0);
INSERT INTO constraints (definition) VALUES
	('CHECK (a > 0)'), ('CHECK (a > 0 OR b > 0)'), ('CHECK (NOT (a = b))'), ('CHECK (t <> ''x'' AND a IS NOT NULL)'), ('CHECK (NULL::bool)'), ('CHECK ((a > 0) IS TRUE)'),
	('CHECK (a IN (1, 2, NULL))'), ('CHECK (p IS NOT NULL)'), ('CHECK ((p).x > 0)'),
	('NOT NULL (a)'), ('NOT NULL (p)'), ('NOT NULL (a, b, t)'),
	('UNIQUE (a)'), ('UNIQUE (a, b)'), ('UNIQUE (t, a, b)'), ('UNIQUE (p)'), ('UNIQUE (n)'), ('UNIQUE NULLS NOT DISTINCT (a, b)'), ('UNIQUE NULLS NOT DISTINCT (p)'),
	('PRIMARY KEY (id)'), ('PRIMARY KEY (id, a)'), ('PRIMARY KEY (p, b)'),
	('FOREIGN KEY (a) REFERENCES checks_source.random_keys (x)'), ('FOREIGN KEY (b) REFERENCES checks_source.random_keys (y)'), ('FOREIGN KEY (n) REFERENCES checks_source.random_keys (x)'),
	('FOREIGN KEY (a, b) REFERENCES checks_source.random_keys (y, x)'), ('FOREIGN KEY (a, b) REFERENCES checks_source.random_keys (y, x) MATCH FULL'),
	('FOREIGN KEY (t) REFERENCES checks_source.random_keys (t)'), ('FOREIGN KEY (v) REFERENCES checks_source.random_keys (v)'),
	('FOREIGN KEY (b) REFERENCES checks_source.random_keys (x) MATCH FULL');
-- Few values, so that rules are kept and broken alike.  By chance, but the same each time.
CREATE FUNCTION chance(round int, place int, what text, n int) RETURNS int LANGUAGE sql IMMUTABLE AS
	'SELECT (abs(hashtext(format(''%s %s %s'', round, place, what))::bigint) % n)::int';
CREATE PROCEDURE fill(round int) LANGUAGE plpgsql AS $$
DECLARE
	n int := 2 + round % 3;
BEGIN
	TRUNCATE random_rows, random_keys;
	INSERT INTO random_rows
	SELECT nullif(g - CASE chance(round, g, 'id', 15) WHEN 0 THEN 1 ELSE 0 END, CASE WHEN round % 3 = 0 THEN 2 END),
		nullif(chance(round, g, 'a', n + 1) - 1, 1), nullif(chance(round, g, 'b', n + 1) - 1, 0), chr(119 + chance(round, g, 't', n + 1)),
		CASE chance(round, g, 'p', 4) WHEN 0 THEN NULL WHEN 1 THEN ROW(NULL, NULL)::pair ELSE ROW(chance(round, g, 'x', n), chance(round, g, 'y', n))::pair END,
		nullif(chance(round, g, 'n', n + 2), 2), nullif(chr(119 + chance(round, g, 'v', n + 1)), 'x')
	FROM generate_series(1, round % 8) AS g;
	INSERT INTO random_keys
	SELECT g, nullif(g + round % 2, 3), chr(118 + g), chr(118 + g) FROM generate_series(1, 2 + round % 3) AS g;
END
$$;
-- Would the table accept it?
CREATE FUNCTION accepts(definition text) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
	CREATE TABLE checks_source.real AS TABLE checks_source.random_rows;
	IF definition LIKE 'NOT NULL (%' THEN
		EXECUTE (SELECT format('ALTER TABLE checks_source.real %s', string_agg(format('ALTER %s SET NOT NULL', c), ', '))
				 FROM regexp_split_to_table(substring(definition FROM '\((.*)\)'), ', ') AS c);
	ELSE
		EXECUTE 'ALTER TABLE checks_source.real ADD ' || definition;
	END IF;
	DROP TABLE checks_source.real;
	RETURN true;
EXCEPTION WHEN integrity_constraint_violation THEN
	RETURN false;
END
$$;
CREATE PROCEDURE compare(rounds int) LANGUAGE plpgsql AS $$
DECLARE
	run bigint;
BEGIN
	FOR round IN 1 .. rounds LOOP
		CALL checks_source.fill(round);
		COMMIT;
		run := etl.start('checks_random');
		COMMIT;
		PERFORM etl.wait(run);
		COMMIT;
		INSERT INTO checks_source.verdicts
		SELECT round, c.number, checks_source.accepts(c.definition), l.status = 'PASSED', l.wrong_rows
		  FROM checks_source.constraints c LEFT JOIN etl.check_log l ON l.run_id = run AND l.check_text = 'WARN ' || c.definition;
		COMMIT;
	END LOOP;
END
$$;
CREATE TABLE verdicts (round int, number int, real bool, etl bool, wrong_rows bigint);
\set ECHO all
SELECT etl.create_pipeline('checks_random');
SELECT etl.add_step('checks_random', 'copy_of_rows', 'SELECT * FROM random_rows', checks => (SELECT array_agg('WARN ' || definition ORDER BY number) FROM constraints));
CALL compare(12);
SELECT definition, round, real, etl, wrong_rows FROM verdicts JOIN constraints USING (number) WHERE real IS DISTINCT FROM etl OR (wrong_rows = 0) IS DISTINCT FROM etl;
-- both verdicts were there of every constraint, but for those that refuse nothing
SELECT definition FROM verdicts JOIN constraints USING (number) GROUP BY number, definition HAVING NOT (bool_or(etl) AND bool_or(NOT etl)) ORDER BY number;

\set ECHO none
SELECT count(pg_temp.forget(p)) AS forgotten FROM unnest('{checks,checks_wrong,checks_graph,checks_script,"Checks \"odd\"",checks_empty,checks_samples,checks_index,checks_published,checks_keys,checks_random}'::text[]) AS p;
DO $$ BEGIN EXECUTE format('REVOKE CREATE ON DATABASE %I FROM regress_checks_owner', current_database()); END $$;
DROP OWNED BY regress_checks_owner;
DROP SCHEMA checks_source CASCADE;
DROP ROLE regress_checks_owner, regress_checks_other;
\set ECHO all
