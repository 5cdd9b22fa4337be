/*-------------------------------------------------------------------------
 *
 * replace_table.c
 *	  A table that replaces a published one gets what that was beside its rows.
 *
 * Three kinds of things.  What takes time, or what the new rows have to obey, is there
 * already: the table was built as a twin of the other one (copy_constraints.c, index_match.c).
 * What is a value of a catalog row is copied.  All else is made again by its definition
 * (recreate_objects.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "publish/replace_table.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/names.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/partition.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_inherits.h"
#include "commands/comment.h"
#include "commands/tablecmds.h"
#include "publish/recreate_objects.h"
#include "table/alter_table.h"
#include "table/column_settings.h"
#include "table/copy_statistics.h"
#include "table/index_match.h"
#include "table/relation_attrs.h"
#include "table/table_shape.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

typedef struct OwnedSequence
{
	Oid			sequence;
	AttrNumber	attnum;
} OwnedSequence;

typedef struct NamedIndex
{
	Oid			index;
	char	   *name;
} NamedIndex;

struct Replacement
{
	Oid			from;
	Oid			to;
	List	   *objects;		/* of recreate_objects.c */
	List	   *sequences;		/* of OwnedSequence * */
	List	   *indexes;		/* of NamedIndex * */
};

/* ---- values ---- */

/* palloc'd, or NULL */
static Acl *
acl_of(Relation pg_class, HeapTuple tuple)
{
	bool		isnull;
	Datum		acl = heap_getattr(tuple, Anum_pg_class_relacl, RelationGetDescr(pg_class),
								   &isnull);

	return isnull ? NULL : DatumGetAclPCopy(acl);
}

/*
 * Changes a table's row.  The grants that it had, those that are given by default, are
 * forgotten along with it where others, or none, take their place.
 */
static void
update_class(Relation pg_class, Oid relid, Datum *values, bool *nulls, bool *replaces)
{
	HeapTuple	tuple = relation_attrs_class_row(relid);
	Acl		   *old = acl_of(pg_class, tuple);
	Acl		   *new;
	Oid		   *oldmembers;
	Oid		   *newmembers;
	int			nold;
	int			nnew;

	tuple = heap_modify_tuple(tuple, RelationGetDescr(pg_class), values, nulls, replaces);
	CatalogTupleUpdate(pg_class, &tuple->t_self, tuple);
	new = acl_of(pg_class, tuple);
	nold = aclmembers(old, &oldmembers);
	nnew = aclmembers(new, &newmembers);
	updateAclDependencies(RelationRelationId, relid, 0,
						  ((Form_pg_class) GETSTRUCT(tuple))->relowner,
						  nold, oldmembers, nnew, newmembers);
	CommandCounterIncrement();
}

/* Nobody but the owner may use it by its own name. */
static void
drop_grants(Oid relid)
{
	Relation	pg_class = table_open(RelationRelationId, RowExclusiveLock);
	Datum		values[Natts_pg_class] = {0};
	bool		nulls[Natts_pg_class] = {0};
	bool		replaces[Natts_pg_class] = {0};

	nulls[Anum_pg_class_relacl - 1] = true;
	replaces[Anum_pg_class_relacl - 1] = true;
	update_class(pg_class, relid, values, nulls, replaces);
	table_close(pg_class, RowExclusiveLock);
}

static void
carry_class(Oid from, Oid to, bool flags, bool grants, bool options)
{
	Relation	pg_class = table_open(RelationRelationId, RowExclusiveLock);
	HeapTuple	source = relation_attrs_class_row(from);
	Datum		values[Natts_pg_class] = {0};
	bool		nulls[Natts_pg_class] = {0};
	bool		replaces[Natts_pg_class] = {0};

	replaces[Anum_pg_class_relrowsecurity - 1] = flags;
	replaces[Anum_pg_class_relforcerowsecurity - 1] = flags;
	replaces[Anum_pg_class_relacl - 1] = grants;
	replaces[Anum_pg_class_reloptions - 1] = options;
	for (int k = 0; k < Natts_pg_class; k++)
	{
		if (replaces[k])
			values[k] = heap_getattr(source, k + 1, RelationGetDescr(pg_class), &nulls[k]);
	}
	update_class(pg_class, to, values, nulls, replaces);
	table_close(pg_class, RowExclusiveLock);
}

static void
carry_column_acl(Relation pg_attribute, HeapTuple source, Oid to, AttrNumber attnum)
{
	HeapTuple	tuple = SearchSysCacheCopy2(ATTNUM, ObjectIdGetDatum(to), Int16GetDatum(attnum));
	Datum		values[Natts_pg_attribute] = {0};
	bool		nulls[Natts_pg_attribute] = {0};
	bool		replaces[Natts_pg_attribute] = {0};
	int			k = Anum_pg_attribute_attacl - 1;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for attribute %d of relation %u", attnum, to);
	values[k] = SysCacheGetAttr(ATTNUM, source, Anum_pg_attribute_attacl, &nulls[k]);
	if (nulls[k])
		return;
	replaces[k] = true;
	tuple = heap_modify_tuple(tuple, RelationGetDescr(pg_attribute), values, nulls, replaces);
	CatalogTupleUpdate(pg_attribute, &tuple->t_self, tuple);
	recordDependencyOnNewAcl(RelationRelationId, to, attnum,
							 relation_attrs_owner(to),
							 DatumGetAclP(values[k]));
}

static void
carry_comment(Oid from, AttrNumber from_attnum, Oid to, AttrNumber to_attnum)
{
	char	   *comment = GetComment(from, RelationRelationId, from_attnum);

	if (comment != NULL)
		CreateComments(to, RelationRelationId, to_attnum, comment);
}

/* Grants on columns and their comments; by name, so that any two tables will do. */
static void
carry_columns(Oid from, Oid to)
{
	Relation	pg_attribute = table_open(AttributeRelationId, RowExclusiveLock);
	Relation	relation = relation_open(from, NoLock);

	for (int i = 0; i < RelationGetDescr(relation)->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(relation), i);
		AttrNumber	attnum = att->attisdropped ? InvalidAttrNumber :
		get_attnum(to, NameStr(att->attname));
		HeapTuple	source;

		if (attnum == InvalidAttrNumber)
			continue;
		source = SearchSysCache2(ATTNUM, ObjectIdGetDatum(from), Int16GetDatum(i + 1));
		if (!HeapTupleIsValid(source))
			elog(ERROR, "cache lookup failed for attribute %d of relation %u", i + 1, from);
		carry_column_acl(pg_attribute, source, to, attnum);
		ReleaseSysCache(source);
		carry_comment(from, i + 1, to, attnum);
	}
	relation_close(relation, NoLock);
	table_close(pg_attribute, RowExclusiveLock);
	CommandCounterIncrement();
}

/* ---- replica identity, CLUSTER ON ---- */

static Oid
twin_of(const List *twins, Oid published)
{
	ListCell   *lc;

	foreach(lc, twins)
	{
		if (((IndexPair *) lfirst(lc))->published == published)
			return ((IndexPair *) lfirst(lc))->staged;
	}
	return InvalidOid;
}

static void
execute_one(Oid relid, AlterTableType subtype, const char *name, Node *definition)
{
	alter_table_execute(relid, list_make1(alter_table_command(subtype, name,
															  definition)));
}

/* How rows are known to subscribers: of a table, or of a partition. */
typedef struct ReplicaIdentity
{
	char		type;			/* as pg_class.relreplident */
	Oid			index;			/* of the new table; InvalidOid: it is none */
} ReplicaIdentity;

static ReplicaIdentity
replica_identity(Oid from, const List *twins)
{
	Relation	relation = relation_open(from, NoLock);
	ReplicaIdentity identity = {relation->rd_rel->relreplident, InvalidOid};

	if (identity.type == REPLICA_IDENTITY_INDEX)
	{
		Oid			index = relation_attrs_replica_index(relation);

		/* none where it was dropped; and an index that is new has no published one, either */
		if (OidIsValid(index))
		{
			identity.index = twin_of(twins, index);
			if (!OidIsValid(identity.index))
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("the replica identity of table \"%s\" needs index \"%s\", which the step does not ask for any more",
								RelationGetRelationName(relation), names_relation(index))));
		}
	}
	relation_close(relation, NoLock);
	return identity;
}

/* A partition has its part of the index. */
static void
set_replica_identity(Oid relid, ReplicaIdentity identity)
{
	ReplicaIdentityStmt *statement = makeNode(ReplicaIdentityStmt);

	if (identity.type == REPLICA_IDENTITY_DEFAULT)
		return;
	if (OidIsValid(identity.index) && get_rel_relispartition(relid))
	{
		Relation	relation = relation_open(relid, NoLock);

		identity.index = index_get_partition(relation, identity.index);
		relation_close(relation, NoLock);
	}
	/* whose index was dropped has none */
	if (identity.type == REPLICA_IDENTITY_INDEX && !OidIsValid(identity.index))
		identity.type = REPLICA_IDENTITY_NOTHING;
	statement->identity_type = identity.type;
	if (identity.type == REPLICA_IDENTITY_INDEX)
		statement->name = names_relation(identity.index);
	execute_one(relid, AT_ReplicaIdentity, NULL, (Node *) statement);
}

static void
carry_replica_identity(Oid from, Oid to, const List *twins)
{
	ReplicaIdentity of_heap = replica_identity(table_shape_first_heap(from), twins);
	ListCell   *lc;

	/* what counts is where the rows are */
	if (get_rel_relkind(to) == RELKIND_PARTITIONED_TABLE ||
		of_heap.type == REPLICA_IDENTITY_DEFAULT)
		set_replica_identity(to, replica_identity(from, twins));
	else
		set_replica_identity(to, of_heap);
	for_each_from(lc, find_all_inheritors(to, NoLock, NULL), 1)
		set_replica_identity(lfirst_oid(lc), of_heap);
}

/* Names of indexes, what is said of them, and which one CLUSTER goes by. */
static void
carry_indexes(Replacement *replacement, const List *twins, const List *own)
{
	ListCell   *lc;

	foreach(lc, twins)
	{
		IndexPair  *twin = lfirst(lc);

		if (!OidIsValid(twin->published) || !OidIsValid(twin->staged))
			continue;
		carry_comment(twin->published, 0, twin->staged, 0);
		column_settings_copy_all(twin->published, twin->staged);
		if (get_index_isclustered(twin->published))
			execute_one(replacement->to, AT_ClusterOn, names_relation(twin->staged), NULL);
		if (!names_contain(own, names_relation(twin->published)))
		{
			NamedIndex *named = palloc(sizeof(NamedIndex));

			named->index = twin->staged;
			named->name = names_relation(twin->published);
			replacement->indexes = lappend(replacement->indexes, named);
		}
	}
}

/* ---- sequences ---- */

/*
 * They are let go, lest they are dropped with the old table or moved into another
 * schema along with the new one.
 */
static void
collect_sequences(Replacement *replacement)
{
	Relation	pg_depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	ListCell   *lc;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(RelationRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(replacement->from));
	scan = systable_beginscan(pg_depend, DependReferenceIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		OwnedSequence *owned;

		if (form->classid != RelationRelationId || form->objsubid != 0 ||
			form->deptype != DEPENDENCY_AUTO ||
			get_rel_relkind(form->objid) != RELKIND_SEQUENCE ||
			!table_shape_has_column(replacement->to, form->refobjsubid))
			continue;
		owned = palloc(sizeof(OwnedSequence));
		owned->sequence = form->objid;
		owned->attnum = form->refobjsubid;
		replacement->sequences = lappend(replacement->sequences, owned);
	}
	systable_endscan(scan);
	table_close(pg_depend, AccessShareLock);
	foreach(lc, replacement->sequences)
		deleteDependencyRecordsForClass(RelationRelationId,
										((OwnedSequence *) lfirst(lc))->sequence,
										RelationRelationId, DEPENDENCY_AUTO);
	CommandCounterIncrement();
}

/* ---- the whole ---- */

/* What partitions have one by one. */
static void
carry_heaps(Oid from, Oid to)
{
	Oid			heap = table_shape_first_heap(from);
	bool		of_partition = heap != from;
	ListCell   *lc;

	foreach(lc, find_all_inheritors(to, NoLock, NULL))
	{
		Oid			relid = lfirst_oid(lc);
		bool		is_partition = relid != to;

		if (get_rel_relkind(relid) == RELKIND_RELATION)
			carry_class(heap, relid, false, of_partition && is_partition, true);
		if (of_partition && is_partition)
			carry_columns(heap, relid);
		else if (is_partition)
			drop_grants(relid);
		column_settings_copy_all(get_rel_relkind(relid) == RELKIND_RELATION ? heap : from,
								 relid);
	}
}

Replacement *
replace_table_prepare(Oid from, Oid to, bool corresponds, const List *twins, const List *own)
{
	Replacement *replacement = palloc0(sizeof(Replacement));
	ListCell   *lc;

	PushActiveSnapshot(GetTransactionSnapshot());
	replacement->from = from;
	replacement->to = to;
	foreach(lc, find_all_inheritors(to, NoLock, NULL))
		relation_attrs_give(lfirst_oid(lc),
							relation_attrs_owner(lfirst_oid(lc) == to ? from :
												 table_shape_first_heap(from)));
	if (corresponds)
	{
		carry_heaps(from, to);
		carry_indexes(replacement, twins, own);
		carry_replica_identity(from, to, twins);
		copy_statistics_data_to(from, to);
		copy_statistics_move(from, to);
		replacement->objects = recreate_objects_collect(from, to);
		collect_sequences(replacement);
	}
	carry_class(from, to, corresponds, true, false);
	carry_columns(from, to);
	carry_comment(from, 0, to, 0);
	PopActiveSnapshot();
	return replacement;
}

void
replace_table_finish(Replacement *replacement)
{
	ListCell   *lc;

	PushActiveSnapshot(GetTransactionSnapshot());
	/* another one's name may have been free in the staging schema, and not here */
	foreach(lc, replacement->indexes)
	{
		NamedIndex *named = lfirst(lc);

		if (strcmp(names_relation(named->index), named->name) != 0)
			RenameRelationInternal(named->index, named->name, true, true);
	}
	CommandCounterIncrement();
	foreach(lc, replacement->sequences)
	{
		OwnedSequence *owned = lfirst(lc);
		ObjectAddress sequence;
		ObjectAddress column;

		ObjectAddressSet(sequence, RelationRelationId, owned->sequence);
		ObjectAddressSubSet(column, RelationRelationId, replacement->to, owned->attnum);
		recordDependencyOn(&sequence, &column, DEPENDENCY_AUTO);
	}
	recreate_objects_define(replacement->objects, replacement->to);
	PopActiveSnapshot();
}
