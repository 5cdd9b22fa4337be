/*-------------------------------------------------------------------------
 *
 * version.c
 *	  Comparing the versions of a pipeline, and bringing an old one back.
 *
 * What two versions are compared by is what etl.version's checksum covers: the
 * options, and the steps by their names; the numbers of the steps are no part
 * of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "metastore/catalog.h"
#include "define/definition.h"
#include "define/option.h"
#include "define/pipeline.h"
#include "graph/text_diff.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(etl_diff);
PG_FUNCTION_INFO_V1(etl_rollback);

/* What a version says; steps ascending by name. */
typedef struct Content
{
	Pipeline   *options;
	List	   *steps;			/* of Step *, with bodies */
} Content;

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(((const Step *) lfirst(a))->process_name,
				  ((const Step *) lfirst(b))->process_name);
}

static Content
load_content(const Pipeline *newest, int32 version)
{
	Content		content;

	if (version < 1 || version > newest->version)
		pipeline_raise_unknown_version(newest, version);
	content.options = catalog_load_pipeline(newest->id, version);
	content.steps = catalog_load_steps_with_bodies(newest->id, version);
	list_sort(content.steps, compare_names);
	return content;
}

/*
 * The next pair of steps of one name, in the order of the names; one of the two
 * is NULL where the other version has no such step.  False at the end.
 */
static bool
next_pair(const Content *a, const Content *b, int *ia, int *ib,
		  const Step **step_a, const Step **step_b)
{
	int			order;

	*step_a = *ia < list_length(a->steps) ? list_nth(a->steps, *ia) : NULL;
	*step_b = *ib < list_length(b->steps) ? list_nth(b->steps, *ib) : NULL;
	if (*step_a == NULL && *step_b == NULL)
		return false;

	order = *step_a == NULL ? 1 : *step_b == NULL ? -1 :
		strcmp((*step_a)->process_name, (*step_b)->process_name);
	if (order <= 0)
		(*ia)++;
	else
		*step_a = NULL;
	if (order >= 0)
		(*ib)++;
	else
		*step_b = NULL;
	return true;
}

static int32
version_argument(FunctionCallInfo fcinfo, int argno, const char *name)
{
	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name)));
	return PG_GETARG_INT32(argno);
}

/* ---- etl.diff ---- */

#define DIFF_COLUMNS	6

typedef struct DiffOutput
{
	ReturnSetInfo *rsinfo;
	char	   *from_label;
	char	   *to_label;
} DiffOutput;

/*
 * A row for each option that differs; the name is NULL for a pipeline's options.
 * Where there is no "from" or "to" it is compared with what a step has by default.
 */
static void
put_differences(const DiffOutput *output, const char *process_name,
				const Option *options, int noptions, const void *from, const void *to)
{
	const char *change = from == NULL ? "added" : to == NULL ? "removed" : "changed";
	Step		nothing;

	definition_default_step(&nothing);
	for (int i = 0; i < noptions; i++)
	{
		const Option *option = &options[i];
		Datum		values[DIFF_COLUMNS] = {0};
		bool		nulls[DIFF_COLUMNS] = {false};
		const char *texts[DIFF_COLUMNS];

		if (option_equal(option, from ? from : &nothing, to ? to : &nothing))
			continue;
		texts[0] = process_name;
		texts[1] = change;
		texts[2] = option->name;
		texts[3] = from ? option_to_text(option, from) : NULL;
		texts[4] = to ? option_to_text(option, to) : NULL;
		texts[5] = strcmp(option->name, "sql_query") != 0 ? NULL :
			text_diff_unified(texts[3], texts[4], output->from_label, output->to_label);
		for (int column = 0; column < DIFF_COLUMNS; column++)
		{
			nulls[column] = texts[column] == NULL;
			if (!nulls[column])
				values[column] = CStringGetTextDatum(texts[column]);
		}
		tuplestore_putvalues(output->rsinfo->setResult, output->rsinfo->setDesc,
							 values, nulls);
	}
}

Datum
etl_diff(PG_FUNCTION_ARGS)
{
	char	   *name = option_text_argument(fcinfo, 0, "pipeline");
	int32		from_version = version_argument(fcinfo, 1, "from_version");
	int32		to_version = version_argument(fcinfo, 2, "to_version");
	Pipeline   *pipeline = pipeline_open(name);
	Content		from = load_content(pipeline, from_version);
	Content		to = load_content(pipeline, to_version);
	DiffOutput	output;
	const Step *step_from;
	const Step *step_to;
	int			i = 0;
	int			j = 0;

	InitMaterializedSRF(fcinfo, 0);
	output.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	output.from_label = psprintf("version %d", from_version);
	output.to_label = psprintf("version %d", to_version);

	put_differences(&output, NULL, definition_option_fields, definition_option_count,
					from.options, to.options);
	while (next_pair(&from, &to, &i, &j, &step_from, &step_to))
		put_differences(&output, step_from ? step_from->process_name : step_to->process_name,
						definition_step_options, definition_step_count, step_from, step_to);

	return (Datum) 0;
}

/* ---- etl.rollback ---- */

static bool
content_equal(const Content *a, const Content *b)
{
	const Step *step_a;
	const Step *step_b;
	int			i = 0;
	int			j = 0;

	if (!definition_options_equal(a->options, b->options))
		return false;
	while (next_pair(a, b, &i, &j, &step_a, &step_b))
	{
		if (step_a == NULL || step_b == NULL || !definition_step_equal(step_a, step_b))
			return false;
	}
	return true;
}

/* Return true if it is the same row, its number included. */
static bool
is_unchanged(const Step *now, const Step *then)
{
	return now != NULL && then != NULL && now->step_id == then->step_id &&
		definition_step_equal(now, then);
}

static int32
write_content(const Content *now, const Content *then)
{
	int32		id = now->options->id;
	int32		version = catalog_begin_version(id);
	const Step *step_now;
	const Step *step_then;
	int			i;
	int			j;

	if (!definition_options_equal(now->options, then->options))
	{
		Pipeline	checked = *then->options;

		/* the caller may not use the schema any more, perhaps; what is written is what was */
		definition_check_options(&checked);
		catalog_write_options(then->options, version);
	}

	/* all numbers must be free before the first is taken */
	i = j = 0;
	while (next_pair(now, then, &i, &j, &step_now, &step_then))
	{
		if (step_now != NULL && !is_unchanged(step_now, step_then))
			catalog_remove_step(id, version, step_now->step_id);
	}
	i = j = 0;
	while (next_pair(now, then, &i, &j, &step_now, &step_then))
	{
		if (step_then != NULL && !is_unchanged(step_now, step_then))
			catalog_write_step(id, version, step_then);
	}

	return version;
}

Datum
etl_rollback(PG_FUNCTION_ARGS)
{
	char	   *name = option_text_argument(fcinfo, 0, "pipeline");
	int32		version = version_argument(fcinfo, 1, "version");
	Pipeline   *pipeline = definition_open(name, "etl.rollback()");
	Content		then = load_content(pipeline, version);
	Content		now = load_content(pipeline, pipeline->version);

	if (content_equal(&now, &then))
		PG_RETURN_INT32(pipeline->version);
	PG_RETURN_INT32(write_content(&now, &then));
}
