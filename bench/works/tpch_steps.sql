-- A warehouse on the tables of tpch_data.sql, from staging through a star to reports.
-- An ordinary script: psql runs it, etl.define makes a pipeline of it.  The line
-- "lane" says where somebody who splits it over two sessions by hand would put a
-- step: stage and session.  Stages wait for each other.

-- lane: 1 a
CREATE TABLE dim_nation AS
SELECT n.n_nationkey AS nation_key, n.n_name AS nation, r.r_name AS region
FROM nation n JOIN region r ON r.r_regionkey = n.n_regionkey;

-- lane: 1 a
CREATE TABLE stg_orders AS
SELECT o_orderkey, o_custkey, o_orderdate, o_orderpriority, extract(year FROM o_orderdate)::int AS order_year,
       date_trunc('month', o_orderdate)::date AS order_month
FROM orders;

-- lane: 1 b
CREATE TABLE stg_lineitem AS
SELECT l_orderkey, l_partkey, l_suppkey, l_quantity, l_extendedprice,
       l_extendedprice * (1 - l_discount) AS revenue, l_extendedprice * (1 - l_discount) * (1 + l_tax) AS charge,
       l_discount, l_returnflag, l_shipdate, l_receiptdate > l_commitdate AS late, l_shipmode
FROM lineitem;

-- lane: 2 a
CREATE TABLE dim_customer AS
SELECT c.c_custkey AS customer_key, c.c_name AS customer, c.c_mktsegment AS segment, n.nation, n.region
FROM customer c JOIN dim_nation n ON n.nation_key = c.c_nationkey;

-- lane: 2 a
CREATE TABLE dim_supplier AS
SELECT s.s_suppkey AS supplier_key, s.s_name AS supplier, n.nation, n.region
FROM supplier s JOIN dim_nation n ON n.nation_key = s.s_nationkey;

-- lane: 2 a
CREATE TABLE dim_part AS
SELECT p_partkey AS part_key, p_name AS part, p_brand AS brand, p_type AS type, p_size AS size
FROM part;

-- lane: 2 b
CREATE TABLE fact_sales AS
SELECT o.o_orderkey AS order_key, o.o_custkey AS customer_key, o.order_year, o.order_month, o.o_orderpriority AS priority,
       l.l_partkey AS part_key, l.l_suppkey AS supplier_key, l.l_quantity AS quantity, l.revenue, l.late, l.l_shipdate AS shipdate
FROM stg_lineitem l JOIN stg_orders o ON o.o_orderkey = l.l_orderkey;

-- lane: 2 a
CREATE TABLE pricing_summary AS
SELECT l_returnflag, l_shipmode, sum(l_quantity) AS quantity, sum(l_extendedprice) AS price, sum(revenue) AS revenue,
       sum(charge) AS charge, avg(l_discount) AS discount, count(*) AS items
FROM stg_lineitem WHERE l_shipdate <= date '1998-09-02'
GROUP BY l_returnflag, l_shipmode;

-- lane: 2 a
CREATE TABLE part_stock AS
SELECT ps_partkey AS part_key, sum(ps_availqty) AS available, min(ps_supplycost) AS cheapest, sum(ps_availqty * ps_supplycost) AS value
FROM partsupp GROUP BY ps_partkey;

-- lane: 3 a
CREATE TABLE sales_by_nation AS
SELECT c.nation AS customer_nation, s.nation AS supplier_nation, f.order_year, sum(f.revenue) AS revenue, count(*) AS items
FROM fact_sales f
JOIN dim_customer c ON c.customer_key = f.customer_key
JOIN dim_supplier s ON s.supplier_key = f.supplier_key
GROUP BY c.nation, s.nation, f.order_year;

-- lane: 3 b
CREATE TABLE sales_by_brand AS
SELECT p.brand, p.type, f.order_year, sum(f.revenue) AS revenue, sum(f.quantity) AS quantity
FROM fact_sales f JOIN dim_part p ON p.part_key = f.part_key
GROUP BY p.brand, p.type, f.order_year;

-- lane: 3 a
CREATE TABLE sales_by_segment AS
SELECT c.segment, c.region, f.order_month, sum(f.revenue) AS revenue, sum(f.quantity) AS quantity
FROM fact_sales f JOIN dim_customer c ON c.customer_key = f.customer_key
GROUP BY c.segment, c.region, f.order_month;

-- lane: 3 b
CREATE TABLE customer_value AS
SELECT customer_key, sum(revenue) AS revenue, count(*) AS items, max(order_month) AS last_month, count(*) FILTER (WHERE late) AS late_items
FROM fact_sales GROUP BY customer_key;

-- lane: 3 b
CREATE TABLE supplier_performance AS
SELECT f.supplier_key, s.nation, sum(f.revenue) AS revenue, avg(f.late::int) AS late_share, count(*) AS items
FROM fact_sales f JOIN dim_supplier s ON s.supplier_key = f.supplier_key
GROUP BY f.supplier_key, s.nation;

-- lane: 3 b
CREATE TABLE part_sales AS
SELECT part_key, sum(quantity) AS quantity, sum(revenue) AS revenue
FROM fact_sales GROUP BY part_key;

-- lane: 3 a
CREATE TABLE late_by_priority AS
SELECT priority, order_year, count(*) FILTER (WHERE late) AS late_items, count(*) AS items
FROM fact_sales GROUP BY priority, order_year;

-- lane: 3 a
CREATE TABLE promotion_effect AS
SELECT f.order_month, 100 * sum(f.revenue) FILTER (WHERE p.type LIKE 'PROMO%') / sum(f.revenue) AS promotion_share
FROM fact_sales f JOIN dim_part p ON p.part_key = f.part_key
GROUP BY f.order_month;

-- lane: 4 a
CREATE TABLE customer_tier AS
SELECT v.customer_key, c.nation, c.segment, v.revenue, ntile(4) OVER (ORDER BY v.revenue DESC, v.customer_key) AS tier
FROM customer_value v JOIN dim_customer c ON c.customer_key = v.customer_key;

-- lane: 4 b
CREATE TABLE supplier_rank AS
SELECT supplier_key, nation, revenue, late_share, rank() OVER (PARTITION BY nation ORDER BY revenue DESC) AS place
FROM supplier_performance;

-- lane: 4 b
CREATE TABLE part_turnover AS
SELECT p.part_key, d.brand, p.quantity, p.revenue, s.available, p.quantity::numeric / nullif(s.available, 0) AS turnover
FROM part_sales p
JOIN part_stock s ON s.part_key = p.part_key
JOIN dim_part d ON d.part_key = p.part_key;

-- lane: 4 a
CREATE TABLE market_share AS
SELECT n.region, b.order_year, b.supplier_nation, sum(b.revenue) AS revenue,
       sum(b.revenue) / sum(sum(b.revenue)) OVER (PARTITION BY n.region, b.order_year) AS share
FROM sales_by_nation b JOIN dim_nation n ON n.nation = b.customer_nation
GROUP BY n.region, b.order_year, b.supplier_nation;

-- lane: 5 a
CREATE TABLE tier_by_nation AS
SELECT nation, tier, count(*) AS customers, sum(revenue) AS revenue
FROM customer_tier GROUP BY nation, tier;

-- lane: 5 b
CREATE TABLE brand_report AS
SELECT b.brand, sum(b.revenue) AS revenue, t.turnover
FROM sales_by_brand b
JOIN (SELECT brand, avg(turnover) AS turnover FROM part_turnover GROUP BY brand) AS t ON t.brand = b.brand
GROUP BY b.brand, t.turnover;

-- lane: 5 b
CREATE TABLE supplier_report AS
SELECT nation, count(*) FILTER (WHERE place <= 10) AS leaders, sum(revenue) AS revenue, max(late_share) AS worst
FROM supplier_rank GROUP BY nation;

-- lane: 6 a
CREATE TABLE scorecard AS
SELECT t.nation, t.customers, t.revenue AS bought, s.revenue AS sold, s.leaders
FROM (SELECT nation, sum(customers) AS customers, sum(revenue) AS revenue FROM tier_by_nation GROUP BY nation) AS t
JOIN supplier_report s ON s.nation = t.nation;
