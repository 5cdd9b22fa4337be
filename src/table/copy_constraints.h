/*-------------------------------------------------------------------------
 *
 * copy_constraints.h
 *	  What people have added to a published table and what its next rows have to
 *	  obey or to be measured by: constraints and statistics objects.
 *
 * A staged table that has these constraints itself is the proof that its rows
 * obey them: the server has looked at every row.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_COPY_CONSTRAINTS_H
#define ETL_COPY_CONSTRAINTS_H

#include "etl.h"

/*
 * Gives the staged table the NOT NULL and CHECK constraints of the published one
 * that it does not have yet and that can be asked of its columns, in one scan.
 * Constraints that are not enforced (18) are left out; those that are NOT VALID
 * hold for new rows, and these are.  One that will replace the published table loses
 * those that this has no more.
 *
 * Raises not_null_violation and check_violation, as ALTER TABLE does;
 * feature_not_supported for a CHECK that refers to the whole row.
 */
extern void copy_constraints_constraints(Oid published, Oid staged);

/*
 * Has a staged heap, or partitioned table, all of these?  exactly: and no others.
 * The columns must fit.
 */
extern bool copy_constraints_is_complete(Oid published, Oid staged, bool exactly);

/*
 * Gives the staged table the statistics objects of the published one, with their
 * targets, so that ANALYZE fills them.
 */
extern void copy_constraints_statistics(Oid published, Oid staged);

/*
 * What ANALYZE has found for these, of one heap or partitioned table, becomes that
 * of the published table's statistics objects.  One that has been added meanwhile
 * has nothing until the next ANALYZE.
 */
extern void copy_constraints_hand_over_statistics(Oid published, Oid staged);

/*
 * The published table's statistics objects become the staged one's, with all that
 * they are: names, owners, comments, and what was handed over to them.
 */
extern void copy_constraints_move_statistics(Oid published, Oid staged);

#endif							/* ETL_COPY_CONSTRAINTS_H */
