"""The processes of `bec worker`: each works by itself, and one that dies is told of, recorded and replaced.

The parent does none of the work, so that what kills a worker (memory that runs out, a crash in native code) leaves
somebody who knows why, and at which page.
"""

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from bec_orch.cli.composition import work_dir
from bec_orch.cli.console import EXIT_DONE, EXIT_FAILED, print_error
from bec_orch.cli.invocation import prepare
from bec_orch.cli.signals import interrupt_on_sigterm, stopping
from bec_orch.config import Settings
from bec_orch.core.worker_runtime import WorkerReport
from bec_orch.errors import BecError, DatabaseError, DatabaseRefused, VolumeStalled
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.deaths import Deaths
from bec_orch.orch.post_mortem import cause_of, oom_kills, record_deaths

logger = logging.getLogger(__name__)

Work = Callable[[Settings], tuple[WorkerReport, int]]
"""What each process does with its settings; gives its report and its exit code. Must be importable."""

# Seconds; as long may pass before a process hears of a signal.
_LOOK_EVERY = 0.2
_LONGEST_PAUSE = 30.0


@dataclass(eq=False)
class _Child:
    process: SpawnProcess
    reports: Connection
    oom_kills_before: int
    told: int = 0


@dataclass
class Supervisor:
    """Keeps so many worker processes at work until each has ended by itself.

    Args:
        settings: what each process works with.
        database: where deaths are recorded.
        work: what each process does.
        processes: how many.
        word: what to say when a signal asks for the end.
    """

    settings: Settings
    database: Database
    work: Work
    processes: int
    word: str
    reports: list[WorkerReport] = field(default_factory=list)
    _children: list[_Child] = field(default_factory=list)
    _codes: list[int] = field(default_factory=list)
    _victims: set[object] = field(default_factory=set)
    _asked: int = 0

    def run(self) -> int:
        """Work; gives one exit code for all. `reports` has what those told that ended by themselves."""
        with stopping(self._ask, self.word):
            for _ in range(self.processes):
                self._start(self.settings)
            while self._children:
                wait([child.process.sentinel for child in self._children], _LOOK_EVERY)
                self._tell()
                for child in [child for child in self._children if child.process.exitcode is not None]:
                    self._children.remove(child)
                    self._ended(child)
        return common_code(self._codes)

    def _start(self, settings: Settings) -> None:
        # A process is spawned by `python -c`, which would import modules that lie in the current folder.
        os.environ["PYTHONSAFEPATH"] = "1"
        spawn = multiprocessing.get_context("spawn")
        reports, told = spawn.Pipe(duplex=False)
        process = spawn.Process(target=_child, args=(settings, self.work, told))
        child = _Child(process, reports, oom_kills())
        process.start()
        told.close()
        self._children.append(child)

    def _ask(self, _reason: str) -> None:
        self._asked += 1

    def _tell(self) -> None:
        """Pass on each request to stop. Not from the signal's handler: it may come while a process is being started."""
        for child in self._children:
            while child.told < self._asked:
                child.told += 1
                child.process.terminate()

    def _ended(self, child: _Child) -> None:
        code = child.process.exitcode or EXIT_DONE
        with child.reports, suppress(EOFError):  # one that died has told nothing
            self.reports.append(child.reports.recv())
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
        cause = cause_of(code, out_of_memory=oom_kills() > child.oom_kills_before)
        pid = child.process.pid or 0
        try:
            found = record_deaths(work_dir(self.settings), Deaths(self.database), {pid: cause})
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
    """Give the exit code of a worker whose processes ended with these: that of the failed where it is one, else 1."""
    failed = set(codes) - {EXIT_DONE}
    return EXIT_DONE if not failed else failed.pop() if len(failed) == 1 else EXIT_FAILED


def _child(settings: Settings, work: Work, told: Connection) -> None:
    # Ctrl-C goes to the whole group of processes; the parent passes it on, and once is enough.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interrupt_on_sigterm()
    try:
        prepare(settings, "info")
        _end_with_parent()
        report, code = work(settings)
        told.send(report)
    except VolumeStalled as error:
        # The call that hangs would keep the process from ending in order.
        os._exit(print_error(error, debug=False))
    except BecError as error:
        sys.exit(print_error(error, debug=False))
    except KeyboardInterrupt:
        sys.exit(EXIT_DONE)
    sys.exit(code)


def _end_with_parent() -> None:
    """Stop as by SIGTERM when the parent is gone: nobody else would tell."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent:
            wait([parent.sentinel])
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
