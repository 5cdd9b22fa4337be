/*-------------------------------------------------------------------------
 *
 * replace_table.h
 *	  A table that replaces a published one gets what that was beside its rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_REPLACE_TABLE_H
#define ETL_REPLACE_TABLE_H

#include "etl.h"
#include "nodes/pg_list.h"

/* What is left to be done when the new table stands in the old one's place. */
typedef struct Replacement Replacement;

/*
 * While both tables are there.  The new one gets the owner, grants, comments,
 * row-level security's flags, storage parameters, settings of columns, replica
 * identity and statistics objects of the old one; its partitions get what those of
 * the old one have, or, where that has none, what it has itself.  What is told by a
 * definition that names the table is collected: defaults, foreign keys, triggers,
 * policies, rules, owned sequences.
 *
 * corresponds: the columns are at the same places (table_shape_compare), and the indexes
 * and constraints that are built are there already (twins, of IndexPair *; own: names
 * of the step's indexes).  Where they are not, only grants and comments are carried
 * over, by the columns' names: replace_check_table has seen that there is no
 * more.
 *
 * The caller has locked both with AccessExclusiveLock.
 */
extern Replacement *replace_table_prepare(Oid from, Oid to, bool corresponds, const List *twins,
										  const List *own);

/*
 * When the old table is dropped and the new one has its name and schema.  Foreign keys
 * are not verified: foreign_key_verify has done so.  Raises what CREATE TRIGGER and the
 * like do.
 */
extern void replace_table_finish(Replacement *replacement);

#endif							/* ETL_REPLACE_TABLE_H */
