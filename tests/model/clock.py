"""A clock that stands still until it is told to go on, for the database and for every worker of a model alike.

The program's statements call `clock_timestamp()` and `random()` without a schema. A schema that comes before
`pg_catalog` on the search path of the database shadows them, so nothing of the program changes, and a history is the
same each time it is played.
"""

import datetime as dt
from typing import Any

import psycopg
from psycopg import sql

# Far from the time of the machine that this runs on: whoever looks at that clock goes wrong at once.
_BEGIN = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)

_SHADOW = """
CREATE SCHEMA model;
CREATE TABLE model.clock (now timestamptz NOT NULL);
CREATE FUNCTION model.clock_timestamp() RETURNS timestamptz VOLATILE LANGUAGE sql AS 'SELECT now FROM model.clock';
CREATE FUNCTION model.random() RETURNS float8 VOLATILE LANGUAGE sql AS 'SELECT 0.5::float8';
SET search_path = model, pg_catalog, public;
-- A default is bound to its function when the table is made.
DO $$
DECLARE found record;
BEGIN
    FOR found IN SELECT table_name, column_name FROM information_schema.columns
                 WHERE table_schema = 'public' AND column_default LIKE '%clock_timestamp()' LOOP
        EXECUTE format('ALTER TABLE %I ALTER COLUMN %I SET DEFAULT clock_timestamp()',
                       found.table_name, found.column_name);
    END LOOP;
END $$;
"""


class ModelClock:
    """The time of a database and of the workers on it. Called, it returns what `time.monotonic` would return.

    Args:
        connection: to the database, in autocommit; other connections that are to see this clock are opened later.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self.seconds = 0.0
        connection.execute(_SHADOW.encode())
        connection.execute("INSERT INTO model.clock VALUES (%s)", (self.now,))
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("ALTER DATABASE {} SET search_path = model, pg_catalog, public").format(name))

    def __call__(self) -> float:
        return self.seconds

    @property
    def now(self) -> dt.datetime:
        """The database's time."""
        return _BEGIN + dt.timedelta(seconds=self.seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds
        self._connection.execute("UPDATE model.clock SET now = %s", (self.now,))
