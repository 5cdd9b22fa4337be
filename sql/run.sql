-- etl.run, etl.start, etl.wait, etl.cancel: arguments, and every error that is
-- found before anything runs.

\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/test/sql/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

SELECT pg_temp.define('ask', 'a', 'SELECT 1 AS x', 'b', 'SELECT x + 1 AS y FROM a', 'searchable', 'SELECT 3 AS z');

-- nulls
SELECT etl.run(NULL);
SELECT etl.run('ask', on_conflict => NULL);
SELECT etl.start(NULL);
SELECT etl.start('ask', on_conflict => NULL);
SELECT etl.wait(NULL);
SELECT etl.cancel(NULL);

-- what does not exist
SELECT etl.run('nothing');
SELECT etl.start('nothing');
SELECT etl.run('');
SELECT etl.run('ask', version => 7);
SELECT etl.run('ask', version => 0);
SELECT etl.run('ask', version => -1);
SELECT etl.run('ask', version => 2147483647);
SELECT etl.run('ask', steps => '{aa}');
SELECT etl.run('ask', steps => '{a,nothing_like_it}');
SELECT etl.run('ask', steps => '{A}');
SELECT etl.run('ask', steps => '{+seekable}');
SELECT etl.run('ask', steps => '{+x+}');
SELECT etl.run('ask', steps => '{++a}');
SELECT etl.run('ask', steps => '{}');
SELECT etl.run('ask', steps => '{""}');
SELECT etl.run('ask', steps => '{+}');
SELECT etl.run('ask', steps => '{++}');
SELECT etl.run('ask', steps => '{a,NULL}');
SELECT etl.run('ask', steps => '{{a,b},{b,b}}') IS NOT NULL AS many_dimensions;
SELECT etl.wait(0);
SELECT etl.wait(-1);
SELECT etl.wait(9223372036854775807);
SELECT etl.cancel(0);
SELECT etl.cancel(9223372036854775807);
SELECT etl.wait(0, '-1 second');

-- words
SELECT etl.run('ask', on_conflict => 'queue');
SELECT etl.run('ask', on_conflict => '');
SELECT etl.run('ask', on_conflict => 'ERROR');
SELECT etl.start('ask', on_conflict => 'later');

-- parameters
SELECT etl.run('ask', params => '[1]');
SELECT etl.run('ask', params => '"text"');
SELECT etl.run('ask', params => '1');
SELECT etl.run('ask', params => 'null');
SELECT etl.start('ask', params => '[]');
SELECT * FROM pg_temp.try($$SELECT etl.run('ask', params => '{}')$$);
SELECT params FROM etl.run_log WHERE pipeline = 'ask' ORDER BY run_id;

-- an empty pipeline
SELECT etl.create_pipeline('ask_empty');
SELECT etl.run('ask_empty');
SELECT etl.start('ask_empty');
SELECT etl.run('ask_empty', steps => '{a}');
SELECT etl.drop_pipeline('ask_empty');
SELECT etl.run('ask_empty');
DROP SCHEMA ask_empty;

-- the transaction it is called in
BEGIN READ ONLY;
SELECT etl.run('ask');
ROLLBACK;
BEGIN READ ONLY;
SELECT etl.start('ask');
ROLLBACK;
BEGIN;
CREATE TABLE ask.own (a int);
SELECT etl.run('ask');
ROLLBACK;
BEGIN;
SELECT etl.alter_pipeline('ask', '{"max_attempts": 2}');
SELECT etl.run('ask');
ROLLBACK;
-- reading is fine, and so is a transaction block
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM pg_class WHERE relname = 'nothing';
SELECT * FROM pg_temp.try($$SELECT etl.run('ask')$$);
COMMIT;
-- what a savepoint wrote and rolled back was written all the same
BEGIN;
SAVEPOINT s;
CREATE TABLE ask.own (a int);
ROLLBACK TO s;
SELECT etl.run('ask');
ROLLBACK;

-- runs in functions and in expressions, more than one in a statement
SELECT count(etl.run('ask')) FROM generate_series(1, 3);
SELECT etl.run('ask', version => v) IS NOT NULL AS ran FROM (VALUES (1)) AS t (v);

-- etl.start: the number at once; in a transaction that wrote, the run at commit
SELECT etl.start('ask') AS run_id \gset
SELECT etl.wait(:run_id);
SELECT status FROM etl.run_log WHERE run_id = :run_id;
SELECT etl.wait(:run_id);
SELECT etl.wait(:run_id, '0');
SELECT etl.cancel(:run_id);

BEGIN;
CREATE TABLE ask.source AS SELECT 42 AS answer;
SELECT etl.add_step('ask', 'd', 'SELECT answer FROM ask.source');
SELECT etl.start('ask') AS run_id \gset
SELECT count(*) FROM etl.run_log WHERE run_id = :run_id;
SELECT replace(t, :'run_id', 'N') FROM pg_temp.try('SELECT etl.wait(' || :run_id || ')') t;
SELECT replace(t, :'run_id', 'N') FROM pg_temp.try('SELECT etl.cancel(' || :run_id || ')') t;
COMMIT;
SELECT etl.wait(:run_id);
SELECT * FROM ask.d;
SELECT version, status FROM etl.run_log WHERE run_id = :run_id;

-- rolled back, it never was
BEGIN;
CREATE TABLE ask.own (a int);
SELECT etl.start('ask') AS run_id \gset
ROLLBACK;
SELECT replace(t, :'run_id', 'N') FROM pg_temp.try('SELECT etl.wait(' || :run_id || ')') t;
SELECT count(*) FROM etl.run_log WHERE run_id = :run_id;

-- a savepoint that is rolled back takes its runs with it, and no others
BEGIN;
CREATE TABLE ask.own (a int);
SELECT etl.start('ask', on_conflict => 'wait') AS kept \gset
SAVEPOINT one;
SELECT etl.start('ask') AS dropped \gset
SAVEPOINT two;
SELECT etl.start('ask') AS dropped_too \gset
RELEASE two;
ROLLBACK TO one;
SAVEPOINT three;
SELECT etl.start('ask', on_conflict => 'wait') AS kept_too \gset
RELEASE three;
COMMIT;
SELECT etl.wait(:kept), etl.wait(:kept_too);
SELECT count(*) FROM etl.run_log WHERE run_id IN (:dropped, :dropped_too);
DROP TABLE ask.own;

-- a transaction that is prepared has nobody who could start the run
BEGIN;
SELECT etl.create_pipeline('ask_not');
SELECT etl.add_step('ask_not', 'a', 'SELECT 1 AS x');
SELECT etl.start('ask_not') AS run_id \gset
PREPARE TRANSACTION 'not with etl.start';

-- a run that fails
SELECT etl.alter_step('ask', 'd', '{"sql_query": "SELECT 1 / 0 AS answer"}');
SELECT * FROM pg_temp.try($$SELECT etl.run('ask')$$);
SELECT * FROM pg_temp.run_said('ask');
SELECT * FROM pg_temp.steps('ask');
SELECT etl.start('ask') AS run_id \gset
SELECT etl.wait(:run_id);
SELECT * FROM ask.d;

-- a graph that cannot be run
SELECT pg_temp.define('ask_cycle', 'a', 'SELECT 1 AS x FROM c', 'b', 'SELECT x FROM a', 'c', 'SELECT x FROM b');
SELECT etl.run('ask_cycle');
SELECT etl.start('ask_cycle');
SELECT etl.run('ask_cycle', steps => '{a}');
SELECT etl.alter_step('ask_cycle', 'a', '{"sql_query": "SELECT 1 AS x", "depends_on": ["bb"]}');
SELECT etl.run('ask_cycle');
SELECT etl.alter_step('ask_cycle', 'a', '{"depends_on": ["quite another name"]}');
SELECT etl.run('ask_cycle');
SELECT pg_temp.forget('ask_cycle');

-- rights: to others a pipeline does not exist
CREATE ROLE regress_ask_stranger;
SET ROLE regress_ask_stranger;
SELECT etl.run('ask');
SELECT etl.start('ask');
SELECT replace(t, :'run_id', 'N') FROM pg_temp.try('SELECT etl.wait(' || :run_id || ')') t;
SELECT replace(t, :'run_id', 'N') FROM pg_temp.try('SELECT etl.cancel(' || :run_id || ')') t;
RESET ROLE;
DROP ROLE regress_ask_stranger;

-- where it makes no sense
CREATE MATERIALIZED VIEW ask.of_run AS SELECT etl.run('ask');
SELECT etl.add_step('ask', 'waits', $$SELECT etl.wait(1)$$);
SELECT etl.alter_step('ask', 'd', '{"sql_query": "SELECT 4 AS answer"}');
SELECT * FROM pg_temp.try($$SELECT etl.run('ask')$$);
SELECT step, sqlstate, error FROM pg_temp.steps('ask') WHERE status = 'FAILED';
SELECT etl.alter_step('ask', 'waits', $${"sql_query": "SELECT etl.run('ask', on_conflict => 'wait')"}$$);
SELECT * FROM pg_temp.try($$SELECT etl.run('ask')$$);
SELECT etl.alter_step('ask', 'waits', $${"sql_query": "DO 'BEGIN PERFORM etl.run(''ask'', on_conflict => ''wait''); END'"}$$);
SELECT * FROM pg_temp.try($$SELECT etl.run('ask')$$);
SELECT etl.alter_step('ask', 'waits', $${"sql_query": "DO 'BEGIN PERFORM etl.run(''ask''); END'"}$$);
SELECT * FROM pg_temp.try($$SELECT etl.run('ask')$$);
SELECT etl.alter_step('ask', 'waits', $${"sql_query": "DO 'BEGIN PERFORM etl.run(''ask'', on_conflict => ''skip''); END'"}$$);
SELECT * FROM pg_temp.try($$SELECT etl.run('ask')$$);
-- another pipeline it may run
SELECT pg_temp.define('ask_inner', 'a', 'SELECT 5 AS five');
SELECT etl.alter_step('ask', 'waits', $${"sql_query": "DO 'BEGIN PERFORM etl.run(''ask_inner''); END'"}$$);
SELECT * FROM pg_temp.try($$SELECT etl.run('ask')$$);
SELECT * FROM ask_inner.a;
SELECT step, attempt, status, count_rows FROM pg_temp.steps('ask');
SELECT pg_temp.forget('ask_inner');

SELECT pg_temp.forget('ask');
