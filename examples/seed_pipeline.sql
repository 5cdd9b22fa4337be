-- The example pipeline, from a table of metadata: a row a step, in the columns
-- that such tables have.  Reads what seed_data.sql made.
--
--	extract_data -> clean_data -+-> aggregate_data -> enrich_data -> final_output
--	                            +-> customer_stats -> report_data

CREATE TABLE pipeline_metadata (
	step_id         integer,
	process_name    text,
	sql_query       text,
	depends_on      text,
	execution_order integer,
	broadcast       boolean,
	cache           boolean,
	persist         boolean,
	repartition     integer,
	version         integer
);

INSERT INTO pipeline_metadata VALUES
(1, 'extract_data', 'SELECT * FROM source_table', NULL, 1, false, false, false, NULL, 1),
(2, 'clean_data', 'SELECT * FROM extract_data WHERE status = ''active''', 'extract_data', 2, false, true, false, 4, 1),
(3, 'aggregate_data', 'SELECT category, SUM(amount) AS total FROM clean_data GROUP BY category', 'clean_data', 3, false, true, false, NULL, 1),
(4, 'customer_stats', 'SELECT customer_id, COUNT(*) AS count FROM clean_data GROUP BY customer_id', 'clean_data', 3, false, false, false, NULL, 1),
(5, 'enrich_data', 'SELECT a.*, b.extra_info FROM aggregate_data a JOIN lookup_table b ON a.category = b.category', 'aggregate_data', 4, true, true, false, NULL, 1),
(6, 'final_output', 'SELECT * FROM enrich_data WHERE total > 500', 'enrich_data', 5, false, false, true, NULL, 1),
(7, 'report_data', 'SELECT * FROM customer_stats WHERE count > 10', 'customer_stats', 4, false, false, true, NULL, 1),
(8, 'new_step', 'SELECT extra_info, SUM(total) AS total FROM final_output GROUP BY extra_info', 'final_output', 6, false, false, true, NULL, 2);

-- One transaction, one version: the rows of version 1.
BEGIN;
SELECT etl.create_pipeline('nightly', description => 'the example: from orders to reports');
SELECT etl.update_metadata('nightly', jsonb_agg(m)) FROM pipeline_metadata m WHERE version = 1;
COMMIT;
