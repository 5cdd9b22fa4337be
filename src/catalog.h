/*-------------------------------------------------------------------------
 *
 * catalog.h
 *	  Rows of the etl tables as C structs.
 *
 * catalog.c is the only file that knows the columns of etl.*_data (runlog.c's
 * tables included: its functions are here too).  All reads and writes go
 * through spi.c, as the owner of those tables and under the latest snapshot;
 * checking who may see or change a pipeline is the caller's business
 * (security.c).  Results are palloc'd in the caller's memory context.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_CATALOG_H
#define ETL_CATALOG_H

#include "etl.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/jsonb.h"

/* An interval that is NULL in the table. */
#define CATALOG_NO_TIMEOUT	INT64CONST(-1)

/* A pipeline with the options of one version. */
typedef struct Pipeline
{
	int32		id;
	char	   *name;
	Oid			owner;
	int32		version;
	char	   *target_schema;
	char	   *search_path;
	int32		max_parallel;	/* 0: NULL, the setting's default */
	int32		max_attempts;
	int64		retry_delay_ms;
	List	   *retry_on;		/* of char * */
	int64		step_timeout_ms;	/* or CATALOG_NO_TIMEOUT */
	int64		run_timeout_ms; /* or CATALOG_NO_TIMEOUT */
	bool		staged;
	EtlDurability durability;
	char	   *description;
} Pipeline;

/*
 * A step of one version.  The fields below "graph" are always filled; those
 * below "body" only by catalog_load_step and by those who define steps.
 */
typedef struct Step
{
	/* graph */
	int32		step_id;
	char	   *process_name;
	EtlStepKind kind;
	List	   *reads;			/* of char *, as refs_name_to_text writes them */
	List	   *writes;			/* the same */
	List	   *depends_on;		/* of char *: declared by the user, plain names */
	bool		has_order;
	int32		execution_order;
	bool		keep;
	int32		max_attempts;	/* 0: the pipeline's */
	int64		step_timeout_ms;	/* CATALOG_NO_TIMEOUT: the pipeline's */

	/* body */
	char	   *sql_query;
	bool		broadcast;
	bool		cache;
	bool		has_persist;
	bool		persist;
	int32		repartition;	/* 0: none */
	List	   *repartition_by; /* of char * */
	List	   *indexes;		/* of char * */
	List	   *checks;			/* of char * */
	List	   *settings;		/* of char *, 'name=value' */
	char	   *description;
} Step;

/* ---- reading definitions ---- */

/* The pipeline of that name that was not dropped, newest version; NULL if none. */
extern Pipeline *catalog_find_pipeline(const char *name);

/*
 * The pipeline with the options of "version" (0: the newest); NULL where there
 * is no such pipeline, it was dropped, or there is no such version.
 */
extern Pipeline *catalog_load_pipeline(int32 pipeline_id, int32 version);

/* The steps of a version, ascending step_id, graph fields only. */
extern List *catalog_load_steps(int32 pipeline_id, int32 version);

/* One step of a version with its body; NULL if there is none. */
extern Step *catalog_load_step(int32 pipeline_id, int32 version, int32 step_id);

/* ---- outputs ---- */

/* The table that the registry has for a step's name; InvalidOid if none. */
extern Oid	catalog_output_relid(int32 pipeline_id, const char *schema,
								 const char *process_name);
extern void catalog_register_output(int32 pipeline_id, const char *schema,
									const char *process_name, Oid relid,
									int64 run_id, int64 count_rows, int64 table_size);

/* ---- runs ---- */

extern int64 catalog_next_run_id(void);

typedef struct RunRow
{
	int64		run_id;
	int32		pipeline_id;
	int32		version;
	const char *requested_by;
	const Jsonb *params;		/* or NULL */
	List	   *steps;			/* of char *; NIL: all */
	int32		step_count;
	int			pid;
} RunRow;

/* Inserts the run as RUNNING, started now (clock). */
extern void catalog_insert_run(const RunRow *run);

/* Ends it now; exactly one RUNNING row must be hit, else internal error. */
extern void catalog_end_run(int64 run_id, EtlRunStatus status, const char *error_message);

/*
 * Marks the runs of the pipeline that are RUNNING, other than "except", as
 * CRASHED, and their RUNNING attempts as FAILED.  Returns how many runs.
 * Called by the holder of the pipeline's lock, so they are gone for certain.
 */
extern int	catalog_bury_runs(int32 pipeline_id, int64 except);

/*
 * What the row says: pipeline, owner and stored status.  False if there is no
 * such run.
 */
extern bool catalog_find_run(int64 run_id, int32 *pipeline_id, Oid *owner,
							 EtlRunStatus *status);

/* ---- attempts ---- */

/* What an attempt cost and made. */
typedef struct AttemptCost
{
	int64		count_rows;		/* -1: NULL */
	int64		table_size;		/* -1: NULL */
	int64		shared_blks_hit;
	int64		shared_blks_read;
	int64		temp_blks_read;
	int64		temp_blks_written;
	int64		wal_bytes;
} AttemptCost;

/* Inserts an attempt as RUNNING, started now (clock), with MyProcPid. */
extern void catalog_insert_attempt(int64 run_id, int32 step_id,
								   const char *process_name, int attempt);

/* Ends a RUNNING attempt now; exactly one row must be hit. */
extern void catalog_attempt_succeeded(int64 run_id, int32 step_id, int attempt,
									  const AttemptCost *cost);

/*
 * The same for FAILED and CANCELLED.  cost may be NULL; retry_at is 0 where the
 * step is not tried again.  Returns false where there is no RUNNING row (the
 * worker died before it could write one): then inserts it.
 */
extern void catalog_attempt_failed(int64 run_id, int32 step_id, const char *process_name,
								   int attempt, EtlStepStatus status,
								   const ErrorData *error, TimestampTz retry_at,
								   const AttemptCost *cost);

/* Inserts a step that got no attempt, SKIPPED or CANCELLED, as attempt 0. */
extern void catalog_insert_unstarted(int64 run_id, int32 step_id, const char *process_name,
									 EtlStepStatus status, const char *reason);

/* ---- writing definitions: called by definition.c only ---- */

/* see catalog.c; add what definition.c needs here */

#endif							/* ETL_CATALOG_H */
