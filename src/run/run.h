/*-------------------------------------------------------------------------
 *
 * run.h
 *	  etl.run, etl.start, etl.wait, etl.cancel: the part that _PG_init needs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_RUN_H
#define ETL_RUN_H

/* Registers the transaction callbacks of etl.start. */
extern void run_initialize(void);

#endif							/* ETL_RUN_H */
