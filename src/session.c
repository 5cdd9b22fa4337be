/*-------------------------------------------------------------------------
 *
 * session.c
 *	  A worker's session: what it begins with, and how the traces of one step
 *	  are wiped before the next.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "session.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/async.h"
#include "commands/prepare.h"
#include "commands/sequence.h"
#include "commands/trigger.h"
#include "common/pg_prng.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/lock.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"

/*
 * What a role, a database or postgresql.conf may set, for people's sessions,
 * that would break or silently change a run.  A step can still set most of
 * these for itself.
 */
static const struct
{
	const char *name;
	const char *value;
}			session_pinned[] =
{
	{"default_transaction_isolation", "read committed"},
	{"default_transaction_read_only", "off"},
	{"default_transaction_deferrable", "off"},
	{"row_security", "on"},
	{"default_table_access_method", "heap"},
	{"idle_in_transaction_session_timeout", "0"},
	{"idle_session_timeout", "0"},
	{"transaction_timeout", "0"},	/* 17 and later */
};

/* The libraries that the process had loaded when it began. */
static Size session_library_state = 0;

void
session_pin_settings(void)
{
	for (int i = 0; i < (int) lengthof(session_pinned); i++)
	{
		if (GetConfigOption(session_pinned[i].name, true, false) != NULL)
			SetConfigOption(session_pinned[i].name, session_pinned[i].value,
							PGC_SUSET, PGC_S_OVERRIDE);
	}
}

void
session_begin_worker(void)
{
	/* PL/pgSQL keeps nothing of a session's, and many steps load it */
	load_file("$libdir/plpgsql", false);
	session_library_state = EstimateLibraryStateSpace();
}

bool
session_is_worker(void)
{
	return session_library_state != 0;
}

void
session_set(const char *name, const char *value)
{
	(void) set_config_option(name, value,
							 superuser() ? PGC_SUSET : PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SET, true, ERROR, false);
}

void
session_set_assignment(const char *assignment)
{
	char	   *name = pstrdup(assignment);
	char	   *value = strchr(name, '=');

	if (value == NULL)
		elog(ERROR, "setting \"%s\" has no value", assignment);
	*value++ = '\0';
	session_set(name, value);
	pfree(name);
}

/*
 * SET CONSTRAINTS ALL IMMEDIATE is the server's own way to fire what is
 * deferred, and makes what might still be queued fire at once.  Before
 * PostgreSQL 18 a deferred trigger runs as whoever is current when it fires,
 * so this has to come before anything is done in another role's name.
 */
void
session_settle(void)
{
	ConstraintsSetStmt *set_constraints = makeNode(ConstraintsSetStmt);

	PortalHashTableDeleteAll();

	set_constraints->constraints = NIL;
	set_constraints->deferred = false;
	AfterTriggerSetState(set_constraints);
}

static void
session_discard(void)
{
	StartTransactionCommand();

	PortalHashTableDeleteAll();
	SetPGVariable("session_authorization", NIL, false);
	ResetAllOptions();
	DropAllPreparedStatements();
	Async_UnlistenAll();
	LockReleaseAll(USER_LOCKMETHOD, true);
	ResetTempTableNamespace();
	ResetSequenceCaches();
	DirectFunctionCall1(setseed,
						Float8GetDatum(pg_prng_double(&pg_global_prng_state)));

	CommitTransactionCommand();
}

bool
session_reset(void)
{
	volatile bool clean = EstimateLibraryStateSpace() == session_library_state;

	if (!clean)
		return false;

	PG_TRY();
	{
		session_discard();
	}
	PG_CATCH();
	{
		EmitErrorReport();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		clean = false;
	}
	PG_END_TRY();

	return clean;
}
