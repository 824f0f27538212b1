"""`bec demo`: the sample volumes through the real path."""

from pathlib import Path
from typing import Annotated

import typer

import bec_orch
from bec_orch.cli.arguments.invocation import invocation
from bec_orch.cli.arguments.options import Json
from bec_orch.cli.arguments.paths import parse_path
from bec_orch.cli.process.ending import EXIT_DONE, EXIT_FAILED
from bec_orch.cli.run.outcome import show
from bec_orch.cli.run.overlays import Overlay
from bec_orch.cli.run.path import RunRequest, run_volumes, workspace
from bec_orch.cli.terminal.console import program, say
from bec_orch.errors import UsageError
from bec_orch.io.sources.detect import detect_source

# One page of the samples is cut off on purpose; it is one of nine, more than the usual 5 % of a volume.
_ERROR_RATE = 0.2
_FIRST = "W1BEC001"


def command(
    ctx: typer.Context,
    *,
    out: Annotated[
        Path, typer.Option("--out", parser=parse_path, metavar="DIR", help="Workspace for results and state.")
    ] = Path("bec-demo"),
    as_json: Json = False,
) -> None:
    """Find the text lines of the two sample volumes, and draw a picture of each."""
    samples = _samples()
    if not as_json:
        say(f"Two sample volumes of {samples}: text lines by ldv1. One page is cut off on purpose.")
    request = RunRequest("ldv1", max_page_error_rate=_ERROR_RATE, overlay=Overlay.SHEETS, as_json=as_json)
    settings = workspace(invocation(ctx), out)
    result = run_volumes(detect_source(samples), request, settings)
    show(result, as_json=as_json)
    if not as_json:
        say(f"State:     {settings.home}")
        say(f"Next, your own scans: {program()} run ldv1 PATH --out DIR")
    raise typer.Exit(EXIT_DONE if result.outcome.is_done else EXIT_FAILED)


def _samples() -> Path:
    """Find the samples beside the package, or in the current folder where the package is installed elsewhere."""
    places = (Path(bec_orch.__file__).resolve().parents[1] / "samples", Path("samples").resolve())
    found = next((place for place in places if (place / _FIRST).is_dir()), None)
    if found is None:
        raise UsageError(
            "The samples are not here: they are in the checkout, not in the installed package.",
            code="E_SAMPLES_MISSING",
            hint="Run `bec demo` in a checkout, or your own scans with `bec run ldv1 PATH`.",
        )
    return found
