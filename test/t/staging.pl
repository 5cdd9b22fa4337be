# The schema that a run builds in, and its tables, are dropped or changed by people.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use EtlTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = etl_node('staging');

one($node, <<'EOT');
CREATE ROLE team LOGIN;
CREATE SCHEMA out AUTHORIZATION team;
SET ROLE team;
CREATE FUNCTION out.drop_staging() RETURNS void LANGUAGE plpgsql AS $$
DECLARE s name;
BEGIN
	FOR s IN SELECT nspname FROM pg_namespace WHERE nspname LIKE 'pg\_etl\_staging%' AND pg_has_role(nspowner, 'USAGE') LOOP
		EXECUTE format('DROP SCHEMA %I CASCADE', s);
	END LOOP;
END $$;
-- a step that holds no lock, and ends when the staging schema of its owner's run is gone
CREATE TABLE out.disturbed ();
GRANT SELECT ON out.disturbed TO PUBLIC;
CREATE FUNCTION out.until_dropped() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF EXISTS (SELECT FROM out.disturbed) THEN
		FOR i IN 1 .. 600 LOOP
			EXIT WHEN NOT EXISTS (SELECT FROM pg_namespace WHERE nspname LIKE 'pg\_etl\_staging%' AND nspowner = current_user::regrole);
			PERFORM pg_sleep(0.1);
		END LOOP;
	END IF;
END $$;
SELECT etl.create_pipeline('p', target_schema => 'out', max_attempts => 3, retry_delay => '10 ms');
SELECT etl.add_step('p', 'a', 'SELECT 1 AS n');
SELECT etl.add_step('p', 'wait', 'DO ''BEGIN PERFORM out.until_dropped(); END''', depends_on => '{a}');
SELECT etl.add_step('p', 'b', 'SELECT n FROM a', depends_on => '{wait}');
RESET ROLE;
EOT

sub quote
{
	my ($text) = @_;
	$text =~ s/'/''/g;
	return "'$text'";
}

# The run has failed with that text, its tables are as they were, and another run succeeds.
sub survived
{
	my ($text, $test) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	like(last_run($node, 'status'), qr/FAILED/, "$test: the run fails");
	like(last_run($node, 'error_message'), $text, "$test: and says why");
	# a deadlock with who drops it may be tried again, what is gone may not
	cmp_ok(one($node, "SELECT count(*) FROM etl.log WHERE run_id = (SELECT max(run_id) FROM etl.run_log) AND status = 'FAILED' AND sqlstate IS DISTINCT FROM '40P01'"),
		'<=', 1, "$test: at once");
	unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/TRAP|was terminated by signal/, "$test: no process crashes");
	return;
}

is(one($node, "SELECT etl.wait(etl.start('p'))"), 'SUCCESS', 'undisturbed');

# ---- a step that drops it ----

one($node, "SET ROLE team; SELECT etl.add_step('p', 'evil', 'DO \$\$BEGIN PERFORM out.drop_staging(); END\$\$', execution_order => 1, depends_on => '{a}');"
	. "SELECT etl.alter_step('p', 'wait', '{\"depends_on\": [\"a\", \"evil\"]}')");
my ($rc, $out, $err) = finish_sql(begin_sql($node, 'SET ROLE team; SELECT etl.run(\'p\')'));
isnt($rc, 0, 'a step drops it: the caller gets an error');
survived(qr/gone|does not exist|dropped/, 'a step drops it');
one($node, "SET ROLE team; SELECT etl.alter_step('p', 'wait', '{\"depends_on\": [\"a\"]}'); SELECT etl.drop_step('p', 'evil')");
is(one($node, "SELECT etl.wait(etl.start('p'))"), 'SUCCESS', 'a step drops it: the next run');

# ---- people drop it while a step is executed ----

one($node, 'INSERT INTO out.disturbed DEFAULT VALUES');

foreach my $command ('SELECT out.drop_staging()', 'DROP OWNED BY builder CASCADE')
{
	if ($command =~ /OWNED/)
	{
		one($node, 'CREATE ROLE builder LOGIN; GRANT CREATE, USAGE ON SCHEMA out TO builder;');
		one($node, "SET ROLE builder; SELECT etl.create_pipeline('of_builder', target_schema => 'out', max_attempts => 3, retry_delay => '10 ms');"
			. "SELECT etl.add_step('of_builder', 'c', 'SELECT 1 AS n'); SELECT etl.add_step('of_builder', 'wait2', 'DO ''BEGIN PERFORM out.until_dropped(); END''', depends_on => '{c}');"
			. "SELECT etl.add_step('of_builder', 'd', 'SELECT n FROM c', depends_on => '{wait2}')");
	}
	my ($pipeline, $step) = $command =~ /OWNED/ ? ('of_builder', 'wait2') : ('p', 'wait');
	my $job = begin_sql($node, "SELECT etl.run('$pipeline')");
	step_pid($node, $step);
	finish_sql(begin_sql($node, $command));
	($rc, $out, $err) = finish_sql($job);
	isnt($rc, 0, "$command: the caller gets an error");
	survived(qr/gone|does not exist|dropped|permission/, $command);
}
one($node, 'DELETE FROM out.disturbed');
is(one($node, "SELECT etl.wait(etl.start('p'))"), 'SUCCESS', 'the next run');
one($node, 'INSERT INTO out.disturbed DEFAULT VALUES');

# ---- while the last step runs: there is nothing to publish then ----

one($node, "SET ROLE team; SELECT etl.create_pipeline('last', target_schema => 'out'); SELECT etl.add_step('last', 'x', 'SELECT 1 AS n');"
	. "SELECT etl.add_step('last', 'y', 'DO ''BEGIN PERFORM out.until_dropped(); END''', depends_on => '{x}')");
my $last = begin_sql($node, "SELECT etl.run('last')");
step_pid($node, 'y');
finish_sql(begin_sql($node, 'SELECT out.drop_staging()'));
($rc, $out, $err) = finish_sql($last);
isnt($rc, 0, 'during the last step: the caller gets an error');
survived(qr/gone|does not exist|dropped/, 'during the last step');

# ---- tables of the run that are changed before they are published, or taken over ----

one($node, <<'EOT');
SET ROLE team;
CREATE TABLE out.other (n int);
CREATE FUNCTION out.change(command text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE s name;
BEGIN
	SELECT nspname INTO s FROM pg_namespace WHERE nspname LIKE 'pg\_etl\_staging%' AND pg_has_role(nspowner, 'USAGE')
		AND EXISTS (SELECT FROM pg_class WHERE relnamespace = pg_namespace.oid AND relname = 'made');
	EXECUTE replace(command, 'made', s || '.made');
END $$;
CREATE TABLE out.command (text text);
INSERT INTO out.command VALUES ('');
SELECT etl.create_pipeline('changed', target_schema => 'out', max_attempts => 1);
SELECT etl.add_step('changed', 'made', 'SELECT 1 AS n');
SELECT etl.add_step('changed', 'change', 'DO $$BEGIN PERFORM out.change(text) FROM out.command WHERE text <> ''''; END$$', depends_on => '{made}');
EOT
is(one($node, "SELECT etl.wait(etl.start('changed'))"), 'SUCCESS', 'an unchanged table is published');
my @changes = (
	[ 'ALTER TABLE made ADD COLUMN c text NOT NULL DEFAULT repeat(\'x\', 100)', qr/no value of/ ],
	[ 'ALTER TABLE made RENAME TO renamed', qr/renamed/ ],
	[ 'DROP TABLE made; CREATE VIEW made AS SELECT 1 AS n', qr/dropped|is not what the step has made/ ],
	[ 'DROP TABLE made', qr/dropped|does not exist/ ],
	[ 'ALTER TABLE made INHERIT out.other', qr/part of another table/ ],
	[ 'CREATE RULE r AS ON INSERT TO made DO INSTEAD NOTHING', qr/rule/ ],
	[ 'ALTER TABLE made SET SCHEMA out', qr/another schema|exists/ ]);
foreach my $change (@changes)
{
	my ($command, $text) = @$change;
	one($node, "UPDATE out.command SET text = " . quote($command));
	($rc, $out, $err) = finish_sql(begin_sql($node, "SELECT etl.run('changed')"));
	isnt($rc, 0, "$command: the run fails");
	like($err, $text, "$command: and says why");
	is(one($node, 'SELECT n FROM out.made'), 1, "$command: what is published stays");
}
one($node, "DROP TABLE IF EXISTS out.renamed; UPDATE out.command SET text = ''");
is(one($node, "SELECT etl.wait(etl.start('changed'))"), 'SUCCESS', 'the next run is not concerned');

# the same between a failure and etl.resume, which takes what bears the name
one($node, "UPDATE out.command SET text = 'SELECT 1/0'");
finish_sql(begin_sql($node, "SELECT etl.run('changed')"));
my $failed = last_run($node, 'run_id');
one($node, "UPDATE out.command SET text = ''");
one($node, "SET ROLE team; SELECT out.change('ALTER TABLE made ADD COLUMN c text NOT NULL DEFAULT ''x''')");
fails_like($node, "SELECT etl.resume($failed)", '55000', qr/is not what the step has made.*no value of/s, 'etl.resume');
is(one($node, 'SELECT n FROM out.made'), 1, 'etl.resume: what is published stays');
nothing_left($node, 'changed');
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/TRAP|was terminated by signal/, 'no process has crashed');


done_testing();
