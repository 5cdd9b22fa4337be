/*-------------------------------------------------------------------------
 *
 * replace_check.c
 *	  What a published table has that a table which replaces it could not have.
 *
 * What a table is beside its rows is what depends on it.  So all of that is gone
 * through, and what is of a kind that replace_table.c does not know how to carry over
 * is named, rather than lost.
 *
 * Partitions are made anew, from one model.  So they must be alike in what can be
 * set for each of them, and must not have anything that is not their table's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "table/replace_check.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "base/names.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_am.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_publication_rel.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_seclabel.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/comment.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "table/column_settings.h"
#include "table/dependants.h"
#include "table/relation_attrs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"
#include "utils/syscache.h"

/* A table that is to be replaced. */
typedef struct Replaced
{
	Relation	relation;
	bool		corresponds;	/* the other has its columns at the same places */
	bool		partitioned;	/* the other is */
	const List *key;			/* of char *: by these columns; NIL: not known */
	const List *own;			/* of char *: the step's indexes */
	List	   *lost;			/* of char *: what it could not have */
} Replaced;

static void
note(Replaced *table, const char *what)
{
	/* what depends on several columns is found several times */
	if (!names_contain(table->lost, what))
		table->lost = lappend(table->lost, pstrdup(what));
}

static char *
join(const List *names)
{
	StringInfoData joined;
	ListCell   *lc;

	initStringInfo(&joined);
	foreach(lc, names)
		appendStringInfo(&joined, "%s%s", joined.len > 0 ? ", " : "", (char *) lfirst(lc));
	return joined.data;
}

/* ---- what depends on a table ---- */

/* The expression of a column's default, or NULL. */
static Node *
default_of(Relation relation, AttrNumber attnum)
{
	TupleConstr *constr = RelationGetDescr(relation)->constr;

	for (int i = 0; constr != NULL && i < constr->num_defval; i++)
	{
		if (constr->defval[i].adnum == attnum)
			return stringToNode(constr->defval[i].adbin);
	}
	return NULL;
}

/* Return true if it is one that the step makes: its row type, TOAST, partitions, own indexes. */
static bool
is_part(const Replaced *table, Form_pg_depend depend)
{
	if (depend->classid == TypeRelationId)
		return true;			/* who uses it has been looked for */
	if (depend->classid != RelationRelationId)
		return false;
	if (depend->objid == depend->refobjid)
		return true;			/* a column of its partition key */
	switch (get_rel_relkind(depend->objid))
	{
		case RELKIND_TOASTVALUE:
			return true;
		case RELKIND_INDEX:
		case RELKIND_PARTITIONED_INDEX:
			return names_contain(table->own, names_relation(depend->objid)) &&
				!OidIsValid(get_index_constraint(depend->objid));
		default:
			return get_rel_relispartition(depend->objid);
	}
}

/* Constraint triggers of other tables depend on the one that they name in FROM. */
static bool
has_trigger(Relation relation, Oid trigger)
{
	for (int i = 0; relation->trigdesc != NULL && i < relation->trigdesc->numtriggers; i++)
	{
		if (relation->trigdesc->triggers[i].tgoid == trigger)
			return true;
	}
	return false;
}

/* Return true if it is of a kind that is carried over. */
static bool
is_carried(const Replaced *table, Form_pg_depend depend)
{
	switch (depend->classid)
	{
		case TriggerRelationId:
			return has_trigger(table->relation, depend->objid);
		case ConstraintRelationId:
		case PolicyRelationId:
		case RewriteRelationId:
		case AttrDefaultRelationId:
		case StatisticExtRelationId:
		case PublicationRelRelationId:	/* publishing refuses these by itself */
			return true;
		case RelationRelationId:
			if (get_rel_relkind(depend->objid) == RELKIND_SEQUENCE)
				return depend->deptype == DEPENDENCY_AUTO;	/* else of an identity column */
			return get_rel_relkind(depend->objid) == RELKIND_INDEX ||
				get_rel_relkind(depend->objid) == RELKIND_PARTITIONED_INDEX;
		default:
			return false;
	}
}

/*
 * Return true if a partition has got this trigger, or the one of this constraint, from its table.
 */
static bool
has_cloned_trigger(Relation partition, Oid trigger_or_constraint)
{
	for (int i = 0; partition->trigdesc != NULL && i < partition->trigdesc->numtriggers; i++)
	{
		Trigger    *trigger = &partition->trigdesc->triggers[i];

		if ((trigger->tgoid == trigger_or_constraint ||
			 trigger->tgconstraint == trigger_or_constraint) &&
			(trigger->tgisinternal || trigger->tgisclone))
			return true;
	}
	return false;
}

/* Return true if a partition has got it from its table. */
static bool
is_inherited(const Replaced *table, Relation partition, Form_pg_depend depend)
{
	bool		inherited = false;
	HeapTuple	tuple;

	switch (depend->classid)
	{
		case ConstraintRelationId:
			tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(depend->objid));
			if (!HeapTupleIsValid(tuple))
				return false;
			inherited = ((Form_pg_constraint) GETSTRUCT(tuple))->coninhcount > 0 ||
				OidIsValid(((Form_pg_constraint) GETSTRUCT(tuple))->conparentid) ||
			/* others have triggers, too, but internal ones of their own */
				(((Form_pg_constraint) GETSTRUCT(tuple))->contype == CONSTRAINT_TRIGGER &&
				 has_cloned_trigger(partition, depend->objid));
			ReleaseSysCache(tuple);
			return inherited;
		case TriggerRelationId:
			return has_cloned_trigger(partition, depend->objid);
		case AttrDefaultRelationId:
			return equal(default_of(partition, depend->refobjsubid),
						 default_of(table->relation, depend->refobjsubid));
		case RelationRelationId:
			return get_rel_relispartition(depend->objid);
		case PublicationRelRelationId:
			return true;		/* publishing refuses these by itself */
		default:
			return false;
	}
}

static void
note_dependants(Replaced *table, Relation relation)
{
	bool		is_partition = relation != table->relation;
	Relation	pg_depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(RelationRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(RelationGetRelid(relation)));
	scan = systable_beginscan(pg_depend, DependReferenceIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend depend = (Form_pg_depend) GETSTRUCT(tuple);
		ObjectAddress object;
		char	   *description;

		if (is_part(table, depend) ||
			(is_partition ? is_inherited(table, relation, depend) :
			 table->corresponds && is_carried(table, depend)))
			continue;
		ObjectAddressSubSet(object, depend->classid, depend->objid, depend->objsubid);
		description = names_describe(&object);
		if (description != NULL)
			note(table, description);
	}
	systable_endscan(scan);
	table_close(pg_depend, AccessShareLock);
}

/* ---- what is not an object ---- */

static bool
has_label(Oid relid)
{
	Relation	pg_seclabel = table_open(SecLabelRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	bool		found;

	ScanKeyInit(&keys[0], Anum_pg_seclabel_objoid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	ScanKeyInit(&keys[1], Anum_pg_seclabel_classoid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(RelationRelationId));
	scan = systable_beginscan(pg_seclabel, SecLabelObjectIndexId, true, NULL, 2, keys);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(pg_seclabel, AccessShareLock);
	return found;
}

/* What the other table would have to be for, to have it. */
static void
note_nature(Replaced *table)
{
	Relation	relation = table->relation;

	if (relation->rd_rel->relispartition || has_superclass(RelationGetRelid(relation)))
		note(table, "its place below another table");
	if (OidIsValid(relation->rd_rel->reloftype))
		note(table, "its type");
	if (relation->rd_rel->relkind == RELKIND_RELATION &&
		relation->rd_rel->relam != HEAP_TABLE_AM_OID)
		note(table, "its access method");
	if (has_label(RelationGetRelid(relation)))
		note(table, "its security label");
	if (!table->corresponds && relation->rd_rel->relrowsecurity)
		note(table, "row-level security");
	if (!table->corresponds && relation->rd_rel->relreplident != REPLICA_IDENTITY_DEFAULT)
		note(table, "its replica identity");
}

/* ---- what a partitioned table cannot have, or this role cannot make ---- */

/* What is defined by a text is looked up by its name. */
static bool
may_use_schema(Oid namespace)
{
	return COMPAT_NAMESPACE_ACLCHECK(namespace, GetUserId(), ACL_USAGE) == ACLCHECK_OK;
}

static void
note_triggers(Replaced *table)
{
	/* the catalogs are read meanwhile, and the cache's own may go */
	TriggerDesc *triggers = CopyTriggerDesc(table->relation->trigdesc);

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];

		if (trigger->tgisinternal && trigger->tgenabled != TRIGGER_FIRES_ON_ORIGIN)
			note(table, "disabled triggers of foreign keys");
		if (!trigger->tgisinternal &&
			(!may_use_schema(get_func_namespace(trigger->tgfoid)) ||
			 !DatumGetBool(DirectFunctionCall2(has_function_privilege_id,
											   ObjectIdGetDatum(trigger->tgfoid),
											   CStringGetTextDatum("EXECUTE")))))
			note(table, psprintf("trigger %s, whose function role %s may not execute",
								 quote_identifier(trigger->tgname),
								 quote_identifier(GetUserNameFromId(GetUserId(), false))));
		if (!trigger->tgisinternal && table->partitioned && TRIGGER_FOR_ROW(trigger->tgtype) &&
			(trigger->tgoldtable != NULL || trigger->tgnewtable != NULL))
			note(table, psprintf("trigger %s, which is for each row and has transition tables, with partitions",
								 quote_identifier(trigger->tgname)));
	}
}

static void
note_foreign_keys(Replaced *table)
{
	Relation	pg_constraint;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	pg_constraint = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(RelationGetRelid(table->relation)));
	scan = systable_beginscan(pg_constraint, ConstraintRelidTypidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);

		if (form->contype != CONSTRAINT_FOREIGN || OidIsValid(form->conparentid))
			continue;
		if (form->confrelid != form->conrelid &&
			(!may_use_schema(get_rel_namespace(form->confrelid)) ||
			 (pg_class_aclcheck(form->confrelid, GetUserId(), ACL_REFERENCES) != ACLCHECK_OK &&
			  pg_attribute_aclcheck_all(form->confrelid, GetUserId(), ACL_REFERENCES,
										ACLMASK_ANY) != ACLCHECK_OK)))
			note(table, psprintf("foreign key %s, as role %s may not refer to table %s",
								 quote_identifier(NameStr(form->conname)),
								 quote_identifier(GetUserNameFromId(GetUserId(), false)),
								 quote_identifier(names_relation(form->confrelid))));
		/* a partitioned table counts as logged, whatever its partitions are */
		if (table->partitioned && form->confrelid != form->conrelid &&
			get_rel_persistence(form->confrelid) != RELPERSISTENCE_PERMANENT)
			note(table, psprintf("foreign key %s to table %s, which is not logged, with partitions",
								 quote_identifier(NameStr(form->conname)),
								 quote_identifier(names_relation(form->confrelid))));
		if (table->partitioned && !form->convalidated && !COMPAT_PARTITIONED_MAY_HAVE_INVALID_KEYS)
			note(table, psprintf("foreign key %s, which is NOT VALID, with partitions",
								 quote_identifier(NameStr(form->conname))));
	}
	systable_endscan(scan);
	table_close(pg_constraint, AccessShareLock);
}

/*
 * A unique index has to tell in which partition a row would be: the column that it lacks,
 * or NULL.
 */
static const char *
missing_key(const Replaced *table, Relation index)
{
	ListCell   *lc;

	foreach(lc, table->key)
	{
		AttrNumber	attnum = get_attnum(RelationGetRelid(table->relation), lfirst(lc));
		bool		found = false;

		for (int i = 0; i < index->rd_index->indnkeyatts; i++)
			found |= index->rd_index->indkey.values[i] == attnum;
		if (!found)
			return lfirst(lc);
	}
	return NULL;
}

static void
note_indexes(Replaced *table)
{
	ListCell   *lc;

	if (!table->partitioned)
		return;
	foreach(lc, RelationGetIndexList(table->relation))
	{
		Relation	index = relation_open(lfirst_oid(lc), AccessShareLock);
		const char *name = quote_identifier(RelationGetRelationName(index));
		bool		is_own = names_contain(table->own, RelationGetRelationName(index)) &&
		!OidIsValid(get_index_constraint(lfirst_oid(lc)));
		const char *column = is_own ? NULL : missing_key(table, index);

		if (index->rd_index->indisclustered)
			note(table, psprintf("CLUSTER ON %s, with partitions", name));
		if (index->rd_index->indisexclusion && !COMPAT_PARTITIONED_MAY_EXCLUDE)
			note(table, psprintf("exclusion constraint %s, with partitions", name));
		else if (column != NULL &&
				 (index->rd_index->indisunique || index->rd_index->indisexclusion))
			note(table, psprintf("%s %s, which lacks column %s of the partition key",
								 index->rd_index->indisunique ? "unique index" : "exclusion constraint",
								 name, quote_identifier(column)));
		relation_close(index, AccessShareLock);
	}
}

/* ---- partitions ---- */

/* Return true if there are grants on it, or on one of its columns. */
static bool
has_grants(Relation relation)
{
	HeapTuple	tuple = relation_attrs_class_row(RelationGetRelid(relation));
	bool		isnull = !relation_attrs_has_grants(tuple);

	heap_freetuple(tuple);
	for (int i = 1; isnull && i <= RelationGetDescr(relation)->natts; i++)
	{
		tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(RelationGetRelid(relation)),
								Int16GetDatum(i));
		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for attribute %d of relation %u",
				 i, RelationGetRelid(relation));
		(void) SysCacheGetAttr(ATTNUM, tuple, Anum_pg_attribute_attacl, &isnull);
		ReleaseSysCache(tuple);
	}
	return !isnull;
}

/* Cloned triggers that fire when those of the table do not, or have a comment. */
static void
note_partition_triggers(Replaced *table, Relation partition)
{
	TriggerDesc *clones = CopyTriggerDesc(partition->trigdesc);
	TriggerDesc *triggers = CopyTriggerDesc(table->relation->trigdesc);

	for (int i = 0; clones != NULL && i < clones->numtriggers; i++)
	{
		Trigger    *clone = &clones->triggers[i];
		char		enabled = TRIGGER_FIRES_ON_ORIGIN;

		for (int k = 0; triggers != NULL && k < triggers->numtriggers; k++)
		{
			if (!clone->tgisinternal && !triggers->triggers[k].tgisinternal &&
				strcmp(triggers->triggers[k].tgname, clone->tgname) == 0)
				enabled = triggers->triggers[k].tgenabled;
		}
		if (clone->tgenabled != enabled)
			note(table, psprintf("trigger %s of partition %s, which is enabled or disabled there alone",
								 quote_identifier(clone->tgname),
								 quote_identifier(RelationGetRelationName(partition))));
		if (GetComment(clone->tgoid, TriggerRelationId, 0) != NULL)
			note(table, psprintf("comment on trigger %s of partition %s",
								 quote_identifier(clone->tgname),
								 quote_identifier(RelationGetRelationName(partition))));
	}
}

/* Comments, grants and the like of partitions as such. */
static void
note_partition(Replaced *table, Relation partition)
{
	char	   *name = RelationGetRelationName(partition);
	ListCell   *lc;

	if (partition->rd_rel->relkind != RELKIND_RELATION)
		note(table, psprintf("partition %s, which is not a plain table", quote_identifier(name)));
	else if (partition->rd_rel->relam != HEAP_TABLE_AM_OID)
		note(table, psprintf("access method of partition %s", quote_identifier(name)));
	for (int i = 0; i < RelationGetDescr(partition)->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(partition), i);

		/* up to 17 it is no object, which would have been found */
		if (!att->attisdropped && att->attnotnull && i < RelationGetDescr(table->relation)->natts &&
			!TupleDescAttr(RelationGetDescr(table->relation), i)->attnotnull &&
			FindNotNullConstraintCompat(RelationGetRelid(partition), i + 1) == NULL)
			note(table, psprintf("NOT NULL of column %s of partition %s",
								 quote_identifier(NameStr(att->attname)), quote_identifier(name)));
	}
	note_partition_triggers(table, partition);
	if (partition->rd_rel->relrowsecurity || partition->rd_rel->relforcerowsecurity)
		note(table, psprintf("row-level security of partition %s", quote_identifier(name)));
	if (has_label(RelationGetRelid(partition)))
		note(table, psprintf("security label of partition %s", quote_identifier(name)));
	for (int i = 0; i <= RelationGetDescr(partition)->natts; i++)
	{
		if (GetComment(RelationGetRelid(partition), RelationRelationId, i) != NULL)
			note(table, psprintf("comments on partition %s", quote_identifier(name)));
	}
	foreach(lc, RelationGetIndexList(partition))
	{
		Relation	index = relation_open(lfirst_oid(lc), AccessShareLock);

		if (index->rd_index->indisclustered)
			note(table, psprintf("CLUSTER ON %s", quote_identifier(RelationGetRelationName(index))));
		if (GetComment(lfirst_oid(lc), RelationRelationId, 0) != NULL)
			note(table, psprintf("comment on index %s",
								 quote_identifier(RelationGetRelationName(index))));
		relation_close(index, AccessShareLock);
	}
	if (!table->partitioned && has_grants(partition))
		note(table, psprintf("grants on partition %s", quote_identifier(name)));
}

/* Return true if the columns of a table and its partition are at the same places. */
static bool
same_columns(Relation table, Relation partition)
{
	bool		same = RelationGetDescr(table)->natts == RelationGetDescr(partition)->natts;

	for (int i = 0; same && i < RelationGetDescr(table)->natts; i++)
	{
		Form_pg_attribute a = TupleDescAttr(RelationGetDescr(table), i);
		Form_pg_attribute b = TupleDescAttr(RelationGetDescr(partition), i);

		same = a->attisdropped == b->attisdropped &&
			(a->attisdropped || strcmp(NameStr(a->attname), NameStr(b->attname)) == 0);
	}
	return same;
}

/* Note what keeps one model from being made of the partitions. */
static void
note_partitions(Replaced *table)
{
	List	   *relids = find_all_inheritors(RelationGetRelid(table->relation), AccessShareLock,
											 NULL);
	Relation	first = NULL;
	ListCell   *lc;

	for_each_from(lc, relids, 1)
	{
		Relation	partition = relation_open(lfirst_oid(lc), NoLock);

		note_dependants(table, partition);
		note_partition(table, partition);
		if (first == NULL)
		{
			first = partition;
			if (!same_columns(table->relation, first))
				note(table, "columns in which it and its partitions differ");
			continue;
		}
		if (!relation_attrs_same_table(RelationGetRelid(first), RelationGetRelid(partition)) ||
			!column_settings_are_same(first, partition) ||
			relation_attrs_replica_index(first) != relation_attrs_replica_index(partition))
			note(table, psprintf("settings in which partitions %s and %s differ",
								 quote_identifier(RelationGetRelationName(first)),
								 quote_identifier(RelationGetRelationName(partition))));
		relation_close(partition, AccessShareLock);
	}
	if (first != NULL)
		relation_close(first, AccessShareLock);
}

void
replace_check_table(Oid relid, bool corresponds, bool partitioned, const List *key,
					const List *own)
{
	Replaced	table = {0};

	dependants_check_table(relid);
	table.relation = try_relation_open(relid, AccessShareLock);
	if (table.relation == NULL)
		return;
	table.corresponds = corresponds;
	table.partitioned = partitioned;
	table.key = key;
	table.own = own;
	note_nature(&table);
	note_triggers(&table);
	note_foreign_keys(&table);
	note_indexes(&table);
	note_dependants(&table, table.relation);
	note_partitions(&table);
	if (table.lost != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot replace table %s by one that is partitioned otherwise because that would not have: %s",
						names_qualified(relid), join(table.lost)),
				 errhint("Drop or change these before the run and create them again after it, or leave the step's partitions as they were.")));
	relation_close(table.relation, AccessShareLock);
}
