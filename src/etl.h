/*-------------------------------------------------------------------------
 *
 * etl.h
 *	  What every file of etl_framework shares: enums, limits, SQLSTATEs.
 *
 * Nothing here knows about the catalog, shared memory or processes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_H
#define ETL_H

#include "postgres.h"

#define ETL_EXTENSION_NAME	"etl_framework"
#define ETL_SCHEMA			"etl"

/* As in module_pathname: where the server looks for the functions of processes. */
#define ETL_LIBRARY			"$libdir/etl_framework"

/* Limits that bad input is measured against; each has its error message. */
#define ETL_MAX_STEPS		100000	/* steps in one pipeline version */
#define ETL_MAX_ATTEMPTS	1000
#define ETL_MAX_PARTITIONS	1024
#define ETL_MAX_NESTING		16	/* runs started by steps of runs */
#define ETL_MAX_PARALLEL	1024	/* workers of one run */

/*
 * Private SQLSTATEs.  Class ZE is in the range that the SQL standard leaves to
 * implementations and that PostgreSQL itself does not use.
 */
#define ERRCODE_ETL_RUN_FAILED			MAKE_SQLSTATE('Z','E','0','0','1')
#define ERRCODE_ETL_RUN_CANCELLED		MAKE_SQLSTATE('Z','E','0','0','2')
#define ERRCODE_ETL_RUN_CONFLICT		MAKE_SQLSTATE('Z','E','0','0','3')
#define ERRCODE_ETL_RUN_LOST			MAKE_SQLSTATE('Z','E','0','0','4')
#define ERRCODE_ETL_INVALID_PIPELINE	MAKE_SQLSTATE('Z','E','0','0','5')
#define ERRCODE_ETL_OUTPUT_LOST			MAKE_SQLSTATE('Z','E','0','0','6')
#define ERRCODE_ETL_SOURCE_CHANGED		MAKE_SQLSTATE('Z','E','0','0','8')
#define ERRCODE_ETL_SNAPSHOT_LOST		MAKE_SQLSTATE('Z','E','0','0','9')
#define ERRCODE_ETL_CHECK_FAILED		MAKE_SQLSTATE('Z','E','0','1','0')

/* What a step's SQL is; decides how a worker executes it. */
typedef enum EtlStepKind
{
	ETL_STEP_QUERY,				/* one query: becomes a table */
	ETL_STEP_COMMAND,			/* statements: executed in one transaction */
	ETL_STEP_COMMAND_ALONE		/* one statement that may refuse a transaction block, or end it
								 * (VACUUM, CALL) */
} EtlStepKind;

/* The values of etl.log.status. */
typedef enum EtlStepStatus
{
	ETL_STEP_RUNNING,
	ETL_STEP_SUCCESS,
	ETL_STEP_FAILED,
	ETL_STEP_SKIPPED,
	ETL_STEP_CANCELLED
} EtlStepStatus;

/*
 * The values of etl.run_log.status that are stored.  CRASHED and UNKNOWN are
 * computed (see etl.run_status); CRASHED is stored when the pipeline's next run
 * tidies up.
 */
typedef enum EtlRunStatus
{
	ETL_RUN_RUNNING,
	ETL_RUN_SUCCESS,
	ETL_RUN_FAILED,
	ETL_RUN_CANCELLED,
	ETL_RUN_CRASHED,
	ETL_RUN_UNKNOWN
} EtlRunStatus;

/* What the pipeline's option "durability" says about steps without "persist". */
typedef enum EtlDurability
{
	ETL_DURABILITY_UNLOGGED,
	ETL_DURABILITY_OUTPUTS,
	ETL_DURABILITY_ALL
} EtlDurability;

/* What etl.run does when another run of the pipeline is on. */
typedef enum EtlConflict
{
	ETL_CONFLICT_ERROR,
	ETL_CONFLICT_WAIT,
	ETL_CONFLICT_SKIP
} EtlConflict;

#endif							/* ETL_H */
