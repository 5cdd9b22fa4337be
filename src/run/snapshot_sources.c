/*-------------------------------------------------------------------------
 *
 * snapshot_sources.c
 *	  Which relations a run's snapshot reads, and locks on them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "run/snapshot_sources.h"

#include "access/relation.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

/* Of the server's lock table no more than this part is taken. */
#define SNAPSHOT_SOURCES_SHARE		8

/* Relations to be locked; in the transaction's memory. */
typedef struct SnapshotSources
{
	List	   *relids;			/* of Oid */
	int			limit;
} SnapshotSources;

static void snapshot_sources_add_relation(SnapshotSources *sources, Oid relid);

static bool
snapshot_sources_walk_view(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		if (((RangeTblEntry *) node)->rtekind == RTE_RELATION)
			snapshot_sources_add_relation(arg, ((RangeTblEntry *) node)->relid);
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, snapshot_sources_walk_view, arg,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, snapshot_sources_walk_view, arg);
}

/* What a view reads.  Of one that is being changed right now, nothing. */
static void
snapshot_sources_add_view(SnapshotSources *sources, Oid relid)
{
	Relation	view;

	if (!ConditionalLockRelationOid(relid, AccessShareLock))
		return;
	view = try_relation_open(relid, NoLock);
	if (view != NULL)
	{
		if (view->rd_rel->relkind == RELKIND_VIEW)
			(void) snapshot_sources_walk_view((Node *) get_view_query(view), sources);
		relation_close(view, NoLock);
	}
	UnlockRelationOid(relid, AccessShareLock);
}

static void
snapshot_sources_add_relation(SnapshotSources *sources, Oid relid)
{
	char		relkind = get_rel_relkind(relid);
	ListCell   *lc;

	if (IsCatalogRelationOid(relid) || list_member_oid(sources->relids, relid) ||
		list_length(sources->relids) >= sources->limit)
		return;
	switch (relkind)
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
			foreach(lc, find_all_inheritors(relid, NoLock, NULL))
			{
				if (list_length(sources->relids) < sources->limit)
					sources->relids = list_append_unique_oid(sources->relids, lfirst_oid(lc));
			}
			break;
		case RELKIND_MATVIEW:
			sources->relids = lappend_oid(sources->relids, relid);
			break;
		case RELKIND_VIEW:
			sources->relids = lappend_oid(sources->relids, relid);
			snapshot_sources_add_view(sources, relid);
			break;
		default:
			break;
	}
}

/* The relation that a reference means; none that the owner may not read. */
static Oid
snapshot_sources_find_source(const char *reference)
{
	char	   *copy = pstrdup(reference);
	Oid			relid = InvalidOid;
	List	   *parts;

	if (!SplitIdentifierString(copy, '.', &parts))
		elog(ERROR, "invalid reference \"%s\" in a table of schema \"%s\"",
			 reference, ETL_SCHEMA);
	if (list_length(parts) == 1)
		relid = RelnameGetRelid(linitial(parts));
	else if (list_length(parts) == 2)
	{
		Oid			schema = get_namespace_oid(linitial(parts), true);

		if (OidIsValid(schema) &&
			COMPAT_NAMESPACE_ACLCHECK(schema, GetUserId(), ACL_USAGE) == ACLCHECK_OK)
			relid = get_relname_relid(lsecond(parts), schema);
	}
	if (OidIsValid(relid) &&
		pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK &&
		pg_attribute_aclcheck_all(relid, GetUserId(), ACL_SELECT, ACLMASK_ANY) != ACLCHECK_OK)
		relid = InvalidOid;
	return relid;
}

/*
 * Locks all of them, and waits for one only while it holds no other, so that it
 * can be part of no deadlock.
 */
static void
snapshot_sources_lock_all(const List *relids)
{
	Oid			waited_for = InvalidOid;

	for (;;)
	{
		Oid			busy = InvalidOid;
		ListCell   *lc;
		ListCell   *unlock;

		foreach(lc, relids)
		{
			if (lfirst_oid(lc) != waited_for &&
				!ConditionalLockRelationOid(lfirst_oid(lc), AccessShareLock))
			{
				busy = lfirst_oid(lc);
				break;
			}
		}
		if (!OidIsValid(busy))
			return;

		foreach(unlock, relids)
		{
			if (lfirst_oid(unlock) == busy)
				break;
			if (lfirst_oid(unlock) != waited_for)
				UnlockRelationOid(lfirst_oid(unlock), AccessShareLock);
		}
		if (OidIsValid(waited_for))
			UnlockRelationOid(waited_for, AccessShareLock);
		LockRelationOid(busy, AccessShareLock);
		waited_for = busy;
	}
}

List *
snapshot_sources_lock(const List *references)
{
	SnapshotSources sources = {.relids = NIL};
	ListCell   *lc;

	sources.limit = max_locks_per_xact * MaxBackends / SNAPSHOT_SOURCES_SHARE;
	foreach(lc, references)
	{
		Oid			relid = snapshot_sources_find_source(lfirst(lc));

		if (OidIsValid(relid))
			snapshot_sources_add_relation(&sources, relid);
	}
	snapshot_sources_lock_all(sources.relids);
	return sources.relids;
}
