-- name: volumes
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
