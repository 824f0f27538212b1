-- name: look
SELECT pg_read_file('postmaster.pid') AS record,
       EXISTS (SELECT FROM pg_database WHERE datname = %(database)s) AS made
