/*-------------------------------------------------------------------------
 *
 * step_index.c
 *	  The indexes that a step asks for: "(a, b)", "UNIQUE (a)", "USING gin (c)".
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "parse/step_index.h"

#include "access/xact.h"
#include "base/names.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "parser/parse_utilcmd.h"
#include "parser/parser.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#define INDEX_TABLE		"etl_table"
#define INDEX_PREFIX	"CREATE INDEX ON " INDEX_TABLE " "
#define INDEX_LABEL		"idx"
#define UNIQUE_PREFIX	"CREATE UNIQUE INDEX ON " INDEX_TABLE " "

IndexStmt *
step_index_parse(const char *text, SqlErrorContext *errors, char **statement)
{
	const char *prefix = INDEX_PREFIX;
	const char *tail = text;
	List	   *parsed;
	IndexStmt  *index = NULL;

	while (scanner_isspace(*tail))
		tail++;
	if (pg_strncasecmp(tail, "unique", 6) == 0 &&
		(scanner_isspace(tail[6]) || tail[6] == '(' || tail[6] == '\0'))
	{
		prefix = UNIQUE_PREFIX;
		tail += 6;
	}

	/* everything skipped is ASCII: bytes are characters */
	errors->offset = (int) strlen(prefix) - (int) (tail - text);
	*statement = psprintf("%s%s", prefix, tail);
	parsed = raw_parser(*statement, RAW_PARSE_DEFAULT);

	if (list_length(parsed) == 1 &&
		IsA(linitial_node(RawStmt, parsed)->stmt, IndexStmt))
		index = (IndexStmt *) linitial_node(RawStmt, parsed)->stmt;

	/* the text must not have gone on with the table's name */
	if (index == NULL || index->concurrent || index->idxname != NULL ||
		index->relation->schemaname != NULL ||
		strcmp(index->relation->relname, INDEX_TABLE) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("invalid index definition"),
				 errhint("Give what follows the table's name in CREATE INDEX, such as (a, b), UNIQUE (a) or USING gin (tags).")));

	return index;
}

void
step_index_check(const char *index)
{
	SqlErrorContext errors = {.sql = index, .label = "index"};
	char	   *statement;

	sql_error_push(&errors);
	(void) step_index_parse(index, &errors, &statement);
	sql_error_pop(&errors);
}

List *
step_index_build(Oid relid, const List *indexes)
{
	char	   *name = names_relation(relid);
	char	   *schema = names_schema(get_rel_namespace(relid));
	List	   *relids = NIL;
	ListCell   *cell;

	/* functions in an index's expressions may read other tables */
	PushActiveSnapshot(GetTransactionSnapshot());
	foreach(cell, indexes)
	{
		const char *text = (const char *) lfirst(cell);
		SqlErrorContext errors = {.sql = text, .label = "index"};
		char	   *statement;
		IndexStmt  *index;

		sql_error_push(&errors);
		index = step_index_parse(text, &errors, &statement);
		index->relation = makeRangeVar(schema, name, -1);

		/*
		 * A name that the server chose could be chosen for another table at the same moment.
		 */
		index->idxname = makeObjectName(name, psprintf("%u", relid),
										psprintf(INDEX_LABEL "%d", foreach_current_index(cell) + 1));
		index = transformIndexStmt(relid, index, statement);
		relids = lappend_oid(relids, DefineIndexCompat(relid, index).objectId);
		CommandCounterIncrement();
		sql_error_pop(&errors);
	}
	PopActiveSnapshot();
	return relids;
}
