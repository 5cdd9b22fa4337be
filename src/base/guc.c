/*-------------------------------------------------------------------------
 *
 * guc.c
 *	  The extension's settings.
 *
 * All of them are the session's own (PGC_USERSET): etl.run and etl.start hand
 * the caller's values to the run, so that SET in a session, ALTER ROLE, ALTER
 * DATABASE and postgresql.conf work as a user would expect, although the run's
 * processes are sessions of the pipeline's owner.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/guc.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/guc.h"

static int	guc_max_parallel = 0;
static bool guc_notify = false;
static bool guc_dump_logs = false;
static int	guc_keep_plans = KEEP_PLANS_OFF;
static int	guc_slow_step = 60 * 1000;
static bool guc_plan_timing = false;
static double guc_cache_limit = 0.25;
static int	guc_publish_timeout = 30 * 60 * 1000;
char	   *guc_params = NULL;
uint64		guc_params_generation = 0;

static const struct config_enum_entry keep_plans_words[] = {
	{"off", KEEP_PLANS_OFF, false},
	{"on", KEEP_PLANS_ON, false},
	{"slow", KEEP_PLANS_SLOW, false},
	{NULL, 0, false}
};

static void
guc_assign_params(const char *newval, void *extra)
{
	guc_params_generation++;
}

void
guc_define(void)
{
	DefineCustomIntVariable(ETL_EXTENSION_NAME ".max_parallel",
							"How many steps of a run are executed at once, where the pipeline does not say.",
							"0 chooses half of the background workers that the server can start.",
							&guc_max_parallel,
							0, 0, ETL_MAX_PARALLEL,
							PGC_USERSET, 0,
							NULL, NULL, NULL);

	DefineCustomBoolVariable(ETL_EXTENSION_NAME ".notify",
							 "Sends a NOTIFY on channel etl_framework when a run ends.",
							 "The payload is a JSON object with run_id, pipeline and status. "
							 "Any user of the database can listen.",
							 &guc_notify,
							 false,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);

	DefineCustomEnumVariable(ETL_EXTENSION_NAME ".keep_plans",
							 "Keeps the plans of steps in etl.log: of no attempts, of all, or of slow ones.",
							 "With the rows that each node has returned.",
							 &guc_keep_plans,
							 KEEP_PLANS_OFF, keep_plans_words,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);

	DefineCustomIntVariable(ETL_EXTENSION_NAME ".slow_step",
							"From which duration on an attempt is slow.",
							"Where keep_plans is \"slow\", the plans of such attempts are kept.",
							&guc_slow_step,
							60 * 1000, 0, INT_MAX,
							PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);

	DefineCustomBoolVariable(ETL_EXTENSION_NAME ".plan_timing",
							 "Whether the plans that are kept say how long each node took, and which buffers it used.",
							 "This slows steps down.",
							 &guc_plan_timing,
							 false,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);

	DefineCustomRealVariable(ETL_EXTENSION_NAME ".cache_limit",
							 "How much of shared_buffers the table of one step may take.",
							 "What is larger goes through the small ring of bulk writes, and so does, unless the step has the flag \"cache\", what finds no free buffers.",
							 &guc_cache_limit,
							 0.25, 0.0, 1.0,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);

	DefineCustomIntVariable(ETL_EXTENSION_NAME ".publish_timeout",
							"How long a run may wait for locks on the tables that it publishes.",
							"Then it fails, and says who has these locks.  0 waits for as long as it takes.",
							&guc_publish_timeout,
							30 * 60 * 1000, 0, INT_MAX,
							PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);

	/* Read by SQL alone: by the conditions under which pg_dump takes the logs. */
	DefineCustomBoolVariable(ETL_EXTENSION_NAME ".dump_logs",
							 "Whether pg_dump takes the logs of runs, too.",
							 NULL,
							 &guc_dump_logs,
							 false,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);

	DefineCustomStringVariable(GUC_PARAMS_NAME,
							   "What etl.param reads: a JSON object.",
							   "A run sets it for its steps; set it by hand to try a step's SQL.",
							   &guc_params,
							   "",
							   PGC_USERSET, GUC_NOT_IN_SAMPLE,
							   NULL, guc_assign_params, NULL);

	MarkGUCPrefixReserved(ETL_EXTENSION_NAME);
}

/*
 * Every process of a run and every worker of a parallel query comes out of
 * max_worker_processes.  Half of what is left beside the coordinator and the
 * logical replication launcher, so that the steps can still run in parallel
 * themselves.
 */
static int
guc_default_max_parallel(void)
{
	if (guc_max_parallel > 0)
		return guc_max_parallel;
	return Max(1, (max_worker_processes - 2) / 2);
}

void
guc_run_settings(RunSettings *settings)
{
	settings->max_parallel = guc_default_max_parallel();
	settings->notify = guc_notify;
	settings->keep_plans = guc_keep_plans;
	settings->slow_step_ms = guc_slow_step;
	settings->plan_timing = guc_plan_timing;
	settings->cache_limit = guc_cache_limit;
	settings->publish_timeout_ms = guc_publish_timeout;
}
