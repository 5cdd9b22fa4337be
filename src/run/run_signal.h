/*-------------------------------------------------------------------------
 *
 * run_signal.h
 *	  What may stop a coordinator: signals and a deadline; and waiting, which they end.
 *
 * A signal leaves a mark, which stays, and sets the latch: the coordinator heeds it at the next
 * turn of its loop, where it can act on it.  While it waits for something that no latch tells of (a
 * lock, a standby) it listens: then a mark ends the wait by an error.
 *
 * Marks are the bits of one atomic word, as two handlers may run at the same time.  Whether the
 * coordinator listens is its own business, and the only other state that there is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_RUN_SIGNAL_H
#define ETL_RUN_SIGNAL_H

#include "datatype/timestamp.h"
#include "etl.h"
#include "storage/lockdefs.h"

#define RUN_SIGNAL_CANCEL		0x01	/* SIGINT */
#define RUN_SIGNAL_TERMINATE	0x02	/* SIGTERM */
#define RUN_SIGNAL_DEADLINE		0x04	/* the time of run_signal_arm_deadline has come */

/* Install the handlers.  The process does not listen. */
extern void run_signal_install(void);

/* Return true if one of these has come. */
extern bool run_signal_has(uint32 marks);

/*
 * Between these two a mark, also one that is there already, raises query_canceled.  Whoever catches
 * an error of any kind calls run_signal_ignore, which may be called at any time.
 */
extern void run_signal_listen(void);
extern void run_signal_ignore(void);

/* Let RUN_SIGNAL_DEADLINE come at that time (DT_NOEND: never). */
extern void run_signal_arm_deadline(TimestampTz at);
extern void run_signal_disarm_deadline(void);

/*
 * Take a lock on a relation in the current transaction; wait for it at most so many milliseconds,
 * fewer than deadlock_timeout.  Returns false if it was not free, or a signal has come.
 */
extern bool run_signal_lock(Oid relid, LOCKMODE mode, int patience_ms);

/* Wait for the latch, or until a time (DT_NOEND: for the latch alone). */
extern void run_signal_wait(TimestampTz until);

#endif							/* ETL_RUN_SIGNAL_H */
