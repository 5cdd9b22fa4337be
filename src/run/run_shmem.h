/*-------------------------------------------------------------------------
 *
 * run_shmem.h
 *	  What a run's coordinator and its workers share.
 *
 * One segment a run, made by the coordinator: what every worker must know of
 * the run, and a slot for each worker.
 *
 * A slot is handed to and fro, never shared.  Its state says whose turn it is:
 *
 *	  FREE -> STARTING			coordinator: a process is being started
 *	  STARTING -> IDLE			worker: it is there
 *	  IDLE -> ASSIGNED			coordinator: wrote the step and the attempt
 *	  ASSIGNED -> DONE			worker: wrote how the attempt ended
 *	  DONE -> IDLE				coordinator: took that in
 *	  any -> GONE				worker, from its exit callback
 *	  GONE, STARTING -> FREE	coordinator: the postmaster says that the
 *								process has ended
 *
 * The fields of the step belong to the coordinator until it says ASSIGNED and
 * those of the outcome to the worker until it says DONE; the atomic state with
 * its barriers is all the locking there is.  "stop" alone is written while
 * the worker runs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_RUN_SHMEM_H
#define ETL_RUN_SHMEM_H

#include "base/guc.h"
#include "datatype/timestamp.h"
#include "etl.h"
#include "graph/retry.h"
#include "nodes/pg_list.h"
#include "port/atomics.h"
#include "storage/dsm.h"
#include "storage/proc.h"

typedef enum SlotState
{
	SLOT_FREE,
	SLOT_STARTING,
	SLOT_IDLE,
	SLOT_ASSIGNED,
	SLOT_DONE,
	SLOT_GONE
} SlotState;

/* Why the coordinator interrupts a worker. */
typedef enum SlotStop
{
	STOP_NONE,
	STOP_STEP_TIMEOUT,
	STOP_RUN_TIMEOUT,
	STOP_CANCELLED
} SlotStop;

#define SLOT_MESSAGE_SIZE	1024

/* The process that holds the run's snapshot (snapshot_holder.c), as others see it. */
typedef enum SnapshotHolderState
{
	SNAPSHOT_HOLDER_NONE,		/* none was started, or is needed */
	SNAPSHOT_HOLDER_STARTING,
	SNAPSHOT_HOLDER_READY,		/* "snapshot" can be imported */
	SNAPSHOT_HOLDER_GONE		/* it has ended, whoever ended it */
} SnapshotHolderState;

#define SNAPSHOT_ID_SIZE	64

typedef struct SnapshotHolderSlot
{
	pg_atomic_uint32 state;		/* SnapshotHolderState */
	pg_atomic_uint32 dismissed; /* the coordinator: nobody needs it any more */
	pg_atomic_uint32 give_way;	/* the coordinator: it must lock no source any more */

	/* the holder's: pid and proc are there (not 0) before it may wait for a lock */
	PGPROC	   *proc;
	int			pid;
	char		snapshot[SNAPSHOT_ID_SIZE];
	char		message[SLOT_MESSAGE_SIZE]; /* the error that ended it, if any */
} SnapshotHolderSlot;

typedef struct WorkerSlot
{
	pg_atomic_uint32 state;		/* SlotState */
	pg_atomic_uint32 stop;		/* SlotStop */

	/* the worker's, valid from IDLE on */
	PGPROC	   *proc;
	int			pid;

	/* the step: written by the coordinator */
	int32		step_id;
	int			attempt;
	bool		logged;			/* what the durability comes to for this step */
	bool		one_instant;	/* it reads under the run's snapshot */

	/*
	 * What the planner thinks that the step's query costs; 0 until that is known. The worker
	 * writes it, and every worker reads it, of slots that are ASSIGNED.
	 */
	pg_atomic_uint64 cost;

	/* the outcome: written by the worker */
	bool		done;			/* the outcome is there, whatever the state says now */
	bool		leaving;		/* the process ends after this attempt */
	EtlStepStatus status;		/* SUCCESS, FAILED or CANCELLED */
	RetryCause	cause;
	TimestampTz retry_at;		/* 0: not again */
	int			sqlerrcode;
	char		message[SLOT_MESSAGE_SIZE]; /* of a success: its warnings */
	Oid			relid;			/* the step's table; Invalid for a command */
	int64		count_rows;		/* -1: none */
	int64		table_size;		/* -1: none */
	bool		read_sources;	/* relations that the run has not made */
} WorkerSlot;

typedef struct RunShared
{
	int64		run_id;
	int32		pipeline_id;
	int32		version;
	Oid			owner;
	Oid			staging;		/* schema */
	RunSettings settings;
	bool		lost_outputs;	/* the registry has some: see catalog_load_lost */
	PGPROC	   *coordinator;
	int			nwaiting;		/* the session that waits for the run, and those */
	int			waiting[ETL_MAX_NESTING];	/* that wait for it as a step's run */
	pg_atomic_uint32 over;		/* the coordinator is gone: workers must end */
	int			nslots;
	int			nselected;		/* -1: every step of the version is part of the run */
	int			nsources;
	SnapshotHolderSlot holder;
	WorkerSlot	slots[FLEXIBLE_ARRAY_MEMBER];
} RunShared;

/*
 * Makes the segment, mapped for the life of the process.  selected: ascending
 * step_ids, or NULL where all are part of the run.  sources: of char *, as Step's
 * reads: what the steps that share the run's snapshot read and the run does not
 * make.
 */
extern RunShared *run_shmem_create(int nslots, const int32 *selected, int nselected,
								   const char *params, const List *sources,
								   dsm_segment **segment);

/* Maps it for the life of the process; NULL if it is gone. */
extern RunShared *run_shmem_attach(dsm_handle handle, dsm_segment **segment);

extern bool run_shmem_is_selected(RunShared *run, int32 step_id);
extern const char *run_shmem_params(void);	/* or NULL */
extern List *run_shmem_sources(RunShared *run); /* of char *, in the segment */

extern SnapshotHolderState run_shmem_holder_state(RunShared *run);
extern void run_shmem_holder_set_state(RunShared *run, SnapshotHolderState state);

extern SlotState run_shmem_slot_state(WorkerSlot *slot);

/* Hands the slot over: everything written before is seen by who sees the state. */
extern void run_shmem_slot_set_state(WorkerSlot *slot, SlotState state);

/* The same, unless the worker has left: false, and the slot says GONE. */
extern bool run_shmem_slot_hand_over(WorkerSlot *slot, SlotState from, SlotState to);

#endif							/* ETL_RUN_SHMEM_H */
