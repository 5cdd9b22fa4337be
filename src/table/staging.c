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
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/names.h"
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
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "table/dependants.h"
#include "utils/acl.h"
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
staging_make_name(int32 pipeline_id, char *name)
{
	snprintf(name, NAMEDATALEN, "pg_etl_staging_%d", pipeline_id);
}

char *
staging_name(Oid staging)
{
	if (!SearchSysCacheExists1(NAMESPACEOID, ObjectIdGetDatum(staging)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_SCHEMA),
				 errmsg("the schema in which the run builds its tables is gone"),
				 errdetail("Schema with OID %u has been dropped since the run began.", staging),
				 errhint("What the run has made went with it: start another one with etl.run.")));
	return names_schema(staging);
}

Oid
staging_find(int32 pipeline_id)
{
	char		name[NAMEDATALEN];

	staging_make_name(pipeline_id, name);
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

			dependants_check_staged(lfirst_oid(lc), staging);
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
	ListCell   *lc;

	if (!OidIsValid(staging))
		return;
	foreach(lc, staging_relations(staging, NIL, INT_MAX))
		dependants_check_staged(lfirst_oid(lc), staging);
	ObjectAddressSet(object, NamespaceRelationId, staging);
	performDeletion(&object, DROP_CASCADE,
					PERFORM_DELETION_INTERNAL | PERFORM_DELETION_QUIETLY);
}

static void
staging_raise_changed(const char *process_name, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the table of step \"%s\" is not what the step has made", process_name),
			 errdetail("%s", what),
			 errhint("What a run has made must not be changed before it is published: start another run.")));
}

/*
 * Return true if rows may have fewer columns than the table, whose values are in the catalog then.
 */
static bool
staging_has_missing_values(Relation relation)
{
	TupleDesc	desc = RelationGetDescr(relation);

	for (int i = 0; i < desc->natts; i++)
	{
		if (TupleDescAttr(desc, i)->atthasmissing)
			return true;
	}
	return false;
}

void
staging_check_table(Oid staging, Oid relid, const char *process_name, Oid owner)
{
	List	   *relids;
	ListCell   *lc;

	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
		staging_raise_changed(process_name, "It has been dropped.");
	relids = find_all_inheritors(relid, NoLock, NULL);
	foreach(lc, relids)
	{
		Relation	relation = try_relation_open(lfirst_oid(lc), AccessShareLock);
		bool		root = lfirst_oid(lc) == relid;
		const char *what = NULL;

		if (relation == NULL)
			staging_raise_changed(process_name, root ? "It has been dropped." :
								  "A partition of it has been dropped.");
		if (RelationGetNamespace(relation) != staging)
			what = "It has been moved to another schema.";
		else if (root && strcmp(RelationGetRelationName(relation), process_name) != 0)
			what = "It has been renamed.";
		else if (relation->rd_rel->relowner != GetUserId() && relation->rd_rel->relowner != owner)
			what = "It has got another owner.";
		else if (relation->rd_rel->relkind != RELKIND_RELATION &&
				 !(root && relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE))
			what = "Something else has got its name.";
		else if (relation->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
			what = "A temporary table has got its name.";
		else if (relation->rd_rel->relispartition == root ||
				 (relation->rd_rel->relkind == RELKIND_RELATION && root &&
				  list_length(relids) > 1) ||
				 (root && has_superclass(relid)))
			what = "It has been made part of another table, or another of it.";
		else if (relation->rd_rel->relhasrules)
			what = "It has got a rule.";
		else if (staging_has_missing_values(relation))
			what = "A column has been added to it that its rows have no value of.";
		relation_close(relation, AccessShareLock);
		if (what != NULL)
			staging_raise_changed(process_name, what);
	}
	list_free(relids);
}

void
staging_let_in(Oid staging, Oid owner)
{
	GrantStmt  *grant;
	AccessPriv *usage;
	RoleSpec   *role;

	if (COMPAT_NAMESPACE_ACLCHECK(staging, owner, ACL_USAGE) == ACLCHECK_OK)
		return;
	usage = makeNode(AccessPriv);
	usage->priv_name = "usage";
	role = makeNode(RoleSpec);
	role->roletype = ROLESPEC_CSTRING;
	role->rolename = GetUserNameFromId(owner, false);
	role->location = -1;
	grant = makeNode(GrantStmt);
	grant->is_grant = true;
	grant->targtype = ACL_TARGET_OBJECT;
	grant->objtype = OBJECT_SCHEMA;
	grant->objects = list_make1(makeString(staging_name(staging)));
	grant->privileges = list_make1(usage);
	grant->grantees = list_make1(role);
	ExecuteGrantStmt(grant);
	CommandCounterIncrement();
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
	dependants_check_staged(relid, get_rel_namespace(relid));
	ObjectAddressSet(object, RelationRelationId, relid);
	performDeletion(&object, DROP_CASCADE,
					PERFORM_DELETION_INTERNAL | PERFORM_DELETION_QUIETLY);
	return true;
}

/* What is in a schema that was given to somebody is not ours to drop. */
static void
staging_check_owner(Oid staging, Oid owner)
{
	HeapTuple	tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(staging));
	Form_pg_namespace form;

	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_namespace) GETSTRUCT(tuple);
	if (form->nspowner != owner)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("schema \"%s\", in which the pipeline's runs build their tables, belongs to another role",
						NameStr(form->nspname)),
				 errdetail("It is owned by \"%s\".", GetUserNameFromId(form->nspowner, true)),
				 errhint("Drop it, or ALTER SCHEMA ... OWNER TO the pipeline's owner.")));
	ReleaseSysCache(tuple);
}

Oid
staging_create(int32 pipeline_id, Oid owner)
{
	char		name[NAMEDATALEN];
	Oid			staging;

	staging_make_name(pipeline_id, name);

	StartTransactionCommand();
	staging = get_namespace_oid(name, true);
	if (OidIsValid(staging))
		staging_check_owner(staging, owner);
	CommitTransactionCommand();

	if (OidIsValid(staging))
		(void) staging_drop_tables(staging, NIL, true, true);

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	/* as a schema for temporary tables it gets no default privileges: it is the owner's alone */
	staging = NamespaceCreate(name, owner, true);
	PopActiveSnapshot();
	CommitTransactionCommand();
	return staging;
}
