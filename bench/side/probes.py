"""Figures of ours that no contest gives: generators of dictionaries, each a result."""

import json
import math
import os
import re
import statistics
import subprocess
import time

from server import Failed
import works


def dispatch(server):
    """From the end of a step's last input to its own start, in the last run."""
    line = server.sql("""
        WITH r AS (SELECT max(run_id) AS run_id FROM etl.run_log),
        gap AS (SELECT 1000 * extract(epoch FROM a.start_time - lag(a.end_time) OVER (ORDER BY a.step_id)) AS ms
                FROM etl.log a JOIN r USING (run_id))
        SELECT count(ms), percentile_cont(0.5) WITHIN GROUP (ORDER BY ms), percentile_cont(0.95) WITHIN GROUP (ORDER BY ms) FROM gap""")
    count, median, most = line.split('|')
    return {'steps': int(count), 'median_ms': float(median), 'p95_ms': float(most)}


# ---- a query step against CREATE UNLOGGED TABLE AS and ANALYZE ----

QUERIES = {
    'copy': 'SELECT id, customer_id, category, amount, created_at FROM source_table',
    'filter': 'SELECT id, customer_id, amount FROM source_table WHERE amount > 100',
    'join': 'SELECT s.id, s.customer_id, l.department, s.amount FROM source_table s JOIN lookup_table l USING (category)',
    'aggregate': 'SELECT customer_id, category, count(*) AS orders, sum(amount) AS spent FROM source_table GROUP BY customer_id, category',
}

# two-sided 95 %, by degrees of freedom
STUDENT = {1: 12.71, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228, 11: 2.201, 12: 2.179,
           13: 2.160, 14: 2.145, 19: 2.093, 24: 2.064, 29: 2.045}


def interval(ratios):
    """The geometric mean of ratios and its 95 % confidence interval."""
    logs = [math.log(ratio) for ratio in ratios]
    mean = statistics.mean(logs)
    if len(logs) < 2:
        return math.exp(mean), None, None
    degrees = len(logs) - 1
    t = STUDENT[max(k for k in STUDENT if k <= degrees)]
    half = t * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def read_ms(server, table):
    """A first read of a table, by a session that has never seen it."""
    output = subprocess.run(server.psql_command('-At', '-c', '\\timing on', '-c', f'SELECT count(*) FROM {table}'), env=server.env,
                            text=True, capture_output=True, check=True, timeout=600).stdout
    return float(re.search(r'Time: ([\d.]+) ms', output)[1])


def step(bench, quick):
    """a query step against CREATE UNLOGGED TABLE AS and ANALYZE, in pairs; the first read of its table"""
    server = bench.server
    rows = 50000 if quick else 2000000
    pairs = 3 if quick else 20
    with open(f'{os.path.dirname(__file__)}/../works/seed_data.sql') as file:
        server.sql(file.read(), {'rows': rows})
    server.sql('CREATE SCHEMA pair')
    for name, query in QUERIES.items():
        for pipeline, options in ((f'pair_{name}', ''), (f'pair_{name}_cache', ', cache => true')):
            server.sql(f"""SELECT etl.create_pipeline('{pipeline}', target_schema => '{pipeline}', search_path => 'public');
                SELECT etl.add_step('{pipeline}', 'made', $q${query}$q${options})""")
        times = {'ctas': [], 'step': [], 'in_log': [], 'read_ctas': [], 'read_step': [], 'read_cache': []}

        def by_hand(analyze=True):
            server.sql('DROP TABLE IF EXISTS pair.made')
            server.tidy()
            return server.timed(server.psql_command('-c', f'CREATE UNLOGGED TABLE pair.made AS {query}',
                                                    *(['-c', 'ANALYZE pair.made'] if analyze else [])), bench.arguments.limit, bench.ours.log)

        def by_etl(pipeline):
            server.sql(f'DROP TABLE IF EXISTS {pipeline}.made')
            server.tidy()
            return server.timed(server.psql_command('-c', f"SELECT etl.run('{pipeline}')"), bench.arguments.limit, bench.ours.log)

        for pair in range(pairs):
            for who in (('ctas', 'step') if pair % 2 == 0 else ('step', 'ctas')):
                if who == 'ctas':
                    times['ctas'].append(by_hand())
                    continue
                times['step'].append(by_etl(f'pair_{name}'))
                times['in_log'].append(float(server.sql(
                    'SELECT extract(epoch FROM end_time - start_time) FROM etl.log ORDER BY run_id DESC LIMIT 1')))
                times['read_step'].append(read_ms(server, f'pair_{name}.made'))
            if name in ('copy', 'filter'):
                by_hand(False)
                times['read_ctas'].append(read_ms(server, 'pair.made'))
                by_etl(f'pair_{name}_cache')
                times['read_cache'].append(read_ms(server, f'pair_{name}_cache.made'))
        for what, above, below in (('whole_run', 'step', 'ctas'), ('in_log', 'in_log', 'ctas'), ('read', 'read_ctas', 'read_step'),
                                   ('read_cache', 'read_ctas', 'read_cache')):
            if not times[above] or not times[below]:
                continue
            ratio, low, high = interval([a / b for a, b in zip(times[above], times[below])])
            yield {'name': f'{what}_{name}', 'query': name, 'what': what, 'rows': rows, 'pairs': pairs, 'ratio': ratio, 'low': low, 'high': high,
                   'above': statistics.median(times[above]), 'below': statistics.median(times[below])}
        for pipeline in (f'pair_{name}', f'pair_{name}_cache'):
            server.sql(f"SELECT etl.drop_pipeline('{pipeline}', drop_tables => true)")
    server.sql('DROP SCHEMA pair CASCADE; DROP TABLE source_table, lookup_table')


# ---- processes ----

def processes(server):
    rows = server.sql("SELECT pid, backend_type FROM pg_stat_activity WHERE backend_type LIKE 'etl_framework%' ORDER BY 2, 1").splitlines()
    return {int(row.split('|')[0]): row.split('|')[1].removeprefix('etl_framework ') for row in rows}


def processor_time(pid):
    """Of a process: ticks of 10 ms, and nanoseconds where the kernel tells."""
    with open(f'/proc/{pid}/stat') as file:
        fields = file.read().rpartition(')')[2].split()
    try:
        with open(f'/proc/{pid}/schedstat') as file:
            nanoseconds = int(file.read().split()[0])
    except OSError:
        nanoseconds = None
    return int(fields[11]) + int(fields[12]), nanoseconds


def idle(bench, quick):
    """processor time of a run whose only step waits"""
    server = bench.server
    seconds = 3 if quick else 10
    server.sql(f"""SELECT etl.create_pipeline('idle');
        SELECT etl.add_step('idle', 'sleeps', 'SELECT 1 AS x FROM pg_sleep({seconds + 10})')""")
    run = server.sql("SELECT etl.start('idle')")
    time.sleep(2)
    pids = processes(server)
    before = {pid: processor_time(pid) for pid in pids}
    time.sleep(seconds)
    after = {pid: processor_time(pid) for pid in pids}
    server.sql(f'SELECT etl.cancel({run}); SELECT etl.wait({run}); SELECT etl.drop_pipeline($$idle$$)')
    for pid, kind in pids.items():
        ns = None if before[pid][1] is None else after[pid][1] - before[pid][1]
        yield {'name': f'idle_{kind}', 'process': kind, 'seconds': seconds, 'ticks': after[pid][0] - before[pid][0],
               'microseconds': None if ns is None else ns / 1000}


# ---- many steps ----

def scale(bench, quick):
    """wide runs of up to 10,000 steps: is the time a step the same?"""
    server = bench.server
    sizes = [100, 200] if quick else [1000, 2000, 5000, 10000]
    for count in sizes:
        work = works.wide(count)
        work.name = f'scale_{count}'
        with server.database(f'bench_{work.name}', keep=True):
            for player in (contestant for contestant in [*bench.others, bench.ours] if contestant.name in ('psql', 'etl')):
                seconds = []
                for _ in range(1 if quick or count == sizes[-1] else 3):
                    player.prepare(work)
                    player.clear(work)
                    server.tidy()
                    result = player.sample(work, 'first')
                    seconds.append(result['seconds'])
                yield {'name': f'scale_{player.name}_{count}', 'contestant': player.name, 'steps': count, 'seconds': statistics.median(seconds),
                       'publish': result.get('publish')}


# Where the server keeps what it knows of relations: not ours, and bounded by their number.
CACHES = re.compile(r'^(CacheMemoryContext|Relcache by OID|smgr relation table)$')


def memory_of(server, pid):
    """Bytes in a process's memory contexts, without caches and with: the process writes them into the server's log."""
    offset = os.path.getsize(server.log)
    server.sql(f'SELECT pg_log_backend_memory_contexts({pid})')
    deadline = time.monotonic() + 20
    while True:
        with open(server.log, errors='replace') as file:
            file.seek(offset)
            text = file.read()
        if f'[{pid}]' in text and 'Grand total: ' in text:
            break
        if time.monotonic() > deadline:
            raise Failed(f'process {pid} does not tell its memory')
        time.sleep(0.05)
    own = total = 0
    cache_level = None
    for level, name, size in re.findall(rf'\[{pid}\].* level: (\d+); (.*?): (\d+) total in', text):
        total += int(size)
        if cache_level is not None and int(level) <= cache_level:
            cache_level = None
        if cache_level is not None:
            continue
        if CACHES.match(name):
            cache_level = int(level)
        else:
            own += int(size)
    return own, total


GATE = "DO $do$ BEGIN WHILE NOT EXISTS (SELECT FROM public.gate WHERE name = '{}') LOOP PERFORM pg_sleep(0.01); END LOOP; END $do$"


def at_gate(server, run, step, limit):
    deadline = time.monotonic() + limit
    while server.sql(f"SELECT count(*) FROM etl.log WHERE run_id = {run} AND process_name = '{step}' AND status = 'RUNNING'") == '0':
        if time.monotonic() > deadline:
            raise Failed(f'the run does not come to step {step}')
        time.sleep(0.2)
    return {pid: (kind, *memory_of(server, pid)) for pid, kind in processes(server).items()}


def memory(bench, quick):
    """how much the processes of a run grow between step 100 and step 10,000"""
    server = bench.server
    count = 500 if quick else 10000
    warm = 100
    steps = works.wide(count).steps
    rows = [{'process_name': s.name, 'sql_query': s.sql, **({'depends_on': ['first']} if i >= warm else {})} for i, s in enumerate(steps)]
    rows += [{'process_name': 'first', 'sql_query': GATE.format('first'), 'depends_on': [s.name for s in steps[:warm]]},
             {'process_name': 'last', 'sql_query': GATE.format('last'), 'depends_on': [s.name for s in steps]}]
    server.sql(f"""ALTER SYSTEM SET log_line_prefix = '%m [%p] '; SELECT pg_reload_conf();
        CREATE TABLE gate (name text); SELECT etl.create_pipeline('memory');
        SELECT etl.update_metadata('memory', $steps${json.dumps(rows)}$steps$)""")
    run = server.sql("SELECT etl.start('memory')")
    try:
        before = at_gate(server, run, 'first', 60)
        server.sql("INSERT INTO gate VALUES ('first')")
        after = at_gate(server, run, 'last', bench.arguments.limit)
        server.sql("INSERT INTO gate VALUES ('last')")
        status = server.sql(f"SELECT etl.wait({run}, '{bench.arguments.limit} s')")
    except BaseException:
        server.sql(f'SELECT etl.cancel({run}); SELECT etl.wait({run}, $$1min$$)')
        raise
    if status != 'SUCCESS':
        raise Failed(f'the run ended with {status}')
    for kind in sorted({kind for kind, _, _ in after.values()}):
        grown = [(after[pid][1] - before[pid][1], after[pid][2] - before[pid][2]) for pid in after if pid in before and after[pid][0] == kind]
        if grown:
            yield {'name': f'memory_{kind}', 'process': kind, 'steps': count, 'bytes': max(g[0] for g in grown),
                   'with_caches': max(g[1] for g in grown)}
    server.sql("SELECT etl.drop_pipeline('memory', drop_tables => true); DROP TABLE gate")


def dag(bench, quick):
    """the scheduler by itself: 100,000 steps in memory"""
    source = f'{bench.arguments.directory}/src'
    for number in range(bench.repeat):
        line = subprocess.run(['make', '-s', '-C', f'{source}/test/unit', 'bench', f'PG_CONFIG={bench.arguments.pg_config}'],
                              capture_output=True, text=True, check=True, timeout=300).stdout
        steps, edges, ms = re.search(r'scheduled (\d+) steps with (\d+) edges in ([\d.]+) ms', line).groups()
        yield {'name': 'dag', 'round': number, 'steps': int(steps), 'edges': int(edges), 'ms': float(ms)}


PROBES = {'scale': scale, 'memory': memory, 'step': step, 'idle': idle, 'dag': dag}
