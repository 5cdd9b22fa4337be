/*-------------------------------------------------------------------------
 *
 * relation_attrs.c
 *	  What a table has beside its columns: owner, grants, storage, replica identity.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "table/relation_attrs.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/partition.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "utils/acl.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

bool
relation_attrs_same_values(int cache, HeapTuple a, HeapTuple b, TupleDesc desc,
						   const AttrNumber *columns, int n)
{
	for (int i = 0; i < n; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, columns[i] - 1);
		bool		nulls[2];
		Datum		x = SysCacheGetAttr(cache, a, columns[i], &nulls[0]);
		Datum		y = SysCacheGetAttr(cache, b, columns[i], &nulls[1]);

		if (nulls[0] != nulls[1] ||
			(!nulls[0] && !datum_image_eq(x, y, att->attbyval, att->attlen)))
			return false;
	}
	return true;
}

HeapTuple
relation_attrs_class_row(Oid relid)
{
	HeapTuple	tuple = SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(relid));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	return tuple;
}

Oid
relation_attrs_owner(Oid relid)
{
	return ((Form_pg_class) GETSTRUCT(relation_attrs_class_row(relid)))->relowner;
}

void
relation_attrs_give(Oid relid, Oid owner)
{
	/* as if recursing: no rights are asked for, as nobody's table becomes another's */
	if (relation_attrs_owner(relid) != owner)
	{
		ATExecChangeOwner(relid, owner, true, AccessExclusiveLock);
		CommandCounterIncrement();
	}
}

Oid
relation_attrs_replica_index(Relation relation)
{
	Oid			index = RelationGetReplicaIndex(relation);

	return OidIsValid(index) && get_rel_relispartition(index) ?
		get_partition_parent(index, true) : index;
}

Datum
relation_attrs_toast_options(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			toast = InvalidOid;
	Datum		options = (Datum) 0;
	bool		isnull = true;

	if (HeapTupleIsValid(tuple))
	{
		toast = ((Form_pg_class) GETSTRUCT(tuple))->reltoastrelid;
		ReleaseSysCache(tuple);
	}
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(toast));
	if (!HeapTupleIsValid(tuple))
		return options;
	options = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_reloptions, &isnull);
	options = isnull ? (Datum) 0 : datumCopy(options, false, -1);
	ReleaseSysCache(tuple);
	return options;
}

bool
relation_attrs_has_grants(HeapTuple tuple)
{
	bool		isnull;
	Datum		acl = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_relacl, &isnull);

	/* what was granted and revoked again leaves the owner's own behind */
	return !isnull &&
		!aclequal(DatumGetAclP(acl),
				  acldefault(OBJECT_TABLE, ((Form_pg_class) GETSTRUCT(tuple))->relowner));
}

bool
relation_attrs_same_table(Oid a, Oid b)
{
	static const AttrNumber columns[] = {
		Anum_pg_class_relowner, Anum_pg_class_reltablespace, Anum_pg_class_relreplident,
		Anum_pg_class_reloptions
	};
	static const AttrNumber acl[] = {Anum_pg_class_relacl};
	Relation	pg_class = table_open(RelationRelationId, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(pg_class);
	HeapTuple	x = relation_attrs_class_row(a);
	HeapTuple	y = relation_attrs_class_row(b);
	Datum		toast[2];
	bool		same;

	toast[0] = relation_attrs_toast_options(a);
	toast[1] = relation_attrs_toast_options(b);
	same = relation_attrs_same_values(RELOID, x, y, desc, columns, lengthof(columns)) &&
		((!relation_attrs_has_grants(x) && !relation_attrs_has_grants(y)) ||
		 relation_attrs_same_values(RELOID, x, y, desc, acl, lengthof(acl))) &&
		(toast[0] == (Datum) 0) == (toast[1] == (Datum) 0) &&
		(toast[0] == (Datum) 0 || datum_image_eq(toast[0], toast[1], false, -1));
	heap_freetuple(x);
	heap_freetuple(y);
	table_close(pg_class, AccessShareLock);
	return same;
}
