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
#include "catalog/pg_namespace.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_statistic_ext.h"
#include "commands/defrem.h"
#include "commands/tablecmds.h"
#include "execute/freeze.h"
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

/* What becomes of an output. */
typedef enum PublishFate
{
	PUBLISH_NEW,				/* its name is free */
	PUBLISH_EXCHANGE,			/* the published table takes over its storage */
	PUBLISH_REPLACE				/* it takes the published table's place */
} PublishFate;

typedef struct PublishTask
{
	PublishOutput *output;
	PublishFate fate;
	Oid			old;			/* the published table; InvalidOid: there is none */
	List	   *own;			/* of char *: the step's indexes on the old table */
	List	   *pairs;			/* of TablePair *, with partitions; of one that replaces the tables
								 * alone, and NIL where their columns do not correspond */
	List	   *twins;			/* of IndexPair * */
	List	   *declared;		/* of Oid: the step's indexes on one that replaces */
	Replacement *replacement;
} PublishTask;

struct Publishing
{
	PublishRequest request;
	List	   *tasks;			/* of PublishTask *, one for each output */
	List	   *targets;		/* of Oid: tables that get new storage, with partitions */
	List	   *dropped;		/* of Oid: indexes that go */
	List	   *left;			/* of Oid: staged tables that stay behind, with partitions */
	List	   *narrow;			/* of Oid: targets without a wide row, when it was looked */
	TimestampTz shut_out;		/* when readers began to be held up; 0: they are not */
	PublishObstacle obstacle;
	List	   *stale;			/* of PublishOutput * */
};

/* ---- names ---- */

/*
 * Return the table that stands where an output shall go; InvalidOid if the name is free.  Raise an
 * error if it is not the pipeline's.
 */
static Oid
publish_find_old(const PublishRequest *request, Oid target, const char *process_name)
{
	Oid			old = get_relname_relid(process_name, target);

	if (OidIsValid(old) &&
		old != catalog_output_relid(request->pipeline_id, request->target_schema, process_name))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s.%s\" already exists and was not made by this pipeline",
						request->target_schema, process_name),
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
publish_start_clock(Publishing *publishing)
{
	if (publishing->shut_out == 0)
		publishing->shut_out = GetCurrentTimestamp();
}

static PublishResult
publish_is_busy(Publishing *publishing, Oid relation, LOCKMODE mode, Oid table)
{
	publishing->obstacle.relation = relation;
	publishing->obstacle.mode = mode;
	publishing->obstacle.table = table;
	return PUBLISH_BUSY;
}

/*
 * Take a lock if it is free, or is so soon; else note which was not.  table: the relation, or the
 * table that it is a part of.  holding: there are others that keep readers out.
 */
static PublishResult
publish_wait_for(Publishing *publishing, Oid relation, LOCKMODE mode, bool holding, Oid table)
{
	PublishResult result = PUBLISH_BUSY;

	if (ConditionalLockRelationOid(relation, mode))
		return PUBLISH_OK;
	/* only for those that keep readers out: others can be had some time */
	if (mode == AccessExclusiveLock && publishing->request.wait != NULL)
	{
		publish_start_clock(publishing);
		result = publishing->request.wait(relation, mode, publishing->shut_out, holding);
	}
	if (result != PUBLISH_OK)
		(void) publish_is_busy(publishing, relation, mode, table);
	return result;
}

/* The same with others in hand: crossed is as good as busy. */
static PublishResult
publish_lock(Publishing *publishing, Oid relation, LOCKMODE mode, Oid table)
{
	return publish_wait_for(publishing, relation, mode, true, table) == PUBLISH_OK ?
		PUBLISH_OK : PUBLISH_BUSY;
}

/*
 * Keep readers out of all tables that get new storage.  Where one of them is not free all are given
 * back; it is the first next time, so that it is waited for with none of the others in hand.
 */
static PublishResult
publish_lock_targets(Publishing *publishing)
{
	PublishResult result = PUBLISH_OK;
	int			nlocked = 0;
	ListCell   *lc;

	publish_start_clock(publishing);
	foreach(lc, publishing->targets)
	{
		Oid			target = lfirst_oid(lc);

		result = publish_wait_for(publishing, target, AccessExclusiveLock, nlocked > 0, target);
		if (result != PUBLISH_OK)
			break;
		nlocked++;
	}
	if (result == PUBLISH_OK)
		return result;

	for (int i = 0; i < nlocked; i++)
		UnlockRelationOid(list_nth_oid(publishing->targets, i), AccessExclusiveLock);
	publishing->targets = lcons_oid(publishing->obstacle.relation,
									list_delete_nth_cell(publishing->targets, nlocked));
	return result;
}

/*
 * Lock a heap with its TOAST table, which autovacuum goes to by itself.  The table first: nobody
 * else adds or drops anything of it then.  indexes: also these, which ALTER INDEX changes without a
 * lock on their table.  target_check counts on it that no more is locked.
 */
static PublishResult
publish_lock_heap(Publishing *publishing, Oid relid, LOCKMODE mode, bool indexes)
{
	PublishResult result = publish_lock(publishing, relid, mode, relid);
	Relation	relation;
	List	   *parts = NIL;
	ListCell   *lc;

	if (result != PUBLISH_OK)
		return result;
	relation = try_relation_open(relid, NoLock);
	if (relation == NULL)		/* dropped since we looked */
		return publish_is_busy(publishing, relid, mode, relid);
	if (indexes)
		parts = RelationGetIndexList(relation);
	if (OidIsValid(relation->rd_rel->reltoastrelid))
		parts = lappend_oid(parts, relation->rd_rel->reltoastrelid);
	relation_close(relation, NoLock);

	foreach(lc, parts)
	{
		result = publish_lock(publishing, lfirst_oid(lc), mode, relid);
		if (result != PUBLISH_OK)
			return result;
	}
	return PUBLISH_OK;
}

/* The same with all partitions. */
static PublishResult
publish_lock_tree(Publishing *publishing, Oid relid, LOCKMODE mode, bool indexes)
{
	PublishResult result = publish_lock_heap(publishing, relid, mode, indexes);
	ListCell   *lc;

	if (result != PUBLISH_OK)
		return result;
	for_each_from(lc, find_all_inheritors(relid, NoLock, NULL), 1)
	{
		result = publish_lock_heap(publishing, lfirst_oid(lc), mode, indexes);
		if (result != PUBLISH_OK)
			return result;
	}
	return PUBLISH_OK;
}

/*
 * Before the catalogs are written for nothing: find out whether there is anybody whom the last lock
 * would have to wait for.
 */
static PublishResult
publish_probe(Publishing *publishing)
{
	ListCell   *lc;

	if (publishing->request.wait != NULL)
		return PUBLISH_OK;		/* there is, and we are going to wait */
	foreach(lc, publishing->targets)
	{
		Oid			target = lfirst_oid(lc);

		if (publish_lock(publishing, target, AccessExclusiveLock, target) != PUBLISH_OK)
			return PUBLISH_BUSY;
		UnlockRelationOid(target, AccessExclusiveLock);
	}
	return PUBLISH_OK;
}

/* ---- one output ---- */

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
 * Check that the staged table can replace the published one.  The columns of its partition key have
 * been looked at when the table was made.
 */
static void
publish_check_replaceable(const PublishTask *task)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(task->old, NoLock, NULL))
	{
		if (GetRelationPublications(lfirst_oid(lc)) != NIL)
			publish_check_publications(lfirst_oid(lc));
	}
	replace_check_table(task->old, task->pairs != NIL,
						get_rel_relkind(task->output->relid) == RELKIND_PARTITIONED_TABLE, NIL,
						task->own);
}

/* Drop and add columns of the published table, so that it can take over the storage. */
static PublishResult
publish_alter(Publishing *publishing, PublishTask *task)
{
	publish_start_clock(publishing);
	if (publish_lock_tree(publishing, task->old, AccessExclusiveLock, true) != PUBLISH_OK)
		return PUBLISH_BUSY;
	table_shape_alter(task->old, task->output->relid);
	if (table_shape_compare(task->old, task->output->relid, &task->pairs) != SHAPE_FITS)
		elog(ERROR, "table \"%s\" does not fit after it was altered", task->output->process_name);
	/* it may have got a TOAST table */
	return publish_lock_tree(publishing, task->old, ShareUpdateExclusiveLock, true);
}

/* Find out what becomes of an output whose name is taken by a table of the pipeline's. */
static PublishResult
publish_look_at_old(Publishing *publishing, PublishTask *task, Oid target)
{
	const char *name = task->output->process_name;
	PublishResult result;

	/* no lock, not even a short one, on what has become another's */
	if (names_relation_if_any(task->old) == NULL)	/* dropped since we looked */
		return publish_is_busy(publishing, task->old, ShareUpdateExclusiveLock, task->old);
	if (!COMPAT_CLASS_OWNERCHECK(task->old, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, name);
	result = publish_lock_tree(publishing, task->old, ShareUpdateExclusiveLock, true);
	if (result != PUBLISH_OK)
		return result;
	if (get_relname_relid(name, target) != task->old)	/* renamed or dropped since we looked */
		return publish_is_busy(publishing, task->old, ShareUpdateExclusiveLock, task->old);

	task->own = catalog_output_indexes(publishing->request.pipeline_id,
									   publishing->request.target_schema, name);
	task->fate = PUBLISH_EXCHANGE;
	switch (table_shape_compare(task->old, task->output->relid, &task->pairs))
	{
		case SHAPE_FITS:
			return PUBLISH_OK;
		case SHAPE_ALTER:
			return publish_alter(publishing, task);
		case SHAPE_REPLACE:
			task->fate = PUBLISH_REPLACE;
			publish_check_replaceable(task);
			return PUBLISH_OK;
	}
	pg_unreachable();
}

/* Look at one output, with the locks that keep what is seen from changing. */
static PublishResult
publish_look(Publishing *publishing, PublishTask *task, Oid target)
{
	const PublishRequest *request = &publishing->request;
	const char *name = task->output->process_name;
	Oid			owner;

	task->old = publish_find_old(request, target, name);
	owner = OidIsValid(task->old) && names_relation_if_any(task->old) != NULL ?
		relation_attrs_owner(task->old) : InvalidOid;
	staging_check_table(request->staging, task->output->relid, name, owner);
	if (publish_lock_tree(publishing, task->output->relid, AccessExclusiveLock,
						  false) != PUBLISH_OK)
		return PUBLISH_BUSY;
	/* once more: now nobody can change it, or create anything that depends on it */
	staging_check_table(request->staging, task->output->relid, name, owner);
	dependants_check_staged(task->output->relid, request->staging);
	return OidIsValid(task->old) ? publish_look_at_old(publishing, task, target) : PUBLISH_OK;
}

/*
 * Return true if all snapshots see the rows of the staged table, and it has all indexes and
 * constraints of the published one; where it replaces that, also no others.  Pairs the indexes.
 */
static bool
publish_is_up_to_date(PublishTask *task)
{
	bool		replaces = task->fate == PUBLISH_REPLACE;
	Oid			missing;
	ListCell   *lc;

	if (!freeze_is_done(task->output->relid))
		return false;
	if (task->pairs == NIL)
		return true;
	task->twins = index_match_pair(task->pairs, task->own, task->output->indexes, replaces,
								   &missing);
	if (OidIsValid(missing))
		return false;
	foreach(lc, task->pairs)
	{
		TablePair  *pair = lfirst(lc);

		if (!copy_constraints_are_complete(pair->published, pair->staged, replaces))
			return false;
	}
	return true;
}

/* Note which relations of a table that takes over storage are changed, dropped and left. */
static void
publish_plan_exchange(Publishing *publishing, const PublishTask *task)
{
	ListCell   *lc;

	foreach(lc, task->pairs)
	{
		TablePair  *pair = lfirst(lc);

		if (get_rel_relkind(pair->staged) == RELKIND_RELATION &&
			get_rel_persistence(pair->staged) == RELPERSISTENCE_PERMANENT)
		{
			publish_check_publications(task->old);
			publish_check_publications(pair->published);
		}
		publishing->targets = lappend_oid(publishing->targets, pair->published);
		publishing->left = lappend_oid(publishing->left, pair->staged);
	}
	foreach(lc, task->twins)
	{
		IndexPair  *twin = lfirst(lc);

		if (!OidIsValid(twin->staged) && !get_rel_relispartition(twin->published))
			publishing->dropped = lappend_oid(publishing->dropped, twin->published);
	}
}

/* Note which indexes of a table that replaces another one the step has asked for. */
static void
publish_plan_replacement(PublishTask *task)
{
	ListCell   *lc;

	foreach(lc, task->twins)
	{
		IndexPair  *twin = lfirst(lc);

		if (OidIsValid(twin->staged) &&
			(!OidIsValid(twin->published) ||
			 names_contain(task->own, names_relation(twin->published))))
			task->declared = lappend_oid(task->declared, twin->staged);
	}
}

/* Return the names of all indexes of a table. */
static List *
publish_all_indexes(Oid relid)
{
	Relation	relation = table_open(relid, NoLock);
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(relation))
		names = lappend(names, names_relation(lfirst_oid(lc)));
	table_close(relation, NoLock);
	return names;
}

/* Return the names of the indexes that the step has asked for, now that all is in place. */
static List *
publish_own_indexes(const PublishTask *task)
{
	List	   *names = NIL;
	ListCell   *lc;

	/* the staged table has none but these, unless it has got those of the published one */
	if (task->pairs == NIL)
		return publish_all_indexes(task->output->relid);
	if (task->fate == PUBLISH_REPLACE)
	{
		foreach(lc, task->declared)
			names = lappend(names, names_relation(lfirst_oid(lc)));
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
publish_register(const PublishRequest *request, const PublishTask *task)
{
	OutputRow	row = {0};

	row.process_name = task->output->process_name;
	row.relid = task->fate == PUBLISH_EXCHANGE ? task->old : task->output->relid;
	row.count_rows = task->output->count_rows;
	row.table_size = task->output->table_size;
	row.index_names = publish_own_indexes(task);
	catalog_register_output(request->pipeline_id, request->target_schema, request->run_id, &row);
}

/* ---- the whole ---- */

/* Move new tables, and those that replace others, into the target schema. */
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

		if (task->fate != PUBLISH_REPLACE)
			continue;
		task->replacement = replace_table_prepare(task->old, task->output->relid,
												  task->pairs != NIL, task->twins, task->own);
		ObjectAddressSet(object, RelationRelationId, task->old);
		add_exact_object_address(&object, replaced);
	}
	performMultipleDeletions(replaced, DROP_RESTRICT, 0);
	CommandCounterIncrement();

	foreach(lc, tasks)
	{
		PublishTask *task = lfirst(lc);

		if (task->fate == PUBLISH_EXCHANGE)
			continue;
		publish_move(task->output->relid, target, moved);
		CommandCounterIncrement();
		if (task->fate == PUBLISH_NEW)
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

Publishing *
publish_begin(const PublishRequest *request)
{
	Publishing *publishing = palloc0(sizeof(Publishing));

	publishing->request = *request;
	return publishing;
}

PublishObstacle
publish_obstacle(const Publishing *publishing)
{
	return publishing->obstacle;
}

List *
publish_left(const Publishing *publishing)
{
	return publishing->left;
}

List *
publish_stale(const Publishing *publishing)
{
	return publishing->stale;
}

PublishResult
publish_prepare(Publishing *publishing)
{
	const PublishRequest *request = &publishing->request;
	Oid			target = get_namespace_oid(request->target_schema, false);
	AclResult	aclresult = COMPAT_NAMESPACE_ACLCHECK(target, GetUserId(), ACL_CREATE);
	ListCell   *lc;

	if (aclresult != ACLCHECK_OK)
		aclcheck_error(aclresult, OBJECT_SCHEMA, request->target_schema);

	foreach(lc, request->outputs)
	{
		PublishTask *task = palloc0(sizeof(PublishTask));

		task->output = lfirst(lc);
		publishing->tasks = lappend(publishing->tasks, task);
		if (publish_look(publishing, task, target) != PUBLISH_OK)
			return PUBLISH_BUSY;
	}
	foreach(lc, publishing->tasks)
	{
		PublishTask *task = lfirst(lc);

		if (!publish_is_up_to_date(task))
			publishing->stale = lappend(publishing->stale, task->output);
		else if (task->fate == PUBLISH_EXCHANGE)
			publish_plan_exchange(publishing, task);
		else if (task->fate == PUBLISH_REPLACE)
			publish_plan_replacement(task);
	}
	return publishing->stale != NIL ? PUBLISH_STALE : publish_probe(publishing);
}

/* Return the tables that foreign keys lead to which ALTER TABLE makes again: of Oid. */
static List *
publish_key_tables(const PublishTask *task)
{
	if (task->fate != PUBLISH_REPLACE || task->pairs == NIL)
		return NIL;
	return foreign_key_others(foreign_key_list_own(task->old), task->pairs);
}

/* Lock readers of tables that are replaced out. */
static PublishResult
publish_lock_replaced(Publishing *publishing)
{
	ListCell   *lc;

	foreach(lc, publishing->tasks)
	{
		PublishTask *task = lfirst(lc);
		ListCell   *lc2;

		if (task->fate != PUBLISH_REPLACE)
			continue;
		publish_start_clock(publishing);
		if (publish_lock_tree(publishing, task->old, AccessExclusiveLock, true) != PUBLISH_OK)
			return PUBLISH_BUSY;
		/* a view needs no lock that was held up */
		dependants_check_table(task->old);
		/* to drop a foreign key is to drop the triggers of the table that it refers to */
		foreach(lc2, publish_key_tables(task))
		{
			Oid			other = lfirst_oid(lc2);

			if (publish_lock(publishing, other, AccessExclusiveLock, other) != PUBLISH_OK)
				return PUBLISH_BUSY;
		}
	}
	return PUBLISH_OK;
}

PublishResult
publish_verify(Publishing *publishing)
{
	List	   *pairs = NIL;
	List	   *others = NIL;
	List	   *keys;
	ListCell   *lc;

	foreach(lc, publishing->tasks)
	{
		PublishTask *task = lfirst(lc);

		pairs = list_concat(pairs, task->pairs);
		/* ALTER TABLE adds the keys of those that are replaced: it wants these locks */
		others = list_concat_unique_oid(others, publish_key_tables(task));
	}
	keys = foreign_key_list(pairs);
	others = list_concat_unique_oid(others, foreign_key_others(keys, pairs));
	foreach(lc, others)
	{
		Oid			other = lfirst_oid(lc);

		if (publish_lock(publishing, other, ShareRowExclusiveLock, other) != PUBLISH_OK)
			return PUBLISH_BUSY;
	}
	if (keys != NIL)
	{
		foreign_key_verify(keys, pairs);
		if (publish_probe(publishing) != PUBLISH_OK)
			return PUBLISH_BUSY;
	}
	return publish_lock_replaced(publishing);
}

void
publish_exchange(Publishing *publishing)
{
	ListCell   *lc;

	publish_move_new(publishing->tasks,
					 get_namespace_oid(publishing->request.target_schema, false));
	foreach(lc, publishing->tasks)
	{
		PublishTask *task = lfirst(lc);

		if (task->fate == PUBLISH_EXCHANGE)
			publishing->narrow = list_concat(publishing->narrow,
											 swap_storage(task->pairs, task->twins));
		publish_register(&publishing->request, task);
	}
}

/* Drop the indexes that go. */
static void
publish_drop_indexes(const List *indexes)
{
	ObjectAddresses *dropped = new_object_addresses();
	ListCell   *lc;

	foreach(lc, indexes)
	{
		ObjectAddress object;

		ObjectAddressSet(object, RelationRelationId, lfirst_oid(lc));
		add_exact_object_address(&object, dropped);
	}
	performMultipleDeletions(dropped, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	free_object_addresses(dropped);
}

PublishResult
publish_finish(Publishing *publishing)
{
	PublishResult result;
	ListCell   *lc;

	/* in vain only until there is no time left */
	do
		result = publish_lock_targets(publishing);
	while (result == PUBLISH_CROSSED);
	if (result != PUBLISH_OK)
		return result;
	foreach(lc, publishing->narrow)
	{
		Oid			target = lfirst_oid(lc);

		if (!swap_is_narrow(target))	/* there is a wide row since: begin again */
			return publish_is_busy(publishing, target, AccessExclusiveLock, target);
	}
	foreach(lc, publishing->targets)
		swap_shut_out(lfirst_oid(lc));
	publish_drop_indexes(publishing->dropped);
	return PUBLISH_OK;
}

void
publish_catch_up(const Publishing *publishing, const PublishOutput *output)
{
	const PublishRequest *request = &publishing->request;
	Oid			published = catalog_published(request->pipeline_id, request->target_schema,
											  output->process_name);

	LockRelationOid(output->relid, AccessExclusiveLock);
	(void) find_all_inheritors(output->relid, AccessExclusiveLock, NULL);
	staging_check_table(request->staging, output->relid, output->process_name,
						OidIsValid(published) ? relation_attrs_owner(published) : InvalidOid);
	if (!freeze_is_done(output->relid))
		freeze_table(output->relid);
	if (!OidIsValid(published))
		return;
	copy_constraints(published, output->relid);
	index_match_build(published, output->relid,
					  catalog_output_indexes(request->pipeline_id, request->target_schema,
											 output->process_name),
					  output->indexes);
}
