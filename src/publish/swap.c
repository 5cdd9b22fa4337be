/*-------------------------------------------------------------------------
 *
 * swap.c
 *	  The published table takes over the storage of a staged one, and keeps its
 *	  OID.
 *
 * What CLUSTER and VACUUM FULL do when they have written a new heap, with three
 * differences: the new storage was committed long ago, so that nothing may tell
 * the server that it is new in this transaction (it would skip WAL for it); the
 * indexes are complete, so that none is built again; and all of it is a matter of
 * catalog rows, which are changed before anybody is locked out.
 *
 * Each row of pg_class is written once, with no CommandCounterIncrement in
 * between: nobody must see half of an exchange, this session included.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "publish/swap.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/names.h"
#include "catalog/dependency.h"
#include "catalog/heap.h"
#include "catalog/indexing.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "commands/tablecmds.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "storage/predicate.h"
#include "table/copy_statistics.h"
#include "table/index_match.h"
#include "table/relation_attrs.h"
#include "table/table_shape.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* pg_class, open for a number of updates. */
typedef struct ClassRows
{
	Relation	pg_class;
	CatalogIndexState indexes;
} ClassRows;

static void
class_update(ClassRows *rows, HeapTuple tuple)
{
	CatalogTupleUpdateWithInfo(rows->pg_class, &tuple->t_self, tuple, rows->indexes);
}

/* ---- one pair of rows ---- */

#define EXCHANGE(type, a, b) \
	do { type save_ = (a); (a) = (b); (b) = save_; } while (0)

/* What goes with the storage, whatever kind of relation it is. */
static void
exchange_storage(Form_pg_class p, Form_pg_class s)
{
	Assert(p->relkind == s->relkind && p->relam == s->relam);

	/* a mapped relation has no file number here */
	if (RELKIND_HAS_STORAGE(p->relkind) &&
		(!OidIsValid(p->relfilenode) || !OidIsValid(s->relfilenode)))
		elog(ERROR, "relation \"%s\" or \"%s\" has no storage of its own",
			 NameStr(p->relname), NameStr(s->relname));

	EXCHANGE(Oid, p->relfilenode, s->relfilenode);
	EXCHANGE(Oid, p->reltablespace, s->reltablespace);
	EXCHANGE(char, p->relpersistence, s->relpersistence);
	EXCHANGE(int32, p->relpages, s->relpages);
	EXCHANGE(float4, p->reltuples, s->reltuples);
	EXCHANGE(int32, p->relallvisible, s->relallvisible);
	ExchangeAllFrozenCompat(p, s);
}

/* ---- TOAST ---- */

/*
 * The index of a TOAST table.  (The server's toast_get_valid_index would keep locks
 * that nobody needs: the table's own is enough.)
 */
static Oid
valid_index_of(Oid toast)
{
	Relation	relation = table_open(toast, NoLock);
	Oid			index = InvalidOid;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(relation))
	{
		if (get_index_isvalid(lfirst_oid(lc)))
			index = lfirst_oid(lc);
	}
	table_close(relation, NoLock);
	if (!OidIsValid(index))
		elog(ERROR, "TOAST table %u has no valid index", toast);
	return index;
}

/*
 * Names a TOAST table and its index.  The published table's has to be called
 * pg_toast_<oid>, as pg_upgrade expects; that of the staged one gives way first,
 * to a name that nothing else can have.  options: those of the table that it
 * stands in for; NULL: it keeps its own.
 */
static void
rename_toast(ClassRows *rows, Oid toast, const char *name, HeapTuple options)
{
	HeapTuple	tuple = relation_attrs_class_row(toast);
	Oid			index;
	char		index_name[NAMEDATALEN];

	namestrcpy(&((Form_pg_class) GETSTRUCT(tuple))->relname, name);
	if (options != NULL)
	{
		Datum		values[Natts_pg_class] = {0};
		bool		nulls[Natts_pg_class] = {0};
		bool		replaces[Natts_pg_class] = {0};
		int			k = Anum_pg_class_reloptions - 1;

		values[k] = heap_getattr(options, k + 1, RelationGetDescr(rows->pg_class), &nulls[k]);
		replaces[k] = true;
		tuple = heap_modify_tuple(tuple, RelationGetDescr(rows->pg_class), values, nulls, replaces);
	}
	class_update(rows, tuple);

	index = valid_index_of(toast);
	tuple = relation_attrs_class_row(index);
	snprintf(index_name, sizeof(index_name), "%s_index", name);
	namestrcpy(&((Form_pg_class) GETSTRUCT(tuple))->relname, index_name);
	class_update(rows, tuple);
}

static bool
is_empty(Oid toast)
{
	Relation	relation = table_open(toast, NoLock);
	bool		empty = RelationGetNumberOfBlocks(relation) == 0;

	table_close(relation, NoLock);
	return empty;
}

/*
 * Where no row, old or new, is so wide that it needs them, both TOAST tables stay
 * where they are: half of the catalog rows that an exchange changes are theirs.
 */
static bool
toast_may_stay(Form_pg_class p, Form_pg_class s)
{
	return OidIsValid(p->reltoastrelid) && OidIsValid(s->reltoastrelid) &&
		p->relpersistence == s->relpersistence && p->reltablespace == s->reltablespace &&
		is_empty(p->reltoastrelid) && is_empty(s->reltoastrelid);
}

/*
 * TOAST tables change hands as they are: the pointers in the rows have their OIDs.
 */
static void
exchange_toast(ClassRows *rows, Oid published, Oid old_toast, Oid staged, Oid new_toast)
{
	char		name[NAMEDATALEN];
	HeapTuple	options = NULL;

	if (OidIsValid(old_toast))
	{
		options = relation_attrs_class_row(old_toast);
		snprintf(name, sizeof(name), "pg_toast_%u_old", staged);
		rename_toast(rows, old_toast, name, NULL);
		if (changeDependencyFor(RelationRelationId, old_toast, RelationRelationId,
								published, staged) != 1)
			elog(ERROR, "TOAST table %u has not one dependency", old_toast);
	}
	if (OidIsValid(new_toast))
	{
		snprintf(name, sizeof(name), "pg_toast_%u", published);
		rename_toast(rows, new_toast, name, options);
		if (changeDependencyFor(RelationRelationId, new_toast, RelationRelationId,
								staged, published) != 1)
			elog(ERROR, "TOAST table %u has not one dependency", new_toast);
	}
}

/* ---- tables ---- */

/*
 * Columns that were added to the published table have values for rows that do not
 * have them.  All of the new rows do.
 */
static void
forget_missing_values(Oid published)
{
	Relation	pg_attribute = table_open(AttributeRelationId, RowExclusiveLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_attribute_attrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(published));
	ScanKeyInit(&keys[1], Anum_pg_attribute_attnum, BTGreaterStrategyNumber, F_INT2GT,
				Int16GetDatum(0));
	scan = systable_beginscan(pg_attribute, AttributeRelidNumIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Datum		values[Natts_pg_attribute] = {0};
		bool		nulls[Natts_pg_attribute] = {0};
		bool		replaces[Natts_pg_attribute] = {0};

		if (!((Form_pg_attribute) GETSTRUCT(tuple))->atthasmissing)
			continue;
		values[Anum_pg_attribute_atthasmissing - 1] = BoolGetDatum(false);
		replaces[Anum_pg_attribute_atthasmissing - 1] = true;
		nulls[Anum_pg_attribute_attmissingval - 1] = true;
		replaces[Anum_pg_attribute_attmissingval - 1] = true;
		tuple = heap_modify_tuple(tuple, RelationGetDescr(pg_attribute), values, nulls, replaces);
		CatalogTupleUpdate(pg_attribute, &tuple->t_self, tuple);
	}
	systable_endscan(scan);
	table_close(pg_attribute, RowExclusiveLock);
}

/* Returns whether the published table keeps its TOAST table, which is empty. */
static bool
swap_table(ClassRows *rows, const TablePair *pair)
{
	HeapTuple	p_tuple = relation_attrs_class_row(pair->published);
	HeapTuple	s_tuple = relation_attrs_class_row(pair->staged);
	Form_pg_class p = (Form_pg_class) GETSTRUCT(p_tuple);
	Form_pg_class s = (Form_pg_class) GETSTRUCT(s_tuple);
	bool		keeps_toast = toast_may_stay(p, s);

	exchange_storage(p, s);
	EXCHANGE(TransactionId, p->relfrozenxid, s->relfrozenxid);
	EXCHANGE(MultiXactId, p->relminmxid, s->relminmxid);
	if (!keeps_toast)
		EXCHANGE(Oid, p->reltoastrelid, s->reltoastrelid);
	/* a new index may be about to move there */
	p->relhasindex |= s->relhasindex;
	class_update(rows, p_tuple);
	class_update(rows, s_tuple);
	if (!keeps_toast)
		exchange_toast(rows, pair->published, s->reltoastrelid, pair->staged, p->reltoastrelid);

	forget_missing_values(pair->published);
	RemoveStatistics(pair->published, 0);
	CopyStatistics(pair->staged, pair->published);
	copy_statistics_data_to(pair->published, pair->staged);
	CloseSmgrCompat(pair->published);
	CloseSmgrCompat(pair->staged);
	return keeps_toast;
}

/* ---- indexes ---- */

/* A published index that was not complete now is. */
static void
validate_index(Oid index)
{
	Relation	pg_index = table_open(IndexRelationId, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopy1(INDEXRELID, ObjectIdGetDatum(index));
	Form_pg_index form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for index %u", index);
	form = (Form_pg_index) GETSTRUCT(tuple);
	if (!form->indisvalid || !form->indisready || form->indcheckxmin)
	{
		form->indisvalid = true;
		form->indisready = true;
		form->indcheckxmin = false;
		CatalogTupleUpdate(pg_index, &tuple->t_self, tuple);
	}
	table_close(pg_index, RowExclusiveLock);
}

static void
swap_index(ClassRows *rows, const IndexPair *twin)
{
	HeapTuple	p_tuple = relation_attrs_class_row(twin->published);
	HeapTuple	s_tuple = relation_attrs_class_row(twin->staged);

	/* a partitioned one has none, and its row says nothing of what its partitions hold */
	if (RELKIND_HAS_STORAGE(((Form_pg_class) GETSTRUCT(p_tuple))->relkind))
	{
		exchange_storage((Form_pg_class) GETSTRUCT(p_tuple), (Form_pg_class) GETSTRUCT(s_tuple));
		class_update(rows, p_tuple);
		class_update(rows, s_tuple);
	}

	validate_index(twin->published);
	/* of expressions */
	RemoveStatistics(twin->published, 0);
	CopyStatistics(twin->staged, twin->published);
	CloseSmgrCompat(twin->published);
	CloseSmgrCompat(twin->staged);
}

/*
 * An index becomes one of another table, whose columns are the same and whose
 * storage is, in this very transaction, the one that it was built for.
 */
static void
move_index(ClassRows *rows, Oid index, const TablePair *pair)
{
	Relation	pg_index = table_open(IndexRelationId, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopy1(INDEXRELID, ObjectIdGetDatum(index));
	Oid			target = get_rel_namespace(pair->published);
	Form_pg_class form;
	char	   *name = names_relation(index);

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for index %u", index);
	((Form_pg_index) GETSTRUCT(tuple))->indrelid = pair->published;
	CatalogTupleUpdate(pg_index, &tuple->t_self, tuple);
	table_close(pg_index, RowExclusiveLock);

	tuple = relation_attrs_class_row(index);
	form = (Form_pg_class) GETSTRUCT(tuple);
	form->relnamespace = target;
	namestrcpy(&form->relname, names_free(name, target, InvalidOid));
	class_update(rows, tuple);

	if (changeDependencyFor(RelationRelationId, index, RelationRelationId,
							pair->staged, pair->published) < 1)
		elog(ERROR, "index \"%s\" does not depend on its table", name);
	CacheInvalidateRelcacheByRelid(pair->published);
	CacheInvalidateRelcacheByRelid(pair->staged);
}

static const TablePair *
pair_of_index(const List *pairs, Oid index)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	Oid			table;
	ListCell   *lc;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for index %u", index);
	table = ((Form_pg_index) GETSTRUCT(tuple))->indrelid;
	ReleaseSysCache(tuple);

	foreach(lc, pairs)
	{
		if (((TablePair *) lfirst(lc))->staged == table)
			return lfirst(lc);
	}
	elog(ERROR, "index %u is not one of a staged table", index);
	return NULL;				/* keep compiler quiet */
}

/* ---- the whole ---- */

List *
swap_storage(const List *pairs, const List *twins)
{
	List	   *narrow = NIL;
	ClassRows	rows;
	ListCell   *lc;

	rows.pg_class = table_open(RelationRelationId, RowExclusiveLock);
	rows.indexes = CatalogOpenIndexes(rows.pg_class);
	foreach(lc, pairs)
	{
		if (swap_table(&rows, lfirst(lc)))
			narrow = lappend_oid(narrow, ((TablePair *) lfirst(lc))->published);
	}
	foreach(lc, twins)
	{
		IndexPair  *twin = lfirst(lc);

		if (!OidIsValid(twin->staged))
			continue;
		if (OidIsValid(twin->published))
			swap_index(&rows, twin);
		else
			move_index(&rows, twin->staged, pair_of_index(pairs, twin->staged));
	}
	CatalogCloseIndexes(rows.indexes);
	table_close(rows.pg_class, RowExclusiveLock);
	CommandCounterIncrement();

	foreach(lc, pairs)
	{
		Relation	relation = relation_open(((TablePair *) lfirst(lc))->published, NoLock);

		if (relation->rd_rel->relkind == RELKIND_RELATION)
			ReportAnalyzeCompat(relation, relation->rd_rel->reltuples, 0, true);
		relation_close(relation, NoLock);
	}
	return narrow;
}

bool
swap_is_narrow(Oid published)
{
	Relation	relation = relation_open(published, NoLock);
	bool		narrow = is_empty(relation->rd_rel->reltoastrelid);

	relation_close(relation, NoLock);
	return narrow;
}

void
swap_shut_out(Oid published)
{
	Relation	relation = relation_open(published, NoLock);

	CheckTableNotInUse(relation, "publish");
	CheckTableForSerializableConflictIn(relation);
	if (relation->rd_rel->relkind == RELKIND_RELATION)
		TransferPredicateLocksToHeapRelation(relation);
	relation_close(relation, NoLock);
}
