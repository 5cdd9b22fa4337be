-- A table that is partitioned otherwise than before is replaced by another one, which
-- gets all that the old one was beside its rows, or the run fails and says what it
-- could not get.

\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/test/sql/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

CREATE SCHEMA replace_source;
SET search_path = replace_source, public;
CREATE TABLE source AS
SELECT i AS id, i % 10 AS category, repeat('x', 3000) || i AS text FROM generate_series(1, 100) AS i;
CREATE TABLE categories (id int PRIMARY KEY);
INSERT INTO categories SELECT generate_series(0, 9);
CREATE ROLE regress_replace_reader;
CREATE ROLE regress_replace_member;
CREATE ROLE regress_replace_owner LOGIN;
GRANT regress_replace_member TO CURRENT_USER;

-- a column goes, so that there is a gap
SELECT etl.create_pipeline('replace', max_parallel => 1);
SELECT etl.add_step('replace', 'target', 'SELECT 0 AS gone, id, category, text FROM source', indexes => '{(category)}', persist => true);
SELECT * FROM pg_temp.try($$SELECT etl.run('replace')$$);
ALTER TABLE replace.target DROP COLUMN gone;
SELECT etl.alter_step('replace', 'target', '{"sql_query": "SELECT id, category, text FROM source"}');
SELECT * FROM pg_temp.try($$SELECT etl.run('replace')$$);

-- ---- everything that people can do to a table

GRANT SELECT ON replace.target TO regress_replace_reader WITH GRANT OPTION;
GRANT UPDATE (category), INSERT (id, category) ON replace.target TO regress_replace_member;
COMMENT ON TABLE replace.target IS 'of the table';
COMMENT ON COLUMN replace.target.text IS 'of the column';
ALTER TABLE replace.target ENABLE ROW LEVEL SECURITY;
ALTER TABLE replace.target FORCE ROW LEVEL SECURITY;
CREATE POLICY odd ON replace.target TO regress_replace_reader, regress_replace_member USING (id % 2 = 1);
CREATE POLICY itself ON replace.target AS RESTRICTIVE FOR INSERT WITH CHECK (id > (SELECT count(*) FROM replace.target t WHERE t.id < 0));
COMMENT ON POLICY odd ON replace.target IS 'of the policy';
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'not here'; END$$;
CREATE TRIGGER refuse BEFORE INSERT ON replace.target FOR EACH ROW WHEN (new.id > 1000) EXECUTE FUNCTION refuse();
CREATE TRIGGER quiet AFTER UPDATE ON replace.target REFERENCING OLD TABLE AS o FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE CONSTRAINT TRIGGER late AFTER DELETE ON replace.target DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse();
ALTER TABLE replace.target DISABLE TRIGGER quiet;
ALTER TABLE replace.target ENABLE ALWAYS TRIGGER refuse;
COMMENT ON TRIGGER late ON replace.target IS 'of the trigger';
CREATE RULE nothing AS ON DELETE TO replace.target WHERE old.id = 0 DO INSTEAD NOTHING;
COMMENT ON RULE nothing ON replace.target IS 'of the rule';
ALTER TABLE replace.target SET (fillfactor = 50, autovacuum_enabled = off, toast.autovacuum_enabled = off);
ALTER TABLE replace.target ALTER COLUMN text SET STORAGE EXTERNAL, ALTER COLUMN category SET STATISTICS 7, ALTER COLUMN id SET (n_distinct = -0.5);
CREATE SEQUENCE replace.owned OWNED BY replace.target.id;
ALTER TABLE replace.target ALTER COLUMN category SET DEFAULT 3, ALTER COLUMN id SET DEFAULT nextval('replace.owned');
CREATE STATISTICS replace_source.elsewhere (ndistinct, dependencies) ON id, category FROM replace.target;
ALTER STATISTICS elsewhere SET STATISTICS 50;
ALTER STATISTICS elsewhere OWNER TO regress_replace_owner;
COMMENT ON STATISTICS elsewhere IS 'of the statistics object';
ALTER TABLE replace.target ADD PRIMARY KEY (id), ADD CONSTRAINT two_ids UNIQUE (category, id) DEFERRABLE;
COMMENT ON CONSTRAINT two_ids ON replace.target IS 'of the key';
CREATE UNIQUE INDEX mine ON replace.target (category DESC NULLS LAST, id) INCLUDE (text) WITH (fillfactor = 80) WHERE id > 0;
CREATE INDEX expression ON replace.target ((id % 7));
ALTER INDEX replace.expression ALTER COLUMN 1 SET STATISTICS 500;
COMMENT ON INDEX replace.expression IS 'of the index';
CREATE INDEX same ON replace.target (category);
ALTER TABLE replace.target REPLICA IDENTITY USING INDEX target_pkey;
ALTER TABLE replace.target ADD CONSTRAINT positive CHECK (id > 0), ALTER COLUMN category SET NOT NULL,
	ADD CONSTRAINT of_new_rows CHECK (id < 100000) NOT VALID,
	ADD CONSTRAINT known FOREIGN KEY (category) REFERENCES categories ON UPDATE CASCADE;
COMMENT ON CONSTRAINT positive ON replace.target IS 'of the constraint';
COMMENT ON CONSTRAINT known ON replace.target IS 'of the foreign key';

-- Some servers keep a number of their own among a column's options.
CREATE FUNCTION options(text[]) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(o, ' ') FROM unnest($1) AS o WHERE o NOT LIKE 'pg_attver=%'
$$;
-- Without the owner, who has all there is to be had.
CREATE FUNCTION grants(aclitem[]) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(regexp_replace(a::text, '/.*', ''), ' ') FROM unnest($1) AS a WHERE a::text NOT LIKE current_user || '=%'
$$;
-- What there is of the table, in words that do not say how it is partitioned.
CREATE FUNCTION described() RETURNS SETOF text LANGUAGE sql AS $$
	WITH target AS (SELECT 'replace.target'::regclass AS oid),
	heaps AS (SELECT c.* FROM pg_class c WHERE c.relkind = 'r' AND (c.oid = 'replace.target'::regclass OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'replace.target'::regclass)))
	SELECT format('table: mine %s acl %s rls %s %s identity %s', relowner::regrole = current_user::regrole, grants(relacl), relrowsecurity, relforcerowsecurity, relreplident) FROM pg_class JOIN target USING (oid)
	UNION ALL SELECT DISTINCT format('heap: options %s toast %s identity %s by %s', h.reloptions, t.reloptions, h.relreplident,
			(SELECT count(*) FROM pg_index i WHERE i.indrelid = h.oid AND i.indisreplident)) FROM heaps h JOIN pg_class t ON t.oid = h.reltoastrelid
	UNION ALL SELECT format('column: %s acl %s options %s storage %s statistics %s not null %s default %s', attname, grants(attacl), options(attoptions), attstorage, nullif(attstattarget, -1), attnotnull, pg_get_expr(adbin, adrelid))
	  FROM pg_attribute JOIN target ON attrelid = oid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attnum > 0 AND NOT attisdropped
	UNION ALL SELECT DISTINCT format('column of heap: %s options %s storage %s statistics %s not null %s default %s', attname, options(attoptions), attstorage, nullif(attstattarget, -1), attnotnull, pg_get_expr(adbin, adrelid))
	  FROM pg_attribute JOIN heaps ON attrelid = heaps.oid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attnum > 0 AND NOT attisdropped
	UNION ALL SELECT format('policy: %s %s %s %s %s %s', polname, polpermissive, polcmd, polroles::regrole[], pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)) FROM pg_policy JOIN target ON polrelid = target.oid
	UNION ALL SELECT format('trigger: %s %s', pg_get_triggerdef(t.oid), tgenabled) FROM pg_trigger t JOIN target ON tgrelid = target.oid WHERE NOT tgisinternal
	UNION ALL SELECT format('rule: %s', definition) FROM pg_rules WHERE schemaname = 'replace'
	UNION ALL SELECT format('statistics: %s target %s owner %s', pg_get_statisticsobjdef(s.oid), stxstattarget, stxowner::regrole) FROM pg_statistic_ext s JOIN target ON stxrelid = target.oid
	UNION ALL SELECT format('index: %s valid %s replica identity %s statistics %s', regexp_replace(replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON '), '_[0-9]+_idx', '_N_idx'), indisvalid, indisreplident, (SELECT nullif(attstattarget, -1) FROM pg_attribute WHERE attrelid = indexrelid AND attnum = 1))
	  FROM pg_index JOIN target ON indrelid = target.oid
	UNION ALL SELECT format('constraint: %s %s', conname, pg_get_constraintdef(c.oid)) FROM pg_constraint c JOIN target ON conrelid = target.oid WHERE contype NOT IN ('n', 't') AND conparentid = 0
	-- from 18 on these have names
	UNION ALL SELECT format('not null: %s', conname) FROM pg_constraint JOIN target ON conrelid = target.oid WHERE contype = 'n'
	UNION ALL SELECT format('sequence: %s owned by %s.%s', objid::regclass, refobjid::regclass, attname) FROM pg_depend JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid WHERE deptype = 'a' AND objid = 'replace.owned'::regclass
	UNION ALL SELECT format('comment: %s', description) FROM pg_description WHERE description LIKE 'of the %'
	ORDER BY 1
$$;
-- an index that the step and its users want is there once
SELECT * FROM pg_temp.try($$SELECT etl.run('replace')$$);
CREATE TABLE before AS SELECT described() AS what;
SELECT * FROM before WHERE what NOT LIKE 'not null:%';

-- The run's verdict; is it another table, in how many partitions, with which rows;
-- what of it is not there any more, or is new.
CREATE FUNCTION pg_temp.changed() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT format('%s partitions, %s rows are right: %s', (SELECT count(*) FROM pg_inherits WHERE inhparent = 'replace.target'::regclass), (SELECT count(*) FROM replace.target),
		NOT EXISTS (SELECT id, category, text FROM replace.target EXCEPT ALL SELECT id, category, text FROM replace_source.source))
	UNION ALL (SELECT 'lost ' || what FROM before EXCEPT SELECT 'lost ' || described())
	UNION ALL (SELECT 'new ' || described() EXCEPT SELECT 'new ' || what FROM before)
$$;
CREATE FUNCTION pg_temp.cut(n int, key text[] DEFAULT '{id}') RETURNS void LANGUAGE sql AS $$
	SELECT etl.alter_step('replace', 'target', jsonb_build_object('repartition', n, 'repartition_by', CASE WHEN n IS NOT NULL THEN to_jsonb(key) END))
$$;

-- ---- a plain table becomes one with partitions

SELECT 'replace.target'::regclass::oid AS was \gset
SELECT pg_temp.cut(2);
SELECT * FROM pg_temp.try($$SELECT etl.run('replace')$$);
SELECT * FROM pg_temp.changed();
SELECT 'replace.target'::regclass::oid <> :was AS another;

-- ---- and is published again, as it is then

UPDATE source SET text = repeat('y', 3000) || id;
SELECT 'replace.target'::regclass::oid AS was \gset
SELECT * FROM pg_temp.try($$SELECT etl.run('replace')$$);
SELECT * FROM pg_temp.changed();
SELECT 'replace.target'::regclass::oid <> :was AS another;

-- ---- it works

SELECT * FROM pg_temp.try($$INSERT INTO replace.target (id, text) VALUES (1001, 'a') RETURNING id$$);
SELECT * FROM pg_temp.try($$INSERT INTO replace.target (id, text) VALUES (1, 'a') RETURNING id$$);
SELECT * FROM pg_temp.try($$INSERT INTO replace.target (id, text) VALUES (-1, 'a') RETURNING id$$);
SELECT * FROM pg_temp.try($$INSERT INTO replace.target (id, category, text) VALUES (900, 77, 'a') RETURNING id$$);
DELETE FROM categories WHERE id = 3;
INSERT INTO replace.target (id, text) VALUES (900, 'a') RETURNING id, category;
SELECT statistics_name, n_distinct IS NOT NULL AS known FROM pg_stats_ext WHERE tablename = 'target';
GRANT USAGE ON SCHEMA replace TO regress_replace_reader;
SET ROLE regress_replace_reader;
SELECT count(*), min(id), max(id) FROM replace.target;
RESET ROLE;

-- ---- another number of partitions, another key, none

SELECT pg_temp.cut(3);
SELECT * FROM pg_temp.try($$SELECT etl.run('replace')$$);
SELECT * FROM pg_temp.changed();
SELECT pg_temp.cut(3, '{category}');
SELECT * FROM pg_temp.try($$SELECT etl.run('replace')$$);
ALTER TABLE replace.target DROP CONSTRAINT target_pkey;
ALTER TABLE replace.target REPLICA IDENTITY FULL;
SELECT * FROM pg_temp.try($$SELECT etl.run('replace')$$);
SELECT * FROM pg_temp.changed();
SELECT pg_temp.cut(NULL);
SELECT * FROM pg_temp.try($$SELECT etl.run('replace')$$);
ALTER TABLE replace.target ADD PRIMARY KEY (id);
ALTER TABLE replace.target REPLICA IDENTITY USING INDEX target_pkey;
SELECT * FROM pg_temp.changed();
-- other rows do not obey
INSERT INTO source VALUES (101, 42, 'a');
SELECT pg_temp.cut(2);
SELECT * FROM pg_temp.try($$SELECT etl.run('replace')$$);
DELETE FROM source WHERE id = 101;
SELECT * FROM pg_temp.changed();
-- a column goes, and with it what is of that column alone
ALTER TABLE replace.target DROP CONSTRAINT known;
ALTER TABLE replace.target ADD CONSTRAINT short CHECK (text <> '');
SELECT etl.alter_step('replace', 'target', '{"sql_query": "SELECT id, category, 1.5::numeric AS more FROM source"}');
DROP INDEX replace.mine;
SELECT * FROM pg_temp.try($$SELECT etl.run('replace')$$);
SELECT conname FROM pg_constraint WHERE conrelid = 'replace.target'::regclass AND contype <> 'n' ORDER BY 1;
SELECT count(*), sum(more) FROM replace.target;

-- ---- what partitions have that is not their table's, or not all of them have

SELECT etl.alter_step('replace', 'target', '{"sql_query": "SELECT id, category, text FROM source", "indexes": null}');
SELECT * FROM pg_temp.try($$SELECT etl.run('replace')$$);
SELECT pg_temp.cut(3);
CREATE INDEX one_part ON replace.target_p1 (text);
ALTER TABLE replace.target_p0 SET (fillfactor = 70);
ALTER TABLE replace.target_p0 ADD CONSTRAINT of_p0 CHECK (id <> 77777);
COMMENT ON TABLE replace.target_p1 IS 'of a partition';
CREATE TRIGGER refuse_p1 BEFORE TRUNCATE ON replace.target_p1 EXECUTE FUNCTION refuse();
SELECT * FROM pg_temp.try($$SELECT etl.run('replace')$$);
DROP INDEX replace.one_part;
DROP TRIGGER refuse_p1 ON replace.target_p1;
ALTER TABLE replace.target_p0 DROP CONSTRAINT of_p0;
COMMENT ON TABLE replace.target_p1 IS NULL;
SELECT * FROM pg_temp.try($$SELECT etl.run('replace')$$);
ALTER TABLE replace.target_p1 SET (fillfactor = 70);
CREATE VIEW of_partition AS SELECT count(*) FROM replace.target_p1;
SELECT * FROM pg_temp.try($$SELECT etl.run('replace')$$);
DROP VIEW of_partition;
SELECT * FROM pg_temp.try($$SELECT etl.run('replace')$$);
SELECT DISTINCT reloptions FROM pg_class WHERE relnamespace = 'replace'::regnamespace AND relkind = 'r';

-- ---- what a table with partitions cannot have

SELECT pg_temp.cut(NULL);
SELECT * FROM pg_temp.try($$SELECT etl.run('replace')$$);
CREATE TRIGGER rows AFTER UPDATE ON replace.target REFERENCING NEW TABLE AS n FOR EACH ROW EXECUTE FUNCTION refuse();
ALTER TABLE replace.target CLUSTER ON expression;
ALTER TABLE replace.target ADD CONSTRAINT no_two EXCLUDE USING hash (text WITH =);
ALTER TABLE replace.target ALTER COLUMN id DROP DEFAULT, ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY;
CREATE TABLE refers (id int REFERENCES replace.target);
SELECT pg_temp.cut(2);
SELECT * FROM pg_temp.try($$SELECT etl.run('replace')$$);
DROP TABLE refers;
-- (up to 16 they have no exclusion constraints at all)
SELECT regexp_replace(t, 'exclusion constraint no_two, with partitions', 'exclusion constraint no_two, which lacks column id of the partition key')
  FROM pg_temp.try($$SELECT etl.run('replace')$$) t;
CREATE TABLE parent (category int);
ALTER TABLE replace.target ALTER COLUMN id DROP IDENTITY;
ALTER TABLE replace.target SET WITHOUT CLUSTER;
ALTER TABLE replace.target DROP CONSTRAINT no_two;
DROP TRIGGER rows ON replace.target;
ALTER TABLE replace.target ALTER COLUMN category DROP NOT NULL;
ALTER TABLE replace.target INHERIT parent;
SELECT * FROM pg_temp.try($$SELECT etl.run('replace')$$);
ALTER TABLE replace.target NO INHERIT parent;
SELECT * FROM pg_temp.try($$SELECT etl.run('replace')$$);
SELECT count(*) FROM pg_inherits WHERE inhparent = 'replace.target'::regclass;

-- ---- a key of the table to itself, one of a run's tables to another

SELECT pg_temp.define('replace_keys', 'tree', 'SELECT id, nullif(id - 1, 0) AS up, category FROM replace_source.source', 'kinds', 'SELECT DISTINCT category FROM tree');
SELECT * FROM pg_temp.try($$SELECT etl.run('replace_keys')$$);
ALTER TABLE replace_keys.tree ADD PRIMARY KEY (id);
ALTER TABLE replace_keys.kinds ADD PRIMARY KEY (category);
ALTER TABLE replace_keys.tree ADD CONSTRAINT itself FOREIGN KEY (up) REFERENCES replace_keys.tree;
SELECT etl.alter_step('replace_keys', 'tree', '{"repartition": 2, "repartition_by": ["id"], "persist": true}');
SELECT * FROM pg_temp.try($$SELECT etl.run('replace_keys')$$);
SELECT etl.alter_step('replace_keys', 'tree', '{"repartition": 3}');
SELECT * FROM pg_temp.try($$SELECT etl.run('replace_keys')$$);
-- a partitioned table counts as logged
SELECT etl.alter_step('replace_keys', 'tree', '{"repartition": null, "repartition_by": null, "persist": false}');
SELECT * FROM pg_temp.try($$SELECT etl.run('replace_keys')$$);
ALTER TABLE replace_keys.tree ADD CONSTRAINT kind FOREIGN KEY (category) REFERENCES replace_keys.kinds;
SELECT etl.alter_step('replace_keys', 'tree', '{"repartition": 3, "repartition_by": ["id"]}');
SELECT * FROM pg_temp.try($$SELECT etl.run('replace_keys')$$);
ALTER TABLE replace_keys.tree DROP CONSTRAINT kind;
SELECT etl.alter_step('replace_keys', 'tree', '{"persist": true}');
SELECT etl.alter_step('replace_keys', 'kinds', '{"persist": true}');
SELECT * FROM pg_temp.try($$SELECT etl.run('replace_keys')$$);
ALTER TABLE replace_keys.tree ADD CONSTRAINT kind FOREIGN KEY (category) REFERENCES replace_keys.kinds;
SELECT etl.alter_step('replace_keys', 'tree', '{"repartition": null, "repartition_by": null}');
SELECT * FROM pg_temp.try($$SELECT etl.run('replace_keys')$$);
SELECT conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint WHERE conrelid = 'replace_keys.tree'::regclass AND contype <> 'n' ORDER BY 1;
ALTER TABLE replace_keys.tree DROP CONSTRAINT kind;
ALTER TABLE replace_keys.tree ADD CONSTRAINT kind FOREIGN KEY (category) REFERENCES replace_keys.kinds NOT VALID;
UPDATE replace_keys.tree SET up = NULL WHERE up = 1;
DELETE FROM replace_keys.tree WHERE id = 1;
DELETE FROM replace_keys.tree WHERE id = 50;

-- ---- what is added and dropped while the run is on

SELECT pg_temp.define('replace_late', 'target', 'SELECT id, category, text FROM replace_source.source', 'gate', 'SELECT count(*) AS n, pg_advisory_xact_lock(8342)::text AS locked FROM target');
SELECT * FROM pg_temp.try($$SELECT etl.run('replace_late')$$);
CREATE INDEX goes ON replace_late.target (text);
ALTER TABLE replace_late.target ADD CONSTRAINT goes_too CHECK (id > 0), ADD CONSTRAINT other CHECK (id > 0), ADD CONSTRAINT key UNIQUE (id), ALTER COLUMN category SET NOT NULL;
SELECT etl.alter_step('replace_late', 'target', '{"repartition": 2, "repartition_by": ["id"]}');
CREATE FUNCTION pg_temp.built() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	WHILE NOT EXISTS (SELECT FROM etl.log WHERE process_name = 'target' AND status = 'SUCCESS' AND run_id = (SELECT max(run_id) FROM etl.run_log))
	LOOP
		PERFORM pg_sleep(0.01);
	END LOOP;
END
$$;
SELECT pg_advisory_lock(8342);
SELECT etl.start('replace_late') AS run_id \gset
SELECT pg_temp.built();
DROP INDEX replace_late.goes;
ALTER TABLE replace_late.target DROP CONSTRAINT goes_too, DROP CONSTRAINT other, DROP CONSTRAINT key, ALTER COLUMN category DROP NOT NULL;
ALTER TABLE replace_late.target ADD CONSTRAINT other CHECK (id < 1000), ADD CONSTRAINT key PRIMARY KEY (id), ALTER COLUMN text SET NOT NULL, ALTER COLUMN text SET STORAGE EXTERNAL;
CREATE INDEX comes ON replace_late.target (category);
ALTER TABLE replace_late.target SET (fillfactor = 60);
CREATE POLICY comes ON replace_late.target USING (true);
SELECT pg_advisory_unlock(8342);
SELECT etl.wait(:run_id);
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'replace_late.target'::regclass AND contype <> 'n' ORDER BY 1;
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'replace_late.target'::regclass ORDER BY 1;
SELECT attrelid::regclass, attname, attnotnull, attstorage FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = 'replace_late'::regnamespace AND relname LIKE 'target%' AND relkind IN ('r', 'p') AND attnum > 0 ORDER BY 1, attnum;
SELECT DISTINCT reloptions FROM pg_class WHERE relnamespace = 'replace_late'::regnamespace AND relname LIKE 'target_p_';
SELECT polname FROM pg_policy WHERE polrelid = 'replace_late.target'::regclass;
SELECT pg_advisory_lock(8342);
SELECT etl.alter_step('replace_late', 'target', '{"repartition": 3}');
SELECT etl.start('replace_late') AS run_id \gset
SELECT pg_temp.built();
CREATE VIEW late AS SELECT * FROM replace_late.target_p0;
SELECT pg_advisory_unlock(8342);
SELECT etl.wait(:run_id);
SELECT error FROM pg_temp.run_said('replace_late');
DROP VIEW late;

-- ---- what one partition alone has, and what else depends on a table

SELECT pg_temp.define('replace_odd', 'target', 'SELECT id, category, text FROM replace_source.source');
SELECT etl.alter_step('replace_odd', 'target', '{"repartition": 2, "repartition_by": ["id"], "persist": true}');
SELECT * FROM pg_temp.try($$SELECT etl.run('replace_odd')$$);
ALTER TABLE replace_odd.target_p0 ADD CONSTRAINT known FOREIGN KEY (category) REFERENCES categories, ALTER COLUMN text SET NOT NULL;
ALTER TABLE replace_odd.target_p1 ADD CONSTRAINT two_ids UNIQUE (id) DEFERRABLE;
CREATE TRIGGER odd BEFORE UPDATE ON replace_odd.target FOR EACH ROW EXECUTE FUNCTION refuse();
ALTER TABLE replace_odd.target_p0 DISABLE TRIGGER odd;
COMMENT ON TRIGGER odd ON replace_odd.target_p1 IS 'of a clone';
SELECT etl.alter_step('replace_odd', 'target', '{"repartition": 3}');
-- (from 18 on NOT NULL has a name)
SELECT CASE WHEN part ~* 'not.null' THEN 'NOT NULL' ELSE part END AS part
FROM pg_temp.try($$SELECT etl.run('replace_odd')$$) AS said, regexp_split_to_table(regexp_replace(said, '^.*would not have: ', ''), ', (?=(constraint|NOT NULL|trigger|comment) )') AS part
WHERE said LIKE '%would not have: %';
ALTER TABLE replace_odd.target_p0 DROP CONSTRAINT known, ALTER COLUMN text DROP NOT NULL;
ALTER TABLE replace_odd.target_p1 DROP CONSTRAINT two_ids;
DROP TRIGGER odd ON replace_odd.target;
CREATE TABLE other (id int);
CREATE CONSTRAINT TRIGGER of_other AFTER INSERT ON other FROM replace_odd.target FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE FUNCTION of_many(replace_odd.target[]) RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT * FROM pg_temp.try($$SELECT etl.run('replace_odd')$$);
DROP FUNCTION of_many;
SELECT * FROM pg_temp.try($$SELECT etl.run('replace_odd')$$);
DROP TABLE other;
-- a right that was given and taken is none
GRANT SELECT ON replace_odd.target_p0 TO regress_replace_reader;
REVOKE SELECT ON replace_odd.target_p0 FROM regress_replace_reader;
SELECT etl.alter_step('replace_odd', 'target', '{"repartition": null, "repartition_by": null}');
SELECT * FROM pg_temp.try($$SELECT etl.run('replace_odd')$$);
-- nobody gets at rows through partitions who may not see them in the table
ALTER DEFAULT PRIVILEGES IN SCHEMA replace_odd GRANT SELECT ON TABLES TO PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO regress_replace_reader;
ALTER TABLE replace_odd.target ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_category ON replace_odd.target USING (category = 1);
SELECT etl.alter_step('replace_odd', 'target', '{"repartition": 2, "repartition_by": ["id"]}');
SELECT * FROM pg_temp.try($$SELECT etl.run('replace_odd')$$);
ALTER DEFAULT PRIVILEGES IN SCHEMA replace_odd REVOKE SELECT ON TABLES FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM regress_replace_reader;
SELECT relname, has_table_privilege('regress_replace_reader', oid, 'SELECT') AS may_read, relrowsecurity,
	(SELECT count(*) FROM pg_shdepend d WHERE d.objid = c.oid AND d.refobjid = 'regress_replace_reader'::regrole) AS depends
FROM pg_class c WHERE relnamespace = 'replace_odd'::regnamespace ORDER BY 1;
-- constants are what they were
SET datestyle = 'SQL, DMY';
SET timezone = 'Asia/Shanghai';
CREATE POLICY days ON replace_odd.target USING (timestamptz '2024-01-01 00:00:00+00' < now());
SELECT etl.alter_step('replace_odd', 'target', '{"repartition": 3}');
SELECT * FROM pg_temp.try($$SELECT etl.run('replace_odd')$$);
RESET datestyle;
SET timezone = 'UTC';
SELECT polname, pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polrelid = 'replace_odd.target'::regclass ORDER BY 1;
RESET timezone;

-- ---- columns go, and what is of them

DROP POLICY one_category ON replace_odd.target;
ALTER TABLE replace_odd.target ALTER COLUMN text SET DEFAULT 'none', ADD CONSTRAINT known FOREIGN KEY (category) REFERENCES categories;
CREATE SEQUENCE replace_odd.owned OWNED BY replace_odd.target.text;
SELECT etl.alter_step('replace_odd', 'target', '{"repartition": 2, "sql_query": "SELECT id, id AS text FROM replace_source.source"}');
SELECT * FROM pg_temp.try($$SELECT etl.run('replace_odd')$$);
SELECT attname, format_type(atttypid, NULL) AS type, atthasdef FROM pg_attribute WHERE attrelid = 'replace_odd.target'::regclass AND attnum > 0 AND NOT attisdropped;
SELECT count(*) AS keys FROM pg_constraint WHERE conrelid = 'replace_odd.target'::regclass AND contype = 'f';
SELECT to_regclass('replace_odd.owned') AS sequence;

-- ---- what the owner of a published table has written is executed as that role

CREATE ROLE regress_replace_other;
SELECT pg_temp.define('replace_other', 'target', 'SELECT id, category FROM replace_source.source');
SELECT * FROM pg_temp.try($$SELECT etl.run('replace_other')$$);
GRANT USAGE, CREATE ON SCHEMA replace_source, replace_other TO regress_replace_other;
ALTER TABLE replace_other.target OWNER TO regress_replace_other;
SET ROLE regress_replace_other;
CREATE FUNCTION executes(what text) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
	IF current_user <> 'regress_replace_other' THEN
		RAISE '% is executed by %', what, current_user;
	END IF;
	RETURN true;
END $$;
CREATE INDEX ON replace_other.target (executes('index' || id));
ALTER TABLE replace_other.target ADD CHECK (executes('check' || id));
CREATE STATISTICS replace_other.expressions ON executes('statistics' || id), category FROM replace_other.target;
RESET ROLE;
SELECT * FROM pg_temp.try($$SELECT etl.run('replace_other')$$);
SELECT etl.alter_step('replace_other', 'target', '{"repartition": 2, "repartition_by": ["id"]}');
SELECT * FROM pg_temp.try($$SELECT etl.run('replace_other')$$);
DROP INDEX replace_other.target_executes_idx;
SELECT * FROM pg_temp.try($$SELECT etl.run('replace_other')$$);
SELECT relname, relowner::regrole FROM pg_class WHERE relnamespace = 'replace_other'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1;
SELECT pg_temp.forget('replace_other');
SELECT pg_temp.forget('replace_odd');

-- ---- an index that identified rows was dropped: one that is new does not step in for it

SELECT pg_temp.define('replace_identity', 'target', 'SELECT id, category FROM replace_source.source');
SELECT * FROM pg_temp.try($$SELECT etl.run('replace_identity')$$);
ALTER TABLE replace_identity.target ALTER COLUMN id SET NOT NULL;
CREATE UNIQUE INDEX identity ON replace_identity.target (id);
ALTER TABLE replace_identity.target REPLICA IDENTITY USING INDEX identity;
DROP INDEX replace_identity.identity;
SELECT relname, relreplident FROM pg_class WHERE oid = 'replace_identity.target'::regclass;
SELECT etl.alter_step('replace_identity', 'target', '{"repartition": 2, "repartition_by": ["id"], "indexes": ["UNIQUE (id)"]}');
SELECT * FROM pg_temp.try($$SELECT etl.run('replace_identity')$$);
-- its rows have no identity, as before
SELECT relname, relreplident, indisreplident FROM pg_class c LEFT JOIN pg_index ON indrelid = c.oid
WHERE relnamespace = 'replace_identity'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1;
SELECT pg_temp.forget('replace_identity');

-- ---- what the pipeline's owner may not make; the table stays its owner's

DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_replace_owner', current_database()); END$$;
GRANT regress_replace_member TO regress_replace_owner;
GRANT USAGE ON SCHEMA replace_source TO regress_replace_owner, regress_replace_member;
GRANT SELECT ON source TO regress_replace_owner;
SET ROLE regress_replace_owner;
SELECT pg_temp.define('replace_rights', 'target', 'SELECT id, category FROM replace_source.source');
SELECT * FROM pg_temp.try($$SELECT etl.run('replace_rights')$$);
SELECT etl.alter_step('replace_rights', 'target', '{"repartition": 2, "repartition_by": ["id"], "persist": true}');
RESET ROLE;
CREATE TRIGGER refuse BEFORE INSERT ON replace_rights.target FOR EACH ROW EXECUTE FUNCTION refuse();
REVOKE EXECUTE ON FUNCTION refuse() FROM PUBLIC;
ALTER TABLE replace_rights.target SET LOGGED, ADD CONSTRAINT known FOREIGN KEY (category) REFERENCES categories;
GRANT USAGE, CREATE ON SCHEMA replace_rights TO regress_replace_member;
ALTER TABLE replace_rights.target OWNER TO regress_replace_member;
SET ROLE regress_replace_owner;
SELECT * FROM pg_temp.try($$SELECT etl.run('replace_rights')$$);
RESET ROLE;
GRANT EXECUTE ON FUNCTION refuse() TO regress_replace_owner;
GRANT REFERENCES (id) ON categories TO regress_replace_owner;
SET ROLE regress_replace_owner;
SELECT * FROM pg_temp.try($$SELECT etl.run('replace_rights')$$);
RESET ROLE;
SELECT relname, relowner::regrole FROM pg_class WHERE relnamespace = 'replace_rights'::regnamespace ORDER BY 1;

SELECT pg_temp.forget('replace_rights');
SELECT pg_temp.forget('replace_late');
SELECT pg_temp.forget('replace_keys');
SELECT pg_temp.forget('replace');
DROP SCHEMA replace_source CASCADE;
DROP OWNED BY regress_replace_owner, regress_replace_member, regress_replace_other;
DROP ROLE regress_replace_reader, regress_replace_member, regress_replace_owner, regress_replace_other;
