"""What a command writes where people's own files may lie."""

import os
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from bec_orch.errors import StorageError, UsageError
from bec_orch.io.own_files import MARK, marked_as, marked_jpeg, write_own, write_whole


def picture(grey: int) -> bytes:
    done, data = cv2.imencode(".jpg", np.full((8, 8, 3), grey, np.uint8))
    assert done
    return bytes(data)


def test_what_we_wrote_is_written_over_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "page.jpg"
    for grey in (1, 200):
        write_own(file, marked_jpeg(picture(grey)))
    assert file.read_bytes() == marked_jpeg(picture(200))
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("theirs", [b"<html>my notes</html>", b"x" * 2000 + MARK, picture(3)])
def test_a_file_of_somebody_else_stays(tmp_path: Path, theirs: bytes) -> None:
    file = tmp_path / "report.html"
    file.write_bytes(theirs)
    with pytest.raises(UsageError) as caught:
        write_own(file, b"<html>bec_orch</html>")
    assert (caught.value.code, str(file) in caught.value.message) == ("E_FILE_FOREIGN", True)
    assert file.read_bytes() == theirs


def test_a_picture_of_the_time_before_marks_that_shows_the_same_gets_one(tmp_path: Path) -> None:
    file = tmp_path / "page.jpg"
    file.write_bytes(picture(3))
    write_own(file, marked_jpeg(picture(3)), or_same=picture(3))
    assert file.read_bytes() == marked_jpeg(picture(3))


def test_the_mark_is_seen_by_no_viewer() -> None:
    pixels = [cv2.imdecode(np.frombuffer(data, np.uint8), 1) for data in (picture(90), marked_jpeg(picture(90)))]
    assert pixels[0] is not None
    assert pixels[1] is not None
    assert (pixels[0] == pixels[1]).all()


def test_a_link_stays_one_and_an_empty_file_is_filled(tmp_path: Path) -> None:
    (tmp_path / "target").touch()
    (tmp_path / "link").symlink_to("target")
    write_own(tmp_path / "link", b"bec_orch")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"bec_orch"


def test_a_device_takes_what_is_written_and_a_folder_does_not(tmp_path: Path) -> None:
    write_own(Path("/dev/null"), b"bec_orch")
    with pytest.raises(UsageError, match="is a folder") as caught:
        write_own(tmp_path, b"bec_orch")
    assert caught.value.code == "E_NOT_A_FILE"


def test_a_file_in_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError) as caught:
        write_own(tmp_path / "file" / "page.jpg", b"bec_orch")
    assert caught.value.code == "E_STORAGE_NO_FOLDER"


def test_what_is_renamed_into_its_place_is_written_through_no_link(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("as it was")
    (tmp_path / f".identity.{os.getpid()}.{threading.get_ident()}.new").symlink_to(precious)
    write_whole(tmp_path / "identity", b"new")
    assert (tmp_path / "identity").read_bytes() == b"new"
    assert precious.read_text() == "as it was"
    assert {path.name for path in tmp_path.iterdir()} == {"identity", "precious"}


def test_a_picture_says_what_it_is_of(tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    assert marked_as(file) == marked_as(tmp_path) == ""
    write_own(file, marked_jpeg(picture(3)))
    assert marked_as(file) == ""
    write_own(file, marked_jpeg(picture(4), "source-0a version-9f"))
    assert marked_as(file) == "source-0a version-9f"
    write_own(file, marked_jpeg(picture(5), "something else"))
    assert marked_as(file) == "something else"
    assert cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), 1) is not None
