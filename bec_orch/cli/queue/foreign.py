"""`bec queue replace-foreign`: shows what others left where a job's own would lie, and with `--yes` has it replaced."""

from collections.abc import Sequence
from typing import Annotated

import typer

from bec_orch.cli.arguments.invocation import invocation
from bec_orch.cli.arguments.options import JobName, Json, VolumesSource
from bec_orch.cli.composition.parts import Parts, open_parts
from bec_orch.cli.terminal.console import print_json, print_record, say
from bec_orch.core.names import escaped
from bec_orch.core.records.backlog import EnqueueReport
from bec_orch.core.volumes import VolumeRef
from bec_orch.core.wording import counted
from bec_orch.errors import UsageError
from bec_orch.orch.backlog.enqueue import Enqueuer
from bec_orch.orch.backlog.foreign import ForeignArtefact, find_foreign
from bec_orch.orch.backlog.volume_lists import parse_volume
from bec_orch.orch.overview.spelling import as_spelled


def command(
    ctx: typer.Context,
    job: JobName,
    volumes: Annotated[
        list[str], typer.Argument(metavar="W_ID/I_ID...", help="Volumes, one by one.", show_default=False)
    ],
    *,
    source: VolumesSource = None,
    yes: Annotated[bool, typer.Option("--yes", help="Queue them: a worker replaces what was shown.")] = False,
    as_json: Json = False,
) -> None:
    """Show artefacts that others left where the job's would lie; with --yes, do these volumes and replace them."""
    with open_parts(invocation(ctx).settings) as parts:
        asked = source or parts.default_source
        if not asked:
            raise UsageError("There is no default source.", code="E_SOURCE_UNSET", hint="Give --source.")
        found_job = parts.store.job(job)
        typed = [parse_volume(text, asked) for text in dict.fromkeys(volumes)]
        named = as_spelled(parts.records.overview, parts.sources, typed)
        found = find_foreign(parts.artefacts(), parts.sources, found_job, named)
        for one in found if not as_json else ():
            _show(one)
        if not yes:
            raise UsageError(
                f"This would do the work anew and replace the success.json of {counted(len(found), 'artefact')} of "
                "others; the files beside it stay.",
                hint="Add --yes to do it.",
            )
        report = _enqueue(parts, found_job.name, named, found)
    if as_json:
        print_json({"replaced": found, "queued": report.queued, "waiting": report.waiting})
    else:
        say(f"{counted(report.queued + report.waiting + report.already_unfinished, 'volume')} will be done anew.")


def _enqueue(parts: Parts, job: str, volumes: Sequence[VolumeRef], found: Sequence[ForeignArtefact]) -> EnqueueReport:
    # Exactly what was shown: one that is changed until a worker comes to it stays.
    shown = {one.volume: one.etag for one in found}
    return Enqueuer(parts.records.backlog, parts.queues).enqueue(job, volumes, replace_foreign=shown)


def _show(one: ForeignArtefact) -> None:
    told = {
        "volume": str(one.volume),
        "place": one.prefix,
        "made by": one.made_by,
        "made at": one.made_at or "unknown",
        "files beside it": ", ".join(one.files),
    }
    print_record({name: escaped(text) for name, text in told.items()})
    say()
