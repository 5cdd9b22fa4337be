/*-------------------------------------------------------------------------
 *
 * index_match.h
 *	  Indexes of a staged table and of the published one that it will stand in
 *	  for: which belong together, and building those that are missing.
 *
 * An index is the step's or the user's.  The step's are those that earlier runs
 * have made because the step's "indexes" asked for them; the registry of outputs
 * has their names.  One that was renamed, or that something depends on (a
 * constraint, a foreign key, the replica identity), is the user's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_INDEX_MATCH_H
#define ETL_INDEX_MATCH_H

#include "etl.h"
#include "table/table_shape.h"

/* What happens to one index when the table is published. */
typedef struct IndexPair
{
	Oid			published;		/* InvalidOid: the staged one is new */
	Oid			staged;			/* InvalidOid: the published one goes */
} IndexPair;

/*
 * Build on a staged table those indexes of the published one that it has to have as well and does
 * not have yet.  own: the names (char *) of the step's, on the published table; declared: the OIDs
 * of those that the step has asked for, on the staged one.  Columns of the two tables are the same
 * in number and place; an index on a column that the published table is about to lose is left out.
 * Partitions are looked after, too.
 *
 * On a table that will replace the published one (table_shape_compare), primary keys and
 * other constraints are made along with their indexes; an index that both the step and
 * the user want is the user's; one that the published table has no more goes.
 *
 * An index of the published table that is not valid (a failed CREATE INDEX
 * CONCURRENTLY) is built as well, and will be valid.
 *
 * Errors: what CREATE INDEX says: unique_violation, exclusion_violation; with
 * the index's name as context.
 */
extern void index_match_build(Oid published, Oid staged, const List *own, const List *declared);

/*
 * Pair the indexes of two tables that fit (pairs: as table_shape_compare makes them; own and
 * declared: as above). Returns a List of IndexPair *, a partitioned index before its partitions.
 * *missing: an index of the user's that the staged table does not have, because it is newer:
 * index_match_build makes it.  InvalidOid: there is none.
 *
 * replaces: the staged table replaces the published one.  Partitions are not looked at
 * then, and *missing may also be one that the published table has no more.
 */
extern List *index_match_pair(const List *pairs, const List *own, const List *declared,
							  bool replaces, Oid *missing);

#endif							/* ETL_INDEX_MATCH_H */
