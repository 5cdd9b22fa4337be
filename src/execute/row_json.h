/*-------------------------------------------------------------------------
 *
 * row_json.h
 *	  A row as short JSON, to be shown.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_ROW_JSON_H
#define ETL_ROW_JSON_H

#include "etl.h"
#include "executor/tuptable.h"
#include "lib/stringinfo.h"

/*
 * Appends the row as a JSON object: column names and values.  Numbers, booleans
 * and short JSON are what they are; all others are strings, which are cut
 * ("...") where they are long.  Columns that would make the object very long are
 * left out.
 */
extern void row_json_append(StringInfo json, TupleTableSlot *slot);

#endif							/* ETL_ROW_JSON_H */
