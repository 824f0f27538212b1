"""The embedded PostgreSQL: started once, shared, stopped by its last user, and clear words when it cannot be."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from bec_orch.errors import BecError, ConfigError, DatabaseError, DatabaseRefused, DiskFullError
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.embedded import address as address_module
from bec_orch.io.postgres.embedded import embedded as embedded_module
from bec_orch.io.postgres.embedded import programs as pg_programs
from bec_orch.io.postgres.embedded.embedded import EmbeddedPostgres
from bec_orch.io.postgres.embedded.programs import PgPrograms
from tests.support.servers.postmasters import (
    answers,
    ask,
    end,
    first_line,
    kill,
    note_of_a_crash,
    postmaster,
    start_user,
)


@pytest.fixture
def shallow() -> Iterator[Path]:
    """A folder for temporary files; `tmp_path` may itself be too deep for a socket."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


class TestLife:
    def test_makes_a_cluster_and_starts_in_it(self) -> None:
        with tempfile.TemporaryDirectory(prefix="bec home ཀ ") as folder:
            home = Path(folder) / "new"
            with EmbeddedPostgres(home) as server:
                assert ask(server.conninfo) == "bec"
            assert not answers(server.conninfo)
            assert not (home / "pg" / "data.new").exists()

    def test_may_be_started_and_stopped_twice_and_stopped_unstarted(self, home: Path) -> None:
        server = EmbeddedPostgres(home)
        server.stop()
        assert server.start() == server.start()
        server.stop()
        server.stop()
        assert not answers(server.conninfo)

    def test_data_is_there_again(self, home: Path) -> None:
        with EmbeddedPostgres(home) as server, psycopg.connect(server.conninfo) as connection:
            connection.execute("CREATE TABLE kept (n integer)")
        with EmbeddedPostgres(home) as server, psycopg.connect(server.conninfo) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)

    def test_last_user_stops_the_server(self, home: Path) -> None:
        first, second = EmbeddedPostgres(home), EmbeddedPostgres(home)
        conninfo = first.start()
        assert second.start() == conninfo
        first.stop()
        assert ask(conninfo) == "bec"
        second.stop()
        assert not answers(conninfo)

    def test_several_processes_at_once_end_in_any_order(self, home: Path) -> None:
        users = [start_user(home) for _ in range(3)]
        conninfos = {first_line(user) for user in users}
        assert len(conninfos) == 1
        [conninfo] = conninfos
        end(users[0])
        assert answers(conninfo)
        users[2].kill()
        users[2].communicate()
        assert answers(conninfo)
        end(users[1])
        assert not answers(conninfo)

    def test_deep_folder_is_reached_through_a_link_of_ones_own(
        self, cluster: Path, tmp_path: Path, shallow: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(shallow))
        home = tmp_path / ("deep" * 30)
        home.mkdir()
        subprocess.run(["cp", "-a", f"{cluster}/.", str(home)], check=True)
        with EmbeddedPostgres(home) as server, EmbeddedPostgres(home) as second:
            assert ask(server.conninfo) == ask(second.conninfo) == "bec"
            links = [Path(str(conninfo_to_dict(each.conninfo)["host"])) for each in (server, second)]
            assert [link.resolve() for link in links] == [home / "pg" / "run"] * 2
            assert links[0] != links[1]
            assert all(link.parent.stat().st_mode & 0o777 == 0o700 for link in links)
        assert not list(shallow.iterdir())

    def test_link_that_was_cleared_away_is_made_again(
        self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(address_module, "_LONGEST", len(str(tmp_path)) + 40)
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        deep = home / ("d" * len(str(tmp_path)))
        (home / "pg").rename(deep.mkdir() or deep / "pg")  # type: ignore[func-returns-value]
        with EmbeddedPostgres(deep) as server:
            [temporary] = tmp_path.iterdir()
            shutil.rmtree(temporary)
            assert not answers(server.conninfo)
            server.mend(DatabaseError("away", code="E_DB_AWAY"))
            assert ask(server.conninfo) == "bec"

    def test_path_that_stays_too_long_is_reported(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(address_module, "_LONGEST", 10)
        with pytest.raises(ConfigError, match="too long") as caught:
            EmbeddedPostgres(home).start()
        assert caught.value.code == "E_PG_HOME"


class TestAccidents:
    def test_killed_server_is_started_again(self, home: Path) -> None:
        with EmbeddedPostgres(home) as server:
            with psycopg.connect(server.conninfo) as connection:
                connection.execute("CREATE TABLE kept (n integer)")
            os.kill(postmaster(home), signal.SIGKILL)
            with EmbeddedPostgres(home) as again, psycopg.connect(again.conninfo) as connection:
                assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)

    def test_killed_server_can_be_left(self, home: Path) -> None:
        server = EmbeddedPostgres(home)
        server.start()
        os.kill(postmaster(home), signal.SIGKILL)
        server.stop()

    def test_pid_file_whose_number_another_process_has(self, home: Path) -> None:
        stale = home / "pg" / "data" / "postmaster.pid"
        stale.write_text(f"{os.getpid()}\n{home}/pg/data\n1700000000\n5432\n../run\n\n  1 1\nready\n")
        note_of_a_crash(home)
        with EmbeddedPostgres(home) as server:
            assert ask(server.conninfo) == "bec"

    def test_broken_pid_file(self, home: Path) -> None:
        (home / "pg" / "data" / "postmaster.pid").write_text("")
        with EmbeddedPostgres(home) as server:
            assert ask(server.conninfo) == "bec"

    def test_port_that_somebody_else_has(self, home: Path) -> None:
        with contextlib.ExitStack() as taken:
            with contextlib.suppress(OSError):  # somebody has it already: as good
                taken.enter_context(socket.create_server(("127.0.0.1", 5432)))
            with EmbeddedPostgres(home) as server:
                assert ask(server.conninfo) == "bec"

    @pytest.mark.parametrize("pid", [999_999_999, 1], ids=["dead", "another user's"])
    def test_socket_that_another_server_left(self, home: Path, pid: int) -> None:
        sockets = home / "pg" / "run"
        sockets.mkdir(exist_ok=True)
        left = socket.socket(socket.AF_UNIX)
        left.bind(str(sockets / ".s.PGSQL.5432"))
        left.close()
        (sockets / ".s.PGSQL.5432.lock").write_text(f"{pid}\n{home}/pg/data\n1700000000\n5432\n{sockets}\n")
        with EmbeddedPostgres(home) as server:
            assert ask(server.conninfo) == "bec"

    def test_cluster_that_was_half_made(self, home: Path) -> None:
        (home / "pg" / "data").rename(home / "pg" / "data.new")
        with EmbeddedPostgres(home) as server:
            assert ask(server.conninfo) == "bec"

    def test_data_of_another_version(self, home: Path) -> None:
        (home / "pg" / "data" / "PG_VERSION").write_text("16\n")
        with pytest.raises(ConfigError, match="PostgreSQL 16") as caught:
            EmbeddedPostgres(home).start()
        assert caught.value.code == "E_PG_VERSION"
        assert caught.value.hint

    @pytest.mark.parametrize("content", ["", None], ids=["empty", "missing"])
    def test_version_file_that_a_crash_cut_short(self, home: Path, content: str | None) -> None:
        file = home / "pg" / "data" / "PG_VERSION"
        file.unlink() if content is None else file.write_text(content)
        with pytest.raises(ConfigError, match=r"PG_VERSION is (empty|missing): ") as caught:
            EmbeddedPostgres(home).start()
        assert caught.value.code == "E_PG_DAMAGED"

    def test_folder_of_something_else(self, home: Path) -> None:
        (home / "pg" / "data" / "global" / "pg_control").unlink()
        with pytest.raises(DatabaseError) as caught:
            EmbeddedPostgres(home).start()
        assert caught.value.code == "E_PG_START"
        assert "server.log" in caught.value.hint

    def test_home_that_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(ConfigError) as caught:
            EmbeddedPostgres(tmp_path / "file").start()
        assert caught.value.code == "E_PG_HOME"

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o555)
        with pytest.raises(ConfigError) as caught:
            EmbeddedPostgres(tmp_path).start()
        assert caught.value.code == "E_PG_HOME"

    def test_full_disk_while_making_the_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "mkdir", full)
        with pytest.raises(DiskFullError):
            EmbeddedPostgres(tmp_path).start()

    def test_full_disk_while_starting(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (home / "pg" / "data" / "global" / "pg_control").unlink()
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 99, 1))
        with pytest.raises(DiskFullError):
            EmbeddedPostgres(home).start()

    def test_full_disk_while_the_data_folder_is_filled(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object, **__: object) -> None:
            raise DatabaseError("PostgreSQL's initdb failed: No space left on device", code="E_PG_START")

        monkeypatch.setattr(PgPrograms, "run", full)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 99, 1))
        with pytest.raises(DiskFullError):
            EmbeddedPostgres(tmp_path).start()

    def test_somebody_else_starts_it_forever(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(embedded_module, "_LOCK_WAIT", 0.1)
        with EmbeddedPostgres(home)._start_lock(), pytest.raises(DatabaseError) as caught:
            EmbeddedPostgres(home).start()
        assert caught.value.code == "E_PG_BUSY"


class TestMending:
    @pytest.fixture
    def server(self, home: Path) -> Iterator[EmbeddedPostgres]:
        with EmbeddedPostgres(home) as server:
            yield server

    @pytest.fixture
    def database(self, server: EmbeddedPostgres) -> Iterator[Database]:
        with Database(server.conninfo, wait=1.0, on_fault=server.mend) as database:
            yield database

    def test_server_that_died_is_started_again_by_the_first_who_misses_it(self, home: Path, database: Database) -> None:
        look(database)
        kill(home)
        assert missed(database).code == "E_DB_AWAY"
        look(database)

    def test_server_that_several_miss_is_started_once(self, home: Path, server: EmbeddedPostgres) -> None:
        kill(home)
        with ThreadPoolExecutor(4) as threads:
            for mended in [threads.submit(server.mend, DatabaseError("away", code="E_DB_AWAY")) for _ in range(4)]:
                mended.result()
        assert ask(server.conninfo) == "bec"
        assert len(server._deaths) == 1

    def test_server_that_cannot_be_started_again_is_a_refusal(self, home: Path, database: Database) -> None:
        look(database)
        control = home / "pg" / "data" / "global" / "pg_control"
        kill(home)
        control.rename(control.with_suffix(".away"))
        refusal = missed(database)
        assert isinstance(refusal, DatabaseRefused)
        assert (refusal.code, "server.log" in refusal.hint) == ("E_PG_START", True)
        control.with_suffix(".away").rename(control)
        assert missed(database).code == "E_DB_AWAY"
        look(database)

    def test_server_that_dies_again_and_again_is_a_refusal(
        self, home: Path, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(embedded_module, "_MOST_DEATHS", 1)
        look(database)
        kill(home)
        assert missed(database).code == "E_DB_AWAY"
        look(database)
        kill(home)
        refusal = missed(database)
        assert isinstance(refusal, DatabaseRefused)
        assert refusal.code == "E_PG_DIES"
        assert "died 2 times" in refusal.message
        assert "server.log" in refusal.hint

    def test_full_disk_of_the_server_is_a_refusal(self, database: Database) -> None:
        # What PostgreSQL raises where it finds no room for a table's next block.
        full = "DO $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$"
        with pytest.raises(DatabaseRefused, match="no space left") as caught, database.transaction("write") as opened:
            opened.execute(full)
        assert caught.value.code == "E_DISK_FULL"
        assert "Free space" in caught.value.hint

    def test_other_faults_are_left_alone(self, database: Database) -> None:
        with pytest.raises(DatabaseError) as caught, database.transaction("divide") as connection:
            connection.execute("SELECT 1 / 0")
        assert caught.value.code == "E_DB_REFUSED"


def look(database: Database) -> None:
    with database.transaction("look") as connection:
        connection.execute("SELECT 1")


def missed(database: Database) -> DatabaseError:
    """Look until the database is missed: what a killed server started answers for a moment more."""
    give_up = time.monotonic() + 20
    while time.monotonic() < give_up:
        try:
            look(database)
        except DatabaseError as error:
            return error
        time.sleep(0.01)
    pytest.fail("the database still answers")


class TestPrograms:
    def test_wheel_that_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pg_programs, "find_spec", lambda _: None)
        with pytest.raises(ConfigError) as caught:
            PgPrograms()
        assert caught.value.code == "E_PG_MISSING"

    def test_program_that_takes_too_long(self) -> None:
        with pytest.raises(DatabaseError, match="took longer"):
            PgPrograms().run("initdb", "--help", time_limit=0.0)

    def test_failure_is_its_last_line_or_the_one_that_reports_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(DatabaseError, match="initdb failed: ") as caught:
            PgPrograms().run("initdb", "--no-such-option")
        assert caught.value.code == "E_PG_START"
        programs = PgPrograms()
        programs.own(tmp_path)
        (tmp_path / "file").touch()
        with (
            programs.reaching(tmp_path) as (path, opened),
            pytest.raises(DatabaseError, match=r"error: .* exists but is not empty\.$"),
        ):
            programs.run("initdb", "-D", path, pass_fds=opened)

    def test_system_user_is_made_once_by_all_who_begin_at_the_same_time(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        made: list[str] = []
        looked = threading.Barrier(4)
        first = threading.local()

        def look(name: str) -> str:
            if not made and not hasattr(first, "look"):
                first.look = looked.wait(60)
            if not made:
                raise KeyError(name)
            return made[0]

        def useradd(command: list[str], **_: object) -> None:
            time.sleep(0.05)
            made.append(command[-1])

        monkeypatch.setattr(pg_programs, "_OURS", tmp_path / "lib")
        monkeypatch.setattr(pg_programs, "pwd", SimpleNamespace(getpwnam=look))
        monkeypatch.setattr(subprocess, "run", useradd)
        with ThreadPoolExecutor(4) as pool:
            users = list(pool.map(lambda _: pg_programs._system_user(), range(4)))
        assert made == ["pgserver"]
        assert list(map(str, users)) == ["pgserver"] * 4

    @pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="sessions are read from /proc")
    def test_ctrl_c_at_a_terminal_does_not_reach_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        programs = PgPrograms()
        monkeypatch.setattr(programs, "path", lambda _program: "/bin/sh")
        with pytest.raises(DatabaseError, match=r"sh failed: \d+\.$") as caught:
            programs.run("sh", "-c", "cut -d' ' -f6 /proc/self/stat; exit 1")
        assert str(caught.value).split()[-1] != f"{os.getsid(0)}."

    def test_system_user_that_cannot_be_made(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pg_programs, "SYSTEM_USER", "no such user")
        monkeypatch.setenv("PATH", "")
        with pytest.raises(BecError) as caught:
            pg_programs._system_user()
        assert caught.value.code == "E_PG_USER"
