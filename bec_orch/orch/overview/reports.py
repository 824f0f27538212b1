"""Adds up a job over all its volumes, however many: each volume's rows are read, counted and dropped."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import pyarrow as pa

from bec_orch.core.artefacts import ArtefactLocation
from bec_orch.core.job_types.registry import tally_of, types_with_reports
from bec_orch.core.ports.artefact_store import ArtefactStore
from bec_orch.core.ports.views import JobReport, Tally
from bec_orch.core.records.overview import Overview
from bec_orch.core.tasks import Job
from bec_orch.core.volumes import VolumeRef, version_of
from bec_orch.errors import LOST_ARTEFACT, BecError, UsageError
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.orch.ahead import ahead
from bec_orch.orch.overview.kept import kept_volumes

READERS = 16
"""Artefacts that are read at once: reading one takes a few requests to a distant store, and little work."""


def report(job: Job, overview: Overview, artefacts: StoredArtefacts, *, partial: bool = False) -> JobReport:
    """Add up all volumes of a job that are done; where asked for, also what attempts left of others.

    Raises:
        UsageError: jobs of its type have no report (E_EVAL_TYPE).
        ConfigError: what the report needs is not installed.
        DatabaseError, StorageError: database or store are away.
    """
    begin = tally_of(job.type)
    if begin is None:
        raise UsageError(
            f"The job '{job.name}' is of type {job.type}, which has no report.",
            code="E_EVAL_TYPE",
            hint=f"Types with a report: {', '.join(types_with_reports())}. `bec jobs list` shows the jobs.",
        )
    tally = begin(job.name)
    add_up(tally, _locations(job, overview), artefacts)
    if partial:
        _add_kept(tally, job, overview, artefacts)
    return tally.report()


def _add_kept(tally: Tally, job: Job, overview: Overview, artefacts: StoredArtefacts) -> None:
    """Add what attempts left of volumes that are not done."""
    done = {(one.volume.w_id, one.volume.i_id) for some in overview.done_volumes(job) for one in some}
    for task, location in kept_volumes(overview, job, done):
        table = artefacts.part_rows(location, task.attempt, tally.columns)
        if table is not None:
            tally.add(task.volume, table.drop_columns(["page"]), partial=True)


def add_up(tally: Tally, locations: Iterable[ArtefactLocation], artefacts: ArtefactStore) -> None:
    """Add the artefacts of these places to a tally; see `report`."""
    read = partial(_rows_of, artefacts=artefacts, columns=tally.columns)
    for volume, table in ahead(read, locations, threads=READERS):
        tally.add(volume, table)


def _locations(job: Job, overview: Overview) -> Iterator[ArtefactLocation]:
    for done in overview.done_volumes(job):
        for one in done:
            yield ArtefactLocation(job.root, one.volume, version_of(one.manifest_etag))


def _rows_of(
    location: ArtefactLocation, artefacts: ArtefactStore, columns: Sequence[str]
) -> tuple[VolumeRef, pa.Table | None]:
    """Read one volume's rows; None when the artefact is gone or broken."""
    try:
        success = artefacts.success(location)
        return location.volume, artefacts.read_rows(success, columns) if success else None
    except BecError as error:
        if error.code not in LOST_ARTEFACT:
            raise
        return location.volume, None
