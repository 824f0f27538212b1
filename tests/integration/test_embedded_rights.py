"""Whose the embedded PostgreSQL is: root, other users, and what stays closed to whom."""

import errno
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from bec_orch.errors import BecError, ConfigError
from bec_orch.io.postgres.embedded import cluster as cluster_module
from bec_orch.io.postgres.embedded import programs as programs_module
from bec_orch.io.postgres.embedded.cluster import Cluster
from bec_orch.io.postgres.embedded.embedded import EmbeddedPostgres
from bec_orch.io.postgres.embedded.programs import PgPrograms
from tests.support.servers.postmasters import ask, servers

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has more than one user")
NOBODY = pwd.getpwnam("nobody")


def state(folder: Path) -> list[tuple[str, int, int, int]]:
    """Everything in a folder that a look must not change."""
    return [
        (str(path), status.st_uid, status.st_mode, status.st_mtime_ns)
        for path in sorted([folder, *folder.rglob("*")])
        for status in [path.lstat()]
    ]


def refused(home: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        EmbeddedPostgres(home).start()
    return caught.value


class TestOwner:
    @as_root
    @pytest.mark.parametrize("owner", ["nobody", "root"])
    def test_root_refuses_data_of_others_and_touches_nothing(self, home: Path, owner: str) -> None:
        subprocess.run(["chown", "-R", owner, home], check=True)
        before = state(home)
        error = refused(home)
        assert error.code == "E_PG_OWNER"
        assert f"belongs to {owner}" in error.message
        assert ("sudo -u nobody bec" if owner == "nobody" else "chown -R pgserver") in error.hint
        assert state(home) == before

    @as_root
    def test_data_that_root_copied_is_mended_as_the_hint_says(self, home: Path) -> None:
        copy = home.with_name(f"{home.name}-r")
        subprocess.run(["cp", "-r", home, copy], check=True)
        assert refused(copy).code == "E_PG_OWNER"
        subprocess.run(["chown", "-R", "pgserver", copy / "pg" / "data"], check=True)
        with EmbeddedPostgres(copy) as server:
            assert ask(server.conninfo) == "bec"
        shutil.rmtree(copy)

    @pytest.mark.parametrize("name", ["root", "pgserver", "somebody"])
    def test_a_user_refuses_data_of_others(self, home: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 4242)
        monkeypatch.setattr(cluster_module, "name_of", lambda _: name)
        before = state(home)
        error = refused(home)
        assert (error.code, f"belongs to {name}" in error.message) == ("E_PG_OWNER", True)
        assert ("with sudo" in error.hint) == (name != "somebody")
        assert f"chown -R $(id -u) {home}/pg" in error.hint
        assert state(home) == before

    def test_a_user_without_a_name_is_reported(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(PgPrograms, "user_name", None)
        assert refused(tmp_path).code == "E_PG_USER"


class TestLogin:
    def test_the_system_says_who_may_log_in(self, home: Path) -> None:
        with EmbeddedPostgres(home) as server, psycopg.connect(server.conninfo) as connection:
            found = connection.execute("SELECT DISTINCT type, auth_method FROM pg_hba_file_rules").fetchall()
            assert found == [("local", "peer")]
            assert connection.execute("SHOW listen_addresses").fetchone() == ("",)

    @as_root
    def test_another_user_is_kept_out_even_where_the_folders_are_open(self, home: Path) -> None:
        with EmbeddedPostgres(home) as server:
            for folder in (home, home / "pg" / "run"):
                folder.chmod(0o777)
            ended = subprocess.run(
                [PgPrograms().path("psql"), server.conninfo, "-c", "SELECT 1"],
                user=NOBODY.pw_uid,
                group=NOBODY.pw_gid,
                extra_groups=[],
                capture_output=True,
                text=True,
                check=False,
                cwd="/",
            )
            assert "Peer authentication failed" in ended.stderr

    def test_a_server_of_another_user_at_the_socket_is_not_believed(self, home: Path) -> None:
        with EmbeddedPostgres(home) as server:
            owner = pwd.getpwuid((home / "pg" / "data").stat().st_uid).pw_name
            assert conninfo_to_dict(server.conninfo)["requirepeer"] == owner
            with pytest.raises(psycopg.OperationalError, match="requirepeer"):
                psycopg.connect(server.conninfo, requirepeer="daemon")

    def test_a_user_without_a_name_is_let_in_by_the_folder_alone(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(PgPrograms, "user_name", None)
        Cluster(home / "pg").let_in(PgPrograms())
        assert "local all all trust\n" in (home / "pg" / "data" / "pg_hba.conf").read_text()
        assert (home / "pg" / "data").stat().st_mode & 0o077 == 0


@as_root
class TestClosedFolders:
    @pytest.fixture
    def closed(self, tmp_path: Path) -> Path:
        folder = tmp_path / "closed"
        folder.mkdir(mode=0o700)
        return folder

    def test_a_home_that_is_closed_to_the_systems_user_works_and_stays_closed(self, closed: Path) -> None:
        before = [folder.stat().st_mode for folder in (closed, *closed.parents)]
        with EmbeddedPostgres(closed / "home") as server:
            assert ask(server.conninfo) == "bec"
        with EmbeddedPostgres(closed / "home") as server:
            assert ask(server.conninfo) == "bec"
        assert [folder.stat().st_mode for folder in (closed, *closed.parents)] == before
        assert before[0] & 0o777 == 0o700

    @pytest.fixture
    def closed_programs(self, closed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        """The programs as they are in a virtual environment that only root may enter, and where copies go."""
        installed = programs_module._bin_folder().parent
        shutil.copytree(installed, closed / "installed", ignore=shutil.ignore_patterns("include"))
        monkeypatch.setattr(programs_module, "_bin_folder", lambda: closed / "installed" / "bin")
        copies = Path("/dev/shm" if os.access("/dev/shm", os.W_OK) else "/var/tmp") / f"bec-copies-{os.getpid()}"  # noqa: S108
        monkeypatch.setattr(programs_module, "_OURS", copies)
        yield copies
        shutil.rmtree(copies, ignore_errors=True)

    def test_programs_that_are_closed_to_it_are_copied_once(self, home: Path, closed_programs: Path) -> None:
        for _ in range(2):
            with EmbeddedPostgres(home) as server:
                assert ask(server.conninfo) == "bec"
        [copy] = closed_programs.iterdir()
        assert copy.name.startswith("postgresql-")
        assert not servers(home)

    def test_programs_that_cannot_be_copied_are_reported(
        self, home: Path, closed_programs: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        closed_programs.write_text("in the way")
        error = refused(home)
        closed_programs.unlink()
        assert (error.code, "could not be copied" in error.message) == ("E_PG_RIGHTS", True)

    def test_a_system_that_knows_no_paths_to_open_folders(self, closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(programs_module, "_OPEN_FOLDERS", closed / "none")
        error = refused(closed / "home")
        assert (error.code, f"chmod o+x {closed}" in error.hint) == ("E_PG_RIGHTS", True)
        assert closed.stat().st_mode & 0o777 == 0o700


@as_root
def test_the_log_of_the_server_is_written_through_no_link(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("as it was")
    (tmp_path / "home" / "pg").mkdir(parents=True)
    (tmp_path / "home" / "pg" / "server.log").symlink_to(precious)
    assert refused(tmp_path / "home").code == "E_PG_HOME"
    assert precious.read_text() == "as it was"


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.EMFILE, "E_OPEN_FILES"), (errno.EAGAIN, "E_PROCESSES"), (errno.ENOSPC, "E_DISK_FULL")],
    ids=["open files", "processes", "room"],
)
def test_what_the_machine_lacks_is_no_fault_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    def lacks(_self: Cluster) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Cluster, "refuse_unfit", lacks)
    with pytest.raises(BecError) as caught:
        EmbeddedPostgres(tmp_path).start()
    assert caught.value.code == code
    assert "BEC_HOME" not in caught.value.hint
