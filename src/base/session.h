/*-------------------------------------------------------------------------
 *
 * session.h
 *	  A worker's session: what it begins with, and how the traces of one step
 *	  are wiped before the next.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_SESSION_H
#define ETL_SESSION_H

#include "etl.h"

/*
 * Once, after the process has connected: takes the session defaults that could
 * hurt a run away from the role, the database and the configuration file.
 */
extern void session_pin_settings(void);

/*
 * Once, in a worker, after that.  waiting: the processes that wait for its run,
 * directly or through other runs.
 */
extern void session_begin_worker(int nwaiting, const int *waiting);

/* These processes; none in a session that is no worker. */
extern int	session_waiting(const int **waiting);

/* Return true if this process is a worker of a run. */
extern bool session_is_worker(void);

/* A setting for the session, with the rights of its user.  Needs a transaction. */
extern void session_set(const char *name, const char *value);

/* "name=value", as in add_step's settings. */
extern void session_set_assignment(const char *assignment);

/*
 * Fires what a step has deferred (constraint triggers), and closes the portals
 * that it left open, as the step's user: nothing of the user's is left to be
 * executed in this transaction.
 */
extern void session_settle(void);

/*
 * Wipes everything that a session keeps: what DISCARD ALL clears, and the seed
 * of random().  Outside a transaction; raises nothing.  Returns false where it
 * could not: something failed, or the step made the process load a library (a
 * procedural language's interpreter, say), whose memory cannot be seen from
 * here; the process must then end.
 */
extern bool session_reset(void);

/*
 * For as long as this session waits for something of ours: notice that its client has gone, within
 * a second, as client_connection_check_interval does where it is set.  Then the next
 * CHECK_FOR_INTERRUPTS ends the session.  Nothing happens in a session without a client, and where
 * the platform cannot tell.  session_unwatch_client takes what the other one has returned; an error
 * does the same.
 */
extern int	session_watch_client(void);
extern void session_unwatch_client(int nestlevel);

#endif							/* ETL_SESSION_H */
