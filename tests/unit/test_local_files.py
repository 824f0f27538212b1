"""Scratch folders: one for each attempt, left by nobody, and taken from nobody."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bec_orch.io.artefacts.local_files import ScratchFolder

TOGETHER = 8


def test_folders_that_are_made_at_once_do_not_take_each_other_for_litter(tmp_path: Path) -> None:
    begun = threading.Barrier(TOGETHER)

    def make(_number: int) -> list[ScratchFolder]:
        begun.wait()
        return [ScratchFolder(tmp_path) for _ in range(10)]

    with ThreadPoolExecutor(TOGETHER) as pool:
        folders = [folder for made in pool.map(make, range(TOGETHER)) for folder in made]
    assert [folder for folder in folders if not folder.path.is_dir()] == []
    for folder in folders:
        folder.close()
        folder.close()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / "attempt-left"
    left.mkdir()
    (left / ".lock").touch()
    (left / "part.parquet").write_bytes(b"cut")
    folder = ScratchFolder(tmp_path)
    assert not left.exists()
    assert folder.path.is_dir()
    folder.close()
