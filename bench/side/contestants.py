"""Who does the work.  Each contestant writes its tables to a schema of its own.

	prepare(work)	writes what it needs for the work; not measured
	clear(work)		takes away what its last sample has made; not measured
	sample(work, mode)	does the work; returns {"seconds": ..., and what else is known}
"""

import json
import os
import re
import shutil
import subprocess
import time

from server import Failed

QUIET = 'SET client_min_messages = warning;\n'


def replace_names(step, how):
    """The step's SQL with another text for each step that it reads; columns are qualified by aliases, or by
    the name itself, which stays."""
    if not step.reads:
        return step.sql
    return re.sub(rf'\b({"|".join(step.reads)})\b(?!\.)', lambda match: how(match[1]), step.sql)


class Contestant:
    name = title = ''
    environment = None              # of Python packages

    def __init__(self, server, cache, limit):
        self.server = server
        self.limit = limit
        self.bin = f'{cache}/{self.environment or self.name}/bin'
        self.schema = f'out_{self.name}'
        self.directory = f'{server.directory}/{self.name}'
        self.log = f'{server.directory}/{self.name}.log'

    def missing(self):
        """Why it cannot take part, or None."""
        if self.environment and not os.path.exists(f'{self.bin}/python'):
            return 'it is not installed'
        return None

    def version(self):
        return ''

    def prepare(self, work):
        shutil.rmtree(self.directory, ignore_errors=True)
        os.makedirs(self.directory)

    def put_away(self, work, *schemas):
        """Out of the way with what was made.  The thousands of files of a trivial work are only renamed: for
        minutes after a file was deleted, ext4 does not use its inode again, but looks at it whenever it makes a file,
        so that whoever comes next would pay for what was deleted before."""
        names = ', '.join(f"'{schema}'" for schema in schemas)
        command = "format('ALTER SCHEMA %I RENAME TO %I', nspname, 'past_' || oid)" if work.trivial else \
            "format('DROP SCHEMA %I CASCADE', nspname)"
        self.server.sql(f'{QUIET} SELECT {command} FROM pg_namespace WHERE nspname IN ({names}) \\gexec')

    def clear(self, work):
        self.put_away(work, self.schema)
        self.server.sql(f'CREATE SCHEMA {self.schema}')

    def write(self, path, text):
        path = f'{self.directory}/{path}'
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as file:
            file.write(text)
        return path

    def package_version(self, package):
        return subprocess.check_output([f'{self.bin}/python', '-c',
                                        f'import importlib.metadata as m; print(m.version("{package}"))'], text=True).strip()


class Etl(Contestant):
    """Ours: etl.run, with everything that belongs to it."""
    name, title = 'etl', 'etl_framework'

    def version(self):
        return self.server.sql("SELECT extversion FROM pg_extension WHERE extname = 'etl_framework'")

    def clear(self, work):
        rows = [{'process_name': step.name, 'sql_query': step.sql, **step.options} for step in work.steps]
        self.server.sql(f"{QUIET} SELECT etl.drop_pipeline(pipeline) FROM etl.pipeline WHERE pipeline = '{work.name}'")
        self.put_away(work, self.schema)
        self.server.sql(f"""BEGIN;
            SELECT etl.create_pipeline('{work.name}', target_schema => '{self.schema}', search_path => 'public');
            SELECT etl.update_metadata('{work.name}', $steps${json.dumps(rows)}$steps$);
            COMMIT""")

    def sample(self, work, mode):
        command = self.server.psql_command('-At', '-c', f"SELECT etl.run('{work.name}')")
        seconds = self.server.timed(command, self.limit, self.log)
        log = self.server.sql("""
            WITH r AS (SELECT * FROM etl.run_log ORDER BY run_id DESC LIMIT 1)
            SELECT jsonb_build_object(
             'to_first_step', extract(epoch FROM min(a.start_time) - r.start_time),
             'steps', extract(epoch FROM max(a.end_time) - min(a.start_time)),
             'publish', extract(epoch FROM r.end_time - max(a.end_time)),
             'in_steps', extract(epoch FROM sum(a.end_time - a.start_time)))
            FROM r JOIN etl.log a USING (run_id) GROUP BY r.run_id, r.start_time, r.end_time""")
        return {'seconds': seconds, **json.loads(log)}


class Psql(Contestant):
    """A script by hand, in one session."""
    name, title = 'psql', 'psql script'

    logged = False

    def version(self):
        return subprocess.check_output([f'{self.server.bindir}/psql', '--version'], text=True).split()[2]

    def statements(self, step, drop):
        kind = 'TABLE' if step.logged or self.logged else 'UNLOGGED TABLE'
        return (f'DROP TABLE IF EXISTS {step.name};\n' if drop else '') + \
            f'CREATE {kind} {step.name} AS\n{step.sql};\nANALYZE {step.name};\n'

    def head(self):
        return f'SET search_path = {self.schema}, public;\n'

    def prepare(self, work):
        super().prepare(work)
        for mode in ('first', 'again'):
            self.write(f'{mode}.sql', self.head() + ''.join(self.statements(step, mode == 'again') for step in work.steps))

    def sample(self, work, mode):
        command = self.server.psql_command('-f', f'{self.directory}/{mode}.sql')
        return {'seconds': self.server.timed(command, self.limit, self.log)}


class PsqlLogged(Psql):
    name, title = 'psql_logged', 'psql script, logged tables'
    logged = True


class PsqlTwo(Psql):
    """A script by hand for two sessions, which wait for each other between stages."""
    name, title = 'psql2', 'two psql sessions by hand'

    def prepare(self, work):
        Contestant.prepare(self, work)
        self.scripts = {mode: [[''.join(self.statements(step, mode == 'again') for step in lane) for lane in stage]
                               for stage in work.stages] for mode in ('first', 'again')}

    def sample(self, work, mode):
        start = time.monotonic()
        with open(self.log, 'ab') as log:
            sessions = [subprocess.Popen(self.server.psql_command('-At', '-f', '-'), env=self.server.env, stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True) for _ in 'ab']
            try:
                for session in sessions:
                    session.stdin.write(self.head())
                for stage in self.scripts[mode]:
                    for session, script in zip(sessions, stage):
                        session.stdin.write(f'{script}\\echo done\n')
                        session.stdin.flush()
                    for session in sessions:
                        if session.stdout.readline() != 'done\n':
                            raise Failed('a session has ended early')
                    if time.monotonic() - start > self.limit:
                        raise Failed(f'not done after {self.limit:g} s')
                for session in sessions:
                    session.stdin.close()
                    session.wait(self.limit)
            except BaseException:
                self.server.abandon(sessions)
                raise
        return {'seconds': time.monotonic() - start}


class Make(Psql):
    """make -j2, a psql for each step: the runner that every system has."""
    name, title = 'make', 'make -j2, one psql a step'

    def version(self):
        return subprocess.check_output(['make', '--version'], text=True).split()[2]

    def prepare(self, work):
        Contestant.prepare(self, work)
        for mode in ('first', 'again'):
            psql = ' '.join(self.server.psql_command())
            rules = [f'all: {" ".join(step.name for step in work.steps)}\n']
            for step in work.steps:
                self.write(f'{mode}/{step.name}.sql', self.head() + self.statements(step, mode == 'again'))
                rules.append(f'{step.name}: {" ".join(step.reads)}\n\t@{psql} -f {mode}/{step.name}.sql\n')
            self.write(f'{mode}.mk', ''.join(rules) + f'.PHONY: all {" ".join(step.name for step in work.steps)}\n')

    def sample(self, work, mode):
        return {'seconds': self.server.timed(['make', '-r', '-s', '-j2', '-f', f'{mode}.mk', 'all'], self.limit, self.log,
                                             cwd=self.directory)}


class Dbt(Contestant):
    """dbt-core: the steps as models, unlogged tables, ANALYZE as a hook, two threads."""
    name, title, environment = 'dbt', 'dbt-core, 2 threads', 'dbt'

    def version(self):
        return f'{self.package_version("dbt-core")} with dbt-postgres {self.package_version("dbt-postgres")}'

    def prepare(self, work):
        super().prepare(work)
        self.write('dbt_project.yml', """
name: bench
profile: bench
version: '1.0.0'
config-version: 2
flags: {send_anonymous_usage_stats: false, partial_parse: true}
models: {bench: {+materialized: table, +post-hook: 'ANALYZE {{ this }}'}}
""")
        self.write('profiles.yml', f"""
bench:
  target: here
  outputs:
    here: {{type: postgres, host: '{self.server.env["PGHOST"]}', port: 5432, user: postgres, password: '',
            dbname: {self.server.env["PGDATABASE"]}, schema: {self.schema}, threads: 2, search_path: public}}
""")
        for step in work.steps:
            query = replace_names(step, lambda name: f"{{{{ ref('{name}') }}}}")
            unlogged = 'false' if step.logged else 'true'
            self.write(f'models/{step.name}.sql', f'{{{{ config(unlogged={unlogged}) }}}}\n{query}\n')
        self.dbt('parse')

    def dbt(self, *arguments):
        return self.server.timed([f'{self.bin}/dbt', '--no-use-colors', '--quiet', *arguments], self.limit, self.log,
                                 {'DBT_PROFILES_DIR': self.directory, 'PATH': f'{self.bin}:/usr/bin:/bin'}, self.directory)

    def sample(self, work, mode):
        return {'seconds': self.dbt('run')}


class Sqlmesh(Contestant):
    """SQLMesh: the steps as models of kind FULL, ANALYZE behind each, two tasks at a time."""
    name, title, environment = 'sqlmesh', 'SQLMesh, 2 tasks', 'sqlmesh'

    def version(self):
        return self.package_version('sqlmesh')

    def prepare(self, work):
        super().prepare(work)
        self.write('config.yaml', f"""
gateways:
  here:
    connection: {{type: postgres, host: '{self.server.env["PGHOST"]}', port: 5432, user: postgres, password: '',
                  database: {self.server.env["PGDATABASE"]}, concurrent_tasks: 2}}
default_gateway: here
disable_anonymized_analytics: true
model_defaults: {{dialect: postgres, start: '2024-01-01'}}
""")
        for step in work.steps:
            query = replace_names(step, lambda name: f'{self.schema}.{name}')
            self.write(f'models/{step.name}.sql',
                       f'MODEL (name {self.schema}.{step.name}, kind FULL, physical_properties (creatable_type = UNLOGGED));\n{query};\nANALYZE @this_model;\n')

    def clear(self, work):
        self.put_away(work, self.schema, 'sqlmesh', f'sqlmesh__{self.schema}')

    def sample(self, work, mode):
        return {'seconds': self.server.timed([f'{self.bin}/sqlmesh', 'plan', '--auto-apply', '--no-prompts', '--skip-tests'],
                                             self.limit, self.log, {'PATH': f'{self.bin}:/usr/bin:/bin', 'MAX_FORK_WORKERS': '2'},
                                             self.directory)}


class Pyspark(Contestant):
    """The framework that this extension replaces, on local Spark: see spark.py."""
    name, title, environment = 'pyspark', 'PySpark original, local[2]', 'pyspark'

    def missing(self):
        return super().missing() or (None if shutil.which('java') else 'there is no Java')

    def version(self):
        java = subprocess.run(['java', '-version'], capture_output=True, text=True).stderr.split('"')[1]
        return f'{self.package_version("pyspark")} on Java {java}'

    def clear(self, work):
        pass

    def prepare(self, work):
        """Its source is the same rows, in Parquet."""
        super().prepare(work)
        steps = [dict(step.options, sql_query=step.sql, depends_on=step.reads) for step in work.steps]
        self.write('metadata.json', json.dumps(steps))
        self.spark('load', work)

    def spark(self, what, work):
        result = f'{self.directory}/result.json'
        seconds = self.server.timed([f'{self.bin}/python', f'{os.path.dirname(__file__)}/spark.py', what, self.directory,
                                     str(work.rows), result], self.limit, self.log,
                                    {'JAVA_TOOL_OPTIONS': '', 'PYSPARK_PYTHON': f'{self.bin}/python',
                                     'SPARK_LOCAL_IP': '127.0.0.1', 'SPARK_LOCAL_HOSTNAME': 'localhost'})
        with open(result) as file:
            return {**json.load(file), 'in_all': seconds}

    def sample(self, work, mode):
        return self.spark('run', work)


OURS = Etl
OTHERS = (Psql, PsqlLogged, PsqlTwo, Make, Dbt, Sqlmesh, Pyspark)
