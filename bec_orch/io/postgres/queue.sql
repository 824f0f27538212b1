-- name: send
INSERT INTO queue_messages (queue, body, visible_at)
SELECT %(queue)s, body, clock_timestamp() + make_interval(secs => %(delay)s)
FROM unnest(%(bodies)s::text[]) AS body

-- name: wake
SELECT pg_notify('bec_queue', %(queue)s)

-- name: listen
LISTEN bec_queue

-- name: receive
UPDATE queue_messages m
SET receipt = gen_random_uuid(), receive_count = m.receive_count + 1,
    visible_at = clock_timestamp() + make_interval(secs => %(visibility)s)
FROM (
    SELECT id FROM queue_messages
    WHERE queue = %(queue)s AND dead_at IS NULL AND visible_at <= clock_timestamp()
    ORDER BY visible_at, id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
) free
WHERE m.id = free.id
RETURNING m.id, m.receipt, m.body, m.receive_count, m.sent_at

-- name: seconds_to_next
SELECT extract(epoch FROM min(visible_at) - clock_timestamp())::float8 AS seconds
FROM queue_messages
WHERE queue = %(queue)s AND dead_at IS NULL

-- name: change_visibility
UPDATE queue_messages
SET visible_at = clock_timestamp() + make_interval(secs => %(seconds)s)
WHERE queue = %(queue)s AND id = %(id)s AND receipt = %(receipt)s AND dead_at IS NULL

-- name: delete
DELETE FROM queue_messages
WHERE queue = %(queue)s AND id = %(id)s AND receipt = %(receipt)s AND dead_at IS NULL

-- name: dead_letter
UPDATE queue_messages
SET dead_at = clock_timestamp(), dead_reason = %(reason)s
WHERE queue = %(queue)s AND id = %(id)s AND receipt = %(receipt)s AND dead_at IS NULL

-- name: stats
SELECT count(*) FILTER (WHERE dead_at IS NULL AND visible_at <= clock_timestamp()) AS visible,
       count(*) FILTER (WHERE dead_at IS NULL AND visible_at > clock_timestamp() AND receipt IS NOT NULL) AS in_flight,
       count(*) FILTER (WHERE dead_at IS NULL AND visible_at > clock_timestamp() AND receipt IS NULL) AS delayed,
       count(*) FILTER (WHERE dead_at IS NOT NULL) AS dead,
       extract(epoch FROM clock_timestamp() - min(sent_at)
               FILTER (WHERE dead_at IS NULL AND visible_at <= clock_timestamp()))::float8 AS oldest_seconds
FROM queue_messages
WHERE queue = %(queue)s

-- name: peek
SELECT id, body, receive_count, sent_at FROM queue_messages
WHERE queue = %(queue)s AND dead_at IS NULL
ORDER BY visible_at, id
LIMIT %(limit)s

-- name: bodies
SELECT id, body FROM queue_messages
WHERE queue = %(queue)s AND dead_at IS NULL AND id > %(after)s
ORDER BY id
LIMIT %(limit)s

-- name: peek_dead
SELECT id, body, dead_reason, dead_at FROM queue_messages
WHERE queue = %(queue)s AND dead_at IS NOT NULL
ORDER BY id
LIMIT %(limit)s

-- name: dead_letters
SELECT id, body, dead_reason, dead_at FROM queue_messages
WHERE queue = %(queue)s AND dead_at IS NOT NULL
ORDER BY id
FOR UPDATE

-- name: revive
-- A revived message is a new one: never received, its old receipts worth nothing.
UPDATE queue_messages
SET dead_at = NULL, dead_reason = NULL, receipt = NULL, receive_count = 0, visible_at = clock_timestamp(),
    sent_at = clock_timestamp()
WHERE queue = %(queue)s AND id = ANY(%(ids)s)

-- name: purge
DELETE FROM queue_messages WHERE queue = %(queue)s AND (dead_at IS NOT NULL) = %(dead)s
