/*-------------------------------------------------------------------------
 *
 * publish.c
 *	  From staging to target: the run's tables become visible, all at once.
 *
 * One transaction for the whole run.  Locks are taken if they are free: a
 * publisher that waited for one table while it holds others would deadlock with
 * readers that take the tables in another order, and everybody who comes after
 * would queue behind it.  But a table that somebody always reads is never free.
 * So after some tries locks are waited for, for so short a time (in all, from the
 * first that keeps readers out) that nobody's deadlock check is due before we have
 * given up.  Whoever has the lock that we wait for, and waits for one that we have,
 * gets that at once: all are given back, and that lock is waited for first.
 *
 * Tables whose columns fit keep their OID and take over the storage of the run's
 * (swap.c), under locks that keep out DDL and VACUUM, but no reader and no writer.
 * These are locked out at the very end, when only the commit is left.  Where another
 * table replaces the published one (replace_table.c), readers are locked out once foreign
 * keys have been verified.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "publish/publish.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/names.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_statistic_ext.h"
#include "commands/defrem.h"
#include "commands/tablecmds.h"
#include "metastore/catalog.h"
#include "miscadmin.h"
#include "publish/foreign_key.h"
#include "publish/replace_table.h"
#include "publish/swap.h"
#include "storage/lmgr.h"
#include "table/copy_constraints.h"
#include "table/dependants.h"
#include "table/index_match.h"
#include "table/relation_attrs.h"
#include "table/replace_check.h"
#include "table/staging.h"
#include "table/table_shape.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

/*
 * The table that stands where an output shall go: InvalidOid if the name is
 * free, and an error if it is not ours.
 */
static Oid
publish_find_old(const PublishSet *set, Oid target, const char *process_name)
{
	Oid			old = get_relname_relid(process_name, target);

	if (OidIsValid(old) &&
		old != catalog_output_relid(set->pipeline_id, set->target_schema,
									process_name))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s.%s\" already exists and was not made by this pipeline",
						set->target_schema, process_name),
				 errhint("Rename that relation, or the step.")));
	return old;
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
		char	   *name = names_relation(lfirst_oid(lc));
		char	   *other = names_free(name, target, staging);

		if (strcmp(other, name) != 0)
			RenameRelationInternal(lfirst_oid(lc), other, true, true);
	}
	list_free(indexes);
	CommandCounterIncrement();
}

/*
 * Statistics objects do not move with their table.  Those that a staged table was
 * given have done their service; those of the published one, which are its own now, are
 * where they have always been.
 */
static void
publish_drop_statistics(Relation relation)
{
	ListCell   *lc;

	foreach(lc, RelationGetStatExtList(relation))
	{
		HeapTuple	tuple = SearchSysCache1(STATEXTOID, ObjectIdGetDatum(lfirst_oid(lc)));
		ObjectAddress object;
		bool		staged;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for statistics object %u", lfirst_oid(lc));
		staged = ((Form_pg_statistic_ext) GETSTRUCT(tuple))->stxnamespace ==
			RelationGetNamespace(relation);
		ReleaseSysCache(tuple);
		if (!staged)
			continue;
		ObjectAddressSet(object, StatisticExtRelationId, lfirst_oid(lc));
		performDeletion(&object, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	}
}

/*
 * Moves a table, which is locked, with its partitions and all that belongs to them.
 */
static void
publish_move(Oid relid, Oid target, ObjectAddresses *moved)
{
	List	   *relids = find_all_inheritors(relid, NoLock, NULL);
	ListCell   *lc;

	foreach(lc, relids)
	{
		Relation	relation = table_open(lfirst_oid(lc), NoLock);

		CheckTableNotInUse(relation, "publish");
		publish_drop_statistics(relation);
		publish_rename_indexes(relation, target);
		AlterTableNamespaceInternal(relation, RelationGetNamespace(relation), target, moved);
		table_close(relation, NoLock);
	}
	list_free(relids);
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

/* ---- locks ---- */

/* From here on readers are held up, or may be. */
static void
publish_start_clock(PublishSet *set)
{
	if (set->shut_out == 0)
		set->shut_out = GetCurrentTimestamp();
}

/* Takes a lock if it is free, or is so soon; otherwise says which was not. */
static PublishWait
publish_wait_for(PublishSet *set, Oid relation, LOCKMODE mode, bool holding,
				 Oid table, PublishObstacle *obstacle)
{
	PublishWait result = PUBLISH_BUSY;

	if (ConditionalLockRelationOid(relation, mode))
		return PUBLISH_LOCKED;
	/* only for those that keep readers out: others can be had some time */
	if (mode == AccessExclusiveLock && set->wait != NULL)
	{
		publish_start_clock(set);
		result = set->wait(relation, mode, set->shut_out, holding);
	}
	if (result != PUBLISH_LOCKED)
	{
		obstacle->relation = relation;
		obstacle->mode = mode;
		obstacle->table = table;
	}
	return result;
}

static bool
publish_lock(PublishSet *set, Oid relation, LOCKMODE mode, Oid table,
			 PublishObstacle *obstacle)
{
	return publish_wait_for(set, relation, mode, true, table, obstacle) == PUBLISH_LOCKED;
}

/*
 * Keeps readers out of all tables that get new storage.  Where one of them is not
 * free all are given back; it is the first next time, so that it is waited for with
 * none of the others in hand.
 */
static PublishWait
publish_lock_targets(PublishSet *set, PublishObstacle *obstacle)
{
	PublishWait result = PUBLISH_LOCKED;
	int			nlocked = 0;
	ListCell   *lc;

	publish_start_clock(set);
	foreach(lc, set->targets)
	{
		Oid			target = lfirst_oid(lc);

		result = publish_wait_for(set, target, AccessExclusiveLock, nlocked > 0, target, obstacle);
		if (result != PUBLISH_LOCKED)
			break;
		nlocked++;
	}
	if (result == PUBLISH_LOCKED)
		return result;

	for (int i = 0; i < nlocked; i++)
		UnlockRelationOid(list_nth_oid(set->targets, i), AccessExclusiveLock);
	set->targets = lcons_oid(obstacle->relation,
							 list_delete_nth_cell(set->targets, nlocked));
	return result;
}

/*
 * A heap with its TOAST table, which autovacuum goes to by itself.  The table first:
 * nobody else adds or drops anything of it then.  indexes: also these, which ALTER
 * INDEX changes without a lock on their table.  targets_check_locks counts on it
 * that no more is locked.
 */
static bool
publish_lock_heap(PublishSet *set, Oid relid, LOCKMODE mode, bool indexes,
				  PublishObstacle *obstacle)
{
	Relation	relation;
	Oid			toast;
	List	   *parts = NIL;
	ListCell   *lc;

	if (!publish_lock(set, relid, mode, relid, obstacle))
		return false;
	relation = try_relation_open(relid, NoLock);
	if (relation == NULL)
	{
		obstacle->relation = obstacle->table = relid;	/* dropped since we looked */
		return false;
	}
	if (indexes)
		parts = RelationGetIndexList(relation);
	toast = relation->rd_rel->reltoastrelid;
	if (OidIsValid(toast))
		parts = lappend_oid(parts, toast);
	relation_close(relation, NoLock);

	foreach(lc, parts)
	{
		if (!publish_lock(set, lfirst_oid(lc), mode, relid, obstacle))
			return false;
	}
	return true;
}

static bool
publish_lock_tree(PublishSet *set, Oid relid, LOCKMODE mode, bool indexes,
				  PublishObstacle *obstacle)
{
	List	   *relids;
	ListCell   *lc;

	if (!publish_lock_heap(set, relid, mode, indexes, obstacle))
		return false;
	relids = find_all_inheritors(relid, NoLock, NULL);
	for_each_from(lc, relids, 1)
	{
		if (!publish_lock_heap(set, lfirst_oid(lc), mode, indexes, obstacle))
			return false;
	}
	return true;
}

/*
 * Before the catalogs are written for nothing: is there anybody whom the last lock
 * would have to wait for?
 */
static bool
publish_probe(PublishSet *set, PublishObstacle *obstacle)
{
	ListCell   *lc;

	if (set->wait != NULL)
		return true;			/* there is, and we are going to wait */
	foreach(lc, set->targets)
	{
		if (!publish_lock(set, lfirst_oid(lc), AccessExclusiveLock, lfirst_oid(lc), obstacle))
			return false;
		UnlockRelationOid(lfirst_oid(lc), AccessExclusiveLock);
	}
	return true;
}

/* ---- one output ---- */

/* What becomes of an output. */
typedef struct PublishTask
{
	PublishOutput *output;
	Oid			old;			/* InvalidOid: a new name */
	List	   *own;			/* of char *: the step's indexes on the old table */
	List	   *pairs;			/* of TablePair *; NIL: new, or replaced */
	List	   *replaced;		/* of TablePair *: one, if its columns correspond */
	List	   *twins;			/* of IndexPair * */
	List	   *declared;		/* of Oid: the step's indexes on one that replaces */
	Replacement *replacement;
} PublishTask;

/*
 * Storage that changes hands is no change that logical decoding sees.  The run was
 * refused before it began, if the publication was there by then.
 */
static void
publish_check_publications(Oid relid)
{
	if (GetRelationPublications(relid) == NIL && GetAllTablesPublications() == NIL &&
		GetSchemaPublications(get_rel_namespace(relid)) == NIL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("table \"%s\" is in a publication, whose subscribers would not see its new rows",
					names_relation(relid)),
			 errhint("Take it out of the publication, or let a command step fill a table of your own that is in it.")));
}

/*
 * Another table has to replace it: can it?  The columns of its partition key have been
 * looked at when the table was made.
 */
static void
publish_check_replaceable(PublishSet *set, PublishTask *task)
{
	bool		partitioned;
	ListCell   *lc;

	foreach(lc, find_all_inheritors(task->old, NoLock, NULL))
	{
		if (GetRelationPublications(lfirst_oid(lc)) != NIL)
			publish_check_publications(lfirst_oid(lc));
	}
	task->own = catalog_output_indexes(set->pipeline_id, set->target_schema,
									   task->output->process_name);
	partitioned = get_rel_relkind(task->output->relid) == RELKIND_PARTITIONED_TABLE;
	replace_check_table(task->old, task->replaced != NIL, partitioned, NIL, task->own);
}

/*
 * Looks at one output, with the locks that keep what it sees from changing.  False
 * where a lock was not free.
 */
static bool
publish_look(PublishSet *set, PublishTask *task, Oid target, PublishObstacle *obstacle)
{
	const char *name = task->output->process_name;
	ShapeFit	fit;
	Oid			owner;

	task->old = publish_find_old(set, target, name);
	owner = OidIsValid(task->old) && names_relation_if_any(task->old) != NULL ?
		relation_attrs_owner(task->old) : InvalidOid;
	staging_check_table(set->staging, task->output->relid, name, owner);
	if (!publish_lock_tree(set, task->output->relid, AccessExclusiveLock, false, obstacle))
		return false;
	/* once more: now nobody can change it */
	staging_check_table(set->staging, task->output->relid, name, owner);
	if (!OidIsValid(task->old))
		return true;

	/* no lock, not even a short one, on what has become another's */
	obstacle->relation = obstacle->table = task->old;
	obstacle->mode = ShareUpdateExclusiveLock;
	if (names_relation_if_any(task->old) == NULL)
		return false;			/* dropped since we looked */
	if (!COMPAT_CLASS_OWNERCHECK(task->old, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, name);
	if (!publish_lock_tree(set, task->old, ShareUpdateExclusiveLock, true, obstacle))
		return false;
	if (get_relname_relid(name, target) != task->old)
		return false;			/* renamed or dropped since we looked */

	fit = table_shape_compare(task->old, task->output->relid, &task->pairs);
	if (fit == SHAPE_FITS)
		return true;
	if (fit == SHAPE_REPLACE)
	{
		task->replaced = task->pairs;
		task->pairs = NIL;
		publish_check_replaceable(set, task);
		return true;
	}
	publish_start_clock(set);
	if (!publish_lock_tree(set, task->old, AccessExclusiveLock, true, obstacle))
		return false;
	table_shape_alter(task->old, task->output->relid);
	fit = table_shape_compare(task->old, task->output->relid, &task->pairs);
	if (fit != SHAPE_FITS)
		elog(ERROR, "table \"%s\" does not fit after it was altered", name);
	/* it may have got a TOAST table */
	return publish_lock_tree(set, task->old, ShareUpdateExclusiveLock, true, obstacle);
}

/*
 * Is all that people have added to the published table there?  False where the
 * staged one has to catch up.
 */
static bool
publish_pair(PublishSet *set, PublishTask *task, PublishObstacle *obstacle)
{
	Oid			missing;
	ListCell   *lc;

	task->own = catalog_output_indexes(set->pipeline_id, set->target_schema,
									   task->output->process_name);
	task->twins = index_match_pair(task->pairs, task->own, false, &missing);
	if (OidIsValid(missing))
		obstacle->stale = task->output;
	foreach(lc, task->pairs)
	{
		TablePair  *pair = lfirst(lc);

		if (get_rel_relkind(pair->staged) == RELKIND_RELATION &&
			get_rel_persistence(pair->staged) == RELPERSISTENCE_PERMANENT)
		{
			publish_check_publications(task->old);
			publish_check_publications(pair->published);
		}
		if (!copy_constraints_are_complete(pair->published, pair->staged, false))
			obstacle->stale = task->output;
		set->targets = lappend_oid(set->targets, pair->published);
		set->left = lappend_oid(set->left, pair->staged);
	}
	foreach(lc, task->twins)
	{
		IndexPair  *twin = lfirst(lc);

		if (!OidIsValid(twin->staged) && !get_rel_relispartition(twin->published))
			set->dropped = lappend_oid(set->dropped, twin->published);
	}
	return obstacle->stale == NULL;
}

/*
 * The same where another table replaces the published one: that has to be all that
 * this is, and nothing else.
 */
static bool
publish_pair_replaced(PublishTask *task, PublishObstacle *obstacle)
{
	TablePair  *pair = linitial(task->replaced);
	Oid			missing;
	ListCell   *lc;

	task->twins = index_match_pair(task->replaced, task->own, true, &missing);
	if (OidIsValid(missing) || !copy_constraints_are_complete(pair->published, pair->staged, true))
		obstacle->stale = task->output;
	foreach(lc, task->twins)
	{
		IndexPair  *twin = lfirst(lc);

		if (OidIsValid(twin->staged) &&
			(!OidIsValid(twin->published) ||
			 names_contain(task->own, names_relation(twin->published))))
			task->declared = lappend_oid(task->declared, twin->staged);
	}
	return obstacle->stale == NULL;
}

/* The names of the indexes that the step has asked for, now that all is in place. */
static List *
publish_own_indexes(const PublishTask *task)
{
	List	   *names = NIL;
	ListCell   *lc;

	if (task->replaced != NIL)
	{
		foreach(lc, task->declared)
			names = lappend(names, names_relation(lfirst_oid(lc)));
		return names;
	}
	if (task->pairs == NIL)
	{
		Relation	relation = table_open(task->output->relid, NoLock);

		foreach(lc, RelationGetIndexList(relation))
			names = lappend(names, names_relation(lfirst_oid(lc)));
		table_close(relation, NoLock);
		return names;
	}
	foreach(lc, task->twins)
	{
		IndexPair  *twin = lfirst(lc);
		Oid			index = OidIsValid(twin->published) ? twin->published : twin->staged;

		if (!OidIsValid(twin->staged) || get_rel_relispartition(index))
			continue;
		if (!OidIsValid(twin->published) || names_contain(task->own, names_relation(index)))
			names = lappend(names, names_relation(index));
	}
	return names;
}

static void
publish_register(const PublishSet *set, const PublishTask *task)
{
	OutputRow	row = {0};

	row.process_name = task->output->process_name;
	row.relid = task->pairs != NIL ? task->old : task->output->relid;
	row.count_rows = task->output->count_rows;
	row.table_size = task->output->table_size;
	row.index_names = publish_own_indexes(task);
	catalog_register_output(set->pipeline_id, set->target_schema,
							set->run_id, &row);
}

/* ---- the whole ---- */

/* New tables, and those that replace others, move into the target schema. */
static void
publish_move_new(List *tasks, Oid target)
{
	ObjectAddresses *replaced = new_object_addresses();
	ObjectAddresses *moved = new_object_addresses();
	ListCell   *lc;

	foreach(lc, tasks)
	{
		PublishTask *task = lfirst(lc);
		ObjectAddress object;

		if (task->pairs != NIL || !OidIsValid(task->old))
			continue;
		task->replacement = replace_table_prepare(task->old, task->output->relid,
												  task->replaced != NIL, task->twins, task->own);
		ObjectAddressSet(object, RelationRelationId, task->old);
		add_exact_object_address(&object, replaced);
	}
	performMultipleDeletions(replaced, DROP_RESTRICT, 0);
	CommandCounterIncrement();

	foreach(lc, tasks)
	{
		PublishTask *task = lfirst(lc);

		if (task->pairs != NIL)
			continue;
		publish_move(task->output->relid, target, moved);
		CommandCounterIncrement();
		if (!OidIsValid(task->old))
			publish_grant_defaults(task->output->relid, target);
	}
	CommandCounterIncrement();
	foreach(lc, tasks)
	{
		if (((PublishTask *) lfirst(lc))->replacement != NULL)
			replace_table_finish(((PublishTask *) lfirst(lc))->replacement);
	}
	free_object_addresses(moved);
	free_object_addresses(replaced);
}

bool
publish_prepare(PublishSet *set, PublishObstacle *obstacle)
{
	Oid			target = get_namespace_oid(set->target_schema, false);
	AclResult	aclresult = COMPAT_NAMESPACE_ACLCHECK(target, GetUserId(), ACL_CREATE);
	ListCell   *lc;

	memset(obstacle, 0, sizeof(*obstacle));
	set->tasks = set->targets = set->dropped = set->left = set->narrow = NIL;
	set->shut_out = 0;
	if (aclresult != ACLCHECK_OK)
		aclcheck_error(aclresult, OBJECT_SCHEMA, set->target_schema);

	foreach(lc, set->outputs)
	{
		PublishTask *task = palloc0(sizeof(PublishTask));

		task->output = lfirst(lc);
		set->tasks = lappend(set->tasks, task);
		if (!publish_look(set, task, target, obstacle))
			return false;
	}
	memset(obstacle, 0, sizeof(*obstacle));
	foreach(lc, set->tasks)
	{
		PublishTask *task = lfirst(lc);

		if (task->pairs != NIL && !publish_pair(set, task, obstacle))
			return false;
		if (task->replaced != NIL && !publish_pair_replaced(task, obstacle))
			return false;
	}
	return publish_probe(set, obstacle);
}

/* Readers of tables that are replaced are locked out. */
static bool
publish_lock_replaced(PublishSet *set, PublishObstacle *obstacle)
{
	ListCell   *lc;

	foreach(lc, set->tasks)
	{
		PublishTask *task = lfirst(lc);
		ListCell   *lc2;

		if (task->pairs != NIL || !OidIsValid(task->old))
			continue;
		publish_start_clock(set);
		if (!publish_lock_tree(set, task->old, AccessExclusiveLock, true, obstacle))
			return false;
		/* a view needs no lock that was held up */
		dependants_check_table(task->old);
		if (task->replaced == NIL)
			continue;
		/* to drop a foreign key is to drop the triggers of the table that it refers to */
		foreach(lc2, foreign_key_others(foreign_key_list_own(task->old), task->replaced))
		{
			if (!publish_lock(set, lfirst_oid(lc2), AccessExclusiveLock, lfirst_oid(lc2), obstacle))
				return false;
		}
	}
	return true;
}

bool
publish_verify(PublishSet *set, PublishObstacle *obstacle)
{
	List	   *pairs = NIL;
	List	   *others = NIL;
	List	   *keys;
	ListCell   *lc;

	foreach(lc, set->tasks)
	{
		PublishTask *task = lfirst(lc);

		pairs = list_concat(pairs, task->pairs);
		pairs = list_concat(pairs, task->replaced);
		/* ALTER TABLE adds the keys of those that are replaced: it wants these locks */
		if (task->replaced != NIL)
			others = list_concat_unique_oid(others,
											foreign_key_others(foreign_key_list_own(task->old),
															   task->replaced));
	}
	keys = foreign_key_list(pairs);
	others = list_concat_unique_oid(others, foreign_key_others(keys, pairs));
	foreach(lc, others)
	{
		if (!publish_lock(set, lfirst_oid(lc), ShareRowExclusiveLock, lfirst_oid(lc), obstacle))
			return false;
	}
	if (keys != NIL)
	{
		foreign_key_verify(keys, pairs);
		if (!publish_probe(set, obstacle))
			return false;
	}
	return publish_lock_replaced(set, obstacle);
}

void
publish_exchange(PublishSet *set)
{
	ListCell   *lc;

	publish_move_new(set->tasks, get_namespace_oid(set->target_schema, false));
	foreach(lc, set->tasks)
	{
		PublishTask *task = lfirst(lc);

		if (task->pairs != NIL)
			set->narrow = list_concat(set->narrow, swap_storage(task->pairs, task->twins));
		publish_register(set, task);
	}
}

bool
publish_finish(PublishSet *set, PublishObstacle *obstacle)
{
	ObjectAddresses *dropped;
	PublishWait result;
	ListCell   *lc;

	/* in vain only until there is no time left */
	do
		result = publish_lock_targets(set, obstacle);
	while (result == PUBLISH_CROSSED);
	if (result != PUBLISH_LOCKED)
		return false;
	foreach(lc, set->narrow)
	{
		if (!swap_is_narrow(lfirst_oid(lc)))
		{
			obstacle->relation = obstacle->table = lfirst_oid(lc);
			obstacle->mode = AccessExclusiveLock;
			return false;		/* there is a wide row since: begin again */
		}
	}

	dropped = new_object_addresses();
	foreach(lc, set->targets)
		swap_shut_out(lfirst_oid(lc));
	foreach(lc, set->dropped)
	{
		ObjectAddress object;

		ObjectAddressSet(object, RelationRelationId, lfirst_oid(lc));
		add_exact_object_address(&object, dropped);
	}
	performMultipleDeletions(dropped, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	free_object_addresses(dropped);
	return true;
}

void
publish_catch_up(const PublishSet *set, const PublishOutput *output)
{
	Oid			published = catalog_published(set->pipeline_id,
											  set->target_schema,
											  output->process_name);

	if (!OidIsValid(published))
		return;
	LockRelationOid(output->relid, AccessExclusiveLock);
	(void) find_all_inheritors(output->relid, AccessExclusiveLock, NULL);
	staging_check_table(set->staging, output->relid, output->process_name,
						relation_attrs_owner(published));
	copy_constraints(published, output->relid);
	index_match_build(published, output->relid,
					  catalog_output_indexes(set->pipeline_id,
											 set->target_schema,
											 output->process_name));
}
