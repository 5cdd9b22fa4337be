# A worker executes one step after another; nothing of one reaches the next.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use EtlTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = etl_node('session');

# Step "look" of each pipeline says what it finds in its session.
one($node, <<'EOT');
CREATE ROLE other;
CREATE SCHEMA out;
CREATE SEQUENCE seq;
GRANT ALL ON SEQUENCE seq TO other;
CREATE TABLE plain (n int);
CREATE TABLE unique_later (n int UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE FUNCTION currval_state() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN currval('public.seq');
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE;
END $$;
CREATE FUNCTION look() RETURNS TABLE (found text) LANGUAGE sql AS $$
	SELECT concat_ws(' ',
		current_user = session_user,
		current_setting('work_mem'),
		current_setting('default_transaction_read_only'),
		COALESCE(current_setting('my.variable', true), '') = '',
		(SELECT count(*) FROM pg_class WHERE relpersistence = 't'),
		(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
		(SELECT count(*) FROM pg_prepared_statements WHERE from_sql),
		(SELECT count(*) FROM pg_cursors WHERE name = 'held'),
		public.currval_state())
$$;
EOT
my $clean = 't 4MB off t 0 0 0 0 55000';

# Executes a step of these statements, and then "look" in the same pipeline.
my $n = 0;

sub after_step
{
	my ($sql, $mess_status, $same_process, $test) = @_;

	$n++;
	one($node, "SELECT etl.create_pipeline('p$n', target_schema => 'out', search_path => 'public', max_parallel => 1);"
		  . "SELECT etl.add_step('p$n', 'mess$n', \$step\$$sql\$step\$, execution_order => 1);"
		  . "SELECT etl.add_step('p$n', 'look$n', 'SELECT *, random() AS random FROM look()', execution_order => 2)");
	finish_sql(begin_sql($node, "SELECT etl.run('p$n')"));

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(one($node, "SELECT status FROM etl.log WHERE process_name = 'mess$n'"), $mess_status, "$test: $mess_status");
	is(one($node, "SELECT status FROM etl.log WHERE process_name = 'look$n'"), 'SUCCESS', "$test: the next step works");
	is(one($node, "SELECT count(DISTINCT pid) FROM etl.log WHERE pipeline = 'p$n'"), $same_process ? 1 : 2,
		$test . ($same_process ? ': in the same process' : ': in another process'));
	is(one($node, "TABLE out.look$n") =~ s/\|.*//r, $clean, "$test: nothing of it is left") if $mess_status eq 'SUCCESS';
	return;
}

after_step('SELECT 1 AS n', 'SUCCESS', 1, 'a query');
after_step("SET work_mem = '77MB'; SET my.variable = 'x'; SET default_transaction_read_only = on", 'SUCCESS', 1, 'SET');
after_step('SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY', 'SUCCESS', 1, 'SET SESSION CHARACTERISTICS');
after_step('SET TRANSACTION READ ONLY; SELECT 1', 'SUCCESS', 1, 'SET TRANSACTION READ ONLY');
after_step('DO $$BEGIN SET default_transaction_read_only = on; COMMIT; END$$', 'SUCCESS', 1, 'a read-only transaction after a commit');
after_step('DO $$BEGIN SET default_transaction_read_only = on; COMMIT; PERFORM 1 / 0; END$$', 'FAILED', 1, 'an error in one');
is(one($node, "SELECT error_message FROM etl.log WHERE process_name = 'mess$n'"), 'division by zero', 'an error in one: is logged');
after_step('SET ROLE other', 'SUCCESS', 1, 'SET ROLE');
after_step('SET SESSION AUTHORIZATION other', 'SUCCESS', 1, 'SET SESSION AUTHORIZATION');
after_step('CREATE TEMP TABLE t AS SELECT 1 AS n; CREATE TEMP VIEW plain AS TABLE t', 'SUCCESS', 1, 'temporary tables');
after_step('SELECT pg_advisory_lock(7)::text AS a, pg_advisory_lock_shared(8)::text AS b', 'SUCCESS', 1, 'advisory locks');
after_step('PREPARE p AS SELECT 1', 'SUCCESS', 1, 'PREPARE');
after_step('DECLARE held CURSOR WITH HOLD FOR SELECT 1', 'SUCCESS', 1, 'a cursor');
after_step("SELECT nextval('seq')", 'SUCCESS', 1, 'currval');
after_step("LOAD '\$libdir/pgoutput'", 'SUCCESS', 0, 'LOAD');
after_step(<<'EOT', 'SUCCESS', 1, 'a DO block that commits');
DO $$
BEGIN
	PERFORM set_config('work_mem', '55MB', false);
	CREATE TEMP TABLE t (n int);
	COMMIT;
	SET ROLE other;
END $$
EOT
after_step(<<'EOT', 'FAILED', 1, 'a DO block that commits and fails');
DO $$
BEGIN
	PERFORM set_config('work_mem', '55MB', false), set_config('my.variable', 'x', false), pg_advisory_lock(9), nextval('seq');
	CREATE TEMP TABLE t (n int);
	COMMIT;
	PERFORM 1 / 0;
END $$
EOT
is(one($node, "SELECT status || '/' || sqlstate || '/' || (retry_at IS NULL) FROM etl.log WHERE process_name = 'mess$n'"), 'FAILED/22012/true',
	'a DO block that commits and fails: not to be retried');

# The step after a failed one, in the same process (the published table is not
# there, as the run has failed).
one($node, <<'EOT');
CREATE TABLE found (step text, found text);
SELECT etl.create_pipeline('failing', target_schema => 'out', search_path => 'public', max_parallel => 1, ordering => 'graph');
SELECT etl.add_step('failing', 'a', $step$DO $$
BEGIN
	PERFORM set_config('work_mem', '55MB', false), pg_advisory_lock(9), nextval('seq');
	CREATE TEMP TABLE t (n int);
	COMMIT;
	PERFORM 1 / 0;
END $$$step$, execution_order => 1);
SELECT etl.add_step('failing', 'b', 'INSERT INTO found SELECT ''b'', found FROM look()', execution_order => 2);
EOT
finish_sql(begin_sql($node, "SELECT etl.run('failing')"));
is(one($node, 'SELECT found FROM found'), $clean, 'nothing of a failed step is left');

# random() does not follow from a step's setseed
after_step('SELECT setseed(0.25)::text AS s', 'SUCCESS', 1, 'setseed');
my $random = one($node, "SELECT random FROM out.look$n");
is(one($node, "SELECT setseed(0.25); SELECT random() <> $random AND random() <> $random") =~ s/^\n//r, 't', 'setseed: random() starts anew');

# Many steps that each cost their worker its life.
one($node, <<'EOT');
SELECT etl.create_pipeline('churn', target_schema => 'out', max_parallel => 3);
SELECT etl.add_step('churn', 'c' || i, $$LOAD '$libdir/pgoutput'$$) FROM generate_series(1, 40) i;
EOT
one($node, "SELECT etl.run('churn')");
is(one($node, "SELECT count(*) || ' ' || count(DISTINCT pid) || ' ' || bool_and(status = 'SUCCESS' AND attempt = 1) FROM etl.log WHERE pipeline = 'churn'"),
	'40 40 true', 'each step gets its own process');

# ---- what a background process cannot do ----

after_step("DO \$\$BEGIN EXECUTE 'LISTEN channel'; END\$\$", 'FAILED', 1, 'LISTEN');
is(one($node, "SELECT sqlstate FROM etl.log WHERE process_name = 'mess$n'"), '0A000', 'LISTEN: is refused');

# ---- deferred constraints count ----

one($node, <<'EOT');
SELECT etl.create_pipeline('deferred', target_schema => 'out', search_path => 'public');
SELECT etl.add_step('deferred', 'twice', 'INSERT INTO unique_later VALUES (1), (1)');
SELECT etl.add_step('deferred', 'after', 'SELECT 1 AS n', depends_on => '{twice}');
EOT
fails_like($node, "SELECT etl.run('deferred')", 'ZE001', qr/step "twice": duplicate key value/, 'a deferred constraint');
is(statuses($node), 'after/0 SKIPPED, twice/1 FAILED', 'a deferred constraint: fails its step');
is(one($node, "SELECT sqlstate FROM etl.log WHERE process_name = 'twice'"), '23505', 'a deferred constraint: SQLSTATE');
is(one($node, 'SELECT count(*) FROM unique_later'), 0, 'a deferred constraint: its work is undone');
nothing_left($node, 'session');

# ---- a session that cannot be cleared ----

# That is no failure of the step's: so many temporary tables cannot be dropped at once.
one($node, <<'EOT');
SELECT etl.create_pipeline('crowded', target_schema => 'out', max_parallel => 1);
SELECT etl.add_step('crowded', 'fills', $step$DO $$BEGIN
	FOR i IN 1 .. 3000 LOOP
		EXECUTE format('CREATE TEMPORARY TABLE t%s (a text)', i);
		IF i % 100 = 0 THEN COMMIT; END IF;
	END LOOP;
END$$$step$);
SELECT etl.add_step('crowded', 'next', 'SELECT 1 AS n', depends_on => '{fills}');
SELECT etl.run('crowded');
EOT
is(statuses($node), 'fills/1 SUCCESS, next/1 SUCCESS', 'a session that cannot be cleared: both steps succeed');
is(one($node, "SELECT count(DISTINCT pid) FROM etl.log WHERE pipeline = 'crowded'"), 2, 'a session that cannot be cleared: in two processes');
like(slurp_file($node->logfile), qr/out of shared memory/, 'a session that cannot be cleared: that is why');

done_testing();
