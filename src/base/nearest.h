/*-------------------------------------------------------------------------
 *
 * nearest.h
 *	  "Perhaps you mean ...": the one of many names that is most like a wrong one.
 *
 * PostgreSQL has the same for its own hints, from version 16 on
 * (ClosestMatchState); this one knows what is needed here.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_NEAREST_H
#define ETL_NEAREST_H

#include "etl.h"
#include "utils/varlena.h"

/* No more edits than this, and not more than half of the name. */
#define NEAREST_MAX_DISTANCE	4

typedef struct Nearest
{
	const char *wrong;
	const char *best;			/* NULL: nothing is like it */
	int			distance;
} Nearest;

/* The names are pointed to, not copied.  A name of more than 255 bytes is like nothing. */
static inline void
nearest_init(Nearest *nearest, const char *wrong)
{
	int			length = strlen(wrong);

	nearest->wrong = wrong;
	nearest->best = NULL;
	nearest->distance = length > 255 ? 0 :
		Min(NEAREST_MAX_DISTANCE, length / 2) + 1;
}

/* Takes a name into account; of several that are as near the first one wins. */
static inline void
nearest_consider(Nearest *nearest, const char *name)
{
	int			distance;

	if (nearest->distance == 0 || strlen(name) > 255)
		return;
	distance = varstr_levenshtein_less_equal(nearest->wrong, strlen(nearest->wrong),
											 name, strlen(name),
											 1, 1, 1, nearest->distance, true);
	if (distance < nearest->distance)
	{
		nearest->best = name;
		nearest->distance = distance;
	}
}

#endif							/* ETL_NEAREST_H */
