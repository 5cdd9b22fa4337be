/*-------------------------------------------------------------------------
 *
 * dependants.c
 *	  What depends on a table or column that would have to go.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "table/dependants.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "base/names.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "table/table_shape.h"
#include "table/table_shape.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* A view is what people know; the server has its rule depend on the column. */
static char *
describe_dependant(Form_pg_depend depend)
{
	ObjectAddress object;

	ObjectAddressSubSet(object, depend->classid, depend->objid, depend->objsubid);
	if (depend->classid == RewriteRelationId)
	{
		Relation	pg_rewrite = table_open(RewriteRelationId, AccessShareLock);
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tuple;

		ScanKeyInit(&key, Anum_pg_rewrite_oid, BTEqualStrategyNumber, F_OIDEQ,
					ObjectIdGetDatum(depend->objid));
		scan = systable_beginscan(pg_rewrite, RewriteOidIndexId, true, NULL, 1, &key);
		if (HeapTupleIsValid(tuple = systable_getnext(scan)) &&
			strcmp(NameStr(((Form_pg_rewrite) GETSTRUCT(tuple))->rulename), "_RETURN") == 0)
			ObjectAddressSet(object, RelationRelationId,
							 ((Form_pg_rewrite) GETSTRUCT(tuple))->ev_class);
		systable_endscan(scan);
		table_close(pg_rewrite, AccessShareLock);
	}
	return names_describe(&object);
}

/*
 * Return true if the dependant goes when the object does, without CASCADE.  A constraint, for
 * one, depends in two ways on its columns.
 */
static bool
goes_along(Relation pg_depend, Form_pg_depend depend, AttrNumber attnum)
{
	bool		along = false;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(depend->classid));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(depend->objid));
	scan = systable_beginscan(pg_depend, DependDependerIndexId, true, NULL, 2, keys);
	while (!along && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend other = (Form_pg_depend) GETSTRUCT(tuple);

		along = other->refclassid == depend->refclassid && other->refobjid == depend->refobjid &&
			(attnum == 0 || other->refobjsubid == attnum) &&
			other->deptype != DEPENDENCY_NORMAL;
	}
	systable_endscan(scan);
	return along;
}

/* A foreign key, say, of one of these tables. */
static bool
is_constraint_of(Form_pg_depend depend, const List *tables)
{
	HeapTuple	tuple;
	bool		is_one;

	if (tables == NIL || depend->classid != ConstraintRelationId)
		return false;
	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(depend->objid));
	if (!HeapTupleIsValid(tuple))
		return false;
	is_one = list_member_oid(tables, ((Form_pg_constraint) GETSTRUCT(tuple))->conrelid);
	ReleaseSysCache(tuple);
	return is_one;
}

/*
 * What depends on an object and would keep DROP ... RESTRICT from dropping it,
 * as "x depends on y" lines that are not there yet.  attnum 0: the table or any of
 * its columns.  along: constraints of these tables go, too.  *first: the first
 * dependant that was ever found.
 */
static void
list_dependants(Oid classid, Oid objid, AttrNumber attnum, const List *along, StringInfo lines,
				char **first)
{
	Relation	pg_depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[3];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(classid));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(objid));
	ScanKeyInit(&keys[2], Anum_pg_depend_refobjsubid, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(attnum));
	scan = systable_beginscan(pg_depend, DependReferenceIndexId, true, NULL,
							  attnum != 0 ? 3 : 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend depend = (Form_pg_depend) GETSTRUCT(tuple);
		ObjectAddress object;
		char	   *line;
		char	   *dependant;

		if (depend->deptype != DEPENDENCY_NORMAL || goes_along(pg_depend, depend, attnum) ||
			is_constraint_of(depend, along))
			continue;
		dependant = describe_dependant(depend);
		if (dependant == NULL)
			continue;			/* dropped meanwhile */
		ObjectAddressSubSet(object, classid, objid, attnum);
		line = psprintf("%s depends on %s\n", dependant, names_describe(&object));
		if (strstr(lines->data, line) == NULL)
			appendStringInfoString(lines, line);
		if (*first == NULL)
			*first = dependant;
	}
	systable_endscan(scan);
	table_close(pg_depend, AccessShareLock);
}

void
dependants_check_columns(const TableShape *shape)
{
	StringInfoData lines;
	char	   *column = NULL;
	char	   *first = NULL;

	initStringInfo(&lines);
	for (int i = 0; i < shape->ncolumns; i++)
	{
		int			before = lines.len;

		if (shape->columns[i].fate != COLUMN_DROPPED)
			continue;
		list_dependants(RelationRelationId, shape->published, i + 1, NIL, &lines, &first);
		if (lines.len > before && column == NULL)
			column = shape->columns[i].name;
	}
	if (column == NULL)
		return;
	lines.data[--lines.len] = '\0';
	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("cannot drop column \"%s\" of table %s because %s depends on it",
					column, names_qualified(shape->published), first),
			 errdetail("%s", lines.data),
			 errhint("Drop these before the run and create them again after it, or let the step return its columns as before: in that order and of those types, new ones at the end.")));
}

void
dependants_check_table(Oid published)
{
	StringInfoData lines;
	char	   *first = NULL;
	List	   *relids;
	ListCell   *lc;

	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(published)))
		return;
	initStringInfo(&lines);
	relids = find_all_inheritors(published, NoLock, NULL);
	foreach(lc, relids)
	{
		Oid			type = get_rel_type_id(lfirst_oid(lc));
		Oid			array = OidIsValid(type) ? get_array_type(type) : InvalidOid;

		list_dependants(RelationRelationId, lfirst_oid(lc), 0, relids, &lines, &first);
		if (OidIsValid(type))
			list_dependants(TypeRelationId, type, 0, relids, &lines, &first);
		if (OidIsValid(array))
			list_dependants(TypeRelationId, array, 0, relids, &lines, &first);
	}
	if (lines.len == 0)
		return;
	lines.data[--lines.len] = '\0';
	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("cannot replace table %s by one that is partitioned otherwise because %s depends on it",
					names_qualified(published), first),
			 errdetail("%s", lines.data),
			 errhint("Drop these before the run and create them again after it, or leave the step's partitions as they were.")));
}
