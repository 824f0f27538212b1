"""What became of workers that died: they and their attempts are ended in the database, with the cause and the pages."""

import logging
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bec_orch.core.failures import failure_of
from bec_orch.core.life.flight import Flight, LeftRecord, left_records
from bec_orch.core.records.deaths import Deaths
from bec_orch.core.tasks import Failure
from bec_orch.errors import BecError, RetryableError, TaskFault

logger = logging.getLogger(__name__)

_KERNEL_COUNTERS = Path("/proc/vmstat")


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a worker process died: a code, words that go on after "Its worker", what to do, and whether it is charged."""

    code: str
    words: str
    hint: str
    charged: bool = True


UNKNOWN = Cause("E_WORKER_GONE", "vanished without a trace", "It was killed, or its machine was switched off.")

LATE = Cause(
    "E_WORKER_LATE",
    "did not stop within its grace, and was killed",
    "The volume is tried again. Something outside hung: a store, a disk, or a process that was stopped.",
    charged=False,
)


def cause_of(exit_code: int, *, out_of_memory: bool) -> Cause:
    """Return why a child process died.

    Args:
        exit_code: as `multiprocessing` has it: negative is the number of a signal.
        out_of_memory: whether the system killed some process for lack of memory while this one ran.
    """
    if exit_code == -signal.SIGKILL and out_of_memory:
        hint = "Give it less to do at once (BEC_MEMORY_BUDGET_MIB, BEC_THREADS), or a machine with more memory."
        return Cause("E_WORKER_OOM", "was killed by the system because memory ran out", hint)
    if exit_code == -signal.SIGKILL:
        return Cause("E_WORKER_KILLED", "was killed (SIGKILL)", "Look who killed it; the volume is tried again.")
    if exit_code < 0:
        name = signal.Signals(-exit_code).name
        return Cause("E_WORKER_CRASHED", f"crashed ({name})", "A library crashed: look at the page in a single run.")
    return UNKNOWN


def oom_kills() -> int:
    """Count the processes that the system killed so far because memory ran out; 0 where it does not say."""
    try:
        lines = _KERNEL_COUNTERS.read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


Told = Callable[[Flight, Failure, bool], None]
"""Is called with what a worker that died was at, why, and whether that was recorded or had ended already."""


def log_death(flight: Flight, failure: Failure, recorded: bool) -> None:  # noqa: FBT001  (a `Told`)
    """Log that a worker died."""
    told = {"task": flight.task_id, "volume": flight.volume, "attempt": flight.attempt, "pages": flight.pages}
    logger.error("worker.died", extra={**told, "code": failure.code, "why": failure.message, "recorded": recorded})


def record_deaths(
    folder: Path, deaths: Deaths, causes: Mapping[int, Cause], tell: Told = log_death
) -> list[LeftRecord]:
    """End every worker whose process died and left its record in a folder, and its attempts; return what was found.

    Args:
        folder: where workers keep their records.
        deaths: where to record.
        causes: why a process died, by its process id, as far as that is known.
        tell: is told of each attempt.

    Raises:
        DatabaseError: the database is away; what is not recorded stays for the next time.
    """
    found = []
    for left in left_records(folder):
        cause = LATE if left.late else causes.get(left.pid, UNKNOWN)
        for flight in left.flights:
            failure = _failure(flight, left, cause)
            tell(flight, failure, deaths.record(flight, failure))
        deaths.end_worker(left.worker, cause.code)
        left.path.unlink(missing_ok=True)
        found.append(left)
    return found


def _failure(flight: Flight, left: LeftRecord, cause: Cause) -> Failure:
    if flight.stalled:
        error: BecError = TaskFault(
            f"No page of {flight.volume} was finished for too long: it hung{_where(flight)}.",
            code="E_VOLUME_STALLED",
            hint="The volume is tried again; a page that hangs each time is left out.",
        )
    elif flight.unrecorded:
        error = RetryableError(
            f"The worker of {flight.volume} ended, and the database did not take the attempt's end.",
            code="E_WORKER_ENDED",
        )
    elif any(other.stalled for other in left.flights):
        error = RetryableError(
            f"The worker of {flight.volume} was ended because another volume stalled.", code="E_WORKER_ENDED"
        )
    else:
        kind = TaskFault if cause.charged else RetryableError
        error = kind(f"Its worker {cause.words}{_where(flight)}.", code=cause.code, hint=cause.hint)
    return failure_of(error, "run")


def _where(flight: Flight) -> str:
    return f" at page {', '.join(str(page + 1) for page in flight.pages)}" if flight.pages else ""
