"""Worker processes of a job on this machine: started detached, found again by their pid files, stopped with SIGTERM."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import psutil

from bec_orch.core.locks import open_lock, try_lock
from bec_orch.core.records.overview import WorkerView
from bec_orch.core.wording import counted, said
from bec_orch.errors import ConfigError, RetryableError, UsageError
from bec_orch.io.own_files import write_whole
from bec_orch.orch.machines.plans import Action, Plan

_MOST_WORKERS = 64
# The shell ends at once, so the worker becomes a child of init: it outlives us, and nobody has to wait for it.
_DETACHED = '"$@" >&2 </dev/null & echo $!'
# Seconds that somebody else may take to start or clear away workers of the job.
_LOCK_WAIT, _PAUSE = 60.0, 0.02


@dataclass(frozen=True, slots=True)
class PidFile:
    """What a pid file holds. A pid comes back; together with the time at which its process began it does not."""

    pid: int
    began: float


@dataclass(frozen=True, slots=True)
class LocalWorker:
    """A worker that was started here: its number, whether its process still runs, and where its log is.

    `view` is what the database knows of it; None until it has signed on.
    """

    number: int
    pid: int
    running: bool
    log: Path
    view: WorkerView | None = None


class LocalScaling:
    """Plans the workers of one job on this machine, and shows them.

    Args:
        job: the job.
        home: the folder whose `workers/` has the pid files, and `logs/` the logs.
        command: what runs a worker of the job.
        patience: seconds that a worker has for stopping.
    """

    def __init__(self, job: str, home: Path, command: Sequence[str], *, patience: float) -> None:
        self._job = job
        self._pids = home / "workers"
        self._logs = home / "logs"
        self._command = tuple(command)
        self._patience = patience

    def plan_up(self, count: int) -> Plan:
        """Plan to have `count` workers, those that run among them.

        Raises:
            UsageError: more run already (E_SCALE_SMALLER), or it is not a sensible number (E_SCALE_BOUNDS).
        """
        if not 1 <= count <= _MOST_WORKERS:
            raise UsageError(f"{count} is not a number of workers from 1 to {_MOST_WORKERS}.", code="E_SCALE_BOUNDS")
        running = self._running()
        if len(running) > count:
            raise UsageError(
                f"The job {self._job} has {counted(len(running), 'worker')} here already, more than {count}.",
                code="E_SCALE_SMALLER",
                hint=f"`bec scale down {self._job} --local --to {count}` stops the others.",
            )
        taken = {worker.number for worker in running}
        free = [number for number in range(1, count + 1) if number not in taken][: count - len(running)]
        return Plan(tuple(Action(f"start a worker; it logs to {self._log(n)}", partial(self._start, n)) for n in free))

    def plan_down(self, to: int = 0) -> Plan:
        """Plan to have only `to` workers left: the others finish their page, and give their task back."""
        going = self._running()[to:]
        stops = [
            Action(f"tell worker {one.number} (process {one.pid}) to stop", partial(self._terminate, one.pid))
            for one in going
        ]
        waits = [Action("wait until they have ended", partial(self._wait, going))] if going else []
        return Plan((*stops, *waits), () if going else (f"The job {self._job} has no workers here to stop.",))

    def status(self, workers: Sequence[WorkerView] = ()) -> tuple[LocalWorker, ...]:
        """Return each worker that was started here and not yet cleared away, beside what the database knows of it."""
        views = {worker.pid: worker for worker in workers if worker.host == socket.gethostname()}
        of_job = re.compile(rf"{re.escape(self._job)}\.(\d+)\.json")
        files = self._pids.iterdir() if self._pids.is_dir() else ()
        numbers = sorted(int(found[1]) for found in (of_job.fullmatch(path.name) for path in files) if found)
        read = ((number, _read(self._pid_file(number))) for number in numbers)
        return tuple(
            LocalWorker(number, pid.pid, _process(pid) is not None, self._log(number), _view(views, pid))
            for number, pid in read
            if pid
        )

    def _running(self) -> list[LocalWorker]:
        return [worker for worker in self.status() if worker.running]

    def _start(self, number: int) -> None:
        """Start the worker of a number, unless somebody else did since that was planned."""
        try:
            self._pids.mkdir(parents=True, exist_ok=True)
            self._logs.mkdir(parents=True, exist_ok=True)
            with self._alone():
                if self._runs(number):
                    return
                pid = self._spawn(self._log(number))
                held = PidFile(pid, psutil.Process(pid).create_time())
                write_whole(self._pid_file(number), json.dumps(asdict(held)).encode())
        except psutil.NoSuchProcess as error:
            raise ConfigError(
                "The worker ended at once.", code="E_SCALE_START", hint=f"Its log says why: {self._log(number)}"
            ) from error
        except OSError as error:
            raise ConfigError(f"The worker could not be started: {said(error)}.", code="E_SCALE_START") from error

    def _spawn(self, log: Path) -> int:
        shell = ["/bin/sh", "-c", _DETACHED, "sh", *self._command]
        with open_lock(log) as written_to:
            # A session of its own: Ctrl-C and the end of this terminal do not reach the worker.
            started = subprocess.run(  # nosec B603  # noqa: S603  (the command is our own)
                shell, stdout=subprocess.PIPE, stderr=written_to, start_new_session=True, check=True
            )
        return int(started.stdout)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep others from starting workers of the job, and from clearing them away."""
        give_up = time.monotonic() + _LOCK_WAIT
        with open_lock(self._pids / f"{self._job}.lock") as file:
            while not try_lock(file):
                if time.monotonic() > give_up:
                    raise RetryableError(
                        f"Somebody else has been starting workers of the job {self._job} here for {_LOCK_WAIT:.0f} s.",
                        code="E_SCALE_BUSY",
                        hint="`bec scale status` tells what runs; then run the same command again.",
                    )
                time.sleep(_PAUSE)
            yield

    def _runs(self, number: int) -> bool:
        held = _read(self._pid_file(number))
        return held is not None and _process(held) is not None

    def _terminate(self, pid: int) -> None:
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            return

    def _wait(self, going: Sequence[LocalWorker]) -> None:
        held = [(one, _read(self._pid_file(one.number))) for one in going]
        processes = [process for one, pid in held if pid and pid.pid == one.pid and (process := _process(pid))]
        _, alive = psutil.wait_procs(processes, timeout=self._patience)
        if alive:
            raise RetryableError(
                f"Not ended yet: {counted(len(alive), 'worker')} of the job {self._job}.",
                code="E_SCALE_DRAINING",
                hint="They are at their last page; `bec scale status` shows when they have ended.",
            )
        with self._alone():
            for one in going:
                # Another may have been started under the number meanwhile.
                if not self._runs(one.number):
                    self._pid_file(one.number).unlink(missing_ok=True)

    def _pid_file(self, number: int) -> Path:
        return self._pids / f"{self._job}.{number}.json"

    def _log(self, number: int) -> Path:
        return self._logs / f"{self._job}.{number}.log"


def _read(path: Path) -> PidFile | None:
    """Read a pid file; one that is gone, or was being written when the machine stopped, stands for no worker."""
    try:
        return PidFile(**json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _view(views: Mapping[int, WorkerView], pid: PidFile) -> WorkerView | None:
    """Return what the database knows of a worker: of the process that was started, or of the one that works for it."""
    process = _process(pid)
    children = _children(process) if process else []
    return next((views[each] for each in (pid.pid, *children) if each in views), None)


def _children(process: psutil.Process) -> list[int]:
    with suppress(psutil.NoSuchProcess):  # it ended just now
        return [child.pid for child in process.children()]
    return []


def _process(pid: PidFile) -> psutil.Process | None:
    try:
        process = psutil.Process(pid.pid)
        alive = process.create_time() == pid.began and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return None
    return process if alive else None
