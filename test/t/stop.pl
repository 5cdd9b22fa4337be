# Runs that are stopped: etl.cancel, time-outs, steps that do not want to stop.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use EtlTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = etl_node('stop');

one($node, <<'EOT');
CREATE SCHEMA out;
CREATE FUNCTION stubborn() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	LOOP
		BEGIN
			PERFORM pg_sleep(600);
		EXCEPTION WHEN query_canceled THEN
			NULL;
		END;
	END LOOP;
END $$;

SELECT etl.create_pipeline('two', target_schema => 'out', max_parallel => 2);
SELECT etl.add_step('two', 'left', 'SELECT 1 AS n FROM pg_sleep(600)');
SELECT etl.add_step('two', 'right', 'SELECT 1 AS n FROM pg_sleep(600)');
SELECT etl.add_step('two', 'both', 'SELECT 1 AS n FROM "left", "right"');

SELECT etl.create_pipeline('stubborn', target_schema => 'out', search_path => 'public');
SELECT etl.add_step('stubborn', 'deaf', 'SELECT stubborn() AS n');

SELECT etl.create_pipeline('stubborn_timeout', target_schema => 'out', search_path => 'public');
SELECT etl.add_step('stubborn_timeout', 'deaf_too', 'SELECT stubborn() AS n', step_timeout => '200 milliseconds');

SELECT etl.create_pipeline('step_timeout', target_schema => 'out', step_timeout => '1 hour');
SELECT etl.add_step('step_timeout', 'quick', 'SELECT 1 AS n');
SELECT etl.add_step('step_timeout', 'late', 'SELECT n FROM quick, pg_sleep(600)', step_timeout => '200 milliseconds');

SELECT etl.create_pipeline('timeout_retry', target_schema => 'out', step_timeout => '100 milliseconds',
	retry_on => '{57014}', max_attempts => 2, retry_delay => '10 milliseconds');
SELECT etl.add_step('timeout_retry', 'twice', 'SELECT 1 AS n FROM pg_sleep(600)');

SELECT etl.create_pipeline('run_timeout', target_schema => 'out', run_timeout => '700 milliseconds');
SELECT etl.add_step('run_timeout', 'in_time', 'SELECT 1 AS n');
SELECT etl.add_step('run_timeout', 'too_long', 'SELECT n FROM in_time, pg_sleep(600)');
SELECT etl.add_step('run_timeout', 'never', 'SELECT n FROM too_long');

SELECT etl.create_pipeline('retry_timeout', target_schema => 'out', run_timeout => '500 milliseconds',
	retry_on => '{any}', retry_delay => '1 hour');
SELECT etl.add_step('retry_timeout', 'fails', 'SELECT 1 / 0 AS n');
SELECT etl.add_step('retry_timeout', 'reader', 'SELECT n FROM fails');

SELECT etl.create_pipeline('queued', target_schema => 'out', max_parallel => 1, retry_on => '{any}',
	retry_delay => '100 milliseconds');
SELECT etl.add_step('queued', 'again', 'SELECT 1 / 0 AS n', execution_order => 0);
SELECT etl.add_step('queued', 'in_the_way', 'SELECT 1 AS n FROM pg_sleep(600)', execution_order => 1);

SELECT etl.create_pipeline('ctrl', target_schema => 'out');
SELECT etl.add_step('ctrl', 'ok', 'SELECT 1 AS n');
EOT

# Those that take their five seconds do it at the same time.
one($node, "SELECT etl.start('stubborn')");
my $stubborn = last_run($node, 'run_id');
step_pid($node, 'deaf');
my $timeout_job = begin_sql($node, "SELECT etl.run('stubborn_timeout')");
step_pid($node, 'deaf_too');
is(one($node, "SELECT etl.cancel($stubborn)"), 't', 'a deaf step: etl.cancel finds the run');
my $cancelled_at = one($node, 'SELECT clock_timestamp()');

# ---- etl.cancel ----

my $job = begin_sql($node, "SELECT etl.run('two')");
step_pid($node, 'left');
step_pid($node, 'right');
my $run = last_run($node, 'run_id');
my $start = time;
is(one($node, "SELECT etl.cancel($run)"), 't', 'etl.cancel finds the run');
my ($rc, $out, $err) = finish_sql($job);
cmp_ok(time - $start, '<', 4, 'etl.cancel: within seconds');
is(sql_state($err), 'ZE002', "etl.cancel: the caller's SQLSTATE");
is(statuses($node), 'both/0 CANCELLED, left/1 CANCELLED, right/1 CANCELLED', 'etl.cancel: steps');
is(last_run($node, 'status'), 'CANCELLED', 'etl.cancel: run');
is(one($node, "SELECT etl.cancel($run)"), 'f', 'etl.cancel: once it has ended, false');
is(one($node, "SELECT etl.wait($run)"), 'CANCELLED', 'etl.cancel: etl.wait tells');
fails_like($node, 'SELECT etl.cancel(123456789)', '42704', qr/run 123456789 does not exist/, 'etl.cancel of no run');

# a step whose next attempt is due, and waits for a worker
$run = one($node, "SELECT etl.start('queued')");
step_pid($node, 'in_the_way');
Time::HiRes::usleep(300_000);
is(one($node, "SELECT etl.cancel($run)"), 't', 'a step in the queue again: etl.cancel finds the run');
is(one($node, "SELECT etl.wait($run)"), 'CANCELLED', 'a step in the queue again: run');
is(statuses($node), 'again/1 FAILED, in_the_way/1 CANCELLED', 'a step in the queue again: steps');
is(one($node, "SELECT retry_at IS NULL FROM etl.log WHERE run_id = $run AND process_name = 'again'"), 't',
	'a step in the queue again: no attempt is announced');

# etl.wait and who leaves it
$run = one($node, "SELECT etl.start('two')");
step_pid($node, 'left');
is(one($node, "SELECT etl.wait($run, '100 milliseconds')"), 'RUNNING', 'etl.wait: its timeout');
is(one($node, "SELECT etl.wait($run, '0')"), 'RUNNING', 'etl.wait: without waiting');
$job = begin_sql($node, "SELECT etl.wait($run)", app => 'waiter');
poll_ok($node, "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted", 'etl.wait waits');
one($node, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'waiter'");
($rc, $out, $err) = finish_sql($job);
is(sql_state($err), '57014', 'etl.wait can be cancelled');
is(last_run($node, 'status'), 'RUNNING', 'the run that etl.start started goes on');
$job = begin_sql($node, "SELECT etl.wait($run)");
one($node, "SELECT etl.cancel($run)");
($rc, $out, $err) = finish_sql($job);
is($out, 'CANCELLED', 'etl.wait returns how the run has ended');
$job = begin_sql($node, ["SET lock_timeout = '10ms'", "SELECT etl.wait(" . one($node, "SELECT etl.start('two')") . ", '500 milliseconds')"]);
($rc, $out, $err, my $seconds) = finish_sql($job);
is($out, 'RUNNING', "etl.wait: the session's lock_timeout is for tables");
cmp_ok($seconds, '>', 0.4, 'etl.wait: it has waited');
one($node, "SELECT etl.cancel(" . last_run($node, 'run_id') . ")");

# ---- time-outs ----

fails_like($node, "SELECT etl.run('step_timeout')", 'ZE001', qr/step "late": canceling step due to step_timeout/, 'step_timeout');
is(statuses($node), 'late/1 FAILED, quick/1 SUCCESS', 'step_timeout: steps');
fails_like($node, "SELECT etl.run('timeout_retry')", 'ZE001', qr/step_timeout/, 'step_timeout with retry_on 57014');
is(statuses($node), 'twice/1 FAILED, twice/2 FAILED', 'step_timeout with retry_on 57014: two attempts');
fails_like($node, "SELECT etl.run('run_timeout')", '57014', qr/run_timeout/, 'run_timeout');
is(statuses($node), 'in_time/1 SUCCESS, never/0 CANCELLED, too_long/1 CANCELLED', 'run_timeout: steps');
is(last_run($node, 'status'), 'FAILED', 'run_timeout: run');
fails_like($node, "SELECT etl.run('retry_timeout')", '57014', qr/run_timeout/, 'run_timeout before a retry');
is(statuses($node), 'fails/1 FAILED, reader/0 SKIPPED', 'run_timeout before a retry: steps');

# ---- workers that cannot start ----

one($node, <<'EOT');
CREATE ROLE outcast LOGIN;
GRANT ALL ON SCHEMA out TO outcast;
SET ROLE outcast;
SELECT etl.create_pipeline('outcast', target_schema => 'out', max_parallel => 1);
SELECT etl.add_step('outcast', 'first', 'SELECT 1 AS n FROM pg_sleep(600)', execution_order => 1);
SELECT etl.add_step('outcast', 'second', 'SELECT 1 AS n', execution_order => 2);
EOT
$job = begin_sql($node, "SELECT etl.run('outcast')");
my $first = step_pid($node, 'first');
one($node, 'REVOKE CONNECT ON DATABASE postgres FROM PUBLIC');
one($node, "SELECT pg_terminate_backend($first)");
($rc, $out, $err) = finish_sql($job);
is(sql_state($err), 'ZE004', 'workers that cannot start: SQLSTATE');
like($err, qr/its workers end before they can start/, 'workers that cannot start: message');
is(statuses($node), 'first/1 FAILED, second/0 CANCELLED', 'workers that cannot start: steps');
fails_like($node, "SELECT etl.run('outcast')", 'ZE004', qr/ended without an answer.*HINT:.*server's log/s, 'a coordinator that cannot start');
fails_like($node, "SELECT etl.start('outcast')", 'ZE004', qr/HINT:.*server's log/s, 'a coordinator that cannot start, with etl.start');
fails_like($node, ['BEGIN', 'CREATE TABLE t (n int)', "SELECT etl.start('outcast')", 'COMMIT'], 'ZE004',
	qr/HINT:.*server's log/s, 'a coordinator that cannot start, at commit');
is(one($node, "SELECT to_regclass('t') IS NULL"), 't', 'which is rolled back');
one($node, 'GRANT CONNECT ON DATABASE postgres TO PUBLIC');

# ---- steps that do not want to stop ----

is(one($node, "SELECT etl.wait($stubborn)"), 'CANCELLED', 'a deaf step: it is stopped all the same');
is(one($node, "SELECT end_time - timestamptz '$cancelled_at' < '8 seconds' FROM etl.run_log WHERE run_id = $stubborn"), 't',
	'a deaf step: within seconds');
is(one($node, "SELECT status, error_message FROM etl.log WHERE run_id = $stubborn"),
	'CANCELLED|the worker was terminated because the run is over', 'a deaf step: as the log says');
($rc, $out, $err) = finish_sql($timeout_job);
like($err, qr/ZE001.*step "deaf_too": the worker was terminated due to step_timeout/, 'a deaf step: step_timeout');
is(one($node, "SELECT status, sqlstate FROM etl.log WHERE process_name = 'deaf_too'"), 'FAILED|57014', 'a deaf step: it has failed');

# ---- a cancellation at any moment ----

# A run is never lost or left half, whenever the cancellation comes.
my %ended;
for my $i (0 .. 39)
{
	my $id = one($node, "SELECT etl.start('ctrl')");
	Time::HiRes::usleep($i * 1500);
	one($node, "SELECT etl.cancel($id)");
	$ended{ one($node, "SELECT etl.wait($id)") }++;
}
is(join(' ', grep { !/^(SUCCESS|CANCELLED)$/ } keys %ended), '', 'a cancellation at any moment: SUCCESS or CANCELLED');
note(join(', ', map { "$_: $ended{$_}" } sort keys %ended));
is(one($node, "SELECT count(*) FROM etl.log WHERE status = 'RUNNING'"), 0, 'a cancellation at any moment: no attempt is left');

# The same for callers that leave.
for my $i (0 .. 39)
{
	my $j = begin_sql($node, ["SET statement_timeout = " . (1 + $i), "SELECT etl.run('ctrl')"]);
	finish_sql($j);
}
nothing_left($node, 'callers that leave at any moment');
is(one($node, "SELECT count(*) FROM etl.run_log WHERE status NOT IN ('SUCCESS', 'CANCELLED', 'FAILED')"), 0,
	'callers that leave at any moment: all runs have ended');
is(one($node, "SELECT etl.run('ctrl') > 0"), 't', 'and a run works');

# ---- a standby that does not answer ----

# Neither a cancellation nor the end of the server waits for it.
one($node, q{ALTER SYSTEM SET synchronous_standby_names = 'nobody'});
one($node, 'SELECT pg_reload_conf()');
$job = begin_sql($node, "SELECT etl.run('ctrl')");
my $sync = "FROM pg_stat_activity WHERE backend_type = 'etl_framework coordinator' AND wait_event = 'SyncRep'";
poll_ok($node, "SELECT count(*) = 1 $sync", 'a run waits for a standby');
one($node, "SELECT pg_cancel_backend(pid) $sync");
finish_sql($job);
nothing_left($node, 'a cancellation while it waits for a standby');
$job = begin_sql($node, "SELECT etl.run('ctrl')");
poll_ok($node, "SELECT count(*) = 1 $sync", 'another one waits for it');
$node->stop('fast');
pass('the server can be stopped');
finish_sql($job);

done_testing();
