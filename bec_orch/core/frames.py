"""Pictures that share a file: the pages of a TIFF, the frames of an animation.

Where a job does all of them (`frames: all`), a page of the manifest has a row for each, one after the other: that of
the first has the name of the file, the others `name#2`, `name#3` and so on.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from bec_orch.core.volumes import Page

MOST_FRAMES = 100
"""A file of more pictures than this is not read picture by picture."""
COUNTER = "further_frames"
"""The counter of `success.json` that says how many rows are those of pictures after a file's first."""
UNREAD = "unread_frames"
"""The counter that says how many pictures of files were not done."""

_NAME = re.compile(r"(.+)#([1-9][0-9]{0,2})", re.DOTALL)


def frame_name(filename: str, frame: int) -> str:
    """Return the name of a picture, from 1, in a file."""
    return filename if frame == 1 else f"{filename}#{frame}"


def file_and_frame(name: str) -> tuple[str, int]:
    """Return the file that a name is of, and which of its pictures. A file may itself be named like a later picture."""
    found = _NAME.fullmatch(name)
    return (found[1], int(found[2])) if found and found[2] != "1" else (name, 1)


def stem(name: str) -> str:
    """Return a name without the suffix of its file: `a.tif#2` becomes `a#2`."""
    file, frame = file_and_frame(name)
    return frame_name(PurePosixPath(file).stem, frame)


def picture_of(name: str, pages: Mapping[str, Page]) -> tuple[Page, int] | None:
    """Return the page of the manifest that a row's name is of, and which of its pictures; None where there is none."""
    if name in pages:
        return pages[name], 1
    file, frame = file_and_frame(name)
    return (pages[file], frame) if file in pages else None


def are_rows_of(names: Sequence[str | None], filenames: Sequence[str]) -> bool:
    """Return whether rows of these names are those of the files, in order: each file's, then its further pictures'."""
    place, frame = -1, 1
    for name in names:
        if place + 1 < len(filenames) and name == filenames[place + 1]:
            place, frame = place + 1, 1
        elif place >= 0 and name == frame_name(filenames[place], frame + 1):
            frame += 1
        else:
            return False
    return place + 1 == len(filenames)


def page_numbers(names: Sequence[str]) -> list[int]:
    """Return for each row the number of its page in the manifest, from 1: pictures of one file share theirs."""
    numbers: list[int] = []
    file, frame = "", 1
    for name in names:
        if numbers and name == frame_name(file, frame + 1):
            numbers.append(numbers[-1])
            frame += 1
        else:
            numbers.append(numbers[-1] + 1 if numbers else 1)
            file, frame = name, 1
    return numbers


def colliding(filenames: Sequence[str]) -> str | None:
    """Return a file that is named like a further picture of another one; None where there is none."""
    every = set(filenames)
    return next((name for name in filenames if file_and_frame(name)[1] > 1 and file_and_frame(name)[0] in every), None)
