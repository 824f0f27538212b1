"""One attempt at a task that is ours: from the manifest to a published artefact."""

import contextlib
import datetime as dt
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

from bec_orch.core.fault_points import FaultPoint, reached
from bec_orch.core.job_worker import JobContext, JobWorker
from bec_orch.core.metrics import Metrics
from bec_orch.core.missing_pages import DoubtedRows
from bec_orch.core.models import ArtefactLocation, Claim, Manifest, PageOutcome, PageState, TaskActivity, TaskResult
from bec_orch.core.patience import patiently
from bec_orch.core.ports import AttemptFiles, AttemptKey, ImageSource, Success
from bec_orch.core.references import versions
from bec_orch.core.runtime_parts import WorkerParts
from bec_orch.core.stop import TaskStop
from bec_orch.core.success import adopted_result, foreign_artefact, fresh_result, is_wanted, success_content
from bec_orch.errors import ManifestMissing, RetryableError, Superseded, TaskFault, TerminalError

T = TypeVar("T")


class Attempt:
    """Does the work of one claim. `stage` tells how far it came: `manifest`, `run`, `assemble` or `commit`."""

    def __init__(self, claim: Claim, stop: TaskStop, parts: WorkerParts) -> None:
        self._claim = claim
        self._stop = stop
        self._parts = parts
        self._begun = dt.datetime.now(dt.UTC)
        self.stage = "manifest"

    def run(self) -> TaskResult:
        """Leave a published artefact, made now or found, and give what the database is to record.

        Raises:
            Superseded: the manifest changed since the task was stamped, or while it ran.
            TerminalError: the volume can never be done as it is.
            RetryableError, LeaseLost, Interrupted: as the parts raise them.
        """
        source = self._parts.sources(self._claim.volume.source)
        manifest = self._manifest(source)
        reached(FaultPoint.MANIFEST_READ)
        self._stamp(manifest.etag, len(manifest.pages))
        with self._parts.job_workers(self._claim.job) as job_worker:
            inputs = self._inputs(manifest)
            key = self._key(job_worker, inputs)
            found = self._parts.artefacts.success(self._location(manifest))
            if found is not None and self._is_good(found, manifest, key):
                own = found.task_uid == self._claim.task_uid
                return adopted_result(found, manifest.etag, len(manifest.pages), own=own)
            with closing(self._open_files(manifest, job_worker, key)) as files:
                metrics = self._run_job(source, manifest, job_worker, files, inputs)
                result = self._assembled(source, manifest, key, files, metrics)
                held = self._publish(manifest, result, replaces=found)
                self._tidy(files, held)
        if held.files == result.files:
            return result
        if not self._parts.artefacts.owns(held) and not self._is_taken_over(held, manifest, key):
            raise foreign_artefact(held, self._claim)
        return adopted_result(held, manifest.etag, len(manifest.pages), own=False)

    def _manifest(self, source: ImageSource) -> Manifest:
        """Read the manifest. One that is missing is looked for by two attempts in a row before it ends the task."""
        try:
            return source.read_manifest(self._claim.volume, nb_images_intro=self._claim.nb_images_intro)
        except ManifestMissing as error:
            if self._claim.last_failure == error.code:
                raise
            raise RetryableError(error.message, code=error.code, hint=error.hint) from error

    def _stamp(self, etag: str, nb_pages: int) -> None:
        stamped = self._patiently(lambda: self._parts.store.stamp_manifest(self._claim, etag, nb_pages))
        if not stamped:
            raise Superseded(f"The volume {self._claim.volume} has a newer manifest, {etag}.")

    def _location(self, manifest: Manifest, job: str | None = None) -> ArtefactLocation:
        return ArtefactLocation(job or self._claim.job.name, self._claim.volume, manifest.version)

    def _inputs(self, manifest: Manifest) -> dict[str, Success]:
        """Pin the artefacts of the dependencies: the whole attempt reads these, whatever replaces them meanwhile."""
        found = {
            job: self._parts.artefacts.success(self._location(manifest, job)) for job in self._claim.job.depends_on
        }
        missing = [job for job, success in found.items() if success is None]
        if missing:
            self._parts.store.doubt(self._claim, missing)
            raise RetryableError(
                f"The artefact of '{missing[0]}' for {self._claim.volume} is gone.",
                code="E_DEPENDENCY_MISSING",
                hint=f"Workers of '{missing[0]}' make it again; `bec queue enqueue {missing[0]} --force` asks them to.",
            )
        return {job: success for job, success in found.items() if success}

    def _key(self, job_worker: JobWorker, inputs: Mapping[str, Success]) -> AttemptKey:
        job = self._claim.job
        files = {name: success.files[0].key for name, success in inputs.items()}
        folders = job_worker.config_type.parse(job.config).reference_folders(self._claim.volume)
        pinned = files | versions(folders, self._parts.open_store)
        return AttemptKey(job.config_hash, job_worker.models, job_worker.code_version, job.type, pinned)

    def _is_good(self, found: Success, manifest: Manifest, key: AttemptKey) -> bool:
        """Tell whether what is there is to be adopted; if not, it may be replaced.

        Raises:
            PlaceTaken: it is somebody else's, and nobody asked for the one or the other (E_ARTEFACT_FOREIGN).
        """
        if self._parts.artefacts.owns(found):
            return self._is_as_wanted(found, manifest, key)
        if found.etag == self._claim.replace_foreign:
            return False
        if not self._is_taken_over(found, manifest, key):
            raise foreign_artefact(found, self._claim)
        return True

    def _is_taken_over(self, found: Success, manifest: Manifest, key: AttemptKey) -> bool:
        return self._claim.adopt_foreign and self._is_as_wanted(found, manifest, key)

    def _is_as_wanted(self, found: Success, manifest: Manifest, key: AttemptKey) -> bool:
        wanted = is_wanted(found, self._claim, manifest, key)
        return wanted and self._parts.artefacts.verify(found, len(manifest.pages))

    def _open_files(self, manifest: Manifest, job_worker: JobWorker, key: AttemptKey) -> AttemptFiles:
        return self._parts.artefacts.open_attempt(
            self._location(manifest), manifest, self._claim.attempt, key, job_worker.schema, job_worker.counted
        )

    def _run_job(
        self,
        source: ImageSource,
        manifest: Manifest,
        job_worker: JobWorker,
        files: AttemptFiles,
        inputs: Mapping[str, Success],
    ) -> Metrics:
        self.stage = "run"
        self._parts.observer.task_started(self._claim, manifest)
        self._leave_out(manifest, files)
        rows = DoubtedRows(files.rows)
        self._progress(files.rows.counts().total, len(manifest.pages))
        with tempfile.TemporaryDirectory(prefix="job-", dir=self._parts.options.work_dir) as work_dir:
            context = JobContext(
                job=self._claim.job.name,
                volume=self._claim.volume,
                manifest=manifest,
                pages=source.pages(manifest),
                rows=rows,
                stop=self._stop,
                progress=lambda done: self._progress(done, len(manifest.pages)),
                work_dir=Path(work_dir),
                working=self._parts.flights.page_of(self._claim),
                suspects=self._claim.suspect_pages,
                dependencies={
                    job: partial(self._parts.artefacts.read_rows, success) for job, success in inputs.items()
                },
            )
            metrics = job_worker.run(context)
        if rows.any_held:
            self._look_again(source, manifest, rows)
        return metrics

    def _look_again(self, source: ImageSource, manifest: Manifest, rows: DoubtedRows) -> None:
        """Believe that pages are missing in a volume that is still there, and the same: else they say nothing."""
        rows.flush()
        etag = source.manifest_etag(self._claim.volume)
        if etag is None:
            raise RetryableError(
                f"The volume {self._claim.volume} went away while it was worked on.",
                code="E_MANIFEST_MISSING",
                hint="It is looked for again. Where it happens often, look at the mount or the bucket.",
            )
        self._stamp(etag, len(manifest.pages))
        rows.believe(source, manifest, self._claim)

    def _leave_out(self, manifest: Manifest, files: AttemptFiles) -> None:
        """Give the pages that take every worker with them a row that says so, in place of one more try."""
        left = self._claim.deadly_pages - files.rows.finished()
        for page in (page for page in manifest.pages if page.index in left):
            told = f"{self._claim.deaths[page.index]} attempts died with their worker at this page: it is left out."
            outcome = PageOutcome(
                page.index,
                PageState.ERROR,
                page.etag,
                error_stage="infer",
                error_type="E_PAGE_KILLS_WORKER",
                error_message=told,
            )
            files.rows.add(outcome)

    def _progress(self, done: int, total: int) -> None:
        self._stop.progress(done, total)
        self._parts.flights.moved(self._claim.task_id)
        self._parts.activities.set(TaskActivity(self._claim.task_id, done, total))
        self._parts.observer.pages_done(self._claim, done, total)
        if done:
            reached(FaultPoint.PAGE_DONE)

    def _assembled(
        self, source: ImageSource, manifest: Manifest, key: AttemptKey, files: AttemptFiles, metrics: Metrics
    ) -> TaskResult:
        self.stage = "assemble"
        pages = files.rows.counts()
        if pages.total != len(manifest.pages):
            raise TaskFault(
                f"The job left {len(manifest.pages) - pages.total} of {len(manifest.pages)} pages without a row.",
                code="E_PAGES_UNACCOUNTED",
            )
        self._check_error_rate(files, manifest)
        file = files.assemble()
        # A manifest that was replaced while we ran makes this an artefact of an older version: not to be published.
        self._stamp(source.manifest_etag(self._claim.volume) or manifest.etag, len(manifest.pages))
        return fresh_result(manifest, key, pages, file, files.counters(), metrics)

    def _check_error_rate(self, files: AttemptFiles, manifest: Manifest) -> None:
        pages, limit = files.rows.counts(), self._claim.job.max_page_error_rate
        summary = files.error_summary()
        if summary is None or pages.error_rate <= limit:
            return
        code, example = summary
        raise TerminalError(
            f"{pages.error} of {pages.ok + pages.error} pages failed, more than {limit:.0%}; "
            f"for example page {example.index + 1} '{manifest.pages[example.index].filename}': {example.error_message}",
            code=code,
            hint=f"{example.error_hint or 'Mend the images.'} More are allowed with `--max-page-error-rate`.",
        )

    def _publish(self, manifest: Manifest, result: TaskResult, *, replaces: Success | None) -> Success:
        self.stage = "commit"
        content = success_content(self._claim, manifest, result, self._parts.worker_id, self._begun)

        def put() -> Success:
            with self._parts.store.fence(self._claim, self._parts.options.lease):
                reached(FaultPoint.TASK_FENCED)
                return self._parts.artefacts.commit(self._location(manifest), content, replaces=replaces)

        held = self._patiently(put)
        reached(FaultPoint.SUCCESS_PUT)
        return held

    def _patiently(self, action: Callable[[], T]) -> T:
        return patiently(action, self._parts.options.outage_patience, in_vain=lambda: self._stop.over)

    def _tidy(self, files: AttemptFiles, held: Success) -> None:
        # What is left lying is removed by a later round of maintenance: the work itself is safe by now.
        with contextlib.suppress(RetryableError):
            files.discard_parts()
            self._parts.artefacts.sweep(held)
