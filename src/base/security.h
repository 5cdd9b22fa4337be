/*-------------------------------------------------------------------------
 *
 * security.h
 *	  Who may do what, and what a process of a run may carry with it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ETL_SECURITY_H
#define ETL_SECURITY_H

#include "etl.h"

/*
 * Check that the current user has the privileges of the pipeline's owner.  Else raise
 * undefined_object, word for word as for a pipeline that does not exist: who
 * may not see a pipeline does not learn of it.
 */
extern void security_check_member(Oid owner, const char *pipeline);
extern bool security_is_member(Oid owner);

/*
 * Check that the current user, a member, may say what runs as the pipeline's owner.  That
 * needs what SET ROLE needs, and not only the owner's privileges (from 16 on one
 * can have these without that).  Raises insufficient_privilege.
 */
extern void security_check_may_define(Oid owner);

/*
 * Check that a background worker can become this role.  Raises
 * invalid_authorization_specification, with a hint, where the server does not
 * allow it: a role that is gone, or NOLOGIN before PostgreSQL 17.
 */
extern void security_check_worker_role(Oid owner, const char *pipeline);

/*
 * Raises an error during recovery, in a parallel worker and inside a
 * security-restricted operation; security_check_may_start also in a read-only
 * transaction.
 */
extern void security_check_primary(const char *function);
extern void security_check_may_start(const char *function);

/* Flags of BackgroundWorkerInitializeConnectionByOid for an owner's process. */
extern uint32 security_worker_flags(void);

#endif							/* ETL_SECURITY_H */
