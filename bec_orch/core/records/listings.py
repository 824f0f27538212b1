"""The port of what is browsed: tables of any length, sorted, filtered and cut by the database, and courses of time."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from bec_orch.core.records.overview import TaskView
from bec_orch.core.tasks import TaskState

MOST_ROWS = 1000
"""Of one part of a listing."""


class TaskOrder(StrEnum):
    """By what tasks can be sorted."""

    UPDATED = "updated"
    VOLUME = "volume"
    STATE = "state"
    PAGES = "pages"
    ERRORS = "errors"
    SECONDS = "seconds"
    ATTEMPT = "attempt"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """Which part of a job's tasks is wanted.

    Attributes:
        text: what the names of work or volume begin with; empty: any.
        state: their state; None: any.
        code: the code that they failed with, or that pages of theirs did; None: any.
        fingerprint: the fingerprint that they failed with; None: any.
        order: by what they are sorted.
        descending: whether the largest come first.
        skip: how many of them come before the part.
        limit: how many the part has at most.
    """

    text: str = ""
    state: TaskState | None = None
    code: str | None = None
    fingerprint: str | None = None
    order: TaskOrder = TaskOrder.UPDATED
    descending: bool = True
    skip: int = 0
    limit: int = 50


@dataclass(frozen=True, slots=True)
class ListedTask:
    """A line of a listing of tasks.

    `seconds` is how long the last attempt took, or runs; `has_namesakes` whether another source has a volume of
    its name.
    """

    id: int
    w_id: str
    i_id: str
    source: str
    state: TaskState
    pages_ok: int | None
    pages_skipped: int | None
    pages_error: int | None
    seconds: float | None
    attempt: int
    failure_code: str | None
    updated_at: dt.datetime
    has_namesakes: bool


@dataclass(frozen=True, slots=True)
class DoubtfulVolume:
    """A volume that is done without a failure, and doubtful: nobody reported what may be wrong with it.

    No page of it was done, everything that the job counts is 0, or at least half of its pages are read with little
    confidence (`pages_unsure`). A job that counts nothing says nothing of that. `has_namesakes` as in `ListedTask`.
    """

    w_id: str
    i_id: str
    source: str
    pages_ok: int
    pages_skipped: int
    pages_error: int
    pages_unsure: int
    finished_at: dt.datetime
    has_namesakes: bool


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One attempt at a task of a volume. `stages` are the seconds that its stages took, by name."""

    task_id: int
    job: str
    attempt: int
    worker_id: str
    outcome: str | None
    charged: bool
    code: str | None
    stage: str | None
    message: str | None
    started_at: dt.datetime
    ended_at: dt.datetime | None
    stages: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Span:
    """What came to pass within a span of time.

    Attributes:
        begin: when it began.
        enqueued: how many volumes were enqueued.
        done: how many were done; of a volume with several tasks, the unfinished one counts, else the newest.
        failed: how many failed for good.
        canceled: how many were canceled.
        pages: how many pages were done, those of older tasks, too.
    """

    begin: dt.datetime
    enqueued: int
    done: int
    failed: int
    canceled: int
    pages: int


@dataclass(frozen=True, slots=True)
class Course:
    """The course of a job, span after span of so many `seconds`; those in which nothing came to pass are left out."""

    seconds: int
    spans: Sequence[Span]


class Listings(Protocol):
    """Tables and courses of one database. Methods that take a job's name raise `ConfigError` where there is none."""

    def tasks(self, job_name: str, wanted: TaskQuery) -> list[ListedTask]:
        """Return a part of a job's tasks."""
        ...

    def tasks_of_volume(self, w_id: str, i_id: str) -> list[TaskView]:
        """Return the tasks of all jobs for a volume of these names, in whatever source, the newest first."""
        ...

    def attempts_of_volume(self, w_id: str, i_id: str) -> list[AttemptView]:
        """Return the attempts at those tasks, the newest first."""
        ...

    def stale_reasons(self, w_id: str, i_id: str) -> Mapping[int, Sequence[str]]:
        """Return why finished tasks for a volume would not come out the same today, by task, as in `StaleVolume`."""
        ...

    def course(self, job_name: str) -> Course:
        """Return the course of a job, from the first volume that was enqueued to the last that ended, in 200 spans."""
        ...

    def silent(self, job_name: str, *, limit: int) -> list[DoubtfulVolume]:
        """Return volumes that are done by their newest task and are doubtful all the same, the last first."""
        ...

    def stage_seconds(self, job_name: str) -> Mapping[str, float]:
        """Return the seconds that the stages of a job's last attempts took, by stage, the longest first."""
        ...

    def pulse(self) -> str:
        """Return a text that changes when workers or tasks have moved on, and tells nothing else."""
        ...
