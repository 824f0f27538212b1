-- name: task_states
SELECT state, count(*)::integer AS tasks FROM tasks WHERE job_id = %(job_id)s GROUP BY state

-- name: volume_states
-- Each volume once, by its unfinished task, else its newest one. One that waits is stuck where a job that it needs, directly
-- or through others, failed for good, and never was done for this version.
WITH RECURSIVE needed (job_id) AS (
    SELECT jd.depends_on_id FROM job_dependencies jd WHERE jd.job_id = %(job_id)s AND jd.if_missing <> 'proceed'
    UNION
    SELECT jd.depends_on_id FROM job_dependencies jd JOIN needed n ON n.job_id = jd.job_id WHERE jd.if_missing <> 'proceed'
), latest AS (
    SELECT DISTINCT ON (t.volume_id) t.*
    FROM tasks t WHERE t.job_id = %(job_id)s
    ORDER BY t.volume_id, t.finished_at IS NOT NULL, t.id DESC
)
SELECT l.state, count(*)::integer AS volumes,
       coalesce(sum(l.pages_ok), 0)::bigint AS ok, coalesce(sum(l.pages_skipped), 0)::bigint AS skipped,
       coalesce(sum(l.pages_error), 0)::bigint AS error,
       count(*) FILTER (WHERE d.stale <> '{}')::integer AS stale,
       coalesce(sum(v.nb_pages) FILTER (WHERE NOT s.stuck), 0)::bigint AS known_pages,
       count(*) FILTER (WHERE v.nb_pages IS NULL AND NOT s.stuck)::integer AS without_pages,
       count(*) FILTER (WHERE s.stuck)::integer AS stuck
FROM latest l JOIN volumes v ON v.id = l.volume_id
CROSS JOIN LATERAL (SELECT CASE WHEN l.state = 'waiting' THEN EXISTS (
    SELECT 1 FROM needed n
    WHERE 'terminal_failed' = (SELECT t.state FROM tasks_of_volume(v.id) t WHERE t.job_id = n.job_id
                               ORDER BY t.finished_at IS NOT NULL, t.id DESC LIMIT 1)
      AND NOT EXISTS (SELECT 1 FROM tasks_of_volume(v.id) t WHERE t.job_id = n.job_id AND t.state = 'done'
                      AND t.manifest_etag = coalesce(v.manifest_etag, t.manifest_etag))) ELSE false END AS stuck) s
-- Of this job alone: else what staleness costs is paid for the tasks of all jobs.
LEFT JOIN done_tasks d ON d.task_id = l.id AND d.job_id = %(job_id)s
GROUP BY l.state

-- name: page_errors
-- Pages with errors by code, of the volumes whose newest task is done, or failed for its pages; the most common first.
WITH latest AS (
    SELECT DISTINCT ON (t.volume_id) t.state, t.counters
    FROM tasks t WHERE t.job_id = %(job_id)s
    ORDER BY t.volume_id, t.finished_at IS NOT NULL, t.id DESC
)
SELECT c.key AS code, sum(c.value::float8)::bigint AS pages
FROM latest l, jsonb_each_text(l.counters) c
WHERE l.state IN ('done', 'terminal_failed') AND starts_with(c.key, 'E_') AND c.value IS NOT NULL
GROUP BY c.key
ORDER BY pages DESC, code

-- name: stale
-- Volumes whose newest finished work would not come out the same today. One step after the other: beside what staleness
-- costs, the planner takes every way to the volumes for equally good.
WITH stale AS MATERIALIZED (
    SELECT d.task_id, d.job_id, d.volume_id, d.stale FROM done_tasks d WHERE d.job_id = %(job_id)s AND d.stale <> '{}'
), newest AS MATERIALIZED (
    SELECT d.task_id, d.volume_id, d.stale FROM stale d
    WHERE NOT EXISTS (SELECT 1 FROM tasks_of_volume(d.volume_id) newer
                      WHERE newer.job_id = d.job_id AND newer.id > d.task_id AND newer.state = 'done')
    ORDER BY d.task_id
    LIMIT %(limit)s
)
SELECT v.w_id, v.i_id, v.source, n.task_id, n.stale AS reasons
FROM newest n JOIN volumes v ON v.id = n.volume_id
ORDER BY n.task_id

-- name: graph
SELECT j.name, j.type, ARRAY(
           SELECT d.name FROM job_dependencies jd JOIN jobs d ON d.id = jd.depends_on_id
           WHERE jd.job_id = j.id ORDER BY d.name) AS depends_on,
       (SELECT coalesce(jsonb_object_agg(d.name, jd.if_missing), '{}')
        FROM job_dependencies jd JOIN jobs d ON d.id = jd.depends_on_id
        WHERE jd.job_id = j.id AND jd.if_missing <> 'wait') AS if_missing,
       coalesce((SELECT jsonb_object_agg(c.state, c.tasks) FROM (
           SELECT t.state, count(*) AS tasks FROM tasks t WHERE t.job_id = j.id GROUP BY t.state) c), '{}') AS tasks
FROM jobs j
WHERE j.deleted_at IS NULL
ORDER BY j.name

-- name: recent_pages
-- The window begins with the first page that was done in it, so that a job that began a minute ago has its true rate.
-- A volume whose artefact was taken over took no time: it tells nothing of the pace.
SELECT sum(t.pages_ok + t.pages_error)::bigint AS pages,
       extract(epoch FROM clock_timestamp() - greatest(
           min(t.started_at), clock_timestamp() - make_interval(secs => %(seconds)s)))::float8 AS seconds
FROM tasks t
WHERE t.job_id = %(job_id)s AND t.state = 'done'
  AND t.finished_at > clock_timestamp() - make_interval(secs => %(seconds)s)
  AND NOT EXISTS (SELECT 1 FROM task_attempts a
                  WHERE a.task_id = t.id AND a.attempt = t.attempt AND a.outcome = 'adopted')

-- name: tasks
-- Why a task waits is asked of those alone that are listed.
WITH listed AS MATERIALIZED (
    SELECT t.id
    FROM tasks t JOIN volumes v ON v.id = t.volume_id
    WHERE t.job_id = %(job_id)s
      AND (%(state)s::text IS NULL OR t.state = %(state)s)
      AND (%(code)s::text IS NULL OR t.failure_code = %(code)s
           OR (t.state IN ('done', 'terminal_failed') AND t.counters ? %(code)s))
      AND (%(fingerprint)s::text IS NULL OR t.failure_fingerprint = %(fingerprint)s)
      AND (%(w_id)s::text IS NULL OR v.w_id = %(w_id)s)
      AND (%(i_id)s::text IS NULL OR v.i_id = %(i_id)s)
    ORDER BY t.updated_at DESC, t.id DESC
    LIMIT %(limit)s
)
SELECT t.id, j.name AS job, coalesce(j.artifact_prefix, j.name) AS root, v.w_id, v.i_id, v.source, t.state, t.attempt, t.charged, t.force, t.worker_id,
       t.manifest_etag, t.config_hash, t.artefact_key, t.pages_ok, t.pages_skipped, t.pages_error, t.counters,
       t.failure_code, t.failure_stage, t.failure_message, t.failure_hint, t.failure_fingerprint,
       coalesce(t.cancel_reason, CASE WHEN t.state = 'waiting' THEN (
           SELECT string_agg(m.reason, '; ' ORDER BY m.job) FROM missing_dependencies m WHERE m.task_id = t.id) END) AS reason,
       t.created_at, t.started_at, t.finished_at, t.not_before, t.lease_expires_at
FROM listed l JOIN tasks t ON t.id = l.id JOIN jobs j ON j.id = t.job_id JOIN volumes v ON v.id = t.volume_id
ORDER BY t.updated_at DESC, t.id DESC

-- name: spelled
-- Volumes that are recorded under another Unicode form of the names that are asked for, where one alone is.
SELECT a.number, min(v.w_id) AS w_id, min(v.i_id) AS i_id
FROM unnest(%(w_ids)s::text[], %(i_ids)s::text[], %(sources)s::text[]) WITH ORDINALITY AS a (w_id, i_id, source, number)
JOIN volumes v ON normalize(v.w_id) = normalize(a.w_id) AND normalize(v.i_id) = normalize(a.i_id)
               AND (a.source = '' OR v.source = a.source)
WHERE NOT EXISTS (SELECT 1 FROM volumes same
                  WHERE same.w_id = a.w_id AND same.i_id = a.i_id AND (a.source = '' OR same.source = a.source))
GROUP BY a.number
HAVING count(DISTINCT (v.w_id, v.i_id)) = 1

-- name: workers
SELECT w.id, j.name AS job, w.host, w.pid, w.version, w.instance_id, w.instance_type, w.lifecycle,
       w.started_at, w.heartbeat_at, w.stopped_at, w.stop_reason,
       extract(epoch FROM clock_timestamp() - w.heartbeat_at)::float8 AS silent_seconds,
       CASE WHEN w.stopped_at IS NOT NULL THEN 'stopped'
            WHEN w.heartbeat_at < clock_timestamp() - make_interval(secs => %(lost_after)s) THEN 'lost'
            WHEN w.activities = '[]' THEN 'idle' ELSE 'working' END AS condition,
       coalesce((SELECT jsonb_agg(jsonb_build_object(
                    'task_id', t.id, 'w_id', v.w_id, 'i_id', v.i_id,
                    'pages_done', a.pages_done, 'pages_total', a.pages_total, 'since', t.started_at) ORDER BY t.id)
                 FROM jsonb_to_recordset(w.activities) AS a (task_id bigint, pages_done integer, pages_total integer)
                 JOIN tasks t ON t.id = a.task_id JOIN volumes v ON v.id = t.volume_id), '[]') AS doing
FROM workers w JOIN jobs j ON j.id = w.job_id
WHERE (%(job_id)s::bigint IS NULL OR w.job_id = %(job_id)s)
  AND (%(stopped)s OR (w.stopped_at IS NULL AND w.heartbeat_at > clock_timestamp() - interval '1 day'))
ORDER BY w.stopped_at IS NOT NULL, j.name, w.started_at DESC
LIMIT %(limit)s

-- name: machine_uses
-- A worker that died was paid for until its last heartbeat, and a moment longer that nobody knows.
SELECT coalesce(w.instance_id, w.host) AS machine, coalesce(w.instance_type, '') AS instance_type,
       w.lifecycle IS NOT DISTINCT FROM 'spot' AS spot, w.started_at AS begun,
       coalesce(w.stopped_at, w.heartbeat_at) AS ended
FROM workers w
WHERE w.job_id = %(job_id)s

-- name: errors
WITH failures AS (
    SELECT a.job_id, a.fingerprint, a.code, a.stage, a.message, a.ended_at AS at, a.task_id,
           v.w_id || '/' || v.i_id AS example, v.source
    FROM task_attempts a JOIN tasks t ON t.id = a.task_id JOIN volumes v ON v.id = t.volume_id
    WHERE a.fingerprint IS NOT NULL
    UNION ALL
    SELECT r.job_id, r.fingerprint, r.code, r.stage, r.message, r.last_at, NULL, left(r.body, 200), NULL
    FROM rejected_messages r
)
SELECT f.fingerprint, j.name AS job, count(*)::integer AS count, count(DISTINCT f.task_id)::integer AS tasks,
       (SELECT count(*) FROM tasks t WHERE t.job_id = f.job_id AND t.state = 'terminal_failed'
        AND t.failure_fingerprint = f.fingerprint)::integer AS terminal,
       min(f.at) AS first_at, max(f.at) AS last_at,
       (array_agg(f.code ORDER BY f.at DESC))[1] AS code, (array_agg(f.stage ORDER BY f.at DESC))[1] AS stage,
       (array_agg(f.message ORDER BY f.at DESC))[1] AS message,
       (array_agg(f.example ORDER BY f.at DESC))[1] AS example,
       (array_agg(f.source ORDER BY f.at DESC))[1] AS example_source
FROM failures f JOIN jobs j ON j.id = f.job_id
WHERE %(job_id)s::bigint IS NULL OR f.job_id = %(job_id)s
GROUP BY f.job_id, j.name, f.fingerprint
ORDER BY count DESC, last_at DESC
LIMIT %(limit)s

-- name: expected_messages
SELECT count(*) FILTER (WHERE state IN ('queued', 'retryable_failed', 'running') AND dispatched_at IS NOT NULL)::integer
           AS dispatched,
       count(*) FILTER (WHERE state = 'queued' AND dispatched_at IS NULL)::integer AS undispatched,
       count(*) FILTER (WHERE state = 'running' AND lease_expires_at < clock_timestamp())::integer AS expired,
       count(*) FILTER (WHERE state = 'terminal_failed')::integer AS terminal,
       extract(epoch FROM clock_timestamp() - min(created_at) FILTER (WHERE state = 'queued'))::float8
           AS oldest_task_seconds
FROM tasks
WHERE job_id = %(job_id)s

-- name: done_volumes
-- Each volume that the job has done, by its newest task that is done, a page of them at a time.
SELECT v.id AS volume_id, newest.id AS task_id, v.w_id, v.i_id, v.source, newest.manifest_etag
FROM volumes v CROSS JOIN LATERAL (
    SELECT t.id, t.manifest_etag FROM tasks_of_volume(v.id) t
    WHERE t.job_id = %(job_id)s AND t.state = 'done'
    ORDER BY t.id DESC LIMIT 1
) newest
WHERE v.id > %(after)s
ORDER BY v.id
LIMIT %(limit)s

-- name: note_references
UPDATE tasks t SET seen_references = seen.versions::jsonb
FROM unnest(%(task_ids)s::bigint[], %(versions)s::text[]) AS seen (task_id, versions)
WHERE t.id = seen.task_id AND t.seen_references IS DISTINCT FROM seen.versions::jsonb
