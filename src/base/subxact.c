/*-------------------------------------------------------------------------
 *
 * subxact.c
 *	  Do something in a subtransaction, and get its error as data.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/subxact.h"

#include "access/xact.h"
#include "utils/resowner.h"

ErrorData *
subxact_try(void (*function) (void *arg), void *arg, SubxactEnd end, MemoryContext context)
{
	MemoryContext oldcontext = CurrentMemoryContext;
	ResourceOwner oldowner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(oldcontext);
	PG_TRY();
	{
		function(arg);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	if (error == NULL && end == SUBXACT_RELEASE)
		ReleaseCurrentSubTransaction();
	else
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(oldcontext);
	CurrentResourceOwner = oldowner;
	return error;
}
