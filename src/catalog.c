/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  Rows of the etl tables as C structs.
 *
 * The only file that knows the columns of etl.*_data.
 *
 * The SQL names its tables and functions with their schemas.  Operators are
 * written plainly: spi.c pins search_path to pg_catalog (pg_temp is never
 * searched for operators), all columns are of built-in types, and nobody but
 * a superuser can create operators in pg_catalog.  So "=" can only be the
 * built-in one, and the statements stay readable.
 *
 * Values go in and out by small writers and readers that follow the order of
 * the statement's parameters and columns; where a struct has many fields, the
 * list of columns is a macro that stands next to the code that reads it.
 *
 * There are no foreign keys between the tables: their triggers look with the
 * transaction's snapshot, so that under REPEATABLE READ they would refuse a row
 * whose parent was committed after it.  This file keeps the references.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "catalog.h"
#include "spi.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* ---- words ---- */

static const char *const kind_words[] = {
	[ETL_STEP_QUERY] = "query",
	[ETL_STEP_COMMAND] = "command",
	[ETL_STEP_COMMAND_ALONE] = "command alone",
};

static const char *const step_status_words[] = {
	[ETL_STEP_RUNNING] = "RUNNING",
	[ETL_STEP_SUCCESS] = "SUCCESS",
	[ETL_STEP_FAILED] = "FAILED",
	[ETL_STEP_SKIPPED] = "SKIPPED",
	[ETL_STEP_CANCELLED] = "CANCELLED",
};

static const char *const run_status_words[] = {
	[ETL_RUN_RUNNING] = "RUNNING",
	[ETL_RUN_SUCCESS] = "SUCCESS",
	[ETL_RUN_FAILED] = "FAILED",
	[ETL_RUN_CANCELLED] = "CANCELLED",
	[ETL_RUN_CRASHED] = "CRASHED",
	[ETL_RUN_UNKNOWN] = "UNKNOWN",
};

static const char *const durability_words[] = {
	[ETL_DURABILITY_UNLOGGED] = "unlogged",
	[ETL_DURABILITY_OUTPUTS] = "outputs",
	[ETL_DURABILITY_ALL] = "all",
};

/* The place of a word that this file has written itself. */
static int
word_index(const char *word, const char *const *words, int nwords)
{
	for (int i = 0; i < nwords; i++)
	{
		if (strcmp(words[i], word) == 0)
			return i;
	}
	elog(ERROR, "unexpected word \"%s\" in a table of schema \"%s\"", word, ETL_SCHEMA);
}

const char *
catalog_kind_word(EtlStepKind kind)
{
	return kind_words[kind];
}

const char *
catalog_step_status_word(EtlStepStatus status)
{
	return step_status_words[status];
}

const char *
catalog_run_status_word(EtlRunStatus status)
{
	return run_status_words[status];
}

const char *
catalog_durability_word(EtlDurability durability)
{
	return durability_words[durability];
}

/* ---- converting ---- */

int64
catalog_interval_to_ms(const Interval *interval)
{
	const int64 days_per_4_years = 1461;	/* 4 * 365.25 */
	int64		years = interval->month / MONTHS_PER_YEAR;
	int64		months = interval->month % MONTHS_PER_YEAR;

	return interval->time / 1000 +
		(months * DAYS_PER_MONTH + interval->day) * (SECS_PER_DAY * INT64CONST(1000)) +
		years * days_per_4_years * (SECS_PER_DAY * INT64CONST(1000) / 4);
}

/* All of it as hours, minutes and seconds. */
static Interval *
interval_from_ms(int64 ms)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = ms * 1000;
	return interval;
}

List *
catalog_array_to_list(ArrayType *array)
{
	List	   *list = NIL;
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("array must not contain null elements")));
		list = lappend(list, TextDatumGetCString(elements[i]));
	}
	pfree(elements);
	pfree(nulls);

	return list;
}

ArrayType *
catalog_list_to_array(const List *list)
{
	Datum	   *elements = palloc(sizeof(Datum) * Max(list_length(list), 1));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, list)
		elements[n++] = CStringGetTextDatum((const char *) lfirst(lc));

	return construct_array(elements, n, TEXTOID, -1, false, TYPALIGN_INT);
}

/* ---- parameters, in the order of the statement's $1, $2, ... ---- */

typedef struct Params
{
	Datum		values[ETL_SPI_MAX_ARGS];
	char		nulls[ETL_SPI_MAX_ARGS];
	int			n;
} Params;

static void
put_datum(Params *params, Datum value, bool isnull)
{
	Assert(params->n < ETL_SPI_MAX_ARGS);
	params->values[params->n] = value;
	params->nulls[params->n] = isnull ? 'n' : ' ';
	params->n++;
}

static void
put_int32(Params *params, int32 value)
{
	put_datum(params, Int32GetDatum(value), false);
}

/* The value that stands for "none" in the struct is NULL in the table. */
static void
put_int32_unless(Params *params, int32 value, bool isnull)
{
	put_datum(params, Int32GetDatum(value), isnull);
}

static void
put_int64(Params *params, int64 value)
{
	put_datum(params, Int64GetDatum(value), false);
}

static void
put_int64_unless(Params *params, int64 value, bool isnull)
{
	put_datum(params, Int64GetDatum(value), isnull);
}

static void
put_oid(Params *params, Oid value)
{
	put_datum(params, ObjectIdGetDatum(value), false);
}

static void
put_bool(Params *params, bool value)
{
	put_datum(params, BoolGetDatum(value), false);
}

static void
put_text(Params *params, const char *value)
{
	put_datum(params, value ? CStringGetTextDatum(value) : (Datum) 0, value == NULL);
}

static void
put_list(Params *params, const List *value)
{
	put_datum(params, PointerGetDatum(catalog_list_to_array(value)), false);
}

static void
put_list_or_null(Params *params, const List *value)
{
	if (value == NIL)
		put_datum(params, (Datum) 0, true);
	else
		put_list(params, value);
}

static void
put_interval(Params *params, int64 ms)
{
	if (ms == CATALOG_NO_TIMEOUT)
		put_datum(params, (Datum) 0, true);
	else
		put_datum(params, IntervalPGetDatum(interval_from_ms(ms)), false);
}

static uint64
execute(EtlStatement *statement, const Params *params, bool read_only)
{
	Assert(params->n == statement->nargs);
	return etl_spi_execute(statement, params->values, params->nulls, read_only, 0);
}

/* A statement that changes something, and all that there is to do. */
static uint64
execute_write(EtlStatement *statement, const Params *params)
{
	EtlSpi		spi;
	uint64		processed;

	etl_spi_begin(&spi);
	processed = execute(statement, params, false);
	etl_spi_end(&spi);

	return processed;
}

/* ---- columns, in the order of the statement's list ---- */

typedef struct Row
{
	Datum		values[ETL_SPI_MAX_ARGS];
	bool		nulls[ETL_SPI_MAX_ARGS];
	int			next;
} Row;

static void
row_open(Row *row, uint64 number)
{
	Assert(SPI_tuptable->tupdesc->natts <= ETL_SPI_MAX_ARGS);
	heap_deform_tuple(SPI_tuptable->vals[number], SPI_tuptable->tupdesc,
					  row->values, row->nulls);
	row->next = 0;
}

static bool
get_isnull(const Row *row)
{
	return row->nulls[row->next];
}

/* The next value; what stands for NULL in the struct where it is NULL. */
static int32
get_int32(Row *row, int32 null_value)
{
	int			i = row->next++;

	return row->nulls[i] ? null_value : DatumGetInt32(row->values[i]);
}

static int64
get_int64(Row *row, int64 null_value)
{
	int			i = row->next++;

	return row->nulls[i] ? null_value : DatumGetInt64(row->values[i]);
}

static Oid
get_oid(Row *row)
{
	int			i = row->next++;

	return row->nulls[i] ? InvalidOid : DatumGetObjectId(row->values[i]);
}

static bool
get_bool(Row *row, bool null_value)
{
	int			i = row->next++;

	return row->nulls[i] ? null_value : DatumGetBool(row->values[i]);
}

static char *
get_text(Row *row)
{
	int			i = row->next++;

	return row->nulls[i] ? NULL : TextDatumGetCString(row->values[i]);
}

static List *
get_list(Row *row)
{
	int			i = row->next++;

	return row->nulls[i] ? NIL : catalog_array_to_list(DatumGetArrayTypeP(row->values[i]));
}

static int64
get_interval(Row *row)
{
	int			i = row->next++;

	return row->nulls[i] ? CATALOG_NO_TIMEOUT :
		catalog_interval_to_ms(DatumGetIntervalP(row->values[i]));
}

/* ---- reading definitions ---- */

#define PIPELINE_COLUMNS \
	"p.pipeline_id, p.pipeline, p.owner, " \
	"o.target_schema, o.search_path, o.max_parallel, o.max_attempts, o.retry_delay, " \
	"o.retry_on, o.step_timeout, o.run_timeout, o.ordering, o.durability, o.description"

static Pipeline *
read_pipeline(uint64 number)
{
	Pipeline   *pipeline = palloc0(sizeof(Pipeline));
	Row			row;

	row_open(&row, number);
	pipeline->version = get_int32(&row, 0);
	pipeline->id = get_int32(&row, 0);
	pipeline->name = get_text(&row);
	pipeline->owner = get_oid(&row);
	pipeline->target_schema = get_text(&row);
	pipeline->search_path = get_text(&row);
	pipeline->max_parallel = get_int32(&row, 0);
	pipeline->max_attempts = get_int32(&row, 1);
	pipeline->retry_delay_ms = get_interval(&row);
	pipeline->retry_on = get_list(&row);
	pipeline->step_timeout_ms = get_interval(&row);
	pipeline->run_timeout_ms = get_interval(&row);
	pipeline->staged = strcmp(get_text(&row), "staged") == 0;
	pipeline->durability = word_index(get_text(&row), durability_words,
									  lengthof(durability_words));
	pipeline->description = get_text(&row);

	return pipeline;
}

/* The one pipeline that the statement finds, or NULL. */
static Pipeline *
query_pipeline(EtlStatement *statement, const Params *params)
{
	EtlSpi		spi;
	Pipeline   *pipeline = NULL;

	etl_spi_begin(&spi);
	if (execute(statement, params, true) > 0)
	{
		MemoryContextSwitchTo(spi.caller);
		pipeline = read_pipeline(0);
	}
	etl_spi_end(&spi);

	return pipeline;
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

	put_text(&params, name);
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

	put_int32(&params, pipeline_id);
	put_int32(&params, version);
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
	"max_attempts, step_timeout, persist"
#define STEP_BODY_COLUMNS \
	"sql_query, broadcast, cache, repartition, repartition_by, indexes, checks, " \
	"settings, description"

static Step *
read_step(uint64 number, bool with_body)
{
	Step	   *step = palloc0(sizeof(Step));
	Row			row;

	row_open(&row, number);
	step->step_id = get_int32(&row, 0);
	step->process_name = get_text(&row);
	step->kind = word_index(get_text(&row), kind_words, lengthof(kind_words));
	step->reads = get_list(&row);
	step->writes = get_list(&row);
	step->depends_on = get_list(&row);
	step->has_order = !get_isnull(&row);
	step->execution_order = get_int32(&row, 0);
	step->keep = get_bool(&row, true);
	step->max_attempts = get_int32(&row, 0);
	step->step_timeout_ms = get_interval(&row);
	step->has_persist = !get_isnull(&row);
	step->persist = get_bool(&row, false);
	if (with_body)
	{
		step->sql_query = get_text(&row);
		step->broadcast = get_bool(&row, false);
		step->cache = get_bool(&row, false);
		step->repartition = get_int32(&row, 0);
		step->repartition_by = get_list(&row);
		step->indexes = get_list(&row);
		step->checks = get_list(&row);
		step->settings = get_list(&row);
		step->description = get_text(&row);
	}

	return step;
}

List *
catalog_load_steps(int32 pipeline_id, int32 version)
{
	static EtlStatement statement = {
		.sql = "SELECT " STEP_GRAPH_COLUMNS
		" FROM etl.step_data WHERE pipeline_id = $1 AND from_version <= $2"
		" AND (until_version IS NULL OR until_version > $2)"
		" ORDER BY step_id",
		.nargs = 2,
		.argtypes = {INT4OID, INT4OID}
	};
	Params		params = {.n = 0};
	EtlSpi		spi;
	List	   *steps = NIL;
	uint64		n;

	put_int32(&params, pipeline_id);
	put_int32(&params, version);

	etl_spi_begin(&spi);
	n = execute(&statement, &params, true);
	MemoryContextSwitchTo(spi.caller);
	for (uint64 i = 0; i < n; i++)
		steps = lappend(steps, read_step(i, false));
	etl_spi_end(&spi);

	return steps;
}

/* The one step that the statement finds, or NULL. */
static Step *
query_step(EtlStatement *statement, const Params *params)
{
	EtlSpi		spi;
	Step	   *step = NULL;

	etl_spi_begin(&spi);
	if (execute(statement, params, true) > 0)
	{
		MemoryContextSwitchTo(spi.caller);
		step = read_step(0, true);
	}
	etl_spi_end(&spi);

	return step;
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

	put_int32(&params, pipeline_id);
	put_int32(&params, version);
	put_int32(&params, step_id);
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

	put_int32(&params, pipeline_id);
	put_text(&params, process_name);
	return query_step(&statement, &params);
}

bool
catalog_lookup_step(int32 pipeline_id, int32 version, const char *process_name,
					int32 *step_id, EtlStepKind *kind)
{
	static EtlStatement statement = {
		.sql = "SELECT step_id, kind FROM etl.step_data"
		" WHERE pipeline_id = $1 AND process_name = $3 AND from_version <= $2"
		" AND (until_version IS NULL OR until_version > $2)",
		.nargs = 3,
		.argtypes = {INT4OID, INT4OID, TEXTOID}
	};
	Params		params = {.n = 0};
	EtlSpi		spi;
	bool		found;

	put_int32(&params, pipeline_id);
	put_int32(&params, version);
	put_text(&params, process_name);

	etl_spi_begin(&spi);
	found = execute(&statement, &params, true) > 0;
	if (found)
	{
		Row			row;

		row_open(&row, 0);
		*step_id = get_int32(&row, 0);
		*kind = word_index(get_text(&row), kind_words, lengthof(kind_words));
	}
	etl_spi_end(&spi);

	return found;
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

	put_int32(&params, pipeline_id);
	put_int32(&params, version);

	etl_spi_begin(&spi);
	n = execute(&statement, &params, true);
	for (uint64 i = 0; i < n; i++)
		tuplestore_puttuple(rows, SPI_tuptable->vals[i]);
	etl_spi_end(&spi);
}

/* ---- outputs ---- */

Oid
catalog_output_relid(int32 pipeline_id, const char *schema, const char *process_name)
{
	static EtlStatement statement = {
		.sql = "SELECT relid FROM etl.output_data"
		" WHERE pipeline_id = $1 AND schema_name = $2 AND process_name = $3",
		.nargs = 3,
		.argtypes = {INT4OID, TEXTOID, TEXTOID}
	};
	Params		params = {.n = 0};
	EtlSpi		spi;
	Oid			relid = InvalidOid;

	put_int32(&params, pipeline_id);
	put_text(&params, schema);
	put_text(&params, process_name);

	etl_spi_begin(&spi);
	if (execute(&statement, &params, true) > 0)
	{
		Row			row;

		row_open(&row, 0);
		relid = get_oid(&row);
	}
	etl_spi_end(&spi);

	return relid;
}

List *
catalog_load_outputs(int32 pipeline_id)
{
	static EtlStatement statement = {
		.sql = "SELECT schema_name, process_name, relid FROM etl.output_data"
		" WHERE pipeline_id = $1 ORDER BY schema_name, process_name",
		.nargs = 1,
		.argtypes = {INT4OID}
	};
	Params		params = {.n = 0};
	EtlSpi		spi;
	List	   *outputs = NIL;
	uint64		n;

	put_int32(&params, pipeline_id);

	etl_spi_begin(&spi);
	n = execute(&statement, &params, true);
	MemoryContextSwitchTo(spi.caller);
	for (uint64 i = 0; i < n; i++)
	{
		Output	   *output = palloc(sizeof(Output));
		Row			row;

		row_open(&row, i);
		output->schema = get_text(&row);
		output->process_name = get_text(&row);
		output->relid = get_oid(&row);
		outputs = lappend(outputs, output);
	}
	etl_spi_end(&spi);

	return outputs;
}

/*
 * Types are looked at because a table brings a type of its name: only array
 * types make room for it by themselves.
 */
List *
catalog_load_occupants(int32 pipeline_id, const char *schema, const List *names)
{
	static EtlStatement statement = {
		.sql = "SELECT c.relname::text, c.oid, o.relid"
		" FROM pg_catalog.pg_namespace n"
		" JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid"
		" LEFT JOIN etl.output_data o ON o.pipeline_id = $1 AND o.schema_name = $2"
		"  AND o.process_name = c.relname::text"
		" WHERE n.nspname = $2::name AND c.relname = ANY ($3::name[])"
		" UNION ALL"
		" SELECT t.typname::text, NULL, NULL"
		" FROM pg_catalog.pg_namespace n"
		" JOIN pg_catalog.pg_type t ON t.typnamespace = n.oid"
		" WHERE n.nspname = $2::name AND t.typname = ANY ($3::name[])"
		"  AND t.typrelid = 0 AND t.typcategory <> 'A'",
		.nargs = 3,
		.argtypes = {INT4OID, TEXTOID, TEXTARRAYOID}
	};
	Params		params = {.n = 0};
	EtlSpi		spi;
	List	   *occupants = NIL;
	uint64		n;

	put_int32(&params, pipeline_id);
	put_text(&params, schema);
	put_list(&params, names);

	etl_spi_begin(&spi);
	n = execute(&statement, &params, true);
	MemoryContextSwitchTo(spi.caller);
	for (uint64 i = 0; i < n; i++)
	{
		Occupant   *occupant = palloc(sizeof(Occupant));
		Row			row;

		row_open(&row, i);
		occupant->name = get_text(&row);
		occupant->relid = get_oid(&row);
		occupant->registered = get_oid(&row);
		occupants = lappend(occupants, occupant);
	}
	etl_spi_end(&spi);

	return occupants;
}

void
catalog_register_output(int32 pipeline_id, const char *schema, const char *process_name,
						Oid relid, int64 run_id, int64 count_rows, int64 table_size)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.output_data"
		" (pipeline_id, schema_name, process_name, relid, run_id, count_rows, table_size)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7)"
		" ON CONFLICT (pipeline_id, schema_name, process_name) DO UPDATE"
		" SET relid = excluded.relid, run_id = excluded.run_id,"
		"  count_rows = excluded.count_rows, table_size = excluded.table_size",
		.nargs = 7,
		.argtypes = {INT4OID, TEXTOID, TEXTOID, OIDOID, INT8OID, INT8OID, INT8OID}
	};
	Params		params = {.n = 0};

	put_int32(&params, pipeline_id);
	put_text(&params, schema);
	put_text(&params, process_name);
	put_oid(&params, relid);
	put_int64(&params, run_id);
	put_int64_unless(&params, count_rows, count_rows < 0);
	put_int64_unless(&params, table_size, table_size < 0);
	execute_write(&statement, &params);
}

/* ---- runs ---- */

int64
catalog_next_run_id(void)
{
	static EtlStatement statement = {
		.sql = "SELECT pg_catalog.nextval('etl.run_id_seq'::pg_catalog.regclass)"
	};
	Params		params = {.n = 0};
	EtlSpi		spi;
	Row			row;
	int64		run_id;

	etl_spi_begin(&spi);
	execute(&statement, &params, false);
	row_open(&row, 0);
	run_id = get_int64(&row, 0);
	etl_spi_end(&spi);

	return run_id;
}

void
catalog_insert_run(const RunRow *run)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.run_data"
		" (run_id, pipeline_id, version, requested_by, start_time, status, params, steps,"
		"  step_count, pid)"
		" VALUES ($1, $2, $3, $4, pg_catalog.clock_timestamp(), 'RUNNING', $5, $6, $7, $8)",
		.nargs = 8,
		.argtypes = {INT8OID, INT4OID, INT4OID, TEXTOID, JSONBOID, TEXTARRAYOID, INT4OID, INT4OID}
	};
	Params		params = {.n = 0};

	put_int64(&params, run->run_id);
	put_int32(&params, run->pipeline_id);
	put_int32(&params, run->version);
	put_text(&params, run->requested_by);
	put_datum(&params, run->params ? JsonbPGetDatum(run->params) : (Datum) 0,
			  run->params == NULL);
	put_list_or_null(&params, run->steps);
	put_int32(&params, run->step_count);
	put_int32(&params, run->pid);
	execute_write(&statement, &params);
}

void
catalog_end_run(int64 run_id, EtlRunStatus status, const char *error_message)
{
	static EtlStatement statement = {
		.sql = "UPDATE etl.run_data SET end_time = pg_catalog.clock_timestamp(), status = $2,"
		" error_message = $3 WHERE run_id = $1 AND status = 'RUNNING'",
		.nargs = 3,
		.argtypes = {INT8OID, TEXTOID, TEXTOID}
	};
	Params		params = {.n = 0};

	put_int64(&params, run_id);
	put_text(&params, run_status_words[status]);
	put_text(&params, error_message);
	if (execute_write(&statement, &params) != 1)
		elog(ERROR, "run " INT64_FORMAT " is not logged as running", run_id);
}

/*
 * When exactly they ended nobody knows: the last thing that was logged of them
 * stands in for it.
 */
int
catalog_bury_runs(int32 pipeline_id, int64 except)
{
	static EtlStatement statement = {
		.sql = "WITH dead AS ("
		"  UPDATE etl.run_data r SET status = 'CRASHED',"
		"   end_time = GREATEST(r.start_time,"
		"    (SELECT pg_catalog.max(GREATEST(a.start_time, a.end_time))"
		"     FROM etl.attempt_data a WHERE a.run_id = r.run_id)),"
		"   error_message = 'the processes of the run ended without saying how'"
		"  WHERE r.pipeline_id = $1 AND r.status = 'RUNNING' AND r.run_id <> $2"
		"  RETURNING r.run_id, r.end_time),"
		" attempts AS ("
		"  UPDATE etl.attempt_data a SET status = 'FAILED', end_time = dead.end_time,"
		"   error_message = 'the processes of the run ended without saying how'"
		"  FROM dead WHERE a.run_id = dead.run_id AND a.status = 'RUNNING')"
		" SELECT pg_catalog.count(*) FROM dead",
		.nargs = 2,
		.argtypes = {INT4OID, INT8OID}
	};
	Params		params = {.n = 0};
	EtlSpi		spi;
	Row			row;
	int64		count;

	put_int32(&params, pipeline_id);
	put_int64(&params, except);

	etl_spi_begin(&spi);
	execute(&statement, &params, false);
	row_open(&row, 0);
	count = get_int64(&row, 0);
	etl_spi_end(&spi);

	return (int) count;
}

bool
catalog_find_run(int64 run_id, int32 *pipeline_id, Oid *owner, EtlRunStatus *status)
{
	static EtlStatement statement = {
		.sql = "SELECT r.pipeline_id, p.owner, r.status FROM etl.run_data r"
		" JOIN etl.pipeline_data p ON p.pipeline_id = r.pipeline_id"
		" WHERE r.run_id = $1",
		.nargs = 1,
		.argtypes = {INT8OID}
	};
	Params		params = {.n = 0};
	EtlSpi		spi;
	bool		found;

	put_int64(&params, run_id);

	etl_spi_begin(&spi);
	found = execute(&statement, &params, true) > 0;
	if (found)
	{
		Row			row;

		row_open(&row, 0);
		*pipeline_id = get_int32(&row, 0);
		*owner = get_oid(&row);
		*status = word_index(get_text(&row), run_status_words, lengthof(run_status_words));
	}
	etl_spi_end(&spi);

	return found;
}

/* ---- attempts ---- */

static void
put_cost(Params *params, const AttemptCost *cost)
{
	static const AttemptCost none = {.count_rows = -1, .table_size = -1};
	bool		isnull = cost == NULL;

	if (isnull)
		cost = &none;
	put_int64_unless(params, cost->count_rows, cost->count_rows < 0);
	put_int64_unless(params, cost->table_size, cost->table_size < 0);
	put_int64_unless(params, cost->shared_blks_hit, isnull);
	put_int64_unless(params, cost->shared_blks_read, isnull);
	put_int64_unless(params, cost->temp_blks_read, isnull);
	put_int64_unless(params, cost->temp_blks_written, isnull);
	put_int64_unless(params, cost->wal_bytes, isnull);
}

void
catalog_insert_attempt(int64 run_id, int32 step_id, const char *process_name, int attempt)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.attempt_data"
		" (run_id, step_id, process_name, attempt, start_time, status, pid)"
		" VALUES ($1, $2, $3, $4, pg_catalog.clock_timestamp(), 'RUNNING', $5)",
		.nargs = 5,
		.argtypes = {INT8OID, INT4OID, TEXTOID, INT4OID, INT4OID}
	};
	Params		params = {.n = 0};

	put_int64(&params, run_id);
	put_int32(&params, step_id);
	put_text(&params, process_name);
	put_int32(&params, attempt);
	put_int32(&params, MyProcPid);
	execute_write(&statement, &params);
}

void
catalog_attempt_succeeded(int64 run_id, int32 step_id, int attempt, const AttemptCost *cost)
{
	static EtlStatement statement = {
		.sql = "UPDATE etl.attempt_data SET end_time = pg_catalog.clock_timestamp(),"
		" status = 'SUCCESS', count_rows = $4, table_size = $5, shared_blks_hit = $6,"
		" shared_blks_read = $7, temp_blks_read = $8, temp_blks_written = $9, wal_bytes = $10"
		" WHERE run_id = $1 AND step_id = $2 AND attempt = $3 AND status = 'RUNNING'",
		.nargs = 10,
		.argtypes = {INT8OID, INT4OID, INT4OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID,
		INT8OID, INT8OID}
	};
	Params		params = {.n = 0};

	put_int64(&params, run_id);
	put_int32(&params, step_id);
	put_int32(&params, attempt);
	put_cost(&params, cost);
	if (execute_write(&statement, &params) != 1)
		elog(ERROR, "attempt %d of step %d of run " INT64_FORMAT " is not logged as running",
			 attempt, step_id, run_id);
}

bool
catalog_attempt_failed(int64 run_id, int32 step_id, const char *process_name, int attempt,
					   EtlStepStatus status, const ErrorData *error, TimestampTz retry_at,
					   const AttemptCost *cost)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.attempt_data AS a"
		" (run_id, step_id, process_name, attempt, start_time, end_time, status, retry_at,"
		"  error_message, sqlstate, error_detail, error_hint, error_context,"
		"  count_rows, table_size, shared_blks_hit, shared_blks_read, temp_blks_read,"
		"  temp_blks_written, wal_bytes)"
		" VALUES ($1, $2, $3, $4, pg_catalog.clock_timestamp(), pg_catalog.clock_timestamp(),"
		"  $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)"
		" ON CONFLICT (run_id, step_id, attempt) DO UPDATE"
		" SET end_time = excluded.end_time, status = excluded.status,"
		"  retry_at = excluded.retry_at, error_message = excluded.error_message,"
		"  sqlstate = excluded.sqlstate, error_detail = excluded.error_detail,"
		"  error_hint = excluded.error_hint, error_context = excluded.error_context,"
		"  count_rows = excluded.count_rows, table_size = excluded.table_size,"
		"  shared_blks_hit = excluded.shared_blks_hit,"
		"  shared_blks_read = excluded.shared_blks_read,"
		"  temp_blks_read = excluded.temp_blks_read,"
		"  temp_blks_written = excluded.temp_blks_written, wal_bytes = excluded.wal_bytes"
		" WHERE a.status = 'RUNNING'",
		.nargs = 18,
		.argtypes = {INT8OID, INT4OID, TEXTOID, INT4OID, TEXTOID, TIMESTAMPTZOID,
			TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
			INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, INT8OID
		}
	};
	Params		params = {.n = 0};

	put_int64(&params, run_id);
	put_int32(&params, step_id);
	put_text(&params, process_name);
	put_int32(&params, attempt);
	put_text(&params, step_status_words[status]);
	put_datum(&params, TimestampTzGetDatum(retry_at), retry_at == 0);
	put_text(&params, error->message);
	put_text(&params, unpack_sql_state(error->sqlerrcode));
	put_text(&params, error->detail);
	put_text(&params, error->hint);
	put_text(&params, error->context);
	put_cost(&params, cost);

	return execute_write(&statement, &params) == 1;
}

void
catalog_insert_unstarted(int64 run_id, int32 step_id, const char *process_name,
						 EtlStepStatus status, const char *reason)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.attempt_data"
		" (run_id, step_id, process_name, attempt, start_time, end_time, status, error_message)"
		" SELECT $1, $2, $3, 0, t.now, t.now, $4, $5"
		" FROM pg_catalog.clock_timestamp() AS t(now)",
		.nargs = 5,
		.argtypes = {INT8OID, INT4OID, TEXTOID, TEXTOID, TEXTOID}
	};
	Params		params = {.n = 0};

	put_int64(&params, run_id);
	put_int32(&params, step_id);
	put_text(&params, process_name);
	put_text(&params, step_status_words[status]);
	put_text(&params, reason);
	execute_write(&statement, &params);
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

	put_int32(&params, pipeline_id);
	return execute_write(&statement, &params) == 1;
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
	EtlSpi		spi;
	int32		pipeline_id = 0;

	put_text(&params, name);
	put_oid(&params, owner);

	etl_spi_begin(&spi);
	if (execute(&statement, &params, false) > 0)
	{
		Row			row;

		row_open(&row, 0);
		pipeline_id = get_int32(&row, 0);
	}
	etl_spi_end(&spi);

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

	put_int32(&params, pipeline_id);

	etl_spi_begin(&spi);
	if (execute(&newest, &params, false) > 0)
	{
		Row			row;

		row_open(&row, 0);
		version = get_int32(&row, 0);
		ours = get_bool(&row, false);
	}
	if (!ours)
	{
		version++;
		put_int32(&params, version);
		put_oid(&params, caller);
		execute(&insert, &params, false);
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
		"  retry_delay, retry_on, step_timeout, run_timeout, ordering, durability, description)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"
		" ON CONFLICT (pipeline_id, from_version) DO UPDATE"
		" SET target_schema = excluded.target_schema, search_path = excluded.search_path,"
		"  max_parallel = excluded.max_parallel, max_attempts = excluded.max_attempts,"
		"  retry_delay = excluded.retry_delay, retry_on = excluded.retry_on,"
		"  step_timeout = excluded.step_timeout, run_timeout = excluded.run_timeout,"
		"  ordering = excluded.ordering, durability = excluded.durability,"
		"  description = excluded.description",
		.nargs = 13,
		.argtypes = {INT4OID, INT4OID, TEXTOID, TEXTOID, INT4OID, INT4OID, INTERVALOID,
			TEXTARRAYOID, INTERVALOID, INTERVALOID, TEXTOID, TEXTOID, TEXTOID
		}
	};
	Params		params = {.n = 0};
	EtlSpi		spi;

	put_int32(&params, pipeline->id);
	put_int32(&params, version);

	etl_spi_begin(&spi);
	execute(&end_old, &params, false);
	put_text(&params, pipeline->target_schema);
	put_text(&params, pipeline->search_path);
	put_int32_unless(&params, pipeline->max_parallel, pipeline->max_parallel == 0);
	put_int32(&params, pipeline->max_attempts);
	put_interval(&params, pipeline->retry_delay_ms);
	put_list(&params, pipeline->retry_on);
	put_interval(&params, pipeline->step_timeout_ms);
	put_interval(&params, pipeline->run_timeout_ms);
	put_text(&params, pipeline->staged ? "staged" : "graph");
	put_text(&params, durability_words[pipeline->durability]);
	put_text(&params, pipeline->description);
	execute(&insert, &params, false);
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

	execute(&delete_own, key, false);
	execute(&end_old, key, false);
}

void
catalog_write_step(int32 pipeline_id, int32 version, const Step *step)
{
	static EtlStatement insert = {
		.sql = "INSERT INTO etl.step_data"
		" (pipeline_id, from_version, " STEP_GRAPH_COLUMNS ", " STEP_BODY_COLUMNS ")"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,"
		"  $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)",
		.nargs = 22,
		.argtypes = {INT4OID, INT4OID,
			INT4OID, TEXTOID, TEXTOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT4OID,
			BOOLOID, INT4OID, INTERVALOID, BOOLOID,
			TEXTOID, BOOLOID, BOOLOID, INT4OID, TEXTARRAYOID, TEXTARRAYOID,
			TEXTARRAYOID, TEXTARRAYOID, TEXTOID
		}
	};
	Params		params = {.n = 0};
	EtlSpi		spi;

	put_int32(&params, pipeline_id);
	put_int32(&params, version);
	put_int32(&params, step->step_id);

	etl_spi_begin(&spi);
	end_step(&params);
	put_text(&params, step->process_name);
	put_text(&params, kind_words[step->kind]);
	put_list(&params, step->reads);
	put_list(&params, step->writes);
	put_list_or_null(&params, step->depends_on);
	put_int32_unless(&params, step->execution_order, !step->has_order);
	put_bool(&params, step->keep);
	put_int32_unless(&params, step->max_attempts, step->max_attempts == 0);
	put_interval(&params, step->step_timeout_ms);
	put_datum(&params, BoolGetDatum(step->persist), !step->has_persist);
	put_text(&params, step->sql_query);
	put_bool(&params, step->broadcast);
	put_bool(&params, step->cache);
	put_int32_unless(&params, step->repartition, step->repartition == 0);
	put_list_or_null(&params, step->repartition_by);
	put_list_or_null(&params, step->indexes);
	put_list_or_null(&params, step->checks);
	put_list_or_null(&params, step->settings);
	put_text(&params, step->description);
	execute(&insert, &params, false);
	etl_spi_end(&spi);
}

void
catalog_remove_step(int32 pipeline_id, int32 version, int32 step_id)
{
	Params		params = {.n = 0};
	EtlSpi		spi;

	put_int32(&params, pipeline_id);
	put_int32(&params, version);
	put_int32(&params, step_id);

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
	EtlSpi		spi;
	bool		used;

	put_int32(&params, pipeline_id);
	put_int32(&params, step_id);

	etl_spi_begin(&spi);
	used = execute(&statement, &params, true) > 0;
	etl_spi_end(&spi);

	return used;
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
	EtlSpi		spi;
	Row			row;
	int64		highest;

	put_int32(&params, pipeline_id);

	etl_spi_begin(&spi);
	execute(&statement, &params, true);
	row_open(&row, 0);
	highest = get_int32(&row, 0);
	etl_spi_end(&spi);

	return highest + 1;
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

	put_int32(&params, pipeline_id);

	etl_spi_begin(&spi);
	for (int i = 0; i < (int) lengthof(statements); i++)
		execute(&statements[i], &params, false);
	etl_spi_end(&spi);
}
