"""The flight record: what this process is working on, in a file that outlives it.

A worker that is killed (by the system because memory ran out, by a crash in native code) can tell nobody what it was
at. So each process notes its tasks, and the pages in work, in a small file that it keeps locked. A record that nobody
locks is that of a process that died, and tells at which pages.
"""

import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from bec_orch.core.locks import for_its_owner, require_exclusion, try_lock
from bec_orch.core.models import Claim, Page
from bec_orch.errors import DatabaseRefused

_NAME = "flight-*.json"


@dataclass(frozen=True, slots=True)
class Flight:
    """One attempt at a task: what fences its writes, its volume for a person, and the indices of its pages in work.

    `unrecorded` is one that ended, and whose end the database did not take: nothing of it died.
    """

    task_id: int
    attempt: int
    token: str
    volume: str
    pages: tuple[int, ...] = ()
    stalled: bool = False
    unrecorded: bool = False


@dataclass(frozen=True, slots=True)
class LeftRecord:
    """What a process that is gone left: its process id, how many attempts it ended, and those that it was at."""

    path: Path
    pid: int
    ended: int
    flights: tuple[Flight, ...]


@dataclass
class _Entry:
    flight: Flight
    moved_at: float = field(default_factory=time.monotonic)


class FlightRecorder:
    """Notes the attempts of this process, from any thread. Closing it removes the record: nothing was cut short.

    Args:
        folder: where the record lies, on a disk of this machine.

    Raises:
        OSError: the folder cannot be written.
        ConfigError: its disk has no locks (E_NO_LOCKS): the others would take this process for dead.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[int, _Entry] = {}
        self._ended = 0
        self._closed = False
        self._path = folder / f"flight-{os.getpid()}-{uuid.uuid4().hex[:8]}.json"
        # Under another name until it is locked: nobody takes it for one that was left.
        fresh = self._path.with_suffix(".new")
        with open(fresh, "xb+", buffering=0, opener=for_its_owner) as file:
            # The lock is one of all copies of the descriptor: this one holds it for as long as the process lives.
            self._file = os.dup(file.fileno())
            try:
                try_lock(file)
                require_exclusion(fresh)
                self._write()
                fresh.rename(self._path)
            except BaseException:
                os.close(self._file)
                fresh.unlink()
                raise

    def close(self) -> None:
        """Remove the record, unless an attempt is still on it: then somebody is to read it."""
        with self._lock:
            if not self._entries:
                self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._closed = True

    @contextmanager
    def attempt(self, claim: Claim) -> Iterator[None]:
        """Have an attempt on the record for the time of the block, however it ends.

        Where the database refused to take its end, it stays there: the next process of this machine records it.
        """
        flight = Flight(claim.task_id, claim.attempt, str(claim.token), str(claim.volume))
        self._set(flight)
        try:
            yield
        except DatabaseRefused:
            self._set(replace(flight, unrecorded=True))
            raise
        except BaseException:
            self._remove(claim.task_id)
            raise
        self._remove(claim.task_id)

    def page_of(self, claim: Claim) -> Callable[[Page], AbstractContextManager[None]]:
        """Give what notes that a page of the attempt is in work, for the time of a block."""

        @contextmanager
        def working(page: Page) -> Iterator[None]:
            self._change(claim.task_id, lambda pages: (*pages, page.index))
            try:
                yield
            finally:
                self._change(claim.task_id, lambda pages: tuple(index for index in pages if index != page.index))

        return working

    def moved(self, task_id: int) -> None:
        """Note that a task made progress."""
        with self._lock:
            if task_id in self._entries:
                self._entries[task_id].moved_at = self._clock()

    def mark_stalled(self, seconds: float) -> list[Flight]:
        """Mark and give the attempts that made no progress for so long."""
        before = self._clock() - seconds
        with self._lock:
            entries = [entry for entry in self._entries.values() if entry.moved_at < before]
            for entry in entries:
                entry.flight = replace(entry.flight, stalled=True)
            if entries:
                self._write()
        return [entry.flight for entry in entries]

    def _remove(self, task_id: int) -> None:
        with self._lock:
            self._entries.pop(task_id, None)
            self._ended += 1
            self._write()

    def _set(self, flight: Flight) -> None:
        with self._lock:
            self._entries[flight.task_id] = _Entry(flight, self._clock())
            self._write()

    def _change(self, task_id: int, change: Callable[[tuple[int, ...]], tuple[int, ...]]) -> None:
        with self._lock:
            entry = self._entries.get(task_id)
            if entry:
                entry.flight = replace(entry.flight, pages=change(entry.flight.pages))
                self._write()

    def _write(self) -> None:
        # A thread that was given up may come back when the record is closed.
        if self._closed:
            return
        # In one call, so that a process that is killed leaves the record of before or of after; and in place, where it
        # needs no room on the disk that it does not have.
        flights = [asdict(entry.flight) for entry in self._entries.values()]
        text = json.dumps({"pid": os.getpid(), "ended": self._ended, "flights": flights})
        os.pwrite(self._file, text.encode(), 0)
        os.ftruncate(self._file, len(text))


def left_records(folder: Path) -> Iterator[LeftRecord]:
    """Give the records of processes that are gone, each locked against other readers until the next is asked for."""
    for path in sorted(folder.glob(_NAME)):
        try:
            file = path.open("rb+")
        except (FileNotFoundError, PermissionError):  # read by now, or another user's to read
            continue
        with file:
            if try_lock(file):
                yield _parsed(path, file.read())


def _parsed(path: Path, data: bytes) -> LeftRecord:
    """Read a record; one that makes no sense names nothing."""
    try:
        content: Any = json.loads(data)
        flights = tuple(Flight(**{**flight, "pages": tuple(flight["pages"])}) for flight in content["flights"])
        return LeftRecord(path, int(content["pid"]), int(content["ended"]), flights)
    except (ValueError, TypeError, KeyError):
        return LeftRecord(path, 0, 0, ())
