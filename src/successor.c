/*-------------------------------------------------------------------------
 *
 * successor.c
 *	  A table that replaces a published one gets what that was beside its rows.
 *
 * Three kinds of things.  What takes time, or what the new rows have to obey, is there
 * already: the table was built as a twin of the other one (adopt.c, twinindex.c).  What
 * is a value of a catalog row is copied.  All else is defined by a text that the
 * server prints of it, and that is executed once more when the new table has the old
 * one's name: so what refers to its own table, as a policy may, means the new one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "successor.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "adopt.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/partition.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "commands/comment.h"
#include "commands/policy.h"
#include "commands/tablecmds.h"
#include "commands/trigger.h"
#include "layout.h"
#include "miscadmin.h"
#include "names.h"
#include "nodes/makefuncs.h"
#include "parser/parser.h"
#include "rewrite/rewriteSupport.h"
#include "setting.h"
#include "twinindex.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* Something of the table that has a name and perhaps has to be defined. */
typedef struct Heirloom
{
	const char *what;			/* for error messages */
	Oid			classid;
	char	   *name;
	char	   *definition;		/* NULL: it is there already */
	char	   *comment;
	bool		verified;		/* a foreign key whose rows have been looked at */
} Heirloom;

typedef struct OwnedSequence
{
	Oid			sequence;
	AttrNumber	attnum;
} OwnedSequence;

typedef struct NamedIndex
{
	Oid			index;
	char	   *name;
} NamedIndex;

struct Succession
{
	Oid			from;
	Oid			to;
	char	   *name;			/* qualified */
	List	   *heirlooms;		/* of Heirloom * */
	List	   *sequences;		/* of OwnedSequence * */
	List	   *indexes;		/* of NamedIndex * */
};

/* Does the new table have the column? */
static bool
has_column(const Succession *succession, AttrNumber attnum)
{
	HeapTuple	tuple;
	bool		found;

	if (attnum <= 0)
		return true;
	/* (get_attname finds dropped ones, too) */
	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(succession->to), Int16GetDatum(attnum));
	if (!HeapTupleIsValid(tuple))
		return false;
	found = !((Form_pg_attribute) GETSTRUCT(tuple))->attisdropped;
	ReleaseSysCache(tuple);
	return found;
}

/*
 * Definitions are printed, and read, with all names qualified, and so that constants
 * are the same when they are read: pg_dump pins the same.
 */
static int
pin_settings(void)
{
	static const char *const settings[][2] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"datestyle", "ISO"},
		{"intervalstyle", "postgres"},
		{"extra_float_digits", "3"}
	};
	int			nestlevel = NewGUCNestLevel();

	for (int i = 0; i < (int) lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	return nestlevel;
}

/* ---- values ---- */

static HeapTuple
class_row(Oid relid)
{
	HeapTuple	tuple = SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(relid));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	return tuple;
}

static void
carry_owner(Oid from, Oid to)
{
	Oid			owner = ((Form_pg_class) GETSTRUCT(class_row(from)))->relowner;

	/* as if recursing: no rights are asked for, as nobody's table becomes another's */
	if (owner != ((Form_pg_class) GETSTRUCT(class_row(to)))->relowner)
	{
		ATExecChangeOwner(to, owner, true, AccessExclusiveLock);
		CommandCounterIncrement();
	}
}

/* palloc'd, or NULL */
static Acl *
acl_of(Relation pg_class, HeapTuple tuple)
{
	bool		isnull;
	Datum		acl = heap_getattr(tuple, Anum_pg_class_relacl, RelationGetDescr(pg_class), &isnull);

	return isnull ? NULL : DatumGetAclPCopy(acl);
}

/* A table that was made has the grants that are given by default. */
static void
replace_members(Oid relid, Oid owner, const Acl *old, const Acl *new)
{
	Oid		   *oldmembers;
	Oid		   *newmembers;
	int			nold = aclmembers(old, &oldmembers);
	int			nnew = aclmembers(new, &newmembers);

	updateAclDependencies(RelationRelationId, relid, 0, owner, nold, oldmembers, nnew, newmembers);
}

/* Nobody but the owner may use it by its own name. */
static void
drop_grants(Oid relid)
{
	Relation	pg_class = table_open(RelationRelationId, RowExclusiveLock);
	HeapTuple	tuple = class_row(relid);
	Acl		   *old = acl_of(pg_class, tuple);
	Datum		values[Natts_pg_class] = {0};
	bool		nulls[Natts_pg_class] = {0};
	bool		replaces[Natts_pg_class] = {0};

	nulls[Anum_pg_class_relacl - 1] = true;
	replaces[Anum_pg_class_relacl - 1] = true;
	tuple = heap_modify_tuple(tuple, RelationGetDescr(pg_class), values, nulls, replaces);
	CatalogTupleUpdate(pg_class, &tuple->t_self, tuple);
	replace_members(relid, ((Form_pg_class) GETSTRUCT(tuple))->relowner, old, NULL);
	table_close(pg_class, RowExclusiveLock);
	CommandCounterIncrement();
}

static void
carry_class(Oid from, Oid to, bool flags, bool grants, bool options)
{
	Relation	pg_class = table_open(RelationRelationId, RowExclusiveLock);
	HeapTuple	source = class_row(from);
	HeapTuple	tuple = class_row(to);
	Datum		values[Natts_pg_class] = {0};
	bool		nulls[Natts_pg_class] = {0};
	bool		replaces[Natts_pg_class] = {0};
	Acl		   *old = acl_of(pg_class, tuple);

	replaces[Anum_pg_class_relrowsecurity - 1] = flags;
	replaces[Anum_pg_class_relforcerowsecurity - 1] = flags;
	replaces[Anum_pg_class_relacl - 1] = grants;
	replaces[Anum_pg_class_reloptions - 1] = options;
	for (int k = 0; k < Natts_pg_class; k++)
	{
		if (replaces[k])
			values[k] = heap_getattr(source, k + 1, RelationGetDescr(pg_class), &nulls[k]);
	}
	tuple = heap_modify_tuple(tuple, RelationGetDescr(pg_class), values, nulls, replaces);
	CatalogTupleUpdate(pg_class, &tuple->t_self, tuple);
	if (grants)
		replace_members(to, ((Form_pg_class) GETSTRUCT(tuple))->relowner, old,
						nulls[Anum_pg_class_relacl - 1] ? NULL :
						DatumGetAclP(values[Anum_pg_class_relacl - 1]));
	table_close(pg_class, RowExclusiveLock);
	CommandCounterIncrement();
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
	recordDependencyOnNewAcl(RelationRelationId, to, attnum,
							 ((Form_pg_class) GETSTRUCT(class_row(to)))->relowner,
							 DatumGetAclP(values[k]));
}

static void
carry_comment(Oid from, AttrNumber from_attnum, Oid to, AttrNumber to_attnum)
{
	char	   *comment = GetComment(from, RelationRelationId, from_attnum);

	if (comment != NULL)
		CreateComments(to, RelationRelationId, to_attnum, comment);
}

/* Grants on columns and their comments; by name, so that any two tables will do. */
static void
carry_columns(Oid from, Oid to)
{
	Relation	pg_attribute = table_open(AttributeRelationId, RowExclusiveLock);
	Relation	relation = relation_open(from, NoLock);

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
	CommandCounterIncrement();
}

/* ---- replica identity, CLUSTER ON ---- */

static Oid
twin_of(const List *twins, Oid published)
{
	ListCell   *lc;

	foreach(lc, twins)
	{
		if (((TwinIndex *) lfirst(lc))->published == published)
			return ((TwinIndex *) lfirst(lc))->staged;
	}
	return InvalidOid;
}

static void
execute_one(Oid relid, AlterTableType subtype, const char *name, Node *definition)
{
	AlterTableCmd *command = makeNode(AlterTableCmd);

	command->subtype = subtype;
	command->name = name != NULL ? pstrdup(name) : NULL;
	command->def = definition;
	layout_execute_alter(relid, list_make1(command));
}

/*
 * The index of the new table that stands for the replica identity of the old one (or of
 * a partition of that).  InvalidOid: there is none.
 */
static Oid
replica_index(Oid from, const List *twins)
{
	Relation	relation = relation_open(from, NoLock);
	Oid			index;
	Oid			twin;

	(void) RelationGetIndexList(relation);	/* fills in what is asked for next */
	index = relation->rd_replidindex;
	if (OidIsValid(index) && relation->rd_rel->relreplident == REPLICA_IDENTITY_INDEX)
	{
		if (get_rel_relispartition(index))
			index = get_partition_parent(index, true);
		twin = twin_of(twins, index);
		if (!OidIsValid(twin))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("the replica identity of table \"%s\" needs index \"%s\", which the step does not ask for any more",
							RelationGetRelationName(relation), get_rel_name(index))));
		index = twin;
	}
	relation_close(relation, NoLock);
	return index;
}

/* index: of the new table, if the identity is one; a partition has its part of it. */
static void
set_replica_identity(Oid relid, char identity, Oid index)
{
	ReplicaIdentityStmt *statement = makeNode(ReplicaIdentityStmt);
	Relation	relation = relation_open(relid, NoLock);

	if (identity == REPLICA_IDENTITY_INDEX && OidIsValid(index) &&
		relation->rd_rel->relispartition)
		index = index_get_partition(relation, index);
	relation_close(relation, NoLock);

	/* whose index was dropped has none */
	if (identity == REPLICA_IDENTITY_INDEX && !OidIsValid(index))
		identity = REPLICA_IDENTITY_NOTHING;
	if (identity == REPLICA_IDENTITY_DEFAULT)
		return;
	statement->identity_type = identity;
	if (identity == REPLICA_IDENTITY_INDEX)
		statement->name = get_rel_name(index);
	execute_one(relid, AT_ReplicaIdentity, NULL, (Node *) statement);
}

static char
replica_identity(Oid relid)
{
	return ((Form_pg_class) GETSTRUCT(class_row(relid)))->relreplident;
}

static void
carry_replica_identity(Oid from, Oid to, const List *twins)
{
	Oid			heap = layout_first_heap(from);
	bool		to_partitioned = get_rel_relkind(to) == RELKIND_PARTITIONED_TABLE;
	Oid			model = from;
	ListCell   *lc;

	/* what counts is where the rows are */
	if (!to_partitioned && replica_identity(heap) != REPLICA_IDENTITY_DEFAULT)
		model = heap;
	set_replica_identity(to, replica_identity(model),
						 replica_identity(model) == REPLICA_IDENTITY_INDEX ?
						 replica_index(model, twins) : InvalidOid);
	for_each_from(lc, find_all_inheritors(to, NoLock, NULL), 1)
		set_replica_identity(lfirst_oid(lc), replica_identity(heap),
							 replica_identity(heap) == REPLICA_IDENTITY_INDEX ?
							 replica_index(heap, twins) : InvalidOid);
}

/* Names of indexes, what is said of them, and which one CLUSTER goes by. */
static void
carry_indexes(Succession *succession, const List *twins, const List *own)
{
	ListCell   *lc;

	foreach(lc, twins)
	{
		TwinIndex  *twin = lfirst(lc);

		if (!OidIsValid(twin->published) || !OidIsValid(twin->staged))
			continue;
		carry_comment(twin->published, 0, twin->staged, 0);
		setting_copy_columns(twin->published, twin->staged);
		if (get_index_isclustered(twin->published))
			execute_one(succession->to, AT_ClusterOn, get_rel_name(twin->staged), NULL);
		if (!names_contain(own, get_rel_name(twin->published)))
		{
			NamedIndex *named = palloc(sizeof(NamedIndex));

			named->index = twin->staged;
			named->name = get_rel_name(twin->published);
			succession->indexes = lappend(succession->indexes, named);
		}
	}
}

/* ---- definitions ---- */

static Heirloom *
add_heirloom(Succession *succession, const char *what, Oid classid, Oid oid, const char *name,
			 char *definition)
{
	Heirloom   *heirloom = palloc0(sizeof(Heirloom));

	heirloom->what = what;
	heirloom->classid = classid;
	heirloom->name = pstrdup(name);
	heirloom->definition = definition;
	heirloom->comment = OidIsValid(oid) ? GetComment(oid, classid, 0) : NULL;
	succession->heirlooms = lappend(succession->heirlooms, heirloom);
	return heirloom;
}

static void
collect_defaults(Succession *succession, Relation relation)
{
	TupleConstr *constr = RelationGetDescr(relation)->constr;

	for (int i = 0; constr != NULL && i < constr->num_defval; i++)
	{
		AttrDefault *value = &constr->defval[i];
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(relation), value->adnum - 1);

		if (att->attgenerated != '\0' || !has_column(succession, value->adnum))
			continue;
		(void) add_heirloom(succession, "default of column", InvalidOid, InvalidOid,
							NameStr(att->attname),
							psprintf("ALTER TABLE %s ALTER COLUMN %s SET DEFAULT %s",
									 succession->name, quote_identifier(NameStr(att->attname)),
									 deparse_expression(stringToNode(value->adbin), NIL,
														false, false)));
	}
}

/* Are all columns of a constraint there? */
static bool
has_columns(const Succession *succession, HeapTuple constraint, TupleDesc desc)
{
	bool		isnull;
	Datum		value = heap_getattr(constraint, Anum_pg_constraint_conkey, desc, &isnull);
	ArrayType  *array;

	if (isnull)
		return true;
	array = DatumGetArrayTypeP(value);
	for (int i = 0; i < ARR_DIMS(array)[0]; i++)
	{
		if (!has_column(succession, ((int16 *) ((char *) array + ARR_OVERHEAD_NONULLS(1)))[i]))
			return false;
	}
	return true;
}

/* Foreign keys, CHECKs that nobody enforces; and what is said of all constraints. */
static void
collect_constraints(Succession *succession)
{
	Relation	pg_constraint = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(succession->from));
	scan = systable_beginscan(pg_constraint, ConstraintRelidTypidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
		bool		is_key = form->contype == CONSTRAINT_FOREIGN;
		bool		defined = is_key || !ConstraintIsEnforcedCompat(form);
		Heirloom   *heirloom;

		/* constraint triggers come as triggers */
		if (OidIsValid(form->conparentid) || form->contype == CONSTRAINT_TRIGGER ||
			!has_columns(succession, tuple, RelationGetDescr(pg_constraint)))
			continue;
		heirloom = add_heirloom(succession, is_key ? "foreign key" : "constraint",
								ConstraintRelationId, form->oid, NameStr(form->conname),
								defined ? pg_get_constraintdef_command(form->oid) : NULL);
		heirloom->verified = is_key && form->convalidated;
	}
	systable_endscan(scan);
	table_close(pg_constraint, AccessShareLock);
}

/* How ALTER TABLE says when a trigger or a rule fires; NULL: as when it is made. */
static const char *
firing(char enabled)
{
	switch (enabled)
	{
		case TRIGGER_DISABLED:
			return "DISABLE";
		case TRIGGER_FIRES_ON_REPLICA:
			return "ENABLE REPLICA";
		case TRIGGER_FIRES_ALWAYS:
			return "ENABLE ALWAYS";
		default:
			return NULL;
	}
}

static void
collect_triggers(Succession *succession, Relation relation)
{
	/* the catalogs are read meanwhile, and the cache's own may go */
	TriggerDesc *triggers = CopyTriggerDesc(relation->trigdesc);

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];
		Datum		definition;

		if (trigger->tgisinternal)
			continue;
		definition = DirectFunctionCall1(pg_get_triggerdef, ObjectIdGetDatum(trigger->tgoid));
		(void) add_heirloom(succession, "trigger", TriggerRelationId, trigger->tgoid,
							trigger->tgname, TextDatumGetCString(definition));
		if (firing(trigger->tgenabled) != NULL)
			(void) add_heirloom(succession, "trigger", TriggerRelationId, InvalidOid,
								trigger->tgname,
								psprintf("ALTER TABLE %s %s TRIGGER %s", succession->name,
										 firing(trigger->tgenabled),
										 quote_identifier(trigger->tgname)));
	}
}

static const char *
policy_command(char command)
{
	switch (command)
	{
		case ACL_SELECT_CHR:
			return "SELECT";
		case ACL_INSERT_CHR:
			return "INSERT";
		case ACL_UPDATE_CHR:
			return "UPDATE";
		case ACL_DELETE_CHR:
			return "DELETE";
		default:
			return "ALL";
	}
}

static void
append_policy_expression(StringInfo sql, const char *clause, HeapTuple tuple, AttrNumber column,
						 const Succession *succession, TupleDesc desc)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	if (isnull)
		return;
	value = DirectFunctionCall2(pg_get_expr, value, ObjectIdGetDatum(succession->from));
	appendStringInfo(sql, " %s (%s)", clause, TextDatumGetCString(value));
}

/* The server has no function that prints it. */
static char *
policy_definition(const Succession *succession, HeapTuple tuple, TupleDesc desc)
{
	Form_pg_policy form = (Form_pg_policy) GETSTRUCT(tuple);
	StringInfoData sql;
	bool		isnull;
	ArrayType  *roles = DatumGetArrayTypeP(heap_getattr(tuple, Anum_pg_policy_polroles, desc,
														&isnull));

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE POLICY %s ON %s AS %s FOR %s TO ",
					 quote_identifier(NameStr(form->polname)), succession->name,
					 form->polpermissive ? "PERMISSIVE" : "RESTRICTIVE",
					 policy_command(form->polcmd));
	for (int i = 0; i < ARR_DIMS(roles)[0]; i++)
	{
		Oid			role = ((Oid *) ((char *) roles + ARR_OVERHEAD_NONULLS(1)))[i];

		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "",
						 role == ACL_ID_PUBLIC ? "PUBLIC" :
						 quote_identifier(GetUserNameFromId(role, false)));
	}
	append_policy_expression(&sql, "USING", tuple, Anum_pg_policy_polqual, succession, desc);
	append_policy_expression(&sql, "WITH CHECK", tuple, Anum_pg_policy_polwithcheck,
							 succession, desc);
	return sql.data;
}

static void
collect_policies(Succession *succession)
{
	Relation	pg_policy = table_open(PolicyRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_policy_polrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(succession->from));
	scan = systable_beginscan(pg_policy, PolicyPolrelidPolnameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		(void) add_heirloom(succession, "policy", PolicyRelationId,
							((Form_pg_policy) GETSTRUCT(tuple))->oid,
							NameStr(((Form_pg_policy) GETSTRUCT(tuple))->polname),
							policy_definition(succession, tuple, RelationGetDescr(pg_policy)));
	systable_endscan(scan);
	table_close(pg_policy, AccessShareLock);
}

static void
collect_rules(Succession *succession)
{
	Relation	pg_rewrite = table_open(RewriteRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_rewrite_ev_class, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(succession->from));
	scan = systable_beginscan(pg_rewrite, RewriteRelRulenameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_rewrite form = (Form_pg_rewrite) GETSTRUCT(tuple);
		Datum		definition = DirectFunctionCall1(pg_get_ruledef, ObjectIdGetDatum(form->oid));

		(void) add_heirloom(succession, "rule", RewriteRelationId, form->oid,
							NameStr(form->rulename), TextDatumGetCString(definition));
		if (firing(form->ev_enabled) != NULL)
			(void) add_heirloom(succession, "rule", RewriteRelationId, InvalidOid,
								NameStr(form->rulename),
								psprintf("ALTER TABLE %s %s RULE %s", succession->name,
										 firing(form->ev_enabled),
										 quote_identifier(NameStr(form->rulename))));
	}
	systable_endscan(scan);
	table_close(pg_rewrite, AccessShareLock);
}

/*
 * They are let go, lest they are dropped with the old table or moved into another
 * schema along with the new one.
 */
static void
collect_sequences(Succession *succession)
{
	Relation	pg_depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	ListCell   *lc;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(RelationRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(succession->from));
	scan = systable_beginscan(pg_depend, DependReferenceIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		OwnedSequence *owned;

		if (form->classid != RelationRelationId || form->objsubid != 0 ||
			form->deptype != DEPENDENCY_AUTO ||
			get_rel_relkind(form->objid) != RELKIND_SEQUENCE ||
			!has_column(succession, form->refobjsubid))
			continue;
		owned = palloc(sizeof(OwnedSequence));
		owned->sequence = form->objid;
		owned->attnum = form->refobjsubid;
		succession->sequences = lappend(succession->sequences, owned);
	}
	systable_endscan(scan);
	table_close(pg_depend, AccessShareLock);
	foreach(lc, succession->sequences)
		deleteDependencyRecordsForClass(RelationRelationId,
										((OwnedSequence *) lfirst(lc))->sequence,
										RelationRelationId, DEPENDENCY_AUTO);
	CommandCounterIncrement();
}

static void
collect_definitions(Succession *succession)
{
	Relation	relation = relation_open(succession->from, NoLock);
	int			nestlevel = pin_settings();

	collect_defaults(succession, relation);
	collect_constraints(succession);
	collect_triggers(succession, relation);
	collect_policies(succession);
	collect_rules(succession);
	AtEOXact_GUC(true, nestlevel);
	relation_close(relation, NoLock);
}

/* ---- the whole ---- */

/* What partitions have one by one. */
static void
carry_heaps(Oid from, Oid to)
{
	Oid			heap = layout_first_heap(from);
	bool		of_partition = heap != from;
	ListCell   *lc;

	foreach(lc, find_all_inheritors(to, NoLock, NULL))
	{
		Oid			relid = lfirst_oid(lc);
		bool		is_partition = relid != to;

		if (get_rel_relkind(relid) == RELKIND_RELATION)
			carry_class(heap, relid, false, of_partition && is_partition, true);
		if (of_partition && is_partition)
			carry_columns(heap, relid);
		else if (is_partition)
			drop_grants(relid);
		setting_copy_columns(get_rel_relkind(relid) == RELKIND_RELATION ? heap : from, relid);
	}
}

Succession *
successor_prepare(Oid from, Oid to, bool corresponds, const List *twins, const List *own)
{
	Succession *succession = palloc0(sizeof(Succession));
	ListCell   *lc;

	PushActiveSnapshot(GetTransactionSnapshot());
	succession->from = from;
	succession->to = to;
	succession->name = quote_qualified_identifier(get_namespace_name(get_rel_namespace(from)),
												  get_rel_name(from));
	foreach(lc, find_all_inheritors(to, NoLock, NULL))
		carry_owner(lfirst_oid(lc) == to ? from : layout_first_heap(from), lfirst_oid(lc));
	if (corresponds)
	{
		carry_heaps(from, to);
		carry_indexes(succession, twins, own);
		carry_replica_identity(from, to, twins);
		adopt_hand_over_statistics(from, to);
		adopt_move_statistics(from, to);
		collect_definitions(succession);
		collect_sequences(succession);
	}
	carry_class(from, to, corresponds, true, false);
	carry_columns(from, to);
	carry_comment(from, 0, to, 0);
	PopActiveSnapshot();
	return succession;
}

static void
error_context(void *arg)
{
	Heirloom   *heirloom = arg;

	errcontext("%s \"%s\" of the published table", heirloom->what, heirloom->name);
}

/* The server does not read the table for a key that was verified. */
static void
skip_validation(RawStmt *raw)
{
	AlterTableStmt *alter = castNode(AlterTableStmt, raw->stmt);
	Constraint *constraint = castNode(Constraint, linitial_node(AlterTableCmd, alter->cmds)->def);

	constraint->skip_validation = true;
}

static void
define(const Heirloom *heirloom)
{
	ErrorContextCallback callback;
	RawStmt    *raw;

	callback.callback = error_context;
	callback.arg = unconstify(Heirloom *, heirloom);
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	raw = linitial_node(RawStmt, raw_parser(heirloom->definition, RAW_PARSE_DEFAULT));
	if (heirloom->verified)
		skip_validation(raw);
	layout_execute_utility(raw->stmt, heirloom->definition);
	error_context_stack = callback.previous;
}

static Oid
find(const Succession *succession, const Heirloom *heirloom)
{
	switch (heirloom->classid)
	{
		case ConstraintRelationId:
			return get_relation_constraint_oid(succession->to, heirloom->name, false);
		case TriggerRelationId:
			return get_trigger_oid(succession->to, heirloom->name, false);
		case PolicyRelationId:
			return get_relation_policy_oid(succession->to, heirloom->name, false);
		default:
			return get_rewrite_oid(succession->to, heirloom->name, false);
	}
}

void
successor_finish(Succession *succession)
{
	int			nestlevel = pin_settings();
	ListCell   *lc;

	PushActiveSnapshot(GetTransactionSnapshot());
	/* another one's name may have been free in the staging schema, and not here */
	foreach(lc, succession->indexes)
	{
		NamedIndex *named = lfirst(lc);

		if (strcmp(get_rel_name(named->index), named->name) != 0)
			RenameRelationInternal(named->index, named->name, true, true);
	}
	CommandCounterIncrement();
	foreach(lc, succession->sequences)
	{
		OwnedSequence *owned = lfirst(lc);
		ObjectAddress sequence;
		ObjectAddress column;

		ObjectAddressSet(sequence, RelationRelationId, owned->sequence);
		ObjectAddressSubSet(column, RelationRelationId, succession->to, owned->attnum);
		recordDependencyOn(&sequence, &column, DEPENDENCY_AUTO);
	}
	foreach(lc, succession->heirlooms)
	{
		Heirloom   *heirloom = lfirst(lc);

		if (heirloom->definition != NULL)
			define(heirloom);
		if (heirloom->comment != NULL)
			CreateComments(find(succession, heirloom), heirloom->classid, 0, heirloom->comment);
	}
	PopActiveSnapshot();
	AtEOXact_GUC(true, nestlevel);
}
