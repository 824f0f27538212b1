"""The lock of a workspace."""

import os
from pathlib import Path

import pytest

from bec_orch.errors import UsageError
from bec_orch.io.workspace import WorkspaceLock


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


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be used as a workspace") as caught, WorkspaceLock(tmp_path / "file"):
        pass
    assert caught.value.code == "E_WORKSPACE"
