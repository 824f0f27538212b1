"""Finds out what a path holds: the library's layout, a tree of volumes, the volumes of one work, or one volume."""

import os
from dataclasses import dataclass
from pathlib import Path

from bec_orch.core.names import check_name, printable
from bec_orch.core.volumes import VolumeRef
from bec_orch.core.wording import clause
from bec_orch.errors import NameUnsafeError, UsageError
from bec_orch.io.sources.bdrc import BdrcSource, volume_prefix
from bec_orch.io.sources.folder import FolderSource, image_entries
from bec_orch.io.sources.pages import Rejected
from bec_orch.io.sources.sources import source_name
from bec_orch.io.stores.folders import FolderObjects

_HINT = "Give a folder WORK/VOLUME/*.jpg|png|tif, one volume's folder, or the library's layout (Works/...)."


@dataclass(frozen=True, slots=True)
class DetectedSource:
    """The source that a path belongs to, its volumes under the path, and what looks like one and cannot be one."""

    name: str
    volumes: tuple[VolumeRef, ...]
    rejected: tuple[Rejected, ...] = ()


def detect_source(path: Path) -> DetectedSource:
    """Find the source and the volumes of a folder of this machine.

    Raises:
        UsageError: the folder is missing, empty, without images, or cannot be read.
    """
    root = _folder(path)
    tries = [found for find in (_library, _tree, _work, _volume) if (found := find(root))]
    for found in tries:
        if found.volumes:
            return found
    raise _no_volumes(path, [found.rejected[0] for found in tries if found.rejected])


def _no_volumes(path: Path, rejected: list[Rejected]) -> UsageError:
    what = "holds no page images" if any(path.iterdir()) else "is empty"
    if rejected:
        last = rejected[-1]
        what = f"holds no volume that can be used: {printable(last.name)} {last.reason}"
    return UsageError(f"The folder {_shown(path)} {clause(what)}.", code="E_PATH_NO_IMAGES", hint=_HINT)


def _shown(path: Path) -> str:
    return printable(str(path), limit=500)


def _folder(path: Path) -> Path:
    try:
        if not path.exists():
            raise UsageError(f"There is no folder {_shown(path)}.", code="E_PATH_MISSING", hint=_HINT)
        if not path.is_dir():
            raise UsageError(f"{_shown(path)} is not a folder.", code="E_PATH_NOT_FOLDER", hint=_HINT)
        next(path.iterdir(), None)
    except PermissionError as error:
        raise UsageError(
            f"The folder {_shown(path)} cannot be read: this is not allowed.",
            code="E_PATH_UNREADABLE",
            hint="Check its rights.",
        ) from error
    return path.resolve()


def _library(root: Path) -> DetectedSource | None:
    """The path holds `Works`, is it, or lies in it."""
    tops = [above for above in (root / "Works", root, *root.parents) if above.name == "Works" and above.is_dir()]
    for works in tops:
        name = source_name("bdrc", works.parent.as_uri())
        volumes: list[VolumeRef] = []
        rejected: list[Rejected] = []
        for found in BdrcSource(name, FolderObjects(works.parent)).scan():
            if isinstance(found, Rejected):
                rejected += [found] * _overlaps(root, works.parent / found.name)
            else:
                volumes += [found] * _overlaps(root, works.parent / volume_prefix(found.w_id, found.i_id))
        if volumes or rejected:
            return DetectedSource(name, tuple(volumes), tuple(rejected))
    return None


def _overlaps(root: Path, volume: Path) -> bool:
    return volume == root or root in volume.parents


def _tree(root: Path) -> DetectedSource:
    name = source_name("folder", root.as_uri())
    scan = FolderSource(name, FolderObjects(root)).scan()
    return DetectedSource(name, scan.volumes, scan.rejected)


def _work(root: Path) -> DetectedSource | None:
    """The path is one work's folder: the images lie one level below it."""
    if image_entries(FolderObjects(root).list("")):
        return None
    if not _is_name(root.name):
        return (
            _badly_named(root) if any(image_entries(FolderObjects(below).list("")) for below in _below(root)) else None
        )
    name = source_name("folder", root.parent.as_uri())
    found = FolderSource(name, FolderObjects(root.parent)).scan_work(root.name)
    volumes = tuple(each for each in found if isinstance(each, VolumeRef))
    return DetectedSource(name, volumes, tuple(each for each in found if isinstance(each, Rejected)))


def _volume(root: Path) -> DetectedSource | None:
    """The path is one volume's folder. Where the folder above has no usable name, the volume is a source of its own."""
    if not image_entries(FolderObjects(root).list("")):
        return None
    if not _is_name(root.name):
        return _badly_named(root)
    if _is_name(root.parent.name):
        name = source_name("folder", root.parent.parent.as_uri())
        return DetectedSource(name, (VolumeRef(root.parent.name, root.name, name),))
    name = source_name("flat", root.as_uri())
    return DetectedSource(name, (VolumeRef(root.name, root.name, name),))


def _below(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if path.is_dir() and os.access(path, os.R_OK | os.X_OK)]


def _badly_named(root: Path) -> DetectedSource:
    """Return what is wrong with the name of the path, which would have to be that of a work or a volume."""
    try:
        check_name("folder", root.name)
    except NameUnsafeError as error:
        reason = f"has a name that cannot be used: {error.message}"
    return DetectedSource(source_name("flat", root.as_uri()), (), (Rejected(str(root), reason),))


def _is_name(name: str) -> bool:
    try:
        check_name("folder", name)
    except NameUnsafeError:
        return False
    return True
