"""Files that have pages by what is in them, and not by their names."""

import os
from pathlib import Path

import pytest

from bec_orch.cli.arguments.scans import find_scans
from bec_orch.errors import UsageError
from bec_orch.io.sources import misnamed
from bec_orch.io.sources.detect import detect_source
from bec_orch.io.sources.misnamed import Misnamed, misnamed_below
from bec_orch.settings.config import Settings
from tests.unit import image_bytes as made

PDF = b"%PDF-1.7\n..."
ALL = (
    Misnamed("W1/I1/2.txt", "a picture (JPEG)"),
    Misnamed("W1/I1/3", "a picture (PNG)"),
    Misnamed("W1/book.txt", "a PDF"),
)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    root = tmp_path / "scans"
    for name, data in {
        "W1/I1/1.jpg": made.jpeg(),
        "W1/I1/2.txt": made.jpeg(),
        "W1/I1/3": made.png(),
        "W1/I1/4.pdf": made.png(),
        "W1/I1/notes.txt": b"BM is what it begins with, and a text what it is",
        "W1/I1/._3": made.png(),
        "W1/.hidden/5": made.png(),
        "W1/I1/film": b"\0\0\0\x1cftypisom",
        "W1/book.txt": PDF,
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def test_they_are_told_and_what_is_named_like_a_page_is_left_to_who_reads_it(scans: Path) -> None:
    assert detect_source(scans).misnamed == ALL
    assert misnamed_below(scans) == ALL
    assert find_scans(f"folder+{scans.as_uri()}", Settings()).misnamed == ALL


def test_what_is_no_file_or_cannot_be_read_is_not_waited_for(scans: Path) -> None:
    folder = scans / "W1" / "I1"
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to(folder / "3")
    (folder / "nowhere").symlink_to("gone")
    assert detect_source(scans).misnamed == ALL


def test_only_so_many_are_looked_into(scans: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(misnamed, "MOST_IN_FOLDER", 1)
    assert misnamed_below(scans) == (ALL[0], ALL[2])
    monkeypatch.setattr(misnamed, "MOST", 1)
    assert misnamed_below(scans) == (ALL[2],)


@pytest.mark.parametrize(
    ("name", "data", "told", "hint"),
    [
        ("book.txt", PDF, "is a PDF, and not a folder", "Give it the suffix"),
        ("1.jpg", made.jpeg(), "is a picture (JPEG), and not a folder", "Name the folder"),
        ("notes.txt", b"text", "is not a folder", "one volume's folder"),
    ],
)
def test_a_path_that_is_such_a_file_is_told(tmp_path: Path, name: str, data: bytes, told: str, hint: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError) as caught:
        detect_source(tmp_path / name)
    assert (caught.value.code, told in caught.value.message) == ("E_PATH_NOT_FOLDER", True)
    assert hint in caught.value.hint


@pytest.mark.parametrize("named", [False, True])
def test_a_folder_that_has_nothing_else_says_so(tmp_path: Path, *, named: bool) -> None:
    folder = tmp_path / "books" / "W1"
    folder.mkdir(parents=True)
    for name in ("a", "b", "c.txt"):
        (folder / name).write_bytes(PDF)
    with pytest.raises(UsageError) as caught:
        find_scans(f"pdf+{folder.parent.as_uri()}" if named else str(folder.parent), Settings())
    assert caught.value.code == "E_PATH_NO_IMAGES"
    assert "'W1/a' is a PDF" in caught.value.message
    assert ".pdf" in caught.value.hint
