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
#include "base/security.h"

#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(etl_revoke_default_privileges);

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
security_check_may_define(Oid owner)
{
	COMPAT_CHECK_CAN_SET_ROLE(GetUserId(), owner);
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

/*
 * For the extension's script, which drops this function again: takes back what
 * default privileges have given others on the schema, tables, views and sequences
 * that the script has just made.  Who they are is only known now, so that the
 * script itself cannot name them.
 */
Datum
etl_revoke_default_privileges(PG_FUNCTION_ARGS)
{
	static const char *const find_grantees =
	"SELECT pg_catalog.string_agg(DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC'"
	"  ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END, ', ')"
	" FROM (SELECT nspowner, nspacl FROM pg_catalog.pg_namespace WHERE nspname = '" ETL_SCHEMA "'"
	"       UNION ALL"
	"       SELECT relowner, relacl FROM pg_catalog.pg_class"
	"       WHERE relnamespace = '" ETL_SCHEMA "'::pg_catalog.regnamespace) AS o (owner, acl)"
	" CROSS JOIN LATERAL pg_catalog.aclexplode(o.acl) AS a"
	" WHERE a.grantee OPERATOR(pg_catalog.<>) o.owner";
	static const char *const objects[] = {
		"SCHEMA " ETL_SCHEMA,
		"ALL TABLES IN SCHEMA " ETL_SCHEMA,
		"ALL SEQUENCES IN SCHEMA " ETL_SCHEMA
	};
	char	   *grantees;

	SPI_connect();
	if (SPI_execute(find_grantees, true, 1) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "SPI_execute failed for \"%s\"", find_grantees);
	grantees = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	for (int i = 0; i < (int) lengthof(objects) && grantees != NULL; i++)
		(void) SPI_execute(psprintf("REVOKE ALL ON %s FROM %s", objects[i], grantees), false, 0);
	SPI_finish();

	PG_RETURN_VOID();
}
