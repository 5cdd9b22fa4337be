/*-------------------------------------------------------------------------
 *
 * check_query.c
 *	  What a check means as a query: which rows are wrong.
 *
 *	CHECK (e)			SELECT * FROM t WHERE (e) IS FALSE
 *	NOT NULL (a, b)		SELECT * FROM t WHERE a is null OR b is null
 *	UNIQUE (a, b)		SELECT a, b, count(*) FROM t WHERE a and b are not null
 *						 GROUP BY a, b HAVING count(*) > 1
 *	PRIMARY KEY (a)		as NOT NULL (a), and as UNIQUE (a)
 *	FOREIGN KEY (a)		SELECT fk.* FROM t fk WHERE fk.a is not null
 *						 AND NOT EXISTS (SELECT FROM r pk WHERE pk.x = fk.a)
 *
 * "is null" is IS NOT DISTINCT FROM NULL: IS NULL would look into rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "compat.h"
#include "parse/check_query.h"

#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "base/names.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_index.h"
#include "catalog/pg_operator.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "parser/analyze.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* ---- nodes ---- */

static RawStmt *
raw_of(SelectStmt *select)
{
	RawStmt    *raw = makeNode(RawStmt);

	raw->stmt = (Node *) select;
	return raw;
}

static Node *
column_of(const char *alias, const char *name)
{
	ColumnRef  *column = makeNode(ColumnRef);

	column->fields = list_make2(makeString(pstrdup(alias)), makeString(pstrdup(name)));
	column->location = -1;
	return (Node *) column;
}

/* alias.*; all columns where alias is NULL */
static Node *
all_columns_of(const char *alias)
{
	ColumnRef  *column = makeNode(ColumnRef);

	column->fields = list_make1(makeNode(A_Star));
	if (alias != NULL)
		column->fields = lcons(makeString(pstrdup(alias)), column->fields);
	column->location = -1;
	return (Node *) column;
}

static ResTarget *
target_of(Node *value, const char *name)
{
	ResTarget  *target = makeNode(ResTarget);

	target->val = value;
	target->name = name ? pstrdup(name) : NULL;
	target->location = -1;
	return target;
}

static Node *
integer_constant(int value)
{
	A_Const    *constant = makeNode(A_Const);

	constant->val.ival.type = T_Integer;
	constant->val.ival.ival = value;
	constant->location = -1;
	return (Node *) constant;
}

static Node *
null_test(Node *value, bool is_null)
{
	A_Const    *null = makeNode(A_Const);

	null->isnull = true;
	null->location = -1;
	return (Node *) makeSimpleA_Expr(is_null ? AEXPR_NOT_DISTINCT : AEXPR_DISTINCT, "=",
									 value, (Node *) null, -1);
}

/* Make the condition that one of the columns is null (any), or none of them is (not any). */
static Node *
nulls_among(const char *alias, const List *columns, bool any)
{
	List	   *tests = NIL;
	ListCell   *lc;

	foreach(lc, columns)
		tests = lappend(tests, null_test(column_of(alias, strVal(lfirst(lc))), any));
	return list_length(tests) == 1 ? linitial(tests) :
		(Node *) makeBoolExpr(any ? OR_EXPR : AND_EXPR, tests, -1);
}

/* Make the condition that one of the columns is not null. */
static Node *
not_all_null(const char *alias, const List *columns)
{
	List	   *tests = NIL;
	ListCell   *lc;

	foreach(lc, columns)
		tests = lappend(tests, null_test(column_of(alias, strVal(lfirst(lc))), false));
	return list_length(tests) == 1 ? linitial(tests) :
		(Node *) makeBoolExpr(OR_EXPR, tests, -1);
}

static FuncCall *
count_call(Node *filter)
{
	FuncCall   *call = makeFuncCall(list_make2(makeString("pg_catalog"), makeString("count")),
									NIL, COERCE_EXPLICIT_CALL, -1);

	call->agg_star = true;
	call->agg_filter = filter;
	return call;
}

static RangeVar *
with_alias(const RangeVar *table, const char *alias)
{
	RangeVar   *copy = (RangeVar *) copyObject(table);

	copy->alias = makeAlias(alias, NIL);
	return copy;
}

Query *
check_query_analyze(const StepCheck *check, RawStmt *raw, QueryEnvironment *environment)
{
	/* analysis may scribble on its input */
	return parse_analyze_fixedparams(copyObject(raw), check->source, NULL, 0, environment);
}

/* ---- columns ---- */

/* The table's columns: of TargetEntry, with a Var each. */
static List *
table_columns(const StepCheck *check, const RangeVar *table, QueryEnvironment *environment)
{
	SelectStmt *select = makeNode(SelectStmt);

	select->targetList = list_make1(target_of(all_columns_of(NULL), NULL));
	select->fromClause = list_make1((RangeVar *) copyObject(table));
	return check_query_analyze(check, raw_of(select), environment)->targetList;
}

static const Var *
find_column(const List *columns, const char *name, const char *what)
{
	ListCell   *lc;

	foreach(lc, columns)
	{
		const TargetEntry *entry = lfirst_node(TargetEntry, lc);

		if (strcmp(entry->resname, name) == 0)
			return castNode(Var, entry->expr);
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" %s does not exist", name, what)));
	return NULL;				/* keep compiler quiet */
}

static void
check_columns(const StepCheck *check, QueryEnvironment *environment)
{
	List	   *columns = table_columns(check, check->table, environment);
	ListCell   *lc;

	foreach(lc, check->columns)
	{
		const char *name = strVal(lfirst(lc));
		ListCell   *other;

		(void) find_column(columns, name, "named in the check");
		foreach(other, check->columns)
		{
			if (other == lc)
				break;
			if (check->kind != CHECK_NOT_NULL && strcmp(strVal(lfirst(other)), name) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("column \"%s\" appears twice in the check", name)));
		}
	}
}

/* ---- foreign keys ---- */

static void
raise_no_primary_key(const RangeVar *table)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("there is no primary key for referenced table \"%s\"", table->relname),
			 errhint("Name the columns that are referenced, as in REFERENCES %s (id).",
					 quote_identifier(table->relname))));
}

/* The columns of a table's primary key: of String. */
static List *
primary_key_of(const RangeVar *table, Oid relid)
{
	Relation	relation;
	Oid			index;
	HeapTuple	tuple;
	Form_pg_index form;
	List	   *columns = NIL;

	if (!OidIsValid(relid))
		raise_no_primary_key(table);
	relation = table_open(relid, AccessShareLock);
	(void) RelationGetIndexList(relation);
	index = relation->rd_pkindex;
	table_close(relation, NoLock);
	if (!OidIsValid(index))
		raise_no_primary_key(table);

	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for index %u", index);
	form = (Form_pg_index) GETSTRUCT(tuple);
	for (int i = 0; i < form->indnkeyatts; i++)
		columns = lappend(columns,
						  makeString(get_attname(relid, form->indkey.values[i], false)));
	ReleaseSysCache(tuple);

	return columns;
}

/*
 * The operator that a foreign key would compare the two with: that of the
 * referenced column's own equality, which is not what "=" means for every
 * search_path.  See ATAddForeignKeyConstraint.
 */
static Oid
equality_operator(const Var *pk, const Var *fk)
{
	Oid			opclass = GetDefaultOpClass(pk->vartype, BTREE_AM_OID);
	Oid			input;
	Oid			family;
	Oid			fk_type = getBaseType(fk->vartype);
	Oid			op;
	Oid			actual[2] = {pk->vartype, fk->vartype};
	Oid			wanted[2];

	if (!OidIsValid(opclass))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("data type %s has no default operator class for access method \"%s\"",
						format_type_be(pk->vartype), "btree")));
	family = get_opclass_family(opclass);
	input = get_opclass_input_type(opclass);

	op = get_opfamily_member(family, input, fk_type, BTEqualStrategyNumber);
	if (OidIsValid(op) &&
		OidIsValid(get_opfamily_member(family, fk_type, fk_type, BTEqualStrategyNumber)))
		return op;

	wanted[0] = wanted[1] = input;
	op = get_opfamily_member(family, input, input, BTEqualStrategyNumber);
	if (!OidIsValid(op) || !can_coerce_type(2, actual, wanted, COERCION_IMPLICIT))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("foreign key cannot be tested"),
				 errdetail("Key columns are of incompatible types: %s and %s.",
						   format_type_be(fk->vartype), format_type_be(pk->vartype))));
	return op;
}

/* The value as the operator takes it. */
static Node *
operand(Node *value, Oid type, Oid wanted)
{
	TypeCast   *cast;

	if (type == wanted)
		return value;
	cast = makeNode(TypeCast);
	cast->arg = value;
	cast->typeName = makeTypeNameFromOid(wanted, -1);
	cast->location = -1;
	return (Node *) cast;
}

/* Where the two have different collations, the referenced column's decides. */
static Node *
collate(Node *value, const Var *pk, const Var *fk)
{
	CollateClause *clause;
	HeapTuple	tuple;
	Form_pg_collation form;

	if (!OidIsValid(pk->varcollid) || pk->varcollid == fk->varcollid)
		return value;
	tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(pk->varcollid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for collation %u", pk->varcollid);
	form = (Form_pg_collation) GETSTRUCT(tuple);
	clause = makeNode(CollateClause);
	clause->arg = value;
	clause->collname = list_make2(makeString(names_schema(form->collnamespace)),
								  makeString(pstrdup(NameStr(form->collname))));
	clause->location = -1;
	ReleaseSysCache(tuple);
	return (Node *) clause;
}

/* pk.x = fk.a */
static Node *
keys_match(const char *pk_name, const Var *pk, const char *fk_name, const Var *fk)
{
	Oid			op = equality_operator(pk, fk);
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(op));
	Form_pg_operator form;
	Node	   *match;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", op);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	match = (Node *) makeA_Expr(AEXPR_OP,
								list_make2(makeString(names_schema(form->oprnamespace)),
										   makeString(pstrdup(NameStr(form->oprname)))),
								operand(column_of("pk", pk_name), pk->vartype, form->oprleft),
								collate(operand(column_of("fk", fk_name), fk->vartype,
												form->oprright), pk, fk),
								-1);
	ReleaseSysCache(tuple);
	return match;
}

static Oid
referenced_relid(const StepCheck *check, QueryEnvironment *environment)
{
	if (environment != NULL && check->referenced->schemaname == NULL &&
		get_visible_ENR_metadata(environment, check->referenced->relname) != NULL)
		return InvalidOid;
	return RangeVarGetRelid(check->referenced, AccessShareLock, true);
}

static RawStmt *
select_unmatched(const StepCheck *check, QueryEnvironment *environment)
{
	SelectStmt *inner = makeNode(SelectStmt);
	SelectStmt *outer = makeNode(SelectStmt);
	SubLink    *exists = makeNode(SubLink);
	RangeVar   *referenced = copyObject(check->referenced);
	List	   *fk_columns = table_columns(check, check->table, environment);
	List	   *pk_columns = table_columns(check, check->referenced, environment);
	Oid			relid = referenced_relid(check, environment);
	List	   *pk_names = check->referenced_columns;
	List	   *matches = NIL;
	ListCell   *pk;
	ListCell   *fk;

	if (pk_names == NIL)
		pk_names = primary_key_of(check->referenced, relid);
	if (list_length(pk_names) != list_length(check->columns))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FOREIGN_KEY),
				 errmsg("number of referencing and referenced columns for foreign key disagree")));

	forboth(pk, pk_names, fk, check->columns)
		matches = lappend(matches,
						  keys_match(strVal(lfirst(pk)),
									 find_column(pk_columns, strVal(lfirst(pk)),
												 "referenced in the check"),
									 strVal(lfirst(fk)),
									 find_column(fk_columns, strVal(lfirst(fk)),
												 "named in the check")));

	/* a foreign key does not see the children of what it references */
	referenced->inh = !OidIsValid(relid) || get_rel_relkind(relid) != RELKIND_RELATION;
	inner->fromClause = list_make1(with_alias(referenced, "pk"));
	inner->whereClause = list_length(matches) == 1 ? linitial(matches) :
		(Node *) makeBoolExpr(AND_EXPR, matches, -1);

	exists->subLinkType = EXISTS_SUBLINK;
	exists->subselect = (Node *) inner;
	exists->location = -1;

	/*
	 * MATCH FULL: a key that has nulls beside other values matches nothing, as it is equal to
	 * nothing.
	 */
	outer->targetList = list_make1(target_of(all_columns_of("fk"), NULL));
	outer->fromClause = list_make1(with_alias(check->table, "fk"));
	outer->whereClause = (Node *)
		makeBoolExpr(AND_EXPR,
					 list_make2(check->match_full ? not_all_null("fk", check->columns) :
								nulls_among("fk", check->columns, false),
								makeBoolExpr(NOT_EXPR, list_make1(exists), -1)),
					 -1);
	return raw_of(outer);
}

/* ---- the others ---- */

static RawStmt *
select_duplicates(const StepCheck *check)
{
	SelectStmt *select = makeNode(SelectStmt);
	ListCell   *lc;

	foreach(lc, check->columns)
	{
		const char *name = strVal(lfirst(lc));

		select->targetList = lappend(select->targetList, target_of(column_of("t", name), name));
		select->groupClause = lappend(select->groupClause, column_of("t", name));
	}
	select->targetList = lappend(select->targetList,
								 target_of((Node *) count_call(NULL), "count(*)"));
	select->fromClause = list_make1(with_alias(check->table, "t"));
	if (!check->nulls_not_distinct)
		select->whereClause = nulls_among("t", check->columns, false);
	select->havingClause = (Node *)
		makeA_Expr(AEXPR_OP, list_make2(makeString("pg_catalog"), makeString(">")),
				   (Node *) count_call(NULL), integer_constant(1), -1);
	return raw_of(select);
}

static RawStmt *
select_where(const RangeVar *table, Node *condition)
{
	SelectStmt *select = makeNode(SelectStmt);

	select->targetList = list_make1(target_of(all_columns_of(NULL), NULL));
	select->fromClause = list_make1((RangeVar *) copyObject(table));
	select->whereClause = condition;
	return raw_of(select);
}

static RawStmt *
select_nulls(const StepCheck *check)
{
	return select_where(check->table,
						nulls_among(check->table->relname, check->columns, true));
}

static Node *
is_false(Node *expression)
{
	BooleanTest *test = makeNode(BooleanTest);

	test->arg = (Expr *) expression;
	test->booltesttype = IS_FALSE;
	test->location = -1;
	return (Node *) test;
}

void
check_query_make(const StepCheck *check, QueryEnvironment *environment, CheckQueries *queries)
{
	memset(queries, 0, sizeof(*queries));
	if (check->columns != NIL)
		check_columns(check, environment);

	switch (check->kind)
	{
		case CHECK_QUERY:
			queries->rows = check->query;
			break;
		case CHECK_EXPRESSION:
			queries->rows = select_where(check->table, is_false(copyObject(check->expression)));
			queries->by_row = true;
			break;
		case CHECK_PRIMARY_KEY:
			queries->groups = select_duplicates(check);
			queries->rows = select_nulls(check);
			queries->by_row = true;
			break;
		case CHECK_NOT_NULL:
			queries->rows = select_nulls(check);
			queries->by_row = true;
			break;
		case CHECK_UNIQUE:
			queries->groups = select_duplicates(check);
			break;
		case CHECK_FOREIGN_KEY:
			queries->rows = select_unmatched(check, environment);
			break;
	}
}

/*
 * The conditions were analysed where each was alone: an error then had its place
 * in one check's text.  They are about the only table of a query in both cases.
 */
Query *
check_query_count(const StepCheck *check, const List *queries)
{
	SelectStmt *select = makeNode(SelectStmt);
	Query	   *query;
	ListCell   *lc;
	ListCell   *target;

	for (int i = 0; i < list_length(queries); i++)
	{
		A_Const    *placeholder = makeNode(A_Const);

		placeholder->isnull = true;
		placeholder->location = -1;
		select->targetList = lappend(select->targetList,
									 target_of((Node *) count_call((Node *) placeholder), NULL));
	}
	select->fromClause = list_make1((RangeVar *) copyObject(check->table));
	query = check_query_analyze(check, raw_of(select), NULL);

	forboth(lc, queries, target, query->targetList)
	{
		Aggref	   *count = castNode(Aggref, lfirst_node(TargetEntry, target)->expr);

		count->aggfilter = (Expr *) copyObject(lfirst_node(Query, lc)->jointree->quals);
	}
	return query;
}

RawStmt *
check_query_limit(const RawStmt *raw, int rows)
{
	RawStmt    *copy = (RawStmt *) copyObject(raw);
	SelectStmt *select = castNode(SelectStmt, copy->stmt);

	select->limitCount = integer_constant(rows);
	select->limitOption = LIMIT_OPTION_COUNT;
	return copy;
}
