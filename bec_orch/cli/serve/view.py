"""`bec view`: the viewer of a volume in a browser, served for as long as the command runs."""

import threading
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from bec_orch.cli.arguments.invocation import Invocation, invocation
from bec_orch.cli.arguments.options import OnlyJob, parse_names
from bec_orch.cli.arguments.paths import as_it_lies, require_named
from bec_orch.cli.arguments.scans import find_scans, is_scans
from bec_orch.cli.composition.home import has_database
from bec_orch.cli.composition.parts import Parts, open_parts
from bec_orch.cli.serve.server import HOST, listening, run
from bec_orch.cli.terminal.console import note, say
from bec_orch.core.names import printable
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import UsageError
from bec_orch.orch.overview.namesakes import named_volume
from bec_orch.settings.config import Settings
from bec_orch.web.html.rendering import address

_MOST_FILES = 50_000
"""Of a folder that is looked through for its first volume: some seconds' worth."""


def command(
    ctx: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="PATH|SOURCE|W_ID/I_ID",
            help="Scans that a job ran over, a workspace of `bec run`, or a volume.",
            show_default=False,
        ),
    ],
    *,
    job: OnlyJob = None,
    port: Annotated[int, typer.Option("--port", metavar="N", min=0, max=65_535, help="Port; 0: any that is free.")] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address, and open no browser.")] = False,
) -> None:
    """Open the pages of a volume in a browser: pictures, lines and text. Ends with Ctrl-C."""
    settings, volume = _what(invocation(ctx), what)
    with open_parts(settings) as parts, listening(settings, HOST, port) as found:
        url = found.url(_path(parts, volume, job))
        say(f"Open {url}")
        note("Ctrl-C ends it.")
        if not no_browser:
            _open(url)
        run(parts, found)


def _what(asked: Invocation, what: str) -> tuple[Settings, VolumeRef | None]:
    """Return the settings of the database to look at, and the volume to begin with; None: the list of jobs."""
    require_named(what)
    path = as_it_lies(Path(what).expanduser())
    if has_database(path):
        return asked.settings.in_workspace(path), None
    if is_scans(what):
        return asked.settings, find_scans(what, asked.settings, most_files=_MOST_FILES).volumes[0]
    return asked.settings, _volume(what)


def _volume(what: str) -> VolumeRef:
    """Return the volume of a word that names nothing on this machine; what cannot be a volume was meant as a path."""
    try:
        if not what.startswith("~/"):
            return VolumeRef(*parse_names(what), "")
    except UsageError:
        pass
    raise UsageError(
        f"There is no folder and no file {printable(what, limit=500)}.",
        code="E_PATH_MISSING",
        hint="Name scans that a job ran over, a workspace of `bec run`, or a volume as W_ID/I_ID.",
    )


def _path(parts: Parts, volume: VolumeRef | None, job: str | None) -> str:
    if volume is None:
        return "/"
    records, names = parts.records, (volume.w_id, volume.i_id)
    found = named_volume(records.overview, records.listings, names, source=volume.source, job=job)
    if job:
        parts.store.job(job)
    own = found.volume
    return address("view", *([job] if job else []), own.w_id, own.i_id, source=found.told_source)


def _open(url: str) -> None:
    try:
        found = webbrowser.get()
    except webbrowser.Error:
        found = None
    # A browser in this terminal would show no picture, and keep the command from ending.
    if found is None or type(found) is webbrowser.GenericBrowser:
        note("There is no browser on this machine that could be opened.")
        return
    threading.Thread(target=found.open, args=(url,), name="browser", daemon=True).start()
