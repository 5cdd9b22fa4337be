/*-------------------------------------------------------------------------
 *
 * copy_statistics.c
 *	  Statistics objects of a published table, on the staged one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "table/copy_statistics.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/names.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_statistic_ext_data.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "parser/parser.h"
#include "table/alter_table.h"
#include "table/table_shape.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* What tells a statistics object from others of its table, its name apart. */
static bool
same_statistics(HeapTuple a, HeapTuple b)
{
	static const AttrNumber columns[] = {
		Anum_pg_statistic_ext_stxkeys, Anum_pg_statistic_ext_stxkind,
		Anum_pg_statistic_ext_stxexprs
	};

	for (int i = 0; i < (int) lengthof(columns); i++)
	{
		bool		nulls[2];
		Datum		x = SysCacheGetAttr(STATEXTOID, a, columns[i], &nulls[0]);
		Datum		y = SysCacheGetAttr(STATEXTOID, b, columns[i], &nulls[1]);

		if (nulls[0] != nulls[1])
			return false;
		if (nulls[0])
			continue;
		if (columns[i] == Anum_pg_statistic_ext_stxexprs)
		{
			if (!equal(stringToNode(TextDatumGetCString(x)), stringToNode(TextDatumGetCString(y))))
				return false;
		}
		else if (!datum_image_eq(x, y, false, -1))
			return false;
	}
	return true;
}

/* The one of these (of Oid) that is like another; InvalidOid: there is none. */
static Oid
find_same_statistics(Oid statistics, const List *others)
{
	HeapTuple	tuple = SearchSysCache1(STATEXTOID, ObjectIdGetDatum(statistics));
	Oid			found = InvalidOid;
	ListCell   *lc;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;		/* dropped meanwhile */
	foreach(lc, others)
	{
		HeapTuple	other = SearchSysCache1(STATEXTOID, ObjectIdGetDatum(lfirst_oid(lc)));

		if (!HeapTupleIsValid(other))
			continue;
		if (same_statistics(tuple, other))
			found = lfirst_oid(lc);
		ReleaseSysCache(other);
	}
	ReleaseSysCache(tuple);
	return found;
}

static List *
statistics_of(Oid relid)
{
	Relation	relation = try_relation_open(relid, AccessShareLock);
	List	   *statistics;

	if (relation == NULL)
		return NIL;				/* dropped meanwhile */
	statistics = list_copy(RelationGetStatExtList(relation));
	relation_close(relation, AccessShareLock);
	return statistics;
}

/* The target of one becomes that of another. */
static void
copy_target(Oid from, Oid to)
{
	Relation	pg_statistic_ext = table_open(StatisticExtRelationId, RowExclusiveLock);
	HeapTuple	source = SearchSysCache1(STATEXTOID, ObjectIdGetDatum(from));
	HeapTuple	tuple = SearchSysCacheCopy1(STATEXTOID, ObjectIdGetDatum(to));
	Datum		values[Natts_pg_statistic_ext] = {0};
	bool		nulls[Natts_pg_statistic_ext] = {0};
	bool		replaces[Natts_pg_statistic_ext] = {0};
	int			k = Anum_pg_statistic_ext_stxstattarget - 1;

	if (!HeapTupleIsValid(source) || !HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for statistics object %u or %u", from, to);
	values[k] = SysCacheGetAttr(STATEXTOID, source, k + 1, &nulls[k]);
	replaces[k] = true;
	tuple = heap_modify_tuple(tuple, RelationGetDescr(pg_statistic_ext), values, nulls, replaces);
	CatalogTupleUpdate(pg_statistic_ext, &tuple->t_self, tuple);
	ReleaseSysCache(source);
	table_close(pg_statistic_ext, RowExclusiveLock);
	CommandCounterIncrement();
}

/*
 * The server's own text of its definition, parsed and pointed at the staged table.
 * The name is left to the server.
 */
static void
create_statistics(Oid statistics, Oid staged)
{
	char	   *text = pg_get_statisticsobjdef_string(statistics);
	RawStmt    *raw = linitial_node(RawStmt, raw_parser(text, RAW_PARSE_DEFAULT));
	CreateStatsStmt *create = castNode(CreateStatsStmt, raw->stmt);

	create->defnames = NIL;
	create->relations = list_make1(makeRangeVar(names_schema(get_rel_namespace(staged)),
												names_relation(staged), -1));
	alter_table_execute_utility((Node *) create, text);
	copy_target(statistics, llast_oid(statistics_of(staged)));
}

/* Return true if all columns are there that a statistics object is about. */
static bool
can_have_statistics(Oid statistics, Relation staged)
{
	HeapTuple	tuple = SearchSysCache1(STATEXTOID, ObjectIdGetDatum(statistics));
	Form_pg_statistic_ext form;
	int2vector *keys;
	bool		can = true;
	bool		isnull;
	Datum		expressions;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_statistic_ext) GETSTRUCT(tuple);
	keys = &form->stxkeys;
	for (int i = 0; i < keys->dim1; i++)
	{
		if (keys->values[i] > RelationGetDescr(staged)->natts ||
			TupleDescAttr(RelationGetDescr(staged), keys->values[i] - 1)->attisdropped)
			can = false;
	}
	expressions = SysCacheGetAttr(STATEXTOID, tuple, Anum_pg_statistic_ext_stxexprs, &isnull);
	if (can && !isnull)
		can = !table_shape_lacks_column(staged, stringToNode(TextDatumGetCString(expressions)),
										NameStr(form->stxname));
	ReleaseSysCache(tuple);
	return can;
}

void
copy_statistics(Oid published, Oid staged)
{
	List	   *pairs;
	ListCell   *lc;

	PushActiveSnapshot(GetTransactionSnapshot());
	(void) table_shape_compare(published, staged, &pairs);
	foreach(lc, pairs)
	{
		TablePair  *pair = lfirst(lc);
		ListCell   *lc2;

		foreach(lc2, statistics_of(pair->published))
		{
			Relation	relation = table_open(pair->staged, NoLock);
			bool		can = can_have_statistics(lfirst_oid(lc2), relation);

			table_close(relation, NoLock);
			if (can)
				create_statistics(lfirst_oid(lc2), pair->staged);
		}
	}
	PopActiveSnapshot();
}

/* What is known for one statistics object becomes known for another. */
static void
copy_statistics_data(Relation data, CatalogIndexState indexes, Oid from, Oid to)
{
	for (int inherit = 0; inherit < 2; inherit++)
	{
		Datum		values[Natts_pg_statistic_ext_data] = {0};
		bool		nulls[Natts_pg_statistic_ext_data] = {0};
		bool		replaces[Natts_pg_statistic_ext_data] = {0};
		HeapTuple	tuple;

		RemoveStatisticsDataById(to, inherit != 0);
		tuple = SearchSysCache2(STATEXTDATASTXOID, ObjectIdGetDatum(from),
								BoolGetDatum(inherit != 0));
		if (!HeapTupleIsValid(tuple))
			continue;
		values[Anum_pg_statistic_ext_data_stxoid - 1] = ObjectIdGetDatum(to);
		replaces[Anum_pg_statistic_ext_data_stxoid - 1] = true;
		CatalogTupleInsertWithInfo(data,
								   heap_modify_tuple(tuple, RelationGetDescr(data),
													 values, nulls, replaces),
								   indexes);
		ReleaseSysCache(tuple);
	}
}

void
copy_statistics_data_to(Oid published, Oid staged)
{
	List	   *theirs = statistics_of(published);
	List	   *mine;
	Relation	data;
	CatalogIndexState indexes;
	ListCell   *lc;

	if (theirs == NIL)
		return;
	mine = statistics_of(staged);
	data = table_open(StatisticExtDataRelationId, RowExclusiveLock);
	indexes = CatalogOpenIndexes(data);
	foreach(lc, theirs)
		copy_statistics_data(data, indexes, find_same_statistics(lfirst_oid(lc), mine),
							 lfirst_oid(lc));
	CatalogCloseIndexes(indexes);
	table_close(data, RowExclusiveLock);
}

void
copy_statistics_move(Oid published, Oid staged)
{
	Relation	pg_statistic_ext = table_open(StatisticExtRelationId, RowExclusiveLock);
	ListCell   *lc;

	foreach(lc, statistics_of(published))
	{
		Relation	relation = table_open(staged, NoLock);
		bool		can = can_have_statistics(lfirst_oid(lc), relation);
		HeapTuple	tuple;

		table_close(relation, NoLock);
		if (!can)
			continue;			/* goes with its column */
		tuple = SearchSysCacheCopy1(STATEXTOID, ObjectIdGetDatum(lfirst_oid(lc)));
		((Form_pg_statistic_ext) GETSTRUCT(tuple))->stxrelid = staged;
		CatalogTupleUpdate(pg_statistic_ext, &tuple->t_self, tuple);
		if (changeDependencyFor(StatisticExtRelationId, lfirst_oid(lc), RelationRelationId,
								published, staged) < 1)
			elog(ERROR, "statistics object %u does not depend on its table", lfirst_oid(lc));
	}
	table_close(pg_statistic_ext, RowExclusiveLock);
	CacheInvalidateRelcacheByRelid(published);
	CacheInvalidateRelcacheByRelid(staged);
	CommandCounterIncrement();
}
