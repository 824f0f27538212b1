"""A folder as the store of artefacts, under faults: two processes at once, kills in mid-write, no rights."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bec_orch.errors import BecError, StorageError
from bec_orch.io.stores.folders import FolderObjects
from bec_orch.io.stores.objects import Retries

ROUNDS = 50
SIZE = 3_000_000
_FAST = Retries(attempts=1, wait_initial=0.001, wait_max=0.001)

# Creates the same keys as its twin does, each with bytes of its own, and tells which it won.
_TWIN = """
import sys
from pathlib import Path
from bec_orch.io.stores.folders import FolderObjects
root, mine, rounds, size = Path(sys.argv[1]), sys.argv[2].encode(), int(sys.argv[3]), int(sys.argv[4])
objects = FolderObjects(root)
print("ready", flush=True)
sys.stdin.readline()
print(*(n for n in range(rounds) if objects.create(f"a/{n}", mine * size)), flush=True)
"""
# Writes one key over and over, in whole and by exchange, until it is killed.
_WRITER = """
import sys
from pathlib import Path
from bec_orch.io.stores.folders import FolderObjects
objects, size = FolderObjects(Path(sys.argv[1])), int(sys.argv[2])
number = 0
while True:
    objects.create(f"new/{number}", b"n" * size)
    etag = objects.version_at("old/one")
    assert objects.replace("old/one", bytes([97 + number % 26]) * size, etag)
    number += 1
    print(number, flush=True)
"""


def start(code: str, *arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_of_two_processes_that_create_an_object_one_wins_and_it_is_whole(tmp_path: Path) -> None:
    twins = [start(_TWIN, tmp_path, name, ROUNDS, SIZE // 100) for name in "xy"]
    for twin in twins:
        assert twin.stdout
        assert twin.stdout.readline() == "ready\n"
    for twin in twins:
        assert twin.stdin
        twin.stdin.write("go\n")
        twin.stdin.flush()
    won = {name: set(twin.communicate(timeout=60)[0].split()) for name, twin in zip("xy", twins, strict=True)}
    assert won["x"] | won["y"] == {str(number) for number in range(ROUNDS)}
    assert won["x"] & won["y"] == set()
    for name, numbers in won.items():
        for number in numbers:
            assert (tmp_path / "a" / number).read_bytes() == name.encode() * (SIZE // 100)


def test_a_kill_in_the_middle_of_a_write_shows_no_reader_half_an_object(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path, create=True)
    objects.create("old/one", b"z" * SIZE)
    for turn in range(8):
        writer = start(_WRITER, tmp_path, SIZE)
        assert writer.stdout
        writer.stdout.readline()
        time.sleep(0.003 * turn)
        writer.kill()
        writer.communicate()
        assert writer.returncode == -signal.SIGKILL
        for entry in objects.walk(""):
            blob = objects.read(entry.key)
            assert blob
            assert (len(blob.data), len(set(blob.data))) == (SIZE, 1), entry.key
        for file in (tmp_path / "new").iterdir():
            file.unlink()
    assert objects.create("new/0", b""), "what a kill left is in nobody's way"


@contextlib.contextmanager
def without_rights() -> Iterator[None]:
    """Be somebody who owns nothing; who runs as root may write everywhere."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_folder_that_cannot_be_written_is_reported_and_left_as_it_is(tmp_path: Path) -> None:
    root = tmp_path / "out"
    objects = FolderObjects(root, _FAST, create=True)
    objects.create("a/one", b"1")
    etag = objects.version_at("a/one")
    assert etag
    for folder in (root / "a", root):
        folder.chmod(0o555)
    if os.geteuid() == 0:  # whom we turn into comes as far as the folder
        for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
            folder.chmod(0o755)
    refused: list[BecError] = []
    with without_rights():
        for write in (
            lambda: objects.create("a/two", b"2"),
            lambda: objects.replace("a/one", b"2", etag),
            lambda: objects.delete(["a/one"]),
            objects.check_writable,
        ):
            try:
                write()
            except StorageError as error:
                refused.append(error)
    for folder in (root / "a", root):
        folder.chmod(0o755)
    assert [error.code for error in refused] == ["E_STORAGE_DENIED"] * 4
    assert all(error.hint for error in refused)
    assert [(entry.key, entry.size) for entry in objects.walk("")] == [("a/one", 1)]


def test_an_object_is_on_the_disk_with_its_name_before_it_counts_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[int] = []
    sync = os.fsync

    def noting(file: int) -> None:
        kept.append(os.fstat(file).st_ino)
        sync(file)

    objects = FolderObjects(tmp_path)
    monkeypatch.setattr(os, "fsync", noting)
    assert objects.create("a/b/one", b"1")
    written = [tmp_path / "a/b/one", tmp_path / "a/b", tmp_path / "a", tmp_path]
    assert kept == [path.stat().st_ino for path in written], "the file first, then the names that lead to it"
    kept.clear()
    assert objects.replace("a/b/one", b"2", objects.version_at("a/b/one") or "")
    assert kept[0] == (tmp_path / "a/b/one").stat().st_ino
