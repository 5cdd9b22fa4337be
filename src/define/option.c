/*-------------------------------------------------------------------------
 *
 * option.c
 *	  Options of a pipeline and arguments of a step as data.
 *
 * Values come from SQL arguments or from jsonb; both are brought to the form
 * that the struct has and then checked by the same code.  What depends on more
 * than one option is not checked here.
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

#define MEMBER(type, target, option) ((type *) ((char *) (target) + (option)->offset))

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
set_text(const Option *option, void *target, char *value)
{
	if (option->type == OPTION_NAME)
		option_check_name(option->name, value);
	*MEMBER(char *, target, option) = value;
}

static void
set_list(const Option *option, void *target, List *value)
{
	if (option->type == OPTION_NAME_LIST)
	{
		ListCell   *lc;

		foreach(lc, value)
			option_check_name(option->name, lfirst(lc));
	}
	*MEMBER(List *, target, option) = value;
}

static void
set_int(const Option *option, void *target, int64 value)
{
	if (value < option->min || value > option->max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is out of range: " INT64_FORMAT, option->name, value),
				 errdetail("It must be between " INT64_FORMAT " and " INT64_FORMAT ".",
						   option->min, option->max)));
	*MEMBER(int32, target, option) = (int32) value;
}

static void
set_interval(const Option *option, void *target, const Interval *value)
{
	int64		ms;

	if (INTERVAL_NOT_FINITE(value))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" must be finite", option->name)));
	ms = catalog_interval_to_ms(value);
	if (ms < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" must not be negative", option->name)));
	if (ms < option->min)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" must be at least one millisecond", option->name),
				 errhint("Use NULL for no time-out.")));
	if (ms > option->max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" must not be longer than 100 years", option->name)));
	*MEMBER(int64, target, option) = ms;
}

static void
set_word(const Option *option, void *target, const char *value)
{
	StringInfoData list;
	int			n = 0;

	for (n = 0; option->words[n] != NULL; n++)
	{
		if (strcmp(option->words[n], value) != 0)
			continue;
		if (option->size == sizeof(bool))
			*MEMBER(bool, target, option) = n != 0;
		else
			*MEMBER(int, target, option) = n;
		return;
	}

	initStringInfo(&list);
	for (int i = 0; i < n; i++)
		appendStringInfo(&list, "%s\"%s\"",
						 i == 0 ? "" : i == n - 1 ? " and " : ", ", option->words[i]);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for \"%s\": \"%s\"", option->name, value),
			 errhint("Available values: %s.", list.data)));
}

/* There is a value, or, after reset_option, perhaps not. */
static void
set_has(const Option *option, void *target, bool has)
{
	if (option->has_offset != 0)
		*((bool *) ((char *) target + option->has_offset)) = has;
}

static bool
get_has(const Option *option, const void *target)
{
	return option->has_offset == 0 ||
		*((const bool *) ((const char *) target + option->has_offset));
}

static void
reset_option(const Option *option, void *target, const void *defaults)
{
	memcpy(MEMBER(char, target, option), MEMBER(const char, defaults, option), option->size);
	set_has(option, target, option->has_offset != 0 && get_has(option, defaults));
}

/* ---- SQL arguments ---- */

static List *
list_from_array(const Option *option, ArrayType *array)
{
	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("\"%s\" must be a one-dimensional array", option->name)));
	if (array_contains_nulls(array))
		raise_null_element(option->name);
	return catalog_array_to_list(array);
}

void
option_take_arguments(const Option *options, int noptions, void *target, FunctionCallInfo fcinfo)
{
	for (int i = 0; i < noptions; i++)
	{
		const Option *option = &options[i];
		int			n = option->argno;

		if (PG_ARGISNULL(n))
		{
			if (option->required)
				option_raise_null(option->name);
			continue;
		}

		switch (option->type)
		{
			case OPTION_TEXT:
			case OPTION_NAME:
				set_text(option, target, text_to_cstring(PG_GETARG_TEXT_PP(n)));
				break;
			case OPTION_TEXT_LIST:
			case OPTION_NAME_LIST:
				set_list(option, target, list_from_array(option, PG_GETARG_ARRAYTYPE_P(n)));
				break;
			case OPTION_BOOL:
				*MEMBER(bool, target, option) = PG_GETARG_BOOL(n);
				break;
			case OPTION_INT:
				set_int(option, target, PG_GETARG_INT32(n));
				break;
			case OPTION_INTERVAL:
				set_interval(option, target, PG_GETARG_INTERVAL_P(n));
				break;
			case OPTION_WORD:
				set_word(option, target, text_to_cstring(PG_GETARG_TEXT_PP(n)));
				break;
		}
		set_has(option, target, true);
	}
}

/* ---- jsonb ---- */

void
option_raise_json_type(const char *key, const char *expected)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("value of key \"%s\" must be %s", key, expected)));
}

char *
option_json_text(const char *key, const JsonbValue *value, const char *expected)
{
	if (value->type != jbvString)
		option_raise_json_type(key, expected);
	return pnstrdup(value->val.string.val, value->val.string.len);
}

int64
option_json_int(const char *key, const JsonbValue *value)
{
	char	   *text;
	char	   *end;
	long long	number;

	if (value->type != jbvNumeric)
		option_raise_json_type(key, "an integer");
	text = DatumGetCString(DirectFunctionCall1(numeric_out,
											   NumericGetDatum(value->val.numeric)));

	number = strtoll(text, &end, 10);	/* at the limits where it overflows */
	if (*end != '\0')
		option_raise_json_type(key, "an integer");
	return number;
}

static List *
list_from_json(const Option *option, const JsonbValue *value)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	element;
	List	   *list = NIL;

	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		option_raise_json_type(option->name, "an array of strings");

	iterator = JsonbIteratorInit(value->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (element.type == jbvNull)
			raise_null_element(option->name);
		list = lappend(list, option_json_text(option->name, &element, "an array of strings"));
	}
	return list;
}

static void
set_from_json(const Option *option, void *target, const JsonbValue *value)
{
	switch (option->type)
	{
		case OPTION_TEXT:
		case OPTION_NAME:
			set_text(option, target, option_json_text(option->name, value, "a string"));
			break;
		case OPTION_TEXT_LIST:
		case OPTION_NAME_LIST:
			set_list(option, target, list_from_json(option, value));
			break;
		case OPTION_BOOL:
			if (value->type != jbvBool)
				option_raise_json_type(option->name, "true or false");
			*MEMBER(bool, target, option) = value->val.boolean;
			break;
		case OPTION_INT:
			set_int(option, target, option_json_int(option->name, value));
			break;
		case OPTION_INTERVAL:
			set_interval(option, target,
						 DatumGetIntervalP(DirectFunctionCall3(interval_in,
															   CStringGetDatum(option_json_text(option->name, value, "a string that is an interval")),
															   ObjectIdGetDatum(InvalidOid),
															   Int32GetDatum(-1))));
			break;
		case OPTION_WORD:
			set_word(option, target, option_json_text(option->name, value, "a string"));
			break;
	}
	set_has(option, target, true);
}

/* An unknown key, or one of those that cannot be changed. */
static void
raise_wrong_key(const char *what, const Option *options, int noptions,
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
	for (int i = 0; i < noptions; i++)
		nearest_consider(&nearest, options[i].name);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown key \"%s\" in \"changes\"", key),
			 nearest.best ? errhint("Perhaps you mean the key \"%s\".", nearest.best) :
			 errhint("Keys are the names of the arguments that define a %s.", what)));
}

bool
option_take_value(const Option *options, int noptions, void *target, const void *defaults,
				  const char *key, const JsonbValue *value)
{
	const Option *option = NULL;

	for (int i = 0; i < noptions && option == NULL; i++)
	{
		if (strcmp(options[i].name, key) == 0)
			option = &options[i];
	}
	if (option == NULL)
		return false;

	if (value->type != jbvNull)
		set_from_json(option, target, value);
	else if (option->required)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("value of key \"%s\" must not be null", option->name)));
	else
		reset_option(option, target, defaults);
	return true;
}

void
option_take_changes(const char *what, const Option *options, int noptions, void *target,
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
				 !option_take_value(options, noptions, target, defaults, key, &value))
			raise_wrong_key(what, options, noptions, fixed, key);
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
option_to_text(const Option *option, const void *source)
{
	if (!get_has(option, source))
		return NULL;

	switch (option->type)
	{
		case OPTION_TEXT:
		case OPTION_NAME:
			return *MEMBER(char *const, source, option);
		case OPTION_TEXT_LIST:
		case OPTION_NAME_LIST:
			{
				const List *list = *MEMBER(List *const, source, option);

				return list == NIL ? NULL :
					output_value(TEXTARRAYOID, PointerGetDatum(catalog_list_to_array(list)));
			}
		case OPTION_BOOL:
			return pstrdup(*MEMBER(const bool, source, option) ? "true" : "false");
		case OPTION_INT:
			{
				int32		value = *MEMBER(const int32, source, option);

				/* where 0 is no possible value it stands for none */
				return value == 0 && option->min > 0 ? NULL : psprintf("%d", value);
			}
		case OPTION_INTERVAL:
			{
				int64		ms = *MEMBER(const int64, source, option);

				return ms == CATALOG_NO_TIMEOUT ? NULL : interval_to_text(ms);
			}
		case OPTION_WORD:
			return pstrdup(option->words[option->size == sizeof(bool) ?
										 (int) *MEMBER(const bool, source, option) :
										 *MEMBER(const int, source, option)]);
	}
	return NULL;				/* keep compiler quiet */
}

/* ---- text of a script ---- */

void
option_take_text(const Option *option, void *target, char *value)
{
	bool		truth;
	int32		number;

	switch (option->type)
	{
		case OPTION_TEXT:
		case OPTION_NAME:
			set_text(option, target, value);
			break;
		case OPTION_BOOL:
			if (!parse_bool(value, &truth))
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("invalid value for \"%s\": \"%s\"", option->name, value),
						 errhint("Available values: %s.", "\"true\" and \"false\"")));
			*MEMBER(bool, target, option) = truth;
			break;
		case OPTION_INT:
			number = pg_strtoint32(value);
			set_int(option, target, number);
			break;
		case OPTION_INTERVAL:
			set_interval(option, target,
						 DatumGetIntervalP(DirectFunctionCall3(interval_in,
															   CStringGetDatum(value),
															   ObjectIdGetDatum(InvalidOid),
															   Int32GetDatum(-1))));
			break;
		case OPTION_WORD:
			set_word(option, target, value);
			break;
		case OPTION_TEXT_LIST:
		case OPTION_NAME_LIST:
			elog(ERROR, "option \"%s\" is a list", option->name);
	}
	set_has(option, target, true);
}

void
option_take_list(const Option *option, void *target, List *value)
{
	set_list(option, target, value);
	set_has(option, target, true);
}

void
option_add_element(const Option *option, void *target, char *value)
{
	option_take_list(option, target, lappend(*MEMBER(List *, target, option), value));
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
option_equal(const Option *option, const void *a, const void *b)
{
	if (get_has(option, a) != get_has(option, b))
		return false;
	if (!get_has(option, a))
		return true;

	switch (option->type)
	{
		case OPTION_TEXT:
		case OPTION_NAME:
			return text_equal(*MEMBER(char *const, a, option), *MEMBER(char *const, b, option));
		case OPTION_TEXT_LIST:
		case OPTION_NAME_LIST:
			return list_of_text_equal(*MEMBER(List *const, a, option),
									  *MEMBER(List *const, b, option));
		case OPTION_BOOL:
		case OPTION_INT:
		case OPTION_INTERVAL:
		case OPTION_WORD:
			return memcmp(MEMBER(const char, a, option), MEMBER(const char, b, option),
						  option->size) == 0;
	}
	return false;				/* keep compiler quiet */
}

bool
option_all_equal(const Option *options, int noptions, const void *a, const void *b)
{
	for (int i = 0; i < noptions; i++)
	{
		if (!option_equal(&options[i], a, b))
			return false;
	}
	return true;
}
