/*-------------------------------------------------------------------------
 *
 * text_diff.c
 *	  What differs between two texts, line by line.
 *
 * Myers' greedy algorithm ("An O(ND) Difference Algorithm and Its Variations",
 * 1986).  Think of a grid whose columns are the old lines and whose rows are the
 * new ones.  A way from the upper left to the lower right corner is an edit
 * script: a step to the right removes an old line, a step down adds a new one,
 * and where the lines are equal a diagonal step keeps both, free of charge.  For
 * d = 0, 1, 2, ... the algorithm finds on each diagonal k = column - row the
 * farthest point that d paid steps can reach; the first d that reaches the
 * corner is the length of the shortest script.  The points of each round are
 * kept, so that the way can be followed back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "graph/text_diff.h"

#include "lib/stringinfo.h"

#define CONTEXT_LINES	3

typedef struct Line
{
	const char *start;
	int			length;
} Line;

typedef struct Lines
{
	Line	   *line;
	int			n;
} Lines;

/* One line of the result: ' ' is in both, '-' only in the old, '+' in the new text. */
typedef struct Edit
{
	char		sign;
	const Line *line;
} Edit;

typedef struct Script
{
	Edit	   *edit;
	int			n;
} Script;

static Lines
split_lines(const char *text)
{
	Lines		lines = {.n = 1};

	if (text == NULL)
		return (Lines)
	{
		.n = 0
	};

	for (const char *c = text; *c != '\0'; c++)
		if (*c == '\n')
			lines.n++;

	lines.line = palloc(sizeof(Line) * lines.n);
	for (int i = 0; i < lines.n; i++)
	{
		lines.line[i].start = text;

		lines.line[i].length = strcspn(text, "\n");
		text	  +=lines.line[i].length + 1;
	}
	return lines;
}

static bool
line_equal(const Line *a, const Line *b)
{
	return a->length == b->length && memcmp(a->start, b->start, a->length) == 0;
}

static void
append_edit(Script *script, char sign, const Line *line)
{
	script->edit[script->n].sign = sign;
	script->edit[script->n].line = line;
	script->n++;
}

/*
 * Return true if the way to diagonal k of a round came down from diagonal k + 1 (a line was added),
 * and not from the left.  "far" is the round before.
 */
static bool
came_down(const int *far, int k, int d)
{
	return k == -d || (k != d && far[k - 1] < far[k + 1]);
}

/*
 * The rounds of the search: trace[d][k], for k from -d to d, is the farthest
 * column on diagonal k after d paid steps.  Returns how many steps it takes to
 * the corner, -1 if more than TEXTDIFF_MAX_EDITS.
 */
static int
search(const Line *old_lines, int n_old, const Line *new_lines, int n_new, int **trace)
{
	for (int d = 0; d <= Min(n_old + n_new, TEXTDIFF_MAX_EDITS); d++)
	{
		const int  *before = d > 0 ? trace[d - 1] : NULL;
		int		   *far = (int *) palloc(sizeof(int) * (2 * d + 1)) + d;

		trace[d] = far;
		for (int k = -d; k <= d; k += 2)
		{
			int			column = d == 0 ? 0 :
			came_down(before, k, d) ? before[k + 1] : before[k - 1] + 1;

			while (column < n_old && column - k < n_new &&
				   line_equal(&old_lines[column], &new_lines[column - k]))
				column++;
			far[k] = column;
			if (column >= n_old && column - k >= n_new)
				return d;
		}
	}
	return -1;
}

/* Follows the way back from the corner, and appends it in the order of the texts. */
static void
append_way(Script *script, const Line *old_lines, int n_old,
		   const Line *new_lines, int n_new, int *const *trace, int d)
{
	int			n = script->n;
	int			column = n_old;
	int			row = n_new;

	for (; d >= 0; d--)
	{
		int			k = column - row;
		bool		down = d > 0 && came_down(trace[d - 1], k, d);
		int			start = d == 0 ? 0 : down ? trace[d - 1][k + 1] : trace[d - 1][k - 1] + 1;

		for (; column > start; column--, row--)
			append_edit(script, ' ', &old_lines[column - 1]);
		if (d == 0)
			break;
		if (down)
			append_edit(script, '+', &new_lines[--row]);
		else
			append_edit(script, '-', &old_lines[--column]);
	}

	for (int i = n, j = script->n - 1; i < j; i++, j--)
	{
		Edit		swap = script->edit[i];

		script->edit[i] = script->edit[j];
		script->edit[j] = swap;
	}
}

static Script
compare_lines(const Lines *old_lines, const Lines *new_lines)
{
	Script		script = {.edit = palloc(sizeof(Edit) * (old_lines->n + new_lines->n + 1))};
	int			shorter = Min(old_lines->n, new_lines->n);
	int			first = 0;
	int			last = 0;		/* counted from the end */
	int			n_old;
	int			n_new;
	int		  **trace = palloc(sizeof(int *) * (TEXTDIFF_MAX_EDITS + 1));
	int			edits;

	while (first < shorter && line_equal(&old_lines->line[first], &new_lines->line[first]))
		first++;
	while (last < shorter - first &&
		   line_equal(&old_lines->line[old_lines->n - 1 - last],
					  &new_lines->line[new_lines->n - 1 - last]))
		last++;
	n_old = old_lines->n - first - last;
	n_new = new_lines->n - first - last;

	for (int i = 0; i < first; i++)
		append_edit(&script, ' ', &old_lines->line[i]);

	edits = search(old_lines->line + first, n_old, new_lines->line + first, n_new, trace);
	if (edits >= 0)
		append_way(&script, old_lines->line + first, n_old, new_lines->line + first, n_new,
				   trace, edits);
	else
	{
		for (int i = 0; i < n_old; i++)
			append_edit(&script, '-', &old_lines->line[first + i]);
		for (int i = 0; i < n_new; i++)
			append_edit(&script, '+', &new_lines->line[first + i]);
	}

	for (int i = 0; i < last; i++)
		append_edit(&script, ' ', &old_lines->line[old_lines->n - last + i]);
	return script;
}

/* A range of lines: its first number and its length, which is left out if 1. */
static void
append_range(StringInfo diff, char sign, int before, int length)
{
	appendStringInfo(diff, " %c%d", sign, length == 0 ? before : before + 1);
	if (length != 1)
		appendStringInfo(diff, ",%d", length);
}

static void
append_hunk(StringInfo diff, const Script *script, int begin, int end, int old_before,
			int new_before)
{
	int			n_old = 0;
	int			n_new = 0;

	for (int i = begin; i < end; i++)
	{
		n_old += script->edit[i].sign != '+';
		n_new += script->edit[i].sign != '-';
	}

	appendStringInfoString(diff, "@@");
	append_range(diff, '-', old_before, n_old);
	append_range(diff, '+', new_before, n_new);
	appendStringInfoString(diff, " @@\n");
	for (int i = begin; i < end; i++)
	{
		appendStringInfoChar(diff, script->edit[i].sign);
		appendBinaryStringInfo(diff, script->edit[i].line->start, script->edit[i].line->length);
		appendStringInfoChar(diff, '\n');
	}
}

/* The next edit from i on that changes something; n if there is none. */
static int
next_change(const Script *script, int i)
{
	while (i < script->n && script->edit[i].sign == ' ')
		i++;
	return i;
}

char *
text_diff_unified(const char *old_text, const char *new_text,
				  const char *old_label, const char *new_label)
{
	Lines		old_lines = split_lines(old_text);
	Lines		new_lines = split_lines(new_text);
	Script		script = compare_lines(&old_lines, &new_lines);
	StringInfoData diff;
	int			change = next_change(&script, 0);
	int			counted = 0;	/* edits whose lines are counted in: */
	int			old_before = 0;
	int			new_before = 0;

	initStringInfo(&diff);
	if (change < script.n)
		appendStringInfo(&diff, "--- %s\n+++ %s\n", old_label, new_label);
	while (change < script.n)
	{
		int			begin = Max(change - CONTEXT_LINES, counted);
		int			end = change;

		/* changes whose context meets share a hunk */
		while (change < script.n && change - end <= 2 * CONTEXT_LINES)
		{
			end = change + 1;
			change = next_change(&script, end);
		}
		end = Min(end + CONTEXT_LINES, script.n);

		for (; counted < begin; counted++)
		{
			old_before += script.edit[counted].sign != '+';
			new_before += script.edit[counted].sign != '-';
		}
		append_hunk(&diff, &script, begin, end, old_before, new_before);
		for (; counted < end; counted++)
		{
			old_before += script.edit[counted].sign != '+';
			new_before += script.edit[counted].sign != '-';
		}
	}
	if (diff.len > 0)
		diff.data[--diff.len] = '\0';	/* the last newline */
	return diff.data;
}
