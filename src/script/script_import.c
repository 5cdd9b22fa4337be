/*-------------------------------------------------------------------------
 *
 * script_import.c
 *	  etl.define: the steps of a script become a version of a pipeline.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "define/definition.h"
#include "parse/partition_key.h"
#include "script/script.h"

#include "fmgr.h"
#include "utils/hsearch.h"

PG_FUNCTION_INFO_V1(etl_define);

typedef struct OldStep
{
	char		name[NAMEDATALEN];	/* hash key */
	const Step *step;
	bool		stays;			/* the script has a step of that name */
} OldStep;

static HTAB *
table_of_steps(const List *steps)
{
	HASHCTL		control = {.keysize = NAMEDATALEN, .entrysize = sizeof(OldStep),
	.hcxt = CurrentMemoryContext};
	HTAB	   *table = hash_create("steps before a script", Max(list_length(steps), 16), &control,
									HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	ListCell   *lc;

	foreach(lc, steps)
	{
		const Step *step = lfirst(lc);
		OldStep    *old = hash_search(table, step->process_name, HASH_ENTER, NULL);

		old->step = step;
		old->stays = false;
	}
	return table;
}

/*
 * Checks a step and gives it a number.  Returns whether it is new, or not the
 * same as before.
 */
static bool
place_step(const Pipeline *pipeline, HTAB *old_steps, const ScriptStep *step, int64 *highest)
{
	ScriptPlace place = step->place;
	OldStep    *old;

	/* the SQL is known to be well: a place would be one in the text of an index */
	place.sql_start = SCRIPT_ONLY_LOCATION;
	script_place_push(&place);
	definition_check_step(pipeline, step->step);
	script_place_pop(&place);

	old = hash_search(old_steps, step->step->process_name, HASH_FIND, NULL);
	if (old == NULL)
	{
		*highest = definition_next_step_id(pipeline, *highest);
		step->step->step_id = (int32) *highest;
		return true;
	}
	old->stays = true;
	step->step->step_id = old->step->step_id;
	partition_key_carry(step->step, old->step);
	return !definition_step_equal(old->step, step->step);
}

Datum
etl_define(PG_FUNCTION_ARGS)
{
	char	   *name = option_text_argument(fcinfo, 0, "pipeline");
	char	   *text = option_text_argument(fcinfo, 1, "script");
	Pipeline   *pipeline = definition_open(name, "etl.define()");
	List	   *steps = script_read(pipeline, text);
	List	   *old_steps = catalog_load_steps_with_bodies(pipeline->id, pipeline->version);
	HTAB	   *table = table_of_steps(old_steps);
	List	   *changed = NIL;
	int32		version = 0;
	int64		highest = 0;
	ListCell   *lc;

	if (steps == NIL && old_steps != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the script contains no statement"),
				 errdetail("It would remove all steps of pipeline \"%s\".", name),
				 errhint("Remove steps with etl.drop_step().")));

	script_order(pipeline, steps, false);
	foreach(lc, steps)
	{
		const ScriptStep *step = lfirst(lc);

		if (place_step(pipeline, table, step, &highest))
			changed = lappend(changed, step->step);
	}

	foreach(lc, old_steps)
	{
		const Step *step = lfirst(lc);
		const OldStep *old = hash_search(table, step->process_name, HASH_FIND, NULL);

		if (old->stays)
			continue;
		if (version == 0)
			version = catalog_begin_version(pipeline->id);
		catalog_remove_step(pipeline->id, version, step->step_id);
	}
	foreach(lc, changed)
	{
		if (version == 0)
			version = catalog_begin_version(pipeline->id);
		catalog_write_step(pipeline->id, version, lfirst(lc));
	}
	partition_key_settle(pipeline, version, changed);

	PG_RETURN_INT32(version != 0 ? version : pipeline->version);
}
