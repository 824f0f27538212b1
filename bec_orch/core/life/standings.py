"""Where each task of this process stands: one record, to which everything that needs to know subscribes.

The flight record keeps it in a file (`flight.py`), the heartbeat writes it to the database, a bar on a terminal and the
metrics of a fleet show it (`observing.py`), the stop signal of a task estimates by it (`stop.py`), a failure names the
stage that it tells, and a task that does not move is found by it.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from bec_orch.core.tasks import AttemptOutcome, Claim, Failure, TaskResult
from bec_orch.core.volumes import Manifest, Page
from bec_orch.errors import DatabaseRefused


class Stage(StrEnum):
    """How far a task came, as its failure says."""

    RECEIVE = "receive"
    RESOLVE = "resolve"
    MANIFEST = "manifest"
    RUN = "run"
    ASSEMBLE = "assemble"
    COMMIT = "commit"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one attempt stands.

    Of `total` pages `done` have a row, `kept` of them since before this attempt (None: its job has not begun).
    `in_work` are the indices of pages that are computed now. `moved_at` is when it last made progress, by the monotonic
    clock; `stalled` says that this was too long ago. `unrecorded` is one whose end the database did not take.
    """

    claim: Claim
    moved_at: float
    stage: Stage = Stage.MANIFEST
    manifest: Manifest | None = None
    done: int | None = None
    kept: int = 0
    total: int = 0
    in_work: tuple[int, ...] = ()
    stalled: bool = False
    unrecorded: bool = False

    @property
    def done_here(self) -> int:
        """How many pages this attempt did itself."""
        return (self.done or 0) - self.kept


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """How one attempt ended: with a result when it is done or adopted, with a failure when it failed.

    `retry_after` is the seconds until the task may be tried again, where it is to be.
    """

    claim: Claim
    outcome: AttemptOutcome
    result: TaskResult | None = None
    failure: Failure | None = None
    retry_after: float = 0.0


class Subscriber(Protocol):
    """Is notified of each change, by the thread that made it, before that thread goes on. Must be quick."""

    def changed(self, before: Standing | None, now: Standing | None) -> None:
        """Take note of a change; None stands for an attempt that is not on the record."""
        ...

    def ended(self, end: TaskEnd) -> None:
        """Take note that an attempt is over, and its message acknowledged."""
        ...


class Standings:
    """The record. May be used by all threads; a thread that was left behind may come back when its attempt is over."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._by_token: dict[UUID, Standing] = {}
        self._ended = 0
        self._subscribers: list[Subscriber] = []

    def subscribe(self, subscriber: Subscriber) -> None:
        """Notify a subscriber of all changes from now on."""
        self._subscribers.append(subscriber)

    @contextmanager
    def attempt(self, claim: Claim) -> Iterator[None]:
        """Have an attempt on the record for the time of the block, however it ends.

        Where the database refused to take its end, it stays there: the next process of this machine records it.
        """
        self._set(claim.token, Standing(claim, self._clock()))
        try:
            yield
        except DatabaseRefused:
            self._set(claim.token, Standing(claim, self._clock(), unrecorded=True))
            raise
        except BaseException:
            self._set(claim.token, None)
            raise
        self._set(claim.token, None)

    def enter(self, claim: Claim, stage: Stage) -> None:
        """Note that an attempt came to a stage."""
        self._change(claim, stage=stage)

    def begin(self, claim: Claim, manifest: Manifest) -> None:
        """Note that the job begins with the pages of a manifest."""
        self._change(claim, stage=Stage.RUN, manifest=manifest)

    def progress(self, claim: Claim, done: int, total: int) -> None:
        """Note how many pages have a row; the first note counts what earlier attempts had done."""

        def moved(known: Standing) -> Standing:
            kept = done if known.done is None else known.kept
            return replace(known, done=done, kept=kept, total=total, moved_at=self._clock())

        self._alter(claim, moved)

    def working(self, claim: Claim) -> Callable[[Page], AbstractContextManager[None]]:
        """Return what notes that a page of the attempt is in work, for the time of a block."""

        @contextmanager
        def working(page: Page) -> Iterator[None]:
            self._alter(claim, lambda known: replace(known, in_work=(*known.in_work, page.index)))
            try:
                yield
            finally:
                self._alter(
                    claim, lambda known: replace(known, in_work=tuple(n for n in known.in_work if n != page.index))
                )

        return working

    def mark_stalled(self, seconds: float) -> list[Standing]:
        """Mark and return the attempts that made no progress for so long."""
        before = self._clock() - seconds
        stalled = [known for known in self.all() if known.moved_at < before]
        for known in stalled:
            self._change(known.claim, stalled=True)
        return [replace(known, stalled=True) for known in stalled]

    def end(self, end: TaskEnd) -> None:
        """Notify that an attempt, which has left the record, is over."""
        for subscriber in self._subscribers:
            subscriber.ended(end)

    def of(self, claim: Claim) -> Standing | None:
        """Return where an attempt stands; None when it is not on the record."""
        with self._lock:
            return self._by_token.get(claim.token)

    def all(self) -> tuple[Standing, ...]:
        """Return where all attempts stand now: of a task whose lease was lost, and taken again, there may be two."""
        with self._lock:
            return tuple(self._by_token.values())

    @property
    def ended_count(self) -> int:
        """How many attempts left the record so far."""
        return self._ended

    def _change(self, claim: Claim, **changes: Any) -> None:
        self._alter(claim, lambda known: replace(known, **changes))

    def _alter(self, claim: Claim, change: Callable[[Standing], Standing]) -> None:
        with self._lock:
            before = self._by_token.get(claim.token)
            if before is None:
                return
            now = self._by_token[claim.token] = change(before)
        self._tell(before, now)

    def _set(self, token: UUID, now: Standing | None) -> None:
        with self._lock:
            before = self._by_token.pop(token, None)
            if now:
                self._by_token[token] = now
            else:
                self._ended += 1
        self._tell(before, now)

    def _tell(self, before: Standing | None, now: Standing | None) -> None:
        # Not under the lock: a display may have to wait for a terminal, and a heartbeat must not.
        for subscriber in self._subscribers:
            subscriber.changed(before, now)
