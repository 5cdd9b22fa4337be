/*-------------------------------------------------------------------------
 *
 * run_shmem.c
 *	  What a run's coordinator and its workers share: see run_shmem.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "run/run_shmem.h"

#define SHM_ALIGNED(size)	MAXALIGN(size)

RunShared *
run_shmem_create(int nslots, const int32 *selected, int nselected,
				 const char *params, const List *sources, dsm_segment **segment)
{
	Size		size = SHM_ALIGNED(offsetof(RunShared, slots) + nslots * sizeof(WorkerSlot));
	Size		selected_offset = size;
	Size		params_offset;
	Size		sources_offset;
	RunShared  *run;
	char	   *place;
	ListCell   *lc;

	if (selected != NULL)
		size += SHM_ALIGNED(nselected * sizeof(int32));
	params_offset = size;
	if (params != NULL)
		size += SHM_ALIGNED(strlen(params) + 1);
	sources_offset = size;
	foreach(lc, sources)
		size += strlen(lfirst(lc)) + 1;

	*segment = dsm_create(size, 0);
	dsm_pin_mapping(*segment);
	run = dsm_segment_address(*segment);
	memset(run, 0, size);

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
	if (selected != NULL)
	{
		run->nselected = nselected;
		run->selected_offset = selected_offset;
		memcpy((char *) run + selected_offset, selected, nselected * sizeof(int32));
	}
	if (params != NULL)
	{
		run->params_offset = params_offset;
		strcpy((char *) run + params_offset, params);
	}
	run->nsources = list_length(sources);
	run->sources_offset = sources_offset;
	place = (char *) run + sources_offset;
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
	return dsm_segment_address(*segment);
}

bool
run_shmem_is_selected(RunShared *run, int32 step_id)
{
	const int32 *selected = (const int32 *) ((char *) run + run->selected_offset);
	int			low = 0;
	int			high = run->nselected - 1;

	if (run->nselected < 0)
		return true;
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
run_shmem_params(RunShared *run)
{
	return run->params_offset == 0 ? NULL : (const char *) run + run->params_offset;
}

List *
run_shmem_sources(RunShared *run)
{
	char	   *place = (char *) run + run->sources_offset;
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
