# Whatever happens in the middle of publishing: all tables are those of one run, and
# the run's row says which.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use EtlTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = etl_node('midpublish', "etl_framework.notify = on\n");
my $total = 20 + 1 + 30 + 30 + 12;	# rows of the tables that survive a crash

# ---- where the coordinator stops ----

# "exchanged": the catalogs are changed, and a trigger on the run's row waits for the
# advisory lock 18.  "flushed": readers are let in, the commit is on disk, and waits for
# a standby that never comes.  (In between nothing can be made to wait.)
one($node, q{
	CREATE TABLE gate (point text, run int);
	INSERT INTO gate VALUES ('', 1);
	CREATE TABLE written (n int);
	CREATE FUNCTION stop_here() RETURNS trigger LANGUAGE plpgsql AS $$
	DECLARE
		stop text := (SELECT point FROM public.gate);
	BEGIN
		IF stop = 'slow' THEN
			PERFORM pg_sleep(0.12);
		ELSIF stop = 'exchanged' THEN
			PERFORM pg_advisory_xact_lock_shared(18);
		ELSIF stop = 'error' THEN
			RAISE 'not today';
		END IF;
		RETURN NULL;
	END $$;
	CREATE TRIGGER stop_here AFTER UPDATE ON etl.run_data FOR EACH ROW
		WHEN (new.status = 'SUCCESS') EXECUTE FUNCTION stop_here();
});

# From here on commits wait.  Returns a session that does.
sub hold_commits
{
	my $waiter;

	one($node, $_) for "ALTER SYSTEM SET synchronous_standby_names = 'nobody'", 'SELECT pg_reload_conf()';
	$waiter = begin_sql($node, "DO \$\$ BEGIN LOOP INSERT INTO written VALUES (1); COMMIT; PERFORM pg_sleep(0.01); END LOOP; END \$\$", app => 'waiter');
	poll_ok($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'waiter' AND wait_event = 'SyncRep'", 'commits wait');
	return $waiter;
}

sub end_session
{
	my ($name) = @_;
	one($node, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = '$name'");
	return;
}

# ---- what is published ----

# Of every kind: indexed and with TOAST; one with wide rows now and then; partitioned; one that is replaced, as its
# partitions are cut otherwise every time; one that is new every time; not logged; and
# some more, so that it takes a while.
one($node, q{
	SELECT etl.create_pipeline('p', durability => 'all', max_parallel => 2);
	SELECT etl.add_step('p', 'a', 'SELECT run, g, repeat(''x'', 3000) || g AS text FROM gate, generate_series(1, 20) g', indexes => '{UNIQUE (g)}');
	SELECT etl.add_step('p', 'b', 'SELECT run, g FROM gate, generate_series(1, 30) g', repartition => 2, repartition_by => '{g}', indexes => '{(g)}');
	SELECT etl.add_step('p', 'replaced', 'SELECT run, g FROM gate, generate_series(1, 30) g', repartition => 2, repartition_by => '{g}');
	SELECT etl.add_step('p', 'wide', 'SELECT run, repeat(''y'', CASE WHEN run % 3 = 0 THEN 9000 ELSE 0 END) AS text FROM gate');
	SELECT etl.add_step('p', 'fresh', 'SELECT run FROM gate');
	SELECT etl.add_step('p', 'unlogged', 'SELECT run FROM gate', persist => false);
	SELECT etl.add_step('p', 't' || i, 'SELECT run FROM gate') FROM generate_series(1, 12) i;
	SELECT etl.run('p');
	CREATE VIEW seen AS SELECT run FROM p.a WHERE text = repeat('x', 3000) || g;
	ALTER TABLE p.a ADD CHECK (run > 0);
	ALTER TABLE p.wide ALTER text SET STORAGE EXTERNAL;
});

my $wide = q{SELECT run FROM p.wide WHERE text = repeat('y', CASE WHEN run % 3 = 0 THEN 9000 ELSE 0 END)};
my $all = join ' UNION ALL ', 'TABLE seen', $wide, map { "SELECT run FROM p.$_" } 'b', 'replaced', map { "t$_" } 1 .. 12;

# "3/93", or more than one number if the tables are not of one run
sub published
{
	return one($node, "SELECT string_agg(DISTINCT run::text, ' ') || '/' || count(*) FROM ($all) tables");
}

my $oids = q{SELECT string_agg(relname || ' ' || oid, ', ' ORDER BY oid) FROM pg_class WHERE relnamespace = 'p'::regnamespace AND relname !~ '^(replaced|fresh)'};
my $same = one($node, $oids);
my $stamp = 1;
my $partitions = 2;

# ---- one round ----

# The next run begins.  Returns its number.
sub begin_run
{
	my ($point) = @_;

	$stamp++;
	$partitions = 5 - $partitions;
	one($node, "UPDATE gate SET point = '$point', run = $stamp; DROP TABLE IF EXISTS p.fresh");
	one($node, qq{SELECT etl.alter_step('p', 'replaced', '{"repartition": $partitions}')});
	return one($node, "SELECT etl.start('p')");
}

my $coordinator = "FROM pg_stat_activity WHERE backend_type = 'etl_framework coordinator'";

# What the coordinator is stopped by, and how strong its lock on a published table is
# then, if it has one.
my %there = (
	exchanged => 'advisory ShareUpdateExclusiveLock',
	flushed => 'SyncRep');

sub wait_for
{
	my ($test, $point) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	poll_ok($node, "SELECT count(*) = 1 FROM (SELECT pid, wait_event $coordinator) c LEFT JOIN pg_locks l ON l.pid = c.pid AND l.relation = 'p.a'::regclass
		WHERE concat_ws(' ', wait_event, mode) = '$there{$point}'", "$test: the coordinator is at \"$point\"");
	return;
}

# Something happens to the coordinator or to the server; then all goes on.
sub happen
{
	my ($what, $run) = @_;
	my $pid = one($node, "SELECT pid $coordinator");
	my $checkpointer = "(SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer')";
	my $before = one($node, "SELECT $checkpointer");

	if ($what =~ /^(fast|smart|immediate)$/)
	{
		$node->stop($what);
		$node->start;
	}
	elsif ($what eq 'kill')
	{
		kill 'KILL', $pid if $pid ne '';
		# it may just have ended by itself
		poll_ok($node, "SELECT $checkpointer <> $before OR NOT EXISTS (SELECT $coordinator)", 'the server is there again');
	}
	elsif ($pid ne '')
	{
		one($node, $what eq 'cancel' ? "SELECT etl.cancel($run)" : "SELECT pg_terminate_backend($pid)");
	}
	one($node, $_) for 'ALTER SYSTEM RESET synchronous_standby_names', 'SELECT pg_reload_conf()';
	end_session($_) for 'gate', 'waiter';
	$node->poll_query_until('postgres', "SELECT count(*) = 0 $coordinator")
	  or BAIL_OUT('the coordinator did not end');
	return;
}

# What holds afterwards.  Returns the run's status.
sub check
{
	my ($test, $run, $old, $crashed) = @_;
	my $status = one($node, "SELECT status FROM etl.run_log WHERE run_id = $run");
	my $new = $status eq 'SUCCESS';
	my $expected = $new ? $stamp : $old;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(published(), "$expected/$total", "$test: all tables are of one run, the one that the log says ($status)");
	like(one($node, 'SELECT run FROM p.unlogged'), $crashed ? qr/^($expected)?$/ : qr/^$expected$/, "$test: so is the one that is not logged");
	is(one($node, "SELECT to_regclass('p.fresh') IS NOT NULL, count(*) FROM pg_inherits WHERE inhparent = 'p.replaced'::regclass"),
		join('|', $new ? 't' : 'f', $new ? $partitions : 5 - $partitions), "$test: what is new or replaced is so with them");
	is(one($node, 'SET enable_seqscan = off; SELECT run FROM p.a WHERE g = 7'), $expected, "$test: indexes are those of the tables");
	is(one($node, "SELECT bool_and((run_id = $run) = " . ($new ? 'true' : 'false') . ") FROM etl.output"), 't', "$test: so does etl.output say");
	is(one($node, $oids), $same, "$test: the OIDs are the same");
	is(one($node, "SELECT count(*) FROM pg_locks WHERE relation IN (SELECT oid FROM pg_class WHERE relnamespace = 'p'::regnamespace)"), 0, "$test: nobody has a lock");
	return $status;
}

# The next run works, and nothing is left.
sub go_on
{
	my ($test) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$stamp++;
	one($node, "UPDATE gate SET point = '', run = $stamp");
	one($node, "SELECT etl.run('p')");
	is(published(), "$stamp/$total", "$test: the next run is published");
	is(one($node, $oids), $same, "$test: under the same OIDs");
	is(one($node, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pg\\_etl\\_staging\\_%'"), 0, "$test: no staging is left");
	nothing_left($node, $test);
	return;
}

# ---- stopped at a point ----

my @cases = (
	# where, what, and how the run has to end
	[ 'exchanged', 'cancel', 'SUCCESS' ],
	[ 'exchanged', 'cancel', 'CANCELLED', 'a reader' ],
	[ 'exchanged', 'terminate', 'CANCELLED', 'a reader' ],
	[ 'exchanged', 'fast', 'SUCCESS' ],
	[ 'exchanged', 'immediate', 'CRASHED' ],
	[ 'exchanged', 'kill', 'CRASHED' ],
	[ 'flushed', 'cancel', 'SUCCESS' ],
	[ 'flushed', 'terminate', 'SUCCESS' ],
	[ 'flushed', 'smart', 'SUCCESS' ],
	[ 'flushed', 'fast', 'SUCCESS' ],
	[ 'flushed', 'immediate', 'SUCCESS' ],
	[ 'flushed', 'kill', 'SUCCESS' ]);
for my $case (@cases)
{
	my ($point, $what, $status, $reader) = @$case;
	my $test = join ', ', $point, $what, $reader // ();
	my $old = $stamp;
	my @sessions = (begin_sql($node, [ 'SELECT pg_advisory_lock(18)', 'SELECT pg_sleep(600)' ], app => 'gate'));
	my $run;

	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 18 AND granted")
	  or BAIL_OUT('no gate');
	$run = begin_run('exchanged');
	wait_for($test, 'exchanged');
	if ($point ne 'exchanged')
	{
		push @sessions, hold_commits();
		end_session('gate');
		wait_for($test, $point);
		end_session('waiter') if $what eq 'smart';
	}
	# only what is replaced, and not changed, is locked already
	is(one($node, 'SELECT min(seen.run), max(b.run), count(*) FROM seen, p.b'), "$old|$old|600", "$test: readers read on") if $point eq 'exchanged';
	is(published(), "$stamp/$total", "$test: readers see the new run") if $point eq 'flushed';
	if ($reader)
	{
		push @sessions, begin_sql($node, [ 'BEGIN', 'SELECT count(*) FROM p.b', 'SELECT pg_sleep(600)' ], app => 'reader');
		poll_ok($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'reader' AND wait_event = 'PgSleep'", "$test: there is a reader");
	}
	happen($what, $run);
	end_session('reader');
	finish_sql($_) for @sessions;
	is(check($test, $run, $old, $what =~ /immediate|kill/), $status, "$test: the run's status");
	go_on($test);
}

# ---- somebody writes a wide row, where none was ----

{
	my $gate;
	my $toast = q{SELECT reltoastrelid::regclass FROM pg_class WHERE oid = 'p.wide'::regclass};
	my ($old, $run);

	go_on('no wide row') while $stamp % 3 != 1;
	$old = $stamp;
	$gate = begin_sql($node, [ 'SELECT pg_advisory_lock(18)', 'SELECT pg_sleep(600)' ], app => 'gate');
	$run = begin_run('exchanged');
	wait_for('a wide row', 'exchanged');
	one($node, q{INSERT INTO p.wide VALUES (0, repeat('z', 9000))});
	end_session('gate');
	finish_sql($gate);
	is(one($node, "SELECT etl.wait($run)"), 'SUCCESS', 'a wide row: the run succeeds');
	$node->poll_query_until('postgres', "SELECT count(*) = 0 $coordinator") or BAIL_OUT('the coordinator did not end');
	check('a wide row', $run, $old);
	my $name = one($node, $toast);
	is($name, one($node, q{SELECT 'pg_toast.pg_toast_' || 'p.wide'::regclass::oid}), 'a wide row: the TOAST table has its name');
	is(one($node, "SELECT count(*) FROM $name"), 0, 'a wide row: nothing of it is left there');
	go_on('a wide row');
}

# ---- an error ----

{
	my $old = $stamp;
	my $run = begin_run('error');

	is(one($node, "SELECT etl.wait($run)"), 'FAILED', 'error: the run has failed');
	like(one($node, "SELECT error_message FROM etl.run_log WHERE run_id = $run"), qr/could not be published: not today/, 'error: message');
	$node->poll_query_until('postgres', "SELECT count(*) = 0 $coordinator") or BAIL_OUT('the coordinator did not end');
	check('error', $run, $old);
	go_on('error');
}

# ---- at any instant ----

my $seed = $ENV{ETL_TEST_SEED} // int(rand(1_000_000));
srand($seed);
note("ETL_TEST_SEED=$seed");
my %seen;
for my $round (1 .. 12)
{
	my $what = ('cancel', 'terminate', 'fast', 'immediate', 'kill', 'kill')[ int(rand(6)) ];
	my $old = $stamp;
	my $run = begin_run('slow');
	my $delay = rand(0.12);
	my $status;

	one($node, "DO \$\$ BEGIN WHILE NOT EXISTS (SELECT $coordinator AND query LIKE '%: publishing') AND NOT EXISTS (SELECT FROM etl.run_log WHERE run_id = $run AND end_time IS NOT NULL)
		LOOP PERFORM pg_sleep(0.001), pg_stat_clear_snapshot(); END LOOP; PERFORM pg_sleep($delay); END \$\$");
	happen($what, $run);
	$status = check("round $round of seed $seed, $what", $run, $old, $what =~ /immediate|kill/);
	like($status, qr/^(SUCCESS|CANCELLED|CRASHED)$/, "round $round of seed $seed, $what: the run's status");
	$seen{$status}++;
	go_on("round $round of seed $seed, $what");
}
note(join ', ', map { "$seen{$_} $_" } sort keys %seen);

$node->stop;
done_testing();
