"""Two servers never run on one data folder, whatever namespaces, copies and hosts see it; none works in another's."""

import errno
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from bec_orch.errors import BecError, ConfigError, DatabaseError, DatabaseRefused
from bec_orch.io.postgres.embedded import embedded as embedded_module
from bec_orch.io.postgres.embedded.embedded import EmbeddedPostgres
from bec_orch.io.postgres.embedded.interlock import Interlock, Whereabouts
from tests.support.servers.postmasters import (
    USER_PROCESS,
    answers,
    ask,
    end,
    first_line,
    kill,
    note_of_a_crash,
    postmaster,
    servers,
    start_user,
    until,
)

_NAMESPACES = ("unshare", "--pid", "--ipc", "--mount", "--fork", "--kill-child", "--mount-proc")
needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0
    or shutil.which("unshare") is None
    or subprocess.run([*_NAMESPACES, "true"], capture_output=True, check=False).returncode != 0,
    reason="no namespaces can be made here",
)


def main_processes(home: Path) -> int:
    """Count the servers, and not their children."""
    found = set(servers(home))
    return sum(parent is not None and parent not in found for parent in map(parent_of, found))


def parent_of(pid: int) -> int | None:
    """Return the parent of a process; None where it ended meanwhile, as those that serve a connection do."""
    try:
        parent: int = psutil.Process(pid).ppid()
    except psutil.NoSuchProcess:
        return None
    return parent


def start_elsewhere(home: Path, first: str = "true") -> "subprocess.Popen[str]":
    """Start a user in namespaces of its own, as a container with the folder mounted is."""
    user = [sys.executable, "-c", USER_PROCESS, str(home)]
    return subprocess.Popen(
        [*_NAMESPACES, "sh", "-c", f'{first} && exec "$@"', "sh", *user],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def refused(home: Path) -> BecError:
    with pytest.raises(BecError) as caught:
        EmbeddedPostgres(home).start()
    return caught.value


def mended(server: EmbeddedPostgres) -> bool:
    """Have it mended, as after each fault, and tell whether it answers."""
    server.mend(DatabaseError("away", code="E_DB_AWAY"))
    return answers(server.conninfo)


def note(home: Path, **changed: str) -> None:
    """Change what the record of the last server says."""
    record = home / "pg" / "keeper.json"
    record.write_text(json.dumps({**json.loads(record.read_bytes()), **changed}))


@needs_namespaces
class TestNamespaces:
    def test_a_user_in_other_namespaces_shares_the_server(self, home: Path) -> None:
        here = start_user(home)
        conninfo = first_line(here)
        there = start_elsewhere(home)
        assert first_line(there) == conninfo
        assert main_processes(home) == 1
        end(here)
        assert answers(conninfo), "the other one is still in"
        end(there)
        until(lambda: not servers(home))

    def test_namespaces_that_are_killed_with_the_server_leave_the_data_whole(self, home: Path) -> None:
        there = start_elsewhere(home)
        conninfo = first_line(there)
        with EmbeddedPostgres(home) as server:
            with psycopg.connect(server.conninfo) as connection:
                connection.execute("CREATE TABLE kept (n integer)")
            there.kill()
            there.communicate()
            until(lambda: not answers(conninfo))
            until(lambda: mended(server))
            with psycopg.connect(server.conninfo) as connection:
                assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
            assert main_processes(home) == 1

    def test_a_server_out_of_reach_is_a_refusal(self, home: Path) -> None:
        with EmbeddedPostgres(home) as server:
            before = (home / "pg" / "data" / "postmaster.pid").read_bytes()
            hidden = start_elsewhere(home, f"mount -t tmpfs none '{home}/pg/run'")
            _, err = hidden.communicate(timeout=60)
            assert hidden.returncode != 0
            assert "cannot be reached from here: its socket" in err
            assert (home / "pg" / "data" / "postmaster.pid").read_bytes() == before
            assert ask(server.conninfo) == "bec"
            assert main_processes(home) == 1


class TestLock:
    def test_children_of_a_dead_server_hold_the_next_one_up(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(embedded_module, "_REACH_WAIT", 1.0)
        server = EmbeddedPostgres(home)
        server.start()
        [child, *_] = psutil.Process(postmaster(home)).children()
        child.suspend()
        try:
            kill(home)
            error = refused(home)
            assert (type(error), error.code) == (DatabaseRefused, "E_PG_ELSEWHERE")
            assert servers(home) == [child.pid]
        finally:
            child.kill()
        until(lambda: not servers(home))
        with EmbeddedPostgres(home) as again:
            assert ask(again.conninfo) == "bec"
        server.stop()

    def test_whoever_holds_it_is_waited_for_and_named(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(embedded_module, "START_WAIT", 0.1)
        with Interlock(home / "pg").take() as lock:
            assert lock
            error = refused(home)
        assert error.code == "E_PG_ELSEWHERE"
        assert f"A server runs on {home}/pg/data, and cannot be reached from here" in error.message
        assert "another container" in error.hint

    @pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
    def test_a_disk_without_locks_is_refused(self, home: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        def unknown(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(fcntl, "flock", unknown)
        error = refused(home)
        assert (type(error), error.code) == (ConfigError, "E_NO_LOCKS")
        assert os.strerror(number) in error.message
        assert not servers(home)

    def test_a_disk_whose_locks_keep_nobody_out_is_refused(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fcntl, "flock", lambda *_: None)
        error = refused(home)
        assert (error.code, "two held one at the same time" in error.message) == ("E_NO_LOCKS", True)
        assert not servers(home)


class TestHosts:
    @pytest.fixture
    def left(self, home: Path) -> Path:
        """A home that a server on another machine left without an end."""
        with EmbeddedPostgres(home):
            kill(home)
        until(lambda: not servers(home))
        note(home, host="far-away", boot="another")
        return home

    def test_a_network_folder_that_another_host_did_not_close_is_refused(
        self, left: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Interlock, "_is_on_local_disk", lambda _: False)
        before = (left / "pg" / "data" / "postmaster.pid").read_bytes()
        error = refused(left)
        assert (type(error), error.code) == (DatabaseRefused, "E_PG_ELSEWHERE")
        assert "was opened on far-away, and not closed there" in error.message
        assert f"remove {left}/pg/keeper.json" in error.hint
        assert (left / "pg" / "data" / "postmaster.pid").read_bytes() == before
        assert not servers(left)
        (left / "pg" / "keeper.json").unlink()
        (left / "pg" / "data" / "postmaster.pid").unlink()
        with EmbeddedPostgres(left) as server:
            assert ask(server.conninfo) == "bec"

    def test_so_is_one_that_another_namespace_did_not_close(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Interlock, "_is_on_local_disk", lambda _: False)
        note_of_a_crash(home)
        note(home, pid_namespace="1")
        assert refused(home).code == "E_PG_ELSEWHERE"

    def test_on_a_disk_of_this_machine_it_was_a_restart(self, left: Path) -> None:
        with EmbeddedPostgres(left) as server:
            assert ask(server.conninfo) == "bec"

    def test_a_network_folder_that_was_closed_is_taken(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Interlock, "_is_on_local_disk", lambda _: False)
        with EmbeddedPostgres(home):
            assert json.loads((home / "pg" / "keeper.json").read_bytes())["host"] == socket.gethostname()
        assert (home / "pg" / "keeper.json").read_bytes() == b""
        with EmbeddedPostgres(home) as server:
            assert ask(server.conninfo) == "bec"

    def test_the_kinds_of_disks_are_known(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def disks(kind: str) -> object:
            disk = psutil._ntuples.sdiskpart if hasattr(psutil, "_ntuples") else psutil._common.sdiskpart
            return lambda **_: [disk("none", "/", "ext4", ""), disk("server:/share", str(home), kind, "")]

        monkeypatch.setattr(psutil, "disk_partitions", disks("nfs4"))
        assert not Interlock(home / "pg")._is_on_local_disk()
        monkeypatch.setattr(psutil, "disk_partitions", disks("xfs"))
        assert Interlock(home / "pg")._is_on_local_disk()

    def test_a_process_knows_where_it_runs(self) -> None:
        here = Whereabouts.of_this_process()
        assert here == Whereabouts.of_this_process()
        assert here.host == socket.gethostname()
        assert here.boot


class TestCopies:
    @pytest.fixture
    def copied(self, home: Path) -> Iterator[tuple[EmbeddedPostgres, Path]]:
        """A server, and a copy of its home that was made while it ran."""
        copy = home.with_name(f"{home.name}-copy")
        with EmbeddedPostgres(home) as server:
            subprocess.run(["cp", "-a", home, copy], check=True)
            yield server, copy
        shutil.rmtree(copy)

    def test_a_copy_made_meanwhile_is_refused_and_the_original_left_alone(
        self, copied: tuple[EmbeddedPostgres, Path], home: Path
    ) -> None:
        server, copy = copied
        error = refused(copy)
        assert (type(error), error.code) == (ConfigError, "E_PG_COPY")
        assert str(copy) in error.message
        assert not servers(copy)
        assert ask(server.conninfo) == "bec"

    def test_a_copy_made_meanwhile_is_known_without_its_record(self, copied: tuple[EmbeddedPostgres, Path]) -> None:
        _, copy = copied
        (copy / "pg" / "keeper.json").unlink()
        assert refused(copy).code == "E_PG_COPY"

    def test_a_copy_that_is_taken_as_it_is_works_in_its_own_data(
        self, copied: tuple[EmbeddedPostgres, Path], home: Path
    ) -> None:
        server, copy = copied
        (copy / "pg" / "keeper.json").unlink()
        (copy / "pg" / "data" / "postmaster.pid").unlink()
        with EmbeddedPostgres(copy) as second:
            with psycopg.connect(second.conninfo) as connection:
                connection.execute("CREATE TABLE mine (n integer)")
            with psycopg.connect(server.conninfo) as connection:
                assert connection.execute("SELECT to_regclass('mine')").fetchone() == (None,)
        assert ask(server.conninfo) == "bec", "leaving the copy stops the copy's server alone"

    def test_a_copy_of_hard_links_is_refused(self, home: Path) -> None:
        copy = home.with_name(f"{home.name}-links")
        subprocess.run(["cp", "-al", home, copy], check=True)
        error = refused(copy)
        shutil.rmtree(copy)
        assert (error.code, "hard links" in error.message) == ("E_PG_COPY", True)
        with EmbeddedPostgres(home) as server:
            assert ask(server.conninfo) == "bec"

    def test_a_home_that_is_moved_is_no_copy(self, home: Path) -> None:
        moved = home.with_name(f"{home.name}-moved")
        with EmbeddedPostgres(home):
            kill(home)
        home.rename(moved)
        try:
            with EmbeddedPostgres(moved) as server:
                assert ask(server.conninfo) == "bec"
        finally:
            moved.rename(home)

    def test_a_socket_that_leads_to_other_data_is_not_entered(
        self, cluster: Path, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(embedded_module, "START_WAIT", 0.1)
        other = home.with_name(f"{home.name}-other")
        subprocess.run(["cp", "-a", cluster, other], check=True)
        with EmbeddedPostgres(other), Interlock(home / "pg").take():
            shutil.rmtree(home / "pg" / "run")
            (home / "pg" / "run").symlink_to(other / "pg" / "run")
            assert "what answers works on other data" in refused(home).message
        shutil.rmtree(other)


class TestPidFile:
    def test_a_number_that_another_server_has_is_neither_waited_for_nor_stopped(
        self, cluster: Path, home: Path
    ) -> None:
        other = home.with_name(f"{home.name}-other")
        subprocess.run(["cp", "-a", cluster, other], check=True)
        with EmbeddedPostgres(other) as theirs:
            text = (other / "pg" / "data" / "postmaster.pid").read_text()
            (home / "pg" / "data" / "postmaster.pid").write_text(text)
            note_of_a_crash(home)
            with EmbeddedPostgres(home) as server:
                assert postmaster(home) != postmaster(other)
                assert ask(server.conninfo) == "bec"
            assert ask(theirs.conninfo) == "bec"
        shutil.rmtree(other)

    def test_a_server_that_lost_its_socket_is_stopped_and_started_again(self, home: Path) -> None:
        with EmbeddedPostgres(home) as server:
            first = postmaster(home)
            for file in (home / "pg" / "run").iterdir():
                file.unlink()
            server.mend(DatabaseError("away", code="E_DB_AWAY"))
            assert ask(server.conninfo) == "bec"
            assert postmaster(home) != first
            with suppress(ProcessLookupError):
                os.kill(first, signal.SIGCONT)
                pytest.fail("the first server still runs")
