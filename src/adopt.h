/*-------------------------------------------------------------------------
 *
 * adopt.h
 *	  What people have added to a published table and what its next rows have to
 *	  obey or to be measured by: constraints and statistics objects.
 *
 * A staged table that has these constraints itself is the proof that its rows
 * obey them: the server has looked at every row.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_ADOPT_H
#define ETL_ADOPT_H

#include "etl.h"

/*
 * Gives the staged table the NOT NULL and CHECK constraints of the published one
 * that it does not have yet and that can be asked of its columns, in one scan.
 * Constraints that are not enforced (18) are left out; those that are NOT VALID
 * hold for new rows, and these are.
 *
 * Raises not_null_violation and check_violation, as ALTER TABLE does;
 * feature_not_supported for a CHECK that refers to the whole row.
 */
extern void adopt_constraints(Oid published, Oid staged);

/*
 * Has a staged heap, or partitioned table, all of these?  NULL, or what it lacks:
 * the name of a column or of a constraint.  The columns must fit.
 */
extern char *adopt_find_missing(Oid published, Oid staged);

/*
 * Gives the staged table the statistics objects of the published one, with their
 * targets, so that ANALYZE fills them.
 */
extern void adopt_statistics(Oid published, Oid staged);

/*
 * What ANALYZE has found for these, of one heap or partitioned table, becomes that
 * of the published table's statistics objects.  One that has been added meanwhile
 * has nothing until the next ANALYZE.
 */
extern void adopt_hand_over_statistics(Oid published, Oid staged);

#endif							/* ETL_ADOPT_H */
