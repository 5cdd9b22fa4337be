/*-------------------------------------------------------------------------
 *
 * names.c
 *	  Names, and lists of them, as char *.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/names.h"

#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

char *
names_qualified(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
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
