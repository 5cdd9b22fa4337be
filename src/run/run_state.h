/*-------------------------------------------------------------------------
 *
 * run_state.h
 *	  What a coordinator knows of its run, and what its parts share: the run's
 *	  life (coordinator.c), the loop over its steps (scheduler.c), the end of a
 *	  run that has succeeded (publisher.c).
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_RUN_STATE_H
#define ETL_RUN_STATE_H

#include "base/lock_table.h"
#include "define/pipeline.h"
#include "etl.h"
#include "lib/pairingheap.h"
#include "run/pool.h"
#include "run/request.h"
#include "run/run_shmem.h"
#include "run/run_signal.h"
#include "run/snapshot_holder.h"

/* What the run knows of a step beyond the graph's state. */
typedef struct RunStep
{
	pairingheap_node retry_node;	/* in RunState.retries while waiting */
	TimestampTz retry_at;
	int			attempts;		/* made so far */
	TimestampTz started;		/* the first attempt's start */
	Oid			relid;
	int64		count_rows;
	int64		table_size;
	bool		dropped;		/* keep => false, and nobody needs it any more */
	bool		wanted;			/* a step that reads it did not succeed: see etl.resume */
	bool		one_instant;	/* it reads under the run's snapshot */
	PastStep   *reused;			/* it was taken over; NULL: it is the run's own */
	bool		reused_derived; /* it knows something of the sources */
} RunStep;

typedef struct RunState
{
	RequestServer *server;
	RunRequest *request;
	MemoryContext context;		/* the run's; everything below lives there */
	MemoryContext tick_context; /* reset at every turn of the loop */

	PipelineGraph *graph;
	Pipeline   *pipeline;
	bool	   *selected;		/* NULL: all */
	bool	   *executed;		/* of those the ones that were not taken over; NULL: all */
	int			nselected;
	DagRun	   *dag;
	RunStep    *steps;

	bool		has_turn;		/* it has the pipeline's lock */
	int64		run_id;
	TimestampTz started;
	Oid			staging;
	bool		staging_left;	/* published, and the old storage is in there */
	bool		lost_outputs;	/* some pipeline's tables are empty since a crash */
	RunShared  *shared;
	Pool	   *pool;
	SnapshotHolder *holder;		/* of the run's snapshot */
	int			ninstant;		/* steps that need it and have not ended */
	bool		snapshot_used;	/* steps have been started since it was taken */
	int			holder_failures;	/* in a row: it ended before it was used */
	TimestampTz holder_again_at;	/* no process slot was free for it: not before */
	bool		read_sources;	/* some step of its own has */
	int			stuck_at;		/* nended when all workers last waited for it; -1 */
	pairingheap *retries;		/* of RunStep, the earliest first */
	int			nretries;
	TimestampTz deadline;		/* run_timeout; DT_NOEND: none */

	int			nended;
	int			nsucceeded;
	int			nfailed;
	int			nskipped;
	int			ncancelled;
	bool		starved;		/* no worker could be started: the user was told */
	TimestampTz stranded_since; /* it has no process to go on with; 0: it has */

	/* why the run ends otherwise than by its last step */
	EtlRunStatus verdict;		/* RUNNING: no such reason */
	RequestMessage reason;		/* the error for the caller and the run's row */
} RunState;

/* ---- the loop, in scheduler.c ---- */

/* Until every step of the run has ended. */
extern void scheduler_run(RunState *run);

/* ---- what all of them need, in run_state.c ---- */

/*
 * A transaction of the coordinator's own, with a snapshot; memory comes from
 * tick_context all the while.
 */
extern void run_state_begin(RunState *run);
extern void run_state_commit(RunState *run);

/*
 * Commits, gives the transaction's locks back, and only then waits until the commit is
 * on disk and with the synchronous standbys, as far as "synchronous_commit" asks for
 * that: waiting would be the longest part of the time for which readers are locked
 * out.  On return it is as durable as after run_state_commit.  Should the server crash
 * in between, nothing is left of the transaction, nor of what somebody has written
 * who has seen it: his commit comes after it in the WAL.
 */
extern void run_state_commit_early(RunState *run);

/* What an observer sees of the run: process title and pg_stat_activity. */
extern void run_state_show(RunState *run, const char *phase);

/* NOTIFY, in the current transaction, if the run wants that. */
extern void run_state_notify(RunState *run, EtlRunStatus status);

/* Gives the caller, if there is one, a message. */
extern void run_state_tell(RunState *run, RequestMessageKind kind, int sqlerrcode,
						   const char *message, const char *detail, const char *hint);

/*
 * Says how the run ends, and why: the first reason counts.  The texts, which are
 * copied, go to the caller and into the run's row.
 */
extern void run_state_give_up(RunState *run, EtlRunStatus verdict, int sqlerrcode,
							  const char *message, const char *detail, const char *hint);

/* "1.234 s", palloc'd */
extern char *run_state_seconds(TimestampTz since);

/*
 * The sessions that wait for the run: etl.run's caller, those in etl.wait, and,
 * where the caller is a step, those that wait for its run.
 */
extern int	run_state_waiting_sessions(RunState *run, const LockTable *table, int **pids);

/* Heed the signals that have come: give the run up. */
extern void run_state_check_signals(RunState *run);

#endif							/* ETL_RUN_STATE_H */
