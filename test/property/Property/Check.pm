# Compares what the server says of a run (chaos.look) with what the oracle
# expects, and with what must hold for every run.  Each function returns
# complaints; no complaint is good news.

package Property::Check;

use strict;
use warnings FATAL => 'all';
use Exporter qw(import);
use Property::Generate qw(upstream_of);
use Property::Oracle qw(levels_of start_order);
our @EXPORT_OK = qw(check_log check_expected check_published check_leftovers);

# The log's rows by step, attempts ascending.
sub attempts_of
{
	my ($seen) = @_;
	my %attempts;
	push @{ $attempts{ $_->{step} } }, $_ foreach sort { $a->{attempt} <=> $b->{attempt} } @{ $seen->{log} };
	return \%attempts;
}

# ---- what holds for every run that has ended, however it did ----

sub check_numbering
{
	my ($selected, $attempts) = @_;
	my @complaints;

	foreach my $name (sort keys %$selected)
	{
		my @rows = @{ $attempts->{$name} // [] };
		my $expected = @rows == 1 && $rows[0]{status} =~ /^(SKIPPED|CANCELLED)$/ && $rows[0]{attempt} == 0 ? 0 : 1;

		push @complaints, "$name: no row in the log" unless @rows;
		foreach my $row (@rows)
		{
			push @complaints, "$name: attempt $row->{attempt} where $expected is due"
			  if $row->{attempt} != $expected;
			push @complaints, "$name: attempt $row->{attempt} is $row->{status}"
			  if $row->{status} !~ /^(SUCCESS|FAILED|SKIPPED|CANCELLED)$/ || !defined $row->{end};
			push @complaints, "$name: attempt $row->{attempt} ends before it starts"
			  if defined $row->{end} && $row->{end} < $row->{start};
			$expected++;
		}
	}
	push @complaints, map { "$_: in the log, but not selected" } grep { !$selected->{$_} } sort keys %$attempts;
	return @complaints;
}

sub check_retries
{
	my ($attempts) = @_;
	my @complaints;

	foreach my $name (sort keys %$attempts)
	{
		my @rows = @{ $attempts->{$name} };
		foreach my $i (1 .. $#rows)
		{
			my ($before, $after) = @rows[ $i - 1, $i ];
			my $where = "$name: attempt $after->{attempt}";
			push @complaints, "$where follows one that is $before->{status}" if $before->{status} ne 'FAILED';
			push @complaints, "$where overlaps the one before it" if $after->{start} < ($before->{end} // 9e18);
			push @complaints, "$where follows one without retry_at" unless defined $before->{retry_at};
			push @complaints, "$where starts before the time that retry_at promised"
			  if defined $before->{retry_at} && $after->{start} < $before->{retry_at};
		}
	}
	return @complaints;
}

# No attempt starts before everything that its step needs has succeeded.
sub check_dependencies
{
	my ($pipeline, $selected, $attempts) = @_;
	my @complaints;

	foreach my $name (sort keys %$selected)
	{
		my @started = grep { $_->{attempt} > 0 } @{ $attempts->{$name} // [] };
		next unless @started;
		foreach my $upstream (grep { $selected->{$_} } upstream_of($pipeline->{steps}{$name}))
		{
			my $last = $attempts->{$upstream}[-1];
			push @complaints, "$name started before $upstream had succeeded"
			  if !$last || $last->{status} ne 'SUCCESS' || $started[0]{start} < $last->{end};
		}
	}
	return @complaints;
}

# With staged ordering order n starts when all of the lower orders have ended.
sub check_barriers
{
	my ($pipeline, $selected, $attempts) = @_;
	return () unless $pipeline->{options}{ordering} eq 'staged';
	my $level = levels_of($pipeline);
	my (%first, %last, @complaints);

	foreach my $name (sort keys %$selected)
	{
		my $order = $pipeline->{steps}{$name}{order} // $level->{$name};
		foreach my $row (grep { $_->{attempt} > 0 } @{ $attempts->{$name} // [] })
		{
			$first{$order} = $row->{start} if !defined $first{$order} || $row->{start} < $first{$order};
			$last{$order} = $row->{end} if ($last{$order} // 0) < ($row->{end} // 9e18);
		}
	}
	my $ended = 0;
	foreach my $order (sort { $a <=> $b } keys %first)
	{
		push @complaints, "a step of order $order started before all of lower orders had ended"
		  if $first{$order} < $ended;
		$ended = $last{$order} if $last{$order} > $ended;
	}
	return @complaints;
}

# Never more at a time than max_parallel, nor two in one process.
sub check_parallelism
{
	my ($pipeline, $seen) = @_;
	my (@events, @complaints, %ends, $most);
	my $running = 0;

	foreach my $row (grep { $_->{attempt} > 0 && defined $_->{end} } @{ $seen->{log} })
	{
		push @events, [ $row->{start}, 1 ], [ $row->{end}, -1 ];
		push @complaints, "$row->{step}: two attempts at a time in process $row->{pid}"
		  if ($ends{ $row->{pid} } // 0) > $row->{start};
		$ends{ $row->{pid} } = $row->{end};
	}
	foreach my $event (sort { $a->[0] <=> $b->[0] || $a->[1] <=> $b->[1] } @events)
	{
		$running += $event->[1];
		$most = $running if $running > ($most // 0);
	}
	push @complaints, "$most steps at a time"
	  if defined $most && $most > $pipeline->{options}{max_parallel};
	return @complaints;
}

sub check_log
{
	my ($pipeline, $selected, $seen) = @_;
	my $attempts = attempts_of($seen);
	my $run = $seen->{run};
	my @complaints;

	push @complaints, "the run's step_count is $run->{step_count}" if $run->{step_count} != keys %$selected;
	push @complaints, 'the run has no end_time' unless defined $run->{end_time};
	push @complaints, check_numbering($selected, $attempts);
	return @complaints if @complaints;
	return (
		check_retries($attempts),
		check_dependencies($pipeline, $selected, $attempts),
		check_barriers($pipeline, $selected, $attempts),
		check_parallelism($pipeline, $seen));
}

# ---- what the oracle knows ----

sub check_step
{
	my ($name, $expected, $rows) = @_;
	my $last = $rows->[-1];
	my @failed = map { $_->{sqlstate} // '' } grep { $_->{status} eq 'FAILED' } @$rows;
	my @complaints;

	push @complaints, "$name is $last->{status} and not $expected->{status}"
	  if $last->{status} ne $expected->{status};
	push @complaints, "$name failed with (@failed) and not (@{$expected->{failures}})"
	  if "@failed" ne "@{$expected->{failures}}";
	push @complaints, "$name has failed for good, with a retry_at"
	  if $last->{status} eq 'FAILED' && defined $last->{retry_at};
	if ($expected->{status} eq 'SKIPPED')
	{
		my ($because) = ($last->{message} // '') =~ /^skipped because step "(.*)" failed$/;
		push @complaints, "$name was skipped because of " . ($because // 'nothing')
		  unless defined $because && $expected->{because}{$because};
	}
	return @complaints;
}

# Every attempt executed its SQL exactly once.
sub check_executions
{
	my ($pipeline, $selected, $attempts, $seen) = @_;
	my @complaints;

	foreach my $name (grep { $pipeline->{steps}{$_}{kind} ne 'load' } @{ $pipeline->{topo} })
	{
		my $attempted = $selected->{$name} ? grep { $_->{attempt} > 0 } @{ $attempts->{$name} } : 0;
		my $executed = $seen->{executions}{$name} // 0;
		push @complaints, "$name: $attempted attempts, but $executed executions" if $attempted != $executed;
	}
	return @complaints;
}

sub check_start_order
{
	my ($pipeline, $selected, $seen) = @_;
	return () if $pipeline->{options}{max_parallel} > 1 || grep { $_->{attempt} != 1 || $_->{status} ne 'SUCCESS' } @{ $seen->{log} };
	my $started = join ', ', map { $_->{step} } @{ $seen->{log} };
	my $expected = join ', ', start_order($pipeline, $selected);
	return $started eq $expected ? () : "the steps started in the order ($started) and not ($expected)";
}

sub check_expected
{
	my ($pipeline, $selected, $expected, $seen) = @_;
	my $attempts = attempts_of($seen);
	my $run = $seen->{run};
	my @complaints;

	push @complaints, "the run is $run->{status} and not $expected->{status}" if $run->{status} ne $expected->{status};
	if ($run->{status} eq 'FAILED')
	{
		my ($name) = ($run->{error_message} // '') =~ /failed at step "(.*)": /;
		push @complaints, 'the run says that it failed with: ' . ($run->{error_message} // 'nothing')
		  unless defined $name && ($expected->{steps}{$name}{status} // '') eq 'FAILED';
	}
	push @complaints, check_step($_, $expected->{steps}{$_}, $attempts->{$_}) foreach sort keys %{ $expected->{steps} };
	push @complaints, check_executions($pipeline, $selected, $attempts, $seen);
	push @complaints, check_start_order($pipeline, $selected, $seen);

	my $commands = join ' ', sort map { "$_:$expected->{commands}{$_}" } keys %{ $expected->{commands} };
	my $executed = join ' ', sort @{ $seen->{commands} };
	push @complaints, "the command steps left ($executed) and not ($commands)" if $commands ne $executed;
	return @complaints;
}

# ---- tables ----

# published: { name => { rows, run_id } }
sub check_published
{
	my ($published, $seen) = @_;
	my @complaints;
	my %names = map { $_ => 1 } keys %$published, keys %{ $seen->{tables} }, keys %{ $seen->{output} };

	foreach my $name (sort keys %names)
	{
		my $expected = $published->{$name};
		my $output = $seen->{output}{$name};
		if (!$expected || !$output || !$seen->{tables}{$name})
		{
			push @complaints, sprintf('%s: %s, %s, %s', $name,
				$expected ? 'is due' : 'is not due',
				$seen->{tables}{$name} ? 'is there' : 'is not there',
				$output ? 'is registered' : 'is not registered');
			next;
		}
		my $rows = join ' ', map { "$_:$expected->{rows}{$_}" } sort { $a <=> $b } keys %{ $expected->{rows} };
		my $found = join ' ', @{ $seen->{tables}{$name} };
		push @complaints, "$name contains ($found) and not ($rows)" if $found ne $rows;
		push @complaints, "$name: etl.output says run $output->{run_id} and not $expected->{run_id}"
		  if $output->{run_id} != $expected->{run_id};
		push @complaints, "$name: etl.output says $output->{rows} rows"
		  if $output->{rows} != keys %{ $expected->{rows} };
		push @complaints, "$name: etl.output does not point at the table" unless $output->{there};
	}
	return @complaints;
}

# A run that did not succeed leaves what it made, for etl.resume.
sub check_leftovers
{
	my ($seen) = @_;
	return $seen->{staging} && $seen->{run}{status} eq 'SUCCESS' ? 'the staging schema is still there' : ();
}

1;
