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

/*
 * NOLOGIN roles in background workers: allowed from 17 on with this flag, before
 * that there is none.  (BGWORKER_BYPASS_ALLOWCONN is never used.)
 */
#if PG_VERSION_NUM >= 170000
#define COMPAT_BGWORKER_BYPASS_ROLELOGINCHECK	BGWORKER_BYPASS_ROLELOGINCHECK
#else
#define COMPAT_BGWORKER_BYPASS_ROLELOGINCHECK	0
#endif

/*
 * Running a query to its end.  18 dropped the argument that said that it runs
 * only once.  (Users include executor/executor.h or tcop/pquery.h themselves.)
 */
#if PG_VERSION_NUM >= 180000
#define ExecutorRunCompat(queryDesc) \
	ExecutorRun(queryDesc, ForwardScanDirection, 0)
#define PortalRunCompat(portal, dest, qc) \
	PortalRun(portal, FETCH_ALL, true, dest, dest, qc)
#else
#define ExecutorRunCompat(queryDesc) \
	ExecutorRun(queryDesc, ForwardScanDirection, 0, true)
#define PortalRunCompat(portal, dest, qc) \
	PortalRun(portal, FETCH_ALL, true, true, dest, dest, qc)
#endif

/* What ExecutorRun's hooks take, and pass on. */
#if PG_VERSION_NUM >= 180000
#define COMPAT_EXECUTOR_RUN_PARAMETERS \
	QueryDesc *desc, ScanDirection direction, uint64 count
#define COMPAT_EXECUTOR_RUN_ARGUMENTS	desc, direction, count
#else
#define COMPAT_EXECUTOR_RUN_PARAMETERS \
	QueryDesc *desc, ScanDirection direction, uint64 count, bool execute_once
#define COMPAT_EXECUTOR_RUN_ARGUMENTS	desc, direction, count, execute_once
#endif

/*
 * What ExecutorCheckPerms's hooks take, and pass on; and the rights that a
 * relation of the query is needed with.  (Users include parser/parse_relation.h.)  15 has these in
 * the range table's entry itself; partitions that the planner has added have none.
 */
#if PG_VERSION_NUM >= 160000
#define COMPAT_CHECK_PERMS_PARAMETERS	List *tables, List *rights, bool raise
#define COMPAT_CHECK_PERMS_ARGUMENTS	tables, rights, raise
#define COMPAT_HAS_NO_PERMS(rte)		((rte)->perminfoindex == 0)
#define CompatRequiredPerms(rights, rte) \
	getRTEPermissionInfo((rights), (rte))->requiredPerms
#else
#define COMPAT_CHECK_PERMS_PARAMETERS	List *tables, bool raise
#define COMPAT_CHECK_PERMS_ARGUMENTS	tables, raise
#define COMPAT_HAS_NO_PERMS(rte)		((rte)->requiredPerms == 0)
#define CompatRequiredPerms(rights, rte) ((rte)->requiredPerms)
#endif

/* 18: commands/explain.h has children */
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif

/*
 * An index as CREATE INDEX makes it.  16 takes the number of partitions, for
 * progress reports only.  (Users include commands/defrem.h.)
 */
#if PG_VERSION_NUM >= 160000
#define DefineIndexCompat(relid, stmt) \
	DefineIndex(relid, stmt, InvalidOid, InvalidOid, InvalidOid, -1, \
				false, true, true, false, false)
#else
#define DefineIndexCompat(relid, stmt) \
	DefineIndex(relid, stmt, InvalidOid, InvalidOid, InvalidOid, \
				false, true, true, false, false)
#endif

/* How PartitionSpec says "hash": up to 15 by its name. */
#if PG_VERSION_NUM >= 160000
#define PARTITION_SPEC_HASH PARTITION_STRATEGY_HASH
#else
#define PARTITION_SPEC_HASH "hash"
#endif

/* 16: one function for the rights on all kinds of objects */
#if PG_VERSION_NUM >= 160000
#define COMPAT_CLASS_OWNERCHECK(relid, role) \
	object_ownercheck(RelationRelationId, (relid), (role))
#define COMPAT_NAMESPACE_ACLCHECK(nspoid, role, mode) \
	object_aclcheck(NamespaceRelationId, (nspoid), (role), (mode))
#else
#define COMPAT_CLASS_OWNERCHECK(relid, role)	pg_class_ownercheck((relid), (role))
#define COMPAT_NAMESPACE_ACLCHECK(nspoid, role, mode) \
	pg_namespace_aclcheck((nspoid), (role), (mode))
#endif

/*
 * Check that one role may become another.  Up to 15 who has its privileges always may.
 * (Users include utils/acl.h.)
 */
#if PG_VERSION_NUM >= 160000
#define COMPAT_CHECK_CAN_SET_ROLE(member, role)	check_can_set_role((member), (role))
#else
#define COMPAT_CHECK_CAN_SET_ROLE(member, role)	((void) 0)
#endif

/*
 * Return true if the relation of a range table entry may be used as the query needs it.  Only
 * 15 has the rights that are needed in the entry itself.  (Users include
 * executor/executor.h and parser/parse_relation.h.)
 */
#if PG_VERSION_NUM >= 170000
#define ExecCheckRelationCompat(query, rte) \
	((rte)->perminfoindex == 0 || \
	 getRTEPermissionInfo((query)->rteperminfos, (rte))->requiredPerms == 0 || \
	 ExecCheckOneRelPerms(getRTEPermissionInfo((query)->rteperminfos, (rte))))
#elif PG_VERSION_NUM >= 160000
#define ExecCheckRelationCompat(query, rte) \
	((rte)->perminfoindex == 0 || \
	 ExecCheckPermissions(NIL, list_make1(getRTEPermissionInfo((query)->rteperminfos, (rte))), \
						  false))
#else
#define ExecCheckRelationCompat(query, rte) \
	ExecCheckRTPerms(list_make1(rte), false)
#endif

/* Up to 16 the server may remove rows that an old snapshot still sees. */
#if PG_VERSION_NUM >= 170000
#define OldSnapshotThresholdActiveCompat()	false
#else
#define OldSnapshotThresholdActiveCompat()	OldSnapshotThresholdActive()
#endif

/* 17: the local transaction id moved into PGPROC's vxid */
#if PG_VERSION_NUM >= 170000
#define COMPAT_MY_LXID	(MyProc->vxid.lxid)
#else
#define COMPAT_MY_LXID	(MyProc->lxid)
#endif

/* Infinite intervals: from 17 on.  (Users include utils/timestamp.h.) */
#if PG_VERSION_NUM < 170000
#define INTERVAL_NOT_FINITE(interval) false
#endif

/*
 * From 16 on a bulk insert extends its heap by as many pages as it has already
 * added, up to 64, so that a small table would end in as many empty pages as it
 * has full ones.  This keeps the surplus below two percent of the table.  (Users
 * include access/hio.h and storage/bufmgr.h.)
 */
#if PG_VERSION_NUM >= 160000
#define LimitBulkExtensionCompat(bulk) \
	((bulk)->already_extended_by = \
	 (bulk)->current_buf == InvalidBuffer ? 0 : \
	 Min((bulk)->already_extended_by, \
		 BufferGetBlockNumber((bulk)->current_buf) / 64))
#else
#define LimitBulkExtensionCompat(bulk)	((void) 0)
#endif

/*
 * Constraints over periods (WITHOUT OVERLAPS, PERIOD), and such as nobody
 * enforces: from 18 on.  (Users include nodes/parsenodes.h.)
 */
#if PG_VERSION_NUM >= 180000
#define COMPAT_CONSTRAINT_IS_TEMPORAL(constraint) \
	((constraint)->without_overlaps || (constraint)->fk_with_period || (constraint)->pk_with_period)
#define COMPAT_CONSTRAINT_IS_NOT_ENFORCED(constraint) \
	(((constraint)->contype == CONSTR_CHECK || (constraint)->contype == CONSTR_FOREIGN) && \
	 !(constraint)->is_enforced)
#else
#define COMPAT_CONSTRAINT_IS_TEMPORAL(constraint)		((void) (constraint), false)
#define COMPAT_CONSTRAINT_IS_NOT_ENFORCED(constraint)	((void) (constraint), false)
#endif

/* 17: the storage manager's files are closed by invalidation alone.  (rel.h, smgr.h) */
#if PG_VERSION_NUM >= 170000
#define CloseSmgrCompat(relid)	((void) 0)
#else
#define CloseSmgrCompat(relid)	RelationCloseSmgrByOid(relid)
#endif

/* 18: pg_class counts frozen pages, too */
#if PG_VERSION_NUM >= 180000
#define ExchangeAllFrozenCompat(a, b) \
	do { \
		int32		frozen_ = (a)->relallfrozen; \
		(a)->relallfrozen = (b)->relallfrozen; \
		(b)->relallfrozen = frozen_; \
	} while (0)
#else
#define ExchangeAllFrozenCompat(a, b)	((void) 0)
#endif

/* 18: ANALYZE reports when it began.  (Users include pgstat.h, utils/timestamp.h.) */
#if PG_VERSION_NUM >= 180000
#define ReportAnalyzeCompat(relation, live, dead, reset) \
	pgstat_report_analyze(relation, live, dead, reset, GetCurrentTimestamp())
#else
#define ReportAnalyzeCompat(relation, live, dead, reset) \
	pgstat_report_analyze(relation, live, dead, reset)
#endif

/* 18: constraints that are not enforced */
#if PG_VERSION_NUM >= 180000
#define ConstrCheckIsEnforcedCompat(check)			((check)->ccenforced)
#define ConstraintSetEnforcedCompat(constraint)		((constraint)->is_enforced = true)
#else
#define ConstrCheckIsEnforcedCompat(check)			true
#define ConstraintSetEnforcedCompat(constraint)		((void) 0)
#endif

/*
 * 18: NOT NULL is a constraint, with a name: its row, and the node to add one with.
 * NULL before.  (Users include catalog/pg_constraint.h and nodes/makefuncs.h.)
 */
#if PG_VERSION_NUM >= 180000
#define FindNotNullConstraintCompat(relid, attnum) \
	findNotNullConstraintAttnum((relid), (attnum))
#define MakeNotNullConstraintCompat(column) \
	makeNotNullConstraint(makeString(pstrdup(column)))
#else
#define FindNotNullConstraintCompat(relid, attnum)	((HeapTuple) NULL)
#define MakeNotNullConstraintCompat(column)			((Constraint *) NULL)
#endif

/*
 * The option of a column that some minor releases keep a version of it in.  (Users
 * include catalog/pg_attribute.h.)
 */
#ifdef ATTRIBUTE_VERSION_ATTOPTION
#define COMPAT_ATTRIBUTE_VERSION_OPTION	ATTRIBUTE_VERSION_ATTOPTION
#else
#define COMPAT_ATTRIBUTE_VERSION_OPTION	"pg_attver"
#endif

/* 17: partitioned tables may have exclusion constraints */
#if PG_VERSION_NUM >= 170000
#define COMPAT_PARTITIONED_MAY_EXCLUDE	true
#else
#define COMPAT_PARTITIONED_MAY_EXCLUDE	false
#endif

/* 18: foreign keys of partitioned tables may be NOT VALID */
#if PG_VERSION_NUM >= 180000
#define COMPAT_PARTITIONED_MAY_HAVE_INVALID_KEYS	true
#else
#define COMPAT_PARTITIONED_MAY_HAVE_INVALID_KEYS	false
#endif

/* 18: foreign keys that are not enforced, and such with PERIOD */
#if PG_VERSION_NUM >= 180000
#define ConstraintIsEnforcedCompat(form)	((form)->conenforced)
#define ConstraintHasPeriodCompat(form)		((form)->conperiod)
#else
#define ConstraintIsEnforcedCompat(form)	true
#define ConstraintHasPeriodCompat(form)		false
#endif

#endif							/* ETL_COMPAT_H */
