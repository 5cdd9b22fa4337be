/*-------------------------------------------------------------------------
 *
 * target_check.c
 *	  The names that a run publishes under, and what stands there before it
 *	  begins.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "define/target_check.h"

#include "access/twophase.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_namespace.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

typedef struct OccupantEntry
{
	char		name[NAMEDATALEN];	/* hash key */
	Oid			relid;
	Oid			registered;
	bool		lost;
	const char *needs_log;
	const char *publication;
	int			nrelations;
} OccupantEntry;

static bool
is_selected(const bool *selected, int index)
{
	return selected == NULL || selected[index];
}

/* Return true if the step leaves a table in the target schema. */
static bool
publishes(const Step *step)
{
	return step->kind == ETL_STEP_QUERY && step->keep;
}

/* What stands under the names in the target schema. */
static HTAB *
load_occupants(const PipelineGraph *graph, const List *names)
{
	HTAB	   *table = pipeline_create_names("occupied names", list_length(names),
											  sizeof(OccupantEntry));
	List	   *occupants = NIL;
	ListCell   *lc;

	if (names != NIL)
		occupants = catalog_load_occupants(graph->pipeline->id,
										   graph->pipeline->target_schema, names);
	foreach(lc, occupants)
	{
		const Occupant *occupant = lfirst(lc);
		OccupantEntry *entry;
		bool		found;

		entry = hash_search(table, occupant->name, HASH_ENTER, &found);
		/* a relation says more than a type of the same name */
		if (!found || OidIsValid(occupant->relid))
		{
			entry->relid = occupant->relid;
			entry->registered = occupant->registered;
			entry->lost = occupant->lost;
			entry->needs_log = occupant->needs_log;
			entry->publication = occupant->publication;
			entry->nrelations = occupant->nrelations;
		}
	}
	list_free(occupants);

	return table;
}

/*
 * Notes, for the unselected query steps whose tables step "index" refers to, that
 * it does so, if none did before, and their names.
 */
static List *
note_unselected(const PipelineGraph *graph, const bool *selected, int index,
				const List *references, int *user, List *names)
{
	ListCell   *lc;

	foreach(lc, references)
	{
		int			upstream = pipeline_find_reference(graph, lfirst(lc));

		if (upstream >= 0 && !selected[upstream] && user[upstream] < 0 &&
			graph->steps[upstream]->kind == ETL_STEP_QUERY)
		{
			user[upstream] = index;
			names = lappend(names, graph->steps[upstream]->process_name);
		}
	}
	return names;
}

/*
 * Only what the SQL refers to counts: depends_on alone needs no table, and a
 * command step makes none.
 */
void
target_check_check_unselected(const PipelineGraph *graph, const bool *selected)
{
	int		   *user;			/* of each unselected step: the first that uses its table */
	List	   *names = NIL;
	HTAB	   *occupants;

	if (selected == NULL)
		return;

	user = palloc(sizeof(int) * Max(graph->nsteps, 1));
	for (int i = 0; i < graph->nsteps; i++)
		user[i] = -1;
	for (int i = 0; i < graph->nsteps; i++)
	{
		if (!selected[i])
			continue;
		names = note_unselected(graph, selected, i, graph->steps[i]->reads, user, names);
		names = note_unselected(graph, selected, i, graph->steps[i]->writes, user, names);
	}

	occupants = load_occupants(graph, names);
	for (int i = 0; i < graph->nsteps; i++)
	{
		const Step *step = graph->steps[i];
		OccupantEntry *entry;

		if (user[i] < 0)
			continue;
		entry = hash_search(occupants, step->process_name, HASH_FIND, NULL);
		if (publishes(step) && entry != NULL && OidIsValid(entry->relid) &&
			entry->relid == entry->registered)
		{
			if (entry->lost)
				ereport(ERROR,
						(errcode(ERRCODE_ETL_OUTPUT_LOST),
						 errmsg("step \"%s\" reads step \"%s\", which is not selected and whose rows are lost",
								graph->steps[user[i]]->process_name, step->process_name),
						 errdetail("The server has crashed since table %s was published, and it is not logged.",
								   quote_qualified_identifier(graph->pipeline->target_schema,
															  step->process_name)),
						 errhint("Select it too, for example with \"+%s\".",
								 graph->steps[user[i]]->process_name)));
			continue;
		}

		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("step \"%s\" reads step \"%s\", which is not selected and has no table",
						graph->steps[user[i]]->process_name, step->process_name),
				 !step->keep ?
				 errdetail("Step \"%s\" is defined with keep => false: it leaves no table behind.",
						   step->process_name) :
				 errdetail("There is no table %s that an earlier run of pipeline \"%s\" made.",
						   quote_qualified_identifier(graph->pipeline->target_schema,
													  step->process_name),
						   graph->pipeline->name),
				 errhint("Select it too, for example with \"+%s\".",
						 graph->steps[user[i]]->process_name)));
	}
	hash_destroy(occupants);
	list_free(names);
	pfree(user);
}

/*
 * Publishing locks all tables in one transaction (publish.c): of the run's each
 * heap and its TOAST table, of the published ones their indexes, too.  ntables and
 * nlocks: how many.
 */
static void
check_lock_table(int ntables, int64 nlocks)
{
	int64		size = (int64) max_locks_per_xact * (MaxBackends + max_prepared_xacts);

	if (nlocks <= size)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("publishing %d tables takes " INT64_FORMAT " entries of the lock table, which has " INT64_FORMAT,
					ntables, nlocks, size),
			 errhint("Set max_locks_per_transaction to at least " INT64_FORMAT " and restart the server, or run the pipeline in parts, by selecting steps.",
					 1 + nlocks / (MaxBackends + max_prepared_xacts))));
}

/* How many tables of its own a step's table is. */
static int
table_parts(const Step *step)
{
	return 1 + step->repartition;
}

void
target_check_check(const PipelineGraph *graph, const bool *selected)
{
	const char *schema = graph->pipeline->target_schema;
	List	   *names = NIL;
	int64		nlocks = 0;
	HTAB	   *occupants;

	for (int i = 0; i < graph->nsteps; i++)
	{
		if (is_selected(selected, i) && publishes(graph->steps[i]))
			names = lappend(names, graph->steps[i]->process_name);
	}

	if (names != NIL && !OidIsValid(get_namespace_oid(schema, true)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_SCHEMA),
				 errmsg("schema \"%s\" does not exist", schema),
				 errdetail("It is the target of pipeline \"%s\".", graph->pipeline->name),
				 errhint("Create it, as \"%s\" or with CREATE on it granted to that role.",
						 GetUserNameFromId(graph->pipeline->owner, false))));

	occupants = load_occupants(graph, names);
	for (int i = 0; i < graph->nsteps; i++)
	{
		const Step *step = graph->steps[i];
		OccupantEntry *entry;

		if (!is_selected(selected, i) || !publishes(step))
			continue;
		nlocks += 2 * table_parts(step);
		entry = hash_search(occupants, step->process_name, HASH_FIND, NULL);
		if (entry == NULL)
			continue;
		if (OidIsValid(entry->relid) && entry->relid == entry->registered)
		{
			nlocks += entry->nrelations;
			if (entry->needs_log != NULL && !pipeline_is_logged(graph, i))
				ereport(ERROR,
						(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
						 errmsg("table %s cannot become unlogged",
								quote_qualified_identifier(schema, step->process_name)),
						 errdetail("It was published as a logged table, and %s needs that.",
								   entry->needs_log),
						 errhint("Set persist of step \"%s\" to true, or drop what needs it.",
								 step->process_name)));
			if (entry->publication != NULL && pipeline_is_logged(graph, i))
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("table %s is in publication %s, whose subscribers would not see its new rows",
								quote_qualified_identifier(schema, step->process_name),
								entry->publication),
						 errhint("Take it out of the publication, or let a command step fill a table of your own that is in it.")));
			continue;
		}

		if (OidIsValid(entry->relid))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_TABLE),
					 errmsg("relation %s already exists, and was not made by step \"%s\" of pipeline \"%s\"",
							quote_qualified_identifier(schema, step->process_name),
							step->process_name, graph->pipeline->name),
					 errdetail("A pipeline replaces only tables that it made itself."),
					 errhint("Rename or drop the relation, or give the step or the target schema another name.")));
		else
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("type %s already exists, so that step \"%s\" of pipeline \"%s\" cannot make a table of that name",
							quote_qualified_identifier(schema, step->process_name),
							step->process_name, graph->pipeline->name),
					 errhint("Rename or drop the type, or give the step or the target schema another name.")));
	}
	check_lock_table(list_length(names), nlocks);
	hash_destroy(occupants);
	list_free(names);
}

/* ---- who else can create something there ---- */

static void
append_creator(StringInfo creators, Oid role, Oid owner)
{
	if (role == owner || role == ROLE_PG_DATABASE_OWNER ||
		(role != ACL_ID_PUBLIC && superuser_arg(role)))
		return;
	appendStringInfo(creators, "%s%s", creators->len > 0 ? ", " : "",
					 role == ACL_ID_PUBLIC ? "PUBLIC" : GetUserNameFromId(role, false));
}

char *
target_check_creators(const char *schema, Oid owner)
{
	HeapTuple	tuple = SearchSysCache1(NAMESPACENAME, CStringGetDatum(schema));
	Oid			schema_owner;
	StringInfoData creators;
	Datum		datum;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	initStringInfo(&creators);
	schema_owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
	append_creator(&creators, schema_owner, owner);
	datum = SysCacheGetAttr(NAMESPACENAME, tuple, Anum_pg_namespace_nspacl, &isnull);
	if (!isnull)
	{
		Acl		   *acl = DatumGetAclPCopy(datum);
		const AclItem *items = (AclItem *) ((char *) acl + ARR_OVERHEAD_NONULLS(1));

		for (int i = 0; i < ACL_NUM(acl); i++)
		{
			if ((ACLITEM_GET_PRIVS(items[i]) & ACL_CREATE) != 0 &&
				items[i].ai_grantee != schema_owner)
				append_creator(&creators, items[i].ai_grantee, owner);
		}
	}
	ReleaseSysCache(tuple);
	return creators.len > 0 ? creators.data : NULL;
}
