"""The table of a campaign, and its totals."""

import statistics
from collections import defaultdict
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tests.faults.campaign import Outcome


def show(console: Console, outcomes: Sequence[Outcome]) -> None:
    """Print one line for each fault and back-end, then what went wrong, then the totals."""
    table = Table(box=None, pad_edge=False)
    for column in ("row", "fault", "back-end"):
        table.add_column(column)
    for column in ("injected", "survived", "lost", "twice", "invalid", "seconds"):
        table.add_column(column, justify="right")
    for (row, name, backend), found in sorted(_grouped(outcomes).items()):
        table.add_row(row, name, backend, *_counts(found))
    console.print(table)
    for outcome in outcomes:
        if not outcome.survived:
            console.print(f"\n[bold]{outcome.backend}: {outcome.name}[/bold]", highlight=False)
            console.print("\n".join(outcome.verdict.lines()) or outcome.error, markup=False, highlight=False)
    console.print(f"\n{totals(outcomes)}", highlight=False)


def totals(outcomes: Sequence[Outcome]) -> str:
    """Return the sum of a campaign in one line."""
    injected = [outcome for outcome in outcomes if not outcome.error]
    seconds = sorted(outcome.seconds for outcome in injected) or [0.0]
    return (
        f"{len(injected)} faults injected, {sum(o.survived for o in outcomes)} survived; "
        f"{sum(len(o.verdict.lost) for o in injected)} tasks lost, "
        f"{sum(len(o.verdict.twice) for o in injected)} done twice, "
        f"{sum(len(o.verdict.invalid) for o in injected)} invalid artefacts; "
        f"seconds to converge: median {statistics.median(seconds):.1f}, most {seconds[-1]:.1f}"
        + (f"; {len(outcomes) - len(injected)} not injected" if len(injected) < len(outcomes) else "")
    )


def _grouped(outcomes: Sequence[Outcome]) -> dict[tuple[str, str, str], list[Outcome]]:
    groups: defaultdict[tuple[str, str, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if len(outcome.faults) == 1:
            groups[outcome.faults[0].row, outcome.name, outcome.backend].append(outcome)
        else:
            groups["pairs", "two faults at the same time", outcome.backend].append(outcome)
    return groups


def _counts(found: Sequence[Outcome]) -> list[str]:
    injected = [outcome for outcome in found if not outcome.error]
    numbers = (
        len(injected),
        sum(outcome.survived for outcome in found),
        sum(len(outcome.verdict.lost) for outcome in injected),
        sum(len(outcome.verdict.twice) for outcome in injected),
        sum(len(outcome.verdict.invalid) for outcome in injected),
    )
    slowest = max((outcome.seconds for outcome in injected), default=0.0)
    return [*map(str, numbers), f"{slowest:.1f}"]
