"""What takes too long ends at the server, is told apart from a database that is away, and holds nobody up."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from bec_orch.core.life.patience import Patience
from bec_orch.errors import DatabaseError, DatabaseRefused
from bec_orch.io.postgres import connection as connection_module
from bec_orch.io.postgres import database as database_module
from bec_orch.io.postgres.database import Database
from tests.support.servers.pooler import pooler
from tests.support.servers.tcp_faults import tcp_faults

_BUSY = b"""
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query LIKE %s
"""
_SLEEP = "SELECT pg_sleep(60)"
LIMITS = (
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "client_connection_check_interval",
)


@pytest.fixture
def other(conninfo: str) -> Iterator[psycopg.Connection[Any]]:
    """A session of somebody else, in autocommit."""
    with psycopg.connect(conninfo, autocommit=True) as other:
        yield other


def wait_until(true: Callable[[], bool], seconds: float = 30) -> None:
    give_up = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def at_the_server(other: psycopg.Connection[Any], statement: str) -> int:
    row = other.execute(_BUSY, (statement + "%",)).fetchone()
    assert row
    return int(row[0])


def limits_of(database: Database, *, long: bool = False) -> dict[str, str]:
    with database.transaction("look", long=long) as connection:
        rows = connection.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", (list(LIMITS),))
        return {row["name"]: row["setting"] for row in rows}


def sleep(database: Database, *, long: bool = False) -> None:
    with database.transaction("sleep", long=long) as connection:
        connection.execute(_SLEEP.encode())


class TestSlow:
    def test_a_statement_that_takes_too_long_is_slow_and_the_database_is_not_away(
        self, conninfo: str, other: psycopg.Connection[Any]
    ) -> None:
        with Database(conninfo, answer_within=1.0) as database:
            with pytest.raises(DatabaseError) as caught:
                sleep(database)
            assert (caught.value.code, caught.value.retryable) == ("E_DB_SLOW", True)
            assert not isinstance(caught.value, DatabaseRefused)
            assert "bec db init" in caught.value.hint
            assert at_the_server(other, _SLEEP) == 0
            sleep_again = limits_of(database)
        assert sleep_again["statement_timeout"] == "800"

    def test_what_goes_over_an_archive_has_longer(self, conninfo: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(database_module, "_LONG", 100.0)
        with Database(conninfo, answer_within=0.5) as database:
            with database.transaction("go over it all", long=True) as connection:
                connection.execute("SELECT pg_sleep(1)")
            assert limits_of(database, long=True)["statement_timeout"] == "80000"
            with pytest.raises(DatabaseError) as caught:
                sleep(database)
        assert caught.value.code == "E_DB_SLOW"

    @pytest.mark.parametrize("long", [False, True])
    def test_a_lock_is_not_waited_for_for_long(self, conninfo: str, *, long: bool) -> None:
        lock = b"SELECT pg_advisory_xact_lock(7)"

        def want() -> None:
            with database.transaction("want the lock", long=long) as connection:
                connection.execute(lock)

        with Database(conninfo, answer_within=1.0) as database, psycopg.connect(conninfo) as holding:
            holding.execute(lock)
            with pytest.raises(DatabaseError) as caught:
                want()
        assert (caught.value.code, caught.value.retryable) == ("E_DB_LOCKED", True)

    def test_a_transaction_that_the_server_ended_is_tried_again(self, conninfo: str) -> None:
        paused: list[bool] = []

        def pause_once() -> None:
            with database.transaction("pause") as connection:
                connection.execute("SELECT 1")
                if not paused:
                    paused.append(True)
                    time.sleep(1.0)
                connection.execute("SELECT 1")

        with Database(conninfo, idle_within=0.3) as database:
            Patience(20)(pause_once)
        assert paused


class TestClientGone:
    @pytest.mark.parametrize("long", [False, True])
    def test_its_statement_ends_at_the_server(
        self, conninfo: str, other: psycopg.Connection[Any], *, long: bool
    ) -> None:
        """As with a process that is killed: its connection is closed, and nobody says a word."""
        folder = psycopg.conninfo.conninfo_to_dict(conninfo)["host"]
        with tcp_faults(f"{folder}/.s.PGSQL.5432") as network:
            through = psycopg.conninfo.make_conninfo(conninfo, host="127.0.0.1", port=network.port)
            with Database(through, answer_within=120.0) as database:

                def ask() -> None:
                    with pytest.raises(DatabaseError):
                        sleep(database, long=long)

                thread = threading.Thread(target=ask)
                thread.start()
                wait_until(lambda: at_the_server(other, _SLEEP) == 1)
                begun = time.monotonic()
                network.refuse()
                wait_until(lambda: at_the_server(other, _SLEEP) == 0)
                thread.join(30)
        assert time.monotonic() - begun < 30, "the sleep itself takes 60 s"

    def test_a_server_that_cannot_look_after_its_clients_is_used_without(
        self, conninfo: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection_module, "_CLIENT_CHECK", "unheard_of_check_interval")
        with Database(conninfo) as database:
            found = limits_of(database)
        assert found["client_connection_check_interval"] == "0"
        assert found["statement_timeout"] == "24000"


class TestPooler:
    def test_limits_hold_in_whatever_session_a_transaction_runs_and_are_left_in_none(
        self, conninfo: str, other: psycopg.Connection[Any]
    ) -> None:
        folder = psycopg.conninfo.conninfo_to_dict(conninfo)["host"]
        wanted = {
            "statement_timeout": "24000",
            "lock_timeout": "18000",
            "idle_in_transaction_session_timeout": "7000",
            "client_connection_check_interval": "2000",
        }
        with pooler(f"{folder}/.s.PGSQL.5432") as pooled:
            through = psycopg.conninfo.make_conninfo(conninfo, host="127.0.0.1", port=pooled.port)
            with Database(through, idle_within=7.0) as database:
                assert [limits_of(database) for _ in range(6)] == [wanted] * 6
                assert pooled.swaps >= 5
                with database.connect("look outside of a transaction") as connection:
                    for _ in range(3):
                        shown = connection.execute("SHOW statement_timeout").fetchone()
                        assert shown == {"statement_timeout": "0"}
