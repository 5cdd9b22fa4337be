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

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "base/names.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "table/alter_table.h"
#include "table/relation_attrs.h"
#include "table/table_shape.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* Return true if the table has this CHECK constraint already, under this name. */
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
		return alter_table_command(AT_SetNotNull, column, NULL);
	constraint = MakeNotNullConstraintCompat(column);
	constraint->conname = pstrdup(NameStr(((Form_pg_constraint) GETSTRUCT(tuple))->conname));
	return alter_table_command(AT_AddConstraint, NULL, (Node *) constraint);
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
							   alter_table_command(AT_DropNotNull, NameStr(mine->attname),
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
							   alter_table_command(AT_DropConstraint,
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
			table_shape_lacks_column(staged, expression, check->ccname))
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
		commands = lappend(commands, alter_table_command(AT_AddConstraint, NULL,
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
	alter_table_execute(relid, commands);
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
copy_constraints(Oid published, Oid staged)
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
copy_constraints_are_complete(Oid published, Oid staged, bool exactly)
{
	Relation	p = table_open(published, NoLock);
	Relation	s = table_open(staged, NoLock);
	bool		complete = missing_not_nulls(p, s, exactly) == NIL &&
	missing_checks(p, s) == NIL && (!exactly || surplus_checks(p, s) == NIL);

	table_close(s, NoLock);
	table_close(p, NoLock);
	return complete;
}
