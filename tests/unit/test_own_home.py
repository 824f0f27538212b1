"""A home is this user's own, or root's, before anything in it is touched."""

import os
import pwd
from pathlib import Path

import pytest

from bec_orch.core.locks import open_lock
from bec_orch.core.own_home import FOLDERS, require_own_home
from bec_orch.errors import ConfigError
from bec_orch.io.workspace import WorkspaceLock

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
NOBODY = pwd.getpwnam("nobody").pw_uid


def give(path: Path) -> None:
    os.chown(path, NOBODY, -1, follow_symlinks=False)


def refused(home: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        require_own_home(home)
    assert caught.value.code == "E_PG_OWNER"
    return caught.value


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    made.mkdir()
    return made


def test_a_home_of_ones_own_is_used(home: Path) -> None:
    for name in FOLDERS:
        (home / name).mkdir()
    require_own_home(home)
    require_own_home(home.parent / "new" / "deeper")


@as_root
def test_a_home_of_a_user_is_refused_to_root(home: Path) -> None:
    give(home)
    error = refused(home)
    assert error.message == f"The folder {home} belongs to nobody."
    assert "`sudo -u nobody bec ...`" in error.hint
    with pytest.raises(ConfigError), WorkspaceLock(home):
        pass
    assert list(home.iterdir()) == []


def test_a_home_of_another_user_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        give(home)
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    assert refused(home).hint == "Name a folder of your own with BEC_HOME, or --out DIR."


@as_root
@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_in_it_that_is_a_users_is_refused(home: Path, name: str) -> None:
    (home / name).mkdir()
    give(home / name)
    assert str(home / name) in refused(home).message


@as_root
@pytest.mark.parametrize("name", ["", "pg"])
def test_a_link_that_a_user_made_is_refused_wherever_it_leads(home: Path, name: str) -> None:
    link = home / name if name else home.with_name("link")
    link.symlink_to(home.parent)
    give(link)
    assert refused(home if name else link).message == f"The link {link} belongs to nobody."


@as_root
def test_a_link_of_ones_own_into_a_users_folder_is_refused(home: Path) -> None:
    (home.parent / "theirs").mkdir()
    give(home.parent / "theirs")
    (home / "pg").symlink_to(home.parent / "theirs")
    assert refused(home).message == f"The folder {home}/pg belongs to nobody."


def test_a_link_of_ones_own_to_a_folder_of_ones_own_is_used(home: Path) -> None:
    (home.parent / "disk").mkdir()
    (home / "pg").symlink_to(home.parent / "disk")
    require_own_home(home)


@as_root
def test_root_makes_no_home_in_a_users_folder_but_in_everybodys(home: Path) -> None:
    give(home)
    assert str(home) in refused(home / "new" / "deeper").message
    home.chmod(0o1777)
    require_own_home(home / "new")


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_nothing_is_appended_to_what_is_no_file(home: Path, kind: str) -> None:
    precious = home / "precious"
    precious.write_text("as it was")
    taken = home / "server.log"
    if kind == "link":
        taken.symlink_to(precious)
    elif kind == "pipe":
        os.mkfifo(taken)
    else:
        taken.mkdir()
    with pytest.raises(OSError, match="server"):
        open_lock(taken)
    assert precious.read_text() == "as it was"
