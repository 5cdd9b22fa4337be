/*-------------------------------------------------------------------------
 *
 * catalog_row.c
 *	  Parameters of the catalog's statements, and the rows that they return.
 *
 * Writers and readers that follow the order of the statement's parameters and
 * columns.  May not know any table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "metastore/catalog_row.h"

#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

int
catalog_word_index(const char *word, const char *const *words, int nwords)
{
	for (int i = 0; i < nwords; i++)
	{
		if (strcmp(words[i], word) == 0)
			return i;
	}
	elog(ERROR, "unexpected word \"%s\" in a table of schema \"%s\"", word, ETL_SCHEMA);
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

void
params_put_datum(Params *params, Datum value, bool isnull)
{
	Assert(params->n < ETL_SPI_MAX_ARGS);
	params->values[params->n] = value;
	params->nulls[params->n] = isnull ? 'n' : ' ';
	params->n++;
}

void
params_put_int32(Params *params, int32 value)
{
	params_put_datum(params, Int32GetDatum(value), false);
}

/* The value that stands for "none" in the struct is NULL in the table. */
void
params_put_int32_unless(Params *params, int32 value, bool isnull)
{
	params_put_datum(params, Int32GetDatum(value), isnull);
}

void
params_put_int64(Params *params, int64 value)
{
	params_put_datum(params, Int64GetDatum(value), false);
}

void
params_put_int64_unless(Params *params, int64 value, bool isnull)
{
	params_put_datum(params, Int64GetDatum(value), isnull);
}

void
params_put_oid(Params *params, Oid value)
{
	params_put_datum(params, ObjectIdGetDatum(value), false);
}

void
params_put_bool(Params *params, bool value)
{
	params_put_datum(params, BoolGetDatum(value), false);
}

void
params_put_text(Params *params, const char *value)
{
	params_put_datum(params, value ? CStringGetTextDatum(value) : (Datum) 0, value == NULL);
}

void
params_put_message(Params *params, const char *value)
{
	int			length = value ? strlen(value) : 0;
	StringInfoData cut;

	if (length <= MAX_MESSAGE_BYTES)
	{
		params_put_text(params, value);
		return;
	}
	initStringInfo(&cut);
	appendBinaryStringInfo(&cut, value, pg_mbcliplen(value, length, MAX_MESSAGE_BYTES));
	appendStringInfo(&cut, "... (%d bytes)", length);
	params_put_text(params, cut.data);
	pfree(cut.data);
}

void
params_put_list(Params *params, const List *value)
{
	params_put_datum(params, PointerGetDatum(catalog_list_to_array(value)), false);
}

void
params_put_list_or_null(Params *params, const List *value)
{
	if (value == NIL)
		params_put_datum(params, (Datum) 0, true);
	else
		params_put_list(params, value);
}

void
params_put_oids(Params *params, const List *value)
{
	Datum	   *elements = palloc(sizeof(Datum) * Max(list_length(value), 1));
	ListCell   *lc;

	foreach(lc, value)
		elements[foreach_current_index(lc)] = ObjectIdGetDatum(lfirst_oid(lc));
	params_put_datum(params,
					 PointerGetDatum(construct_array(elements, list_length(value), OIDOID,
													 sizeof(Oid), true, TYPALIGN_INT)),
					 value == NIL);
}

void
params_put_interval(Params *params, int64 ms)
{
	if (ms == CATALOG_NO_TIMEOUT)
		params_put_datum(params, (Datum) 0, true);
	else
		params_put_datum(params, IntervalPGetDatum(interval_from_ms(ms)), false);
}

uint64
catalog_execute(EtlStatement *statement, const Params *params, bool read_only)
{
	Assert(params->n == statement->nargs);
	return etl_spi_execute(statement, params->values, params->nulls, read_only, 0);
}

uint64
catalog_execute_write(EtlStatement *statement, const Params *params)
{
	EtlSpi		spi;
	uint64		processed;

	etl_spi_begin(&spi);
	processed = catalog_execute(statement, params, false);
	etl_spi_end(&spi);

	return processed;
}

/* ---- columns, in the order of the statement's list ---- */

void
row_open(Row *row, uint64 number)
{
	Assert(SPI_tuptable->tupdesc->natts <= ETL_SPI_MAX_ARGS);
	heap_deform_tuple(SPI_tuptable->vals[number], SPI_tuptable->tupdesc,
					  row->values, row->nulls);
	row->next = 0;
}

bool
catalog_query_row(EtlStatement *statement, const Params *params, bool read_only, Row *row)
{
	EtlSpi		spi;
	bool		found;

	etl_spi_begin(&spi);
	found = catalog_execute(statement, params, read_only) > 0;
	if (found)
	{
		HeapTuple	tuple = SPI_tuptable->vals[0];

		Assert(SPI_tuptable->tupdesc->natts <= ETL_SPI_MAX_ARGS);
		/* values that are stored apart are fetched while there is a snapshot */
		MemoryContextSwitchTo(spi.caller);
		tuple = HeapTupleHasExternal(tuple) ?
			toast_flatten_tuple(tuple, SPI_tuptable->tupdesc) : heap_copytuple(tuple);
		heap_deform_tuple(tuple, SPI_tuptable->tupdesc, row->values, row->nulls);
		row->next = 0;
	}
	etl_spi_end(&spi);

	return found;
}

List *
catalog_query_list(EtlStatement *statement, const Params *params, RowReader reader)
{
	EtlSpi		spi;
	List	   *list = NIL;
	uint64		n;

	etl_spi_begin(&spi);
	n = catalog_execute(statement, params, true);
	MemoryContextSwitchTo(spi.caller);
	for (uint64 i = 0; i < n; i++)
	{
		Row			row;

		row_open(&row, i);
		list = lappend(list, reader(&row));
	}
	etl_spi_end(&spi);

	return list;
}

bool
row_get_isnull(const Row *row)
{
	return row->nulls[row->next];
}

int32
row_get_int32(Row *row, int32 null_value)
{
	int			i = row->next++;

	return row->nulls[i] ? null_value : DatumGetInt32(row->values[i]);
}

int64
row_get_int64(Row *row, int64 null_value)
{
	int			i = row->next++;

	return row->nulls[i] ? null_value : DatumGetInt64(row->values[i]);
}

Oid
row_get_oid(Row *row)
{
	int			i = row->next++;

	return row->nulls[i] ? InvalidOid : DatumGetObjectId(row->values[i]);
}

bool
row_get_bool(Row *row, bool null_value)
{
	int			i = row->next++;

	return row->nulls[i] ? null_value : DatumGetBool(row->values[i]);
}

char *
row_get_text(Row *row)
{
	int			i = row->next++;

	return row->nulls[i] ? NULL : TextDatumGetCString(row->values[i]);
}

pg_uuid_t *
row_get_uuid(Row *row)
{
	int			i = row->next++;

	return row->nulls[i] ? NULL : DatumGetUUIDP(row->values[i]);
}

List *
row_get_list(Row *row)
{
	int			i = row->next++;

	return row->nulls[i] ? NIL : catalog_array_to_list(DatumGetArrayTypeP(row->values[i]));
}

List *
row_get_oids(Row *row)
{
	int			i = row->next++;
	List	   *list = NIL;
	Datum	   *elements;
	int			n;

	if (row->nulls[i])
		return NIL;
	deconstruct_array(DatumGetArrayTypeP(row->values[i]), OIDOID, sizeof(Oid), true, TYPALIGN_INT,
					  &elements, NULL, &n);
	for (int k = 0; k < n; k++)
		list = lappend_oid(list, DatumGetObjectId(elements[k]));
	return list;
}

int64
row_get_interval(Row *row)
{
	int			i = row->next++;

	return row->nulls[i] ? CATALOG_NO_TIMEOUT :
		catalog_interval_to_ms(DatumGetIntervalP(row->values[i]));
}
