/*-------------------------------------------------------------------------
 *
 * identity.c
 *	  What a published table is beside its rows, where another table has to
 *	  replace it.
 *
 * That is so only where partitions come, go or are cut otherwise: all else keeps
 * the table (layout.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "identity.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "commands/comment.h"
#include "miscadmin.h"
#include "rewrite/prs2lock.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"
#include "utils/syscache.h"

/* ---- what cannot be carried over ---- */

static void
note(StringInfo lost, const char *kind, const char *name)
{
	appendStringInfo(lost, "%s%s%s%s", lost->len > 0 ? ", " : "", kind,
					 name != NULL ? " " : "", name != NULL ? quote_identifier(name) : "");
}

static void
note_constraints(StringInfo lost, Oid relid)
{
	Relation	pg_constraint = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(pg_constraint, ConstraintRelidTypidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		note(lost, "constraint", NameStr(((Form_pg_constraint) GETSTRUCT(tuple))->conname));
	systable_endscan(scan);
	table_close(pg_constraint, AccessShareLock);
}

static void
note_indexes(StringInfo lost, Relation relation, const List *own)
{
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(relation))
	{
		char	   *name = get_rel_name(lfirst_oid(lc));
		bool		ours = OidIsValid(get_index_constraint(lfirst_oid(lc)));
		ListCell   *lc2;

		foreach(lc2, own)
			ours |= strcmp(lfirst(lc2), name) == 0;
		if (!ours)				/* those of constraints have been noted */
			note(lost, "index", name);
	}
}

static void
note_sequences(StringInfo lost, Oid relid)
{
	Relation	pg_depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(RelationRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(pg_depend, DependReferenceIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);

		if (form->classid == RelationRelationId && form->objsubid == 0 &&
			get_rel_relkind(form->objid) == RELKIND_SEQUENCE)
			note(lost, "sequence", get_rel_name(form->objid));
	}
	systable_endscan(scan);
	table_close(pg_depend, AccessShareLock);
}

void
identity_check_replaceable(Oid relid, const List *own)
{
	Relation	relation = try_relation_open(relid, AccessShareLock);
	StringInfoData lost;

	if (relation == NULL)
		return;
	initStringInfo(&lost);
	if (relation->rd_rel->relrowsecurity)
		note(&lost, "row-level security", NULL);
	for (int i = 0; relation->trigdesc != NULL && i < relation->trigdesc->numtriggers; i++)
	{
		if (!relation->trigdesc->triggers[i].tgisinternal)
			note(&lost, "trigger", relation->trigdesc->triggers[i].tgname);
	}
	if (relation->rd_rules != NULL)
		note(&lost, "rules", NULL);
	note_constraints(&lost, relid);
	note_indexes(&lost, relation, own);
	if (RelationGetStatExtList(relation) != NIL)
		note(&lost, "statistics objects", NULL);
	note_sequences(&lost, relid);
	if (lost.len > 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot replace table \"%s\" by one that is partitioned otherwise because that would not have: %s",
						RelationGetRelationName(relation), lost.data),
				 errhint("Drop these before the run and create them again after it, or leave the step's partitions as they were.")));
	relation_close(relation, AccessShareLock);
}

/* ---- what is carried over ---- */

static void
carry_table_acl(Oid from, Oid to)
{
	Relation	pg_class = table_open(RelationRelationId, RowExclusiveLock);
	HeapTuple	source = SearchSysCache1(RELOID, ObjectIdGetDatum(from));
	HeapTuple	tuple = SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(to));
	Datum		values[Natts_pg_class] = {0};
	bool		nulls[Natts_pg_class] = {0};
	bool		replaces[Natts_pg_class] = {0};
	int			k = Anum_pg_class_relacl - 1;

	if (!HeapTupleIsValid(source) || !HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u or %u", from, to);
	values[k] = SysCacheGetAttr(RELOID, source, Anum_pg_class_relacl, &nulls[k]);
	replaces[k] = true;
	tuple = heap_modify_tuple(tuple, RelationGetDescr(pg_class), values, nulls, replaces);
	CatalogTupleUpdate(pg_class, &tuple->t_self, tuple);
	if (!nulls[k])
		recordDependencyOnNewAcl(RelationRelationId, to, 0, GetUserId(), DatumGetAclP(values[k]));
	ReleaseSysCache(source);
	table_close(pg_class, RowExclusiveLock);
}

static void
carry_column_acl(Relation pg_attribute, HeapTuple source, Oid to, AttrNumber attnum)
{
	HeapTuple	tuple = SearchSysCacheCopy2(ATTNUM, ObjectIdGetDatum(to), Int16GetDatum(attnum));
	Datum		values[Natts_pg_attribute] = {0};
	bool		nulls[Natts_pg_attribute] = {0};
	bool		replaces[Natts_pg_attribute] = {0};
	int			k = Anum_pg_attribute_attacl - 1;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for attribute %d of relation %u", attnum, to);
	values[k] = SysCacheGetAttr(ATTNUM, source, Anum_pg_attribute_attacl, &nulls[k]);
	if (nulls[k])
		return;
	replaces[k] = true;
	tuple = heap_modify_tuple(tuple, RelationGetDescr(pg_attribute), values, nulls, replaces);
	CatalogTupleUpdate(pg_attribute, &tuple->t_self, tuple);
	recordDependencyOnNewAcl(RelationRelationId, to, attnum, GetUserId(), DatumGetAclP(values[k]));
}

static void
carry_comment(Oid from, AttrNumber from_attnum, Oid to, AttrNumber to_attnum)
{
	char	   *comment = GetComment(from, RelationRelationId, from_attnum);

	if (comment != NULL)
		CreateComments(to, RelationRelationId, to_attnum, comment);
}

void
identity_carry(Oid from, Oid to)
{
	Relation	pg_attribute = table_open(AttributeRelationId, RowExclusiveLock);
	Relation	relation = relation_open(from, NoLock);

	carry_table_acl(from, to);
	carry_comment(from, 0, to, 0);
	for (int i = 0; i < RelationGetDescr(relation)->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(relation), i);
		AttrNumber	attnum = att->attisdropped ? InvalidAttrNumber :
			get_attnum(to, NameStr(att->attname));
		HeapTuple	source;

		if (attnum == InvalidAttrNumber)
			continue;
		source = SearchSysCache2(ATTNUM, ObjectIdGetDatum(from), Int16GetDatum(i + 1));
		if (!HeapTupleIsValid(source))
			elog(ERROR, "cache lookup failed for attribute %d of relation %u", i + 1, from);
		carry_column_acl(pg_attribute, source, to, attnum);
		ReleaseSysCache(source);
		carry_comment(from, i + 1, to, attnum);
	}
	relation_close(relation, NoLock);
	table_close(pg_attribute, RowExclusiveLock);
}
