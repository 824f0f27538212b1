"""File names of pages: by the base name of the image, and no two the same on any file system."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

_MOST_BYTES = 200
"""File systems hold names of 255 bytes, and suffixes are appended to these."""


def page_names(images: Sequence[str]) -> list[str]:
    """Return a file name, without a suffix, for each image of a volume.

    It is the image's name without its suffix. Where two images share that (`a.jpg`, `a.png`), also in another case or
    another Unicode form, each keeps its suffix; where this is not enough, or a name is too long, the page's number
    is appended.
    """
    stems = [PurePosixPath(image).stem for image in images]
    shared = Counter(map(_folded, stems))
    names = [stem if shared[_folded(stem)] == 1 else image for stem, image in zip(stems, images, strict=True)]
    shared = Counter(map(_folded, names))
    fit = [shared[_folded(name)] == 1 and len(name.encode()) <= _MOST_BYTES for name in names]
    numbered = [f"{_cut(name)}~{place}" for place, name in enumerate(names, start=1)]
    chosen = [name if fits else other for name, other, fits in zip(names, numbered, fit, strict=True)]
    # An image may be named like a numbered one; no two numbered ones are the same.
    return chosen if len(set(map(_folded, chosen))) == len(chosen) else numbered


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _cut(name: str) -> str:
    return name.encode()[: _MOST_BYTES - 12].decode(errors="ignore")
