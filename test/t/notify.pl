# NOTIFY at the end of a run: only where it is asked for.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use EtlTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = etl_node('notify');

one($node, <<'EOT');
SELECT etl.create_pipeline('say "x"', target_schema => 'out', max_attempts => 1);
SELECT etl.add_step('say "x"', 'fine', 'SELECT 1 AS n');
SELECT etl.create_pipeline('broken', target_schema => 'out', max_attempts => 1);
SELECT etl.add_step('broken', 'wrong', 'SELECT 1 / 0 AS n');
EOT

# What a session hears that listens while it runs a pipeline itself.
sub heard
{
	my ($setting, $pipeline) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', <<~EOT, on_error_stop => 0);
		LISTEN etl_framework;
		SET etl_framework.notify = $setting;
		SELECT etl.run('$pipeline');
		SELECT 'the end';
		EOT
	like($out, qr/the end/, "$pipeline, $setting: heard to the end");
	return $out;
}

my $payload = qr/Asynchronous notification "etl_framework" with payload/;

like(heard('on', 'say "x"'), qr/$payload "\{"run_id": \d+, "pipeline": "say \\"x\\"", "status": "SUCCESS"\}"/, 'a success is told');
like(heard('on', 'broken'), qr/$payload "\{"run_id": \d+, "pipeline": "broken", "status": "FAILED"\}"/, 'a failure is told');
unlike(heard('off', 'say "x"'), $payload, 'nothing is told unasked');
unlike(heard('DEFAULT', 'broken'), $payload, 'which is the default');
nothing_left($node, 'after that');

$node->stop;
done_testing();
