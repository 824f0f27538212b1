-- name: limit
-- Settings of this transaction alone.
SELECT set_config(name, value, true) FROM unnest(%(names)s::text[], %(values)s::text[]) AS limits (name, value)
