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

/* 0: computed from the server's settings, see guc_default_max_parallel */
extern int	guc_max_parallel;
extern bool guc_notify;
extern char *guc_params;

/* Changes whenever guc_params does; lets a reader keep what it parsed. */
extern uint64 guc_params_generation;

extern void guc_define(void);

/* How many workers a run gets whose pipeline does not say. */
extern int	guc_default_max_parallel(void);

#endif							/* ETL_GUC_H */
