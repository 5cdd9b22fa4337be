/*-------------------------------------------------------------------------
 *
 * identity.h
 *	  What a published table is beside its rows, where another table has to
 *	  replace it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_IDENTITY_H
#define ETL_IDENTITY_H

#include "etl.h"
#include "nodes/pg_list.h"

/*
 * Raises feature_not_supported, and names it, where the table has something that
 * the one that replaces it would not have: row-level security, triggers, rules,
 * constraints, statistics objects, sequences of its own, indexes that are not the
 * step's (own: their names, of char *).
 */
extern void identity_check_replaceable(Oid relid, const List *own);

/*
 * Gives a table the grants and comments of another one, also those of columns that
 * both have.
 */
extern void identity_carry(Oid from, Oid to);

#endif							/* ETL_IDENTITY_H */
