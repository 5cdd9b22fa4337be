--
-- Who sees and changes what
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_framework;

CREATE ROLE regress_etl_team LOGIN;
CREATE ROLE regress_etl_member LOGIN IN ROLE regress_etl_team;
CREATE ROLE regress_etl_stranger LOGIN;
CREATE ROLE regress_etl_guest LOGIN NOINHERIT IN ROLE regress_etl_team;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_etl_team', current_database()); END $$;

-- a pipeline belongs to the current user
SET ROLE regress_etl_team;
SELECT etl.create_pipeline('etl_team', search_path => 'public');
SELECT etl.add_step('etl_team', 'secret', $$SELECT 'hidden' AS word$$);

-- its members see it, change it and read its versions
SET ROLE regress_etl_member;
SELECT etl.add_step('etl_team', 'more', 'SELECT * FROM secret');
SELECT etl.alter_pipeline('etl_team', '{"max_attempts": 2}');
SELECT pipeline, owner, current_version, max_attempts FROM etl.pipeline;
SELECT version, created_by FROM etl.version ORDER BY version;
SELECT process_name, sql_query FROM etl.metadata ORDER BY step_id;
SELECT process_name FROM etl.metadata_at('etl_team', 2);
SELECT etl.run('etl_team') IS NOT NULL AS ok;
SELECT process_name, relation FROM etl.output ORDER BY process_name;
SELECT pipeline, version, requested_by, status FROM etl.run_log;
SELECT process_name, attempt, status, count_rows FROM etl.log ORDER BY step_id;

-- for others it does not exist, word for word
SET ROLE regress_etl_stranger;
SELECT etl.alter_pipeline('etl_team', '{}');
SELECT etl.alter_pipeline('etl_none', '{}');
SELECT etl.add_step('etl_team', 's', 'SELECT 1 AS x');
SELECT etl.alter_step('etl_team', 'secret', '{}');
SELECT etl.drop_step('etl_team', 'secret');
SELECT etl.drop_pipeline('etl_team');
SELECT * FROM etl.metadata_at('etl_team', 1);
SELECT * FROM etl.metadata_at('etl_none', 1);
SELECT (SELECT count(*) FROM etl.pipeline), (SELECT count(*) FROM etl.version), (SELECT count(*) FROM etl.metadata),
    (SELECT count(*) FROM etl.output), (SELECT count(*) FROM etl.run_log), (SELECT count(*) FROM etl.log),
    (SELECT count(*) FROM etl.progress);
-- only that its name is taken cannot be hidden
SELECT etl.create_pipeline('etl_team');
-- being allowed to SET ROLE is not having the privileges
SET ROLE regress_etl_guest;
SELECT count(*) FROM etl.pipeline;
SELECT etl.drop_pipeline('etl_team');

-- conditions of one's own do not see what the view hides
SET ROLE regress_etl_stranger;
CREATE FUNCTION pg_temp.leak(text) RETURNS bool LANGUAGE plpgsql COST 0.0000001 AS
    $$ BEGIN RAISE WARNING 'leak: %', $1; RETURN true; END $$;
SELECT count(*) FROM etl.pipeline WHERE pg_temp.leak(pipeline);
SELECT count(*) FROM etl.version WHERE pg_temp.leak(pipeline);
SELECT count(*) FROM etl.metadata WHERE pg_temp.leak(sql_query);
SELECT count(*) FROM etl.output WHERE pg_temp.leak(process_name);
SELECT count(*) FROM etl.run_log WHERE pg_temp.leak(pipeline);
SELECT count(*) FROM etl.log WHERE pg_temp.leak(process_name);
SELECT count(*) FROM etl.progress WHERE pg_temp.leak(pipeline);

-- the tables below the views are nobody's
SELECT count(*) FROM etl.pipeline_data;
SELECT count(*) FROM etl.version_data;
SELECT count(*) FROM etl.option_data;
SELECT count(*) FROM etl.step_data;
SELECT count(*) FROM etl.run_data;
SELECT count(*) FROM etl.attempt_data;
SELECT count(*) FROM etl.output_data;
SELECT count(*) FROM etl.metadata_all;
SELECT nextval('etl.run_id_seq');
CREATE TABLE etl.mine (x int);
RESET ROLE;
-- nothing in the schema is open that is not meant to be
SELECT c.relname, c.relkind, has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') AS write
FROM pg_class c, pg_roles r
WHERE c.relnamespace = 'etl'::regnamespace AND c.relkind IN ('r', 'v', 'S') AND r.rolname = 'regress_etl_stranger'
    AND has_table_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
ORDER BY c.relname;

-- target schemas: made with the caller's rights, or the owner can create in it
SET ROLE regress_etl_stranger;
\set VERBOSITY sqlstate
SELECT etl.create_pipeline('etl_stranger');
\set VERBOSITY default
SELECT etl.create_pipeline('etl_stranger', target_schema => 'etl_team');
SELECT etl.create_pipeline('etl_stranger', target_schema => 'pg_catalog');
RESET ROLE;
CREATE SCHEMA etl_given;
GRANT USAGE, CREATE ON SCHEMA etl_given TO regress_etl_stranger;
SET ROLE regress_etl_stranger;
SELECT etl.create_pipeline('etl_stranger', target_schema => 'etl_given');
SELECT pipeline, owner, target_schema FROM etl.pipeline;
-- the owner's rights count, and not those of who changes it
SET ROLE regress_etl_member;
SELECT etl.alter_pipeline('etl_team', '{"target_schema": "etl_given"}');
SELECT etl.alter_pipeline('etl_team', '{"target_schema": "etl_team2"}');
SELECT nspname, nspowner::regrole FROM pg_namespace WHERE nspname = 'etl_team2';

-- settings need the right to set them
SET ROLE regress_etl_stranger;
SELECT etl.add_step('etl_stranger', 's', 'SELECT 1 AS x', settings => '{log_min_messages=debug5}');

-- the framework's SQL means the system's operators, whatever the caller's path finds first
RESET ROLE;
CREATE SCHEMA etl_trap AUTHORIZATION regress_etl_stranger;
SET ROLE regress_etl_stranger;
CREATE FUNCTION etl_trap.eq(text, text) RETURNS bool LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'executed as %', current_user; END $$;
CREATE FUNCTION etl_trap.eq(int, int) RETURNS bool LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'executed as %', current_user; END $$;
CREATE FUNCTION etl_trap.max(int) RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'executed as %', current_user; END $$;
CREATE OPERATOR etl_trap.= (FUNCTION = etl_trap.eq, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR etl_trap.= (FUNCTION = etl_trap.eq, LEFTARG = int, RIGHTARG = int);
-- in a new session, so that nothing is prepared yet
\c -
SET client_min_messages = warning;
SET ROLE regress_etl_stranger;
CREATE TEMP TABLE pipeline_data (pipeline text);
SET search_path = etl_trap, pg_temp, pg_catalog;
SELECT etl.add_step('etl_stranger', 's', 'SELECT 1 AS x');
SELECT etl.alter_step('etl_stranger', 's', '{"description": "d"}');
SELECT process_name, description FROM etl.metadata;
SELECT process_name FROM etl.metadata_at('etl_stranger', 2);
SELECT etl.drop_step('etl_stranger', 's');
RESET search_path;
-- and it leaves nothing behind: identity, settings
SELECT current_user, current_setting('search_path');
SELECT etl.add_step('etl_stranger', 's', 'SELECT 1 AS x');
SELECT etl.add_step('etl_stranger', 's', 'SELECT 1 AS x');
SELECT current_user, current_setting('search_path');

-- no identity but the caller's is taken on where the user's own code could run
SELECT etl.create_pipeline('etl_definer', target_schema => 'etl_given');
CREATE FUNCTION etl_given.define() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM etl.create_pipeline('etl_by_definer', target_schema => 'etl_given');
    RETURN current_user;
END $$;
SET ROLE regress_etl_member;
SELECT etl_given.define();
RESET ROLE;
GRANT USAGE ON SCHEMA etl_given TO regress_etl_team;
SET ROLE regress_etl_member;
SELECT etl_given.define();
SELECT count(*) FROM etl.pipeline WHERE pipeline = 'etl_by_definer';
SET ROLE regress_etl_stranger;
SELECT owner FROM etl.pipeline WHERE pipeline = 'etl_by_definer';

-- tables are dropped as the caller
RESET ROLE;
ALTER SCHEMA etl_team OWNER TO regress_etl_stranger;
ALTER TABLE etl_team.more OWNER TO regress_etl_stranger;
SET ROLE regress_etl_member;
SELECT etl.drop_pipeline('etl_team', drop_tables => true);
RESET ROLE;
ALTER SCHEMA etl_team OWNER TO regress_etl_team;
ALTER TABLE etl_team.more OWNER TO regress_etl_team;
SET ROLE regress_etl_member;
SELECT etl.drop_pipeline('etl_team', drop_tables => true);
SELECT count(*) FROM pg_class WHERE relnamespace = 'etl_team'::regnamespace;
-- and the log is still theirs alone
SELECT count(*) FROM etl.log;
SET ROLE regress_etl_stranger;
SELECT count(*) FROM etl.log;

SET ROLE regress_etl_stranger;
SELECT etl.drop_pipeline(pipeline) FROM etl.pipeline;
RESET ROLE;
DROP OWNED BY regress_etl_team, regress_etl_member, regress_etl_stranger, regress_etl_guest CASCADE;
DROP SCHEMA etl_given CASCADE;
DROP ROLE regress_etl_team, regress_etl_member, regress_etl_stranger, regress_etl_guest;
