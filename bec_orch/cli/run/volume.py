"""`bec run-volume`: one volume of a job, now and here."""

from collections.abc import Mapping
from typing import Annotated

import typer

from bec_orch.cli.arguments.invocation import invocation
from bec_orch.cli.arguments.options import AdoptForeign, JobName, Json
from bec_orch.cli.arguments.paths import parse_source_name
from bec_orch.cli.arguments.scans import require_sources
from bec_orch.cli.composition.parts import Parts, local_run, open_parts
from bec_orch.cli.composition.working import single_volume
from bec_orch.cli.process.signals import stopping
from bec_orch.cli.run.outcome import RunResult, exit_code, note_passed_over, show
from bec_orch.cli.terminal.console import note
from bec_orch.cli.terminal.progress import progress
from bec_orch.core.names import printable
from bec_orch.core.tasks import Job
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import Interrupted, RetryableError, TerminalError, UsageError
from bec_orch.orch.backlog.volume_lists import typed_volume
from bec_orch.orch.overview.namesakes import find_named
from bec_orch.orch.overview.spelling import as_spelled, recorded_names


def command(
    ctx: typer.Context,
    job: JobName,
    w_id: Annotated[str, typer.Argument(metavar="W_ID", help="The work.", show_default=False)],
    i_id: Annotated[str, typer.Argument(metavar="I_ID", help="The volume.", show_default=False)],
    *,
    source: Annotated[
        str | None,
        typer.Option(
            parser=parse_source_name, metavar="LAYOUT+URL", help="Its source (default: where it was last read from)."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Do it again if it is done.")] = False,
    adopt_foreign: AdoptForeign = False,
    as_json: Json = False,
) -> None:
    """Make one attempt at a volume on this machine, past the queue."""
    asked, typed = invocation(ctx), typed_volume(w_id, i_id, source or "")
    with open_parts(asked.settings) as parts:
        run, wanted = local_run(parts), parts.store.job(job)
        w_id, i_id = recorded_names(parts.records.overview, typed.w_id, typed.i_id)
        named = VolumeRef(w_id, i_id, source or _last_source(parts, job, w_id, i_id))
        (volume,) = as_spelled(parts.records.overview, parts.sources, [named])
        require_sources(parts.sources, [volume])
        report = run.enqueue(wanted, [volume], parts.sources, force=force, adopt_foreign=adopt_foreign)
        speed = _attempt(parts, wanted, volume, silent=as_json)
        outcome = run.outcome(wanted, [volume], report)
        passed_over = _passed_over(parts, volume)
    result = RunResult(outcome, asked.settings.dest_url, speed, (), passed_over=passed_over, first_pictures_asked=False)
    if not as_json:
        note_passed_over(passed_over)
    show(result, as_json=as_json)
    raise typer.Exit(exit_code(result))


def _passed_over(parts: Parts, volume: VolumeRef) -> Mapping[str, int]:
    """Count the files of a volume that are no pages; none where they cannot be listed, which the attempt reports."""
    try:
        return parts.sources(volume.source).read_manifest(volume).passed_over
    except (RetryableError, TerminalError):
        return {}


def _last_source(parts: Parts, job: str, w_id: str, i_id: str) -> str:
    found = find_named(parts.records.overview, parts.records.listings, (w_id, i_id), job=job)
    source = found.volume.source if found else parts.default_source
    if not source:
        raise UsageError(
            f"It is not known where the volume {w_id}/{i_id} lies.",
            code="E_SOURCE_UNSET",
            hint="Give --source, or set BEC_SOURCE_URL.",
        )
    if found and found.namesakes:
        note(f"{found.volume} is taken from {printable(source, limit=300)}; --source names another.")
    return source


def _attempt(parts: Parts, job: Job, volume: VolumeRef, *, silent: bool) -> float | None:
    """Run the volume, and return pages per second, None when there was nothing to attempt."""
    with (
        progress(job.name, [volume], silent=silent) as shown,
        single_volume(parts, job, shown) as single,
        stopping(single.stop, "Stopping at the next page.") as stop,
    ):
        end = single.run(volume)
    if stop.asked:
        raise Interrupted("The run was interrupted; its finished pages are kept.", hint="Run it again to go on there.")
    return shown.tally.pages_per_second if end else None
