/*-------------------------------------------------------------------------
 *
 * copy_constraints.h
 *	  NOT NULL and CHECK constraints of a published table, on the staged one.
 *
 * A staged table that has these constraints itself is the proof that its rows obey them: the server
 * has looked at every row.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_COPY_CONSTRAINTS_H
#define ETL_COPY_CONSTRAINTS_H

#include "etl.h"

/*
 * Give the staged table the owner of the published one, and those of its NOT NULL and CHECK
 * constraints that it does not have yet and whose columns it has, in one scan.  Constraints that
 * are not enforced (18) are left out; those that are NOT VALID hold for new rows, and these are.  A
 * table that will replace the published one loses those that this does not have any more.
 *
 * Raises not_null_violation and check_violation, as ALTER TABLE does; feature_not_supported for a
 * CHECK that refers to the whole row, or where a partition has another owner than its table.
 */
extern void copy_constraints(Oid published, Oid staged);

/*
 * Return true if a staged heap, or partitioned table, has all of these; exactly: and no others.
 * The columns must fit.
 */
extern bool copy_constraints_are_complete(Oid published, Oid staged, bool exactly);

#endif							/* ETL_COPY_CONSTRAINTS_H */
