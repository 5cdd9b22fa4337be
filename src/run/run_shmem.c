/*-------------------------------------------------------------------------
 *
 * run_shmem.c
 *	  What a run's coordinator and its workers share: see run_shmem.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "run/run_shmem.h"

#include "storage/shm_toc.h"
#include "storage/shmem.h"

/* What the segment's table of contents has. */
#define RUN_SHMEM_MAGIC			UINT64CONST(0x65746c72756e)
#define RUN_SHMEM_RUN			1	/* RunShared */
#define RUN_SHMEM_SELECTED		2	/* int32[nselected], if not all steps are */
#define RUN_SHMEM_PARAMS		3	/* JSON text, if there are any */
#define RUN_SHMEM_SOURCES		4	/* nsources texts, each with its final 0 */

/* A process has to do with one run. */
static shm_toc *run_toc = NULL;

static void *
run_shmem_insert(uint64 key, Size size)
{
	void	   *place = shm_toc_allocate(run_toc, size);

	memset(place, 0, size);
	shm_toc_insert(run_toc, key, place);
	return place;
}

static Size
run_shmem_texts_size(const List *texts)
{
	Size		size = 0;
	ListCell   *lc;

	foreach(lc, texts)
		size = add_size(size, strlen(lfirst(lc)) + 1);
	return size;
}

static void
run_shmem_init(RunShared *run, int nslots)
{
	run->coordinator = MyProc;
	run->nslots = nslots;
	run->nselected = -1;
	pg_atomic_init_u32(&run->over, 0);
	pg_atomic_init_u32(&run->holder.state, SNAPSHOT_HOLDER_NONE);
	pg_atomic_init_u32(&run->holder.dismissed, 0);
	pg_atomic_init_u32(&run->holder.give_way, 0);
	for (int i = 0; i < nslots; i++)
	{
		pg_atomic_init_u32(&run->slots[i].state, SLOT_FREE);
		pg_atomic_init_u32(&run->slots[i].stop, STOP_NONE);
		pg_atomic_init_u64(&run->slots[i].cost, 0);
	}
}

RunShared *
run_shmem_create(int nslots, const int32 *selected, int nselected,
				 const char *params, const List *sources, dsm_segment **segment)
{
	Size		run_size = offsetof(RunShared, slots) + nslots * sizeof(WorkerSlot);
	Size		selected_size = nselected * sizeof(int32);
	Size		params_size = params != NULL ? strlen(params) + 1 : 0;
	Size		sources_size = run_shmem_texts_size(sources);
	shm_toc_estimator estimator;
	Size		size;
	RunShared  *run;
	char	   *place;
	ListCell   *lc;

	shm_toc_initialize_estimator(&estimator);
	shm_toc_estimate_chunk(&estimator, run_size);
	shm_toc_estimate_chunk(&estimator, selected_size);
	shm_toc_estimate_chunk(&estimator, params_size);
	shm_toc_estimate_chunk(&estimator, sources_size);
	shm_toc_estimate_keys(&estimator, 4);
	size = shm_toc_estimate(&estimator);
	*segment = dsm_create(size, 0);
	dsm_pin_mapping(*segment);
	run_toc = shm_toc_create(RUN_SHMEM_MAGIC, dsm_segment_address(*segment), size);

	run = run_shmem_insert(RUN_SHMEM_RUN, run_size);
	run_shmem_init(run, nslots);
	if (selected != NULL)
	{
		run->nselected = nselected;
		memcpy(run_shmem_insert(RUN_SHMEM_SELECTED, selected_size), selected, selected_size);
	}
	if (params != NULL)
		memcpy(run_shmem_insert(RUN_SHMEM_PARAMS, params_size), params, params_size);
	run->nsources = list_length(sources);
	place = run_shmem_insert(RUN_SHMEM_SOURCES, sources_size);
	foreach(lc, sources)
	{
		strcpy(place, lfirst(lc));
		place += strlen(place) + 1;
	}
	return run;
}

RunShared *
run_shmem_attach(dsm_handle handle, dsm_segment **segment)
{
	*segment = dsm_attach(handle);
	if (*segment == NULL)
		return NULL;
	dsm_pin_mapping(*segment);
	run_toc = shm_toc_attach(RUN_SHMEM_MAGIC, dsm_segment_address(*segment));
	if (run_toc == NULL)
		elog(ERROR, "shared memory segment %u is not one of a run", handle);
	return shm_toc_lookup(run_toc, RUN_SHMEM_RUN, false);
}

bool
run_shmem_is_selected(RunShared *run, int32 step_id)
{
	const int32 *selected;
	int			low = 0;
	int			high = run->nselected - 1;

	if (run->nselected < 0)
		return true;
	selected = shm_toc_lookup(run_toc, RUN_SHMEM_SELECTED, false);
	while (low <= high)
	{
		int			middle = low + (high - low) / 2;

		if (selected[middle] == step_id)
			return true;
		if (selected[middle] < step_id)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return false;
}

const char *
run_shmem_params(void)
{
	return shm_toc_lookup(run_toc, RUN_SHMEM_PARAMS, true);
}

List *
run_shmem_sources(RunShared *run)
{
	char	   *place = shm_toc_lookup(run_toc, RUN_SHMEM_SOURCES, false);
	List	   *sources = NIL;

	for (int i = 0; i < run->nsources; i++)
	{
		sources = lappend(sources, place);
		place += strlen(place) + 1;
	}
	return sources;
}

SnapshotHolderState
run_shmem_holder_state(RunShared *run)
{
	SnapshotHolderState state = (SnapshotHolderState) pg_atomic_read_u32(&run->holder.state);

	pg_read_barrier();
	return state;
}

void
run_shmem_holder_set_state(RunShared *run, SnapshotHolderState state)
{
	pg_write_barrier();
	pg_atomic_write_u32(&run->holder.state, (uint32) state);
}

SlotState
run_shmem_slot_state(WorkerSlot *slot)
{
	SlotState	state = (SlotState) pg_atomic_read_u32(&slot->state);

	pg_read_barrier();
	return state;
}

void
run_shmem_slot_set_state(WorkerSlot *slot, SlotState state)
{
	pg_write_barrier();
	pg_atomic_write_u32(&slot->state, (uint32) state);
}

bool
run_shmem_slot_hand_over(WorkerSlot *slot, SlotState from, SlotState to)
{
	uint32		expected = (uint32) from;

	return pg_atomic_compare_exchange_u32(&slot->state, &expected, (uint32) to);
}
