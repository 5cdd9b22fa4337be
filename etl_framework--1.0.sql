\echo Use "CREATE EXTENSION etl_framework" to load this file. \quit

-- The script is executed with search_path "pg_catalog, pg_temp" (see the control
-- file), so what is not qualified here can only be the system's own.  Views
-- keep what their names meant now; functions are in C.

-- The script makes the schema itself: a schema of that name that somebody
-- else made is an error here, and never adopted.
CREATE SCHEMA etl;
COMMENT ON SCHEMA etl IS
'etl_framework: pipelines of SQL steps, which background workers execute as their dependencies allow.
Define: create_pipeline, add_step, alter_step.  Run: run, start, wait, cancel.  Watch: progress, run_log, log.';

-- ---------------------------------------------------------------------------
-- State.  Private tables: no grants to anybody and no row-level security, so
-- that dumps work.  What users see are the views further down.  All writes are
-- made by the extension's C code, as the owner of these tables, and that code
-- (src/metastore/catalog.c, which says why) keeps the references between them.
-- ---------------------------------------------------------------------------

-- A pipeline's id is never reused: a new pipeline of an old name never shows
-- another one's log.  A dropped pipeline keeps its row, for its log.
CREATE TABLE etl.pipeline_data (
    pipeline_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline    text NOT NULL,
    owner       regrole NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    dropped_at  timestamptz
);
CREATE UNIQUE INDEX pipeline_data_name ON etl.pipeline_data (pipeline) WHERE dropped_at IS NULL;

-- One row a version.  All definition changes of one transaction make one
-- version: created_xid and created_at tell whether the newest one is ours.
CREATE TABLE etl.version_data (
    pipeline_id int NOT NULL,
    version     int NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT transaction_timestamp(),
    created_by  name NOT NULL,
    created_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    description text,
    PRIMARY KEY (pipeline_id, version)
);

-- The options of create_pipeline and alter_pipeline: a row is valid for the
-- versions from from_version to before until_version (NULL: up to the newest).
CREATE TABLE etl.option_data (
    pipeline_id   int NOT NULL,
    from_version  int NOT NULL,
    until_version int,
    target_schema text NOT NULL,
    search_path   text NOT NULL,
    max_parallel  int,
    max_attempts  int NOT NULL,
    retry_delay   interval NOT NULL,
    retry_on      text[] NOT NULL,
    step_timeout  interval,
    run_timeout   interval,
    ordering      text NOT NULL,
    durability    text NOT NULL,
    description   text,
    one_snapshot  bool NOT NULL,
    PRIMARY KEY (pipeline_id, from_version),
    CHECK (until_version > from_version)
);

-- A step's row is stored once, with the range of versions that it is valid in;
-- what it says is never updated.  reads and writes are what the SQL names
-- (identifiers quoted where needed, perhaps with a schema), depends_on is what
-- the user added.
CREATE TABLE etl.step_data (
    pipeline_id     int NOT NULL,
    step_id         int NOT NULL,
    from_version    int NOT NULL,
    until_version   int,
    process_name    text NOT NULL,
    sql_query       text NOT NULL,
    kind            text NOT NULL,       -- query, command, command alone
    reads           text[] NOT NULL,
    writes          text[] NOT NULL,
    depends_on      text[],
    execution_order int,
    broadcast       bool NOT NULL,
    cache           bool NOT NULL,
    persist         bool,
    repartition     int,
    repartition_by  text[],
    keep            bool NOT NULL,
    indexes         text[],
    checks          text[],
    settings        text[],
    max_attempts    int,
    step_timeout    interval,
    description     text,
    partition_key     text,              -- chosen by the extension, see src/parse/partition_key.c
    partition_readers text[],            -- the steps that it was chosen for
    PRIMARY KEY (pipeline_id, step_id, from_version),
    CHECK (until_version > from_version)
);
-- One step of a name in the newest version, and (for metadata_all) those of any
-- other.  A table that was analysed while it was empty is planned as if it still
-- were, and then all indexes cost the same: the planner would read one in full
-- that has pipeline_id or from_version in it, or just an order.  A hash index
-- has nothing but the name to offer; look-ups by name hide the other columns
-- from the primary key.
CREATE UNIQUE INDEX step_data_name ON etl.step_data (process_name, pipeline_id) WHERE until_version IS NULL;
CREATE INDEX step_data_keyless ON etl.step_data (process_name, pipeline_id)
    WHERE until_version IS NULL AND repartition IS NOT NULL AND repartition_by IS NULL AND partition_key IS NULL;
CREATE INDEX step_data_history ON etl.step_data USING hash (process_name);

CREATE SEQUENCE etl.run_id_seq AS bigint;

CREATE TABLE etl.run_data (
    run_id        bigint PRIMARY KEY,
    pipeline_id   int NOT NULL,
    version       int NOT NULL,
    requested_by  name NOT NULL,
    start_time    timestamptz NOT NULL,
    end_time      timestamptz,
    status        text NOT NULL,
    error_message text,
    params        jsonb,
    steps         text[],                -- the selection, as it was asked for
    step_count    int NOT NULL,          -- how many steps that selects
    pid           int,                   -- of the coordinator
    resumes       bigint,                -- the run that it goes on from
    two_instants  bool NOT NULL DEFAULT false,
    token         uuid                   -- of etl.survival_data, when it began
);
CREATE INDEX run_data_pipeline ON etl.run_data (pipeline_id, run_id);
CREATE INDEX run_data_running ON etl.run_data (pipeline_id) WHERE status = 'RUNNING';

-- One row an attempt.  A step that is skipped, or cancelled before its first
-- attempt, has one row with attempt 0.
CREATE TABLE etl.attempt_data (
    run_id            bigint NOT NULL,
    step_id           int NOT NULL,
    process_name      text NOT NULL,
    attempt           int NOT NULL,
    start_time        timestamptz NOT NULL,
    end_time          timestamptz,
    status            text NOT NULL,
    retry_at          timestamptz,
    error_message     text,
    sqlstate          text,
    error_detail      text,
    error_hint        text,
    error_context     text,
    count_rows        bigint,
    table_size        bigint,
    pid               int,
    shared_blks_hit   bigint,
    shared_blks_read  bigint,
    temp_blks_read    bigint,
    temp_blks_written bigint,
    wal_bytes         bigint,
    warnings          text[],
    plan              json,
    read_sources      bool,              -- a relation that the run has not made
    step_indexes      oid[],             -- on the staged table: those that the step asks for
    reused_from       bigint,            -- the run that has made the attempt
    PRIMARY KEY (run_id, step_id, attempt)
);

-- What became of the checks of attempts; number: their order in the attempt, from 1.
CREATE TABLE etl.check_data (
    run_id       bigint NOT NULL,
    step_id      int NOT NULL,
    process_name text NOT NULL,
    attempt      int NOT NULL,
    number       int NOT NULL,
    check_text   text NOT NULL,
    check_name   text,
    severity     text NOT NULL,
    wrong_rows   bigint NOT NULL,
    sample_rows  jsonb,
    tested_at    timestamptz NOT NULL,
    PRIMARY KEY (run_id, step_id, attempt, number)
);

-- The tables that steps made, as published.  A table that is not here is never
-- touched.  regclass, so that a dump keeps the reference: there it is a name.
CREATE TABLE etl.output_data (
    pipeline_id  int NOT NULL,
    schema_name  text NOT NULL,
    process_name text NOT NULL,
    relid        regclass NOT NULL,
    run_id       bigint NOT NULL,
    count_rows   bigint,
    table_size   bigint,
    token        uuid NOT NULL,          -- of etl.survival_data, when it was published
    index_names  text[],                 -- those of its indexes that the step has asked for
    PRIMARY KEY (pipeline_id, schema_name, process_name)
);

-- At most one row, written by a run.  Crash recovery empties this table together
-- with all other unlogged ones, and a run writes another token: an unlogged
-- output whose token is not this one has lost its rows.  It is dumped, as the rows
-- of unlogged tables are: both come back from a dump, or neither does.
CREATE UNLOGGED TABLE etl.survival_data (
    single bool PRIMARY KEY DEFAULT true CHECK (single),
    token  uuid NOT NULL DEFAULT gen_random_uuid()
);

-- Dumps contain the definitions and what they made; logs only for a pg_dump whose
-- session has etl_framework.dump_logs on.  The run ids go on where they were: the
-- registry of outputs mentions old ones.  A pipeline whose owner is no role any
-- more stays behind: its owner would be dumped as a number, which may be
-- another role's where it is restored.
SELECT pg_extension_config_dump('etl.pipeline_data',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.oid OPERATOR(pg_catalog.=) owner)');
SELECT pg_extension_config_dump('etl.version_data', '');
SELECT pg_extension_config_dump('etl.option_data', '');
SELECT pg_extension_config_dump('etl.step_data', '');
SELECT pg_extension_config_dump('etl.output_data',
    'WHERE EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) relid)');
SELECT pg_extension_config_dump('etl.survival_data', '');
SELECT pg_extension_config_dump('etl.run_data',
    'WHERE NULLIF(pg_catalog.current_setting(''etl_framework.dump_logs'', true), '''')::pg_catalog.bool');
SELECT pg_extension_config_dump('etl.attempt_data',
    'WHERE NULLIF(pg_catalog.current_setting(''etl_framework.dump_logs'', true), '''')::pg_catalog.bool');
SELECT pg_extension_config_dump('etl.check_data',
    'WHERE NULLIF(pg_catalog.current_setting(''etl_framework.dump_logs'', true), '''')::pg_catalog.bool');
SELECT pg_extension_config_dump('etl.pipeline_data_pipeline_id_seq', '');
SELECT pg_extension_config_dump('etl.run_id_seq', '');

-- ---------------------------------------------------------------------------
-- Definitions
-- ---------------------------------------------------------------------------

CREATE FUNCTION etl.create_pipeline(
    pipeline text, target_schema text = NULL, search_path text = NULL,
    max_parallel int = NULL, max_attempts int = 3, retry_delay interval = '1 second',
    retry_on text[] = '{transient}', step_timeout interval = NULL, run_timeout interval = NULL,
    ordering text = 'graph', durability text = 'unlogged', description text = NULL,
    one_snapshot bool = true)
RETURNS void LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'etl_create_pipeline';
COMMENT ON FUNCTION etl.create_pipeline IS
'Makes an empty pipeline, version 1, owned by the current user, as whom its steps will run.
pipeline: its name, unique in the database, at most 63 bytes.
target_schema: where its tables go; the pipeline''s name if NULL.  Created if it does not exist; else the owner needs CREATE on it.
search_path: how tables and functions are found that are neither steps nor qualified; if NULL the caller''s current setting.  "$user" is replaced at once by the current user''s name.
max_parallel: how many steps may run at a time, 1 to 1024; if NULL the server''s settings decide.
max_attempts: how often a step is tried, 1 to 1000.
retry_delay: the pause before the second attempt; doubled for each further one, up to 5 minutes.
retry_on: which errors are worth another attempt: transient, any, SQLSTATEs, classes of them (their first two characters).
step_timeout, run_timeout: for one attempt, and for the run, counted from the call; NULL: none.  In all intervals a month counts as 30 days and 12 months as 365.25.
ordering: graph, or staged: steps of execution_order n start when all of lower orders have ended.
durability: which tables are logged, where a step does not say: unlogged (none), outputs (of steps that no step reads), all.
one_snapshot: all query steps of a run that no command step precedes read the sources as of one instant, the run''s start.  false: each step as of its own; for very long runs, as the instant is kept from VACUUM.
NULL means the default, for each argument but pipeline.
Errors: duplicate_object if the name is taken, also by a pipeline that the caller may not see; reserved_name, insufficient_privilege for the schema; invalid_parameter_value, name_too_long.';

CREATE FUNCTION etl.alter_pipeline(pipeline text, changes jsonb)
RETURNS void LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'etl_alter_pipeline';
COMMENT ON FUNCTION etl.alter_pipeline IS
'Changes options of a pipeline, as part of the version that this transaction makes; runs that are on keep theirs.
changes: a JSON object whose keys are arguments of create_pipeline, but not pipeline.  What is not mentioned stays as it is, null sets the default (for search_path: the caller''s setting).  Intervals are strings.  Without any difference no version is made.
Tables in the former target_schema stay where they are.
Errors: undefined_object for a pipeline that does not exist or that the caller may not see; invalid_parameter_value for an unknown key or a value of a wrong type; those of create_pipeline.';

CREATE FUNCTION etl.drop_pipeline(pipeline text, drop_tables bool = false)
RETURNS void LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'etl_drop_pipeline';
COMMENT ON FUNCTION etl.drop_pipeline IS
'Drops a pipeline with all versions of its definition.  Its logs stay visible to those who could see it, and its name is free.  What a run that did not succeed has left behind is dropped, too.
drop_tables: also drops the tables that its runs made (those that still have their names), as DROP TABLE without CASCADE; otherwise they stay and are from now on ordinary tables.  The target schema stays.
Errors: undefined_object as in alter_pipeline; object_in_use while a run is on; dependent_objects_still_exist.';

CREATE FUNCTION etl.add_step(
    pipeline text, process_name text, sql_query text, depends_on text[] = NULL,
    execution_order int = NULL, broadcast bool = false, cache bool = false, persist bool = NULL,
    repartition int = NULL, repartition_by text[] = NULL, keep bool = true, indexes text[] = NULL,
    checks text[] = NULL, settings text[] = NULL, max_attempts int = NULL,
    step_timeout interval = NULL, description text = NULL, step_id int = NULL)
RETURNS int LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'etl_add_step';
COMMENT ON FUNCTION etl.add_step IS
'Adds a step to a pipeline, as part of the version that this transaction makes.  Returns its step_id.
process_name: the step''s name and its table''s, at most 63 bytes.
sql_query: one query, whose result becomes the table, or other statements (a command step, which makes none).  Tables that are named like a step of the pipeline (unqualified, or in the target schema) mean that step''s table, and that step runs first.
depends_on: names of further steps that must succeed first; for what the SQL does not show.  They may be added later.
execution_order: among steps that could start, smaller numbers first; NULL: the level in the graph.
broadcast: joins of this step are hash joins whose small side each parallel process reads for itself.
cache: the table is written into shared buffers and stays there for the steps that read it.
persist: the table is logged (survives a crash) or not; NULL: what the pipeline''s durability says.
repartition, repartition_by: the table is hash-partitioned so many ways (1 to 1024), by these columns; without repartition_by by the column that most of the steps that read it join or group on, chosen once and stored, or else the first one that can be hashed: etl.plan says which.
keep: false: the table goes as soon as the last step that reads it has ended, and is not published.
indexes: for each index what follows the table''s name in CREATE INDEX: (a), UNIQUE (a, b), USING gin (c).
checks: what must be true of the rows before anybody can read them.  Each is a table constraint as in CREATE TABLE (CHECK (amount >= 0), UNIQUE (id), PRIMARY KEY (id), FOREIGN KEY (customer_id) REFERENCES customers (id), with CONSTRAINT name in front or not), NOT NULL (a, b), or a SELECT that returns the rows that are wrong; WARN in front of it warns instead of failing the step.  They are tested when the rows are there, with the constraint''s treatment of nulls, and not made on the table.  The step''s own name means its new rows; other names mean what they mean in sql_query, and steps that are named run first.
settings: name=value, for this step only; not search_path, role, statement_timeout and those of transactions.
max_attempts, step_timeout: instead of the pipeline''s.
step_id: 1 or more; NULL: 1 + the highest one that any version has.
cache, persist, repartition, indexes, checks and keep => false are not for command steps.
Errors: undefined_object as in alter_pipeline; duplicate_object for a name or step_id that is taken; syntax_error, with its position in the SQL, the index or the check; feature_not_supported for what cannot be a check; invalid_parameter_value, name_too_long; ZE005 for a step that reads or depends on itself.  Cycles and unknown names in depends_on are found when the pipeline is run.';

CREATE FUNCTION etl.alter_step(pipeline text, process_name text, changes jsonb)
RETURNS void LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'etl_alter_step';
COMMENT ON FUNCTION etl.alter_step IS
'Changes a step, as part of the version that this transaction makes; runs that are on keep theirs.
changes: a JSON object whose keys are arguments of add_step.  What is not mentioned stays as it is, null sets the default.  Arrays are JSON arrays of strings, intervals are strings.  Without any difference no version is made.
pipeline, process_name and step_id cannot be changed: other steps'' SQL and the table go by the name.  Drop the step and add it under its new one.
Errors: undefined_object for the pipeline or the step; invalid_parameter_value for an unknown key or a value of a wrong type; those of add_step.';

CREATE FUNCTION etl.drop_step(pipeline text, process_name text)
RETURNS void LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'etl_drop_step';
COMMENT ON FUNCTION etl.drop_step IS
'Removes a step, as part of the version that this transaction makes.  Its table stays until the pipeline is dropped with drop_tables; steps that read it read that table, as of the last run that made it.
Errors: undefined_object for the pipeline or the step.';

CREATE FUNCTION etl.update_metadata(pipeline text, steps jsonb)
RETURNS int LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'etl_update_metadata';
COMMENT ON FUNCTION etl.update_metadata IS
'Adds and changes many steps, as part of the version that this transaction makes.  Returns that version; the newest one if nothing differs from it, as then none is made.
steps: a JSON array of objects, a step each, whose keys are columns of etl.metadata.  process_name says which step; one that is not there yet is added and needs sql_query.  Keys that are not mentioned leave a step''s values as they are, null sets the default.  Steps that are not mentioned stay.
depends_on: a JSON array of strings, or one string with commas: ''a, b''.  Names that the SQL refers to anyway are not kept as declared.
step_id: the step''s number, also a new one for an old step; a number may pass from one step of the call to another.  NULL: a step keeps its number, a new one gets 1 + the highest that any version has.
version: NULL, or the version that the row was read from: a row that changes something must be of the version that is newest before the change, or of the one that it makes.  So nobody overwrites unseen what somebody else has changed.
pipeline, kind: as etl.metadata shows them; they cannot say anything else.
Other values are of the types that alter_step takes.
Errors: undefined_object as in alter_pipeline; invalid_parameter_value for an unknown key or a value of a wrong type; duplicate_object for a name that is there twice or a step_id that is taken; object_not_in_prerequisite_state for a row of an older version; those of add_step.  The context says which element it is; nothing is changed then.';

CREATE FUNCTION etl.diff(pipeline text, from_version int, to_version int)
RETURNS TABLE (process_name text, change text, column_name text, old_value text, new_value text, diff text)
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 10
AS 'MODULE_PATHNAME', 'etl_diff';
COMMENT ON FUNCTION etl.diff IS
'What differs between two versions of a pipeline, a row a value: the pipeline''s options first, then the steps by name.  No row if and only if etl.version shows the same checksum for both.
process_name: the step; NULL: an option of the pipeline.
change: added, removed (a row for each value that is not the default), changed.
column_name: as in etl.metadata and etl.pipeline; depends_on is only what was declared.  step_id is not compared.
old_value, new_value: as text; NULL: none.
diff: for sql_query the changed lines, as a unified diff.
Errors: undefined_object for a pipeline or version that does not exist or that the caller may not see.';

CREATE FUNCTION etl.rollback(pipeline text, version int)
RETURNS int LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'etl_rollback';
COMMENT ON FUNCTION etl.rollback IS
'Makes what an old version says, options and steps, the content of the version that this transaction makes.  Returns that version; the newest one if it says the same already, as then none is made.
No version is changed or removed by it, so that a rollback can be rolled back.  Runs that are on keep their version, tables stay as they are until the next run.
Errors: undefined_object for a pipeline or version that does not exist or that the caller may not see; those of alter_pipeline for the target schema.';

CREATE FUNCTION etl.define(pipeline text, script text)
RETURNS int LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'etl_define';
COMMENT ON FUNCTION etl.define IS
'Makes the statements of an SQL script the steps of a pipeline, as part of the version that this transaction makes.  Returns that version; the newest one if nothing has changed.
script: CREATE TABLE x AS query, SELECT ... INTO x, and statements that change tables.  It replaces all steps: those that it does not have are removed, those that are the same stay the same.
A step gets in depends_on what it must not overtake, and its SQL does not name: the steps before it in the script that write what it reads or writes, or read what it writes.
A comment right above a statement is the step''s description.  "-- step: name (cache, repartition = 4, settings = ''work_mem=64MB'')" above it gives a name (for CREATE TABLE AS the table''s) and the arguments of add_step; a list of settings, checks or indexes is given one by one, one of names as a string.  With depends_on nothing is added to it.  CREATE TABLE ... WITH (cache, repartition = 4) does the same.  Lines between "-- step: name begin" and "-- step end" are one step.
UNLOGGED means persist => false, TEMPORARY means keep => false, CREATE INDEX on the table of a step its indexes, a later DROP TABLE of it keep => false.
Errors, with their line of the script: undefined_object as in alter_pipeline; syntax_error; feature_not_supported for what cannot be a step; duplicate_object for two steps of one name; ZE005 for a statement before the one that makes what it reads; those of add_step.  invalid_parameter_value for a script without a statement, if the pipeline has steps.';

CREATE FUNCTION etl.export(pipeline text, version int = NULL)
RETURNS text LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'etl_export';
COMMENT ON FUNCTION etl.export IS
'The steps of a version of a pipeline as a script that etl.define makes the same steps of.
version: NULL: the newest.
Steps come behind those that they depend on, and otherwise by step_id.  The same steps give the same script; numbers, options of the pipeline and its versions are not in it.  Run by psql, with the target schema first in the search_path, it makes the same tables.
Errors: undefined_object for a pipeline that does not exist or that the caller may not see, or has no such version.';

CREATE FUNCTION etl.validate(pipeline text, version int = NULL)
RETURNS TABLE (process_name text, severity text, sqlstate text, message text, detail text, hint text, "position" int)
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10
AS 'MODULE_PATHNAME', 'etl_validate';
COMMENT ON FUNCTION etl.validate IS
'Everything that is found wrong with a version of a pipeline (NULL: the newest) without running it: a row a problem, no row if there is none.  Executes nothing, reads no rows, changes nothing, keeps no lock.
Looked at, with the rights of the pipeline''s owner: relations, columns, functions and types in the SQL of all query steps, and of command steps that consist of queries, INSERT, UPDATE, DELETE and MERGE (also of tables that no step has made yet: their columns are those of the steps'' SQL); columns that no table can have; indexes; checks; partition keys; privileges on the relations that are read; names in depends_on, cycles, execution_order; names that are taken in the target schema, and who else can create objects there; views over tables of the pipeline itself; whether the owner may log in, where the server needs that.  Not looked at: what hides in functions and in other commands.
process_name: the step; NULL: it concerns the whole pipeline.
severity: error (a run would fail), warning (it might, or the step cannot be checked).
position: where in the step''s SQL, in characters from 1; NULL: nowhere.
Errors: undefined_object for a pipeline or version that does not exist or that the caller may not see.';

CREATE FUNCTION etl.plan(pipeline text, steps text[] = NULL, version int = NULL)
RETURNS TABLE (step_id int, process_name text, kind text, level int, execution_order int,
    depends_on text[], inferred text[], declared text[], sources text[], flags text[],
    selected bool, critical bool, expected_seconds float8, expected_end float8, estimated_rows bigint, estimated_cost float8)
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10
AS 'MODULE_PATHNAME', 'etl_plan';
COMMENT ON FUNCTION etl.plan IS
'What etl.run with the same arguments would do, step by step: the selected steps in the order in which one worker would start them, then the others.  Runs nothing, reads no rows, keeps no lock.
steps, version: as in etl.run.
level: 0 for steps that read no step, else 1 + the highest level that the step reads.
execution_order: the step''s own, or its level.
depends_on: the steps that must succeed first; inferred: those that the SQL names; declared: those that were declared.  sources: other relations that the SQL reads.
flags: what becomes of the step, in words.
critical: it is on the selected steps'' longest chain, measured by expected_seconds (steps without it count as the average of the others).
expected_seconds: the median of the attempts that succeeded in the last ten runs; NULL: none did.
expected_end: seconds from the start of the run to the end of this step, with the pipeline''s max_parallel, if all take as long as expected; the greatest one is the run''s.
estimated_rows, estimated_cost: what the planner expects with the tables that earlier runs have published, in its own units; NULL for commands, and where a table is not there or the SQL has an error (see etl.validate).
Errors: undefined_object for a pipeline, version or step that does not exist or that the caller may not see; ZE005 if the pipeline''s definition is not consistent; invalid_parameter_value for an empty selection.';

-- ---------------------------------------------------------------------------
-- Running
-- ---------------------------------------------------------------------------

CREATE FUNCTION etl.run(
    pipeline text, version int = NULL, params jsonb = NULL, steps text[] = NULL,
    on_conflict text = 'error')
RETURNS bigint LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'etl_run';

CREATE FUNCTION etl.start(
    pipeline text, version int = NULL, params jsonb = NULL, steps text[] = NULL,
    on_conflict text = 'error')
RETURNS bigint LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'etl_start';

CREATE FUNCTION etl.resume(run_id bigint, reuse bool = false)
RETURNS bigint LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'etl_resume';

CREATE FUNCTION etl.wait(run_id bigint, timeout interval = NULL)
RETURNS text LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'etl_wait';

CREATE FUNCTION etl.cancel(run_id bigint)
RETURNS bool LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'etl_cancel';

CREATE FUNCTION etl.param(name text)
RETURNS text LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'etl_param';

CREATE FUNCTION etl.param(name text, default_value text)
RETURNS text LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'etl_param';

-- For the views: see src/run/run.c.
CREATE FUNCTION etl.run_status(run_id bigint, status text)
RETURNS text LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'etl_run_status';

-- For the views: see src/metastore/catalog_output.c.
CREATE FUNCTION etl.survival_token()
RETURNS uuid LANGUAGE C STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'etl_survival_token';

COMMENT ON FUNCTION etl.run IS
'Runs a pipeline and waits for its end.  Returns the run''s number; NULL if it was skipped.
version: the version to run; NULL: the newest.
params: a JSON object, which the steps'' SQL reads with etl.param.
steps: which steps: ''a'' that step, ''a+'' also all that read it, ''+a'' also all that it reads, ''+a+'' both; NULL: all.  What is not selected is read from the tables that an earlier run has published.
on_conflict: what to do while another run of the pipeline is on: error, wait (for its end), skip (do nothing).
A notice tells of each step that has ended.  When the run succeeds its tables replace those of the run before, all at once; otherwise no table changes, and an error is raised after all has been logged.  Only what command steps have committed stays.  When the waiting session is cancelled or ends, so is the run.
Errors: ZE001 (a step failed, or the run timed out), ZE002 (cancelled), ZE003 (another run is on), ZE004 (its processes went away), ZE005 (the pipeline''s definition is not consistent), ZE006 (a step that is not selected, but read, has lost its rows in a crash), deadlock_detected (a step would have to wait for this session); active_sql_transaction if the transaction has written anything; undefined_object for a pipeline, version or step that does not exist or that the caller may not see; duplicate_table for a name in the target schema that is taken; object_not_in_prerequisite_state for a step that is not selected and was never published, and where max_locks_per_transaction does not allow to publish so many tables; feature_not_supported for a logged table in a publication; lock_not_available after etl_framework.publish_timeout; foreign_key_violation; read_only_sql_transaction.';

COMMENT ON FUNCTION etl.start IS
'Starts a run and returns its number at once: see etl.run, whose arguments it has; etl.wait waits for it.
In a transaction that has written anything the run starts when that transaction commits, and sees what it wrote; never if it aborts.  If it cannot start then, etl.run_log says why: FAILED, or CANCELLED where on_conflict was skip and another run was on.
Errors: those of etl.run that are known before the first step; configuration_limit_exceeded if no background worker is free.';

COMMENT ON FUNCTION etl.resume IS
'Goes on from a run that has failed, was cancelled or has crashed, as a new run with the same version, params and steps, and waits for its end as etl.run does.  Returns the new run''s number.
Steps that succeeded in that run are not executed again, but taken over: commands always; queries where their table is still there and whole.  But if the pipeline has one_snapshot, what reads a source is executed again, and whatever reads that: the instant of the old run cannot be had any more.  Where all steps had succeeded, and only publishing failed, they are published.
reuse: true: what has read a source is taken over, too.  The new run may then show the sources as of two instants: etl.run_log.two_instants says whether it does.
etl.log shows what was taken over as attempt 0, with the run that it comes from in reused_from.
Errors: undefined_object for a run that does not exist or that the caller may not see, and for one whose pipeline was dropped; object_in_use for one that is on; object_not_in_prerequisite_state for one that succeeded or never began, is not the newest of its pipeline, or has left nothing behind (its staging schema is gone); those of etl.run.';

COMMENT ON FUNCTION etl.wait IS
'Waits until a run has ended, and returns its status: SUCCESS, FAILED, CANCELLED or CRASHED.  A run that has failed raises no error here.
timeout: how long to wait at most; then the answer is RUNNING.  NULL: for as long as it takes.
Errors: undefined_object for a run that does not exist or that the caller may not see; object_not_in_prerequisite_state for a run that starts only when this transaction commits.';

COMMENT ON FUNCTION etl.cancel IS
'Asks for the end of a run: the SQL of its steps is interrupted, nothing is published.  Returns true if the run was on and has been asked; etl.wait tells when it has ended.
Errors: undefined_object for a run that does not exist or that the caller may not see.';

COMMENT ON FUNCTION etl.param(text) IS
'A parameter of the run whose step calls it: what params has under that name, as text (JSON null as NULL).
To try a step''s SQL by hand, set etl_framework.params to a JSON object; where it is empty, which it is not in a run, all parameters are NULL.
Errors: undefined_parameter if there is no parameter of that name; invalid_parameter_value if etl_framework.params is not a JSON object.';
COMMENT ON FUNCTION etl.param(text, text) IS
'The same, but default_value (which may be NULL) if params has nothing under that name.
Errors: invalid_parameter_value as above.';

COMMENT ON FUNCTION etl.run_status IS
'Used by the views: the true status of a run whose row was seen to have this status.  A run that is RUNNING and whose coordinator is gone has CRASHED; during recovery that is UNKNOWN.  NULL for a run that the caller may not see.';

COMMENT ON FUNCTION etl.survival_token IS
'Used by the views: what outputs that are not logged must have been published with if they are to have their rows.  NULL: none has, as on a standby, where such tables cannot be read.';

-- ---------------------------------------------------------------------------
-- Watching.  Each user sees the pipelines of the roles whose privileges they
-- have; conditions of the user's own are evaluated after that one.
-- ---------------------------------------------------------------------------

CREATE VIEW etl.pipeline WITH (security_barrier) AS
SELECT p.pipeline,
       p.owner,
       o.target_schema,
       (SELECT max(v.version) FROM etl.version_data v
        WHERE v.pipeline_id = p.pipeline_id) AS current_version,
       o.search_path,
       o.max_parallel,
       o.max_attempts,
       o.retry_delay,
       o.retry_on,
       o.step_timeout,
       o.run_timeout,
       o.ordering,
       o.durability,
       o.one_snapshot,
       o.description,
       p.created_at
FROM etl.pipeline_data p
JOIN etl.option_data o ON o.pipeline_id = p.pipeline_id AND o.until_version IS NULL
WHERE p.dropped_at IS NULL AND pg_has_role(p.owner, 'USAGE');

-- Every step of every version.  Private: etl.metadata and etl.metadata_at show
-- parts of it.  The names in reads and writes are taken apart rather than put
-- together for the comparison: how they are quoted depends on settings and on
-- the server's version.
CREATE VIEW etl.metadata_all AS
SELECT p.pipeline_id,
       p.owner,
       p.pipeline,
       v.version,
       s.step_id,
       s.process_name,
       s.sql_query,
       (SELECT array_agg(d.name ORDER BY d.name COLLATE "C")
        FROM (SELECT u.process_name AS name
              FROM unnest(s.reads || s.writes) AS r(reference)
              CROSS JOIN LATERAL parse_ident(r.reference) AS i(parts)
              JOIN etl.step_data u ON u.process_name = i.parts[cardinality(i.parts)]
              WHERE u.pipeline_id + 0 = s.pipeline_id
                AND u.from_version + 0 <= v.version
                AND (u.until_version IS NULL OR u.until_version > v.version)
                AND (cardinality(i.parts) = 1
                     OR cardinality(i.parts) = 2 AND i.parts[1] = o.target_schema)
                AND u.step_id <> s.step_id
              UNION
              SELECT unnest(s.depends_on)) d) AS depends_on,
       s.execution_order,
       s.broadcast,
       s.cache,
       s.persist,
       s.repartition,
       s.repartition_by,
       s.keep,
       s.indexes,
       s.checks,
       s.settings,
       s.max_attempts,
       s.step_timeout,
       s.description,
       s.kind
FROM etl.pipeline_data p
JOIN etl.version_data v ON v.pipeline_id = p.pipeline_id
JOIN etl.option_data o ON o.pipeline_id = v.pipeline_id AND o.from_version <= v.version
     AND (o.until_version IS NULL OR o.until_version > v.version)
JOIN etl.step_data s ON s.pipeline_id = v.pipeline_id AND s.from_version <= v.version
     AND (s.until_version IS NULL OR s.until_version > v.version)
WHERE p.dropped_at IS NULL;

CREATE VIEW etl.metadata WITH (security_barrier) AS
SELECT m.pipeline,
       m.version,
       m.step_id,
       m.process_name,
       m.sql_query,
       m.depends_on,
       m.execution_order,
       m.broadcast,
       m.cache,
       m.persist,
       m.repartition,
       m.repartition_by,
       m.keep,
       m.indexes,
       m.checks,
       m.settings,
       m.max_attempts,
       m.step_timeout,
       m.description,
       m.kind
FROM etl.metadata_all m
WHERE pg_has_role(m.owner, 'USAGE')
  AND m.version = (SELECT max(v.version) FROM etl.version_data v
                   WHERE v.pipeline_id = m.pipeline_id);

CREATE FUNCTION etl.metadata_at(pipeline text, version int)
RETURNS SETOF etl.metadata LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 100
AS 'MODULE_PATHNAME', 'etl_metadata_at';

-- The checksum covers what a version says, in a form that depends on no setting;
-- step_id, which only numbers the steps, is left out.
CREATE VIEW etl.version WITH (security_barrier) AS
SELECT p.pipeline,
       v.version,
       v.created_at,
       v.created_by,
       v.description,
       (SELECT encode(sha256(convert_to(concat(
                   jsonb_build_array(
                       o.target_schema, o.search_path, o.max_parallel, o.max_attempts,
                       extract(epoch FROM o.retry_delay), o.retry_on,
                       extract(epoch FROM o.step_timeout), extract(epoch FROM o.run_timeout),
                       o.ordering, o.durability, o.description, o.one_snapshot),
                   string_agg(s.checksum, ' ' ORDER BY s.checksum)), 'UTF8')), 'hex')
        FROM (SELECT encode(sha256(convert_to(jsonb_build_array(
                         d.process_name, d.sql_query, d.depends_on, d.execution_order,
                         d.broadcast, d.cache, d.persist, d.repartition, d.repartition_by,
                         d.keep, d.indexes, d.checks, d.settings, d.max_attempts,
                         extract(epoch FROM d.step_timeout), d.description)::text,
                     'UTF8')), 'hex') COLLATE "C" AS checksum
              FROM etl.step_data d
              WHERE d.pipeline_id = v.pipeline_id
                AND d.from_version <= v.version
                AND (d.until_version IS NULL OR d.until_version > v.version)) s) AS checksum
FROM etl.pipeline_data p
JOIN etl.version_data v ON v.pipeline_id = p.pipeline_id
JOIN etl.option_data o ON o.pipeline_id = v.pipeline_id AND o.from_version <= v.version
     AND (o.until_version IS NULL OR o.until_version > v.version)
WHERE p.dropped_at IS NULL AND pg_has_role(p.owner, 'USAGE');

-- The registered tables that are not there or are empty since a crash.  Private.
CREATE VIEW etl.output_lost AS
SELECT d.pipeline_id, d.schema_name, d.process_name, d.relid, d.run_id,
       c.oid IS NOT NULL AS exists
FROM etl.output_data d
LEFT JOIN pg_class c ON c.oid = d.relid
WHERE c.oid IS NULL
   OR d.token IS DISTINCT FROM (SELECT etl.survival_token())
      AND (c.relpersistence = 'u'
           OR EXISTS (SELECT FROM pg_inherits i JOIN pg_class l ON l.oid = i.inhrelid
                      WHERE i.inhparent = c.oid AND l.relpersistence = 'u'));

CREATE VIEW etl.output WITH (security_barrier) AS
SELECT p.pipeline,
       d.process_name,
       d.schema_name,
       CASE WHEN c.oid IS NOT NULL THEN d.relid END AS relation,
       d.run_id,
       d.count_rows,
       d.table_size,
       EXISTS (SELECT FROM etl.output_lost l
               WHERE l.pipeline_id = d.pipeline_id AND l.schema_name = d.schema_name
                 AND l.process_name = d.process_name) AS lost
FROM etl.output_data d
JOIN etl.pipeline_data p ON p.pipeline_id = d.pipeline_id
LEFT JOIN pg_class c ON c.oid = d.relid
WHERE p.dropped_at IS NULL AND pg_has_role(p.owner, 'USAGE');

-- The names that are taken in a schema: relations, and types, as a table brings a type of its name
-- (only array types make room for it by themselves).  Of a relation:
--	needs_log	what needs the table to be logged, and it is: a foreign key of a logged table, or a
--				publication
--	publication	one that the table is in
--	nrelations	the table, its partitions, and the TOAST tables and indexes of all
-- Private.
CREATE VIEW etl.taken_name AS
SELECT n.nspname AS schema_name, c.relname AS name, c.oid AS relid,
       CASE WHEN c.relpersistence = 'p'
                 AND NOT EXISTS (SELECT FROM pg_inherits i JOIN pg_class l ON l.oid = i.inhrelid
                                 WHERE i.inhparent = c.oid AND l.relpersistence = 'u')
            THEN coalesce(
                (SELECT format('foreign key %I of table %s', k.conname, k.conrelid::regclass)
                 FROM pg_constraint k JOIN pg_class f ON f.oid = k.conrelid
                 WHERE k.contype = 'f' AND f.relpersistence = 'p' AND f.oid <> c.oid
                   AND k.conparentid = 0
                   AND (k.confrelid = c.oid
                        OR k.confrelid IN (SELECT i.inhrelid FROM pg_inherits i
                                           WHERE i.inhparent = c.oid))
                 ORDER BY k.oid LIMIT 1),
                'publication ' || p.name)
       END AS needs_log,
       p.name AS publication,
       (SELECT sum(1 + (t.reltoastrelid <> 0)::int
                   + (SELECT count(*) FROM pg_index x WHERE x.indrelid = t.oid))::int
        FROM pg_class t
        WHERE t.oid = c.oid
           OR t.oid IN (SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = c.oid)) AS nrelations
FROM pg_namespace n
JOIN pg_class c ON c.relnamespace = n.oid
LEFT JOIN LATERAL
     (SELECT quote_ident(u.pubname) AS name
      FROM pg_publication u
      WHERE u.puballtables
         OR EXISTS (SELECT FROM pg_publication_rel r
                    WHERE r.prpubid = u.oid
                      AND (r.prrelid = c.oid
                           OR r.prrelid IN (SELECT i.inhrelid FROM pg_inherits i
                                            WHERE i.inhparent = c.oid)))
         OR EXISTS (SELECT FROM pg_publication_namespace s
                    WHERE s.pnpubid = u.oid AND s.pnnspid = c.relnamespace)
      ORDER BY u.oid LIMIT 1) p ON true
UNION ALL
SELECT n.nspname, t.typname, NULL, NULL, NULL, 0
FROM pg_namespace n
JOIN pg_type t ON t.typnamespace = n.oid
WHERE t.typrelid = 0 AND t.typcategory <> 'A';

-- Sessions that wait for the processes of a run: each shows that by a lock of its own kind, whose
-- objsubid is LOCK_CLASS_QUEUED (lock.c) as an int2.
CREATE VIEW etl.queued AS
SELECT l.pid, a.query_start AS start_time, l.classid::int8::int4 AS pipeline_id,
       'waits until the server has free background workers' AS reason
FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_database d ON d.oid = l.database AND d.datname = pg_catalog.current_database()
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.objsubid = -6395;

CREATE VIEW etl.run_log WITH (security_barrier) AS
SELECT r.run_id,
       p.pipeline,
       r.version,
       r.requested_by,
       r.start_time,
       r.end_time,
       CASE r.status WHEN 'RUNNING' THEN etl.run_status(r.run_id, r.status) ELSE r.status END AS status,
       r.error_message,
       r.params,
       r.steps,
       r.step_count,
       r.pid,
       r.resumes,
       r.two_instants
FROM (SELECT run_id, pipeline_id, version, requested_by, start_time, end_time, status,
             error_message, params, steps, step_count, pid, resumes, two_instants
      FROM etl.run_data
      UNION ALL
      SELECT NULL, pipeline_id, NULL, NULL, start_time, NULL, 'QUEUED',
             reason, NULL, NULL, NULL, pid, NULL, NULL
      FROM etl.queued) r
JOIN etl.pipeline_data p ON p.pipeline_id = r.pipeline_id
WHERE pg_has_role(p.owner, 'USAGE');

CREATE VIEW etl.log WITH (security_barrier) AS
SELECT a.run_id,
       p.pipeline,
       a.step_id,
       a.process_name,
       a.attempt,
       a.start_time,
       a.end_time,
       -- an attempt of a run that is gone has failed
       CASE WHEN a.status <> 'RUNNING' OR r.status = 'RUNNING'
                 AND etl.run_status(r.run_id, r.status) IN ('RUNNING', 'UNKNOWN')
            THEN a.status ELSE 'FAILED' END AS status,
       a.retry_at,
       a.error_message,
       a.sqlstate,
       a.error_detail,
       a.error_hint,
       a.error_context,
       a.count_rows,
       a.table_size,
       a.pid,
       a.shared_blks_hit,
       a.shared_blks_read,
       a.temp_blks_read,
       a.temp_blks_written,
       a.wal_bytes,
       a.warnings,
       a.plan,
       a.reused_from
FROM etl.attempt_data a
JOIN etl.run_data r ON r.run_id = a.run_id
JOIN etl.pipeline_data p ON p.pipeline_id = r.pipeline_id
WHERE pg_has_role(p.owner, 'USAGE');

CREATE VIEW etl.check_log WITH (security_barrier) AS
SELECT c.run_id,
       p.pipeline,
       c.step_id,
       c.process_name,
       c.attempt,
       c.number AS check_number,
       c.check_text,
       c.check_name,
       c.severity,
       CASE WHEN c.wrong_rows = 0 THEN 'PASSED' ELSE 'FAILED' END AS status,
       c.wrong_rows,
       c.sample_rows,
       c.tested_at
FROM etl.check_data c
JOIN etl.run_data r ON r.run_id = c.run_id
JOIN etl.pipeline_data p ON p.pipeline_id = r.pipeline_id
WHERE pg_has_role(p.owner, 'USAGE');

-- A step counts as what its newest attempt says.
CREATE VIEW etl.progress WITH (security_barrier) AS
SELECT r.run_id,
       p.pipeline,
       r.version,
       t.status,
       r.start_time,
       clock_timestamp() - r.start_time AS elapsed,
       r.step_count AS steps,
       a.done,
       a.running,
       a.failed,
       a.skipped,
       r.step_count - a.done - a.running - a.failed - a.skipped AS waiting,
       a.running_steps
FROM (SELECT run_id, pipeline_id, version, start_time, status, step_count
      FROM etl.run_data
      WHERE status = 'RUNNING'
      UNION ALL
      SELECT NULL, pipeline_id, NULL, start_time, 'QUEUED', NULL
      FROM etl.queued) r
JOIN etl.pipeline_data p ON p.pipeline_id = r.pipeline_id
CROSS JOIN LATERAL (
    SELECT CASE r.status WHEN 'RUNNING' THEN etl.run_status(r.run_id, r.status) ELSE r.status END) AS t(status)
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE n.status = 'SUCCESS')::int AS done,
           count(*) FILTER (WHERE n.status = 'RUNNING')::int AS running,
           count(*) FILTER (WHERE n.status = 'FAILED' AND n.retry_at IS NULL)::int AS failed,
           count(*) FILTER (WHERE n.status IN ('SKIPPED', 'CANCELLED'))::int AS skipped,
           array_agg(n.process_name ORDER BY n.start_time, n.process_name)
               FILTER (WHERE n.status = 'RUNNING') AS running_steps
    FROM (SELECT DISTINCT ON (d.step_id) d.process_name, d.status, d.retry_at, d.start_time
          FROM etl.attempt_data d
          WHERE d.run_id = r.run_id
          ORDER BY d.step_id, d.attempt DESC) n) a
WHERE t.status IN ('QUEUED', 'RUNNING', 'UNKNOWN')
  AND pg_has_role(p.owner, 'USAGE');

-- Who has what: nobody has anything but what is said here, also where ALTER
-- DEFAULT PRIVILEGES would give others rights on new tables or schemas.
CREATE FUNCTION etl.revoke_default_privileges()
RETURNS void LANGUAGE C VOLATILE
AS 'MODULE_PATHNAME', 'etl_revoke_default_privileges';
SELECT etl.revoke_default_privileges();
DROP FUNCTION etl.revoke_default_privileges();

GRANT USAGE ON SCHEMA etl TO PUBLIC;
GRANT SELECT ON
    etl.pipeline, etl.version, etl.metadata, etl.output, etl.run_log, etl.log, etl.check_log, etl.progress
TO PUBLIC;

COMMENT ON FUNCTION etl.metadata_at IS
'The steps of any version of a pipeline, as etl.metadata shows those of the newest, ascending step_id.
Errors: undefined_object for a pipeline that does not exist or that the caller may not see, or has no such version.';

COMMENT ON VIEW etl.pipeline IS
'The pipelines whose owner''s privileges the current user has, with the options of their newest version.';
COMMENT ON COLUMN etl.pipeline.pipeline IS 'its name';
COMMENT ON COLUMN etl.pipeline.description IS 'as in create_pipeline';
COMMENT ON COLUMN etl.pipeline.created_at IS 'when it was created';
COMMENT ON COLUMN etl.pipeline.owner IS 'the role as whom its steps run';
COMMENT ON COLUMN etl.pipeline.target_schema IS 'where its tables are';
COMMENT ON COLUMN etl.pipeline.current_version IS 'the newest version, which a run takes by default';
COMMENT ON COLUMN etl.pipeline.search_path IS 'how tables and functions are found that are neither steps nor qualified';
COMMENT ON COLUMN etl.pipeline.max_parallel IS 'how many steps may run at a time; NULL: the server''s settings decide';
COMMENT ON COLUMN etl.pipeline.max_attempts IS 'how often a step is tried that does not say it itself';
COMMENT ON COLUMN etl.pipeline.retry_delay IS 'the pause before the second attempt; doubled for each further one';
COMMENT ON COLUMN etl.pipeline.retry_on IS 'which errors are worth another attempt: transient, any, SQLSTATEs, their classes';
COMMENT ON COLUMN etl.pipeline.step_timeout IS 'for one attempt of a step that does not say it itself; NULL: none';
COMMENT ON COLUMN etl.pipeline.run_timeout IS 'for a run, counted from the call; NULL: none';
COMMENT ON COLUMN etl.pipeline.ordering IS 'graph, or staged: execution_order is a barrier';
COMMENT ON COLUMN etl.pipeline.durability IS 'which tables are logged, where a step does not say: unlogged (none), outputs (of steps that no step reads), all';
COMMENT ON COLUMN etl.pipeline.one_snapshot IS 'the query steps of a run that no command step precedes read the sources as of one instant';

COMMENT ON VIEW etl.version IS
'The versions of the visible pipelines.  All definition changes of one transaction make one version.';
COMMENT ON COLUMN etl.version.pipeline IS 'the pipeline';
COMMENT ON COLUMN etl.version.version IS 'the number, from 1';
COMMENT ON COLUMN etl.version.description IS 'what was said of it';
COMMENT ON COLUMN etl.version.created_at IS 'when that transaction began';
COMMENT ON COLUMN etl.version.created_by IS 'the user who made its first change';
COMMENT ON COLUMN etl.version.checksum IS
'SHA-256, in hexadecimal, of the options and the steps without their step_id: equal in two versions that say the same, of this or of another database';

COMMENT ON VIEW etl.metadata IS
'The steps of the newest version of the visible pipelines; etl.metadata_at shows other versions.';
COMMENT ON COLUMN etl.metadata.pipeline IS 'the pipeline';
COMMENT ON COLUMN etl.metadata.version IS 'its newest version';
COMMENT ON COLUMN etl.metadata.step_id IS 'the step''s number, which it keeps from version to version';
COMMENT ON COLUMN etl.metadata.sql_query IS 'its SQL';
COMMENT ON COLUMN etl.metadata.indexes IS 'as in add_step';
COMMENT ON COLUMN etl.metadata.checks IS 'as in add_step';
COMMENT ON COLUMN etl.metadata.settings IS 'as in add_step';
COMMENT ON COLUMN etl.metadata.description IS 'as in add_step';
COMMENT ON COLUMN etl.metadata.process_name IS 'the step''s name, and its table''s';
COMMENT ON COLUMN etl.metadata.depends_on IS
'the steps that must succeed first: those that the SQL reads or writes and those that were declared; NULL: none';
COMMENT ON COLUMN etl.metadata.execution_order IS 'among steps that could start, smaller first; NULL: the level in the graph';
COMMENT ON COLUMN etl.metadata.broadcast IS 'joins are hash joins whose small side each parallel process reads for itself';
COMMENT ON COLUMN etl.metadata.cache IS 'the table is written into shared buffers and stays there';
COMMENT ON COLUMN etl.metadata.persist IS 'the table is logged; NULL: what the pipeline''s durability says';
COMMENT ON COLUMN etl.metadata.repartition IS 'number of hash partitions; NULL: an unpartitioned table';
COMMENT ON COLUMN etl.metadata.repartition_by IS 'the partition key; NULL: chosen by the extension';
COMMENT ON COLUMN etl.metadata.keep IS 'false: the table goes when the last step that reads it has ended';
COMMENT ON COLUMN etl.metadata.max_attempts IS 'NULL: the pipeline''s';
COMMENT ON COLUMN etl.metadata.step_timeout IS 'for one attempt; NULL: the pipeline''s';
COMMENT ON COLUMN etl.metadata.kind IS
'query: makes a table; command: statements, executed in one transaction; command alone: one statement outside any transaction block';

COMMENT ON VIEW etl.output IS
'The tables that the visible pipelines made, as last published, and whether they still have their rows.  A table that is not here is never touched.';
COMMENT ON COLUMN etl.output.pipeline IS 'the pipeline whose table it is';
COMMENT ON COLUMN etl.output.process_name IS 'the step that makes it';
COMMENT ON COLUMN etl.output.schema_name IS 'the target schema that it was published in';
COMMENT ON COLUMN etl.output.relation IS 'the table; NULL if it was dropped';
COMMENT ON COLUMN etl.output.run_id IS 'the run that its rows come from';
COMMENT ON COLUMN etl.output.count_rows IS 'its rows when it was published';
COMMENT ON COLUMN etl.output.lost IS
'true: its rows are gone: it is not logged and the server has crashed since (or is a standby), or it was dropped; a run of the pipeline makes it again';
COMMENT ON COLUMN etl.output.table_size IS 'bytes, with everything that belongs to it, when it was published';

COMMENT ON VIEW etl.run_log IS 'The runs of the visible pipelines, dropped ones included.';
COMMENT ON COLUMN etl.run_log.run_id IS 'the run''s number; NULL: it is QUEUED';
COMMENT ON COLUMN etl.run_log.pipeline IS 'its pipeline';
COMMENT ON COLUMN etl.run_log.version IS 'the version that is run';
COMMENT ON COLUMN etl.run_log.requested_by IS 'the role that has called for it';
COMMENT ON COLUMN etl.run_log.start_time IS 'when the run began, or the call that waits';
COMMENT ON COLUMN etl.run_log.error_message IS 'why it did not succeed, or what it waits for; NULL: neither';
COMMENT ON COLUMN etl.run_log.params IS 'its parameters; NULL: it has none';
COMMENT ON COLUMN etl.run_log.status IS
'QUEUED (a session waits until the server has free background workers for it: the run has no number yet), RUNNING, SUCCESS, FAILED, CANCELLED, CRASHED (its processes are gone without having said how it ended), UNKNOWN (on a standby: perhaps running)';
COMMENT ON COLUMN etl.run_log.end_time IS 'NULL while it runs; for a crashed run the last thing that is known of it';
COMMENT ON COLUMN etl.run_log.steps IS 'the selection that was asked for; NULL: all steps';
COMMENT ON COLUMN etl.run_log.step_count IS 'how many steps that selects';
COMMENT ON COLUMN etl.run_log.pid IS 'the coordinator''s process id';
COMMENT ON COLUMN etl.run_log.resumes IS 'the run that etl.resume has gone on from; NULL: it began anew';
COMMENT ON COLUMN etl.run_log.two_instants IS
'true: it has read sources, and has reused what an earlier run had read, so that its tables are as of two instants or more';

COMMENT ON VIEW etl.log IS
'One row an attempt of a step, in the runs of the visible pipelines.  A step that got no attempt has one row, with attempt 0.';
COMMENT ON COLUMN etl.log.run_id IS 'the run';
COMMENT ON COLUMN etl.log.pipeline IS 'its pipeline';
COMMENT ON COLUMN etl.log.step_id IS 'the step';
COMMENT ON COLUMN etl.log.process_name IS 'its name, when it was executed';
COMMENT ON COLUMN etl.log.start_time IS 'when the attempt began';
COMMENT ON COLUMN etl.log.end_time IS 'when it ended; NULL: it is being executed';
COMMENT ON COLUMN etl.log.error_message IS 'the error that ended the attempt, or why there was none; NULL: it succeeded';
COMMENT ON COLUMN etl.log.sqlstate IS 'the error''s SQLSTATE';
COMMENT ON COLUMN etl.log.error_detail IS 'its DETAIL';
COMMENT ON COLUMN etl.log.error_hint IS 'its HINT';
COMMENT ON COLUMN etl.log.error_context IS 'where it was raised';
COMMENT ON COLUMN etl.log.attempt IS '1 is the first; 0: the step had none: it was skipped, cancelled before the first, or reused';
COMMENT ON COLUMN etl.log.status IS 'RUNNING, SUCCESS, FAILED, SKIPPED, CANCELLED';
COMMENT ON COLUMN etl.log.retry_at IS 'when a failed attempt is followed by another one; NULL: it is not';
COMMENT ON COLUMN etl.log.count_rows IS 'rows of the table, or that the command processed';
COMMENT ON COLUMN etl.log.table_size IS 'bytes, with everything that belongs to the table';
COMMENT ON COLUMN etl.log.pid IS 'the worker''s process id';
COMMENT ON COLUMN etl.log.shared_blks_hit IS 'blocks found in shared buffers';
COMMENT ON COLUMN etl.log.shared_blks_read IS 'blocks read from outside of shared buffers';
COMMENT ON COLUMN etl.log.temp_blks_read IS 'blocks read from temporary files';
COMMENT ON COLUMN etl.log.temp_blks_written IS 'blocks written to temporary files';
COMMENT ON COLUMN etl.log.wal_bytes IS 'bytes of write-ahead log';
COMMENT ON COLUMN etl.log.warnings IS 'what did not go as it was asked for, though the attempt need not have failed; NULL: nothing';
COMMENT ON COLUMN etl.log.plan IS
'the plans of the attempt''s statements, each as EXPLAIN (FORMAT JSON) shows it, with actual rows where the statement came to its end; NULL: not kept (setting etl_framework.keep_plans)';

COMMENT ON COLUMN etl.log.reused_from IS 'the run whose attempt succeeded, where etl.resume has taken over what it made; NULL: this run''s own';

COMMENT ON VIEW etl.check_log IS
'One row a check that an attempt of a step has tested, in the runs of the visible pipelines; also for attempts that failed.  A check whose own SQL raised an error, and those behind it, have none: see etl.log.';
COMMENT ON COLUMN etl.check_log.run_id IS 'the run';
COMMENT ON COLUMN etl.check_log.pipeline IS 'its pipeline';
COMMENT ON COLUMN etl.check_log.step_id IS 'the step whose rows were checked';
COMMENT ON COLUMN etl.check_log.process_name IS 'that step''s name, when it was executed';
COMMENT ON COLUMN etl.check_log.attempt IS 'which attempt of the step, from 1';
COMMENT ON COLUMN etl.check_log.check_number IS 'its place among the checks of the step, from 1: they are tested in that order';
COMMENT ON COLUMN etl.check_log.check_text IS 'the check as in add_step';
COMMENT ON COLUMN etl.check_log.check_name IS 'that of CONSTRAINT name; NULL: none';
COMMENT ON COLUMN etl.check_log.severity IS 'ERROR: wrong rows fail the step; WARN: they are a warning of the attempt';
COMMENT ON COLUMN etl.check_log.status IS 'PASSED, or FAILED: there are wrong rows';
COMMENT ON COLUMN etl.check_log.wrong_rows IS 'how many; of UNIQUE and PRIMARY KEY all rows whose key another row has, too';
COMMENT ON COLUMN etl.check_log.sample_rows IS
'an array of at most 5 of them, as objects; of equal keys the key and how many rows have it.  Long values are cut, many columns left out; NULL: there are no wrong rows';
COMMENT ON COLUMN etl.check_log.tested_at IS 'when the check had been tested';

COMMENT ON VIEW etl.progress IS
'How far the runs of the visible pipelines are that are on now.  Each selected step is counted once, as what its newest attempt says.';
COMMENT ON COLUMN etl.progress.run_id IS 'the run; NULL: it is QUEUED';
COMMENT ON COLUMN etl.progress.pipeline IS 'its pipeline';
COMMENT ON COLUMN etl.progress.version IS 'the version that is run';
COMMENT ON COLUMN etl.progress.start_time IS 'when the run began, or the call that waits';
COMMENT ON COLUMN etl.progress.done IS 'how many steps have succeeded';
COMMENT ON COLUMN etl.progress.running IS 'how many are being executed';
COMMENT ON COLUMN etl.progress.status IS 'RUNNING; UNKNOWN on a standby; QUEUED: waits for free background workers, and has no number yet';
COMMENT ON COLUMN etl.progress.elapsed IS 'since the run was started';
COMMENT ON COLUMN etl.progress.steps IS 'how many steps the run has';
COMMENT ON COLUMN etl.progress.failed IS 'for good: without those that wait for another attempt';
COMMENT ON COLUMN etl.progress.skipped IS 'because of a failed step, or cancelled';
COMMENT ON COLUMN etl.progress.waiting IS 'not started, or waiting for another attempt';
COMMENT ON COLUMN etl.progress.running_steps IS 'their names, the one that runs for longest first; NULL: none';
