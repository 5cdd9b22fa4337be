-- From staging to the target schema: what appears, what is replaced, and what
-- is never touched.

\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/test/sql/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

CREATE SCHEMA publish_source;
SET search_path = publish_source, public;
CREATE TABLE source AS SELECT 1 AS n;

-- ---- new names, and the same ones again

SELECT pg_temp.define('publish', 'a', 'SELECT n FROM source', 'b', 'SELECT n * 2 AS n FROM a');
SELECT * FROM pg_temp.try($$SELECT etl.run('publish')$$);
SELECT a.n, b.n FROM publish.a, publish.b;
UPDATE source SET n = 5;
SELECT * FROM pg_temp.try($$SELECT etl.run('publish')$$);
SELECT a.n, b.n FROM publish.a, publish.b;
SELECT relname, relkind, pg_get_userbyid(relowner) = current_user AS own FROM pg_class WHERE relnamespace = 'publish'::regnamespace ORDER BY relname;
SELECT count(*) FROM pg_type WHERE typnamespace = 'publish'::regnamespace;
-- another layout
SELECT etl.alter_step('publish', 'b', '{"sql_query": "SELECT n::text || ''!'' AS t, n FROM a"}');
SELECT * FROM pg_temp.try($$SELECT etl.run('publish')$$);
SELECT * FROM publish.b;

-- ---- somebody's own relations

SELECT etl.add_step('publish', 'own', 'SELECT 3 AS n');
CREATE TABLE publish.own AS SELECT 'mine' AS whose;
SELECT etl.run('publish');
SELECT etl.start('publish');
SELECT etl.run('publish', steps => '{own}');
SELECT * FROM pg_temp.try($$SELECT etl.run('publish', steps => '{a,b}')$$);
SELECT * FROM publish.own;
DROP TABLE publish.own;
CREATE VIEW publish.own AS SELECT 1 AS x;
SELECT etl.run('publish');
DROP VIEW publish.own;
CREATE SEQUENCE publish.own;
SELECT etl.run('publish');
DROP SEQUENCE publish.own;
CREATE INDEX own ON publish.a (n);
SELECT etl.run('publish');
DROP INDEX publish.own;
CREATE TYPE publish.own AS ENUM ('a');
SELECT etl.run('publish');
DROP TYPE publish.own;
-- a step that keeps nothing and a command need no name
CREATE TABLE publish.own AS SELECT 'mine' AS whose;
SELECT etl.alter_step('publish', 'own', '{"keep": false}');
SELECT * FROM pg_temp.try($$SELECT etl.run('publish')$$);
SELECT etl.alter_step('publish', 'own', '{"keep": true, "sql_query": "UPDATE publish_source.source SET n = n"}');
SELECT * FROM pg_temp.try($$SELECT etl.run('publish')$$);
SELECT * FROM publish.own;
SELECT etl.drop_step('publish', 'own');
DROP TABLE publish.own;

-- an output that was renamed or moved is its new owner's
ALTER TABLE publish.a RENAME TO a_kept;
ALTER TABLE publish.b SET SCHEMA publish_source;
UPDATE source SET n = 6;
SELECT * FROM pg_temp.try($$SELECT etl.run('publish')$$);
SELECT a.n, a_kept.n, b.n, bb.n FROM publish.a, publish.a_kept, publish.b, publish_source.b bb;
-- another's table under the name of one that was dropped
DROP TABLE publish.a;
ALTER TABLE publish.a_kept RENAME TO a;
SELECT etl.run('publish');
DROP TABLE publish.a;

-- two pipelines in one schema
SELECT etl.create_pipeline('publish_too', target_schema => 'publish');
SELECT etl.add_step('publish_too', 'b', 'SELECT 9 AS n');
SELECT etl.run('publish_too');
SELECT etl.drop_step('publish_too', 'b');
SELECT etl.add_step('publish_too', 'c', 'SELECT n + 1 AS n FROM publish.b');
SELECT * FROM pg_temp.try($$SELECT etl.run('publish')$$);
SELECT * FROM pg_temp.try($$SELECT etl.run('publish_too')$$);
SELECT * FROM publish.c;
SELECT pipeline, relation FROM etl.output WHERE schema_name = 'publish' ORDER BY 1, relation::text;

-- ---- indexes: their names are nobody's business, and never in the way

SELECT etl.add_step('publish_too', 'i', 'SELECT 1 AS b_c', indexes => '{(b_c)}');
SELECT etl.add_step('publish_too', 'i_b', 'SELECT 1 AS c', indexes => '{(c)}');
SELECT * FROM pg_temp.try($$SELECT etl.run('publish_too', steps => '{i}')$$);
SELECT * FROM pg_temp.try($$SELECT etl.run('publish_too', steps => '{i_b}')$$);
SELECT * FROM pg_temp.try($$SELECT etl.run('publish_too', steps => '{i}')$$);
SELECT * FROM pg_temp.try($$SELECT etl.run('publish_too')$$);
ALTER TABLE publish.i RENAME TO i_kept;
SELECT * FROM pg_temp.try($$SELECT etl.run('publish_too', steps => '{i}')$$);
SELECT tablename, count(DISTINCT indexname) FROM pg_indexes WHERE schemaname = 'publish' GROUP BY 1 ORDER BY 1;
SELECT etl.drop_pipeline('publish_too', drop_tables => true);
DROP TABLE publish.i_kept;

-- ---- who depends on a table

CREATE VIEW dependent AS SELECT n FROM publish.b;
SELECT etl.alter_step('publish', 'b', '{"sql_query": "SELECT n::text AS n FROM a"}');
SELECT * FROM pg_temp.try($$SELECT etl.run('publish')$$);
SELECT * FROM pg_temp.run_said('publish');
SELECT step, status FROM pg_temp.steps('publish');
SELECT * FROM dependent;
-- what it made stays, for etl.resume
SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pg\_etl\_staging%';
DROP VIEW dependent;
SELECT * FROM pg_temp.try($$SELECT etl.run('publish')$$);
SELECT * FROM publish.b;

-- ---- default privileges

CREATE ROLE regress_publish_reader;
GRANT USAGE ON SCHEMA publish TO regress_publish_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA publish GRANT SELECT ON TABLES TO regress_publish_reader;
SELECT etl.add_step('publish', 'granted', 'SELECT 1 AS n');
SELECT * FROM pg_temp.try($$SELECT etl.run('publish')$$);
SELECT has_table_privilege('regress_publish_reader', 'publish.granted', 'SELECT') AS may_read,
	   has_table_privilege('regress_publish_reader', 'publish.granted', 'INSERT') AS may_write;
SET ROLE regress_publish_reader;
SELECT * FROM publish.granted;
RESET ROLE;
ALTER DEFAULT PRIVILEGES IN SCHEMA publish REVOKE SELECT ON TABLES FROM regress_publish_reader;
SELECT etl.drop_step('publish', 'granted');
DROP TABLE publish.granted;
DROP OWNED BY regress_publish_reader;
DROP ROLE regress_publish_reader;

-- ---- the schema is gone, or came back

DROP SCHEMA publish CASCADE;
SELECT etl.run('publish');
CREATE SCHEMA publish;
SELECT * FROM pg_temp.try($$SELECT etl.run('publish')$$);
SELECT count(*) FROM publish.a;
-- a pipeline that moves leaves its tables where they are
SELECT etl.alter_pipeline('publish', '{"target_schema": "publish_moved"}');
SELECT * FROM pg_temp.try($$SELECT etl.run('publish')$$);
SELECT schema_name, relation FROM etl.output WHERE pipeline = 'publish' ORDER BY 1, relation::text;
SELECT etl.drop_pipeline('publish', drop_tables => true);
SELECT count(*) FROM pg_class WHERE relnamespace IN ('publish'::regnamespace, 'publish_moved'::regnamespace);

DROP SCHEMA publish, publish_moved, publish_source CASCADE;
