-- The source data of seed_pipeline.sql, in any size:
-- the same rows for the same :rows.  Unlogged only because it is there faster.

CREATE UNLOGGED TABLE source_table (
	id          bigint,
	customer_id integer NOT NULL,
	category    text,
	amount      numeric(12,2),
	created_at  timestamptz NOT NULL
);

INSERT INTO source_table
SELECT i,
       1 + (i * 7919) % 50000,
       CASE WHEN i % 100 = 3 THEN NULL ELSE 'category_' || (i * 31) % 20 END,
       CASE WHEN i % 100 = 1 THEN NULL
            WHEN i % 100 = 2 THEN -1
            ELSE ((i * 104729) % 100000) / 100.0 END,
       timestamptz '2024-01-01 00:00:00+00' + i * interval '20 seconds'
FROM generate_series(1::bigint, :rows) AS i;

CREATE UNLOGGED TABLE lookup_table (
	category   text PRIMARY KEY,
	department text NOT NULL
);

INSERT INTO lookup_table
SELECT 'category_' || i, 'department_' || i % 4
FROM generate_series(0, 19) AS i;

VACUUM (ANALYZE) source_table, lookup_table;
