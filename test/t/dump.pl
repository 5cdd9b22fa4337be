# Dump and restore: what a restored database has of pipelines, versions and
# published tables, that it works on with them, and where the logs are.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use EtlTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $old = etl_node('old');
my $new = etl_node('new');

# The roles are there first, with other OIDs.
my @roles = ('owner', 'keeper', '"Odd role"');
$old->safe_psql('postgres', "CREATE ROLE $_ LOGIN") foreach @roles;
$new->safe_psql('postgres', "CREATE ROLE $_ LOGIN") foreach 'first', reverse @roles;
create_database($old, 'source', 'OWNER keeper');
$old->safe_psql('source', 'CREATE EXTENSION etl_framework');

sub create_database
{
	my ($node, $name, $options) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $name ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0 " . ($options || ''));
	return;
}

# ---- what is dumped ----

$old->safe_psql('source', <<'EOT');
SET client_encoding = 'UTF8';
CREATE SCHEMA src;
GRANT ALL ON SCHEMA src TO PUBLIC;
GRANT CREATE ON DATABASE source TO owner, "Odd role";
CREATE TABLE src.orders AS SELECT i AS id, i % 7 AS customer, i::numeric AS amount FROM generate_series(1, 100) AS i;
GRANT ALL ON src.orders TO PUBLIC;
CREATE FUNCTION src.count_rows(relation regclass) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	EXECUTE format('SELECT count(*) FROM %s', relation) INTO n;
	RETURN n;
END
$$;

-- versions, and steps with everything
SET SESSION AUTHORIZATION owner;
BEGIN;
SELECT etl.create_pipeline('shop', search_path => 'src', max_parallel => 2, retry_delay => '1 day 02:03:04.5',
	retry_on => '{transient,57014}', step_timeout => '2 months', durability => 'outputs', description => E'back\\slash\ttab\nline $$ ''quote');
SELECT etl.add_step('shop', 'today', 'SELECT * FROM orders', cache => true, repartition => 4, repartition_by => '{customer}');
SELECT etl.add_step('shop', 'hidden', 'SELECT customer FROM today', keep => false, settings => '{work_mem=1MB,"datestyle=iso, dmy"}');
SELECT etl.add_step('shop', 'per_customer', 'SELECT t.customer, sum(amount) AS total FROM today t GROUP BY 1',
	depends_on => '{hidden}', indexes => '{UNIQUE (customer)}', persist => true, checks => '{UNIQUE (customer),WARN CHECK (total < 0)}', description => 'sums', max_attempts => 5, step_timeout => '1 hour');
COMMIT;
SELECT etl.run('shop');
SELECT etl.alter_step('shop', 'per_customer', '{"sql_query": "SELECT t.customer, sum(t.amount) AS total FROM today t GROUP BY 1"}');
SELECT etl.add_step('shop', 'note', 'CREATE TABLE IF NOT EXISTS noted (at timestamptz); INSERT INTO shop.noted SELECT now()', step_id => 77);
SELECT etl.alter_pipeline('shop', '{"max_parallel": 3}');
SELECT etl.run('shop');
SELECT etl.rollback('shop', 2);
RESET SESSION AUTHORIZATION;

-- names
SET SESSION AUTHORIZATION "Odd role";
SELECT etl.create_pipeline('Tägliche "Läufe"; --', target_schema => 'Aus''gang "x"', search_path => 'src, "no such, schema"');
SELECT etl.add_step('Tägliche "Läufe"; --', 'Order', 'SELECT count(*) AS n FROM orders');
SELECT etl.add_step('Tägliche "Läufe"; --', E'a b\\c"d''e', 'SELECT n AS "N ö" FROM "Order"', indexes => '{"(\"N ö\")"}');
SELECT etl.add_step('Tägliche "Läufe"; --', 'größe', $$SELECT '€ ' || "N ö" AS "select" FROM "a b\c""d'e"$$);
SELECT etl.run('Tägliche "Läufe"; --');
RESET SESSION AUTHORIZATION;

-- a pipeline that was dropped, one of the same name, one whose owner was dropped
CREATE ROLE leaver;
SET SESSION AUTHORIZATION leaver;
SELECT etl.create_pipeline('left', target_schema => 'src');
RESET SESSION AUTHORIZATION;
SELECT etl.create_pipeline('again', target_schema => 'src');
SELECT etl.add_step('again', 'a', 'SELECT 1 AS n');
SELECT etl.run('again');
SELECT etl.drop_pipeline('again', drop_tables => true);
SELECT etl.create_pipeline('again', target_schema => 'src');
SELECT etl.add_step('again', 'a', 'SELECT 2 AS n');
SELECT etl.run('again');
DROP ROLE leaver;

-- a table that a run made and somebody dropped
SELECT etl.create_pipeline('lost', target_schema => 'src');
SELECT etl.add_step('lost', 'dropped', 'SELECT 1 AS n');
SELECT etl.run('lost');
DROP TABLE src.dropped;

-- a run that goes on while dumps are made: its first step's table is committed
SELECT etl.create_pipeline('long', target_schema => 'src', max_parallel => 1);
SELECT etl.add_step('long', 'made', 'SELECT 1 AS n');
SELECT etl.add_step('long', 'sleeps', 'SELECT n FROM made, pg_sleep(600)');
EOT

# All that anybody can see of definitions and outputs.
my $visible = <<'EOT';
SET client_encoding = 'UTF8';
SELECT * FROM etl.pipeline WHERE pipeline <> 'left' ORDER BY pipeline;
SELECT * FROM etl.version WHERE pipeline <> 'left' ORDER BY pipeline, version;
SELECT m.* FROM etl.version v, etl.metadata_at(v.pipeline, v.version) m WHERE v.pipeline <> 'left' ORDER BY m.pipeline, m.version, m.step_id;
SELECT * FROM etl.output WHERE relation IS NOT NULL ORDER BY pipeline, schema_name, process_name;
SELECT pipeline, etl.export(pipeline) FROM etl.pipeline WHERE pipeline <> 'left' ORDER BY pipeline;
SELECT * FROM (SELECT pipeline, (etl.validate(pipeline)).* FROM etl.pipeline WHERE pipeline <> 'left') v WHERE severity = 'error';
SELECT relname, relkind, relpersistence, relowner::regrole, relnamespace::regnamespace,
	src.count_rows(oid)
FROM pg_class WHERE relkind IN ('r', 'p') AND relowner <> 10 AND relnamespace::regnamespace::text NOT LIKE 'etl%' ORDER BY relname COLLATE "C";
EOT
my $state = $old->safe_psql('source', $visible);
like($state, qr/^shop\|4\|.*^shop\|3\|/ms, 'the database has versions');
note($state);
my $count_logs = 'SELECT count(*), (SELECT count(*) FROM etl.log), (SELECT count(*) FROM etl.check_log) FROM etl.run_log';
my ($last_run, $last_pipeline) = split /\|/,
  $old->safe_psql('source', q{SELECT etl.start('long'), (SELECT max(pipeline_id) FROM etl.pipeline_data)});
step_pid($old, 'sleeps');
my $logs = $old->safe_psql('source', $count_logs);

# ---- making dumps, and restoring them ----

my $dir = PostgreSQL::Test::Utils::tempdir;

sub dump_database
{
	my ($file, @options) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$old->command_ok([ 'pg_dump', '-d', 'source', '-f', "$dir/$file", @options ], join(' ', 'pg_dump', @options));
	return;
}

sub restore_plain
{
	my ($database, @files) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	create_database($new, $database) unless $new->safe_psql('postgres', "SELECT 1 FROM pg_database WHERE datname = '$database'");
	$new->command_ok([ 'psql', '-X', '-q', '-1', '-v', 'ON_ERROR_STOP=1', '-d', $database, map { ('-f', "$dir/$_") } @files ],
		"psql restores $database");
	return;
}

sub restore_custom
{
	my ($database, $file, @options) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	create_database($new, $database);
	$new->command_ok([ 'pg_restore', '-e', '-d', $database, @options, "$dir/$file" ], join ' ', "pg_restore of $database", @options);
	return;
}

dump_database('plain');
dump_database('inserts', '--column-inserts');
dump_database('custom', '-Fc');
dump_database('schema', '--schema-only');
dump_database('data', '--data-only');
{
	local $ENV{PGOPTIONS} = '-c etl_framework.dump_logs=on';
	dump_database('logs', '-Fc');
}
restore_plain('plain', 'plain');
restore_plain('inserts', 'inserts');
restore_custom('custom', 'custom', '-j', '2');
restore_custom('once', 'custom', '-1');
restore_custom('logs', 'logs');
restore_plain('parts', 'schema', 'data');

foreach my $database (qw(plain inserts custom once logs parts))
{
	is($new->safe_psql($database, $visible), $state, "$database: pipelines, versions, metadata, checksums and outputs are as they were");
	is($new->safe_psql($database, $count_logs), $database eq 'logs' ? $logs : '0|0|0', "$database: the logs are there if they were asked for");
	is($new->safe_psql($database, q{SELECT count(*) FROM etl.pipeline_data WHERE owner::text ~ '^[0-9]'}), '0',
		"$database: no pipeline belongs to a number");
}

restore_plain('definitions', 'schema');
is($new->safe_psql('definitions', 'SELECT count(*) FROM etl.pipeline'), '0', 'a dump of the schema alone has no pipelines');
is($new->safe_psql('definitions', q{SELECT count(*) FROM pg_tables WHERE schemaname = 'shop'}), '7', 'but their tables');
$new->safe_psql('definitions', q{SELECT etl.create_pipeline('shop'); SELECT etl.add_step('shop', 'per_customer', 'SELECT 1 AS n')});
my ($rc, $out, $err) = $new->psql('definitions', q{SELECT etl.run('shop')});
like($err, qr/per_customer.*exists/, 'where they are not known as outputs they are not touched');

# ---- logs ----

is($new->safe_psql('logs', "SELECT status FROM etl.run_log WHERE run_id = $last_run"), 'CRASHED',
	'a run that was on when the dump was made has crashed where it is restored');
is($new->safe_psql('logs', "SELECT string_agg(process_name || ' ' || status, ', ' ORDER BY step_id) FROM etl.log WHERE run_id = $last_run"),
	'made SUCCESS, sleeps FAILED', 'and so has its attempt');
is($new->safe_psql('logs', "SELECT count(*) FROM etl.run_log WHERE status = 'SUCCESS'"),
	$old->safe_psql('source', "SELECT count(*) FROM etl.run_log WHERE status = 'SUCCESS'"), 'the others are as they were');
$new->command_ok([ 'pg_restore', '-e', '-d', 'plain', '--data-only', '-n', 'etl', '-t', 'run_data', '-t', 'attempt_data', '-t', 'check_data', "$dir/logs" ],
	'logs can be restored afterwards');
is($new->safe_psql('plain', $count_logs), $logs, 'all of them');
is($old->safe_psql('source', "SELECT etl.cancel($last_run)"), 't', 'the run is still on in the old database');
$old->safe_psql('source', "SELECT etl.wait($last_run)");

# ---- working on ----

foreach my $database (qw(plain custom logs parts))
{
	$new->safe_psql($database, <<'EOT');
INSERT INTO src.orders SELECT 1000 + i, 1000 + i, i FROM generate_series(1, 3) AS i;
CREATE TABLE oids AS SELECT pipeline, process_name, relation::oid FROM etl.output;
EOT
	is($new->safe_psql($database, "SET client_encoding = 'UTF8'; " . q{SELECT etl.run('shop') > } . "$last_run; "
			  . q{SELECT etl.run('Tägliche "Läufe"; --') > } . $last_run
			  . q{; SELECT etl.run('again') IS NOT NULL; SELECT etl.run('lost') IS NOT NULL}),
		"t\nt\nt\nt", "$database: pipelines run, under numbers that no run had");
	is($new->safe_psql($database, 'SELECT count(*) FROM shop.per_customer'), '10', "$database: tables are replaced");
	is($new->safe_psql($database, q{SET client_encoding = 'UTF8'; SELECT "select" FROM "Aus'gang ""x""".größe}), '€ 103', "$database: those with odd names too");
	is($new->safe_psql($database, 'SELECT tableowner FROM pg_tables WHERE tablename = $$per_customer$$'), 'owner', "$database: by their owner");
	is($new->safe_psql($database, "SELECT count(*) FROM etl.output WHERE run_id <= $last_run"), '0', "$database: the registry knows it");

	my $before = $new->safe_psql($database, "SELECT max(version) FROM etl.version WHERE pipeline = 'shop'");
	# the id of the transaction that made the newest version comes again
	is($new->safe_psql($database, <<'EOT'), $before + 1, "$database: a change makes a new version");
BEGIN;
UPDATE etl.version_data SET created_xid = pg_current_xact_id();
DO $$ BEGIN PERFORM etl.add_step('shop', 'one_more', 'SELECT 1 AS n'), etl.add_step('shop', 'two_more', 'SELECT 2 AS n'); END $$;
COMMIT;
SELECT current_version FROM etl.pipeline WHERE pipeline = 'shop';
EOT
	is($new->safe_psql($database, "SELECT etl.add_step('shop', 'three_more', 'SELECT 3 AS n'); SELECT etl.run('shop') IS NOT NULL; SELECT max(version) FROM etl.version WHERE pipeline = 'shop'"),
		"80\nt\n" . ($before + 2), "$database: step numbers go on, the new version runs");
	$new->safe_psql($database, q{SELECT etl.create_pipeline('new'); SELECT etl.drop_pipeline('again', drop_tables => true)});
	cmp_ok($new->safe_psql($database, "SELECT pipeline_id FROM etl.pipeline_data WHERE pipeline = 'new'"), '>', $last_pipeline,
		"$database: ids of pipelines do not come again");

	# what the run left behind that was on when the dump was made
	is($new->safe_psql($database, q{SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pg\_etl\_staging%'}), '0', "$database: no staging schema came with the dump");
	$new->safe_psql($database, q{SELECT etl.alter_step('long', 'sleeps', '{"sql_query": "SELECT n + 1 AS n FROM made"}'); SELECT etl.run('long')});
	is($new->safe_psql($database, q{SELECT n, (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pg\_etl\_staging%') FROM src.sleeps}), '2|0',
		"$database: the next run succeeds");
}

# ---- the second generation ----

$new->command_ok([ 'pg_dump', '-Fc', '-d', 'custom', '-f', "$dir/second" ], 'a restored database is dumped');
my $second = $new->safe_psql('custom', $visible);
restore_custom('second', 'second');
is($new->safe_psql('second', $visible), $second, 'and restored');

# ---- who may dump ----

my @as_keeper = ('pg_dump', '-d', 'source', '-U', 'keeper', '-Fc', '-f', "$dir/keeper");
$old->command_fails_like(\@as_keeper, qr/permission denied for/, "the database's owner alone may not read all pipelines");
$old->safe_psql('source', 'GRANT pg_read_all_data TO keeper');
$old->command_ok(\@as_keeper, 'with pg_read_all_data it dumps');
restore_custom('keeper', 'keeper');
is($new->safe_psql('keeper', $visible), $state, 'all of it');
is($new->safe_psql('keeper', "SET SESSION AUTHORIZATION keeper; SELECT count(*) FROM etl.pipeline"), '0',
	'and sees as little of it where it is restored');

nothing_left($new, 'restored');
$new->stop;
$old->stop;
unlike(slurp_file($_->logfile), qr/TRAP:|PANIC:|was terminated by signal/, 'no server crashed') foreach $old, $new;

done_testing();
