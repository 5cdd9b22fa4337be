/*-------------------------------------------------------------------------
 *
 * row_json.c
 *	  A row as short JSON, to be shown.
 *
 * to_jsonb would do but for the size: a value can have a gigabyte.  A large one
 * is therefore not even read to its end where that can be avoided.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "execute/row_json.h"

#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "common/jsonapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/lsyscache.h"

#define MAX_VALUE_BYTES		100 /* shown of one value */
#define MAX_ROW_BYTES		2000	/* of an object, about */
#define MAX_READ_BYTES		8192	/* a value up to this size is made text as a whole */

static void
append_string(StringInfo json, const char *text, int length)
{
	char	   *shown;

	if (length <= MAX_VALUE_BYTES)
	{
		shown = pnstrdup(text, length);
		escape_json(json, shown);
		pfree(shown);
		return;
	}
	shown = psprintf("%.*s...", pg_mbcliplen(text, length, MAX_VALUE_BYTES), text);
	escape_json(json, shown);
	pfree(shown);
}

/* A value that is too large to be made text. */
static void
append_large(StringInfo json, Datum value, Oid type, Size size)
{
	if (type == TEXTOID || type == VARCHAROID || type == BPCHAROID)
	{
		text	   *slice = (text *) PG_DETOAST_DATUM_SLICE(value, 0, MAX_VALUE_BYTES * 2);

		/* longer than what is shown, so that it is cut at a whole character */
		append_string(json, VARDATA_ANY(slice), VARSIZE_ANY_EXHDR(slice));
	}
	else
		appendStringInfo(json, "\"(%zu bytes)\"", size);
}

static void
append_text(StringInfo json, Datum value, Oid type, bool as_is)
{
	Oid			function;
	bool		is_varlena;
	char	   *text;
	int			length;

	getTypeOutputInfo(type, &function, &is_varlena);
	text = OidOutputFunctionCall(function, value);

	length = strlen(text);
	if (as_is && length <= MAX_VALUE_BYTES)
		appendBinaryStringInfo(json, text, length);
	else
		append_string(json, text, length);
	pfree(text);
}

static void
append_number(StringInfo json, Datum value, Oid type)
{
	Oid			function;
	bool		is_varlena;
	char	   *text;

	getTypeOutputInfo(type, &function, &is_varlena);
	text = OidOutputFunctionCall(function, value);

	/* NaN and Infinity are none, and there are very long ones */
	if (strlen(text) <= MAX_VALUE_BYTES && IsValidJsonNumber(text, strlen(text)))
		appendStringInfoString(json, text);
	else
		append_string(json, text, strlen(text));
	pfree(text);
}

static void
append_value(StringInfo json, Datum value, Oid declared)
{
	Oid			type = getBaseType(declared);
	char		buffer[MAXDATELEN + 1];

	if (get_typlen(type) == -1 && toast_raw_datum_size(value) > MAX_READ_BYTES)
	{
		append_large(json, value, type, toast_raw_datum_size(value) - VARHDRSZ);
		return;
	}

	switch (type)
	{
		case BOOLOID:
			appendStringInfoString(json, DatumGetBool(value) ? "true" : "false");
			break;
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
			append_number(json, value, type);
			break;
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			/* as JSON has it, whatever DateStyle is */
			JsonEncodeDateTime(buffer, value, type, NULL);
			append_string(json, buffer, strlen(buffer));
			break;
		case JSONOID:
		case JSONBOID:
			append_text(json, value, type, true);
			break;
		default:
			append_text(json, value, type, false);
			break;
	}
}

void
row_json_append(StringInfo json, TupleTableSlot *slot)
{
	TupleDesc	desc = slot->tts_tupleDescriptor;
	int			start = json->len;

	slot_getallattrs(slot);
	appendStringInfoChar(json, '{');
	for (int i = 0; i < desc->natts && json->len - start < MAX_ROW_BYTES; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (column->attisdropped)
			continue;
		if (json->len > start + 1)
			appendStringInfoString(json, ", ");
		escape_json(json, NameStr(column->attname));
		appendStringInfoString(json, ": ");
		if (slot->tts_isnull[i])
			appendStringInfoString(json, "null");
		else
			append_value(json, slot->tts_values[i], column->atttypid);
	}
	appendStringInfoChar(json, '}');
}
