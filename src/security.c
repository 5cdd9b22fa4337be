/*-------------------------------------------------------------------------
 *
 * security.c
 *	  Who may do what.
 *
 * A pipeline runs with its owner's rights, whoever starts it, as a
 * materialised view is refreshed with its owner's.  The processes of a run are
 * sessions of the owner from their first instant, so there is no identity
 * above the owner's that a step's SQL could climb back to.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "security.h"

#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/acl.h"
#include "utils/syscache.h"

bool
security_is_member(Oid owner)
{
	return has_privs_of_role(GetUserId(), owner);
}

void
security_check_member(Oid owner, const char *pipeline)
{
	if (!security_is_member(owner))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("pipeline \"%s\" does not exist", pipeline)));
}

void
security_check_worker_role(Oid owner, const char *pipeline)
{
	HeapTuple	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(owner));
	bool		canlogin;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("the owner of pipeline \"%s\" does not exist any more", pipeline),
				 errhint("Create the pipeline anew, as a role that does exist.")));
	canlogin = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	ReleaseSysCache(tuple);

	if (!canlogin && security_worker_flags() == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("pipeline \"%s\" cannot run: its owner \"%s\" is not permitted to log in",
						pipeline, GetUserNameFromId(owner, false)),
				 errdetail("A run's processes are sessions of the owner, and this server's version has no background workers for a role with NOLOGIN."),
				 errhint("ALTER ROLE %s LOGIN without a password, or use PostgreSQL 17 or later.",
						 GetUserNameFromId(owner, false))));
}

void
security_check_primary(const char *function)
{
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot execute %s during recovery", function),
				 errhint("Pipelines run on the primary server.")));
	if (IsInParallelMode())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("cannot execute %s during a parallel operation", function)));
	if (InSecurityRestrictedOperation())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot execute %s within security-restricted operation", function)));
}

void
security_check_may_start(const char *function)
{
	security_check_primary(function);
	if (XactReadOnly)
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot execute %s in a read-only transaction", function)));
}

uint32
security_worker_flags(void)
{
	return COMPAT_BGWORKER_BYPASS_ROLELOGINCHECK;
}
