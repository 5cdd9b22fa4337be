/*-------------------------------------------------------------------------
 *
 * row_writer.c
 *	  Where a query's rows go: the executor's DestReceiver of a step's table.
 *
 * Rows are written frozen and in batches, so that every page is all-visible and
 * all-frozen from its first moment: readers set no hint bits, index-only scans
 * never visit the heap, VACUUM has nothing to do.
 *
 * A frozen row is visible to every snapshot.  That is legal because the
 * storage is created by this very subtransaction: others cannot see the table
 * before we commit, and if we abort the file goes away.
 *
 * A table of a few rows gets no visibility map: that would be one more file to
 * make, which takes longer than everything else that is done with the rows.  It
 * would spare readers one to three pages.
 *
 * Where pages go: a step's table is made to be read, and soon.  So its pages stay
 * in shared buffers as long as there is room: up to a limit, and, unless the step
 * is one to be cached, as long as there are buffers that nobody uses.  All others
 * go through the small ring of bulk writes, so that they push nothing out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "execute/row_writer.h"

#include "access/heapam.h"
#include "access/heaptoast.h"
#include "access/hio.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/tupconvert.h"
#include "access/xact.h"
#include "catalog/partition.h"
#include "catalog/pg_am.h"
#include "executor/executor.h"
#include "partitioning/partbounds.h"
#include "storage/buf_internals.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/partcache.h"
#include "utils/rel.h"

/*
 * A batch is copied on arrival and read again when it is full; it stays small
 * so that it is still in the processor's first-level cache by then.
 */
#define BATCH_ROWS		60
#define BATCH_BYTES		16384

/*
 * The page that is being written to stays pinned from one batch to the next, but
 * not those of more partitions than this: shared buffers are everybody's.
 */
#define MAX_PINNED_HEAPS	32

#define INSERT_OPTIONS	(TABLE_INSERT_SKIP_FSM | TABLE_INSERT_FROZEN)
#define SMALL_OPTIONS	TABLE_INSERT_SKIP_FSM

/* The rows that wait to be written to one heap. */
typedef struct RowBatch
{
	Relation	heap;
	BulkInsertState bulk;
	int			nrows;
	Size		bytes;
	bool		flushed;		/* has there been a batch before? */
	BlockNumber pages;			/* written to the heap so far */
	HeapTuple	rows[BATCH_ROWS];
} RowBatch;

/* Where the executor sends the query's rows. */
typedef struct RowWriter
{
	DestReceiver pub;			/* must be first */
	MemoryContext context;		/* all that lives as long as the writer */
	MemoryContext flush_context;	/* reset after each batch */
	MemoryContext route_context;	/* reset after each row */
	CommandId	cid;
	BufferAccessStrategy ring;	/* NULL: straight into shared buffers */
	uint64		pages;			/* written so far, of all heaps */
	uint64		cache_pages;	/* how many may stay in shared buffers */
	bool		evict;			/* even if others' pages must go for them */
	bool		used_ring;
	TupleTableSlot *slots[BATCH_ROWS];	/* what a batch is handed over in */

	TupleConversionMap *convert;	/* NULL: rows are as the table's */
	TupleTableSlot *converted;

	Relation	table;
	PartitionKey key;			/* NULL: the table is one heap */
	int			nheaps;			/* the table, or its partitions */
	Oid		   *heaps;			/* the index of a partition is its remainder */
	RowBatch  **batches;		/* the same; NULL until the first row comes */
} RowWriter;

/*
 * A batch for a heap, which must be new, or else frozen rows would be seen by
 * snapshots that must not see them, and would stay after an abort: what COPY
 * FREEZE checks, checked here against ourselves.
 */
static RowBatch *
open_batch(RowWriter *writer, Oid relid)
{
	Relation	heap;
	RowBatch   *batch;
	MemoryContext old;

	/* locked since we created it */
	heap = table_open(relid, NoLock);
	if (heap->rd_createSubid != GetCurrentSubTransactionId() ||
		heap->rd_rel->relam != HEAP_TABLE_AM_OID)
		elog(ERROR, "relation \"%s\" is no heap of the current subtransaction",
			 RelationGetRelationName(heap));

	old = MemoryContextSwitchTo(writer->context);
	batch = palloc(sizeof(RowBatch));
	batch->heap = heap;
	batch->nrows = 0;
	batch->bytes = 0;
	batch->flushed = false;
	batch->pages = 0;

	/* All partitions share one ring, or none. */
	batch->bulk = GetBulkInsertState();
	FreeAccessStrategy(batch->bulk->strategy);
	batch->bulk->strategy = writer->ring;
	MemoryContextSwitchTo(old);

	return batch;
}

/* From now on the table's pages go through the ring. */
static void
leave_cache(RowWriter *writer)
{
	MemoryContext old = MemoryContextSwitchTo(writer->context);

	writer->ring = GetAccessStrategy(BAS_BULKWRITE);
	for (int i = 0; i < writer->nheaps; i++)
	{
		if (writer->batches[i] != NULL)
			writer->batches[i]->bulk->strategy = writer->ring;
	}
	MemoryContextSwitchTo(old);
}

/* Counts what a flush has added to a heap. */
static void
count_pages(RowWriter *writer, RowBatch *batch)
{
	BlockNumber pages;

	if (writer->ring != NULL || batch->bulk->current_buf == InvalidBuffer)
		return;
	pages = BufferGetBlockNumber(batch->bulk->current_buf) + 1;
	if (pages > batch->pages)
	{
		writer->pages += pages - batch->pages;
		batch->pages = pages;
		if (writer->pages > writer->cache_pages ||
			(!writer->evict && !have_free_buffer()))
			leave_cache(writer);
	}
}

static void
flush_batch(RowWriter *writer, RowBatch *batch, int options)
{
	MemoryContext old;

	if (batch->nrows == 0)
		return;

	for (int i = 0; i < batch->nrows; i++)
		ExecStoreHeapTuple(batch->rows[i], writer->slots[i], true);

	LimitBulkExtensionCompat(batch->bulk);
	old = MemoryContextSwitchTo(writer->flush_context);
	table_multi_insert(batch->heap, writer->slots, batch->nrows, writer->cid,
					   options, batch->bulk);
	MemoryContextSwitchTo(old);
	MemoryContextReset(writer->flush_context);
	count_pages(writer, batch);
	if (writer->nheaps > MAX_PINNED_HEAPS && batch->bulk->current_buf != InvalidBuffer)
	{
		ReleaseBuffer(batch->bulk->current_buf);
		batch->bulk->current_buf = InvalidBuffer;
	}

	for (int i = 0; i < batch->nrows; i++)
		ExecClearTuple(writer->slots[i]);	/* frees the row */
	batch->nrows = 0;
	batch->bytes = 0;
	batch->flushed = true;
}

/*
 * Return true if what waits is all that the heap will have, and without values that go to the TOAST
 * table.  Of a heap that is logged, freezing would have to be as well.
 */
static bool
is_small(RowBatch *batch)
{
	if (batch->flushed || RelationNeedsWAL(batch->heap))
		return false;
	for (int i = 0; i < batch->nrows; i++)
	{
		if (batch->rows[i]->t_len > TOAST_TUPLE_THRESHOLD ||
			HeapTupleHasExternal(batch->rows[i]))
			return false;
	}
	return true;
}

/* Makes what INSERT_OPTIONS would have made of a small heap's rows. */
static void
freeze_small(Relation heap)
{
	BlockNumber npages = RelationGetNumberOfBlocks(heap);

	for (BlockNumber page_no = 0; page_no < npages; page_no++)
	{
		Buffer		buffer = ReadBuffer(heap, page_no);
		Page		page = BufferGetPage(buffer);

		LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
		for (OffsetNumber i = FirstOffsetNumber; i <= PageGetMaxOffsetNumber(page); i++)
		{
			HeapTupleHeader row = (HeapTupleHeader) PageGetItem(page, PageGetItemId(page, i));

			HeapTupleHeaderSetXminFrozen(row);
		}
		MarkBufferDirty(buffer);
		UnlockReleaseBuffer(buffer);
	}
}

static void
close_batch(RowWriter *writer, RowBatch *batch)
{
	bool		small = is_small(batch);

	flush_batch(writer, batch, small ? SMALL_OPTIONS : INSERT_OPTIONS);
	if (small)
		freeze_small(batch->heap);
	batch->bulk->strategy = NULL;	/* it is the writer's */
	FreeBulkInsertState(batch->bulk);
	table_finish_bulk_insert(batch->heap, INSERT_OPTIONS);
	table_close(batch->heap, NoLock);
}

/* Which partition a row belongs to: what satisfies_hash_partition asks. */
static int
route_row(RowWriter *writer, TupleTableSlot *slot)
{
	PartitionKey key = writer->key;
	MemoryContext old;
	Datum		values[PARTITION_MAX_KEYS];
	bool		isnull[PARTITION_MAX_KEYS];
	uint64		hash;

	for (int i = 0; i < key->partnatts; i++)
		values[i] = slot_getattr(slot, key->partattrs[i], &isnull[i]);

	/* a hash function may unpack a large value */
	old = MemoryContextSwitchTo(writer->route_context);
	hash = compute_partition_hash_value(key->partnatts, key->partsupfunc,
										key->partcollation, values, isnull);
	MemoryContextSwitchTo(old);
	MemoryContextReset(writer->route_context);

	return (int) (hash % (uint64) writer->nheaps);
}

static bool
writer_receive(TupleTableSlot *slot, DestReceiver *self)
{
	RowWriter  *writer = (RowWriter *) self;
	int			heap;
	RowBatch   *batch;
	MemoryContext old;
	HeapTuple	row;

	if (writer->convert != NULL)
		slot = execute_attr_map_slot(writer->convert->attrMap, slot, writer->converted);
	heap = writer->key != NULL ? route_row(writer, slot) : 0;
	batch = writer->batches[heap];
	if (batch == NULL)
		batch = writer->batches[heap] = open_batch(writer, writer->heaps[heap]);

	old = MemoryContextSwitchTo(writer->context);
	row = ExecCopySlotHeapTuple(slot);
	MemoryContextSwitchTo(old);

	batch->rows[batch->nrows++] = row;
	batch->bytes += row->t_len;
	if (batch->nrows == BATCH_ROWS || batch->bytes >= BATCH_BYTES)
		flush_batch(writer, batch, INSERT_OPTIONS);

	return true;
}

static void
writer_startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
	/* row_writer_open has done it */
}

/* The executor's last word, and the last moment at which its memory is there. */
static void
writer_shutdown(DestReceiver *self)
{
	RowWriter  *writer = (RowWriter *) self;

	for (int i = 0; i < writer->nheaps; i++)
		if (writer->batches[i] != NULL)
			close_batch(writer, writer->batches[i]);
	for (int i = 0; i < BATCH_ROWS; i++)
		ExecDropSingleTupleTableSlot(writer->slots[i]);
	if (writer->converted != NULL)
		ExecDropSingleTupleTableSlot(writer->converted);
	table_close(writer->table, NoLock);
	writer->used_ring = writer->ring != NULL;
	if (writer->ring != NULL)
		FreeAccessStrategy(writer->ring);
}

static void
writer_destroy(DestReceiver *self)
{
	/* its memory is a child of the caller's */
}

DestReceiver *
row_writer_create(void)
{
	RowWriter  *writer = palloc0(sizeof(RowWriter));

	writer->pub.receiveSlot = writer_receive;
	writer->pub.rStartup = writer_startup;
	writer->pub.rShutdown = writer_shutdown;
	writer->pub.rDestroy = writer_destroy;
	writer->pub.mydest = DestIntoRel;
	writer->context = AllocSetContextCreate(CurrentMemoryContext,
											"etl rows",
											ALLOCSET_DEFAULT_SIZES);
	writer->flush_context = AllocSetContextCreate(writer->context,
												  "etl rows flush",
												  ALLOCSET_DEFAULT_SIZES);
	writer->route_context = AllocSetContextCreate(writer->context,
												  "etl rows route",
												  ALLOCSET_SMALL_SIZES);
	return &writer->pub;
}

void
row_writer_open(DestReceiver *self, List *relids, TupleDesc rows, uint64 cache_pages,
				bool evict)
{
	RowWriter  *writer = (RowWriter *) self;
	MemoryContext old = MemoryContextSwitchTo(writer->context);

	writer->cid = GetCurrentCommandId(true);
	writer->cache_pages = cache_pages;
	writer->evict = evict;
	if (cache_pages == 0 || (!evict && !have_free_buffer()))
		writer->ring = GetAccessStrategy(BAS_BULKWRITE);
	writer->table = table_open(linitial_oid(relids), NoLock);
	writer->convert = convert_tuples_by_position(rows, RelationGetDescr(writer->table),
												 "the step's rows do not fit its table");
	if (writer->convert != NULL)
		writer->converted = MakeSingleTupleTableSlot(RelationGetDescr(writer->table),
													 &TTSOpsVirtual);
	for (int i = 0; i < BATCH_ROWS; i++)
		writer->slots[i] = MakeSingleTupleTableSlot(RelationGetDescr(writer->table),
													&TTSOpsHeapTuple);

	if (list_length(relids) > 1)
	{
		writer->key = RelationGetPartitionKey(writer->table);
		relids = list_copy_tail(relids, 1);
	}
	writer->nheaps = list_length(relids);
	writer->heaps = palloc(writer->nheaps * sizeof(Oid));
	for (int i = 0; i < writer->nheaps; i++)
		writer->heaps[i] = list_nth_oid(relids, i);
	writer->batches = palloc0(writer->nheaps * sizeof(RowBatch *));
	MemoryContextSwitchTo(old);
}

bool
row_writer_used_ring(DestReceiver *self)
{
	return ((RowWriter *) self)->used_ring;
}
