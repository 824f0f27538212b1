"""Writes hostile volumes to a folder: for the tests, and for people to look at."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from bec_orch.io.sources.bdrc import volume_prefix
from tests.hostile.images import LINK_TARGET, ImageCase, good_page
from tests.hostile.manifests import GOOD_NAMES, ManifestCase


def write_images(root: Path, cases: Iterable[ImageCase]) -> None:
    """Write volumes of the layout `folder`: each has three good pages, and those of its case."""
    for case in cases:
        write_pages(root / case.volume, GOOD_NAMES)
        for name, data in case.files().items():
            page = root / case.volume / name
            if data is None:
                page.symlink_to(LINK_TARGET)
            else:
                page.write_bytes(data)


def write_manifests(root: Path, cases: Iterable[ManifestCase]) -> None:
    """Write volumes of the layout `bdrc`: each has three good pages, and the manifest of its case."""
    for case in cases:
        folder = root / volume_prefix(case.family, case.name)
        write_pages(folder, [*GOOD_NAMES, *case.files])
        if case.manifest:
            (folder / "dimensions.json").write_bytes(case.manifest())


def write_pages(folder: Path, names: Sequence[str]) -> None:
    """Write good pages."""
    folder.mkdir(parents=True)
    page = good_page()
    for name in names:
        (folder / name).write_bytes(page)
