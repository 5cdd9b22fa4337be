# What cache, persist and repartition do to a server: counted in pages, and looked
# at after crashes.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use EtlTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# A column of etl.log for a step's last attempt.
sub logged
{
	my ($node, $step, $column) = @_;
	return one($node, "SELECT $column FROM etl.log WHERE process_name = '$step' ORDER BY run_id DESC, attempt DESC LIMIT 1");
}

# ---- what an attempt has cost, and what "cache" spares the next ----

my $node = etl_node('costs', "shared_buffers = 64MB\nwork_mem = 1MB\nmax_parallel_workers_per_gather = 0\n");
my $pages = 3000;				# of 8 kB, 23 MB: more than the ring of 16 MB at most
one($node, <<"EOT");
CREATE SCHEMA out;
CREATE TABLE source AS SELECT g AS id, repeat('x', 900) AS filler FROM generate_series(1, $pages * 8) AS g;
CREATE UNLOGGED TABLE filler (LIKE source);
VACUUM ANALYZE source;
SELECT etl.create_pipeline('p', target_schema => 'out', max_attempts => 1, max_parallel => 1);
SELECT etl.add_step('p', 'early', 'SELECT * FROM source');
SELECT etl.add_step('p', 'reads_early', 'SELECT count(*) AS n, sum(length(filler)) AS l FROM early');
-- plain inserts go into shared buffers: 70 MB, and none is free any more
SELECT etl.add_step('p', 'fill', 'INSERT INTO filler SELECT g, repeat(''x'', 900) FROM generate_series(1, 9000 * 8) AS g', depends_on => '{reads_early}');
SELECT etl.add_step('p', 'cached', 'SELECT * FROM source', cache => true, depends_on => '{fill}');
SELECT etl.add_step('p', 'reads_cached', 'SELECT count(*) AS n, sum(length(filler)) AS l FROM cached');
SELECT etl.add_step('p', 'plain', 'SELECT * FROM source', depends_on => '{reads_cached}');
SELECT etl.add_step('p', 'reads_plain', 'SELECT count(*) AS n, sum(length(filler)) AS l FROM plain');
SELECT etl.add_step('p', 'kept', 'SELECT * FROM source', persist => true, depends_on => '{reads_plain}');
SELECT etl.add_step('p', 'sorted', 'SELECT max(n) AS n FROM (SELECT row_number() OVER (ORDER BY id DESC, filler) AS n FROM source) s');
EOT
$node->restart;
one($node, "SET etl_framework.cache_limit = 0.5; SELECT etl.run('p')");
is(one($node, 'SELECT count(DISTINCT (n, l)), min(n) FROM (TABLE out.reads_early UNION ALL TABLE out.reads_cached UNION ALL TABLE out.reads_plain) r'),
	'1|' . $pages * 8, 'all have the rows');
cmp_ok(logged($node, 'reads_early', 'shared_blks_read'), '<', 100, 'the first reader of a step finds it in memory while there is room');
cmp_ok(logged($node, 'cached', 'shared_blks_read'), '>=', $pages, 'shared_blks_read: what was on disk');
cmp_ok(logged($node, 'reads_cached', 'shared_blks_read'), '<', 100, 'that of a cached step does in any case');
cmp_ok(logged($node, 'reads_cached', 'shared_blks_hit'), '>=', $pages, 'shared_blks_hit: all of it');
cmp_ok(logged($node, 'reads_plain', 'shared_blks_read'), '>=', $pages - 2048 - 100, 'of one that is not, at most the ring is there when there was none');
cmp_ok(logged($node, 'plain', 'wal_bytes'), '<', $pages * 8192 / 10, 'wal_bytes: next to none for an unlogged table');
cmp_ok(logged($node, 'kept', 'wal_bytes'), '>', $pages * 7000, 'all of it for a logged one');
cmp_ok(logged($node, 'sorted', 'temp_blks_written'), '>', $pages / 2, 'temp_blks_written: a sort that does not fit into work_mem');
cmp_ok(logged($node, 'sorted', 'temp_blks_read'), '>', $pages / 2, 'temp_blks_read');
is(logged($node, 'reads_cached', 'temp_blks_written + temp_blks_read'), 0, 'no temporary files otherwise');

one($node, "SELECT etl.add_step('p', 'too_large', 'SELECT count(*) AS n FROM source a JOIN source b USING (id, filler)', broadcast => true)");
my (undef, undef, $err) = finish_sql(begin_sql($node, "SELECT etl.run('p', steps => '{too_large}')"));
like($err, qr/NOTICE: .* too_large: SUCCESS.*\nDETAIL:  warning: broadcast: a side of a join is expected to take \d+ MB, more than the 2048 kB/,
	'who waits for the run sees the warning, with the size');
nothing_left($node, 'costs');
$node->stop;

# ---- the processors are shared among the steps that run ----

$node = etl_node('parallel', "max_worker_processes = 16\nmax_parallel_workers_per_gather = 64\nparallel_setup_cost = 0\nparallel_tuple_cost = 0\n");
one($node, <<'EOT');
CREATE TABLE source (id) WITH (parallel_workers = 64) AS SELECT generate_series(1, 1000);
ANALYZE source;
SELECT etl.create_pipeline('p', max_attempts => 1, max_parallel => 4);
SELECT etl.add_step('p', 'large', 'SELECT s.n FROM (SELECT count(*) AS n FROM source a, source b) AS s, pg_advisory_xact_lock_shared(7)');
SELECT etl.add_step('p', 'tiny', 'SELECT 1 AS n FROM pg_advisory_xact_lock_shared(7)');
SELECT etl.add_step('p', 'both_run', 'DO $$ BEGIN WHILE (SELECT count(*) FROM pg_locks WHERE locktype = ''advisory'' AND objid = 7 AND NOT granted) < 2 LOOP PERFORM pg_sleep(0.01); END LOOP; END $$');
SELECT etl.add_step('p', 'beside', 'SELECT count(*) AS n FROM source', depends_on => '{both_run}');
SELECT etl.add_step('p', 'as_told', 'SELECT count(*) AS n FROM source', depends_on => '{beside}', settings => '{max_parallel_workers_per_gather=5}');
EOT
my $session = session($node);
say_sql($session, 'SELECT pg_advisory_lock(7)');
my $job = begin_sql($node, [ 'SET etl_framework.keep_plans = on', "SELECT etl.run('p')" ]);
poll_ok($node, q{SELECT count(*) = 1 FROM etl.log WHERE process_name = 'as_told' AND status = 'SUCCESS'}, 'steps run beside a large and a small one');
say_sql($session, 'SELECT pg_advisory_unlock(7)');
my ($rc, undef, $error) = finish_sql($job);
is($rc, 0, 'all have run') or diag($error);
my $workers = q{coalesce(jsonb_path_query_first(plan::jsonb, 'strict $.**."Workers Planned"'), '0')};
my $processors = `getconf _NPROCESSORS_ONLN`;
my $share = int($processors / 2) - 1;
is(logged($node, 'beside', $workers), $share < 0 ? 0 : $share, 'the large one and a step beside it have the processors in equal shares');
is(logged($node, 'as_told', $workers), 5, 'not where the step says otherwise');
one($node, "SET etl_framework.keep_plans = on; SELECT etl.run('p', steps => '{beside}')");
is(logged($node, 'beside', $workers), 64, 'nor where it runs alone');
$session->quit;
nothing_left($node, 'parallel');
$node->stop;

# ---- more partitions than there are pages to be pinned ----

$node = etl_node('small', "shared_buffers = 4MB\nmax_locks_per_transaction = 256\n");
one($node, <<'EOT');
CREATE SCHEMA out;
SELECT etl.create_pipeline('p', target_schema => 'out', max_attempts => 1);
SELECT etl.add_step('p', 'parts', 'SELECT g AS id, repeat(''x'', 200) AS filler FROM generate_series(1, 200000) AS g', repartition => 1024);
SELECT etl.run('p');
EOT
is(one($node, 'SELECT count(*), count(DISTINCT id), count(DISTINCT tableoid) FROM out.parts'), '200000|200000|1024', '1,024 partitions in 512 shared buffers');
cmp_ok(one($node, "SELECT sum(pg_relation_size(inhrelid)) / 8192 FROM pg_inherits WHERE inhparent = 'out.parts'::regclass"), '<', 7300,
	'each filled page by page');
$node->stop;

# ---- what is logged survives, also where new tables are not in the WAL ----

for my $level ('replica', 'minimal')
{
	$node = etl_node("crash_$level", "wal_level = $level\n" . ($level eq 'minimal' ? "max_wal_senders = 0\nwal_skip_threshold = 1GB\n" : ''));
	one($node, <<~'EOT');
	CREATE SCHEMA out;
	SELECT etl.create_pipeline('p', target_schema => 'out', max_attempts => 1, durability => 'outputs');
	SELECT etl.add_step('p', 'plain', 'SELECT g AS id, string_agg(md5((g * h)::text), '''') AS wide FROM generate_series(1, 300) AS g, generate_series(1, 200) AS h GROUP BY g', keep => true);
	SELECT etl.add_step('p', 'kept', 'SELECT * FROM plain', persist => true, indexes => '{UNIQUE (id)}');
	SELECT etl.add_step('p', 'parts', 'SELECT * FROM plain', repartition => 5, indexes => '{(id)}');
	CREATE EXTENSION amcheck;
	CHECKPOINT;
	SELECT etl.run('p');
	EOT
	my $sums = "SELECT count(*), md5(string_agg(wide, '' ORDER BY id)) FROM out";
	my $before = one($node, "$sums.plain");
	$node->stop('immediate');
	$node->start;
	is(one($node, "$sums.kept"), $before, "wal_level $level: a persisted table has its rows after a crash");
	is(one($node, "$sums.parts"), $before, "wal_level $level: so have the partitions of an output");
	is(one($node, "SET enable_seqscan = off; SELECT count(*) FROM out.kept k JOIN out.parts USING (id, wide) WHERE k.id > 0"), 300, "wal_level $level: its indexes too");
	one($node, "SELECT bt_index_check(indexrelid, true) FROM pg_index WHERE indrelid = 'out.kept'::regclass OR indrelid IN (SELECT inhrelid FROM pg_inherits)");
	is(one($node, "SELECT count(*) FROM (SELECT 'out.kept'::regclass AS t UNION ALL SELECT inhrelid FROM pg_inherits WHERE inhparent = 'out.parts'::regclass) s, verify_heapam(t)"),
		0, "wal_level $level: their pages are sound");
	is(one($node, "SELECT string_agg(process_name, ' ') FROM etl.output WHERE lost"), 'plain', "wal_level $level: what is not logged is lost");
	$node->stop;
}

done_testing();
