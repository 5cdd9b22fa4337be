-- Writes docs/reference.md, on a server with the extension:
--	psql -XAtqf test/sql/reference.sql > docs/reference.md
WITH function AS (
	SELECT p.proname AS name, pg_get_function_identity_arguments(p.oid) AS identity,
		'`etl.' || p.proname || '(' || replace(pg_get_function_arguments(p.oid), E'\n', ' ') || ')`'
			|| CASE WHEN p.proretset OR p.prorettype <> 'void'::regtype THEN ' returns `' || pg_get_function_result(p.oid) || '`' ELSE '' END AS signature,
		obj_description(p.oid, 'pg_proc') AS comment
	FROM pg_proc p
	WHERE p.pronamespace = 'etl'::regnamespace AND obj_description(p.oid, 'pg_proc') NOT LIKE 'Used by%'
), view AS (
	SELECT c.oid, c.relname AS name, obj_description(c.oid, 'pg_class') AS comment
	FROM pg_class c
	WHERE c.relnamespace = 'etl'::regnamespace AND c.relkind = 'v' AND obj_description(c.oid, 'pg_class') IS NOT NULL
), line AS (
	SELECT 1 AS part, '' AS name, '' AS identity, 0 AS place,
		E'# Reference\n\nWhat `COMMENT ON` says of each function and view. Generated: see `test/sql/reference.sql`.\n\n## Functions' AS text
	UNION ALL
	SELECT 2, name, identity, 1, E'\n### ' || name || E'\n\n' || signature || E'\n\n' || regexp_replace(comment, E'\n', E'\n\n', 'g') FROM function
	UNION ALL
	SELECT 3, '', '', 0, E'\n## Views'
	UNION ALL
	SELECT 4, name, '', 0, E'\n### etl.' || name || E'\n\n' || comment || E'\n\n| column | type | |\n|---|---|---|' FROM view
	UNION ALL
	SELECT 4, v.name, '', a.attnum, '| `' || a.attname || '` | ' || format_type(a.atttypid, a.atttypmod) || ' | '
		|| replace(coalesce(col_description(v.oid, a.attnum), ''), '|', '\|') || ' |'
	FROM view v JOIN pg_attribute a ON a.attrelid = v.oid AND a.attnum > 0 AND NOT a.attisdropped
)
SELECT text FROM line ORDER BY part, name COLLATE "C", identity COLLATE "C", place;
