-- name: tasks
-- Volumes are joined for all tasks only where they are sorted or filtered by: of an outer join on a key that nothing asks
-- of, the planner makes none.
WITH listed AS MATERIALIZED (
    SELECT t.id, sorted.number, sorted.word
    FROM tasks t LEFT JOIN volumes v ON v.id = t.volume_id
    CROSS JOIN LATERAL (SELECT
        CASE %(order)s::text
            WHEN 'updated' THEN extract(epoch FROM t.updated_at)
            WHEN 'pages' THEN t.pages_ok + t.pages_skipped + t.pages_error
            WHEN 'errors' THEN t.pages_error
            WHEN 'seconds' THEN extract(epoch FROM t.finished_at - t.started_at)
            WHEN 'attempt' THEN t.attempt END AS number,
        CASE %(order)s::text
            WHEN 'volume' THEN v.w_id || '/' || v.i_id
            WHEN 'state' THEN t.state
            WHEN 'code' THEN t.failure_code END COLLATE "C" AS word) sorted
    WHERE t.job_id = %(job_id)s
      AND (%(state)s::text IS NULL OR t.state = %(state)s)
      AND (%(code)s::text IS NULL OR t.failure_code = %(code)s
           OR (t.state IN ('done', 'terminal_failed') AND t.counters ? %(code)s))
      AND (%(fingerprint)s::text IS NULL OR t.failure_fingerprint = %(fingerprint)s)
      AND (%(text)s::text = '' OR starts_with(v.i_id, %(text)s) OR starts_with(v.w_id || '/' || v.i_id, %(text)s)
           -- Names in ASCII have one form; the others are compared by NFC.
           OR (%(text)s ~ '[^ -~]' AND (starts_with(normalize(v.i_id), normalize(%(text)s::text))
               OR starts_with(normalize(v.w_id || '/' || v.i_id), normalize(%(text)s::text)))))
    ORDER BY sorted.number * CASE WHEN %(descending)s THEN -1 ELSE 1 END NULLS LAST,
             CASE WHEN %(descending)s THEN sorted.word END DESC NULLS LAST,
             CASE WHEN NOT %(descending)s THEN sorted.word END,
             t.id DESC
    OFFSET %(skip)s
    LIMIT %(limit)s
)
SELECT t.id, v.w_id, v.i_id, t.state, t.pages_ok, t.pages_skipped, t.pages_error, t.attempt, t.failure_code, t.updated_at,
       extract(epoch FROM coalesce(t.finished_at, CASE WHEN t.state = 'running' THEN clock_timestamp() END)
                          - t.started_at)::float8 AS seconds
FROM listed l JOIN tasks t ON t.id = l.id JOIN volumes v ON v.id = t.volume_id
ORDER BY l.number * CASE WHEN %(descending)s THEN -1 ELSE 1 END NULLS LAST,
         CASE WHEN %(descending)s THEN l.word END DESC NULLS LAST,
         CASE WHEN NOT %(descending)s THEN l.word END,
         t.id DESC

-- name: tasks_of_volume
SELECT t.id, j.name AS job, coalesce(j.artifact_prefix, j.name) AS root, v.w_id, v.i_id, v.source, t.state, t.attempt,
       t.charged, t.force, t.worker_id, t.manifest_etag, t.config_hash, t.artefact_key, t.pages_ok, t.pages_skipped, t.pages_error, t.counters,
       t.failure_code, t.failure_stage, t.failure_message, t.failure_hint, t.failure_fingerprint,
       coalesce(t.cancel_reason, CASE WHEN t.state = 'waiting' THEN (
           SELECT string_agg(m.reason, '; ' ORDER BY m.job) FROM missing_dependencies m WHERE m.task_id = t.id) END) AS reason,
       t.created_at, t.started_at, t.finished_at, t.not_before, t.lease_expires_at
FROM volumes v CROSS JOIN LATERAL tasks_of_volume(v.id) t JOIN jobs j ON j.id = t.job_id
WHERE v.w_id = %(w_id)s AND v.i_id = %(i_id)s AND j.deleted_at IS NULL
ORDER BY t.id DESC

-- name: attempts_of_volume
SELECT t.id AS task_id, j.name AS job, a.attempt, a.worker_id, a.outcome, a.charged, a.code, a.stage, a.message,
       a.started_at, a.ended_at, coalesce(a.metrics -> 'stages', '{}') AS stages
FROM volumes v CROSS JOIN LATERAL tasks_of_volume(v.id) t JOIN jobs j ON j.id = t.job_id
JOIN task_attempts a ON a.task_id = t.id
WHERE v.w_id = %(w_id)s AND v.i_id = %(i_id)s AND j.deleted_at IS NULL
ORDER BY a.started_at DESC, a.task_id DESC

-- name: stale_reasons
SELECT d.task_id, d.stale
FROM volumes v CROSS JOIN LATERAL tasks_of_volume(v.id) t JOIN done_tasks d ON d.task_id = t.id
WHERE v.w_id = %(w_id)s AND v.i_id = %(i_id)s AND d.stale <> '{}'

-- name: course
-- The length of a span is worked out once: inlined, it would be so for each task.
WITH span AS MATERIALIZED (
    SELECT greatest(ceil(extract(epoch FROM max(t.finished_at) - min(t.finished_at)) / 200), 1)::integer AS seconds
    FROM tasks t WHERE t.job_id = %(job_id)s AND t.state IN ('done', 'terminal_failed')
)
SELECT s.seconds, to_timestamp(floor(extract(epoch FROM t.finished_at) / s.seconds) * s.seconds) AS begin,
       count(*) FILTER (WHERE t.state = 'done')::integer AS done,
       count(*) FILTER (WHERE t.state = 'terminal_failed')::integer AS failed,
       coalesce(sum(t.pages_ok + t.pages_error) FILTER (WHERE t.state = 'done'), 0)::bigint AS pages
FROM tasks t CROSS JOIN span s
WHERE t.job_id = %(job_id)s AND t.state IN ('done', 'terminal_failed')
GROUP BY s.seconds, begin
ORDER BY begin

-- name: stage_seconds
-- Of the last 200 volumes that were done.
SELECT s.key AS stage, sum((s.value ->> 'seconds')::float8) AS seconds
FROM (SELECT t.id, t.attempt FROM tasks t WHERE t.job_id = %(job_id)s AND t.state = 'done'
      ORDER BY t.finished_at DESC LIMIT 200) last
JOIN task_attempts a ON a.task_id = last.id AND a.attempt = last.attempt
CROSS JOIN LATERAL jsonb_each(a.metrics -> 'stages') s
GROUP BY s.key
ORDER BY seconds DESC

-- name: pulse
-- What indexes know: the newest task, the last volume of each job that was done, and what the workers said last.
SELECT concat_ws(' ', (SELECT max(id) FROM tasks), (SELECT max(updated_at) FROM jobs),
                 (SELECT max(heartbeat_at) FROM workers), (SELECT max(stopped_at) FROM workers),
                 (SELECT string_agg((SELECT max(t.finished_at) FROM tasks t WHERE t.job_id = j.id AND t.state = 'done')::text,
                                    ' ' ORDER BY j.id) FROM jobs j)) AS pulse
