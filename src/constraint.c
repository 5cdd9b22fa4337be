/*-------------------------------------------------------------------------
 *
 * constraint.c
 *	  The constraints of published tables, as checks of the rows that are to
 *	  replace theirs.
 *
 * A constraint is read back as the server writes it in a dump, and parsed like a
 * check that a user has written; so it counts and shows what it finds, and is tested
 * in one scan with others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "constraint.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

static char *
title_of(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

/*
 * As in a dump: with nothing but pg_catalog in the search_path, all else is
 * qualified.  The server's function sees what the transaction's snapshot sees, and
 * that may be older than the constraint.
 */
static char *
definition_of(Oid constraint)
{
	LOCAL_FCINFO(fcinfo, 1);
	int			nestlevel = NewGUCNestLevel();
	Datum		definition;

	InitFunctionCallInfoData(*fcinfo, NULL, 1, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = ObjectIdGetDatum(constraint);
	fcinfo->args[0].isnull = false;
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	PushActiveSnapshot(GetTransactionSnapshot());
	definition = pg_get_constraintdef(fcinfo);
	PopActiveSnapshot();
	AtEOXact_GUC(false, nestlevel);
	if (fcinfo->isnull)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("constraint \"%s\" has been added since the run began",
						get_constraint_name(constraint)),
				 errhint("Run the pipeline again.")));
	return TextDatumGetCString(definition);
}

static RangeVar *
range_var_of(Oid relid)
{
	return makeRangeVar(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid), -1);
}

static StepCheck *
make_check(const char *definition, const char *name, Oid rows_of, Oid constraint_of)
{
	StepCheck  *check = stepcheck_parse_constraint(definition, get_rel_name(rows_of));

	check->table = range_var_of(rows_of);
	check->name = name ? pstrdup(name) : NULL;
	check->constraint_of = title_of(constraint_of);
	return check;
}

/* Has the staged table a column of that name and type? */
static bool
has_column(Oid published, AttrNumber attnum, Oid staged)
{
	char	   *name = get_attname(published, attnum, true);
	AttrNumber	other = name != NULL ? get_attnum(staged, name) : InvalidAttrNumber;

	return other > 0 && get_atttype(published, attnum) == get_atttype(staged, other);
}

/* The same for all columns of conkey or confkey. */
static bool
has_columns(HeapTuple tuple, AttrNumber key, Relation pg_constraint, Oid published, Oid staged)
{
	bool		isnull;
	Datum		array = heap_getattr(tuple, key, RelationGetDescr(pg_constraint), &isnull);
	Datum	   *attnums;
	int			n;

	if (isnull || published == staged)
		return true;
	deconstruct_array(DatumGetArrayTypeP(array), INT2OID, sizeof(int16), true, TYPALIGN_SHORT,
					  &attnums, NULL, &n);
	for (int i = 0; i < n; i++)
	{
		AttrNumber	attnum = DatumGetInt16(attnums[i]);

		/* 0: the whole row */
		if (attnum != 0 && !has_column(published, attnum, staged))
			return false;
	}
	return true;
}

/* Has the staged table this constraint itself, so that its rows were looked at? */
static bool
has_constraint(Oid staged, const char *name, const char *definition)
{
	Oid			same = get_relation_constraint_oid(staged, name, true);

	return OidIsValid(same) && strcmp(definition_of(same), definition) == 0;
}

static List *
not_nulls_of(Relation published, Oid staged)
{
	TupleDesc	desc = RelationGetDescr(published);
	List	   *checks = NIL;
	Relation	new = table_open(staged, AccessShareLock);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);
		const char *name = quote_identifier(NameStr(column->attname));
		AttrNumber	other;

		if (!column->attnotnull || column->attisdropped ||
			!has_column(RelationGetRelid(published), column->attnum, staged))
			continue;
		other = get_attnum(staged, NameStr(column->attname));
		if (!TupleDescAttr(RelationGetDescr(new), other - 1)->attnotnull)
			checks = lappend(checks, make_check(psprintf("NOT NULL (%s)", name), NULL, staged,
												RelationGetRelid(published)));
	}
	table_close(new, NoLock);
	return checks;
}

List *
constraint_referenced_by(Oid relid)
{
	Relation	pg_constraint = table_open(ConstraintRelationId, AccessShareLock);
	List	   *relids = NIL;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(pg_constraint, ConstraintRelidTypidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);

		if (form->contype == CONSTRAINT_FOREIGN && form->confrelid != relid)
			relids = list_append_unique_oid(relids, form->confrelid);
	}
	systable_endscan(scan);
	table_close(pg_constraint, AccessShareLock);

	return relids;
}

List *
constraint_of_published(Oid published, Oid staged, const List *replaced)
{
	Relation	old = try_table_open(published, AccessShareLock);
	Relation	pg_constraint;
	List	   *checks;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;

	if (old == NULL)
		return NIL;
	checks = not_nulls_of(old, staged);

	pg_constraint = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(published));
	scan = systable_beginscan(pg_constraint, ConstraintRelidTypidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
		bool		to_itself = form->confrelid == published;
		char	   *definition;
		StepCheck  *check;

		/* a foreign key to a partitioned table has one more for each partition */
		if (form->contype != CONSTRAINT_CHECK &&
			(form->contype != CONSTRAINT_FOREIGN || OidIsValid(form->conparentid) ||
			 list_member_oid(replaced, form->confrelid)))
			continue;
		if (!has_columns(tuple, Anum_pg_constraint_conkey, pg_constraint, published, staged) ||
			(to_itself &&
			 !has_columns(tuple, Anum_pg_constraint_confkey, pg_constraint, published, staged)))
			continue;
		definition = definition_of(form->oid);
		if (has_constraint(staged, NameStr(form->conname), definition))
			continue;
		check = make_check(definition, NameStr(form->conname), staged, published);
		if (to_itself)
			check->referenced = range_var_of(staged);
		if (!check->not_enforced)
			checks = lappend(checks, check);
	}
	systable_endscan(scan);
	table_close(pg_constraint, AccessShareLock);
	table_close(old, NoLock);

	return checks;
}

/* The staged table that takes the place of a table; else the table itself. */
static Oid
successor_of(Oid relid, const List *published, const List *staged)
{
	ListCell   *p;
	ListCell   *s;

	forboth(p, published, s, staged)
	{
		if (lfirst_oid(p) == relid)
			return lfirst_oid(s);
	}
	return relid;
}

List *
constraint_between_published(const List *published, const List *staged)
{
	Relation	pg_constraint;
	List	   *checks = NIL;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;

	if (published == NIL)
		return NIL;

	/* there is no index for the referenced side */
	pg_constraint = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_constraint_contype, BTEqualStrategyNumber, F_CHAREQ,
				CharGetDatum(CONSTRAINT_FOREIGN));
	scan = systable_beginscan(pg_constraint, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
		Oid			rows_of = successor_of(form->conrelid, published, staged);
		Oid			referenced = successor_of(form->confrelid, published, staged);
		StepCheck  *check;

		if (form->conrelid == form->confrelid || referenced == form->confrelid ||
			OidIsValid(form->conparentid) ||
			!has_columns(tuple, Anum_pg_constraint_conkey, pg_constraint, form->conrelid, rows_of) ||
			!has_columns(tuple, Anum_pg_constraint_confkey, pg_constraint, form->confrelid,
						 referenced))
			continue;
		check = make_check(definition_of(form->oid), NameStr(form->conname), rows_of,
						   form->conrelid);
		check->referenced = range_var_of(referenced);
		if (!check->not_enforced)
			checks = lappend(checks, check);
	}
	systable_endscan(scan);
	table_close(pg_constraint, AccessShareLock);

	return checks;
}
