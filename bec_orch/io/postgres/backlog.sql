-- name: create_incoming
CREATE TEMPORARY TABLE incoming (
    w_id text NOT NULL, i_id text NOT NULL, source text NOT NULL, manifest_etag text, replace_foreign text
) ON COMMIT DROP

-- name: copy_incoming
COPY incoming (w_id, i_id, source, manifest_etag, replace_foreign) FROM STDIN

-- name: analyze_incoming
ANALYZE incoming

-- name: add_volumes
INSERT INTO volumes (w_id, i_id, source)
SELECT DISTINCT w_id, i_id, source FROM incoming ORDER BY w_id, i_id, source
ON CONFLICT (w_id, i_id, source) DO NOTHING

-- name: lock_volumes
-- In the order of their names, as they were added: two enqueueings of the same volumes follow each other, portion by
-- portion, and what is read from here on is what the other left.
SELECT v.id
FROM incoming i JOIN volumes v ON v.w_id = i.w_id AND v.i_id = i.i_id AND v.source = i.source
ORDER BY v.w_id, v.i_id, v.source
FOR NO KEY UPDATE OF v

-- name: stamp_volumes
UPDATE volumes v
SET manifest_etag = i.manifest_etag, nb_pages = NULL, manifest_seen_at = clock_timestamp()
FROM incoming i
WHERE v.w_id = i.w_id AND v.i_id = i.i_id AND v.source = i.source
  AND i.manifest_etag IS NOT NULL AND i.manifest_etag IS DISTINCT FROM v.manifest_etag

-- name: note_intro
UPDATE volumes v
SET nb_images_intro = %(pages)s
FROM incoming i
WHERE v.w_id = i.w_id AND v.i_id = i.i_id AND v.source = i.source

-- name: judge
-- One verdict for each volume: new, superseded (an unfinished task of an older version makes room for a new one),
-- unfinished, done, stale (done, but by another config, model, code or input), or failed (finally, for this version and config).
CREATE TEMPORARY TABLE judged ON COMMIT DROP AS
SELECT v.id AS volume_id, i.manifest_etag, i.replace_foreign, t.id AS task_id,
    CASE
        WHEN t.id IS NOT NULL AND t.finished_at IS NULL THEN
            CASE WHEN t.state <> 'running' AND t.manifest_etag <> i.manifest_etag THEN 'superseded'
                 ELSE 'unfinished' END
        WHEN %(force)s OR i.replace_foreign IS NOT NULL THEN 'new'
        -- Also where one was adopted before: what was tried since failed at it.
        WHEN %(adopt_foreign)s AND t.state = 'terminal_failed' AND t.failure_code = 'E_ARTEFACT_FOREIGN' THEN 'new'
        -- What is done was to be done again, and that failed: the last word was not that it is good.
        WHEN t.force AND failed.same THEN 'failed'
        WHEN made.same THEN 'done'
        WHEN made.same IS NOT NULL AND NOT %(stale)s THEN 'stale'
        WHEN made.same IS NULL AND failed.same THEN 'failed'
        ELSE 'new'
    END AS verdict
FROM (SELECT w_id, i_id, source, max(manifest_etag) AS manifest_etag, max(replace_foreign) AS replace_foreign
      FROM incoming GROUP BY 1, 2, 3) i
JOIN volumes v ON v.w_id = i.w_id AND v.i_id = i.i_id AND v.source = i.source
LEFT JOIN LATERAL (
    SELECT x.id, x.state, x.finished_at, x.manifest_etag, x.failure_code, x.force FROM tasks_of_volume(v.id) x
    WHERE x.job_id = %(job_id)s
    ORDER BY x.finished_at IS NOT NULL, x.id DESC
    LIMIT 1
) t ON true
LEFT JOIN LATERAL (
    -- The newest counts: its artefact took the place of those before.
    SELECT d.stale = '{}' AS same FROM (
        SELECT x.id FROM tasks_of_volume(v.id) x
        WHERE x.job_id = %(job_id)s AND x.state = 'done'
          AND x.manifest_etag = coalesce(v.manifest_etag, x.manifest_etag)
        ORDER BY x.id DESC
        LIMIT 1
    ) newest JOIN done_tasks d ON d.task_id = newest.id
) made ON true
LEFT JOIN LATERAL (
    SELECT a.config_hash FROM task_attempts a WHERE a.task_id = t.id ORDER BY a.attempt DESC LIMIT 1
) tried ON true
LEFT JOIN LATERAL (
    SELECT t.state = 'terminal_failed' AND t.manifest_etag IS NOT DISTINCT FROM coalesce(v.manifest_etag, t.manifest_etag)
           AND tried.config_hash = %(config_hash)s AS same
) failed ON true

-- name: analyze_judged
ANALYZE judged

-- name: count_verdicts
SELECT verdict, count(*)::integer AS volumes FROM judged GROUP BY verdict

-- name: lock_tasks
-- In the order of their numbers, as everybody does who locks several.
SELECT t.id FROM tasks t JOIN judged g ON t.id = g.task_id
WHERE g.verdict IN ('superseded', 'unfinished')
ORDER BY t.id
FOR NO KEY UPDATE OF t

-- name: cancel_superseded
UPDATE tasks t
SET state = 'canceled', cancel_reason = %(reason)s, finished_at = clock_timestamp(), updated_at = clock_timestamp()
FROM judged g
WHERE g.verdict = 'superseded' AND t.id = g.task_id AND t.finished_at IS NULL AND t.state <> 'running'

-- name: force_unfinished
UPDATE tasks t
SET force = true, updated_at = clock_timestamp()
FROM judged g
WHERE g.verdict = 'unfinished' AND t.id = g.task_id AND t.state || '' IN ('waiting', 'queued', 'retryable_failed')

-- name: note_foreign
-- To adopt what is there takes the place of an order to do it again.
UPDATE tasks t
SET adopt_foreign = %(adopt_foreign)s, force = t.force AND NOT %(adopt_foreign)s, replace_foreign = g.replace_foreign, updated_at = clock_timestamp()
FROM judged g
WHERE g.verdict = 'unfinished' AND t.id = g.task_id AND t.state || '' IN ('waiting', 'queued', 'retryable_failed')
  AND (%(adopt_foreign)s OR g.replace_foreign IS NOT NULL)

-- name: add_tasks
-- As add_task of the task store, for many volumes.
INSERT INTO tasks (job_id, volume_id, state, force, adopt_foreign, replace_foreign, manifest_etag, attempt)
SELECT %(job_id)s, g.volume_id,
       CASE WHEN EXISTS (SELECT 1 FROM job_dependencies jd WHERE jd.job_id = %(job_id)s) THEN 'waiting' ELSE 'queued' END,
       %(force)s, %(adopt_foreign)s, g.replace_foreign, g.manifest_etag,
       (SELECT coalesce(max(t.attempt), 0)
        FROM volumes w CROSS JOIN LATERAL tasks_of_volume(w.id) t JOIN jobs same ON same.id = t.job_id
        WHERE w.w_id = v.w_id AND w.i_id = v.i_id AND coalesce(same.artifact_prefix, same.name) = %(root)s)
FROM judged g
JOIN volumes v ON v.id = g.volume_id
WHERE g.verdict IN ('new', 'superseded')
ORDER BY g.volume_id
ON CONFLICT DO NOTHING

-- name: release_added
-- As release_dependants of the task store, for the volumes of a portion. `OFFSET 0`: what each task lacks is asked for
-- it alone, and not put together for all tasks that there are.
UPDATE tasks t
SET state = 'queued', updated_at = clock_timestamp()
FROM judged g CROSS JOIN LATERAL tasks_of_volume(g.volume_id) x
WHERE t.id = x.id AND x.job_id = %(job_id)s AND t.state || '' = 'waiting'
  AND NOT EXISTS (SELECT 1 FROM missing_dependencies m WHERE m.task_id = x.id OFFSET 0)

-- name: count_added
SELECT t.state, count(*)::integer AS tasks
FROM judged g CROSS JOIN LATERAL tasks_of_volume(g.volume_id) t
WHERE t.job_id = %(job_id)s AND g.verdict IN ('new', 'superseded') AND t.state IN ('waiting', 'queued')
GROUP BY t.state

-- name: unsent
SELECT t.id, v.w_id, v.i_id, v.source
FROM tasks t JOIN volumes v ON v.id = t.volume_id
WHERE t.job_id = %(job_id)s AND t.state = 'queued' AND t.dispatched_at IS NULL AND t.id > %(after)s
ORDER BY t.id
LIMIT %(limit)s

-- name: mark_sent
WITH sent AS (
    SELECT id FROM tasks WHERE id = ANY(%(ids)s) AND state || '' = 'queued' ORDER BY id FOR NO KEY UPDATE
)
UPDATE tasks t SET dispatched_at = clock_timestamp() FROM sent WHERE t.id = sent.id

-- name: reset_failed
-- Only a volume's newest task, and only where nothing else is to be done for the volume. The budget begins anew.
WITH chosen AS (
    SELECT t.id, t.volume_id
    FROM tasks t JOIN volumes v ON v.id = t.volume_id
    WHERE t.job_id = %(job_id)s AND t.state = 'terminal_failed'
      AND (%(fingerprint)s::text IS NULL OR t.failure_fingerprint = %(fingerprint)s)
      AND (%(code)s::text IS NULL OR t.failure_code = %(code)s OR EXISTS (
          SELECT 1 FROM task_attempts a WHERE a.task_id = t.id AND a.attempt = t.attempt AND a.code = %(code)s))
      AND (%(w_id)s::text IS NULL OR (v.w_id = %(w_id)s AND v.i_id = %(i_id)s))
      AND NOT EXISTS (SELECT 1 FROM tasks_of_volume(t.volume_id) newer
                      WHERE newer.job_id = t.job_id AND newer.id > t.id)
    ORDER BY t.id
    LIMIT %(limit)s
    FOR NO KEY UPDATE OF t
)
UPDATE tasks t
SET state = CASE WHEN EXISTS (SELECT 1 FROM missing_dependencies m WHERE m.task_id = t.id) THEN 'waiting' ELSE 'queued' END,
    charged = 0, finished_at = NULL, not_before = NULL, dispatched_at = NULL, updated_at = clock_timestamp(),
    failure_code = NULL, failure_stage = NULL, failure_message = NULL, failure_fingerprint = NULL, failure_hint = NULL
FROM chosen c JOIN volumes v ON v.id = c.volume_id
WHERE t.id = c.id
RETURNING t.id, v.w_id, v.i_id, v.source, t.state

-- name: standing
SELECT v.w_id, v.i_id, v.source, t.state
FROM volumes v JOIN LATERAL (
    SELECT x.state FROM tasks_of_volume(v.id) x WHERE x.job_id = %(job_id)s
    ORDER BY x.finished_at IS NOT NULL, x.id DESC LIMIT 1
) t ON true
WHERE v.w_id = %(w_id)s AND v.i_id = %(i_id)s
