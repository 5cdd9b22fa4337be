/*-------------------------------------------------------------------------
 *
 * sql_error.c
 *	  Errors in SQL that a user stored: where in that SQL they are.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/sql_error.h"

static void
sql_error_callback(void *arg)
{
	SqlErrorContext *context = (SqlErrorContext *) arg;
	int			position = geterrposition();

	/*
	 * A position that is still there is one in our text: callbacks run from the innermost
	 * outwards, and whatever parses another text below us (SPI, an SQL function) has made its own
	 * positions internal by now.
	 */
	if (position > 0)
	{
		errposition(0);
		internalerrposition(Max(position - context->offset, 1));
		internalerrquery(context->sql);
	}

	if (context->label != NULL)
		errcontext("%s \"%s\"", context->label, context->sql);
	if (context->statements > 1)
		errcontext("statement %d of %d", context->statement, context->statements);
}

void
sql_error_push(SqlErrorContext *context)
{
	context->callback.callback = sql_error_callback;
	context->callback.arg = context;
	context->callback.previous = error_context_stack;
	error_context_stack = &context->callback;
}

void
sql_error_pop(SqlErrorContext *context)
{
	Assert(error_context_stack == &context->callback);
	error_context_stack = context->callback.previous;
}
