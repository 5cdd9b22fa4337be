# Random graphs, random failures and random settings against an oracle that
# executes pipelines in its head, one step after the other: how each step ends,
# after which attempts, what the tables contain, what stays as it was when a run
# fails.  From the log: nothing starts before what it reads, nor before its time,
# nor more at a time than allowed.
#
#	ETL_PROPERTY_SEED=n		the same again: the seed is in every test's name
#	ETL_PROPERTY_ROUNDS=n	so many pipelines (60)
#
# Each round is one pipeline, or two at a time, with its own seed: the number
# that a failed round names, with ETL_PROPERTY_ROUNDS=1, repeats that round.

use strict;
use warnings FATAL => 'all';

use Encode qw(encode);
use FindBin;
use lib $FindBin::RealBin, "$FindBin::RealBin/../t";

use EtlTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Property::Check qw(check_log check_expected check_published check_leftovers);
use Property::Generate qw(chance pick random_pipeline change_pipeline random_trouble random_selection);
use Property::Oracle qw(expect_run);
use Property::Server qw(query define prepare start_sql run look forget);
use Test::More;

use constant MAX_COMPLAINTS => 10;

my $seed = $ENV{ETL_PROPERTY_SEED} || time() % 1_000_000 * 1000;
my $rounds = $ENV{ETL_PROPERTY_ROUNDS} || 60;
my $serial = 0;
my %count = (runs => 0, steps => 0, failed => 0, refused => 0, cancelled => 0, attempts => 0);

$ENV{PGCLIENTENCODING} = 'UTF8';

my $node = etl_node('property', <<'EOT');
max_worker_processes = 16
log_min_messages = fatal
EOT
$node->safe_psql('postgres', slurp_file("$FindBin::RealBin/Property/chaos.sql"));

# What is about to be run: { pipeline, version, selectors, selected, trouble,
# expected }.  "state" is what the round knows: { versions, published, ... }.
sub plan_run
{
	my ($state) = @_;
	my %plan;
	my @versions = sort { $a <=> $b } keys %{ $state->{versions} };

	$plan{version} = pick(@versions) if chance(0.2);
	$plan{pipeline} = $state->{versions}{ $plan{version} // $versions[-1] };
	$plan{selected} = { map { $_ => 1 } @{ $plan{pipeline}{topo} } };
	($plan{selectors}, $plan{selected}) = random_selection($plan{pipeline}) if chance(0.3);
	$plan{trouble} = random_trouble($plan{pipeline});
	$plan{source} = int(rand(1000));
	$plan{expected} =
	  expect_run($plan{pipeline}, $plan{trouble}, $plan{selected}, $state->{published}, $plan{source});
	prepare($node, $plan{pipeline}, $plan{trouble}, $plan{source});
	return \%plan;
}

# All that can be said of a run that has ended.
sub judge
{
	my ($state, $plan, $run_id, $error) = @_;
	my $expected = $plan->{expected};
	my $seen = look($node, $plan->{pipeline}, $run_id);
	my @complaints;

	if ($expected->{refused})
	{
		$count{refused}++;
		return ("not refused: $error", check_published($state->{published}, $seen))
		  if $error !~ /^55000: step .* reads step .*, which is not selected and has no table/;
		return check_published($state->{published}, $seen);
	}
	return "no run: $error" unless defined $run_id && $seen->{run};

	$count{runs}++;
	$count{steps} += keys %{ $plan->{selected} };
	$count{attempts} += grep { $_->{attempt} > 0 } @{ $seen->{log} };
	push @complaints, check_log($plan->{pipeline}, $plan->{selected}, $seen), check_leftovers($seen);
	if ($seen->{run}{status} eq 'CANCELLED' && $plan->{cancel})
	{
		$count{cancelled}++;
		return (@complaints, check_published($state->{published}, $seen));
	}
	$count{failed}++ if $expected->{status} eq 'FAILED';

	my $published = $expected->{published};
	$published->{$_}{run_id} = $published->{$_}{fresh} ? $run_id : $state->{published}{$_}{run_id}
	  foreach keys %$published;
	push @complaints, check_expected($plan->{pipeline}, $plan->{selected}, $expected, $seen)
	  unless @complaints;
	push @complaints, check_published($published, $seen);
	$state->{published} = $published;
	return @complaints;
}

# One that waits for it: a failed run is an error.
sub run_one
{
	my ($state) = @_;
	my $plan = plan_run($state);
	my ($run_id, $error) = run($node, start_sql('run', $plan->{pipeline}, $plan->{version}, $plan->{selectors}));

	($run_id) = $error =~ /^ZE001: run (\d+) of pipeline/ unless defined $run_id;
	return judge($state, $plan, $run_id, $error);
}

# One at a time of each, started together, perhaps cancelled.
sub run_together
{
	my (@states) = @_;
	my (@plans, @run_ids, @errors, @complaints);

	foreach my $state (@states)
	{
		my $plan = plan_run($state);
		my ($run_id, $error) = run($node, start_sql('start', $plan->{pipeline}, $plan->{version}, $plan->{selectors}));
		push @plans, $plan;
		push @run_ids, $run_id;
		push @errors, $error;
	}
	foreach my $i (0 .. $#states)
	{
		next unless defined $run_ids[$i];
		if (chance(0.3))
		{
			$plans[$i]{cancel} = 1;
			query($node, 'SELECT pg_sleep(' . rand(0.1) . "), etl.cancel($run_ids[$i])");
		}
		query($node, "SELECT etl.wait($run_ids[$i])");
	}
	push @complaints, judge($states[$_], $plans[$_], $run_ids[$_], $errors[$_]) foreach 0 .. $#states;
	return @complaints;
}

sub change
{
	my ($state) = @_;
	my ($newest) = sort { $b <=> $a } keys %{ $state->{versions} };
	my $old = $state->{versions}{$newest};
	my ($pipeline, @dropped) = change_pipeline($old);

	return if !@{ $pipeline->{topo} };
	$state->{versions}{ define($node, $pipeline, $old, @dropped) } = $pipeline;
	return;
}

sub play_round
{
	my @states;
	my @complaints;

	foreach my $i (1 .. (chance(0.2) ? 2 : 1))
	{
		my $pipeline = random_pipeline('p' . ++$serial);
		my $version = define($node, $pipeline);
		push @states, { versions => { $version => $pipeline }, published => {} };
	}
	foreach my $turn (1 .. 2 + int(rand(4)))
	{
		if (chance(0.35))
		{
			change($_) foreach @states;
		}
		my @found = @states > 1 || chance(0.15) ? run_together(@states) : run_one($states[0]);
		push @complaints, map { "run $turn: $_" } @found;
		last if @complaints;
	}
	if (!@complaints)
	{
		forget($node, (values %{ $_->{versions} })[0]) foreach @states;
	}
	return \@complaints;
}

foreach my $round (1 .. $rounds)
{
	srand($seed);
	my $complaints = eval { play_round() } // [$@];
	my $more = @$complaints - MAX_COMPLAINTS;

	ok(!@$complaints, "the oracle agrees, ETL_PROPERTY_SEED=$seed");
	diag(encode('UTF-8', $_)) foreach grep { defined } @$complaints[ 0 .. MAX_COMPLAINTS - 1 ];
	diag("... and $more more") if $more > 0;
	$seed++;
}
note(join ', ', map { "$_: $count{$_}" } sort keys %count);

nothing_left($node, 'all runs');
$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC:|was terminated by signal/, 'the server did not crash');

done_testing();
