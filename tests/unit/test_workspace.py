"""The lock of a workspace."""

import os
import resource
from pathlib import Path

import pytest

from bec_orch.errors import ConfigError, DiskFullError, UsageError
from bec_orch.io.workspace import LOCK_FILE, WorkspaceLock, note_destination, require_destination


def test_a_workspace_is_made_and_held_by_one_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with WorkspaceLock(folder):
        with pytest.raises(UsageError, match=f"process {os.getpid()}") as caught, WorkspaceLock(folder):
            pass
        assert caught.value.code == "E_WORKSPACE_BUSY"
        assert "--out" in caught.value.hint
    with WorkspaceLock(folder):
        assert (folder / "run.lock").read_text() == f"{os.getpid()}\n"


def test_the_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    def fail() -> None:
        with WorkspaceLock(tmp_path):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with WorkspaceLock(tmp_path):
        pass


def test_no_room_is_reported_and_holds_nobody_up_later(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(DiskFullError, match="There is no room in ") as caught, WorkspaceLock(tmp_path):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "Free space" in caught.value.hint
    with WorkspaceLock(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be used as a workspace") as caught, WorkspaceLock(tmp_path / "file"):
        pass
    assert caught.value.code == "E_WORKSPACE"


def test_a_file_of_somebody_else_with_the_name_of_the_lock_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text("my notes on runs")
    with pytest.raises(UsageError) as caught, WorkspaceLock(tmp_path):
        pass
    assert caught.value.code == "E_WORKSPACE"
    assert (tmp_path / LOCK_FILE).read_text() == "my notes on runs"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_hands_no_file_of_somebody_else_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    folder, secret = tmp_path / "folder", tmp_path / "secret"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    secret.write_text("root's own")
    (folder / LOCK_FILE).hardlink_to(secret)
    with pytest.raises(UsageError), WorkspaceLock(folder):
        pass
    assert secret.stat().st_uid == 0


class TestDestination:
    def test_it_is_that_of_the_first_who_worked_there(self, tmp_path: Path) -> None:
        require_destination(tmp_path, "s3://bucket")
        note_destination(tmp_path, "s3://bucket/")
        note_destination(tmp_path, "s3://other")
        require_destination(tmp_path, "s3://bucket")
        with pytest.raises(ConfigError) as caught:
            require_destination(tmp_path, "s3://other")
        assert caught.value.code == "E_DEST_OTHER"
        assert "s3://bucket" in caught.value.message

    def test_a_workspace_that_was_moved_has_its_artefacts_with_it(self, tmp_path: Path) -> None:
        before, after = tmp_path / "before", tmp_path / "after"
        before.mkdir()
        note_destination(before, (before / "artefacts").as_uri())
        before.rename(after)
        require_destination(after, (after / "artefacts").as_uri())
        with pytest.raises(ConfigError) as caught:
            require_destination(after, "s3://other")
        assert (after / "artefacts").as_uri() in caught.value.message
