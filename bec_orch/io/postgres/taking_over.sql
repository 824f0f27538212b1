-- name: create_taken_over
CREATE TEMPORARY TABLE taken_over (
    w_id text NOT NULL, i_id text NOT NULL, source text NOT NULL, nb_images_intro integer, manifest_etag text,
    config_hash text, code_version text, models jsonb, inputs jsonb, artefact_key text,
    pages_ok integer, pages_skipped integer, pages_error integer, counters jsonb,
    started_at timestamptz, finished_at timestamptz
) ON COMMIT DROP

-- name: copy_volumes
COPY taken_over (w_id, i_id, source, nb_images_intro, manifest_etag) FROM STDIN

-- name: copy_done
COPY taken_over (w_id, i_id, source, manifest_etag, config_hash, code_version, models, inputs, artefact_key, pages_ok,
                 pages_skipped, pages_error, counters, started_at, finished_at) FROM STDIN

-- name: analyze_taken_over
ANALYZE taken_over

-- name: add_volumes
-- Its pages are counted when a worker reads the manifest.
INSERT INTO volumes (w_id, i_id, source, nb_images_intro, manifest_etag, manifest_seen_at)
SELECT DISTINCT ON (w_id, i_id, source) w_id, i_id, source, nb_images_intro, manifest_etag,
       CASE WHEN manifest_etag IS NOT NULL THEN clock_timestamp() END
FROM taken_over
ORDER BY w_id, i_id, source, manifest_etag
ON CONFLICT (w_id, i_id, source) DO NOTHING

-- name: add_names
-- Volumes that somebody took out of that system's list, and whose work is there. Which version they have is not known.
INSERT INTO volumes (w_id, i_id, source)
SELECT DISTINCT w_id, i_id, source FROM taken_over ORDER BY w_id, i_id, source
ON CONFLICT (w_id, i_id, source) DO NOTHING

-- name: lock_volumes
-- As enqueueing locks them, in the same order: what is read from here on is what others left.
SELECT v.id
FROM taken_over i JOIN volumes v ON v.w_id = i.w_id AND v.i_id = i.i_id AND v.source = i.source
ORDER BY v.w_id, v.i_id, v.source
FOR NO KEY UPDATE OF v

-- name: judge
-- One verdict for each volume and version: there (a task of this version, in whatever state: what became of it here
-- counts), unfinished (the volume has one of another version that goes on), or new.
CREATE TEMPORARY TABLE judged ON COMMIT DROP AS
SELECT DISTINCT ON (v.id, i.manifest_etag) v.id AS volume_id, i.*,
    CASE WHEN EXISTS (SELECT 1 FROM tasks_of_volume(v.id) x
                      WHERE x.job_id = %(job_id)s
                        AND trim(BOTH '"' FROM x.manifest_etag) = trim(BOTH '"' FROM i.manifest_etag)) THEN 'there'
         WHEN EXISTS (SELECT 1 FROM tasks_of_volume(v.id) x
                      WHERE x.job_id = %(job_id)s AND x.finished_at IS NULL) THEN 'unfinished'
         ELSE 'new' END AS verdict
FROM taken_over i JOIN volumes v ON v.w_id = i.w_id AND v.i_id = i.i_id AND v.source = i.source
ORDER BY v.id, i.manifest_etag, i.finished_at

-- name: count_verdicts
SELECT verdict, count(*)::integer AS tasks FROM judged GROUP BY verdict

-- name: add_done
-- As work that was adopted. Its end is not later than now, whatever another system's clock said. Attempts go on from the
-- greatest number that any job of this name used for the volume, as add_tasks of the backlog has them.
WITH added AS (
    INSERT INTO tasks (job_id, volume_id, state, adopt_foreign, manifest_etag, attempt, config_hash, code_version, models,
                       inputs, artefact_key, pages_ok, pages_skipped, pages_error, counters, started_at, finished_at)
    SELECT %(job_id)s, g.volume_id, 'done', true, g.manifest_etag, 1 + (
               SELECT coalesce(max(t.attempt), 0)
               FROM volumes w CROSS JOIN LATERAL tasks_of_volume(w.id) t JOIN jobs same ON same.id = t.job_id
               WHERE w.w_id = g.w_id AND w.i_id = g.i_id AND same.name = %(job)s),
           g.config_hash, g.code_version, g.models, g.inputs, g.artefact_key, g.pages_ok, g.pages_skipped, g.pages_error,
           g.counters, least(g.started_at, g.finished_at, clock_timestamp()), least(g.finished_at, clock_timestamp())
    FROM judged g
    WHERE g.verdict = 'new'
    ORDER BY g.finished_at NULLS FIRST, g.volume_id
    RETURNING id, attempt, config_hash, started_at, finished_at
)
INSERT INTO task_attempts (task_id, attempt, job_id, worker_id, token, config, config_hash, started_at, ended_at, outcome)
SELECT id, attempt, %(job_id)s, %(worker)s, gen_random_uuid(), '{}', config_hash, started_at, finished_at, 'adopted'
FROM added
