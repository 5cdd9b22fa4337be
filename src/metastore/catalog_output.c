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
	EtlSpi		spi;
	Oid			relid = InvalidOid;

	params_put_int32(&params, pipeline_id);
	params_put_text(&params, schema);
	params_put_text(&params, process_name);

	etl_spi_begin(&spi);
	if (catalog_execute(&statement, &params, true) > 0)
	{
		Row			row;

		row_open(&row, 0);
		relid = row_get_oid(&row);
	}
	etl_spi_end(&spi);

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

	params_put_int32(&params, pipeline_id);

	etl_spi_begin(&spi);
	n = catalog_execute(&statement, &params, true);
	MemoryContextSwitchTo(spi.caller);
	for (uint64 i = 0; i < n; i++)
	{
		Output	   *output = palloc(sizeof(Output));
		Row			row;

		row_open(&row, i);
		output->schema = row_get_text(&row);
		output->process_name = row_get_text(&row);
		output->relid = row_get_oid(&row);
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
		.sql = "SELECT c.relname::text, c.oid, o.relid,"
		" EXISTS (SELECT FROM etl.output_lost l WHERE l.pipeline_id = $1 AND l.schema_name = $2"
		"  AND l.process_name = c.relname::text),"
		/* what needs the table to be logged, if it is */
		" CASE WHEN o.relid = c.oid AND c.relpersistence = 'p' AND NOT EXISTS"
		"  (SELECT FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class l ON l.oid = i.inhrelid"
		"   WHERE i.inhparent = c.oid AND l.relpersistence = 'u')"
		" THEN COALESCE("
		"  (SELECT pg_catalog.format('foreign key %I of table %s', k.conname, k.conrelid::pg_catalog.regclass)"
		"   FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class f ON f.oid = k.conrelid"
		"   WHERE k.contype = 'f' AND f.relpersistence = 'p' AND f.oid <> c.oid AND k.conparentid = 0"
		"    AND (k.confrelid = c.oid OR k.confrelid IN"
		"     (SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid))"
		"   ORDER BY k.oid LIMIT 1),"
		"  (SELECT pg_catalog.format('publication %I', u.pubname) FROM pg_catalog.pg_publication u"
		"   WHERE u.puballtables"
		"    OR EXISTS (SELECT FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = u.oid"
		"     AND (r.prrelid = c.oid OR r.prrelid IN"
		"      (SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid)))"
		"    OR EXISTS (SELECT FROM pg_catalog.pg_publication_namespace s"
		"     WHERE s.pnpubid = u.oid AND s.pnnspid = c.relnamespace)"
		"   ORDER BY u.oid LIMIT 1)) END,"
		" (SELECT pg_catalog.quote_ident(u.pubname) FROM pg_catalog.pg_publication u"
		"   WHERE u.puballtables"
		"    OR EXISTS (SELECT FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = u.oid AND (r.prrelid = c.oid"
		"     OR r.prrelid IN (SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid)))"
		"    OR EXISTS (SELECT FROM pg_catalog.pg_publication_namespace s"
		"     WHERE s.pnpubid = u.oid AND s.pnnspid = c.relnamespace)"
		"   ORDER BY u.oid LIMIT 1),"
		" (SELECT pg_catalog.sum(1 + (t.reltoastrelid <> 0)::int"
		"   + (SELECT pg_catalog.count(*) FROM pg_catalog.pg_index x WHERE x.indrelid = t.oid))::int"
		"  FROM pg_catalog.pg_class t WHERE t.oid = c.oid"
		"   OR t.oid IN (SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid))"
		" FROM pg_catalog.pg_namespace n"
		" JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid"
		" LEFT JOIN etl.output_data o ON o.pipeline_id = $1 AND o.schema_name = $2"
		"  AND o.process_name = c.relname::text"
		" WHERE n.nspname = $2::name AND c.relname = ANY ($3::name[])"
		" UNION ALL"
		" SELECT t.typname::text, NULL, NULL, false, NULL, NULL, 0"
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

	params_put_int32(&params, pipeline_id);
	params_put_text(&params, schema);
	params_put_list(&params, names);

	etl_spi_begin(&spi);
	n = catalog_execute(&statement, &params, true);
	MemoryContextSwitchTo(spi.caller);
	for (uint64 i = 0; i < n; i++)
	{
		Occupant   *occupant = palloc(sizeof(Occupant));
		Row			row;

		row_open(&row, i);
		occupant->name = row_get_text(&row);
		occupant->relid = row_get_oid(&row);
		occupant->registered = row_get_oid(&row);
		occupant->lost = row_get_bool(&row, false);
		occupant->needs_log = row_get_text(&row);
		occupant->publication = row_get_text(&row);
		occupant->nrelations = row_get_int32(&row, 0);
		occupants = lappend(occupants, occupant);
	}
	etl_spi_end(&spi);

	return occupants;
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
	EtlSpi		spi;
	List	   *names = NIL;

	params_put_int32(&params, pipeline_id);
	params_put_text(&params, schema);
	params_put_text(&params, process_name);

	etl_spi_begin(&spi);
	if (catalog_execute(&statement, &params, true) > 0)
	{
		Row			row;

		MemoryContextSwitchTo(spi.caller);
		row_open(&row, 0);
		names = row_get_list(&row);
	}
	etl_spi_end(&spi);

	return names;
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
	EtlSpi		spi;
	List	   *relids = NIL;
	uint64		n;

	etl_spi_begin(&spi);
	n = catalog_execute(&statement, &params, true);
	MemoryContextSwitchTo(spi.caller);
	for (uint64 i = 0; i < n; i++)
	{
		Row			row;

		row_open(&row, i);
		relids = lappend_oid(relids, row_get_oid(&row));
	}
	etl_spi_end(&spi);

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
	EtlSpi		spi;
	pg_uuid_t  *token = NULL;

	if (RecoveryInProgress())
		PG_RETURN_NULL();

	etl_spi_begin(&spi);
	if (catalog_execute(&statement, &params, true) > 0)
	{
		Row			row;

		row_open(&row, 0);
		token = MemoryContextAlloc(spi.caller, sizeof(pg_uuid_t));
		*token = *DatumGetUUIDP(row.values[0]);
	}
	etl_spi_end(&spi);

	if (token == NULL)
		PG_RETURN_NULL();
	PG_RETURN_UUID_P(token);
}
