"""Homes of the version before, whose servers hold no lock and are stopped by their users."""

import fcntl
import shutil
import subprocess
from pathlib import Path

import psutil
import psycopg
import pytest

from bec_orch.errors import DatabaseError, DatabaseRefused
from bec_orch.io.postgres.embedded.embedded import EmbeddedPostgres
from bec_orch.io.postgres.embedded.programs import PgPrograms
from tests.support.servers.postmasters import answers, ask, kill, postmaster, servers, until


@pytest.fixture
def old(home: Path) -> Path:
    """A home with a server that was started as the version before did."""
    home.chmod(0o711)
    for name in ("keeper.json", "server.lock", "server.log"):
        (home / "pg" / name).unlink()
    (home / "pg" / "run").mkdir(exist_ok=True)
    programs = PgPrograms()
    programs.own(home / "pg" / "run")
    (home / "pg" / "data" / "pg_hba.conf").write_text("local all all trust\n")
    settings = f"-c listen_addresses= -c unix_socket_directories='{home}/pg/run' -c max_connections=200"
    log = str(home / "pg" / "run" / "server.log")
    programs.run("pg_ctl", "start", "-D", str(home / "pg" / "data"), "-w", "-l", log, "-o", settings)
    return home


def kill_reaped(home: Path) -> None:
    """Kill a server whose parent is gone, and wait until the system has forgotten it and its children."""
    pid = postmaster(home)
    kill(home)
    until(lambda: not psutil.pid_exists(pid) and not servers(home))


def test_a_running_one_is_joined_and_stopped_by_its_last_user(old: Path) -> None:
    with EmbeddedPostgres(old) as server, EmbeddedPostgres(old) as second:
        assert ask(server.conninfo) == ask(second.conninfo) == "bec"
        running = servers(old)
    assert running
    assert not servers(old)
    with EmbeddedPostgres(old) as server, psycopg.connect(server.conninfo) as connection:
        assert connection.execute("SELECT DISTINCT auth_method FROM pg_hba_file_rules").fetchall() == [("peer",)]


def test_one_that_an_old_user_is_in_is_left_to_it(old: Path) -> None:
    with (old / "pg" / "users.lock").open("ab") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        with EmbeddedPostgres(old) as server:
            conninfo = server.conninfo
        assert answers(conninfo)


def test_one_that_dies_is_started_with_a_keeper(old: Path) -> None:
    with EmbeddedPostgres(old) as server:
        conninfo = server.conninfo
        kill_reaped(old)
        server.mend(DatabaseError("away", code="E_DB_AWAY"))
        assert ask(conninfo) == "bec"
    assert not servers(old)


def test_one_that_others_are_in_and_nobody_reaches_is_left_alone(old: Path) -> None:
    for file in (old / "pg" / "run").glob(".s.*"):
        file.unlink()
    before = postmaster(old)
    with (old / "pg" / "users.lock").open("ab") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        with pytest.raises(DatabaseRefused) as caught:
            EmbeddedPostgres(old).start()
    assert caught.value.code == "E_PG_ELSEWHERE"
    assert postmaster(old) == before
    assert before in servers(old)


def test_one_that_nobody_is_in_and_nobody_reaches_is_started_again(old: Path) -> None:
    for file in (old / "pg" / "run").glob(".s.*"):
        file.unlink()
    with EmbeddedPostgres(old) as server:
        assert ask(server.conninfo) == "bec"
    assert not servers(old)


def test_a_pid_file_whose_number_lives_is_left_to_the_operator(cluster: Path, home: Path) -> None:
    other = home.with_name(f"{home.name}-other")
    subprocess.run(["cp", "-a", cluster, other], check=True)
    stale = home / "pg" / "data" / "postmaster.pid"
    with EmbeddedPostgres(other) as theirs:
        stale.write_text(f"{postmaster(other)}\n{home}/pg/data\n1700000000\n5432\n{home}/pg/run\n\n 1 1\nready\n")
        with pytest.raises(DatabaseError, match=r'"postmaster\.pid" already exists') as caught:
            EmbeddedPostgres(home).start()
        assert caught.value.code == "E_PG_START"
        assert caught.value.hint == f"If no PostgreSQL works on {home}/pg/data, remove {stale}."
        assert stale.exists()
        assert ask(theirs.conninfo) == "bec"
    shutil.rmtree(other)


def test_a_pid_file_that_it_left_is_judged_by_postgresql(old: Path) -> None:
    kill_reaped(old)
    with EmbeddedPostgres(old) as server:
        assert ask(server.conninfo) == "bec"
