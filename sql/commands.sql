-- Command steps: what is executed how, what is counted, what is left behind.

\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/test/sql/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

CREATE SCHEMA commands_source;
SET search_path = commands_source, public;
CREATE TABLE facts (k int PRIMARY KEY, v text);
CREATE TABLE audit (at_step text, n bigint);
CREATE MATERIALIZED VIEW summary AS SELECT count(*) AS c FROM facts;

-- ---- each kind, in the order that its reads and writes give

SELECT pg_temp.define('commands',
	'source', 'SELECT i AS k, ''v'' || i AS v FROM generate_series(1, 10) i',
	'insert', 'INSERT INTO facts SELECT k, v FROM source',
	'update', 'UPDATE facts SET v = upper(facts.v) FROM source s WHERE s.k = facts.k AND s.k > 4',
	'delete', 'DELETE FROM facts USING source WHERE source.k = facts.k AND source.k > 8',
	'merge', 'MERGE INTO facts f USING source s ON f.k = s.k WHEN MATCHED AND f.k = 1 THEN DELETE WHEN MATCHED AND f.k = 2 THEN UPDATE SET v = ''two'' WHEN NOT MATCHED THEN INSERT VALUES (s.k, ''merged'')',
	'modifying_with', 'WITH gone AS (DELETE FROM facts WHERE k = 3 RETURNING k) INSERT INTO audit SELECT ''with'', k FROM gone',
	'refresh', 'REFRESH MATERIALIZED VIEW summary',
	'do', $$DO 'BEGIN INSERT INTO audit SELECT ''do'', count(*) FROM facts; END'$$,
	'last', 'SELECT c FROM summary');
SELECT etl.alter_step('commands', 'update', '{"depends_on": ["insert"]}');
SELECT etl.alter_step('commands', 'delete', '{"depends_on": ["update"]}');
SELECT etl.alter_step('commands', 'merge', '{"depends_on": ["delete"]}');
SELECT etl.alter_step('commands', 'modifying_with', '{"depends_on": ["merge"]}');
SELECT etl.alter_step('commands', 'refresh', '{"depends_on": ["modifying_with"]}');
SELECT etl.alter_step('commands', 'do', '{"depends_on": ["refresh"]}');
SELECT etl.alter_step('commands', 'last', '{"depends_on": ["do"]}');
SELECT process_name, depends_on, kind FROM etl.metadata WHERE pipeline = 'commands' ORDER BY step_id;
SELECT * FROM pg_temp.try($$SELECT etl.run('commands')$$);
SELECT step, attempt, status, count_rows, sqlstate, error FROM pg_temp.steps('commands');
SELECT * FROM facts ORDER BY k;
SELECT * FROM audit ORDER BY at_step;
SELECT * FROM commands.last;
-- a command step makes no table
SELECT process_name FROM etl.output WHERE pipeline = 'commands' ORDER BY 1;
SELECT process_name, table_size FROM etl.log WHERE pipeline = 'commands' AND process_name = 'insert';
SELECT pg_temp.forget('commands');

-- ---- several statements: all or nothing

TRUNCATE facts, audit;
SELECT pg_temp.define('commands',
	'several', E'INSERT INTO facts VALUES (1, ''a''), (2, ''b'');\nUPDATE facts SET v = ''c'' WHERE k = 1;\nINSERT INTO audit SELECT ''several'', count(*) FROM facts;',
	'fails', E'INSERT INTO facts VALUES (3, ''a'');\nINSERT INTO facts VALUES (4, ''b''),\n  (1, ''twice'');\nINSERT INTO audit VALUES (''never'', 0)');
SELECT etl.alter_step('commands', 'fails', '{"depends_on": ["several"]}');
SELECT * FROM pg_temp.try($$SELECT etl.run('commands')$$);
SELECT step, attempt, status, count_rows, sqlstate, error FROM pg_temp.steps('commands');
SELECT pg_temp.plain(error_context) FROM etl.log WHERE pipeline = 'commands' AND status = 'FAILED';
SELECT * FROM facts ORDER BY k;
SELECT * FROM audit;
-- a temporary table lives from one statement to the next, and no longer
SELECT etl.alter_step('commands', 'several', $${"sql_query": "CREATE TEMP TABLE scratch AS SELECT 5 AS k; INSERT INTO facts SELECT k, 'temp' FROM scratch; DISCARD SEQUENCES"}$$);
SELECT etl.alter_step('commands', 'fails', $${"sql_query": "SELECT count(*) AS c FROM pg_class WHERE relname = 'scratch'"}$$);
SELECT * FROM pg_temp.try($$SELECT etl.run('commands')$$);
SELECT step, attempt, status, count_rows, sqlstate, error FROM pg_temp.steps('commands');
SELECT * FROM commands.fails;
SELECT pg_temp.forget('commands');

-- ---- where what is created lands: the target schema, as a user would expect

SELECT pg_temp.define('commands',
	'source', 'SELECT 1 AS k',
	'creates', 'CREATE TABLE made (k int); INSERT INTO made SELECT k FROM source; CREATE INDEX ON made (k)',
	'creates_as', 'CREATE TABLE made_as AS SELECT k FROM source',
	'creates_more', 'CREATE VIEW made_view AS SELECT k FROM facts; CREATE SEQUENCE made_sequence; CREATE MATERIALIZED VIEW made_summary AS SELECT count(*) FROM facts; CREATE TABLE made_elsewhere_too (LIKE facts); CREATE TABLE commands_source.made_elsewhere (k int)',
	'selects_into', 'SELECT k INTO made_into FROM source',
	'uses', 'SELECT k FROM made');
SELECT etl.alter_step('commands', 'uses', '{"depends_on": ["creates"]}');
SELECT * FROM pg_temp.try($$SELECT etl.run('commands')$$);
SELECT step, attempt, status, count_rows, sqlstate, error FROM pg_temp.steps('commands');
SELECT relnamespace::regnamespace, relname FROM pg_class WHERE relname ~ '^made' AND relkind IN ('r', 'v', 'm', 'S') ORDER BY relname COLLATE "C";
-- the second time it is there already
SELECT * FROM pg_temp.try($$SELECT etl.run('commands', steps => '{creates}')$$);
-- what hides from the parser lands in the run's schema, and is refused
SELECT etl.alter_step('commands', 'creates', $${"sql_query": "DO 'BEGIN CREATE TABLE made_hidden (k int); END'"}$$);
SELECT * FROM pg_temp.try($$SELECT etl.run('commands', steps => '{creates}')$$);
SELECT * FROM pg_temp.run_said('commands');
-- functions, types and the like are made where tables are
SELECT etl.alter_step('commands', 'creates', $${"sql_query": "CREATE FUNCTION made_function() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE TYPE made_type AS (n int); CREATE TYPE made_enum AS ENUM ('a'); CREATE TYPE made_range AS RANGE (subtype = int8); CREATE DOMAIN made_domain AS int; CREATE AGGREGATE made_aggregate (int) (SFUNC = int4pl, STYPE = int); CREATE TABLE made_table AS SELECT made_function() AS f, NULL::made_type AS t, 'a'::made_enum AS e, 1::made_domain AS d, made_aggregate(1) AS s"}$$);
SELECT * FROM pg_temp.try($$SELECT etl.run('commands', steps => '{creates}')$$);
SELECT p.oid::regprocedure FROM pg_proc p WHERE proname IN ('made_function', 'made_aggregate') ORDER BY proname COLLATE "C";
SELECT t.oid::regtype FROM pg_type t WHERE typname ~ '^made_(type|enum|range|domain)$' ORDER BY typname COLLATE "C";
SELECT f, t, e, d, s FROM commands.made_table;
SELECT etl.alter_step('commands', 'creates', $${"sql_query": "DO 'BEGIN CREATE TABLE commands.made_hidden (k int); CREATE TEMP TABLE made_temp (k int); END'"}$$);
SELECT * FROM pg_temp.try($$SELECT etl.run('commands', steps => '{creates}')$$);
SELECT relnamespace::regnamespace, relname FROM pg_class WHERE relname ~ '^made_(hidden|temp)';
SELECT etl.drop_pipeline('commands', drop_tables => true);
DROP SCHEMA IF EXISTS commands CASCADE;

-- ---- statements that refuse a transaction block, and such as end it

CREATE PROCEDURE commits(n int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. n LOOP
		INSERT INTO commands_source.audit VALUES ('call', i);
		COMMIT;
	END LOOP;
	INSERT INTO commands_source.audit VALUES ('call', 0);
END
$$;
CREATE PROCEDURE commits_and_fails() LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO commands_source.audit VALUES ('kept', 1);
	COMMIT;
	INSERT INTO commands_source.audit VALUES ('lost', 1);
	RAISE serialization_failure;
END
$$;
TRUNCATE audit;
SELECT pg_temp.define('commands',
	'call', 'CALL commits(2)',
	'vacuum', 'VACUUM (ANALYZE) commands_source.facts',
	'concurrently', 'CREATE INDEX CONCURRENTLY facts_v ON facts (v)',
	'analyze', 'ANALYZE facts, audit',
	'do_commits', $$DO 'BEGIN INSERT INTO audit VALUES (''do'', 1); COMMIT; END'$$);
SELECT etl.alter_pipeline('commands', '{"max_parallel": 1}');
SELECT process_name, kind FROM etl.metadata WHERE pipeline = 'commands' ORDER BY step_id;
-- CREATE INDEX CONCURRENTLY waits for all snapshots, and who waits for a run has one
SELECT regexp_replace(t, 'virtual transaction [0-9/]+', 'virtual transaction N')
  FROM pg_temp.try($$SELECT etl.run('commands', steps => '{concurrently}')$$) t;
DROP INDEX facts_v;
SELECT etl.start('commands') AS run_id \gset
CALL pg_temp.await(:run_id);
SELECT step, attempt, status, count_rows, sqlstate, error FROM pg_temp.steps('commands');
SELECT * FROM audit ORDER BY 1, 2;
SELECT indisvalid FROM pg_index WHERE indexrelid = 'facts_v'::regclass;
-- fails once it has committed something: is not tried again, whatever retry_on says
TRUNCATE audit;
SELECT etl.drop_step('commands', s) FROM unnest('{vacuum,concurrently,analyze,do_commits}'::text[]) s;
SELECT etl.alter_pipeline('commands', '{"retry_on": ["any"]}');
SELECT etl.alter_step('commands', 'call', '{"sql_query": "CALL commits_and_fails()"}');
SELECT * FROM pg_temp.try($$SELECT etl.run('commands')$$);
SELECT step, attempt, status, count_rows, sqlstate, error FROM pg_temp.steps('commands');
SELECT * FROM audit;
SELECT pg_temp.forget('commands');

-- ---- files, on the server

SELECT current_setting('data_directory') || '/etl_commands.tmp' AS file \gset
SELECT pg_temp.define('commands',
	'source', 'SELECT 10 + i AS k, ''copied'' AS v FROM generate_series(1, 3) i',
	'out', format('COPY source TO %L', :'file'),
	'in', format('COPY facts FROM %L', :'file'),
	'out_query', format('COPY (SELECT k FROM source WHERE k > 12) TO %L', :'file'));
SELECT etl.alter_step('commands', 'in', '{"depends_on": ["out"]}');
SELECT etl.alter_step('commands', 'out_query', '{"depends_on": ["in"]}');
SELECT process_name, depends_on FROM etl.metadata WHERE pipeline = 'commands' ORDER BY step_id;
SELECT * FROM pg_temp.try($$SELECT etl.run('commands')$$);
SELECT step, attempt, status, count_rows, sqlstate, error FROM pg_temp.steps('commands');
SELECT * FROM facts WHERE v = 'copied' ORDER BY k;
SELECT pg_temp.forget('commands');
COPY (SELECT) TO PROGRAM 'rm -f etl_commands.tmp';

-- ---- a query step does not write

SELECT pg_temp.define('commands',
	'with_insert', 'WITH i AS (INSERT INTO audit VALUES (''with'', 1) RETURNING n) SELECT n FROM i',
	'explains', 'EXPLAIN SELECT 1',
	'shows', 'SHOW work_mem',
	'sets', 'SET work_mem = ''5MB''',
	'sees', 'SELECT current_setting(''work_mem'') <> ''5MB'' AS reset');
SELECT etl.alter_step('commands', 'sees', '{"depends_on": ["sets"]}');
SELECT process_name, kind FROM etl.metadata WHERE pipeline = 'commands' ORDER BY step_id;
SELECT * FROM pg_temp.try($$SELECT etl.run('commands')$$);
SELECT step, attempt, status, count_rows, sqlstate, error FROM pg_temp.steps('commands');
SELECT * FROM commands.sees;
SELECT * FROM audit ORDER BY 1;
SELECT pg_temp.forget('commands');

-- ---- deferred constraints and triggers fire in the step

CREATE TABLE deferred (k int, CONSTRAINT deferred_k UNIQUE (k) DEFERRABLE INITIALLY DEFERRED);
SELECT pg_temp.define('commands', 'twice', 'INSERT INTO deferred VALUES (1), (1)',
	'notified', 'NOTIFY etl_test', 'after', 'SELECT 1 AS x');
SELECT * FROM pg_temp.try($$SELECT etl.run('commands')$$);
SELECT step, attempt, status, count_rows, sqlstate, error FROM pg_temp.steps('commands');
SELECT count(*) FROM deferred;
SELECT pg_temp.forget('commands');

-- ---- what is made over a table of the run is not dropped with it in silence

SELECT pg_temp.define('commands', 'base', 'SELECT 1 AS x', 'other', 'SELECT 2 AS y');
SELECT etl.add_step('commands', 'viewed', 'CREATE VIEW over_base AS SELECT x FROM base');
SELECT etl.add_step('commands', 'viewed', 'CREATE MATERIALIZED VIEW over_base AS SELECT x FROM commands.base');
SELECT etl.add_step('commands', 'viewed', 'CREATE FUNCTION over_base() RETURNS int RETURN (SELECT x FROM base)');
SELECT etl.add_step('commands', 'ruled', 'CREATE RULE over_base AS ON INSERT TO commands_source.audit DO ALSO SELECT * FROM base');
-- not seen before it is executed; temporary ones go with the step
SELECT etl.add_step('commands', 'hides', $$DO 'BEGIN CREATE VIEW commands_source.over_base AS SELECT x FROM base; END'$$, depends_on => '{base}');
SELECT etl.add_step('commands', 'temporary', 'CREATE TEMP VIEW brief AS SELECT y FROM other; SELECT * FROM brief');
SELECT * FROM pg_temp.try($$SELECT etl.run('commands', steps => '{temporary,other}')$$);
SELECT * FROM pg_temp.try($$SELECT etl.run('commands')$$);
SELECT step, status, sqlstate, error FROM pg_temp.steps('commands');
SELECT to_regclass('commands_source.over_base');
-- a step that reads nothing of the run by name
SELECT etl.alter_step('commands', 'hides', $${"sql_query": "DO 'BEGIN EXECUTE format($q$CREATE VIEW commands_source.over_base AS SELECT x FROM %I.base$q$, (current_schemas(false))[1]); END'"}$$);
SELECT * FROM pg_temp.try($$SELECT etl.run('commands')$$);
SELECT * FROM pg_temp.run_said('commands');
-- what is left of the run is not dropped while the view is there
SELECT * FROM pg_temp.try($$SELECT etl.run('commands')$$);
SELECT * FROM pg_temp.try($$SELECT etl.drop_pipeline('commands')$$);
SELECT * FROM commands_source.over_base;
DROP VIEW commands_source.over_base;
SELECT etl.drop_step('commands', 'hides');
SELECT * FROM pg_temp.try($$SELECT etl.run('commands')$$);
SELECT pg_temp.forget('commands');

DROP SCHEMA commands_source CASCADE;
