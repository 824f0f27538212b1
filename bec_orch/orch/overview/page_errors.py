"""Which pages of finished volumes are errors, read from their artefacts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from bec_orch.core.artefacts import ArtefactLocation
from bec_orch.core.frames import page_numbers
from bec_orch.core.ports.artefact_store import ArtefactStore
from bec_orch.core.records.overview import TaskView
from bec_orch.core.volumes import VolumeRef, version_of

_COLUMNS = ("img_file_name", "ok", "skipped", "error_type", "error_message")


@dataclass(frozen=True, slots=True)
class PageFault:
    """One page that is an error of a job: its 1-based number in the manifest, its file, and why."""

    job: str
    volume: VolumeRef
    page: int
    img_file_name: str
    code: str
    message: str


def page_errors(artefacts: ArtefactStore, tasks: Iterable[TaskView], *, limit: int) -> list[PageFault]:
    """Return the first page errors of volumes that are done, at most `limit`; reads no artefact without errors.

    Raises:
        StorageError: the store is away.
        TerminalError: an artefact cannot be read.
    """
    return list(islice((fault for task in tasks for fault in _errors_of(artefacts, task)), limit))


def _errors_of(artefacts: ArtefactStore, task: TaskView) -> Iterator[PageFault]:
    if not task.pages or not task.pages.error:
        return
    found = artefacts.success(ArtefactLocation(task.root, task.volume, version_of(task.manifest_etag or "")))
    if found is None:
        return
    rows = artefacts.read_rows(found, _COLUMNS).to_pylist()
    for number, row in zip(page_numbers([row["img_file_name"] for row in rows]), rows, strict=True):
        if not row["ok"] and not row["skipped"]:
            why = row["error_type"], row["error_message"]
            yield PageFault(task.job, task.volume, number, row["img_file_name"], *why)
