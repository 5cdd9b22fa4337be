/*-------------------------------------------------------------------------
 *
 * adopt.c
 *	  Constraints and statistics objects of a published table, on the staged one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "adopt.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/xact.h"
#include "layout.h"
#include "nodes/bitmapset.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

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

/* Does the table have this CHECK constraint already? */
static bool
has_check(Relation relation, Node *expression)
{
	TupleConstr *constr = RelationGetDescr(relation)->constr;

	for (int i = 0; constr != NULL && i < constr->num_check; i++)
	{
		if (equal(stringToNode(constr->check[i].ccbin), expression))
			return true;
	}
	return false;
}

/* Which columns have to become NOT NULL: of char *. */
static List *
missing_not_nulls(Relation published, Relation staged)
{
	List	   *columns = NIL;

	for (int i = 0; i < RelationGetDescr(staged)->natts &&
		 i < RelationGetDescr(published)->natts; i++)
	{
		Form_pg_attribute theirs = TupleDescAttr(RelationGetDescr(published), i);
		Form_pg_attribute mine = TupleDescAttr(RelationGetDescr(staged), i);

		if (theirs->attnotnull && !mine->attisdropped && !mine->attnotnull)
			columns = lappend(columns, pstrdup(NameStr(mine->attname)));
	}
	return columns;
}

/* The CHECK constraints that are to be added: of Constraint *. */
static List *
missing_checks(Relation published, Relation staged)
{
	TupleConstr *constr = RelationGetDescr(published)->constr;
	List	   *checks = NIL;

	for (int i = 0; constr != NULL && i < constr->num_check; i++)
	{
		ConstrCheck *check = &constr->check[i];
		Node	   *expression = stringToNode(check->ccbin);
		Constraint *constraint;

		if (!ConstrCheckIsEnforcedCompat(check) || has_check(staged, expression) ||
			needs_gap(expression, staged, check->ccname))
			continue;
		constraint = makeNode(Constraint);
		constraint->contype = CONSTR_CHECK;
		constraint->conname = pstrdup(check->ccname);
		constraint->location = -1;
		constraint->cooked_expr = pstrdup(check->ccbin);
		constraint->initially_valid = true;
		ConstraintSetEnforcedCompat(constraint);
		checks = lappend(checks, constraint);
	}
	return checks;
}

static void
adopt_pair(Oid published, Oid staged)
{
	Relation	p = try_relation_open(published, AccessShareLock);
	Relation	s;
	List	   *commands = NIL;
	List	   *columns;
	List	   *checks;
	ListCell   *lc;

	if (p == NULL)
		return;
	s = table_open(staged, NoLock);
	columns = missing_not_nulls(p, s);
	checks = missing_checks(p, s);
	table_close(s, NoLock);
	relation_close(p, AccessShareLock);

	foreach(lc, columns)
	{
		AlterTableCmd *command = makeNode(AlterTableCmd);

		command->subtype = AT_SetNotNull;
		command->name = lfirst(lc);
		commands = lappend(commands, command);
	}
	foreach(lc, checks)
	{
		AlterTableCmd *command = makeNode(AlterTableCmd);

		command->subtype = AT_AddConstraint;
		command->def = lfirst(lc);
		commands = lappend(commands, command);
	}
	if (commands == NIL)
		return;
	layout_execute_alter(staged, commands);
}

void
adopt_constraints(Oid published, Oid staged)
{
	List	   *pairs;
	ListCell   *lc;

	PushActiveSnapshot(GetTransactionSnapshot());
	if (layout_compare(published, staged, &pairs) == LAYOUT_REPLACE)
		pairs = NIL;			/* altered meanwhile: publishing will see */

	/* partitions come after their tables, and have got most of it from them */
	foreach(lc, pairs)
		adopt_pair(((LayoutPair *) lfirst(lc))->published, ((LayoutPair *) lfirst(lc))->staged);
	PopActiveSnapshot();
}

char *
adopt_find_missing(Oid published, Oid staged)
{
	Relation	p = table_open(published, NoLock);
	Relation	s = table_open(staged, NoLock);
	List	   *columns = missing_not_nulls(p, s);
	List	   *checks = missing_checks(p, s);

	table_close(s, NoLock);
	table_close(p, NoLock);
	if (columns != NIL)
		return linitial(columns);
	if (checks != NIL)
		return linitial_node(Constraint, checks)->conname;
	return NULL;
}
