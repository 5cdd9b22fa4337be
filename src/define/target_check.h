/*-------------------------------------------------------------------------
 *
 * target_check.h
 *	  The names that a run publishes under, and what stands there before it
 *	  begins.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_TARGET_CHECK_H
#define ETL_TARGET_CHECK_H

#include "define/pipeline.h"

/*
 * For a run of some of the steps: the table of a step that is not selected, but
 * that a selected step's SQL refers to, must be there from an earlier run, under
 * its name and with the OID that was registered.  Raises
 * object_not_in_prerequisite_state, and ERRCODE_ETL_OUTPUT_LOST where a crash has
 * emptied it.
 */
extern void target_check_check_unselected(const PipelineGraph *graph, const bool *selected);

/*
 * The names that the run wants to publish under must be free, or be taken by
 * the tables that the registry has for them.  Raises duplicate_table (or
 * duplicate_object for a type), and undefined_schema where there is no target
 * schema for them; dependent_objects_still_exist where a foreign key or a
 * publication needs a logged table that would become unlogged;
 * feature_not_supported for a logged table in a publication;
 * object_not_in_prerequisite_state where the server's lock table is too small to
 * publish them all at once.  selected may be NULL: all steps.
 */
extern void target_check_check(const PipelineGraph *graph, const bool *selected);

/*
 * Return who else can create objects in the schema, as "a, b", palloc'd: roles that are neither the
 * pipeline's owner nor a superuser.  What they create there is found by the steps' SQL.  NULL:
 * nobody can, or there is no such schema.
 */
extern char *target_check_creators(const char *schema, Oid owner);

#endif							/* ETL_TARGET_CHECK_H */
