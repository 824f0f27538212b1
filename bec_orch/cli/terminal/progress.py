"""What a run shows while it works: a bar on a terminal, a line per volume elsewhere, or nothing."""

import threading
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.control import Control
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.segment import ControlType
from typing_extensions import override

from bec_orch.cli.terminal.console import as_text, console, note
from bec_orch.core.life.observing import WorkerObserver
from bec_orch.core.life.standings import TaskEnd
from bec_orch.core.names import printable
from bec_orch.core.tasks import AttemptOutcome, Claim
from bec_orch.core.volumes import Manifest, VolumeRef
from bec_orch.core.wording import counted

_ENDS = frozenset({AttemptOutcome.DONE, AttemptOutcome.ADOPTED, AttemptOutcome.TERMINAL_FAILED})


class PageTally:
    """Counts the volumes that were asked for, and the pages of all that are done. Thread-safe.

    Pages of volumes that have not begun are not known yet: their number is taken to be the average of those that have.
    """

    def __init__(self, asked: Collection[VolumeRef], clock: Callable[[], float] = time.monotonic) -> None:
        self.asked = frozenset(asked)
        self._clock = clock
        self._begun = clock()
        self._lock = threading.Lock()
        self._done: dict[int, int] = {}
        self._totals: dict[int, int] = {}
        self._kept: dict[int, int] = {}
        self._skipped: dict[int, int] = {}
        self._begun_volumes: set[VolumeRef] = set()
        self._ended: set[VolumeRef] = set()

    def pages(self, claim: Claim, done: int, total: int) -> None:
        """Note where a volume stands; the first note counts the pages that an earlier attempt left finished."""
        with self._lock:
            self._kept.setdefault(claim.task_id, done)
            self._done[claim.task_id] = done
            self._totals[claim.task_id] = total
            self._begun_volumes.add(claim.volume)

    def end(self, end: TaskEnd) -> None:
        """Note that a volume is at its end, if it is."""
        with self._lock:
            if end.outcome in _ENDS:
                self._ended.add(end.claim.volume)
            if end.result:
                self._skipped[end.claim.task_id] = end.result.pages.skipped

    @property
    def pages_done(self) -> int:
        """Pages that have a row."""
        with self._lock:
            return sum(self._done.values())

    @property
    def pages_expected(self) -> int:
        """Pages of the whole run, as far as is known."""
        with self._lock:
            known = sum(self._totals.values())
            return known + round(self._to_begin() * known / len(self._totals)) if self._totals else 0

    @property
    def pages_known(self) -> str:
        """Pages of the volumes that have begun, with a plus where others have not: what is known, and no estimate."""
        with self._lock:
            return f"{sum(self._totals.values()):,}{'+' * bool(self._to_begin())}"

    @property
    def volumes_ended(self) -> int:
        """Volumes that were asked for, and are done or failed for good."""
        with self._lock:
            return len(self._ended & self.asked)

    @property
    def pages_per_second(self) -> float:
        """Pages computed by this run a second; pages that were kept, or skipped, are not."""
        with self._lock:
            computed = sum(map(self._computed, self._done))
        elapsed = self._clock() - self._begun
        return computed / elapsed if elapsed > 0 else 0.0

    def _to_begin(self) -> int:
        return len(self.asked - self._begun_volumes - self._ended)

    def _computed(self, task: int) -> int:
        # Some of the skipped ones may be among those that were kept.
        return max(0, self._done[task] - self._kept[task] - self._skipped.get(task, 0))


class Unwatched(WorkerObserver):
    """Shows nothing and keeps nothing: for a worker that runs for weeks, whose log has everything."""

    @override
    def task_started(self, claim: Claim, manifest: Manifest) -> None:
        pass

    @override
    def pages_done(self, claim: Claim, done: int, total: int) -> None:
        pass

    @override
    def task_ended(self, end: TaskEnd) -> None:
        pass


class SilentProgress(Unwatched, AbstractContextManager["SilentProgress"]):
    """Shows nothing; counts all the same."""

    def __init__(self, asked: Collection[VolumeRef]) -> None:
        self.tally = PageTally(asked)

    @override
    def pages_done(self, claim: Claim, done: int, total: int) -> None:
        self.tally.pages(claim, done, total)

    @override
    def task_ended(self, end: TaskEnd) -> None:
        self.tally.end(end)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class LineProgress(SilentProgress):
    """Prints a line for each attempt that ended, to stderr."""

    @override
    def task_ended(self, end: TaskEnd) -> None:
        super().task_ended(end)
        note(f"{self._count(end.claim.volume)}: {ending(end)}")

    def _count(self, volume: VolumeRef) -> str:
        """Name a volume with how many are at their end; one that this run was not asked for, with where it lies."""
        if volume in self.tally.asked:
            return f"[{self.tally.volumes_ended}/{len(self.tally.asked)}] {volume}"
        return f"{volume} of {printable(volume.source, limit=300)}, which was queued before"


class OneLineBar(Progress):
    """A bar of one line that leaves no copy of itself where the terminal becomes narrower.

    Terminals wrap what they show anew, so that the line is several by then, and rich takes back only the last of them.
    """

    def __init__(self, *columns: ProgressColumn, terminal: Console) -> None:
        self._terminal = terminal
        self._width = terminal.width
        super().__init__(*columns, console=terminal, transient=True)

    @override
    def get_renderable(self) -> RenderableType:
        before, self._width = self._width, self._terminal.width
        for _ in range((before - 1) // self._width):
            self._terminal.control(
                Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1))
            )
        return super().get_renderable()


class BarProgress(SilentProgress):
    """A bar with the job, its pages, volumes, speed and the time left; attempts that failed get a line above it."""

    def __init__(self, job: str, asked: Collection[VolumeRef]) -> None:
        super().__init__(asked)
        self._progress = OneLineBar(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.completed}/{task.fields[known]} pages"),
            TextColumn("{task.fields[ended]}/{task.fields[volumes]} volumes"),
            TextColumn("{task.fields[speed]:.1f} pages/s"),
            TimeRemainingColumn(compact=True),
            terminal=console(stderr=True),
        )
        self._bar = self._progress.add_task(job, total=None, known="?", ended=0, volumes=len(asked), speed=0.0)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    @override
    def pages_done(self, claim: Claim, done: int, total: int) -> None:
        super().pages_done(claim, done, total)
        self._show()

    @override
    def task_ended(self, end: TaskEnd) -> None:
        super().task_ended(end)
        if end.failure:
            self._progress.console.print(as_text(f"{end.claim.volume}: {ending(end)}"), soft_wrap=True)
        self._show()

    def refresh(self) -> None:
        """Draw it now, not only when its next turn comes."""
        self._progress.refresh()

    def _show(self) -> None:
        tally = self.tally
        self._progress.update(
            self._bar,
            completed=tally.pages_done,
            total=tally.pages_expected or None,
            known=tally.pages_known,
            ended=tally.volumes_ended,
            speed=tally.pages_per_second,
        )


def progress(job: str, asked: Collection[VolumeRef], *, silent: bool) -> SilentProgress:
    """Return the way to show a run that suits where stderr goes; `asked` are the volumes that it counts."""
    if silent:
        return SilentProgress(asked)
    return BarProgress(job, asked) if console(stderr=True).is_terminal else LineProgress(asked)


def ending(end: TaskEnd) -> str:
    """Say how an attempt ended."""
    if end.result:
        counts = end.result.pages
        return f"{end.outcome.value}, {counted(counts.total, 'page')}, {counted(counts.error, 'error')}"
    if end.failure:
        again = f"; again in {end.retry_after:.0f} s" if end.retry_after else ""
        return f"{end.outcome.value}, {end.failure.code}: {end.failure.message.removesuffix('.')}{again or '.'}"
    return end.outcome.value
