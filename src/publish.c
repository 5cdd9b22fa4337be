/*-------------------------------------------------------------------------
 *
 * publish.c
 *	  From staging to target: the run's tables become visible, all at once.
 *
 * One transaction for the whole run.  No lock is waited for: a publisher that
 * waited for one table while it holds others would deadlock with readers that
 * take the tables in another order, and everybody who comes after would queue
 * behind it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "publish.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "commands/defrem.h"
#include "commands/tablecmds.h"
#include "miscadmin.h"
#include "staging.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/*
 * The table that stands where an output shall go: InvalidOid if the name is
 * free, and an error if it is not ours.
 */
static Oid
publish_find_old(int32 pipeline_id, Oid target, const char *target_schema,
				 const char *process_name)
{
	Oid			old = get_relname_relid(process_name, target);

	if (OidIsValid(old) &&
		old != catalog_output_relid(pipeline_id, target_schema, process_name))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s.%s\" already exists and was not made by this pipeline",
						target_schema, process_name),
				 errhint("Rename that relation, or the step.")));
	return old;
}

/*
 * Once the table is locked: may it be replaced?  The new table would have no
 * policies, so that whoever has the default privileges would see all of its rows.
 */
static void
publish_check_old(Oid old, const char *process_name)
{
	Relation	relation = table_open(old, NoLock);

	if (!COMPAT_CLASS_OWNERCHECK(old, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, process_name);
	if (relation->rd_rel->relrowsecurity)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot replace table \"%s\" because it has row-level security",
						process_name),
				 errdetail("The table that replaces it would have none, and show all rows."),
				 errhint("Let a command step write the rows into a table of your own that has the policies.")));
	table_close(relation, NoLock);
}

/*
 * The server chose the names of the partitions' indexes when it built them, so
 * that they were free in staging; where one is taken in the target schema, the
 * index gets another.
 */
static void
publish_rename_indexes(Relation relation, Oid target)
{
	Oid			staging = RelationGetNamespace(relation);
	List	   *indexes = RelationGetIndexList(relation);
	ListCell   *lc;

	foreach(lc, indexes)
	{
		char	   *name = get_rel_name(lfirst_oid(lc));
		char	   *other = name;
		char		label[16];

		for (int i = 1; OidIsValid(get_relname_relid(other, target)) ||
			 (other != name && OidIsValid(get_relname_relid(other, staging))); i++)
		{
			snprintf(label, sizeof(label), "%d", i);
			other = makeObjectName(name, NULL, label);
		}
		if (other != name)
			RenameRelationInternal(lfirst_oid(lc), other, true, true);
	}
	list_free(indexes);
	CommandCounterIncrement();
}

/*
 * Moves a table, with its partitions and all that belongs to them.  False where
 * somebody is using it.
 */
static bool
publish_move(Oid relid, Oid target, ObjectAddresses *moved)
{
	List	   *relids;
	ListCell   *lc;

	if (!staging_try_lock(relid, NULL))
		return false;
	relids = find_all_inheritors(relid, NoLock, NULL);
	foreach(lc, relids)
	{
		Relation	relation = table_open(lfirst_oid(lc), NoLock);

		CheckTableNotInUse(relation, "publish");
		publish_rename_indexes(relation, target);
		AlterTableNamespaceInternal(relation, RelationGetNamespace(relation), target, moved);
		table_close(relation, NoLock);
	}
	list_free(relids);
	return true;
}

/*
 * A table that is created in a schema gets the default privileges of that
 * schema; one that is moved there does not.
 */
static void
publish_grant_defaults(Oid relid, Oid target)
{
	Oid			owner = GetUserId();
	Acl		   *acl = get_user_default_acl(OBJECT_TABLE, owner, target);
	Relation	pg_class;
	HeapTuple	tuple;
	HeapTuple	changed;
	Datum		values[Natts_pg_class] = {0};
	bool		nulls[Natts_pg_class] = {0};
	bool		replaces[Natts_pg_class] = {0};

	if (acl == NULL)
		return;

	pg_class = table_open(RelationRelationId, RowExclusiveLock);
	tuple = SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(relid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	values[Anum_pg_class_relacl - 1] = PointerGetDatum(acl);
	replaces[Anum_pg_class_relacl - 1] = true;
	changed = heap_modify_tuple(tuple, RelationGetDescr(pg_class), values, nulls, replaces);
	CatalogTupleUpdate(pg_class, &changed->t_self, changed);
	recordDependencyOnNewAcl(RelationRelationId, relid, 0, owner, acl);
	table_close(pg_class, RowExclusiveLock);
}

Oid
publish_outputs(int32 pipeline_id, int64 run_id, const char *target_schema, List *outputs)
{
	Oid			target = get_namespace_oid(target_schema, false);
	ObjectAddresses *replaced = new_object_addresses();
	ObjectAddresses *moved = new_object_addresses();
	AclResult	aclresult = COMPAT_NAMESPACE_ACLCHECK(target, GetUserId(), ACL_CREATE);
	ListCell   *lc;

	if (aclresult != ACLCHECK_OK)
		aclcheck_error(aclresult, OBJECT_SCHEMA, target_schema);

	foreach(lc, outputs)
	{
		PublishOutput *output = lfirst(lc);
		Oid			old = publish_find_old(pipeline_id, target, target_schema,
										   output->process_name);
		ObjectAddress object;
		Oid			busy;

		if (!OidIsValid(old))
			continue;
		/* no lock, not even a short one, on what has become another's */
		if (get_rel_name(old) == NULL)
			return old;			/* dropped since we looked */
		if (!COMPAT_CLASS_OWNERCHECK(old, GetUserId()))
			aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, output->process_name);
		if (!staging_try_lock(old, &busy))
			return busy;
		if (get_relname_relid(output->process_name, target) != old)
			return old;			/* renamed or dropped since we looked */
		publish_check_old(old, output->process_name);
		ObjectAddressSet(object, RelationRelationId, old);
		add_exact_object_address(&object, replaced);
	}

	performMultipleDeletions(replaced, DROP_RESTRICT, 0);
	CommandCounterIncrement();

	foreach(lc, outputs)
	{
		PublishOutput *output = lfirst(lc);

		if (!publish_move(output->relid, target, moved))
			return output->relid;
		CommandCounterIncrement();
		publish_grant_defaults(output->relid, target);
	}
	CommandCounterIncrement();

	foreach(lc, outputs)
	{
		PublishOutput *output = lfirst(lc);

		catalog_register_output(pipeline_id, target_schema, output->process_name,
								output->relid, run_id, output->count_rows,
								output->table_size);
	}

	free_object_addresses(moved);
	free_object_addresses(replaced);
	return InvalidOid;
}
