"""`bec run`: a job over the volumes of a folder, on this machine, in a workspace of its own."""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from bec_orch.cli.arguments import completion
from bec_orch.cli.arguments.invocation import Invocation, invocation
from bec_orch.cli.arguments.options import (
    DEFAULT_ERROR_RATE,
    AdoptForeign,
    ConfigFile,
    ConfigText,
    ErrorRate,
    Json,
    read_config,
)
from bec_orch.cli.arguments.paths import parse_path
from bec_orch.cli.arguments.scans import find_scans
from bec_orch.cli.composition.parts import Parts, local_run, open_parts
from bec_orch.cli.composition.working import look_again, require_loadable
from bec_orch.cli.export.command import parse_formats
from bec_orch.cli.export.volumes import ExportRequest, ExportResult, export, reader_of
from bec_orch.cli.run.outcome import ROWS, RunResult, exit_code, in_order, note_moved, note_passed_over, show
from bec_orch.cli.run.overlays import PAGES, Overlay, require_overlays, write_overlays
from bec_orch.cli.terminal.console import note, program, say, warn
from bec_orch.cli.terminal.progress import progress
from bec_orch.cli.worker.working import say_death, work
from bec_orch.core.job_types.registry import content_of, job_types, page_figures, types_with_pictures
from bec_orch.core.names import printable
from bec_orch.core.tasks import Job, TaskState
from bec_orch.core.volumes import VolumeRef
from bec_orch.core.wording import clause, counted
from bec_orch.errors import Interrupted
from bec_orch.io.sources.detect import DetectedSource
from bec_orch.io.sources.misnamed import RENAME
from bec_orch.io.workspace import WorkspaceLock
from bec_orch.orch.overview.figures import volume_figures
from bec_orch.orch.overview.page_errors import page_errors
from bec_orch.orch.runs.local_run import LocalRun, RunOutcome
from bec_orch.settings.config import LoadedSettings, Origin, Settings, variable

# More than fit on a screen help nobody; `--json` has as many.
_PAGE_ERRORS = _FOLDERS = 20
_NO_EXPORT = "none"


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What a run was asked to do."""

    job_type: str
    config: Mapping[str, Any] = field(default_factory=dict)
    max_page_error_rate: float = DEFAULT_ERROR_RATE
    force: bool = False
    overlay: Overlay | None = None
    as_json: bool = False
    adopt_foreign: bool = False
    exports: tuple[str, ...] | None = None


_DRAWN = ", ".join(types_with_pictures())
JobType = Annotated[
    str,
    typer.Argument(
        metavar="TYPE",
        help=f"Job type: {', '.join(job_types())}.",
        show_default=False,
        autocompletion=completion.types,
    ),
]
Scans = Annotated[
    str,
    typer.Argument(
        metavar="PATH|SOURCE",
        help="Folder of volumes, of one work, or of one volume; a PDF (`#dpi=400`); or the name of a source.",
        show_default=False,
    ),
]
Exports = Annotated[
    str | None,
    typer.Option(
        "--export",
        metavar="FORMAT[,FORMAT]",
        help="Also write documents, or none (default: as the type has it).",
        autocompletion=completion.formats,
    ),
]


def command(
    ctx: typer.Context,
    job_type: JobType,
    path: Scans,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", parser=parse_path, metavar="DIR", help="Workspace for results and state (default: BEC_HOME)."
        ),
    ] = None,
    config_file: ConfigFile = None,
    config_text: ConfigText = None,
    max_page_error_rate: ErrorRate = DEFAULT_ERROR_RATE,
    force: Annotated[bool, typer.Option("--force", help="Do again what is done.")] = False,
    adopt_foreign: AdoptForeign = False,
    overlay: Annotated[
        bool, typer.Option("--overlay", help=f"Draw every page, {PAGES} on a picture ({_DRAWN}).")
    ] = False,
    overlay_pages: Annotated[
        bool, typer.Option("--overlay-pages", help=f"Draw each page as a picture of its own ({_DRAWN}).")
    ] = False,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Follow symbolic links to images outside of PATH.")
    ] = False,
    exports: Exports = None,
    as_json: Json = False,
) -> None:
    """Run a job over your own scans, and first the jobs that it needs.

    Run it again to go on after an interruption; what is done is not done again.

    Exit codes: 0 all is done, 1 a volume failed, 2 nothing was started, or files of others are in the way of documents,
    3 done with page errors or something left out, 6 a source that was named is missing or empty, 130 interrupted.
    """
    asked = invocation(ctx)
    config = read_config(config_file, config_text) or {}
    formats = None if exports is None else () if exports == _NO_EXPORT else parse_formats([exports])
    drawn = Overlay.PAGES if overlay_pages else Overlay.SHEETS if overlay else None
    request = RunRequest(job_type, config, max_page_error_rate, force, drawn, as_json, adopt_foreign, formats)
    settings = workspace(asked, out)
    if follow_links:
        settings = settings.model_copy(update={"follow_links": True})
    result = run_volumes(find_scans(path, settings), request, settings)
    show(result, as_json=as_json)
    if not as_json:
        say(f"Next: {program()} --home {shlex.quote(str(settings.home))} jobs stats {job_type}")
    raise typer.Exit(exit_code(result))


def workspace(asked: Invocation, out: Path | None) -> Settings:
    """Return the settings of a run: everything in the workspace, unless BEC_DEST_URL names a store for artefacts."""
    loaded = asked.loaded
    _tell_what_is_passed_over(loaded, out)
    own = loaded.settings.in_workspace(out or loaded.settings.home)
    if out is None and loaded.origins["dest_url"] is not Origin.DEFAULT:
        return own.model_copy(update={"dest_url": loaded.settings.dest_url})
    return own


def _tell_what_is_passed_over(loaded: LoadedSettings, out: Path | None) -> None:
    """Name the settings that a run does not use: the commands that come after it in the same shell do."""
    fields = ("sql_host", "dest_url", "dest_s3_bucket") if out else ("sql_host",)
    passed_over = [variable(field) for field in fields if loaded.origins[field] is not Origin.DEFAULT]
    if passed_over:
        where = "the folder of --out" if out else "BEC_HOME"
        warn(
            f"{', '.join(passed_over)}: not used, as this run keeps its database and artefacts in {where}.",
            "Unset that before other commands look at this workspace (--home): they use it.",
        )


def run_volumes(detected: DetectedSource, request: RunRequest, settings: Settings) -> RunResult:
    """Run a job over detected volumes until nothing is left to do.

    Raises:
        Interrupted: by Ctrl-C or SIGTERM; finished pages are kept.
        BecError: the run cannot begin, or stopped itself.
    """
    if request.overlay:
        require_overlays(request.job_type)
    if request.exports:
        reader_of(request.job_type, request.job_type)
    for rejected in detected.rejected:
        warn(f"{printable(rejected.name)} is left out: it {clause(rejected.reason)}.", rejected.hint)
    _tell_outside(detected)
    with WorkspaceLock(settings.home), open_parts(settings, make_home=True, links_below=detected.path) as parts:
        run = local_run(parts)
        *firsts, job = run.prepare_jobs(
            request.job_type, request.config, request.max_page_error_rate, partial(require_loadable, parts)
        )
        moved = _cancel_moved(parts, run, (*firsts, job), detected)
        needed = [
            _run_first(parts, run, first, (*firsts[at + 1 :], job), detected, request)
            for at, first in enumerate(firsts)
        ]
        report = run.enqueue(
            job, detected.volumes, parts.sources, force=request.force, adopt_foreign=request.adopt_foreign
        )
        for fault in report.faults:
            warn(f"The volume {fault.volume} is left out ({fault.code}): {fault.message}", fault.hint)
        look_again(parts, job, run.done_tasks(job, detected.volumes))
        speed = _work(parts, job, request, run.to_do(job, detected.volumes))
        outcome = run.outcome(job, detected.volumes, report)
        if outcome.count(TaskState.DONE):
            # Where nothing was left to do, nobody looked: an unmounted destination has nothing of what counts as done.
            parts.artefacts().check_there()
        overlays = write_overlays(parts, job.type, outcome.tasks, settings.home / "overlays", request.overlay)
        tasks = (task for ran in (*needed, outcome) for task in ran.tasks)
        faults = page_errors(parts.artefacts(), tasks, limit=_PAGE_ERRORS)
        documents = _export(parts, job, request, outcome)
        return RunResult(
            outcome,
            settings.dest_url,
            speed,
            tuple(overlays),
            tuple(faults),
            tuple(needed),
            detected,
            documents,
            passed_over=detected.passed_over,
            first_pictures_asked="frames" in request.config,
            figures=volume_figures(parts.artefacts(), in_order(outcome)[:ROWS], page_figures(job.type)),
            unmatched_references=tuple(run.references_alone(job, detected.volumes)),
            moved=moved,
        )


def _tell_outside(detected: DetectedSource) -> None:
    """Print which layout was taken where something lies outside of it, and what else is not a page."""
    if detected.outside:
        note(f"Taken as {detected.layout}, {_reason(detected)}: {detected.images} of them.")
    for outside in detected.outside[:_FOLDERS]:
        images = counted(outside.images, "image")
        warn(f"In no volume: {images} in {printable(outside.folder)}.", "Name that folder, or move the images.")
    if len(detected.outside) > _FOLDERS:
        note(f"(The first {_FOLDERS} of {len(detected.outside)} such folders are shown.)")
    for found in detected.misnamed[:_FOLDERS]:
        warn(f"Left out: {printable(found.file)} is {found.kind}, and is not named like one.", RENAME)
    if len(detected.misnamed) > _FOLDERS:
        note(f"(The first {_FOLDERS} of {len(detected.misnamed)} such files are shown.)")
    note_passed_over(detected.passed_over)


def _reason(detected: DetectedSource) -> str:
    if detected.as_good:
        return f"in which as many images are pages as in {detected.as_good}"
    return "because most images lie that way"


def _export(parts: Parts, job: Job, request: RunRequest, outcome: RunOutcome) -> ExportResult | None:
    """Write the documents of the volumes that are done; None where none are asked for, or none is done."""
    read = content_of(job.type)
    formats = request.exports if request.exports is not None else tuple(read.usual) if read else ()
    done = frozenset((task.volume.w_id, task.volume.i_id) for task in outcome.tasks if task.state is TaskState.DONE)
    again = f"{program()} --home {shlex.quote(str(parts.settings.home))} export {shlex.quote(job.name)}"
    if not formats or not done:
        return None
    source = outcome.tasks[0].volume.source  # a run is over volumes of one
    return export(parts, job, ExportRequest(formats, again, volumes=done, silent=True, source=source))


def _run_first(
    parts: Parts, run: LocalRun, first: Job, later: Sequence[Job], detected: DetectedSource, request: RunRequest
) -> RunOutcome:
    """Run a job that a later one needs; what it fails on shows in that one."""
    report = run.enqueue(first, detected.volumes, parts.sources, force=False, adopt_foreign=request.adopt_foreign)
    look_again(parts, first, run.done_tasks(first, detected.volumes))
    asked = run.to_do(first, detected.volumes)
    _work(parts, first, request, asked, later, title=f"First {first.name}, which {later[-1].name} needs:")
    return run.outcome(first, detected.volumes, report)


def _cancel_moved(parts: Parts, run: LocalRun, jobs: Sequence[Job], detected: DetectedSource) -> Counter[str]:
    """Cancel what all these jobs had still to do of the volumes where they lie no more, before any of them works."""
    moved = Counter[str]()
    for job in jobs:
        of_job = run.cancel_moved(job, detected.volumes, parts.sources)
        note_moved(job.name, of_job)
        moved += of_job
    return moved


def _work(
    parts: Parts,
    job: Job,
    request: RunRequest,
    asked: Sequence[VolumeRef],
    later: Sequence[Job] = (),
    *,
    title: str = "",
) -> float | None:
    """Work until a job has nothing left to do, and return pages per second, None when there was nothing.

    `asked` are the volumes that are counted while it works.

    Raises:
        ConfigError: a later job lacks a package, an engine, a language or a model: hours of work would come before it.
    """
    if not parts.store.unfinished(job):
        return None
    for one in later:
        require_loadable(parts, one.type, one.config)
    if title and not request.as_json:
        note(title)
    with progress(job.name, asked, silent=request.as_json) as shown:
        word = "Stopping at the next page."
        done = work(parts, job, shown, until_empty=True, grace=0.0, word=word, tell_death=say_death)
    if done.interrupted:
        pages = shown.tally.pages_done
        kept = f"{counted(pages, 'page')} of it {'is' if pages == 1 else 'are'} finished and kept"
        raise Interrupted(
            f"The run was interrupted; {kept}.",
            hint="Run the same command again to go on there.",
        )
    return shown.tally.pages_per_second
