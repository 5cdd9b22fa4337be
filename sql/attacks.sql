-- What a tenant plants is executed as that tenant, never as the owner of the etl tables, nor as
-- a superuser who happens to run the pipeline.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE ROLE attacker LOGIN;
CREATE SCHEMA attack AUTHORIZATION attacker;
SET ROLE attacker;
CREATE TABLE attack.seen (what text, as_whom name);
GRANT USAGE ON SCHEMA attack TO PUBLIC;
GRANT ALL ON attack.seen TO PUBLIC;
CREATE TYPE attack.key AS ENUM ('a', 'b');
CREATE FUNCTION attack.key_to_text(attack.key) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO attack.seen VALUES ('cast', current_user);
	RETURN enum_out($1)::text;
END $$;
CREATE CAST (attack.key AS text) WITH FUNCTION attack.key_to_text AS IMPLICIT;
SELECT etl.create_pipeline('attack', target_schema => 'attack', max_attempts => 1);
SELECT etl.add_step('attack', 'parent', $$SELECT unnest(ARRAY['a', 'b']) AS id$$, persist => true);
SELECT etl.add_step('attack', 'child', $$SELECT k AS id FROM unnest(enum_range(NULL::attack.key)) k$$,
	execution_order => 2);
SELECT etl.run('attack') > 0 AS ran;
ALTER TABLE attack.parent ADD PRIMARY KEY (id);
ALTER TABLE attack.child ADD CONSTRAINT child_parent FOREIGN KEY (id) REFERENCES attack.parent;
TRUNCATE attack.seen;
-- the key is verified, and what that executes is the tenant's
RESET ROLE;
SELECT etl.run('attack') > 0 AS ran;
SELECT DISTINCT what, as_whom FROM attack.seen;
TRUNCATE attack.seen;
-- also where it does not hold, and the key is shown
SET ROLE attacker;
SELECT etl.alter_step('attack', 'parent', '{"sql_query": "SELECT ''a''::text AS id"}');
RESET ROLE;
\set VERBOSITY default
SELECT etl.run('attack');
\set VERBOSITY terse
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
\set VERBOSITY default
SELECT etl.run('attack');
SET SESSION AUTHORIZATION attacker;
SELECT etl.run('attack');
RESET SESSION AUTHORIZATION;
GRANT SELECT ON attack.elsewhere TO attacker;
SELECT etl.run('attack');
ALTER TABLE attack.elsewhere ENABLE ROW LEVEL SECURITY;
SELECT etl.run('attack');
TRUNCATE attack.seen;
\set VERBOSITY terse
UPDATE attack.elsewhere SET id = 'a';
TRUNCATE attack.seen;
SELECT etl.run('attack') > 0 AS ran;
SELECT DISTINCT what, as_whom FROM attack.seen;
SELECT etl.drop_pipeline('attack', drop_tables => false);
DROP SCHEMA attack CASCADE;
DROP ROLE attacker, other_owner;
