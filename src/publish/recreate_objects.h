/*-------------------------------------------------------------------------
 *
 * recreate_objects.h
 *	  What a table has by definitions that name it, made again on another one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_RECREATE_OBJECTS_H
#define ETL_RECREATE_OBJECTS_H

#include "etl.h"
#include "nodes/pg_list.h"

/*
 * Defaults, foreign keys, triggers, policies and rules of a table, and what is said of
 * them and of its constraints, as far as the other one has the columns that are at
 * the same places.  There must be an active snapshot.
 */
extern List *recreate_objects_collect(Oid from, Oid to);

/*
 * When the new table has the old one's name and schema: makes all of it.  Foreign
 * keys are not verified: foreign_key_verify has done so.  Raises what CREATE TRIGGER
 * and the like do.  There must be an active snapshot.
 */
extern void recreate_objects_define(List *objects, Oid relid);

#endif							/* ETL_RECREATE_OBJECTS_H */
