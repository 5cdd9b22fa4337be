/*-------------------------------------------------------------------------
 *
 * option.c
 *	  Options of a pipeline and arguments of a step as data.
 *
 * Values come from SQL arguments or from jsonb; both are brought to the form
 * that the struct has and then checked by the same code.  What depends on more
 * than one field is not checked here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "metastore/catalog.h"
#include "define/option.h"
#include "base/nearest.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#define MEMBER(type, target, field) ((type *) ((char *) (target) + (field)->offset))

void
option_raise_null(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("argument \"%s\" must not be null", what)));
}

static void
raise_null_element(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("\"%s\" must not contain null elements", what)));
}

void
option_check_name(const char *what, const char *name)
{
	if (name[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("name in \"%s\" is empty", what)));
	if (strlen(name) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("name in \"%s\" is too long: \"%s\"", what, name),
				 errdetail("It has %zu bytes; names have at most %d.",
						   strlen(name), NAMEDATALEN - 1)));
}

char *
option_text_argument(FunctionCallInfo fcinfo, int argno, const char *what)
{
	if (PG_ARGISNULL(argno))
		option_raise_null(what);
	return text_to_cstring(PG_GETARG_TEXT_PP(argno));
}

/* ---- setting a member, with the checks ---- */

static void
set_text(const Option *field, void *target, char *value)
{
	if (field->type == OPTION_NAME)
		option_check_name(field->name, value);
	*MEMBER(char *, target, field) = value;
}

static void
set_list(const Option *field, void *target, List *value)
{
	if (field->type == OPTION_NAME_LIST)
	{
		ListCell   *lc;

		foreach(lc, value)
			option_check_name(field->name, lfirst(lc));
	}
	*MEMBER(List *, target, field) = value;
}

static void
set_int(const Option *field, void *target, int64 value)
{
	if (value < field->min || value > field->max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is out of range: " INT64_FORMAT, field->name, value),
				 errdetail("It must be between " INT64_FORMAT " and " INT64_FORMAT ".",
						   field->min, field->max)));
	*MEMBER(int32, target, field) = (int32) value;
}

static void
set_interval(const Option *field, void *target, const Interval *value)
{
	int64		ms;

	if (INTERVAL_NOT_FINITE(value))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" must be finite", field->name)));
	ms = catalog_interval_to_ms(value);
	if (ms < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" must not be negative", field->name)));
	if (ms < field->min)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" must be at least one millisecond", field->name),
				 errhint("Use NULL for no time-out.")));
	if (ms > field->max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" must not be longer than 100 years", field->name)));
	*MEMBER(int64, target, field) = ms;
}

static void
set_word(const Option *field, void *target, const char *value)
{
	StringInfoData list;
	int			n = 0;

	for (n = 0; field->words[n] != NULL; n++)
	{
		if (strcmp(field->words[n], value) != 0)
			continue;
		if (field->size == sizeof(bool))
			*MEMBER(bool, target, field) = n != 0;
		else
			*MEMBER(int, target, field) = n;
		return;
	}

	initStringInfo(&list);
	for (int i = 0; i < n; i++)
		appendStringInfo(&list, "%s\"%s\"",
						 i == 0 ? "" : i == n - 1 ? " and " : ", ", field->words[i]);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for \"%s\": \"%s\"", field->name, value),
			 errhint("Available values: %s.", list.data)));
}

/* There is a value, or, after reset_field, perhaps not. */
static void
set_has(const Option *field, void *target, bool has)
{
	if (field->has_offset != 0)
		*((bool *) ((char *) target + field->has_offset)) = has;
}

static bool
get_has(const Option *field, const void *target)
{
	return field->has_offset == 0 ||
		*((const bool *) ((const char *) target + field->has_offset));
}

static void
reset_field(const Option *field, void *target, const void *defaults)
{
	memcpy(MEMBER(char, target, field), MEMBER(const char, defaults, field), field->size);
	set_has(field, target, field->has_offset != 0 && get_has(field, defaults));
}

/* ---- SQL arguments ---- */

static List *
list_from_array(const Option *field, ArrayType *array)
{
	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("\"%s\" must be a one-dimensional array", field->name)));
	if (array_contains_nulls(array))
		raise_null_element(field->name);
	return catalog_array_to_list(array);
}

void
option_take_arguments(const Option *fields, int nfields, void *target, FunctionCallInfo fcinfo)
{
	for (int i = 0; i < nfields; i++)
	{
		const Option *field = &fields[i];
		int			n = field->argno;

		if (PG_ARGISNULL(n))
		{
			if (field->required)
				option_raise_null(field->name);
			continue;
		}

		switch (field->type)
		{
			case OPTION_TEXT:
			case OPTION_NAME:
				set_text(field, target, text_to_cstring(PG_GETARG_TEXT_PP(n)));
				break;
			case OPTION_TEXT_LIST:
			case OPTION_NAME_LIST:
				set_list(field, target, list_from_array(field, PG_GETARG_ARRAYTYPE_P(n)));
				break;
			case OPTION_BOOL:
				*MEMBER(bool, target, field) = PG_GETARG_BOOL(n);
				break;
			case OPTION_INT:
				set_int(field, target, PG_GETARG_INT32(n));
				break;
			case OPTION_INTERVAL:
				set_interval(field, target, PG_GETARG_INTERVAL_P(n));
				break;
			case OPTION_WORD:
				set_word(field, target, text_to_cstring(PG_GETARG_TEXT_PP(n)));
				break;
		}
		set_has(field, target, true);
	}
}

/* ---- jsonb ---- */

static void
raise_json_type(const Option *field, const char *expected)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("value of key \"%s\" must be %s", field->name, expected)));
}

static char *
text_from_json(const Option *field, const JsonbValue *value, const char *expected)
{
	if (value->type != jbvString)
		raise_json_type(field, expected);
	return pnstrdup(value->val.string.val, value->val.string.len);
}

static int64
int_from_json(const Option *field, const JsonbValue *value)
{
	char	   *text;
	char	   *end;
	long long	number;

	if (value->type != jbvNumeric)
		raise_json_type(field, "an integer");
	text = DatumGetCString(DirectFunctionCall1(numeric_out,
											   NumericGetDatum(value->val.numeric)));

	errno = 0;
	number = strtoll(text, &end, 10);
	if (*end != '\0')
		raise_json_type(field, "an integer");
	if (errno != 0)
		number = text[0] == '-' ? PG_INT64_MIN : PG_INT64_MAX;	/* out of any range */

	return number;
}

static List *
list_from_json(const Option *field, const JsonbValue *value)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	element;
	List	   *list = NIL;

	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		raise_json_type(field, "an array of strings");

	iterator = JsonbIteratorInit(value->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (element.type == jbvNull)
			raise_null_element(field->name);
		list = lappend(list, text_from_json(field, &element, "an array of strings"));
	}
	return list;
}

static void
set_from_json(const Option *field, void *target, const JsonbValue *value)
{
	switch (field->type)
	{
		case OPTION_TEXT:
		case OPTION_NAME:
			set_text(field, target, text_from_json(field, value, "a string"));
			break;
		case OPTION_TEXT_LIST:
		case OPTION_NAME_LIST:
			set_list(field, target, list_from_json(field, value));
			break;
		case OPTION_BOOL:
			if (value->type != jbvBool)
				raise_json_type(field, "true or false");
			*MEMBER(bool, target, field) = value->val.boolean;
			break;
		case OPTION_INT:
			set_int(field, target, int_from_json(field, value));
			break;
		case OPTION_INTERVAL:
			set_interval(field, target,
						 DatumGetIntervalP(DirectFunctionCall3(interval_in,
															   CStringGetDatum(text_from_json(field, value, "a string that is an interval")),
															   ObjectIdGetDatum(InvalidOid),
															   Int32GetDatum(-1))));
			break;
		case OPTION_WORD:
			set_word(field, target, text_from_json(field, value, "a string"));
			break;
	}
	set_has(field, target, true);
}

/* An unknown key, or one of those that cannot be changed. */
static void
raise_wrong_key(const char *what, const Option *fields, int nfields,
				const char *const *fixed, const char *key)
{
	Nearest		nearest;

	for (int i = 0; fixed[i] != NULL; i++)
	{
		if (strcmp(fixed[i], key) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"%s\" of a %s cannot be changed", key, what),
					 errhint("Drop the %s and define it anew.", what)));
	}

	nearest_init(&nearest, key);
	for (int i = 0; i < nfields; i++)
		nearest_consider(&nearest, fields[i].name);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown key \"%s\" in \"changes\"", key),
			 nearest.best ? errhint("Perhaps you mean the key \"%s\".", nearest.best) :
			 errhint("Keys are the names of the arguments that define a %s.", what)));
}

bool
option_take_value(const Option *fields, int nfields, void *target, const void *defaults,
				  const char *key, const JsonbValue *value)
{
	const Option *field = NULL;

	for (int i = 0; i < nfields && field == NULL; i++)
	{
		if (strcmp(fields[i].name, key) == 0)
			field = &fields[i];
	}
	if (field == NULL)
		return false;

	if (value->type != jbvNull)
		set_from_json(field, target, value);
	else if (field->required)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("value of key \"%s\" must not be null", field->name)));
	else
		reset_field(field, target, defaults);
	return true;
}

void
option_take_changes(const char *what, const Option *fields, int nfields, void *target,
					const void *defaults, const char *const *fixed, const Jsonb *changes)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;
	char	   *key = NULL;

	if (!JB_ROOT_IS_OBJECT(changes))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"changes\" must be a JSON object")));

	iterator = JsonbIteratorInit(unconstify(JsonbContainer *, &changes->root));
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			key = pnstrdup(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE &&
				 !option_take_value(fields, nfields, target, defaults, key, &value))
			raise_wrong_key(what, fields, nfields, fixed, key);
	}
}

/* ---- text ---- */

static char *
output_value(Oid type, Datum value)
{
	Oid			function;
	bool		is_varlena;

	getTypeOutputInfo(type, &function, &is_varlena);
	return OidOutputFunctionCall(function, value);
}

static char *
interval_to_text(int64 ms)
{
	Interval	interval = {.time = ms * 1000};

	return output_value(INTERVALOID, IntervalPGetDatum(&interval));
}

char *
option_to_text(const Option *field, const void *source)
{
	if (!get_has(field, source))
		return NULL;

	switch (field->type)
	{
		case OPTION_TEXT:
		case OPTION_NAME:
			return *MEMBER(char *const, source, field);
		case OPTION_TEXT_LIST:
		case OPTION_NAME_LIST:
			{
				const List *list = *MEMBER(List *const, source, field);

				return list == NIL ? NULL :
					output_value(TEXTARRAYOID, PointerGetDatum(catalog_list_to_array(list)));
			}
		case OPTION_BOOL:
			return pstrdup(*MEMBER(const bool, source, field) ? "true" : "false");
		case OPTION_INT:
			{
				int32		value = *MEMBER(const int32, source, field);

				/* where 0 is no possible value it stands for none */
				return value == 0 && field->min > 0 ? NULL : psprintf("%d", value);
			}
		case OPTION_INTERVAL:
			{
				int64		ms = *MEMBER(const int64, source, field);

				return ms == CATALOG_NO_TIMEOUT ? NULL : interval_to_text(ms);
			}
		case OPTION_WORD:
			return pstrdup(field->words[field->size == sizeof(bool) ?
										(int) *MEMBER(const bool, source, field) :
										*MEMBER(const int, source, field)]);
	}
	return NULL;				/* keep compiler quiet */
}

/* ---- text of a script ---- */

void
option_take_text(const Option *field, void *target, char *value)
{
	bool		truth;
	int32		number;

	switch (field->type)
	{
		case OPTION_TEXT:
		case OPTION_NAME:
			set_text(field, target, value);
			break;
		case OPTION_BOOL:
			if (!parse_bool(value, &truth))
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("invalid value for \"%s\": \"%s\"", field->name, value),
						 errhint("Available values: %s.", "\"true\" and \"false\"")));
			*MEMBER(bool, target, field) = truth;
			break;
		case OPTION_INT:
			number = pg_strtoint32(value);
			set_int(field, target, number);
			break;
		case OPTION_INTERVAL:
			set_interval(field, target,
						 DatumGetIntervalP(DirectFunctionCall3(interval_in,
															   CStringGetDatum(value),
															   ObjectIdGetDatum(InvalidOid),
															   Int32GetDatum(-1))));
			break;
		case OPTION_WORD:
			set_word(field, target, value);
			break;
		case OPTION_TEXT_LIST:
		case OPTION_NAME_LIST:
			elog(ERROR, "field \"%s\" is a list", field->name);
	}
	set_has(field, target, true);
}

void
option_take_list(const Option *field, void *target, List *value)
{
	set_list(field, target, value);
	set_has(field, target, true);
}

void
option_add_element(const Option *field, void *target, char *value)
{
	option_take_list(field, target, lappend(*MEMBER(List *, target, field), value));
}

/* ---- comparing ---- */

static bool
text_equal(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool
list_of_text_equal(const List *a, const List *b)
{
	ListCell   *la;
	ListCell   *lb;

	if (list_length(a) != list_length(b))
		return false;
	forboth(la, a, lb, b)
	{
		if (!text_equal(lfirst(la), lfirst(lb)))
			return false;
	}
	return true;
}

bool
option_equal(const Option *field, const void *a, const void *b)
{
	if (get_has(field, a) != get_has(field, b))
		return false;
	if (!get_has(field, a))
		return true;

	switch (field->type)
	{
		case OPTION_TEXT:
		case OPTION_NAME:
			return text_equal(*MEMBER(char *const, a, field), *MEMBER(char *const, b, field));
		case OPTION_TEXT_LIST:
		case OPTION_NAME_LIST:
			return list_of_text_equal(*MEMBER(List *const, a, field),
									  *MEMBER(List *const, b, field));
		case OPTION_BOOL:
		case OPTION_INT:
		case OPTION_INTERVAL:
		case OPTION_WORD:
			return memcmp(MEMBER(const char, a, field), MEMBER(const char, b, field),
						  field->size) == 0;
	}
	return false;				/* keep compiler quiet */
}

bool
option_all_equal(const Option *fields, int nfields, const void *a, const void *b)
{
	for (int i = 0; i < nfields; i++)
	{
		if (!option_equal(&fields[i], a, b))
			return false;
	}
	return true;
}
