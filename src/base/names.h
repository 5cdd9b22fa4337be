/*-------------------------------------------------------------------------
 *
 * names.h
 *	  Names, and lists of them, as char *.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_NAMES_H
#define ETL_NAMES_H

#include "catalog/objectaddress.h"
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

/*
 * The name of an object by its OID, palloc'd.  Somebody else may drop at any moment what we have
 * the OID of, unless we hold a lock on it; then these raise undefined_schema or undefined_table,
 * but names_relation_if_any returns NULL.  No other code of ours asks the server for such a name
 * (test/floors refuses it): its functions return NULL, which is easily forgotten.
 */
extern char *names_schema(Oid schema);
extern char *names_relation(Oid relid);
extern char *names_relation_if_any(Oid relid);

/* A relation's, with its schema, quoted where it must be; palloc'd.  Raises likewise. */
extern char *names_qualified(Oid relid);

/*
 * Return the name, or where a relation of the schema has it another one that begins so and that
 * none has, there and in "also" (a schema, or InvalidOid); palloc'd.
 */
extern char *names_free(const char *name, Oid schema, Oid also);

/*
 * What people know an object by: getObjectDescription, with all names qualified, so
 * that the text does not depend on what else there is.  palloc'd; NULL: the object is
 * not there any more.
 */
extern char *names_describe(const ObjectAddress *object);

#endif							/* ETL_NAMES_H */
