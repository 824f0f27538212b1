-- The earlier system's database. Nothing here changes anything, and `read_only` is run before all others.

-- name: read_only
-- Of the session: also what begins after this transaction may only read.
SELECT set_config('default_transaction_read_only', 'on', false)

-- name: lacking
-- Which of its tables and columns are not there, or are there and may not be read by this user.
SELECT c.table_name || '.' || c.column_name AS name, a.attname IS NOT NULL AS present
FROM (VALUES
    ('jobs', 'id'), ('jobs', 'name'), ('jobs', 'config'),
    ('volumes', 'id'), ('volumes', 'bdrc_w_id'), ('volumes', 'bdrc_i_id'), ('volumes', 'last_s3_etag'),
    ('volumes', 'nb_images'), ('volumes', 'nb_images_intro'),
    ('task_executions', 'id'), ('task_executions', 'job_id'), ('task_executions', 'volume_id'),
    ('task_executions', 's3_etag'), ('task_executions', 'status'), ('task_executions', 'started_at'),
    ('task_executions', 'done_at'), ('task_executions', 'total_images')
) AS c (table_name, column_name)
LEFT JOIN pg_attribute a
    ON a.attrelid = to_regclass(c.table_name) AND a.attname = c.column_name AND a.attnum > 0 AND NOT a.attisdropped
WHERE a.attname IS NULL OR NOT coalesce(has_column_privilege(to_regclass(c.table_name), a.attnum, 'SELECT'), false)

-- name: jobs
-- Texts as bytes of UTF-8, whatever the database's own encoding makes of them.
SELECT id::bigint AS id, convert_to(left(name::text, %(longest_name)s), 'UTF8') AS name,
       CASE WHEN coalesce(octet_length(config::text), 0) <= %(longest_config)s
            THEN convert_to(coalesce(config::text, ''), 'UTF8') END AS config
FROM jobs
ORDER BY id
LIMIT %(limit)s

-- name: volumes
SELECT v.id::bigint AS id, convert_to(left(v.bdrc_w_id::text, %(longest_name)s), 'UTF8') AS w_id,
       convert_to(left(v.bdrc_i_id::text, %(longest_name)s), 'UTF8') AS i_id,
       CASE WHEN octet_length(v.last_s3_etag) = 16 THEN encode(v.last_s3_etag, 'hex') END AS etag,
       v.nb_images_intro::integer AS nb_images_intro
FROM volumes v
WHERE v.id > %(after)s
ORDER BY v.id
LIMIT %(limit)s

-- name: done
-- A time that is none, or infinite, is unknown.
SELECT t.id::bigint AS id, t.job_id::bigint AS job_id,
       convert_to(left(v.bdrc_w_id::text, %(longest_name)s), 'UTF8') AS w_id,
       convert_to(left(v.bdrc_i_id::text, %(longest_name)s), 'UTF8') AS i_id,
       CASE WHEN octet_length(t.s3_etag) = 16 THEN encode(t.s3_etag, 'hex') END AS etag,
       coalesce(t.total_images, CASE WHEN t.s3_etag = v.last_s3_etag THEN v.nb_images END)::bigint AS pages,
       CASE WHEN isfinite(t.started_at) THEN extract(epoch FROM t.started_at)::float8 END AS started_at,
       CASE WHEN isfinite(t.done_at) THEN extract(epoch FROM t.done_at)::float8 END AS done_at
FROM task_executions t LEFT JOIN volumes v ON v.id = t.volume_id
WHERE t.id > %(after)s AND t.status::text = 'done'
ORDER BY t.id
LIMIT %(limit)s

-- name: undone
SELECT job_id::bigint AS job_id, convert_to(left(status::text, %(longest_name)s), 'UTF8') AS status,
       count(*)::bigint AS tasks
FROM task_executions
WHERE status::text IS DISTINCT FROM 'done'
GROUP BY job_id, status
ORDER BY job_id, status
LIMIT %(limit)s
