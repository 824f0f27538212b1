"""`python -m tests.faults`: the campaign, its table, and exit code 0 only when every promise held."""

import argparse
import os
import random
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.faults import campaign
from tests.faults.campaign import Outcome, Plan
from tests.faults.lane import EMBEDDED, FLEET, ROOT, SECRETS, Lanes
from tests.faults.table import show
from tests.support.jobs.plugin import install
from tests.support.servers.aws import CREDENTIALS, moto_server

LOGS = ROOT / "build" / "faults"


def main() -> int:
    """Run what the command line asks for; SIGTERM ends it as Ctrl-C does, its processes with it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    asked = _arguments()
    backends = [EMBEDDED, FLEET] if asked.backend == "both" else [asked.backend]
    console = Console() if sys.stdout.isatty() else Console(width=100)
    os.environ.update(CREDENTIALS | {"AWS_SECRET_ACCESS_KEY": SECRETS[1]})
    outcomes: list[Outcome] = []
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="bec-f-")))
        folder.chmod(0o755)
        plugins = install(folder / "plugins", {"scarred": "tests.faults.job:ScarredJob"})
        sys.path.insert(0, str(plugins))
        moto_url = opened.enter_context(moto_server()) if FLEET in backends else None
        for backend in backends:
            lanes = Lanes(folder, plugins, moto_url if backend == FLEET else None)
            for plans in _plans(backend, asked, asked.minutes / len(backends)):
                outcomes += _watched(console, lanes, plans, asked.lanes)
    show(console, outcomes)
    for number, outcome in enumerate(outcome for outcome in outcomes if outcome.log):
        LOGS.mkdir(parents=True, exist_ok=True)
        file = LOGS / f"{number}-{outcome.backend}-{outcome.name.replace(' ', '_')}.log"
        file.write_text(outcome.log)
        console.print(f"log: {file.relative_to(ROOT)}", highlight=False)
    console.print(f"seed {asked.seed}, {asked.lanes} lanes")
    return 0 if outcomes and all(outcome.survived for outcome in outcomes) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description="Injects faults, and counts what is lost."
    )
    parser.add_argument("--backend", choices=[EMBEDDED, FLEET, "both"], default="both")
    parser.add_argument("--short", action="store_true", help="the faults that tell most, and a sample of the others")
    parser.add_argument("--only", metavar="WORD", default="", help="only faults whose row or name has this word")
    parser.add_argument(
        "--minutes", type=float, default=0.0, help="random pairs of faults for so long, after the single ones"
    )
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="picks samples and pairs")
    parser.add_argument("--lanes", type=int, default=3, help="scenes that play side by side")
    return parser.parse_args()


def _plans(backend: str, asked: argparse.Namespace, minutes: float) -> Iterator[Plan]:
    if asked.short:
        yield campaign.short(backend, asked.seed)
    else:
        yield campaign.singles(backend, asked.only)
    if minutes:
        yield campaign.pairs(backend, asked.seed, minutes)


def _watched(console: Console, lanes: Lanes, plans: Plan, at_once: int) -> list[Outcome]:
    """Run plans with a progress bar; one line for each that did not survive, as it ends."""
    total = len(plans) if isinstance(plans, list) else None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task(f"faults, {lanes.backend}", total=total)

        def tell(outcome: Outcome) -> None:
            progress.advance(bar)
            if not outcome.survived:
                progress.console.print(f"{outcome.backend}: {outcome.name}: did not survive", highlight=False)

        return campaign.run(lanes, plans, at_once, tell)


if __name__ == "__main__":
    sys.exit(main())
