/*-------------------------------------------------------------------------
 *
 * materialize.c
 *	  One query -> one table.
 *
 * What CREATE TABLE AS does, with four differences that are worth the code:
 *
 * - Rows are written frozen and in batches, so that every page is all-visible
 *	 and all-frozen from its first moment: readers set no hint bits, index-only
 *	 scans never visit the heap, VACUUM has nothing to do.
 * - With "cache" the pages stay in shared buffers instead of going through the
 *	 small ring that bulk writes otherwise use.
 * - With "partitions" the rows are routed to hash partitions, with a batch and
 *	 a bulk-insert state for each.
 * - Indexes are built and statistics are gathered before anybody else sees the
 *	 table.
 *
 * A frozen row is visible to every snapshot.  That is legal because the
 * storage is created by this very subtransaction: others cannot see the table
 * before we commit, and if we abort the file goes away.
 *
 * Tables are defined by the functions behind CREATE TABLE and not by SQL, so no
 * text is put together from names, and a step leaves no trace in query
 * statistics but its own.
 *
 * Knows nothing of pipelines, runs or processes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/heapam.h"
#include "access/hio.h"
#include "access/relation.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/toasting.h"
#include "commands/defrem.h"
#include "commands/tablecmds.h"
#include "commands/vacuum.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "jit/jit.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "optimizer/cost.h"
#include "parser/parse_node.h"
#include "parser/parse_utilcmd.h"
#include "parser/parser.h"
#include "parser/scansup.h"
#include "partitioning/partbounds.h"
#include "storage/bufmgr.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "compat.h"
#include "materialize.h"
#include "sqlerror.h"

/*
 * A batch is copied on arrival and read again when it is full; it stays small
 * so that it is still in the processor's first-level cache by then.
 */
#define BATCH_ROWS		60
#define BATCH_BYTES		16384

#define INSERT_OPTIONS	(TABLE_INSERT_SKIP_FSM | TABLE_INSERT_FROZEN)

/* The rows that wait to be written to one heap. */
typedef struct RowBatch
{
	Relation	heap;
	BulkInsertState bulk;
	int			nrows;
	Size		bytes;
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
	TupleTableSlot *slots[BATCH_ROWS];	/* what a batch is handed over in */

	Relation	table;
	PartitionKey key;			/* NULL: the table is one heap */
	int			nheaps;			/* the table, or its partitions */
	Oid		   *heaps;			/* the index of a partition is its remainder */
	RowBatch  **batches;		/* the same; NULL until the first row comes */
} RowWriter;


/* ----------------------------------------------------------------
 *		Defining the table
 * ----------------------------------------------------------------
 */

void
materialize_check_collation(Form_pg_attribute column)
{
	/*
	 * DefineRelation would take the type's default collation, so that the table
	 * silently sorted otherwise than the query.
	 */
	if (!OidIsValid(column->attcollation) && type_is_collatable(column->atttypid))
		ereport(ERROR,
				(errcode(ERRCODE_INDETERMINATE_COLLATION),
				 errmsg("no collation was derived for column \"%s\" with collatable type %s",
						NameStr(column->attname), format_type_be(column->atttypid)),
				 errhint("Use the COLLATE clause to set the collation explicitly.")));
}

/*
 * The query's columns as CREATE TABLE wants them.  What cannot be a column
 * (pseudo-types, a name that occurs twice) is left to DefineRelation to refuse.
 */
static List *
columns_of(TupleDesc desc)
{
	List	   *columns = NIL;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		materialize_check_collation(att);
		columns = lappend(columns,
						  makeColumnDef(NameStr(att->attname), att->atttypid,
										att->atttypmod, att->attcollation));
	}

	return columns;
}

static RangeVar *
target_name(const MaterializeTarget *target, const char *name)
{
	return makeRangeVar(get_namespace_name(target->schema), pstrdup(name), -1);
}

/*
 * Creates one heap and its TOAST table; with a bound it is a partition of
 * parent and has the parent's columns.
 */
static Oid
define_heap(const MaterializeTarget *target, const char *name, List *columns,
			RangeVar *parent, PartitionBoundSpec *bound)
{
	CreateStmt *create = makeNode(CreateStmt);
	ObjectAddress address;

	create->relation = target_name(target, name);
	create->relation->relpersistence =
		target->logged ? RELPERSISTENCE_PERMANENT : RELPERSISTENCE_UNLOGGED;
	create->tableElts = columns;
	create->oncommit = ONCOMMIT_NOOP;
	/* writing frozen rows is a matter of heap, whatever the session's default */
	create->accessMethod = pstrdup("heap");
	if (bound != NULL)
	{
		create->inhRelations = list_make1(parent);
		create->partbound = bound;
	}

	address = DefineRelation(create, RELKIND_RELATION, InvalidOid, NULL, NULL);
	CommandCounterIncrement();
	NewRelationCreateToastTable(address.objectId, (Datum) 0);

	return address.objectId;
}

/*
 * The name of a partition: <table>_p<number>.  Where that is too long for a
 * name the table's part is cut, at a character's boundary; the hash of the
 * whole name then keeps apart the partitions of tables that begin alike.
 */
static char *
partition_name(const char *table, int number)
{
	char		label[16];
	char		hash[16];

	snprintf(label, sizeof(label), "p%d", number);
	if (strlen(table) + 1 + strlen(label) < NAMEDATALEN)
		return makeObjectName(table, NULL, label);

	snprintf(hash, sizeof(hash), "%08x",
			 hash_bytes((const unsigned char *) table, strlen(table)));
	return makeObjectName(table, hash, label);
}

/*
 * The first column that rows can be hashed by.  That its type has an operator
 * class is not enough: for an array or a row, that depends on what is inside.
 */
static List *
choose_partition_key(TupleDesc desc)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		TypeCacheEntry *type = lookup_type_cache(att->atttypid,
												 TYPECACHE_HASH_EXTENDED_PROC);

		if (OidIsValid(GetDefaultOpClass(att->atttypid, HASH_AM_OID)) &&
			OidIsValid(type->hash_extended_proc))
			return list_make1(pstrdup(NameStr(att->attname)));
	}

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
			 errmsg("no column to partition by"),
			 errdetail("The query has no column whose type has a default operator class for access method \"hash\"."),
			 errhint("Leave out the partitions, or add a column that can be hashed.")));
	return NIL;					/* keep compiler quiet */
}

static bool
has_column(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
		if (strcmp(NameStr(TupleDescAttr(desc, i)->attname), name) == 0)
			return true;
	return false;
}

List *
materialize_partition_key(List *partition_by, TupleDesc desc)
{
	ListCell   *cell;

	if (partition_by == NIL)
		return choose_partition_key(desc);

	foreach(cell, partition_by)
	{
		const char *name = lfirst(cell);

		if (!has_column(desc, name))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" named in partition key does not exist", name),
					 errhint("A table is partitioned by columns that its query returns.")));
	}
	return partition_by;
}

/* The PARTITION BY HASH (...) of the table. */
static PartitionSpec *
partition_spec(const MaterializeTarget *target, TupleDesc desc)
{
	PartitionSpec *spec = makeNode(PartitionSpec);
	ListCell   *cell;

	spec->strategy = PARTITION_SPEC_HASH;
	spec->location = -1;
	foreach(cell, materialize_partition_key(target->partition_by, desc))
	{
		PartitionElem *key = makeNode(PartitionElem);

		key->name = pstrdup((const char *) lfirst(cell));
		key->location = -1;
		spec->partParams = lappend(spec->partParams, key);
	}

	return spec;
}

/*
 * Creates a table that is partitioned by hash, and its partitions: the i-th of
 * the list of OIDs behind the parent's holds the rows with the remainder i.
 *
 * The parent holds no rows and is always permanent, because from 18 on a
 * partitioned table cannot be unlogged (and before that it made no
 * difference); the partitions are logged or not.
 */
static List *
define_partitioned(const MaterializeTarget *target, TupleDesc desc)
{
	CreateStmt *create = makeNode(CreateStmt);
	ObjectAddress address;
	List	   *relids;

	if (target->partitions > ETL_MAX_PARTITIONS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("number of partitions must be between 1 and %d",
						ETL_MAX_PARTITIONS)));

	create->relation = target_name(target, target->name);
	create->tableElts = columns_of(desc);
	create->oncommit = ONCOMMIT_NOOP;
	create->partspec = partition_spec(target, desc);
	address = DefineRelation(create, RELKIND_RELATION, InvalidOid, NULL, NULL);
	CommandCounterIncrement();
	relids = list_make1_oid(address.objectId);

	for (int i = 0; i < target->partitions; i++)
	{
		PartitionBoundSpec *bound = makeNode(PartitionBoundSpec);

		bound->strategy = PARTITION_STRATEGY_HASH;
		bound->modulus = target->partitions;
		bound->remainder = i;
		bound->location = -1;
		relids = lappend_oid(relids,
							 define_heap(target, partition_name(target->name, i),
										 NIL,
										 target_name(target, target->name),
										 bound));
	}

	return relids;
}


/* ----------------------------------------------------------------
 *		Writing rows
 * ----------------------------------------------------------------
 */

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

	/* All partitions share one ring, or none. */
	batch->bulk = GetBulkInsertState();
	FreeAccessStrategy(batch->bulk->strategy);
	batch->bulk->strategy = writer->ring;
	MemoryContextSwitchTo(old);

	return batch;
}

static void
flush_batch(RowWriter *writer, RowBatch *batch)
{
	MemoryContext old;

	if (batch->nrows == 0)
		return;

	for (int i = 0; i < batch->nrows; i++)
		ExecStoreHeapTuple(batch->rows[i], writer->slots[i], true);

	LimitBulkExtensionCompat(batch->bulk);
	old = MemoryContextSwitchTo(writer->flush_context);
	table_multi_insert(batch->heap, writer->slots, batch->nrows, writer->cid,
					   INSERT_OPTIONS, batch->bulk);
	MemoryContextSwitchTo(old);
	MemoryContextReset(writer->flush_context);

	for (int i = 0; i < batch->nrows; i++)
		ExecClearTuple(writer->slots[i]);	/* frees the row */
	batch->nrows = 0;
	batch->bytes = 0;
}

static void
close_batch(RowWriter *writer, RowBatch *batch)
{
	flush_batch(writer, batch);
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
	int			heap = writer->key != NULL ? route_row(writer, slot) : 0;
	RowBatch   *batch = writer->batches[heap];
	MemoryContext old;
	HeapTuple	row;

	if (batch == NULL)
		batch = writer->batches[heap] = open_batch(writer, writer->heaps[heap]);

	old = MemoryContextSwitchTo(writer->context);
	row = ExecCopySlotHeapTuple(slot);
	MemoryContextSwitchTo(old);

	batch->rows[batch->nrows++] = row;
	batch->bytes += row->t_len;
	if (batch->nrows == BATCH_ROWS || batch->bytes >= BATCH_BYTES)
		flush_batch(writer, batch);

	return true;
}

static void
writer_startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
	/* writer_open has done it */
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
	table_close(writer->table, NoLock);
	if (writer->ring != NULL)
		FreeAccessStrategy(writer->ring);
}

static void
writer_destroy(DestReceiver *self)
{
	/* its memory is a child of the caller's */
}

static RowWriter *
writer_create(void)
{
	RowWriter  *writer = palloc0(sizeof(RowWriter));

	writer->pub.receiveSlot = writer_receive;
	writer->pub.rStartup = writer_startup;
	writer->pub.rShutdown = writer_shutdown;
	writer->pub.rDestroy = writer_destroy;
	writer->pub.mydest = DestIntoRel;
	writer->context = AllocSetContextCreate(CurrentMemoryContext,
											"materialize rows",
											ALLOCSET_DEFAULT_SIZES);
	writer->flush_context = AllocSetContextCreate(writer->context,
												  "materialize flush",
												  ALLOCSET_DEFAULT_SIZES);
	writer->route_context = AllocSetContextCreate(writer->context,
												  "materialize route",
												  ALLOCSET_SMALL_SIZES);
	return writer;
}

/*
 * Makes the writer ready for rows, before the query may go into parallel mode.
 * relids: the table, and behind it its partitions if it has any.
 */
static void
writer_open(RowWriter *writer, List *relids, bool cache)
{
	MemoryContext old = MemoryContextSwitchTo(writer->context);

	writer->cid = GetCurrentCommandId(true);
	writer->ring = cache ? NULL : GetAccessStrategy(BAS_BULKWRITE);
	writer->table = table_open(linitial_oid(relids), NoLock);
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


/* ----------------------------------------------------------------
 *		Running the query
 * ----------------------------------------------------------------
 */

/*
 * Before 18 a join that only a disabled method can do (a broadcast step's, where
 * it has no hashable condition) costs disable_cost more.  The plan is then dear
 * enough to be compiled, which takes longer than most of them: see what it
 * costs without.
 */
static void
forgo_jit(PlannedStmt *plan)
{
	Cost		cost = plan->planTree->total_cost;

	if (cost >= disable_cost && fmod(cost, disable_cost) < jit_above_cost)
		plan->jitFlags = PGJIT_NONE;
}

static PlannedStmt *
plan_query(RawStmt *query, const char *sql)
{
	List	   *queries;
	List	   *plans;

	PushActiveSnapshot(GetTransactionSnapshot());

	/* analysis may scribble on its input, which is the caller's */
	queries = pg_analyze_and_rewrite_fixedparams(copyObject(query), sql,
												 NULL, 0, NULL);
	if (list_length(queries) != 1 ||
		linitial_node(Query, queries)->commandType != CMD_SELECT ||
		linitial_node(Query, queries)->hasModifyingCTE)
		elog(ERROR, "statement to materialize is not one SELECT");
	plans = pg_plan_queries(queries, sql, CURSOR_OPT_PARALLEL_OK, NULL);
	forgo_jit(linitial_node(PlannedStmt, plans));

	/*
	 * Execution takes a new snapshot: this one is older than the locks on the
	 * tables that the query names.
	 */
	PopActiveSnapshot();

	return linitial_node(PlannedStmt, plans);
}

/*
 * Creates the table and fills it.  Returns the number of rows; *relids is the
 * table, and behind it its partitions if it has any.
 */
static uint64
execute_plan(PlannedStmt *plan, const char *sql, const MaterializeTarget *target,
			 List **relids)
{
	RowWriter  *writer = writer_create();
	QueryDesc  *desc;
	uint64		rows;

	PushCopiedSnapshot(GetTransactionSnapshot());
	UpdateActiveSnapshotCommandId();

	desc = CreateQueryDesc(plan, sql, GetActiveSnapshot(), InvalidSnapshot,
						   &writer->pub, NULL, NULL, 0);
	ExecutorStart(desc, 0);

	if (target->partitions > 0)
		*relids = define_partitioned(target, desc->tupDesc);
	else
		*relids = list_make1_oid(define_heap(target, target->name,
											 columns_of(desc->tupDesc),
											 NULL, NULL));
	writer_open(writer, *relids, target->cache);

	ExecutorRunCompat(desc);
	rows = desc->estate->es_processed;
	ExecutorFinish(desc);
	ExecutorEnd(desc);
	FreeQueryDesc(desc);

	PopActiveSnapshot();
	CommandCounterIncrement();

	return rows;
}


/* ----------------------------------------------------------------
 *		Indexes and statistics
 * ----------------------------------------------------------------
 */

#define INDEX_TABLE		"etl_table"
#define INDEX_PREFIX	"CREATE INDEX ON " INDEX_TABLE " "
#define UNIQUE_PREFIX	"CREATE UNIQUE INDEX ON " INDEX_TABLE " "

IndexStmt *
materialize_parse_index(const char *text, SqlErrorContext *errors, char **statement)
{
	const char *prefix = INDEX_PREFIX;
	const char *tail = text;
	List	   *parsed;
	IndexStmt  *index = NULL;

	while (scanner_isspace(*tail))
		tail++;
	if (pg_strncasecmp(tail, "unique", 6) == 0 &&
		(scanner_isspace(tail[6]) || tail[6] == '(' || tail[6] == '\0'))
	{
		prefix = UNIQUE_PREFIX;
		tail += 6;
	}

	/* everything skipped is ASCII: bytes are characters */
	errors->offset = (int) strlen(prefix) - (int) (tail - text);
	*statement = psprintf("%s%s", prefix, tail);
	parsed = raw_parser(*statement, RAW_PARSE_DEFAULT);

	if (list_length(parsed) == 1 &&
		IsA(linitial_node(RawStmt, parsed)->stmt, IndexStmt))
		index = (IndexStmt *) linitial_node(RawStmt, parsed)->stmt;

	/* the text must not have gone on with the table's name */
	if (index == NULL || index->concurrent || index->idxname != NULL ||
		index->relation->schemaname != NULL ||
		strcmp(index->relation->relname, INDEX_TABLE) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("invalid index definition"),
				 errhint("Give what follows the table's name in CREATE INDEX, such as (a, b), UNIQUE (a) or USING gin (tags).")));

	return index;
}

void
materialize_check_index(const char *index)
{
	SqlErrorContext errors = {.sql = index, .label = "index"};
	char	   *statement;

	sqlerror_push(&errors);
	(void) materialize_parse_index(index, &errors, &statement);
	sqlerror_pop(&errors);
}

static void
build_indexes(Oid relid, const MaterializeTarget *target)
{
	ListCell   *cell;

	/* functions in an index's expressions may read other tables */
	PushActiveSnapshot(GetTransactionSnapshot());
	foreach(cell, target->indexes)
	{
		const char *text = (const char *) lfirst(cell);
		SqlErrorContext errors = {.sql = text, .label = "index"};
		char	   *statement;
		IndexStmt  *index;

		sqlerror_push(&errors);
		index = materialize_parse_index(text, &errors, &statement);
		index->relation = target_name(target, target->name);

		/*
		 * A name that the server chose could be chosen for another table at the
		 * same moment.
		 */
		index->idxname = makeObjectName(target->name, psprintf("%u", relid),
										psprintf("idx%d", foreach_current_index(cell) + 1));
		index = transformIndexStmt(relid, index, statement);
		(void) DefineIndexCompat(relid, index);
		CommandCounterIncrement();
		sqlerror_pop(&errors);
	}
	PopActiveSnapshot();
}

/*
 * ANALYZE, in this transaction: "not at top level" keeps it from committing.
 * Relations are given by OID, so partitions must be listed.
 */
static void
analyze_tables(List *relids)
{
	VacuumStmt *analyze = makeNode(VacuumStmt);
	MemoryContext save = PortalContext;
	ListCell   *cell;

	analyze->is_vacuumcmd = false;
	foreach(cell, relids)
		analyze->rels = lappend(analyze->rels,
								makeVacuumRelation(NULL, lfirst_oid(cell), NIL));

	PushActiveSnapshot(GetTransactionSnapshot());

	/*
	 * ANALYZE keeps its working memory below the portal's, and a background
	 * worker need not have a portal.
	 */
	PG_TRY();
	{
		PortalContext = CurrentMemoryContext;
		ExecVacuum(make_parsestate(NULL), analyze, false);
	}
	PG_FINALLY();
	{
		PortalContext = save;
	}
	PG_END_TRY();

	PopActiveSnapshot();
	CommandCounterIncrement();
}


/* ----------------------------------------------------------------
 *		The whole
 * ----------------------------------------------------------------
 */

void
materialize_query(RawStmt *query, const char *sql,
				  const MaterializeTarget *target, MaterializeResult *result)
{
	SqlErrorContext errors = {.sql = sql};
	MemoryContext context;
	MemoryContext old;
	List	   *relids;

	context = AllocSetContextCreate(CurrentMemoryContext, "materialize",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);

	sqlerror_push(&errors);
	result->rows = execute_plan(plan_query(query, sql), sql, target, &relids);
	sqlerror_pop(&errors);

	result->relid = linitial_oid(relids);
	build_indexes(result->relid, target);
	analyze_tables(relids);
	result->size = materialize_table_size(result->relid);

	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

void
materialize_planner_settings(bool broadcast, bool partitionwise)
{
	static const char *const settings[][2] = {
		{"enable_hashjoin", "on"},
		{"enable_mergejoin", "off"},
		{"enable_nestloop", "off"},
		{"enable_parallel_hash", "off"}
	};

	for (int i = 0; broadcast && i < (int) lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION);

	if (partitionwise)
	{
		SetConfigOption("enable_partitionwise_join", "on", PGC_USERSET, PGC_S_SESSION);
		SetConfigOption("enable_partitionwise_aggregate", "on", PGC_USERSET, PGC_S_SESSION);
	}
}

int64
materialize_table_size(Oid relid)
{
	int64		size = 0;
	ListCell   *cell;

	/* the table itself, and its partitions where it has any */
	foreach(cell, find_all_inheritors(relid, AccessShareLock, NULL))
	{
		LOCAL_FCINFO(fcinfo, 1);
		Datum		value;

		InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
		fcinfo->args[0].value = ObjectIdGetDatum(lfirst_oid(cell));
		fcinfo->args[0].isnull = false;
		value = pg_total_relation_size(fcinfo);
		if (!fcinfo->isnull)	/* NULL: there is no such relation */
			size += DatumGetInt64(value);
	}

	return size;
}
