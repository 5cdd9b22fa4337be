/*-------------------------------------------------------------------------
 *
 * trial.c
 *	  Doing something as a step would do it, and taking it all back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "define/trial.h"

#include "base/subxact.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

static bool
is_about_pipeline(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_INTERNAL_ERROR:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_TRANSACTION_ROLLBACK:
			return false;
		default:
			return error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE &&
				error->elevel == ERROR;
	}
}

/*
 * The end of the subtransaction takes both back.  pg_temp comes last, because
 * this session's temporary tables are the caller's: they would otherwise be found
 * first, as they are not when the step runs, and what is behind a temporary view
 * would be executed as the owner.
 */
static void
become_owner(const Pipeline *pipeline)
{
	char	   *path = psprintf("%s%s%s, pg_temp", quote_identifier(pipeline->target_schema),
								pipeline->search_path[0] != '\0' ? ", " : "",
								pipeline->search_path);
	int			sec_context;
	Oid			user;

	GetUserIdAndSecContext(&user, &sec_context);
	SetUserIdAndSecContext(pipeline->owner, sec_context | SECURITY_RESTRICTED_OPERATION);
	(void) NewGUCNestLevel();
	(void) set_config_option("search_path", path, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

typedef struct Trial
{
	const Pipeline *pipeline;
	void		(*function) (void *arg);
	void	   *arg;
} Trial;

static void
try_as_owner(void *arg)
{
	const Trial *trial = arg;

	become_owner(trial->pipeline);
	trial->function(trial->arg);
}

ErrorData *
trial_make(const Pipeline *pipeline, void (*function) (void *arg), void *arg,
		   MemoryContext context)
{
	Trial		trial = {.pipeline = pipeline, .function = function, .arg = arg};
	MemoryContext scratch = AllocSetContextCreate(context, "trial", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(scratch);
	ErrorData  *error = subxact_try(try_as_owner, &trial, SUBXACT_ROLL_BACK, context);

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(scratch);
	if (error != NULL && !is_about_pipeline(error))
		ReThrowError(error);
	return error;
}
