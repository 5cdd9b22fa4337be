# Autovacuum at work on a published table does not hold up the next publish for
# long, although publishing waits for no lock.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use EtlTest;
use Test::More;

my $node = etl_node('autovacuum', <<~EOT);
	autovacuum = on
	autovacuum_naptime = 1s
	EOT

# So many pages, at such a pace: vacuuming takes minutes.
$node->safe_psql('postgres', q{
	SELECT etl.create_pipeline('p', target_schema => 'out');
	SELECT etl.add_step('p', 'wide', 'SELECT i, repeat(''x'', 200) AS filler FROM generate_series(1, 100000) i');
	SELECT etl.run('p');
	ALTER TABLE out.wide SET (autovacuum_vacuum_cost_limit = 1, autovacuum_vacuum_cost_delay = 100,
		autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0,
		autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_threshold = 1000000000);
	DELETE FROM out.wide WHERE i % 2 = 0;
});
my $at_work = q{SELECT count(*) = 1 FROM pg_stat_progress_vacuum WHERE relid = 'out.wide'::regclass};
poll_ok($node, $at_work, 'autovacuum works on the published table');

my $job = begin_sql($node, "SELECT etl.run('p')");
my ($rc, $out, $err, $seconds) = finish_sql($job);
is($rc, 0, 'the run succeeds') or diag($err);
is(last_run($node, 'status'), 'SUCCESS', 'its log says so');
like(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/canceling autovacuum task/, 'autovacuum was cancelled');
is(one($node, 'SELECT count(*) FROM out.wide'), 100000, 'the new table is there');
nothing_left($node, 'after that');

$node->stop;
done_testing();
