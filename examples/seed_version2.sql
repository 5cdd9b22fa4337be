-- The example pipeline grows: an eighth step, and with it version 2.
-- Version 1 stays what it was:  SELECT etl.run('nightly', version => 1);

SELECT etl.add_step('nightly', 'new_step', $$
	SELECT category, total, rank() OVER (PARTITION BY department ORDER BY total DESC) AS place
	FROM final_output
$$, description => 'which category sells best in each department');
