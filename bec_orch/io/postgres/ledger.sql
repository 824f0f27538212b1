-- name: states
-- The seven states that every enqueued task is in exactly one of. A state that nobody knows makes them not add up.
SELECT j.name AS job, count(t.id)::integer AS enqueued,
       count(*) FILTER (WHERE t.state IN ('queued', 'retryable_failed'))::integer AS queued,
       count(*) FILTER (WHERE t.state = 'waiting')::integer AS waiting,
       count(*) FILTER (WHERE t.state = 'running')::integer AS running,
       count(*) FILTER (WHERE t.state = 'done')::integer AS done,
       count(*) FILTER (WHERE t.state = 'terminal_failed' AND t.failure_code <> %(exhausted)s)::integer AS terminal_failed,
       count(*) FILTER (WHERE t.state = 'terminal_failed' AND t.failure_code = %(exhausted)s)::integer AS dead_lettered,
       count(*) FILTER (WHERE t.state = 'canceled')::integer AS canceled
FROM jobs j LEFT JOIN tasks t ON t.job_id = j.id
WHERE j.deleted_at IS NULL
GROUP BY j.name
ORDER BY j.name

-- name: done_twice
SELECT t.id AS task_id, v.w_id, v.i_id, v.source, count(*)::integer AS times
FROM task_attempts a JOIN tasks t ON t.id = a.task_id JOIN volumes v ON v.id = t.volume_id
WHERE a.job_id = %(job_id)s AND a.outcome IN ('done', 'adopted')
GROUP BY t.id, v.w_id, v.i_id, v.source
HAVING count(*) > 1
ORDER BY t.id

-- name: unfinished_twice
SELECT max(t.id) AS task_id, v.w_id, v.i_id, v.source, count(*)::integer AS times
FROM tasks t JOIN volumes v ON v.id = t.volume_id
WHERE t.job_id = %(job_id)s AND t.finished_at IS NULL
GROUP BY v.w_id, v.i_id, v.source
HAVING count(*) > 1
ORDER BY 1

-- name: left_behind
-- Tasks that living workers of the job should have seen to long since: taken over, or released.
SELECT t.id AS task_id, v.w_id, v.i_id, v.source, t.state
FROM tasks t JOIN volumes v ON v.id = t.volume_id
WHERE t.job_id = %(job_id)s
  AND EXISTS (SELECT 1 FROM workers w
              WHERE w.job_id = t.job_id AND w.stopped_at IS NULL
                AND w.heartbeat_at > clock_timestamp() - make_interval(secs => %(lost_after)s)
                AND w.started_at < clock_timestamp() - make_interval(secs => %(overdue)s))
  AND t.updated_at < clock_timestamp() - make_interval(secs => %(overdue)s)
  AND ((t.state = 'running' AND t.lease_expires_at < clock_timestamp() - make_interval(secs => %(overdue)s))
       OR (t.state = 'waiting' AND NOT EXISTS (SELECT 1 FROM missing_dependencies m WHERE m.task_id = t.id)))
ORDER BY t.id

-- name: announced
-- The unfinished tasks of the volumes that messages name.
SELECT t.id
FROM unnest(%(w_ids)s::text[], %(i_ids)s::text[], %(sources)s::text[]) AS m (w_id, i_id, source)
JOIN volumes v ON v.w_id = m.w_id AND v.i_id = m.i_id AND v.source = m.source
CROSS JOIN LATERAL tasks_of_volume(v.id) t
WHERE t.job_id = %(job_id)s AND t.finished_at IS NULL

-- name: to_be_announced
-- Tasks that must have a message: sent before the audit began, or at a time that never comes.
SELECT t.id, v.w_id, v.i_id, v.source
FROM (
    (SELECT id, volume_id FROM tasks
     WHERE job_id = %(job_id)s AND state = 'queued' AND id > %(after)s
       AND (dispatched_at < %(before)s OR dispatched_at > clock_timestamp())
     ORDER BY id LIMIT %(limit)s)
    UNION ALL
    (SELECT id, volume_id FROM tasks
     WHERE job_id = %(job_id)s AND state = 'retryable_failed' AND id > %(after)s
       AND (dispatched_at < %(before)s OR dispatched_at > clock_timestamp())
     ORDER BY id LIMIT %(limit)s)
) t
JOIN volumes v ON v.id = t.volume_id
ORDER BY t.id
LIMIT %(limit)s

-- name: tasks_of
-- Every task of the job for these volumes, the newest first.
SELECT t.id, t.volume_id, t.state, t.finished_at IS NULL AS unfinished, t.attempt, t.manifest_etag, t.config_hash,
       t.artefact_key, t.pages_ok, t.pages_skipped, t.pages_error, v.w_id, v.i_id, v.source,
       v.manifest_etag AS seen_etag, CASE WHEN v.manifest_etag = t.manifest_etag THEN v.nb_pages + CASE
           WHEN jsonb_typeof(t.counters -> 'further_frames') = 'number'
           THEN least((t.counters ->> 'further_frames')::numeric, 1000000)::integer ELSE 0 END END AS nb_pages
FROM (SELECT DISTINCT w_id, i_id FROM unnest(%(w_ids)s::text[], %(i_ids)s::text[]) AS m (w_id, i_id)) m
JOIN volumes v ON v.w_id = m.w_id AND v.i_id = m.i_id
CROSS JOIN LATERAL tasks_of_volume(v.id) t
WHERE t.job_id = %(job_id)s
ORDER BY t.id DESC

-- name: done
SELECT t.id, v.w_id, v.i_id, t.manifest_etag
FROM tasks t JOIN volumes v ON v.id = t.volume_id
WHERE t.job_id = %(job_id)s AND t.state = 'done' AND t.id > %(after)s
ORDER BY t.id
LIMIT %(limit)s
