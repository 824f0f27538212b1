-- name: take
SELECT pg_advisory_xact_lock(%(lock)s)

-- name: try_take
SELECT pg_try_advisory_xact_lock(%(lock)s::integer, %(part)s::integer) AS ours
