# What the TAP tests share: servers, sessions that wait in the background, and
# the question whether anything of a run is left.

package EtlTest;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(
  etl_node major_version
  begin_sql finish_sql kill_client session say_sql
  one sql_state fails_like poll_ok
  $gate_sql close_gate open_gate poll_gate
  step_pid worker_sql last_run statuses nothing_left
);

# Nothing that is waited for takes longer than this many seconds.
my $patience = 90;

# A running server with the extension in database postgres.
sub etl_node
{
	my ($name, $conf) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(allows_streaming => 1);
	$node->append_conf('postgresql.conf', <<~EOT);
		max_worker_processes = 12
		deadlock_timeout = 200ms
		restart_after_crash = on
		dynamic_shared_memory_type = mmap
		max_prepared_transactions = 2
		autovacuum = off
		EOT
	$node->append_conf('postgresql.conf', $conf) if defined $conf;
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION etl_framework');
	return $node;
}

sub major_version
{
	my ($node) = @_;
	return int($node->safe_psql('postgres', 'SHOW server_version_num') / 10000);
}

# ---- sessions ----

# Begins to execute statements in a session of its own.  Options: app (its
# application_name), user, env (a hash), and patience, in seconds.
sub begin_sql
{
	my ($node, $sql, %opt) = @_;
	my $connstr = $node->connstr('postgres');
	my %job = (stdin => '', out => '', err => '', started => time);

	$connstr .= " application_name='$opt{app}'" if $opt{app};
	$connstr .= " user='$opt{user}'" if $opt{user};
	local %ENV = (%ENV, %{ $opt{env} || {} });
	$job{run} = IPC::Run::start(
		[
			$node->installed_command('psql'), '-XAtq',
			'-v', 'VERBOSITY=verbose',
			'-v', 'ON_ERROR_STOP=1',
			'-d', $connstr,
			map { ('-c', $_) } (ref $sql ? @$sql : $sql)
		],
		'<', \$job{stdin}, '>', \$job{out}, '2>', \$job{err},
		IPC::Run::timeout($opt{patience} || $patience + 10));
	return \%job;
}

# Waits for its end: exit status, output, errors, seconds that it took in all.
sub finish_sql
{
	my ($job) = @_;

	eval { $job->{run}->finish; 1 } or BAIL_OUT("psql did not end: $@\n$job->{err}");
	chomp $job->{out};
	note("psql: status ", $job->{run}->result(0) // '?', "\n$job->{out}\n$job->{err}");
	return ($job->{run}->result(0), $job->{out}, $job->{err}, time - $job->{started});
}

# The client dies without saying good-bye.
sub kill_client
{
	my ($job) = @_;
	$job->{run}->kill_kill(grace => 0);
	return;
}

# A session for one statement after another, which survives errors.
sub session
{
	my ($node, %opt) = @_;
	return $node->background_psql('postgres', on_error_stop => 0, %opt);
}

# Its output, and what it said on standard error.
sub say_sql
{
	my ($session, $sql) = @_;
	$session->{stderr} = '';
	my ($out) = $session->query($sql);
	my $err = $session->{stderr};
	$session->{stderr} = '';
	return wantarray ? ($out, $err) : $out;
}

sub one
{
	my ($node, $sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

# The SQLSTATE that psql printed with VERBOSITY=verbose.
sub sql_state
{
	my ($err) = @_;
	return $err =~ /(?:ERROR|FATAL):\s+([0-9A-Z]{5}):/ ? $1 : '';
}

# The statements, in one session, end with an error that looks so.
sub fails_like
{
	my ($node, $sql, $state, $pattern, $test, %opt) = @_;
	my ($rc, $out, $err) = finish_sql(begin_sql($node, $sql, %opt));

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	isnt($rc, 0, "$test: it fails");
	is(sql_state($err), $state, "$test: SQLSTATE");
	like($err, $pattern, "$test: message");
	return;
}

sub poll_ok
{
	my ($node, $query, $test) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($node->poll_query_until('postgres', $query), $test);
	return;
}

# ---- runs ----

# A step that reads from $gate_sql ends when it is told to, however slow all others are.
our $gate_sql = 'pg_advisory_xact_lock_shared(4711)';

sub close_gate
{
	my ($keeper) = @_;
	say_sql($keeper, 'SELECT pg_advisory_lock(4711)');
	return;
}

sub open_gate
{
	my ($keeper) = @_;
	say_sql($keeper, 'SELECT pg_advisory_unlock(4711)');
	return;
}

# Waits until so many steps are at the gate.
sub poll_gate
{
	my ($node, $count, $test) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	poll_ok($node, "SELECT count(*) = $count FROM pg_stat_activity WHERE backend_type = 'etl_framework worker' AND wait_event = 'advisory'", $test);
	return;
}

# Waits until a step is in its pg_sleep: its worker's process id.
sub step_pid
{
	my ($node, $step) = @_;
	my $query = "FROM pg_stat_activity WHERE backend_type = 'etl_framework worker'"
	  . " AND query LIKE '%step $step,%' AND wait_event = 'PgSleep'";

	$node->poll_query_until('postgres', "SELECT count(*) > 0 $query")
	  or BAIL_OUT("step $step did not start");
	return one($node, "SELECT pid $query LIMIT 1");
}

# How many processes execute steps.
sub worker_sql
{
	return "SELECT count(*) FROM pg_stat_activity"
	  . " WHERE backend_type = 'etl_framework worker' AND state = 'active'";
}

sub last_run
{
	my ($node, $columns) = @_;
	return one($node, "SELECT $columns FROM etl.run_log ORDER BY run_id DESC NULLS LAST LIMIT 1");
}

# "a/1 SUCCESS, b/1 FAILED" for the last run
sub statuses
{
	my ($node) = @_;
	return one($node,
		"SELECT string_agg(process_name || '/' || attempt || ' ' || status, ', ' ORDER BY process_name, attempt)"
		  . " FROM etl.log WHERE run_id = (SELECT max(run_id) FROM etl.run_log)");
}

# No process, lock, schema or shared memory segment of any run, but for the schema of
# a pipeline's last run that did not succeed.  (Of segments, one small one is the
# server's own; those for its statistics are of 1 MB and more.)
sub nothing_left
{
	my ($node, $test) = @_;
	my $query = <<~'EOT';
		SELECT concat_ws(', ',
			(SELECT string_agg(backend_type || ' ' || pid, ', ') FROM pg_stat_activity
			  WHERE backend_type LIKE 'etl_framework%'),
			(SELECT string_agg(locktype || ' lock of ' || pid, ', ') FROM pg_locks
			  WHERE locktype = 'advisory'),
			(SELECT string_agg('schema ' || nspname, ', ') FROM pg_namespace
			  WHERE nspname LIKE 'pg\_etl\_staging\_%' AND NOT EXISTS
				(SELECT FROM (SELECT r.status FROM etl.run_data r
				  WHERE 'pg_etl_staging_' || r.pipeline_id = nspname AND r.step_count > 0
				  ORDER BY r.start_time DESC LIMIT 1) newest WHERE newest.status <> 'SUCCESS')),
			(SELECT count(*) || ' segments' FROM pg_ls_dir('pg_dynshmem', true, false) AS f,
				pg_stat_file('pg_dynshmem/' || f, true) AS s
			  WHERE s.size < 1000000 HAVING count(*) > 1))
		EOT
	my $left = '?';

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	for (my $i = 0; $i < $patience * 20 && $left ne ''; $i++)
	{
		usleep(50_000) if $i > 0;
		$left = one($node, $query);
	}
	is($left, '', "$test: nothing is left");
	return;
}

1;
