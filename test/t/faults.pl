# Processes of a run that die or are stopped, in every way.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use EtlTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = etl_node('faults');

# Table gate says how long step "slow" sleeps, and what the steps' tables hold.
one($node, <<'EOT');
CREATE SCHEMA out;
CREATE TABLE gate (seconds float, stamp int);
INSERT INTO gate VALUES (0, 1);
SELECT etl.create_pipeline('p', target_schema => 'out', search_path => 'public',
	max_parallel => 2, retry_delay => '10 milliseconds');
SELECT etl.add_step('p', 'fast', 'SELECT stamp FROM gate');
SELECT etl.add_step('p', 'slow', 'SELECT stamp FROM fast, pg_sleep((SELECT seconds FROM gate))');
SELECT etl.add_step('p', 'last', 'SELECT stamp FROM slow');
EOT

sub gate
{
	my ($seconds, $stamp) = @_;
	one($node, "UPDATE gate SET seconds = $seconds, stamp = $stamp");
	return;
}

my $published = "SELECT string_agg(stamp::text, ' ') FROM"
  . " (TABLE out.fast UNION ALL TABLE out.slow UNION ALL TABLE out.last) t";

one($node, "SELECT etl.run('p')");
is(one($node, $published), '1 1 1', 'the first run is published');
nothing_left($node, 'first run');

# Begins a run that stays in step "slow": the caller, worker's and coordinator's pid.
sub begin_slow_run
{
	my (%opt) = @_;
	my $job;

	gate(600, 2);
	$job = begin_sql($node, "SELECT etl.run('p')", app => 'caller', %opt);
	return ($job, step_pid($node, 'slow'), last_run($node, 'pid'));
}

# What holds after a run that did not succeed, and that the next one works.
sub check_aftermath
{
	my ($test, $run_status, $slow, $last) = @_;
	my $broken = last_run($node, 'run_id');

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(last_run($node, 'status'), $run_status, "$test: run");
	is(statuses($node), "fast/1 SUCCESS, " . ($last ? "last/0 $last, " : '') . "slow/1 $slow",
		"$test: steps");
	nothing_left($node, $test) unless $run_status eq 'CRASHED';

	gate(0, 1);
	one($node, "SELECT etl.run('p')");
	is(last_run($node, 'status'), 'SUCCESS', "$test: the next run works");
	is(one($node, "SELECT r.status || ' ' || bool_and(r.end_time IS NOT NULL AND l.end_time IS NOT NULL) FROM etl.run_log r JOIN etl.log l USING (run_id) WHERE run_id = $broken GROUP BY r.status"),
		"$run_status true", "$test: it has not changed its mind, and all has an end");
	nothing_left($node, "$test, next run") if $run_status eq 'CRASHED';
	return;
}

# ---- workers ----

my ($job, $worker, $coordinator) = begin_slow_run();
one($node, "SELECT pg_terminate_backend($worker)");
my ($rc, $out, $err, $seconds) = finish_sql($job);
is(sql_state($err), 'ZE001', 'worker terminated: SQLSTATE');
like($err, qr/step "slow".*terminated by an administrator/, 'worker terminated: message');
is(one($node, $published), '1 1 1', 'worker terminated: nothing is published');
is(one($node, "SELECT sqlstate, retry_at IS NULL FROM etl.log WHERE process_name = 'slow' ORDER BY run_id DESC LIMIT 1"),
	'57P01|t', 'worker terminated: not to be retried');
check_aftermath('worker terminated', 'FAILED', 'FAILED', 'SKIPPED');

($job, $worker, $coordinator) = begin_slow_run();
one($node, "SELECT pg_cancel_backend($worker)");
($rc, $out, $err) = finish_sql($job);
is(sql_state($err), 'ZE001', 'worker cancelled: SQLSTATE');
is(one($node, "SELECT sqlstate, retry_at IS NULL FROM etl.log WHERE process_name = 'slow' ORDER BY run_id DESC LIMIT 1"),
	'57014|t', 'worker cancelled: not to be retried');
check_aftermath('worker cancelled', 'FAILED', 'FAILED', 'SKIPPED');

# One that has no step at the moment is replaced when it is needed.
one($node, <<"EOT");
CREATE SEQUENCE here;
CREATE FUNCTION meet() RETURNS void LANGUAGE plpgsql AS '
BEGIN
	PERFORM nextval(''here'');
	WHILE (SELECT last_value < 2 FROM here) LOOP PERFORM pg_sleep(0.01); END LOOP;
END';
SELECT etl.create_pipeline('idle', target_schema => 'out', search_path => 'public', max_parallel => 2);
SELECT etl.add_step('idle', 'long', 'SELECT 1 AS n FROM $gate_sql');
SELECT etl.add_step('idle', 'short', 'SELECT 1 AS n');
SELECT etl.add_step('idle', 'then_' || i, 'SELECT n, meet()::text FROM long') FROM generate_series(1, 2) i;
EOT
my $keeper = session($node);
close_gate($keeper);
$job = begin_sql($node, "SELECT etl.run('idle')");
poll_ok($node, "SELECT count(*) = 1 FROM etl.log WHERE process_name = 'short' AND status = 'SUCCESS'", 'idle worker terminated: it has become idle');
one($node, "SELECT pg_terminate_backend(pid) FROM etl.log WHERE process_name = 'short'");
open_gate($keeper);
$keeper->quit;
($rc, $out, $err) = finish_sql($job);
is($rc, 0, 'idle worker terminated: the run goes on');
is(one($node, "SELECT count(DISTINCT pid) || ' ' || max(attempt) FROM etl.log WHERE process_name IN ('long', 'short', 'then_1', 'then_2')"),
	'3 1', 'idle worker terminated: in another one');

SKIP:
{
	skip 'there is no such thing before 17', 2 if major_version($node) < 17;

	one($node, <<'EOT');
SELECT etl.create_pipeline('fatal', target_schema => 'out', max_attempts => 2, retry_delay => '10 milliseconds');
SELECT etl.add_step('fatal', 'dies', $$SET transaction_timeout = '50ms'; SELECT pg_sleep(600)$$);
EOT
	fails_like($node, "SELECT etl.run('fatal')", 'ZE001', qr/step "dies".*ended unexpectedly/, 'worker dies');
	is(one($node, "SELECT string_agg(attempt || status || sqlstate, ' ' ORDER BY attempt) FROM etl.log WHERE process_name = 'dies'"),
		'1FAILEDZE004 2FAILEDZE004', 'worker dies: that is worth another attempt');
}

# ---- the coordinator ----

($job, $worker, $coordinator) = begin_slow_run();
one($node, "SELECT pg_terminate_backend($coordinator)");
($rc, $out, $err) = finish_sql($job);
is(sql_state($err), '57P01', 'coordinator terminated: SQLSTATE');
like($err, qr/terminated by an administrator/, 'coordinator terminated: message');
is(one($node, $published), '1 1 1', 'coordinator terminated: nothing is published');
check_aftermath('coordinator terminated', 'CANCELLED', 'CANCELLED', 'CANCELLED');

($job, $worker, $coordinator) = begin_slow_run();
one($node, "SELECT pg_cancel_backend($coordinator)");
($rc, $out, $err) = finish_sql($job);
is(sql_state($err), 'ZE002', 'coordinator cancelled: SQLSTATE');
check_aftermath('coordinator cancelled', 'CANCELLED', 'CANCELLED', 'CANCELLED');

# It meets an error of its own, which it can log or not: triggers of the
# administrator's, here.
one($node, <<'EOT');
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no room'; END$$;
CREATE TRIGGER refuse BEFORE INSERT ON etl.attempt_data FOR EACH ROW WHEN (new.status = 'SKIPPED') EXECUTE FUNCTION refuse();
EOT
for my $status ('FAILED', 'CRASHED')
{
	one($node, 'CREATE TRIGGER refuse BEFORE UPDATE ON etl.run_data FOR EACH ROW EXECUTE FUNCTION refuse()') if $status eq 'CRASHED';
	($job, $worker, $coordinator) = begin_slow_run();
	one($node, "SELECT pg_cancel_backend($worker)");
	($rc, $out, $err) = finish_sql($job);
	is(sql_state($err), $status eq 'CRASHED' ? 'ZE004' : 'P0001', "coordinator's error, $status: SQLSTATE");
	like($err, $status eq 'CRASHED' ? qr/coordinator ended without an answer/ : qr/no room/, "coordinator's error, $status: message");
	poll_ok($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'etl_framework%'",
		"coordinator's error, $status: no process is left");
	is(one($node, $published), '1 1 1', "coordinator's error, $status: nothing is published");
	next if $status eq 'FAILED';
	one($node, 'DROP TRIGGER refuse ON etl.attempt_data; DROP TRIGGER refuse ON etl.run_data');
	check_aftermath("coordinator's error", 'CRASHED', 'FAILED');
}

# ---- the caller ----

for my $way ('terminate', 'cancel')
{
	my $start;

	($job, $worker, $coordinator) = begin_slow_run();
	$start = time;
	one($node, "SELECT pg_${way}_backend(pid) FROM pg_stat_activity WHERE application_name = 'caller'");
	($rc, $out, $err) = finish_sql($job);
	is(sql_state($err), $way eq 'cancel' ? '57014' : '57P01', "caller, $way: SQLSTATE");
	poll_ok($node, "SELECT (" . worker_sql() . ") = 0", "caller, $way: the step is stopped");
	cmp_ok(time - $start, '<', 4, "caller, $way: within seconds");
	poll_ok($node, "SELECT status <> 'RUNNING' FROM etl.run_log ORDER BY run_id DESC LIMIT 1",
		"caller, $way: the run ends");
	like(last_run($node, 'error_message'), qr/session that waited for it stopped waiting/, "caller, $way: reason");
	check_aftermath("caller, $way", 'CANCELLED', 'CANCELLED', 'CANCELLED');
}

($job, $worker, $coordinator) = begin_slow_run();
kill_client($job);
poll_ok($node, "SELECT (" . worker_sql() . ") = 0", 'client gone: the step is stopped');
poll_ok($node, "SELECT status <> 'RUNNING' FROM etl.run_log ORDER BY run_id DESC LIMIT 1",
	'client gone: the run ends');
check_aftermath('client gone', 'CANCELLED', 'CANCELLED', 'CANCELLED');

($job, $worker, $coordinator) = begin_slow_run(env => { PGOPTIONS => '-c statement_timeout=3s' });
($rc, $out, $err) = finish_sql($job);
is(sql_state($err), '57014', "caller's statement_timeout: SQLSTATE");
poll_ok($node, "SELECT status <> 'RUNNING' FROM etl.run_log ORDER BY run_id DESC LIMIT 1",
	"caller's statement_timeout: the run ends");
check_aftermath("caller's statement_timeout", 'CANCELLED', 'CANCELLED', 'CANCELLED');

# ---- the server ----

# Until a crashed server is there again.
sub wait_for_restart
{
	my ($restarted) = @_;
	for (my $i = 0; $i < 300; $i++)
	{
		# not psql: it may end before it has been given its query
		return if system('pg_isready', '-q', '-h', $node->host, '-p', $node->port) == 0;
		Time::HiRes::usleep(100_000);
	}
	BAIL_OUT('the server did not come back');
}

($job, $worker, $coordinator) = begin_slow_run();
kill 'KILL', $worker;
($rc, $out, $err) = finish_sql($job);
isnt($rc, 0, 'kill -9 of a worker: the caller notices');
wait_for_restart();
check_aftermath('kill -9 of a worker', 'CRASHED', 'FAILED');

($job, $worker, $coordinator) = begin_slow_run();
$node->stop('immediate');
finish_sql($job);
$node->start;
check_aftermath('immediate shutdown', 'CRASHED', 'FAILED');

($job, $worker, $coordinator) = begin_slow_run();
my $start = time;
$node->stop('fast');
cmp_ok(time - $start, '<', 10, 'fast shutdown: prompt');
finish_sql($job);
$node->start;
like(last_run($node, 'status'), qr/^(CANCELLED|FAILED|CRASHED)$/, 'fast shutdown: the run has ended');
is(one($node, "SELECT count(*) FROM etl.log WHERE status = 'RUNNING'"), 0, 'fast shutdown: so have its attempts');
gate(0, 1);
one($node, "SELECT etl.run('p')");
is(last_run($node, 'status'), 'SUCCESS', 'fast shutdown: the next run works');
nothing_left($node, 'fast shutdown');

# ---- the extension ----

# It can be dropped while a run is on, which ends first.
gate(3, 2);
$job = begin_sql($node, "SELECT etl.run('p')");
step_pid($node, 'slow');
one($node, 'DROP EXTENSION etl_framework CASCADE');
($rc, $out, $err) = finish_sql($job);
is($rc, 0, 'DROP EXTENSION: the run ends well');
poll_ok($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'etl_framework%'", 'DROP EXTENSION: no process is left');
is(one($node, $published), '2 2 2', 'DROP EXTENSION: the tables stay');
one($node, 'CREATE EXTENSION etl_framework');

done_testing();
