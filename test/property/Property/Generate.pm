# Random pipelines and random trouble for them.  Nothing here knows the server:
# a pipeline is a hash that Property::Server writes as SQL and Property::Oracle
# executes in its head.
#
#	{ name, options => {...}, steps => { step's name => {...} }, topo => [ names ] }
#
# topo is an order in which each step comes after those that it needs.

package Property::Generate;

use strict;
use warnings FATAL => 'all';
use Exporter qw(import);
our @EXPORT_OK = qw(chance pick pick_some random_pipeline change_pipeline
  random_trouble random_selection upstream_of clone_pipeline);

# The tables' values stay below this.
use constant MODULUS => 1_000_003;

my @transient = qw(40001 40P01 55P03 53200 08006);
my @permanent = qw(22012 23505 P0001 53400);
my @retry_on = (
	['transient'], ['transient'], ['any'], ['40001'], ['40'], [ '22', '55P03' ],
	[ 'transient', 'P0001' ], ['57014'], [ 'transient', '57' ]);

sub chance { my ($probability) = @_; return rand() < $probability; }
sub between { my ($low, $high) = @_; return $low + int(rand($high - $low + 1)); }
sub pick { return $_[ int(rand(@_)) ]; }

# Up to $n different ones of a list.
sub pick_some
{
	my ($n, @from) = @_;
	my @result;
	while ($n-- > 0 && @from)
	{
		push @result, splice(@from, int(rand(@from)), 1);
	}
	return @result;
}

sub random_options
{
	return {
		max_parallel => between(1, 4),
		max_attempts => between(1, 4),
		retry_delay_ms => pick(0, 1, 5, 20),
		retry_on => pick(@retry_on),
		ordering => chance(0.3) ? 'staged' : 'graph',
		durability => pick('unlogged', 'unlogged', 'outputs', 'all'),
		one_snapshot => chance(0.8),
	};
}

# Few, many or very many steps.
sub random_size
{
	my $kind = rand();
	return between(1, 12) if $kind < 0.35;
	return between(10, 50) if $kind < 0.85;
	return between(50, 120) if $kind < 0.97;
	return 200;
}

# Names that need quotes, signs that the selection gives a meaning to, and
# names that are hardly names.
sub random_name
{
	my ($number) = @_;
	my $other = $number - 1;
	return pick("Step $number", "+s$other", "s$other+", "select_$number", "\"$number\"", "schritt_\x{e4}$number")
	  if chance(0.1);
	return "s$number";
}

# How the graph grows: what a new step likes to read.
sub random_inputs
{
	my ($shape, @candidates) = @_;
	return () unless @candidates;
	return ($candidates[-1]) if $shape eq 'chain' && chance(0.9);
	return () if $shape eq 'wide' && chance(0.8);
	@candidates = @candidates[ ($#candidates > 8 ? $#candidates - 8 : 0) .. $#candidates ]
	  if $shape eq 'layered';
	return pick_some(pick(0, 1, 1, 2, 2, 3), @candidates);
}

sub add_random_step
{
	my ($pipeline, $shape, $number) = @_;
	my $steps = $pipeline->{steps};
	my @queries = grep { $steps->{$_}{kind} eq 'query' } @{ $pipeline->{topo} };
	my $step = {
		name => random_name($number),
		kind => 'query',
		constant => between(1, 1000),
		rows => between(1, 4),
		reads => [],
		depends => [],
		keep => !chance(0.15),
	};
	my $kind = rand();

	if ($kind < 0.12)
	{
		$step->{kind} = 'command';
	}
	elsif ($kind < 0.15)
	{
		$step->{kind} = 'call';
	}
	elsif ($kind < 0.16)
	{
		$step->{kind} = 'load';
	}
	elsif ($kind < 0.20)
	{
		# changes another step's table, before anybody has read that
		my %read = map { $_ => 1 } map { @{ $steps->{$_}{reads} } } keys %$steps;
		my @untouched = grep { !$read{$_} && !$steps->{$_}{changed_by} } @queries;
		if (@untouched)
		{
			$step->{kind} = 'change';
			$step->{changes} = pick(@untouched);
			$steps->{ $step->{changes} }{changed_by} = $step->{name};
		}
	}

	if ($step->{kind} eq 'query' || $step->{kind} eq 'command')
	{
		$step->{reads} = [ random_inputs($shape, @queries) ];
	}
	$step->{depends} = [ pick_some(pick(1, 1, 2), @{ $pipeline->{topo} }) ] if chance(0.15);

	# what was changed has to be read after the change
	foreach my $input (@{ $step->{reads} })
	{
		my $change = $steps->{$input}{changed_by};
		push @{ $step->{depends} }, $change if $change;
	}
	my %seen;
	$step->{depends} = [ grep { !$seen{$_}++ } @{ $step->{depends} } ];

	$step->{max_attempts} = between(1, 4) if chance(0.15);
	$step->{step_timeout} = '1 second' if chance(0.03);
	# too long to be stored in line
	$step->{comment} = join '', map { chr(between(97, 122)) } 1 .. 8000 if chance(0.03);
	decorate($step) if $step->{kind} eq 'query';
	$steps->{ $step->{name} } = $step;
	push @{ $pipeline->{topo} }, $step->{name};
	return $step;
}

# What changes how a table is stored, and must not change what is in it.
sub decorate
{
	my ($step) = @_;
	$step->{cache} = 1 if chance(0.1);
	$step->{broadcast} = 1 if chance(0.1);
	$step->{persist} = pick('true', 'false') if chance(0.1);
	$step->{repartition} = between(1, 3) if chance(0.04);
	$step->{index} = 1 if chance(0.08);
	$step->{wide} = 1 if chance(0.1);
	return;
}

sub upstream_of
{
	my ($step) = @_;
	my %upstream = map { $_ => 1 } @{ $step->{reads} }, @{ $step->{depends} };
	$upstream{ $step->{changes} } = 1 if defined $step->{changes};
	return sort keys %upstream;
}

# execution_order: anything goes, but for a barrier it must not contradict the
# graph.
sub set_orders
{
	my ($pipeline) = @_;
	my (%level, %order);
	my $staged = $pipeline->{options}{ordering} eq 'staged';
	my $share = pick(0, 0, 0.3, 0.8);

	foreach my $name (@{ $pipeline->{topo} })
	{
		my $step = $pipeline->{steps}{$name};
		my ($lowest, $level) = (undef, 0);
		foreach my $upstream (upstream_of($step))
		{
			$level = $level{$upstream} + 1 if $level{$upstream} + 1 > $level;
			$lowest = $order{$upstream}
			  if !defined $lowest || $order{$upstream} > $lowest;
		}
		$level{$name} = $level;
		delete $step->{order};
		$step->{order} = between(-3, 5) if chance($share);
		if ($staged && defined $lowest && ($step->{order} // $level) < $lowest)
		{
			$step->{order} = $lowest + between(0, 2);
		}
		$order{$name} = $step->{order} // $level;
	}
	return;
}

sub random_pipeline
{
	my ($name) = @_;
	my $pipeline = { name => $name, options => random_options(), steps => {}, topo => [], added => 0 };
	my $shape = pick('any', 'any', 'layered', 'layered', 'wide', 'chain');
	my $size = random_size();

	add_random_step($pipeline, $shape, ++$pipeline->{added}) while @{ $pipeline->{topo} } < $size;
	set_orders($pipeline);
	$pipeline->{shape} = $shape;
	return $pipeline;
}

sub clone_pipeline
{
	my ($pipeline) = @_;
	my %copy = %$pipeline;
	$copy{options} = { %{ $pipeline->{options} } };
	$copy{topo} = [ @{ $pipeline->{topo} } ];
	$copy{steps} = {};
	foreach my $name (keys %{ $pipeline->{steps} })
	{
		my %step = %{ $pipeline->{steps}{$name} };
		$step{reads} = [ @{ $step{reads} } ];
		$step{depends} = [ @{ $step{depends} } ];
		$copy{steps}{$name} = \%step;
	}
	return \%copy;
}

# The next version: steps changed, added and dropped, other options.  Returns
# the new pipeline and the names of the steps that were dropped.
sub change_pipeline
{
	my ($old) = @_;
	my $pipeline = clone_pipeline($old);
	my @dropped;

	foreach my $name (pick_some(between(1, 4), @{ $pipeline->{topo} }))
	{
		my $step = $pipeline->{steps}{$name};
		$step->{constant} = between(1, 1000);
		next unless $step->{kind} eq 'query';
		$step->{rows} = between(1, 4);
		$step->{wide} = !$step->{wide} if chance(0.3);
		$step->{keep} = !$step->{keep} if chance(0.2);
	}

	if (chance(0.4))
	{
		my %needed = map { $_ => 1 } map { upstream_of($_) } values %{ $pipeline->{steps} };
		foreach my $name (pick_some(1, grep { !$needed{$_} } keys_sorted($pipeline)))
		{
			my $step = delete $pipeline->{steps}{$name};
			delete $pipeline->{steps}{ $step->{changes} }{changed_by} if defined $step->{changes};
			$pipeline->{topo} = [ grep { $_ ne $name } @{ $pipeline->{topo} } ];
			push @dropped, $name;
		}
	}
	add_random_step($pipeline, $pipeline->{shape}, ++$pipeline->{added}) foreach 1 .. between(0, 3);
	$pipeline->{options} = random_options() if chance(0.5);
	set_orders($pipeline);
	return ($pipeline, @dropped);
}

sub keys_sorted { my ($pipeline) = @_; return sort keys %{ $pipeline->{steps} }; }

# Which steps fail in a run, how often and how: step's name => { times, how }.
# "how" is a SQLSTATE that is raised, or what is done to the worker.
sub random_trouble
{
	my ($pipeline) = @_;
	my %trouble;
	my $share = pick(0, 0, 0.03, 0.1, 0.3);

	foreach my $name (@{ $pipeline->{topo} })
	{
		next if $pipeline->{steps}{$name}{kind} eq 'load' || !chance($share);
		my $how = chance(0.8) ? pick(@transient) : pick(@permanent);
		$how = pick('cancel', 'terminate') if chance(0.05);
		$how = 'timeout' if defined $pipeline->{steps}{$name}{step_timeout} && chance(0.3);
		$trouble{$name} = { times => pick(1, 1, 1, 2, 3, 5), how => $how };
	}
	return \%trouble;
}

# Selectors for etl.run, and the steps that they select.
sub random_selection
{
	my ($pipeline) = @_;
	my (%selected, @selectors, %readers);
	my $steps = $pipeline->{steps};

	foreach my $name (@{ $pipeline->{topo} })
	{
		push @{ $readers{$_} }, $name foreach upstream_of($steps->{$name});
	}
	foreach my $name (pick_some(between(1, 3), @{ $pipeline->{topo} }))
	{
		my ($before, $after) = (chance(0.6), chance(0.4));
		my @todo = ($name);
		my %seen;
		my $selector = ($before ? '+' : '') . $name . ($after ? '+' : '');

		# of 'a+' the step "a+", if there is one
		next if $selector ne $name && $steps->{$selector};
		next if $before && $after && ($steps->{"+$name"} || $steps->{"$name+"});

		push @selectors, $selector;
		while (defined(my $next = shift @todo))
		{
			next if $seen{$next}++;
			push @todo, upstream_of($steps->{$next}) if $before;
		}
		@todo = ($name);
		my %below;
		while (defined(my $next = shift @todo))
		{
			next if $below{$next}++;
			push @todo, @{ $readers{$next} // [] } if $after;
		}
		%selected = (%selected, %seen, %below);
	}
	# nor can a table be changed that is not there
	foreach my $name (sort keys %selected)
	{
		my $changes = $steps->{$name}{changes};
		return random_selection($pipeline) if defined $changes && !$selected{$changes};
	}
	return random_selection($pipeline) unless @selectors;
	return (\@selectors, \%selected);
}

1;
