/*-------------------------------------------------------------------------
 *
 * definition.c
 *	  The SQL functions that define pipelines and their steps.
 *
 * Every change goes the same way: find the pipeline as the caller may see it,
 * lock it (so that concurrent changers queue), read what the newest version
 * says, change that in memory, check it, and write it as part of the version
 * that this transaction makes.  A change that changes nothing makes no version.
 *
 * What is checked here concerns one step or one set of options; what concerns
 * the steps together (cycles, unknown dependencies) is checked when a pipeline
 * is validated or run, because steps may be defined in any order.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "metastore/catalog.h"
#include "define/definition.h"
#include "define/option.h"
#include "base/lock.h"
#include "base/nearest.h"
#include "base/names.h"
#include "parse/partition_key.h"
#include "define/pipeline.h"
#include "parse/refs.h"
#include "graph/retry.h"
#include "base/security.h"
#include "table/staging.h"
#include "parse/step_check.h"
#include "parse/step_index.h"

#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

PG_FUNCTION_INFO_V1(etl_create_pipeline);
PG_FUNCTION_INFO_V1(etl_alter_pipeline);
PG_FUNCTION_INFO_V1(etl_drop_pipeline);
PG_FUNCTION_INFO_V1(etl_add_step);
PG_FUNCTION_INFO_V1(etl_alter_step);
PG_FUNCTION_INFO_V1(etl_drop_step);
PG_FUNCTION_INFO_V1(etl_metadata_at);

/* ---- what there is to define ---- */

static const char *const ordering_words[] = {"graph", "staged", NULL};
static const char *const durability_words[] = {"unlogged", "outputs", "all", NULL};

/* argno: of create_pipeline */
const Option definition_option_fields[] = {
	{.name = "target_schema", .type = OPTION_NAME, .argno = 1, OPTION_MEMBER(Pipeline, target_schema)},
	{.name = "search_path", .type = OPTION_TEXT, .argno = 2, OPTION_MEMBER(Pipeline, search_path)},
	{.name = "max_parallel", .type = OPTION_INT, .argno = 3, OPTION_MEMBER(Pipeline, max_parallel),
	.min = 1, .max = ETL_MAX_PARALLEL},
	{.name = "max_attempts", .type = OPTION_INT, .argno = 4, OPTION_MEMBER(Pipeline, max_attempts),
	.min = 1, .max = ETL_MAX_ATTEMPTS},
	{.name = "retry_delay", .type = OPTION_INTERVAL, .argno = 5, OPTION_MEMBER(Pipeline, retry_delay_ms),
	.min = 0, .max = OPTION_MAX_INTERVAL_MS},
	{.name = "retry_on", .type = OPTION_TEXT_LIST, .argno = 6, OPTION_MEMBER(Pipeline, retry_on)},
	{.name = "step_timeout", .type = OPTION_INTERVAL, .argno = 7, OPTION_MEMBER(Pipeline, step_timeout_ms),
	.min = 1, .max = OPTION_MAX_INTERVAL_MS},
	{.name = "run_timeout", .type = OPTION_INTERVAL, .argno = 8, OPTION_MEMBER(Pipeline, run_timeout_ms),
	.min = 1, .max = OPTION_MAX_INTERVAL_MS},
	{.name = "ordering", .type = OPTION_WORD, .argno = 9, OPTION_MEMBER(Pipeline, staged),
	.words = ordering_words},
	{.name = "durability", .type = OPTION_WORD, .argno = 10, OPTION_MEMBER(Pipeline, durability),
	.words = durability_words},
	{.name = "description", .type = OPTION_TEXT, .argno = 11, OPTION_MEMBER(Pipeline, description)},
	{.name = "one_snapshot", .type = OPTION_BOOL, .argno = 12, OPTION_MEMBER(Pipeline, one_snapshot)},
};
const int	definition_option_count = lengthof(definition_option_fields);
static const char *const fixed_options[] = {"pipeline", "owner", NULL};

/* argno: of add_step, whose process_name and step_id are not among these */
const Option definition_step_options[] = {
	{.name = "sql_query", .type = OPTION_TEXT, .argno = 2, OPTION_MEMBER(Step, sql_query),
	.required = true},
	{.name = "depends_on", .type = OPTION_NAME_LIST, .argno = 3, OPTION_MEMBER(Step, depends_on)},
	{.name = "execution_order", .type = OPTION_INT, .argno = 4, OPTION_MEMBER(Step, execution_order),
	.has_offset = offsetof(Step, has_order), .min = -PG_INT32_MAX, .max = PG_INT32_MAX},
	{.name = "broadcast", .type = OPTION_BOOL, .argno = 5, OPTION_MEMBER(Step, broadcast)},
	{.name = "cache", .type = OPTION_BOOL, .argno = 6, OPTION_MEMBER(Step, cache)},
	{.name = "persist", .type = OPTION_BOOL, .argno = 7, OPTION_MEMBER(Step, persist),
	.has_offset = offsetof(Step, has_persist)},
	{.name = "repartition", .type = OPTION_INT, .argno = 8, OPTION_MEMBER(Step, repartition),
	.min = 1, .max = ETL_MAX_PARTITIONS},
	{.name = "repartition_by", .type = OPTION_NAME_LIST, .argno = 9, OPTION_MEMBER(Step, repartition_by)},
	{.name = "keep", .type = OPTION_BOOL, .argno = 10, OPTION_MEMBER(Step, keep)},
	{.name = "indexes", .type = OPTION_TEXT_LIST, .argno = 11, OPTION_MEMBER(Step, indexes)},
	{.name = "checks", .type = OPTION_TEXT_LIST, .argno = 12, OPTION_MEMBER(Step, checks)},
	{.name = "settings", .type = OPTION_TEXT_LIST, .argno = 13, OPTION_MEMBER(Step, settings)},
	{.name = "max_attempts", .type = OPTION_INT, .argno = 14, OPTION_MEMBER(Step, max_attempts),
	.min = 1, .max = ETL_MAX_ATTEMPTS},
	{.name = "step_timeout", .type = OPTION_INTERVAL, .argno = 15, OPTION_MEMBER(Step, step_timeout_ms),
	.min = 1, .max = OPTION_MAX_INTERVAL_MS},
	{.name = "description", .type = OPTION_TEXT, .argno = 16, OPTION_MEMBER(Step, description)},
};
const int	definition_step_count = lengthof(definition_step_options);
static const char *const fixed_step_fields[] = {"process_name", "step_id", "pipeline", NULL};

#define ADD_STEP_ARG_STEP_ID	17

void
definition_default_options(Pipeline *pipeline)
{
	pipeline->target_schema = pipeline->name;
	pipeline->search_path = NULL;	/* the caller's: see definition_check_options */
	pipeline->max_parallel = 0;
	pipeline->max_attempts = 3;
	pipeline->retry_delay_ms = 1000;
	pipeline->retry_on = list_make1("transient");
	pipeline->step_timeout_ms = CATALOG_NO_TIMEOUT;
	pipeline->run_timeout_ms = CATALOG_NO_TIMEOUT;
	pipeline->staged = false;
	pipeline->durability = ETL_DURABILITY_UNLOGGED;
	pipeline->description = NULL;
	pipeline->one_snapshot = true;
}

void
definition_default_step(Step *step)
{
	memset(step, 0, sizeof(Step));
	step->keep = true;
	step->step_timeout_ms = CATALOG_NO_TIMEOUT;
}

/* ---- checking a pipeline's options ---- */

/*
 * The path as it shall be stored: "$user" is replaced by the role that it means
 * now, because the pipeline's processes may run as another one.  text NULL: the
 * caller's own setting.
 */
static char *
resolve_search_path(const char *text)
{
	char	   *copy = pstrdup(text ? text : namespace_search_path);
	StringInfoData path;
	List	   *names;
	ListCell   *lc;

	if (!SplitIdentifierString(copy, ',', &names))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for \"search_path\": \"%s\"", text),
				 errdetail("It must be a list of schema names, separated by commas.")));

	initStringInfo(&path);
	foreach(lc, names)
	{
		const char *name = lfirst(lc);

		if (strcmp(name, "$user") == 0)
			name = GetUserNameFromId(GetUserId(), false);
		appendStringInfo(&path, "%s%s", path.len > 0 ? ", " : "", quote_identifier(name));
	}
	return path.data;
}

/*
 * The pipeline's owner must be able to create tables in the target schema,
 * which is made, for the owner and with the caller's rights, where there is none.
 */
static void
ensure_target_schema(const Pipeline *pipeline)
{
	const char *schema = pipeline->target_schema;
	const char *owner = GetUserNameFromId(pipeline->owner, false);
	Oid			schema_oid;

	if (strcmp(schema, ETL_SCHEMA) == 0 || strcmp(schema, "information_schema") == 0 ||
		IsReservedName(schema))
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("schema \"%s\" cannot be the target of a pipeline", schema),
				 errhint("Give another name as target_schema.")));

	schema_oid = get_namespace_oid(schema, true);
	if (!OidIsValid(schema_oid))
	{
		char	   *sql = psprintf("CREATE SCHEMA %s AUTHORIZATION %s",
								   quote_identifier(schema), quote_identifier(owner));

		SPI_connect();
		SPI_execute(sql, false, 0);
		SPI_finish();
	}
	else if (COMPAT_NAMESPACE_ACLCHECK(schema_oid, pipeline->owner, ACL_CREATE) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for schema %s", schema),
				 errdetail("The pipeline's owner \"%s\" may not create tables in it.", owner),
				 errhint("GRANT CREATE ON SCHEMA %s TO %s, or give another target_schema.",
						 quote_identifier(schema), quote_identifier(owner))));
}

void
definition_check_options(Pipeline *pipeline)
{
	ListCell   *lc;

	/* a default name may be too long; one that was given has been checked */
	option_check_name("target_schema", pipeline->target_schema);
	pipeline->search_path = resolve_search_path(pipeline->search_path);

	foreach(lc, pipeline->retry_on)
	{
		const char *word = lfirst(lc);

		if (!retry_word_is_valid(word))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid element of \"retry_on\": \"%s\"", word),
					 errhint("Use \"transient\", \"any\", an SQLSTATE such as \"40001\", or a class of them such as \"23\".")));
	}

	ensure_target_schema(pipeline);
}

/* ---- checking a step ---- */

/* Settings that mean something else for a step, and what to use instead. */
static const struct
{
	const char *name;
	const char *hint;
}			reserved_settings[] = {
	{"search_path", "It is an option of the pipeline."},
	{"statement_timeout", "Use step_timeout."},
	{"transaction_timeout", "Use step_timeout."},
	{"role", "A step runs as the pipeline's owner."},
	{"session_authorization", "A step runs as the pipeline's owner."},
	{"transaction_isolation", "All steps of a run read one snapshot."},
	{"transaction_read_only", NULL},
	{"transaction_deferrable", NULL},
	{"default_transaction_isolation", "All steps of a run read one snapshot."},
	{"default_transaction_read_only", NULL},
	{"default_transaction_deferrable", NULL},
	{"default_table_access_method", NULL},
	{"row_security", NULL},
};

static char *
trim(const char *start, int length)
{
	while (length > 0 && isspace((unsigned char) *start))
	{
		start++;
		length--;
	}
	while (length > 0 && isspace((unsigned char) start[length - 1]))
		length--;
	return pnstrdup(start, length);
}

/*
 * The value is tried out without being set; who may set what is asked for the
 * current user here, and once more for the owner when the step runs.
 */
static void
check_setting(const char *setting)
{
	const char *equals = strchr(setting, '=');
	char	   *name = trim(setting, equals ? equals - setting : 0);
	char	   *value;

	if (name[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid element of \"settings\": \"%s\"", setting),
				 errhint("Write name=value, as in \"work_mem=256MB\".")));
	value = trim(equals + 1, strlen(equals + 1));

	for (int i = 0; i < (int) lengthof(reserved_settings); i++)
	{
		if (pg_strcasecmp(reserved_settings[i].name, name) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("parameter \"%s\" cannot be set for a step",
							reserved_settings[i].name),
					 reserved_settings[i].hint ?
					 errhint("%s", reserved_settings[i].hint) : 0));
	}
	if (pg_strncasecmp(name, ETL_EXTENSION_NAME ".", strlen(ETL_EXTENSION_NAME ".")) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("parameter \"%s\" cannot be set for a step", name)));

	(void) set_config_option(name, value,
							 superuser() ? PGC_SUSET : PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SET, false, ERROR, false);
}

/* A step without a table has nothing that these arguments could be about. */
static void
check_command_step(const Step *step)
{
	const char *argument =
	step->cache ? "cache" :
	step->has_persist ? "persist" :
	step->repartition != 0 ? "repartition" :
	!step->keep ? "keep" :
	step->indexes != NIL ? "indexes" :
	step->checks != NIL ? "checks" : NULL;

	if (argument == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" is not for command steps", argument),
			 errdetail("The SQL of step \"%s\" is not a single query, so that it makes no table.",
					   step->process_name)));
}

/*
 * A query step that reads its own name would read the table that it makes.  A
 * command step makes none: it may well be named like the table that it writes.
 */
static void
check_self_reference(const Pipeline *pipeline, const Step *step, const List *refs)
{
	ListCell   *lc;

	if (step->kind != ETL_STEP_QUERY)
		return;

	foreach(lc, refs)
	{
		const RefName *ref = lfirst(lc);

		if (strcmp(ref->name, step->process_name) != 0 ||
			(ref->schema != NULL && strcmp(ref->schema, pipeline->target_schema) != 0))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_ETL_INVALID_PIPELINE),
				 errmsg("step \"%s\" refers to itself", step->process_name),
				 errdetail("In its SQL %s means the step itself, and not another table.",
						   refs_name_to_text(ref)),
				 errhint("Give the step another name, or qualify the table with its schema, if that is not \"%s\".",
						 pipeline->target_schema)));
	}
}

/* What would outlive the run, and be bound to a table that goes with it. */
static void
check_bound(const Pipeline *pipeline, const List *refs)
{
	ListCell   *lc;

	foreach(lc, refs)
	{
		const RefName *ref = lfirst(lc);
		EtlStepKind kind;
		int32		step_id;
		int32		repartition;

		if (ref->schema != NULL && strcmp(ref->schema, pipeline->target_schema) != 0)
			continue;
		if (!catalog_lookup_step(pipeline->id, pipeline->version, ref->name, &step_id, &kind,
								 &repartition) ||
			kind != ETL_STEP_QUERY)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_ETL_INVALID_PIPELINE),
				 errmsg("a command step cannot create a view, rule or function over the table of step \"%s\"",
						ref->name),
				 errdetail("It would be bound to the table that this one run makes, and dropped with it."),
				 errhint("Create it outside of the pipeline over the published table, which keeps its OID; or make it a query step.")));
	}
}

static List *
refs_to_text(const List *refs)
{
	List	   *texts = NIL;
	ListCell   *lc;

	foreach(lc, refs)
		texts = lappend(texts, refs_name_to_text(lfirst(lc)));
	return texts;
}

/*
 * What a check reads has to be there when the step has run: it counts as read by
 * the step.  In checks the step's own name means its new rows.
 */
static void
add_check_reads(const Pipeline *pipeline, Step *step, const char *text)
{
	ListCell   *lc;

	foreach(lc, step_check_reads(step_check_parse(text, step->process_name)))
	{
		const RefName *ref = lfirst(lc);
		char	   *reference = refs_name_to_text(ref);
		bool		known = strcmp(ref->name, step->process_name) == 0 &&
		(ref->schema == NULL || strcmp(ref->schema, pipeline->target_schema) == 0);

		if (!known && !names_contain(step->reads, reference))
			step->reads = lappend(step->reads, reference);
	}
}

typedef struct StepContext
{
	const char *pipeline;
	const char *step;
} StepContext;

static void
step_error_context(void *arg)
{
	const StepContext *context = arg;

	errcontext("step \"%s\" of pipeline \"%s\"", context->step, context->pipeline);
}

void
definition_check_step(const Pipeline *pipeline, Step *step)
{
	StepContext context = {.pipeline = pipeline->name, .step = step->process_name};
	ErrorContextCallback callback = {
		.previous = error_context_stack,
		.callback = step_error_context,
		.arg = &context
	};
	StepRefs   *refs;
	ListCell   *lc;

	error_context_stack = &callback;

	refs = refs_analyze(step->sql_query);
	step->kind = refs->kind;
	step->reads = refs_to_text(refs->reads);
	step->writes = refs_to_text(refs->writes);

	check_self_reference(pipeline, step, refs->reads);
	check_self_reference(pipeline, step, refs->writes);
	check_bound(pipeline, refs->bound);
	foreach(lc, step->checks)
		add_check_reads(pipeline, step, lfirst(lc));
	if (names_contain(step->depends_on, step->process_name))
		ereport(ERROR,
				(errcode(ERRCODE_ETL_INVALID_PIPELINE),
				 errmsg("step \"%s\" depends on itself", step->process_name)));

	if (step->repartition_by != NIL && step->repartition == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"repartition_by\" needs \"repartition\""),
				 errhint("Say with repartition how many partitions there shall be.")));
	if (step->kind != ETL_STEP_QUERY)
		check_command_step(step);
	foreach(lc, step->indexes)
		step_index_check(lfirst(lc));
	foreach(lc, step->settings)
		check_setting(lfirst(lc));

	error_context_stack = callback.previous;
}

/* ---- the way that every change goes ---- */

Pipeline *
definition_open(const char *name, const char *function)
{
	Pipeline   *pipeline;

	security_check_may_start(function);
	pipeline = pipeline_open(name);
	security_check_may_define(pipeline->owner);
	if (catalog_lock_pipeline(pipeline->id))
		pipeline = catalog_load_pipeline(pipeline->id, 0);
	else
		pipeline = NULL;
	if (pipeline == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("pipeline \"%s\" does not exist", name)));
	return pipeline;
}

bool
definition_step_equal(const Step *a, const Step *b)
{
	return option_all_equal(definition_step_options, definition_step_count, a, b);
}

bool
definition_options_equal(const Pipeline *a, const Pipeline *b)
{
	return option_all_equal(definition_option_fields, definition_option_count, a, b);
}

static Step *
open_step(const Pipeline *pipeline, const char *process_name)
{
	Step	   *step = catalog_find_step(pipeline->id, process_name);
	Nearest		nearest;
	ListCell   *lc;

	if (step != NULL)
		return step;

	nearest_init(&nearest, process_name);
	foreach(lc, catalog_load_steps(pipeline->id, pipeline->version))
		nearest_consider(&nearest, ((const Step *) lfirst(lc))->process_name);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("step \"%s\" of pipeline \"%s\" does not exist",
					process_name, pipeline->name),
			 nearest.best ? errhint("Perhaps you mean the step \"%s\".", nearest.best) : 0));
}

static Jsonb *
changes_argument(FunctionCallInfo fcinfo, int argno)
{
	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", "changes")));
	return PG_GETARG_JSONB_P(argno);
}

/* ---- pipelines ---- */

Datum
etl_create_pipeline(PG_FUNCTION_ARGS)
{
	Pipeline   *pipeline = palloc0(sizeof(Pipeline));

	security_check_may_start("etl.create_pipeline()");

	pipeline->name = option_text_argument(fcinfo, 0, "pipeline");
	option_check_name("pipeline", pipeline->name);
	pipeline->owner = GetUserId();
	definition_default_options(pipeline);
	option_take_arguments(definition_option_fields, definition_option_count, pipeline, fcinfo);

	pipeline->id = catalog_insert_pipeline(pipeline->name, pipeline->owner);
	if (pipeline->id == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("pipeline \"%s\" already exists", pipeline->name)));
	definition_check_options(pipeline);
	catalog_write_options(pipeline, catalog_begin_version(pipeline->id));

	PG_RETURN_VOID();
}

Datum
etl_alter_pipeline(PG_FUNCTION_ARGS)
{
	char	   *name = option_text_argument(fcinfo, 0, "pipeline");
	Jsonb	   *changes = changes_argument(fcinfo, 1);
	Pipeline   *old = definition_open(name, "etl.alter_pipeline()");
	Pipeline	changed = *old;
	Pipeline	defaults = *old;

	definition_default_options(&defaults);
	option_take_changes("pipeline", definition_option_fields, definition_option_count, &changed,
						&defaults, fixed_options, changes);
	definition_check_options(&changed);
	if (!definition_options_equal(old, &changed))
		catalog_write_options(&changed, catalog_begin_version(changed.id));

	PG_RETURN_VOID();
}

/*
 * Drops, as the caller, the registered tables that still have the names they
 * were registered under.  One that was renamed has become somebody's own.  DROP
 * TABLE says what depends on them, and fires event triggers.
 */
static void
drop_outputs(int32 pipeline_id)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, catalog_load_outputs(pipeline_id))
	{
		const Output *output = lfirst(lc);
		Oid			schema = get_namespace_oid(output->schema, true);

		if (!OidIsValid(schema) ||
			get_relname_relid(output->process_name, schema) != output->relid)
			continue;
		appendStringInfo(&sql, "%s%s", sql.len == 0 ? "DROP TABLE " : ", ",
						 quote_qualified_identifier(output->schema, output->process_name));
	}

	if (sql.len > 0)
	{
		SPI_connect();
		SPI_execute(sql.data, false, 0);
		SPI_finish();
	}
	pfree(sql.data);
}

Datum
etl_drop_pipeline(PG_FUNCTION_ARGS)
{
	char	   *name = option_text_argument(fcinfo, 0, "pipeline");
	bool		drop_tables = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	Pipeline   *pipeline = definition_open(name, "etl.drop_pipeline()");

	if (!lock_pipeline_in_transaction(pipeline->id))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot drop pipeline \"%s\" because it is being run", name),
				 errhint("Wait for the run to end, or cancel it with etl.cancel().")));
	if (drop_tables)
		drop_outputs(pipeline->id);
	staging_drop_all(pipeline->id);
	catalog_drop_pipeline(pipeline->id);

	PG_RETURN_VOID();
}

/* ---- steps ---- */

void
definition_check_step_id(int64 step_id)
{
	if (step_id < 1 || step_id > PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is out of range: " INT64_FORMAT, "step_id", step_id),
				 errdetail("It must be between " INT64_FORMAT " and " INT64_FORMAT ".",
						   INT64CONST(1), (int64) PG_INT32_MAX)));
}

int32
definition_next_step_id(const Pipeline *pipeline, int64 above)
{
	int64		step_id = Max(catalog_next_step_id(pipeline->id), above + 1);

	if (step_id > PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("no step_id is left above the highest one of pipeline \"%s\"",
						pipeline->name),
				 errhint("Give a step_id.")));
	return (int32) step_id;
}

static int32
choose_step_id(const Pipeline *pipeline, FunctionCallInfo fcinfo)
{
	int32		step_id;

	if (PG_ARGISNULL(ADD_STEP_ARG_STEP_ID))
		return definition_next_step_id(pipeline, 0);

	step_id = PG_GETARG_INT32(ADD_STEP_ARG_STEP_ID);
	definition_check_step_id(step_id);
	if (catalog_step_id_is_used(pipeline->id, step_id))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("pipeline \"%s\" already has a step with step_id %d",
						pipeline->name, step_id)));
	return step_id;
}

Datum
etl_add_step(PG_FUNCTION_ARGS)
{
	char	   *name = option_text_argument(fcinfo, 0, "pipeline");
	char	   *process_name = option_text_argument(fcinfo, 1, "process_name");
	Pipeline   *pipeline = definition_open(name, "etl.add_step()");
	int32		version;
	Step		step;

	definition_default_step(&step);
	option_check_name("process_name", process_name);
	step.process_name = process_name;
	option_take_arguments(definition_step_options, definition_step_count, &step, fcinfo);

	if (catalog_find_step(pipeline->id, process_name) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("pipeline \"%s\" already has a step \"%s\"", name, process_name)));
	step.step_id = choose_step_id(pipeline, fcinfo);
	definition_check_step(pipeline, &step);
	version = catalog_begin_version(pipeline->id);
	catalog_write_step(pipeline->id, version, &step);
	partition_key_settle(pipeline, version, list_make1(&step));

	PG_RETURN_INT32(step.step_id);
}

Datum
etl_alter_step(PG_FUNCTION_ARGS)
{
	char	   *name = option_text_argument(fcinfo, 0, "pipeline");
	char	   *process_name = option_text_argument(fcinfo, 1, "process_name");
	Jsonb	   *changes = changes_argument(fcinfo, 2);
	Pipeline   *pipeline = definition_open(name, "etl.alter_step()");
	Step	   *old = open_step(pipeline, process_name);
	Step		changed = *old;
	Step		defaults;

	definition_default_step(&defaults);
	option_take_changes("step", definition_step_options, definition_step_count, &changed,
						&defaults, fixed_step_fields, changes);
	definition_check_step(pipeline, &changed);
	if (!definition_step_equal(old, &changed))
	{
		int32		version = catalog_begin_version(pipeline->id);

		partition_key_carry(&changed, old);
		catalog_write_step(pipeline->id, version, &changed);
		partition_key_settle(pipeline, version, list_make1(&changed));
	}

	PG_RETURN_VOID();
}

Datum
etl_drop_step(PG_FUNCTION_ARGS)
{
	char	   *name = option_text_argument(fcinfo, 0, "pipeline");
	char	   *process_name = option_text_argument(fcinfo, 1, "process_name");
	Pipeline   *pipeline = definition_open(name, "etl.drop_step()");
	Step	   *step = open_step(pipeline, process_name);

	catalog_remove_step(pipeline->id, catalog_begin_version(pipeline->id), step->step_id);

	PG_RETURN_VOID();
}

/* ---- reading a version ---- */

Datum
etl_metadata_at(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	char	   *name = option_text_argument(fcinfo, 0, "pipeline");
	Pipeline   *pipeline = pipeline_open(name);
	int32		version;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", "version")));
	version = PG_GETARG_INT32(1);
	if (version < 1 || version > pipeline->version)
		pipeline_raise_unknown_version(pipeline, version);

	InitMaterializedSRF(fcinfo, 0);
	catalog_metadata_at(pipeline->id, version, rsinfo->setResult);

	return (Datum) 0;
}
