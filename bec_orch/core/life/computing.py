"""The work itself: a job does the pages of a volume, and what it did is put into one file."""

import dataclasses
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bec_orch.core.fault_points import FaultPoint, reached
from bec_orch.core.frames import frame_name
from bec_orch.core.life.missing_pages import DoubtedRows
from bec_orch.core.life.resolving import Pinned, Resolved, Resolver
from bec_orch.core.life.standings import Stage, Standings
from bec_orch.core.metrics import Metrics
from bec_orch.core.ports.artefact_store import ArtefactStore, AttemptFiles
from bec_orch.core.ports.job_worker import JobContext, StopSignal
from bec_orch.core.success import fresh_result
from bec_orch.core.tasks import TaskResult
from bec_orch.core.volumes import PageOutcome, PageState
from bec_orch.errors import PagesFailed, RetryableError, TaskFault


@dataclass(frozen=True, slots=True)
class Computed:
    """A task whose files are whole, and in the store; no reader finds them yet.

    Attributes:
        pinned: the task.
        result: what became of it.
        failed: why it is no artefact, if too many of its pages are errors.
    """

    pinned: Pinned
    result: TaskResult
    failed: PagesFailed | None = None


class Computer:
    """Has jobs done. `work_dir` is where they get a scratch folder each."""

    def __init__(self, artefacts: ArtefactStore, resolver: Resolver, standings: Standings, work_dir: Path) -> None:
        self._artefacts = artefacts
        self._resolver = resolver
        self._standings = standings
        self._work_dir = work_dir

    def open(self, pinned: Pinned) -> AttemptFiles:
        """Open the files of the attempt, with the finished pages of earlier ones.

        Raises:
            RetryableError: the store is away, or the disk full.
        """
        location, job_worker = pinned.resolved.location(), pinned.job_worker
        return self._artefacts.open_attempt(
            location, pinned.manifest, pinned.claim.attempt, pinned.key, job_worker.schema, job_worker.counted
        )

    def compute(self, pinned: Pinned, files: AttemptFiles, stop: StopSignal) -> Computed:
        """Do the pages that are left, and put all into the store.

        Raises:
            Superseded: the manifest changed while the job ran.
            TerminalError: the job says that the volume can never be done; or too many pages failed, and an artefact
                that lies there holds on.
            RetryableError, LeaseLost, Interrupted: as the parts raise them.
        """
        self._standings.begin(pinned.claim, pinned.manifest)
        _leave_out(pinned, files)
        metrics = self._run(pinned, files, stop)
        self._standings.enter(pinned.claim, Stage.ASSEMBLE)
        failed = _too_many_failed(pinned, files)
        if failed and pinned.found:
            raise failed
        file = files.assemble()
        resolved, manifest = pinned.resolved, pinned.manifest
        # A manifest that was replaced while we ran makes this an artefact of an older version: not to be published.
        self._resolver.stamp(resolved, resolved.source.manifest_etag(resolved.claim.volume) or manifest.etag)
        pages, counters, sidecars = files.rows.counts(), files.counters(), files.sidecar_files()
        result = fresh_result(manifest, pinned.key, pages, file, counters, metrics, sidecars)
        return Computed(pinned, result, failed)

    def _run(self, pinned: Pinned, files: AttemptFiles, stop: StopSignal) -> Metrics:
        claim, manifest = pinned.claim, pinned.manifest
        rows = DoubtedRows(files.rows)
        self._progress(pinned, len(files.rows.finished()))
        with tempfile.TemporaryDirectory(prefix="job-", dir=self._work_dir) as work_dir:
            context = JobContext(
                job=claim.job.name,
                volume=claim.volume,
                manifest=manifest,
                pages=pinned.resolved.source.pages(manifest),
                rows=rows,
                stop=stop,
                progress=partial(self._progress, pinned),
                work_dir=Path(work_dir),
                working=self._standings.working(claim),
                suspects=claim.suspect_pages,
                sidecars=files.sidecars,
                dependencies={
                    job: partial(self._artefacts.read_rows, success) for job, success in pinned.inputs.items()
                },
                absent=pinned.absent,
            )
            metrics = pinned.job_worker.run(context)
        if rows.any_held:
            self._look_again(pinned.resolved, rows)
        return metrics

    def _look_again(self, resolved: Resolved, rows: DoubtedRows) -> None:
        """Believe that pages are missing in a volume that is still there, and the same: else they say nothing."""
        rows.flush()
        source, claim = resolved.source, resolved.claim
        etag = source.manifest_etag(claim.volume)
        if etag is None:
            raise RetryableError(
                f"The volume {claim.volume} went away while it was worked on.",
                code="E_MANIFEST_MISSING",
                hint="It is looked for again. Where it happens often, look at the mount or the bucket.",
            )
        self._resolver.stamp(resolved, etag)
        rows.believe(source, resolved.manifest, claim)

    def _progress(self, pinned: Pinned, done: int) -> None:
        self._standings.progress(pinned.claim, done, len(pinned.manifest.pages))
        if done:
            reached(FaultPoint.PAGE_DONE)


def _leave_out(pinned: Pinned, files: AttemptFiles) -> None:
    """Add a row that says so for each page that takes every worker with it, in place of one more try."""
    claim = pinned.claim
    left = claim.deadly_pages - files.rows.finished()
    for page in (page for page in pinned.manifest.pages if page.index in left):
        told = f"{claim.deaths[page.index]} attempts died with their worker at this page: it is left out."
        outcome = PageOutcome(
            page.index,
            PageState.ERROR,
            page.etag,
            error_stage="infer",
            error_type="E_PAGE_KILLS_WORKER",
            error_message=told,
        )
        files.rows.add(outcome)


def _too_many_failed(pinned: Pinned, files: AttemptFiles) -> PagesFailed | None:
    """See that each page has a row, and return the failure of the volume if too many of these are errors."""
    pages, manifest = files.rows.counts(), pinned.manifest
    left = len(manifest.pages) - len(files.rows.finished())
    if left:
        raise TaskFault(
            f"The job left {left} of {len(manifest.pages)} pages without a row.",
            code="E_PAGES_UNACCOUNTED",
        )
    limit = pinned.claim.job.max_page_error_rate
    summary = files.error_summary()
    if summary is None or pages.error_rate <= limit:
        return None
    # Where no partial artefact is left, the part files alone tell what became of the pages (`bec pages`).
    files.rows.flush()
    code, example = summary
    name = frame_name(manifest.pages[example.index].filename, example.frame)
    return PagesFailed(
        f"{pages.error} of {pages.ok + pages.error} pages failed, more than {limit:.0%}; "
        f"for example page {example.index + 1} '{name}': {example.error_message}",
        code=code,
        hint=f"{example.error_hint or 'Mend the images.'} More are allowed with `--max-page-error-rate`. "
        f"`bec errors show {pinned.claim.volume} --job {pinned.claim.job.name}` lists them.",
        pages=dataclasses.asdict(pages),
        counters=files.counters(),
    )
