/*-------------------------------------------------------------------------
 *
 * definition.h
 *	  The way that every change of a definition goes, for all who make one.
 *
 * A changer opens the pipeline with definition_open, changes the structs in
 * memory (option.h), checks them, and if anything differs writes them with
 * catalog.h's functions as part of the version that catalog_begin_version
 * returns.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_DEFINITION_H
#define ETL_DEFINITION_H

#include "define/option.h"
#include "metastore/catalog.h"

/* The options of a Pipeline, and what a Step has beside process_name and step_id. */
extern const Option definition_option_fields[];
extern const int definition_option_count;
extern const Option definition_step_options[];
extern const int definition_step_count;

/* The defaults of all options; nothing else of a Pipeline is touched. */
extern void definition_default_options(Pipeline *pipeline);

/* A step with nothing but defaults: no name, no SQL, step_id 0. */
extern void definition_default_step(Step *step);

/*
 * The newest options of a pipeline that the caller may change, locked against
 * other changers until the end of the transaction.  "function" is the SQL
 * function's name, for messages.  Raises undefined_object, and what
 * security_check_may_start raises.
 */
extern Pipeline *definition_open(const char *name, const char *function);

/*
 * Checks a set of options as the current user, normalises them (search_path),
 * and makes the target schema if there is none.  Raises name_too_long,
 * invalid_parameter_value, reserved_name, insufficient_privilege.
 */
extern void definition_check_options(Pipeline *pipeline);

/*
 * Checks everything about one step but names and numbers that are taken, with
 * the step as context of errors; fills in kind, reads and writes from the SQL.
 */
extern void definition_check_step(const Pipeline *pipeline, Step *step);

/* Return true if they say the same.  Names and numbers are not compared. */
extern bool definition_step_equal(const Step *a, const Step *b);
extern bool definition_options_equal(const Pipeline *a, const Pipeline *b);

/* Raises invalid_parameter_value if it is not between 1 and the highest integer. */
extern void definition_check_step_id(int64 step_id);

/*
 * An id for a new step: 1 + the highest one that any version has, or one above
 * "above" if that is more.  Raises program_limit_exceeded when there is none left.
 */
extern int32 definition_next_step_id(const Pipeline *pipeline, int64 above);

#endif							/* ETL_DEFINITION_H */
