/*-------------------------------------------------------------------------
 *
 * identity.h
 *	  Acting as another role for the length of one query.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_IDENTITY_H
#define ETL_IDENTITY_H

#include "etl.h"

/* What identity_restore needs. */
typedef struct Identity
{
	Oid			userid;
	int			sec_context;
	int			nestlevel;
} Identity;

/*
 * Become the role, as the server does for what it executes for a table's owner: in a
 * security-restricted operation, which keeps what is executed from touching the session, with
 * search_path set to pg_catalog and pg_temp, and with no regard to FORCE ROW LEVEL SECURITY.  The
 * end of the (sub)transaction restores the caller's identity and settings after an error.
 */
extern void identity_become(Identity *saved, Oid role);
extern void identity_restore(const Identity *saved);

/*
 * Return true if the role can read these columns (attribute numbers) of all rows of the table: it
 * has SELECT, and no policy hides any from it.
 */
extern bool identity_can_read(Oid role, Oid relid, int n, const int16 *columns);

#endif							/* ETL_IDENTITY_H */
