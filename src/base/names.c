/*-------------------------------------------------------------------------
 *
 * names.c
 *	  Names, and lists of them, as char *.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/names.h"

#include "commands/defrem.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

char *
names_schema(Oid schema)
{
	char	   *name = get_namespace_name(schema);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_SCHEMA),
				 errmsg("schema with OID %u does not exist", schema),
				 errdetail("It was dropped meanwhile.")));
	return name;
}

char *
names_relation_if_any(Oid relid)
{
	return get_rel_name(relid);
}

char *
names_relation(Oid relid)
{
	char	   *name = get_rel_name(relid);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid),
				 errdetail("It was dropped meanwhile.")));
	return name;
}

char *
names_qualified(Oid relid)
{
	char	   *relation = names_relation(relid);

	return quote_qualified_identifier(names_schema(get_rel_namespace(relid)), relation);
}

char *
names_free(const char *name, Oid schema, Oid also)
{
	char	   *other = pstrdup(name);

	for (int i = 1; OidIsValid(get_relname_relid(other, schema)) ||
		 (i > 1 && OidIsValid(also) && OidIsValid(get_relname_relid(other, also))); i++)
		other = makeObjectName(name, NULL, psprintf("%d", i));
	return other;
}

char *
names_describe(const ObjectAddress *object)
{
	int			nestlevel = NewGUCNestLevel();
	char	   *description;

	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	description = getObjectDescription(object, true);
	AtEOXact_GUC(true, nestlevel);
	return description;
}
