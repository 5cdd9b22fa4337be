-- An ordinary SQL script.  Run it with psql, or make a pipeline of it:
--
--	  \set script `cat examples/report_script.sql`
--	  SELECT etl.create_pipeline('reports');
--	  SELECT etl.define('reports', :'script');
--
-- It reads what seed_data.sql made.

-- Orders that count.
CREATE TEMPORARY TABLE valid AS
SELECT id, customer_id, category, amount
FROM source_table
WHERE status = 'active';

-- step: (cache, repartition = 4, repartition_by = 'customer_id')
CREATE TABLE spending AS
SELECT customer_id, category, count(*) AS orders, sum(amount) AS spent
FROM valid
GROUP BY customer_id, category;

CREATE INDEX ON spending (customer_id);

CREATE TABLE departments AS
SELECT extra_info AS department, count(*) AS orders, sum(amount) AS total
FROM valid JOIN lookup_table USING (category)
GROUP BY department;

INSERT INTO departments
SELECT 'all', count(*), sum(amount) FROM valid;

-- What people look at.
CREATE TABLE report AS
SELECT d.department, d.total, d.orders, s.best
FROM departments d
CROSS JOIN (SELECT max(spent) AS best FROM spending) s
ORDER BY d.total DESC;
