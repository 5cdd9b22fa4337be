# All query steps of a run see the sources as of one instant.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use EtlTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = etl_node('snapshot');
my $major = major_version($node);

# Money moves from one table to the other, in one transaction each time, until
# table "stop" has a row.  In all tables together there are 2000.
one($node, <<'EOT');
CREATE SCHEMA out;
CREATE TABLE left_half (id int PRIMARY KEY, amount int);
CREATE TABLE right_half (id int, amount int) PARTITION BY LIST (id);
CREATE TABLE right_1 PARTITION OF right_half FOR VALUES IN (1, 2, 3, 4, 5);
CREATE TABLE right_2 PARTITION OF right_half DEFAULT;
CREATE TABLE stop (n int);
CREATE FUNCTION refill() RETURNS void LANGUAGE sql AS $$
	DELETE FROM left_half; DELETE FROM right_half;
	INSERT INTO left_half SELECT g, 100 FROM generate_series(1, 10) g;
	INSERT INTO right_half SELECT g, 100 FROM generate_series(1, 10) g $$;
SELECT refill();
CREATE PROCEDURE move() LANGUAGE plpgsql AS $$
DECLARE
	sum int; k int := 0;
BEGIN
	WHILE NOT EXISTS (SELECT FROM stop) LOOP
		k := k % 10 + 1;
		sum := (random() * 50)::int - 25;
		UPDATE left_half SET amount = amount - sum WHERE id = k;
		UPDATE right_half SET amount = amount + sum WHERE id = 11 - k;
		COMMIT;
	END LOOP;
END $$;
CREATE FUNCTION nap() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1 FROM pg_sleep(0.003)';
SELECT etl.create_pipeline('bank', target_schema => 'out', search_path => 'public', max_parallel => 3);
SELECT etl.add_step('bank', 'l', 'SELECT * FROM left_half', repartition => 3, indexes => '{(amount)}');
SELECT etl.add_step('bank', 'gap', 'SELECT nap() AS n FROM l LIMIT 1', keep => false);
SELECT etl.add_step('bank', 'r', 'SELECT right_half.* FROM right_half, gap', cache => true, persist => true);
SELECT etl.add_step('bank', 'late', 'SELECT sum(x.amount) AS s FROM (SELECT amount FROM left_half UNION ALL SELECT amount FROM right_half) x, r WHERE r.id = 1');
SELECT etl.add_step('bank', 'total', 'SELECT (SELECT sum(amount) FROM l) + (SELECT sum(amount) FROM r) AS s, (SELECT s FROM late) AS late');
CREATE TABLE totals (s int, late int);
CREATE PROCEDURE rounds(n int) LANGUAGE plpgsql AS $$
DECLARE
	run bigint;
BEGIN
	FOR i IN 1..n LOOP
		run := etl.run('bank');
		COMMIT;
		INSERT INTO totals SELECT * FROM out.total;
		COMMIT;
	END LOOP;
END $$;
EOT

# ---- one instant ----

my $mover = begin_sql($node, 'CALL move()', patience => 400);
one($node, 'SET client_min_messages = error; CALL rounds(60)');
is(one($node, 'SELECT count(*), count(*) FILTER (WHERE s <> 2000 OR late <> 2000) FROM totals'), '60|0',
	'money that moves from one source to another never shows in a total');
is(one($node, "SELECT count(DISTINCT status), min(status), max(attempt) FROM etl.log"), '1|SUCCESS|1', 'all at the first attempt');

one($node, "SELECT etl.alter_pipeline('bank', '{\"one_snapshot\": false}')");
one($node, 'TRUNCATE totals; SET client_min_messages = error; CALL rounds(20)');
cmp_ok(one($node, 'SELECT count(*) FROM totals WHERE s <> 2000'), '>', 0, 'without one snapshot it does');
one($node, 'INSERT INTO stop VALUES (1)');
finish_sql($mover);
one($node, "SELECT etl.alter_pipeline('bank', '{\"one_snapshot\": null}'); SELECT refill(); TRUNCATE stop");
is(one($node, "SELECT one_snapshot FROM etl.pipeline"), 't', 'one snapshot is the default');
nothing_left($node, 'one instant');

# ---- command steps ----

# "before" sees the instant, the command what is there now, "after" what it did.
one($node, <<"EOT");
CREATE TABLE booked (n int);
SELECT etl.create_pipeline('mixed', target_schema => 'out', search_path => 'public', max_parallel => 2);
SELECT etl.add_step('mixed', 'begin', 'SELECT 1 AS n FROM $gate_sql');
SELECT etl.add_step('mixed', 'before', 'SELECT count(*) AS n FROM booked, begin');
SELECT etl.add_step('mixed', 'book', 'INSERT INTO booked SELECT 1 FROM begin');
SELECT etl.add_step('mixed', 'after', 'SELECT count(*) AS n FROM booked', depends_on => '{book}');
SELECT etl.add_step('mixed', 'last', 'SELECT (SELECT n FROM before) AS before, (SELECT n FROM after) AS after', depends_on => '{before}');
EOT
my $keeper = session($node);
close_gate($keeper);
my $job = begin_sql($node, "SELECT etl.run('mixed')");
poll_gate($node, 1, 'a command step in the middle: the run has begun');
one($node, 'INSERT INTO booked VALUES (0)');
open_gate($keeper);
my ($rc, $out, $err) = finish_sql($job);
is($rc, 0, 'a command step in the middle');
is(one($node, 'SELECT * FROM out.last'), '0|2', 'what does not follow it sees the instant, what does sees what it did');

# staged: the order is what says that a step follows
one($node, <<'EOT');
SELECT etl.create_pipeline('staged', target_schema => 'out', search_path => 'public', ordering => 'staged');
SELECT etl.add_step('staged', 's1', 'SELECT count(*) AS n FROM booked', execution_order => 1);
SELECT etl.add_step('staged', 's2', 'INSERT INTO booked VALUES (2)', execution_order => 2);
SELECT etl.add_step('staged', 's3', 'SELECT count(*) AS n FROM booked', execution_order => 3);
SELECT etl.run('staged');
EOT
is(one($node, 'SELECT s3.n - s1.n FROM out.s1, out.s3'), 1, 'staged: steps of higher orders see it');

# no query needs it: no process for it
one($node, "SELECT etl.create_pipeline('only', target_schema => 'out', search_path => 'public'); SELECT etl.add_step('only', 'o', 'INSERT INTO booked SELECT count(*) FROM pg_stat_activity WHERE backend_type = ''etl_framework snapshot'''); SELECT etl.run('only')");
is(one($node, 'SELECT max(n) FROM booked'), 2, 'a run of commands has no snapshot');

# its own command changes a source: no deadlock, even with one worker
one($node, <<'EOT');
CREATE TABLE emptied AS SELECT 1 AS n;
SELECT etl.create_pipeline('self', target_schema => 'out', search_path => 'public', max_parallel => 1, max_attempts => 1);
SELECT etl.add_step('self', 'empty_it', 'TRUNCATE emptied', execution_order => 1);
SELECT etl.add_step('self', 'reads_it', 'SELECT count(*) AS n FROM emptied', execution_order => 2);
EOT
fails_like($node, "SELECT etl.run('self')", 'ZE001', qr/table public\.emptied was changed while the run was on/, 'its own command empties a source');
is(statuses($node), 'empty_it/1 SUCCESS, reads_it/1 FAILED', 'its own command empties a source: the reader fails');
one($node, "SELECT etl.alter_step('self', 'reads_it', '{\"depends_on\": [\"empty_it\"]}'); SELECT etl.run('self')");
is(one($node, 'SELECT n FROM out.reads_it'), 0, 'its own command empties a source: in the right order all is well');

# a command starts a run that publishes what this one has locked
one($node, <<'EOT');
SELECT etl.create_pipeline('inner', target_schema => 'inside');
SELECT etl.add_step('inner', 'made_inside', 'SELECT 1 AS n');
SELECT etl.run('inner');
SELECT etl.create_pipeline('outer', target_schema => 'out', search_path => 'public', max_parallel => 1);
SELECT etl.add_step('outer', 'runs', 'DO $$BEGIN PERFORM etl.run(''inner''); END$$', execution_order => 1);
SELECT etl.add_step('outer', 'reads_inside', 'SELECT count(*) AS n FROM inside.made_inside', execution_order => 2);
EOT
fails_like($node, "SELECT etl.run('outer')", 'ZE001', qr/table inside\.made_inside was changed while the run was on/, 'a run within a run publishes a source');
is(one($node, "SELECT string_agg(process_name || ' ' || status, ', ' ORDER BY process_name) FROM etl.log WHERE pipeline = 'outer'"), 'reads_inside FAILED, runs SUCCESS', 'a run within a run publishes a source: no deadlock');
one($node, "SELECT etl.alter_step('outer', 'reads_inside', '{\"depends_on\": [\"runs\"]}'); SELECT etl.run('outer')");
is(one($node, 'SELECT n FROM out.reads_inside'), 1, 'a run within a run publishes a source: in the right order all is well');

# waiting for all old snapshots to go
one($node, <<'EOT');
CREATE TABLE indexed AS SELECT 1 AS n;
SELECT etl.create_pipeline('cic', target_schema => 'out', search_path => 'public', max_parallel => 1);
SELECT etl.add_step('cic', 'index_it', 'CREATE INDEX CONCURRENTLY indexed_n ON indexed (n)', execution_order => 1);
SELECT etl.add_step('cic', 'reads_it_too', 'SELECT count(*) AS n FROM indexed', execution_order => 2);
EOT
my $run = one($node, "SELECT etl.start('cic')");
poll_ok($node, "SELECT status = 'CANCELLED' FROM etl.run_log WHERE run_id = $run", 'a command that waits for the run itself: the run ends');
like(last_run($node, 'error_message'), qr/waits for all older snapshots to go, and the run for that step/, 'a command that waits for the run itself: reason');
one($node, "DROP INDEX indexed_n; SELECT etl.alter_step('cic', 'index_it', '{\"depends_on\": [\"reads_it_too\"], \"execution_order\": null}')");
$run = one($node, "SELECT etl.start('cic')");
poll_ok($node, "SELECT status = 'SUCCESS' FROM etl.run_log WHERE run_id = $run", 'a command that waits for the run itself: in the right order all is well');
nothing_left($node, 'command steps');

# ---- sources that are changed in the middle ----

# Step "gate" holds the run while something happens.  What the function reads is
# not known before, and so not locked.
one($node, <<'EOT');
CREATE TABLE plain (n int);
CREATE TABLE parted (n int) PARTITION BY LIST (n);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2, 3) PARTITION BY LIST (n);
CREATE TABLE parted_2a PARTITION OF parted_2 FOR VALUES IN (2);
CREATE MATERIALIZED VIEW mv AS SELECT 1 AS n;
CREATE UNIQUE INDEX ON mv (n);
CREATE FUNCTION hidden() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN RETURN (SELECT count(*) FROM plain) + (SELECT count(*) FROM parted) + (SELECT count(*) FROM mv); END $$;
CREATE VIEW look AS SELECT n FROM plain UNION ALL SELECT n FROM parted UNION ALL SELECT n FROM mv;
CREATE FUNCTION again() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	DROP VIEW IF EXISTS look;
	DROP TABLE plain, parted; DROP TABLE IF EXISTS was_plain, parted_1, fresh;
	CREATE TABLE plain (n int); INSERT INTO plain VALUES (1);
	CREATE TABLE parted (n int) PARTITION BY LIST (n);
	CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
	CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2, 3) PARTITION BY LIST (n);
	CREATE TABLE parted_2a PARTITION OF parted_2 FOR VALUES IN (2);
	INSERT INTO parted VALUES (1), (2);
	CREATE VIEW look AS SELECT n FROM plain UNION ALL SELECT n FROM parted UNION ALL SELECT n FROM mv;
END $$;
SELECT again();
SELECT etl.create_pipeline('guard', target_schema => 'out', search_path => 'public', max_parallel => 1);
EOT
one($node, "SELECT etl.add_step('guard', 'gate', 'SELECT 1 AS n FROM $gate_sql')");
one($node, "SELECT etl.add_step('guard', 'reader', 'SELECT hidden() AS n', depends_on => '{gate}')");

sub begin_gated
{
	my ($pipeline) = @_;
	close_gate($keeper);
	my $begun = begin_sql($node, "SELECT etl.run('$pipeline')", app => 'gated');
	poll_gate($node, 1, "$pipeline: the run is at the gate");
	return $begun;
}

for my $case (
	[ 'TRUNCATE', 'TRUNCATE plain', 'public.plain' ],
	[ 'TRUNCATE and COPY FREEZE', "BEGIN; TRUNCATE plain; COPY plain FROM PROGRAM 'echo 7' (FREEZE); COMMIT", 'public.plain' ],
	[ 'a column of another type', 'DROP VIEW look; ALTER TABLE plain ALTER n TYPE bigint', 'public.plain' ],
	[ 'a column with a volatile default', 'ALTER TABLE plain ADD c float DEFAULT random()', 'public.plain' ],
	[ 'SET UNLOGGED', 'ALTER TABLE plain SET UNLOGGED', 'public.plain' ],
	[ 'another table of the name', 'DROP VIEW look; DROP TABLE plain; CREATE TABLE plain AS SELECT 1 AS n', 'public.plain' ],
	[ 'a swap by renaming', 'CREATE TABLE fresh AS SELECT 1 AS n; ALTER TABLE plain RENAME TO was_plain; ALTER TABLE fresh RENAME TO plain', 'public.plain' ],
	[ 'TRUNCATE of a partition', 'TRUNCATE parted_2a', 'public.parted_2a' ],
	[ 'DETACH PARTITION', 'ALTER TABLE parted DETACH PARTITION parted_1', 'public.parted' ],
	[ 'DETACH PARTITION of a partition', 'ALTER TABLE parted_2 DETACH PARTITION parted_2a; DROP TABLE parted_2a', 'public.parted_2' ],
	[ 'REFRESH MATERIALIZED VIEW', 'REFRESH MATERIALIZED VIEW mv', 'public.mv' ],
  )
{
	my ($what, $sql, $table) = @$case;
	$job = begin_gated('guard');
	one($node, $sql);
	open_gate($keeper);
	($rc, $out, $err) = finish_sql($job);
	isnt($rc, 0, "$what: the run fails");
	is(one($node, "SELECT attempt || sqlstate || error_message FROM etl.log WHERE run_id = (SELECT max(run_id) FROM etl.run_log) AND process_name = 'reader'"),
		"1ZE008table $table was changed while the run was on", "$what: with the reason, once");
	one($node, 'SET client_min_messages = error; SELECT again()');
}
for my $case (
	[ 'INSERT, UPDATE, DELETE', 'INSERT INTO plain VALUES (5); UPDATE plain SET n = 6; DELETE FROM parted' ],
	[ 'a column with a constant default', 'ALTER TABLE plain ADD c int DEFAULT 7' ],
	[ 'CREATE INDEX, REINDEX', 'CREATE INDEX ON plain (n); CREATE INDEX ON parted (n); REINDEX TABLE plain; ANALYZE plain' ],
	[ 'VACUUM', 'VACUUM plain' ],
	[ 'REFRESH MATERIALIZED VIEW CONCURRENTLY', 'REFRESH MATERIALIZED VIEW CONCURRENTLY mv' ],
  )
{
	my ($what, $sql) = @$case;
	$job = begin_gated('guard');
	$sql =~ /VACUUM/ ? $node->safe_psql('postgres', $sql) : one($node, $sql);
	open_gate($keeper);
	($rc, $out, $err) = finish_sql($job);
	is($rc, 0, "$what: the run goes on");
	is(one($node, 'SELECT n FROM out.reader'), 4, "$what: and sees what there was");
	one($node, 'SET client_min_messages = error; SELECT again()');
}

# another pipeline's publish
one($node, <<'EOT');
SELECT etl.create_pipeline('other', target_schema => 'other', max_parallel => 1);
SELECT etl.add_step('other', 'made', 'SELECT 1 AS n');
SELECT etl.run('other');
CREATE FUNCTION hidden_made() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM other.made); END';
SELECT etl.alter_step('guard', 'reader', '{"sql_query": "SELECT hidden_made() AS n"}');
EOT
$job = begin_gated('guard');
one($node, "SELECT etl.run('other')");
open_gate($keeper);
($rc, $out, $err) = finish_sql($job);
like($err, qr/table other\.made was changed while the run was on/, "another pipeline's publish: found out");

# What the SQL names is locked, also through views: whoever wants to change it
# waits for the steps that read it,
one($node, "SELECT etl.drop_step('guard', 'reader'); SELECT etl.alter_step('guard', 'gate', '{\"execution_order\": 2}'); SELECT etl.add_step('guard', 'reads_view', 'SELECT count(*) AS n FROM look, other.made', execution_order => 1)");
for my $case ([ 'plain', 'TRUNCATE plain' ], [ 'parted_2a', 'TRUNCATE parted_2a' ], [ 'mv', 'REFRESH MATERIALIZED VIEW mv' ], [ 'look', 'DROP VIEW look' ])
{
	my ($table, $sql) = @$case;
	$job = begin_gated('guard');
	my $changer = begin_sql($node, $sql, app => 'changer');
	poll_ok($node, "SELECT cardinality(pg_blocking_pids(pid)) > 0 FROM pg_stat_activity WHERE application_name = 'changer'", "$table is locked");
	open_gate($keeper);
	($rc, $out, $err) = finish_sql($job);
	is($rc, 0, "$table is locked: the run goes on");
	($rc, $out, $err) = finish_sql($changer);
	is($rc, 0, "$table is locked: and then the other");
	one($node, 'CREATE OR REPLACE VIEW look AS SELECT n FROM plain UNION ALL SELECT n FROM parted UNION ALL SELECT n FROM mv');
}
$job = begin_gated('guard');
my $publisher = begin_sql($node, "SELECT etl.run('other')");
poll_ok($node, "SELECT status = 'RUNNING' FROM etl.run_log WHERE pipeline = 'other' ORDER BY run_id DESC LIMIT 1", 'a publish has to wait');
open_gate($keeper);
($rc, $out, $err) = finish_sql($job);
is($rc, 0, 'a publish has to wait: the reader is not disturbed');
($rc, $out, $err) = finish_sql($publisher);
is($rc, 0, 'a publish has to wait: and is not for ever');

# but not if a step comes to wait behind it: then the lock is given up
one($node, "SELECT again(); SELECT etl.alter_step('guard', 'reads_view', '{\"execution_order\": 3}')");
$job = begin_gated('guard');
my $changer = begin_sql($node, 'TRUNCATE plain', app => 'changer');
poll_ok($node, "SELECT cardinality(pg_blocking_pids(pid)) > 0 FROM pg_stat_activity WHERE application_name = 'changer'", 'a step behind a waiting change');
open_gate($keeper);
($rc, $out, $err) = finish_sql($job);
like($err, qr/table public\.plain was changed while the run was on/, 'a step behind a waiting change: no deadlock, and found out');
($rc, $out, $err) = finish_sql($changer);
is($rc, 0, 'a step behind a waiting change: the change is done');
nothing_left($node, 'sources');

# ---- steps that write ----

one($node, <<'EOT');
CREATE TABLE counter (n int); INSERT INTO counter VALUES (0);
CREATE FUNCTION count_up() RETURNS int LANGUAGE sql AS 'UPDATE counter SET n = n + 1 RETURNING n';
SELECT etl.drop_step('guard', 'reads_view');
SELECT etl.alter_step('guard', 'gate', '{"execution_order": null}');
SELECT etl.add_step('guard', 'counts', 'SELECT count_up() AS n', depends_on => '{gate}');
EOT
$job = begin_gated('guard');
open_gate($keeper);
($rc, $out, $err) = finish_sql($job);
is(one($node, 'SELECT c.n, o.n FROM counter c, out.counts o'), '1|1', 'a function can write');
$job = begin_gated('guard');
one($node, 'UPDATE counter SET n = 10');
open_gate($keeper);
($rc, $out, $err) = finish_sql($job);
is(one($node, "SELECT string_agg(attempt || sqlstate || (retry_at IS NULL), ' ') FROM etl.log WHERE run_id = (SELECT max(run_id) FROM etl.run_log) AND process_name = 'counts'"),
	'140001true', 'a serialization failure is not worth another attempt');
like(one($node, "SELECT error_hint FROM etl.log WHERE process_name = 'counts' ORDER BY run_id DESC LIMIT 1"), qr/one_snapshot/, 'and says what to do');

# ---- the process that holds it ----

sub holder_sql
{
	return "FROM pg_stat_activity WHERE backend_type = 'etl_framework snapshot'";
}

$job = begin_gated('guard');
one($node, 'SELECT pg_terminate_backend(pid) ' . holder_sql());
poll_ok($node, 'SELECT count(*) = 0 ' . holder_sql(), 'the holder is gone');
is(last_run($node, 'status'), 'RUNNING', 'what runs is not disturbed');
open_gate($keeper);
($rc, $out, $err) = finish_sql($job);
is(sql_state($err), 'ZE009', 'holder terminated: SQLSTATE');
like($err, qr/its snapshot is gone/, 'holder terminated: reason');
is(statuses($node), 'counts/0 CANCELLED, gate/1 SUCCESS', 'holder terminated: what ran has ended well, no other was started');
is(last_run($node, 'status'), 'FAILED', 'holder terminated: the run has failed');
nothing_left($node, 'holder terminated');

one($node, "SELECT etl.drop_step('guard', 'counts')");
$job = begin_gated('guard');
one($node, 'SELECT pg_terminate_backend(pid) ' . holder_sql());
poll_ok($node, 'SELECT count(*) = 0 ' . holder_sql(), 'the holder is gone in the last step');
open_gate($keeper);
($rc, $out, $err) = finish_sql($job);
is($rc, 0, 'nobody has missed it');

# what is being changed when the run begins is waited for
my $changing = session($node);
one($node, "SELECT etl.alter_step('guard', 'gate', '{\"sql_query\": \"SELECT count(*) AS n FROM plain, parted\"}'); SELECT again()");
say_sql($changing, 'BEGIN; TRUNCATE plain; INSERT INTO plain VALUES (1), (2), (3);');
$job = begin_sql($node, "SELECT etl.run('guard')", app => 'waits');
poll_ok($node, "SELECT wait_event_type = 'Lock' " . holder_sql(), 'the holder waits for who changes a source');
is(one($node, "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.backend_type = 'etl_framework snapshot' AND l.locktype = 'relation' AND l.granted AND l.relation >= 16384"),
	0, 'and has no lock meanwhile');
say_sql($changing, 'COMMIT;');
($rc, $out, $err) = finish_sql($job);
is($rc, 0, 'and then the run begins');
is(one($node, 'SELECT n FROM out.gate'), 6, 'with what has come');

# cancelled while the holder starts
say_sql($changing, 'BEGIN; LOCK TABLE plain IN ACCESS EXCLUSIVE MODE;');
$job = begin_sql($node, "SELECT etl.run('guard')", app => 'waits');
poll_ok($node, "SELECT wait_event_type = 'Lock' " . holder_sql(), 'the holder waits again');
one($node, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'waits'");
($rc, $out, $err) = finish_sql($job);
is(sql_state($err), '57014', 'cancelled while the holder starts');
poll_ok($node, 'SELECT count(*) = 0 ' . holder_sql(), 'cancelled while the holder starts: it goes');
nothing_left($node, 'cancelled while the holder starts');
is(last_run($node, 'status'), 'CANCELLED', 'cancelled while the holder starts: status');

# it dies before it is there: another one
$job = begin_sql($node, "SELECT etl.run('guard')", app => 'waits');
poll_ok($node, "SELECT wait_event_type = 'Lock' " . holder_sql(), 'the holder waits once more');
one($node, 'SELECT pg_terminate_backend(pid) ' . holder_sql());
say_sql($changing, 'COMMIT;');
($rc, $out, $err) = finish_sql($job);
is($rc, 0, 'a holder that died before the first step is replaced');

# the waiting session itself is in the way
say_sql($changing, "BEGIN; LOCK TABLE plain IN ACCESS EXCLUSIVE MODE; SELECT pg_current_xact_id_if_assigned() IS NULL;");
SKIP:
{
	skip 'the lock has a transaction id here', 1 if one($node, 'SHOW wal_level') ne 'minimal';
	($out, $err) = say_sql($changing, "SELECT etl.run('guard');");
	like($err, qr/its snapshot waits for AccessShareLock on relation/, 'the waiting session is in the way');
}
say_sql($changing, 'ROLLBACK;');
$changing->quit;
$keeper->quit;

# ---- a server that removes what old snapshots see ----

SKIP:
{
	skip 'there is no such setting since 17', 3 if $major >= 17;
	$node->append_conf('postgresql.conf', 'old_snapshot_threshold = 1h');
	$node->restart;
	fails_like($node, "SELECT etl.run('guard')", '55000', qr/cannot be run with one snapshot.*HINT:.*old_snapshot_threshold/s, 'old_snapshot_threshold');
	one($node, "SELECT etl.alter_pipeline('guard', '{\"one_snapshot\": false}'); SELECT etl.run('guard')");
	is(last_run($node, 'status'), 'SUCCESS', 'old_snapshot_threshold: without one snapshot');
}

nothing_left($node, 'at the end');
$node->stop;
done_testing();
