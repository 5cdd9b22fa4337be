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

#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shm_mq.h"
#include "storage/shm_toc.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#define REQUEST_MAGIC			0x45544c52
#define REQUEST_KEY_HEADER		1
#define REQUEST_KEY_PARAMS		2
#define REQUEST_KEY_STEPS		3
#define REQUEST_KEY_QUEUE		4
#define REQUEST_QUEUE_SIZE		16384

/* How long a patient caller waits before it asks for a worker slot again. */
#define REQUEST_SLOT_RETRY_MS	1000

typedef enum CallerState
{
	CALLER_WAITING,
	CALLER_RELEASED,
	CALLER_GONE
} CallerState;

typedef enum ServerState
{
	SERVER_STARTING,
	SERVER_ACCEPTED,			/* the coordinator has taken the run on */
	SERVER_LEFT
} ServerState;

typedef struct RequestHeader
{
	int32		pipeline_id;
	int32		version;
	Oid			owner;
	Oid			requested_by;
	EtlConflict conflict;
	RunSettings settings;
	bool		waits;
	int64		run_id;
	int64		resumes;
	bool		reuse;
	TransactionId after;
	int			nancestors;
	int			ancestors[ETL_MAX_NESTING];
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

	if (pg_atomic_compare_exchange_u32(&header->caller_state, &expected, CALLER_GONE) &&
		pg_atomic_read_u32(&header->server_state) == SERVER_ACCEPTED)
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
	(*header)->pipeline_id = request->pipeline_id;
	(*header)->version = request->version;
	(*header)->owner = request->owner;
	(*header)->requested_by = request->requested_by;
	(*header)->conflict = request->conflict;
	(*header)->settings = request->settings;
	(*header)->waits = request->waits;
	(*header)->run_id = request->run_id;
	(*header)->resumes = request->resumes;
	(*header)->reuse = request->reuse;
	(*header)->after = request->after;
	(*header)->nancestors = request->nancestors;
	memcpy((*header)->ancestors, request->ancestors, sizeof(request->ancestors));
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

static void
request_raise_no_slot(int elevel)
{
	ereport(elevel,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("no background worker is free for the run"),
			 errhint("All of the server's max_worker_processes (%d) are in use. Raise that setting, or run fewer pipelines and parallel queries at a time.",
					 max_worker_processes)));
}

RequestCaller *
request_launch(const RunRequest *request, bool patient)
{
	RequestCaller *caller = palloc0(sizeof(RequestCaller));
	BackgroundWorker worker;
	shm_mq	   *queue;
	bool		warned = false;

	caller->segment = request_create_segment(request, &caller->header, &queue);
	caller->queue = shm_mq_attach(queue, caller->segment, NULL);
	on_dsm_detach(caller->segment, request_caller_detached,
				  PointerGetDatum(caller->header));

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = UInt32GetDatum(dsm_segment_handle(caller->segment));
	strlcpy(worker.bgw_library_name, ETL_LIBRARY, sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "etl_coordinator_main", sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_type, ETL_EXTENSION_NAME " coordinator", sizeof(worker.bgw_type));
	strlcpy(worker.bgw_name, ETL_EXTENSION_NAME " coordinator", sizeof(worker.bgw_name));
	/* the coordinator connects to the caller's database */
	memcpy(worker.bgw_extra, &MyDatabaseId, sizeof(Oid));
	memcpy(worker.bgw_extra + sizeof(Oid), &request->owner, sizeof(Oid));

	while (!RegisterDynamicBackgroundWorker(&worker, &caller->worker))
	{
		if (!patient)
			request_raise_no_slot(ERROR);
		if (!warned)
			request_raise_no_slot(WARNING);
		warned = true;

		/* nothing tells when a slot becomes free */
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 REQUEST_SLOT_RETRY_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}

	shm_mq_set_handle(caller->queue, caller->worker);
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
request_wait_accepted(RequestCaller *caller)
{
	for (;;)
	{
		pid_t		pid;

		if (pg_atomic_read_u32(&caller->header->server_state) != SERVER_STARTING)
			return;
		if (GetBackgroundWorkerPid(caller->worker, &pid) == BGWH_STOPPED &&
			pg_atomic_read_u32(&caller->header->server_state) == SERVER_STARTING)
			ereport(ERROR,
					(errcode(ERRCODE_ETL_RUN_LOST),
					 errmsg("the run's coordinator could not start"),
					 errhint("The server's log says why.")));

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, 0, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
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
	request->pipeline_id = server->header->pipeline_id;
	request->version = server->header->version;
	request->owner = server->header->owner;
	request->requested_by = server->header->requested_by;
	request->conflict = server->header->conflict;
	request->settings = server->header->settings;
	request->waits = server->header->waits;
	request->run_id = server->header->run_id;
	request->resumes = server->header->resumes;
	request->reuse = server->header->reuse;
	request->after = server->header->after;
	request->nancestors = server->header->nancestors;
	memcpy(request->ancestors, server->header->ancestors, sizeof(request->ancestors));
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
