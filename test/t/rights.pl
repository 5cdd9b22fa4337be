# Who may run what, and as whom it runs.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use EtlTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = etl_node('rights');
my $major = major_version($node);

one($node, <<'EOT');
CREATE ROLE owner LOGIN;
CREATE ROLE other;
CREATE ROLE member LOGIN IN ROLE owner;
CREATE ROLE stranger LOGIN;
CREATE ROLE sleeper NOLOGIN;
GRANT other TO owner;
CREATE SCHEMA out;
CREATE SCHEMA shut;
GRANT USAGE, CREATE ON SCHEMA out TO owner, sleeper;
GRANT USAGE ON SCHEMA out TO other;
GRANT USAGE, CREATE ON SCHEMA shut TO owner;
CREATE TABLE witness (who text, session text, n serial);
GRANT ALL ON witness, witness_n_seq TO owner, other;
EOT

sub as_user
{
	my ($user, @sql) = @_;
	my ($rc, $out, $err) = finish_sql(begin_sql($node, \@sql, user => $user));
	BAIL_OUT("as $user: $err") if $rc != 0;
	return $out;
}

as_user('owner', <<'EOT');
SELECT etl.create_pipeline('p', target_schema => 'out', search_path => 'public', max_parallel => 1, ordering => 'staged');
SELECT etl.add_step('p', 'who', 'SELECT current_user::text AS cur, session_user::text AS ses', execution_order => 1);
SELECT etl.add_step('p', 'as_other', 'SET ROLE other; INSERT INTO witness SELECT current_user, session_user', execution_order => 2);
SELECT etl.add_step('p', 'back', 'INSERT INTO witness SELECT current_user, session_user', execution_order => 3);
SELECT etl.add_step('p', 'reset', 'RESET ROLE; RESET SESSION AUTHORIZATION; INSERT INTO witness SELECT current_user, session_user', execution_order => 4);
SELECT etl.create_pipeline('shut', target_schema => 'shut');
SELECT etl.add_step('shut', 'n', 'SELECT 1 AS n');
SELECT etl.create_pipeline('long', target_schema => 'out');
SELECT etl.add_step('long', 'sleeps', 'SELECT 1 AS n FROM pg_sleep(600)');
EOT

# ---- members and strangers ----

my $run = as_user('member', "SELECT etl.run('p')");
like($run, qr/^\d+$/, 'a member of the owner runs it');
is(one($node, 'TABLE out.who'), 'owner|owner', 'a query step runs as the owner');
is(one($node, "SELECT string_agg(who || '/' || session, ' ' ORDER BY n) FROM witness"), 'other/owner owner/owner owner/owner',
	'a command step may take on a role of the owner, which the next one does not have');
is(one($node, "SELECT tableowner FROM pg_tables WHERE tablename = 'who'"), 'owner', "the table is the owner's");
is(one($node, "SELECT requested_by FROM etl.run_log WHERE run_id = $run"), 'member', 'the log says who asked for it');
is(as_user('member', "SELECT count(*) FROM etl.run_log WHERE run_id = $run"), 1, 'the member sees the run');
is(as_user('stranger', 'SELECT (SELECT count(*) FROM etl.run_log) + (SELECT count(*) FROM etl.log) + (SELECT count(*) FROM etl.pipeline) + (SELECT count(*) FROM etl.metadata) + (SELECT count(*) FROM etl.output) + (SELECT count(*) FROM etl.progress)'),
	0, 'a stranger sees nothing');

my $long = as_user('owner', "SELECT etl.start('long')");
step_pid($node, 'sleeps');
for my $function ('run', 'start')
{
	fails_like($node, "SELECT etl.$function('p')", '42704', qr/pipeline "p" does not exist/, "etl.$function of a stranger", user => 'stranger');
}
for my $function ('wait', 'cancel')
{
	fails_like($node, "SELECT etl.$function($long)", '42704', qr/run $long does not exist/, "etl.$function of a stranger", user => 'stranger');
}
fails_like($node, 'SELECT pg_terminate_backend(' . last_run($node, 'pid') . ')', '42501', qr/./,
	"a stranger does not terminate a run's processes", user => 'stranger');
is(last_run($node, 'status'), 'RUNNING', 'which has not harmed the run');
is(as_user('stranger', "SELECT etl.run_status($long, 'RUNNING') IS NULL"), 't', 'a stranger does not learn its status');
is(as_user('member', "SELECT etl.cancel($long)"), 't', 'a member cancels it');
is(as_user('member', "SELECT etl.wait($long)"), 'CANCELLED', 'a member waits for it');

# ---- rights that the owner has lost ----

one($node, 'REVOKE CREATE ON SCHEMA shut FROM owner');
fails_like($node, "SELECT etl.run('shut')", '42501', qr/permission denied for schema shut/, 'no CREATE on the target schema');
is(one($node, "SELECT count(*) FROM pg_tables WHERE schemaname = 'shut'"), 0, 'no CREATE on the target schema: no table');
nothing_left($node, 'no CREATE on the target schema');

# ---- an owner that cannot log in ----

one($node, "SET ROLE sleeper; SELECT etl.create_pipeline('asleep', target_schema => 'out'); SELECT etl.add_step('asleep', 'dream', 'SELECT current_user::text AS c, session_user::text AS s')");
if ($major >= 17)
{
	one($node, "SELECT etl.run('asleep')");
	is(one($node, 'TABLE out.dream'), 'sleeper|sleeper', 'an owner with NOLOGIN');
}
else
{
	for my $function ('run', 'start')
	{
		fails_like($node, "SELECT etl.$function('asleep')", '28000', qr/"sleeper" is not permitted to log in.*HINT:.*LOGIN/s, "etl.$function, an owner with NOLOGIN");
	}
}

# ---- a step cannot climb ----

my %climb = (
	'SET SESSION AUTHORIZATION postgres' => '42501',
	'SET ROLE postgres' => '42501',
	'SELECT * FROM etl.run_data' => '42501',
	"UPDATE etl.attempt_data SET status = 'SUCCESS'" => '42501',
	"INSERT INTO etl.output_data SELECT * FROM etl.output_data" => '42501',
	"SELECT nextval('etl.run_id_seq')" => '42501',
	'SELECT * FROM etl.metadata_all' => '42501',
	'ALTER ROLE owner SUPERUSER' => '42501',
	"DO \$\$BEGIN RESET ROLE; RESET SESSION AUTHORIZATION; EXECUTE 'TABLE etl.run_data'; END\$\$" => '42501',
	"SET etl_framework.params = '[]'; SELECT etl.param('x')" => '22023',
);
my $user = one($node, 'SELECT current_user');
my $i = 0;
for my $sql (sort keys %climb)
{
	my $state = $climb{$sql};

	$i++;
	$sql =~ s/\bpostgres$/$user/;
	as_user('owner', "SELECT etl.create_pipeline('climb$i', target_schema => 'out')",
		"SELECT etl.add_step('climb$i', 'climber$i', \$step\$$sql; SELECT 1\$step\$)");
	my ($rc) = finish_sql(begin_sql($node, "SELECT etl.run('climb$i')"));
	isnt($rc, 0, "a step that tries: $sql");
	is(one($node, "SELECT status, sqlstate FROM etl.log WHERE process_name = 'climber$i'"), "FAILED|$state", 'is stopped');
}
is(one($node, "SELECT rolsuper FROM pg_roles WHERE rolname = 'owner'"), 'f', 'and has not climbed');

# Nor can a step keep its end from being logged.
as_user('owner', "SELECT etl.create_pipeline('mute', target_schema => 'out')",
	q{SELECT etl.add_step('mute', 'mute', 'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY; SET transaction_read_only = on')},
	"SELECT etl.run('mute')");
is(one($node, "SELECT status FROM etl.log WHERE process_name = 'mute'"), 'SUCCESS', 'a step that makes its transaction read-only is logged');

# What is deferred runs as the owner, and never as the owner of the extension.
one($node, 'GRANT CREATE ON SCHEMA public TO owner');
as_user('owner', <<'EOT');
CREATE TABLE deferred (n int);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.witness SELECT 'deferred ' || current_user, session_user;
	RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER tell AFTER INSERT ON deferred DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tell();
SELECT etl.create_pipeline('deferred', target_schema => 'out', search_path => 'public');
SELECT etl.add_step('deferred', 'defers', 'INSERT INTO deferred VALUES (1)');
SELECT etl.add_step('deferred', 'defers_alone', 'CALL later()');
CREATE PROCEDURE later() LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.deferred VALUES (2);
	COMMIT;
	SET CONSTRAINTS ALL DEFERRED;
	INSERT INTO public.deferred VALUES (3);
END $$;
EOT
one($node, "SELECT etl.run('deferred')");
is(one($node, "SELECT string_agg(who || '/' || session, ' ') FROM witness WHERE who LIKE 'deferred%'"),
	join(' ', ('deferred owner/owner') x 3), 'deferred triggers run as the owner');

# ---- where a run cannot be started ----

for my $function ('run', 'start')
{
	fails_like($node, "CREATE MATERIALIZED VIEW mv AS SELECT etl.$function('p')", '42501', qr/security-restricted operation/, "etl.$function in a materialized view");
	fails_like($node, [
			"CREATE FUNCTION f(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS \$\$BEGIN PERFORM etl.$function('p'); RETURN 1; END\$\$",
			'CREATE TABLE indexed AS SELECT 1 AS n',
			'CREATE INDEX ON indexed (f(n))'
		], '42501', qr/security-restricted operation/, "etl.$function in an index");
	one($node, 'DROP FUNCTION f(int); DROP TABLE indexed');
}

# ---- the dry run ----

# Where a step would find the table, the dry run does not find what the caller
# has put in front of it, and would execute as the owner.
one($node, 'CREATE TABLE source AS SELECT 1 AS n; GRANT SELECT ON source TO owner');
as_user('owner', "SELECT etl.create_pipeline('dry', target_schema => 'out', search_path => 'public')",
	"SELECT etl.add_step('dry', 'read', 'SELECT n FROM source')");
is(as_user('member', <<'EOT'), 't', "the caller's temporary objects are not what the dry run reads");
CREATE FUNCTION pg_temp.trap() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RAISE EXCEPTION 'executed as %', current_user; END$$;
CREATE TEMP VIEW source AS SELECT pg_temp.trap() AS n;
GRANT SELECT ON source TO PUBLIC;
SELECT estimated_rows > 1 FROM etl.plan('dry');
EOT

# ---- having the owner's privileges is not becoming the owner ----

SKIP:
{
	skip 'membership without SET is new in 16', 4 if $major < 16;
	one($node, 'CREATE ROLE heir LOGIN; GRANT owner TO heir WITH INHERIT TRUE, SET FALSE');
	fails_like($node, "SELECT etl.alter_step('dry', 'read', '{\"sql_query\": \"SELECT 2 AS n\"}')", '42501',
		qr/must be able to SET ROLE "owner"/, 'a member that may not SET ROLE does not define', user => 'heir');
	like(as_user('heir', "SELECT etl.run('dry')"), qr/^\d+$/, 'but may run what is defined');
}

# ---- row-level security is not lost ----

as_user('owner', "SELECT etl.run('dry')", 'ALTER TABLE out.read ENABLE ROW LEVEL SECURITY', 'CREATE POLICY none ON out.read USING (false)',
	'GRANT SELECT ON out.read TO PUBLIC');
one($node, "SELECT etl.run('dry')");
is(one($node, "SELECT relrowsecurity FROM pg_class WHERE oid = 'out.read'::regclass"), 't', 'a table with policies is published');
is(one($node, "SELECT count(*) FROM pg_policies WHERE tablename = 'read'"), 1, 'a table with policies keeps them');

# ---- default privileges when the extension is created ----

one($node, 'CREATE DATABASE granted');
$node->safe_psql('granted', <<'EOT');
CREATE ROLE "Odd, role";
ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO PUBLIC, stranger;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC, stranger, "Odd, role";
ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO "Odd, role";
CREATE EXTENSION etl_framework;
EOT
my $others = <<'EOT';
SELECT string_agg(DISTINCT concat_ws(' ', CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END, privilege_type, name), ', ')
FROM (SELECT nspname, nspowner, nspacl FROM pg_namespace WHERE nspname = 'etl'
	UNION ALL SELECT relname, relowner, relacl FROM pg_class WHERE relnamespace = 'etl'::regnamespace) AS o (name, owner, acl), aclexplode(acl)
WHERE grantee <> owner
EOT
is($node->safe_psql('granted', $others), one($node, $others), 'default privileges give nobody rights on what the extension makes');
isnt(one($node, $others), '', 'but for those that it grants itself');

# ---- what the owner's sessions are set to ----

one($node, <<'EOT');
ALTER ROLE owner SET default_transaction_read_only = on;
ALTER ROLE owner SET default_transaction_isolation = 'serializable';
ALTER ROLE owner SET statement_timeout = '1ms';
ALTER ROLE owner SET lock_timeout = '20ms';
ALTER ROLE owner SET idle_in_transaction_session_timeout = '1ms';
ALTER ROLE owner SET search_path = 'nowhere';
ALTER ROLE owner SET role = 'other';
EOT
one($node, "ALTER ROLE owner SET transaction_timeout = '1ms'") if $major >= 17;
one($node, 'TRUNCATE witness');
$run = one($node, "SELECT etl.run('p')");
is(one($node, "SELECT status FROM etl.run_log WHERE run_id = $run"), 'SUCCESS', "the owner's settings do not hurt a run");
is(one($node, 'TABLE out.who'), 'owner|owner', 'nor change whom it runs as');
is(one($node, "SELECT string_agg(who || '/' || session, ' ' ORDER BY n) FROM witness"), 'other/owner owner/owner owner/owner', 'in any step');

# The coordinator may have to wait longer for its turn than the owner for a table.
one($node, "SELECT etl.alter_step('long', 'sleeps', '{\"sql_query\": \"SELECT 1 AS n FROM pg_sleep(0.5)\"}')");
$long = one($node, "SELECT etl.start('long')");
my ($rc, $out, $err) = finish_sql(begin_sql($node, "SELECT etl.run('long', on_conflict => 'wait')"));
is($rc, 0, "the owner's lock_timeout is for tables, and not for a run's turn");
is(one($node, "SELECT etl.wait($long)"), 'SUCCESS', 'the run before it');
nothing_left($node, 'rights');

done_testing();
