"""The flight record: what this process is working on, in a file that outlives it.

A worker that is killed (by the system because memory ran out, by a crash in native code) cannot report what it was
at. So each process notes its tasks, and the pages in work (`standings.py`), in a small file that it keeps locked. A
record that nobody locks is that of a process that died, and says at which pages.
"""

import json
import os
import threading
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from typing_extensions import override

from bec_orch.core.life.standings import Standing, Standings, Subscriber, TaskEnd
from bec_orch.core.locks import for_its_owner, require_exclusion, try_lock

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

    @classmethod
    def of(cls, standing: Standing) -> Self:
        """Return what to record of an attempt should its process die now."""
        claim = standing.claim
        named = (claim.task_id, claim.attempt, str(claim.token), str(claim.volume))
        return cls(*named, standing.in_work, standing.stalled, standing.unrecorded)


@dataclass(frozen=True, slots=True)
class LeftRecord:
    """What a process that is gone left: its process id, how many attempts it ended, and those that it was at.

    `worker` is who it was; empty where its record does not say.
    One that is `late` was told to stop, hung, and ended itself.
    """

    path: Path
    pid: int
    ended: int
    flights: tuple[Flight, ...]
    late: bool = False
    worker: str = ""


class FlightRecorder(Subscriber):
    """Keeps a file of where the tasks of this process stand. Closing it removes the file: nothing was cut short.

    Args:
        folder: where the file lies, on a disk of this machine.
        standings: where the tasks stand; followed from now on.
        worker: the identity of this worker.

    Raises:
        OSError: the folder cannot be written.
        ConfigError: its disk has no locks (E_NO_LOCKS): the others would take this process for dead.
    """

    def __init__(self, folder: Path, standings: Standings, worker: str = "") -> None:
        self._standings = standings
        self._worker = worker
        self._lock = threading.Lock()
        self._closed = False
        self._late = False
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
        standings.subscribe(self)

    def note_late(self) -> None:
        """Note that this process ends now because it hangs, and was told to stop."""
        with self._lock:
            self._late = True
            self._write()

    def close(self) -> None:
        """Remove the record, unless an attempt is still on it: then somebody is to read it."""
        with self._lock:
            if not self._standings.all():
                self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._closed = True

    @override
    def changed(self, before: Standing | None, now: Standing | None) -> None:
        if (before and Flight.of(before)) != (now and Flight.of(now)):
            with self._lock:
                self._write()

    @override
    def ended(self, end: TaskEnd) -> None:
        """Ignore it: the attempt left the record before."""

    def _write(self) -> None:
        # A thread that was left behind may come back when the record is closed.
        if self._closed:
            return
        # In one call, so that a process that is killed leaves the record of before or of after; and in place, where it
        # needs no room on the disk that it does not have.
        flights = [asdict(Flight.of(standing)) for standing in self._standings.all()]
        ended = self._standings.ended_count
        who = {"pid": os.getpid(), "worker": self._worker}
        text = json.dumps({**who, "ended": ended, "late": self._late, "flights": flights})
        os.pwrite(self._file, text.encode(), 0)
        os.ftruncate(self._file, len(text))


def left_records(folder: Path) -> Iterator[LeftRecord]:
    """Yield the records of processes that are gone, each locked against other readers until the next is asked for."""
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
        late, worker = bool(content.get("late")), str(content.get("worker", ""))
        return LeftRecord(path, int(content["pid"]), int(content["ended"]), flights, late, worker)
    except (ValueError, TypeError, KeyError, AttributeError):
        return LeftRecord(path, 0, 0, ())
