--
-- Defining pipelines and steps: what is stored, what is refused and how
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_framework;

CREATE ROLE regress_etl_owner LOGIN;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_etl_owner', current_database()); END $$;
SET ROLE regress_etl_owner;
SET search_path = "$user", public;

--
-- create_pipeline
--

-- the defaults: a target schema of its own name, the caller's search_path with
-- "$user" resolved
SELECT etl.create_pipeline('etl_def');
-- and everything
SELECT etl.create_pipeline('etl Def 2', target_schema => 'etl_def', search_path => 'Public, "Two Words",pg_catalog',
    max_parallel => 1024, max_attempts => 1000, retry_delay => '0', retry_on => '{any,transient,40001,23}',
    step_timeout => '1 day 1 ms', run_timeout => '1 year 1 month', ordering => 'staged',
    durability => 'outputs', description => '');
SELECT etl.create_pipeline('etl_def_null', target_schema => 'etl_def', max_attempts => NULL, retry_delay => NULL,
    retry_on => NULL, ordering => NULL, durability => NULL);
\x on
SELECT pipeline, owner, target_schema, current_version, search_path, max_parallel, max_attempts, retry_delay,
    retry_on, step_timeout, run_timeout, ordering, durability, description
FROM etl.pipeline WHERE owner = 'regress_etl_owner'::regrole ORDER BY pipeline COLLATE "C";
\x off
SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'etl_def';

SELECT etl.create_pipeline(NULL);
SELECT etl.create_pipeline('');
SELECT etl.create_pipeline('etl_def');
SELECT etl.create_pipeline(repeat('ä', 32), target_schema => 'etl_def');
SELECT etl.create_pipeline('p', target_schema => '');
SELECT etl.create_pipeline('p', target_schema => repeat('x', 64));
SELECT etl.create_pipeline('etl');
SELECT etl.create_pipeline('p', target_schema => 'pg_new');
SELECT etl.create_pipeline('p', target_schema => 'information_schema');
SELECT etl.create_pipeline('p', search_path => 'a, "b');
SELECT etl.create_pipeline('p', max_parallel => 0);
SELECT etl.create_pipeline('p', max_parallel => 1025);
SELECT etl.create_pipeline('p', max_attempts => 0);
SELECT etl.create_pipeline('p', max_attempts => 1001);
SELECT etl.create_pipeline('p', retry_delay => '-1 s');
SELECT etl.create_pipeline('p', step_timeout => '0');
SELECT etl.create_pipeline('p', run_timeout => '101 years');
SELECT etl.create_pipeline('p', retry_on => '{transient,4000}');
SELECT etl.create_pipeline('p', retry_on => '{transient,NULL}');
SELECT etl.create_pipeline('p', retry_on => '{{any},{any}}');
SELECT etl.create_pipeline('p', ordering => 'Staged');
SELECT etl.create_pipeline('p', durability => 'logged');
-- nothing of that has left anything
SELECT count(*) FROM etl.pipeline WHERE owner = 'regress_etl_owner'::regrole;
SELECT nspname FROM pg_namespace WHERE nspname IN ('p', 'pg_new');

-- the statement that calls may not write
BEGIN READ ONLY;
SELECT etl.create_pipeline('p');
ROLLBACK;
BEGIN READ ONLY;
SELECT etl.add_step('etl_def', 's', 'SELECT 1 AS x');
ROLLBACK;

--
-- alter_pipeline
--
SELECT etl.alter_pipeline('etl_def', '{"max_parallel": 3, "retry_delay": "90 s", "retry_on": ["any"],
    "ordering": "staged", "durability": "all", "description": "d", "search_path": "pg_catalog",
    "run_timeout": "1 h"}');
SELECT current_version, max_parallel, max_attempts, retry_delay, retry_on, ordering, durability, description,
    search_path, run_timeout
FROM etl.pipeline WHERE pipeline = 'etl_def';
SELECT etl.alter_pipeline('etl_def', '{"max_parallel": null, "retry_delay": null, "retry_on": null, "ordering": null,
    "durability": null, "description": null, "search_path": null, "run_timeout": null, "target_schema": null}');
SELECT current_version, max_parallel, max_attempts, retry_delay, retry_on, ordering, durability, description,
    search_path, run_timeout
FROM etl.pipeline WHERE pipeline = 'etl_def';
-- no difference, no version
SELECT etl.alter_pipeline('etl_def', '{}');
SELECT etl.alter_pipeline('etl_def', '{"max_attempts": 3, "retry_delay": "1000 ms"}');
SELECT current_version FROM etl.pipeline WHERE pipeline = 'etl_def';

SELECT etl.alter_pipeline(NULL, '{}');
SELECT etl.alter_pipeline('etl_def', NULL);
SELECT etl.alter_pipeline('etl_de', '{}');
SELECT etl.alter_pipeline('etl_def', '[]');
SELECT etl.alter_pipeline('etl_def', '1');
SELECT etl.alter_pipeline('etl_def', '{"max_paralel": 1}');
SELECT etl.alter_pipeline('etl_def', '{"xyz": 1}');
SELECT etl.alter_pipeline('etl_def', '{"pipeline": "other"}');
SELECT etl.alter_pipeline('etl_def', '{"owner": "postgres"}');
SELECT etl.alter_pipeline('etl_def', '{"max_parallel": "1"}');
SELECT etl.alter_pipeline('etl_def', '{"max_parallel": 1.5}');
SELECT etl.alter_pipeline('etl_def', '{"max_parallel": 1e30}');
SELECT etl.alter_pipeline('etl_def', '{"max_parallel": -99999999999999999999}');
SELECT etl.alter_pipeline('etl_def', '{"retry_on": "any"}');
SELECT etl.alter_pipeline('etl_def', '{"retry_on": {"any": 1}}');
SELECT etl.alter_pipeline('etl_def', '{"retry_on": ["any", 1]}');
SELECT etl.alter_pipeline('etl_def', '{"retry_on": ["any", null]}');
SELECT etl.alter_pipeline('etl_def', '{"retry_delay": 1}');
SELECT etl.alter_pipeline('etl_def', '{"retry_delay": "soon"}');
SELECT etl.alter_pipeline('etl_def', '{"description": true}');
SELECT etl.alter_pipeline('etl_def', '{"ordering": "none"}');
SELECT etl.alter_pipeline('etl_def', '{"target_schema": "etl"}');

--
-- add_step
--
SELECT etl.add_step('etl_def', 'extract', 'SELECT 1 AS id, 2 AS amount');
SELECT etl.add_step('etl_def', 'load',
    'INSERT INTO target SELECT * FROM extract JOIN "Odd Name" USING (id) JOIN other.extract USING (id)');
SELECT etl.add_step('etl_def', 'Odd Name', 'SELECT * FROM etl_def.extract', depends_on => '{load2}', execution_order => -5,
    broadcast => true, cache => true, persist => false, repartition => 4, repartition_by => '{id}',
    keep => false, indexes => '{(id),UNIQUE (amount DESC) WHERE id > 0,USING gin (id)}',
    settings => '{work_mem=1MB," enable_sort = off ",my.own=a=b}', max_attempts => 7, step_timeout => '00:00:01.5',
    description => 'odd', step_id => 100);
SELECT etl.add_step('etl_def', 'load2', 'VACUUM', depends_on => '{}', broadcast => NULL, cache => NULL, keep => NULL);
\x on
SELECT * FROM etl.metadata WHERE pipeline = 'etl_def' ORDER BY step_id;
\x off

SELECT etl.add_step(NULL, 's', 'SELECT 1 AS x');
SELECT etl.add_step('etl_def', NULL, 'SELECT 1 AS x');
SELECT etl.add_step('etl_def', 's', NULL);
SELECT etl.add_step('nothing', 's', 'SELECT 1 AS x');
SELECT etl.add_step('etl_def', '', 'SELECT 1 AS x');
SELECT etl.add_step('etl_def', repeat('s', 64), 'SELECT 1 AS x');
SELECT etl.add_step('etl_def', 'extract', 'SELECT 1 AS x');
SELECT etl.add_step('etl_def', 's', 'SELECT 1 AS x', step_id => 100);
SELECT etl.add_step('etl_def', 's', 'SELECT 1 AS x', step_id => 0);
SELECT etl.add_step('etl_def', 's', 'SELECT 1 AS x FORM t');
SELECT etl.add_step('etl_def', 's', '-- nothing');
SELECT etl.add_step('etl_def', 's', 'BEGIN');
SELECT etl.add_step('etl_def', 's', 'SELECT * FROM s');
SELECT etl.add_step('etl_def', 's', 'SELECT * FROM etl_def.s');
SELECT etl.add_step('etl_def', 's', 'SELECT 1 AS x', depends_on => '{extract,s}');
SELECT etl.add_step('etl_def', 's', 'SELECT 1 AS x', depends_on => '{""}');
SELECT etl.add_step('etl_def', 's', 'SELECT 1 AS x', depends_on => '{NULL}');
SELECT etl.add_step('etl_def', 's', 'SELECT 1 AS x', repartition => 0);
SELECT etl.add_step('etl_def', 's', 'SELECT 1 AS x', repartition => 1025);
SELECT etl.add_step('etl_def', 's', 'SELECT 1 AS x', repartition_by => '{x}');
SELECT etl.add_step('etl_def', 's', 'SELECT 1 AS x', indexes => '{(x),x}');
SELECT etl.add_step('etl_def', 's', 'SELECT 1 AS x', checks => '{NOT NULL (x),x}');
SELECT etl.add_step('etl_def', 's', 'SELECT 1 AS x', max_attempts => 0);
SELECT etl.add_step('etl_def', 's', 'SELECT 1 AS x', step_timeout => '-1 day');
SELECT etl.add_step('etl_def', 's', 'SELECT 1 AS x', settings => '{work_mem}');
SELECT etl.add_step('etl_def', 's', 'SELECT 1 AS x', settings => '{=1}');
SELECT etl.add_step('etl_def', 's', 'SELECT 1 AS x', settings => '{wrok_mem=1MB}');
SELECT etl.add_step('etl_def', 's', 'SELECT 1 AS x', settings => '{work_mem=much}');
SELECT etl.add_step('etl_def', 's', 'SELECT 1 AS x', settings => '{search_path=public}');
SELECT etl.add_step('etl_def', 's', 'SELECT 1 AS x', settings => '{Statement_Timeout=1}');
SELECT etl.add_step('etl_def', 's', 'SELECT 1 AS x', settings => '{row_security=off}');
SELECT etl.add_step('etl_def', 's', 'SELECT 1 AS x', settings => '{etl_framework.max_parallel=1}');
SELECT etl.add_step('etl_def', 's', 'SELECT 1 AS x', settings => '{shared_buffers=1GB}');
SELECT etl.add_step('etl_def', 's', 'SELECT 1 AS x', settings => '{session_replication_role=replica}');
-- what a step without a table cannot have
SELECT etl.add_step('etl_def', 's', 'TRUNCATE t', cache => true);
SELECT etl.add_step('etl_def', 's', 'TRUNCATE t', persist => false);
SELECT etl.add_step('etl_def', 's', 'TRUNCATE t', repartition => 2);
SELECT etl.add_step('etl_def', 's', 'TRUNCATE t', keep => false);
SELECT etl.add_step('etl_def', 's', 'TRUNCATE t', indexes => '{(x)}');
SELECT etl.add_step('etl_def', 's', 'TRUNCATE t', checks => '{CHECK (true)}');

--
-- alter_step
--
SELECT etl.alter_step('etl_def', 'Odd Name', '{"sql_query": "SELECT * FROM extract", "depends_on": null, "execution_order": 0,
    "broadcast": false, "cache": null, "persist": true, "repartition": null, "repartition_by": null, "keep": true,
    "indexes": ["(id)"], "checks": [], "settings": null, "max_attempts": null, "step_timeout": "2 s"}');
\x on
SELECT * FROM etl.metadata WHERE pipeline = 'etl_def' AND process_name = 'Odd Name';
\x off
-- null and false are not the same, nor are 0 and null
SELECT etl.alter_step('etl_def', 'Odd Name', '{"persist": false}');
SELECT etl.alter_step('etl_def', 'Odd Name', '{"persist": null, "execution_order": null, "indexes": []}');
SELECT version, persist, execution_order, indexes FROM etl.metadata
WHERE pipeline = 'etl_def' AND process_name = 'Odd Name';
SELECT etl.alter_step('etl_def', 'Odd Name', '{"persist": null, "step_timeout": "2000 ms", "sql_query": "SELECT * FROM extract"}');
SELECT current_version FROM etl.pipeline WHERE pipeline = 'etl_def';
-- a step may change its kind
SELECT etl.alter_step('etl_def', 'load2', '{"sql_query": "SELECT 1 AS one"}');
SELECT kind FROM etl.metadata WHERE pipeline = 'etl_def' AND process_name = 'load2';
SELECT etl.alter_step('etl_def', 'load2', '{"cache": true}');
SELECT etl.alter_step('etl_def', 'load2', '{"sql_query": "VACUUM"}');
SELECT etl.alter_step('etl_def', 'load2', '{"sql_query": "VACUUM", "cache": null}');

SELECT etl.alter_step('etl_def', NULL, '{}');
SELECT etl.alter_step('etl_def', 'load2', NULL);
SELECT etl.alter_step('etl_def', 'load22', '{}');
SELECT etl.alter_step('etl_def', 'something else', '{}');
SELECT etl.alter_step('etl_def', 'load2', '{"process_name": "load3"}');
SELECT etl.alter_step('etl_def', 'load2', '{"step_id": 7}');
SELECT etl.alter_step('etl_def', 'load2', '{"depend_on": ["load"]}');
SELECT etl.alter_step('etl_def', 'load2', '{"sql_query": null}');
SELECT etl.alter_step('etl_def', 'load2', '{"broadcast": "true"}');
SELECT etl.alter_step('etl_def', 'load2', '{"execution_order": 2147483648}');
SELECT etl.alter_step('etl_def', 'load2', '{"depends_on": "load"}');
SELECT etl.alter_step('etl_def', 'extract', '{"sql_query": "SELECT ("}');
SELECT etl.alter_step('etl_def', 'extract', '{"sql_query": "SELECT * FROM etl_def.extract"}');

--
-- drop_step
--
SELECT etl.drop_step('etl_def', 'load');
SELECT etl.drop_step('etl_def', 'load');
SELECT etl.drop_step('etl_def', NULL);
SELECT etl.drop_step(NULL, 'load');
SELECT step_id, process_name FROM etl.metadata WHERE pipeline = 'etl_def' ORDER BY step_id;

--
-- the steps together: what is found when a pipeline is run, before anything runs
--
SELECT etl.create_pipeline('etl_graph', target_schema => 'etl_def');
-- names are compared as names, however they are quoted
SET quote_all_identifiers = on;
SELECT etl.add_step('etl_graph', 'a', 'SELECT 1 AS x');
RESET quote_all_identifiers;
SELECT etl.add_step('etl_graph', 'select', 'SELECT * FROM "a"');
SELECT etl.add_step('etl_graph', 'a.b', 'SELECT * FROM etl_def."select"');
SELECT etl.add_step('etl_graph', 'last', 'SELECT * FROM "a.b", a.b', depends_on => '{a}');
SELECT process_name, depends_on FROM etl.metadata WHERE pipeline = 'etl_graph' ORDER BY step_id;

-- selecting
SELECT etl.run('etl_graph', steps => '{}');
SELECT etl.run('etl_graph', steps => '{NULL}');
SELECT etl.run('etl_graph', steps => '{""}');
SELECT etl.run('etl_graph', steps => '{+}');

-- dependencies
SELECT etl.alter_step('etl_graph', 'last', '{"depends_on": ["seletc"]}');
SELECT etl.run('etl_graph');
SELECT etl.alter_step('etl_graph', 'last', '{"depends_on": ["from outside"]}');
SELECT etl.run('etl_graph');
SELECT etl.alter_step('etl_graph', 'last', '{"depends_on": null}');
SELECT etl.alter_step('etl_graph', 'a', '{"sql_query": "SELECT * FROM \"a.b\""}');
SELECT etl.run('etl_graph');
SELECT etl.alter_step('etl_graph', 'a', '{"sql_query": "SELECT 1 AS x", "depends_on": ["last"]}');
SELECT etl.run('etl_graph');
SELECT etl.alter_step('etl_graph', 'a', '{"depends_on": null}');
-- a step can come to refer to itself when the target schema changes
SELECT etl.create_pipeline('etl_self', target_schema => 'etl_def');
SELECT etl.add_step('etl_self', 'a', 'SELECT * FROM etl_self.a');
SELECT etl.alter_pipeline('etl_self', '{"target_schema": "etl_self"}');
SELECT etl.run('etl_self');
-- orders
SELECT etl.alter_step('etl_graph', 'select', '{"execution_order": 7}');
SELECT etl.alter_pipeline('etl_graph', '{"ordering": "staged"}');
SELECT etl.run('etl_graph');
-- a long cycle
SELECT etl.create_pipeline('etl_long', target_schema => 'etl_def');
SELECT count(etl.add_step('etl_long', 's' || i, 'SELECT * FROM s' || i % 30 + 1)) FROM generate_series(1, 30) i;
SELECT etl.run('etl_long');

--
-- names that are taken, and tables that are not there
--
SELECT etl.create_pipeline('etl_taken', search_path => '');
SELECT etl.add_step('etl_taken', 'a', 'SELECT 1 AS x');
SELECT etl.add_step('etl_taken', 'b', 'SELECT * FROM a');
SELECT etl.add_step('etl_taken', 'tmp', 'SELECT * FROM b', keep => false);
SELECT etl.add_step('etl_taken', 'b+', 'SELECT x + 1 AS x FROM tmp');
SELECT etl.add_step('etl_taken', 'command', 'DELETE FROM a WHERE x < 0');
CREATE VIEW etl_taken.b AS SELECT 1 AS mine;
SELECT etl.run('etl_taken') IS NOT NULL AS ok;
DROP VIEW etl_taken.b;
CREATE TYPE etl_taken.b AS ENUM ('mine');
SELECT etl.run('etl_taken') IS NOT NULL AS ok;
DROP TYPE etl_taken.b;
-- what no selected step publishes may be taken
CREATE TABLE etl_taken.tmp (mine int);
SELECT etl.run('etl_taken', steps => '{b}') IS NOT NULL AS ok;
SELECT etl.run('etl_taken', steps => '{command}') IS NOT NULL AS ok;
SELECT etl.run('etl_taken', steps => '{a}') IS NOT NULL AS ok;
SELECT etl.run('etl_taken', steps => '{b}') IS NOT NULL AS ok;
SELECT etl.run('etl_taken', steps => '{b+}') IS NOT NULL AS ok;
SELECT etl.run('etl_taken', steps => '{+b++}') IS NOT NULL AS ok;
SELECT process_name, schema_name, relation, count_rows FROM etl.output WHERE pipeline = 'etl_taken' ORDER BY process_name;
SELECT steps, step_count, status FROM etl.run_log WHERE pipeline = 'etl_taken' AND status = 'SUCCESS' ORDER BY run_id;
SELECT etl.run('etl_taken', steps => '{c}');
SELECT etl.run('etl_taken', steps => '{+nothing like it+}');
-- a table that was replaced by hand is not ours any more
DROP TABLE etl_taken.a;
SELECT process_name, relation FROM etl.output WHERE pipeline = 'etl_taken' ORDER BY process_name;
CREATE TABLE etl_taken.a (x int);
SELECT etl.run('etl_taken', steps => '{b}') IS NOT NULL AS ok;
SELECT etl.run('etl_taken') IS NOT NULL AS ok;

--
-- drop_pipeline
--
SELECT etl.drop_pipeline(NULL);
SELECT etl.drop_pipeline('nothing');
-- what depends on the tables protects them
CREATE VIEW etl_def.on_b AS SELECT * FROM etl_taken.b;
SELECT etl.drop_pipeline('etl_taken', drop_tables => true);
DROP VIEW etl_def.on_b;
SELECT etl.drop_pipeline('etl_taken', drop_tables => true);
-- somebody's own tables stay
SELECT relname FROM pg_class WHERE relnamespace = 'etl_taken'::regnamespace ORDER BY relname;
SELECT count(*) FROM etl.output WHERE pipeline = 'etl_taken';
SELECT count(*) FROM etl.metadata WHERE pipeline = 'etl_taken';
SELECT count(*) FROM etl.version WHERE pipeline = 'etl_taken';
-- the log stays, also when the name is used again
SELECT count(*) FROM etl.run_log WHERE pipeline = 'etl_taken' AND status = 'SUCCESS';
SELECT etl.create_pipeline('etl_taken');
SELECT current_version FROM etl.pipeline WHERE pipeline = 'etl_taken';
SELECT etl.drop_pipeline('etl_taken');

--
-- clean up
--
SELECT etl.drop_pipeline(pipeline) FROM etl.pipeline WHERE owner = 'regress_etl_owner'::regrole;
RESET ROLE;
DROP OWNED BY regress_etl_owner CASCADE;
DROP ROLE regress_etl_owner;
