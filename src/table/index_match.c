/*-------------------------------------------------------------------------
 *
 * index_match.c
 *	  Indexes of a staged table and of the published one that it will stand in
 *	  for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "table/index_match.h"

#include "access/attmap.h"
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/names.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_utilcmd.h"
#include "table/column_settings.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* ---- comparing two indexes ---- */

static AttrMap *
identity_map(int natts)
{
	AttrMap    *map = make_attrmap(natts);

	for (int i = 0; i < natts; i++)
		map->attnums[i] = i + 1;
	return map;
}

static bool
same_exclusion(const IndexInfo *a, const IndexInfo *b)
{
	Size		size = sizeof(Oid) * a->ii_NumIndexKeyAttrs;

	if ((a->ii_ExclusionOps == NULL) != (b->ii_ExclusionOps == NULL))
		return false;
	return a->ii_ExclusionOps == NULL ||
		(a->ii_NumIndexKeyAttrs == b->ii_NumIndexKeyAttrs &&
		 memcmp(a->ii_ExclusionOps, b->ii_ExclusionOps, size) == 0);
}

/* Arrays of text, of the same kind or none. */
static bool
same_options(Datum a, bool a_is_null, Datum b, bool b_is_null)
{
	if (a_is_null || b_is_null)
		return a_is_null && b_is_null;
	return datum_image_eq(a, b, false, -1);
}

/* Operator classes, their options, ASC and DESC, NULLS FIRST and LAST. */
static bool
same_columns(Relation a, Relation b)
{
	int			nkeys = a->rd_index->indnkeyatts;
	bool		isnull;
	oidvector  *a_class = (oidvector *)
	DatumGetPointer(SysCacheGetAttr(INDEXRELID, a->rd_indextuple,
									Anum_pg_index_indclass, &isnull));
	oidvector  *b_class = (oidvector *)
	DatumGetPointer(SysCacheGetAttr(INDEXRELID, b->rd_indextuple,
									Anum_pg_index_indclass, &isnull));

	for (int i = 0; i < nkeys; i++)
	{
		Datum		a_options = get_attoptions(RelationGetRelid(a), i + 1);
		Datum		b_options = get_attoptions(RelationGetRelid(b), i + 1);

		if (a_class->values[i] != b_class->values[i] ||
			a->rd_indoption[i] != b->rd_indoption[i] ||
			!same_options(a_options, a_options == (Datum) 0, b_options, b_options == (Datum) 0))
			return false;
	}
	return true;
}

static bool
same_reloptions(Oid a, Oid b)
{
	HeapTuple	a_tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(a));
	HeapTuple	b_tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(b));
	Datum		a_options;
	Datum		b_options;
	bool		a_is_null;
	bool		b_is_null;
	bool		same;

	if (!HeapTupleIsValid(a_tuple) || !HeapTupleIsValid(b_tuple))
		elog(ERROR, "cache lookup failed for index %u or %u", a, b);
	a_options = SysCacheGetAttr(RELOID, a_tuple, Anum_pg_class_reloptions, &a_is_null);
	b_options = SysCacheGetAttr(RELOID, b_tuple, Anum_pg_class_reloptions, &b_is_null);
	same = same_options(a_options, a_is_null, b_options, b_is_null);
	ReleaseSysCache(a_tuple);
	ReleaseSysCache(b_tuple);
	return same;
}

/*
 * Return true if the files of the one would do for the other, storage parameters aside.  The
 * tables' columns are the same in number and place.
 */
static bool
same_definition(Relation a, Relation b, const AttrMap *map)
{
	IndexInfo  *a_info = BuildIndexInfo(a);
	IndexInfo  *b_info = BuildIndexInfo(b);

	if (!same_exclusion(a_info, b_info))
		return false;
	/* before 18 these compare as different in any case */
	a_info->ii_ExclusionOps = NULL;
	b_info->ii_ExclusionOps = NULL;
	return CompareIndexInfo(a_info, b_info, a->rd_indcollation, b->rd_indcollation,
							a->rd_opfamily, b->rd_opfamily, unconstify(AttrMap *, map)) &&
		same_columns(a, b);
}

/* ---- the indexes of a table ---- */

/* An index while pairs are looked for. */
typedef struct Candidate
{
	Relation	index;
	bool		own;			/* the step's, of a published table */
	bool		declared;		/* the step's, of a staged table */
	bool		taken;
} Candidate;

static bool
is_own(Relation index, const List *own)
{
	Oid			relid = RelationGetRelid(index);

	return names_contain(own, RelationGetRelationName(index)) &&
		!index->rd_index->indisreplident && !index->rd_index->indisclustered &&
		!OidIsValid(get_index_constraint(relid)) && get_index_ref_constraints(relid) == NIL;
}

/*
 * Open the indexes that stand for themselves: not the partitions of partitioned indexes.  own, of a
 * published table: the names of the step's, which come last, so that a user's that is the same has
 * the first choice.  declared, of a staged one: the OIDs of the step's.
 */
static List *
open_indexes(Relation table, const List *own, const List *declared)
{
	List	   *candidates = NIL;
	List	   *last = NIL;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(table))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		Candidate  *candidate;

		if (index->rd_rel->relispartition)
		{
			index_close(index, AccessShareLock);
			continue;
		}
		candidate = palloc0(sizeof(Candidate));
		candidate->index = index;
		candidate->own = is_own(index, own);
		candidate->declared = list_member_oid(declared, RelationGetRelid(index));
		if (candidate->own)
			last = lappend(last, candidate);
		else
			candidates = lappend(candidates, candidate);
	}
	return list_concat(candidates, last);
}

static void
close_indexes(List *candidates)
{
	ListCell   *lc;

	foreach(lc, candidates)
		index_close(((Candidate *) lfirst(lc))->index, AccessShareLock);
	list_free_deep(candidates);
}

/* Of which constraint is it: its type, and when that is checked. */
static void
constraint_of(Oid index, char *type, bool *deferrable, bool *deferred)
{
	Oid			constraint = get_index_constraint(index);
	HeapTuple	tuple;

	*type = '\0';
	*deferrable = *deferred = false;
	if (!OidIsValid(constraint))
		return;
	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint);
	*type = ((Form_pg_constraint) GETSTRUCT(tuple))->contype;
	*deferrable = ((Form_pg_constraint) GETSTRUCT(tuple))->condeferrable;
	*deferred = ((Form_pg_constraint) GETSTRUCT(tuple))->condeferred;
	ReleaseSysCache(tuple);
}

/* Return true if it could be in the place of a user's index when its table is gone. */
static bool
is_successor(Relation published, const Candidate *staged)
{
	char		types[2];
	bool		deferrable[2];
	bool		deferred[2];

	constraint_of(RelationGetRelid(published), &types[0], &deferrable[0], &deferred[0]);
	constraint_of(RelationGetRelid(staged->index), &types[1], &deferrable[1], &deferred[1]);
	return types[0] == types[1] && deferrable[0] == deferrable[1] && deferred[0] == deferred[1] &&
		!staged->declared;
}

/*
 * The staged index that is as the published one; NULL if there is none that is
 * free.  options: storage parameters must be the same, too.  successor: and it must
 * be able to succeed that.
 */
static Candidate *
find_same(Relation published, List *staged, const AttrMap *map, bool options, bool successor)
{
	ListCell   *lc;

	foreach(lc, staged)
	{
		Candidate  *candidate = lfirst(lc);

		if (candidate->taken || !same_definition(published, candidate->index, map))
			continue;
		if (successor && !is_successor(published, candidate))
			continue;
		if (options && !same_reloptions(RelationGetRelid(published),
										RelationGetRelid(candidate->index)))
			continue;
		return candidate;
	}
	return NULL;
}

/* ---- building ---- */

static void
error_context(void *arg)
{
	errcontext("index \"%s\" of the published table", (char *) arg);
}

/* Return true if the index needs a column that the staged table does not have. */
static bool
needs_gap(Relation index, Relation staged)
{
	IndexInfo  *info = BuildIndexInfo(index);
	Bitmapset  *attnums = NULL;
	int			attnum = -1;

	for (int i = 0; i < info->ii_NumIndexAttrs; i++)
	{
		if (info->ii_IndexAttrNumbers[i] > 0)
			attnums = bms_add_member(attnums, info->ii_IndexAttrNumbers[i] -
									 FirstLowInvalidHeapAttributeNumber);
	}
	pull_varattnos((Node *) info->ii_Expressions, 1, &attnums);
	pull_varattnos((Node *) info->ii_Predicate, 1, &attnums);
	while ((attnum = bms_next_member(attnums, attnum)) >= 0)
	{
		int			column = attnum + FirstLowInvalidHeapAttributeNumber;

		if (column > RelationGetDescr(staged)->natts ||
			(column > 0 && TupleDescAttr(RelationGetDescr(staged), column - 1)->attisdropped))
			return true;
	}
	return false;
}

/*
 * CREATE INDEX after the model of the published one.  Where this stays, only what
 * its index has to say is kept of a constraint; but without one there is no exclusion.
 */
static void
build_one(Oid published, Oid staged, const AttrMap *map, bool replaces)
{
	ObjectAddress address;
	char	   *table = names_relation(staged);
	Relation	relation = index_open(published, AccessShareLock);
	ErrorContextCallback callback;
	IndexStmt  *index;

	callback.callback = error_context;
	callback.arg = pstrdup(RelationGetRelationName(relation));
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	index = generateClonedIndexStmt(makeRangeVar(names_schema(get_rel_namespace(staged)),
												 table, -1),
									relation, map, NULL);
	index_close(relation, AccessShareLock);
	/* the published one's name, so that errors name what people know */
	index->idxname = names_free(names_relation(published), get_rel_namespace(staged), InvalidOid);
	index->idxcomment = NULL;
	if (!replaces && index->excludeOpNames == NIL)
	{
		index->primary = false;
		index->isconstraint = false;
		index->deferrable = false;
		index->initdeferred = false;
	}
	address = DefineIndexCompat(staged, index);
	CommandCounterIncrement();
	if (replaces)
		column_settings_copy_all(published, address.objectId);
	error_context_stack = callback.previous;
}

/* An index, or the constraint that it goes with. */
static void
add_index(ObjectAddresses *objects, Oid index)
{
	Oid			constraint = get_index_constraint(index);
	ObjectAddress object;

	if (OidIsValid(constraint))
		ObjectAddressSet(object, ConstraintRelationId, constraint);
	else
		ObjectAddressSet(object, RelationRelationId, index);
	add_exact_object_address(&object, objects);
}

/*
 * Which indexes the staged table still has to get.  *surplus: those that it has
 * because the step asks for them, and that the published table has with other
 * storage parameters: these were changed there, and it is they that count.  Where it
 * replaces the published table, also those that this has as its user's, and those
 * that this has no more.
 */
static List *
find_missing(Relation published, Relation staged, const AttrMap *map, const List *own,
			 const List *declared, bool replaces, ObjectAddresses *surplus)
{
	List	   *mine = open_indexes(staged, NIL, declared);
	List	   *theirs = open_indexes(published, own, NIL);
	List	   *missing = NIL;
	ListCell   *lc;

	foreach(lc, theirs)
	{
		Candidate  *candidate = lfirst(lc);
		Candidate  *same = find_same(candidate->index, mine, map, true,
									 replaces && !candidate->own);
		Candidate  *similar = find_same(candidate->index, mine, map, false, false);

		if (same != NULL)
		{
			same->taken = true;
			continue;
		}
		if (needs_gap(candidate->index, staged) || (candidate->own && similar == NULL))
			continue;
		if (similar != NULL && similar->declared)
		{
			similar->taken = true;
			add_index(surplus, RelationGetRelid(similar->index));
		}
		missing = lappend_oid(missing, RelationGetRelid(candidate->index));
	}
	foreach(lc, mine)
	{
		Candidate  *candidate = lfirst(lc);

		if (replaces && !candidate->taken && !candidate->declared)
			add_index(surplus, RelationGetRelid(candidate->index));
	}
	close_indexes(mine);
	close_indexes(theirs);
	return missing;
}

static void
build_missing(Oid published, Oid staged, const List *own, const List *declared, bool replaces)
{
	Relation	p = try_relation_open(published, AccessShareLock);
	ObjectAddresses *surplus = new_object_addresses();
	List	   *missing;
	AttrMap    *map;
	Relation	s;
	ListCell   *lc;

	if (p == NULL)
		return;					/* dropped meanwhile: publishing will see */
	s = table_open(staged, NoLock);
	map = identity_map(RelationGetDescr(s)->natts);
	missing = find_missing(p, s, map, own, declared, replaces, surplus);
	table_close(s, NoLock);		/* CREATE INDEX wants nobody to use it */

	performMultipleDeletions(surplus, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	CommandCounterIncrement();
	foreach(lc, missing)
		build_one(lfirst_oid(lc), staged, map, replaces);
	free_object_addresses(surplus);
	free_attrmap(map);
	relation_close(p, AccessShareLock);
}

void
index_match_build(Oid published, Oid staged, const List *own, const List *declared)
{
	List	   *pairs;
	ShapeFit	fit;
	ListCell   *lc;

	PushActiveSnapshot(GetTransactionSnapshot());
	fit = table_shape_compare(published, staged, &pairs);
	foreach(lc, pairs)
		build_missing(((TablePair *) lfirst(lc))->published,
					  ((TablePair *) lfirst(lc))->staged, own, declared, fit == SHAPE_REPLACE);
	PopActiveSnapshot();
}

/* ---- pairing ---- */

static void
add_twin(List **twins, Oid published, Oid staged)
{
	IndexPair  *twin = palloc(sizeof(IndexPair));

	twin->published = published;
	twin->staged = staged;
	*twins = lappend(*twins, twin);
}

/*
 * The partitions of partitioned indexes, on partitions of tables, which come
 * after the tables in pairs.  Where the partitioned index is new, or goes, they
 * do the same.
 */
static void
pair_partitions(const List *pairs, const IndexPair *parent, List **twins)
{
	ListCell   *lc;

	for_each_from(lc, pairs, 1)
	{
		TablePair  *pair = lfirst(lc);
		Oid			published = InvalidOid;
		Oid			staged = InvalidOid;
		Relation	partition;

		if (OidIsValid(parent->published))
		{
			partition = table_open(pair->published, NoLock);
			published = index_get_partition(partition, parent->published);
			table_close(partition, NoLock);
			if (!OidIsValid(published))
				ereport(ERROR,
						(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						 errmsg("index \"%s\" is not valid, because not all partitions have it",
								names_relation(parent->published)),
						 errhint("Drop it, or create and attach the missing indexes.")));
		}
		if (OidIsValid(parent->staged))
		{
			partition = table_open(pair->staged, NoLock);
			staged = index_get_partition(partition, parent->staged);
			table_close(partition, NoLock);
		}
		add_twin(twins, published, staged);
	}
}

static void
pair_table(const List *pairs, const TablePair *pair, const List *own, const List *declared,
		   bool replaces, List **twins, Oid *missing)
{
	Relation	p = table_open(pair->published, NoLock);
	Relation	s = table_open(pair->staged, NoLock);
	AttrMap    *map = identity_map(RelationGetDescr(s)->natts);
	List	   *theirs = open_indexes(p, own, NIL);
	List	   *mine = open_indexes(s, NIL, declared);
	List	   *found = NIL;
	ListCell   *lc;

	foreach(lc, theirs)
	{
		Candidate  *candidate = lfirst(lc);
		Relation	index = candidate->index;
		Candidate  *same = find_same(index, mine, map, true, replaces && !candidate->own);

		if (same != NULL)
		{
			same->taken = true;
			add_twin(&found, RelationGetRelid(index), RelationGetRelid(same->index));
		}
		else if (candidate->own)
			add_twin(&found, RelationGetRelid(index), InvalidOid);
		else if (!replaces || !needs_gap(index, s))
			*missing = RelationGetRelid(index);
	}
	foreach(lc, mine)
	{
		Candidate  *candidate = lfirst(lc);

		if (candidate->taken)
			continue;
		/* others are left over: the published one was dropped meanwhile */
		if (candidate->declared)
			add_twin(&found, InvalidOid, RelationGetRelid(candidate->index));
		else if (replaces)
			*missing = RelationGetRelid(candidate->index);
	}
	close_indexes(mine);
	close_indexes(theirs);
	free_attrmap(map);

	foreach(lc, found)
	{
		*twins = lappend(*twins, lfirst(lc));
		if (p->rd_rel->relkind == RELKIND_PARTITIONED_TABLE && !replaces)
			pair_partitions(pairs, lfirst(lc), twins);
	}
	table_close(s, NoLock);
	table_close(p, NoLock);
}

List *
index_match_pair(const List *pairs, const List *own, const List *declared, bool replaces,
				 Oid *missing)
{
	List	   *twins = NIL;
	ListCell   *lc;

	*missing = InvalidOid;
	foreach(lc, pairs)
		pair_table(pairs, lfirst(lc), own, declared, replaces, &twins, missing);
	return twins;
}
