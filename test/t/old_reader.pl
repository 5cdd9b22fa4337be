# A reader whose snapshot is older than the publish sees each table as it was published,
# also where command steps of the run have changed it.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use EtlTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = etl_node('old_reader');

# small and large, with TOAST, partitioned, with a wide index, kept in the log or not
one($node, q{
	SELECT etl.create_pipeline('p');
	SELECT etl.add_step('p', 'small', 'SELECT g AS n, ''query'' AS by FROM generate_series(1, 10) g', indexes => '{UNIQUE (n)}');
	SELECT etl.add_step('p', 'large', 'SELECT g AS n, ''query'' AS by, repeat(g::text, 10) AS text FROM generate_series(1, 20000) g', indexes => '{(n)}', persist => true);
	SELECT etl.add_step('p', 'wide', 'SELECT g AS n, ''query'' AS by, (SELECT string_agg(md5(g::text || i), '''') FROM generate_series(1, 200) i) AS text FROM generate_series(1, 50) g');
	SELECT etl.add_step('p', 'parts', 'SELECT g AS n, ''query'' AS by FROM generate_series(1, 300) g', repartition => 3, repartition_by => '{n}', indexes => '{(n)}');
	SELECT etl.add_step('p', 'untouched', 'SELECT g AS n FROM generate_series(1, 10) g');
	SELECT etl.add_step('p', 'change_' || t, format($$
		DELETE FROM %1$s WHERE n %% 2 = 0;
		UPDATE %1$s SET by = 'update' WHERE n %% 3 = 0;
		INSERT INTO %1$s (n, by) SELECT g, 'insert' FROM generate_series(1000001, 1000020) g
	$$, t)) FROM unnest('{small,large,wide,parts}'::text[]) t;
	CREATE TABLE unrelated (n int);
});

my $seen = join ' UNION ALL ', map { "SELECT '$_', count(*), sum(n), count(*) FILTER (WHERE by = 'query'), count(*) FILTER (WHERE by = 'update'), count(*) FILTER (WHERE by = 'insert') FROM p.$_" } qw(small large wide parts);

my $old = session($node);

foreach my $round ('the first time', 'exchanged', 'replaced')
{
	say_sql($old, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM unrelated');
	one($node, q{SELECT etl.alter_step('p', 'parts', '{"repartition": 5}')}) if $round eq 'replaced';
	my $oids = one($node, "SELECT string_agg(relfilenode::text, ' ') FROM pg_class WHERE relname = 'untouched'");
	one($node, q{SELECT etl.run('p')});
	my $new = one($node, $seen);
	my $index = 'SET enable_seqscan = off; SELECT count(*) FROM p.small WHERE n = 1000001; SELECT count(*) FROM p.large WHERE n IN (4, 1000001); SELECT count(*) FROM p.parts WHERE n = 1000001';

	like($new, qr/small\|25\|20000235\|3\|2\|20/, "$round: the commands have changed the tables");
	is(say_sql($old, $seen), $new, "$round: who has an older snapshot sees what was published");
	is(join(' ', split /\n/, say_sql($old, $index)), '1 1 1', "$round: by indexes, too");
	say_sql($old, 'RESET enable_seqscan; ROLLBACK');
	is(one($node, "SELECT string_agg(c.relname, ' ' ORDER BY c.relname) FROM pg_class c WHERE c.relnamespace = 'p'::regnamespace AND c.relkind = 'r' AND NOT c.relispartition AND c.reltuples < 0"), '', "$round: all are analysed");
	is(one($node, "SELECT count(*) FROM pg_class WHERE relname ~ '^pg_temp_[0-9]'"), '0', "$round: no copy is left");
}
$old->quit;
nothing_left($node, "at the end");

done_testing();
