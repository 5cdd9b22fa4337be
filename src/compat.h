/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Differences between the PostgreSQL versions that we support (15 to 18).
 *
 * The only file that mentions PG_VERSION_NUM.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_COMPAT_H
#define ETL_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000
#error "etl_framework needs PostgreSQL 15 or later"
#endif

#endif							/* ETL_COMPAT_H */
