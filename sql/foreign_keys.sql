-- Foreign keys that point at published tables, or from them: they are kept where
-- the new rows obey them, and keep the run from being published otherwise.

\getenv srcdir PG_ABS_SRCDIR
\set helpers :srcdir '/test/sql/helpers.sql'
\set ECHO none
\i :helpers
\set ECHO all

CREATE SCHEMA keys_source;
SET search_path = keys_source, public;
CREATE TABLE source AS SELECT i AS id, i % 10 AS part, 'name ' || i AS name FROM generate_series(1, 100) AS i;
SELECT etl.create_pipeline('keys', durability => 'all');
SELECT etl.add_step('keys', 'customer', 'SELECT id, part, name FROM source');
SELECT etl.add_step('keys', 'parted', 'SELECT id, part FROM source', repartition => 3, repartition_by => '{id}');
SELECT etl.add_step('keys', 'orders', 'SELECT id, id AS customer, part FROM source WHERE id <= 50');
SELECT * FROM pg_temp.try($$SELECT etl.run('keys')$$);
ALTER TABLE keys.customer ADD PRIMARY KEY (id), ADD UNIQUE (part, id), ADD UNIQUE (name);
ALTER TABLE keys.parted ADD PRIMARY KEY (id);

-- ---- others' tables point at them

CREATE TABLE visit (customer int CONSTRAINT visit_customer REFERENCES keys.customer, parted int CONSTRAINT visit_parted REFERENCES keys.parted ON DELETE CASCADE,
	part int, name varchar(20) COLLATE "C" CONSTRAINT visit_name REFERENCES keys.customer (name),
	CONSTRAINT visit_both FOREIGN KEY (part, customer) REFERENCES keys.customer (part, id) MATCH FULL DEFERRABLE INITIALLY DEFERRED);
INSERT INTO visit VALUES (7, 8, 7, 'name 9'), (NULL, NULL, NULL, NULL);
CREATE TABLE visits (customer bigint REFERENCES keys.customer, day int) PARTITION BY LIST (day);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES IN (1);
INSERT INTO visits VALUES (10, 1);
CREATE VIEW the_keys AS SELECT c.oid, conrelid::regclass::text AS of, conname, confrelid, convalidated FROM pg_constraint c WHERE contype = 'f' AND (confrelid = 'keys.customer'::regclass OR confrelid = 'keys.parted'::regclass);
CREATE TABLE before AS TABLE the_keys;
SELECT count(*) FROM before;

UPDATE source SET name = name || '!' WHERE id <> 9;
SELECT * FROM pg_temp.try($$SELECT etl.run('keys')$$);
SELECT count(*) FROM (TABLE before INTERSECT TABLE the_keys) AS same;
SELECT count(*) FROM keys.customer WHERE name LIKE '%!';
-- they work, and from both sides
INSERT INTO visit (customer) VALUES (1000);
DELETE FROM keys.customer WHERE id = 10;
BEGIN;
DELETE FROM keys.parted WHERE id = 8;
SELECT count(*) FROM visit WHERE customer = 7;
ROLLBACK;
-- each of them is looked at
UPDATE source SET id = 1007 WHERE id = 7;
SELECT * FROM pg_temp.try($$SELECT etl.run('keys')$$);
SELECT * FROM pg_temp.run_said('keys');
SELECT count(*) FROM pg_temp.steps('keys') WHERE status = 'SUCCESS';
UPDATE source SET id = 7 WHERE id = 1007;
UPDATE source SET id = 1008 WHERE id = 8;
SELECT * FROM pg_temp.try($$SELECT etl.run('keys')$$);
UPDATE source SET id = 8 WHERE id = 1008;
UPDATE source SET name = 'another' WHERE id = 9;
SELECT * FROM pg_temp.try($$SELECT etl.run('keys')$$);
UPDATE source SET name = 'name 9' WHERE id = 9;
UPDATE source SET id = 1010 WHERE id = 10;
SELECT * FROM pg_temp.try($$SELECT etl.run('keys')$$);
UPDATE source SET id = 10 WHERE id = 1010;
UPDATE source SET part = 77 WHERE id = 7;
SELECT * FROM pg_temp.try($$SELECT etl.run('keys')$$);
UPDATE source SET part = 7 WHERE id = 7;
SELECT count(*), max(id), max(name) FROM keys.customer WHERE id IN (7, 8, 9, 10);
SELECT * FROM pg_temp.try($$SELECT etl.run('keys')$$);
-- one that promises nothing keeps nobody
DROP TABLE visit, visits;
CREATE TABLE visit (customer int);
INSERT INTO visit VALUES (5000);
ALTER TABLE visit ADD CONSTRAINT loose FOREIGN KEY (customer) REFERENCES keys.customer NOT VALID;
SELECT * FROM pg_temp.try($$SELECT etl.run('keys')$$);
DROP TABLE visit;

-- ---- they point at each other: what counts are the rows of this run

ALTER TABLE keys.orders ADD CONSTRAINT orders_customer FOREIGN KEY (customer) REFERENCES keys.customer;
UPDATE source SET id = id + 1000, name = name || '?';
SELECT etl.alter_step('keys', 'orders', '{"sql_query": "SELECT id, id AS customer, part FROM source WHERE id <= 1050"}');
SELECT * FROM pg_temp.try($$SELECT etl.run('keys')$$);
SELECT min(customer), max(customer) FROM keys.orders;
SELECT etl.alter_step('keys', 'orders', '{"sql_query": "SELECT id, id + 60 AS customer, part FROM source WHERE id <= 1050"}');
SELECT * FROM pg_temp.try($$SELECT etl.run('keys')$$);
SELECT etl.alter_step('keys', 'orders', '{"sql_query": "SELECT id, id AS customer, part FROM source WHERE id <= 1050"}');
-- one of them is published alone
SELECT * FROM pg_temp.try($$SELECT etl.run('keys', steps => '{orders}')$$);
UPDATE source SET id = id + 1000;
SELECT * FROM pg_temp.try($$SELECT etl.run('keys', steps => '{customer}')$$);
SELECT etl.alter_step('keys', 'orders', '{"sql_query": "SELECT id, id AS customer, part FROM source WHERE id <= 2050"}');
SELECT * FROM pg_temp.try($$SELECT etl.run('keys', steps => '{orders}')$$);
SELECT * FROM pg_temp.try($$SELECT etl.run('keys', steps => '{orders,customer}')$$);
SELECT min(customer), max(customer) FROM keys.orders;
-- a table that points at itself
ALTER TABLE keys.orders ADD UNIQUE (id), ADD CONSTRAINT orders_self FOREIGN KEY (customer) REFERENCES keys.orders (id);
SELECT * FROM pg_temp.try($$SELECT etl.run('keys')$$);
-- a logged table must not point at one that is not
SELECT etl.alter_step('keys', 'customer', '{"persist": false}');
SELECT * FROM pg_temp.try($$SELECT etl.run('keys')$$);
SELECT etl.alter_step('keys', 'orders', '{"persist": false}');
SELECT * FROM pg_temp.try($$SELECT etl.run('keys', steps => '{orders}')$$);
SELECT * FROM pg_temp.try($$SELECT etl.run('keys')$$);
SELECT etl.alter_step('keys', 'orders', '{"persist": true}');
SELECT * FROM pg_temp.try($$SELECT etl.run('keys')$$);

-- ---- a column that goes, and a key on it

SELECT etl.alter_step('keys', 'customer', '{"persist": true, "sql_query": "SELECT part, id, name FROM source"}');
SELECT * FROM pg_temp.try($$SELECT etl.run('keys')$$);

DROP VIEW the_keys;
SELECT pg_temp.forget('keys');
DROP SCHEMA keys_source CASCADE;
