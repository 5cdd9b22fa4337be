/*-------------------------------------------------------------------------
 *
 * catalog_row.h
 *	  Parameters of the catalog's statements, and the rows that they return.
 *
 * For catalog.c, catalog_run.c and catalog_output.c only.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_CATALOG_ROW_H
#define ETL_CATALOG_ROW_H

#include "base/spi.h"
#include "metastore/catalog.h"

/*
 * Parameters: put them in the order of the statement's $1, $2, ...  Where the
 * struct has a value that stands for "none", the table has NULL.
 */
typedef struct Params
{
	Datum		values[ETL_SPI_MAX_ARGS];
	char		nulls[ETL_SPI_MAX_ARGS];
	int			n;
} Params;

extern void params_put_datum(Params *params, Datum value, bool isnull);
extern void params_put_int32(Params *params, int32 value);
extern void params_put_int32_unless(Params *params, int32 value, bool isnull);
extern void params_put_int64(Params *params, int64 value);
extern void params_put_int64_unless(Params *params, int64 value, bool isnull);
extern void params_put_oid(Params *params, Oid value);
extern void params_put_bool(Params *params, bool value);
extern void params_put_text(Params *params, const char *value);

/* What an error says may be as long as a value in it is: it is cut after so many bytes. */
#define MAX_MESSAGE_BYTES	65536

extern void params_put_message(Params *params, const char *value);
extern void params_put_list(Params *params, const List *value);
extern void params_put_list_or_null(Params *params, const List *value);
extern void params_put_oids(Params *params, const List *value); /* NIL: NULL */
extern void params_put_interval(Params *params, int64 ms);

/* Execute a statement between etl_spi_begin and etl_spi_end.  Returns the number of rows. */
extern uint64 catalog_execute(EtlStatement *statement, const Params *params, bool read_only);

/* Execute a statement that changes something, and returns no rows.  Returns how many it changed. */
extern uint64 catalog_execute_write(EtlStatement *statement, const Params *params);

/*
 * Columns: get them in the order of the statement's list; what is palloc'd is
 * in the current memory context.
 */
typedef struct Row
{
	Datum		values[ETL_SPI_MAX_ARGS];
	bool		nulls[ETL_SPI_MAX_ARGS];
	int			next;
} Row;

/*
 * Read one row of the statement that was executed between etl_spi_begin and etl_spi_end; its values
 * are there until then.
 */
extern void row_open(Row *row, uint64 number);

/*
 * Execute a statement, and read its first row.  Returns false if there is none.  What the values
 * point at is in the current memory context.
 */
extern bool catalog_query_row(EtlStatement *statement, const Params *params, bool read_only,
							  Row *row);

/*
 * Execute a statement, and return a list of what "reader" makes of each row, in the current memory
 * context.
 */
typedef void *(*RowReader) (Row *row);
extern List *catalog_query_list(EtlStatement *statement, const Params *params, RowReader reader);

/* Return true if the next value is NULL.  Does not step over it. */
extern bool row_get_isnull(const Row *row);

/* Return the next value, or what stands for NULL in the struct. */
extern int32 row_get_int32(Row *row, int32 null_value);
extern int64 row_get_int64(Row *row, int64 null_value);
extern Oid	row_get_oid(Row *row);
extern bool row_get_bool(Row *row, bool null_value);
extern char *row_get_text(Row *row);
extern struct pg_uuid_t *row_get_uuid(Row *row);
extern List *row_get_list(Row *row);
extern List *row_get_oids(Row *row);
extern int64 row_get_interval(Row *row);

/* Return the place of a word that the catalog has written itself. */
extern int	catalog_word_index(const char *word, const char *const *words, int nwords);

#endif							/* ETL_CATALOG_ROW_H */
