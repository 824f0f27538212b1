"""`bec import`: ALTO and PAGE documents as lines and text of a job, with all that any other job has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Any

import typer

from bec_orch.cli.arguments.invocation import invocation
from bec_orch.cli.arguments.options import DEFAULT_ERROR_RATE, ErrorRate, JobName, Json, parse_names
from bec_orch.cli.arguments.paths import parse_source_name
from bec_orch.cli.composition.parts import Parts, local_run, open_parts
from bec_orch.cli.export.record import Record, records_of
from bec_orch.cli.export.volumes import destination_url
from bec_orch.cli.jobs.queues import EXISTS, create_job
from bec_orch.cli.run.outcome import RunResult, exit_code, note_moved, show
from bec_orch.cli.terminal.console import note, warn
from bec_orch.cli.terminal.progress import progress
from bec_orch.cli.worker.working import say_death, work
from bec_orch.core.job_types.references import list_folder
from bec_orch.core.names import printable
from bec_orch.core.tasks import Job
from bec_orch.core.volumes import VolumeRef, version_of
from bec_orch.core.wording import counted
from bec_orch.errors import BecError, Interrupted, UsageError
from bec_orch.exports.names import documents_of
from bec_orch.io.stores.objects import Objects
from bec_orch.jobs.importv1.config import JOB_TYPE
from bec_orch.orch.job_admin import JobAdmin
from bec_orch.orch.overview.namesakes import NamedVolume, find_named
from bec_orch.orch.overview.page_errors import page_errors
from bec_orch.orch.overview.spelling import as_spelled, recorded_names

_PAGE_ERRORS = 20
_SHOWN = 5
_NAMED = (
    "A document is named like its page's image, with .xml in place of the suffix or after it; "
    "that of the second picture of a file like scan#2.xml."
)


class Given(StrEnum):
    """The formats that are read."""

    ALTO = "alto"
    PAGE = "page"


@dataclass(frozen=True, slots=True)
class Documents:
    """Where the documents to import are.

    Attributes:
        url: the store.
        folder: a volume's folder in it, with `{w_id}` and `{i_id}` to be filled in.
        names: the volumes that have documents.
    """

    url: str
    folder: str
    names: Sequence[tuple[str, str]]


def command(
    ctx: typer.Context,
    job: JobName,
    *,
    given: Annotated[Given, typer.Option("--format", help="Format of the documents.", show_default=False)],
    documents: Annotated[
        str, typer.Option("--from", metavar="DIR|URL", help="Where the documents are.", show_default=False)
    ],
    volume: Annotated[
        list[str] | None, typer.Option("--volume", metavar="W_ID/I_ID", help="One volume; may be given again.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            parser=parse_source_name,
            metavar="LAYOUT+URL",
            help="Where the images are (default: where they were last read from).",
        ),
    ] = None,
    max_page_error_rate: ErrorRate = DEFAULT_ERROR_RATE,
    force: Annotated[bool, typer.Option("--force", help="Take over again what was taken and is unchanged.")] = False,
    as_json: Json = False,
) -> None:
    """Take over lines and text from documents as the results of a job, which is made if it is not there.

    What the documents say of a volume is taken anew when one of them was changed.
    """
    asked = invocation(ctx)
    url = destination_url(documents) or ""
    with open_parts(asked.settings) as parts:
        store = parts.stores.open(url)
        found = find_documents(store, url, given, [parse_names(each) for each in volume or ()])
        typed = [_volume(parts, store, recorded_names(parts.records.overview, *names), source) for names in found.names]
        volumes = as_spelled(parts.records.overview, parts.sources, typed)
        unmatched = _unmatched(parts, store, found, volumes)
        config = {"format": given.value, "documents_url": found.url, "documents_folder": found.folder}
        made = _job(parts, job, config, max_page_error_rate)
        taken = _take_over(parts, made, volumes, force=force, silent=as_json)
    result = replace(taken, unmatched=unmatched)
    show(result, as_json=as_json)
    raise typer.Exit(exit_code(result))


def find_documents(store: Objects, url: str, given: Given, wanted: Sequence[tuple[str, str]]) -> Documents:
    """Find the folders with documents: as `bec export` lays them out, one a volume, or all of one volume together.

    Raises:
        UsageError: there is none, or none for one of the volumes that are wanted (E_IMPORT_NOTHING).
        StorageError: the store is away.
    """
    for folder in (f"{{w_id}}/{{i_id}}/{given}", "{w_id}/{i_id}"):
        names = [pair for pair in wanted or _folders(store) if _documents(store, _filled(folder, pair))]
        missing = [pair for pair in wanted if pair not in names]
        if names and missing:
            raise _nothing(f"for the volume {'/'.join(missing[0])} in {url}", given)
        if names:
            return Documents(url, folder, names)
    if len(wanted) == 1 and _documents(store, ""):
        return Documents(url, "", wanted)
    raise _nothing(f"in {url}", given)


def _unmatched(parts: Parts, store: Objects, found: Documents, volumes: Sequence[VolumeRef]) -> int:
    """Warn of documents that are named like no page of their volume, and return how many there are.

    A volume whose images are out of reach is left to the import, which reports it.

    Raises:
        UsageError: no document is named like a page (E_IMPORT_NOTHING).
    """
    keys: list[str] = []
    matched = unknown = 0
    for volume in volumes:
        files = _documents(store, _filled(found.folder, (volume.w_id, volume.i_id)))
        try:
            manifest = parts.sources(volume.source).read_manifest(volume)
        except BecError:
            unknown += 1
            continue
        _compare(store, volume, version_of(manifest.etag))
        taken = documents_of([page.filename for page in manifest.pages], files)
        matched += len(taken)
        keys += [files[name] for name in files.keys() - set(taken.values())]
    keys.sort()
    if not matched and not unknown:
        raise UsageError(
            f"No document in {found.url} is named like a page of its volume: {_listed(keys)}.",
            code="E_IMPORT_NOTHING",
            hint=_NAMED,
        )
    if keys:
        count = counted(len(keys), "document")
        warn(f"{count} {'is' if len(keys) == 1 else 'are'} named like no page, and left out: {_listed(keys)}.", _NAMED)
    return len(keys)


def _compare(store: Objects, volume: VolumeRef, version: str) -> None:
    """Warn where documents were exported from other pictures than a volume has: by page, sizes alone are compared."""
    records = records_of(store, volume)
    if records and all(record.version != version for record in records):
        warn(
            f"The documents of {volume} were exported from another version of it, or from another volume: "
            f"{records[0].version} in {printable(records[0].source, limit=300)}; it is {version} now.",
            "Look whether its pages still show what their documents say: pictures were changed or copied since.",
        )


def _listed(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - _SHOWN:,} more" if len(keys) > _SHOWN else ""
    return ", ".join(map(printable, keys[:_SHOWN])) + more


def _folders(store: Objects) -> list[tuple[str, str]]:
    works = [name for name in store.list("").folders if not name.startswith(".")]
    return [(work, folder) for work in works for folder in store.list(work).folders if not folder.startswith(".")]


def _filled(folder: str, pair: tuple[str, str]) -> str:
    return folder.replace("{w_id}", pair[0]).replace("{i_id}", pair[1])


def _documents(store: Objects, folder: str) -> dict[str, str]:
    """Return the key of each document in a folder, by its name."""
    listed = list_folder(store, folder)
    return {entry.name: entry.key for entry in listed.objects if entry.name.lower().endswith(".xml")}


def _nothing(where: str, given: Given) -> UsageError:
    return UsageError(
        f"There are no documents {where}.",
        code="E_IMPORT_NOTHING",
        hint=f"They lie in W_ID/I_ID/{given} or W_ID/I_ID, or all together with one --volume, and end in .xml.",
    )


def _volume(parts: Parts, store: Objects, names: tuple[str, str], source: str | None) -> VolumeRef:
    found = source or _last_source(parts, store, names) or parts.default_source
    if not found:
        raise UsageError(
            f"It is not known where the images of the volume {'/'.join(names)} lie.",
            code="E_SOURCE_UNSET",
            hint="Give --source, such as folder+file:///scans, or set BEC_SOURCE_URL.",
        )
    return VolumeRef(*names, found)


def _last_source(parts: Parts, store: Objects, names: tuple[str, str]) -> str | None:
    """Return where a volume was last read from by any job; of volumes of one name, that which documents are of."""
    found = find_named(parts.records.overview, parts.records.listings, names)
    if found is None or not found.namesakes:
        return found.volume.source if found else None
    volume = _volume_of(found, records_of(store, found.volume))
    note(f"{volume} is taken from {printable(volume.source, limit=300)}; --source names another.")
    return volume.source


def _volume_of(found: NamedVolume, records: Sequence[Record]) -> VolumeRef:
    """Return which volume of a name documents are of, by their records; the newest where these do not tell."""
    versions = {version_of(task.manifest_etag) for task in found.tasks if task.manifest_etag}
    if any(record.source == found.volume.source or record.version in versions for record in records):
        return found.volume  # perhaps it was moved since
    sources = {record.source for record in records}
    return next((one for one in found.namesakes if one.source in sources), found.volume)


def _job(parts: Parts, name: str, config: Mapping[str, Any], error_rate: float) -> Job:
    """Make the job, or set it to these documents.

    Raises:
        UsageError: there is a job of that name which does something else (E_IMPORT_JOB).
    """
    if name not in {job.name for job in parts.records.jobs.every()}:
        try:
            return create_job(
                parts, name, lambda fresh: fresh.create(name, JOB_TYPE, config, max_page_error_rate=error_rate)
            )
        except UsageError as error:
            if error.code != EXISTS:
                raise  # else another import has made it since
    there = parts.records.jobs.job(name)
    if there.type != JOB_TYPE:
        raise UsageError(
            f"The job {printable(name)} is of type {there.type}, and takes over no documents.",
            code="E_IMPORT_JOB",
            hint=f"Give another name: a job of type {JOB_TYPE} is made for it.",
        )
    return JobAdmin(parts.records.jobs).update(name, config=config, max_page_error_rate=error_rate)


def _take_over(parts: Parts, job: Job, volumes: Sequence[VolumeRef], *, force: bool, silent: bool) -> RunResult:
    run = local_run(parts)
    moved = run.cancel_moved(job, volumes, parts.sources)
    note_moved(job.name, moved)
    report = run.enqueue(job, volumes, parts.sources, force=force)
    for fault in report.faults:
        warn(f"The volume {fault.volume} is left out ({fault.code}): {fault.message}", fault.hint)
    speed = None
    if parts.store.unfinished(job):
        with progress(job.name, run.to_do(job, volumes), silent=silent) as shown:
            word = "Stopping at the next page."
            done = work(parts, job, shown, until_empty=True, grace=0.0, word=word, tell_death=say_death)
        if done.interrupted:
            raise Interrupted("The import was interrupted; its finished pages are kept.", hint="Run it again to go on.")
        speed = shown.tally.pages_per_second
    outcome = run.outcome(job, volumes, report)
    faults = page_errors(parts.artefacts(), outcome.tasks, limit=_PAGE_ERRORS)
    return RunResult(outcome, parts.settings.dest_url, speed, (), tuple(faults), moved=moved)
