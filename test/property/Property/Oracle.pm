# What a run must come to, worked out one step after the other.  Knows neither
# the server nor time: a run is its statuses, its attempts and its tables.

package Property::Oracle;

use strict;
use warnings FATAL => 'all';
use Exporter qw(import);
use Property::Generate qw(upstream_of);
our @EXPORT_OK = qw(expect_run levels_of start_order);

# ---- retries ----

sub is_transient
{
	my ($sqlstate) = @_;
	return 1 if $sqlstate =~ /^(40|08)/ || $sqlstate eq '55P03';
	return $sqlstate =~ /^53/ && $sqlstate ne '53400';
}

# The steps that share the run's snapshot: queries that no selected command
# precedes, in the graph or, staged, by its order.
sub sharing_of
{
	my ($pipeline, $selected) = @_;
	my $steps = $pipeline->{steps};
	my $level = levels_of($pipeline);
	my (%behind, %sharing, $first);

	return {} unless $pipeline->{options}{one_snapshot};
	foreach my $name (grep { $selected->{$_} } @{ $pipeline->{topo} })
	{
		my $order = $steps->{$name}{order} // $level->{$name};
		next if $steps->{$name}{kind} eq 'query';
		$first = $order if !defined $first || $order < $first;
	}
	foreach my $name (grep { $selected->{$_} } @{ $pipeline->{topo} })
	{
		my $order = $steps->{$name}{order} // $level->{$name};
		foreach my $upstream (grep { $selected->{$_} } upstream_of($steps->{$name}))
		{
			$behind{$name} = 1 if $behind{$upstream} || $steps->{$upstream}{kind} ne 'query';
		}
		$behind{$name} = 1
		  if $pipeline->{options}{ordering} eq 'staged' && defined $first && $order > $first;
		$sharing{$name} = 1 if $steps->{$name}{kind} eq 'query' && !$behind{$name};
	}
	return \%sharing;
}

sub is_retried
{
	my ($options, $how, $shares) = @_;

	# under the same snapshot it would come back
	return 0 if $shares && $how eq '40001';

	# what a person does to a step is meant
	return 0 if $how eq 'cancel' || $how eq 'terminate';
	return scalar grep { /^(any|57|57014)$/ } @{ $options->{retry_on} } if $how eq 'timeout';
	foreach my $word (@{ $options->{retry_on} })
	{
		return 1 if $word eq 'any';
		return 1 if $word eq 'transient' && is_transient($how);
		return 1 if $word =~ /^[0-9A-Z]{2}$/ && substr($how, 0, 2) eq $word;
		return 1 if $word eq $how;
	}
	return 0;
}

# The SQLSTATEs of the attempts that fail, and whether one succeeds after them.
sub expect_attempts
{
	my ($options, $step, $trouble, $shares) = @_;
	my $max = $step->{max_attempts} // $options->{max_attempts};
	my @failures;
	my %sqlstate = (cancel => '57014', timeout => '57014', terminate => '57P01');

	while ($trouble && @failures < $trouble->{times})
	{
		my $how = $trouble->{how};
		push @failures, $sqlstate{$how} // $how;
		# a procedure that has committed cannot be undone
		return (\@failures, 0)
		  if @failures >= $max || !is_retried($options, $how, $shares) || $step->{kind} eq 'call';
	}
	return (\@failures, 1);
}

# ---- contents ----

# Rows are k => v.  "tables" is what the steps of the run have made so far,
# "published" what earlier runs left.
sub find_rows
{
	my ($run, $name) = @_;
	return $run->{selected}{$name} ? $run->{tables}{$name} : $run->{published}{$name}{rows};
}

sub command_total
{
	my ($run, $step) = @_;
	my $total = 0;
	$total += $run->{commands}{$_} // 0 foreach @{ $step->{depends} };
	return $total;
}

sub expect_rows
{
	my ($run, $step) = @_;
	my $modulus = Property::Generate::MODULUS;
	my $commands = command_total($run, $step);
	my %rows;

	if (!@{ $step->{reads} })
	{
		$rows{$_} = ($step->{constant} * $_ + $run->{source} + $commands) % $modulus
		  foreach 1 .. $step->{rows};
		return \%rows;
	}
	foreach my $input (@{ $step->{reads} })
	{
		my $read = find_rows($run, $input);
		$rows{$_} += $read->{$_} foreach keys %$read;
	}
	$_ = ($_ * $step->{constant} + $commands) % $modulus foreach values %rows;
	return \%rows;
}

sub expect_total
{
	my ($run, $step) = @_;
	my $total = $step->{constant};
	foreach my $input (@{ $step->{reads} })
	{
		$total += $_ foreach values %{ find_rows($run, $input) };
	}
	return $total;
}

sub apply_step
{
	my ($run, $step) = @_;
	my $kind = $step->{kind};

	if ($kind eq 'query')
	{
		$run->{tables}{ $step->{name} } = expect_rows($run, $step);
	}
	elsif ($kind eq 'change')
	{
		$_ += $step->{constant} foreach values %{ $run->{tables}{ $step->{changes} } };
	}
	elsif ($kind ne 'load')
	{
		$run->{commands}{ $step->{name} } = expect_total($run, $step);
	}
	return;
}

# ---- runs ----

# Is a run refused, because a table is missing that it would read?
sub is_refused
{
	my ($pipeline, $run) = @_;
	my $steps = $pipeline->{steps};

	foreach my $name (keys %{ $run->{selected} })
	{
		foreach my $input (@{ $steps->{$name}{reads} })
		{
			next if $run->{selected}{$input};
			return 1 if !$steps->{$input}{keep} || !$run->{published}{$input};
		}
	}
	return 0;
}

# expect_run(PIPELINE, TROUBLE, SELECTED, PUBLISHED, SOURCE): what the run must
# come to: { refused } or { status, steps => { name => { status, failures,
# because } }, commands => { name => total }, published }.  PUBLISHED is what
# earlier runs left: { name => { rows, fresh } }.
sub expect_run
{
	my ($pipeline, $trouble, $selected, $published, $source) = @_;
	my $steps = $pipeline->{steps};
	my %run = (selected => $selected, published => $published, source => $source,
		tables => {}, commands => {}, steps => {}, status => 'SUCCESS');

	return { refused => 1 } if is_refused($pipeline, \%run);
	my $sharing = sharing_of($pipeline, $selected);

	foreach my $name (grep { $selected->{$_} } @{ $pipeline->{topo} })
	{
		my $step = $steps->{$name};
		my %because;
		foreach my $upstream (grep { $selected->{$_} } upstream_of($step))
		{
			my $ended = $run{steps}{$upstream};
			$because{$upstream} = 1 if $ended->{status} eq 'FAILED';
			%because = (%because, %{ $ended->{because} }) if $ended->{status} eq 'SKIPPED';
		}
		if (%because)
		{
			$run{steps}{$name} = { status => 'SKIPPED', failures => [], because => \%because };
			next;
		}

		my ($failures, $success) = expect_attempts($pipeline->{options}, $step, $trouble->{$name}, $sharing->{$name});
		$run{steps}{$name} = { status => $success ? 'SUCCESS' : 'FAILED', failures => $failures };
		$run{status} = 'FAILED' unless $success;
		apply_step(\%run, $step) if $success || $step->{kind} eq 'call';
	}

	my %now = map { $_ => { rows => $published->{$_}{rows} } } keys %$published;
	if ($run{status} eq 'SUCCESS')
	{
		foreach my $name (keys %{ $run{tables} })
		{
			$now{$name} = { rows => $run{tables}{$name}, fresh => 1 } if $steps->{$name}{keep};
		}
	}
	$run{published} = \%now;
	return \%run;
}

# ---- order ----

# The level of each step: 0, or one more than the highest that it needs.
sub levels_of
{
	my ($pipeline) = @_;
	my %level;
	foreach my $name (@{ $pipeline->{topo} })
	{
		$level{$name} = 0;
		foreach my $upstream (upstream_of($pipeline->{steps}{$name}))
		{
			$level{$name} = $level{$upstream} + 1 if $level{$name} <= $level{$upstream};
		}
	}
	return \%level;
}

# The only order in which a run with one worker, where nothing fails, may start
# its steps: by execution_order, then the longest chain of waiters, then step_id.
sub start_order
{
	my ($pipeline, $selected) = @_;
	my $steps = $pipeline->{steps};
	my $level = levels_of($pipeline);
	my $staged = $pipeline->{options}{ordering} eq 'staged';
	my (%height, %waiting, @result);

	foreach my $name (reverse @{ $pipeline->{topo} })
	{
		$height{$name} //= 0;
		foreach my $upstream (upstream_of($steps->{$name}))
		{
			$height{$upstream} = $height{$name} + 1 if ($height{$upstream} // 0) <= $height{$name};
		}
	}
	my %order = map { $_ => $steps->{$_}{order} // $level->{$_} } keys %$steps;
	my %open = map { $_ => 1 } grep { $selected->{$_} } keys %$steps;
	while (%open)
	{
		my @ready;
		foreach my $name (keys %open)
		{
			push @ready, $name unless grep { $open{$_} } upstream_of($steps->{$name});
		}
		my ($next) = sort {
			     $order{$a} <=> $order{$b}
			  || $height{$b} <=> $height{$a}
			  || $steps->{$a}{id} <=> $steps->{$b}{id}
		} @ready;
		push @result, $next;
		delete $open{$next};
	}
	return @result;
}

1;
