# Random pipelines as SQL, and what the server says of their runs.

package Property::Server;

use strict;
use warnings FATAL => 'all';
use Encode qw(decode encode);
use Exporter qw(import);
use JSON::PP;
use List::Util qw(shuffle);
our @EXPORT_OK = qw(query define prepare start_sql run look forget);

my $json = JSON::PP->new->canonical->allow_nonref;

sub literal
{
	my ($value) = @_;
	return 'NULL' unless defined $value;
	$value =~ s/'/''/g;
	return "'$value'";
}

sub identifier
{
	my ($name) = @_;
	$name =~ s/"/""/g;
	return "\"$name\"";
}

sub array_literal
{
	my (@values) = @_;
	return 'ARRAY[' . join(', ', map { literal($_) } @values) . ']::text[]';
}

# The answer to an SQL script that succeeds, one element a line.
sub query
{
	my ($node, $sql) = @_;
	return split /\n/, decode('UTF-8', $node->safe_psql('postgres', encode('UTF-8', $sql)));
}

# ---- definitions ----

sub command_total_sql
{
	my ($pipeline, $step) = @_;
	return '0' unless @{ $step->{depends} };
	return '(SELECT coalesce(sum(l.total), 0)::bigint FROM chaos.command_log l WHERE l.pipeline = '
	  . literal($pipeline->{name})
	  . ' AND l.step = ANY ('
	  . array_literal(@{ $step->{depends} }) . '))';
}

# Now and then with the schema in front.
sub reference_sql
{
	my ($pipeline, $step, $name) = @_;
	return identifier($name) if ($step->{constant} + length $name) % 3;
	return identifier($pipeline->{name}) . '.' . identifier($name);
}

sub query_sql
{
	my ($pipeline, $step, $attempt) = @_;
	my $modulus = Property::Generate::MODULUS;
	my $total = command_total_sql($pipeline, $step);
	my $wide = $step->{wide} ? ", 'something'::text AS more" : '';
	my $union = join ' UNION ALL ',
	  map { 'SELECT k, v FROM ' . reference_sql($pipeline, $step, $_) } @{ $step->{reads} };

	return "SELECT g.k, ($step->{constant} * g.k + s.v + $total) % $modulus AS v$wide"
	  . " FROM $attempt AS a, chaos.source s, generate_series(1::bigint, $step->{rows}) AS g(k)"
	  . ' WHERE s.pipeline = ' . literal($pipeline->{name})
	  unless @{ $step->{reads} };

	return "SELECT u.k, ((sum(u.v) * $step->{constant} + $total) % $modulus)::bigint AS v$wide"
	  . " FROM $attempt AS a, ($union) u GROUP BY u.k"
	  if $step->{constant} % 2;
	return "WITH u AS ($union), t AS (SELECT k, sum(v) AS v FROM u GROUP BY k)"
	  . " SELECT t.k, ((t.v * $step->{constant} + $total) % $modulus)::bigint AS v$wide FROM t, $attempt";
}

sub step_sql
{
	my ($pipeline, $step) = @_;
	my $me = literal($pipeline->{name}) . ', ' . literal($step->{name});
	my $attempt = "chaos.attempt($me)";
	my $total = join ' + ', $step->{constant},
	  map { '(SELECT sum(v) FROM ' . reference_sql($pipeline, $step, $_) . ')' } @{ $step->{reads} };

	return query_sql($pipeline, $step, $attempt) if $step->{kind} eq 'query';
	return "INSERT INTO chaos.command_log SELECT $me, $total; SELECT $attempt" if $step->{kind} eq 'command';
	return "CALL chaos.work($me, $step->{constant})" if $step->{kind} eq 'call';
	return 'UPDATE ' . reference_sql($pipeline, $step, $step->{changes}) . " SET v = v + $step->{constant}; SELECT $attempt"
	  if $step->{kind} eq 'change';

	# makes the worker's process one that cannot be used again
	return q(LOAD '$libdir/pgoutput');
}

# The arguments of add_step that are not its first two, as alter_step wants them.
sub step_changes
{
	my ($pipeline, $step) = @_;
	my $true = JSON::PP::true;
	my %changes = (
		sql_query => (defined $step->{comment} ? "/* $step->{comment} */ " : '') . step_sql($pipeline, $step),
		depends_on => @{ $step->{depends} } ? $step->{depends} : undef,
		execution_order => defined $step->{order} ? $step->{order} + 0 : undef,
		max_attempts => defined $step->{max_attempts} ? $step->{max_attempts} + 0 : undef,
		step_timeout => $step->{step_timeout},
	);
	return \%changes unless $step->{kind} eq 'query';

	$changes{keep} = $step->{keep} ? $true : JSON::PP::false;
	$changes{cache} = $step->{cache} ? $true : undef;
	$changes{broadcast} = $step->{broadcast} ? $true : undef;
	$changes{persist} = defined $step->{persist} ? ($step->{persist} eq 'true' ? $true : JSON::PP::false) : undef;
	$changes{indexes} = $step->{index} ? ['(k)'] : undef;
	$changes{repartition} = $step->{repartition} ? $step->{repartition} + 0 : undef;
	$changes{repartition_by} = $step->{repartition} ? ['k'] : undef;
	return \%changes;
}

sub option_changes
{
	my ($options) = @_;
	return {
		max_parallel => $options->{max_parallel} + 0,
		max_attempts => $options->{max_attempts} + 0,
		retry_delay => "$options->{retry_delay_ms} milliseconds",
		retry_on => $options->{retry_on},
		ordering => $options->{ordering},
		durability => $options->{durability},
		one_snapshot => $options->{one_snapshot} ? JSON::PP::true : JSON::PP::false,
	};
}

# A new step starts as a stub, so that its arguments are written in one way only.
sub add_step_sql
{
	my ($pipeline, $step) = @_;
	my $me = literal($pipeline->{name}) . ', ' . literal($step->{name});
	my $stub = $step->{kind} eq 'query' ? 'SELECT 1' : 'DELETE FROM chaos.trouble WHERE false';
	my $id = defined $step->{id} ? ", step_id => $step->{id}" : '';
	return "SELECT etl.add_step($me, " . literal($stub) . "$id);\n";
}

sub alter_step_sql
{
	my ($pipeline, $step) = @_;
	return
		'SELECT etl.alter_step('
	  . literal($pipeline->{name}) . ', ' . literal($step->{name}) . ', '
	  . literal($json->encode(step_changes($pipeline, $step))) . ");\n";
}

# define(NODE, PIPELINE, OLD, DROPPED...): makes it the pipeline's newest version,
# by changes of OLD where that is defined.  Numbers the steps.
sub define
{
	my ($node, $pipeline, $old, @dropped) = @_;
	my $me = literal($pipeline->{name});
	my $sql = "BEGIN;\n";
	my $next = 0;

	$sql .= "SELECT etl.create_pipeline($me);\n" unless $old;
	$sql .= "SELECT etl.alter_pipeline($me, " . literal($json->encode(option_changes($pipeline->{options}))) . ");\n";
	$sql .= "SELECT etl.drop_step($me, " . literal($_) . ");\n" foreach @dropped;
	foreach my $step (values %{ $pipeline->{steps} })
	{
		$next = $step->{id} if defined $step->{id} && $step->{id} > $next;
	}
	foreach my $name (shuffle grep { !defined $pipeline->{steps}{$_}{id} } sort keys %{ $pipeline->{steps} })
	{
		# the numbers of steps that were dropped are not used again
		$next = $pipeline->{last_id} if ($pipeline->{last_id} // 0) > $next;
		$pipeline->{steps}{$name}{id} = $pipeline->{last_id} = ++$next;
		$sql .= add_step_sql($pipeline, $pipeline->{steps}{$name});
	}
	$sql .= alter_step_sql($pipeline, $pipeline->{steps}{$_}) foreach shuffle @{ $pipeline->{topo} };
	query($node, $sql . "COMMIT;\n");
	return version_of($node, $pipeline);
}

sub version_of
{
	my ($node, $pipeline) = @_;
	my ($version) =
	  query($node, 'SELECT current_version FROM etl.pipeline WHERE pipeline = ' . literal($pipeline->{name}));
	return $version;
}

sub forget
{
	my ($node, $pipeline) = @_;
	my $me = literal($pipeline->{name});
	query($node, "SELECT etl.drop_pipeline($me, true);
		DO \$\$
		DECLARE s regclass;
		BEGIN
			FOR s IN SELECT oid FROM pg_class
				WHERE relkind = 'S' AND relnamespace = 'chaos'::regnamespace AND starts_with(relname, $me || ' ')
			LOOP
				EXECUTE 'DROP SEQUENCE ' || s;
			END LOOP;
		END \$\$;");
	return;
}

# ---- runs ----

sub prepare
{
	my ($node, $pipeline, $trouble, $source) = @_;
	query($node, 'SELECT chaos.prepare(' . join(', ', literal($pipeline->{name}),
		literal($json->encode($pipeline->{topo})), literal($json->encode($trouble)), $source) . ')');
	return;
}

sub start_sql
{
	my ($function, $pipeline, $version, $selectors) = @_;
	my $arguments = literal($pipeline->{name});
	$arguments .= ", version => $version" if defined $version;
	$arguments .= ', steps => ' . array_literal(@$selectors) if $selectors;
	return "SELECT etl.$function($arguments)";
}

# What the statement returns, or undef, and the error as "SQLSTATE: message".
sub run
{
	my ($node, $sql) = @_;
	my ($status, $out, $err) =
	  $node->psql('postgres', encode('UTF-8', "\\set VERBOSITY verbose\nSET client_min_messages = warning;\n$sql"));
	return ($out, '') if $status == 0;
	return (undef, $err =~ /ERROR:  (.*)/ ? decode('UTF-8', $1) : $err);
}

sub look
{
	my ($node, $pipeline, $run_id) = @_;
	return JSON::PP->new->decode(join "\n",
		query($node, 'SELECT chaos.look(' . literal($pipeline->{name}) . ', ' . ($run_id || 0) . ')'));
}

1;
