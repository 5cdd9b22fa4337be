/*-------------------------------------------------------------------------
 *
 * param.c
 *	  etl.param: the parameters of the run, in its steps.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"

#include "base/guc.h"
#include "define/option.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(etl_param);

/* What etl_framework.params says, parsed; kept until the setting changes. */
static Jsonb *
param_values(void)
{
	static uint64 generation = 0;
	static Jsonb *parsed = NULL;

	if (generation != guc_params_generation)
	{
		Jsonb	   *params = NULL;

		if (guc_params != NULL && guc_params[0] != '\0')
		{
			params = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(guc_params)));
			if (!JB_ROOT_IS_OBJECT(params))
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("%s must be a JSON object", GUC_PARAMS_NAME)));
		}
		if (parsed != NULL)
			pfree(parsed);
		parsed = NULL;
		if (params != NULL)
		{
			parsed = MemoryContextAlloc(TopMemoryContext, VARSIZE(params));
			memcpy(parsed, params, VARSIZE(params));
		}
		generation = guc_params_generation;
	}
	return parsed;
}

/* A missing value is not an empty one: what was selected by it would be an empty table. */
static void
param_raise_missing(const char *name, Jsonb *params)
{
	StringInfoData names;

	initStringInfo(&names);
	if (params != NULL)
	{
		JsonbIterator *iterator = JsonbIteratorInit(&params->root);
		JsonbIteratorToken token;
		JsonbValue	key;

		while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
		{
			if (token == WJB_KEY)
				appendStringInfo(&names, "%s\"%.*s\"", names.len > 0 ? ", " : "",
								 key.val.string.len, key.val.string.val);
		}
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_PARAMETER),
			 errmsg("the run has no parameter \"%s\"", name),
			 names.len > 0 ? errdetail("It has %s.", names.data) :
			 errdetail("It has none."),
			 errhint("Give it one with params, or say what holds without: etl.param(name, default_value).")));
}

Datum
etl_param(PG_FUNCTION_ARGS)
{
	Jsonb	   *params = param_values();
	JsonbValue	buffer;
	JsonbValue *value = NULL;
	char	   *number;

	if (PG_ARGISNULL(0))
		option_raise_null("name");
	if (params != NULL)
		value = getKeyJsonValueFromContainer(&params->root,
											 VARDATA_ANY(PG_GETARG_TEXT_PP(0)),
											 VARSIZE_ANY_EXHDR(PG_GETARG_TEXT_PP(0)),
											 &buffer);
	if (value == NULL)
	{
		/* in a step there are always some, if only {}: parallel workers know that, too */
		if (PG_NARGS() < 2 && params != NULL)
			param_raise_missing(text_to_cstring(PG_GETARG_TEXT_PP(0)), params);
		if (PG_NARGS() < 2 || PG_ARGISNULL(1))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(1));
	}

	switch (value->type)
	{
		case jbvNull:
			PG_RETURN_NULL();
		case jbvString:
			PG_RETURN_TEXT_P(cstring_to_text_with_len(value->val.string.val,
													  value->val.string.len));
		case jbvNumeric:
			number = DatumGetCString(DirectFunctionCall1(numeric_out,
														 NumericGetDatum(value->val.numeric)));
			PG_RETURN_TEXT_P(cstring_to_text(number));
		case jbvBool:
			PG_RETURN_TEXT_P(cstring_to_text(value->val.boolean ? "true" : "false"));
		default:
			PG_RETURN_TEXT_P(cstring_to_text(JsonbToCString(NULL, value->val.binary.data,
															value->val.binary.len)));
	}
}
