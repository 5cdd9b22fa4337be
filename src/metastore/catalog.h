/*-------------------------------------------------------------------------
 *
 * catalog.h
 *	  Rows of the etl tables as C structs.
 *
 * catalog.c (definitions), catalog_run.c (runs) and catalog_output.c (outputs) are
 * the only files that know the columns of etl.*_data.  All reads and writes go
 * through spi.c, as the owner of those tables and under the latest snapshot;
 * checking who may see or change a pipeline is the caller's business
 * (security.c).  Results are palloc'd in the caller's memory context.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_CATALOG_H
#define ETL_CATALOG_H

#include "datatype/timestamp.h"
#include "etl.h"
#include "nodes/pg_list.h"
#include "utils/array.h"
#include "utils/jsonb.h"
#include "utils/tuplestore.h"

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
	bool		one_snapshot;
} Pipeline;

/*
 * A step of one version.  The fields below "graph" are always filled; those
 * below "body" not by catalog_load_steps.
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
	bool		has_persist;
	bool		persist;
	int32		repartition;	/* 0: none */

	/* body */
	char	   *sql_query;
	bool		broadcast;
	bool		cache;
	List	   *repartition_by; /* of char * */
	char	   *partition_key;	/* chosen where repartition_by is NIL; or NULL */
	List	   *partition_readers;	/* of char *: the steps that it was chosen for */
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

/* The same with their bodies: all SQL of the version is then in memory. */
extern List *catalog_load_steps_with_bodies(int32 pipeline_id, int32 version);

/* One step of a version with its body; NULL if there is none. */
extern Step *catalog_load_step(int32 pipeline_id, int32 version, int32 step_id);

/*
 * Find the step of a version that has that name, and into how many partitions it goes (0: none).
 * Returns false if there is no such step.
 */
extern bool catalog_lookup_step(int32 pipeline_id, int32 version, const char *process_name,
								int32 *step_id, EtlStepKind *kind, int32 *repartition);

/*
 * Puts the rows that etl.metadata_at returns, ascending step_id, into a
 * tuplestore.
 */
extern void catalog_metadata_at(int32 pipeline_id, int32 version, Tuplestorestate *rows);

/* ---- outputs ---- */

/* The table that the registry has for a step's name; InvalidOid if none. */
extern Oid	catalog_output_relid(int32 pipeline_id, const char *schema,
								 const char *process_name);

/*
 * The same, if the table still stands under that name in that schema: the one
 * that the step's next table will take the place of.
 */
extern Oid	catalog_published(int32 pipeline_id, const char *schema,
							  const char *process_name);

/* The tables that the registry has for a pipeline: of Output *. */
typedef struct Output
{
	char	   *schema;
	char	   *process_name;
	Oid			relid;			/* as registered; it may be gone */
} Output;

extern List *catalog_load_outputs(int32 pipeline_id);

/*
 * What stands under one of these names (List of char *) in a schema: of
 * Occupant *, in no order.
 */
typedef struct Occupant
{
	char	   *name;
	Oid			relid;			/* InvalidOid: a type that is not a table's */
	Oid			registered;		/* what the registry has for that name */
	bool		lost;			/* the registered table is empty since a crash */
	char	   *needs_log;		/* it is logged, and this needs it to be; or NULL */
	char	   *publication;	/* one that it is in; or NULL */
	int			nrelations;		/* it, its partitions, and their TOAST tables and indexes */
} Occupant;

extern List *catalog_load_occupants(int32 pipeline_id, const char *schema,
									const List *names);

/* What the registry has for a step's table when it is published. */
typedef struct OutputRow
{
	const char *process_name;
	Oid			relid;
	int64		count_rows;		/* -1: NULL */
	int64		table_size;		/* -1: NULL */
	List	   *index_names;	/* of char *: see catalog_output_indexes */
} OutputRow;

extern void catalog_register_output(int32 pipeline_id, const char *schema, int64 run_id,
									const OutputRow *output);

/*
 * The names (char *) of the indexes that runs have made on the published table
 * because the step asked for them; others are its users' own.
 */
extern List *catalog_output_indexes(int32 pipeline_id, const char *schema,
									const char *process_name);

/*
 * The tables of all pipelines, with their partitions, that the registry has and
 * that are empty since a crash: of Oid.
 */
extern List *catalog_load_lost(void);

/*
 * Sees to it that there is a token for what is published from now on: see
 * etl.survival_data.
 */
extern void catalog_write_survival_token(void);

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
	int64		resumes;		/* 0: none */
} RunRow;

/* Inserts the run as RUNNING, started now (clock). */
extern void catalog_insert_run(const RunRow *run);

/*
 * Ends it now; exactly one RUNNING row must be hit, else internal error.
 * two_instants: see etl.run_log.
 */
extern void catalog_end_run(int64 run_id, EtlRunStatus status, const char *error_message,
							bool two_instants);

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

/* A run that may be gone on from. */
typedef struct PastRun
{
	int32		pipeline_id;
	char	   *pipeline;
	Oid			owner;
	bool		dropped;		/* the pipeline is */
	int32		version;
	EtlRunStatus status;		/* as the row says it */
	char	   *params;			/* JSON text, or NULL */
	List	   *steps;			/* of char *; NIL: all */
	bool		begun;			/* it had a step to execute */
	int64		newer;			/* a run that has begun since; 0: none */
	bool		survived;		/* the server has not crashed since it began */
} PastRun;

/* NULL if there is no such run. */
extern PastRun *catalog_load_past_run(int64 run_id);

/* A step that has succeeded in a run. */
typedef struct PastStep
{
	int32		step_id;
	int64		count_rows;		/* -1: none */
	int64		table_size;		/* -1: none */
	bool		read_sources;
	List	   *step_indexes;	/* of Oid */
	int64		run_id;			/* the run that has executed it */
} PastStep;

extern List *catalog_load_past_steps(int64 run_id); /* of PastStep * */

/* ---- attempts ---- */

/* Inserts a step that was taken over from another run, as attempt 0. */
extern void catalog_insert_reused(int64 run_id, const char *process_name,
								  const PastStep *step);

/*
 * The indexes on the staged tables of a run's steps that the steps ask for: of StepIndexes *, in
 * the order of step_id.
 */
typedef struct StepIndexes
{
	int32		step_id;
	List	   *indexes;		/* of Oid */
} StepIndexes;

extern List *catalog_load_step_indexes(int64 run_id);

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
	List	   *warnings;		/* of char *: what the user should know; NIL: NULL */
	const char *plan;			/* JSON text; NULL: none kept */
	bool		read_sources;	/* relations that the run has not made */
	List	   *step_indexes;	/* of Oid: of the staged table, those that the step asks for */
} AttemptCost;

/* Inserts an attempt as RUNNING, started now (clock), with MyProcPid. */
extern void catalog_insert_attempt(int64 run_id, int32 step_id,
								   const char *process_name, int attempt);

/* Ends a RUNNING attempt now; exactly one row must be hit. */
extern void catalog_attempt_succeeded(int64 run_id, int32 step_id, int attempt,
									  const AttemptCost *cost);

/*
 * The same for FAILED and CANCELLED.  cost may be NULL; retry_at is 0 where the
 * step is not tried again.  Where there is no row (the worker died before it
 * could write one) inserts it.  Returns false, and changes nothing, where the
 * attempt has ended already: a worker that was lost after its commit.
 */
extern bool catalog_attempt_failed(int64 run_id, int32 step_id, const char *process_name,
								   int attempt, EtlStepStatus status,
								   const ErrorData *error, TimestampTz retry_at,
								   const AttemptCost *cost);

/* A failed attempt is not tried again after all: its retry_at becomes NULL. */
extern void catalog_attempt_not_repeated(int64 run_id, int32 step_id, int attempt);

/* Inserts a step that got no attempt, SKIPPED or CANCELLED, as attempt 0. */
extern void catalog_insert_unstarted(int64 run_id, int32 step_id, const char *process_name,
									 EtlStepStatus status, const char *reason);

/* What became of one check in one attempt. */
typedef struct CheckResult
{
	int			number;			/* of the check among those of the attempt, from 1 */
	const char *text;
	const char *name;			/* of the constraint, or NULL */
	bool		warn;			/* else wrong rows are an error */
	int64		wrong_rows;
	List	   *samples;		/* of char *: some of them, as JSON objects */
	TimestampTz tested_at;
} CheckResult;

/* Logs the results (of CheckResult *) of an attempt. */
extern void catalog_insert_check_results(int64 run_id, int32 step_id, const char *process_name,
										 int attempt, const List *results);

/* ---- writing definitions: called by definition.c only ---- */

/*
 * Locks the pipeline against other changers of its definition until the end of
 * the transaction.  False if it has been dropped meanwhile.
 */
extern bool catalog_lock_pipeline(int32 pipeline_id);

/* The new pipeline's id, with owner; 0 if the name is taken.  Holds its lock. */
extern int32 catalog_insert_pipeline(const char *name, Oid owner);

/*
 * The version that this transaction's changes belong to: made by the first call
 * of a transaction, returned by the others.  Needs the pipeline's lock.
 */
extern int32 catalog_begin_version(int32 pipeline_id);

/*
 * Makes these the options, or this the step with its step_id, or that step gone,
 * from "version" (see catalog_begin_version) on.  Earlier versions keep theirs.
 */
extern void catalog_write_options(const Pipeline *pipeline, int32 version);
extern void catalog_write_step(int32 pipeline_id, int32 version, const Step *step);
extern void catalog_remove_step(int32 pipeline_id, int32 version, int32 step_id);

/* The newest version's step of that name, with its body; NULL if none. */
extern Step *catalog_find_step(int32 pipeline_id, const char *process_name);

/*
 * The newest version's steps, with bodies, that are repartitioned and whose key
 * neither the user has given nor partition_key.c has chosen, of these names (of char *);
 * and those that refer to a step by one of these references (of char *), but for
 * the step itself.
 */
extern List *catalog_load_keyless_steps(int32 pipeline_id, const List *names);
extern List *catalog_load_readers(int32 pipeline_id, const List *references, int32 except);

/* Return true if the newest version has a step of this id. */
extern bool catalog_step_id_is_used(int32 pipeline_id, int32 step_id);

/* 1 + the highest step_id that any version of the pipeline has. */
extern int64 catalog_next_step_id(int32 pipeline_id);

/*
 * Marks the pipeline as dropped, and deletes its definitions and the registry of
 * its outputs.  Its logs stay, for its owner.
 */
extern void catalog_drop_pipeline(int32 pipeline_id);

/* How long the steps of a pipeline took: medians over its last ten runs. */
typedef struct StepDuration
{
	char	   *process_name;
	int64		ms;				/* of attempts that succeeded */
} StepDuration;

/* of StepDuration *, in no order; only of steps that have succeeded in those runs */
extern List *catalog_load_durations(int32 pipeline_id);

/* ---- converting ---- */

/*
 * Milliseconds of an interval, as extract(epoch) counts: a month has 30 days, a
 * year of 12 months 365.25.  Not for infinite ones.
 */
extern int64 catalog_interval_to_ms(const Interval *interval);

/* text[] and List of char *; NIL is the empty array.  Null elements are errors. */
extern List *catalog_array_to_list(ArrayType *array);
extern ArrayType *catalog_list_to_array(const List *list);

/* The words that the tables and views use. */
extern const char *catalog_kind_word(EtlStepKind kind);
extern const char *catalog_step_status_word(EtlStepStatus status);
extern const char *catalog_run_status_word(EtlRunStatus status);
extern const char *catalog_durability_word(EtlDurability durability);

#endif							/* ETL_CATALOG_H */
