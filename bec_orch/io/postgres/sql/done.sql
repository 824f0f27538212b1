-- name: volumes
-- Each volume that the job has done, by its newest task that is done, a page of them at a time.
SELECT DISTINCT ON (t.volume_id) t.volume_id, t.id AS task_id, v.w_id, v.i_id, v.source, t.manifest_etag
FROM tasks t JOIN volumes v ON v.id = t.volume_id
WHERE t.job_id = %(job_id)s AND t.state = 'done' AND t.volume_id > %(after)s
ORDER BY t.volume_id, t.id DESC
LIMIT %(limit)s

-- name: note_references
UPDATE tasks t SET seen_references = seen.versions::jsonb
FROM unnest(%(task_ids)s::bigint[], %(versions)s::text[]) AS seen (task_id, versions)
WHERE t.id = seen.task_id AND t.seen_references IS DISTINCT FROM seen.versions::jsonb
