"""The port of what an audit reads: every task, against which the artefacts and the messages are checked."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from bec_orch.core.records.backlog import UnsentTask
from bec_orch.core.tasks import Job
from bec_orch.core.volumes import PageCounts, VolumeRef, version_of


@dataclass(frozen=True, slots=True)
class JobStates:
    """How many tasks of a job are in each of the seven states (G1), and how many were ever enqueued."""

    job: str
    enqueued: int
    queued: int
    waiting: int
    running: int
    done: int
    terminal_failed: int
    dead_lettered: int
    canceled: int

    @property
    def unaccounted(self) -> int:
        """How many tasks are in none of the seven states."""
        seven = self.queued + self.waiting + self.running + self.done
        return self.enqueued - seven - self.terminal_failed - self.dead_lettered - self.canceled


@dataclass(frozen=True, slots=True)
class TaskRow:
    """What the database says of one task. `seen_etag` is the version of its volume that was last seen.

    `nb_pages` is that of the manifest, where it is known for this task's version, and of the further pictures that the
    artefact has rows of.
    """

    id: int
    volume: VolumeRef
    state: str
    unfinished: bool
    attempt: int
    manifest_etag: str | None
    config_hash: str | None
    artefact_key: str | None
    pages: PageCounts
    seen_etag: str | None
    nb_pages: int | None

    def is_of(self, version: str) -> bool:
        """Whether the task stands for this version of its volume."""
        return self.manifest_etag is not None and version_of(self.manifest_etag) == version


@dataclass(frozen=True, slots=True)
class RepeatedTask:
    """A task and its volume, and how often there is what may be there once."""

    task_id: int
    volume: VolumeRef
    times: int


@dataclass(frozen=True, slots=True)
class LeftTask:
    """A task that living workers should have seen to long since, its volume, and its state."""

    task_id: int
    volume: VolumeRef
    state: str


@dataclass(frozen=True, slots=True)
class Irregularities:
    """Tasks that were done twice, volumes with two open tasks, and tasks that were left behind."""

    done_twice: tuple[RepeatedTask, ...]
    open_twice: tuple[RepeatedTask, ...]
    left_behind: tuple[LeftTask, ...]


@dataclass(frozen=True, slots=True)
class DoneEntry:
    """A task that is done, by the names of its volume and its version; the source does not matter."""

    task_id: int
    w_id: str
    i_id: str
    manifest_etag: str


class Ledger(Protocol):
    """The tasks of one database, for an audit. Changes nothing."""

    def now(self) -> dt.datetime:
        """Return the database's clock."""
        ...

    def states(self) -> tuple[JobStates, ...]:
        """Count the tasks of every job by state, all at one instant."""
        ...

    def irregularities(self, job: Job, *, lost_after: float, overdue: float) -> Irregularities:
        """Return what the tables of a job alone show to be wrong.

        Args:
            job: the job.
            lost_after: seconds of silence after which a worker does not count as living.
            overdue: seconds after which living workers should have seen to a task.
        """
        ...

    def tasks_of(self, job: Job, volumes: Sequence[VolumeRef]) -> list[TaskRow]:
        """Return every task of the job for the works and names of these volumes, the newest first."""
        ...

    def done(self, job: Job) -> Iterator[DoneEntry]:
        """Yield the done tasks of a job."""
        ...

    def announced(self, job: Job, volumes: Sequence[VolumeRef]) -> list[int]:
        """Return the unfinished tasks of volumes that messages name."""
        ...

    def to_be_announced(self, job: Job, before: dt.datetime) -> Iterator[UnsentTask]:
        """Yield the tasks that must have a message: sent before that moment, or at a time that never comes."""
        ...

    def knows_source(self, source: str) -> bool:
        """Return whether any volume of the database lies in this source."""
        ...
