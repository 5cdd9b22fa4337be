# A standby: what can be read there, what cannot be done, and what is left of a
# run when it is promoted.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use EtlTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = etl_node('primary');
one($primary, <<'EOT');
CREATE SCHEMA out;
SELECT etl.create_pipeline('p', target_schema => 'out', durability => 'all');
SELECT etl.add_step('p', 'n', 'SELECT 1 AS n');
SELECT etl.run('p');
SELECT etl.create_pipeline('long', target_schema => 'out');
SELECT etl.add_step('long', 'sleeps', 'SELECT 1 AS n FROM pg_sleep(600)');
EOT
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

my $run = one($primary, "SELECT etl.start('long')");
step_pid($primary, 'sleeps');
poll_ok($standby, "SELECT count(*) = 1 FROM etl.log WHERE run_id = $run", 'the log reaches the standby');

is(one($standby, "SELECT status FROM etl.run_log WHERE run_id = $run"), 'UNKNOWN', 'an unfinished run is UNKNOWN there');
is(one($standby, "SELECT status FROM etl.log WHERE run_id = $run"), 'RUNNING', 'its attempt is as the primary says');
is(one($standby, "SELECT status FROM etl.progress WHERE run_id = $run"), 'UNKNOWN', 'etl.progress agrees');
is(one($standby, "SELECT status FROM etl.run_log WHERE run_id < $run"), 'SUCCESS', 'a run that has ended has ended');
is(one($standby, "SELECT count(*) FROM etl.pipeline JOIN etl.metadata USING (pipeline) JOIN etl.version USING (pipeline, version)"), 2, 'definitions can be read');
is(one($standby, "SELECT count(*) FROM etl.metadata_at('p', 2)"), 1, 'etl.metadata_at too');
is(one($standby, "SELECT count(*) FROM etl.output"), 1, 'the registry of outputs too');
is(one($standby, 'TABLE out.n'), 1, 'and a logged output');

for my $call ("run('p')", "start('p')", "wait($run)", "cancel($run)")
{
	my ($function) = $call =~ /^(\w+)/;
	fails_like($standby, "SELECT etl.$call", '25006', qr/cannot execute etl\.$function\(\) during recovery.*HINT:.*primary/s, "etl.$function on a standby");
}

# ---- promotion in the middle of a run ----

$primary->stop('immediate');
$standby->promote;
poll_ok($standby, 'SELECT NOT pg_is_in_recovery()', 'the standby is promoted');
is(one($standby, "SELECT status FROM etl.run_log WHERE run_id = $run"), 'CRASHED', 'the run has crashed');
is(one($standby, "SELECT status FROM etl.log WHERE run_id = $run"), 'FAILED', 'its attempt has failed');
is(one($standby, "SELECT etl.wait($run)"), 'CRASHED', 'etl.wait says so');
is(one($standby, "SELECT etl.cancel($run)"), 'f', 'there is nothing to cancel');
cmp_ok(one($standby, "SELECT etl.run('p')"), '>', $run, 'pipelines run here now');
one($standby, "SELECT etl.alter_step('long', 'sleeps', '{\"sql_query\": \"SELECT 2 AS n\"}')");
one($standby, "SELECT etl.run('long')");
is(one($standby, 'TABLE out.sleeps'), 2, 'the one that had crashed, too');
nothing_left($standby, 'promoted');

done_testing();
