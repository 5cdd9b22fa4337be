/*-------------------------------------------------------------------------
 *
 * guc.h
 *	  The extension's settings.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_GUC_H
#define ETL_GUC_H

#include "etl.h"

#define GUC_PARAMS_NAME		ETL_EXTENSION_NAME ".params"

typedef enum KeepPlans
{
	KEEP_PLANS_OFF,
	KEEP_PLANS_ON,
	KEEP_PLANS_SLOW				/* of attempts that take slow_step_ms or longer */
} KeepPlans;

/* What a run takes with it of the settings of the session that starts it. */
typedef struct RunSettings
{
	int			max_parallel;	/* where the pipeline does not say; 1 or more */
	bool		notify;
	KeepPlans	keep_plans;
	int			slow_step_ms;
	bool		plan_timing;	/* with times and buffers of every node */
	double		cache_limit;	/* share of shared_buffers, 0 to 1 */
	int			publish_timeout_ms; /* 0: none */
} RunSettings;

extern void guc_run_settings(RunSettings *settings);

extern char *guc_params;

/* Changes whenever guc_params does; lets a reader keep what it parsed. */
extern uint64 guc_params_generation;

extern void guc_define(void);

#endif							/* ETL_GUC_H */
