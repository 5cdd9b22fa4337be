/*-------------------------------------------------------------------------
 *
 * partition_key.c
 *	  The column that a repartitioned step's table is partitioned by, where the
 *	  user does not say.
 *
 * Partition-wise, a join can be done whose conditions include equality of the key's
 * column, and an aggregation whose groups include it: one column serves more
 * readers than several would.  So each reader has a vote for every column that it
 * joins on, or groups by, and the column with the most votes wins; of several the
 * one that is joined on more often, and then the first by name.
 *
 * A column that one of the step's own unique indexes does not contain cannot be
 * the key of its table.
 *
 * All is read from parse trees: sources need not exist when a step is defined, nor
 * other steps.  Where the step's own SQL shows what its columns are (no star), only
 * these get votes.  A column without its table's name counts where it is one of
 * these, or where the table is the only one in the FROM clause.  What cannot be
 * known that way has no vote.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/names.h"
#include "parse/partition_key.h"
#include "parse/refs.h"
#include "parse/step_index.h"

#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parse_target.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/varlena.h"

/* The schema that references to the step get for the time of the walk. */
#define MARKER	"pg_etl_partkey"

typedef struct Vote
{
	const char *column;
	bool		joined;			/* by the reader that is being looked at */
	bool		grouped;
	int			njoins;			/* how many readers */
	int			ngroups;
	List	   *readers;		/* of char *: their names */
} Vote;

typedef struct Election
{
	const Pipeline *pipeline;
	const Step *step;
	List	   *columns;		/* of char *: its own; NIL: not known */
	List	   *votes;			/* of Vote * */
} Election;

/* One query level of a reader. */
typedef struct Level
{
	Election   *election;
	List	   *aliases;		/* of char *: the names that the step has in it */
	int			nrelations;		/* in its FROM clause */
} Level;

/* ---- votes ---- */

static Vote *
find_vote(Election *election, const char *column)
{
	ListCell   *lc;
	Vote	   *vote;

	foreach(lc, election->votes)
	{
		vote = lfirst(lc);
		if (strcmp(vote->column, column) == 0)
			return vote;
	}
	vote = palloc0(sizeof(Vote));
	vote->column = pstrdup(column);
	election->votes = lappend(election->votes, vote);
	return vote;
}

/* A reader has been looked at as a whole. */
static void
count_reader(Election *election, const char *reader)
{
	ListCell   *lc;

	foreach(lc, election->votes)
	{
		Vote	   *vote = lfirst(lc);

		if (!vote->joined && !vote->grouped)
			continue;
		vote->njoins += vote->joined ? 1 : 0;
		vote->ngroups += vote->grouped ? 1 : 0;
		vote->readers = lappend(vote->readers, pstrdup(reader));
		vote->joined = vote->grouped = false;
	}
}

static bool
is_better(const Vote *a, const Vote *b)
{
	int			votes = (a->njoins + a->ngroups) - (b->njoins + b->ngroups);

	if (votes != 0)
		return votes > 0;
	if (a->njoins != b->njoins)
		return a->njoins > b->njoins;
	return strcmp(a->column, b->column) < 0;
}

/* ---- columns ---- */

/* The last part of a column's name, NULL for a star. */
static const char *
column_name(const ColumnRef *ref)
{
	Node	   *last = llast(ref->fields);

	return IsA(last, String) ? strVal(last) : NULL;
}

static bool
is_star(const Node *node)
{
	return IsA(node, ColumnRef) && column_name((const ColumnRef *) node) == NULL;
}

/* The name of the table that a column is written with, NULL if with none. */
static const char *
column_table(const ColumnRef *ref)
{
	int			nfields = list_length(ref->fields);
	Node	   *table = nfields >= 2 ? list_nth(ref->fields, nfields - 2) : NULL;

	return table != NULL && IsA(table, String) ? strVal(table) : NULL;
}

/* The step's column that the expression is; NULL if it is anything else. */
static const char *
column_of_step(const Level *level, const Node *node)
{
	const List *columns = level->election->columns;
	const char *table;
	const char *name;

	if (node == NULL || !IsA(node, ColumnRef) || level->aliases == NIL)
		return NULL;
	table = column_table((const ColumnRef *) node);
	name = column_name((const ColumnRef *) node);
	if (name == NULL || (columns != NIL && !names_contain(columns, name)))
		return NULL;
	if (table != NULL)
		return names_contain(level->aliases, table) ? name : NULL;
	return level->nrelations == 1 || columns != NIL ? name : NULL;
}

/*
 * The names that the step's SQL gives to its columns; NIL where it does not show
 * all of them.
 */
static List *
columns_of_query(const SelectStmt *query)
{
	List	   *columns = NIL;
	ListCell   *lc;

	while (query->op != SETOP_NONE)
		query = query->larg;
	foreach(lc, query->targetList)
	{
		const ResTarget *target = lfirst_node(ResTarget, lc);

		if (is_star(target->val))
			return NIL;
		columns = lappend(columns, target->name != NULL ? target->name :
						  FigureColname(target->val));
	}
	return columns;
}

/* ---- what a query level does with the step's rows ---- */

static void
vote_for_join(Level *level, const Node *node)
{
	const char *column = column_of_step(level, node);

	if (column != NULL)
		find_vote(level->election, column)->joined = true;
}

/* Return true if these are columns of two tables, so that their equality is a join's. */
static bool
is_join(const Level *level, const Node *left, const Node *right)
{
	const char *left_table;
	const char *right_table;

	if (left == NULL || right == NULL || !IsA(left, ColumnRef) || !IsA(right, ColumnRef))
		return false;
	if (column_of_step(level, left) == NULL || column_of_step(level, right) == NULL)
		return true;
	left_table = column_table((const ColumnRef *) left);
	right_table = column_table((const ColumnRef *) right);
	if (left_table == NULL || right_table == NULL)
		return level->nrelations > 1;
	return strcmp(left_table, right_table) != 0;
}

static void
look_at_conditions(Level *level, Node *node)
{
	if (node == NULL)
		return;
	if (IsA(node, BoolExpr) && ((BoolExpr *) node)->boolop == AND_EXPR)
	{
		ListCell   *lc;

		foreach(lc, ((BoolExpr *) node)->args)
			look_at_conditions(level, lfirst(lc));
	}
	else if (IsA(node, A_Expr) && ((A_Expr *) node)->kind == AEXPR_OP &&
			 list_length(((A_Expr *) node)->name) == 1 &&
			 strcmp(strVal(linitial(((A_Expr *) node)->name)), "=") == 0)
	{
		const Node *left = ((A_Expr *) node)->lexpr;
		const Node *right = ((A_Expr *) node)->rexpr;

		if (is_join(level, left, right))
		{
			vote_for_join(level, left);
			vote_for_join(level, right);
		}
	}
}

/* Return true if an item of the FROM clause contains the step.  Collects its names there. */
static bool
look_at_from(Level *level, Node *item)
{
	bool		found = false;

	if (IsA(item, RangeVar))
	{
		const RangeVar *relation = (const RangeVar *) item;

		level->nrelations++;
		found = relation->schemaname != NULL && strcmp(relation->schemaname, MARKER) == 0;
		if (found)
			level->aliases = lappend(level->aliases,
									 relation->alias ? relation->alias->aliasname :
									 relation->relname);
	}
	else if (IsA(item, JoinExpr))
	{
		const JoinExpr *join = (const JoinExpr *) item;
		bool		in_left = look_at_from(level, join->larg);
		bool		in_right = look_at_from(level, join->rarg);
		ListCell   *lc;

		found = in_left || in_right;
		foreach(lc, join->usingClause)
		{
			const List *columns = level->election->columns;
			const char *column = strVal(lfirst(lc));

			/* in a longer chain the column may be another table's */
			if (columns != NIL ? found && names_contain(columns, column) :
				(in_left && IsA(join->larg, RangeVar)) || (in_right && IsA(join->rarg, RangeVar)))
				find_vote(level->election, column)->joined = true;
		}
	}
	else
		level->nrelations++;
	return found;
}

static void
look_at_join_conditions(Level *level, Node *item)
{
	if (!IsA(item, JoinExpr))
		return;
	look_at_join_conditions(level, ((JoinExpr *) item)->larg);
	look_at_join_conditions(level, ((JoinExpr *) item)->rarg);
	look_at_conditions(level, ((JoinExpr *) item)->quals);
}

/*
 * What an item of GROUP BY is an expression of: as a number it means a column of
 * the result, and so it does as a name that no table has.
 */
static const Node *
grouped_expression(const Level *level, const SelectStmt *query, const Node *item)
{
	const char *name = NULL;
	int			number = 0;
	ListCell   *lc;

	if (IsA(item, ColumnRef) && column_table((const ColumnRef *) item) == NULL &&
		column_of_step(level, item) == NULL)
		name = column_name((const ColumnRef *) item);
	else if (IsA(item, A_Const) && IsA(&((const A_Const *) item)->val, Integer))
		number = ((const A_Const *) item)->val.ival.ival;

	foreach(lc, query->targetList)
	{
		const ResTarget *target = lfirst_node(ResTarget, lc);

		if (number > 0 && is_star(target->val))
			break;				/* who knows how many columns it stands for */
		if (number == foreach_current_index(lc) + 1 ||
			(name != NULL && target->name != NULL && strcmp(target->name, name) == 0))
			return target->val;
	}
	return item;
}

static void
look_at_level(Election *election, SelectStmt *query)
{
	Level		level = {.election = election};
	ListCell   *lc;

	foreach(lc, query->fromClause)
		(void) look_at_from(&level, lfirst(lc));
	if (level.aliases == NIL)
		return;
	foreach(lc, query->fromClause)
		look_at_join_conditions(&level, lfirst(lc));
	look_at_conditions(&level, query->whereClause);
	foreach(lc, query->groupClause)
	{
		const char *column = column_of_step(&level, grouped_expression(&level, query, lfirst(lc)));

		if (column != NULL)
			find_vote(election, column)->grouped = true;
	}
}

static bool
look_at_node(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	if (IsA(node, SelectStmt))
		look_at_level(arg, (SelectStmt *) node);
	return raw_expression_tree_walker(node, look_at_node, arg);
}

/* ---- readers ---- */

static const char *
mark_step(const char *schema, const char *name, bool created, void *arg)
{
	const Election *election = arg;

	if (created || strcmp(name, election->step->process_name) != 0 ||
		(schema != NULL && strcmp(schema, election->pipeline->target_schema) != 0))
		return NULL;
	return MARKER;
}

static void
look_at_reader(Election *election, const Step *reader)
{
	List	   *statements = refs_parse(reader->sql_query);
	ListCell   *lc;

	refs_retarget(statements, mark_step, election);
	foreach(lc, statements)
	{
		Node	   *statement = lfirst_node(RawStmt, lc)->stmt;

		/* of other statements the walker knows nothing */
		if (IsA(statement, SelectStmt) || IsA(statement, InsertStmt) ||
			IsA(statement, UpdateStmt) || IsA(statement, DeleteStmt) ||
			IsA(statement, MergeStmt))
			(void) look_at_node(statement, election);
	}
	count_reader(election, reader->process_name);
}

/* Return true if a table that is partitioned by the column can have the step's indexes. */
static bool
fits_indexes(const Step *step, const char *column)
{
	ListCell   *lc;

	foreach(lc, step->indexes)
	{
		SqlErrorContext errors = {.sql = lfirst(lc), .label = "index"};
		char	   *statement;
		IndexStmt  *index = step_index_parse(lfirst(lc), &errors, &statement);
		bool		contained = !index->unique;
		ListCell   *param;

		foreach(param, index->indexParams)
		{
			const IndexElem *element = lfirst_node(IndexElem, param);

			if (element->name != NULL && strcmp(element->name, column) == 0)
				contained = true;
		}
		if (!contained)
			return false;
	}
	return true;
}

static void
elect(const Pipeline *pipeline, Step *step, const List *readers)
{
	Election	election = {.pipeline = pipeline, .step = step};
	const Vote *best = NULL;
	RawStmt    *query;
	ListCell   *lc;

	if (readers == NIL)
		return;
	query = linitial_node(RawStmt, refs_parse(step->sql_query));
	if (IsA(query->stmt, SelectStmt))
		election.columns = columns_of_query((SelectStmt *) query->stmt);
	foreach(lc, readers)
		look_at_reader(&election, lfirst(lc));
	foreach(lc, election.votes)
	{
		const Vote *vote = lfirst(lc);

		if (vote->njoins + vote->ngroups > 0 && fits_indexes(step, vote->column) &&
			(best == NULL || is_better(vote, best)))
			best = vote;
	}
	if (best != NULL)
	{
		step->partition_key = pstrdup(best->column);
		step->partition_readers = best->readers;
	}
}

/* ---- the whole ---- */

/* How the references to a step look in a row's reads. */
static List *
references_to(const Pipeline *pipeline, const char *process_name)
{
	return list_make2(pstrdup(quote_identifier(process_name)),
					  quote_qualified_identifier(pipeline->target_schema, process_name));
}

/* The steps that refer to something, by how they refer to it. */
typedef struct Reference
{
	char text[	4 * NAMEDATALEN];	/* hash key */
	List	   *readers;		/* of Step * */
} Reference;

static HTAB *
index_readers(const List *steps)
{
	HASHCTL		ctl = {.keysize = sizeof(((Reference *) NULL)->text),
		.entrysize = sizeof(Reference),
	.hcxt = CurrentMemoryContext};
	HTAB	   *references = hash_create("readers", 256, &ctl, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	ListCell   *lc;

	foreach(lc, steps)
	{
		Step	   *reader = lfirst(lc);
		ListCell   *read;

		foreach(read, reader->reads)
		{
			bool		found;
			Reference  *reference = hash_search(references, lfirst(read), HASH_ENTER, &found);

			if (!found)
				reference->readers = NIL;
			reference->readers = lappend(reference->readers, reader);
		}
	}
	return references;
}

static List *
find_readers(HTAB *references, const Pipeline *pipeline, const Step *step)
{
	List	   *readers = NIL;
	ListCell   *lc;

	foreach(lc, references_to(pipeline, step->process_name))
	{
		Reference  *reference = hash_search(references, lfirst(lc), HASH_FIND, NULL);
		ListCell   *reader;

		foreach(reader, reference != NULL ? reference->readers : NIL)
		{
			if (((Step *) lfirst(reader))->step_id != step->step_id)
				readers = list_append_unique_ptr(readers, lfirst(reader));
		}
	}
	return readers;
}

/* All readers of a step that has been written. */
static List *
load_readers(const Pipeline *pipeline, int32 version, const Step *step, const List *changed,
			 HTAB **references)
{
	if (list_length(changed) == 1)
		return catalog_load_readers(pipeline->id, references_to(pipeline, step->process_name),
									step->step_id);
	if (*references == NULL)
		*references = index_readers(catalog_load_steps_with_bodies(pipeline->id, version));
	return find_readers(*references, pipeline, step);
}

/* The names of the steps that were written, and of all that these might read. */
static List *
names_around(const List *changed)
{
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, changed)
	{
		const Step *step = lfirst(lc);
		ListCell   *read;

		names = lappend(names, step->process_name);
		foreach(read, step->reads)
		{
			List	   *parts;

			if (SplitIdentifierString(pstrdup(lfirst(read)), '.', &parts) && parts != NIL)
				names = lappend(names, llast(parts));
		}
	}
	return names;
}

static bool
has_step(const List *steps, int32 step_id)
{
	ListCell   *lc;

	foreach(lc, steps)
	{
		if (((const Step *) lfirst(lc))->step_id == step_id)
			return true;
	}
	return false;
}

static bool
same_names(const List *a, const List *b)
{
	ListCell   *x;
	ListCell   *y;

	if (list_length(a) != list_length(b))
		return false;
	forboth(x, a, y, b)
	{
		if (strcmp(lfirst(x), lfirst(y)) != 0)
			return false;
	}
	return true;
}

void
partition_key_carry(Step *step, const Step *old)
{
	if (old != NULL && strcmp(step->sql_query, old->sql_query) == 0 &&
		step->repartition == old->repartition && step->repartition_by == NIL &&
		old->repartition_by == NIL && same_names(step->indexes, old->indexes))
	{
		step->partition_key = old->partition_key;
		step->partition_readers = old->partition_readers;
	}
	else
	{
		step->partition_key = NULL;
		step->partition_readers = NIL;
	}
}

void
partition_key_settle(const Pipeline *pipeline, int32 version, const List *changed)
{
	HTAB	   *written = NULL;
	HTAB	   *all = NULL;
	ListCell   *lc;

	foreach(lc, catalog_load_keyless_steps(pipeline->id, names_around(changed)))
	{
		Step	   *step = lfirst(lc);

		if (has_step(changed, step->step_id))
			elect(pipeline, step, load_readers(pipeline, version, step, changed, &all));
		else
		{
			if (written == NULL)
				written = index_readers(changed);
			elect(pipeline, step, find_readers(written, pipeline, step));
		}
		if (step->partition_key != NULL)
			catalog_write_step(pipeline->id, version, step);
	}
}
