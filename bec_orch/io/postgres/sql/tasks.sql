-- name: job_by_name
SELECT j.*, ARRAY(
    SELECT d.name FROM job_dependencies jd JOIN jobs d ON d.id = jd.depends_on_id
    WHERE jd.job_id = j.id ORDER BY d.name
) AS depends_on
FROM jobs j
WHERE j.name = %(name)s AND j.deleted_at IS NULL

-- name: job_by_id
SELECT j.*, ARRAY(
    SELECT d.name FROM job_dependencies jd JOIN jobs d ON d.id = jd.depends_on_id
    WHERE jd.job_id = j.id ORDER BY d.name
) AS depends_on
FROM jobs j
WHERE j.id = %(job_id)s

-- name: now
SELECT clock_timestamp() AS now

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

-- name: stop_worker
UPDATE workers
SET stopped_at = clock_timestamp(), heartbeat_at = clock_timestamp(), stop_reason = %(reason)s, activities = '[]'
WHERE id = %(worker_id)s AND stopped_at IS NULL

-- name: source_is_known
SELECT EXISTS (SELECT 1 FROM volumes WHERE source = %(source)s) AS known

-- name: add_volume
INSERT INTO volumes (w_id, i_id, source) VALUES (%(w_id)s, %(i_id)s, %(source)s)
ON CONFLICT (w_id, i_id, source) DO NOTHING

-- name: lock_volume
-- Serialises what depends on all tasks of one volume.
SELECT id FROM volumes
WHERE w_id = %(w_id)s AND i_id = %(i_id)s AND source = %(source)s
FOR NO KEY UPDATE

-- name: lock_volume_of_task
SELECT v.id, v.w_id, v.i_id, v.source
FROM tasks t JOIN volumes v ON v.id = t.volume_id
WHERE t.id = %(task_id)s
FOR NO KEY UPDATE OF v

-- name: has_task
SELECT EXISTS (SELECT 1 FROM tasks_of_volume(%(volume_id)s) t WHERE t.job_id = %(job_id)s) AS present

-- name: add_task
-- A task of a job that needs others waits until `release_dependants` finds nothing missing. Attempts go on from the
-- greatest number that any job of this name used for the volume: artefact keys carry them.
INSERT INTO tasks (job_id, volume_id, state, force, adopt_foreign, manifest_etag, attempt, dispatched_at)
SELECT j.id, v.id, CASE WHEN needs.others THEN 'waiting' ELSE 'queued' END, %(force)s, %(adopt_foreign)s, %(manifest_etag)s,
       (SELECT coalesce(max(t.attempt), 0)
        FROM volumes w CROSS JOIN LATERAL tasks_of_volume(w.id) t JOIN jobs same ON same.id = t.job_id
        WHERE same.name = j.name AND w.w_id = v.w_id AND w.i_id = v.i_id),
       CASE WHEN %(dispatched)s AND NOT needs.others THEN clock_timestamp() END
FROM jobs j
CROSS JOIN volumes v
CROSS JOIN LATERAL (SELECT EXISTS (SELECT 1 FROM job_dependencies jd WHERE jd.job_id = j.id) AS others) needs
WHERE j.id = ANY(%(job_ids)s) AND v.id = %(volume_id)s
ON CONFLICT DO NOTHING

-- name: outdated_dependencies
-- What a job needs, directly or through others, and what was done for an older version of the volume only. Nobody else
-- would ask for it: whoever enqueued it saw it done.
WITH RECURSIVE needed (job_id) AS (
    SELECT jd.depends_on_id FROM job_dependencies jd WHERE jd.job_id = %(job_id)s
    UNION
    SELECT jd.depends_on_id FROM job_dependencies jd JOIN needed n ON n.job_id = jd.job_id
)
SELECT n.job_id FROM needed n JOIN volumes v ON v.id = %(volume_id)s
WHERE 'done' = (SELECT t.state FROM tasks_of_volume(v.id) t WHERE t.job_id = n.job_id
                ORDER BY t.finished_at IS NOT NULL, t.id DESC LIMIT 1)
  AND NOT EXISTS (SELECT 1 FROM tasks_of_volume(v.id) t WHERE t.job_id = n.job_id AND t.state = 'done'
                  AND t.manifest_etag = v.manifest_etag)

-- name: limit_lock_wait
SELECT set_config('lock_timeout', %(wait)s, true)

-- name: latest_task
-- The volume's unfinished task of the job if there is one, else its newest; its lock makes claims wait for each other.
SELECT t.id, t.state, t.token, t.charged, j.max_attempts, j.deleted_at IS NOT NULL AS job_deleted,
       extract(epoch FROM t.lease_expires_at - clock_timestamp())::float8 AS lease_left,
       extract(epoch FROM t.not_before - clock_timestamp())::float8 AS backoff_left
FROM tasks t JOIN jobs j ON j.id = t.job_id
WHERE t.id = (
    SELECT x.id FROM volumes v CROSS JOIN LATERAL tasks_of_volume(v.id) x
    WHERE x.job_id = %(job_id)s AND v.w_id = %(w_id)s AND v.i_id = %(i_id)s AND v.source = %(source)s
    ORDER BY x.finished_at IS NOT NULL, x.id DESC
    LIMIT 1)
FOR NO KEY UPDATE OF t

-- name: take
-- The claim. A repeated call with the same token changes nothing but the lease.
UPDATE tasks t
SET state = 'running', token = %(token)s, worker_id = %(worker_id)s,
    attempt = t.attempt + (CASE WHEN t.state = 'running' AND t.token = %(token)s THEN 0 ELSE 1 END),
    lease_expires_at = clock_timestamp() + make_interval(secs => %(lease)s),
    started_at = CASE WHEN t.state = 'running' THEN t.started_at ELSE clock_timestamp() END,
    not_before = NULL, updated_at = clock_timestamp()
FROM jobs j, volumes v
WHERE t.id = %(task_id)s AND j.id = t.job_id AND v.id = t.volume_id AND j.deleted_at IS NULL
  AND (t.state = 'queued'
       OR (t.state = 'retryable_failed' AND t.not_before <= clock_timestamp())
       OR (t.state = 'running' AND t.token = %(token)s))
RETURNING t.id, t.uid, t.attempt, t.charged, t.force, t.manifest_etag, t.job_id, v.nb_images_intro, t.adopt_foreign,
          t.replace_foreign

-- name: open_attempt
INSERT INTO task_attempts (task_id, attempt, job_id, worker_id, token, config, config_hash)
SELECT %(task_id)s, %(attempt)s, j.id, %(worker_id)s, %(token)s, j.config, j.config_hash
FROM jobs j WHERE j.id = %(job_id)s
ON CONFLICT (task_id, attempt) DO UPDATE SET token = task_attempts.token
RETURNING config, config_hash, ARRAY(
    SELECT unnest(died.died_at) FROM task_attempts died WHERE died.task_id = %(task_id)s AND died.charged) AS deaths, (
    SELECT t.failure_code FROM tasks t
    JOIN task_attempts before ON before.task_id = t.id AND before.attempt = t.attempt - 1 AND before.code = t.failure_code
    WHERE t.id = %(task_id)s) AS last_failure

-- name: close_attempt
UPDATE task_attempts
SET outcome = %(outcome)s, ended_at = clock_timestamp(), charged = %(charged)s, code = %(code)s, stage = %(stage)s,
    message = %(message)s, fingerprint = %(fingerprint)s, metrics = %(metrics)s
WHERE task_id = %(task_id)s AND attempt = %(attempt)s AND outcome IS NULL

-- name: expire
-- Tasks whose lease ran out go back to the queue, or to their end when their budget is used up: the attempt is charged,
-- because a task that kills its worker looks just like this. After an outage of the database every lease has run out:
-- none is touched before some worker was heard of without a silence for the grace, so that all that live are back.
WITH expired AS (
    SELECT t.id, t.attempt, t.charged + 1 AS charged, j.max_attempts, t.worker_id
    FROM tasks t JOIN jobs j ON j.id = t.job_id
    WHERE t.job_id = %(job_id)s AND t.state = 'running' AND t.lease_expires_at < clock_timestamp()
      AND (%(task_id)s::bigint IS NULL OR t.id = %(task_id)s)
      AND (%(grace)s = 0 OR EXISTS (
          SELECT 1 FROM workers w
          WHERE w.heard_since <= clock_timestamp() - make_interval(secs => %(grace)s)
            AND w.heartbeat_at >= clock_timestamp() - make_interval(secs => %(grace)s)))
    FOR NO KEY UPDATE OF t SKIP LOCKED
), closed AS (
    UPDATE task_attempts a
    SET outcome = 'lease_lost', ended_at = clock_timestamp(), charged = true, code = 'E_LEASE_LOST', stage = 'run',
        message = 'The worker ' || e.worker_id || ' let the lease run out.', fingerprint = %(fingerprint)s
    FROM expired e
    WHERE a.task_id = e.id AND a.attempt = e.attempt AND a.outcome IS NULL
)
UPDATE tasks t
SET state = CASE WHEN e.charged >= e.max_attempts THEN 'terminal_failed' ELSE 'queued' END,
    charged = e.charged, lease_expires_at = NULL, dispatched_at = NULL, updated_at = clock_timestamp(),
    finished_at = CASE WHEN e.charged >= e.max_attempts THEN clock_timestamp() END,
    failure_code = CASE WHEN e.charged >= e.max_attempts THEN 'E_ATTEMPTS_EXHAUSTED' ELSE 'E_LEASE_LOST' END,
    failure_stage = 'run', failure_fingerprint = %(fingerprint)s,
    failure_message = CASE WHEN e.charged >= e.max_attempts THEN
        'Gave up after ' || e.charged || ' attempts; the last ended with E_LEASE_LOST: ' ELSE '' END
        || 'The worker ' || e.worker_id || ' let the lease run out.',
    failure_hint = 'Look into the log of that worker: it was killed, or lost the database.'
FROM expired e
WHERE t.id = e.id
RETURNING t.id, t.state

-- name: cancel_task
UPDATE tasks
SET state = 'canceled', cancel_reason = %(reason)s, finished_at = clock_timestamp(), lease_expires_at = NULL,
    updated_at = clock_timestamp()
WHERE id = %(task_id)s AND finished_at IS NULL

-- name: lock_claim
-- Gives the task's row, locked, only while the claim holds it or was the last to hold it.
SELECT id, job_id, volume_id, state, force, adopt_foreign, manifest_etag, cancel_reason, charged,
       extract(epoch FROM not_before - clock_timestamp())::float8 AS backoff_left
FROM tasks
WHERE id = %(task_id)s AND attempt = %(attempt)s AND token = %(token)s
FOR NO KEY UPDATE

-- name: renew
UPDATE tasks
SET lease_expires_at = clock_timestamp() + make_interval(secs => %(lease)s), updated_at = clock_timestamp()
WHERE id = %(task_id)s AND attempt = %(attempt)s AND token = %(token)s AND state = 'running'

-- name: stamp
UPDATE tasks SET manifest_etag = %(manifest_etag)s, updated_at = clock_timestamp() WHERE id = %(task_id)s

-- name: see_manifest
UPDATE volumes
SET manifest_etag = %(manifest_etag)s, nb_pages = %(nb_pages)s, manifest_seen_at = clock_timestamp()
WHERE id = %(volume_id)s

-- name: lacks_dependencies
SELECT EXISTS (SELECT 1 FROM missing_dependencies WHERE task_id = %(task_id)s) AS lacks

-- name: finish
UPDATE tasks
SET state = 'done', finished_at = clock_timestamp(), updated_at = clock_timestamp(), lease_expires_at = NULL,
    manifest_etag = %(manifest_etag)s, config_hash = %(config_hash)s, code_version = %(code_version)s,
    models = %(models)s, inputs = %(inputs)s, artefact_key = %(artefact_key)s, pages_ok = %(pages_ok)s, pages_skipped = %(pages_skipped)s,
    pages_error = %(pages_error)s, counters = %(counters)s,
    failure_code = NULL, failure_stage = NULL, failure_message = NULL, failure_fingerprint = NULL, failure_hint = NULL
WHERE id = %(task_id)s

-- name: release_dependants
-- Tasks of one volume that wait, and lack nothing any more.
UPDATE tasks t
SET state = 'queued', dispatched_at = NULL, updated_at = clock_timestamp()
WHERE t.id IN (SELECT x.id FROM tasks_of_volume(%(volume_id)s) x WHERE x.state = 'waiting') AND t.state || '' = 'waiting'
  AND NOT EXISTS (SELECT 1 FROM missing_dependencies m WHERE m.task_id = t.id)

-- name: dependants_to_dispatch
SELECT j.name AS job, v.w_id, v.i_id, v.source
FROM tasks_of_volume(%(volume_id)s) t
JOIN job_dependencies jd ON jd.job_id = t.job_id JOIN jobs j ON j.id = t.job_id JOIN volumes v ON v.id = t.volume_id
WHERE jd.depends_on_id = %(job_id)s AND t.state = 'queued' AND t.dispatched_at IS NULL
ORDER BY j.name

-- name: fail
-- A failure that is not charged (network, disk) never ends the task. Half of the backoff is jitter, so that it keeps a floor.
WITH judged AS (
    SELECT t.id, t.charged + (CASE WHEN %(charged)s THEN 1 ELSE 0 END) AS charged,
           NOT %(retryable)s AS hopeless,
           %(retryable)s AND %(charged)s AND t.charged + 1 >= j.max_attempts AS exhausted,
           (SELECT count(*) FROM task_attempts a WHERE a.task_id = t.id AND a.outcome = 'retryable_failed') AS retries
    FROM tasks t JOIN jobs j ON j.id = t.job_id
    WHERE t.id = %(task_id)s
)
UPDATE tasks t
SET state = CASE WHEN hopeless OR exhausted THEN 'terminal_failed' ELSE 'retryable_failed' END,
    charged = judged.charged, lease_expires_at = NULL, updated_at = clock_timestamp(), dispatched_at = clock_timestamp(),
    finished_at = CASE WHEN hopeless OR exhausted THEN clock_timestamp() END,
    not_before = CASE WHEN NOT hopeless AND NOT exhausted THEN clock_timestamp() + make_interval(
        secs => least(%(cap)s, %(base)s * power(2, least(retries, 30))) * (0.5 + random() / 2)) END,
    failure_code = CASE WHEN exhausted THEN 'E_ATTEMPTS_EXHAUSTED' ELSE %(code)s END,
    failure_message = CASE WHEN exhausted THEN
        'Gave up after ' || judged.charged || ' attempts; the last failed with ' || %(code)s || ': ' ELSE '' END
        || %(message)s,
    failure_stage = %(stage)s, failure_fingerprint = %(fingerprint)s, failure_hint = %(hint)s
FROM judged
WHERE t.id = judged.id
RETURNING t.state, extract(epoch FROM t.not_before - clock_timestamp())::float8 AS backoff_left

-- name: give_back
UPDATE tasks
SET state = 'queued', lease_expires_at = NULL, dispatched_at = clock_timestamp(), updated_at = clock_timestamp()
WHERE id = %(task_id)s

-- name: put_to_wait
UPDATE tasks
SET state = 'waiting', lease_expires_at = NULL, dispatched_at = NULL, updated_at = clock_timestamp()
WHERE id = %(task_id)s

-- name: reject_message
INSERT INTO rejected_messages (job_id, body_sha256, fingerprint, body, code, stage, message, hint)
VALUES (%(job_id)s, sha256(convert_to(%(body)s, 'UTF8')), %(fingerprint)s, %(body)s, %(code)s, %(stage)s, %(message)s,
        %(hint)s)
ON CONFLICT (job_id, body_sha256, fingerprint) DO UPDATE SET last_at = clock_timestamp()

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

-- name: try_maintenance_lock
SELECT pg_try_advisory_xact_lock(6448484, (%(job_id)s %% 2147483647)::integer) AS ours

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

-- name: reopen
-- `state || ''` here and below, where a task is known by its number: see the view done_tasks.
UPDATE tasks t
SET state = 'canceled', cancel_reason = %(reason)s, finished_at = clock_timestamp(), updated_at = clock_timestamp()
WHERE t.id = %(task_id)s AND t.state || '' = 'done' AND NOT EXISTS (
    SELECT 1 FROM tasks_of_volume(t.volume_id) other
    WHERE other.job_id = t.job_id AND other.finished_at IS NULL)
RETURNING t.job_id, t.volume_id, t.manifest_etag, t.adopt_foreign

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

-- name: lock_given_up
SELECT t.volume_id FROM tasks t
WHERE t.id = %(task_id)s AND t.state || '' = 'terminal_failed'
  AND NOT EXISTS (SELECT 1 FROM tasks_of_volume(t.volume_id) newer
                  WHERE newer.job_id = t.job_id AND newer.id > t.id
                    AND (newer.finished_at IS NULL OR newer.state = 'done'))
FOR NO KEY UPDATE OF t

-- name: unfinished
SELECT count(*) AS tasks FROM tasks
WHERE job_id = %(job_id)s AND state IN ('queued', 'running', 'retryable_failed')
