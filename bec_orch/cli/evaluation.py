"""`bec eval`: what an evaluation job found, over all of its volumes."""

import datetime as dt
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer

from bec_orch.cli.composition import Parts, open_parts
from bec_orch.cli.console import note, print_json, print_record, print_rows, say
from bec_orch.cli.invocation import invocation
from bec_orch.cli.options import JobName, Json
from bec_orch.core.models import Manifest, VolumeRef
from bec_orch.errors import PageError, TerminalError
from bec_orch.io.own_files import write_own
from bec_orch.orch.evaluation import html as eval_html
from bec_orch.orch.evaluation import report as eval_report
from bec_orch.orch.evaluation.values import PageScore, Report, WorkScore

app = typer.Typer(help="Show what evaluation jobs found.")

_WORKS = 20


@app.callback()
def _group() -> None:
    """Show what evaluation jobs found."""


@app.command(epilog="Example: bec eval report evalv1 --html report.html")
def report(
    ctx: typer.Context,
    job: JobName,
    *,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", help="Also write a page with plots and the worst pages.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Add up an evaluation job over all of its volumes that are done."""
    with open_parts(invocation(ctx).settings) as parts:
        found = eval_report.report(parts.store.job(job), parts.database, parts.artefacts())
        if html:
            write_own(html, eval_html.render(found, _thumbnails(parts, found), dt.datetime.now(dt.UTC)).encode())
    if as_json:
        print_json(found.to_json())
    else:
        _print(found, html)


def _print(found: Report, html: Path | None) -> None:
    print_record(dict(found.summary()))
    say()
    rows = [_work_row(work) for work in found.works[:_WORKS]]
    if rows:
        print_rows(rows, {name: name.replace("_", " ") for name in rows[0]}, empty="")
    if len(found.works) > _WORKS:
        say(f"(The first {_WORKS} of {len(found.works):,} works are shown.)")
    if html:
        say(f"Page: {html}")


def _work_row(work: WorkScore) -> dict[str, Any]:
    """Give a work's figures; rates with three places, because good ones begin there."""
    figures = work.to_json()
    return {name: f"{value:.3f}" if isinstance(value, float) else value for name, value in figures.items()}


def _thumbnails(parts: Parts, found: Report) -> dict[PageScore, bytes]:
    """Make the small pictures of the pages that the report shows, as far as they can be read."""
    pictures: dict[PageScore, bytes] = {}
    manifests: dict[VolumeRef, Manifest] = {}
    for page in sorted({*found.worst, *found.suspects}, key=lambda page: (str(page.volume), page.index)):
        try:
            pictures[page] = _thumbnail(parts, page, manifests)
        except (PageError, TerminalError) as error:
            note(f"warning: {page.volume}, page {page.index + 1} has no picture: {error.message}")
    return pictures


def _thumbnail(parts: Parts, page: PageScore, manifests: dict[VolumeRef, Manifest]) -> bytes:
    # Decoding needs the packages of the extra `ldv1`, which the other commands do not.
    from bec_orch.jobs.evalv1.thumbnail import thumbnail  # noqa: PLC0415

    source = parts.sources(page.volume.source)
    if page.volume not in manifests:
        manifests[page.volume] = source.read_manifest(page.volume)
    manifest = manifests[page.volume]
    at = next((p for p in manifest.pages if p.filename == page.img_file_name), None)
    if at is None:
        raise PageError(
            f"The image {page.img_file_name} is no more in its volume.", stage="fetch", code="E_IMAGE_MISSING"
        )
    return thumbnail(anyio.run(source.pages(manifest).read, at).data)
