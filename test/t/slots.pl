# Too few of the server's worker slots.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use EtlTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Five slots, of which the server keeps one for logical replication.
my $node = etl_node('slots', "max_worker_processes = 5\n");

one($node, <<'EOT');
CREATE SCHEMA out;
SELECT etl.create_pipeline('holder', target_schema => 'out');
SELECT etl.add_step('holder', 'hold', 'SELECT 1 AS n FROM pg_sleep(600)');
SELECT etl.create_pipeline('wide', target_schema => 'out', max_parallel => 4);
SELECT etl.add_step('wide', 'w' || i, 'SELECT 1 AS n') FROM generate_series(1, 6) i;
SELECT etl.create_pipeline('narrow', target_schema => 'out', max_parallel => 2);
SELECT etl.add_step('narrow', 'n1', 'SELECT 1 AS n FROM pg_sleep(0.2)', execution_order => 1);
SELECT etl.add_step('narrow', 'n2', 'SELECT 1 AS n FROM pg_sleep(3)', execution_order => 2);
EOT

# Processor time of a process, in ticks; undef where there is no /proc.
sub ticks
{
	my ($pid) = @_;
	open my $stat, '<', "/proc/$pid/stat" or return;
	my $line = <$stat>;
	close $stat;
	$line =~ s/^.*\) //;
	my @fields = split / /, $line;
	return $fields[11] + $fields[12];
}

# It waited, and did not spin: less than a quarter of a second's processor time.
sub is_idle
{
	my ($pid, $test) = @_;
	my $ticks = ticks($pid);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
  SKIP:
	{
		skip 'no /proc here', 1 unless defined $ticks;
		cmp_ok($ticks, '<', 25, "$test: the coordinator does not spin");
	}
	return;
}

sub warnings_in
{
	my ($err) = @_;
	my @found = $err =~ /WARNING:  53400: /g;
	return scalar @found;
}

# ---- one slot for the coordinator, one for its snapshot, one for one worker ----

my $hold = one($node, "SELECT etl.start('holder')");
step_pid($node, 'hold');
# one slot is free: the coordinator's; no worker can start
my $job = begin_sql($node, "SELECT etl.run('wide')", app => 'wide');
poll_ok($node, "SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type = 'etl_framework coordinator'", 'a coordinator starts');
Time::HiRes::usleep(2_500_000);
is(last_run($node, 'status'), 'RUNNING', 'without a worker the run waits');
is_idle(last_run($node, 'pid'), 'without a worker');

# now none at all is free
fails_like($node, "SELECT etl.start('narrow')", '53400', qr/no background worker is free.*HINT:.*max_worker_processes/s, 'etl.start');
fails_like($node, ['BEGIN', 'CREATE TABLE t (n int)', "SELECT etl.start('narrow')", 'COMMIT'], '53400',
	qr/no background worker is free/, 'etl.start at commit');
is(one($node, "SELECT to_regclass('t') IS NULL"), 't', 'etl.start at commit: the transaction was rolled back');
my $patient = begin_sql($node, "SELECT etl.run('narrow')");
my $cancelled = begin_sql($node, "SELECT etl.run('narrow')", app => 'impatient');
poll_ok($node, "SELECT count(*) = 2 FROM pg_stat_activity WHERE query LIKE '%narrow%' AND query LIKE 'SELECT etl.run%' AND wait_event = 'Extension'",
	'etl.run waits for a slot');
one($node, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'impatient'");
my ($rc, $out, $err) = finish_sql($cancelled);
is(sql_state($err), '57014', 'that can be cancelled');

one($node, "SELECT etl.cancel($hold)");
($rc, $out, $err) = finish_sql($job);
is($rc, 0, 'when slots become free, the run goes on');
is(warnings_in($err), 1, 'one warning');
like($err, qr/WARNING:.*not all workers of the run could be started.*HINT:.*max_worker_processes \(5\)/s, 'which says what to do');
like($err, qr/DETAIL:.*waits where it has none, or no process that holds its snapshot/, 'and what it waits for');
is(one($node, "SELECT count(*) FROM etl.output WHERE pipeline = 'wide'"), 6, 'all is published');
($rc, $out, $err) = finish_sql($patient);
is($rc, 0, 'etl.run goes on when a slot becomes free');
like($err, qr/WARNING:  53400: no background worker is free for the run/, 'etl.run has warned');
nothing_left($node, 'slots became free');

# ---- only one worker, for a run that could use more ----

$hold = one($node, "SELECT etl.start('holder')");
step_pid($node, 'hold');
$node->append_conf('postgresql.conf', 'max_worker_processes = 7');
one($node, "SELECT etl.cancel($hold); SELECT etl.wait($hold)");
$node->restart;
$hold = one($node, "SELECT etl.start('holder')");
step_pid($node, 'hold');
$job = begin_sql($node, "SELECT etl.run('narrow')");
step_pid($node, 'n2');
Time::HiRes::usleep(1_800_000);
my $pid = last_run($node, 'pid');
is_idle($pid, 'with one worker of two');
($rc, $out, $err) = finish_sql($job);
is($rc, 0, 'one worker does it all');
is(warnings_in($err), 1, 'one worker does it all: one warning');
is(one($node, "SELECT count(DISTINCT pid) FROM etl.log WHERE pipeline = 'narrow' AND run_id = (SELECT max(run_id) FROM etl.run_log)"), 1,
	'one worker has done it all');

# ---- two runs, and one slot, where each needs two ----

# Both coordinators are there before either begins.
one($node, "BEGIN; CREATE TABLE written (n int); SELECT etl.start('narrow'); SELECT etl.start('wide'); COMMIT");
poll_ok($node, "SELECT count(*) = 2 FROM etl.run_log WHERE status = 'RUNNING' AND pipeline IN ('narrow', 'wide')", 'two runs for one slot: both have begun');
Time::HiRes::usleep(3_500_000);
is(one($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'etl_framework worker'"), 1, 'two runs for one slot: neither has a worker');
my @both = split /\n/, one($node, "SELECT run_id FROM etl.run_log WHERE status = 'RUNNING' AND pipeline IN ('narrow', 'wide')");
is_idle($_, 'two runs for one slot') foreach split /\n/, one($node, "SELECT pid FROM etl.run_log WHERE run_id IN (" . join(', ', @both) . ')');
one($node, "SELECT etl.cancel($hold)");
is(one($node, "SELECT etl.wait($_)"), 'SUCCESS', 'two runs for one slot: both go on when there are more') foreach @both;
nothing_left($node, 'two runs for one slot');

done_testing();
