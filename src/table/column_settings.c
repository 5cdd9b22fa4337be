/*-------------------------------------------------------------------------
 *
 * column_settings.c
 *	  How a column is stored and measured, the same for a column of another table.
 *
 * Some servers keep a number of their own among a column's options, which says when the column was
 * made, as the catalogs of a release cannot get a new column.  That number is never another
 * column's, so options are copied and compared without it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "table/column_settings.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_type.h"
#include "table/relation_attrs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* More options than a column can have. */
#define COLUMN_SETTINGS_MAX_OPTIONS	16

/* Return true if it is an option of the server's own. */
static bool
is_version(Datum option)
{
	return strncmp(TextDatumGetCString(option), COMPAT_ATTRIBUTE_VERSION_OPTION "=",
				   strlen(COMPAT_ATTRIBUTE_VERSION_OPTION "=")) == 0;
}

/* Adds to elements those options of a column that are the server's, or that are not. */
static int
take_options(HeapTuple attribute, bool versions, Datum *elements, int n)
{
	bool		isnull;
	Datum		options = SysCacheGetAttr(ATTNUM, attribute, Anum_pg_attribute_attoptions, &isnull);
	Datum	   *all;
	int			nall;

	if (isnull)
		return n;
	deconstruct_array(DatumGetArrayTypeP(options), TEXTOID, -1, false, TYPALIGN_INT,
					  &all, NULL, &nall);
	for (int i = 0; i < nall && n < COLUMN_SETTINGS_MAX_OPTIONS; i++)
	{
		if (is_version(all[i]) == versions)
			elements[n++] = all[i];
	}
	return n;
}

/* The options of one column, with the version of another one; both may be NULL. */
static Datum
merge_options(HeapTuple options, HeapTuple version, bool *isnull)
{
	Datum		elements[COLUMN_SETTINGS_MAX_OPTIONS];
	int			n = 0;

	if (version != NULL)
		n = take_options(version, true, elements, n);
	if (options != NULL)
		n = take_options(options, false, elements, n);
	*isnull = n == 0;
	return n == 0 ? (Datum) 0 :
		PointerGetDatum(construct_array(elements, n, TEXTOID, -1, false, TYPALIGN_INT));
}

static bool
same_options(HeapTuple a, HeapTuple b)
{
	bool		nulls[2];
	Datum		x = merge_options(a, NULL, &nulls[0]);
	Datum		y = merge_options(b, NULL, &nulls[1]);

	return nulls[0] == nulls[1] && (nulls[0] || datum_image_eq(x, y, false, -1));
}

static HeapTuple
attribute_row(Oid relid, AttrNumber attnum)
{
	HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(attnum));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for attribute %d of relation %u", attnum, relid);
	return tuple;
}

/* What is copied of a column that both tables have. */
static const AttrNumber settings[] = {
	Anum_pg_attribute_attstattarget, Anum_pg_attribute_attstorage,
	Anum_pg_attribute_attcompression
};

/* And of one that is made to be a gap. */
static const AttrNumber shape[] = {
	Anum_pg_attribute_attlen, Anum_pg_attribute_attbyval,
	Anum_pg_attribute_attalign, Anum_pg_attribute_attstorage
};

typedef struct Changes
{
	Datum		values[Natts_pg_attribute];
	bool		nulls[Natts_pg_attribute];
	bool		replaces[Natts_pg_attribute];
} Changes;

static void
take_values(Changes *changes, HeapTuple from, const AttrNumber *columns, int n)
{
	for (int i = 0; i < n; i++)
	{
		int			k = columns[i] - 1;

		changes->values[k] = SysCacheGetAttr(ATTNUM, from, columns[i], &changes->nulls[k]);
		changes->replaces[k] = true;
	}
}

static void
change(Relation pg_attribute, HeapTuple tuple, Changes *changes)
{
	HeapTuple	changed = heap_modify_tuple(tuple, RelationGetDescr(pg_attribute), changes->values,
											changes->nulls, changes->replaces);

	CatalogTupleUpdate(pg_attribute, &changed->t_self, changed);
}

void
column_settings_copy_gap(Relation pg_attribute, Oid published, Oid staged, AttrNumber attnum)
{
	HeapTuple	from = attribute_row(published, attnum);
	HeapTuple	to = attribute_row(staged, attnum);
	Changes		changes;

	memset(&changes, 0, sizeof(changes));
	take_values(&changes, from, shape, lengthof(shape));
	changes.values[Anum_pg_attribute_atttypid - 1] = ObjectIdGetDatum(InvalidOid);
	changes.replaces[Anum_pg_attribute_atttypid - 1] = true;
	changes.values[Anum_pg_attribute_attisdropped - 1] = BoolGetDatum(true);
	changes.replaces[Anum_pg_attribute_attisdropped - 1] = true;
	change(pg_attribute, to, &changes);
	ReleaseSysCache(from);
	ReleaseSysCache(to);
}

void
column_settings_copy(Relation pg_attribute, Oid published, Oid staged, AttrNumber attnum)
{
	HeapTuple	from = attribute_row(published, attnum);
	HeapTuple	to = attribute_row(staged, attnum);
	int			k = Anum_pg_attribute_attoptions - 1;

	if (!relation_attrs_same_values(ATTNUM, from, to, RelationGetDescr(pg_attribute), settings,
									lengthof(settings)) || !same_options(from, to))
	{
		Changes		changes;

		memset(&changes, 0, sizeof(changes));
		take_values(&changes, from, settings, lengthof(settings));
		changes.values[k] = merge_options(from, to, &changes.nulls[k]);
		changes.replaces[k] = true;
		change(pg_attribute, to, &changes);
	}
	ReleaseSysCache(from);
	ReleaseSysCache(to);
}

void
column_settings_copy_all(Oid from, Oid to)
{
	Relation	pg_attribute = table_open(AttributeRelationId, RowExclusiveLock);

	for (AttrNumber attnum = 1;
		 SearchSysCacheExists2(ATTNUM, ObjectIdGetDatum(to), Int16GetDatum(attnum)); attnum++)
	{
		char	   *name = get_attname(to, attnum, true);

		/* NULL: it is dropped */
		if (name != NULL && get_attnum(from, name) == attnum)
			column_settings_copy(pg_attribute, from, to, attnum);
	}
	table_close(pg_attribute, RowExclusiveLock);
	CommandCounterIncrement();
}

bool
column_settings_are_same(Relation a, Relation b)
{
	static const AttrNumber columns[] = {
		Anum_pg_attribute_attname, Anum_pg_attribute_attisdropped,
		Anum_pg_attribute_attstattarget, Anum_pg_attribute_attstorage,
		Anum_pg_attribute_attcompression, Anum_pg_attribute_attacl
	};
	Relation	pg_attribute;
	bool		same = RelationGetDescr(a)->natts == RelationGetDescr(b)->natts;

	pg_attribute = table_open(AttributeRelationId, AccessShareLock);
	for (int i = 1; same && i <= RelationGetDescr(a)->natts; i++)
	{
		HeapTuple	x = attribute_row(RelationGetRelid(a), i);
		HeapTuple	y = attribute_row(RelationGetRelid(b), i);

		same = relation_attrs_same_values(ATTNUM, x, y, RelationGetDescr(pg_attribute), columns,
										  lengthof(columns)) && same_options(x, y);
		ReleaseSysCache(x);
		ReleaseSysCache(y);
	}
	table_close(pg_attribute, AccessShareLock);
	return same;
}
