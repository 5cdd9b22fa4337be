/*-------------------------------------------------------------------------
 *
 * names.h
 *	  Lists of names, as char *.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_NAMES_H
#define ETL_NAMES_H

#include "etl.h"
#include "nodes/pg_list.h"

/* list_member, for names. */
static inline bool
names_contain(const List *names, const char *name)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return true;
	}
	return false;
}

#endif							/* ETL_NAMES_H */
