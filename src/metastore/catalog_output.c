/*-------------------------------------------------------------------------
 *
 * catalog_output.c
 *	  The registry of what steps have published: which table, of which run, and
 *	  whether its rows have survived.
 *
 * The only file that knows the columns of etl.output_data and etl.survival_data.
 * How its SQL is written and why: see catalog.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "metastore/catalog.h"
#include "metastore/catalog_row.h"
#include "base/spi.h"

#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/lsyscache.h"
#include "utils/uuid.h"

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
	Row			row;
	Oid			relid = InvalidOid;

	params_put_int32(&params, pipeline_id);
	params_put_text(&params, schema);
	params_put_text(&params, process_name);

	if (catalog_query_row(&statement, &params, true, &row))
		relid = row_get_oid(&row);

	return relid;
}

Oid
catalog_published(int32 pipeline_id, const char *schema, const char *process_name)
{
	Oid			namespace = get_namespace_oid(schema, true);
	Oid			relid = OidIsValid(namespace) ?
	get_relname_relid(process_name, namespace) : InvalidOid;

	if (!OidIsValid(relid) ||
		relid != catalog_output_relid(pipeline_id, schema, process_name))
		return InvalidOid;
	return relid;
}

static void *
read_output(Row *row)
{
	Output	   *output = palloc(sizeof(Output));

	output->schema = row_get_text(row);
	output->process_name = row_get_text(row);
	output->relid = row_get_oid(row);

	return output;
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

	params_put_int32(&params, pipeline_id);
	return catalog_query_list(&statement, &params, read_output);
}

static void *
read_occupant(Row *row)
{
	Occupant   *occupant = palloc(sizeof(Occupant));

	occupant->name = row_get_text(row);
	occupant->relid = row_get_oid(row);
	occupant->registered = row_get_oid(row);
	occupant->lost = row_get_bool(row, false);
	occupant->needs_log = row_get_text(row);
	occupant->publication = row_get_text(row);
	occupant->nrelations = row_get_int32(row, 0);

	return occupant;
}

List *
catalog_load_occupants(int32 pipeline_id, const char *schema, const List *names)
{
	static EtlStatement statement = {
		.sql = "SELECT t.name::text, t.relid, o.relid,"
		" EXISTS (SELECT FROM etl.output_lost l WHERE l.pipeline_id = $1 AND l.schema_name = $2"
		"  AND l.process_name = t.name::text),"
		" CASE WHEN o.relid = t.relid THEN t.needs_log END, t.publication, t.nrelations"
		" FROM etl.taken_name t"
		" LEFT JOIN etl.output_data o ON o.pipeline_id = $1 AND o.schema_name = $2"
		"  AND o.process_name = t.name::text"
		" WHERE t.schema_name = $2::name AND t.name = ANY ($3::name[])",
		.nargs = 3,
		.argtypes = {INT4OID, TEXTOID, TEXTARRAYOID}
	};
	Params		params = {.n = 0};

	params_put_int32(&params, pipeline_id);
	params_put_text(&params, schema);
	params_put_list(&params, names);
	return catalog_query_list(&statement, &params, read_occupant);
}

void
catalog_register_output(int32 pipeline_id, const char *schema, int64 run_id,
						const OutputRow *output)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.output_data"
		" (pipeline_id, schema_name, process_name, relid, run_id, count_rows, table_size,"
		"  index_names, token)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, (SELECT s.token FROM etl.survival_data s))"
		" ON CONFLICT (pipeline_id, schema_name, process_name) DO UPDATE"
		" SET relid = excluded.relid, run_id = excluded.run_id,"
		"  count_rows = excluded.count_rows, table_size = excluded.table_size,"
		"  index_names = excluded.index_names, token = excluded.token",
		.nargs = 8,
		.argtypes = {INT4OID, TEXTOID, TEXTOID, OIDOID, INT8OID, INT8OID, INT8OID, TEXTARRAYOID}
	};
	Params		params = {.n = 0};

	params_put_int32(&params, pipeline_id);
	params_put_text(&params, schema);
	params_put_text(&params, output->process_name);
	params_put_oid(&params, output->relid);
	params_put_int64(&params, run_id);
	params_put_int64_unless(&params, output->count_rows, output->count_rows < 0);
	params_put_int64_unless(&params, output->table_size, output->table_size < 0);
	params_put_list_or_null(&params, output->index_names);
	catalog_execute_write(&statement, &params);
}

List *
catalog_output_indexes(int32 pipeline_id, const char *schema, const char *process_name)
{
	static EtlStatement statement = {
		.sql = "SELECT index_names FROM etl.output_data"
		" WHERE pipeline_id = $1 AND schema_name = $2 AND process_name = $3",
		.nargs = 3,
		.argtypes = {INT4OID, TEXTOID, TEXTOID}
	};
	Params		params = {.n = 0};
	Row			row;
	List	   *names = NIL;

	params_put_int32(&params, pipeline_id);
	params_put_text(&params, schema);
	params_put_text(&params, process_name);

	if (catalog_query_row(&statement, &params, true, &row))
		names = row_get_list(&row);

	return names;
}

static void *
read_relid(Row *row)
{
	Oid		   *relid = palloc(sizeof(Oid));

	*relid = row_get_oid(row);
	return relid;
}

List *
catalog_load_lost(void)
{
	static EtlStatement statement = {
		.sql = "SELECT l.relid::pg_catalog.oid FROM etl.output_lost l WHERE l.exists"
		" UNION ALL"
		" SELECT i.inhrelid FROM etl.output_lost l"
		" JOIN pg_catalog.pg_inherits i ON i.inhparent = l.relid WHERE l.exists"
	};
	Params		params = {.n = 0};
	List	   *relids = NIL;
	ListCell   *lc;

	foreach(lc, catalog_query_list(&statement, &params, read_relid))
		relids = lappend_oid(relids, *(Oid *) lfirst(lc));
	return relids;
}

void
catalog_write_survival_token(void)
{
	static EtlStatement statement = {
		.sql = "INSERT INTO etl.survival_data SELECT WHERE NOT EXISTS"
		" (SELECT FROM etl.survival_data) ON CONFLICT DO NOTHING"
	};
	Params		params = {.n = 0};

	catalog_execute_write(&statement, &params);
}

PG_FUNCTION_INFO_V1(etl_survival_token);

/* The table cannot be opened during recovery, so this cannot be plain SQL. */
Datum
etl_survival_token(PG_FUNCTION_ARGS)
{
	static EtlStatement statement = {
		.sql = "SELECT s.token FROM etl.survival_data s"
	};
	Params		params = {.n = 0};
	Row			row;

	if (RecoveryInProgress() || !catalog_query_row(&statement, &params, true, &row))
		PG_RETURN_NULL();
	PG_RETURN_UUID_P(row_get_uuid(&row));
}
