# What a crash of the server takes along, and who is told.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use EtlTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = etl_node('lost', "wal_level = logical\n");

one($node, <<'EOT');
CREATE SCHEMA out;
SELECT etl.create_pipeline('p', target_schema => 'out', max_attempts => 1);
SELECT etl.add_step('p', 'plain', 'SELECT g AS id FROM generate_series(1, 10) g');
SELECT etl.add_step('p', 'empty', 'SELECT id FROM plain WHERE false');
SELECT etl.add_step('p', 'parts', 'SELECT id FROM plain', repartition => 3);
SELECT etl.add_step('p', 'kept', 'SELECT id FROM plain', persist => true);
SELECT etl.add_step('p', 'kept_parts', 'SELECT id FROM plain', repartition => 3, persist => true);
SELECT etl.add_step('p', 'cached', 'SELECT id FROM plain', cache => true);
SELECT etl.add_step('p', 'last', 'SELECT count(*) AS n FROM parts', persist => true);
SELECT etl.create_pipeline('other', target_schema => 'other', search_path => 'out', max_attempts => 1);
SELECT etl.add_step('other', 'reads_plain', 'SELECT id FROM plain');
SELECT etl.add_step('other', 'reads_kept', 'SELECT id FROM kept');
SELECT etl.add_step('other', 'reads_part', 'SELECT id FROM parts_p1');
SELECT etl.add_step('other', 'in_command', 'CREATE TABLE other.copied AS SELECT id FROM out.cached');
SELECT etl.add_step('other', 'in_copy', 'COPY out.cached TO ''/dev/null''');
SELECT etl.add_step('other', 'only_writes', 'INSERT INTO out.cached VALUES (-1)');
CREATE FUNCTION out.plain_rows() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM out.plain); END';
SELECT etl.add_step('other', 'in_function', 'SELECT plain_rows() AS n');
EOT

# "cached: t, empty: t, ..."
sub lost
{
	my ($on) = @_;
	return one($on // $node, "SELECT coalesce(string_agg(process_name, ' ' ORDER BY process_name), '-') FROM etl.output WHERE pipeline = 'p' AND lost");
}

# ---- which tables have their rows ----

one($node, "SELECT etl.run('p')");
is(lost(), '-', 'after a run nothing is lost');
one($node, 'TRUNCATE out.plain');
is(lost(), '-', 'what a user has emptied is not lost');
one($node, "SELECT etl.run('p')");
$node->restart;
is(lost(), '-', 'nor is anything by a restart');
is(one($node, 'SELECT count(*) FROM out.plain'), 10, 'unlogged tables survive that');

$node->stop('immediate');
$node->start;
is(lost(), 'cached empty parts plain', 'a crash takes what is not logged, also what was empty before');
is(one($node, 'SELECT (SELECT count(*) FROM out.plain), (SELECT count(*) FROM out.kept), (SELECT count(*) FROM out.kept_parts), (SELECT n FROM out.last)'),
	'0|10|10|10', 'and nothing else');

# ---- who reads them is told ----

fails_like($node, "SELECT etl.run('p', steps => '{empty}')", 'ZE006',
	qr/step "empty" reads step "plain", which is not selected and whose rows are lost.*DETAIL:.*not logged.*HINT:.*"\+empty"/s,
	'a step of the same pipeline');
my ($rc, $out, $err) = finish_sql(begin_sql($node, "SELECT etl.run('other')"));
isnt($rc, 0, 'steps of another pipeline fail');
is(statuses($node), 'in_command/1 FAILED, in_copy/1 FAILED, in_function/1 FAILED, only_writes/1 SUCCESS, reads_kept/1 SUCCESS, reads_part/1 FAILED, reads_plain/1 FAILED',
	'those that read what is lost');
is(one($node, "SELECT count(DISTINCT sqlstate), min(sqlstate), min(error_message) FROM etl.log WHERE run_id = (SELECT max(run_id) FROM etl.run_log) AND process_name = 'reads_plain'"),
	'1|ZE006|the rows of table "plain" are lost', 'with a reason');
is(one($node, "SELECT count(*) FROM etl.log WHERE sqlstate = 'ZE006'"), 5, 'all of them');
is(lost(), 'cached empty parts plain', 'who writes into it brings nothing back');

# ---- a run makes them again ----

one($node, "SELECT etl.run('p', steps => '{+empty}')");
is(lost(), 'cached parts', 'a partial run rebuilds what it makes');
one($node, "SELECT etl.run('p')");
is(lost(), '-', 'a full run all');
one($node, "SELECT etl.run('other')");
is(statuses($node), 'in_command/1 SUCCESS, in_copy/1 SUCCESS, in_function/1 SUCCESS, only_writes/1 SUCCESS, reads_kept/1 SUCCESS, reads_part/1 SUCCESS, reads_plain/1 SUCCESS',
	'and whoever reads them can');

# a crash in the middle of a run, with the token of before
one($node, "SELECT etl.alter_step('p', 'last', '{\"sql_query\": \"SELECT count(*) AS n FROM parts, pg_sleep(600)\"}')");
one($node, "SELECT etl.start('p')");
step_pid($node, 'last');
$node->stop('immediate');
$node->start;
is(lost(), 'cached empty parts plain', 'a crash in the middle of a run');
one($node, "SELECT etl.rollback('p', current_version - 1) FROM etl.pipeline WHERE pipeline = 'p'");
one($node, "SELECT etl.run('p')");
is(lost(), '-', 'made again');

# what users make of it
one($node, 'ALTER TABLE out.plain SET LOGGED');
one($node, 'DROP TABLE out.empty');
$node->stop('immediate');
$node->start;
is(lost(), 'cached empty parts', 'a table that was made logged keeps its rows; one that was dropped has none');
one($node, "SELECT etl.run('p')");

# ---- durability ----

one($node, "SELECT etl.alter_pipeline('p', '{\"durability\": \"outputs\"}')");
one($node, "SELECT etl.run('p')");
$node->stop('immediate');
$node->start;
is(lost(), 'parts plain', 'durability outputs: what no step reads is safe');
one($node, "SELECT etl.alter_pipeline('p', '{\"durability\": \"all\"}')");
one($node, "SELECT etl.run('p')");
$node->stop('immediate');
$node->start;
is(lost(), '-', 'durability all: everything');
is(one($node, 'SELECT count(*) FROM out.parts'), 10, 'rows are there');

# ---- what needs a table to be logged ----

one($node, 'CREATE PUBLICATION pub FOR TABLE out.cached');
one($node, "SELECT etl.alter_step('p', 'cached', '{\"persist\": false}')");
fails_like($node, "SELECT etl.run('p')", '2BP01', qr/table "out"\.cached cannot become unlogged.*publication pub/s, 'a publication');
is(one($node, "SELECT process_name, severity, sqlstate FROM etl.validate('p')"), 'cached|error|2BP01', 'etl.validate finds it');
one($node, 'DROP PUBLICATION pub');
one($node, 'CREATE PUBLICATION pub FOR TABLES IN SCHEMA out');
fails_like($node, "SELECT etl.run('p')", '0A000', qr/table "out"\.plain is in publication pub, whose subscribers/, 'a publication of the schema, which has logged tables, too');
one($node, 'DROP PUBLICATION pub');
one($node, 'CREATE PUBLICATION pub FOR ALL TABLES');
fails_like($node, "SELECT etl.run('p')", '0A000', qr/table "out"\.plain is in publication pub, whose subscribers/, 'a publication of everything');
one($node, 'DROP PUBLICATION pub');
one($node, 'ALTER TABLE out.cached ADD PRIMARY KEY (id)');
one($node, 'CREATE TABLE mine (id int CONSTRAINT mine_fk REFERENCES out.cached)');
fails_like($node, "SELECT etl.run('p')", '2BP01', qr/foreign key mine_fk of table public\.mine/, 'a foreign key');
one($node, 'DROP TABLE mine');
one($node, "SELECT etl.alter_step('p', 'kept_parts', '{\"persist\": false}')");
one($node, 'CREATE PUBLICATION pub FOR TABLE out.kept_parts_p1');
fails_like($node, "SELECT etl.run('p')", '2BP01', qr/table "out"\.kept_parts cannot become unlogged.*publication pub/s, 'a publication of a partition');
one($node, 'DROP PUBLICATION pub');
one($node, 'ALTER TABLE out.kept_parts_p1 ADD PRIMARY KEY (id)');
one($node, 'CREATE TABLE mine (id int CONSTRAINT mine_fk REFERENCES out.kept_parts_p1)');
fails_like($node, "SELECT etl.run('p')", '2BP01', qr/foreign key mine_fk of table public\.mine/, 'a foreign key to a partition');
one($node, 'DROP TABLE mine');
one($node, "SELECT etl.alter_step('p', 'kept_parts', '{\"persist\": true}')");
one($node, "SELECT etl.run('p')");
is(one($node, "SELECT relpersistence FROM pg_class WHERE oid = 'out.cached'::regclass"), 'u', 'when nothing needs it any more');

# ---- a standby ----

one($node, "SELECT etl.alter_pipeline('p', '{\"durability\": \"outputs\"}')");
one($node, "SELECT etl.run('p')");
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('lost_standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
is(lost($standby), 'cached parts plain', 'on a standby what is not logged cannot be read');
is(one($standby, 'SELECT (SELECT count(*) FROM out.kept), (SELECT count(*) FROM out.kept_parts)'), '10|10', 'what is logged has arrived');
is(lost(), '-', 'and on the primary all is well');

# what is made while it listens
my $wide = "SELECT g AS id, string_agg(md5((g * h)::text), '') AS wide FROM generate_series(1, 50) g, generate_series(1, 200) h GROUP BY g";
one($node, "SELECT etl.alter_step('p', 'kept', jsonb_build_object('sql_query', '" . ($wide =~ s/'/''/gr) . "', 'indexes', ARRAY['UNIQUE (id)']))");
one($node, "SELECT etl.alter_step('p', 'kept_parts', jsonb_build_object('sql_query', '" . ($wide =~ s/'/''/gr) . "'))");
one($node, "SELECT etl.run('p')");
$node->wait_for_catchup($standby);
for my $table ('kept', 'kept_parts')
{
	my $sum = "SELECT count(*), md5(string_agg(wide, '' ORDER BY id)) FROM out.$table";
	like(one($node, $sum), qr/^50\|\w+$/, "$table on the primary");
	is(one($standby, $sum), one($node, $sum), "$table reaches the standby");
}
is(one($standby, 'SET enable_seqscan = off; SELECT count(*) FROM out.kept WHERE id BETWEEN 11 AND 20'), 10, 'so does its index');
$standby->promote;
poll_ok($standby, 'SELECT NOT pg_is_in_recovery()', 'the standby is promoted');
is(lost($standby), 'cached parts plain', 'promoted: they are empty');
one($standby, "SELECT etl.run('p')");
is(lost($standby), '-', 'until they are made again');
$standby->stop;

# ---- dumps ----

for my $with (1, 0)
{
	my $file = $node->basedir . "/dump_$with.sql";
	command_ok([ $node->installed_command('pg_dump'), '-d', $node->connstr('postgres'), '-f', $file,
			$with ? () : '--no-unlogged-table-data' ], 'pg_dump');
	one($node, "CREATE DATABASE restored_$with");
	command_ok([ $node->installed_command('psql'), '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr("restored_$with"), '-f', $file ], 'restored');
	is($node->safe_psql("restored_$with", "SELECT coalesce(string_agg(process_name, ' ' ORDER BY process_name), '-') FROM etl.output WHERE pipeline = 'p' AND lost"),
		$with ? '-' : 'cached parts plain', $with ? 'a dump has their rows' : 'a dump without their rows says so');
	is($node->safe_psql("restored_$with", 'SELECT count(*) FROM out.plain'), $with ? 10 : 0, 'it does');
}

nothing_left($node, 'at the end');
$node->stop;
done_testing();
