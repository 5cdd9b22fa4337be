/*-------------------------------------------------------------------------
 *
 * text_diff.h
 *	  What differs between two texts, line by line.
 *
 * Knows texts only: no catalog, no SQL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_TEXT_DIFF_H
#define ETL_TEXT_DIFF_H

#include "postgres.h"

/*
 * A unified diff with three lines of context, as people and the program "patch"
 * read it, each text taken as if it ended with a newline; NULL is no text, without
 * any line.  The labels stand behind --- and +++.  An empty string where the texts
 * are equal.
 *
 * The diff is a shortest one, unless more than TEXTDIFF_MAX_EDITS lines are
 * removed and added: then everything between the first and the last difference
 * is.  Takes O((lines + edits) * edits) time and O(edits * edits) memory.
 */
#define TEXTDIFF_MAX_EDITS	1000

extern char *text_diff_unified(const char *old_text, const char *new_text,
							   const char *old_label, const char *new_label);

#endif							/* ETL_TEXT_DIFF_H */
