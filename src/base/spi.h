/*-------------------------------------------------------------------------
 *
 * spi.h
 *	  Fixed SQL, executed as the owner of the etl tables.
 *
 * The only place where the extension takes on that identity, which may be a superuser's.  So a
 * statement is refused that uses a relation or a function outside of pg_catalog and schema etl, and
 * the etl tables have columns of the server's own types only: there is nothing of a user's that it
 * could execute.  The SQL is a C string constant, its tables qualified, with parameters; it runs in
 * a security-restricted context, with search_path pinned to pg_catalog, and
 * under the latest snapshot whatever the transaction's isolation level is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_SPI_H
#define ETL_SPI_H

#include "etl.h"
#include "executor/spi.h"

#define ETL_SPI_MAX_ARGS	24

/*
 * A statement, one static variable for each; prepared at first use and kept for
 * the life of the session.
 */
typedef struct EtlStatement
{
	const char *sql;
	int			nargs;
	Oid			argtypes[ETL_SPI_MAX_ARGS];
	SPIPlanPtr	plan;			/* NULL until first use */
} EtlStatement;

/*
 * Between etl_spi_begin and etl_spi_end the current user is the owner of the
 * etl tables.  Needs a transaction.  Calls do not nest.  An error in between
 * needs no clean-up: the end of the (sub)transaction restores the identity, the
 * settings and SPI.  Memory that has to outlive etl_spi_end must come from
 * "caller" (the context that was current at etl_spi_begin), e.g. by
 * SPI_palloc or by switching to it.
 */
typedef struct EtlSpi
{
	Oid			save_userid;
	int			save_sec_context;
	int			save_nestlevel;
	MemoryContext caller;
} EtlSpi;

extern void etl_spi_begin(EtlSpi *spi);

/*
 * Executes; rows (at most "limit", 0: all) are in SPI_tuptable.  nulls may be
 * NULL: no argument is null; else 'n' marks the nulls as in SPI.
 * Returns SPI_processed.  An error code of SPI's is an internal error.
 */
extern uint64 etl_spi_execute(EtlStatement *statement, const Datum *values,
							  const char *nulls, bool read_only, long limit);
extern void etl_spi_end(EtlSpi *spi);

/* The owner of the etl tables (pg_class.relowner), and the oid of schema etl. */
extern Oid	etl_spi_owner(void);
extern Oid	etl_spi_schema(void);

#endif							/* ETL_SPI_H */
