/*-------------------------------------------------------------------------
 *
 * request.c
 *	  The conversation between the session that asks for a run and the run's
 *	  coordinator.
 *
 * One segment a conversation, with three parts: the request (written by the
 * caller before the coordinator exists, read-only from then on), how things
 * stand with the caller (one atomic word), and a message queue for the answers.
 *
 * The caller's word says WAITING from the start and RELEASED once the run shall
 * go on without it.  When the segment is detached in any other way (an error,
 * Ctrl-C, the end of the session) a callback makes it GONE and sends
 * the coordinator the signal that cancels a run.  So nothing that can happen
 * to the caller needs a special case.
 *
 * The coordinator must never wait for a caller that does not read: what does
 * not fit into the queue is kept in the coordinator's memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "run/request.h"

#include <signal.h>

#include "base/lock.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "run/coordinator.h"
#include "run/process.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shm_mq.h"
#include "storage/shm_toc.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#define REQUEST_MAGIC			0x45544c52
#define REQUEST_KEY_HEADER		1
#define REQUEST_KEY_PARAMS		2
#define REQUEST_KEY_STEPS		3
#define REQUEST_KEY_QUEUE		4
#define REQUEST_QUEUE_SIZE		16384

/* How long a caller waits before it asks again for a worker slot. */
#define REQUEST_SLOT_RETRY_MS	200

/* How long it takes to be let in as a rule, when others are let in; after that it is a wait. */
#define REQUEST_SHORT_MS		1000
#define REQUEST_SHORT_RETRY_MS	20

typedef enum CallerState
{
	CALLER_WAITING,
	CALLER_RELEASED,
	CALLER_GONE
} CallerState;

typedef enum ServerState
{
	SERVER_STARTING,
	SERVER_ACCEPTED,			/* it knows its caller */
	SERVER_STAFFED,				/* and has the processes that it needs */
	SERVER_REFUSED,				/* or will not have them */
	SERVER_LEFT
} ServerState;

typedef struct RequestHeader
{
	RunRequest	request;		/* without what it points to */
	int			nsteps;
	bool		has_params;

	int			caller_pid;
	pg_atomic_uint32 caller_state;	/* CallerState */
	PGPROC	   *caller;
	int			server_pid;		/* the coordinator's, valid once accepted */
	pg_atomic_uint32 server_state;	/* ServerState */
} RequestHeader;

struct RequestCaller
{
	dsm_segment *segment;
	RequestHeader *header;
	shm_mq_handle *queue;
	BackgroundWorkerHandle *worker;
};

struct RequestServer
{
	dsm_segment *segment;
	RequestHeader *header;
	shm_mq_handle *queue;
	List	   *unsent;			/* of StringInfo; the first may be half sent */
	MemoryContext context;
};

/* ---- the caller ---- */

static void
request_caller_detached(dsm_segment *segment, Datum arg)
{
	RequestHeader *header = (RequestHeader *) DatumGetPointer(arg);
	uint32		expected = CALLER_WAITING;

	uint32		state;

	if (!pg_atomic_compare_exchange_u32(&header->caller_state, &expected, CALLER_GONE))
		return;
	state = pg_atomic_read_u32(&header->server_state);
	if (state == SERVER_ACCEPTED || state == SERVER_STAFFED)
		kill(header->server_pid, SIGINT);
}

static dsm_segment *
request_create_segment(const RunRequest *request, RequestHeader **header, shm_mq **queue)
{
	shm_toc_estimator estimator;
	Size		params_size = request->params ? strlen(request->params) + 1 : 1;
	Size		steps_size = 1;
	Size		size;
	dsm_segment *segment;
	shm_toc    *toc;
	char	   *params;
	char	   *steps;
	ListCell   *lc;

	foreach(lc, request->steps)
		steps_size += strlen((char *) lfirst(lc)) + 1;

	shm_toc_initialize_estimator(&estimator);
	shm_toc_estimate_chunk(&estimator, sizeof(RequestHeader));
	shm_toc_estimate_chunk(&estimator, params_size);
	shm_toc_estimate_chunk(&estimator, steps_size);
	shm_toc_estimate_chunk(&estimator, REQUEST_QUEUE_SIZE);
	shm_toc_estimate_keys(&estimator, 4);
	size = shm_toc_estimate(&estimator);

	segment = dsm_create(size, 0);
	toc = shm_toc_create(REQUEST_MAGIC, dsm_segment_address(segment), size);

	*header = shm_toc_allocate(toc, sizeof(RequestHeader));
	memset(*header, 0, sizeof(RequestHeader));
	(*header)->request = *request;
	(*header)->request.params = NULL;
	(*header)->request.steps = NIL;
	(*header)->nsteps = list_length(request->steps);
	(*header)->has_params = request->params != NULL;
	(*header)->caller_pid = MyProcPid;
	(*header)->caller = MyProc;
	pg_atomic_init_u32(&(*header)->caller_state, CALLER_WAITING);
	pg_atomic_init_u32(&(*header)->server_state, SERVER_STARTING);
	shm_toc_insert(toc, REQUEST_KEY_HEADER, *header);

	params = shm_toc_allocate(toc, params_size);
	strcpy(params, request->params ? request->params : "");
	shm_toc_insert(toc, REQUEST_KEY_PARAMS, params);

	steps = shm_toc_allocate(toc, steps_size);
	shm_toc_insert(toc, REQUEST_KEY_STEPS, steps);
	foreach(lc, request->steps)
	{
		strcpy(steps, (char *) lfirst(lc));
		steps += strlen(steps) + 1;
	}

	*queue = shm_mq_create(shm_toc_allocate(toc, REQUEST_QUEUE_SIZE), REQUEST_QUEUE_SIZE);
	shm_toc_insert(toc, REQUEST_KEY_QUEUE, *queue);
	shm_mq_set_receiver(*queue, MyProc);
	return segment;
}

/* ---- getting the processes ---- */

/* How a caller's wait for processes stands. */
typedef struct RequestWait
{
	TimestampTz since;
	TimestampTz until;			/* DT_NOEND: without a limit */
	bool		warned;
} RequestWait;

static void
request_say_no_slot(int elevel)
{
	ereport(elevel,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("no background worker is free for the run"),
			 errdetail("A run needs %d of them before it begins: its coordinator, the process that holds its snapshot, and a worker.",
					   PROCESS_ROLES + 1),
			 errhint("All of the server's max_worker_processes (%d) are in use. Raise that setting, or run fewer pipelines and parallel queries at a time.",
					 max_worker_processes)));
}

/* Raise the error if the time is up. */
static void
request_check_wait(const RequestWait *wait)
{
	if (GetCurrentTimestamp() >= wait->until)
		request_say_no_slot(ERROR);
}

/*
 * Warn once of a wait that is not short.  Never with the admission lock: a client that reads
 * nothing would keep all others out.
 */
static void
request_warn(RequestWait *wait)
{
	if (wait->warned ||
		!TimestampDifferenceExceeds(wait->since, GetCurrentTimestamp(), REQUEST_SHORT_MS))
		return;
	wait->warned = true;
	request_say_no_slot(WARNING);
}

static void
request_sleep(int ms)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/*
 * Wait until no other run is being given its processes.  That is short unless there are none, and
 * who has come first gets them first.
 */
static void
request_wait_admission(RequestWait *wait)
{
	while (!wait->warned)
	{
		if (lock_admission_try())
			return;
		request_check_wait(wait);
		request_warn(wait);
		request_sleep(REQUEST_SHORT_RETRY_MS);
	}

	PG_TRY();
	{
		/* 0 would be no limit */
		lock_admission(wait->until == DT_NOEND ? 0 :
					   Max(1, (int) Min(INT_MAX,
										TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
																		wait->until))));
	}
	PG_CATCH();
	{
		if (geterrcode() == ERRCODE_LOCK_NOT_AVAILABLE)
		{
			FlushErrorState();
			request_say_no_slot(ERROR);
		}
		PG_RE_THROW();
	}
	PG_END_TRY();
}

static void
request_start_coordinator(RequestCaller *caller, const RunRequest *request,
						  const RequestWait *wait)
{
	CoordinatorStart start;

	start.request = dsm_segment_handle(caller->segment);
	start.database = MyDatabaseId;
	start.owner = request->owner;
	while (!process_register("etl_coordinator_main", "coordinator",
							 ETL_EXTENSION_NAME " coordinator", &start, sizeof(start),
							 &caller->worker))
	{
		/* nothing tells when a slot becomes free */
		request_check_wait(wait);
		request_sleep(REQUEST_SLOT_RETRY_MS);
	}
	shm_mq_set_handle(caller->queue, caller->worker);
}

bool
request_is_staffed(RequestCaller *caller)
{
	return pg_atomic_read_u32(&caller->header->server_state) == SERVER_STAFFED;
}

/* Wait until the coordinator has its processes, or has given up, or is gone. */
static void
request_wait_staffed(RequestCaller *caller, const RequestWait *wait)
{
	for (;;)
	{
		uint32		state = pg_atomic_read_u32(&caller->header->server_state);
		pid_t		pid;

		if (state != SERVER_STARTING && state != SERVER_ACCEPTED)
			return;
		if (GetBackgroundWorkerPid(caller->worker, &pid) == BGWH_STOPPED)
			return;
		request_check_wait(wait);
		request_sleep(REQUEST_SLOT_RETRY_MS);
	}
}

RequestCaller *
request_launch(const RunRequest *request, int64 patience_ms)
{
	RequestCaller *caller = palloc0(sizeof(RequestCaller));
	RequestWait wait = {0};
	shm_mq	   *queue;

	wait.since = GetCurrentTimestamp();
	wait.until = patience_ms > 0 ? TimestampTzPlusMilliseconds(wait.since, patience_ms) : DT_NOEND;
	lock_show_queued(request->pipeline_id);
	request_wait_admission(&wait);

	PG_TRY();
	{
		caller->segment = request_create_segment(request, &caller->header, &queue);
		caller->queue = shm_mq_attach(queue, caller->segment, NULL);
		on_dsm_detach(caller->segment, request_caller_detached,
					  PointerGetDatum(caller->header));
		request_start_coordinator(caller, request, &wait);
		request_wait_staffed(caller, &wait);
	}
	PG_FINALLY();
	{
		/* also before an error is sent to a client that may not read it */
		lock_admission_release();
	}
	PG_END_TRY();

	lock_hide_queued(request->pipeline_id);
	request_warn(&wait);
	return caller;
}

/* A text that may be NULL. */
static void
request_put_text(StringInfo buf, const char *text)
{
	pq_sendbyte(buf, text !=NULL);
	if (text !=NULL)
		appendBinaryStringInfo(buf, text, strlen(text) + 1);
}

static char *
request_get_text(StringInfo buf)
{
	const char *text;

	if (pq_getmsgbyte(buf) == 0)
		return NULL;
	text = buf->data + buf->cursor;

	buf->cursor += strlen(text) + 1;
	return pstrdup(text);
}

bool
request_receive(RequestCaller *caller, RequestMessage *message)
{
	Size		size;
	void	   *data;
	StringInfoData buf;

	if (shm_mq_receive(caller->queue, &size, &data, false) != SHM_MQ_SUCCESS)
		return false;

	initStringInfo(&buf);
	appendBinaryStringInfo(&buf, data, (int) size);
	message->kind = pq_getmsgbyte(&buf);
	message->run_id = pq_getmsgint64(&buf);
	message->sqlerrcode = (int) pq_getmsgint(&buf, 4);
	message->message = request_get_text(&buf);
	message->detail = request_get_text(&buf);
	message->hint = request_get_text(&buf);
	message->context = request_get_text(&buf);
	pfree(buf.data);
	return true;
}

void
request_release(RequestCaller *caller)
{
	pg_atomic_write_u32(&caller->header->caller_state, CALLER_RELEASED);
	dsm_detach(caller->segment);
	caller->segment = NULL;
}

/* ---- the coordinator ---- */

static void
request_server_detached(dsm_segment *segment, Datum arg)
{
	RequestHeader *header = (RequestHeader *) DatumGetPointer(arg);

	pg_atomic_write_u32(&header->server_state, SERVER_LEFT);
}

RequestServer *
request_attach(dsm_handle handle, RunRequest **result)
{
	RequestServer *server;
	RunRequest *request;
	dsm_segment *segment = dsm_attach(handle);
	shm_toc    *toc;
	shm_mq	   *queue;
	const char *steps;

	if (segment == NULL)
		return NULL;
	dsm_pin_mapping(segment);
	toc = shm_toc_attach(REQUEST_MAGIC, dsm_segment_address(segment));
	if (toc == NULL)
		elog(ERROR, "bad magic number in dynamic shared memory segment");

	server = palloc0(sizeof(RequestServer));
	server->segment = segment;
	server->context = CurrentMemoryContext;
	server->header = shm_toc_lookup(toc, REQUEST_KEY_HEADER, false);
	queue = shm_toc_lookup(toc, REQUEST_KEY_QUEUE, false);
	shm_mq_set_sender(queue, MyProc);
	server->queue = shm_mq_attach(queue, segment, NULL);

	request = palloc0(sizeof(RunRequest));
	*request = server->header->request;
	if (server->header->has_params)
		request->params = pstrdup(shm_toc_lookup(toc, REQUEST_KEY_PARAMS, false));
	steps = shm_toc_lookup(toc, REQUEST_KEY_STEPS, false);
	for (int i = 0; i < server->header->nsteps; i++)
	{
		request->steps = lappend(request->steps, pstrdup(steps));
		steps += strlen(steps) + 1;
	}

	*result = request;
	return server;
}

void
request_accept(RequestServer *server)
{
	server->header->server_pid = MyProcPid;
	on_dsm_detach(server->segment, request_server_detached, PointerGetDatum(server->header));
	pg_write_barrier();
	pg_atomic_write_u32(&server->header->server_state, SERVER_ACCEPTED);
	pg_memory_barrier();		/* who is gone after this has seen it, and signals */
}

void
request_settle(RequestServer *server, bool staffed)
{
	pg_atomic_write_u32(&server->header->server_state, staffed ? SERVER_STAFFED : SERVER_REFUSED);
	if (request_waiting_pid(server) != 0)
		SetLatch(&server->header->caller->procLatch);
}

void
request_send(RequestServer *server, const RequestMessage *message)
{
	MemoryContext oldcontext;
	StringInfo	buf;
	char	   *data;

	if (request_waiting_pid(server) == 0)
		return;

	oldcontext = MemoryContextSwitchTo(server->context);
	buf = makeStringInfo();
	pq_sendbyte(buf, message->kind);
	pq_sendint64(buf, message->run_id);
	pq_sendint32(buf, message->sqlerrcode);
	request_put_text(buf, message->message);
	request_put_text(buf, message->detail);
	request_put_text(buf, message->hint);
	request_put_text(buf, message->context);

	/* thousands may have to wait here: no more memory than they need */
	data = palloc(buf->len);
	memcpy(data, buf->data, buf->len);
	pfree(buf->data);
	buf->data = data;
	buf->maxlen = buf->len;
	server->unsent = lappend(server->unsent, buf);
	MemoryContextSwitchTo(oldcontext);

	request_flush(server);
}

/* shm_mq wants the same message again after SHM_MQ_WOULD_BLOCK. */
void
request_flush(RequestServer *server)
{
	while (server->unsent != NIL)
	{
		StringInfo	buf = linitial(server->unsent);
		shm_mq_result result = SHM_MQ_DETACHED;

		if (request_waiting_pid(server) != 0)
			result = shm_mq_send(server->queue, buf->len, buf->data, true, true);
		if (result == SHM_MQ_WOULD_BLOCK)
			return;

		server->unsent = list_delete_first(server->unsent);
		pfree(buf->data);
		pfree(buf);
	}
}

void
request_drain(RequestServer *server)
{
	for (;;)
	{
		request_flush(server);
		if (server->unsent == NIL)
			return;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, 0, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

int
request_waiting_pid(RequestServer *server)
{
	if (pg_atomic_read_u32(&server->header->caller_state) != CALLER_WAITING)
		return 0;
	return server->header->caller_pid;
}

bool
request_caller_is_gone(RequestServer *server)
{
	return pg_atomic_read_u32(&server->header->caller_state) == CALLER_GONE;
}
