"""`bec jobs stats`: where a job stands, what it has cost, and when it should be done; once, or again and again."""

import datetime as dt
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from bec_orch.cli.arguments.invocation import invocation
from bec_orch.cli.arguments.options import JobName, Json
from bec_orch.cli.composition.machines import prices
from bec_orch.cli.composition.parts import open_parts
from bec_orch.cli.terminal.console import console, print_json, print_record, record_table
from bec_orch.core.records.overview import Overview, WorkerCondition
from bec_orch.orch.machines.prices import Cost, PriceTable
from bec_orch.orch.overview.standing import JobStats, job_stats

T = TypeVar("T")

_LOOK_EVERY = 5.0
# All workers of a job; the database's listing needs a limit.
_EVERY = 100_000


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a job stands.

    `in_work` are the pages that are finished of volumes that workers are at; `cost` is what its machines have cost so
    far, None when no worker was ever there.
    """

    stats: JobStats
    cost: Cost | None
    in_work: int

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
    in_work = sum(task.pages_done for one in workers if one.condition is WorkerCondition.WORKING for task in one.doing)
    return Standing(job_stats(overview, job), table.cost(uses) if uses else None, in_work)


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
    left, done = found.stats.pages_left, found.stats.pages.total
    total = None if left is None else max(done + left, 1)
    bar = ProgressBar(total=total, completed=done + (left or 0) - (found.pages_left or 0), width=60)
    return Group(bar, Text(), record_table(_record(found)))


def _record(found: Standing) -> dict[str, Any]:
    stats = found.stats
    eta = None if found.eta_seconds is None else str(dt.timedelta(seconds=round(found.eta_seconds)))
    volumes = {f"volumes {state.value}": count for state, count in stats.volumes.items()}
    return {
        "job": stats.job.name,
        **volumes,
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
