# etl.run, etl.start and etl.wait inside the caller's transactions: what is not
# committed, and locks that a run would wait for while its caller waits for it.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use EtlTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = etl_node('transactions');

one($node, <<'EOT');
CREATE SCHEMA out;
CREATE TABLE source (n int);
CREATE TABLE sink (n int);
CREATE TABLE sink2 (n int);
INSERT INTO source VALUES (1);
SELECT etl.create_pipeline('p', target_schema => 'out', search_path => 'public');
SELECT etl.add_step('p', 'copied', 'SELECT n FROM source');

SELECT etl.create_pipeline('writer', target_schema => 'out', search_path => 'public');
SELECT etl.add_step('writer', 'fill', 'INSERT INTO sink SELECT 1');
SELECT etl.create_pipeline('writer2', target_schema => 'out', search_path => 'public');
SELECT etl.add_step('writer2', 'fill2', 'INSERT INTO sink2 SELECT 1');
SELECT etl.create_pipeline('advisory', target_schema => 'out');
SELECT etl.add_step('advisory', 'needs_it', 'SELECT pg_advisory_xact_lock(42)::text AS n');
SELECT etl.create_pipeline('slow', target_schema => 'out');
EOT
one($node, "SELECT etl.add_step('slow', 'sleeps', 'SELECT 1 AS n FROM $gate_sql')");
my $keeper = session($node);
my $runs = 'SELECT count(*) FROM etl.run_log';

# ---- what is not committed ----

fails_like($node, ['BEGIN', 'INSERT INTO source VALUES (2)', "SELECT etl.run('p')"],
	'25001', qr/HINT:.*etl\.start/s, 'etl.run after a write');
fails_like($node, ['BEGIN', 'SAVEPOINT a', 'INSERT INTO source VALUES (2)', 'ROLLBACK TO a', "SELECT etl.run('p')"],
	'25001', qr/has written anything/, 'etl.run after a write that was rolled back');
fails_like($node, ['BEGIN READ ONLY', "SELECT etl.run('p')"], '25006', qr/read-only transaction/, 'etl.run, read only');
fails_like($node, ['BEGIN READ ONLY', "SELECT etl.start('p')"], '25006', qr/read-only transaction/, 'etl.start, read only');
is(one($node, $runs), 0, 'there was no run');
is(one($node, "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM source; SELECT etl.run('p') > 0; COMMIT"),
	"1\nt", 'etl.run, serializable');
is(one($node, 'SELECT count(*) FROM out.copied'), 1, 'etl.run, serializable: published');

# At commit the run starts, and sees what the transaction has written and defined.
my $s = session($node);
say_sql($s, "BEGIN; INSERT INTO source VALUES (2)");
say_sql($s, "SELECT etl.create_pipeline('new', target_schema => 'out', search_path => 'public')");
say_sql($s, "SELECT etl.add_step('new', 'counted', 'SELECT count(*) AS n FROM source')");
my $id = say_sql($s, "SELECT etl.start('new')");
like($id, qr/^\d+$/, 'etl.start after a write returns a run');
my ($sql_out, $sql_err) = say_sql($s, "SAVEPOINT a; SELECT etl.wait($id)");
like($sql_err, qr/run $id has not been started.*starts when the current transaction commits/s, 'etl.wait before the commit');
is(one($node, "SELECT count(*) FROM etl.run_log WHERE run_id = $id"), 0, 'before the commit there is no run');
is(one($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'etl_framework%'"), 0, 'and no process');
fails_like($node, "SELECT etl.wait($id)", '42704', qr/does not exist/, 'etl.wait of others before the commit');
say_sql($s, 'ROLLBACK TO a; COMMIT');
is(say_sql($s, "SELECT etl.wait($id)"), 'SUCCESS', 'after the commit etl.wait waits for it');
is(one($node, 'SELECT n FROM out.counted'), 2, 'the run has seen all');

# never when it is rolled back
$id = say_sql($s, "BEGIN; INSERT INTO source VALUES (3); SELECT etl.start('p')");
say_sql($s, 'ROLLBACK');
($sql_out, $sql_err) = say_sql($s, "SELECT etl.wait($id)");
like($sql_err, qr/run $id does not exist/, 'after a rollback there is no run');

my $before = one($node, $runs);
say_sql($s, "BEGIN; INSERT INTO source VALUES (3); SAVEPOINT a; SELECT etl.start('p'); ROLLBACK TO a; COMMIT");
say_sql($s, "BEGIN; SAVEPOINT a; INSERT INTO source VALUES (4); SAVEPOINT b; SELECT etl.start('p'); RELEASE b; ROLLBACK TO a; COMMIT");
say_sql($s, <<'EOT');
DO $$BEGIN
	INSERT INTO source VALUES (5);
	BEGIN
		PERFORM etl.start('p');
		RAISE division_by_zero;
	EXCEPTION WHEN division_by_zero THEN NULL;
	END;
END$$
EOT
nothing_left($node, 'rolled back to a savepoint');
is(one($node, $runs), $before, 'rolled back to a savepoint: there was no run');

($sql_out, $sql_err) = say_sql($s, <<'EOT');
CREATE TABLE late (n int UNIQUE DEFERRABLE INITIALLY DEFERRED);
BEGIN; SELECT etl.start('p'); INSERT INTO late VALUES (1), (1); SELECT etl.start('writer'); COMMIT
EOT
like($sql_err, qr/duplicate key/, 'a commit that fails');
one($node, "SELECT etl.wait(max(run_id)) FROM etl.run_log");
is(one($node, $runs), $before + 1, 'a commit that fails: only what was started before the first write has run');
$before++;

# two at once, one of them in a subtransaction that stays
$sql_out = say_sql($s, "BEGIN; INSERT INTO source VALUES (6); SELECT etl.start('p'); SAVEPOINT a; SELECT etl.start('writer'); RELEASE a; COMMIT");
is(join(' ', map { one($node, "SELECT etl.wait($_)") } split /\n/, $sql_out), 'SUCCESS SUCCESS', 'two in one transaction');
is(one($node, $runs), $before + 2, 'two in one transaction: two runs');

# two of one pipeline: which of them comes first is not said
close_gate($keeper);
$sql_out = say_sql($s, "BEGIN; INSERT INTO source VALUES (7); SELECT etl.start('slow', on_conflict => 'wait'); SELECT etl.start('slow', on_conflict => 'wait'); COMMIT");
poll_gate($node, 1, 'one of them has begun');
open_gate($keeper);
is(join(' ', map { one($node, "SELECT etl.wait($_)") } split /\n/, $sql_out), 'SUCCESS SUCCESS', "a pipeline's second run of a transaction, with wait");
close_gate($keeper);
$sql_out = say_sql($s, "BEGIN; INSERT INTO source VALUES (7); SELECT etl.start('slow'); SELECT etl.start('slow'); COMMIT");
poll_ok($node, "SELECT count(*) = 1 FROM etl.run_log WHERE pipeline = 'slow' AND status = 'FAILED'", 'one of them has failed');
open_gate($keeper);
is(join(' ', sort map { one($node, "SELECT etl.wait($_)") } split /\n/, $sql_out), 'FAILED SUCCESS', "a pipeline's second run of a transaction, with error");

($sql_out, $sql_err) = say_sql($s, "BEGIN; INSERT INTO source VALUES (8); SELECT etl.start('p'); PREPARE TRANSACTION 'gid'");
like($sql_err, qr/cannot PREPARE a transaction that has called etl\.start/, 'PREPARE TRANSACTION');
say_sql($s, 'ROLLBACK');
is(one($node, 'SELECT count(*) FROM source WHERE n = 8'), 0, 'PREPARE TRANSACTION: rolled back');
nothing_left($node, 'etl.start in transactions');

# ---- locks of who waits ----

# The statements end soon, with an error that says what is in whose way.
sub is_refused
{
	my ($test, $sql, $pattern, $state) = @_;
	my ($rc, $out, $err, $seconds) = finish_sql(begin_sql($node, $sql));

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(sql_state($err), $state // '40P01', "$test: SQLSTATE");
	like($err, $pattern, "$test: message");
	cmp_ok($seconds, '<', 6, "$test: within seconds");
	is(last_run($node, 'status'), 'CANCELLED', "$test: run");
	nothing_left($node, $test);
	return;
}

is_refused('lock of the caller', ['BEGIN', 'LOCK TABLE sink IN SHARE MODE', "SELECT etl.run('writer')"],
	qr/step "fill" waits for RowExclusiveLock on relation (public\.)?sink,.*HINT:.*etl\.start/s);
is_refused('advisory lock of the caller', ['SELECT pg_advisory_lock(42)', "SELECT etl.run('advisory')"],
	qr/step "needs_it" waits for ExclusiveLock on /);

# through a third session
my $third = session($node);
say_sql($third, 'BEGIN; LOCK TABLE sink2 IN SHARE MODE');
my $job = begin_sql($node, ['BEGIN', 'LOCK TABLE sink IN SHARE MODE', "SELECT etl.run('writer2')"]);
poll_ok($node, "SELECT count(*) = 1 FROM pg_locks WHERE relation = 'sink2'::regclass AND NOT granted", 'the step waits for the third session');
Time::HiRes::usleep(500_000);
is(last_run($node, 'status'), 'RUNNING', 'as long as that goes on, so does the run');
$third->{stdin} .= "INSERT INTO sink VALUES (1);\n";
$third->{run}->pump_nb;
my ($rc, $out, $err, $seconds) = finish_sql($job);
is(sql_state($err), '40P01', 'through a third session: SQLSTATE');
like($err, qr/step "fill2" waits for RowExclusiveLock on relation (public\.)?sink2,/, 'through a third session: message');
say_sql($third, 'ROLLBACK');
nothing_left($node, 'through a third session');

# publishing: where the lock is there before the run, there is no run
sub does_not_begin
{
	my ($test, $statements, $pattern) = @_;
	my $runs = one($node, 'SELECT count(*) FROM etl.run_log');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	fails_like($node, $statements, '55006', $pattern, $test);
	is(one($node, 'SELECT count(*) FROM etl.run_log'), $runs, "$test: no run has begun");
	nothing_left($node, $test);
	return;
}
does_not_begin('read lock of the caller', ['BEGIN', 'SELECT count(*) FROM out.copied', "SELECT etl.run('p')"],
	qr/step "copied" could not be published.* on relation "?out"?\.copied.*HINT:.*etl\.start/s);
does_not_begin('read lock of the caller, who would wait for his turn',
	['BEGIN', 'SELECT count(*) FROM out.copied', "SELECT etl.run('p', on_conflict => 'wait')"], qr/step "copied" could not be published/);
one($node, "BEGIN; SELECT count(*) FROM out.copied; COMMIT; SELECT etl.run('p')");

# a lock that was taken since, by a function of the statement
is_refused('read lock of the calling statement', ['SELECT count(*), etl.run(\'p\') FROM out.copied'],
	qr/step "copied" cannot be published .* on relation "?out"?\.copied/);

one($node, <<'EOT');
SELECT etl.create_pipeline('parts', target_schema => 'out');
SELECT etl.add_step('parts', 'split', 'SELECT n FROM generate_series(1, 10) n', repartition => 2, repartition_by => '{n}');
SELECT etl.add_step('parts', 'whole', 'SELECT 1 AS n');
SELECT etl.run('parts');
EOT
my $part = one($node, "SELECT min(inhrelid)::regclass FROM pg_inherits WHERE inhparent = 'out.split'::regclass");
does_not_begin('read lock of the caller on one partition', ['BEGIN', "SELECT count(*) FROM $part", "SELECT etl.run('parts')"],
	qr/could not be published.* on relation "?out"?\.split/);

# The caller of a run that waits for its turn, when the run before it needs a lock
# of that caller's: the one that waits gives way.
sub queued_gives_way
{
	my ($test, $pipeline, @statements) = @_;
	my $gate = session($node);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	say_sql($gate, 'BEGIN; SELECT pg_advisory_xact_lock(43)');
	my $first = begin_sql($node, "SELECT etl.run('$pipeline')");
	poll_ok($node, "SELECT status = 'RUNNING' FROM etl.run_log ORDER BY run_id DESC LIMIT 1", "$test: the first run is on");
	my $second = begin_sql($node, \@statements);
	poll_ok($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'etl_framework coordinator' AND wait_event = 'advisory'",
		"$test: the second waits for its turn");
	say_sql($gate, 'COMMIT');
	$gate->quit;
	my ($rc, $out, $err) = finish_sql($second);
	is(sql_state($err), 'ZE002', "$test: the one that waits gives way");
	like($err, qr/HINT:.*commit before the run/, "$test: and says what to do");
	($rc) = finish_sql($first);
	is($rc, 0, "$test: the first succeeds");
	nothing_left($node, $test);
	return;
}
one($node, <<'EOT');
SELECT etl.create_pipeline('two_locks', target_schema => 'out');
SELECT etl.add_step('two_locks', 'both', 'SELECT pg_advisory_xact_lock(43); SELECT pg_advisory_xact_lock(44)');
SELECT etl.create_pipeline('gated', target_schema => 'out');
SELECT etl.add_step('gated', 'open', 'SELECT pg_advisory_xact_lock(43); SELECT 1');
SELECT etl.add_step('gated', 'shown', 'SELECT 1 AS n', depends_on => '{open}');
SELECT etl.run('gated');
EOT
queued_gives_way('a queued run, a step', 'two_locks',
	'BEGIN', 'SELECT pg_advisory_xact_lock(44)', "SELECT etl.run('two_locks', on_conflict => 'wait')");
queued_gives_way('a queued run, publishing', 'gated',
	"SELECT count(*), etl.run('gated', on_conflict => 'wait') FROM out.shown GROUP BY 2");

# a run that a step of a run waits for
$node->safe_psql('postgres', q{
	SELECT etl.create_pipeline('nesting', max_attempts => 1);
	SELECT etl.add_step('nesting', 'nested', $$SELECT etl.run('writer'); SELECT 1$$);
});
is_refused('lock of the caller of the outer run', ['BEGIN', 'LOCK TABLE sink IN SHARE MODE', "SELECT etl.run('nesting')"],
	qr/step "nested": run \d+ of pipeline "writer" was cancelled: step "fill" waits for RowExclusiveLock on relation (public\.)?sink,/, 'ZE001');

# etl.wait
my $wait = "SELECT etl.wait((SELECT max(run_id) FROM etl.run_log))";
sub wait_is_refused
{
	my ($test, $setup, $start, $reason) = @_;
	my $locker = session($node);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	say_sql($locker, "BEGIN; $setup");
	my $run = one($node, $start);
	is(say_sql($locker, "SELECT etl.wait($run)"), 'CANCELLED', "$test: etl.wait returns");
	like(last_run($node, 'error_message'), $reason, "$test: reason");
	say_sql($locker, 'ROLLBACK');
	$locker->quit;
	nothing_left($node, $test);
	return;
}
wait_is_refused('lock of who is in etl.wait', 'LOCK TABLE sink IN SHARE MODE', "SELECT etl.start('writer')",
	qr/step "fill" waits for RowExclusiveLock on relation (public\.)?sink,/);
wait_is_refused('read lock of who is in etl.wait', 'SELECT count(*) FROM out.copied', "SELECT etl.start('p')",
	qr/step "copied" cannot be published .* on relation "?out"?\.copied/);

# A lock of somebody who does not wait for the run is waited for.
say_sql($third, 'BEGIN; SELECT count(*) FROM out.copied; LOCK TABLE sink IN SHARE MODE');
$job = begin_sql($node, "SELECT etl.run('p')");
my $other = begin_sql($node, "SELECT etl.run('writer')");
poll_ok($node, "SELECT count(*) = 1 FROM pg_locks WHERE relation = 'sink'::regclass AND NOT granted", 'a lock of somebody else: the step waits');
poll_ok($node, "SELECT count(*) = 1 FROM etl.log WHERE process_name = 'copied' AND status = 'SUCCESS' AND run_id IN (SELECT run_id FROM etl.run_log WHERE status = 'RUNNING')",
	'a lock of somebody else: publishing waits');
Time::HiRes::usleep(600_000);
is(one($node, "SELECT count(*) FROM etl.run_log WHERE status = 'RUNNING'"), 2, 'a lock of somebody else: both go on');
say_sql($third, 'COMMIT');
($rc, $out, $err) = finish_sql($job);
is($rc, 0, 'a lock of somebody else: published when it is free');
($rc, $out, $err) = finish_sql($other);
is($rc, 0, 'a lock of somebody else: the step goes on when it is free');
nothing_left($node, 'a lock of somebody else');

# Whoever reads a run's staging tables (pg_dump, say) holds up its publishing,
# and neither its steps nor its cancellation.
one($node, <<"EOT");
SELECT etl.create_pipeline('staged', target_schema => 'out');
SELECT etl.add_step('staged', 'early', 'SELECT 1 AS n', keep => false);
SELECT etl.add_step('staged', 'reader', 'SELECT n FROM early, $gate_sql');
SELECT etl.add_step('staged', 'end', 'SELECT n FROM reader');
EOT
for my $cancel (0, 1)
{
	close_gate($keeper);
	$job = begin_sql($node, "SELECT etl.run('staged')");
	poll_gate($node, 1, 'its reader has begun');
	my $staging = one($node, "SELECT 'pg_etl_staging_' || pipeline_id FROM etl.pipeline_data WHERE pipeline = 'staged'");
	say_sql($third, "BEGIN; SELECT count(*) FROM $staging.early");
	open_gate($keeper);
	poll_ok($node, "SELECT status = 'SUCCESS' FROM etl.log WHERE process_name = 'end' ORDER BY run_id DESC LIMIT 1",
		'a reader of staging does not hold up the steps');
	is(last_run($node, 'status'), 'RUNNING', 'a reader of staging holds up publishing');
	if ($cancel)
	{
		one($node, "SELECT etl.cancel(" . last_run($node, 'run_id') . ")");
		($rc, $out, $err) = finish_sql($job);
		is(sql_state($err), 'ZE002', 'a reader of staging does not hold up cancelling');
	}
	say_sql($third, 'COMMIT');
	$job = begin_sql($node, "SELECT etl.run('staged')") if $cancel;
	($rc, $out, $err) = finish_sql($job);
	is($rc, 0, $cancel ? 'what it left is no hindrance' : 'a reader of staging: it ends, the run is published');
	nothing_left($node, 'a reader of staging');
}

# What a step leaves in staging fails its run, and no other.
one($node, q{SELECT etl.create_pipeline('stray', target_schema => 'out')});
one($node, q{SELECT etl.add_step('stray', 'makes', $step$DO $$BEGIN CREATE TYPE stray AS (n int); CREATE TABLE strays (i int GENERATED ALWAYS AS IDENTITY, s stray); END$$$step$)});
for my $time ('once', 'twice')
{
	fails_like($node, "SELECT etl.run('stray')", '2BP01', qr/has created .* in the run's staging schema/, "something left in staging, $time");
	nothing_left($node, "something left in staging, $time");
}

# ---- runs that are started by steps ----

one($node, <<'EOT');
SELECT etl.create_pipeline('by_run', target_schema => 'out');
SELECT etl.add_step('by_run', 'runs', $$DO 'BEGIN PERFORM etl.run(''p''); END'$$);
SELECT etl.create_pipeline('by_start', target_schema => 'out');
SELECT etl.add_step('by_start', 'starts', $$SELECT etl.start('p') AS run_id$$);
SELECT etl.create_pipeline('itself', target_schema => 'out');
SELECT etl.add_step('itself', 'again', $$DO 'BEGIN PERFORM etl.run(''itself''); END'$$);
SELECT etl.create_pipeline('waits', target_schema => 'out');
SELECT etl.add_step('waits', 'for_itself', $$DO 'BEGIN PERFORM etl.wait((SELECT max(run_id) FROM etl.run_log)); END'$$);
SELECT etl.create_pipeline('queues', target_schema => 'out');
SELECT etl.add_step('queues', 'up', $$DO 'BEGIN PERFORM etl.run(''queues'', on_conflict => ''wait''); END'$$);
EOT
one($node, "SELECT etl.run('by_run')");
is(one($node, "SELECT string_agg(pipeline || ' ' || status, ', ' ORDER BY run_id DESC) FROM (SELECT * FROM etl.run_log ORDER BY run_id DESC LIMIT 2) l"),
	'p SUCCESS, by_run SUCCESS', 'etl.run in a command step');
one($node, "SELECT etl.run('by_start')");
is(one($node, 'SELECT etl.wait(run_id) FROM out.starts'), 'SUCCESS', 'etl.start in a query step');

# who has started the outer run, and does not wait for it, will give its locks back
one($node, q{SELECT etl.create_pipeline('outer', max_attempts => 1)});
one($node, q{SELECT etl.add_step('outer', 'inner', $$SELECT etl.run('writer'); SELECT 1$$)});
for my $i (1 .. 5)
{
	my $outer = say_sql($third, "BEGIN; LOCK TABLE sink IN SHARE MODE; SELECT etl.start('outer')");
	poll_ok($node, "SELECT count(*) = 1 FROM pg_locks WHERE relation = 'sink'::regclass AND NOT granted", 'a step of the inner run waits');
	Time::HiRes::usleep(500_000);
	say_sql($third, 'COMMIT');
	is(one($node, "SELECT etl.wait($outer)"), 'SUCCESS', 'a lock of who has called etl.start is waited for');
}
fails_like($node, "SELECT etl.run('itself')", 'ZE001', qr/"itself" is being run already/, 'a pipeline that runs itself');
fails_like($node, "SELECT etl.run('waits')", 'ZE001', qr/a step of a run cannot wait for a run/, 'a step that waits for its run');
fails_like($node, "SELECT etl.run('queues')", 'ZE001', qr/a step of a run cannot wait for its turn/, 'a step that queues up behind its run');
nothing_left($node, 'runs that are started by steps');

$_->quit foreach $s, $third, $keeper;
done_testing();
