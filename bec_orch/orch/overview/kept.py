"""Volumes that are not done, and of which attempts may have left rows: read only by who asks for them (`--partial`)."""

from collections.abc import Collection, Iterator

from bec_orch.core.artefacts import ArtefactLocation
from bec_orch.core.records.overview import Overview, TaskFilter, TaskView
from bec_orch.core.tasks import Job, TaskState
from bec_orch.core.volumes import is_of_source, version_of

_EVERY = 1_000_000
_NOT_DONE = tuple(state for state in TaskState if state is not TaskState.DONE)


def kept_volumes(
    overview: Overview,
    job: Job,
    done: Collection[tuple[str, str]],
    wanted: Collection[tuple[str, str]] = (),
    source: str = "",
) -> Iterator[tuple[TaskView, ArtefactLocation]]:
    """Yield the newest task of each volume that is not done and was begun, with the place of its rows.

    Args:
        overview: what the database knows.
        job: the job.
        done: the works and volumes that are done.
        wanted: those that are wanted alone; all, if none is named.
        source: the source whose volumes are wanted alone; any, if empty.
    """
    tasks = [task for state in _NOT_DONE for task in overview.tasks(job.name, TaskFilter(state=state), limit=_EVERY)]
    seen = {*done}
    for task in sorted(tasks, key=lambda task: -task.id):
        name = (task.volume.w_id, task.volume.i_id)
        if source and not is_of_source(task.volume, source):
            continue
        if name not in seen and (not wanted or name in wanted) and task.manifest_etag:
            seen.add(name)
            yield task, ArtefactLocation(job.root, task.volume, version_of(task.manifest_etag))
