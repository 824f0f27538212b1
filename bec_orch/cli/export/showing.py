"""What an export shows while it works: a bar on a terminal, a line a volume elsewhere, or nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from typing_extensions import override

from bec_orch.cli.export.volume import VolumeReport
from bec_orch.cli.terminal.console import as_text, console, note
from bec_orch.core.volumes import VolumeRef
from bec_orch.core.wording import clause, counted
from bec_orch.errors import BecError


class Silent:
    """Shows nothing."""

    def ended(self, volume: VolumeRef, end: VolumeReport | BecError | None) -> None:
        """Take note that a volume is at its end."""


class Lines(Silent):
    """Prints a line for each volume, to stderr."""

    def __init__(self, volumes: int) -> None:
        self._volumes = volumes
        self._ended = 0

    @override
    def ended(self, volume: VolumeRef, end: VolumeReport | BecError | None) -> None:
        self._ended += 1
        note(f"[{self._ended}/{self._volumes}] {volume}: {_ending(end)}")


class Bar(Silent):
    """A bar that counts volumes; those that failed get a line above it."""

    def __init__(self, progress: Progress, volumes: int) -> None:
        self._progress = progress
        self._task = progress.add_task("volumes", total=volumes)

    @override
    def ended(self, volume: VolumeRef, end: VolumeReport | BecError | None) -> None:
        if isinstance(end, BecError):
            self._progress.console.print(as_text(f"{volume}: {_ending(end)}"), soft_wrap=True)
        self._progress.advance(self._task)


@contextmanager
def showing(volumes: int, *, silent: bool) -> Iterator[Silent]:
    """Show an export in the way that suits where stderr goes."""
    target = console(stderr=True)
    if silent or not target.is_terminal:
        yield Silent() if silent else Lines(volumes)
        return
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeRemainingColumn(compact=True), console=target, transient=True) as progress:
        yield Bar(progress, volumes)


def _ending(end: VolumeReport | BecError | None) -> str:
    if end is None:
        return "nothing is left of it"
    if isinstance(end, BecError):
        return f"{end.code}: {clause(end.message)}."
    return f"{counted(end.documents, 'document')} written, {end.skipped} there already"
