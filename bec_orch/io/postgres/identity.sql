-- name: identity
SELECT identity::text FROM database_identity

-- name: take_identity
-- What was published under the identity of before would be somebody else's: only a database without tasks takes another.
UPDATE database_identity SET identity = %(identity)s WHERE NOT EXISTS (SELECT 1 FROM tasks)

-- name: has_task
SELECT EXISTS (SELECT 1 FROM tasks WHERE uid = %(uid)s) AS known
