"""The pool, errors in words, the schema and its migrations."""

import shutil
import tempfile
import time
from pathlib import Path

import psycopg
import psycopg.conninfo
import pytest
from psycopg.types.json import Jsonb

from bec_orch.core.life.patience import Patience
from bec_orch.errors import ConfigError, DatabaseError, DatabaseRefused
from bec_orch.io.postgres import migrate as migrate_module
from bec_orch.io.postgres.adapters import clean_json, clean_text
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.embedded.embedded import EmbeddedPostgres
from bec_orch.io.postgres.errors import translated
from bec_orch.io.postgres.migrate import Migration, migrate, require_schema, schema_status
from bec_orch.io.postgres.rows import one
from tests.integration.conftest import Sql

SCHEMA = Path(__file__).parents[2] / "schema.sql"
NEEDED = migrate_module.migrations()[-1].version

# What a schema is made of, as PostgreSQL itself prints it.
CATALOGUE = b"""
SELECT 'column', table_name, column_name,
       concat_ws(' ', data_type, column_default, is_nullable, is_identity) FROM information_schema.columns
WHERE table_schema = 'public'
UNION ALL
SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL
SELECT 'view', viewname, '', definition FROM pg_views WHERE schemaname = 'public'
UNION ALL
SELECT 'function', proname, provolatile::text, pg_get_functiondef(oid) FROM pg_proc
WHERE pronamespace = 'public'::regnamespace
UNION ALL
SELECT 'options', relname, relkind::text, reloptions::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
ORDER BY 1, 2, 3, 4
"""


@pytest.fixture
def empty(conninfo: str) -> str:
    """The conninfo of a database without any table."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return conninfo


def catalogue(conninfo: str) -> list[tuple[str, ...]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute(CATALOGUE).fetchall()


def _look(database: Database) -> None:
    with database.transaction("look") as connection:
        connection.execute("SELECT 1")


class TestMigrations:
    def test_schema_sql_is_all_migrations_applied(self, empty: str) -> None:
        with Database(empty) as database:
            migrate(database)
        migrated = catalogue(empty)
        with psycopg.connect(empty, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
            connection.execute(SCHEMA.read_bytes())
        assert catalogue(empty) == migrated
        assert len(migrated) > 100
        with Database(empty) as database:
            assert schema_status(database).is_current
            assert migrate(database) == []

    def test_applies_each_once(self, empty: str) -> None:
        with Database(empty) as database:
            assert schema_status(database).found == 0
            assert [m.version for m in migrate(database)] == list(range(1, NEEDED + 1))
            assert migrate(database) == []
            require_schema(database)

    def test_database_without_schema_is_reported(self, empty: str) -> None:
        with Database(empty) as database, pytest.raises(ConfigError, match="has version 0") as caught:
            require_schema(database)
        assert caught.value.code == "E_DB_SCHEMA"
        assert "bec db init" in caught.value.hint

    def test_newer_database_is_refused(self, database: Database, sql: Sql) -> None:
        sql("INSERT INTO schema_migrations (version, name) VALUES (9999, 'future')")
        for use in (migrate, require_schema):
            with pytest.raises(ConfigError, match="9999") as caught:
                use(database)
            assert caught.value.code == "E_DB_NEWER"

    def test_migration_that_fails_leaves_nothing(self, empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
        broken = Migration(1, "broken", b"CREATE TABLE half (id integer); SELECT no_such_function();")
        monkeypatch.setattr(migrate_module, "migrations", lambda: [broken])
        with Database(empty) as database:
            with pytest.raises(DatabaseError):
                migrate(database)
            assert schema_status(database).found == 0
        assert catalogue(empty) == []


class TestErrors:
    def test_database_that_is_away(self, tmp_path: Path) -> None:
        with (
            Database(f"host={tmp_path} dbname=x password=canary", wait=0.3) as database,
            pytest.raises(DatabaseError) as caught,
            database.transaction("count sheep"),
        ):
            pytest.fail("there is no database")
        assert caught.value.retryable
        assert caught.value.code == "E_DB_AWAY"
        assert "count sheep" in str(caught.value)
        assert "canary" not in str(caught.value)

    def test_all_connections_in_use(self, conninfo: str) -> None:
        with (
            Database(conninfo, connections=1, wait=0.2) as database,
            database.transaction("hold"),
            pytest.raises(DatabaseError, match="couldn't get a connection"),
            database.transaction("wait"),
        ):
            pytest.fail("there is one connection only")

    def test_a_client_that_falls_silent_holds_its_locks_no_longer_than_said(self, conninfo: str) -> None:
        lock = "SELECT pg_advisory_xact_lock(7)"

        def lock_and_sleep() -> None:
            with silent.transaction("lock and sleep") as held, other.transaction("wait for the lock") as waiting:
                held.execute(lock)
                waiting.execute(lock)

        # The lock can be had by the other: the session that held it is gone, and its transaction with it.
        with (
            Database(conninfo, idle_within=0.3) as silent,
            Database(conninfo) as other,
            pytest.raises(DatabaseError, match="lock and sleep"),
        ):
            lock_and_sleep()

    def test_wrong_database_is_reported_at_once_in_the_servers_words(self, conninfo: str) -> None:
        wrong = psycopg.conninfo.make_conninfo(conninfo, dbname="no_such_database")
        with (
            Database(wrong) as database,
            pytest.raises(DatabaseError, match='"no_such_database" does not exist'),
            database.transaction("look"),
        ):
            pytest.fail("there is no such database")

    def test_server_without_tls_is_refused_when_tls_is_asked_for(self, server: str) -> None:
        # Over a socket TLS is never spoken, so this shows only that what the caller asks for is passed on.
        with Database(f"{server} sslmode=no-such-mode") as database, pytest.raises(DatabaseError, match="sslmode"):
            database.connect("look")

    def test_work_goes_on_soon_after_an_outage(self) -> None:
        home = Path(tempfile.mkdtemp(prefix="bec-outage-"))
        embedded = EmbeddedPostgres(home)
        try:
            with Database(embedded.start(), wait=0.5) as database:
                for _ in range(2):
                    _look(database)
                    embedded.stop()
                    for _ in range(3):
                        with pytest.raises(DatabaseError), database.transaction("look"):
                            pytest.fail("it is away")
                    embedded.start()
                    begun = time.monotonic()
                    Patience(10)(lambda: _look(database))
                    assert time.monotonic() - begun < 10
        finally:
            embedded.stop()
            shutil.rmtree(home)

    def test_listening_to_a_database_that_is_away(self, tmp_path: Path) -> None:
        with Database(f"host={tmp_path} dbname=x") as database, pytest.raises(DatabaseError) as caught:
            database.connect("listen")
        assert caught.value.code == "E_DB_AWAY"

    def test_connections_that_were_cut_are_replaced(self, sql: Sql, conninfo: str) -> None:
        sql("SELECT 1")
        with psycopg.connect(conninfo, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert sql("SELECT 1 AS one") == [{"one": 1}]

    def test_connection_cut_within_a_transaction(self, database: Database, sql: Sql) -> None:
        def work() -> None:
            with database.transaction("sit") as connection:
                sql("SELECT pg_terminate_backend(%s)", connection.info.backend_pid)
                connection.execute("SELECT 1")

        with pytest.raises(DatabaseError) as caught:
            work()
        assert caught.value.code == "E_DB_AWAY"
        assert sql("SELECT 1 AS one") == [{"one": 1}]

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (psycopg.errors.DeadlockDetected, "E_DB_CONFLICT"),
            (psycopg.errors.SerializationFailure, "E_DB_CONFLICT"),
            (psycopg.errors.ReadOnlySqlTransaction, "E_DB_READ_ONLY"),
            (psycopg.errors.TooManyConnections, "E_DB_CONNECTIONS"),
            (psycopg.errors.DiskFull, "E_DB_DISK_FULL"),
            (psycopg.errors.AdminShutdown, "E_DB_AWAY"),
            (psycopg.errors.QueryCanceled, "E_DB_SLOW"),
            (psycopg.errors.LockNotAvailable, "E_DB_LOCKED"),
            (psycopg.errors.IdleInTransactionSessionTimeout, "E_DB_AWAY"),
            (psycopg.errors.InvalidPassword, "E_DB_AUTH"),
            (psycopg.errors.UndefinedTable, "E_DB_SCHEMA"),
            (psycopg.errors.UniqueViolation, "E_DB_REFUSED"),
            (psycopg.OperationalError, "E_DB_AWAY"),
            (psycopg.DataError, "E_DB_REFUSED"),
        ],
    )
    def test_is_recognised_by_sqlstate(self, error: type[psycopg.Error], code: str) -> None:
        told = translated(error("words that do not matter"), "do it")
        assert told.code == code
        assert "do it" in told.message


class TestRows:
    def test_a_row_that_must_be_there_and_is_not_is_reported(self, database: Database) -> None:
        with pytest.raises(DatabaseRefused, match="WHERE name") as caught, database.transaction("look") as connection:
            one(connection, b"SELECT id FROM jobs WHERE name = %(name)s", {"name": "gone"})
        assert caught.value.code == "E_DB_NO_ROW"


class TestCleaning:
    def test_on_every_way_to_the_server(self, database: Database) -> None:
        bad, fit = "a\0b\ud800ཀ", "a\\x00b\\ud800ཀ"
        with database.transaction("store") as connection:
            row = connection.execute(
                b"SELECT %(text)s::text AS text, %(texts)s::text[] AS texts, %(json)s::jsonb AS json",
                {"text": bad, "texts": ["x", bad], "json": Jsonb({bad: [bad, float("nan")]})},
            ).fetchone()
            connection.execute(b"CREATE TEMPORARY TABLE copied (text text) ON COMMIT DROP")
            with connection.cursor() as cursor, cursor.copy(b"COPY copied FROM STDIN") as copy:
                copy.write_row((bad,))
            copied = connection.execute(b"SELECT text FROM copied").fetchone()
        assert row == {"text": fit, "texts": ["x", fit], "json": {fit: [fit, None]}}
        assert copied == {"text": fit}

    def test_texts(self) -> None:
        assert clean_text("a\0b\ud800ཀ") == "a\\x00b\\ud800ཀ"

    def test_json(self) -> None:
        value = {"a\0": [1, 2.5, float("-inf"), None, True], 3: ("x\0",)}
        assert clean_json(value) == {"a\\x00": [1, 2.5, None, None, True], "3": ["x\\x00"]}


def test_no_room_at_the_beginning_of_a_connection_is_reported_as_that() -> None:
    error = psycopg.OperationalError("connection failed: FATAL:  could not write init file: No space left on device")
    assert translated(error, "look").code == "E_DB_DISK_FULL"


def test_who_finds_the_schema_current_writes_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: object) -> bool:
        raise AssertionError("it writes")

    monkeypatch.setattr(migrate_module, "_apply", write)
    assert migrate(database) == []
