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
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
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
 * Return true if an object is in the schema, or one of this session's temporary ones: itself, or as
 * a part of a relation that is.
 */
static bool
is_in_schema(Relation pg_depend, Form_pg_depend depend, Oid schema)
{
	ObjectAddress object;
	bool		inside = false;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ObjectAddressSet(object, depend->classid, depend->objid);
	if (get_object_attnum_namespace(depend->classid) != InvalidAttrNumber)
	{
		Oid			namespace = get_object_namespace(&object);

		return namespace == schema || isTempNamespace(namespace);
	}
	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(depend->classid));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(depend->objid));
	scan = systable_beginscan(pg_depend, DependDependerIndexId, true, NULL, 2, keys);
	while (!inside && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend whole = (Form_pg_depend) GETSTRUCT(tuple);

		inside = whole->deptype != DEPENDENCY_NORMAL &&
			whole->refclassid == RelationRelationId &&
			(get_rel_namespace(whole->refobjid) == schema ||
			 isTempNamespace(get_rel_namespace(whole->refobjid)));
	}
	systable_endscan(scan);
	return inside;
}

/* What is looked for, and what was found. */
typedef struct Dependants
{
	const List *along;			/* of Oid: constraints of these tables go, too */
	Oid			inside;			/* what is in this schema is none; InvalidOid: all are */
	StringInfoData lines;		/* "x depends on y", each once, with a line feed */
	char	   *first;			/* the first x; NULL: there is none */
}			Dependants;

/*
 * List what depends on an object and would keep DROP ... RESTRICT from dropping it.  attnum 0: the
 * table or any of its columns.
 */
static void
list_dependants(Oid classid, Oid objid, AttrNumber attnum, Dependants * found)
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
			is_constraint_of(depend, found->along) ||
			(OidIsValid(found->inside) && is_in_schema(pg_depend, depend, found->inside)))
			continue;
		dependant = describe_dependant(depend);
		if (dependant == NULL)
			continue;			/* dropped meanwhile */
		ObjectAddressSubSet(object, classid, objid, attnum);
		line = psprintf("%s depends on %s\n", dependant, names_describe(&object));
		if (strstr(found->lines.data, line) == NULL)
			appendStringInfoString(&found->lines, line);
		if (found->first == NULL)
			found->first = dependant;
	}
	systable_endscan(scan);
	table_close(pg_depend, AccessShareLock);
}

/* Return the lines without the last line feed. */
static char *
take_lines(Dependants * found)
{
	found->lines.data[--found->lines.len] = '\0';
	return found->lines.data;
}

void
dependants_check_columns(const TableShape *shape)
{
	Dependants	found = {0};
	char	   *column = NULL;

	initStringInfo(&found.lines);
	for (int i = 0; i < shape->ncolumns; i++)
	{
		if (shape->columns[i].fate != COLUMN_DROPPED)
			continue;
		list_dependants(RelationRelationId, shape->published, i + 1, &found);
		if (found.first != NULL && column == NULL)
			column = shape->columns[i].name;
	}
	if (column == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("cannot drop column \"%s\" of table %s because %s depends on it",
					column, names_qualified(shape->published), found.first),
			 errdetail("%s", take_lines(&found)),
			 errhint("Drop these before the run and create them again after it, or let the step return its columns as before: in that order and of those types, new ones at the end.")));
}

/* The same for tables, all of their columns, and their row types. */
static void
list_dependants_of_tables(const List *relids, Dependants * found)
{
	ListCell   *lc;

	initStringInfo(&found->lines);
	foreach(lc, relids)
	{
		Oid			type = get_rel_type_id(lfirst_oid(lc));
		Oid			array = OidIsValid(type) ? get_array_type(type) : InvalidOid;

		list_dependants(RelationRelationId, lfirst_oid(lc), 0, found);
		if (OidIsValid(type))
			list_dependants(TypeRelationId, type, 0, found);
		if (OidIsValid(array))
			list_dependants(TypeRelationId, array, 0, found);
	}
}

void
dependants_check_table(Oid published)
{
	Dependants	found = {0};
	List	   *relids;

	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(published)))
		return;
	relids = find_all_inheritors(published, NoLock, NULL);
	found.along = relids;
	list_dependants_of_tables(relids, &found);
	if (found.first == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("cannot replace table %s by one that is partitioned otherwise because %s depends on it",
					names_qualified(published), found.first),
			 errdetail("%s", take_lines(&found)),
			 errhint("Drop these before the run and create them again after it, or leave the step's partitions as they were.")));
}

void
dependants_check_staged(Oid relid, Oid staging)
{
	Dependants	found = {.inside = staging};

	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
		return;
	list_dependants_of_tables(find_all_inheritors(relid, NoLock, NULL), &found);
	if (found.first == NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("%s depends on what a run has made of step \"%s\", and would be dropped with it",
					found.first, names_relation(relid)),
			 errdetail("%s", take_lines(&found)),
			 errhint("Drop it.  Outside of the pipeline it can be created over the published table, which keeps its OID.")));
}
