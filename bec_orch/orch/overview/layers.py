"""What is there to be seen on the pages of a volume: the jobs that found something, and what each found on a page."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from typing_extensions import override

from bec_orch.core.artefacts import ArtefactLocation, Success
from bec_orch.core.ports.views import ContentOf
from bec_orch.core.records.listings import Listings
from bec_orch.core.records.overview import Overview, TaskView
from bec_orch.core.tasks import Job, TaskState
from bec_orch.core.transcripts import Origin, PageContent, PageRecord
from bec_orch.core.volumes import VolumeRef, version_of
from bec_orch.errors import StorageError
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.orch.overview.contents import (
    KeptRows,
    image_names,
    inputs_beside,
    kept_rows,
    origin_of,
    page_of,
    pages_of,
    readable_inputs,
)


@dataclass(frozen=True, slots=True)
class Layer:
    """What one job found in a volume.

    Attributes:
        task: its task.
        success: the artefact of that; of a volume that is not done, what stands for it.
        inputs: those that it was made from, by job, as far as they are there.
        read: what reads its rows; None where its type hands nothing on.
        kept: the rows that attempts left of a volume that is not done; None of one that is.
    """

    task: TaskView
    success: Success
    inputs: Mapping[str, Success]
    read: ContentOf | None
    kept: KeptRows | None = None

    @property
    def origin(self) -> Origin:
        """How it was made."""
        return self.kept.origin if self.kept else origin_of(self.success)


class Layers:
    """Finds and reads the layers of volumes.

    Args:
        overview: knows the jobs.
        listings: knows the tasks of volumes.
        artefacts: the destination.
        content: returns what reads the rows of a job type.
    """

    def __init__(
        self,
        overview: Overview,
        listings: Listings,
        artefacts: StoredArtefacts,
        content: Callable[[str], ContentOf | None],
    ) -> None:
        self._overview = overview
        self._listings = listings
        self._artefacts = artefacts
        self._content = content

    def layer(self, job: str, volume: VolumeRef) -> Layer | None:
        """Return what a job found in a volume; None where no task of its is done, and no attempt left any pages.

        Raises:
            ConfigError: there is no such job, or what reads its rows is not installed.
            StorageError: its artefact is gone (E_ARTEFACT_GONE), or the store away.
            TerminalError: the `success.json` cannot be read.
        """
        known = self._overview.job(job)
        every = self._listings.tasks_of_volume(volume.w_id, volume.i_id)
        tasks = [task for task in every if (task.job, task.volume) == (job, volume)]
        task = next((task for task in tasks if task.state is TaskState.DONE), None)
        if task is None:
            return self._kept(known, tasks)
        location = ArtefactLocation(task.root, task.volume, version_of(task.manifest_etag or ""))
        success = self._artefacts.success(location)
        if success is None:
            raise StorageError(
                f"The artefact {location.prefix} is gone.",
                code="E_ARTEFACT_GONE",
                hint=f"`bec audit {job}` tells what is missing; with `--fix`, a new run of the job makes it again.",
            )
        needs = {name: known.root_of(name) for name in known.depends_on}
        inputs = readable_inputs(self._artefacts, success, inputs_beside(self._artefacts, success, needs))
        return Layer(task, success, inputs, self._content(known.type))

    def _kept(self, job: Job, tasks: Sequence[TaskView]) -> Layer | None:
        task = next((task for task in tasks if task.manifest_etag), None)
        if task is None:
            return None
        location = ArtefactLocation(task.root, task.volume, version_of(task.manifest_etag or ""))
        try:
            kept = kept_rows(self._artefacts, location, task.attempt, job)
        except StorageError as error:
            if error.code != "E_ARTEFACT_GONE":
                raise
            return None
        return Layer(task, kept.success, {}, self._content(job.type), kept)

    def page(self, layer: Layer, index: int, image: str) -> PageRecord | None:
        """Return what is on one page; None where there is no such row.

        Args:
            layer: what a job found.
            index: the page's place in the artefact, from 0.
            image: the name of its file: rows of a volume that is not done are found by it.

        Raises:
            StorageError: the artefact is gone or broken, or the store away.
        """
        if layer.kept:
            names = image_names(layer.kept, layer.success)
            place = names.index(image) if image in names else -1
            return page_of(layer.kept, layer.success, {}, layer.read or _Nothing(), place)
        return page_of(self._artefacts, layer.success, layer.inputs, layer.read or _Nothing(), index)

    def pages(self, layer: Layer) -> Iterator[PageRecord]:
        """Return what is on each page of a volume that is done, in order; raises what `page` raises."""
        return pages_of(self._artefacts, layer.success, layer.inputs, layer.read or _Nothing())


class _Nothing(ContentOf):
    """Reads rows of a type that hands nothing on."""

    usual = ()

    @override
    def __call__(self, rows: pa.Table, inputs: Mapping[str, pa.Table]) -> Iterator[PageContent]:
        return (PageContent() for _ in range(rows.num_rows))
