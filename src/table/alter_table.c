/*-------------------------------------------------------------------------
 *
 * alter_table.c
 *	  ALTER TABLE and other utility statements, executed as if they had been typed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "table/alter_table.h"

#include "access/xact.h"
#include "base/names.h"
#include "commands/tablecmds.h"
#include "nodes/makefuncs.h"
#include "tcop/dest.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"

void
alter_table_execute_utility(Node *statement, const char *text)
{
	PlannedStmt *utility = makeNode(PlannedStmt);

	utility->commandType = CMD_UTILITY;
	utility->utilityStmt = statement;
	utility->stmt_location = -1;
	ProcessUtility(utility, text, false, PROCESS_UTILITY_SUBCOMMAND, NULL, NULL,
				   None_Receiver, NULL);
	CommandCounterIncrement();
}

AlterTableCmd *
alter_table_command(AlterTableType subtype, const char *name, Node *definition)
{
	AlterTableCmd *command = makeNode(AlterTableCmd);

	command->subtype = subtype;
	command->name = name != NULL ? pstrdup(name) : NULL;
	command->def = definition;
	command->behavior = DROP_RESTRICT;
	return command;
}

void
alter_table_execute(Oid relid, List *commands)
{
	AlterTableStmt *alter = makeNode(AlterTableStmt);
	AlterTableUtilityContext context = {0};

	alter->relation = makeRangeVar(names_schema(get_rel_namespace(relid)),
								   names_relation(relid), -1);
	alter->cmds = commands;
	alter->objtype = OBJECT_TABLE;

	context.pstmt = makeNode(PlannedStmt);
	context.pstmt->commandType = CMD_UTILITY;
	context.pstmt->utilityStmt = (Node *) alter;
	context.queryString = "";
	context.relid = relid;
	AlterTable(alter, AccessExclusiveLock, &context);
	CommandCounterIncrement();
}
