"""The processes of `bec worker`: each works by itself, and one that dies is reported, recorded and replaced.

The parent does none of the work, so that what kills a worker (memory that runs out, a crash in native code) leaves
somebody who knows why, and at which page.
"""

import logging
import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from bec_orch.cli.arguments.invocation import prepare
from bec_orch.cli.composition.home import work_dir
from bec_orch.cli.process import surroundings
from bec_orch.cli.process.ending import EXIT_DONE, EXIT_FAILED, print_error
from bec_orch.cli.process.interrupts import interrupt_once, leave, say_last_words
from bec_orch.cli.process.signals import stopping
from bec_orch.cli.terminal import outlets
from bec_orch.cli.worker.working import WorkerStopped
from bec_orch.core.life.worker_runtime import WorkerReport
from bec_orch.core.records.deaths import Deaths
from bec_orch.errors import DatabaseError, DatabaseRefused
from bec_orch.orch.runs.post_mortem import LATE, cause_of, oom_kills, record_deaths
from bec_orch.settings.config import Settings

logger = logging.getLogger(__name__)

Work = Callable[[Settings], tuple[WorkerReport, int]]
"""What each process does with its settings; returns its report and its exit code. Must be importable."""

_OF_TERMINALS = frozenset({signal.SIGINT, signal.SIGHUP})
# Seconds; this long may pass before a process hears of a signal.
_LOOK_EVERY = 0.2
_LONGEST_PAUSE = 30.0
# Seconds beyond the grace for the last writes. With the parent's own it stays within the 20 of the systemd unit.
_LAST_WRITES = 15.0


@dataclass(eq=False)
class _Child:
    process: SpawnProcess
    reports: Connection
    oom_kills_before: int
    told: int = 0
    late: bool = False


@dataclass
class Supervisor:
    """Keeps this many worker processes at work until each has ended by itself.

    Args:
        settings: what each process works with.
        deaths: where deaths are recorded.
        work: what each process does.
        processes: how many.
        word: what to say when a signal asks for the end.
    """

    settings: Settings
    deaths: Deaths
    work: Work
    processes: int
    word: str
    reports: list[WorkerReport] = field(default_factory=list)
    _children: list[_Child] = field(default_factory=list)
    _codes: list[int] = field(default_factory=list)
    _victims: set[object] = field(default_factory=set)
    _asked: int = 0
    _end_by: float = math.inf

    def run(self) -> int:
        """Work, and return one exit code for all. `reports` has the reports of those that ended by themselves."""
        with stopping(self._ask, self.word):
            for _ in range(self.processes):
                self._start(self.settings)
            while self._children:
                self._wait_and_hear()
                self._tell()
                self._end_the_late()
                for child in [child for child in self._children if child.process.exitcode is not None]:
                    self._children.remove(child)
                    self._ended(child)
        return common_code(self._codes)

    def _start(self, settings: Settings) -> None:
        spawn = multiprocessing.get_context("spawn")
        reports, told = spawn.Pipe(duplex=False)
        process = spawn.Process(target=_child, args=(settings, self.work, told))
        child = _Child(process, reports, oom_kills())
        # Starting it with the first process would let the signals through again (bpo-33613).
        resource_tracker.ensure_running()
        # Started ignoring what a terminal sends to the whole group: it may come before the process can say so.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_TERMINALS)
        try:
            with _safe_path():
                process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        told.close()
        self._children.append(child)

    def _wait_and_hear(self) -> None:
        """Wait until a process ended or sent its report, which it may do long before it ends."""
        telling = {child.reports: child for child in self._children if not child.reports.closed}
        for ready in wait([*telling, *(child.process.sentinel for child in self._children)], _LOOK_EVERY):
            if isinstance(ready, Connection):
                self._hear(telling[ready])

    def _hear(self, child: _Child) -> None:
        """Take a process's report, which comes all at once: one that died before or while sending it has none."""
        with child.reports, suppress(EOFError):
            try:
                self.reports.append(child.reports.recv())
            except OSError as error:
                logger.warning("worker.report_cut", extra={"pid": child.process.pid, "why": str(error)})

    def _ask(self, _reason: str) -> None:
        self._asked += 1
        grace = self.settings.grace_seconds if self._asked == 1 else 0.0
        self._end_by = min(self._end_by, time.monotonic() + grace + _LAST_WRITES)

    def _tell(self) -> None:
        """Pass on each request to stop. Not from the signal's handler: it may come while a process is being started."""
        for child in self._children:
            while child.told < self._asked:
                child.told += 1
                child.process.terminate()
                # One that was stopped (SIGSTOP) hears of it only when it goes on.
                _signal(child, signal.SIGCONT)

    def _end_the_late(self) -> None:
        """Kill what goes on after the grace: a library that hangs, or a process that nobody lets go on."""
        if time.monotonic() < self._end_by:
            return
        for child in self._children:
            if not child.late:
                logger.error("worker.late", extra={"pid": child.process.pid})
            child.late = True
            _signal(child, signal.SIGKILL)

    def _ended(self, child: _Child) -> None:
        code = child.process.exitcode or EXIT_DONE
        if not child.reports.closed and child.reports.poll():
            self._hear(child)
        child.reports.close()
        died = self._recorded(child, code) or (code < 0 and code != -signal.SIGTERM)
        if died and not self._asked and len(self._victims) < self.settings.black_hole_guard:
            self._replace()
        elif died:
            logger.error("worker.given_up", extra={"exit_code": code, "deaths_in_a_row": len(self._victims)})
            self._codes.append(EXIT_FAILED)
        else:
            # A process that had not begun yet when the stop came ends by the signal itself.
            self._codes.append(EXIT_DONE if code == -signal.SIGTERM else code)

    def _recorded(self, child: _Child, code: int) -> bool:
        """Record what a process left, if it left something; counts the deaths in a row of different tasks."""
        cause = LATE if child.late else cause_of(code, out_of_memory=oom_kills() > child.oom_kills_before)
        pid = child.process.pid or 0
        try:
            found = record_deaths(work_dir(self.settings), self.deaths, {pid: cause})
        except DatabaseError as error:
            logger.warning("worker.death_not_recorded", extra={"code": error.code, "why": error.message})
            # Where the database refuses, one that took the place of this process would end as it did.
            return not isinstance(error, DatabaseRefused)
        own = [left for left in found if left.pid == pid]
        if any(left.ended for left in own):
            self._victims.clear()
        victims = [flight.task_id for left in own for flight in left.flights if not flight.unrecorded]
        # One that died before it had a task says nothing of any task, and counts by itself.
        self._victims.update(victims or ([child] if code < 0 else []))
        return bool(victims)

    def _replace(self) -> None:
        """Start another process after a pause that grows with the deaths in a row. Faults are injected once."""
        pause_until = time.monotonic() + min(_LONGEST_PAUSE, 2.0 ** (len(self._victims) - 1))
        while time.monotonic() < pause_until and not self._asked:
            time.sleep(_LOOK_EVERY)
        if self._asked:
            self._codes.append(EXIT_DONE)
        else:
            self._start(self.settings.model_copy(update={"failpoint": None}))


def common_code(codes: Iterable[int]) -> int:
    """Return the exit code of a worker whose processes ended with these: that of the failed where it is one, else 1."""
    failed = set(codes) - {EXIT_DONE}
    return EXIT_DONE if not failed else failed.pop() if len(failed) == 1 else EXIT_FAILED


def _signal(child: _Child, number: signal.Signals) -> None:
    # As long as nobody has waited for it, its process id is its own.
    if child.process.pid and child.process.exitcode is None:
        os.kill(child.process.pid, number)


def _child(settings: Settings, work: Work, told: Connection) -> None:
    # The parent passes them on, and once is enough.
    for number in _OF_TERMINALS:
        signal.signal(number, signal.SIG_IGN)
    outlets.install()
    interrupt_once()
    try:
        prepare(settings, "info")
        _end_with_parent(settings.grace_seconds + _LAST_WRITES)
        report, code = work(settings)
        _send(told, report)
    except WorkerStopped as error:
        _send(told, error.report)
        code = print_error(error, debug=False)
    except KeyboardInterrupt:
        code = EXIT_DONE
    except Exception as error:
        if surroundings.known_error(error) is None:
            raise
        code = print_error(error, debug=False)
    leave(code)


@contextmanager
def _safe_path() -> Iterator[None]:
    """Have what is spawned in the block, by `python -c`, import no modules that lie in the current folder."""
    before = os.environ.get("PYTHONSAFEPATH", "")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        # Empty is as good as none: Python's manual, "Environment variables".
        os.environ["PYTHONSAFEPATH"] = before


def _send(told: Connection, report: WorkerReport) -> None:
    with suppress(BrokenPipeError):  # the parent was killed
        told.send(report)


def _end_with_parent(within: float) -> None:
    """Stop as by SIGTERM when the parent is gone, and this many seconds later at the latest: nobody else sees to it."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent:
            wait([parent.sentinel])
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(within)
            logger.error("worker.late", extra={"pid": os.getpid()})
            say_last_words()
            os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
