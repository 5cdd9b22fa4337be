/*-------------------------------------------------------------------------
 *
 * check.h
 *	  Tests a step's new rows: its checks, and the constraints of the table
 *	  that they are to replace.
 *
 * Works in the current transaction, as the current user, with the current
 * search_path, and needs no snapshot of the caller's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_CHECK_H
#define ETL_CHECK_H

#include "catalog.h"
#include "stepcheck.h"

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

/*
 * The constraints that the rows of a published table must fulfil: NOT NULL, CHECK
 * (NOT VALID ones, too, as for all new rows) and FOREIGN KEY to other tables, as
 * checks of the staged table that will take its place.  Not UNIQUE, PRIMARY KEY
 * and EXCLUDE, which are for their indexes to find.  With check_rows they fail
 * by the constraint's name.
 *
 * NIL where the columns of the two are not the same, in names, types and order:
 * the constraints need then not mean anything for the new rows.
 *
 * target is asked where the table leads that a foreign key references: to its
 * schema and name, both given.  See refs_retarget; here NULL leaves it alone.  A
 * key whose table is not there under the answer is left out.  Takes ACCESS SHARE
 * locks on both tables.
 */
extern List *check_constraints_of(Oid published, Oid staged,
								  RefsTargetFunction target, void *arg);

#endif							/* ETL_CHECK_H */
