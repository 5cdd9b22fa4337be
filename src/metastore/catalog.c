/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  Rows of the etl tables as C structs.
 *
 * The only file that knows the columns of the tables that define pipelines;
 * catalog_run.c and catalog_output.c are the other parts of catalog.h.
 *
 * The SQL names its tables and functions with their schemas.  Operators are
 * written plainly: spi.c pins search_path to pg_catalog (pg_temp is never
 * searched for operators), all columns are of built-in types, and nobody but
 * a superuser can create operators in pg_catalog.  So "=" can only be the
 * built-in one, and the statements stay readable.
 *
 * Values go in and out in the order of the statement's parameters and columns
 * (catalog_row.c); where a struct has many fields, the list of columns is a
 * macro that stands next to the code that reads it.
 *
 * There are no foreign keys between the tables: their triggers look with the
 * transaction's snapshot, so that under REPEATABLE READ they would refuse a row
 * whose parent was committed after it.  The code here keeps the references.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "metastore/catalog.h"
#include "metastore/catalog_row.h"
#include "base/spi.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

/* ---- words ---- */

static const char *const kind_words[] = {
	[ETL_STEP_QUERY] = "query",
	[ETL_STEP_COMMAND] = "command",
	[ETL_STEP_COMMAND_ALONE] = "command alone",
};

static const char *const durability_words[] = {
	[ETL_DURABILITY_UNLOGGED] = "unlogged",
	[ETL_DURABILITY_OUTPUTS] = "outputs",
	[ETL_DURABILITY_ALL] = "all",
};

const char *
catalog_kind_word(EtlStepKind kind)
{
	return kind_words[kind];
}

const char *
catalog_durability_word(EtlDurability durability)
{
	return durability_words[durability];
}

/* ---- reading definitions ---- */

#define PIPELINE_COLUMNS \
	"p.pipeline_id, p.pipeline, p.owner, " \
	"o.target_schema, o.search_path, o.max_parallel, o.max_attempts, o.retry_delay, " \
	"o.retry_on, o.step_timeout, o.run_timeout, o.ordering, o.durability, o.description, o.one_snapshot"

static Pipeline *
read_pipeline(Row *row)
{
	Pipeline   *pipeline = palloc0(sizeof(Pipeline));

	pipeline->version = row_get_int32(row, 0);
	pipeline->id = row_get_int32(row, 0);
	pipeline->name = row_get_text(row);
	pipeline->owner = row_get_oid(row);
	pipeline->target_schema = row_get_text(row);
	pipeline->search_path = row_get_text(row);
	pipeline->max_parallel = row_get_int32(row, 0);
	pipeline->max_attempts = row_get_int32(row, 1);
	pipeline->retry_delay_ms = row_get_interval(row);
	pipeline->retry_on = row_get_list(row);
	pipeline->step_timeout_ms = row_get_interval(row);
	pipeline->run_timeout_ms = row_get_interval(row);
	pipeline->staged = strcmp(row_get_text(row), "staged") == 0;
	pipeline->durability = catalog_word_index(row_get_text(row), durability_words,
											  lengthof(durability_words));
	pipeline->description = row_get_text(row);
	pipeline->one_snapshot = row_get_bool(row, true);

	return pipeline;
}

/* Return the one pipeline that the statement finds, or NULL. */
static Pipeline *
query_pipeline(EtlStatement *statement, const Params *params)
{
	Row			row;

	return catalog_query_row(statement, params, true, &row) ? read_pipeline(&row) : NULL;
}

Pipeline *
catalog_find_pipeline(const char *name)
{
	static EtlStatement statement = {
		.sql = "SELECT (SELECT pg_catalog.max(v.version) FROM etl.version_data v"
		"        WHERE v.pipeline_id = p.pipeline_id), " PIPELINE_COLUMNS
		" FROM etl.pipeline_data p"
		" JOIN etl.option_data o ON o.pipeline_id = p.pipeline_id AND o.until_version IS NULL"
		" WHERE p.pipeline = $1 AND p.dropped_at IS NULL",
		.nargs = 1,
		.argtypes = {TEXTOID}
	};
	Params		params = {.n = 0};

	params_put_text(&params, name);
	return query_pipeline(&statement, &params);
}

Pipeline *
catalog_load_pipeline(int32 pipeline_id, int32 version)
{
	static EtlStatement statement = {
		.sql = "SELECT v.version, " PIPELINE_COLUMNS
		" FROM etl.pipeline_data p"
		" JOIN etl.version_data v ON v.pipeline_id = p.pipeline_id"
		" JOIN etl.option_data o ON o.pipeline_id = p.pipeline_id"
		"  AND o.from_version <= v.version"
		"  AND (o.until_version IS NULL OR o.until_version > v.version)"
		" WHERE p.pipeline_id = $1 AND p.dropped_at IS NULL AND v.version ="
		"  CASE $2 WHEN 0 THEN (SELECT pg_catalog.max(n.version) FROM etl.version_data n"
		"                       WHERE n.pipeline_id = $1) ELSE $2 END",
		.nargs = 2,
		.argtypes = {INT4OID, INT4OID}
	};
	Params		params = {.n = 0};

	params_put_int32(&params, pipeline_id);
	params_put_int32(&params, version);
	return query_pipeline(&statement, &params);
}

/*
 * "until_version IS NULL", for statements that look for a step_id: written so,
 * the planner would scan the partial index on the names instead of the primary
 * key, if it made its plan while the table was small.
 */
#define STEP_IS_CURRENT "COALESCE(until_version, 0) = 0"

#define STEP_GRAPH_COLUMNS \
	"step_id, process_name, kind, reads, writes, depends_on, execution_order, keep, " \
	"max_attempts, step_timeout, persist, repartition"
#define STEP_BODY_COLUMNS \
	"sql_query, broadcast, cache, repartition_by, indexes, checks, " \
	"settings, description, partition_key, partition_readers"

static void *
read_graph(Row *row)
{
	Step	   *step = palloc0(sizeof(Step));

	step->step_id = row_get_int32(row, 0);
	step->process_name = row_get_text(row);
	step->kind = catalog_word_index(row_get_text(row), kind_words, lengthof(kind_words));
	step->reads = row_get_list(row);
	step->writes = row_get_list(row);
	step->depends_on = row_get_list(row);
	step->has_order = !row_get_isnull(row);
	step->execution_order = row_get_int32(row, 0);
	step->keep = row_get_bool(row, true);
	step->max_attempts = row_get_int32(row, 0);
	step->step_timeout_ms = row_get_interval(row);
	step->has_persist = !row_get_isnull(row);
	step->persist = row_get_bool(row, false);
	step->repartition = row_get_int32(row, 0);

	return step;
}

static void *
read_step(Row *row)
{
	Step	   *step = read_graph(row);

	step->sql_query = row_get_text(row);
	step->broadcast = row_get_bool(row, false);
	step->cache = row_get_bool(row, false);
	step->repartition_by = row_get_list(row);
	step->indexes = row_get_list(row);
	step->checks = row_get_list(row);
	step->settings = row_get_list(row);
	step->description = row_get_text(row);
	step->partition_key = row_get_text(row);
	step->partition_readers = row_get_list(row);

	return step;
}

static List *
query_version(EtlStatement *statement, int32 pipeline_id, int32 version, RowReader reader)
{
	Params		params = {.n = 0};

	params_put_int32(&params, pipeline_id);
	params_put_int32(&params, version);
	return catalog_query_list(statement, &params, reader);
}

#define STEPS_OF_VERSION \
	" FROM etl.step_data WHERE pipeline_id = $1 AND from_version <= $2" \
	" AND (until_version IS NULL OR until_version > $2)" \
	" ORDER BY step_id"

List *
catalog_load_steps(int32 pipeline_id, int32 version)
{
	static EtlStatement statement = {
		.sql = "SELECT " STEP_GRAPH_COLUMNS STEPS_OF_VERSION,
		.nargs = 2,
		.argtypes = {INT4OID, INT4OID}
	};

	return query_version(&statement, pipeline_id, version, read_graph);
}

List *
catalog_load_steps_with_bodies(int32 pipeline_id, int32 version)
{
	static EtlStatement statement = {
		.sql = "SELECT " STEP_GRAPH_COLUMNS ", " STEP_BODY_COLUMNS STEPS_OF_VERSION,
		.nargs = 2,
		.argtypes = {INT4OID, INT4OID}
	};

	return query_version(&statement, pipeline_id, version, read_step);
}

/* Return the one step that the statement finds, or NULL. */
static Step *
query_step(EtlStatement *statement, const Params *params)
{
	Row			row;

	return catalog_query_row(statement, params, true, &row) ? read_step(&row) : NULL;
}

Step *
catalog_load_step(int32 pipeline_id, int32 version, int32 step_id)
{
	static EtlStatement statement = {
		.sql = "SELECT " STEP_GRAPH_COLUMNS ", " STEP_BODY_COLUMNS
		" FROM etl.step_data WHERE pipeline_id = $1 AND step_id = $3 AND from_version <= $2"
		" AND (until_version IS NULL OR until_version > $2)",
		.nargs = 3,
		.argtypes = {INT4OID, INT4OID, INT4OID}
	};
	Params		params = {.n = 0};

	params_put_int32(&params, pipeline_id);
	params_put_int32(&params, version);
	params_put_int32(&params, step_id);
	return query_step(&statement, &params);
}

Step *
catalog_find_step(int32 pipeline_id, const char *process_name)
{
	static EtlStatement statement = {
		.sql = "SELECT " STEP_GRAPH_COLUMNS ", " STEP_BODY_COLUMNS
		" FROM etl.step_data WHERE pipeline_id = $1 AND process_name = $2"
		" AND until_version IS NULL",
		.nargs = 2,
		.argtypes = {INT4OID, TEXTOID}
	};
	Params		params = {.n = 0};

	params_put_int32(&params, pipeline_id);
	params_put_text(&params, process_name);
	return query_step(&statement, &params);
}

List *
catalog_load_keyless_steps(int32 pipeline_id, const List *names)
{
	static EtlStatement statement = {
		.sql = "SELECT " STEP_GRAPH_COLUMNS ", " STEP_BODY_COLUMNS
		" FROM etl.step_data WHERE pipeline_id = $1 AND until_version IS NULL"
		" AND repartition IS NOT NULL AND repartition_by IS NULL AND partition_key IS NULL"
		" AND process_name = ANY ($2) ORDER BY step_id",
		.nargs = 2,
		.argtypes = {INT4OID, TEXTARRAYOID}
	};
	Params		params = {.n = 0};

	params_put_int32(&params, pipeline_id);
	params_put_list(&params, names);
	return catalog_query_list(&statement, &params, read_step);
}

List *
catalog_load_readers(int32 pipeline_id, const List *references, int32 except)
{
	static EtlStatement statement = {
		.sql = "SELECT " STEP_GRAPH_COLUMNS ", " STEP_BODY_COLUMNS
		" FROM etl.step_data WHERE pipeline_id = $1 AND until_version IS NULL"
		" AND reads && $2 AND step_id <> $3 ORDER BY step_id",
		.nargs = 3,
		.argtypes = {INT4OID, TEXTARRAYOID, INT4OID}
	};
	Params		params = {.n = 0};

	params_put_int32(&params, pipeline_id);
	params_put_list(&params, references);
	params_put_int32(&params, except);
	return catalog_query_list(&statement, &params, read_step);
}

bool
catalog_lookup_step(int32 pipeline_id, int32 version, const char *process_name,
					int32 *step_id, EtlStepKind *kind, int32 *repartition)
{
	static EtlStatement statement = {
		.sql = "SELECT step_id, kind, repartition FROM etl.step_data"
		" WHERE pipeline_id + 0 = $1 AND process_name = $3 AND from_version + 0 <= $2"
		" AND (until_version IS NULL OR until_version > $2)",
		.nargs = 3,
		.argtypes = {INT4OID, INT4OID, TEXTOID}
	};
	Params		params = {.n = 0};
	Row			row;

	params_put_int32(&params, pipeline_id);
	params_put_int32(&params, version);
	params_put_text(&params, process_name);

	if (!catalog_query_row(&statement, &params, true, &row))
		return false;
	*step_id = row_get_int32(&row, 0);
	*kind = catalog_word_index(row_get_text(&row), kind_words, lengthof(kind_words));
	*repartition = row_get_int32(&row, 0);
	return true;
}

void
catalog_metadata_at(int32 pipeline_id, int32 version, Tuplestorestate *rows)
{
	static EtlStatement statement = {
		.sql = "SELECT m.pipeline, m.version, m.step_id, m.process_name, m.sql_query,"
		" m.depends_on, m.execution_order, m.broadcast, m.cache, m.persist, m.repartition,"
		" m.repartition_by, m.keep, m.indexes, m.checks, m.settings, m.max_attempts,"
		" m.step_timeout, m.description, m.kind"
		" FROM etl.metadata_all m WHERE m.pipeline_id = $1 AND m.version = $2"
		" ORDER BY m.step_id",
		.nargs = 2,
		.argtypes = {INT4OID, INT4OID}
	};
	Params		params = {.n = 0};
	EtlSpi		spi;
	uint64		n;

	params_put_int32(&params, pipeline_id);
	params_put_int32(&params, version);

	etl_spi_begin(&spi);
	n = catalog_execute(&statement, &params, true);
	for (uint64 i = 0; i < n; i++)
		tuplestore_puttuple(rows, SPI_tuptable->vals[i]);
	etl_spi_end(&spi);
}

/* ---- writing definitions ---- */

bool
catalog_lock_pipeline(int32 pipeline_id)
{
	static EtlStatement statement = {
		.sql = "SELECT p.pipeline_id FROM etl.pipeline_data p"
		" WHERE p.pipeline_id = $1 AND p.dropped_at IS NULL FOR NO KEY UPDATE",
		.nargs = 1,
		.argtypes = {INT4OID}
	};
	Params		params = {.n = 0};

	params_put_int32(&params, pipeline_id);
	return catalog_execute_write(&statement, &params) == 1;
}

int32
catalog_insert_pipeline(const char *name, Oid owner)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.pipeline_data (pipeline, owner) VALUES ($1, $2)"
		" ON CONFLICT (pipeline) WHERE dropped_at IS NULL DO NOTHING"
		" RETURNING pipeline_id",
		.nargs = 2,
		.argtypes = {TEXTOID, OIDOID}
	};
	Params		params = {.n = 0};
	Row			row;
	int32		pipeline_id = 0;

	params_put_text(&params, name);
	params_put_oid(&params, owner);

	if (catalog_query_row(&statement, &params, false, &row))
		pipeline_id = row_get_int32(&row, 0);

	return pipeline_id;
}

/*
 * The newest version is ours if it has this transaction's id; its time is
 * compared too, because the row may come from another cluster by dump and
 * restore, where the same id was somebody else's.
 */
int32
catalog_begin_version(int32 pipeline_id)
{
	static EtlStatement newest = {
		.sql = "SELECT v.version,"
		" v.created_xid = pg_catalog.pg_current_xact_id()"
		" AND v.created_at = pg_catalog.transaction_timestamp()"
		" FROM etl.version_data v WHERE v.pipeline_id = $1"
		" ORDER BY v.version DESC LIMIT 1",
		.nargs = 1,
		.argtypes = {INT4OID}
	};
	static EtlStatement insert = {
		.sql = "INSERT INTO etl.version_data (pipeline_id, version, created_by)"
		" VALUES ($1, $2, pg_catalog.pg_get_userbyid($3))",
		.nargs = 3,
		.argtypes = {INT4OID, INT4OID, OIDOID}
	};
	Oid			caller = GetUserId();
	Params		params = {.n = 0};
	EtlSpi		spi;
	int32		version = 0;
	bool		ours = false;

	params_put_int32(&params, pipeline_id);

	etl_spi_begin(&spi);
	if (catalog_execute(&newest, &params, false) > 0)
	{
		Row			row;

		row_open(&row, 0);
		version = row_get_int32(&row, 0);
		ours = row_get_bool(&row, false);
	}
	if (!ours)
	{
		version++;
		params_put_int32(&params, version);
		params_put_oid(&params, caller);
		catalog_execute(&insert, &params, false);
	}
	etl_spi_end(&spi);

	return version;
}

void
catalog_write_options(const Pipeline *pipeline, int32 version)
{
	static EtlStatement end_old = {
		.sql = "UPDATE etl.option_data SET until_version = $2"
		" WHERE pipeline_id = $1 AND until_version IS NULL AND from_version < $2",
		.nargs = 2,
		.argtypes = {INT4OID, INT4OID}
	};
	static EtlStatement insert = {
		.sql = "INSERT INTO etl.option_data"
		" (pipeline_id, from_version, target_schema, search_path, max_parallel, max_attempts,"
		"  retry_delay, retry_on, step_timeout, run_timeout, ordering, durability, description,"
		"  one_snapshot)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
		" ON CONFLICT (pipeline_id, from_version) DO UPDATE"
		" SET target_schema = excluded.target_schema, search_path = excluded.search_path,"
		"  max_parallel = excluded.max_parallel, max_attempts = excluded.max_attempts,"
		"  retry_delay = excluded.retry_delay, retry_on = excluded.retry_on,"
		"  step_timeout = excluded.step_timeout, run_timeout = excluded.run_timeout,"
		"  ordering = excluded.ordering, durability = excluded.durability,"
		"  description = excluded.description, one_snapshot = excluded.one_snapshot",
		.nargs = 14,
		.argtypes = {INT4OID, INT4OID, TEXTOID, TEXTOID, INT4OID, INT4OID, INTERVALOID,
			TEXTARRAYOID, INTERVALOID, INTERVALOID, TEXTOID, TEXTOID, TEXTOID, BOOLOID
		}
	};
	Params		params = {.n = 0};
	EtlSpi		spi;

	params_put_int32(&params, pipeline->id);
	params_put_int32(&params, version);

	etl_spi_begin(&spi);
	catalog_execute(&end_old, &params, false);
	params_put_text(&params, pipeline->target_schema);
	params_put_text(&params, pipeline->search_path);
	params_put_int32_unless(&params, pipeline->max_parallel, pipeline->max_parallel == 0);
	params_put_int32(&params, pipeline->max_attempts);
	params_put_interval(&params, pipeline->retry_delay_ms);
	params_put_list(&params, pipeline->retry_on);
	params_put_interval(&params, pipeline->step_timeout_ms);
	params_put_interval(&params, pipeline->run_timeout_ms);
	params_put_text(&params, pipeline->staged ? "staged" : "graph");
	params_put_text(&params, durability_words[pipeline->durability]);
	params_put_text(&params, pipeline->description);
	params_put_bool(&params, pipeline->one_snapshot);
	catalog_execute(&insert, &params, false);
	etl_spi_end(&spi);
}

/* Ends the step's row with the versions before "version". */
static void
end_step(const Params *key)
{
	static EtlStatement end_old = {
		.sql = "UPDATE etl.step_data SET until_version = $2"
		" WHERE pipeline_id = $1 AND step_id = $3 AND " STEP_IS_CURRENT
		" AND from_version < $2",
		.nargs = 3,
		.argtypes = {INT4OID, INT4OID, INT4OID}
	};
	static EtlStatement delete_own = {
		.sql = "DELETE FROM etl.step_data"
		" WHERE pipeline_id = $1 AND step_id = $3 AND from_version = $2",
		.nargs = 3,
		.argtypes = {INT4OID, INT4OID, INT4OID}
	};

	catalog_execute(&delete_own, key, false);
	catalog_execute(&end_old, key, false);
}

void
catalog_write_step(int32 pipeline_id, int32 version, const Step *step)
{
	static EtlStatement insert = {
		.sql = "INSERT INTO etl.step_data"
		" (pipeline_id, from_version, " STEP_GRAPH_COLUMNS ", " STEP_BODY_COLUMNS ")"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,"
		"  $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)",
		.nargs = 24,
		.argtypes = {INT4OID, INT4OID,
			INT4OID, TEXTOID, TEXTOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT4OID,
			BOOLOID, INT4OID, INTERVALOID, BOOLOID, INT4OID,
			TEXTOID, BOOLOID, BOOLOID, TEXTARRAYOID, TEXTARRAYOID,
			TEXTARRAYOID, TEXTARRAYOID, TEXTOID, TEXTOID, TEXTARRAYOID
		}
	};
	Params		params = {.n = 0};
	EtlSpi		spi;

	params_put_int32(&params, pipeline_id);
	params_put_int32(&params, version);
	params_put_int32(&params, step->step_id);

	etl_spi_begin(&spi);
	end_step(&params);
	params_put_text(&params, step->process_name);
	params_put_text(&params, kind_words[step->kind]);
	params_put_list(&params, step->reads);
	params_put_list(&params, step->writes);
	params_put_list_or_null(&params, step->depends_on);
	params_put_int32_unless(&params, step->execution_order, !step->has_order);
	params_put_bool(&params, step->keep);
	params_put_int32_unless(&params, step->max_attempts, step->max_attempts == 0);
	params_put_interval(&params, step->step_timeout_ms);
	params_put_datum(&params, BoolGetDatum(step->persist), !step->has_persist);
	params_put_int32_unless(&params, step->repartition, step->repartition == 0);
	params_put_text(&params, step->sql_query);
	params_put_bool(&params, step->broadcast);
	params_put_bool(&params, step->cache);
	params_put_list_or_null(&params, step->repartition_by);
	params_put_list_or_null(&params, step->indexes);
	params_put_list_or_null(&params, step->checks);
	params_put_list_or_null(&params, step->settings);
	params_put_text(&params, step->description);
	params_put_text(&params, step->partition_key);
	params_put_list_or_null(&params, step->partition_readers);
	catalog_execute(&insert, &params, false);
	etl_spi_end(&spi);
}

void
catalog_remove_step(int32 pipeline_id, int32 version, int32 step_id)
{
	Params		params = {.n = 0};
	EtlSpi		spi;

	params_put_int32(&params, pipeline_id);
	params_put_int32(&params, version);
	params_put_int32(&params, step_id);

	etl_spi_begin(&spi);
	end_step(&params);
	etl_spi_end(&spi);
}

bool
catalog_step_id_is_used(int32 pipeline_id, int32 step_id)
{
	static EtlStatement statement = {
		.sql = "SELECT s.step_id FROM etl.step_data s"
		" WHERE s.pipeline_id = $1 AND s.step_id = $2 AND " STEP_IS_CURRENT,
		.nargs = 2,
		.argtypes = {INT4OID, INT4OID}
	};
	Params		params = {.n = 0};
	Row			row;

	params_put_int32(&params, pipeline_id);
	params_put_int32(&params, step_id);
	return catalog_query_row(&statement, &params, true, &row);
}

int64
catalog_next_step_id(int32 pipeline_id)
{
	static EtlStatement statement = {
		.sql = "SELECT pg_catalog.max(s.step_id) FROM etl.step_data s WHERE s.pipeline_id = $1",
		.nargs = 1,
		.argtypes = {INT4OID}
	};
	Params		params = {.n = 0};
	Row			row;

	params_put_int32(&params, pipeline_id);
	(void) catalog_query_row(&statement, &params, true, &row);
	return (int64) row_get_int32(&row, 0) + 1;
}

void
catalog_drop_pipeline(int32 pipeline_id)
{
	static EtlStatement statements[] = {
		{.sql = "UPDATE etl.pipeline_data SET dropped_at = pg_catalog.now() WHERE pipeline_id = $1",
		.nargs = 1, .argtypes = {INT4OID}},
		{.sql = "DELETE FROM etl.output_data WHERE pipeline_id = $1",
		.nargs = 1, .argtypes = {INT4OID}},
		{.sql = "DELETE FROM etl.step_data WHERE pipeline_id = $1",
		.nargs = 1, .argtypes = {INT4OID}},
		{.sql = "DELETE FROM etl.option_data WHERE pipeline_id = $1",
		.nargs = 1, .argtypes = {INT4OID}},
		{.sql = "DELETE FROM etl.version_data WHERE pipeline_id = $1",
		.nargs = 1, .argtypes = {INT4OID}},
	};
	Params		params = {.n = 0};
	EtlSpi		spi;

	params_put_int32(&params, pipeline_id);

	etl_spi_begin(&spi);
	for (int i = 0; i < (int) lengthof(statements); i++)
		catalog_execute(&statements[i], &params, false);
	etl_spi_end(&spi);
}
