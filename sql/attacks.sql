-- What a tenant plants is executed as that tenant, never as the owner of the etl tables, nor as
-- a superuser who happens to run the pipeline.

\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/test/sql/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all
\set VERBOSITY terse

CREATE ROLE attacker LOGIN;
CREATE SCHEMA attack AUTHORIZATION attacker;
SET ROLE attacker;
CREATE TABLE attack.seen (what text, as_whom name);
GRANT USAGE ON SCHEMA attack TO PUBLIC;
GRANT ALL ON attack.seen TO PUBLIC;
CREATE TYPE attack.key AS ENUM ('a', 'b');
CREATE FUNCTION attack.key_to_int(attack.key) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO attack.seen VALUES ('cast', current_user);
	RETURN CASE enum_out($1)::text WHEN 'a' THEN 1 ELSE 2 END;
END $$;
CREATE CAST (attack.key AS int) WITH FUNCTION attack.key_to_int AS IMPLICIT;
SELECT etl.create_pipeline('attack', target_schema => 'attack', max_attempts => 1);
SELECT etl.add_step('attack', 'parent', $$SELECT unnest(ARRAY[1, 2]) AS id$$, persist => true);
SELECT etl.add_step('attack', 'child', $$SELECT k AS id FROM unnest(enum_range(NULL::attack.key)) k$$,
	execution_order => 2);
SELECT * FROM pg_temp.try($$SELECT etl.run('attack')$$);
ALTER TABLE attack.parent ADD PRIMARY KEY (id);
ALTER TABLE attack.child ADD CONSTRAINT child_parent FOREIGN KEY (id) REFERENCES attack.parent;
TRUNCATE attack.seen;
-- the key is verified, and what that executes is the tenant's
RESET ROLE;
SELECT * FROM pg_temp.try($$SELECT etl.run('attack')$$);
SELECT DISTINCT what, as_whom FROM attack.seen;
TRUNCATE attack.seen;
-- also where it does not hold, and the key is shown
SET ROLE attacker;
SELECT etl.alter_step('attack', 'parent', '{"sql_query": "SELECT 1 AS id"}');
RESET ROLE;
SELECT * FROM pg_temp.try($$SELECT etl.run('attack')$$);
SELECT DISTINCT what, as_whom FROM attack.seen;
SELECT rolsuper FROM pg_roles WHERE rolname = 'attacker';
-- each table is read as its owner, and keys are not shown to who may not read all of them
CREATE ROLE other_owner;
CREATE TABLE attack.elsewhere (id attack.key);
ALTER TABLE attack.elsewhere OWNER TO other_owner;
SET ROLE attacker;
GRANT REFERENCES, SELECT ON attack.parent TO other_owner;
RESET ROLE;
ALTER TABLE attack.child DROP CONSTRAINT child_parent;
ALTER TABLE attack.elsewhere ADD CONSTRAINT elsewhere_parent FOREIGN KEY (id) REFERENCES attack.parent;
SET ROLE attacker;
REVOKE SELECT ON attack.parent FROM other_owner;
RESET ROLE;
INSERT INTO attack.elsewhere VALUES ('b');
SELECT * FROM pg_temp.try($$SELECT etl.run('attack')$$);
SET SESSION AUTHORIZATION attacker;
SELECT * FROM pg_temp.try($$SELECT etl.run('attack')$$);
RESET SESSION AUTHORIZATION;
GRANT SELECT ON attack.elsewhere TO attacker;
SELECT * FROM pg_temp.try($$SELECT etl.run('attack')$$);
ALTER TABLE attack.elsewhere ENABLE ROW LEVEL SECURITY;
SELECT * FROM pg_temp.try($$SELECT etl.run('attack')$$);
TRUNCATE attack.seen;
UPDATE attack.elsewhere SET id = 'a';
TRUNCATE attack.seen;
SELECT * FROM pg_temp.try($$SELECT etl.run('attack')$$);
SELECT DISTINCT what, as_whom FROM attack.seen;
SELECT etl.drop_pipeline('attack', drop_tables => false);
DROP SCHEMA attack CASCADE;
DROP ROLE attacker, other_owner;
-- what a table's owner has defined is not executed as the owner of a partition, nor the other way round
CREATE ROLE attacker LOGIN;
CREATE ROLE other_owner LOGIN;
CREATE SCHEMA attack AUTHORIZATION other_owner;
GRANT ALL ON SCHEMA attack TO attacker;
SET ROLE other_owner;
SELECT etl.create_pipeline('attack', target_schema => 'attack', max_attempts => 1);
SELECT etl.add_step('attack', 'parts', 'SELECT g AS id FROM generate_series(1, 10) g', repartition => 2);
SELECT * FROM pg_temp.try($$SELECT etl.run('attack')$$);
RESET ROLE;
ALTER TABLE attack.parts_p0 OWNER TO attacker;
SET ROLE attacker;
CREATE FUNCTION attack.trap(int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF current_user <> 'attacker' THEN
		RAISE EXCEPTION 'executed as %', current_user;
	END IF;
	RETURN true;
END $$;
ALTER TABLE attack.parts_p0 ADD CHECK (attack.trap(id));
RESET ROLE;
SELECT * FROM pg_temp.try($$SELECT etl.run('attack')$$);
DROP SCHEMA attack CASCADE;
SELECT etl.drop_pipeline('attack', drop_tables => false);
DROP ROLE attacker, other_owner;
-- staging is the owner's alone, whatever default privileges say
CREATE ROLE attacker LOGIN;
CREATE ROLE other_owner LOGIN;
CREATE SCHEMA attack AUTHORIZATION other_owner;
SET ROLE other_owner;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC;
SELECT etl.create_pipeline('attack', target_schema => 'attack', max_attempts => 1);
SELECT etl.add_step('attack', 'secret', 'SELECT 1 AS n');
SELECT etl.add_step('attack', 'fails', 'SELECT n / 0 AS n FROM secret');
SELECT * FROM pg_temp.try($$SELECT etl.run('attack')$$);
RESET ROLE;
SELECT 'pg_etl_staging_' || pipeline_id AS staging FROM etl.pipeline_data WHERE pipeline = 'attack' AND owner = 'other_owner'::regrole \gset
SET ROLE attacker;
SELECT has_schema_privilege(:'staging', 'USAGE') AS usage, has_schema_privilege(:'staging', 'CREATE') AS create;
RESET ROLE;
-- and what is in one that was given to somebody is not dropped
ALTER SCHEMA :staging OWNER TO attacker;
SELECT * FROM pg_temp.try($$SELECT etl.run('attack')$$);
SELECT count(*) FROM pg_class WHERE relnamespace = :'staging'::regnamespace AND relname = 'secret';
DROP SCHEMA :staging CASCADE;
-- who can create objects in the target schema is named
SELECT severity, message, detail FROM etl.validate('attack');
GRANT CREATE, USAGE ON SCHEMA attack TO attacker, PUBLIC;
SELECT process_name, severity, sqlstate, message, detail, hint FROM etl.validate('attack');
SELECT etl.drop_pipeline('attack', drop_tables => false);
DROP SCHEMA attack CASCADE;
DROP OWNED BY other_owner;
DROP ROLE attacker, other_owner;
