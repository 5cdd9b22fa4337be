--
-- All definition changes of one transaction make one version; old ones stay as they were
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_framework;

-- what each version said
CREATE FUNCTION pg_temp.history(pipeline text) RETURNS TABLE (v int, steps text) LANGUAGE sql AS $$
    SELECT g.v, (SELECT string_agg(format('%s %s: %s%s', m.step_id, m.process_name, m.sql_query, ' after ' || m.depends_on::text),
                                   '; ' ORDER BY m.step_id)
                 FROM etl.metadata_at(pipeline, g.v) m)
    FROM etl.pipeline p, generate_series(1, p.current_version) g(v) WHERE p.pipeline = history.pipeline ORDER BY 1 $$;

-- one statement, one transaction, one version
SELECT etl.create_pipeline('etl_versions');
SELECT etl.add_step('etl_versions', 'a', 'SELECT 1 AS x'), etl.add_step('etl_versions', 'b', 'SELECT * FROM a'),
    etl.add_step('etl_versions', 'c', 'SELECT * FROM b');
BEGIN;
SELECT etl.alter_step('etl_versions', 'a', '{"sql_query": "SELECT 2 AS x"}');
SELECT etl.drop_step('etl_versions', 'b');
SELECT etl.alter_step('etl_versions', 'a', '{"sql_query": "SELECT 3 AS x"}');
SELECT etl.alter_pipeline('etl_versions', '{"max_attempts": 5}');
SELECT etl.alter_pipeline('etl_versions', '{"max_attempts": 6}');
COMMIT;
SELECT * FROM pg_temp.history('etl_versions');
SELECT current_version, max_attempts FROM etl.pipeline WHERE pipeline = 'etl_versions';

-- savepoints: what was rolled back is not part of it, also where it was the first change
BEGIN;
SAVEPOINT s;
SELECT etl.add_step('etl_versions', 'gone', 'SELECT 1 AS x');
ROLLBACK TO s;
SAVEPOINT s;
SELECT etl.add_step('etl_versions', 'd', 'SELECT * FROM c');
RELEASE s;
SAVEPOINT s;
SELECT etl.add_step('etl_versions', 'gone', 'SELECT 1 AS x');
SELECT etl.drop_step('etl_versions', 'c');
ROLLBACK TO s;
SELECT etl.add_step('etl_versions', 'e', 'SELECT * FROM gone');
COMMIT;
SELECT * FROM pg_temp.history('etl_versions') WHERE v > 3;

-- a rolled back transaction leaves no gap, an empty change no version
BEGIN;
SELECT etl.drop_step('etl_versions', 'a');
ROLLBACK;
SELECT etl.alter_step('etl_versions', 'a', '{"sql_query": "SELECT 3 AS x"}');
SELECT current_version FROM etl.pipeline WHERE pipeline = 'etl_versions';

-- add and drop in one transaction; a dropped step's name and id are free, and new ids are above all old ones
BEGIN;
SELECT etl.add_step('etl_versions', 'f', 'SELECT 1 AS x');
SELECT etl.drop_step('etl_versions', 'f');
SELECT etl.drop_step('etl_versions', 'a');
SELECT etl.add_step('etl_versions', 'a', 'SELECT 4 AS x');
COMMIT;
SELECT etl.add_step('etl_versions', 'b', 'SELECT 5 AS x', step_id => 2);
SELECT * FROM pg_temp.history('etl_versions') WHERE v > 4;

-- dependencies are those of that version: "b" and "a" came and went
SELECT version, process_name, depends_on FROM etl.metadata_at('etl_versions', 2);
SELECT version, process_name, depends_on FROM etl.metadata_at('etl_versions', 3);
SELECT version, process_name, depends_on FROM etl.metadata WHERE pipeline = 'etl_versions' ORDER BY step_id;

-- checksums: equal if and only if the definition is the same, step ids and settings aside
SELECT etl.create_pipeline('etl_copy', target_schema => 'etl_versions', search_path => 'public');
SELECT etl.add_step('etl_copy', 'a', 'SELECT 1 AS x', step_timeout => '1 d'), etl.add_step('etl_copy', 'b', 'SELECT 2 AS x');
SELECT etl.alter_step('etl_copy', 'a', '{"description": "other"}');
SELECT etl.alter_step('etl_copy', 'a', '{"description": null, "step_timeout": "24 h"}');
SELECT etl.alter_pipeline('etl_copy', '{"max_parallel": 2}');
SELECT etl.alter_pipeline('etl_copy', '{"max_parallel": null}');
BEGIN;
SELECT etl.drop_step('etl_copy', 'a');
SELECT etl.drop_step('etl_copy', 'b');
SELECT etl.add_step('etl_copy', 'b', 'SELECT 2 AS x');
SELECT etl.add_step('etl_copy', 'a', 'SELECT 1 AS x', step_timeout => '1 d');
COMMIT;
SET IntervalStyle = iso_8601;
SELECT v.version, min(w.version) AS same_as, length(v.checksum)
FROM etl.version v JOIN etl.version w USING (pipeline, checksum)
WHERE v.pipeline = 'etl_copy' GROUP BY 1, 3 ORDER BY 1;
RESET IntervalStyle;

SELECT version, created_by = current_user AS by_me, created_at <= now() AS past, description
FROM etl.version WHERE pipeline = 'etl_copy' ORDER BY version LIMIT 1;

-- also under REPEATABLE READ everything is seen that the transaction itself has done
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM etl.pipeline WHERE pipeline = 'etl_versions';
SELECT etl.add_step('etl_versions', 'h', 'SELECT * FROM b');
SELECT etl.alter_step('etl_versions', 'h', '{"description": "changed"}');
SELECT step_id, description FROM etl.metadata WHERE pipeline = 'etl_versions' AND process_name = 'h';
SELECT etl.drop_step('etl_versions', 'h');
COMMIT;

-- a function that changes definitions does so as part of its caller's transaction
DO $$
BEGIN
    PERFORM etl.add_step('etl_versions', 'h', 'SELECT * FROM b');
    BEGIN
        PERFORM etl.add_step('etl_versions', 'i', 'SELECT * FROM b');
        RAISE division_by_zero;
    EXCEPTION WHEN division_by_zero THEN NULL;
    END;
    PERFORM etl.add_step('etl_versions', 'j', 'SELECT * FROM b');
END $$;
SELECT process_name FROM etl.metadata WHERE pipeline = 'etl_versions' ORDER BY step_id;

SELECT * FROM etl.metadata_at('etl_versions', 0);
SELECT * FROM etl.metadata_at('etl_versions', 1000);
SELECT * FROM etl.metadata_at('etl_versions', NULL);
SELECT * FROM etl.metadata_at(NULL, 1);
SELECT * FROM etl.metadata_at('nothing', 1);
-- version 1 has no steps, and that is no error
SELECT count(*) FROM etl.metadata_at('etl_versions', 1);
SELECT etl.run('etl_versions', version => 1000);

-- a step's row is stored once, with the versions that it is valid in
SELECT s.step_id, s.from_version, s.until_version, s.process_name
FROM etl.step_data s JOIN etl.pipeline_data p USING (pipeline_id)
WHERE p.pipeline = 'etl_versions' ORDER BY 1, 2;

SELECT etl.drop_pipeline('etl_copy'), etl.drop_pipeline('etl_versions');
SELECT count(*) FROM etl.step_data s JOIN etl.pipeline_data p USING (pipeline_id) WHERE p.pipeline = 'etl_versions';
DROP SCHEMA etl_versions;
