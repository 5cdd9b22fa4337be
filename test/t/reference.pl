# The reference page is what the extension says of itself, and it says something of all.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use EtlTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = etl_node('reference');
my $top = "$FindBin::RealBin/../..";

is(one($node, <<'EOT'), '', 'each column of each view has a comment');
SELECT string_agg(c.relname || '.' || a.attname, ', ')
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace = 'etl'::regnamespace AND c.relkind = 'v' AND obj_description(c.oid, 'pg_class') IS NOT NULL
	AND col_description(c.oid, a.attnum) IS NULL
EOT
is(one($node, "SELECT string_agg(oid::regprocedure::text, ', ') FROM pg_proc WHERE pronamespace = 'etl'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL"),
	'', 'each function has a comment');

my ($page, $err) = run_command([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-f', "$top/test/sql/reference.sql" ]);
is($err, '', 'the page can be made');
is("$page\n", slurp_file("$top/docs/reference.md"), 'docs/reference.md is the page');

$node->stop;
done_testing();
