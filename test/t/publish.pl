# Publishing among readers, other pipelines, blockers and crashes.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use EtlTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = etl_node('publish');

# ---- readers see whole runs, while two pipelines publish and read each other ----

# Each row says which run it is of.  Three tables of p, of three kinds; q reads two
# of them, and p reads one of q's.
one($node, q{
	CREATE SCHEMA p;
	CREATE SCHEMA q;
	CREATE TABLE seed AS SELECT 0 AS run;
	SELECT etl.create_pipeline('p');
	SELECT etl.add_step('p', 'a', 'SELECT s.run, g, repeat(''x'', 3000) || g AS text FROM seed s, generate_series(1, 20) g', indexes => '{(g)}');
	SELECT etl.add_step('p', 'b', 'SELECT run, count(*) AS n FROM a GROUP BY run', persist => true);
	SELECT etl.add_step('p', 'c', 'SELECT run, g FROM a', repartition => 3, repartition_by => '{g}', indexes => '{UNIQUE (g)}');
	SELECT etl.run('p');
	SELECT etl.create_pipeline('q');
	SELECT etl.add_step('q', 'd', 'SELECT b.run, count(*) AS n FROM p.b, p.c WHERE b.run = c.run GROUP BY b.run');
	SELECT etl.add_step('q', 'e', 'SELECT run FROM d');
	SELECT etl.run('q');
	SELECT etl.add_step('p', 'f', 'SELECT a.run FROM a, q.e LIMIT 1');
	SELECT etl.run('p');
	ALTER TABLE p.a ADD PRIMARY KEY (g);
	CREATE TABLE over (pipeline text);
	CREATE FUNCTION mixed_rows() RETURNS bigint LANGUAGE sql AS $$
		SELECT count(*) FROM p.a JOIN p.c USING (g) CROSS JOIN p.b
		 WHERE NOT (a.run = b.run AND b.run = c.run AND b.n = 20) OR a.text <> repeat('x', 3000) || g
	$$;
	-- runs a pipeline so many times, but no longer than is needed for the least number
	CREATE PROCEDURE run_on(pipeline text, at_least int, at_most int, seconds float, OUT runs int) LANGUAGE plpgsql AS $$
	DECLARE
		until timestamptz := clock_timestamp() + make_interval(secs => seconds);
	BEGIN
		runs := 0;
		WHILE runs < at_least OR (runs < at_most AND clock_timestamp() < until) LOOP
			IF pipeline = 'p' THEN
				UPDATE seed SET run = run + 1;
				COMMIT;
			END IF;
			PERFORM etl.run(pipeline);
			COMMIT;
			runs := runs + 1;
		END LOOP;
		INSERT INTO over VALUES (pipeline);
	END $$;
	-- reads until both pipelines are done
	CREATE PROCEDURE read_on(OUT reads int, OUT wrong int) LANGUAGE plpgsql AS $$
	DECLARE
		a_run int; b_run int; c_min int; c_max int; n bigint;
	BEGIN
		reads := 0; wrong := 0;
		LOOP
			COMMIT;
			EXIT WHEN (SELECT count(*) FROM over) = 2;
			-- all at once
			SELECT mixed_rows() INTO n;
			wrong := wrong + (n <> 0)::int;
			IF reads % 2 = 1 THEN
				COMMIT;
			END IF;
			-- one after another: in one order, and in the other
			SELECT max(run) INTO a_run FROM p.a;
			PERFORM pg_sleep(0.001);
			SELECT min(run), max(run), count(*) INTO c_min, c_max, n FROM p.c;
			SELECT max(run) INTO b_run FROM p.b;
			wrong := wrong + (n <> 20 OR c_min <> c_max OR a_run <> b_run OR b_run <> c_min)::int;
			COMMIT;
			SELECT max(run) INTO b_run FROM p.b;
			SELECT max(run) INTO a_run FROM p.a WHERE g = 7;
			wrong := wrong + (a_run <> b_run)::int;
			reads := reads + 1;
			COMMIT;
			PERFORM pg_sleep(0.003);
		END LOOP;
	END $$;
});
my $oids = q{SELECT string_agg(oid::text, ' ' ORDER BY oid) FROM pg_class WHERE relnamespace IN ('p'::regnamespace, 'q'::regnamespace)};
my $before = one($node, $oids);
my ($at_least, $at_most, $seconds, $patience) = (50, 120, 40, 400);
my @jobs = map { begin_sql($node, [ "SET default_transaction_isolation = '$_'", 'CALL read_on(NULL, NULL)' ], patience => $patience) }
  ('read committed', 'repeatable read', 'repeatable read');
my %runs = map { $_ => begin_sql($node, [ 'SET client_min_messages = warning', "CALL run_on('$_', $at_least, $at_most, $seconds, NULL)" ], patience => $patience) } ('p', 'q');
for my $pipeline ('p', 'q')
{
	my ($rc, $runs, $err, $took) = finish_sql($runs{$pipeline});
	is($rc, 0, "all runs of $pipeline have succeeded") or diag($err);
	cmp_ok($runs, '>=', $at_least, "these were $runs, in $took s");
	$runs{$pipeline} = $runs;
}
for my $job (@jobs)
{
	my ($rc, $out, $err) = finish_sql($job);
	is($rc, 0, 'a reader') or diag($err);
	my ($reads, $wrong) = split /\|/, $out;
	cmp_ok($reads, '>', 20, 'it has read often');
	is($wrong, 0, 'and has only seen whole runs');
}
is(one($node, 'SELECT max(run) FROM p.b'), $runs{p}, 'the last run is there');
is(one($node, $oids), $before, 'under the same OIDs');
is(one($node, "SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'"), 0, 'there were no deadlocks');
nothing_left($node, 'after many runs');

# ---- a table that somebody always reads ----

{
	my @readers = map { begin_sql($node, "DO \$\$ BEGIN FOR i IN 1 .. 1000 LOOP PERFORM count(*) FROM p.a, p.b; PERFORM pg_sleep(0.02 + $_ * 0.003); COMMIT; END LOOP; END \$\$") } 1 .. 4;
	poll_ok($node, q{SELECT count(DISTINCT pid) = 4 FROM pg_locks WHERE relation = 'p.a'::regclass}, 'somebody always reads');
	my ($rc, $out, $err, $seconds) = finish_sql(begin_sql($node, "SELECT etl.run('p')"));
	is($rc, 0, 'it is published all the same') or diag($err);
	note("after $seconds seconds");
	is(one($node, q{SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE '%FROM p.a, p.b; PERFORM%' AND pid <> pg_backend_pid()}), 't', 'while they go on');
	kill_client($_) for @readers;
	one($node, q{SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE query LIKE '%FROM p.a, p.b; PERFORM%' AND pid <> pg_backend_pid()});
	is(one($node, "SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'"), 0, 'without a deadlock');
}

# ---- one that is blocked for too long ----

my $blocker = session($node);
my $pid = say_sql($blocker, 'SELECT pg_backend_pid()');
say_sql($blocker, "BEGIN; SELECT 'who is this' FROM p.b");
fails_like($node, [ "SET etl_framework.publish_timeout = '500ms'", "SELECT etl.run('p')" ], '55P03',
	qr/could not be published: AccessExclusiveLock on table p\.b was not free for 500 ms\n.*Process $pid holds AccessShareLock: SELECT 'who is this' FROM p\.b/s,
	'publishing is blocked');
is(last_run($node, 'status'), 'FAILED', 'the run has failed');
is(one($node, "SELECT count(*) FROM etl.log WHERE run_id = (SELECT max(run_id) FROM etl.run_log) AND status = 'SUCCESS'"), 4, 'its steps have not');
say_sql($blocker, 'COMMIT');
# the same where a table is to be replaced, and where one that it refers to is in use:
# others go on reading
one($node, q{
	CREATE TABLE referred (g int PRIMARY KEY);
	INSERT INTO referred SELECT generate_series(1, 20);
	SELECT etl.create_pipeline('cut');
	SELECT etl.add_step('cut', 'r', 'SELECT g FROM referred', persist => true);
	SELECT etl.run('cut');
	ALTER TABLE cut.r ADD FOREIGN KEY (g) REFERENCES referred;
	SELECT etl.alter_step('cut', 'r', '{"repartition": 2}');
});
for my $busy ('cut.r', 'public.referred')
{
	say_sql($blocker, "BEGIN; SELECT 'who is this' FROM $busy");
	my $run = begin_sql($node, [ "SET etl_framework.publish_timeout = '500ms'", "SELECT etl.run('cut')" ]);
	my @reader = finish_sql(begin_sql($node, [ "SET lock_timeout = '2s'", "DO \$\$ BEGIN WHILE NOT EXISTS (SELECT FROM etl.run_log WHERE pipeline = 'cut' AND status = 'FAILED' AND run_id = (SELECT max(run_id) FROM etl.run_log)) LOOP PERFORM count(*) FROM cut.r; COMMIT; PERFORM pg_sleep(0.01); COMMIT; END LOOP; END \$\$" ]));
	is($reader[0], 0, "$busy is in use, and others read on") or diag($reader[2]);
	my @ended = finish_sql($run);
	like($ended[2], qr/could not be published: AccessExclusiveLock on table \Q$busy\E was not free for 500 ms\n.*Process $pid holds AccessShareLock/s, "$busy is in use: the run says by whom");
	say_sql($blocker, 'COMMIT');
}
one($node, "SELECT etl.run('cut'); SELECT etl.drop_pipeline('cut', drop_tables => true); DROP SCHEMA cut; DROP TABLE referred");
# of what the owner may not see nothing is told
one($node, q{
	CREATE ROLE owner LOGIN;
	CREATE SCHEMA owned AUTHORIZATION owner;
	GRANT USAGE ON SCHEMA owned TO PUBLIC;
	SET ROLE owner;
	SELECT etl.create_pipeline('owned');
	SELECT etl.add_step('owned', 'b', 'SELECT 1 AS n');
	SELECT etl.run('owned');
});
say_sql($blocker, "BEGIN; SELECT 'a secret' FROM owned.b");
fails_like($node, [ "SET etl_framework.publish_timeout = '500ms'", "SELECT etl.run('owned')" ], '55P03',
	qr/Process $pid holds AccessShareLock: <insufficient privilege>/, 'blocked by a stranger', user => 'owner');
say_sql($blocker, 'COMMIT');
one($node, "SELECT etl.run('owned')");
nothing_left($node, 'after blocked runs');

# ---- what is added to a table while a run is on ----

one($node, q{
	SELECT etl.create_pipeline('late');
	CREATE TABLE numbers AS SELECT generate_series(1, 100) AS n;
	SELECT etl.add_step('late', 'quick', 'SELECT n, n % 7 AS m FROM numbers');
	SELECT etl.add_step('late', 'slow', 'SELECT n FROM quick, pg_advisory_xact_lock_shared(7) LIMIT 1');
	SELECT etl.run('late');
	UPDATE numbers SET n = n + 100;
});
say_sql($blocker, 'SELECT pg_advisory_lock(7)');
my $late = begin_sql($node, "SELECT etl.run('late')");
poll_ok($node, q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}, 'a run is half done');
one($node, q{
	CREATE UNIQUE INDEX quick_n ON late.quick (n);
	ALTER TABLE late.quick ADD CONSTRAINT small CHECK (n < 1000), ALTER COLUMN m SET NOT NULL;
});
say_sql($blocker, 'SELECT pg_advisory_unlock(7)');
my ($rc, $out, $err) = finish_sql($late);
is($rc, 0, 'a run whose tables got an index and constraints meanwhile') or diag($err);
is(one($node, 'SELECT sum(n) FROM late.quick'), 15050, 'new rows are there');
is(one($node, 'SET enable_seqscan = off; SELECT n FROM late.quick WHERE n = 150'), 150, 'the index knows them');
is(one($node, "SELECT bool_and(indisvalid) FROM pg_index WHERE indrelid = 'late.quick'::regclass"), 't', 'it is valid');
# and what does not hold for the new rows
say_sql($blocker, 'SELECT pg_advisory_lock(7)');
one($node, 'UPDATE numbers SET n = 2000 WHERE n = 150');
one($node, 'ALTER TABLE late.quick DROP CONSTRAINT small');
$late = begin_sql($node, "SELECT etl.run('late')");
poll_ok($node, q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}, 'another run is half done');
one($node, 'ALTER TABLE late.quick ADD CONSTRAINT small CHECK (n < 1000)');
say_sql($blocker, 'SELECT pg_advisory_unlock(7)');
($rc, $out, $err) = finish_sql($late);
like($err, qr/could not be published: check constraint "small" of relation "quick" is violated by some row/, 'a constraint that does not hold');
is(one($node, 'SELECT sum(n) FROM late.quick'), 15050, 'the rows are as before');
one($node, 'UPDATE numbers SET n = 150 WHERE n = 2000');
nothing_left($node, 'after the index');

# ---- serializable transactions notice that what they have read is gone ----

one($node, q{
	SELECT etl.create_pipeline('skew');
	SELECT etl.add_step('skew', 'read', 'SELECT g AS id, 0 AS n FROM generate_series(1, 1000) g', indexes => '{UNIQUE (id)}');
	SELECT etl.run('skew');
	CREATE TABLE other AS SELECT 1 AS id, 0 AS n;
});
my @t = (session($node), session($node));
say_sql($_, 'SET enable_seqscan = off') for @t;
say_sql($t[1], 'BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1');
say_sql($t[0], 'BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT n FROM skew.read WHERE id = 1');
say_sql($t[0], 'UPDATE other SET n = 1; COMMIT');
one($node, "SELECT etl.run('skew')");
(undef, $err) = say_sql($t[1], 'SELECT n FROM other');
is($err, '', 'a serializable transaction reads what another one has written since');
(undef, $err) = say_sql($t[1], 'UPDATE skew.read SET n = 1 WHERE id = 1; COMMIT');
like($err, qr/could not serialize access/, 'and must not write what that has read, although the table was published in between');
$_->quit for @t, $blocker;

# ---- crashes ----

# Logged and unlogged change places, with TOAST; then the server dies at once.
sub state_of
{
	my ($schema) = @_;
	return one($node, "SELECT string_agg(relname || ' ' || relpersistence::text, ', ' ORDER BY relname) FROM pg_class WHERE relnamespace = '$schema'::regnamespace AND relkind = 'r'");
}

for my $wal_level ('replica', 'minimal')
{
	if ($wal_level eq 'minimal')
	{
		$node->append_conf('postgresql.conf', "wal_level = minimal\nmax_wal_senders = 0\narchive_mode = off\nwal_skip_threshold = 0");
		$node->restart;
	}
	one($node, q{
		SELECT etl.create_pipeline('crash');
		SELECT etl.add_step('crash', 'safe', 'SELECT g AS id, repeat(md5(g::text), 100) AS text FROM seed, generate_series(run, run + 999) g', persist => true, indexes => '{(id)}');
		SELECT etl.add_step('crash', 'parts', 'SELECT id, text FROM safe', persist => true, repartition => 2);
		SELECT etl.add_step('crash', 'fast', 'SELECT id FROM safe');
		SELECT etl.run('crash');
		ALTER TABLE crash.safe ADD PRIMARY KEY (id);
		UPDATE seed SET run = 5000;
		CHECKPOINT;
		SELECT etl.run('crash');
	});
	my $sum = one($node, 'SELECT sum(id), sum(length(text)) FROM crash.safe');
	$node->stop('immediate');
	$node->start;
	is(state_of('crash'), 'fast u, parts_p0 p, parts_p1 p, safe p', "$wal_level: after a crash tables are logged or not as before");
	is(one($node, 'SELECT sum(id), sum(length(text)) FROM crash.safe'), $sum, "$wal_level: logged rows are there");
	is(one($node, 'SELECT sum(id), sum(length(text)) FROM crash.parts'), $sum, "$wal_level: those of partitions, too");
	is(one($node, 'SELECT count(*) FROM crash.fast'), 0, "$wal_level: others are not");
	is(one($node, 'SET enable_seqscan = off; SELECT id FROM crash.safe WHERE id = 5500'), 5500, "$wal_level: indexes work");
	# and the other way round
	one($node, q{
		SELECT etl.alter_step('crash', 'safe', '{"persist": false}');
		SELECT etl.alter_step('crash', 'fast', '{"persist": true}');
		SELECT etl.run('crash');
	});
	$node->stop('immediate');
	$node->start;
	is(state_of('crash'), 'fast p, parts_p0 p, parts_p1 p, safe u', "$wal_level: they have changed places");
	is(one($node, 'SELECT count(*), (SELECT count(*) FROM crash.safe) FROM crash.fast'), '1000|0', "$wal_level: and the rows with them");
	is(one($node, 'SET enable_seqscan = off; SELECT count(*) FROM crash.safe WHERE id = 5500'), 0, "$wal_level: indexes of the empty table are empty");
	one($node, "SELECT etl.run('crash')");
	is(one($node, 'SELECT sum(id), sum(length(text)) FROM crash.safe'), $sum, "$wal_level: a run makes it again");
	one($node, "SELECT etl.drop_pipeline('crash', drop_tables => true); DROP SCHEMA crash");
}

# ---- heaps and indexes agree ----

SKIP:
{
	skip 'there is no amcheck', 2
	  if one($node, "SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'") == 0;
	one($node, q{CREATE EXTENSION amcheck; UPDATE seed SET run = 7; SELECT etl.run('p', steps => '{a,b,c}'); SELECT etl.run('q'); SELECT etl.run('p'); SELECT etl.run('late'); SELECT etl.run('skew')});
	is(one($node, q{SELECT string_agg(c.oid::regclass || ': ' || v.msg, ', ') FROM pg_class c, verify_heapam(c.oid) v
		WHERE c.relkind = 'r' AND c.relnamespace IN ('p'::regnamespace, 'q'::regnamespace, 'late'::regnamespace, 'skew'::regnamespace)}), '', 'heaps are sound');
	is(one($node, q{SELECT count(bt_index_check(i.indexrelid, true)) > 5 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
		WHERE a.amname = 'btree' AND c.relkind = 'i' AND c.relnamespace IN ('p'::regnamespace, 'q'::regnamespace, 'late'::regnamespace, 'skew'::regnamespace)}), 't', 'indexes have every row');
}

nothing_left($node, 'at the end');
$node->stop;
done_testing();
