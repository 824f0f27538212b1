"""The ports of moving in: the earlier system's database, which is read alone, and what takes its records over.

Whatever comes from there is hostile: names and configs are of any length and characters, counts and times of any size.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from bec_orch.core.tasks import TaskResult
from bec_orch.core.volumes import VolumeRef

EARLIER_DATABASE = "pipeline_v1"
"""What the earlier system's database is called where nobody names it otherwise."""


@dataclass(frozen=True, slots=True)
class EarlierJob:
    """A job of the earlier system. `config` is text that should be JSON; None where it is too long to be read."""

    id: int
    name: str
    config: str | None


@dataclass(frozen=True, slots=True)
class EarlierVolume:
    """A volume that the earlier system knows. `etag` is the manifest's that it saw last, in hex; None: not 16 bytes."""

    w_id: str
    i_id: str
    etag: str | None
    nb_images_intro: int | None


@dataclass(frozen=True, slots=True)
class EarlierTask:
    """Work that the earlier system has done: the manifest's ETag in hex, and its pages, as far as they are known."""

    job_id: int
    w_id: str
    i_id: str
    etag: str | None
    pages: int | None
    started_at: dt.datetime | None
    done_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class UndoneTasks:
    """How many tasks of a job the earlier system has in a status that is not `done`."""

    job_id: int
    status: str
    count: int


class EarlierRecords(Protocol):
    """The records of the earlier system, as they were at one instant; read in portions."""

    def jobs(self) -> list[EarlierJob]:
        """Return its jobs.

        Raises:
            ConfigError: they are more than any system has (E_EARLIER_JOBS).
        """
        ...

    def volumes(self) -> Iterator[list[EarlierVolume]]:
        """Yield its volumes, a portion at a time."""
        ...

    def done(self) -> Iterator[list[EarlierTask]]:
        """Yield its tasks that are done, the oldest first, a portion at a time."""
        ...

    def undone(self) -> list[UndoneTasks]:
        """Count its other tasks, by job and status."""
        ...


class EarlierSystem(Protocol):
    """The database of the earlier system."""

    def reading(self) -> AbstractContextManager[EarlierRecords]:
        """Open its records, read-only, for the block.

        Raises:
            ConfigError: it is not the earlier system's (E_EARLIER_SCHEMA).
            DatabaseError: it is away, or refuses.
        """
        ...


@dataclass(frozen=True, slots=True)
class KnownVolume:
    """A volume that is taken over, with the manifest's ETag where that is known."""

    volume: VolumeRef
    manifest_etag: str | None
    nb_images_intro: int


@dataclass(frozen=True, slots=True)
class DoneWork:
    """Work that is taken over as done, as an artefact that is there shows it. Times are None where they are unknown."""

    volume: VolumeRef
    result: TaskResult
    started_at: dt.datetime | None
    done_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Intake:
    """What became of a portion: how many were taken, how many the database has already.

    `unfinished` are those whose volume has an unfinished task of the job: that goes on.
    """

    taken: int = 0
    there: int = 0
    unfinished: int = 0

    def __add__(self, other: "Intake") -> "Intake":
        return Intake(self.taken + other.taken, self.there + other.there, self.unfinished + other.unfinished)


class TakingOver(Protocol):
    """What a database takes over of another system. Each call is one transaction; repeated, it changes nothing."""

    def add_volumes(self, volumes: Sequence[KnownVolume], *, dry_run: bool = False) -> Intake:
        """Add volumes that the database does not know; of those that it knows nothing changes."""
        ...

    def add_done(self, job_name: str, work: Sequence[DoneWork], *, dry_run: bool = False) -> Intake:
        """Add tasks of a job that are done, for volumes and versions of which it has none in any state.

        Raises:
            ConfigError: there is no such job (E_JOB_UNKNOWN).
        """
        ...

    def renew_statistics(self) -> None:
        """Have the database's planner learn anew how large the tables are."""
        ...
