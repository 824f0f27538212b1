-- name: register_worker
INSERT INTO workers (id, job_id, host, pid, version, instance_id, instance_type, lifecycle)
VALUES (%(id)s, %(job_id)s, %(host)s, %(pid)s, %(version)s, %(instance_id)s, %(instance_type)s, %(lifecycle)s)
ON CONFLICT (id) DO UPDATE SET heartbeat_at = clock_timestamp(), stopped_at = NULL, stop_reason = NULL

-- name: note_maker
-- What workers of the job make artefacts with now: what was made with something else is stale.
UPDATE jobs SET models = %(models)s, code_version = %(code_version)s WHERE id = %(job_id)s

-- name: heartbeat
-- `heard_since` begins anew after a silence: the worker, or the database, was away.
UPDATE workers
SET heard_since = CASE WHEN heartbeat_at < clock_timestamp() - make_interval(secs => %(grace)s)
                       THEN clock_timestamp() ELSE heard_since END,
    heartbeat_at = clock_timestamp(), activities = %(activities)s
WHERE id = %(worker_id)s

-- name: job_deleted
SELECT EXISTS (SELECT 1 FROM jobs WHERE id = %(job_id)s AND deleted_at IS NOT NULL) AS deleted

-- name: stop_worker
UPDATE workers
SET stopped_at = clock_timestamp(), heartbeat_at = clock_timestamp(), stop_reason = %(reason)s, activities = '[]'
WHERE id = %(worker_id)s AND stopped_at IS NULL

-- name: reject_message
INSERT INTO rejected_messages (job_id, body_sha256, fingerprint, body, code, stage, message, hint)
VALUES (%(job_id)s, sha256(convert_to(%(body)s, 'UTF8')), %(fingerprint)s, %(body)s, %(code)s, %(stage)s, %(message)s,
        %(hint)s)
ON CONFLICT (job_id, body_sha256, fingerprint) DO UPDATE SET last_at = clock_timestamp()

-- name: expired
-- Tasks whose lease ran out. After an outage of the database every lease has run out: none is touched before some worker
-- was heard of without a silence for the grace, so that all that live are back.
SELECT t.id, t.attempt, t.charged, j.max_attempts, t.worker_id
FROM tasks t JOIN jobs j ON j.id = t.job_id
WHERE t.job_id = %(job_id)s AND t.state = 'running' AND t.lease_expires_at < clock_timestamp()
  AND (%(task_id)s::bigint IS NULL OR t.id = %(task_id)s)
  AND (%(grace)s = 0 OR EXISTS (
      SELECT 1 FROM workers w
      WHERE w.heard_since <= clock_timestamp() - make_interval(secs => %(grace)s)
        AND w.heartbeat_at >= clock_timestamp() - make_interval(secs => %(grace)s)))
FOR NO KEY UPDATE OF t SKIP LOCKED

-- name: close_expired
UPDATE task_attempts a
SET outcome = 'lease_lost', ended_at = clock_timestamp(), charged = true, code = %(code)s, stage = %(stage)s,
    message = e.message, fingerprint = %(fingerprint)s
FROM unnest(%(ids)s::bigint[], %(attempts)s::integer[], %(messages)s::text[]) AS e (id, attempt, message)
WHERE a.task_id = e.id AND a.attempt = e.attempt AND a.outcome IS NULL

-- name: expire
UPDATE tasks t
SET state = e.state, charged = e.charged, lease_expires_at = NULL, dispatched_at = NULL, updated_at = clock_timestamp(),
    finished_at = CASE WHEN e.state = 'terminal_failed' THEN clock_timestamp() END,
    failure_code = e.code, failure_stage = %(stage)s, failure_fingerprint = %(fingerprint)s,
    failure_message = e.message, failure_hint = %(hint)s
FROM unnest(%(ids)s::bigint[], %(states)s::text[], %(charged)s::integer[], %(codes)s::text[], %(messages)s::text[])
     AS e (id, state, charged, code, message)
WHERE t.id = e.id

-- name: mark_dispatched
WITH named AS MATERIALIZED (
    SELECT x.id
    FROM unnest(%(jobs)s::text[], %(w_ids)s::text[], %(i_ids)s::text[], %(sources)s::text[])
         AS m (job, w_id, i_id, source)
    JOIN jobs j ON j.name = m.job AND j.deleted_at IS NULL
    JOIN volumes v ON v.w_id = m.w_id AND v.i_id = m.i_id AND v.source = m.source
    CROSS JOIN LATERAL tasks_of_volume(v.id) x
    WHERE x.job_id = j.id
), sent AS (
    SELECT id FROM tasks
    WHERE id IN (SELECT id FROM named) AND state || '' IN ('queued', 'retryable_failed')
    ORDER BY id
    FOR NO KEY UPDATE
)
UPDATE tasks t SET dispatched_at = clock_timestamp() FROM sent WHERE t.id = sent.id

-- name: release_waiting
-- As release_dependants, for all volumes of one job.
UPDATE tasks t
SET state = 'queued', dispatched_at = NULL, updated_at = clock_timestamp()
FROM (
    SELECT w.id FROM tasks w
    WHERE w.job_id = %(job_id)s AND w.state = 'waiting'
      AND NOT EXISTS (SELECT 1 FROM missing_dependencies m WHERE m.task_id = w.id)
    ORDER BY w.id
    FOR NO KEY UPDATE OF w
) free
WHERE t.id = free.id

-- name: undispatched
SELECT v.w_id, v.i_id, v.source
FROM tasks t JOIN volumes v ON v.id = t.volume_id
WHERE t.job_id = %(job_id)s
  AND (t.state = 'queued' OR (t.state = 'retryable_failed' AND t.not_before <= clock_timestamp()))
  AND (t.dispatched_at IS NULL OR t.dispatched_at < clock_timestamp() - make_interval(secs => %(redispatch_after)s))
ORDER BY t.dispatched_at NULLS FIRST, t.id
LIMIT %(limit)s

-- name: has_done
-- Work that is asked for anew does not count.
SELECT EXISTS (
    SELECT 1 FROM tasks d
    WHERE d.job_id = %(job_id)s AND d.state = 'done'
      AND NOT EXISTS (SELECT 1 FROM tasks newer
                      WHERE newer.volume_id = d.volume_id AND newer.job_id = d.job_id AND newer.id > d.id
                        AND newer.finished_at IS NULL)) AS done

-- name: done_to_verify
UPDATE tasks t
SET verified_at = clock_timestamp()
FROM (
    SELECT d.id, v.w_id, v.i_id, v.source
    FROM tasks d JOIN volumes v ON v.id = d.volume_id
    WHERE d.job_id = %(job_id)s AND d.state = 'done'
      AND NOT EXISTS (SELECT 1 FROM tasks_of_volume(d.volume_id) newer
                      WHERE newer.job_id = d.job_id AND newer.id > d.id
                        AND (newer.finished_at IS NULL
                             OR (newer.state = 'done' AND newer.manifest_etag = d.manifest_etag)))
    ORDER BY d.verified_at NULLS FIRST, d.id
    LIMIT %(limit)s
    FOR NO KEY UPDATE OF d SKIP LOCKED
) least
WHERE t.id = least.id
RETURNING t.id, least.w_id, least.i_id, least.source, t.manifest_etag,
          t.pages_ok + t.pages_skipped + t.pages_error AS nb_pages

-- name: doubt
UPDATE tasks d SET verified_at = NULL
FROM (
    SELECT x.id
    FROM tasks t CROSS JOIN LATERAL tasks_of_volume(t.volume_id) x JOIN jobs j ON j.id = x.job_id
    WHERE t.id = %(task_id)s AND j.name = ANY(%(jobs)s) AND j.deleted_at IS NULL AND x.state = 'done'
) inputs
WHERE d.id = inputs.id

-- name: given_up_to_verify
-- Tasks that failed for good and whose volume has nothing better, those first that were not looked at for longest.
UPDATE tasks t
SET verified_at = clock_timestamp()
FROM (
    SELECT g.id, v.w_id, v.i_id, v.source
    FROM tasks g JOIN volumes v ON v.id = g.volume_id
    WHERE g.job_id = %(job_id)s AND g.state = 'terminal_failed' AND g.manifest_etag IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM tasks_of_volume(g.volume_id) newer
                      WHERE newer.job_id = g.job_id AND newer.id > g.id
                        AND (newer.finished_at IS NULL OR newer.state = 'done'))
    ORDER BY g.verified_at NULLS FIRST, g.id
    LIMIT %(limit)s
    FOR NO KEY UPDATE OF g SKIP LOCKED
) least
WHERE t.id = least.id
RETURNING t.id, t.uid, least.w_id, least.i_id, least.source, t.manifest_etag

-- name: unfinished
SELECT count(*) AS tasks FROM tasks
WHERE job_id = %(job_id)s AND state IN ('queued', 'running', 'retryable_failed')
