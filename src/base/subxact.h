/*-------------------------------------------------------------------------
 *
 * subxact.h
 *	  Do something in a subtransaction, and get its error as data.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_SUBXACT_H
#define ETL_SUBXACT_H

#include "etl.h"

typedef enum SubxactEnd
{
	SUBXACT_RELEASE,			/* what was done stays */
	SUBXACT_ROLL_BACK			/* locks, settings and identity are as they were */
} SubxactEnd;

/*
 * Call the function in a subtransaction, in the current memory context.  Returns the error that it
 * raised, copied into "context", after the subtransaction was rolled back; NULL if it raised none,
 * after the subtransaction was ended as asked for.  Whatever else the function changes in the
 * process it takes back itself.
 */
extern ErrorData *subxact_try(void (*function) (void *arg), void *arg, SubxactEnd end,
							  MemoryContext context);

#endif							/* ETL_SUBXACT_H */
