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
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
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

	/* One heap: nparts is 0, and there is one batch. */
	Relation	table;
	int			nparts;
	PartitionKey key;
	Oid		   *parts;			/* nparts; index is the remainder */
	RowBatch  **batches;		/* the same; NULL until the first row comes */
} RowWriter;

static PlannedStmt *plan_query(RawStmt *query, const char *sql);
static uint64 execute_plan(PlannedStmt *plan, const char *sql,
						   const MaterializeTarget *target,
						   Oid *relid, List **heaps);


/* ----------------------------------------------------------------
 *		Defining the table
 * ----------------------------------------------------------------
 */

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

		/*
		 * DefineRelation would take the type's default collation, so that the
		 * table silently sorted otherwise than the query.
		 */
		if (!OidIsValid(att->attcollation) && type_is_collatable(att->atttypid))
			ereport(ERROR,
					(errcode(ERRCODE_INDETERMINATE_COLLATION),
					 errmsg("no collation was derived for column \"%s\" with collatable type %s",
							NameStr(att->attname), format_type_be(att->atttypid)),
					 errhint("Use the COLLATE clause to set the collation explicitly.")));

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


/* ----------------------------------------------------------------
 *		Writing rows
 * ----------------------------------------------------------------
 */

/*
 * A batch for a heap that the caller has locked.  The heap must be new, or else
 * frozen rows would be seen by snapshots that must not see them, and would
 * stay after an abort: what COPY FREEZE checks, checked here against ourselves.
 */
static RowBatch *
open_batch(RowWriter *writer, Relation heap)
{
	RowBatch   *batch;
	MemoryContext old;

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
}

static bool
writer_receive(TupleTableSlot *slot, DestReceiver *self)
{
	RowWriter  *writer = (RowWriter *) self;
	RowBatch   *batch = writer->batches[0];
	MemoryContext old;
	HeapTuple	row;

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

	close_batch(writer, writer->batches[0]);
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

/* Makes the writer ready for rows, before the query may go into parallel mode. */
static void
writer_open(RowWriter *writer, Oid relid, bool cache)
{
	MemoryContext old = MemoryContextSwitchTo(writer->context);

	writer->cid = GetCurrentCommandId(true);
	writer->ring = cache ? NULL : GetAccessStrategy(BAS_BULKWRITE);
	writer->table = table_open(relid, AccessExclusiveLock);
	for (int i = 0; i < BATCH_ROWS; i++)
		writer->slots[i] = MakeSingleTupleTableSlot(RelationGetDescr(writer->table),
													&TTSOpsHeapTuple);
	writer->batches = palloc(sizeof(RowBatch *));
	writer->batches[0] = open_batch(writer, writer->table);
	MemoryContextSwitchTo(old);
}


/* ----------------------------------------------------------------
 *		Running the query
 * ----------------------------------------------------------------
 */

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

	/*
	 * Execution takes a new snapshot: this one is older than the locks on the
	 * tables that the query names.
	 */
	PopActiveSnapshot();

	return linitial_node(PlannedStmt, plans);
}

/*
 * Creates the table and fills it.  Returns the number of rows; *relid is the
 * table, *heaps lists what was written to.
 */
static uint64
execute_plan(PlannedStmt *plan, const char *sql, const MaterializeTarget *target,
			 Oid *relid, List **heaps)
{
	RowWriter  *writer = writer_create();
	QueryDesc  *desc;
	uint64		rows;

	PushCopiedSnapshot(GetTransactionSnapshot());
	UpdateActiveSnapshotCommandId();

	desc = CreateQueryDesc(plan, sql, GetActiveSnapshot(), InvalidSnapshot,
						   &writer->pub, NULL, NULL, 0);
	ExecutorStart(desc, 0);

	*relid = define_heap(target, target->name, columns_of(desc->tupDesc), NULL, NULL);
	*heaps = list_make1_oid(*relid);
	writer_open(writer, *relid, target->cache);

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

/*
 * Parses an index definition.  *statement is the whole CREATE INDEX; errors
 * carries the text already, and is told how positions in the one relate to
 * positions in the other.  Raises syntax_error.
 */
static IndexStmt *
parse_index(const char *text, SqlErrorContext *errors, char **statement)
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
	(void) parse_index(index, &errors, &statement);
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
		index = parse_index(text, &errors, &statement);
		index->relation = target_name(target, target->name);
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
	result->rows = execute_plan(plan_query(query, sql), sql, target,
								&result->relid, &relids);
	sqlerror_pop(&errors);

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
