/*-------------------------------------------------------------------------
 *
 * recreate_objects.c
 *	  What a table has by definitions that name it, made again on another one.
 *
 * Each is a text that the server prints, and that is executed when the new table has
 * the old one's name: so what refers to its own table, as a policy may, means the new
 * one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "publish/recreate_objects.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "base/names.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "commands/comment.h"
#include "commands/policy.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "parser/parser.h"
#include "rewrite/rewriteSupport.h"
#include "table/alter_table.h"
#include "table/table_shape.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/reltrigger.h"
#include "utils/ruleutils.h"

/* Something of the table that has a name and perhaps has to be defined. */
typedef struct RecreatedObject
{
	const char *what;			/* for error messages */
	Oid			classid;
	char	   *name;
	char	   *definition;		/* NULL: it is there already */
	char	   *comment;
	bool		verified;		/* a foreign key whose rows have been looked at */
} RecreatedObject;

typedef struct Collection
{
	Oid			from;
	Oid			to;
	char	   *name;			/* of from, qualified */
	List	   *objects;		/* of RecreatedObject * */
} Collection;

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

static RecreatedObject *
add_object(Collection *collection, const char *what, Oid classid, Oid oid, const char *name,
		   char *definition)
{
	RecreatedObject *object = palloc0(sizeof(RecreatedObject));

	object->what = what;
	object->classid = classid;
	object->name = pstrdup(name);
	object->definition = definition;
	object->comment = OidIsValid(oid) ? GetComment(oid, classid, 0) : NULL;
	collection->objects = lappend(collection->objects, object);
	return object;
}

static void
collect_defaults(Collection *collection, Relation relation)
{
	TupleConstr *constr = RelationGetDescr(relation)->constr;

	for (int i = 0; constr != NULL && i < constr->num_defval; i++)
	{
		AttrDefault *value = &constr->defval[i];
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(relation), value->adnum - 1);

		if (att->attgenerated != '\0' || !table_shape_has_column(collection->to, value->adnum))
			continue;
		(void) add_object(collection, "default of column", InvalidOid, InvalidOid,
						  NameStr(att->attname),
						  psprintf("ALTER TABLE %s ALTER COLUMN %s SET DEFAULT %s",
								   collection->name, quote_identifier(NameStr(att->attname)),
								   deparse_expression(stringToNode(value->adbin), NIL,
													  false, false)));
	}
}

/* Return true if all columns of a constraint are there. */
static bool
has_columns(const Collection *collection, HeapTuple constraint, TupleDesc desc)
{
	bool		isnull;
	Datum		value = heap_getattr(constraint, Anum_pg_constraint_conkey, desc, &isnull);
	ArrayType  *array;

	if (isnull)
		return true;
	array = DatumGetArrayTypeP(value);
	for (int i = 0; i < ARR_DIMS(array)[0]; i++)
	{
		if (!table_shape_has_column(collection->to,
									((int16 *) ((char *) array + ARR_OVERHEAD_NONULLS(1)))[i]))
			return false;
	}
	return true;
}

/* Foreign keys, CHECKs that nobody enforces; and what is said of all constraints. */
static void
collect_constraints(Collection *collection)
{
	Relation	pg_constraint = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(collection->from));
	scan = systable_beginscan(pg_constraint, ConstraintRelidTypidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
		bool		is_key = form->contype == CONSTRAINT_FOREIGN;
		bool		defined = is_key || !ConstraintIsEnforcedCompat(form);
		RecreatedObject *object;

		/* constraint triggers come as triggers */
		if (OidIsValid(form->conparentid) || form->contype == CONSTRAINT_TRIGGER ||
			!has_columns(collection, tuple, RelationGetDescr(pg_constraint)))
			continue;
		object = add_object(collection, is_key ? "foreign key" : "constraint",
							ConstraintRelationId, form->oid, NameStr(form->conname),
							defined ? pg_get_constraintdef_command(form->oid) : NULL);
		object->verified = is_key && form->convalidated;
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
collect_triggers(Collection *collection, Relation relation)
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
		(void) add_object(collection, "trigger", TriggerRelationId, trigger->tgoid,
						  trigger->tgname, TextDatumGetCString(definition));
		if (firing(trigger->tgenabled) != NULL)
			(void) add_object(collection, "trigger", TriggerRelationId, InvalidOid,
							  trigger->tgname,
							  psprintf("ALTER TABLE %s %s TRIGGER %s", collection->name,
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
						 const Collection *collection, TupleDesc desc)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column, desc, &isnull);

	if (isnull)
		return;
	value = DirectFunctionCall2(pg_get_expr, value, ObjectIdGetDatum(collection->from));
	appendStringInfo(sql, " %s (%s)", clause, TextDatumGetCString(value));
}

/* The server has no function that prints it. */
static char *
policy_definition(const Collection *collection, HeapTuple tuple, TupleDesc desc)
{
	Form_pg_policy form = (Form_pg_policy) GETSTRUCT(tuple);
	StringInfoData sql;
	bool		isnull;
	ArrayType  *roles = DatumGetArrayTypeP(heap_getattr(tuple, Anum_pg_policy_polroles, desc,
														&isnull));

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE POLICY %s ON %s AS %s FOR %s TO ",
					 quote_identifier(NameStr(form->polname)), collection->name,
					 form->polpermissive ? "PERMISSIVE" : "RESTRICTIVE",
					 policy_command(form->polcmd));
	for (int i = 0; i < ARR_DIMS(roles)[0]; i++)
	{
		Oid			role = ((Oid *) ((char *) roles + ARR_OVERHEAD_NONULLS(1)))[i];

		appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "",
						 role == ACL_ID_PUBLIC ? "PUBLIC" :
						 quote_identifier(GetUserNameFromId(role, false)));
	}
	append_policy_expression(&sql, "USING", tuple, Anum_pg_policy_polqual, collection, desc);
	append_policy_expression(&sql, "WITH CHECK", tuple, Anum_pg_policy_polwithcheck,
							 collection, desc);
	return sql.data;
}

static void
collect_policies(Collection *collection)
{
	Relation	pg_policy = table_open(PolicyRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_policy_polrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(collection->from));
	scan = systable_beginscan(pg_policy, PolicyPolrelidPolnameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		(void) add_object(collection, "policy", PolicyRelationId,
						  ((Form_pg_policy) GETSTRUCT(tuple))->oid,
						  NameStr(((Form_pg_policy) GETSTRUCT(tuple))->polname),
						  policy_definition(collection, tuple, RelationGetDescr(pg_policy)));
	systable_endscan(scan);
	table_close(pg_policy, AccessShareLock);
}

static void
collect_rules(Collection *collection)
{
	Relation	pg_rewrite = table_open(RewriteRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_rewrite_ev_class, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(collection->from));
	scan = systable_beginscan(pg_rewrite, RewriteRelRulenameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_rewrite form = (Form_pg_rewrite) GETSTRUCT(tuple);
		Datum		definition = DirectFunctionCall1(pg_get_ruledef, ObjectIdGetDatum(form->oid));

		(void) add_object(collection, "rule", RewriteRelationId, form->oid,
						  NameStr(form->rulename), TextDatumGetCString(definition));
		if (firing(form->ev_enabled) != NULL)
			(void) add_object(collection, "rule", RewriteRelationId, InvalidOid,
							  NameStr(form->rulename),
							  psprintf("ALTER TABLE %s %s RULE %s", collection->name,
									   firing(form->ev_enabled),
									   quote_identifier(NameStr(form->rulename))));
	}
	systable_endscan(scan);
	table_close(pg_rewrite, AccessShareLock);
}

List *
recreate_objects_collect(Oid from, Oid to)
{
	Collection	collection = {from, to, names_qualified(from), NIL};
	Relation	relation = relation_open(from, NoLock);
	int			nestlevel = pin_settings();

	collect_defaults(&collection, relation);
	collect_constraints(&collection);
	collect_triggers(&collection, relation);
	collect_policies(&collection);
	collect_rules(&collection);
	AtEOXact_GUC(true, nestlevel);
	relation_close(relation, NoLock);
	return collection.objects;
}

/* ---- making them again ---- */

static void
error_context(void *arg)
{
	RecreatedObject *object = arg;

	errcontext("%s \"%s\" of the published table", object->what, object->name);
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
define(const RecreatedObject *object)
{
	ErrorContextCallback callback;
	RawStmt    *raw;

	callback.callback = error_context;
	callback.arg = unconstify(RecreatedObject *, object);
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	raw = linitial_node(RawStmt, raw_parser(object->definition, RAW_PARSE_DEFAULT));
	if (object->verified)
		skip_validation(raw);
	alter_table_execute_utility(raw->stmt, object->definition);
	error_context_stack = callback.previous;
}

static Oid
find(Oid relid, const RecreatedObject *object)
{
	switch (object->classid)
	{
		case ConstraintRelationId:
			return get_relation_constraint_oid(relid, object->name, false);
		case TriggerRelationId:
			return get_trigger_oid(relid, object->name, false);
		case PolicyRelationId:
			return get_relation_policy_oid(relid, object->name, false);
		default:
			return get_rewrite_oid(relid, object->name, false);
	}
}

void
recreate_objects_define(List *objects, Oid relid)
{
	int			nestlevel = pin_settings();
	ListCell   *lc;

	foreach(lc, objects)
	{
		RecreatedObject *object = lfirst(lc);

		if (object->definition != NULL)
			define(object);
		if (object->comment != NULL)
			CreateComments(find(relid, object), object->classid, 0, object->comment);
	}
	AtEOXact_GUC(true, nestlevel);
}
