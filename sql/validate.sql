--
-- etl.validate: all that is wrong with a pipeline, before anything runs
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS etl_framework;
CREATE ROLE regress_etl_validate LOGIN;
CREATE SCHEMA etl_val_source;
GRANT USAGE ON SCHEMA etl_val_source TO regress_etl_validate;
CREATE TABLE etl_val_source.orders (id int, customer text, amount numeric, day timestamptz, doc json);
CREATE TABLE etl_val_source.secret (id int, a int);
CREATE TABLE etl_val_source.log (line text);
GRANT SELECT ON etl_val_source.orders TO regress_etl_validate;
GRANT SELECT, INSERT ON etl_val_source.log TO regress_etl_validate;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_etl_validate', current_database()); END $$;
SET ROLE regress_etl_validate;

-- nothing wrong: chains of steps that have never run, in every way to name them
SELECT etl.create_pipeline('etl_val', search_path => 'etl_val_source');
SELECT etl.update_metadata('etl_val', '[
  {"process_name": "today", "sql_query": "SELECT * FROM orders WHERE amount > 0", "indexes": ["(customer)", "(lower(customer) text_pattern_ops) INCLUDE (id) WHERE amount > 1", "UNIQUE (id, amount DESC NULLS LAST)"], "repartition": 2},
  {"process_name": "agg", "sql_query": "SELECT customer, sum(etl_val.today.amount) AS total, array_agg(today.id) AS ids FROM etl_val.today GROUP BY customer", "indexes": ["USING gin (ids)"]},
  {"process_name": "both", "sql_query": "WITH agg AS (SELECT * FROM etl_val.agg) SELECT a.customer, t.total, (SELECT count(*) FROM today x WHERE x.customer = a.customer) AS n FROM agg a JOIN agg t USING (customer)", "repartition": 4, "repartition_by": ["customer", "n"]},
  {"process_name": "hidden", "sql_query": "WITH today AS (SELECT 1 AS one) SELECT one, etl_val.today.customer FROM today AS w, etl_val.today UNION ALL SELECT today.one, x.customer FROM today, etl_val.today x"},
  {"process_name": "log_it", "sql_query": "INSERT INTO log SELECT customer FROM agg"},
  {"process_name": "trim_agg", "sql_query": "DELETE FROM agg WHERE total IS NULL"},
  {"process_name": "maintain", "sql_query": "ANALYZE log"}
]');
SELECT * FROM etl.validate('etl_val');
SELECT count(*) FROM etl.validate('etl_val', 1);

-- every problem, not only the first
SELECT etl.create_pipeline('etl_bad', search_path => 'etl_val_source');
SELECT etl.update_metadata('etl_bad', '[
  {"process_name": "fine", "sql_query": "SELECT id, customer, amount, doc FROM orders"},
  {"process_name": "no_table", "sql_query": "SELECT *\nFROM ordres"},
  {"process_name": "no_column", "sql_query": "SELECT id, custmer FROM fine"},
  {"process_name": "ambiguous", "sql_query": "SELECT id FROM fine JOIN orders USING (customer)"},
  {"process_name": "type_mismatch", "sql_query": "SELECT customer + 1 AS x FROM fine"},
  {"process_name": "no_function", "sql_query": "SELECT no_such_function(id) AS x FROM fine"},
  {"process_name": "behind", "sql_query": "SELECT x FROM type_mismatch"},
  {"process_name": "behind_it", "sql_query": "SELECT y FROM behind JOIN fine ON true"},
  {"process_name": "waits_only", "sql_query": "SELECT idd FROM fine", "depends_on": "type_mismatch"},
  {"process_name": "columns", "sql_query": "SELECT id, customer AS id, amount AS ctid, ROW(1) AS row, unnest(ARRAY[1]) AS id, ''x'' AS fine FROM fine"},
  {"process_name": "collation", "sql_query": "SELECT (customer COLLATE \"C\") || (customer COLLATE \"POSIX\") AS both FROM fine"},
  {"process_name": "indexes", "sql_query": "SELECT * FROM fine", "indexes": ["(id, nothing)", "(doc)", "(lower(amount))", "(id) WHERE customer", "((now()))", "USING gist_tree (id)", "(customer int4_ops)", "(id)"]},
  {"process_name": "partitions", "sql_query": "SELECT * FROM fine", "repartition": 2, "repartition_by": ["nothing"]},
  {"process_name": "no_hash", "sql_query": "SELECT * FROM fine", "repartition": 2, "repartition_by": ["doc"]},
  {"process_name": "only_json", "sql_query": "SELECT doc FROM fine", "repartition": 2},
  {"process_name": "unique_key", "sql_query": "SELECT * FROM fine", "repartition": 2, "repartition_by": ["customer"], "indexes": ["UNIQUE (id)", "UNIQUE (customer, id)"]},
  {"process_name": "rights", "sql_query": "SELECT a FROM secret JOIN fine USING (id) UNION ALL SELECT a FROM secret"},
  {"process_name": "rights_write", "sql_query": "UPDATE log SET line = customer FROM fine"},
  {"process_name": "command", "sql_query": "INSERT INTO log (line, more) SELECT customer FROM fine"},
  {"process_name": "depends", "sql_query": "SELECT 1 AS x", "depends_on": "fien, nothing at all"},
  {"process_name": "sample", "sql_query": "SELECT id FROM fine TABLESAMPLE SYSTEM (1)"}
]');
\x on
SELECT process_name, severity, sqlstate, message, detail, hint, "position" FROM etl.validate('etl_bad');
\x off
-- an old version
SELECT etl.rollback('etl_bad', 1);
SELECT * FROM etl.validate('etl_bad');
SELECT severity, count(*) FROM etl.validate('etl_bad', 2) GROUP BY 1 ORDER BY 1;

-- cycles, each with its path; what is in them or behind them is not checked
SELECT etl.create_pipeline('etl_cycle', target_schema => 'etl_bad', ordering => 'staged');
SELECT etl.update_metadata('etl_cycle', '[
  {"process_name": "a", "sql_query": "SELECT * FROM b"}, {"process_name": "b", "sql_query": "SELECT * FROM c"},
  {"process_name": "c", "sql_query": "SELECT * FROM a"},
  {"process_name": "d", "sql_query": "SELECT 1 AS x", "depends_on": "e"}, {"process_name": "e", "sql_query": "SELECT 1 AS x", "depends_on": "d"},
  {"process_name": "f", "sql_query": "SELECT * FROM a"},
  {"process_name": "late", "sql_query": "SELECT 1 AS x", "execution_order": 9},
  {"process_name": "early", "sql_query": "SELECT x FROM late", "execution_order": 2, "depends_on": "later"},
  {"process_name": "later", "sql_query": "SELECT y FROM late", "execution_order": 10}
]');
SELECT process_name, severity, sqlstate, message, detail FROM etl.validate('etl_cycle');

-- what a command step makes may be there when the step runs
SELECT etl.create_pipeline('etl_made', target_schema => 'etl_bad', search_path => 'etl_val_source');
SELECT etl.update_metadata('etl_made', '[
  {"process_name": "mk", "sql_query": "CREATE TABLE IF NOT EXISTS etl_bad.scratch (x int)"},
  {"process_name": "use", "sql_query": "SELECT x FROM etl_bad.scratch", "depends_on": "mk"},
  {"process_name": "use_more", "sql_query": "SELECT x FROM use"}
]');
SELECT process_name, severity, sqlstate, message, detail FROM etl.validate('etl_made');

-- names that are taken, a schema that is gone or not ours, a view that sees yesterday's table
SELECT etl.create_pipeline('etl_tables', search_path => 'etl_val_source');
SELECT etl.update_metadata('etl_tables', '[
  {"process_name": "one", "sql_query": "SELECT 1 AS x"},
  {"process_name": "two", "sql_query": "SELECT x FROM one"},
  {"process_name": "temporary", "sql_query": "SELECT x FROM one", "keep": false}
]');
SELECT etl.run('etl_tables') > 0 AS ran;
SELECT * FROM etl.validate('etl_tables');
CREATE VIEW etl_tables.v AS SELECT * FROM etl_tables.one;
CREATE VIEW etl_tables.w AS SELECT count(*) AS n FROM etl_tables.v;
SELECT etl.add_step('etl_tables', 'through', 'SELECT n FROM etl_tables.w JOIN two ON n = x');
CREATE TABLE etl_tables.taken (x int);
CREATE TYPE etl_tables.taken_type AS ENUM ('a');
CREATE TABLE etl_tables.temporary (x int);
SELECT etl.add_step('etl_tables', 'taken', 'SELECT 1 AS x'), etl.add_step('etl_tables', 'taken_type', 'SELECT 1 AS x');
SELECT process_name, severity, sqlstate, message, detail, hint FROM etl.validate('etl_tables');
RESET ROLE;
ALTER SCHEMA etl_tables OWNER TO CURRENT_USER;
SELECT process_name, severity, sqlstate, message FROM etl.validate('etl_tables') WHERE process_name IS NULL;
ALTER SCHEMA etl_tables RENAME TO etl_tables_moved;
SELECT process_name, severity, sqlstate, message FROM etl.validate('etl_tables') WHERE process_name IS NULL;

-- the rights are the owner's, not the caller's, who must be a member
SELECT count(*) FILTER (WHERE sqlstate = '42501') FROM etl.validate('etl_bad', 2);
CREATE ROLE regress_etl_stranger;
SET ROLE regress_etl_stranger;
SELECT * FROM etl.validate('etl_bad');
RESET ROLE;
DROP ROLE regress_etl_stranger;

-- nothing is written and no lock stays, also in a read-only transaction; nothing is executed
CREATE FUNCTION etl_val_source.boom() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE 'executed'; END $$;
SET ROLE regress_etl_validate;
SELECT etl.add_step('etl_val', 'boom', 'SELECT etl_val_source.boom() AS x FROM today LIMIT etl_val_source.boom()');
BEGIN READ ONLY;
SELECT * FROM etl.validate('etl_val');
SELECT count(*) FROM etl.validate('etl_bad', 2);
SELECT relation::regclass, mode FROM pg_locks
WHERE pid = pg_backend_pid() AND relation IN ('etl_val_source.orders'::regclass, 'etl_val_source.log'::regclass);
SELECT current_setting('transaction_read_only'), current_setting('search_path'), current_user;
COMMIT;

SELECT * FROM etl.validate(NULL);
SELECT * FROM etl.validate('nothing');
SELECT * FROM etl.validate('etl_val', 0);
SELECT * FROM etl.validate('etl_val', 100);

SELECT etl.drop_pipeline(p) FROM unnest('{etl_val,etl_bad,etl_cycle,etl_made,etl_tables}'::text[]) p;
RESET ROLE;
DROP SCHEMA etl_tables_moved, etl_val_source CASCADE;
DROP OWNED BY regress_etl_validate CASCADE;
DROP ROLE regress_etl_validate;
