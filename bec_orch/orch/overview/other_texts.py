"""What else says what stands on a page: ground truth that a job evaluates it with, and other jobs that read it."""

from collections.abc import Callable, Sequence

from bec_orch.core.ports.job_worker import BlobReader
from bec_orch.core.ports.views import TruthOf
from bec_orch.core.records.jobs import Jobs
from bec_orch.core.records.overview import TaskView
from bec_orch.core.tasks import Job, TaskState
from bec_orch.core.volumes import VolumeRef
from bec_orch.orch.overview.layers import Layers


class OtherTexts:
    """Finds the other texts of pages.

    Args:
        jobs: knows the jobs.
        layers: reads what jobs found.
        open_store: opens a store by its URL.
        truth: returns what reads the true text that a job type knows of, None where it knows none.
        reads: returns whether rows of a job type hand lines on.
    """

    def __init__(
        self,
        jobs: Jobs,
        layers: Layers,
        open_store: Callable[[str], BlobReader],
        truth: Callable[[str], TruthOf | None],
        reads: Callable[[str], bool],
    ) -> None:
        self._jobs = jobs
        self._layers = layers
        self._open_store = open_store
        self._truth = truth
        self._reads = reads

    def names(self, job: str, tasks: Sequence[TaskView]) -> list[str]:
        """Return the jobs that may have another text for a volume than `job`, those that know the truth first.

        Those that it needs are none: what it read was read from theirs.

        Args:
            job: the job whose text it is to be compared with.
            tasks: the volume's tasks of all jobs.
        """
        done = {task.job for task in tasks if task.state is TaskState.DONE}
        every = self._jobs.every()
        made_from = {name for one in every if one.name == job for name in one.depends_on}
        others = [other for other in every if other.name != job and other.name not in made_from]
        knowing = [other.name for other in others if job in other.depends_on and self._truth(other.type)]
        reading = [other.name for other in others if other.name in done and self._reads(other.type)]
        return list(dict.fromkeys([*knowing, *reading]))

    def text(self, name: str, volume: VolumeRef, index: int, image: str) -> str | None:
        """Return what the job `name` has for a page; None where that is nothing.

        Raises:
            ConfigError: there is no such job, or what reads its rows is not installed.
            PageError: the file with the true text is broken.
            StorageError: a store is away, or an artefact gone.
        """
        job: Job = self._jobs.job(name)
        truth = self._truth(job.type)
        if truth is not None:
            return truth(job.config, volume, image, self._open_store)
        layer = self._layers.layer(name, volume)
        record = self._layers.page(layer, index, image) if layer else None
        texts = [line.text for line in record.content.lines if line.text is not None] if record else []
        return "\n".join(texts) if texts else None
