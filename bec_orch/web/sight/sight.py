"""All that the pages of the server look at."""

import logging
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bec_orch.core.ports.queues import QueueBackend
from bec_orch.core.records.listings import MOST_ROWS, Listings
from bec_orch.core.records.overview import Overview, TaskView, WorkerView
from bec_orch.core.tasks import TaskState
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import BecError
from bec_orch.orch.machines.prices import Cost, PriceTable
from bec_orch.orch.overview.layers import Layers
from bec_orch.orch.overview.other_texts import OtherTexts
from bec_orch.orch.overview.processes import seen_from
from bec_orch.orch.overview.volume_pages import PageLooker, VolumePages
from bec_orch.web.kept.caches import BoundedCache
from bec_orch.web.kept.snapshots import WAIT, Snapshots
from bec_orch.web.pictures.pictures import PagePictures

logger = logging.getLogger(__name__)

Figure = TypeVar("Figure")

# Seconds for which the list of a volume's pages is kept, while somebody turns them.
_PAGES_AGE = 10.0
_VOLUMES = 16


@dataclass(frozen=True, slots=True)
class Sight:
    """What is looked at.

    Attributes:
        overview: figures of jobs, workers, failures.
        listings: tables that are browsed.
        queues: the queues beside the database.
        looker: lists the pages of volumes.
        layers: reads what jobs found on pages.
        others: finds other texts of pages, to compare with.
        pictures: makes pictures of pages.
        prices: what machines cost.
        host: the machine that all workers run on, and the server, too; None where that is not known.
        closing: is set when the server ends.
        snapshots: the figures that were taken lately.
    """

    overview: Overview
    listings: Listings
    queues: QueueBackend
    looker: PageLooker
    layers: Layers
    others: OtherTexts
    pictures: PagePictures
    prices: PriceTable
    host: str | None = None
    closing: threading.Event = field(default_factory=threading.Event)
    snapshots: Snapshots = field(default_factory=Snapshots)
    _pages: BoundedCache[list[VolumePages]] = field(default_factory=lambda: BoundedCache(_VOLUMES))

    def close(self) -> None:
        """End what goes on for as long as the server runs. May be called twice."""
        self.closing.set()
        self.snapshots.close()

    def look_ahead(self) -> None:
        """Look at a volume of a job of each type: the first look loads code, and opens stores, for a second."""
        try:
            job_of_type = {node.type: node.name for node in self.overview.jobs_with_tasks()}
            for job in job_of_type.values():
                for task in self.overview.tasks(job, limit=1):
                    self.pages(job, task.volume)
        except BecError as error:  # whoever looks is told
            logger.info("web.look_ahead", extra={"error": f"{error.code}: {error.message}"})

    def figure(
        self, key: Hashable, take: Callable[[], Figure], *, patient: bool = True, seconds: float = WAIT
    ) -> Figure | None:
        """Return a figure that takes the database a while; None where it is not there in time.

        Args:
            key: names the figure.
            take: asks for it.
            patient: whether it is waited for; else only what is there counts.
            seconds: how long.
        """
        found = self.snapshots.get(key, take, seconds if patient else 0.0)
        return found.value if found else None

    def figures(self, asked: Mapping[Hashable, Callable[[], Any]], until: float = 0.0) -> list[Any]:
        """Return several figures, None for each that is not there in time; all are asked for before one is waited for.

        Args:
            asked: what asks for each, by what names it.
            until: the time of the monotonic clock until which they are waited for; 0: only what is there counts.
        """
        for key, take in asked.items():
            self.figure(key, take, patient=False)
        return [self.figure(key, take, seconds=max(0.0, until - time.monotonic())) for key, take in asked.items()]

    def workers(self, *, stopped: bool) -> list[WorkerView]:
        """Return the workers, at most one more than a table has; `stopped`: also those that ended."""
        return seen_from(self.host, self.overview.workers(stopped=stopped, limit=MOST_ROWS + 1))

    def cost(self, job: str) -> Cost:
        """Return what the machines of a job have cost so far.

        Raises:
            ConfigError: there is no such job.
        """
        return self.prices.cost(self.overview.machine_uses(job))

    def pages(self, job: str, volume: VolumeRef) -> VolumePages | None:
        """Return the pages of a volume as a job left them; None where it has no task for it.

        Raises:
            ConfigError: there is no such job.
            StorageError: an artefact is broken, or the store away.
        """
        key = (job, volume, int(time.monotonic() / _PAGES_AGE))
        found = self._pages.get(key, lambda: self.looker.look(volume.w_id, volume.i_id, job))
        return next((one for one in found if one.volume == volume), None)


def best_job(tasks: Sequence[TaskView]) -> str:
    """Return the job to begin with: of the newest task that is done, else of the newest one.

    Args:
        tasks: the tasks of a volume, the newest first; at least one.
    """
    return next((task.job for task in tasks if task.state is TaskState.DONE), tasks[0].job)
