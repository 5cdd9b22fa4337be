-- The seed pipeline of the bench: seven steps, from raw orders to two reports.
-- Reads what seed_data.sql made.  Run it with  SELECT etl.run('nightly');
--
--	  extract_data -> clean_data -+-> aggregate_data -+-> enrich_data -+-> final_output
--	                              +-> customer_stats -+                +-> report_data
--
-- The dependencies are read from the SQL.  One transaction, one version.

BEGIN;

SELECT etl.create_pipeline('nightly', description => 'the example: from orders to reports');

SELECT etl.add_step('nightly', 'extract_data', $$
	SELECT id, customer_id, category, amount, created_at
	FROM source_table
$$);

SELECT etl.add_step('nightly', 'clean_data', $$
	SELECT id, customer_id, category, amount, created_at
	FROM extract_data
	WHERE amount >= 0 AND category IS NOT NULL
$$, cache => true, repartition => 4);

SELECT etl.add_step('nightly', 'aggregate_data', $$
	SELECT category, SUM(amount) AS total, count(*) AS orders
	FROM clean_data
	GROUP BY category
$$, cache => true);

SELECT etl.add_step('nightly', 'customer_stats', $$
	SELECT customer_id, category, count(*) AS orders, SUM(amount) AS spent
	FROM clean_data
	GROUP BY customer_id, category
$$);

SELECT etl.add_step('nightly', 'enrich_data', $$
	SELECT a.category, l.department, a.total, a.orders, c.customers, c.best_customer
	FROM aggregate_data a
	JOIN lookup_table l USING (category)
	JOIN (SELECT category, count(*) AS customers, max(spent) AS best_customer
	      FROM customer_stats
	      GROUP BY category) c USING (category)
$$, broadcast => true, cache => true);

SELECT etl.add_step('nightly', 'final_output', $$
	SELECT category, department, total, orders, customers,
	       round(total / orders, 2) AS average
	FROM enrich_data
	ORDER BY total DESC
$$, persist => true);

SELECT etl.add_step('nightly', 'report_data', $$
	SELECT department, count(*) AS categories, SUM(total) AS total, max(best_customer) AS best_customer
	FROM enrich_data
	GROUP BY department
$$, persist => true);

COMMIT;
