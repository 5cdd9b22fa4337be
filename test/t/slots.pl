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
my $node = etl_node('slots', "max_worker_processes = 5\nmax_connections = 60\n");

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

# ---- a run begins when it has its coordinator, a worker and its snapshot ----

my $hold = one($node, "SELECT etl.start('holder')");
step_pid($node, 'hold');
# one slot is free: a coordinator's, and no more
my $job = begin_sql($node, "SELECT etl.run('wide')", app => 'wide');
poll_ok($node, "SELECT count(*) = 1 FROM etl.run_log WHERE pipeline = 'wide' AND status = 'QUEUED'", 'a run that waits for processes is seen');
my $queued = one($node, "SELECT pid FROM etl.run_log WHERE status = 'QUEUED'");
is(one($node, "SELECT application_name FROM pg_stat_activity WHERE pid = $queued"), 'wide', 'with the session that waits');
like(one($node, "SELECT error_message FROM etl.run_log WHERE status = 'QUEUED'"), qr/worker/, 'and the reason');
is(one($node, "SELECT pipeline || ' ' || status FROM etl.progress WHERE run_id IS NULL"), 'wide QUEUED', 'also in etl.progress');
Time::HiRes::usleep(2_500_000);
is(one($node, "SELECT count(*) FROM etl.run_data r JOIN etl.pipeline_data p USING (pipeline_id) WHERE p.pipeline = 'wide'"), 0,
	'it has no row before it begins');
is_idle(one($node, "SELECT max(pid) FROM pg_stat_activity WHERE backend_type = 'etl_framework coordinator'"), 'without processes');

# who will not wait, or must not, is told in time
fails_like($node, "SELECT etl.start('narrow')", '53400', qr/no background worker is free.*HINT:.*max_worker_processes/s, 'etl.start');
fails_like($node, ['BEGIN', 'CREATE TABLE t (n int)', "SELECT etl.start('narrow')", 'COMMIT'], '53400',
	qr/no background worker is free/, 'etl.start at commit');
is(one($node, "SELECT to_regclass('t') IS NULL"), 't', 'etl.start at commit: the transaction was rolled back');
one($node, "SELECT etl.alter_pipeline('narrow', '{\"run_timeout\": \"2 s\"}')");
fails_like($node, "SELECT etl.run('narrow')", '53400', qr/no background worker is free/, 'run_timeout bounds the wait');
one($node, "SELECT etl.alter_pipeline('narrow', '{\"run_timeout\": null}')");
my $patient = begin_sql($node, "SELECT etl.run('narrow')");
my $cancelled = begin_sql($node, "SELECT etl.run('narrow')", app => 'impatient');
poll_ok($node, "SELECT count(*) = 2 FROM etl.run_log WHERE pipeline = 'narrow' AND status = 'QUEUED'", 'etl.run waits for its processes');
one($node, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'impatient'");
my ($rc, $out, $err) = finish_sql($cancelled);
is(sql_state($err), '57014', 'that can be cancelled');

one($node, "SELECT etl.cancel($hold)");
($rc, $out, $err) = finish_sql($job);
is($rc, 0, 'when slots become free, the run goes on');
like($err, qr/WARNING:  53400: no background worker is free for the run.*HINT:.*max_worker_processes \(5\)/s, 'it has warned, and said what to do');
is(one($node, "SELECT count(*) FROM etl.output WHERE pipeline = 'wide'"), 6, 'all is published');
($rc, $out, $err) = finish_sql($patient);
is($rc, 0, 'and so does the one behind it');
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

one($node, "SELECT etl.cancel($hold)");
is(one($node, "SELECT etl.wait($hold)"), 'CANCELLED', 'the other one ends');

# ---- more runs than slots ----

# Of seven slots one is the server's: two runs at a time, if each gets no more than it needs.
one($node, <<'EOT');
SELECT etl.create_pipeline('two' || i, target_schema => 'out') FROM generate_series(1, 24) i;
SELECT etl.add_step('two' || i, 'a' || i, 'SELECT 1 AS n FROM pg_sleep(0.05)', execution_order => 1) FROM generate_series(1, 24) i;
SELECT etl.add_step('two' || i, 'b' || i, 'SELECT n + 1 AS n FROM a' || i, execution_order => 2) FROM generate_series(1, 24) i;
EOT
my @many = map { begin_sql($node, "SELECT etl.run('two$_')") } 1 .. 24;
foreach my $i (1 .. 24)
{
	($rc, $out, $err) = finish_sql($many[ $i - 1 ]);
	is($rc, 0, "24 runs at once: run $i ends") or diag($err);
}
is(one($node, "SELECT count(*) FROM etl.output WHERE pipeline LIKE 'two%'"), 48, '24 runs at once: all is published');
is(one($node, "SELECT count(*) FROM etl.run_log WHERE status <> 'SUCCESS' AND pipeline LIKE 'two%'"), 0, '24 runs at once: no other end');
nothing_left($node, '24 runs at once');

# A run that waits for another one of its pipeline does so with all that it will need.
@many = map { begin_sql($node, "SELECT etl.run('two1', on_conflict => 'wait')") } 1 .. 12;
foreach my $session (@many)
{
	($rc, $out, $err) = finish_sql($session);
	is($rc, 0, '12 runs of one pipeline that wait for each other end') or diag($err);
}
nothing_left($node, '12 runs of one pipeline');

# A transaction that starts runs gets the processes of all of them, or starts none.
my @both = split /\n/, one($node, "BEGIN; CREATE TABLE written (n int); SELECT etl.start('narrow'); SELECT etl.start('wide'); COMMIT");
is(one($node, "SELECT etl.wait($_)"), 'SUCCESS', 'two runs of one transaction') foreach @both;
fails_like($node, ['BEGIN', 'CREATE TABLE unwritten (n int)', map({ "SELECT etl.start('two$_')" } 1 .. 3), 'COMMIT'],
	'53400', qr/no background worker is free/, 'three runs of one transaction are too many');
poll_ok($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'etl_framework%'", 'and none of them starts');
is(one($node, "SELECT to_regclass('unwritten') IS NULL"), 't', 'nor is anything written');

# A run whose step starts another one holds its own processes meanwhile.
one($node, <<'EOT');
SELECT etl.create_pipeline('outer', target_schema => 'out');
SELECT etl.add_step('outer', 'call', 'DO $$BEGIN PERFORM etl.run(''two2''); END$$');
EOT
($rc, $out, $err) = finish_sql(begin_sql($node, "SELECT etl.run('outer')"));
is($rc, 0, 'a run that starts a run ends') or diag($err);
nothing_left($node, 'a run that starts a run');

done_testing();
