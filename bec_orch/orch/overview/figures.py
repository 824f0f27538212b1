"""What job types tell of whole volumes that are done, from the rows of their artefacts."""

from collections.abc import Iterable, Mapping

from bec_orch.core.artefacts import ArtefactLocation
from bec_orch.core.ports.artefact_store import ArtefactStore
from bec_orch.core.ports.views import PageFigures
from bec_orch.core.records.overview import TaskView
from bec_orch.core.tasks import TaskState
from bec_orch.core.volumes import version_of


def volume_figures(
    artefacts: ArtefactStore, tasks: Iterable[TaskView], figures: PageFigures | None
) -> dict[int, Mapping[str, float | None]]:
    """Return the figures of volumes that are done, by task; none where their job type tells none.

    Raises:
        StorageError: the store is away, or an artefact broken.
        TerminalError: a `success.json` cannot be read.
    """
    if figures is None or not figures.of_volume(()):
        return {}
    found: dict[int, Mapping[str, float | None]] = {}
    for task in tasks:
        location = ArtefactLocation(task.root, task.volume, version_of(task.manifest_etag or ""))
        success = artefacts.success(location) if task.state is TaskState.DONE else None
        if success:
            rows = artefacts.read_rows(success, ["ok", "skipped", *figures.columns]).to_pylist()
            done = [figures(row) for row in rows if row.get("ok") is not False and not row.get("skipped")]
            found[task.id] = figures.of_volume(done)
    return found
