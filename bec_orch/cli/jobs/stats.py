"""`bec jobs stats`: where a job stands, what it has cost, and when it should be done; once, or again and again."""

import datetime as dt
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console, ConsoleOptions, Group
from rich.live import Live
from rich.measure import Measurement
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bec_orch.cli.arguments.invocation import invocation
from bec_orch.cli.arguments.options import JobName, Json
from bec_orch.cli.composition.machines import prices
from bec_orch.cli.composition.parts import open_parts
from bec_orch.cli.terminal.console import console, print_json, print_record, record_table
from bec_orch.core.records.overview import Overview, WorkerCondition, WorkerTask
from bec_orch.core.tasks import TaskState
from bec_orch.orch.machines.prices import Cost, PriceTable
from bec_orch.orch.overview.standing import JobStats, job_stats

T = TypeVar("T")

_LOOK_EVERY = 5.0
_BAR = 60
"""Width of a bar, in cells."""
_SHOWN = 10
"""Volumes that workers are at, of which a bar is shown."""
_CELLS = {
    TaskState.DONE: ("█", "green"),
    TaskState.TERMINAL_FAILED: ("▚", "red"),
    TaskState.CANCELED: ("▒", "bright_black"),
    TaskState.RUNNING: ("▓", "blue"),
    TaskState.RETRYABLE_FAILED: ("▞", "yellow"),
    TaskState.QUEUED: ("░", "white"),
    TaskState.WAITING: ("·", "white"),
}
# All workers of a job; the database's listing needs a limit.
_EVERY = 100_000


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a job stands.

    `doing` are the volumes that workers are at, the longest first; `cost` is what its machines have cost so far, None
    when no worker was ever there.
    """

    stats: JobStats
    cost: Cost | None
    doing: Sequence[WorkerTask]

    @property
    def in_work(self) -> int:
        """Pages that are finished of the volumes that workers are at."""
        return sum(task.pages_done for task in self.doing)

    @property
    def pages_left(self) -> int | None:
        """How many pages are left, without those that are finished of volumes that workers are at; None if unknown."""
        left = self.stats.pages_left
        return None if left is None else max(left - self.in_work, 0)

    @property
    def eta_seconds(self) -> float | None:
        """Seconds until these are done at the pace of the last hour; None if unknown."""
        return self.stats.seconds_for(self.pages_left)

    @property
    def per_thousand(self) -> float | None:
        """The cost of 1,000 pages that are done and not skipped; None when it is unknown."""
        pages = self.stats.pages
        return self.cost.per_thousand(pages.ok + pages.error) if self.cost else None


def command(
    ctx: typer.Context,
    name: JobName,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again and again, until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """Show where a job stands: volumes by state, pages, speed, cost so far, and when it should be done."""
    settings = invocation(ctx).settings
    table = prices(settings)
    with open_parts(settings) as parts:
        overview = parts.records.overview
        if watch and not as_json and console().is_terminal:
            _watch(lambda: _standing(overview, table, name))
            return
        found = _standing(overview, table, name)
    if as_json:
        print_json(_as_json(found))
    else:
        print_record(_record(found))


def _standing(overview: Overview, table: PriceTable, job: str) -> Standing:
    uses = overview.machine_uses(job)
    workers = overview.workers(job, stopped=False, limit=_EVERY)
    doing = [task for one in workers if one.condition is WorkerCondition.WORKING for task in one.doing]
    cost = table.cost(uses) if uses else None
    return Standing(job_stats(overview, job), cost, sorted(doing, key=lambda task: task.since))


def _watch(look: Callable[[], Standing]) -> None:
    found = look()
    # On a screen of its own, which a terminal draws anew when its size changes.
    with suppress(KeyboardInterrupt), Live(console=console(), auto_refresh=False, screen=True) as live:
        while True:
            live.update(_picture(found), refresh=True)
            time.sleep(_LOOK_EVERY)
            found = look()
    print_record(_record(found))


def _picture(found: Standing) -> Group:
    pages = found.stats.pages.total
    left = found.stats.pages_left
    total = None if left is None else max(pages + left, 1)
    bars = Table.grid(padding=(0, 1))
    bars.add_row("pages", ProgressBar(total, min(pages + found.in_work, pages + (left or 0)), _BAR), _of(pages, total))
    bars.add_row("volumes", _StateBar(found.stats.volumes), _of(*_done_of(found.stats.volumes)))
    for task in found.doing[:_SHOWN]:
        bar = ProgressBar(max(task.pages_total, 1), min(task.pages_done, task.pages_total), _BAR)
        bars.add_row(Text(f"{task.w_id}/{task.i_id}"), bar, _of(task.pages_done, task.pages_total or None))
    more = [Text(f"and {len(found.doing) - _SHOWN:,} more volumes")] if len(found.doing) > _SHOWN else []
    return Group(bars, *more, Text(), record_table(_record(found)))


def _of(part: int, whole: int | None) -> Text:
    return Text(f"{part:,} of {'?' if whole is None else f'{whole:,}'}")


def _done_of(volumes: Mapping[TaskState, int]) -> tuple[int, int]:
    return volumes.get(TaskState.DONE, 0), sum(volumes.values())


@dataclass(frozen=True, slots=True)
class _StateBar:
    """How many volumes are in each state, one beside the other: each that there is any of has a cell at least."""

    volumes: Mapping[TaskState, int]

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> Iterator[Text]:
        yield self.drawn(min(_BAR, options.max_width))

    def __rich_measure__(self, _console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(len(_CELLS), min(_BAR, options.max_width))

    def drawn(self, width: int) -> Text:
        """Return the bar in so many cells."""
        counts = {state: self.volumes[state] for state in _CELLS if self.volumes.get(state)}
        cells = {state: max(1, round(width * count / sum(counts.values()))) for state, count in counts.items()}
        if cells:
            cells[max(cells, key=lambda state: cells[state])] += width - sum(cells.values())
        return Text.assemble(*((_CELLS[state][0] * wide, _CELLS[state][1]) for state, wide in cells.items()))


def _record(found: Standing) -> dict[str, Any]:
    stats = found.stats
    eta = None if found.eta_seconds is None else str(dt.timedelta(seconds=round(found.eta_seconds)))
    volumes = {f"volumes {state.value}": count for state, count in stats.volumes.items()}
    return {
        "job": stats.job.name,
        **volumes,
        **({"waiting for a job that failed": stats.stuck} if stats.stuck else {}),
        "done under another config": stats.stale,
        "pages ok": stats.pages.ok,
        "pages skipped": stats.pages.skipped,
        "pages with errors": stats.pages_with_errors,
        **({"of these in volumes that failed": stats.failed_pages.error} if stats.failed_pages.error else {}),
        **{f"pages with {code}": pages for code, pages in stats.page_errors.items()},
        "pages finished of running volumes": found.in_work,
        "pages left": _or_unknown(found.pages_left),
        "pages/s, 5 minutes": _or_unknown(stats.pages_per_second_5min),
        "pages/s, 1 hour": _or_unknown(stats.pages_per_second_1h),
        "time left": _or_unknown(eta),
        "cost so far": found.cost.words if found.cost else None,
        "cost per 1,000 pages": _price(found.per_thousand, found.cost),
    }


def _or_unknown(value: T | None) -> T | str:
    return "unknown" if value is None else value


def _price(amount: float | None, cost: Cost | None) -> str | None:
    if cost is None:
        return None
    return "unknown" if amount is None else f"{amount:.4f} {cost.currency}"


def _as_json(found: Standing) -> dict[str, Any]:
    cost = found.cost
    return {
        **asdict(found.stats),
        "pages_in_work": found.in_work,
        "pages_with_errors": found.stats.pages_with_errors,
        "pages_left": found.pages_left,
        "eta_seconds": found.eta_seconds,
        "cost_so_far": cost.total if cost else None,
        "cost_per_1000_pages": found.per_thousand,
        "priced": cost.amount if cost else None,
        "unpriced_hours": cost.unpriced_hours if cost else None,
        "currency": cost.currency if cost else None,
    }
