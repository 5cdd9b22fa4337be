/*-------------------------------------------------------------------------
 *
 * script_names.c
 *	  Names for the steps of a script that were given none.
 *
 * A step's name is more than a label: who refers to a table of that name comes
 * after the step.  So which names are good depends on what all the statements
 * refer to.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parse/refs.h"
#include "script/script.h"

#include "mb/pg_wchar.h"
#include "utils/hsearch.h"

/* A name, and which statements refer to it. */
typedef struct NameUse
{
	char		name[NAMEDATALEN];	/* hash key */
	int			first;			/* the first step that refers to it; -1: none */
	bool		taken;			/* a step has this name */
} NameUse;

static NameUse *
use_name(HTAB *names, const char *name)
{
	NameUse    *use;
	bool		found;

	use = hash_search(names, name, HASH_ENTER, &found);
	if (!found)
	{
		use->first = -1;
		use->taken = false;
	}
	return use;
}

static void
take_name(HTAB *names, const ScriptStep *step)
{
	NameUse    *use = use_name(names, step->step->process_name);

	if (use->taken)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("the script has two steps \"%s\"", step->step->process_name),
				 errdetail("A step is named like the table that it makes, and a pipeline makes each table once."),
				 script_errplace(step->place.text, step->location)));
	use->taken = true;
}

/* A name that is cut, where it has to be, to leave room for its number. */
static char *
numbered_name(const char *base, int number)
{
	char	   *suffix = psprintf("_%d", number);
	int			length = pg_mbcliplen(base, strlen(base), NAMEDATALEN - 1 - strlen(suffix));

	return psprintf("%.*s%s", length, base, suffix);
}

/*
 * Names the steps that have none after what they write: t, t_2, t_3 and so on.  A
 * name makes who refers to it wait for the step: so no statement before may use
 * it, and, where it is a made up one, none at all.
 */
static void
choose_name(HTAB *names, ScriptStep *step, int number)
{
	char	   *name = pstrdup(step->base_name);
	NameUse    *use = use_name(names, name);
	bool		is_free = !use->taken && (use->first < 0 || use->first >= number);

	for (int i = 2; !is_free; i++)
	{
		name = numbered_name(step->base_name, i);
		use = use_name(names, name);
		is_free = !use->taken && use->first < 0;
	}
	use->taken = true;
	step->step->process_name = name;
}

static void
note_references(const Pipeline *pipeline, HTAB *names, const List *references, int number)
{
	ListCell   *lc;

	foreach(lc, references)
	{
		const RefName *ref = lfirst(lc);

		if (script_is_local(pipeline, ref->schema))
		{
			NameUse    *use = use_name(names, ref->name);

			if (use->first < 0)
				use->first = number;
		}
	}
}

void
script_name_steps(const Pipeline *pipeline, List *steps)
{
	HASHCTL		control = {.keysize = NAMEDATALEN, .entrysize = sizeof(NameUse),
	.hcxt = CurrentMemoryContext};
	HTAB	   *names = hash_create("names in a script", 256, &control,
									HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	ListCell   *lc;

	foreach(lc, steps)
	{
		const ScriptStep *step = lfirst(lc);

		note_references(pipeline, names, step->reads, foreach_current_index(lc));
		note_references(pipeline, names, step->writes, foreach_current_index(lc));
		if (step->step->process_name != NULL)
			take_name(names, step);
	}
	foreach(lc, steps)
	{
		ScriptStep *step = lfirst(lc);

		if (step->step->process_name == NULL)
			choose_name(names, step, foreach_current_index(lc));
	}
	hash_destroy(names);
}
