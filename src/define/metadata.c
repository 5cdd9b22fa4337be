/*-------------------------------------------------------------------------
 *
 * metadata.c
 *	  etl.update_metadata: many rows of metadata as one version.
 *
 * A row is what etl.metadata shows of a step, as a JSON object.  So rows that
 * come from a metadata table or from etl.metadata itself can be handed in as
 * they are, and what they say already makes no version.
 *
 * Rows are first read and checked one by one, then numbered together (a step
 * may take over the step_id that another one of the call gives up), and
 * written when nothing can go wrong any more.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "metastore/catalog.h"
#include "define/definition.h"
#include "define/option.h"
#include "base/names.h"
#include "base/nearest.h"
#include "parse/partition_key.h"
#include "define/pipeline.h"

#include "fmgr.h"
#include "utils/hsearch.h"
#include "utils/jsonb.h"

PG_FUNCTION_INFO_V1(etl_update_metadata);

/* One element of the argument. */
typedef struct MetadataRow
{
	Step		step;			/* what there shall be */
	const Step *old;			/* what there is; NULL: a new step */
	int64		step_id;		/* as given; 0: not */
	int64		version;		/* as given; 0: not */
	char	   *kind;			/* as given, or NULL */
	bool		has_depends_on; /* was it given? */
} MetadataRow;

/* A step that the result has. */
typedef struct StepName
{
	char		name[NAMEDATALEN];	/* hash key */
	const Step *old;
	MetadataRow *row;			/* NULL: not mentioned, stays as it is */
} StepName;

typedef struct StepNumber
{
	int32		step_id;		/* hash key */
	const char *process_name;	/* who has it */
} StepNumber;

/* Keys that are no options of a step; see take_key. */
static const char *const row_keys[] = {
	"step_id", "process_name", "version", "pipeline", "kind"
};

static void
row_error_context(void *arg)
{
	errcontext("element %d of \"steps\"", *(const int *) arg);
}

/* ---- reading rows ---- */

/* 'a, b': the form in which metadata tables have it.  A blank string is none. */
static List *
split_names(const char *key, const char *text)
{
	List	   *names = NIL;

	if (text[strspn(text, " \t\r\n")] == '\0')
		return NIL;

	for (const char *start = text;; start++)
	{
		const char *comma = strchr(start, ',');
		const char *end = comma ? comma : start + strlen(start);
		char	   *name;

		while (start < end && strchr(" \t\r\n", *start))
			start++;
		while (end > start && strchr(" \t\r\n", end[-1]))
			end--;
		name = pnstrdup(start, end - start);
		option_check_name(key, name);
		names = lappend(names, name);
		if (comma == NULL)
			return names;
		start = comma;
	}
}

static void
raise_unknown_key(const char *key)
{
	Nearest		nearest;

	nearest_init(&nearest, key);
	for (int i = 0; i < (int) lengthof(row_keys); i++)
		nearest_consider(&nearest, row_keys[i]);
	for (int i = 0; i < definition_step_count; i++)
		nearest_consider(&nearest, definition_step_options[i].name);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown key \"%s\" in \"steps\"", key),
			 nearest.best ? errhint("Perhaps you mean the key \"%s\".", nearest.best) :
			 errhint("Keys are the columns of etl.metadata.")));
}

static void
take_key(const Pipeline *pipeline, MetadataRow *row, const Step *defaults,
		 const char *key, const JsonbValue *value)
{
	if (strcmp(key, "process_name") == 0)
		return;					/* read_row has it */
	if (strcmp(key, "step_id") == 0 && value->type != jbvNull)
	{
		row->step_id = option_json_int(key, value);
		definition_check_step_id(row->step_id);
	}
	else if (strcmp(key, "version") == 0 && value->type != jbvNull)
	{
		row->version = option_json_int(key, value);
		if (row->version < 1)
			option_raise_json_type(key, "a positive integer");
	}
	else if (strcmp(key, "pipeline") == 0 && value->type != jbvNull)
	{
		char	   *name = option_json_text(key, value, "a string");

		if (strcmp(name, pipeline->name) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the row is of pipeline \"%s\", and not of \"%s\"",
							name, pipeline->name),
					 errhint("To copy steps, leave out the key \"pipeline\".")));
	}
	else if (strcmp(key, "kind") == 0 && value->type != jbvNull)
		row->kind = option_json_text(key, value, "a string");
	else if (strcmp(key, "depends_on") == 0)
	{
		row->has_depends_on = true;
		if (value->type == jbvString)
			row->step.depends_on = split_names(key, option_json_text(key, value, "a string"));
		else
			(void) option_take_value(definition_step_options, definition_step_count,
									 &row->step, defaults, key, value);
	}
	else if (!option_take_value(definition_step_options, definition_step_count,
								&row->step, defaults, key, value))
	{
		for (int i = 0; i < (int) lengthof(row_keys); i++)
		{
			if (strcmp(row_keys[i], key) == 0)
				return;			/* null: as if it were not there */
		}
		raise_unknown_key(key);
	}
}

/* Finds or makes the step that the row is about. */
static MetadataRow *
begin_row(HTAB *names, JsonbContainer *object, const Step *defaults)
{
	MetadataRow *row = palloc0(sizeof(MetadataRow));
	const char *key = "process_name";
	JsonbValue	buffer;
	JsonbValue *value = getKeyJsonValueFromContainer(object, key, strlen(key), &buffer);
	StepName   *entry;
	char	   *name;
	bool		found;

	if (value == NULL || value->type == jbvNull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a row needs a \"%s\"", key)));
	name = option_json_text(key, value, "a string");
	option_check_name(key, name);

	entry = hash_search(names, name, HASH_ENTER, &found);
	if (!found)
		entry->old = NULL;
	else if (entry->row != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("step \"%s\" is there twice", name)));
	entry->row = row;

	row->old = entry->old;
	row->step = entry->old ? *entry->old : *defaults;
	row->step.process_name = name;
	return row;
}

static MetadataRow *
read_row(const Pipeline *pipeline, HTAB *names, const JsonbValue *element)
{
	JsonbContainer *object;
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;
	MetadataRow *row;
	Step		defaults;
	char	   *key = NULL;

	if (element->type != jbvBinary || !JsonContainerIsObject(element->val.binary.data))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"steps\" must be an array of JSON objects")));
	object = element->val.binary.data;

	definition_default_step(&defaults);
	row = begin_row(names, object, &defaults);
	iterator = JsonbIteratorInit(object);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			key = pnstrdup(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE)
			take_key(pipeline, row, &defaults, key, &value);
	}
	if (row->step.sql_query == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("new step \"%s\" needs a \"sql_query\"", row->step.process_name)));
	return row;
}

/* of MetadataRow; names gets all steps that there are or will be */
static List *
read_rows(const Pipeline *pipeline, HTAB *names, const Jsonb *steps)
{
	int			number = 0;
	ErrorContextCallback callback = {
		.previous = error_context_stack,
		.callback = row_error_context,
		.arg = &number
	};
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;
	List	   *rows = NIL;

	if (!JB_ROOT_IS_ARRAY(steps) || JB_ROOT_IS_SCALAR(steps))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"steps\" must be an array of JSON objects")));

	error_context_stack = &callback;
	iterator = JsonbIteratorInit(unconstify(JsonbContainer *, &steps->root));
	/* the array itself first: its elements must not be skipped */
	(void) JsonbIteratorNext(&iterator, &value, false);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		number++;
		rows = lappend(rows, read_row(pipeline, names, &value));
	}
	error_context_stack = callback.previous;

	return rows;
}

/* ---- dependencies ---- */

/* The names that are not in "other", each once. */
static List *
names_without(const List *names, const List *other)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, names)
	{
		if (!names_contain(other, lfirst(lc)) && !names_contain(result, lfirst(lc)))
			result = lappend(result, lfirst(lc));
	}
	return result;
}

/* The steps that the SQL names itself. */
static List *
inferred_names(const Pipeline *pipeline, HTAB *names, const Step *step)
{
	List	   *references = list_concat(list_copy(step->reads), step->writes);
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, references)
	{
		char	   *name = pipeline_reference_name(pipeline, lfirst(lc));

		if (name != NULL && strlen(name) < NAMEDATALEN &&
			hash_search(names, name, HASH_FIND, NULL) != NULL)
			result = lappend(result, name);
	}
	return result;
}

/*
 * A metadata table's depends_on lists all that a step waits for, as
 * etl.metadata does.  What the SQL shows by itself is not kept as declared: it
 * would stay when the SQL does not read it any more.
 */
static void
settle_depends_on(const Pipeline *pipeline, HTAB *names, MetadataRow *row)
{
	List	   *inferred = inferred_names(pipeline, names, &row->step);
	List	   *declared = names_without(row->step.depends_on, inferred);

	if (row->old != NULL)
	{
		List	   *before = names_without(row->old->depends_on, inferred);

		if (names_without(before, declared) == NIL && names_without(declared, before) == NIL)
			declared = row->old->depends_on;
	}
	row->step.depends_on = declared;
}

static void
check_rows(const Pipeline *pipeline, HTAB *names, List *rows)
{
	int			number = 0;
	ErrorContextCallback callback = {
		.previous = error_context_stack,
		.callback = row_error_context,
		.arg = &number
	};
	ListCell   *lc;

	error_context_stack = &callback;
	foreach(lc, rows)
	{
		MetadataRow *row = lfirst(lc);

		number++;
		definition_check_step(pipeline, &row->step);
		if (row->kind != NULL && strcmp(row->kind, catalog_kind_word(row->step.kind)) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"kind\" of step \"%s\" is \"%s\", and not \"%s\"",
							row->step.process_name, catalog_kind_word(row->step.kind),
							row->kind),
					 errdetail("It follows from the SQL."),
					 errhint("Leave out the key \"kind\".")));
		if (row->has_depends_on)
			settle_depends_on(pipeline, names, row);
	}
	error_context_stack = callback.previous;
}

/* ---- numbers ---- */

static void
take_number(HTAB *numbers, int32 step_id, const char *process_name)
{
	StepNumber *entry;
	bool		found;

	entry = hash_search(numbers, &step_id, HASH_ENTER, &found);
	if (found)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("step \"%s\" cannot have step_id %d", process_name, step_id),
				 errdetail("Step \"%s\" has it.", entry->process_name)));
	entry->process_name = process_name;
}

/*
 * Who is not mentioned keeps its number, and so does who is mentioned without
 * one.
 */
static void
number_rows(const Pipeline *pipeline, HTAB *names, List *rows)
{
	HASHCTL		control = {
		.keysize = sizeof(int32),
		.entrysize = sizeof(StepNumber),
		.hcxt = CurrentMemoryContext
	};
	HTAB	   *numbers = hash_create("step ids", 256, &control,
									  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	HASH_SEQ_STATUS scan;
	StepName   *name;
	ListCell   *lc;
	int64		highest = 0;

	hash_seq_init(&scan, names);
	while ((name = hash_seq_search(&scan)) != NULL)
	{
		if (name->old != NULL && (name->row == NULL || name->row->step_id == 0))
			take_number(numbers, name->old->step_id, name->name);
	}
	foreach(lc, rows)
	{
		MetadataRow *row = lfirst(lc);

		if (row->step_id == 0)
			continue;
		take_number(numbers, (int32) row->step_id, row->step.process_name);
		row->step.step_id = (int32) row->step_id;
		highest = Max(highest, row->step_id);
	}
	foreach(lc, rows)
	{
		MetadataRow *row = lfirst(lc);

		if (row->step_id != 0 || row->old != NULL)
			continue;
		row->step.step_id = definition_next_step_id(pipeline, highest);
		highest = row->step.step_id;
	}
}

/* ---- writing ---- */

static bool
is_changed(const MetadataRow *row)
{
	return row->old == NULL || row->old->step_id != row->step.step_id ||
		!definition_step_equal(row->old, &row->step);
}

/*
 * A row that changes something must have been read from the version that it
 * changes (or name the one that it becomes part of), so that nobody overwrites
 * what somebody else has changed in between.
 */
static void
check_version(const Pipeline *pipeline, const MetadataRow *row, int32 version)
{
	if (row->version == 0 || row->version == version || row->version == version - 1)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the row of step \"%s\" is of version " INT64_FORMAT " of pipeline \"%s\", whose newest is %d",
					row->step.process_name, row->version, pipeline->name, pipeline->version),
			 row->version > version ? errdetail("There is no such version yet.") :
			 errdetail("It would change the step, and perhaps take back what a later version says."),
			 errhint("Read the metadata again, or leave out the key \"version\".")));
}

static int32
write_rows(const Pipeline *pipeline, List *changed)
{
	int32		version = catalog_begin_version(pipeline->id);
	List	   *steps = NIL;
	ListCell   *lc;

	foreach(lc, changed)
	{
		const MetadataRow *row = lfirst(lc);

		check_version(pipeline, row, version);
		/* numbers must be free before somebody else gets them */
		if (row->old != NULL && row->old->step_id != row->step.step_id)
			catalog_remove_step(pipeline->id, version, row->old->step_id);
	}
	foreach(lc, changed)
	{
		MetadataRow *row = lfirst(lc);

		partition_key_carry(&row->step, row->old);
		catalog_write_step(pipeline->id, version, &row->step);
		steps = lappend(steps, &row->step);
	}
	partition_key_settle(pipeline, version, steps);

	return version;
}

static HTAB *
load_names(const Pipeline *pipeline)
{
	HASHCTL		control = {
		.keysize = NAMEDATALEN,
		.entrysize = sizeof(StepName),
		.hcxt = CurrentMemoryContext
	};
	HTAB	   *names = hash_create("steps by name", 256, &control,
									HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	ListCell   *lc;

	foreach(lc, catalog_load_steps_with_bodies(pipeline->id, pipeline->version))
	{
		const Step *step = lfirst(lc);
		StepName   *entry = hash_search(names, step->process_name, HASH_ENTER, NULL);

		entry->old = step;
		entry->row = NULL;
	}
	return names;
}

Datum
etl_update_metadata(PG_FUNCTION_ARGS)
{
	char	   *name = option_text_argument(fcinfo, 0, "pipeline");
	Pipeline   *pipeline;
	HTAB	   *names;
	List	   *rows;
	List	   *changed = NIL;
	ListCell   *lc;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", "steps")));

	pipeline = definition_open(name, "etl.update_metadata()");
	names = load_names(pipeline);
	rows = read_rows(pipeline, names, PG_GETARG_JSONB_P(1));
	check_rows(pipeline, names, rows);
	number_rows(pipeline, names, rows);

	foreach(lc, rows)
	{
		if (is_changed(lfirst(lc)))
			changed = lappend(changed, lfirst(lc));
	}
	PG_RETURN_INT32(changed == NIL ? pipeline->version : write_rows(pipeline, changed));
}
