\echo Use "CREATE EXTENSION etl_framework" to load this file. \quit

-- The script makes the schema itself: a schema of that name that somebody
-- else made is an error here, and never adopted.
CREATE SCHEMA etl;
COMMENT ON SCHEMA etl IS 'etl_framework: pipelines of SQL steps';
GRANT USAGE ON SCHEMA etl TO PUBLIC;

-- ---------------------------------------------------------------------------
-- State.  Private tables: no grants to anybody and no row-level security, so
-- that dumps work.  What users see are the views further down.  All writes are
-- made by the extension's C code, as the owner of these tables.
-- ---------------------------------------------------------------------------

-- A pipeline's id is never reused: a new pipeline of an old name never shows
-- another one's log.  A dropped pipeline keeps its row, for its log.
CREATE TABLE etl.pipeline_data (
    pipeline_id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline    text NOT NULL,
    owner       regrole NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT pg_catalog.now(),
    dropped_at  timestamptz
);
CREATE UNIQUE INDEX pipeline_data_name ON etl.pipeline_data (pipeline) WHERE dropped_at IS NULL;

-- One row a version.  All definition changes of one transaction make one
-- version: created_xid and created_at tell whether the newest one is ours.
CREATE TABLE etl.version_data (
    pipeline_id int NOT NULL REFERENCES etl.pipeline_data ON DELETE CASCADE,
    version     int NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT pg_catalog.transaction_timestamp(),
    created_by  name NOT NULL,
    created_xid xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
    description text,
    PRIMARY KEY (pipeline_id, version)
);

-- The options of create_pipeline and alter_pipeline: a row is valid for the
-- versions from from_version to before until_version (NULL: up to the newest).
CREATE TABLE etl.option_data (
    pipeline_id   int NOT NULL REFERENCES etl.pipeline_data ON DELETE CASCADE,
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
    PRIMARY KEY (pipeline_id, from_version),
    CHECK (until_version > from_version)
);

-- A step's row is stored once, with the range of versions that it is valid in;
-- what it says is never updated.  reads and writes are what the SQL names
-- (identifiers quoted where needed, perhaps with a schema), depends_on is what
-- the user added.
CREATE TABLE etl.step_data (
    pipeline_id     int NOT NULL REFERENCES etl.pipeline_data ON DELETE CASCADE,
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
    PRIMARY KEY (pipeline_id, step_id, from_version),
    CHECK (until_version > from_version)
);
CREATE UNIQUE INDEX step_data_name ON etl.step_data (pipeline_id, process_name) WHERE until_version IS NULL;

CREATE SEQUENCE etl.run_id_seq AS bigint;

CREATE TABLE etl.run_data (
    run_id        bigint PRIMARY KEY,
    pipeline_id   int NOT NULL REFERENCES etl.pipeline_data,
    version       int NOT NULL,
    requested_by  name NOT NULL,
    start_time    timestamptz NOT NULL,
    end_time      timestamptz,
    status        text NOT NULL,
    error_message text,
    params        jsonb,
    steps         text[],                -- the selection, as it was asked for
    step_count    int NOT NULL,          -- how many steps that selects
    pid           int                    -- of the coordinator
);
CREATE INDEX run_data_pipeline ON etl.run_data (pipeline_id, run_id);
CREATE INDEX run_data_running ON etl.run_data (pipeline_id) WHERE status = 'RUNNING';

-- One row an attempt.  A step that is skipped, or cancelled before its first
-- attempt, has one row with attempt 0.
CREATE TABLE etl.attempt_data (
    run_id            bigint NOT NULL REFERENCES etl.run_data ON DELETE CASCADE,
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
    PRIMARY KEY (run_id, step_id, attempt)
);

-- The tables that steps made, as published.  A table that is not here is never
-- touched.
CREATE TABLE etl.output_data (
    pipeline_id  int NOT NULL REFERENCES etl.pipeline_data ON DELETE CASCADE,
    schema_name  name NOT NULL,
    process_name text NOT NULL,
    relid        oid NOT NULL,
    run_id       bigint NOT NULL,
    count_rows   bigint,
    table_size   bigint,
    PRIMARY KEY (pipeline_id, schema_name, process_name)
);

SELECT pg_catalog.pg_extension_config_dump('etl.pipeline_data', '');
SELECT pg_catalog.pg_extension_config_dump('etl.version_data', '');
SELECT pg_catalog.pg_extension_config_dump('etl.option_data', '');
SELECT pg_catalog.pg_extension_config_dump('etl.step_data', '');
SELECT pg_catalog.pg_extension_config_dump('etl.pipeline_data_pipeline_id_seq', '');

-- ---------------------------------------------------------------------------
-- Definitions
-- ---------------------------------------------------------------------------

CREATE FUNCTION etl.create_pipeline(
    pipeline text, target_schema text = NULL, search_path text = NULL,
    max_parallel int = NULL, max_attempts int = 3, retry_delay interval = '1 second',
    retry_on text[] = '{transient}', step_timeout interval = NULL, run_timeout interval = NULL,
    ordering text = 'graph', durability text = 'unlogged', description text = NULL)
RETURNS void LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'etl_create_pipeline';

CREATE FUNCTION etl.alter_pipeline(pipeline text, changes jsonb)
RETURNS void LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'etl_alter_pipeline';

CREATE FUNCTION etl.drop_pipeline(pipeline text, drop_tables bool = false)
RETURNS void LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'etl_drop_pipeline';

CREATE FUNCTION etl.add_step(
    pipeline text, process_name text, sql_query text, depends_on text[] = NULL,
    execution_order int = NULL, broadcast bool = false, cache bool = false, persist bool = NULL,
    repartition int = NULL, repartition_by text[] = NULL, keep bool = true, indexes text[] = NULL,
    checks text[] = NULL, settings text[] = NULL, max_attempts int = NULL,
    step_timeout interval = NULL, description text = NULL, step_id int = NULL)
RETURNS int LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'etl_add_step';

CREATE FUNCTION etl.alter_step(pipeline text, process_name text, changes jsonb)
RETURNS void LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'etl_alter_step';

CREATE FUNCTION etl.drop_step(pipeline text, process_name text)
RETURNS void LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'etl_drop_step';

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

CREATE FUNCTION etl.wait(run_id bigint, timeout interval = NULL)
RETURNS text LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'etl_wait';

CREATE FUNCTION etl.cancel(run_id bigint)
RETURNS bool LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'etl_cancel';

CREATE FUNCTION etl.param(name text, default_value text = NULL)
RETURNS text LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'etl_param';

-- The true status of a run whose row says RUNNING: see src/runlog.c.
CREATE FUNCTION etl.run_status(run_id bigint, status text)
RETURNS text LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED
AS 'MODULE_PATHNAME', 'etl_run_status';

-- ---------------------------------------------------------------------------
-- Watching.  Each user sees the pipelines of the roles whose privileges they
-- have; conditions of the user's own are evaluated after that one.
-- ---------------------------------------------------------------------------

CREATE VIEW etl.pipeline WITH (security_barrier) AS
SELECT p.pipeline,
       p.owner,
       o.target_schema,
       v.version AS current_version,
       o.search_path,
       o.max_parallel,
       o.max_attempts,
       o.retry_delay,
       o.retry_on,
       o.step_timeout,
       o.run_timeout,
       o.ordering,
       o.durability,
       o.description,
       p.created_at
FROM etl.pipeline_data p
JOIN LATERAL (SELECT max(d.version) AS version FROM etl.version_data d
              WHERE d.pipeline_id = p.pipeline_id) v ON true
JOIN etl.option_data o ON o.pipeline_id = p.pipeline_id AND o.until_version IS NULL
WHERE p.dropped_at IS NULL AND pg_catalog.pg_has_role(p.owner, 'USAGE');

-- Every step of every version of every pipeline, as it was then.
CREATE VIEW etl.metadata_history WITH (security_barrier) AS
SELECT p.pipeline,
       v.version,
       s.step_id,
       s.process_name,
       s.sql_query,
       (SELECT array_agg(d.name ORDER BY d.name)
        FROM (SELECT u.process_name AS name
              FROM etl.step_data u
              WHERE u.pipeline_id = s.pipeline_id
                AND u.from_version <= v.version
                AND (u.until_version IS NULL OR u.until_version > v.version)
                AND (ARRAY[quote_ident(u.process_name),
                           quote_ident(o.target_schema) || '.' || quote_ident(u.process_name)]
                     && (s.reads || s.writes))
                AND u.process_name <> s.process_name
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
JOIN etl.option_data o ON o.pipeline_id = p.pipeline_id AND o.from_version <= v.version
     AND (o.until_version IS NULL OR o.until_version > v.version)
JOIN etl.step_data s ON s.pipeline_id = p.pipeline_id AND s.from_version <= v.version
     AND (s.until_version IS NULL OR s.until_version > v.version)
WHERE p.dropped_at IS NULL AND pg_catalog.pg_has_role(p.owner, 'USAGE');

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
       r.pid
FROM etl.run_data r
JOIN etl.pipeline_data p USING (pipeline_id)
WHERE pg_catalog.pg_has_role(p.owner, 'USAGE');

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
       a.wal_bytes
FROM etl.attempt_data a
JOIN etl.run_data r USING (run_id)
JOIN etl.pipeline_data p USING (pipeline_id)
WHERE pg_catalog.pg_has_role(p.owner, 'USAGE');
