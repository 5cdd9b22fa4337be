"""The ETL framework that etl_framework comes from, on local Spark.

	spark.py load DIRECTORY ROWS RESULT		makes the source, as Parquet files
	spark.py run DIRECTORY ROWS RESULT		runs the pipeline

Metadata rows say what the steps are.  Steps whose inputs are there go to a thread
pool; each becomes a DataFrame with the flags of its row (repartition, cache, persist,
broadcast), a temporary view, and a row of the log, for which its rows are
counted and its size is asked for.  Start-up is measured apart from the run."""

import json
import sys
import time

started = time.monotonic()

from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from datetime import datetime

from pyspark import StorageLevel
from pyspark.sql import SparkSession
from pyspark.sql import functions as f


def session():
    """local[2]: as many cores as the others have.  Four shuffle partitions instead of Spark's 200, which
    would only cost it time here."""
    return (SparkSession.builder.master('local[2]').appName('etl')
            .config('spark.ui.enabled', 'false').config('spark.driver.memory', '8g')
            .config('spark.sql.shuffle.partitions', '4').config('spark.sql.ansi.enabled', 'false')
            .config('spark.sql.session.timeZone', 'UTC').config('spark.driver.bindAddress', '127.0.0.1')
            .config('spark.driver.host', '127.0.0.1').getOrCreate())


def load(spark, directory, rows):
    """The rows of works/seed_data.sql."""
    i = f.col('id')
    source = spark.range(1, rows + 1, 1, 4).select(
        i, (1 + i * 7919 % 50000).cast('int').alias('customer_id'),
        f.when(i % 100 == 3, None).otherwise(f.concat(f.lit('category_'), i * 31 % 20)).alias('category'),
        f.when(i % 100 == 1, None).when(i % 100 == 2, f.lit(-1))
        .otherwise((i * 104729 % 100000).cast('decimal(12,2)') / 100).cast('decimal(12,2)').alias('amount'),
        f.timestamp_seconds(1704067200 + i * 20).alias('created_at'))
    source.write.mode('overwrite').parquet(f'{directory}/source_table')
    n = f.col('id')
    spark.range(20).select(f.concat(f.lit('category_'), n).alias('category'), f.concat(f.lit('department_'), n % 4).alias('department')) \
        .write.mode('overwrite').parquet(f'{directory}/lookup_table')


class Framework:
    def __init__(self, spark, metadata):
        self.spark = spark
        self.metadata = {row['process_name']: row for row in metadata}
        self.log = []

    def execute_step(self, row):
        entry = {'step_id': row['step_id'], 'process_name': row['process_name'], 'start_time': str(datetime.now()), 'status': 'RUNNING'}
        try:
            frame = self.spark.sql(row['sql_query'])
            if row.get('repartition'):
                frame = frame.repartition(row['repartition'])
            if row.get('cache'):
                frame = frame.cache()
            if row.get('persist'):
                frame = frame.persist(StorageLevel.MEMORY_AND_DISK)
            if row.get('broadcast'):
                frame = f.broadcast(frame)
            frame.createOrReplaceTempView(row['process_name'])
            entry['count_rows'] = frame.count()
            entry['table_size'] = int(str(frame._jdf.queryExecution().optimizedPlan().stats().sizeInBytes()))
            entry['status'] = 'SUCCESS'
        except Exception as error:
            entry['status'] = 'FAILED'
            entry['error_message'] = str(error)
            raise
        finally:
            entry['end_time'] = str(datetime.now())
            self.log.append(entry)

    def run(self, workers=2):
        waiting = dict(self.metadata)
        done = set()
        running = {}
        with ThreadPoolExecutor(workers) as pool:
            while waiting or running:
                for name in [name for name, row in waiting.items() if done.issuperset(row['depends_on'])]:
                    running[pool.submit(self.execute_step, waiting.pop(name))] = name
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    future.result()
                    done.add(running.pop(future))


def content(spark, name, limit=1000):
    """For the check that all contestants made the same."""
    frame = spark.table(name)
    rows = frame.limit(limit + 1).collect()
    if len(rows) > limit:
        return []
    return sorted('|'.join(str(value) for value in row) for row in rows)


def main(what, directory, rows, result):
    spark = session()
    spark.sparkContext.setLogLevel('ERROR')
    start_up = time.monotonic() - started
    if what == 'load':
        load(spark, directory, int(rows))
        outcome = {}
    else:
        with open(f'{directory}/metadata.json') as file:
            metadata = json.load(file)
        start = time.monotonic()
        for table in ('source_table', 'lookup_table'):
            spark.read.parquet(f'{directory}/{table}').createOrReplaceTempView(table)
        framework = Framework(spark, metadata)
        framework.run()
        seconds = time.monotonic() - start
        outcome = {'seconds': seconds, 'start_up': start_up,
                   'made': {entry['process_name']: [entry['count_rows'], content(spark, entry['process_name'])] for entry in framework.log}}
    spark.stop()
    with open(result, 'w') as file:
        json.dump(outcome, file)


main(*sys.argv[1:])
