"""File names of pages: by the base name of the image, and no two the same on any file system."""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence

from bec_orch.core.frames import MOST_FRAMES, colliding, file_and_frame, frame_name, stem

_MOST_BYTES = 200
"""File systems hold names of 255 bytes, and suffixes are appended to these."""
_DIGITS = 8
"""Of the digest that tells two images apart whose names are the same to some file systems."""
_SUFFIXES = (".xml", ".alto.xml", ".page.xml")
"""Of documents, the first one as an export has it."""


def page_names(images: Sequence[str]) -> list[str]:
    """Return a file name, without a suffix, for each image of a volume.

    It is the image's name without its suffix. Where two images share that (`a.jpg`, `a.png`), also in another case or
    another Unicode form, each keeps its suffix, and so do further pictures of their files; where this is not enough, or
    a name is too long, a digest of the image's name is appended, which stays the same when pages are added.
    """
    stems = [stem(image) for image in images]
    shared = Counter(map(_folded, stems))
    files = [_folded(stem(file_and_frame(image)[0])) for image in images]
    alone = [shared[_folded(stem)] == 1 and shared[file] <= 1 for stem, file in zip(stems, files, strict=True)]
    names = [stem if is_alone else image for stem, image, is_alone in zip(stems, images, alone, strict=True)]
    shared = Counter(map(_folded, names))
    fit = [shared[_folded(name)] == 1 and len(name.encode(errors="surrogatepass")) <= _MOST_BYTES for name in names]
    marked = [_marked(name, image) for name, image in zip(names, images, strict=True)]
    chosen = [name if fits else other for name, other, fits in zip(names, marked, fit, strict=True)]
    # An image may be named like a marked one; no two whole digests are the same.
    return chosen if len(set(map(_folded, chosen))) == len(chosen) else [_digest(image) for image in images]


def documents_of(images: Sequence[str], files: Collection[str]) -> dict[str, str]:
    """Return the file name of the document of each picture of a volume, by its name; those that have none are left out.

    A document is named as an export names it, or like the whole file of the image. A name without the suffix counts
    where it is that of one image alone; a name that an export gives to one image is never another's. What is left is of
    further pictures of the images' files (`a#2.xml` of `a.tif`), unless a file of the volume is named like one.
    """
    found = _owned(images, files)
    left = frozenset(files).difference(found.values())
    if not left or colliding(images):
        return found
    return _owned(_with_further(images, left), left) | found


def _owned(images: Sequence[str], files: Collection[str]) -> dict[str, str]:
    owners: dict[str, str] = {}
    names = page_names(images)
    for suffix in _SUFFIXES:
        for image, name in zip(images, names, strict=True):
            owners.setdefault(name + suffix, image)
        for image in images:
            for name in _unmistakable(image):
                owners.setdefault(name + suffix, image)
    found: dict[str, str] = {}
    for name, image in owners.items():
        if name in files:
            found.setdefault(image, name)
    return found


def _with_further(images: Sequence[str], files: Collection[str]) -> list[str]:
    """Return the names of images with those of further pictures of each, up to the last that one of the files is of."""
    bases = {name.removesuffix(suffix) for name in files for suffix in _SUFFIXES if name.endswith(suffix)}
    of_pictures = {file_and_frame(name)[0] for base in bases for name in (base, base.rpartition("~")[0])}
    names: list[str] = []
    for image in images:
        further = [frame_name(image, frame) for frame in range(2, MOST_FRAMES + 1)]
        # Of a name that is cut, nothing but the digest says which picture it is of. Of others, digests take time.
        is_cut = len(further[-1].encode(errors="surrogatepass")) > _MOST_BYTES
        may_be = further if is_cut or not of_pictures.isdisjoint((image, stem(image))) else []
        told = [at for at, name in enumerate(may_be, 1) if not bases.isdisjoint((stem(name), *_unmistakable(name)))]
        names += [image, *further[: max(told, default=0)]]
    return names


def _unmistakable(image: str) -> tuple[str, ...]:
    """Return the names of an image that are its own, whatever else is in the volume: its whole name, marked or not."""
    return image, _marked(image, image)


def _marked(name: str, image: str) -> str:
    return f"{_cut(name)}~{_digest(image)[:_DIGITS]}"


def _digest(image: str) -> str:
    return hashlib.sha256(image.encode(errors="surrogatepass")).hexdigest()


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _cut(name: str) -> str:
    return name.encode(errors="surrogatepass")[: _MOST_BYTES - 12].decode(errors="ignore")
