/*-------------------------------------------------------------------------
 *
 * alter_table.h
 *	  ALTER TABLE and other utility statements, executed as if they had been typed.
 *
 * All of them run in the current transaction as the current user, and make their changes visible to
 * what follows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_ALTER_TABLE_H
#define ETL_ALTER_TABLE_H

#include "etl.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"

/*
 * Return one command of an ALTER TABLE.  name and definition: as the command needs them, or NULL.
 */
extern AlterTableCmd *alter_table_command(AlterTableType subtype, const char *name,
										  Node *definition);

/*
 * Execute ALTER TABLE with these commands (of AlterTableCmd *), on partitions too.  The caller has
 * locked the table with AccessExclusiveLock.
 */
extern void alter_table_execute(Oid relid, List *commands);

/* Execute a utility statement that was parsed from this text. */
extern void alter_table_execute_utility(Node *statement, const char *text);

#endif							/* ETL_ALTER_TABLE_H */
