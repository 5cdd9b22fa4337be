# Many steps in one run, and many runs: what the processes of a run keep, what
# they leave behind, and what a step costs.
#
# The same few steps' worth of memory must do for thousands: between a gate
# near the beginning of a run and one at its end no process of the run may have
# grown by more than BYTES_A_STEP, 20 MB for 10,000 steps, not counting what the
# server caches of relations and the catalogs.
#
#	ETL_SCALE_STEPS=n		steps in a run (2000)
#	ETL_SCALE_RUNS=n		small runs in a row (50)
#	ETL_SCALE_SHAPES=a,b	some of: wide chain layered commands dropped (all)
#
# The figures are in the test's log, as "# ...".

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use EtlTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use constant BYTES_A_STEP => 2000;
use constant WARM_UP => 100;

my $steps = $ENV{ETL_SCALE_STEPS} || 2000;
my $runs = $ENV{ETL_SCALE_RUNS} || 50;
my @shapes = split /,/, $ENV{ETL_SCALE_SHAPES} || 'wide,chain,layered,commands,dropped';

# Where the server keeps what it knows of relations: not ours, and bounded by
# the number of relations that there are.
my $caches = qr/^(CacheMemoryContext|Relcache by OID|smgr relation table)$/;

# To publish n tables takes locks on all of them in one transaction.
my $node = etl_node('scale', sprintf(<<'EOT', 64 + $steps / 5));
shared_buffers = 128MB
max_locks_per_transaction = %d
log_min_messages = warning
log_statement = none
EOT
one($node, 'CREATE TABLE done (n int)');
my $keeper = session($node);

# ---- looking at processes ----

sub processes
{
	return split /\n/, one($node,
		q{SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'etl_framework%' ORDER BY backend_type, pid});
}

# The bytes in a process's memory contexts: without caches, and in all.  The
# process writes them into the server's log.
sub memory_of
{
	my ($pid) = @_;
	my $offset = -s $node->logfile;
	my ($own, $all, $cache_level) = (0, 0, undef);
	my $text;

	one($node, "SELECT pg_log_backend_memory_contexts($pid)");
	foreach (1 .. 1000)
	{
		$text = slurp_file($node->logfile, $offset);
		last if $text =~ /\[$pid\].*Grand total: /;
		select(undef, undef, undef, 0.01);
	}
	foreach my $line (split /\n/, $text)
	{
		my ($level, $name, $total) = $line =~ /\[$pid\].* level: (\d+); (.*?): (\d+) total in/ or next;
		$all += $total;
		$cache_level = undef if defined $cache_level && $level <= $cache_level;
		next if defined $cache_level;
		if ($name =~ $caches)
		{
			$cache_level = $level;
			next;
		}
		$own += $total;
	}
	return { own => $own, all => $all };
}

# Memory that is not shared, and seconds of processor time.  Linux only.
sub footprint_of
{
	my ($pid) = @_;
	my %result = (private => 0, cpu => 0);
	return \%result unless -r "/proc/$pid/smaps_rollup" && -r "/proc/$pid/stat";
	my $smaps = slurp_file("/proc/$pid/smaps_rollup");
	$result{private} = $1 * 1024 if $smaps =~ /^Anonymous: +(\d+) kB/m;
	my @stat = split / /, slurp_file("/proc/$pid/stat") =~ s/^.*\) //r;
	$result{cpu} = ($stat[11] + $stat[12]) / 100;
	return \%result;
}

sub observe
{
	my %seen;
	foreach my $pid (@_, processes())
	{
		$seen{$pid} = { %{ memory_of($pid) }, %{ footprint_of($pid) } };
	}
	return \%seen;
}

# ---- runs ----

# The body of step i, and options, for a pipeline of each shape.  %1$s is i.
my %body = (
	wide => q{'SELECT ' || i || ' AS x', true},
	chain => q{CASE WHEN i = 1 THEN 'SELECT 1 AS x' ELSE 'SELECT x + 1 AS x FROM s' || i - 1 END, true},
	# each reads two of the 40 before it
	layered => q{CASE WHEN i <= 40 THEN 'SELECT ' || i || '::bigint AS x'
		ELSE format('SELECT (a.x + b.x) %% 1000003 AS x FROM s%s a, s%s b', i - 20 - i * 7 % 20, i - i * 13 % 20 - 1) END, true},
	commands => q{'INSERT INTO done VALUES (' || i || ')', true},
	dropped => q{CASE WHEN i = 1 THEN 'SELECT 1 AS x' ELSE 'SELECT x + 1 AS x FROM s' || i - 1 - i % 3 % (i - 1) END, false},
);

# Staged, so that the gates stand where they should: 100 steps, a gate, all the
# other steps, a gate.
sub define
{
	my ($shape) = @_;
	my ($text, $keep) = $body{$shape} =~ /^(.*), (true|false)$/s;
	my $warm_up = WARM_UP;

	one($node, <<"EOT");
BEGIN;
SELECT etl.create_pipeline('$shape', max_parallel => 4);
SELECT count(etl.add_step('$shape', 's' || i, $text, keep => $keep,
		depends_on => CASE WHEN i > $warm_up THEN '{first}'::text[] END))
FROM generate_series(1, $steps) AS i;
SELECT etl.add_step('$shape', 'first', 'SELECT FROM $gate_sql', keep => false, depends_on => array_agg('s' || i)) FROM generate_series(1, $warm_up) AS i;
SELECT etl.add_step('$shape', 'last', 'SELECT FROM $gate_sql', keep => false, depends_on => array_agg('s' || i)) FROM generate_series(1, $steps) AS i;
COMMIT;
EOT
	return;
}

# Waits until nothing but the gate's step is left to do before it opens.
sub at_gate
{
	my ($run_id, $step, @others) = @_;
	$node->poll_query_until('postgres',
		"SELECT EXISTS (SELECT FROM etl.log WHERE run_id = $run_id AND process_name = '$step' AND status = 'RUNNING')")
	  or die "the run does not come to step $step";
	return observe(@others);
}

sub biggest_growth
{
	my ($before, $after, $what) = @_;
	my ($most) = sort { $b <=> $a } map { $after->{$_}{$what} - $before->{$_}{$what} } grep { $before->{$_} } keys %$after;
	return $most;
}

foreach my $shape (@shapes)
{
	define($shape);
	close_gate($keeper);
	# one who waits gets a notice for each step
	my $caller = begin_sql($node, [ 'SET client_min_messages = warning', "SELECT etl.run('$shape')" ], app => 'caller');
	poll_ok($node, "SELECT count(*) = 1 FROM etl.progress WHERE pipeline = '$shape' AND status = 'RUNNING'", "$shape: a run begins");
	my ($run_id, $caller_pid) = split /\|/, one($node, "SELECT r.run_id, a.pid FROM etl.progress r, pg_stat_activity a WHERE a.application_name = 'caller'");
	my $before = at_gate($run_id, 'first', $caller_pid);
	my $start = time();
	open_gate($keeper);
	close_gate($keeper);
	my $after = at_gate($run_id, 'last', $caller_pid);
	my $ran = time() - $start;
	my $coordinator = one($node, "SELECT pid FROM etl.run_log WHERE run_id = $run_id");

	$start = time();
	open_gate($keeper);
	is((finish_sql($caller))[1], $run_id, "$shape: a run of $steps steps succeeds");
	my $published = time() - $start;

	my $growth = biggest_growth($before, $after, 'own');
	cmp_ok($growth, '<', BYTES_A_STEP * $steps, "$shape: no process of the run grows with the number of steps");
	note(sprintf '%s: %.3f ms a step, coordinator %.3f ms of processor time a step, published in %.2f s',
		$shape, 1000 * $ran / $steps, 1000 * ($after->{$coordinator}{cpu} - $before->{$coordinator}{cpu}) / $steps, $published);
	foreach my $pid (sort { $a <=> $b } grep { $before->{$_} } keys %$after)
	{
		note(sprintf '%s: %s grew by %.0f kB (with caches %.0f kB, private memory %.0f kB)', $shape,
			$pid == $caller_pid ? 'caller' : $pid == $coordinator ? 'coordinator' : 'worker',
			map { ($after->{$pid}{$_} - $before->{$pid}{$_}) / 1024 } qw(own all private));
	}

	my $tables = one($node, "SELECT count(*) FROM etl.output WHERE pipeline = '$shape' AND relation IS NOT NULL");
	is($tables, $shape =~ /commands|dropped/ ? 0 : $steps, "$shape: all of its tables are published");
	nothing_left($node, $shape);
}

# ---- many small runs ----

one($node, <<'EOT');
SELECT etl.create_pipeline('small' || i, max_parallel => 2) FROM generate_series(1, 3) AS i;
SELECT etl.add_step('small' || i, 's' || j, CASE WHEN j = 1 THEN 'SELECT 1 AS x' ELSE 'SELECT x + 1 AS x FROM s' || j / 2 END)
FROM generate_series(1, 3) AS i, generate_series(1, 5) AS j;
EOT
my $calls = join '', map { "SELECT etl.run('small1');\n" } 1 .. $runs;
my $size = q{SELECT sum(total_bytes) FROM pg_backend_memory_contexts;} . "\n";
my $start = time();
my @sizes = split /\n/, one($node, "SET client_min_messages = warning;\n"
	  . "SELECT etl.run('small1') > 0;\n$size$calls$size");
note(sprintf 'a run of 5 steps takes %.1f ms', 1000 * (time() - $start) / $runs);
cmp_ok($sizes[-1] - $sizes[1], '<', 1_000_000, "a session does not grow with $runs runs");
note(sprintf 'the session grew by %.0f kB', ($sizes[-1] - $sizes[1]) / 1024);

# several pipelines at a time, in turns
foreach my $turn (1 .. $runs / 5)
{
	one($node, "SELECT etl.start('small' || i) FROM generate_series(1, 3) AS i;\n"
		  . q{SELECT etl.wait(run_id) FROM etl.run_log ORDER BY run_id DESC LIMIT 3});
}
is(one($node, q{SELECT count(*) FROM etl.run_log WHERE status <> 'SUCCESS'}), '0', 'all runs succeed');
nothing_left($node, 'many runs');

$keeper->quit;
$node->stop;
my $log = slurp_file($node->logfile);
unlike($log, qr/TRAP:|PANIC:|was terminated by signal/, 'the server did not crash');
unlike($log, qr/WARNING:.* (?:leak|was not closed)/, 'no process has left a reference, a buffer or a file open');

done_testing();
