-- The source data of the example pipeline: 1,200,000 orders, and a small table
-- that says more of each category.  About two seconds.

CREATE TABLE source_table (
	id          bigint PRIMARY KEY,
	customer_id integer NOT NULL,
	category    text NOT NULL,
	amount      numeric(12,2) NOT NULL,
	status      text NOT NULL
);

-- The same rows every time.  Of a hundred orders three are not active, most of
-- the customers order little, and samples cost next to nothing.
INSERT INTO source_table
SELECT i,
       1 + (i * 7919) % CASE i % 2 WHEN 0 THEN 20000 ELSE 200000 END,
       CASE i % 10000 WHEN 7 THEN 'samples' ELSE 'category_' || (i * 31) % 20 END,
       CASE i % 10000 WHEN 7 THEN 1 ELSE ((i * 104729) % 100000) / 100.0 END,
       CASE i % 100 WHEN 1 THEN 'cancelled' WHEN 2 THEN 'cancelled' WHEN 3 THEN 'refunded' ELSE 'active' END
FROM generate_series(1::bigint, 1200000) AS i;

CREATE TABLE lookup_table (
	category   text PRIMARY KEY,
	extra_info text NOT NULL
);

INSERT INTO lookup_table
SELECT 'category_' || i, 'department ' || i % 4
FROM generate_series(0, 19) AS i
UNION ALL
SELECT 'samples', 'marketing';

ANALYZE source_table;
ANALYZE lookup_table;
