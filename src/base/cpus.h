/*-------------------------------------------------------------------------
 *
 * cpus.h
 *	  How many processors this process may use.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_CPUS_H
#define ETL_CPUS_H

#include "etl.h"

/*
 * Return the number of processors that are online and that this process may run on, or fewer where
 * a control group (of either version) grants it less processor time than they have.  At least 1.
 */
extern int	cpus_available(void);

#endif							/* ETL_CPUS_H */
