"""The bench's private server, as its clients see it: psql, and /proc."""

import contextlib
import os
import signal
import subprocess
import time


class Failed(Exception):
    """A sample that did not come to its end, and why."""


class Server:
    def __init__(self, directory, pg_config):
        self.directory = directory
        self.bindir = subprocess.check_output([pg_config, '--bindir'], text=True).strip()
        self.pg_config = pg_config
        self.log = f'{directory}/server/server.log'
        self.env = dict(os.environ, PGHOST=f'{directory}/server', PGPORT='5432', PGUSER='postgres',
                        PGDATABASE='postgres', HOME=directory, DO_NOT_TRACK='1')

    @contextlib.contextmanager
    def database(self, name, keep):
        """A new database with the extension, in which clients work meanwhile; "keep" it afterwards?"""
        self.sql(f'CREATE DATABASE {name}', database='postgres')
        before, self.env['PGDATABASE'] = self.env['PGDATABASE'], name
        try:
            self.sql('CREATE EXTENSION etl_framework')
            yield
        finally:
            self.env['PGDATABASE'] = before
            if not keep:
                self.sql(f'DROP DATABASE {name} WITH (FORCE)', database='postgres')

    def psql_command(self, *arguments):
        return [f'{self.bindir}/psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', *arguments]

    def sql(self, statement, variables=None, database=None, timeout=900):
        """Executes what psql understands, each statement in its own transaction; returns the output, unaligned."""
        command = self.psql_command('-At', *[f'-v{k}={v}' for k, v in (variables or {}).items()])
        if database:
            command += ['-d', database]
        done = subprocess.run(command, input=statement, env=self.env, text=True, capture_output=True, timeout=timeout)
        if done.returncode != 0:
            raise Failed(done.stderr.strip())
        return done.stdout.strip()

    def timed(self, command, limit, log, env=None, cwd=None):
        """Runs a program to its end: wall-clock seconds.  After limit seconds it is
        killed with all that it started, and so are its sessions."""
        with open(log, 'ab') as output:
            start = time.monotonic()
            process = subprocess.Popen(command, env={**self.env, **(env or {})}, cwd=cwd, stdin=subprocess.DEVNULL,
                                       stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
            try:
                status = process.wait(limit)
            except subprocess.TimeoutExpired:
                self.abandon([process])
                raise Failed(f'not done after {limit:g} s') from None
            except BaseException:
                self.abandon([process])
                raise
            seconds = time.monotonic() - start
        if status != 0:
            raise Failed(f'ended with status {status}: {last_lines(log)}')
        return seconds

    def abandon(self, processes):
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.sql("""
            SELECT etl.cancel(run_id) FROM etl.run_log WHERE status = 'RUNNING';
            SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
             WHERE backend_type = 'client backend' AND pid <> pg_backend_pid();""", timeout=60)

    def tidy(self):
        """Nothing that one sample leaves behind is paid for by the next."""
        self.sql("""
            VACUUM (ANALYZE) pg_class, pg_attribute, pg_type, pg_depend, pg_shdepend, pg_statistic, pg_index, pg_namespace;
            VACUUM (ANALYZE) etl.attempt_data, etl.run_data, etl.output_data;
            CHECKPOINT""")


def last_lines(log, count=5):
    with open(log, errors='replace') as file:
        return '\n'.join(file.read().splitlines()[-count:])
