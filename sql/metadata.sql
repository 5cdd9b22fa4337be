--
-- Many rows of metadata as one version; versions compared and brought back
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_framework;

--
-- update_metadata: rows as a metadata table has them
--
SELECT etl.create_pipeline('etl_meta', search_path => 'public');
SELECT etl.update_metadata('etl_meta', '[
  {"step_id": 1, "process_name": "extract_data", "sql_query": "SELECT * FROM source_table", "depends_on": null,
   "execution_order": 1, "broadcast": false, "cache": false, "persist": false, "repartition": null, "version": 1},
  {"step_id": 2, "process_name": "clean_data", "sql_query": "SELECT * FROM extract_data WHERE amount >= 0",
   "depends_on": "extract_data", "execution_order": 2, "broadcast": false, "cache": true, "persist": false, "repartition": 4, "version": 1},
  {"step_id": 3, "process_name": "aggregate_data", "sql_query": "SELECT category, SUM(amount) AS total FROM clean_data GROUP BY category",
   "depends_on": "clean_data", "execution_order": 3, "broadcast": false, "cache": true, "persist": false, "repartition": null, "version": 1},
  {"step_id": 4, "process_name": "customer_stats", "sql_query": "SELECT customer_id, count(*) AS events FROM clean_data GROUP BY customer_id",
   "depends_on": "clean_data", "execution_order": 3, "broadcast": false, "cache": false, "persist": false, "repartition": null, "version": 1},
  {"step_id": 5, "process_name": "enrich_data", "sql_query": "SELECT a.*, l.department FROM aggregate_data a JOIN lookup_table l USING (category)",
   "depends_on": "aggregate_data, customer_stats", "execution_order": 4, "broadcast": true, "cache": true, "persist": false, "repartition": null, "version": 1},
  {"step_id": 6, "process_name": "final_output", "sql_query": "SELECT * FROM enrich_data",
   "depends_on": "enrich_data", "execution_order": 5, "broadcast": false, "cache": false, "persist": true, "repartition": null, "version": 1},
  {"step_id": 7, "process_name": "report_data", "sql_query": "SELECT department, sum(total) AS total FROM enrich_data GROUP BY department",
   "depends_on": "enrich_data", "execution_order": 5, "broadcast": false, "cache": false, "persist": true, "repartition": null, "version": 1}
]');
SELECT version, step_id, process_name, depends_on, execution_order, broadcast, cache, persist, repartition, kind
FROM etl.metadata WHERE pipeline = 'etl_meta' ORDER BY step_id;
-- what the SQL shows is not kept as declared
SELECT s.process_name, s.depends_on FROM etl.step_data s JOIN etl.pipeline_data p USING (pipeline_id)
WHERE p.pipeline = 'etl_meta' AND s.depends_on IS NOT NULL ORDER BY 1;

-- the same again, with the old version or from the view: no version
SELECT etl.update_metadata('etl_meta', '[{"process_name": "extract_data", "sql_query": "SELECT * FROM source_table", "version": 1}]');
SELECT etl.update_metadata('etl_meta', jsonb_agg(m)) FROM etl.metadata m WHERE pipeline = 'etl_meta';
SELECT etl.update_metadata('etl_meta', '[]');

-- an eighth step in the middle: the numbers move; who is not mentioned stays
SELECT etl.update_metadata('etl_meta', '[
  {"step_id": 6, "process_name": "audit", "sql_query": "SELECT count(*) FROM enrich_data", "version": 2},
  {"step_id": 7, "process_name": "final_output", "depends_on": "enrich_data,audit"},
  {"step_id": 8, "process_name": "report_data", "cache": true, "persist": null, "depends_on": ["audit", "enrich_data"]}
]');
SELECT version, step_id, process_name, depends_on, execution_order, cache, persist
FROM etl.metadata WHERE pipeline = 'etl_meta' AND step_id > 4 ORDER BY step_id;
-- all columns
SELECT etl.update_metadata('etl_meta', '[{"process_name": "Odd, Name", "sql_query": "SELECT 1 AS a, 2 AS b", "depends_on": " audit ,\treport_data",
  "execution_order": -1, "broadcast": true, "cache": true, "persist": false, "repartition": 2, "repartition_by": ["a", "b"], "keep": false,
  "indexes": ["(a)"], "checks": null, "settings": ["work_mem=1MB"], "max_attempts": 2, "step_timeout": "1 min", "description": "d",
  "pipeline": "etl_meta", "kind": "query", "version": 4, "step_id": null}]');
\x on
SELECT * FROM etl.metadata WHERE pipeline = 'etl_meta' AND process_name = 'Odd, Name';
\x off
SELECT etl.update_metadata('etl_meta', '[{"process_name": "Odd, Name", "depends_on": ""}]');
SELECT etl.update_metadata('etl_meta', '[{"process_name": "audit", "depends_on": ["Odd, Name"]}]');
SELECT process_name, depends_on FROM etl.metadata WHERE pipeline = 'etl_meta' AND process_name IN ('audit', 'Odd, Name') ORDER BY 1;
-- a declared dependency that the SQL came to show stays as it was
SELECT etl.add_step('etl_meta', 'both', 'SELECT * FROM audit', depends_on => '{audit}');
SELECT etl.update_metadata('etl_meta', jsonb_agg(m)) FROM etl.metadata m WHERE pipeline = 'etl_meta';

-- in one transaction all is one version, which rows may name
BEGIN;
SELECT etl.drop_step('etl_meta', 'both');
SELECT etl.update_metadata('etl_meta', '[{"process_name": "both", "sql_query": "SELECT 2 AS x", "version": 8}, {"process_name": "audit", "depends_on": null, "version": 7}]');
COMMIT;
SELECT current_version FROM etl.pipeline WHERE pipeline = 'etl_meta';

-- what is refused, and nothing is changed
SELECT etl.update_metadata(NULL, '[]');
SELECT etl.update_metadata('etl_meta', NULL);
SELECT etl.update_metadata('nothing', '[]');
SELECT etl.update_metadata('etl_meta', '{}');
SELECT etl.update_metadata('etl_meta', '1');
SELECT etl.update_metadata('etl_meta', '[{"process_name": "audit"}, []]');
SELECT etl.update_metadata('etl_meta', '[null]');
SELECT etl.update_metadata('etl_meta', '[{}]');
SELECT etl.update_metadata('etl_meta', '[{"process_name": null}]');
SELECT etl.update_metadata('etl_meta', '[{"process_name": 1}]');
SELECT etl.update_metadata('etl_meta', '[{"process_name": ""}]');
SELECT etl.update_metadata('etl_meta', '[{"process_name": "new"}]');
SELECT etl.update_metadata('etl_meta', '[{"process_name": "audit", "sql_query": null}]');
SELECT etl.update_metadata('etl_meta', '[{"process_name": "audit"}, {"process_name": "audit", "cache": true}]');
SELECT etl.update_metadata('etl_meta', '[{"process_name": "audit", "chache": true}]');
SELECT etl.update_metadata('etl_meta', '[{"process_name": "audit", "stepid": 1}]');
SELECT etl.update_metadata('etl_meta', '[{"process_name": "audit", "something else": 1}]');
SELECT etl.update_metadata('etl_meta', '[{"process_name": "audit", "cache": "true"}]');
SELECT etl.update_metadata('etl_meta', '[{"process_name": "audit", "repartition": "4"}]');
SELECT etl.update_metadata('etl_meta', '[{"process_name": "audit", "repartition": 0}]');
SELECT etl.update_metadata('etl_meta', '[{"process_name": "audit", "depends_on": "enrich_data,,both"}]');
SELECT etl.update_metadata('etl_meta', '[{"process_name": "audit", "depends_on": "enrich_data, audit"}]');
SELECT etl.update_metadata('etl_meta', '[{"process_name": "audit", "depends_on": 1}]');
SELECT etl.update_metadata('etl_meta', '[{"process_name": "audit", "sql_query": "SELECT 1 FORM x"}]');
SELECT etl.update_metadata('etl_meta', '[{"process_name": "audit", "step_id": 1}]');
SELECT etl.update_metadata('etl_meta', '[{"process_name": "x", "sql_query": "SELECT 1", "step_id": 77}, {"process_name": "audit", "step_id": 77}]');
SELECT etl.update_metadata('etl_meta', '[{"process_name": "audit", "step_id": 0}]');
SELECT etl.update_metadata('etl_meta', '[{"process_name": "audit", "step_id": 1.5}]');
SELECT etl.update_metadata('etl_meta', '[{"process_name": "audit", "step_id": 99999999999999999999}]');
SELECT etl.update_metadata('etl_meta', '[{"process_name": "audit", "cache": true, "version": 1}]');
SELECT etl.update_metadata('etl_meta', '[{"process_name": "audit", "cache": true, "version": 11}]');
SELECT etl.update_metadata('etl_meta', '[{"process_name": "audit", "version": "1"}]');
SELECT etl.update_metadata('etl_meta', '[{"process_name": "audit", "pipeline": "other"}]');
SELECT etl.update_metadata('etl_meta', '[{"process_name": "audit", "kind": "command"}]');
BEGIN READ ONLY;
SELECT etl.update_metadata('etl_meta', '[]');
ROLLBACK;
SELECT current_version FROM etl.pipeline WHERE pipeline = 'etl_meta';

-- numbers that are exchanged, in one version and over versions
SELECT etl.create_pipeline('etl_swap', target_schema => 'etl_meta');
BEGIN;
SELECT etl.update_metadata('etl_swap', '[{"process_name": "a", "sql_query": "SELECT 1 AS x", "step_id": 1}, {"process_name": "b", "sql_query": "SELECT 2 AS x", "step_id": 2}]');
SELECT etl.update_metadata('etl_swap', '[{"process_name": "a", "step_id": 2}, {"process_name": "b", "step_id": 1}]');
COMMIT;
SELECT etl.update_metadata('etl_swap', '[{"process_name": "a", "step_id": 1}, {"process_name": "b", "step_id": 2}, {"process_name": "c", "sql_query": "SELECT 3 AS x"}]');
SELECT version, step_id, process_name FROM etl.pipeline p, generate_series(2, p.current_version) v, etl.metadata_at('etl_swap', v)
WHERE p.pipeline = 'etl_swap' ORDER BY 1, 2;

--
-- diff
--
SELECT etl.create_pipeline('etl_diff', target_schema => 'etl_meta', search_path => 'public');
SELECT etl.add_step('etl_diff', 'same', 'SELECT 0 AS x'), etl.add_step('etl_diff', 'report',
'SELECT a,
       b,
       c
FROM t
JOIN u USING (a)
JOIN v USING (b)
JOIN w USING (c)
WHERE a > 0
  AND b > 0
ORDER BY 1'), etl.add_step('etl_diff', 'old', 'SELECT 1 AS x', cache => true);
BEGIN;
SELECT etl.alter_pipeline('etl_diff', '{"max_parallel": 4, "step_timeout": "90 s", "retry_on": ["any"], "ordering": "staged"}');
SELECT etl.alter_step('etl_diff', 'report', jsonb_build_object('cache', true, 'persist', false, 'execution_order', 0, 'indexes', '["(a)", "(b, c)"]'::jsonb, 'sql_query',
'SELECT a,
       b
FROM t
JOIN u USING (a)
JOIN v USING (b)
JOIN w USING (c)
WHERE a > 0
  AND b > 0
  AND c > 0
ORDER BY 1'));
SELECT etl.drop_step('etl_diff', 'old');
SELECT etl.add_step('etl_diff', 'new', E'SELECT 1 AS x\nFROM report', depends_on => '{same}', description => 'd');
COMMIT;
SELECT process_name, change, column_name, old_value, new_value FROM etl.diff('etl_diff', 2, 3);
\pset format unaligned
SELECT diff FROM etl.diff('etl_diff', 2, 3) WHERE diff IS NOT NULL;
\pset format aligned
-- backwards everything is the other way round
SELECT count(*) FROM etl.diff('etl_diff', 2, 3) a FULL JOIN etl.diff('etl_diff', 3, 2) b
ON a.process_name IS NOT DISTINCT FROM b.process_name AND a.column_name = b.column_name AND a.old_value IS NOT DISTINCT FROM b.new_value
    AND a.new_value IS NOT DISTINCT FROM b.old_value AND (a.change, b.change) IN (('added', 'removed'), ('removed', 'added'), ('changed', 'changed'))
WHERE a IS NULL OR b IS NULL;
SELECT count(*) FROM etl.diff('etl_diff', 3, 3);
SELECT change, column_name, old_value, new_value FROM etl.diff('etl_diff', 1, 2);
-- neither numbers nor the way an interval was written are differences
SELECT etl.update_metadata('etl_diff', '[{"process_name": "same", "step_id": 100}]');
SELECT count(*) FROM etl.diff('etl_diff', 3, 4);
SELECT etl.diff('etl_diff', 3, NULL);
SELECT etl.diff('etl_diff', 0, 1);
SELECT etl.diff('etl_diff', 1, 5);
SELECT etl.diff('nothing', 1, 1);

--
-- rollback
--
SELECT etl.rollback('etl_diff', 2);
SELECT count(*) FROM etl.diff('etl_diff', 2, 5);
SELECT a.checksum = b.checksum AS same FROM etl.version a JOIN etl.version b USING (pipeline)
WHERE pipeline = 'etl_diff' AND a.version = 2 AND b.version = 5;
SELECT step_id, process_name FROM etl.metadata WHERE pipeline = 'etl_diff' ORDER BY step_id;
-- the same already: no version
SELECT etl.rollback('etl_diff', 2), etl.rollback('etl_diff', 5);
-- and back again
SELECT etl.rollback('etl_diff', 4);
SELECT count(*) FROM etl.diff('etl_diff', 4, 6);
SELECT count(*) FROM etl.diff('etl_diff', 2, 5);
-- an empty version, and one in the middle of a transaction
BEGIN;
SELECT etl.rollback('etl_diff', 1);
SELECT count(*) FROM etl.metadata WHERE pipeline = 'etl_diff';
SELECT etl.rollback('etl_diff', 2);
SELECT etl.add_step('etl_diff', 'more', 'SELECT 1 AS x');
SELECT etl.rollback('etl_diff', 3);
COMMIT;
SELECT count(*) FROM etl.diff('etl_diff', 3, 7);
-- each version with each: no difference if and only if the checksum is the same
SELECT a.version, array_agg(b.version ORDER BY b.version) AS same_as
FROM etl.version a JOIN etl.version b USING (pipeline)
WHERE pipeline = 'etl_diff' AND NOT EXISTS (SELECT FROM etl.diff('etl_diff', a.version, b.version)) GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM etl.version a JOIN etl.version b USING (pipeline)
WHERE pipeline = 'etl_diff' AND (a.checksum = b.checksum) = EXISTS (SELECT FROM etl.diff('etl_diff', a.version, b.version));
SELECT etl.rollback('etl_diff', 0);
SELECT etl.rollback('etl_diff', 8);
SELECT etl.rollback('etl_diff', NULL);
SELECT etl.rollback('nothing', 1);
-- numbers that were exchanged meanwhile come back
SELECT etl.rollback('etl_swap', 2);
SELECT step_id, process_name FROM etl.metadata WHERE pipeline = 'etl_swap' ORDER BY step_id;

-- who may not see a pipeline does not learn of it
CREATE ROLE regress_etl_other;
SET ROLE regress_etl_other;
SELECT etl.update_metadata('etl_diff', '[]');
SELECT etl.diff('etl_diff', 1, 2);
SELECT etl.rollback('etl_diff', 1);
RESET ROLE;
DROP ROLE regress_etl_other;

SELECT etl.drop_pipeline(p) FROM unnest('{etl_meta,etl_swap,etl_diff}'::text[]) p;
DROP SCHEMA etl_meta;
