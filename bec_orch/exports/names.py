"""File names of pages: by the base name of the image, and no two the same on any file system."""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence

from bec_orch.core.frames import stem

_MOST_BYTES = 200
"""File systems hold names of 255 bytes, and suffixes are appended to these."""
_DIGITS = 8
"""Of the digest that tells two images apart whose names are the same to some file systems."""
_SUFFIXES = (".xml", ".alto.xml", ".page.xml")
"""Of documents, the first one as an export has it."""


def page_names(images: Sequence[str]) -> list[str]:
    """Return a file name, without a suffix, for each image of a volume.

    It is the image's name without its suffix. Where two images share that (`a.jpg`, `a.png`), also in another case or
    another Unicode form, each keeps its suffix; where this is not enough, or a name is too long, a digest of the
    image's name is appended, which stays the same when pages are added.
    """
    stems = [stem(image) for image in images]
    shared = Counter(map(_folded, stems))
    names = [stem if shared[_folded(stem)] == 1 else image for stem, image in zip(stems, images, strict=True)]
    shared = Counter(map(_folded, names))
    fit = [shared[_folded(name)] == 1 and len(name.encode(errors="surrogatepass")) <= _MOST_BYTES for name in names]
    digests = [hashlib.sha256(image.encode(errors="surrogatepass")).hexdigest() for image in images]
    marked = [f"{_cut(name)}~{digest[:_DIGITS]}" for name, digest in zip(names, digests, strict=True)]
    chosen = [name if fits else other for name, other, fits in zip(names, marked, fit, strict=True)]
    # An image may be named like a marked one; no two whole digests are the same.
    return chosen if len(set(map(_folded, chosen))) == len(chosen) else digests


def documents_of(images: Sequence[str], files: Collection[str]) -> dict[str, str]:
    """Return the file name of the document of each image of a volume; images that have none are left out.

    A document is named as an export names it, or like the whole file of the image. A name without the suffix counts
    where it is that of one image alone; a name that an export gives to one image is never another's.
    """
    bases = list(zip(images, page_names(images), strict=True))
    owners: dict[str, str] = {}
    for suffix in _SUFFIXES:
        for image, name in bases:
            owners.setdefault(name + suffix, image)
        for image in images:
            owners.setdefault(image + suffix, image)
    found: dict[str, str] = {}
    for name, image in owners.items():
        if name in files:
            found.setdefault(image, name)
    return found


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _cut(name: str) -> str:
    return name.encode(errors="surrogatepass")[: _MOST_BYTES - 12].decode(errors="ignore")
