"""Every page of a volume as a job left it: of a finished one from its artefact, else from the part files."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

from bec_orch.core.artefacts import ArtefactLocation
from bec_orch.core.frames import page_numbers
from bec_orch.core.ports.sources import SourceFactory
from bec_orch.core.ports.views import PageFigures
from bec_orch.core.records.overview import Overview, TaskFilter, TaskView
from bec_orch.core.tasks import TaskState
from bec_orch.core.volumes import VolumeRef, same_etag, version_of
from bec_orch.errors import RetryableError, TerminalError
from bec_orch.io.artefacts.artefacts import StoredArtefacts

if TYPE_CHECKING:
    import pyarrow as pa

_STATE = ("img_file_name", "ok", "skipped", "skip_reason", "error_stage", "error_type", "error_message")
# More tasks than this no volume has of one job.
_TASKS = 1000
NO_ROW = "no row"
"""The state of a page that no attempt came to."""


@dataclass(frozen=True, slots=True)
class PageView:
    """One page of a volume.

    Attributes:
        page: its 1-based number in the manifest.
        img_file_name: its file.
        state: `ok`, `skipped`, `error`, or `no row`.
        figures: what its job type tells of it, by heading; empty where it was not done.
        code: why it is an error.
        stage: where it became one.
        message: why it is an error or skipped, in words.
    """

    page: int
    img_file_name: str
    state: str
    figures: Mapping[str, float | str | None] = field(default_factory=dict)
    code: str | None = None
    stage: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class VolumePages:
    """The pages of a volume of one source, as a task of one job left them.

    Attributes:
        job: the job.
        volume: the volume.
        task: the task whose rows these are.
        state: the state of that task.
        partial: whether the rows are those of attempts that left no artefact.
        partial_artefact: the key of the file that marks what they left as a partial artefact, if one did.
        pages: the pages, in the order of the manifest.
        note: what is not known of them; empty otherwise.
        failure: code and sentence of the task's failure, if it failed; empty otherwise.
        hint: what to do about that; empty otherwise.
        version: the version of the volume that the pages are of; empty where no list of pages was read yet.
    """

    job: str
    volume: VolumeRef
    task: int
    state: TaskState
    partial: bool
    pages: Sequence[PageView]
    note: str = ""
    failure: str = ""
    hint: str = ""
    partial_artefact: str | None = None
    version: str = ""

    @property
    def last_page(self) -> int:
        """The number of its last page, as far as they are known; a page whose file has several pictures counts once."""
        return max((page.page for page in self.pages), default=0)

    @property
    def has_rows(self) -> bool:
        """Whether there is a row of any page."""
        return any(page.state != NO_ROW for page in self.pages)


class PageLooker:
    """Looks at the pages of volumes.

    Args:
        overview: what the database knows.
        artefacts: the destination.
        sources: where the manifests of volumes without an artefact are.
        figures: returns what tells the figures of a job type's pages.
    """

    def __init__(
        self,
        overview: Overview,
        artefacts: StoredArtefacts,
        sources: SourceFactory,
        figures: Callable[[str], PageFigures | None],
    ) -> None:
        self._overview = overview
        self._artefacts = artefacts
        self._sources = sources
        self._figures = figures

    def look(self, w_id: str, i_id: str, job: str | None = None) -> list[VolumePages]:
        """Return the pages of a volume for each job that has a task for it, or for one job; one entry for each source.

        Of several tasks the newest one counts of which there are rows.

        Raises:
            ConfigError: there is no such job, or what tells the figures of its pages is not installed.
            StorageError: the store is away, or an artefact gone or broken.
            TerminalError: a `success.json` cannot be read.
        """
        names = [self._overview.job(job).name] if job else [node.name for node in self._overview.jobs_with_tasks()]
        return [found for name in names for found in self._of_job(name, TaskFilter(w_id=w_id, i_id=i_id))]

    def _of_job(self, job: str, wanted: TaskFilter) -> Iterator[VolumePages]:
        tasks = self._overview.tasks(job, wanted, limit=_TASKS)
        if not tasks:
            return
        figures = self._figures(self._overview.job(job).type)
        newest = sorted(tasks, key=lambda task: (task.volume, -task.id))
        for _, found in groupby(newest, key=lambda task: task.volume):
            looked = (self._of_task(task, figures) for task in found)
            first = next(looked)
            yield first if first.has_rows else next((one for one in looked if one.has_rows), first)

    def _of_task(self, task: TaskView, figures: PageFigures | None) -> VolumePages:
        rows: pa.Table | None = None
        success = marked = None
        if task.manifest_etag:
            location = ArtefactLocation(task.root, task.volume, version_of(task.manifest_etag))
            columns = [*_STATE, *(figures.columns if figures else ())]
            success = self._artefacts.success(location) if task.state is TaskState.DONE else None
            if success:
                rows = self._artefacts.read_rows(success, columns)
            else:
                rows = self._artefacts.part_rows(location, task.attempt, columns)
                marked = self._artefacts.partial(location)
        pages = [] if rows is None else _pages(rows.to_pylist(), figures)
        note = ""
        if success is None:
            pages, note = self._with_others(task, pages)
        if success is None and task.state is TaskState.DONE:
            note = f"Its artefact is gone: `bec audit {task.job}` tells what else is missing."
        failure = f"{task.failure_code}: {task.failure_message}" if task.failure_code else ""
        hint = task.failure_hint or ""
        return VolumePages(
            task.job,
            task.volume,
            task.id,
            task.state,
            success is None,
            pages,
            note,
            failure,
            hint,
            marked,
            version_of(task.manifest_etag) if task.manifest_etag else "",
        )

    def _with_others(self, task: TaskView, pages: list[PageView]) -> tuple[list[PageView], str]:
        """Add the pages of the manifest that have no row."""
        if task.manifest_etag is None:
            return [], "No worker has read its list of pages yet."
        try:
            manifest = self._sources(task.volume.source).read_manifest(task.volume)
        except (RetryableError, TerminalError) as error:
            return pages, f"Pages without a row are not known: {error.message}"
        if not same_etag(manifest.etag, task.manifest_etag):
            return pages, "Pages without a row are not known: the volume has changed since."
        by_number: dict[int, list[PageView]] = defaultdict(list)
        for page in pages:
            by_number[page.page].append(page)
        every = ((page.index + 1, page.filename) for page in manifest.pages)
        found = (by_number.get(number) or [PageView(number, name, NO_ROW)] for number, name in every)
        return [page for pictures in found for page in pictures], ""


def _pages(rows: Sequence[Mapping[str, Any]], figures: PageFigures | None) -> list[PageView]:
    numbers = page_numbers([row["img_file_name"] for row in rows])
    # Part files have some of the pages, and say which.
    return [_page(row, row.get("page", number - 1) + 1, figures) for row, number in zip(rows, numbers, strict=True)]


def _page(row: Mapping[str, Any], number: int, figures: PageFigures | None) -> PageView:
    name = row["img_file_name"]
    if row.get("skipped"):
        return PageView(number, name, "skipped", message=row.get("skip_reason"))
    if row.get("ok") is False:
        why = row.get("error_type"), row.get("error_stage"), row.get("error_message")
        return PageView(number, name, "error", {}, *why)
    return PageView(number, name, "ok", figures(row) if figures else {})
