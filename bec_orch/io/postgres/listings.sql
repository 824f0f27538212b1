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
SELECT t.id, v.w_id, v.i_id, v.source, t.state, t.pages_ok, t.pages_skipped, t.pages_error, t.attempt, t.failure_code,
       t.updated_at, EXISTS (SELECT 1 FROM volumes o WHERE o.w_id = v.w_id AND o.i_id = v.i_id AND o.id <> v.id) AS has_namesakes,
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
-- Each volume once, by its unfinished task, else its newest one; pages of all that was done. What was taken over was done
-- before its task was made. The length of a span is worked out once: inlined, it would be so for each task.
WITH counted AS MATERIALIZED (
    SELECT t.state, least(t.created_at, t.finished_at) AS enqueued_at, t.finished_at, t.pages_ok + t.pages_error AS pages,
           row_number() OVER (PARTITION BY t.volume_id ORDER BY t.finished_at IS NOT NULL, t.id DESC) = 1 AS newest
    FROM tasks t WHERE t.job_id = %(job_id)s
), span AS MATERIALIZED (
    SELECT greatest(ceil(extract(epoch FROM max(coalesce(finished_at, enqueued_at)) - min(enqueued_at)) / 200), 1)::integer
           AS seconds FROM counted
), moments AS (
    SELECT enqueued_at AS at, 'enqueued' AS what, 0 AS pages FROM counted WHERE newest
    UNION ALL
    SELECT finished_at, CASE WHEN newest THEN state END, CASE WHEN state = 'done' THEN pages ELSE 0 END
    FROM counted WHERE finished_at IS NOT NULL
)
SELECT s.seconds, to_timestamp(floor(extract(epoch FROM m.at) / s.seconds) * s.seconds) AS begin,
       count(*) FILTER (WHERE m.what = 'enqueued')::integer AS enqueued,
       count(*) FILTER (WHERE m.what = 'done')::integer AS done,
       count(*) FILTER (WHERE m.what = 'terminal_failed')::integer AS failed,
       count(*) FILTER (WHERE m.what = 'canceled')::integer AS canceled,
       sum(m.pages)::bigint AS pages
FROM moments m CROSS JOIN span s
GROUP BY s.seconds, begin
ORDER BY begin

-- name: silent
-- Volumes whose newest work is done without a failure, and is doubtful: no page was done, all that the job counts is 0, or half
-- of the pages are unsure. What was taken over from others may count nothing.
WITH latest AS (
    SELECT DISTINCT ON (t.volume_id) t.*
    FROM tasks t WHERE t.job_id = %(job_id)s
    ORDER BY t.volume_id, t.finished_at IS NOT NULL, t.id DESC
)
SELECT v.w_id, v.i_id, v.source, l.pages_ok, l.pages_skipped, l.pages_error, c.unsure AS pages_unsure, l.finished_at,
       EXISTS (SELECT 1 FROM volumes o WHERE o.w_id = v.w_id AND o.i_id = v.i_id AND o.id <> v.id) AS has_namesakes
FROM latest l JOIN volumes v ON v.id = l.volume_id
CROSS JOIN LATERAL (
    SELECT count(*) AS own, count(*) FILTER (WHERE c.value::float8 <> 0) AS counted,
           coalesce(sum(c.value::float8) FILTER (WHERE c.key = %(unsure_pages)s), 0)::integer AS unsure
    FROM jsonb_each_text(l.counters) c WHERE NOT starts_with(c.key, 'E_') AND c.value IS NOT NULL) c
WHERE l.state = 'done' AND (l.pages_ok = 0 OR (c.own > 0 AND c.counted = 0) OR 2 * c.unsure >= l.pages_ok)
ORDER BY l.finished_at DESC, l.id DESC
LIMIT %(limit)s

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
