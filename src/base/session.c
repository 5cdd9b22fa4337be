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
#include "base/session.h"

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
#include "storage/latch.h"
#include "storage/lock.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

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
	{"role", "none"},
	{"row_security", "on"},
	{"standard_conforming_strings", "on"},
	{"default_table_access_method", "heap"},
	{"idle_in_transaction_session_timeout", "0"},
	{"idle_session_timeout", "0"},
	{"transaction_timeout", "0"},	/* 17 and later */
};

/*
 * Libraries that keep nothing of a session's: PL/pgSQL, the JIT compiler and the
 * stemmer of full text search.
 */
static const char *const session_stateless_libraries[] = {
	"plpgsql", "llvmjit", "dict_snowball"
};

/* In a worker: how many other libraries it had loaded when it began. */
static int	session_libraries = -1;

/* In a worker: who waits for its run. */
static int	session_nwaiting = 0;
static const int *session_waiting_pids = NULL;

/* Libraries that the process has loaded, those without state left out. */
static int
session_count_libraries(void)
{
	Size		size = EstimateLibraryStateSpace();
	char	   *names = palloc(size);
	int			n = 0;

	SerializeLibraryState(size, names);
	for (char *name = names; *name != '\0'; name += strlen(name) + 1)
	{
		const char *base = last_dir_separator(name) ? last_dir_separator(name) + 1 : name;
		bool		stateless = false;

		for (int i = 0; i < (int) lengthof(session_stateless_libraries) && !stateless; i++)
		{
			size_t		len = strlen(session_stateless_libraries[i]);

			stateless = strncmp(base, session_stateless_libraries[i], len) == 0 &&
				(base[len] == '\0' || strcmp(base + len, DLSUFFIX) == 0);
		}
		if (!stateless)
			n++;
	}
	pfree(names);
	return n;
}

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
session_begin_worker(int nwaiting, const int *waiting)
{
	session_nwaiting = nwaiting;
	session_waiting_pids = waiting;
	session_libraries = session_count_libraries();
}

int
session_waiting(const int **waiting)
{
	*waiting = session_waiting_pids;
	return session_nwaiting;
}

bool
session_is_worker(void)
{
	return session_libraries >= 0;
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
	PushActiveSnapshot(GetTransactionSnapshot());	/* temporary tables are deleted from catalogs */

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

	PopActiveSnapshot();
	CommitTransactionCommand();
}

bool
session_reset(void)
{
	volatile bool clean = session_count_libraries() == session_libraries;
	uint32		held = InterruptHoldoffCount;

	if (!clean)
		return false;

	PG_TRY();
	{
		session_discard();
	}
	PG_CATCH();
	{
		/* an error lets interrupts in, but the caller holds them off */
		InterruptHoldoffCount = held;
		EmitErrorReport();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		clean = false;
	}
	PG_END_TRY();

	return clean;
}

/* ---- a client that has gone ---- */

#define CLIENT_CHECK_MS		"1000"

int
session_watch_client(void)
{
	int			nestlevel = NewGUCNestLevel();

	if (MyProcPort == NULL || whereToSendOutput != DestRemote ||
		client_connection_check_interval > 0 || !WaitEventSetCanReportClosed())
		return nestlevel;
	(void) set_config_option("client_connection_check_interval", CLIENT_CHECK_MS,
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	/* the server arms it at the beginning of a statement; it goes on by itself */
	if (!get_timeout_active(CLIENT_CONNECTION_CHECK_TIMEOUT))
		enable_timeout_after(CLIENT_CONNECTION_CHECK_TIMEOUT, client_connection_check_interval);
	return nestlevel;
}

void
session_unwatch_client(int nestlevel)
{
	AtEOXact_GUC(false, nestlevel);
}
