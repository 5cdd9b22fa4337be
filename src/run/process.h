/*-------------------------------------------------------------------------
 *
 * process.h
 *	  The background processes of a run: how they are registered, and how a run
 *	  gets those that it cannot do without before it begins.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_PROCESS_H
#define ETL_PROCESS_H

#include "etl.h"
#include "postmaster/bgworker.h"

/* What a process of a run is for. */
typedef enum ProcessRole
{
	PROCESS_SNAPSHOT_HOLDER,
	PROCESS_WORKER
} ProcessRole;

#define PROCESS_ROLES	2

/*
 * Register a dynamic background worker that starts in "function" of this library and is restarted
 * by nobody.  "what" names it, after the extension: it is its type.  "extra", of at most
 * BGW_EXTRALEN bytes, is what it finds in bgw_extra.  The postmaster tells this process when it
 * has started and ended.
 *
 * Return false if the server has no free slot; *handle, palloc'd, is set only otherwise.
 */
extern bool process_register(const char *function, const char *what, const char *name,
							 const void *extra, Size extra_size,
							 BackgroundWorkerHandle **handle);

/* ---- the coordinator ---- */

/*
 * Reserve a process of each role for this coordinator's run.  Processes that exist already count,
 * so it is called again until it succeeds.  Return false if the server has no free slot for one of
 * them now, or one has not come to life yet; the process's latch is set when that happens.
 * Whatever is still reserved ends with the coordinator.
 */
extern bool process_reserve(void);

/*
 * Start a process of that role: the reserved one, if it is still there, or else a new one.  "name"
 * is for a new one.  "start" is as for process_register; return as that does.
 */
extern bool process_start(ProcessRole role, const char *name, const void *start, Size size,
						  BackgroundWorkerHandle **handle);

/* Let the reserved process of that role go, if there is one: the run does not need it. */
extern void process_dismiss(ProcessRole role);

/* ---- the process ---- */

extern PGDLLEXPORT void etl_reserved_process_main(Datum arg);

#endif							/* ETL_PROCESS_H */
