"""What a job type may show of its results. The registry finds each by the type's name, and many types have none."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from bec_orch.core.ports.job_worker import BlobReader
from bec_orch.core.transcripts import PageContent
from bec_orch.core.volumes import VolumeRef

if TYPE_CHECKING:
    import pyarrow as pa


class ShownPage(Protocol):
    """A page that a report shows: its volume, its place in the manifest, from 0, and its file. Hashable."""

    @property
    def volume(self) -> VolumeRef:
        """The volume that it is of."""
        ...

    @property
    def index(self) -> int:
        """Its place in the manifest, from 0."""
        ...

    @property
    def img_file_name(self) -> str:
        """The name of its file."""
        ...


class JobReport(Protocol):
    """A report over all volumes of a job that are done."""

    def summary(self) -> Sequence[tuple[str, str]]:
        """Return the figures of the whole job as a table of two columns."""
        ...

    def hints(self) -> Sequence[str]:
        """Return what to look at before the figures are believed, a sentence or two each."""
        ...

    def table(self) -> Sequence[Mapping[str, Any]]:
        """Return one row for each work."""
        ...

    def to_json(self) -> Mapping[str, Any]:
        """Return everything, numbers as they are."""
        ...

    def html(self, thumbnail: Callable[[ShownPage], bytes | None], made: dt.datetime) -> str:
        """Return the report as one HTML page that needs no other file.

        Args:
            thumbnail: returns a small JPEG of a page; None where it cannot be had.
            made: when the figures were added up.
        """
        ...


class Tally(Protocol):
    """Adds up the volumes of a job, one after the other."""

    @property
    def columns(self) -> Sequence[str]:
        """The columns of the rows that it wants."""
        ...

    def add(self, volume: VolumeRef, table: "pa.Table | None", *, partial: bool = False) -> None:
        """Count a volume's rows; None stands for an artefact that cannot be read.

        Args:
            volume: the volume.
            table: its rows.
            partial: it is not done: these are rows that its attempts left.
        """
        ...

    def report(self) -> JobReport:
        """Return what was counted."""
        ...


class VolumePicture(Protocol):
    """Draws what a job type found in a volume."""

    def __call__(self, name: str, rows: "pa.Table", read: Callable[[int], bytes]) -> bytes:
        """Return a JPEG file.

        Args:
            name: the volume, for the title.
            rows: its rows, in manifest order.
            read: returns the bytes of the image of the page with that number, from 0.
        """
        ...


class TallyOf(Protocol):
    """Begins a report for the job of a name."""

    def __call__(self, job: str) -> Tally:
        """Begin it."""
        ...


class PageFigures(Protocol):
    """Returns what a job type found on each page, in a few figures (entry points `bec_orch.pages`)."""

    @property
    def columns(self) -> Sequence[str]:
        """The columns of the rows that it wants."""
        ...

    def __call__(self, row: Mapping[str, Any]) -> Mapping[str, float | str | None]:
        """Return the figures of a page that was done, by their headings: the same ones for every page.

        Args:
            row: the columns that it wants, as far as the artefact has them.
        """
        ...

    def of_volume(self, pages: Sequence[Mapping[str, float | str | None]]) -> Mapping[str, float | None]:
        """Return what the table of a run tells of a volume beside the counters, by heading; nothing where that is all.

        Args:
            pages: the figures of its pages that were done.
        """
        ...


class ContentOf(Protocol):
    """Reads what a job type's rows say of each page (entry points `bec_orch.exports`)."""

    @property
    def usual(self) -> Sequence[str]:
        """The formats of documents that `bec run` writes by default."""
        ...

    def __call__(self, rows: "pa.Table", inputs: Mapping[str, "pa.Table"]) -> Iterator[PageContent]:
        """Return the content of each row; that of rows of pages which were not done counts for nothing.

        Args:
            rows: some rows of the artefact, with all columns that it has.
            inputs: for each job that it was made from, and whose artefact is still there, the rows of the same pages.
        """
        ...


class TruthOf(Protocol):
    """Reads the true text of pages that a job type compares with (entry points `bec_orch.truths`)."""

    def __call__(
        self, config: Mapping[str, Any], volume: VolumeRef, image: str, open_store: Callable[[str], BlobReader]
    ) -> str | None:
        """Return the true text of a page; None where there is none.

        Args:
            config: that of the job.
            volume: the page's volume.
            image: the name of its file.
            open_store: opens a store that the config names, by its URL.

        Raises:
            PageError: the file with it is broken.
            StorageError: the store is away.
        """
        ...
