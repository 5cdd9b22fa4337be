"""The works: what is to be made, whoever makes it.

A step is a name, a query and what it reads; tables that no step makes are in
schema public.  "stages" is what somebody would write who splits the work over two
sessions by hand: a list of pairs of lists of steps; stages wait for each other."""

import json
import random
import re
from dataclasses import dataclass, field


@dataclass
class Step:
    name: str
    sql: str
    logged: bool = False                            # the others are unlogged
    options: dict = field(default_factory=dict)     # etl_framework's, as in etl.metadata
    reads: list = field(default_factory=list)       # names of steps
    lane: tuple = (1, 'a')


@dataclass
class Work:
    name: str
    title: str
    steps: list
    stages: list
    rows: int = 0                                   # of the source
    data: str = ''                                  # the script that makes the source
    variables: dict = field(default_factory=dict)
    others: tuple = ('psql', 'psql_logged', 'psql2', 'make', 'dbt')
    modes: tuple = ('first',)                       # and 'again': the last run's tables are there
    trivial: bool = False


def resolve(steps):
    """Fills in what steps read, from the names in their SQL."""
    names = {step.name for step in steps}
    for step in steps:
        words = dict.fromkeys(re.findall(r'\w+', step.sql))
        step.reads = [word for word in words if word in names and word != step.name]
    return steps


def stages_of(steps):
    stages = []
    for number in sorted({step.lane[0] for step in steps}):
        stages.append(tuple([step for step in steps if step.lane == (number, letter)] for letter in 'ab'))
    return stages


def seed(server, here, rows):
    """The seed pipeline, from its definition."""
    lanes = {'extract_data': (1, 'a'), 'clean_data': (1, 'a'), 'aggregate_data': (2, 'a'), 'customer_stats': (2, 'b'),
             'enrich_data': (3, 'a'), 'final_output': (4, 'a'), 'report_data': (4, 'b')}
    with open(f'{here}/../works/seed_pipeline.sql') as file:
        definition = file.read()
    listing = server.sql(f"""BEGIN; {definition.replace('BEGIN;', '').replace('COMMIT;', '')};
        SELECT to_jsonb(m) - 'pipeline' - 'version' FROM etl.metadata m ORDER BY step_id; ROLLBACK""")
    rows_of = [json.loads(line) for line in listing.splitlines() if line.startswith('{')]
    steps = [Step(row['process_name'], row['sql_query'].strip(), bool(row['persist']),
                  {key: value for key, value in row.items() if value is not None}, [], lanes[row['process_name']])
             for row in rows_of]
    millions = f'{rows / 1e6:g} million'
    # the more rows, the fewer contestants: those that a target names
    others = ('psql', 'psql_logged', 'psql2', 'dbt', 'sqlmesh', 'pyspark') if rows <= 1000000 else \
        ('psql', 'psql2', 'dbt', 'pyspark') if rows <= 5000000 else ('psql', 'pyspark')
    return Work(f'seed_{rows}', f'seed pipeline, {millions} rows', resolve(steps), stages_of(steps), rows,
                f'{here}/../works/seed_data.sql', {'rows': rows}, others)


def tpch(here, scale):
    with open(f'{here}/../works/tpch_steps.sql') as file:
        text = file.read()
    steps = [Step(name, ' '.join(query.split()), lane=(int(stage), letter)) for stage, letter, name, query in
             re.findall(r'^-- lane: (\d+) ([ab])\nCREATE TABLE (\w+) AS\n(.*?);$', text, re.M | re.S)]
    return Work('tpch', f'TPC-H-like warehouse, scale {scale:g}, {len(steps)} steps', resolve(steps), stages_of(steps),
                int(6000000 * scale), f'{here}/../works/tpch_data.sql', {'scale': scale},
                ('psql', 'psql2', 'dbt'))


def wide(count):
    steps = [Step(f's{i}', f'SELECT {i} AS x') for i in range(1, count + 1)]
    return Work('wide', f'{count} independent trivial steps', steps, [(steps[0::2], steps[1::2])],
                others=('psql', 'psql_logged', 'psql2', 'make', 'dbt', 'sqlmesh'), modes=('first', 'again'), trivial=True)


def chain(count):
    steps = [Step('s1', 'SELECT 1 AS x')]
    steps += [Step(f's{i}', f'SELECT x + 1 AS x FROM s{i - 1}') for i in range(2, count + 1)]
    return Work('chain', f'a chain of {count} trivial steps', resolve(steps), [(steps, [])], trivial=True)


def layered(count, width=25):
    """Layers of 25; each step reads one to three of the layer before."""
    chance = random.Random(6)
    steps = []
    for i in range(1, count + 1):
        layer = (i - 1) // width
        if layer == 0:
            steps.append(Step(f's{i}', f'SELECT {i} AS x'))
            continue
        before = range((layer - 1) * width + 1, layer * width + 1)
        inputs = [f's{j}' for j in sorted(chance.sample(before, chance.randint(1, min(3, width))))]
        total = ' + '.join(f'{name}.x' for name in inputs)
        steps.append(Step(f's{i}', f'SELECT ({total}) % 1000003 AS x FROM {", ".join(inputs)}'))
    stages = [(steps[i:i + width][0::2], steps[i:i + width][1::2]) for i in range(0, count, width)]
    return Work('layered', f'{count} trivial steps in random layers of {width}', resolve(steps), stages, trivial=True)
