/*-------------------------------------------------------------------------
 *
 * partition_key.h
 *	  The column that a repartitioned step's table is partitioned by, where the
 *	  user does not say.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_PARTITION_KEY_H
#define ETL_PARTITION_KEY_H

#include "metastore/catalog.h"

/*
 * For a step whose row is about to be written: keeps the key that was chosen for
 * it, unless what it makes is defined anew (old: the row before, or NULL).
 */
extern void partition_key_carry(Step *step, const Step *old);

/*
 * After rows have been written: chooses keys for the steps that need one and have
 * none, from what those that read them join and group by, and stores them with
 * this version.  changed: the steps (Step *) whose rows were written.
 *
 * A step that was written itself is looked at together with all its readers, any
 * other one only together with the readers that were written.  Where these join or group by
 * nothing, it stays without a key until a reader comes that does.  Once
 * chosen, a key stays, whatever becomes of the readers.
 */
extern void partition_key_settle(const Pipeline *pipeline, int32 version, const List *changed);

#endif							/* ETL_PARTITION_KEY_H */
