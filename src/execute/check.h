/*-------------------------------------------------------------------------
 *
 * check.h
 *	  Tests checks: counts the rows that are wrong, and shows some.
 *
 * Works in the current transaction, as the current user, with the current
 * search_path, and needs no snapshot of the caller's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_CHECK_H
#define ETL_CHECK_H

#include "metastore/catalog.h"
#include "parse/step_check.h"

/*
 * Tests checks (of StepCheck *, pointed at the tables that they mean) one after
 * the other, all that look at single rows in one scan.
 *
 * Adds a CheckResult to *results for each check that was tested, and to *warnings
 * a text (char *) for each that found something and only warns, in the current
 * memory context; what is there already stays in front, and is there also after
 * an error.
 *
 * Raises ERRCODE_ETL_CHECK_FAILED when all have been tested and one that does not
 * only warn has found wrong rows.  The message names it and says how many, the
 * detail shows some.  Raises also what the checks' own SQL raises, with the check
 * as context.
 */
extern void check_rows(const List *checks, List **results, List **warnings);

#endif							/* ETL_CHECK_H */
