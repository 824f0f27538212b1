"""Finds out what a path holds: the library's layout, a tree of volumes, the volumes of one work, or one volume.

A PDF is a volume where most pages under the path are in PDFs; page images beside it then belong to no volume. Else a
PDF that lies beside page images is one of them, and an error among them. A folder with a `mets.xml`, and no page images
beside it, is a workspace of OCR-D: one volume, of which the METS says what its pages are.
"""

import errno
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from bec_orch.core.names import check_name, escaped, printable
from bec_orch.core.volumes import VolumeRef
from bec_orch.core.wording import clause, counted
from bec_orch.errors import NameUnsafeError, UsageError
from bec_orch.io.servers.fetching import Fetcher
from bec_orch.io.sources.bdrc import BdrcSource, volume_prefix
from bec_orch.io.sources.exported import exported_files, exported_folders
from bec_orch.io.sources.folder import FolderSource, image_entries
from bec_orch.io.sources.mets import METS, MetsSource
from bec_orch.io.sources.misnamed import RENAME, Misnamed, MisnamedFiles, misnamed
from bec_orch.io.sources.opening import NO_DOCUMENTS
from bec_orch.io.sources.page_files import NoPage, passed_over, why_no_page
from bec_orch.io.sources.pages import Rejected, badly_named
from bec_orch.io.sources.pdf import PdfSource, is_pdf
from bec_orch.io.sources.sources import parse_source, source_name
from bec_orch.io.sources.web_pictures import WebPictures
from bec_orch.io.stores.folders import FolderObjects
from bec_orch.io.stores.storage import path_of
from bec_orch.io.workspace import OUTPUTS, own_in

_HINT = (
    "Give a folder WORK/VOLUME/*.jpg (or png, tif, jp2, webp, gif, bmp, avif), one volume's folder, a PDF or a folder "
    "of them, a workspace of OCR-D, or the library's layout (Works/...)."
)
_SHOWN = 3
_WORKSPACES = "workspaces of OCR-D"


@dataclass(frozen=True, slots=True)
class Outside:
    """A folder with page images that is not a volume in the layout that was taken."""

    folder: str
    images: int


@dataclass(frozen=True, slots=True)
class DetectedSource:
    """The source that a path belongs to, its volumes under the path, and what is left out.

    Attributes:
        name: the source.
        volumes: its volumes under the path.
        rejected: folders that look like volumes and cannot be.
        layout: how volumes lie under the path, in words.
        images: page images in the volumes' folders.
        outside: folders with page images that belong to no volume.
        passed_over: files below the path that are not page images, counted by the reason.
        path: the folder, all links resolved; None where a source was named, and no folder.
        as_good: another layout in which as many images are pages; empty where there is none.
        misnamed: files below the path that have pages by what is in them, and not by their names.
    """

    name: str
    volumes: tuple[VolumeRef, ...]
    rejected: tuple[Rejected, ...] = ()
    layout: str = ""
    images: int = 0
    outside: tuple[Outside, ...] = ()
    passed_over: Mapping[str, int] = field(default_factory=dict)
    path: Path | None = None
    as_good: str = ""
    misnamed: tuple[Misnamed, ...] = ()

    @property
    def images_outside(self) -> int:
        """How many page images belong to no volume."""
        return sum(each.images for each in self.outside)


@dataclass(frozen=True, slots=True)
class _Files:
    """The files below a folder, by the folder they lie in; those that are no pages are counted by the reason.

    Attributes:
        images: page images that are no PDFs.
        documents: PDFs.
        workspaces: folders with a METS.
        others: what is no page.
        misnamed: those of these that have pages by what is in them.
    """

    images: Mapping[Path, int]
    documents: Mapping[Path, int]
    workspaces: frozenset[Path]
    others: Mapping[str, int]
    misnamed: tuple[Misnamed, ...] = ()


def detect_source(path: Path, *, follow_links: bool = False, most_files: int | None = None) -> DetectedSource:
    """Find the source and the volumes of a path of this machine: by the layout in which most images are pages.

    Args:
        path: a folder, a PDF or a `mets.xml`.
        follow_links: links to folders outside of the source are volumes, too.
        most_files: a folder of more is given up (E_PATH_LARGE); None: it is looked through however long that takes.

    Raises:
        UsageError: the folder is missing, empty, without images, or cannot be read; or in no layout more images are
            pages than are left out (E_PATH_LAYOUT).
    """
    if is_pdf(path.name) and path.is_file():
        return _document(path)
    if path.name == METS and path.is_file():
        return _one_workspace(path.resolve().parent)
    root = _folder(path)
    files = _files_below(root, most_files)
    found = (
        *_workspaces(root, files.workspaces - files.images.keys(), follow_links=follow_links),
        _library(root),
        _tree(root, follow_links=follow_links),
        _work(root, follow_links=follow_links),
        _volume(root),
        *(_documents(root, follow_links=follow_links) if files.documents else ()),
    )
    tries = [one for one in map(partial(_without_documents, files), filter(None, found)) if one]
    weighed = [_weighed(found, files, root) for found in tries if found.volumes]
    if not weighed:
        raise _no_volumes(path, [found.rejected[0] for found in tries if found.rejected], files)
    best, *others = sorted(weighed, key=lambda found: -found.images)
    if best.images_outside > best.images:
        raise _unclear(path, best)
    tied = bool(others) and others[0].images == best.images and best.layout != _WORKSPACES
    return replace(best, path=root, as_good=others[0].layout if tied else "")


def _files_below(root: Path, most: int | None) -> _Files:
    """Look through all folders; hidden ones hold no pages, and links to folders are not followed, for they may loop.

    What a workspace or an export wrote beside the scans, or into them, is no page either.

    Raises:
        UsageError: there are more files and folders than `most` (E_PATH_LARGE).
    """
    images: dict[Path, int] = {}
    documents: dict[Path, int] = {}
    workspaces: set[Path] = set()
    others: Counter[str] = Counter()
    looking = MisnamedFiles(root)
    seen = 0
    for folder, folders, files in os.walk(root):
        written = exported_folders(files, folders)
        exported = exported_files(files, Path(folder).parts)
        own = own_in(files, folders) | written | exported
        others += _outputs(Path(folder, name) for name in own & OUTPUTS | written)
        others += Counter({NoPage.OWN.value: len(exported)})
        folders[:] = [name for name in folders if not name.startswith(".") and name not in own]
        seen += 1 + len(files)
        if most is not None and seen > most:
            raise _too_large(root, most)
        names = [name for name in files if name not in own]
        others += passed_over(names)
        looking.look(Path(folder), names)
        if METS in names:
            workspaces.add(Path(folder))
        pages = [name for name in names if why_no_page(name) is None]
        pdfs = sum(map(is_pdf, pages))
        if pdfs:
            documents[Path(folder)] = pdfs
        if len(pages) > pdfs:
            images[Path(folder)] = len(pages) - pdfs
    return _Files(images, documents, frozenset(workspaces), others, looking.found)


def _outputs(folders: Iterable[Path]) -> Counter[str]:
    """Count what a workspace made of pages, and is named like they are."""
    below = (name for folder in folders for _, _, names in os.walk(folder) for name in names)
    return Counter(NoPage.OWN.value for name in below if why_no_page(name) is None)


def _without_documents(files: _Files, found: DetectedSource) -> DetectedSource:
    """Leave out the folders that hold PDFs alone: each of these is a volume, and no page."""
    if parse_source(found.name)[0] in {"pdf", "mets"}:
        return found
    alone = files.documents.keys() - files.images.keys()
    return replace(found, volumes=tuple(v for v in found.volumes if _folder_of(found.name, v) not in alone))


def _weighed(found: DetectedSource, files: _Files, root: Path) -> DetectedSource:
    """Count the images inside of a layout's volumes and outside of them."""
    layout, _ = parse_source(found.name)
    volumes = {_folder_of(found.name, volume) for volume in found.volumes}
    # The walk does not follow links to folders: those that are volumes are counted here.
    linked = sum(_images_in(folder) for folder in volumes - files.images.keys() - files.documents.keys())
    inside, outside = 0, []
    for folder in {**files.images, **files.documents}:
        images, documents = files.images.get(folder, 0), files.documents.get(folder, 0)
        is_inside = not volumes.isdisjoint({folder, *(folder.parents if layout == "mets" else ())})
        inside += (documents if layout == "pdf" else images) * is_inside
        # Of the PDFs beside page images each is a page, with an error; of images beside PDFs none is.
        left = images * (layout == "pdf") if is_inside else images + documents
        if left:
            outside.append(Outside(escaped(str(folder.relative_to(root))), left))
    return replace(
        found,
        images=inside + linked,
        outside=tuple(sorted(outside, key=lambda each: each.folder)),
        passed_over=files.others,
        misnamed=files.misnamed,
    )


def _images_in(folder: Path) -> int:
    return sum(why_no_page(entry.name) is None for entry in folder.iterdir())


def _folder_of(source: str, volume: VolumeRef) -> Path:
    layout, url = parse_source(source)
    root = path_of(url)
    if layout == "bdrc":
        return root / volume_prefix(volume.w_id, volume.i_id)
    if layout == "pdf":
        return root / volume.w_id
    return root if layout == "flat" else root / volume.w_id / volume.i_id


def _too_large(path: Path, most: int) -> UsageError:
    return UsageError(
        f"The folder {_shown(path)} holds more than {most:,} files and folders.",
        code="E_PATH_LARGE",
        hint="Name the folder of one volume or work, or the volume: W_ID/I_ID.",
    )


def _unclear(path: Path, best: DetectedSource) -> UsageError:
    most = sorted(best.outside, key=lambda each: -each.images)
    named = ", ".join(f"{printable(each.folder)} ({each.images})" for each in most[:_SHOWN])
    more = f" and {len(most) - _SHOWN} more folders" if len(most) > _SHOWN else ""
    inside = f"{counted(best.images, 'image')} in volumes ({best.layout})"
    return UsageError(
        f"The folder {_shown(path)} holds {inside}, and {best.images_outside} elsewhere: {named}{more}.",
        code="E_PATH_LAYOUT",
        hint=f"{_HINT} Move away what is not a page.",
    )


def _no_volumes(path: Path, rejected: list[Rejected], files: _Files) -> UsageError:
    what, hint = "holds no page images" if any(path.iterdir()) else "is empty", _HINT
    if files.misnamed:
        first, *more = files.misnamed
        others = f", and {counted(len(more), 'other')} like it" if more else ""
        what, hint = f"holds no page images by their names; {printable(first.file)} is {first.kind}{others}", RENAME
    elif rejected:
        last = rejected[-1]
        what, hint = f"holds no volume that can be used: {printable(last.name)} {last.reason}", last.hint
    elif files.images:
        deepest = printable(str(next(iter(files.images)).relative_to(path.resolve())))
        what = f"holds page images, but none where those of a volume lie: the first are in {deepest}"
    return UsageError(f"The folder {_shown(path)} {clause(what)}.", code="E_PATH_NO_IMAGES", hint=hint)


def _shown(path: Path) -> str:
    return printable(str(path), limit=500)


def _missing(path: Path) -> UsageError:
    return UsageError(f"There is no folder {_shown(path)}.", code="E_PATH_MISSING", hint=_HINT)


def _folder(path: Path) -> Path:
    try:
        if not path.exists():
            raise _missing(path)
        if not path.is_dir():
            raise _no_folder(path)
        next(path.iterdir(), None)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise _missing(path) from error
        if error.errno not in {errno.EACCES, errno.EPERM}:
            raise
        raise UsageError(
            f"The folder {_shown(path)} cannot be read: this is not allowed.",
            code="E_PATH_UNREADABLE",
            hint="Check its rights.",
        ) from error
    return path.resolve()


def _no_folder(path: Path) -> UsageError:
    kind = misnamed(path)
    if kind is None:
        return UsageError(f"{_shown(path)} is not a folder.", code="E_PATH_NOT_FOLDER", hint=_HINT)
    hint = "Name the folder that it lies in." if why_no_page(path.name) is None else RENAME
    return UsageError(f"{_shown(path)} is {kind}, and not a folder.", code="E_PATH_NOT_FOLDER", hint=hint)


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
            return DetectedSource(name, tuple(volumes), tuple(rejected), layout="the library's layout")
    return None


def _overlaps(root: Path, volume: Path) -> bool:
    return volume == root or root in volume.parents


def _tree(root: Path, *, follow_links: bool) -> DetectedSource:
    name = source_name("folder", root.as_uri())
    return _scanned(
        name, FolderSource(name, FolderObjects(root, follow_links=follow_links)).scan(), "WORK/VOLUME/images"
    )


def _work(root: Path, *, follow_links: bool) -> DetectedSource | None:
    """The path is one work's folder: the images lie one level below it."""
    if _has_images(root):
        return None
    if not _is_name(root.name):
        return _badly_named(root) if any(map(_has_images, _below(root))) else None
    name = source_name("folder", root.parent.as_uri())
    objects = FolderObjects(root.parent, follow_links=follow_links, links_below=root)
    return _scanned(name, FolderSource(name, objects).scan_work(root.name), "VOLUME/images")


def _volume(root: Path) -> DetectedSource | None:
    """The path is one volume's folder. Where the folder above has no usable name, the volume is a source of its own."""
    if not _has_images(root):
        return None
    if not _is_name(root.name):
        return _badly_named(root)
    if _is_name(root.parent.name):
        name = source_name("folder", root.parent.parent.as_uri())
        return DetectedSource(name, (VolumeRef(root.parent.name, root.name, name),), layout="images")
    name = source_name("flat", root.as_uri())
    return DetectedSource(name, (VolumeRef(root.name, root.name, name),), layout="images")


def _workspaces(root: Path, workspaces: frozenset[Path], *, follow_links: bool) -> Iterator[DetectedSource]:
    """The path is a workspace, or holds some, in one folder or two."""
    if root in workspaces:
        yield _workspace(root)
    elif any(each.parent == root for each in workspaces) and _is_name(root.name):
        name = source_name("mets", root.parent.as_uri())
        objects = FolderObjects(root.parent, follow_links=follow_links, links_below=root)
        yield _scanned(name, _mets(name, objects).scan_work(root.name), _WORKSPACES)
    elif any(each.parent.parent == root for each in workspaces):
        name = source_name("mets", root.as_uri())
        objects = FolderObjects(root, follow_links=follow_links)
        yield _scanned(name, _mets(name, objects).scan(), _WORKSPACES)


def _one_workspace(folder: Path) -> DetectedSource:
    found = _workspace(folder)
    if not found.volumes:
        raise _no_volumes(folder, list(found.rejected), _Files({}, {}, frozenset(), {}))
    return found


def _workspace(folder: Path) -> DetectedSource:
    for each in (folder, folder.parent):
        if not _is_name(each.name):
            return _badly_named(each)
    name = source_name("mets", folder.parent.parent.as_uri())
    volume = VolumeRef(folder.parent.name, folder.name, name)
    return DetectedSource(name, (volume,), layout=_WORKSPACES, path=folder)


def _mets(name: str, objects: FolderObjects) -> MetsSource:
    return MetsSource(name, objects, WebPictures(Fetcher()))


def _document(path: Path) -> DetectedSource:
    """The path is one PDF."""
    file = path.resolve()
    found = _documents_of(file.parent)
    volumes = tuple(each for each in found.volumes if each.i_id == file.stem)
    if volumes:
        return replace(found, volumes=volumes, rejected=(), images=1, path=file.parent)
    why = next(each for each in found.rejected if Path(each.name).name in {file.name, file.parent.name})
    raise UsageError(f"The PDF {_shown(path)} {clause(why.reason)}.", code="E_PATH_NO_IMAGES", hint=why.hint)


def _documents(root: Path, *, follow_links: bool) -> Iterator[DetectedSource]:
    """The path is a folder of PDFs, or holds such folders."""
    name = source_name("pdf", root.as_uri())
    yield _scanned(name, PdfSource(name, FolderObjects(root, follow_links=follow_links), NO_DOCUMENTS).scan())
    if any(is_pdf(path.name) for path in root.iterdir()):
        yield _documents_of(root, follow_links=follow_links)


def _documents_of(folder: Path, *, follow_links: bool = False) -> DetectedSource:
    if not _is_name(folder.name):
        return _badly_named(folder)
    name = source_name("pdf", folder.parent.as_uri())
    objects = FolderObjects(folder.parent, follow_links=follow_links, links_below=folder)
    return _scanned(name, PdfSource(name, objects, NO_DOCUMENTS).scan_work(folder.name))


def _scanned(name: str, scan: Iterable[VolumeRef | Rejected], layout: str = "PDFs") -> DetectedSource:
    found = tuple(scan)
    volumes = tuple(each for each in found if isinstance(each, VolumeRef))
    rejected = tuple(each for each in found if isinstance(each, Rejected))
    return DetectedSource(name, volumes, rejected, layout)


def _has_images(folder: Path) -> bool:
    return bool(image_entries(FolderObjects(folder).list(""), folder.as_uri()))


def _below(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if path.is_dir() and os.access(path, os.R_OK | os.X_OK)]


def _badly_named(root: Path) -> DetectedSource:
    """Return what is wrong with the name of the path, which would have to be that of a work or a volume."""
    try:
        check_name("folder", root.name)
    except NameUnsafeError as error:
        rejected = badly_named(str(root), error)
    return DetectedSource(source_name("flat", root.as_uri()), (), (rejected,))


def _is_name(name: str) -> bool:
    try:
        check_name("folder", name)
    except NameUnsafeError:
        return False
    return True
