-- Since when a worker was heard of without a silence: tells whether the database itself was away.
ALTER TABLE workers ADD COLUMN heard_since timestamptz NOT NULL DEFAULT clock_timestamp();
