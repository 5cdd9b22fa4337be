-- A published table stays itself: what a run changes is its rows.

\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/test/sql/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

CREATE SCHEMA identity_source;
SET search_path = identity_source, public;
CREATE TABLE source AS
SELECT i AS id, i % 10 AS category, repeat('x', 3000) || i AS text FROM generate_series(1, 100) AS i;
CREATE ROLE regress_identity_reader;
CREATE ROLE regress_identity_member;
GRANT regress_identity_member TO CURRENT_USER;

SELECT etl.create_pipeline('identity');
SELECT etl.add_step('identity', 'heap', 'SELECT id, category, text FROM source', indexes => '{(category)}');
SELECT etl.add_step('identity', 'parts', 'SELECT id, category, text FROM source', repartition => 2, repartition_by => '{id}', indexes => '{(category)}', persist => true);
SELECT * FROM pg_temp.try($$SELECT etl.run('identity')$$);

-- What there is of the two tables, their partitions and indexes: told apart from
-- what it was before by its OIDs.
CREATE VIEW relations AS
SELECT c.oid, c.relname::text AS name, c.relkind, c.relowner
  FROM pg_class c
 WHERE c.relnamespace = 'identity'::regnamespace;

-- ---- everything that people can do to a table

GRANT SELECT, DELETE ON identity.heap TO regress_identity_reader;
GRANT UPDATE (category), INSERT (id, category) ON identity.heap TO regress_identity_member;
GRANT SELECT ON identity.parts TO regress_identity_reader WITH GRANT OPTION;
CREATE VIEW heap_view AS SELECT category, count(*) AS n FROM identity.heap GROUP BY category;
CREATE VIEW parts_view AS SELECT * FROM identity.parts;
CREATE MATERIALIZED VIEW heap_matview AS SELECT max(id) AS id FROM identity.heap;
CREATE FUNCTION heap_rows() RETURNS SETOF identity.heap LANGUAGE sql AS 'SELECT * FROM identity.heap';
COMMENT ON TABLE identity.heap IS 'what the heap is for';
COMMENT ON COLUMN identity.heap.category IS 'what the column is for';
COMMENT ON INDEX identity.parts_p0_category_idx IS 'what the index is for';
ALTER TABLE identity.heap ENABLE ROW LEVEL SECURITY;
ALTER TABLE identity.heap FORCE ROW LEVEL SECURITY;
CREATE POLICY odd ON identity.heap TO regress_identity_reader USING (id % 2 = 1);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'not here'; END$$;
CREATE TRIGGER refuse BEFORE INSERT ON identity.heap FOR EACH ROW WHEN (new.id > 1000) EXECUTE FUNCTION refuse();
CREATE TRIGGER refuse AFTER UPDATE OF category ON identity.parts FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE RULE nothing AS ON DELETE TO identity.heap WHERE old.id = 0 DO INSTEAD NOTHING;
ALTER TABLE identity.heap SET (fillfactor = 50, autovacuum_enabled = off, toast.autovacuum_enabled = off);
ALTER TABLE identity.heap ALTER COLUMN text SET STORAGE EXTERNAL, ALTER COLUMN category SET STATISTICS 7, ALTER COLUMN id SET (n_distinct = -0.5);
ALTER TABLE identity.heap ALTER COLUMN category SET DEFAULT 3;
CREATE STATISTICS identity.both (ndistinct, dependencies) ON id, category FROM identity.heap;
ALTER STATISTICS identity.both SET STATISTICS 50;
ALTER TABLE identity.heap ADD PRIMARY KEY (id);
CREATE UNIQUE INDEX mine ON identity.heap (category DESC NULLS LAST, id) INCLUDE (text) WITH (fillfactor = 80) WHERE id > 0;
CREATE INDEX expression ON identity.heap ((id % 7));
ALTER INDEX identity.expression ALTER COLUMN 1 SET STATISTICS 500;
CREATE INDEX mine_of_parts ON identity.parts USING hash (text);
ALTER TABLE identity.parts ADD CONSTRAINT parts_key UNIQUE (id, category);
CREATE INDEX one_part ON identity.parts_p1 (text);
ALTER TABLE identity.heap CLUSTER ON mine;
ALTER TABLE identity.heap REPLICA IDENTITY USING INDEX heap_pkey;
CREATE SEQUENCE identity.owned OWNED BY identity.heap.id;
ALTER TABLE identity.heap ADD CONSTRAINT positive CHECK (id > 0), ALTER COLUMN category SET NOT NULL,
	ADD CONSTRAINT not_twice EXCLUDE USING btree (id WITH =) DEFERRABLE INITIALLY DEFERRED,
	ADD CONSTRAINT of_new_rows CHECK (id < 100000) NOT VALID;
ALTER TABLE identity.parts ADD CHECK (length(text) > 3), ALTER COLUMN id SET NOT NULL;

CREATE TABLE before AS SELECT * FROM relations;
CREATE TABLE files AS SELECT oid, pg_relation_filenode(oid) AS file FROM relations;
CREATE FUNCTION described(kind text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT format('%s %s acl %s options %s', c.relname, kind, c.relacl, c.reloptions) FROM pg_class c
	 WHERE kind = 'class' AND relnamespace = 'identity'::regnamespace
	UNION ALL SELECT format('%s.%s %s %s %s %s %s %s', attrelid::regclass, attname, attacl, attoptions, attstorage, attstattarget, attnotnull, atttypid::regtype)
	  FROM pg_attribute WHERE kind = 'column' AND attrelid IN ('identity.heap'::regclass, 'identity.parts'::regclass) AND attnum > 0
	UNION ALL SELECT format('%s %s', objid::regclass, description) FROM pg_description d JOIN relations r ON r.oid = d.objoid, LATERAL (SELECT d.objoid AS objid) o WHERE kind = 'comment'
	UNION ALL SELECT format('%s %s %s', relname, relrowsecurity, relforcerowsecurity) FROM pg_class WHERE kind = 'rls' AND relnamespace = 'identity'::regnamespace AND relrowsecurity
	UNION ALL SELECT format('%s %s %s', polrelid::regclass, polname, pg_get_expr(polqual, polrelid)) FROM pg_policy WHERE kind = 'rls'
	UNION ALL SELECT pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN relations r ON r.oid = tgrelid WHERE kind = 'trigger'
	UNION ALL SELECT format('%s %s', rulename, definition) FROM pg_rules WHERE kind = 'rule' AND schemaname = 'identity'
	UNION ALL SELECT format('%s stattarget %s', pg_get_statisticsobjdef(oid), stxstattarget) FROM pg_statistic_ext WHERE kind = 'statistics' AND stxrelid = 'identity.heap'::regclass
	UNION ALL SELECT format('%s valid %s ready %s clustered %s replica identity %s', pg_get_indexdef(indexrelid), indisvalid, indisready, indisclustered, indisreplident)
	  FROM pg_index i JOIN relations r ON r.oid = i.indexrelid WHERE kind = 'index'
	UNION ALL SELECT format('%s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint WHERE kind = 'constraint' AND contype <> 'n' AND connamespace = 'identity'::regnamespace
	UNION ALL SELECT format('%s replica identity %s', relname, relreplident) FROM pg_class WHERE kind = 'replica' AND relnamespace = 'identity'::regnamespace AND relkind IN ('r', 'p')
	UNION ALL SELECT format('%s owned by %s', objid::regclass, refobjid::regclass) FROM pg_depend WHERE kind = 'sequence' AND deptype = 'a' AND objid = 'identity.owned'::regclass
	ORDER BY 1
$$;
CREATE TABLE described AS
SELECT kind, described(kind) AS what
  FROM unnest('{class,column,comment,rls,trigger,rule,statistics,index,constraint,replica,sequence}'::text[]) AS kind;
SELECT kind, count(*) FROM described GROUP BY kind ORDER BY kind;

-- ---- a run

UPDATE source SET text = repeat('y', 3000) || id;
DELETE FROM source WHERE id > 60;
SELECT * FROM pg_temp.try($$SELECT etl.run('identity')$$);

-- new rows, in new files
SELECT left(text, 1) AS x, count(*), sum(id) FROM identity.heap GROUP BY 1;
SELECT left(text, 1) AS x, count(*), sum(id) FROM identity.parts GROUP BY 1;
SELECT count(*) FILTER (WHERE pg_relation_filenode(r.oid) = file) AS same_file, count(file) > 10 AS files
  FROM relations r JOIN files USING (oid) WHERE r.name <> 'owned';
-- under the same OIDs, names and owners
(TABLE before EXCEPT TABLE relations) UNION ALL (TABLE relations EXCEPT TABLE before);
SELECT count(*) FROM relations;
-- each of them as it was
SELECT kind,
	   (SELECT count(*) FROM (SELECT what FROM described d WHERE d.kind = k.kind EXCEPT SELECT described(k.kind)) x) AS lost,
	   (SELECT count(*) FROM (SELECT described(k.kind) EXCEPT SELECT what FROM described d WHERE d.kind = k.kind) x) AS new
  FROM (SELECT DISTINCT kind FROM described) AS k ORDER BY kind;
TABLE heap_view ORDER BY category LIMIT 2;
SELECT count(*) FROM parts_view;
REFRESH MATERIALIZED VIEW heap_matview;
TABLE heap_matview;
SELECT count(*) FROM heap_rows();

-- ---- they work

GRANT USAGE ON SCHEMA identity TO regress_identity_reader;
SET ROLE regress_identity_reader;
SELECT count(*), min(id), max(id) FROM identity.heap;
UPDATE identity.heap SET category = 1;
RESET ROLE;
INSERT INTO identity.heap (id, text) VALUES (1001, 'a');
INSERT INTO identity.heap (id, text) VALUES (1, 'a');
INSERT INTO identity.heap (id, text) VALUES (-1, 'a');
INSERT INTO identity.heap (id, category, text) VALUES (61, NULL, 'a');
INSERT INTO identity.heap (id, text) VALUES (61, repeat('z', 2500)) RETURNING id, category;
UPDATE identity.parts SET category = 1 WHERE id = 1;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT id, length(text) FROM identity.heap WHERE id = 7;
EXPLAIN (COSTS OFF) SELECT id FROM identity.heap WHERE category = 5 AND id > 0 ORDER BY category DESC, id;
SELECT sum(id) FROM identity.heap WHERE category = 5 AND id > 0;
EXPLAIN (COSTS OFF) SELECT text FROM identity.heap WHERE id % 7 = 3;
SELECT sum(id) FROM identity.heap WHERE id % 7 = 3;
SELECT id FROM identity.parts WHERE text = (SELECT text FROM source WHERE id = 17);
SELECT id, category FROM identity.parts WHERE id = 17 AND category = 7;
RESET enable_seqscan;
RESET enable_bitmapscan;
DELETE FROM identity.heap WHERE id = 61;

-- statistics are those of the new rows
SELECT tablename, attname, inherited, n_distinct FROM pg_stats
 WHERE schemaname = 'identity' AND tablename IN ('heap', 'parts') AND attname <> 'text' ORDER BY 1, 2, 3;
SELECT tablename, most_common_vals IS NOT NULL OR histogram_bounds IS NOT NULL AS has FROM pg_stats WHERE schemaname = 'identity' AND tablename = 'expression';
SELECT reltuples FROM pg_class WHERE oid = 'identity.heap'::regclass;
SELECT n_distinct, dependencies FROM pg_stats_ext WHERE statistics_name = 'both';

-- TOAST tables are named after the table that they belong to
SELECT count(*), bool_and(t.relname = 'pg_toast_' || c.oid AND i.relname = t.relname || '_index') AS named
  FROM pg_class c JOIN pg_class t ON t.oid = c.reltoastrelid JOIN pg_index x ON x.indrelid = t.oid JOIN pg_class i ON i.oid = x.indexrelid
 WHERE c.relnamespace = 'identity'::regnamespace;
SELECT t.reloptions FROM pg_class c JOIN pg_class t ON t.oid = c.reltoastrelid WHERE c.oid = 'identity.heap'::regclass;
-- nothing is left of the old ones
SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pg\_etl\_staging%';

-- ---- constraints hold for the new rows, or the run fails before anybody sees them

INSERT INTO source VALUES (0, 0, 'zero');
SELECT * FROM pg_temp.try($$SELECT etl.run('identity')$$);
UPDATE source SET id = 1 WHERE id = 0;
SELECT * FROM pg_temp.try($$SELECT etl.run('identity')$$);
UPDATE source SET id = 1000, category = NULL WHERE text = 'zero';
SELECT * FROM pg_temp.try($$SELECT etl.run('identity')$$);
UPDATE source SET id = 200000, category = 1 WHERE text = 'zero';
SELECT * FROM pg_temp.try($$SELECT etl.run('identity')$$);
ALTER TABLE identity.heap DROP CONSTRAINT heap_pkey;
UPDATE source SET id = 1, category = 2 WHERE text = 'zero';
SELECT * FROM pg_temp.try($$SELECT etl.run('identity')$$);
SELECT count(*), max(id), bool_and(left(text, 1) = 'y') FROM identity.heap;
SELECT count(*), max(id) FROM identity.parts;
DELETE FROM source WHERE text = 'zero';

-- ---- indexes come and go with the step; those of users stay

SELECT etl.alter_step('identity', 'heap', '{"indexes": ["(id, category)"]}');
SELECT etl.alter_step('identity', 'parts', '{"indexes": ["(category)", "USING brin (id)"]}');
SELECT * FROM pg_temp.try($$SELECT etl.run('identity')$$);
SELECT regexp_replace(pg_get_indexdef(indexrelid), '_[0-9]+_idx', '_N_idx') FROM pg_index
 WHERE indrelid IN ('identity.heap'::regclass, 'identity.parts'::regclass) ORDER BY 1;
SELECT 'identity.heap'::regclass::oid = (SELECT oid FROM before WHERE name = 'heap') AS same_heap,
	   'identity.parts'::regclass::oid = (SELECT oid FROM before WHERE name = 'parts') AS same_parts;
-- a step's index that was renamed, or that something needs, is the user's
DO $$
DECLARE
	own text := (SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'identity.heap'::regclass AND indexrelid::regclass::text ~ 'idx1$');
BEGIN
	EXECUTE format('ALTER INDEX %s RENAME TO kept', own);
END $$;
SELECT etl.alter_step('identity', 'heap', '{"indexes": null}');
SELECT etl.alter_step('identity', 'parts', '{"indexes": null}');
SELECT * FROM pg_temp.try($$SELECT etl.run('identity')$$);
SELECT regexp_replace(pg_get_indexdef(indexrelid), '_[0-9]+_idx', '_N_idx') FROM pg_index
 WHERE indrelid IN ('identity.heap'::regclass, 'identity.parts'::regclass) ORDER BY 1;
-- one that both want is there once
SELECT etl.alter_step('identity', 'heap', '{"indexes": ["(id, category)", "(text)"]}');
SELECT * FROM pg_temp.try($$SELECT etl.run('identity')$$);
SELECT * FROM pg_temp.try($$SELECT etl.run('identity')$$);
SELECT count(*) FROM pg_index WHERE indrelid = 'identity.heap'::regclass;
-- storage parameters that were changed stay changed
DO $$
BEGIN
	EXECUTE (SELECT format('ALTER INDEX %s SET (fillfactor = 33)', indexrelid::regclass) FROM pg_index WHERE indrelid = 'identity.heap'::regclass AND indexrelid::regclass::text ~ 'idx2$');
END $$;
SELECT * FROM pg_temp.try($$SELECT etl.run('identity')$$);
SELECT count(*), string_agg(c.reloptions::text, ' ' ORDER BY c.reloptions) FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = 'identity.heap'::regclass;

-- ---- logged and unlogged

SELECT etl.alter_step('identity', 'parts', '{"persist": false}');
SELECT etl.alter_step('identity', 'heap', '{"persist": true}');
SELECT * FROM pg_temp.try($$SELECT etl.run('identity')$$);
SELECT relname, relpersistence, (SELECT t.relpersistence FROM pg_class t WHERE t.oid = c.reltoastrelid) AS toast,
	   (SELECT string_agg(DISTINCT i.relpersistence::text, '') FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = c.oid) AS indexes
  FROM pg_class c WHERE relnamespace = 'identity'::regnamespace AND relkind = 'r' ORDER BY 1;
SELECT 'identity.heap'::regclass::oid = (SELECT oid FROM before WHERE name = 'heap') AS same_heap,
	   'identity.parts'::regclass::oid = (SELECT oid FROM before WHERE name = 'parts') AS same_parts;

-- ---- a table in a publication: its subscribers would see nothing of it

SET client_min_messages = error;	-- about wal_level
CREATE PUBLICATION regress_identity_one FOR TABLE identity.heap;
SET client_min_messages = warning;
SELECT * FROM pg_temp.try($$SELECT etl.run('identity')$$);
SELECT process_name, message FROM etl.validate('identity');
-- what is not logged is not published anyway
SELECT * FROM pg_temp.try($$SELECT etl.run('identity', steps => '{parts}')$$);
DROP PUBLICATION regress_identity_one;
SELECT * FROM pg_temp.try($$SELECT etl.run('identity')$$);

-- ---- partitioned otherwise: another table, which gets what can be carried over

SELECT etl.alter_step('identity', 'parts', '{"repartition": 3}');
SELECT * FROM pg_temp.try($$SELECT etl.run('identity')$$);
DROP VIEW parts_view;
SELECT * FROM pg_temp.try($$SELECT etl.run('identity')$$);
DROP INDEX identity.one_part;
GRANT UPDATE (text) ON identity.parts TO regress_identity_member;
COMMENT ON TABLE identity.parts IS 'what it is for';
COMMENT ON COLUMN identity.parts.text IS 'what that is for';
SELECT * FROM pg_temp.try($$SELECT etl.run('identity')$$);
SELECT 'identity.parts'::regclass::oid = (SELECT oid FROM before WHERE name = 'parts') AS same_parts,
	   has_table_privilege('regress_identity_reader', 'identity.parts', 'SELECT WITH GRANT OPTION') AS granted,
	   has_column_privilege('regress_identity_member', 'identity.parts', 'text', 'UPDATE') AS granted_column,
	   obj_description('identity.parts'::regclass, 'pg_class') AS comment, col_description('identity.parts'::regclass, 3) AS comment_of_column;
SELECT count(*), count(DISTINCT tableoid) FROM identity.parts;
SELECT conname FROM pg_constraint WHERE conrelid = 'identity.parts'::regclass AND contype <> 'n' ORDER BY 1;

DROP FUNCTION heap_rows();
DROP MATERIALIZED VIEW heap_matview;
DROP VIEW heap_view;
SELECT pg_temp.forget('identity');
DROP SCHEMA identity_source CASCADE;
DROP ROLE regress_identity_reader, regress_identity_member;
