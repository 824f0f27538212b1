-- name: owner
-- Who owns the tables, and whether that is who asks, or somebody whose rights they have.
SELECT pg_get_userbyid(c.relowner) AS owner, current_user AS "user",
       pg_has_role(current_user, c.relowner, 'USAGE') AS is_owner
FROM pg_class c
WHERE c.oid = to_regclass('tasks')

-- name: connected
-- As whom workers are connected now.
SELECT DISTINCT usename AS "user" FROM pg_stat_activity
WHERE datname = current_database() AND application_name = %(application)s AND usename IS NOT NULL
ORDER BY 1

-- name: powers
-- What a user may do that no table's rights tell; nothing of a user who is not there.
SELECT array_remove(ARRAY[
    CASE WHEN r.rolsuper THEN 'is a superuser' END,
    CASE WHEN r.rolcreaterole THEN 'may make users' END,
    CASE WHEN r.rolcreatedb THEN 'may make databases' END,
    CASE WHEN r.rolreplication THEN 'may copy the whole server' END,
    CASE WHEN NOT r.rolsuper AND pg_has_role(r.oid, t.relowner, 'MEMBER') THEN 'owns the tables' END,
    CASE WHEN NOT r.rolsuper AND has_schema_privilege(r.oid, t.relnamespace, 'CREATE') THEN 'may make tables' END
], NULL) AS powers
FROM pg_roles r, pg_class t
WHERE r.rolname = %(user)s AND t.oid = to_regclass('tasks')

-- name: rights
-- Each right on a column of our tables and views that the user has, and on a whole table where it is none of columns.
WITH ours AS (
    SELECT c.oid, c.relname FROM pg_class c
    WHERE c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('tasks'))
      AND c.relkind IN ('r', 'v')
)
SELECT p.privilege, o.relname AS "table", a.attname AS "column"
FROM ours o JOIN pg_attribute a ON a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped
CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) AS p (privilege)
WHERE has_column_privilege(%(user)s::name, o.oid, a.attnum, p.privilege)
UNION ALL
SELECT p.privilege, o.relname, NULL
FROM ours o CROSS JOIN unnest(ARRAY['DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS p (privilege)
WHERE has_table_privilege(%(user)s::name, o.oid, p.privilege)

-- name: columns
SELECT c.relname AS "table", array_agg(a.attname::text ORDER BY a.attnum) AS columns
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('tasks')) AND c.relkind IN ('r', 'v')
GROUP BY c.relname
