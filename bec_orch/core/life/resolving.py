"""What a task that is ours is to be done on: its manifest, and the artefacts of the jobs that it needs."""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bec_orch.core.artefacts import ArtefactLocation, AttemptKey, Success
from bec_orch.core.fault_points import FaultPoint, reached
from bec_orch.core.job_types.references import versions
from bec_orch.core.life.patience import Patience
from bec_orch.core.ports.artefact_store import ArtefactStore
from bec_orch.core.ports.job_worker import BlobReader, JobWorker
from bec_orch.core.ports.sources import ImageSource, SourceFactory
from bec_orch.core.ports.task_store import TaskStore
from bec_orch.core.tasks import MISSING, Claim, IfMissing
from bec_orch.core.volumes import Manifest
from bec_orch.errors import DependencyFailed, ManifestMissing, RetryableError, Superseded


@dataclass(frozen=True, slots=True)
class Resolved:
    """A task with its manifest, whose version is stamped on it."""

    claim: Claim
    source: ImageSource
    manifest: Manifest
    begun: dt.datetime

    def location(self, job: str | None = None) -> ArtefactLocation:
        """Return where the task's artefact lies, or for the same version that of a job that it needs."""
        root = self.claim.job.root_of(job) if job else self.claim.job.root
        return ArtefactLocation(root, self.claim.volume, self.manifest.version)


@dataclass(frozen=True, slots=True)
class Pinned:
    """A resolved task with all that its result will depend on.

    `inputs` are the artefacts of the jobs that it needs: the whole attempt reads these, whatever replaces them
    meanwhile. Those that are not among them it goes without. `found` is what lies where the artefact is to go.
    """

    resolved: Resolved
    job_worker: JobWorker
    inputs: Mapping[str, Success]
    key: AttemptKey
    found: Success | None

    @property
    def claim(self) -> Claim:
        """The claim."""
        return self.resolved.claim

    @property
    def absent(self) -> frozenset[str]:
        """The jobs that it needs, and whose artefacts it goes without."""
        return frozenset(self.claim.job.depends_on) - self.inputs.keys()

    @property
    def manifest(self) -> Manifest:
        """The manifest."""
        return self.resolved.manifest


class Resolver:
    """Reads what tasks are to be done on. `open_store` opens a store of reference folders by its URL."""

    def __init__(
        self,
        store: TaskStore,
        sources: SourceFactory,
        artefacts: ArtefactStore,
        open_store: Callable[[str], BlobReader],
        patience: Patience,
    ) -> None:
        self._store = store
        self._sources = sources
        self._artefacts = artefacts
        self._open_store = open_store
        self._patiently = patience

    def resolve(self, claim: Claim) -> Resolved:
        """Read the manifest, and stamp its version on the task.

        Raises:
            ManifestError, RetryableError: it cannot be read.
            Superseded: the task stands for another version.
        """
        begun = dt.datetime.now(dt.UTC)
        source = self._sources(claim.volume.source)
        resolved = Resolved(claim, source, _manifest(source, claim), begun)
        reached(FaultPoint.MANIFEST_READ)
        self.stamp(resolved, resolved.manifest.etag)
        return resolved

    def stamp(self, resolved: Resolved, etag: str) -> None:
        """Record a version of the manifest as that of the task.

        Raises:
            Superseded: the task stands for another one.
        """
        claim, nb_pages = resolved.claim, len(resolved.manifest.pages)
        if not self._patiently(lambda: self._store.stamp_manifest(claim, etag, nb_pages)):
            raise Superseded(f"The volume {claim.volume} has a newer manifest, {etag}.")

    def pin(self, resolved: Resolved, job_worker: JobWorker) -> Pinned:
        """Find all that the result will depend on, and what is there already.

        Raises:
            RetryableError: an artefact that the task needs is gone (E_DEPENDENCY_MISSING), or a store is away.
            DependencyFailed: one is not there, is not being made, and may not be missing.
        """
        inputs = self._inputs(resolved)
        job = resolved.claim.job
        files = {name: inputs[name].files[0].key if name in inputs else MISSING for name in job.depends_on}
        folders = job_worker.config_type.parse(job.config).reference_folders(resolved.claim.volume)
        pinned = files | versions(folders, self._open_store)
        key = AttemptKey(job.config_hash, job_worker.models, job_worker.code_version, job.type, pinned, job.name)
        return Pinned(resolved, job_worker, inputs, key, self._artefacts.success(resolved.location()))

    def _inputs(self, resolved: Resolved) -> dict[str, Success]:
        claim = resolved.claim
        # Asked before the artefacts are looked for: one that is done meanwhile is read, and not taken for gone.
        given_up = self._patiently(lambda: self._store.given_up_dependencies(claim)) if claim.job.if_missing else {}
        found = {job: self._artefacts.success(resolved.location(job)) for job in claim.job.depends_on}
        missing = [job for job, success in found.items() if success is None]
        gone = [job for job in missing if job not in given_up]
        if gone:
            self._store.doubt(claim, gone)
            raise RetryableError(
                f"The artefact of '{gone[0]}' for {claim.volume} is gone.",
                code="E_DEPENDENCY_MISSING",
                hint=f"Workers of '{gone[0]}' make it again; `bec queue enqueue {gone[0]} "
                f"{claim.volume.as_options} --force` asks them to.",
            )
        failed = [job for job in missing if claim.job.if_missing.get(job) is IfMissing.FAIL]
        if failed:
            raise _failed(claim, failed[0], given_up[failed[0]])
        return {job: success for job, success in found.items() if success}


def _failed(claim: Claim, dependency: str, reason: str) -> DependencyFailed:
    job = claim.job.name
    return DependencyFailed(
        f"{job} fails without the artefact of '{dependency}' for {claim.volume}: {reason}.",
        hint=f"Have '{dependency}' done (`bec queue redrive {dependency}`, or enqueue it), then "
        f"`bec queue redrive {job} --reason E_DEPENDENCY_FAILED`. `--depends-on {dependency}:proceed` goes on without.",
    )


def _manifest(source: ImageSource, claim: Claim) -> Manifest:
    """Read the manifest. One that is missing is looked for by two attempts in a row before it ends the task."""
    try:
        return source.read_manifest(claim.volume, nb_images_intro=claim.nb_images_intro)
    except ManifestMissing as error:
        if claim.last_failure == error.code:
            raise
        raise RetryableError(error.message, code=error.code, hint=error.hint) from error
