/*-------------------------------------------------------------------------
 *
 * request.h
 *	  The conversation between the session that asks for a run and the run's
 *	  coordinator.
 *
 * A small shared memory segment, made by the caller: what is asked for, and a
 * queue for the coordinator's answers.  It lives until both have left it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_REQUEST_H
#define ETL_REQUEST_H

#include "base/guc.h"
#include "datatype/timestamp.h"
#include "etl.h"
#include "nodes/pg_list.h"
#include "storage/dsm.h"

/* What is asked for. */
typedef struct RunRequest
{
	int32		pipeline_id;
	int32		version;
	Oid			owner;			/* the role that the run's processes become */
	Oid			requested_by;
	EtlConflict conflict;
	RunSettings settings;		/* the caller's */
	TimestampTz requested_at;	/* the pipeline's run_timeout counts from here */
	int64		run_timeout_ms; /* 0: none */
	bool		waits;			/* the caller waits until the run has ended */
	int64		run_id;			/* 0: the coordinator takes a new one */
	int64		resumes;		/* go on from this run; 0: begin anew */
	bool		reuse;			/* then: even with what has read sources */
	TransactionId after;		/* start when this transaction has committed, and never if it
								 * aborts; Invalid: at once */
	int			nancestors;		/* where the caller is a step: the sessions that */
	int			ancestors[ETL_MAX_NESTING]; /* wait for its run, and for theirs */
	char	   *params;			/* JSON text, or NULL */
	List	   *steps;			/* of char *: the selection; NIL: all */
} RunRequest;

typedef enum RequestMessageKind
{
	REQUEST_LAUNCHED = 'L',		/* the run's row is committed; run_id */
	REQUEST_SKIPPED = 'S',		/* on_conflict => skip; run_id of the other run */
	REQUEST_NOTICE = 'N',		/* tell the user: message, detail, hint */
	REQUEST_WARNING = 'W',
	REQUEST_ERROR = 'E',		/* the run was refused, failed or was cancelled */
	REQUEST_FINISHED = 'F'		/* the run succeeded: message */
} RequestMessageKind;

/* The last of these that a caller gets is SKIPPED, ERROR or FINISHED. */
typedef struct RequestMessage
{
	RequestMessageKind kind;
	int64		run_id;
	int			sqlerrcode;
	char	   *message;		/* the texts may be NULL */
	char	   *detail;
	char	   *hint;
	char	   *context;
} RequestMessage;

typedef struct RequestCaller RequestCaller; /* the caller's end */
typedef struct RequestServer RequestServer; /* the coordinator's end */

/* ---- the caller ---- */

/*
 * Start a coordinator for the request, and wait until it has the processes that a run cannot do
 * without (process.h).  Sessions get them one after another, in the order of their calls; who has
 * to wait for long is warned once.  Where they cannot be had within patience_ms (0: without a
 * limit), raise insufficient_resources (configuration_limit_exceeded); nothing is left of the run
 * then.  Interruptible.
 *
 * Until request_release the run lasts only as long as this session stays: when the current
 * (sub)transaction ends, or the process, the coordinator cancels the run.
 */
extern RequestCaller *request_launch(const RunRequest *request, int64 patience_ms);

/*
 * Return true if the coordinator has them; else it has refused the run or is gone, and
 * request_receive says which.
 */
extern bool request_is_staffed(RequestCaller *caller);

/*
 * Waits for the next answer, palloc'd.  False when the coordinator has gone
 * away.  Interruptible.
 */
extern bool request_receive(RequestCaller *caller, RequestMessage *message);

/* Leaves; from now on the run goes on by itself. */
extern void request_release(RequestCaller *caller);

/* ---- the coordinator ---- */

/* Attaches; the request is palloc'd.  NULL if the caller has already gone. */
extern RequestServer *request_attach(dsm_handle handle, RunRequest **request);

/* From now on the coordinator is told, by SIGINT, when the caller has gone. */
extern void request_accept(RequestServer *server);

/* Let request_launch return: the run has its processes, or else will never have them. */
extern void request_settle(RequestServer *server, bool staffed);

/*
 * Hands an answer over, as soon as there is room: never waits.  Without a
 * caller it is forgotten.
 */
extern void request_send(RequestServer *server, const RequestMessage *message);

/* Goes on handing over what did not fit; call it when the latch was set. */
extern void request_flush(RequestServer *server);

/* Waits until the caller has taken everything, or has left. */
extern void request_drain(RequestServer *server);

/* Return the process id of the session that waits for the run; 0 if none does. */
extern int	request_waiting_pid(RequestServer *server);

/* Return true if the session that waited for the run has left without releasing it. */
extern bool request_caller_is_gone(RequestServer *server);

#endif							/* ETL_REQUEST_H */
