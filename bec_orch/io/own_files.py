"""Files that a command writes where people's own files may lie: only one that this program wrote is written over."""

import os
import re
import threading
from pathlib import Path

from bec_orch.errors import UsageError
from bec_orch.io.stores.errors import file_errors

MARK = b"bec_orch"
"""Stands at the beginning of each such file."""

_BEGINNING = 1024
_OF = re.compile(MARK + rb" ([a-z0-9 -]+);")
_JPEG_START, _JPEG_COMMENT = b"\xff\xd8", b"\xff\xfe"


def marked_jpeg(picture: bytes, of: str = "") -> bytes:
    """Put the mark into a JPEG, as a comment that no viewer shows; `of` says in ASCII what it is a picture of."""
    comment = MARK + (f" {of};".encode("ascii") if of else b"")
    length = (2 + len(comment)).to_bytes(2, "big")
    return _JPEG_START + _JPEG_COMMENT + length + comment + picture.removeprefix(_JPEG_START)


def marked_as(file: Path) -> str:
    """Return what a file with our mark says that it is of; empty where there is no such file, or it does not say.

    Raises:
        StorageError: it cannot be read.
    """
    with file_errors(f"read {file}"):
        if not file.is_file():
            return ""
        with file.open("rb") as opened:
            found = _OF.search(opened.read(_BEGINNING))
    return found[1].decode("ascii") if found else ""


def write_own(file: Path, data: bytes, *, or_same: bytes = b"") -> None:
    """Write a file whole or not at all, in place of nothing, or of one with our mark.

    Args:
        file: the file; its folder is made when it is not there.
        data: the content, with the mark.
        or_same: what may also be written over, because it says the same: the content without the mark.

    Raises:
        UsageError: another file has the name (E_FILE_FOREIGN), or a folder (E_NOT_A_FILE).
        DiskFullError, StorageError: it cannot be written.
    """
    with file_errors(f"write {file}"):
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.is_dir():
            raise UsageError(f"{file} is a folder.", code="E_NOT_A_FILE", hint="Move it away, or name a file in it.")
        if file.exists() and not file.is_file():
            file.write_bytes(data)  # a terminal or a pipe has no content that could be lost
            return
        if file.exists() and not _may_go(file, or_same):
            raise UsageError(
                f"The file {file} was not written by this program: it is left as it is.",
                code="E_FILE_FOREIGN",
                hint="Move it away, or name another one.",
            )
        write_whole(file.resolve(), data)  # a link stays one


def write_whole(file: Path, data: bytes) -> None:
    """Write a file whole or not at all, in place of whatever has its name.

    Raises:
        DiskFullError, StorageError: it cannot be written.
    """
    fresh = file.with_name(f".{file.name}.{os.getpid()}.{threading.get_ident()}.new")
    with file_errors(f"write {file}"):
        fresh.unlink(missing_ok=True)
        try:
            with fresh.open("xb") as made:  # never through a link that somebody left under the name
                made.write(data)
            fresh.replace(file)
        finally:
            fresh.unlink(missing_ok=True)


def _may_go(file: Path, or_same: bytes) -> bool:
    with file.open("rb") as opened:
        beginning = opened.read(_BEGINNING)
    return not beginning or MARK in beginning or file.read_bytes() == or_same
