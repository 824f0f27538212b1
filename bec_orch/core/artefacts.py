"""What a task leaves in the destination store: where it lies, and what its `success.json` says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bec_orch.core.ownership import Mark
from bec_orch.core.volumes import PageCounts, VolumeRef, same_etag, version_of


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that a job ran with: its name and the SHA-256 of its file, in hex."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class ArtefactLocation:
    """Where the artefact of one job for one version of one volume lies in the destination store.

    `root` is the folder of the job's artefacts: its name, but where it has an `artifact_prefix`.
    """

    root: str
    volume: VolumeRef
    version: str

    @property
    def prefix(self) -> str:
        """The key prefix, without a slash at its end."""
        return f"{self.root}/{self.volume.w_id}/{self.volume.i_id}/{self.version}"

    @property
    def stem(self) -> str:
        """The beginning of the names of the files under the prefix."""
        return f"{self.volume.w_id}-{self.volume.i_id}-{self.version}"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file that a `success.json` names: key, size in bytes, and SHA-256 in hex."""

    key: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ArtefactFile(StoredFile):
    """A Parquet file that a `success.json` names, with its number of rows."""

    rows: int


@dataclass(frozen=True, slots=True)
class Success:
    """What a `success.json` says. `etag` is that of the object itself, for a compare-and-swap; `mark` says whose it is.

    A `success.json` of an older layout, or of another program, has only `location`, `etag` and the file that the older
    layout would have; the other fields are None or empty.
    """

    location: ArtefactLocation
    etag: str
    files: tuple[ArtefactFile, ...]
    sidecars: tuple[StoredFile, ...] = ()
    mark: Mark = field(default_factory=Mark)
    manifest_etag: str | None = None
    config_hash: str | None = None
    models: tuple[ModelInfo, ...] = ()
    task_uid: str | None = None
    attempt: int | None = None
    code_version: str | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    pages: PageCounts | None = None
    content: Mapping[str, Any] | None = None

    def is_of(self, manifest_etag: str) -> bool:
        """Return whether the artefact was made of the version of its volume that a manifest's ETag names."""
        if self.manifest_etag is None:
            return version_of(manifest_etag) == self.location.version
        return same_etag(manifest_etag, self.manifest_etag)


@dataclass(frozen=True, slots=True)
class AttemptKey:
    """What a finished page is valid for: part files are shared by attempts that agree on it, page ETags beside it.

    `inputs` names, by job, the file of each dependency's artefact that the work is done on; where it goes without,
    `tasks.MISSING`. `job` and `job_type` go into the provenance of the file alone: the code version names the type's
    code.
    """

    config_hash: str
    models: tuple[ModelInfo, ...]
    code_version: str
    job_type: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    job: str = ""
