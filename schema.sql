-- The whole schema in one file, for people and for `psql -f schema.sql`. The program itself applies the numbered
-- migrations of bec_orch/io/postgres/migrations (`bec db init`); a test holds that both give the same database.
--
-- jobs                a named job type with its config; deleted ones keep their row and free their name
-- job_dependencies    which jobs a job needs
-- volumes             scanned books, with the version (manifest ETag) that was last seen
-- tasks               one job for one version of one volume; at most one unfinished task per job and volume
-- task_attempts       each try at a task: who, when, under which config, how it ended, whether it was charged
-- workers             processes that take tasks; `activities` tells at which page of which tasks they are
-- rejected_messages   messages that were dead-lettered before a task could be found for them
-- queue_messages      the queue of local mode, with the semantics of SQS
-- database_identity   who this database is; its artefacts carry it
-- schema_migrations   which migrations were applied
--
-- All times are the database's own clock. ETags are text, because those of multipart uploads are no MD5,
-- and have no quotes.

CREATE TABLE schema_migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO schema_migrations (version, name) VALUES
    (1, 'initial'),
    (2, 'missing_dependencies'),
    (3, 'heard_since'),
    (4, 'references'),
    (5, 'deaths'),
    (6, 'identity'),
    (7, 'plans'),
    (8, 'optional_dependencies'),
    (9, 'artifact_prefix');

CREATE TABLE database_identity (
    identity uuid NOT NULL DEFAULT gen_random_uuid(),
    single   boolean NOT NULL DEFAULT true,
    CONSTRAINT database_identity_pk PRIMARY KEY (single),
    CONSTRAINT database_identity_single_ck CHECK (single)
);
INSERT INTO database_identity DEFAULT VALUES;

CREATE TABLE jobs (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name                text NOT NULL,
    type                text NOT NULL,
    config              jsonb NOT NULL DEFAULT '{}',
    config_hash         text NOT NULL,
    models              jsonb,
    code_version        text,
    max_attempts        integer NOT NULL DEFAULT 5,
    max_page_error_rate double precision NOT NULL DEFAULT 0.05,
    created_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at          timestamptz,
    artifact_prefix     text,
    CONSTRAINT jobs_name_ck CHECK (name ~ '^[a-z0-9][a-z0-9_-]{0,59}$'),
    CONSTRAINT jobs_artifact_prefix_ck CHECK (artifact_prefix ~ '^[a-z0-9][a-z0-9_-]{0,59}$'),
    CONSTRAINT jobs_max_attempts_ck CHECK (max_attempts >= 1),
    CONSTRAINT jobs_max_page_error_rate_ck CHECK (max_page_error_rate BETWEEN 0 AND 1)
);
CREATE UNIQUE INDEX jobs_name_uq ON jobs (name) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX jobs_artifact_prefix_uq ON jobs (coalesce(artifact_prefix, name)) WHERE deleted_at IS NULL;
CREATE INDEX jobs_every_name_ix ON jobs (name);

CREATE TABLE job_dependencies (
    job_id        bigint NOT NULL REFERENCES jobs (id),
    depends_on_id bigint NOT NULL REFERENCES jobs (id),
    if_missing    text NOT NULL DEFAULT 'wait',
    PRIMARY KEY (job_id, depends_on_id),
    CONSTRAINT job_dependencies_self_ck CHECK (job_id <> depends_on_id),
    CONSTRAINT job_dependencies_if_missing_ck CHECK (if_missing IN ('wait', 'fail', 'proceed'))
);
CREATE INDEX job_dependencies_depends_on_ix ON job_dependencies (depends_on_id);

CREATE TABLE volumes (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    w_id             text NOT NULL,
    i_id             text NOT NULL,
    source           text NOT NULL,
    nb_images_intro  integer NOT NULL DEFAULT 0,
    manifest_etag    text,
    nb_pages         integer,
    manifest_seen_at timestamptz,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT volumes_uq UNIQUE (w_id, i_id, source),
    CONSTRAINT volumes_counts_ck CHECK (nb_images_intro >= 0 AND nb_pages >= 0)
) WITH (autovacuum_analyze_scale_factor = 0.02);
CREATE INDEX volumes_source_ix ON volumes (source);

CREATE TABLE workers (
    id            text PRIMARY KEY,
    job_id        bigint NOT NULL REFERENCES jobs (id),
    host          text NOT NULL,
    pid           integer NOT NULL,
    version       text NOT NULL,
    instance_id   text,
    instance_type text,
    lifecycle     text,
    started_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    heartbeat_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    activities    jsonb NOT NULL DEFAULT '[]',
    stopped_at    timestamptz,
    stop_reason   text,
    heard_since   timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX workers_heartbeat_ix ON workers (heartbeat_at);

CREATE TABLE tasks (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uid                 uuid NOT NULL DEFAULT gen_random_uuid(),
    job_id              bigint NOT NULL REFERENCES jobs (id),
    volume_id           bigint NOT NULL REFERENCES volumes (id),
    state               text NOT NULL,
    force               boolean NOT NULL DEFAULT false,
    manifest_etag       text,
    attempt             integer NOT NULL DEFAULT 0,
    charged             integer NOT NULL DEFAULT 0,
    token               uuid,
    worker_id           text,
    lease_expires_at    timestamptz,
    not_before          timestamptz,
    dispatched_at       timestamptz,
    cancel_reason       text,
    failure_code        text,
    failure_stage       text,
    failure_message     text,
    failure_fingerprint text,
    failure_hint        text,
    config_hash         text,
    code_version        text,
    models              jsonb,
    inputs              jsonb,
    artefact_key        text,
    pages_ok            integer,
    pages_skipped       integer,
    pages_error         integer,
    counters            jsonb,
    created_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at          timestamptz,
    finished_at         timestamptz,
    verified_at         timestamptz,
    seen_references     jsonb,
    adopt_foreign       boolean NOT NULL DEFAULT false,
    replace_foreign     text,
    CONSTRAINT tasks_state_ck CHECK (state IN
        ('waiting', 'queued', 'running', 'retryable_failed', 'done', 'terminal_failed', 'canceled')),
    CONSTRAINT tasks_attempt_ck CHECK (attempt >= 0 AND charged >= 0),
    CONSTRAINT tasks_running_ck CHECK (
        (state = 'running') = (lease_expires_at IS NOT NULL)
        AND (state <> 'running' OR (token IS NOT NULL AND worker_id IS NOT NULL))),
    CONSTRAINT tasks_backoff_ck CHECK (state <> 'retryable_failed' OR not_before IS NOT NULL),
    CONSTRAINT tasks_finished_ck CHECK (
        (state IN ('done', 'terminal_failed', 'canceled')) = (finished_at IS NOT NULL)),
    CONSTRAINT tasks_done_ck CHECK (
        state <> 'done' OR (manifest_etag IS NOT NULL AND config_hash IS NOT NULL AND pages_ok IS NOT NULL
                            AND pages_skipped IS NOT NULL AND pages_error IS NOT NULL)),
    CONSTRAINT tasks_failed_ck CHECK (state <> 'terminal_failed' OR failure_code IS NOT NULL)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
CREATE UNIQUE INDEX tasks_unfinished_uq ON tasks (job_id, volume_id)
    WHERE state IN ('waiting', 'queued', 'running', 'retryable_failed');
CREATE INDEX tasks_uid_ix ON tasks (uid);
CREATE INDEX tasks_volume_ix ON tasks (volume_id, job_id, id);
CREATE INDEX tasks_job_state_ix ON tasks (job_id, state, id);
CREATE INDEX tasks_dispatch_ix ON tasks (job_id, dispatched_at NULLS FIRST)
    WHERE state IN ('queued', 'retryable_failed');
CREATE INDEX tasks_finished_ix ON tasks (job_id, finished_at) WHERE state = 'done';
CREATE INDEX tasks_verify_ix ON tasks (job_id, state, verified_at NULLS FIRST, id)
    WHERE state IN ('done', 'terminal_failed');
CREATE INDEX tasks_fingerprint_ix ON tasks (failure_fingerprint) WHERE state = 'terminal_failed';

-- The tasks of one volume, of all jobs: a handful. Without statistics the planner takes each condition for equally sharp,
-- and looks for the task of a job and a volume through all tasks of the job, for every volume anew. `OFFSET 0` keeps the
-- conditions of the caller out, so that the volume alone leads to the rows.
CREATE FUNCTION tasks_of_volume(bigint) RETURNS SETOF tasks LANGUAGE sql STABLE AS
    'SELECT * FROM tasks WHERE volume_id = $1 OFFSET 0';

-- What each task needs that is not done for the last known version of its volume, why, and whether the task waits for it.
-- One that would fail waits only as long as somebody may still do what it needs. The volume's version counts, not the
-- task's: a claim reads the manifest anew.
CREATE VIEW undone_dependencies AS
SELECT t.id AS task_id, d.id AS job_id, d.name AS job,
    coalesce((
        SELECT CASE WHEN newest.state = 'terminal_failed' THEN d.name || ' failed: ' || newest.failure_code
                    WHEN newest.finished_at IS NULL THEN 'needs ' || d.name END
        FROM tasks_of_volume(t.volume_id) newest
        WHERE newest.job_id = d.id
        ORDER BY newest.finished_at IS NOT NULL, newest.id DESC
        LIMIT 1
    ), 'needs ' || d.name || ', which is not enqueued') AS reason,
    CASE jd.if_missing
        WHEN 'wait' THEN true
        WHEN 'fail' THEN EXISTS (
            SELECT 1 FROM tasks_of_volume(t.volume_id) asked
            WHERE asked.job_id = d.id AND asked.finished_at IS NULL)
        ELSE false
    END AS awaited
FROM tasks t
JOIN volumes v ON v.id = t.volume_id
JOIN job_dependencies jd ON jd.job_id = t.job_id
JOIN jobs d ON d.id = jd.depends_on_id
WHERE NOT EXISTS (
    SELECT 1 FROM tasks_of_volume(t.volume_id) made
    WHERE made.job_id = d.id AND made.state = 'done'
      AND made.manifest_etag = coalesce(v.manifest_etag, made.manifest_etag));

-- What tasks wait for: such a task is not to be claimed.
CREATE VIEW missing_dependencies AS
SELECT u.task_id, u.job_id, u.job, u.reason FROM undone_dependencies u WHERE u.awaited;

-- What makes finished work stale: why each `done` task would not come out the same today. Work of the older layout, which
-- does not tell what it was made with (`config_hash` is empty), is stale only for a newer manifest.
-- `state || ''`: where statistics are older than the work, the planner takes the indexes of a state for empty, and reads
-- one of them from end to end for each task that it is to look up by number.
CREATE VIEW done_tasks AS
SELECT t.id AS task_id, t.job_id, t.volume_id, t.manifest_etag, array_remove(ARRAY[
    CASE WHEN t.manifest_etag <> v.manifest_etag THEN 'manifest' END,
    CASE WHEN t.config_hash NOT IN (j.config_hash, '') THEN 'config' END,
    CASE WHEN t.config_hash <> '' AND t.models <> j.models THEN 'model' END,
    CASE WHEN t.config_hash <> '' AND t.code_version <> j.code_version THEN 'code' END,
    CASE WHEN t.config_hash <> '' AND (EXISTS (
        SELECT 1 FROM job_dependencies jd JOIN jobs d ON d.id = jd.depends_on_id
        CROSS JOIN LATERAL (
            SELECT made.artefact_key FROM tasks_of_volume(t.volume_id) made
            WHERE made.job_id = d.id AND made.state = 'done' AND made.manifest_etag = t.manifest_etag
            ORDER BY made.id DESC LIMIT 1) newest
        WHERE jd.job_id = t.job_id AND newest.artefact_key IS DISTINCT FROM (t.inputs ->> d.name)
    ) OR EXISTS (
        SELECT 1 FROM jsonb_object_keys(t.inputs) used (name)
        WHERE strpos(used.name, '://') = 0  -- names a job, not a folder
          AND NOT EXISTS (SELECT 1 FROM job_dependencies jd JOIN jobs d ON d.id = jd.depends_on_id
                          WHERE jd.job_id = t.job_id AND d.name = used.name)
    )) THEN 'dependency' END,
    CASE WHEN t.config_hash <> '' AND EXISTS (
        SELECT 1 FROM jsonb_each_text(t.seen_references) seen
        WHERE seen.value IS DISTINCT FROM (t.inputs ->> seen.key)
    ) THEN 'reference' END], NULL) AS stale
FROM tasks t JOIN jobs j ON j.id = t.job_id JOIN volumes v ON v.id = t.volume_id
WHERE t.state || '' = 'done';

CREATE TABLE task_attempts (
    task_id     bigint NOT NULL REFERENCES tasks (id),
    attempt     integer NOT NULL,
    job_id      bigint NOT NULL REFERENCES jobs (id),
    worker_id   text NOT NULL,
    token       uuid NOT NULL,
    config      jsonb NOT NULL,
    config_hash text NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at    timestamptz,
    outcome     text,
    charged     boolean NOT NULL DEFAULT false,
    code        text,
    stage       text,
    message     text,
    fingerprint text,
    metrics     jsonb,
    died_at     integer[],
    PRIMARY KEY (task_id, attempt),
    CONSTRAINT task_attempts_outcome_ck CHECK (outcome IN
        ('done', 'adopted', 'retryable_failed', 'terminal_failed', 'interrupted', 'lease_lost', 'superseded', 'died')),
    CONSTRAINT task_attempts_ended_ck CHECK ((outcome IS NULL) = (ended_at IS NULL))
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
CREATE INDEX task_attempts_failures_ix ON task_attempts (job_id, fingerprint, ended_at) WHERE fingerprint IS NOT NULL;

CREATE TABLE rejected_messages (
    job_id      bigint NOT NULL REFERENCES jobs (id),
    body_sha256 bytea NOT NULL,
    fingerprint text NOT NULL,
    body        text NOT NULL,
    code        text NOT NULL,
    stage       text NOT NULL,
    message     text NOT NULL,
    hint        text NOT NULL,
    first_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job_id, body_sha256, fingerprint)
);

CREATE TABLE queue_messages (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue         text NOT NULL,
    body          text NOT NULL,
    sent_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    visible_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    receipt       uuid,
    receive_count integer NOT NULL DEFAULT 0,
    dead_at       timestamptz,
    dead_reason   jsonb,
    CONSTRAINT queue_messages_dead_ck CHECK ((dead_at IS NULL) = (dead_reason IS NULL))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.02);
CREATE INDEX queue_messages_visible_ix ON queue_messages (queue, visible_at, id) WHERE dead_at IS NULL;
CREATE INDEX queue_messages_dead_ix ON queue_messages (queue, id) WHERE dead_at IS NOT NULL;
