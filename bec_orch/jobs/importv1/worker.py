"""Job type `importv1`: takes lines and text of pages from ALTO or PAGE documents.

Its rows have the columns of both `ldv1` and `ocrv1`, so that its lines can be read by another engine, and its text
evaluated, or be what another is evaluated against. A page without a document is skipped. Of a file of several pictures,
those up to the last that has a document are done.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, NoReturn

import numpy as np
import pyarrow as pa
from typing_extensions import override

from bec_orch.core.frames import file_and_frame, frame_name, picture_of
from bec_orch.core.job_config import JobConfig
from bec_orch.core.job_types.references import list_folder
from bec_orch.core.names import printable
from bec_orch.core.ports.job_worker import BlobReader, JobContext, WorkerResources
from bec_orch.core.transcripts import Line, PageContent, Point
from bec_orch.core.volumes import Page
from bec_orch.core.wording import clause
from bec_orch.errors import PageError, StorageError
from bec_orch.exports.characters import writable
from bec_orch.exports.names import documents_of
from bec_orch.exports.reading import read_page
from bec_orch.exports.xml_tree import NotReadable
from bec_orch.jobs.images import probe
from bec_orch.jobs.importv1.config import JOB_TYPE, Importv1Config
from bec_orch.jobs.pipeline.page_input import InputRows, PageInput, VolumeInputs
from bec_orch.jobs.pipeline.page_job import Round, Row
from bec_orch.jobs.pipeline.page_worker import PageJobWorker
from bec_orch.jobs.shared.columns import BOX, OUTLINES, POINT
from bec_orch.jobs.shared.geometry import bounding_box, on_pixels

LARGEST_FILE = 32 * 2**20
_DOCUMENT = "document"
_NO_DOCUMENT = "no row"
_SEPARATOR = re.compile(r"[/\\]")

_COLUMNS: dict[str, pa.DataType] = {
    **OUTLINES,
    "line_kinds": pa.list_(pa.string()),
    "line_baselines": pa.list_(pa.list_(POINT)),
    "line_bboxes": pa.list_(BOX),
    "line_texts": pa.list_(pa.string()),
    "nb_lines": pa.int32(),
    "line_confidences": pa.list_(pa.float32()),
    "page_text": pa.string(),
    "document_key": pa.string(),
    "document_etag": pa.string(),
}
SCHEMA = pa.schema(_COLUMNS)


@dataclass(frozen=True, slots=True)
class Documents:
    """The documents of a volume: their store, and the key of each by the name of its row; all images of the volume."""

    store: BlobReader
    keys: Mapping[str, str]
    images: frozenset[str]


@dataclass(frozen=True, slots=True)
class ReadPage:
    """A document that was read: its content, key and version, and the size of its page's image where it is known."""

    content: PageContent
    size: tuple[int, int] | None
    key: str
    etag: str


class Importv1Worker(PageJobWorker[Importv1Config, NoReturn, NoReturn, ReadPage, Documents]):
    """Takes over documents; there is no model.

    Raises:
        ConfigError: the URL of the documents is not a store's.
        StorageError: there is no such store.
    """

    job_type = JOB_TYPE
    config_type: ClassVar[type[JobConfig]] = Importv1Config
    code_version = "2"
    schema = SCHEMA
    counted = MappingProxyType({"lines": "nb_lines"})

    def __init__(self, config: Importv1Config, resources: WorkerResources) -> None:
        super().__init__(config, resources)
        self._store = resources.open_store(config.documents_url)

    @override
    def open_volume(self, context: JobContext) -> VolumeInputs[Documents]:
        (folder,) = self.config.reference_folders(context.volume)
        files = {entry.name: entry.key for entry in list_folder(self._store, folder.path).objects}
        images = [page.filename for page in context.manifest.pages]
        keys = {image: files[name] for image, name in documents_of(images, files).items()}
        # Pages are done, and skipped, as they are by the rows of another job.
        rows = {_DOCUMENT: InputRows(_DOCUMENT, _rows(context.manifest.pages, keys))}
        return VolumeInputs(Documents(self._store, keys, frozenset(images)), rows, (_DOCUMENT,), self.config.skip_pages)

    @override
    def wants_image(self, page: PageInput[Documents]) -> bool:
        # Manifests of folders have no sizes, which the image's header then states.
        return _told_size(page.page) is None

    @override
    def measure(self, page: PageInput[Documents]) -> int:
        return LARGEST_FILE

    @override
    def decode(self, page: PageInput[Documents]) -> Round[NoReturn, ReadPage]:
        return Round((), self._read(page), 0)

    @override
    def infer(self, items: Sequence[NoReturn]) -> Sequence[NoReturn]:
        return items

    @override
    def finish(self, page: PageInput[Documents], state: ReadPage, outputs: Sequence[NoReturn]) -> Row:
        row = row_of(state.content, _size(state.content, state.size))
        return {**row, "document_key": state.key, "document_etag": state.etag}

    def _read(self, page: PageInput[Documents]) -> ReadPage:
        image, documents = page.page.filename, page.volume
        key = documents.keys[image]
        blob = self._store.read(key, limit=LARGEST_FILE)
        if blob is None:
            raise StorageError(f"The document '{key}' was removed while the volume was imported.")
        if blob.size > LARGEST_FILE:
            raise _broken(key, f"it has {blob.size} bytes, more than {LARGEST_FILE}")
        try:
            content, named = read_page(blob.data, self.config.format)
        except NotReadable as error:
            raise _broken(key, str(error)) from error
        if _is_another(named, image, documents.images):
            raise PageError(
                f"The document '{key}' names another image of the volume: {printable(named)}.",
                stage="decode",
                code="E_DOCUMENT_OTHER_PAGE",
                hint="Name it like the image it is of, or mend the image's name in it.",
            )
        return ReadPage(content, _told_size(page.page) or _seen_size(page, key), key, blob.etag)


def _rows(pages: Sequence[Page], keys: Collection[str]) -> pa.Table:
    """Return a row for each picture of a file up to the last that has a document: which are skipped for want of one."""
    files = {page.filename: page for page in pages}
    last: dict[str, int] = {}
    for page, frame in filter(None, (picture_of(name, files) for name in keys)):
        last[page.filename] = max(frame, last.get(page.filename, 1))
    names = [frame_name(file, frame) for file, frames in last.items() for frame in range(1, frames + 1)]
    is_without = [name not in keys for name in names]
    reasons = [_NO_DOCUMENT if each else None for each in is_without]
    return pa.table(
        {
            "img_file_name": pa.array(names, pa.string()),
            "skipped": pa.array(is_without, pa.bool_()),
            "skip_reason": pa.array(reasons, pa.string()),
        }
    )


def row_of(content: PageContent, told: tuple[int, int] | None) -> Row:
    """Return a page's lines as the columns of `SCHEMA`, moved into the page where they reach out of it.

    Args:
        content: the page.
        told: its size; None for a page without lines whose size is unknown.
    """
    size = told or (1, 1)
    contours = [on_pixels(np.array(line.polygon, np.float64), *size) for line in content.lines]
    boxes = np.array([bounding_box(contour) for contour in contours], np.int32).reshape(-1, 4)
    confidences = [line.confidence for line in content.lines]
    return {
        "width": told[0] if told else None,
        "height": told[1] if told else None,
        "rotation_angle": content.rotation,
        "contours": contours,
        "nb_contours": len(contours),
        "contours_bboxes": boxes,
        "line_ids": list(range(len(contours))),
        "line_kinds": [line.kind for line in content.lines],
        "line_baselines": [_baseline(line, size) for line in content.lines],
        "line_bboxes": boxes,
        "line_texts": [line.text or "" for line in content.lines],
        "nb_lines": len(contours),
        "line_confidences": confidences,
        "page_text": content.text,
    }


def _is_another(named: str, image: str, images: frozenset[str]) -> bool:
    """Return whether the image that a document names, perhaps with a folder in front, is another one of the volume.

    A further picture of a file is another one than the first, which alone has the name of the file.
    """
    base = _SEPARATOR.split(named)[-1]
    return named != writable(image) and base != image and not images.isdisjoint((base, file_and_frame(base)[0]))


def _baseline(line: Line, size: tuple[int, int]) -> list[dict[str, int]]:
    points: Sequence[Point] = line.baseline
    inside = on_pixels(np.array(points, np.float64).reshape(-1, 2), *size)
    return [{"x": int(x), "y": int(y)} for x, y in inside]


def _told_size(page: Page) -> tuple[int, int] | None:
    return (page.width, page.height) if page.width and page.height else None


def _seen_size(page: PageInput[Documents], key: str) -> tuple[int, int] | None:
    """Return the size that the image's header states; None where it is broken: the document may be whole."""
    try:
        return page.header.width, page.header.height
    except PageError as error:
        if error.code != "E_IMAGE_FRAME" or _is_broken(page.data):
            return None
        raise PageError(
            f"The document '{key}' is of a picture that is not there: {clause(error.message)}.",
            stage="decode",
            code=error.code,
            hint="Name it like the picture that it is of, or move it away.",
        ) from error


def _is_broken(data: bytes) -> bool:
    """Return whether even the first picture of a file cannot be read, so that nobody can tell how many it has."""
    try:
        probe(data)
    except PageError:
        return True
    return False


def _size(content: PageContent, known: tuple[int, int] | None) -> tuple[int, int] | None:
    """Return the size of a page: what the document says, which that of the image must not contradict."""
    if content.size and known and content.size != known:
        raise PageError(
            f"The image has {known[0]} x {known[1]} pixels, the document {content.size[0]} x {content.size[1]}.",
            stage="finish",
            code="E_PAGE_OTHER_SIZE",
            hint="The document is of another picture: export it for the one in the volume.",
        )
    size = content.size or known
    if size is None and content.lines:
        raise PageError(
            "The document has lines, and does not state the size of its page.",
            stage="finish",
            code="E_DOCUMENT_BROKEN",
            hint="Without it, the lines' coordinates mean nothing: add WIDTH and HEIGHT to its page.",
        )
    return size


def _broken(key: str, why: str) -> PageError:
    return PageError(
        f"The document '{key}' cannot be taken: {clause(why)}.",
        stage="decode",
        code="E_DOCUMENT_BROKEN",
        hint="Mend the file, or move it away to skip the page.",
    )
