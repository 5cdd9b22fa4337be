/*-------------------------------------------------------------------------
 *
 * constraint.h
 *	  The constraints of published tables, as checks of the rows that are to
 *	  replace theirs.
 *
 * NOT NULL, CHECK and FOREIGN KEY; also those that are NOT VALID, as all rows are
 * new, but not those that nobody enforces (18).  UNIQUE, PRIMARY KEY and EXCLUDE
 * are for their indexes to find.  A constraint about a column that the staged table
 * does not have, by name and type, is left out: it cannot stay as it is.
 *
 * The functions look and build; check_rows tests what they return, and then fails
 * with the constraint's name and its table's.  They take ACCESS SHARE locks on the
 * tables, and raise what parsing a constraint does: feature_not_supported for a key
 * with PERIOD (18); and object_not_in_prerequisite_state for a constraint that is
 * newer than the transaction's snapshot.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_CONSTRAINT_H
#define ETL_CONSTRAINT_H

#include "stepcheck.h"

/* The tables that foreign keys of this one reference, but for itself: of Oid. */
extern List *constraint_referenced_by(Oid relid);

/*
 * What a published table demands of the staged one: of StepCheck *.  Not what the
 * staged table has itself as a valid constraint.  NIL where the published table
 * does not exist.
 *
 * Foreign keys to these tables (of Oid), which will be replaced together with the
 * published one, are left to the next function.
 */
extern List *constraint_of_published(Oid published, Oid staged,
									 const List *replaced);

/*
 * What foreign keys between tables demand that are replaced together: for each that
 * references one of these published tables, from one of the others or from any other
 * table, a check of the rows that the referencing table will then have.  The lists
 * (of Oid) say which staged table will take the place of which published one.
 */
extern List *constraint_between_published(const List *published, const List *staged);

#endif							/* ETL_CONSTRAINT_H */
