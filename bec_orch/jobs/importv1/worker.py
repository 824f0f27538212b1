"""Job type `importv1`: takes lines and text of pages from ALTO or PAGE documents.

Its rows have the columns of both `ldv1` and `ocrv1`, so that its lines can be read by another engine, and its text
evaluated, or be what another is evaluated against. A page without a document is skipped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, NoReturn

import numpy as np
import pyarrow as pa
from typing_extensions import override

from bec_orch.core.job_config import JobConfig
from bec_orch.core.job_worker import BlobReader, JobContext, WorkerResources
from bec_orch.core.transcripts import Line, PageContent, Point
from bec_orch.core.volumes import Manifest, Page
from bec_orch.core.wording import clause
from bec_orch.errors import PageError, StorageError
from bec_orch.exports.names import page_names
from bec_orch.exports.reading import read_document
from bec_orch.exports.xml_tree import NotReadable
from bec_orch.jobs.base import PageJobWorker
from bec_orch.jobs.importv1.config import Importv1Config
from bec_orch.jobs.pipeline.page_input import InputRows, PageInput, VolumeInputs
from bec_orch.jobs.pipeline.page_job import Round, Row
from bec_orch.jobs.shared.geometry import bounding_box, on_pixels

LARGEST_FILE = 32 * 2**20
SUFFIXES = (".xml", ".alto.xml", ".page.xml")
_DOCUMENT = "document"

_POINT = pa.struct([("x", pa.int32()), ("y", pa.int32())])
_BOX = pa.struct([("x", pa.int32()), ("y", pa.int32()), ("w", pa.int32()), ("h", pa.int32())])
_COLUMNS: dict[str, pa.DataType] = {
    "width": pa.int32(),
    "height": pa.int32(),
    "rotation_angle": pa.float32(),
    "tps_points": pa.list_(pa.list_(pa.float32())),
    "tps_alpha": pa.float32(),
    "contours": pa.list_(pa.list_(_POINT)),
    "nb_contours": pa.int32(),
    "contours_bboxes": pa.list_(_BOX),
    "line_ids": pa.list_(pa.int32()),
    "line_kinds": pa.list_(pa.string()),
    "line_baselines": pa.list_(pa.list_(_POINT)),
    "line_bboxes": pa.list_(_BOX),
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
    """The documents of a volume: their store, and the key of each by the name of the page's image."""

    store: BlobReader
    keys: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ReadPage:
    """A document that was read: its content, key and version."""

    content: PageContent
    key: str
    etag: str


class Importv1Worker(PageJobWorker[Importv1Config, NoReturn, NoReturn, ReadPage, Documents]):
    """Takes over documents; there is no model.

    Raises:
        ConfigError: the URL of the documents is not a store's.
        StorageError: there is no such store.
    """

    job_type = "importv1"
    config_type: ClassVar[type[JobConfig]] = Importv1Config
    code_version = "1"
    schema = SCHEMA
    counted = MappingProxyType({"lines": "nb_lines"})

    def __init__(self, config: Importv1Config, resources: WorkerResources) -> None:
        super().__init__(config, resources)
        self._store = resources.open_store(config.documents_url)

    @override
    def open_volume(self, context: JobContext) -> VolumeInputs[Documents]:
        (folder,) = self.config.reference_folders(context.volume)
        listed = self._store.surely(lambda: self._store.list(folder.path))
        keys = keys_of(context.manifest, {entry.name: entry.key for entry in listed.objects})
        there = pa.table({"img_file_name": pa.array(list(keys), pa.string())})
        # A page without a document is skipped as one is whose row another job lacks.
        rows = {_DOCUMENT: InputRows(_DOCUMENT, there)}
        return VolumeInputs(Documents(self._store, keys), rows, (_DOCUMENT,), self.config.skip_pages)

    @override
    def wants_image(self, page: PageInput[Documents]) -> bool:
        return False

    @override
    def measure(self, page: PageInput[Documents]) -> int:
        return LARGEST_FILE

    @override
    def decode(self, page: PageInput[Documents]) -> Round[NoReturn, ReadPage]:
        return Round((), self._read(page.volume.keys[page.page.filename]), 0)

    @override
    def infer(self, items: Sequence[NoReturn]) -> Sequence[NoReturn]:
        return items

    @override
    def finish(self, page: PageInput[Documents], state: ReadPage, outputs: Sequence[NoReturn]) -> Row:
        row = row_of(state.content, _size(state.content, page.page))
        return {**row, "document_key": state.key, "document_etag": state.etag}

    def _read(self, key: str) -> ReadPage:
        blob = self._store.read(key, limit=LARGEST_FILE)
        if blob is None:
            raise StorageError(f"The document '{key}' was removed while the volume was imported.")
        if blob.size > LARGEST_FILE:
            raise _broken(key, f"it has {blob.size} bytes, more than {LARGEST_FILE}")
        try:
            return ReadPage(read_document(blob.data, self.config.format), key, blob.etag)
        except NotReadable as error:
            raise _broken(key, str(error)) from error


def keys_of(manifest: Manifest, keys: Mapping[str, str]) -> dict[str, str]:
    """Return the key of each page's document, by the image's name; pages that have none are left out.

    A document is named as an export names it, or like the whole file of the image. A name without the suffix counts
    where it is that of one image alone.
    """
    images = [page.filename for page in manifest.pages]
    found: dict[str, str] = {}
    for image, name in zip(images, page_names(images), strict=True):
        names = (f"{base}{suffix}" for suffix in SUFFIXES for base in (name, image))
        there = next((each for each in names if each in keys), None)
        if there:
            found[image] = keys[there]
    return found


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


def _baseline(line: Line, size: tuple[int, int]) -> list[dict[str, int]]:
    points: Sequence[Point] = line.baseline
    inside = on_pixels(np.array(points, np.float64).reshape(-1, 2), *size)
    return [{"x": int(x), "y": int(y)} for x, y in inside]


def _size(content: PageContent, page: Page) -> tuple[int, int] | None:
    """Return the size of a page: what the document says, which the manifest must not contradict.

    The image is not fetched for it: whoever reads the lines checks its size again.
    """
    known = (page.width, page.height) if page.width and page.height else None
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
