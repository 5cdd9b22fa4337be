/*-------------------------------------------------------------------------
 *
 * source_check.c
 *	  What a step has read that its run has not made: is it still what the run's
 *	  snapshot has seen?
 *
 * A snapshot chooses among the rows that are there.  Commands that give a table
 * another file (TRUNCATE, REFRESH, most of ALTER TABLE, a pipeline's publish), or
 * take a partition away, change it for all snapshots at once: one that is older
 * sees no rows at all, or rows that are too new, and no error.
 *
 * But such a command leaves a trace in the catalogs, which are tables with
 * versions themselves: pg_class and pg_inherits, read under the run's snapshot,
 * say which file and which partitions there were, and the system's caches say
 * which there are.  That this also finds what has moved and not changed (VACUUM
 * FULL, CLUSTER, ATTACH PARTITION) cannot be helped.
 *
 * Knows nothing of runs and processes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "execute/source_check.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "base/names.h"
#include "catalog/catalog.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* Return true if the relation is one of those that are looked at at all. */
static bool
source_check_concerns(Oid relid, Oid staging)
{
	return !IsCatalogRelationOid(relid) && get_rel_namespace(relid) != staging;
}

bool
source_check_is_among(const List *relids, Oid staging)
{
	ListCell   *lc;

	foreach(lc, relids)
	{
		if (source_check_concerns(lfirst_oid(lc), staging))
			return true;
	}
	return false;
}

static void
source_check_raise_changed(Oid relid)
{
	ereport(ERROR,
			(errcode(ERRCODE_ETL_SOURCE_CHANGED),
			 errmsg("table %s was changed while the run was on",
					names_qualified(relid)),
			 errdetail("It was made, emptied or stored anew (by TRUNCATE, ALTER TABLE, REFRESH MATERIALIZED VIEW, a pipeline's publish, ...), or got or lost a partition, after the run's snapshot had been taken, so that it cannot be read as of that instant any more."),
			 errhint("Run the pipeline again when nobody changes its sources that way, or set its one_snapshot to false.")));
}

/* The row of pg_class as the snapshot sees it; false if it sees none. */
static bool
source_check_read_class(Relation pg_class, Oid relid, Snapshot snapshot, FormData_pg_class * form)
{
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;
	bool		found;

	ScanKeyInit(&key, Anum_pg_class_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(pg_class, ClassOidIndexId, true, snapshot, 1, &key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
		memcpy(form, GETSTRUCT(tuple), CLASS_TUPLE_SIZE);
	systable_endscan(scan);
	return found;
}

/* Its partitions, or the tables that inherit from it; snapshot NULL: now. */
static List *
source_check_read_children(Oid relid, Snapshot snapshot)
{
	Relation	pg_inherits = table_open(InheritsRelationId, AccessShareLock);
	List	   *children = NIL;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_inherits_inhparent, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(pg_inherits, InheritsParentIndexId, true, snapshot, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		children = lappend_oid(children, ((Form_pg_inherits) GETSTRUCT(tuple))->inhrelid);
	systable_endscan(scan);
	table_close(pg_inherits, AccessShareLock);

	list_sort(children, list_oid_cmp);
	return children;
}

static bool
source_check_has_changed(Relation pg_class, Oid relid, Snapshot snapshot)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	FormData_pg_class now;
	FormData_pg_class then;

	if (!HeapTupleIsValid(tuple))
		return false;			/* the step itself has dropped it again */
	memcpy(&now, GETSTRUCT(tuple), CLASS_TUPLE_SIZE);
	ReleaseSysCache(tuple);

	/* what has no rows of its own is what its parts are */
	if (now.relkind != RELKIND_RELATION && now.relkind != RELKIND_MATVIEW &&
		now.relkind != RELKIND_PARTITIONED_TABLE)
		return false;
	if (!source_check_read_class(pg_class, relid, snapshot, &then) ||
		now.relfilenode != then.relfilenode)
		return true;
	return (now.relhassubclass || then.relhassubclass) &&
		!equal(source_check_read_children(relid, NULL),
			   source_check_read_children(relid, snapshot));
}

void
source_check_unchanged(const List *relids, Oid staging)
{
	Relation	pg_class = table_open(RelationRelationId, AccessShareLock);
	ListCell   *lc;

	/* with what the step has done itself */
	PushCopiedSnapshot(GetTransactionSnapshot());
	UpdateActiveSnapshotCommandId();
	foreach(lc, relids)
	{
		if (source_check_concerns(lfirst_oid(lc), staging) &&
			source_check_has_changed(pg_class, lfirst_oid(lc), GetActiveSnapshot()))
			source_check_raise_changed(lfirst_oid(lc));
	}
	PopActiveSnapshot();
	table_close(pg_class, AccessShareLock);
}
