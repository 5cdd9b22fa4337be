# etl.resume goes on from a run that did not succeed.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use EtlTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = etl_node('resume');

# "src" reads a source, "mid" and "out" what it made, "flat" nothing; "cmd" is a
# command.  What a schema "trip_..." names, fails: nobody reads a table to know that.
one($node, <<'EOT');
CREATE ROLE stranger LOGIN;
CREATE SCHEMA out;
CREATE TABLE source (n int); INSERT INTO source VALUES (1);
CREATE TABLE done (n int);
CREATE FUNCTION pass(step text) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
	IF to_regnamespace('trip_' || step) IS NOT NULL THEN
		RAISE 'tripped';
	END IF;
	RETURN true;
END $$;
SELECT etl.create_pipeline('p', target_schema => 'out', search_path => 'public', max_attempts => 1);
SELECT etl.add_step('p', 'flat', 'SELECT g AS n FROM generate_series(1, 5) g', indexes => '{(n)}');
SELECT etl.add_step('p', 'src', 'SELECT sum(n) AS n FROM source');
SELECT etl.add_step('p', 'tmp', 'SELECT n FROM flat', keep => false, repartition => 2);
SELECT etl.add_step('p', 'mid', 'SELECT count(*) AS n FROM tmp', persist => true);
SELECT etl.add_step('p', 'cmd', 'INSERT INTO done SELECT n FROM src');
SELECT etl.add_step('p', 'last', 'SELECT src.n AS s, mid.n AS m FROM src, mid WHERE pass(etl.param(''p''))', depends_on => '{cmd}');
EOT

sub trip
{
	my ($step) = @_;
	one($node, 'SET client_min_messages = error; DROP SCHEMA IF EXISTS trip_it, trip_mid, trip_sleep; ' . ($step ? "CREATE SCHEMA trip_$step" : ''));
	return;
}

# Which steps the last run has executed, and which it has reused.
sub work
{
	return one($node, <<'EOT');
SELECT coalesce(string_agg(process_name, ' ' ORDER BY process_name) FILTER (WHERE attempt > 0), '-') || ' / '
	|| coalesce(string_agg(process_name, ' ' ORDER BY process_name) FILTER (WHERE reused_from IS NOT NULL), '-')
FROM etl.log WHERE run_id = (SELECT max(run_id) FROM etl.run_log)
EOT
}

# Begins anew, with a run that fails in its last step.
sub fail_run
{
	my ($options) = @_;
	trip('it');
	one($node, 'TRUNCATE done');
	my ($rc, $out, $err) = finish_sql(begin_sql($node, "SELECT etl.run('p', params => '{\"p\": \"it\"}'" . ($options // '') . ')'));
	isnt($rc, 0, 'a run fails');
	return last_run($node, 'run_id');
}

sub resume
{
	my ($run, $arguments) = @_;
	return finish_sql(begin_sql($node, "SELECT etl.resume($run" . ($arguments // '') . ')'));
}

# ---- refusals ----

fails_like($node, 'SELECT etl.resume(1)', '42704', qr/run 1 does not exist/, 'unknown run');
fails_like($node, 'SELECT etl.resume(NULL)', '22004', qr/"run_id" must not be null/, 'no run');
my $failed = fail_run();
fails_like($node, "SELECT etl.resume($failed, NULL)", '22004', qr/"reuse" must not be null/, 'reuse null');
fails_like($node, "SELECT etl.resume($failed)", '42704', qr/run $failed does not exist/, "another's run", user => 'stranger');
fails_like($node, ['BEGIN', 'CREATE TABLE t (n int)', "SELECT etl.resume($failed)"], '25001', qr/etl\.resume cannot be called in a transaction that has written/, 'a transaction that has written');
fails_like($node, ['BEGIN READ ONLY', "SELECT etl.resume($failed)"], '25006', qr/etl\.resume/, 'a read-only transaction');

# ---- what is reused ----

is(work(), 'cmd flat last mid src tmp / -', 'all was executed');
is(one($node, "SELECT count(*) FROM pg_class WHERE relnamespace = ('pg_etl_staging_1')::regnamespace AND relname IN ('flat', 'src', 'mid')"), 3, 'what it made is kept');
nothing_left($node, 'after a failed run');
trip();
one($node, 'UPDATE source SET n = 2');
my ($rc, $out, $err) = resume($failed);
is($rc, 0, 'resume: it succeeds');
my $resumed = last_run($node, 'run_id');
is($out, $resumed, 'resume: returns the new number');
is(work(), 'last src / cmd flat mid tmp', 'resume: what reads a source is executed again, with what reads that');
like($err, qr{NOTICE:  00000: \[\d/6\] flat: SUCCESS, 5 rows, \d+ kB, reused from run $failed\n}, 'resume: what is reused is said');
like($err, qr{run $resumed of pipeline "p": SUCCESS, 6 of 6 steps succeeded}, 'resume: and counted');
is(one($node, 'SELECT s, m FROM out.last'), '2|5', 'resume: the new instant everywhere');
is(one($node, 'SELECT count(*) FROM done'), 1, 'resume: a command is not executed again');
is(last_run($node, 'resumes, two_instants, version, params, status'), "$failed|f|7|{\"p\": \"it\"}|SUCCESS", 'resume: etl.run_log');
is(one($node, "SELECT attempt, status, count_rows, table_size = (SELECT table_size FROM etl.log WHERE run_id = $failed AND process_name = 'flat') AS size, reused_from FROM etl.log WHERE run_id = $resumed AND process_name = 'flat'"),
	"0|SUCCESS|5|t|$failed", 'resume: etl.log');
is(one($node, "SELECT count(*), bool_and(run_id = $resumed) FROM etl.output"), '4|t', 'resume: all is published');
is(one($node, "SELECT count(*) FROM pg_indexes WHERE schemaname = 'out' AND tablename = 'flat'"), 1, 'resume: with its index');
nothing_left($node, 'resume');
fails_like($node, "SELECT etl.resume($failed)", '55000', qr/not the newest run of its pipeline/, 'an older run');
fails_like($node, "SELECT etl.resume($resumed)", '55000', qr/because it succeeded/, 'a run that succeeded');

# ---- with reuse ----

$failed = fail_run();
trip();
one($node, 'UPDATE source SET n = 3');
resume($failed, ', reuse => true');
is(work(), 'last / cmd flat mid src tmp', 'reuse: only what failed is executed');
is(one($node, 'SELECT s, m FROM out.last'), '2|5', 'reuse: as of the old instant');
is(last_run($node, 'two_instants'), 'f', 'reuse: which is the only one, as nothing was read');

# a step that failed and reads a source itself
one($node, "SELECT etl.alter_step('p', 'last', '{\"sql_query\": \"SELECT src.n AS s, mid.n AS m, (SELECT sum(n) FROM source) AS now FROM src, mid WHERE pass(etl.param(''p''))\"}')");
$failed = fail_run();
one($node, 'UPDATE source SET n = 4');
($rc, $out, $err) = resume($failed, ', reuse => true');
isnt($rc, 0, 'reuse: a resumed run can fail, too');
my $second = last_run($node, 'run_id');
is(last_run($node, 'two_instants'), 'f', 'reuse: it has read nothing');
trip();
($rc, $out, $err) = resume($second, ', reuse => true');
is($rc, 0, 'reuse: and be resumed');
is(one($node, "SELECT string_agg(DISTINCT reused_from::text, ' ') FROM etl.log WHERE run_id = (SELECT max(run_id) FROM etl.run_log)"), $failed, 'reuse: the log says where things come from');
is(one($node, 'SELECT s, now FROM out.last'), '3|4', 'reuse: two instants');
is(last_run($node, 'two_instants'), 't', 'reuse: which is said');

# keep => false: what was dropped is made again where it is needed
one($node, "SELECT etl.alter_step('p', 'mid', '{\"sql_query\": \"SELECT count(*) AS n FROM tmp WHERE pass(''mid'')\"}')");
trip('mid');
($rc, $out, $err) = finish_sql(begin_sql($node, "SELECT etl.run('p', params => '{\"p\": \"it\"}')"));
trip();
resume(last_run($node, 'run_id'));
is(work(), 'last mid src / cmd flat tmp', 'keep => false: it is there for the reader that failed');
trip('it');
($rc, $out, $err) = finish_sql(begin_sql($node, "SELECT etl.run('p', params => '{\"p\": \"it\"}')"));
one($node, 'DROP TABLE pg_etl_staging_1.mid');
trip();
resume(last_run($node, 'run_id'));
is(work(), 'last mid src tmp / cmd flat', 'keep => false: or it is made again');
nothing_left($node, 'keep => false');

# a function that reads a source is known from its plans
one($node, <<'EOT');
CREATE FUNCTION look() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT sum(n) FROM source); END';
SELECT etl.add_step('p', 'looks', 'SELECT look() AS n');
SELECT etl.add_step('p', 'builds', 'SELECT n FROM looks');
EOT
$failed = fail_run();
trip();
resume($failed);
is(work(), 'builds last looks src / cmd flat mid tmp', 'a source in a function');
one($node, "SELECT etl.drop_step('p', 'looks'); SELECT etl.drop_step('p', 'builds')");

# ---- without one snapshot everything is reused ----

one($node, "SELECT etl.alter_pipeline('p', '{\"one_snapshot\": false}')");
$failed = fail_run();
trip();
resume($failed);
is(work(), 'last / cmd flat mid src tmp', 'without one snapshot everything is reused');
is(last_run($node, 'two_instants'), 't', 'and the run log says that the sources were read twice');
one($node, "SELECT etl.alter_pipeline('p', '{\"one_snapshot\": true}')");

# ---- only publishing failed ----

one($node, 'UPDATE source SET n = 5');
my $in_the_way = session($node);
my $soon = "SET etl_framework.publish_timeout = '200ms'";
say_sql($in_the_way, 'BEGIN; SELECT count(*) FROM out.flat');
trip();
fails_like($node, [ $soon, "SELECT etl.run('p', params => '{\"p\": \"it\"}')" ], '55P03', qr/could not be published/, 'publishing fails');
$failed = last_run($node, 'run_id');
fails_like($node, [ $soon, "SELECT etl.resume($failed)" ], '55P03', qr/could not be published/, 'so it does once more');
is(work(), '- / cmd flat last mid src tmp', 'publishing again executes nothing');
say_sql($in_the_way, 'COMMIT');
one($node, 'UPDATE source SET n = 6');
my $again = last_run($node, 'run_id');
($rc, $out, $err) = resume($again);
is($rc, 0, 'with nothing in the way it succeeds');
is(one($node, 'SELECT s, now FROM out.last'), '5|5', 'what is published is as of the old instant');
is(last_run($node, 'two_instants'), 'f', 'of one');

# ---- selections ----

$failed = fail_run(", steps => '{+last}'");
trip();
resume($failed);
is(last_run($node, 'steps, status'), '{+last}|SUCCESS', 'the selection is the same');
$failed = fail_run(", steps => '{last}'");
trip();
resume($failed);
is(work(), 'last / -', 'what was not selected is not, and is no step of the run');

# ---- version ----

$failed = fail_run();
one($node, "SELECT etl.add_step('p', 'later', 'SELECT 1 AS n')");
trip();
resume($failed);
is(work(), 'last src / cmd flat mid tmp', 'the version is the same');
one($node, "SELECT etl.drop_step('p', 'later')");

# ---- cancelled ----

one($node, "SELECT etl.alter_step('p', 'last', '{\"sql_query\": \"SELECT src.n AS s, mid.n AS m FROM src, mid, pg_sleep(CASE WHEN to_regnamespace(''trip_sleep'') IS NULL THEN 0 ELSE 600 END)\"}')");
trip('sleep');
my $job = begin_sql($node, "SELECT etl.run('p')");
step_pid($node, 'last');
my $running = last_run($node, 'run_id');
fails_like($node, "SELECT etl.resume($running)", '55006', qr/because it is on/, 'a run that is on');
one($node, "SELECT etl.cancel($running)");
finish_sql($job);
trip();
resume($running);
is(work(), 'last src / cmd flat mid tmp', 'a run that was cancelled');
is(last_run($node, 'status'), 'SUCCESS', 'a run that was cancelled succeeds');

# ---- crashes ----

# its coordinator alone: all is there
trip('sleep');
$job = begin_sql($node, "SELECT etl.run('p')");
step_pid($node, 'last');
$running = last_run($node, 'run_id');
$node->stop('immediate');
$node->start;
finish_sql($job);
is(last_run($node, 'status'), 'CRASHED', 'a crash');
trip();
one($node, 'UPDATE source SET n = 7');
($rc, $out, $err) = resume($running);
is($rc, 0, 'a run that has crashed can be resumed');
is(work(), 'flat last src / cmd mid tmp', 'with what is logged; what was not has to be made again');
is(one($node, 'SELECT s, m, (SELECT count(*) FROM out.flat) FROM out.last'), '7|5|5', 'and all is well');
is(one($node, "SELECT status FROM etl.run_log WHERE run_id = $running"), 'CRASHED', 'the old run stays what it was');
nothing_left($node, 'a crash');

# a crash after a run that had failed before
$failed = do { one($node, "SELECT etl.alter_step('p', 'last', '{\"sql_query\": \"SELECT src.n AS s, mid.n AS m FROM src, mid WHERE pass(''it'')\"}')"); fail_run() };
$node->stop('immediate');
$node->start;
trip();
resume($failed, ', reuse => true');
is(work(), 'flat last src / cmd mid tmp', 'reuse: not of what a crash has emptied');
is(one($node, 'SELECT s, m, (SELECT count(*) FROM out.flat) FROM out.last'), '7|5|5', 'reuse: and all is well again');

# an orderly restart
$failed = fail_run();
$node->restart;
trip();
resume($failed, ', reuse => true');
is(work(), 'last / cmd flat mid src tmp', 'a restart takes nothing away');

# ---- leftovers ----

$failed = fail_run();
one($node, 'DROP SCHEMA pg_etl_staging_1 CASCADE');
fails_like($node, "SELECT etl.resume($failed)", '55000', qr/nothing is left of what it made/, 'the staging schema is gone');
$failed = fail_run();
trip();
one($node, "SELECT etl.run('p', params => '{\"p\": \"it\"}')");
is(work(), 'cmd flat last mid src tmp / -', 'a new run begins anew');
nothing_left($node, 'a new run');
$failed = fail_run();
one($node, "SELECT etl.drop_pipeline('p')");
is(one($node, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pg\\_etl%'"), 0, 'dropping the pipeline takes along what is left');
fails_like($node, "SELECT etl.resume($failed)", '42704', qr/pipeline "p" of run $failed was dropped/, 'a dropped pipeline');

# ---- what commands have written into the run's own tables ----

one($node, <<'EOT');
SELECT etl.create_pipeline('w', target_schema => 'out', search_path => 'public', max_attempts => 1);
SELECT etl.add_step('w', 'd', 'SELECT n FROM source', execution_order => 1);
SELECT etl.add_step('w', 'd_2', 'INSERT INTO d SELECT -1', execution_order => 2);
SELECT etl.add_step('w', 'd_3', 'UPDATE d SET n = n * 10', depends_on => '{d_2}', execution_order => 3);
SELECT etl.add_step('w', 'e', 'SELECT 1 AS n', execution_order => 1);
SELECT etl.add_step('w', 'e_2', 'INSERT INTO e SELECT 2', execution_order => 2);
SELECT etl.add_step('w', 'end', 'SELECT (SELECT sum(n) FROM d) AS d, (SELECT sum(n) FROM e) AS e WHERE pass(etl.param(''p''))',
	depends_on => '{d_3,e_2}');
EOT

sub fail_w
{
	trip('it');
	finish_sql(begin_sql($node, "SELECT etl.run('w', params => '{\"p\": \"it\"}')"));
	trip();
	return last_run($node, 'run_id');
}

trip();
is(one($node, "SELECT etl.wait(etl.start('w', params => '{\"p\": \"it\"}'))"), 'SUCCESS', 'commands write: undisturbed');
my $undisturbed = one($node, 'SELECT array_agg(n ORDER BY n) FROM out.d');
foreach my $options ('', ', reuse => true')
{
	$failed = fail_w();
	resume($failed, $options);
	is(one($node, 'SELECT array_agg(n ORDER BY n) FROM out.d'), $undisturbed, "commands write$options: a resumed run has made what an undisturbed one makes");
	is(one($node, 'SELECT array_agg(n ORDER BY n) FROM out.e'), '{1,2}', "commands write$options: once");
	is(work(), $options ? 'end / d d_2 d_3 e e_2' : 'd d_2 d_3 end / e e_2', "commands write$options: with the table that they belong to");
}
$failed = fail_w();
$node->stop('immediate');
$node->start;
resume($failed, ', reuse => true');
is(one($node, 'SELECT array_agg(n ORDER BY n) FROM out.d'), $undisturbed, 'commands write: after a crash');
is(one($node, 'SELECT array_agg(n ORDER BY n) FROM out.e'), '{1,2}', 'commands write: after a crash, once');

# one that has written elsewhere, too, must not do that twice
one($node, "SELECT etl.alter_step('w', 'd_2', '{\"sql_query\": \"WITH a AS (INSERT INTO d SELECT -1) INSERT INTO done SELECT -1\"}')");
$failed = fail_w();
fails_like($node, "SELECT etl.resume($failed)", '55000', qr/would do twice.*d_2.*done/s, 'a command that has written elsewhere, too');
is(one($node, 'SELECT count(*) FROM done WHERE n = -1'), 1, 'it has done so once');
resume($failed, ', reuse => true');
is(one($node, 'SELECT array_agg(n ORDER BY n) FROM out.d'), $undisturbed, 'with what it has written nothing has to be done twice');
nothing_left($node, 'commands write');

$node->stop;
done_testing();
