-- The example pipeline: seven steps, from raw events to two reports.
-- Reads what seed_data.sql made.  Run it with  SELECT etl.run('nightly');

SELECT etl.create_pipeline('nightly', description => 'the example: events to reports');

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
	SELECT category, count(*) AS events, sum(amount) AS total_amount, avg(amount) AS avg_amount
	  FROM clean_data
	 GROUP BY category
$$, cache => true);

SELECT etl.add_step('nightly', 'customer_stats', $$
	SELECT customer_id, count(*) AS events, sum(amount) AS total_amount, max(created_at) AS last_seen
	  FROM clean_data
	 GROUP BY customer_id
$$);

SELECT etl.add_step('nightly', 'enrich_data', $$
	SELECT a.category, l.department, a.events, a.total_amount, a.avg_amount, l.target
	  FROM aggregate_data a
	  JOIN lookup_table l USING (category)
$$, broadcast => true, cache => true);

SELECT etl.add_step('nightly', 'final_output', $$
	SELECT category, department, events, total_amount, round(avg_amount, 2) AS avg_amount,
		   total_amount >= target AS target_met
	  FROM enrich_data
$$);

SELECT etl.add_step('nightly', 'report_data', $$
	SELECT department, count(*) AS categories, sum(events) AS events, sum(total_amount) AS total_amount
	  FROM enrich_data
	 GROUP BY department
$$);
