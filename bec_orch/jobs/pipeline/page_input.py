"""What a page job is handed for a page: one value, with all that there is to know of the page.

The rows that the job's dependencies left are read once for a volume, and found by the name of the page's image file:
an artefact has one row per page of its manifest, and the same version of the manifest.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Generic

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from typing_extensions import TypeVar

from bec_orch.core.by_name import ByName
from bec_orch.core.frames import frame_name
from bec_orch.core.ports.job_worker import JobContext, PageBytes
from bec_orch.core.volumes import Page
from bec_orch.errors import TerminalError
from bec_orch.jobs.formats.header import ImageHeader
from bec_orch.jobs.images import DEFAULT_MAX_PIXELS, probe, read
from bec_orch.jobs.pipeline.skip_rules import SkipRule

Image = NDArray[np.uint8]
VolumeT = TypeVar("VolumeT", default=None)


@dataclass(frozen=True, slots=True)
class InputRow:
    """The row that a dependency has for a page; it reads as None throughout where there is none.

    Attributes:
        job: the dependency's name.
        table: all rows of its artefact.
        place: the page's row in the table; None where there is none.
        is_absent: the volume is done without an artefact of this dependency, which has no row for any page then.
    """

    job: str
    table: pa.Table
    place: int | None
    is_absent: bool = False

    def __getitem__(self, column: str) -> Any:
        """Return the value of a column; None where the artefact has no such column."""
        cell = self.cell(column)
        return None if cell is None else cell.as_py()

    def cell(self, column: str) -> "pa.Scalar[Any] | None":
        """Return the value of a column as Arrow has it, for long lists that are better read as arrays."""
        if self.place is None or column not in self.table.column_names:
            return None
        cell: pa.Scalar[Any] = self.table[column][self.place]
        return cell

    @property
    def skip_reason(self) -> str | None:
        """Why there is nothing to read in it: there is no row, or the job skipped the page or failed on it."""
        if self.place is None:
            return f"{self.job}: no row"
        if self["skipped"]:
            return f"{self.job}: {self['skip_reason'] or 'skipped'}"
        return f"{self.job}: {self['error_type'] or 'error'}" if self["ok"] is False else None


@dataclass
class PageInput(Generic[VolumeT]):
    """A page, its image, and what other jobs left for it. The image is fetched only if the job wants it.

    Attributes:
        page: its place in the manifest, its file, and what the manifest says of both.
        rows: the row of each dependency, by the job's name.
        volume: what the job made ready for the whole volume.
        max_pixels: images of more are refused.
        frame: which picture of the file it is, from 1; the name of its page is that of its row (`core/frames.py`).
        all_frames: the other pictures of the file are done, too.
        assumed: what had to be assumed to decode the image, once it was; "": nothing.
    """

    page: Page
    rows: Mapping[str, InputRow]
    volume: VolumeT
    max_pixels: int = DEFAULT_MAX_PIXELS
    _source: PageBytes | None = field(default=None, repr=False)
    frame: int = 1
    all_frames: bool = False
    assumed: str = field(default="", init=False)

    def fetched(self, source: PageBytes | None) -> "PageInput[VolumeT]":
        """Return the same page with its image's bytes, if there are any."""
        return replace(self, _source=source)

    @property
    def data(self) -> bytes:
        """The bytes of the image file as it is stored.

        Raises:
            ValueError: the image was not fetched: the job said that it does not want it.
        """
        if self._source is None:
            raise ValueError(f"the image of {self.page.filename} was not fetched")
        return self._source.data

    @property
    def nbytes(self) -> int:
        """The size of the image file in memory, bytes; 0 where it was not fetched."""
        return len(self._source.data) if self._source else 0

    @property
    def etag(self) -> str | None:
        """The version of the image; where it was not fetched, as far as the manifest or a dependency knows it."""
        if self._source:
            return self._source.etag
        return self.page.etag or next((row["source_etag"] for row in self.rows.values() if row["source_etag"]), None)

    @cached_property
    def header(self) -> ImageHeader:
        """What the image's headers say; read once.

        Raises:
            PageError: see `images.probe`.
        """
        return probe(self.data, max_pixels=self.max_pixels, frame=self.frame)

    @property
    def unread_frames(self) -> int:
        """How many pictures of the file are not done.

        Raises:
            PageError: see `images.probe`.
        """
        return 0 if self.all_frames else self.header.frames - 1

    def image(self, *, reduce: int = 1) -> Image:
        """Decode the image at 1/`reduce` of its size: grey (H, W) or BGR (H, W, 3), 8 bits.

        Raises:
            PageError: see `images.probe` and `images.decode`.
        """
        decoded = read(self.data, self.header, reduce=reduce)
        self.assumed = decoded.assumed
        return decoded.pixels


class InputRows:
    """The rows of one dependency's artefact, by page.

    Args:
        job: the dependency's name.
        table: its artefact; an empty one where it is absent.
        is_absent: the volume is done without it.
    """

    def __init__(self, job: str, table: pa.Table, *, is_absent: bool = False) -> None:
        self.job = job
        self.is_absent = is_absent
        self.table = table.combine_chunks()
        names: list[Any] = table["img_file_name"].to_pylist() if "img_file_name" in table.column_names else []
        self._places = ByName({name: place for place, name in enumerate(names)})

    def of(self, page: Page) -> InputRow:
        """Return the row of a page."""
        return InputRow(self.job, self.table, self._places.get(page.filename), self.is_absent)

    def frames(self, page: Page, files: Container[str] = ()) -> int:
        """Return how many pictures of a page's file have rows, one after the other; 1 where none has.

        The row of one of the volume's `files`, which may be named like a picture of another, is that file's.
        """
        frame = 1
        while (name := frame_name(page.filename, frame + 1)) not in files and self._places.get(name) is not None:
            frame += 1
        return frame


@dataclass(frozen=True, slots=True)
class VolumeInputs(Generic[VolumeT]):
    """What the pages of a volume are made of beside their images.

    Attributes:
        volume: what the job made ready for the whole volume.
        rows: the rows of each dependency, by the job's name.
        required: the dependencies without whose row a page is skipped, for that row's reason.
        skip_rules: pages that another job labelled, and that are skipped for it.

    Raises:
        TerminalError: a rule reads a column that the artefact does not have (E_SKIP_COLUMN): it would skip nothing.
    """

    volume: VolumeT
    rows: Mapping[str, InputRows] = field(default_factory=dict)
    required: Sequence[str] = ()
    skip_rules: Sequence[SkipRule] = ()

    def __post_init__(self) -> None:
        for rule in self.skip_rules:
            rows = self.rows[rule.job]
            if not rows.is_absent and rule.column not in rows.table.column_names:
                raise TerminalError(
                    f"skip_pages reads the column '{rule.column}' of the job '{rule.job}', which has no such column.",
                    code="E_SKIP_COLUMN",
                    hint=f"Its columns are {', '.join(rows.table.column_names)}. Correct skip_pages in the config.",
                )

    def of(self, page: Page, max_pixels: int, frame: int = 1, *, all_frames: bool = False) -> PageInput[VolumeT]:
        """Return a page, or a further picture of its file, with its inputs, its image not fetched."""
        one = page if frame == 1 else replace(page, filename=frame_name(page.filename, frame), width=None, height=None)
        rows = {job: rows.of(one) for job, rows in self.rows.items()}
        return PageInput(one, rows, self.volume, max_pixels, frame=frame, all_frames=all_frames)

    def frames(self, page: Page, files: Container[str] = ()) -> int:
        """Return how many pictures of a page's file dependencies have rows of, 1 at least; see `InputRows.frames`."""
        return max((rows.frames(page, files) for rows in self.rows.values()), default=1)

    def skip_reason(self, page: PageInput[VolumeT]) -> str | None:
        """Return why a page is to be skipped; None where it is to be done."""
        return page.page.skip_reason or next(filter(None, self._reasons(page)), None)

    def _reasons(self, page: PageInput[VolumeT]) -> Iterable[str | None]:
        yield from (page.rows[job].skip_reason for job in self.required)
        yield from (rule.reason(page.rows[rule.job].__getitem__) for rule in self.skip_rules)


def read_rows(context: JobContext) -> dict[str, InputRows]:
    """Read the artefact of every dependency of a volume's job; those that it goes without have no row for any page.

    Raises:
        RetryableError: an artefact is gone, or its store away.
    """
    readers: Mapping[str, Callable[[], pa.Table]] = context.dependencies
    absent = {job: InputRows(job, pa.table({}), is_absent=True) for job in context.absent}
    return {job: InputRows(job, read()) for job, read in readers.items()} | absent
