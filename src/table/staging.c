/*-------------------------------------------------------------------------
 *
 * staging.c
 *	  The schema that a run builds its tables in.
 *
 * The pipeline's owner need not have the right to create schemas, so the
 * schema is made by the server's internal function, which checks nothing; all
 * else is done with the owner's rights.  Its name begins with pg_, so that no
 * user can make a schema of that name, and dumps leave it out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "table/staging.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_statistic_ext.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/*
 * Each table takes a few entries of the lock table until the transaction ends,
 * so a large schema is dropped in several transactions.
 */
#define STAGING_DROP_BATCH		200

static void
staging_name(int32 pipeline_id, char *name)
{
	snprintf(name, NAMEDATALEN, "pg_etl_staging_%d", pipeline_id);
}

Oid
staging_find(int32 pipeline_id)
{
	char		name[NAMEDATALEN];

	staging_name(pipeline_id, name);
	return get_namespace_oid(name, true);
}

/* list_member_oid, for an ascending list that may be long. */
static bool
staging_is_among(const List *relids, Oid relid)
{
	int			low = 0;
	int			high = list_length(relids) - 1;

	while (low <= high)
	{
		int			middle = low + (high - low) / 2;
		Oid			found = list_nth_oid(relids, middle);

		if (found == relid)
			return true;
		if (found < relid)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return false;
}

/*
 * Relations of a schema that can be dropped by themselves: no indexes, no TOAST,
 * no partitions; no composite types and no sequences, which may be parts of
 * something else, and are few enough to go with the schema.
 */
static List *
staging_relations(Oid staging, const List *keep, int limit)
{
	Relation	pg_class = table_open(RelationRelationId, AccessShareLock);
	List	   *result = NIL;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_class_relnamespace, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(staging));
	scan = systable_beginscan(pg_class, InvalidOid, false, NULL, 1, &key);
	while (list_length(result) < limit && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		if (form->relkind != RELKIND_INDEX && form->relkind != RELKIND_PARTITIONED_INDEX &&
			form->relkind != RELKIND_TOASTVALUE && form->relkind != RELKIND_COMPOSITE_TYPE &&
			form->relkind != RELKIND_SEQUENCE && !form->relispartition &&
			!staging_is_among(keep, form->oid))
			result = lappend_oid(result, form->oid);
	}
	systable_endscan(scan);
	table_close(pg_class, AccessShareLock);
	return result;
}

bool
staging_try_lock(Oid relid, Oid *busy)
{
	List	   *relids;
	ListCell   *lc;

	if (busy != NULL)
		*busy = relid;
	if (!ConditionalLockRelationOid(relid, AccessExclusiveLock))
		return false;
	relids = find_all_inheritors(relid, NoLock, NULL);
	foreach(lc, relids)
	{
		if (busy != NULL)
			*busy = lfirst_oid(lc);
		if (!ConditionalLockRelationOid(lfirst_oid(lc), AccessExclusiveLock))
			return false;
	}
	list_free(relids);
	return true;
}

/*
 * In batches; with the last one the schema itself goes, too, where nothing is to be
 * kept.  False where a table is being used and that is not waited for: it stays.
 */
static bool
staging_drop_tables(Oid staging, const List *keep, bool with_schema, bool wait)
{
	for (;;)
	{
		ObjectAddresses *objects;
		List	   *relations;
		ListCell   *lc;
		bool		last;
		bool		in_use = false;

		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		objects = new_object_addresses();
		relations = staging_relations(staging, keep, STAGING_DROP_BATCH);
		last = list_length(relations) < STAGING_DROP_BATCH;
		foreach(lc, relations)
		{
			ObjectAddress object;

			if (!wait && !staging_try_lock(lfirst_oid(lc), NULL))
			{
				in_use = true;
				continue;
			}
			ObjectAddressSet(object, RelationRelationId, lfirst_oid(lc));
			add_exact_object_address(&object, objects);
		}
		if (last && with_schema && !in_use)
		{
			ObjectAddress object;

			ObjectAddressSet(object, NamespaceRelationId, staging);
			add_exact_object_address(&object, objects);
		}
		performMultipleDeletions(objects, DROP_CASCADE,
								 PERFORM_DELETION_INTERNAL | PERFORM_DELETION_QUIETLY);
		free_object_addresses(objects);
		PopActiveSnapshot();
		CommitTransactionCommand();
		if (last || in_use)
			return !in_use;
	}
}

void
staging_drop_others(Oid staging, const List *keep)
{
	(void) staging_drop_tables(staging, keep, false, true);
}

bool
staging_try_drop(Oid staging)
{
	return staging_drop_tables(staging, NIL, true, false);
}

void
staging_drop_all(int32 pipeline_id)
{
	Oid			staging = staging_find(pipeline_id);
	ObjectAddress object;

	if (!OidIsValid(staging))
		return;
	ObjectAddressSet(object, NamespaceRelationId, staging);
	performDeletion(&object, DROP_CASCADE,
					PERFORM_DELETION_INTERNAL | PERFORM_DELETION_QUIETLY);
}

bool
staging_table_is_logged(Oid relid)
{
	ListCell   *lc;

	/* a partitioned table itself is always a logged one */
	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
	{
		if (get_rel_persistence(lfirst_oid(lc)) != RELPERSISTENCE_PERMANENT)
			return false;
	}
	return true;
}

/*
 * Something that was created in the schema and is not one of these tables: the
 * body of a function or of a DO block has named it without a schema.
 */
static char *
staging_find_stray(Oid staging, const List *tables)
{
	Relation	pg_depend = table_open(DependRelationId, AccessShareLock);
	char	   *stray = NULL;
	SysScanDesc scan;
	ScanKeyData keys[2];
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(NamespaceRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(staging));
	scan = systable_beginscan(pg_depend, DependReferenceIndexId, true, NULL, 2, keys);
	while (stray == NULL && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		ObjectAddress object;

		if ((form->classid == RelationRelationId && staging_is_among(tables, form->objid)) ||
			(form->classid == StatisticExtRelationId &&
			 staging_is_among(tables, StatisticsGetRelation(form->objid, true))))
			continue;
		ObjectAddressSubSet(object, form->classid, form->objid, form->objsubid);
		stray = getObjectDescription(&object, true);
	}
	systable_endscan(scan);
	table_close(pg_depend, AccessShareLock);
	return stray;
}

void
staging_check_strays(Oid staging, const List *tables)
{
	List	   *ascending = list_copy(tables);
	char	   *stray;

	list_sort(ascending, list_oid_cmp);
	stray = staging_find_stray(staging, ascending);
	list_free(ascending);
	if (stray != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("a command step has created %s in the run's staging schema", stray),
				 errhint("Qualify its name with a schema.")));
}

void
staging_drop_empty(Oid staging)
{
	ObjectAddress object;

	staging_check_strays(staging, NIL);
	ObjectAddressSet(object, NamespaceRelationId, staging);
	performDeletion(&object, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
}

bool
staging_drop_table(Oid relid)
{
	ObjectAddress object;

	if (!staging_try_lock(relid, NULL))
		return false;
	ObjectAddressSet(object, RelationRelationId, relid);
	performDeletion(&object, DROP_CASCADE,
					PERFORM_DELETION_INTERNAL | PERFORM_DELETION_QUIETLY);
	return true;
}

Oid
staging_create(int32 pipeline_id, Oid owner)
{
	char		name[NAMEDATALEN];
	Oid			staging;

	staging_name(pipeline_id, name);

	StartTransactionCommand();
	staging = get_namespace_oid(name, true);
	CommitTransactionCommand();

	if (OidIsValid(staging))
		(void) staging_drop_tables(staging, NIL, true, true);

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	staging = NamespaceCreate(name, owner, false);
	PopActiveSnapshot();
	CommitTransactionCommand();
	return staging;
}
