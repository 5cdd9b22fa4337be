/*-------------------------------------------------------------------------
 *
 * freeze.c
 *	  Rows that all snapshots see, also where command steps have changed a step's table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "execute/freeze.h"

#include "access/htup_details.h"
#include "access/multixact.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/visibilitymap.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/cluster.h"
#include "execute/materialize.h"
#include "execute/row_writer.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* Return true if all rows of the page are frozen, and none is locked, updated or deleted. */
static bool
freeze_page_is_done(Relation heap, BlockNumber block)
{
	Buffer		buffer = ReadBuffer(heap, block);
	Page		page = BufferGetPage(buffer);
	bool		done = true;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	for (OffsetNumber i = FirstOffsetNumber; done && i <= PageGetMaxOffsetNumber(page); i++)
	{
		ItemId		item = PageGetItemId(page, i);
		HeapTupleHeader row;

		if (!ItemIdIsNormal(item))
			continue;
		row = (HeapTupleHeader) PageGetItem(page, item);
		done = HeapTupleHeaderXminFrozen(row) && (row->t_infomask & HEAP_XMAX_INVALID) != 0;
	}
	UnlockReleaseBuffer(buffer);
	return done;
}

/*
 * The visibility map tells of most pages; a small table has none, and a page that somebody has
 * written to has lost its bit.
 */
static bool
freeze_heap_is_done(Oid relid)
{
	Relation	heap = table_open(relid, NoLock);
	BlockNumber nblocks = RelationGetNumberOfBlocks(heap);
	BlockNumber visible;
	BlockNumber frozen;
	Buffer		map = InvalidBuffer;
	bool		done = true;

	visibilitymap_count(heap, &visible, &frozen);
	if (frozen < nblocks)
	{
		for (BlockNumber block = 0; done && block < nblocks; block++)
		{
			CHECK_FOR_INTERRUPTS();
			done = VM_ALL_FROZEN(heap, block, &map) || freeze_page_is_done(heap, block);
		}
	}
	if (BufferIsValid(map))
		ReleaseBuffer(map);
	table_close(heap, NoLock);
	return done;
}

bool
freeze_is_done(Oid relid)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_RELATION &&
			!freeze_heap_is_done(lfirst_oid(lc)))
			return false;
	}
	return true;
}

/* Copy the rows that are visible now, as a step's rows are written. */
static void
freeze_copy(Relation from, Oid to)
{
	DestReceiver *writer = row_writer_create();
	TupleTableSlot *slot = table_slot_create(from, NULL);
	TableScanDesc scan;

	row_writer_open(writer, list_make1_oid(to), RelationGetDescr(from), 0, false);
	scan = table_beginscan(from, GetActiveSnapshot(), 0, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		(void) writer->receiveSlot(slot, writer);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	writer->rShutdown(writer);
}

static void
freeze_heap(Oid relid)
{
	Relation	heap = table_open(relid, NoLock);
	char		persistence = heap->rd_rel->relpersistence;
	Oid			copy = make_new_heap(relid, heap->rd_rel->reltablespace, heap->rd_rel->relam,
									 persistence, AccessExclusiveLock);

	CommandCounterIncrement();
	PushActiveSnapshot(GetLatestSnapshot());
	freeze_copy(heap, copy);
	table_close(heap, NoLock);
	finish_heap_swap(relid, copy, false, false, false, true, RecentXmin, ReadNextMultiXactId(),
					 persistence);
	PopActiveSnapshot();
	CommandCounterIncrement();
}

void
freeze_table(Oid relid)
{
	List	   *relids = find_all_inheritors(relid, NoLock, NULL);
	ListCell   *lc;

	foreach(lc, relids)
	{
		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_RELATION &&
			!freeze_heap_is_done(lfirst_oid(lc)))
			freeze_heap(lfirst_oid(lc));
	}
	materialize_analyze(relids);
}
