"""Measures the works that bench/run was asked for, and writes what it finds to file
descriptor 3, one JSON object a line:

	session		machine, versions, settings; all that follows belongs to it
	work		one that has been begun
	sample		seconds of one contestant
	skip		a contestant that does not take part, and why
	probe		a figure of ours that no contest gives
	end			a work that has been measured to its end
"""

import argparse
import json
import os
import platform
import re
import signal
import sys
import time

import contestants
import probes
import works
from server import Failed, Server

HERE = os.path.dirname(os.path.abspath(__file__))


class Recorder:
    def __init__(self):
        self.file = os.fdopen(3, 'a', buffering=1)
        self.session = time.strftime('%Y%m%dT%H%M%SZ', time.gmtime()) + f'-{os.getpid()}'

    def __call__(self, kind, **values):
        self.file.write(json.dumps({'kind': kind, 'session': self.session, **values}) + '\n')


def say(text):
    print(f'[{time.strftime("%H:%M:%S")}] {text}', flush=True)


def machine():
    def first(path, pattern):
        try:
            with open(path) as file:
                found = re.search(pattern, file.read(), re.M)
                return found[1] if found else ''
        except OSError:
            return ''
    return {'cores': os.cpu_count(), 'processor': first('/proc/cpuinfo', r'^model name\s*: (.*)') or platform.machine(),
            'memory_gb': round(int(first('/proc/meminfo', r'^MemTotal:\s*(\d+)') or 0) / 1048576),
            'kernel': platform.release().split('-')[0], 'system': first('/etc/os-release', r'^PRETTY_NAME="(.*)"')}


def settings(server):
    return server.sql(r"""
        SELECT string_agg(name || ' = ' || current_setting(name), ', ' ORDER BY name) FROM pg_settings
         WHERE source = 'configuration file' AND name !~ '^(listen|unix|extension|dynamic_library|lc_|log_time|TimeZone|default_text|DateStyle|dynamic_shared|max_connections)'
        """)


def fingerprint(server, schema, work):
    """What was made: the number of rows of each table, and the content of those that are small."""
    made = {}
    for step in work.steps:
        made[step.name] = f"SELECT '{step.name}', count(*), CASE WHEN count(*) <= 1000 THEN (SELECT json_agg(l ORDER BY l COLLATE \"C\") " \
            f"FROM (SELECT concat_ws('|', {schema}.{step.name}.*) AS l FROM {schema}.{step.name}) AS t) END FROM {schema}.{step.name}"
    return server.sql(';\n'.join(made.values()), timeout=1800)


def compare(server, reference, contestant, work, result):
    """Everybody has to have made the same."""
    if 'made' in result:
        wanted = reference_content(server, reference.schema, work)
        mine = {name: (count, rows) for name, (count, rows) in result.pop('made').items()}
        for name, (count, rows) in wanted.items():
            if mine[name][0] != count or (rows and mine[name][1] != rows):
                raise Failed(f'table {name} is not what psql made: {mine[name][0]} rows instead of {count}, {mine[name][1][:2]} {rows[:2]}')
        return
    wanted = fingerprint(server, reference.schema, work)
    if fingerprint(server, contestant.schema, work) != wanted:
        raise Failed('its tables are not what psql made')


def reference_content(server, schema, work):
    wanted = {}
    for step in work.steps:
        columns = server.sql(f"SELECT string_agg(quote_ident(attname) || '::text', ', ' ORDER BY attnum) FROM pg_attribute "
                             f"WHERE attrelid = '{schema}.{step.name}'::regclass AND attnum > 0")
        count = int(server.sql(f'SELECT count(*) FROM {schema}.{step.name}'))
        rows = server.sql(f"SELECT concat_ws('|', {columns}) FROM {schema}.{step.name}").splitlines() if count <= 1000 else []
        wanted[step.name] = (count, sorted(rows))
    return wanted


class Bench:
    def __init__(self, arguments):
        self.arguments = arguments
        self.server = Server(arguments.directory, arguments.pg_config)
        self.record = Recorder()
        self.repeat = 1 if arguments.quick else arguments.repeat
        self.budget = float('inf') if arguments.budget == 0 else arguments.budget
        self.ours = contestants.OURS(self.server, arguments.cache, arguments.limit)
        self.others = [kind(self.server, arguments.cache, arguments.limit) for kind in contestants.OTHERS]
        self.failed = False

    def begin(self):
        versions = {'postgresql': self.server.sql('SHOW server_version'), 'python': platform.python_version()}
        for contestant in [self.ours, *self.others]:
            if contestant.name == 'etl' or contestant.name in self.arguments.against.split(',') and not contestant.missing():
                versions[contestant.name] = contestant.version()
        self.record('session', when=time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime()), machine=machine(), versions=versions,
                    settings=settings(self.server), quick=self.arguments.quick, repeat=self.repeat, budget=self.arguments.budget,
                    titles={c.name: c.title for c in [self.ours, *self.others]})

    # ---- works that everybody does ----

    def taking_part(self, work):
        for contestant in self.others:
            if contestant.name not in work.others or contestant.name not in self.arguments.against.split(','):
                continue
            missing = contestant.missing()
            if missing:
                say(f'**** {contestant.name} is SKIPPED: {missing}')
                self.record('skip', work=work.name, contestant=contestant.name, why=missing)
                continue
            yield contestant

    def measure(self, work):
        begun = time.monotonic()
        say(f'{work.name}: {work.title}')
        others = list(self.taking_part(work))
        self.record('work', work=work.name, title=work.title, steps=len(work.steps), rows=work.rows, trivial=work.trivial,
                    modes=work.modes)
        if work.data:
            start = time.monotonic()
            with open(work.data) as file:
                self.server.sql(file.read(), work.variables, timeout=1800)
            say(f'{work.name}: source data made in {time.monotonic() - start:.1f} s')
        players = []
        for contestant in [*others, self.ours]:
            if self.guarded(work, contestant, lambda: contestant.prepare(work)) is not None:
                players.append(contestant)
        spent = dict.fromkeys((player.name for player in players), 0.0)
        for number in range(self.repeat):
            # each comes first in its turn; but the reference has to be there for the first comparison
            order = players[number % len(players):] + players[:number % len(players)]
            for player in order:
                if player in players and (spent[player.name] < self.budget or player.name in ('psql', 'psql2', 'etl')):
                    outcome = self.guarded(work, player, lambda: self.one(work, player, players, number))
                    if outcome is None:
                        players.remove(player)
                    else:
                        spent[player.name] += outcome
        self.record('end', work=work.name, seconds=round(time.monotonic() - begun, 1))
        say(f'{work.name}: took {time.monotonic() - begun:.0f} s')

    def guarded(self, work, player, what):
        """None where it failed: that contestant is out, for this work."""
        try:
            return what() or 0.0
        except Exception as error:
            say(f'**** {player.name} is OUT of {work.name}: {error}')
            self.record('skip', work=work.name, contestant=player.name, why=str(error)[:500])
            if player.name in ('psql', 'etl'):
                self.failed = True
            return None

    def one(self, work, player, players, number):
        total = 0.0
        player.clear(work)
        for mode in work.modes:
            if mode == 'again' and player.name in ('sqlmesh', 'pyspark'):
                continue            # without a change they would do nothing, or have nothing to replace
            self.server.tidy()
            result = player.sample(work, mode)
            reference = next((p for p in players if p.name == 'psql'), None)
            if number == 0 and mode == work.modes[-1] and reference and player is not reference:
                compare(self.server, reference, player, work, result)
            result.pop('made', None)
            total += result['seconds']
            say(f'{work.name}, {mode} {number + 1}: {player.name} {result["seconds"]:.3f} s')
            self.record('sample', work=work.name, contestant=player.name, mode=mode, round=number, **result)
            if player is self.ours and work.name == 'chain':
                self.record('probe', work=work.name, name='dispatch', **probes.dispatch(self.server))
        return total

    # ---- all of it ----

    def run(self):
        arguments = self.arguments
        steps = 100 if arguments.quick else arguments.steps
        contests = {
            'seed': lambda: [works.seed(self.server, HERE, rows) for rows in
                             ([100000] if arguments.quick else [int(rows) for rows in arguments.rows.split(',')])],
            'tpch': lambda: [works.tpch(HERE, 0.01 if arguments.quick else arguments.scale)],
            'wide': lambda: [works.wide(steps)],
            'chain': lambda: [works.chain(steps)],
            'layered': lambda: [works.layered(steps)],
        }
        self.begin()
        for name in arguments.work.split(','):
            if name in contests:
                for work in contests[name]():
                    try:
                        # so that works do not grow upon each other
                        with self.server.database(f'bench_{work.name}', keep=work.trivial):
                            self.measure(work)
                    except Exception as error:
                        say(f'**** {work.name} FAILED: {error}')
                        self.record('skip', work=work.name, contestant='etl', why=str(error)[:500])
                        self.failed = True
                continue
            begun = time.monotonic()
            say(f'{name}: {probes.PROBES[name].__doc__.splitlines()[0]}')
            self.record('work', work=name, title=probes.PROBES[name].__doc__.splitlines()[0])
            try:
                for values in probes.PROBES[name](self, arguments.quick):
                    say(f'{name}: {values}')
                    self.record('probe', work=name, **values)
            except Exception as error:
                say(f'**** {name} FAILED: {error}')
                self.record('skip', work=name, contestant='etl', why=str(error)[:500])
                self.failed = True
            self.record('end', work=name, seconds=round(time.monotonic() - begun, 1))
        return 1 if self.failed else 0


def stop(number, frame):
    """A signal: what is running is ended with us."""
    sys.exit(128 + number)


def main():
    signal.signal(signal.SIGTERM, stop)
    parser = argparse.ArgumentParser()
    for name in ('directory', 'cache', 'pg-config', 'work', 'against'):
        parser.add_argument(f'--{name}', required=True)
    parser.add_argument('--rows', default='1000000,5000000,20000000')
    parser.add_argument('--scale', type=float, default=1)
    parser.add_argument('--steps', type=int, default=1000)
    parser.add_argument('--repeat', type=int, default=5)
    parser.add_argument('--budget', type=float, default=45)
    parser.add_argument('--limit', type=float, default=600)
    parser.add_argument('--quick', action='store_true')
    bench = Bench(parser.parse_args())
    with bench.server.database('bench', keep=True):
        sys.exit(bench.run())


main()
