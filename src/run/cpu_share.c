/*-------------------------------------------------------------------------
 *
 * cpu_share.c
 *	  How many parallel workers a step's query may use beside the steps that run at the same time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "run/cpu_share.h"

#include "base/cpus.h"
#include "optimizer/cost.h"

/* How much dearer than another step one may be that the other still counts beside. */
#define CPU_SHARE_COUNTS	4

/* Return true if the step says itself how many parallel workers its queries use. */
static bool
cpu_share_is_set(const Step *step)
{
	static const char name[] = "max_parallel_workers_per_gather=";
	ListCell   *lc;

	foreach(lc, step->settings)
	{
		if (pg_strncasecmp(lfirst(lc), name, strlen(name)) == 0)
			return true;
	}
	return false;
}

int
cpu_share_workers(RunShared *run, WorkerSlot *slot, const Step *step, Cost cost)
{
	int			nsteps = 1;

	pg_atomic_write_u64(&slot->cost, (uint64) Min(Max(cost, 1.0), 1e18));
	for (int i = 0; i < run->nslots; i++)
	{
		WorkerSlot *other = &run->slots[i];

		if (other != slot && run_shmem_slot_state(other) == SLOT_ASSIGNED &&
			(double) pg_atomic_read_u64(&other->cost) >= cost / CPU_SHARE_COUNTS)
			nsteps++;
	}
	if (nsteps == 1 || cpu_share_is_set(step))
		return max_parallel_workers_per_gather;
	return Max(0, cpus_available() / nsteps - 1);
}
