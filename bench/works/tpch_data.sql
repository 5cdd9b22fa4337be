-- Tables shaped like those of TPC-H, made by SQL: the same rows for the same
-- :scale (1: six million line items).  Not TPC-H's own generator or values.
-- spread() makes keys and values of numbers; the rows are the same on every machine and version.

CREATE FUNCTION spread(key bigint, salt bigint, n bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
	SELECT ((key * 2654435761 + salt * 40503 + (key * salt) % 7919 * 104729) % 2147483647) % n
$$;

CREATE UNLOGGED TABLE region (r_regionkey int PRIMARY KEY, r_name text NOT NULL);
INSERT INTO region
SELECT i - 1, name FROM unnest('{AFRICA,AMERICA,ASIA,EUROPE,MIDDLE EAST}'::text[]) WITH ORDINALITY AS r(name, i);

CREATE UNLOGGED TABLE nation (n_nationkey int PRIMARY KEY, n_name text NOT NULL, n_regionkey int NOT NULL);
INSERT INTO nation SELECT i, 'NATION ' || lpad(i::text, 2, '0'), i % 5 FROM generate_series(0, 24) AS i;

CREATE UNLOGGED TABLE supplier (s_suppkey int PRIMARY KEY, s_name text NOT NULL, s_nationkey int NOT NULL, s_acctbal numeric(12,2) NOT NULL);
INSERT INTO supplier
SELECT i, 'Supplier#' || lpad(i::text, 9, '0'), spread(i, 1, 25), spread(i, 2, 1000000) / 100.0 - 999
FROM generate_series(1, (10000 * :scale)::int) AS i;

CREATE UNLOGGED TABLE customer (c_custkey int PRIMARY KEY, c_name text NOT NULL, c_nationkey int NOT NULL,
	c_mktsegment text NOT NULL, c_acctbal numeric(12,2) NOT NULL);
INSERT INTO customer
SELECT i, 'Customer#' || lpad(i::text, 9, '0'), spread(i, 3, 25),
       ('{AUTOMOBILE,BUILDING,FURNITURE,HOUSEHOLD,MACHINERY}'::text[])[1 + spread(i, 4, 5)], spread(i, 5, 1000000) / 100.0 - 999
FROM generate_series(1, (150000 * :scale)::int) AS i;

CREATE UNLOGGED TABLE part (p_partkey int PRIMARY KEY, p_name text NOT NULL, p_brand text NOT NULL, p_type text NOT NULL,
	p_size int NOT NULL, p_retailprice numeric(12,2) NOT NULL);
INSERT INTO part
SELECT i, 'part ' || i, 'Brand#' || 11 + spread(i, 6, 25),
       ('{STANDARD,SMALL,MEDIUM,LARGE,ECONOMY,PROMO}'::text[])[1 + spread(i, 7, 6)] || ' ' ||
       ('{TIN,NICKEL,BRASS,STEEL,COPPER}'::text[])[1 + spread(i, 8, 5)], 1 + spread(i, 9, 50), 900 + i % 1000 / 10.0
FROM generate_series(1, (200000 * :scale)::int) AS i;

CREATE UNLOGGED TABLE partsupp (ps_partkey int NOT NULL, ps_suppkey int NOT NULL, ps_availqty int NOT NULL, ps_supplycost numeric(12,2) NOT NULL);
INSERT INTO partsupp
SELECT p, 1 + (p + s * 2501) % greatest((10000 * :scale)::int, 4), 1 + spread(p, 10 + s, 9999), 1 + spread(p, 20 + s, 100000) / 100.0
FROM generate_series(1, (200000 * :scale)::int) AS p, generate_series(0, 3) AS s;

CREATE UNLOGGED TABLE orders (o_orderkey int PRIMARY KEY, o_custkey int NOT NULL, o_orderstatus "char" NOT NULL,
	o_orderdate date NOT NULL, o_orderpriority text NOT NULL);
INSERT INTO orders
SELECT i, 1 + spread(i, 30, (150000 * :scale)::int), (CASE WHEN i % 2 = 0 THEN 'F' ELSE 'O' END)::"char",
       date '1992-01-01' + spread(i, 31, 2400)::int,
       ('{1-URGENT,2-HIGH,3-MEDIUM,4-NOT SPECIFIED,5-LOW}'::text[])[1 + spread(i, 32, 5)]
FROM generate_series(1, (1500000 * :scale)::int) AS i;

CREATE UNLOGGED TABLE lineitem (l_orderkey int NOT NULL, l_linenumber int NOT NULL, l_partkey int NOT NULL, l_suppkey int NOT NULL,
	l_quantity int NOT NULL, l_extendedprice numeric(12,2) NOT NULL, l_discount numeric(4,2) NOT NULL, l_tax numeric(4,2) NOT NULL,
	l_returnflag "char" NOT NULL, l_shipdate date NOT NULL, l_commitdate date NOT NULL, l_receiptdate date NOT NULL, l_shipmode text NOT NULL);
INSERT INTO lineitem
SELECT o.o_orderkey, n, p.key, 1 + (p.key + spread(o.o_orderkey, n, 4) * 2501) % greatest((10000 * :scale)::int, 4),
       q.quantity, q.quantity * (900 + p.key % 1000 / 10.0), spread(o.o_orderkey, 50 + n, 11) / 100.0, spread(o.o_orderkey, 60 + n, 9) / 100.0,
       (CASE spread(o.o_orderkey, 70 + n, 4) WHEN 0 THEN 'R' WHEN 1 THEN 'A' ELSE 'N' END)::"char",
       o.o_orderdate + 1 + s.days, o.o_orderdate + 30 + s.days % 60, o.o_orderdate + 2 + s.days + s.days % 29,
       ('{AIR,FOB,MAIL,RAIL,REG AIR,SHIP,TRUCK}'::text[])[1 + s.days % 7]
FROM orders o, generate_series(1, 4) AS n,
     LATERAL (SELECT 1 + spread(o.o_orderkey, 40 + n, (200000 * :scale)::int) AS key) AS p,
     LATERAL (SELECT 1 + (p.key + n) % 50 AS quantity) AS q,
     LATERAL (SELECT spread(o.o_orderkey, 80 + n, 121)::int AS days) AS s;

VACUUM (ANALYZE) region, nation, supplier, customer, part, partsupp, orders, lineitem;
