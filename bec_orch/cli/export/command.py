"""`bec export`: the lines and texts of a job as documents that other programs read."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import typer

from bec_orch.cli.arguments import completion
from bec_orch.cli.arguments.invocation import Invocation, invocation
from bec_orch.cli.arguments.options import JobName, Json, OnlySource, Partial, parse_names
from bec_orch.cli.composition.parts import open_parts
from bec_orch.cli.export.outcome import show
from bec_orch.cli.export.volumes import BASE_URL, IMAGE_URL, ExportRequest, export
from bec_orch.cli.terminal.console import program
from bec_orch.errors import UsageError
from bec_orch.exports.formats import NAMES, Level, format_of
from bec_orch.orch.overview.spelling import recorded_names
from bec_orch.settings.config import Origin


def command(
    ctx: typer.Context,
    job: JobName,
    *,
    formats: Annotated[
        list[str],
        typer.Option(
            "--format",
            metavar="FORMAT[,FORMAT]",
            help=f"{', '.join(NAMES)}; may be given again.",
            show_default=False,
            autocompletion=completion.formats,
        ),
    ],
    volume: Annotated[
        list[str] | None, typer.Option("--volume", metavar="W_ID/I_ID", help="One volume; may be given again.")
    ] = None,
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="DIR|URL", help="Where to write (default: exports/JOB in BEC_HOME)."),
    ] = None,
    level: Annotated[
        Level | None, typer.Option("--level", help="One file per page or per volume (default: as the format prefers).")
    ] = None,
    base_url: Annotated[
        str, typer.Option("--base-url", metavar="URL", help="Where IIIF manifests will be served.")
    ] = BASE_URL,
    image_url: Annotated[
        str,
        typer.Option("--image-url", metavar="URL", help="Where images are served, with {w_id}, {i_id} and {file}."),
    ] = IMAGE_URL,
    force: Annotated[
        bool, typer.Option("--force", help="Write over files that are not ours, or that were changed.")
    ] = False,
    partial: Partial = False,
    source: OnlySource = None,
    as_json: Json = False,
) -> None:
    """Write the lines and texts of a job's finished volumes as documents.

    Documents that are there, and of the same artefact, are left as they are: the same command goes on after a stop.
    """
    names = [parse_names(each) for each in volume or ()]
    asked, as_what = invocation(ctx), parse_formats(formats)
    request = ExportRequest(
        as_what, "", level, frozenset(), out, base_url, image_url, force, partial, as_json, source=source or ""
    )
    with open_parts(asked.settings) as parts:
        wanted = frozenset(recorded_names(parts.records.overview, *each) for each in names)
        request = replace(request, again=_again(asked, job, request), volumes=wanted)
        result = export(parts, parts.store.job(job), request)
    show(result, as_json=as_json)
    raise typer.Exit(result.exit_code)


def _again(asked: Invocation, job: str, request: ExportRequest) -> str:
    """Return the command line that exports to the same place, for whoever is to add what is exported."""
    options = {
        "--out": request.out or "",
        "--base-url": "" if request.base_url == BASE_URL else request.base_url,
        "--image-url": "" if request.image_url == IMAGE_URL else request.image_url,
        "--source": request.source,
    }
    home = ["--home", str(asked.settings.home)] if asked.loaded.origins["home"] is Origin.FLAG else []
    given = [word for name, value in options.items() if value for word in (name, value)]
    partial = ["--partial"] if request.partial else []
    return shlex.join([program(), *home, "export", job, *given, *partial])


def parse_formats(given: Sequence[str]) -> tuple[str, ...]:
    """Read names of formats, separated by commas, each once.

    Raises:
        UsageError: there is no such format (E_EXPORT_FORMAT).
        ConfigError: what it needs is not installed (E_EXTRA_MISSING).
    """
    names = dict.fromkeys(name.strip() for text in given for name in text.split(",") if name.strip())
    for name in names:
        format_of(name)
    if not names:
        raise UsageError("No format was given.", code="E_EXPORT_FORMAT", hint=f"Formats: {', '.join(NAMES)}.")
    return tuple(names)
