"""`bec eval`: the report of a job over all of its volumes."""

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import anyio
import typer

from bec_orch.cli.arguments.invocation import invocation
from bec_orch.cli.arguments.options import JobName, Json, Partial
from bec_orch.cli.arguments.paths import parse_path
from bec_orch.cli.composition.parts import Parts, open_parts
from bec_orch.cli.run.outcome import note_references
from bec_orch.cli.terminal.console import note, print_json, print_record, print_rows, say
from bec_orch.core.frames import picture_of
from bec_orch.core.ports.views import JobReport, ShownPage
from bec_orch.core.records.overview import TaskFilter
from bec_orch.core.tasks import TaskState
from bec_orch.core.volumes import Manifest, VolumeRef, other_version, same_etag, version_of
from bec_orch.errors import ConfigError, PageError, StorageError, TerminalError, UsageError
from bec_orch.io.own_files import write_own
from bec_orch.orch.overview import reports
from bec_orch.orch.overview.references import References

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
            "--html",
            parser=parse_path,
            metavar="FILE",
            help="Also write a page with plots and the worst pages.",
            show_default=False,
        ),
    ] = None,
    partial: Partial = False,
    as_json: Json = False,
) -> None:
    """Add up an evaluation job over all of its volumes that are done."""
    with open_parts(invocation(ctx).settings) as parts:
        found = reports.report(parts.store.job(job), parts.records.overview, parts.artefacts(), partial=partial)
        alone = _truth_alone(parts, job)
        if html:
            _write(html, found.html(_Thumbnails(parts, job), dt.datetime.now(dt.UTC)).encode())
    if as_json:
        print_json({**found.to_json(), "unmatched_references": alone})
    else:
        _print(found, html, alone)


def _write(html: Path, page: bytes) -> None:
    """Write the page; where a file was named in place of its folder, that is the caller's fault."""
    try:
        write_own(html, page)
    except StorageError as error:
        if error.code != "E_STORAGE_NO_FOLDER":
            raise
        hint = "Name a file in a folder with --html; the folder is made."
        raise UsageError(error.message, code=error.code, hint=hint) from error


def _truth_alone(parts: Parts, job: str) -> list[str]:
    """List the folders of ground truth that belong to no volume that is done; none where they are out of reach."""
    try:
        return References(parts.records.overview, parts.stores.open).of_no_volume(job)
    except (ConfigError, StorageError) as error:
        note(f"warning: Truth of no volume is not looked for: {error.message}")
        return []


def _print(found: JobReport, html: Path | None, alone: Sequence[str]) -> None:
    print_record(dict(found.summary()))
    note_references(alone, "that is done")
    for hint in found.hints():
        note(f"hint: {hint}")
    say()
    works = found.table()
    rows = [_work_row(work) for work in works[:_WORKS]]
    if rows:
        print_rows(rows, {name: name.replace("_", " ") for name in rows[0]}, empty="")
    if len(works) > _WORKS:
        say(f"(The first {_WORKS} of {len(works):,} works are shown.)")
    if html:
        say(f"Page: {html}")


def _work_row(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Write a work's figures; rates with three places, because good ones begin there."""
    return {name: f"{value:.3f}" if isinstance(value, float) else value for name, value in figures.items()}


class _Thumbnails:
    """Small pictures of pages, each made once; what cannot be read has none, and is reported.

    Those of another version of a volume than the job was done on are none of its pages'.
    """

    def __init__(self, parts: Parts, job: str) -> None:
        self._parts = parts
        self._job = job
        self._manifests: dict[VolumeRef, Manifest] = {}
        self._made: dict[ShownPage, bytes | None] = {}

    def __call__(self, page: ShownPage) -> bytes | None:
        if page not in self._made:
            self._made[page] = self._make(page)
        return self._made[page]

    def _make(self, page: ShownPage) -> bytes | None:
        # Decoding needs the packages of the extra `ldv1`, which the other commands do not.
        from bec_orch.jobs.shared.thumbnail import thumbnail  # noqa: PLC0415

        try:
            data, frame = self._read(page)
            return thumbnail(data, frame=frame)
        except (PageError, TerminalError) as error:
            note(f"warning: {page.volume}, page {page.index + 1} has no picture: {error.message}")
            return None

    def _of_job(self, manifest: Manifest) -> Manifest:
        """Return a manifest that is of the version that the job worked on.

        Raises:
            PageError: it is of another (E_IMAGE_OTHER_VERSION).
        """
        volume = manifest.volume
        tasks = self._parts.records.overview.tasks(self._job, TaskFilter(w_id=volume.w_id, i_id=volume.i_id))
        seen = [task for task in tasks if task.volume == volume and task.manifest_etag]
        # As the report takes them: what is done, else what attempts left.
        made_of = max(seen, key=lambda task: (task.state is TaskState.DONE, task.id), default=None)
        if made_of and not same_etag(made_of.manifest_etag, manifest.etag):
            raise other_version(volume, manifest.version, version_of(made_of.manifest_etag or ""))
        return manifest

    def _read(self, page: ShownPage) -> tuple[bytes, int]:
        source = self._parts.sources(page.volume.source)
        if page.volume not in self._manifests:
            self._manifests[page.volume] = self._of_job(source.read_manifest(page.volume))
        manifest = self._manifests[page.volume]
        found = picture_of(page.img_file_name, {one.filename: one for one in manifest.pages})
        if found is None:
            raise PageError(
                f"The image {page.img_file_name} is no longer in its volume.", stage="fetch", code="E_IMAGE_MISSING"
            )
        at, frame = found
        return anyio.run(source.pages(manifest).read, at).data, frame
