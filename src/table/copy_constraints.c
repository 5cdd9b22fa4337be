/*-------------------------------------------------------------------------
 *
 * copy_constraints.c
 *	  Constraints and statistics objects of a published table, on the staged one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "table/copy_constraints.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/xact.h"
#include "base/names.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_statistic_ext_data.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/bitmapset.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parser.h"
#include "table/relation_attrs.h"
#include "table/table_shape.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/*
 * Does an expression of the published table need a column that the staged one
 * does not have?  Such a constraint goes with the column.
 */
static bool
needs_gap(Node *expression, Relation staged, const char *constraint)
{
	Bitmapset  *attnums = NULL;
	int			attnum = -1;

	pull_varattnos(expression, 1, &attnums);
	while ((attnum = bms_next_member(attnums, attnum)) >= 0)
	{
		int			column = attnum + FirstLowInvalidHeapAttributeNumber;

		if (column == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("constraint \"%s\" of the published table refers to the whole row",
							constraint),
					 errhint("Write it with the names of columns.")));
		if (column > RelationGetDescr(staged)->natts ||
			(column > 0 && TupleDescAttr(RelationGetDescr(staged), column - 1)->attisdropped))
			return true;
	}
	return false;
}

/* Does the table have this CHECK constraint already, under this name? */
static bool
has_check(Relation relation, const char *name, Node *expression)
{
	TupleConstr *constr = RelationGetDescr(relation)->constr;

	for (int i = 0; constr != NULL && i < constr->num_check; i++)
	{
		if (strcmp(constr->check[i].ccname, name) == 0 &&
			equal(stringToNode(constr->check[i].ccbin), expression))
			return true;
	}
	return false;
}

/* A column becomes NOT NULL, from 18 on by a constraint of the same name. */
static AlterTableCmd *
set_not_null(Relation published, AttrNumber attnum, const char *column)
{
	HeapTuple	tuple = FindNotNullConstraintCompat(RelationGetRelid(published), attnum);
	Constraint *constraint;

	if (tuple == NULL)
		return table_shape_alter_command(AT_SetNotNull, column, NULL);
	constraint = MakeNotNullConstraintCompat(column);
	constraint->conname = pstrdup(NameStr(((Form_pg_constraint) GETSTRUCT(tuple))->conname));
	return table_shape_alter_command(AT_AddConstraint, NULL, (Node *) constraint);
}

/*
 * What makes columns NOT NULL that have to be: of AlterTableCmd *.  exactly: and no
 * others.
 */
static List *
missing_not_nulls(Relation published, Relation staged, bool exactly)
{
	List	   *commands = NIL;

	for (int i = 0; i < RelationGetDescr(staged)->natts &&
		 i < RelationGetDescr(published)->natts; i++)
	{
		Form_pg_attribute theirs = TupleDescAttr(RelationGetDescr(published), i);
		Form_pg_attribute mine = TupleDescAttr(RelationGetDescr(staged), i);

		if (mine->attisdropped || theirs->attisdropped || theirs->attnotnull == mine->attnotnull)
			continue;
		if (theirs->attnotnull)
			commands = lappend(commands, set_not_null(published, i + 1, NameStr(mine->attname)));
		else if (exactly)
			commands = lappend(commands,
							   table_shape_alter_command(AT_DropNotNull, NameStr(mine->attname),
														 NULL));
	}
	return commands;
}

/* What drops those that the published table has no more: of AlterTableCmd *. */
static List *
surplus_checks(Relation published, Relation staged)
{
	TupleConstr *constr = RelationGetDescr(staged)->constr;
	List	   *commands = NIL;

	for (int i = 0; constr != NULL && i < constr->num_check; i++)
	{
		if (!has_check(published, constr->check[i].ccname, stringToNode(constr->check[i].ccbin)))
			commands = lappend(commands,
							   table_shape_alter_command(AT_DropConstraint,
														 constr->check[i].ccname, NULL));
	}
	return commands;
}

/* What adds the CHECK constraints that are missing: of AlterTableCmd *. */
static List *
missing_checks(Relation published, Relation staged)
{
	TupleConstr *constr = RelationGetDescr(published)->constr;
	List	   *commands = NIL;

	for (int i = 0; constr != NULL && i < constr->num_check; i++)
	{
		ConstrCheck *check = &constr->check[i];
		Node	   *expression = stringToNode(check->ccbin);
		Constraint *constraint;

		if (!ConstrCheckIsEnforcedCompat(check) || has_check(staged, check->ccname, expression) ||
			needs_gap(expression, staged, check->ccname))
			continue;
		constraint = makeNode(Constraint);
		constraint->contype = CONSTR_CHECK;
		constraint->conname = pstrdup(check->ccname);
		constraint->location = -1;
		constraint->cooked_expr = pstrdup(check->ccbin);
		constraint->initially_valid = true;
		/* a partitioned table cannot have it, and all that inherits is its partitions */
		constraint->is_no_inherit = check->ccnoinherit &&
			staged->rd_rel->relkind != RELKIND_PARTITIONED_TABLE;
		ConstraintSetEnforcedCompat(constraint);
		commands = lappend(commands, table_shape_alter_command(AT_AddConstraint, NULL,
															   (Node *) constraint));
	}
	return commands;
}

/*
 * What the published table's owner has written, in CHECKs, indexes and statistics
 * objects, is evaluated as that role, not as the pipeline's: CREATE INDEX and ANALYZE
 * do so of themselves, for the owner of the table that they work on.
 */
static void
hand_over(Oid published, Oid staged)
{
	Oid			owner;
	ListCell   *lc;

	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(published)) ||
		!COMPAT_CLASS_OWNERCHECK(published, GetUserId()))
		return;					/* publishing will see */
	owner = relation_attrs_owner(published);
	foreach(lc, find_all_inheritors(published, NoLock, NULL))
	{
		if (relation_attrs_owner(lfirst_oid(lc)) != owner)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("partition \"%s\" has another owner than the table \"%s\"",
							names_relation(lfirst_oid(lc)), names_relation(published)),
					 errdetail("What the one has defined would be executed as the other."),
					 errhint("ALTER TABLE ... OWNER TO the same role.")));
	}
	foreach(lc, find_all_inheritors(staged, NoLock, NULL))
		relation_attrs_give(lfirst_oid(lc), owner);
}

static void
alter_as_owner(Oid relid, List *commands)
{
	Oid			user;
	int			context;
	int			nestlevel = NewGUCNestLevel();

	GetUserIdAndSecContext(&user, &context);
	if (relation_attrs_owner(relid) != user)
		SetUserIdAndSecContext(relation_attrs_owner(relid),
							   context | SECURITY_RESTRICTED_OPERATION);
	table_shape_execute_alter(relid, commands);
	SetUserIdAndSecContext(user, context);
	AtEOXact_GUC(false, nestlevel);
}

static void
copy_constraints_pair(Oid published, Oid staged, bool exactly)
{
	Relation	p = try_relation_open(published, AccessShareLock);
	Relation	s;
	List	   *surplus;
	List	   *missing;

	if (p == NULL)
		return;
	s = table_open(staged, NoLock);
	surplus = exactly ? surplus_checks(p, s) : NIL;
	missing = list_concat(missing_not_nulls(p, s, exactly), missing_checks(p, s));
	table_close(s, NoLock);
	relation_close(p, AccessShareLock);

	/* by itself, as names become free */
	if (surplus != NIL)
		alter_as_owner(staged, surplus);
	if (missing != NIL)
		alter_as_owner(staged, missing);
}

void
copy_constraints_constraints(Oid published, Oid staged)
{
	List	   *pairs;
	ShapeFit	fit;
	ListCell   *lc;

	PushActiveSnapshot(GetTransactionSnapshot());
	hand_over(published, staged);
	fit = table_shape_compare(published, staged, &pairs);

	/* partitions come after their tables, and have got most of it from them */
	foreach(lc, pairs)
		copy_constraints_pair(((TablePair *) lfirst(lc))->published,
							  ((TablePair *) lfirst(lc))->staged,
							  fit == SHAPE_REPLACE);
	PopActiveSnapshot();
}

bool
copy_constraints_is_complete(Oid published, Oid staged, bool exactly)
{
	Relation	p = table_open(published, NoLock);
	Relation	s = table_open(staged, NoLock);
	bool		complete = missing_not_nulls(p, s, exactly) == NIL &&
	missing_checks(p, s) == NIL && (!exactly || surplus_checks(p, s) == NIL);

	table_close(s, NoLock);
	table_close(p, NoLock);
	return complete;
}

/* ---- statistics objects ---- */

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
	table_shape_execute_utility((Node *) create, text);
	copy_target(statistics, llast_oid(statistics_of(staged)));
}

/* Are all columns there that a statistics object is about? */
static bool
can_have_statistics(Oid statistics, Relation staged)
{
	HeapTuple	tuple = SearchSysCache1(STATEXTOID, ObjectIdGetDatum(statistics));
	int2vector *keys;
	bool		can = true;
	bool		isnull;
	Datum		expressions;

	if (!HeapTupleIsValid(tuple))
		return false;
	keys = &((Form_pg_statistic_ext) GETSTRUCT(tuple))->stxkeys;
	for (int i = 0; i < keys->dim1; i++)
	{
		if (keys->values[i] > RelationGetDescr(staged)->natts ||
			TupleDescAttr(RelationGetDescr(staged), keys->values[i] - 1)->attisdropped)
			can = false;
	}
	expressions = SysCacheGetAttr(STATEXTOID, tuple, Anum_pg_statistic_ext_stxexprs, &isnull);
	if (can && !isnull)
		can = !needs_gap(stringToNode(TextDatumGetCString(expressions)), staged,
						 NameStr(((Form_pg_statistic_ext) GETSTRUCT(tuple))->stxname));
	ReleaseSysCache(tuple);
	return can;
}

void
copy_constraints_statistics(Oid published, Oid staged)
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
copy_constraints_hand_over_statistics(Oid published, Oid staged)
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
copy_constraints_move_statistics(Oid published, Oid staged)
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
