"""The port of a job: what it is handed for one volume, and what it must offer."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar

from typing_extensions import override

from bec_orch.core.artefacts import ModelInfo
from bec_orch.core.job_config import JobConfig
from bec_orch.core.metrics import Metrics
from bec_orch.core.volumes import Manifest, Page, PageCounts, PageOutcome, VolumeRef
from bec_orch.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PageBytes:
    """The bytes of a page image as they are stored, and the ETag that they were read under."""

    data: bytes
    etag: str


class PageReader(Protocol):
    """Reads the page images of one volume."""

    async def read(self, page: Page) -> PageBytes:
        """Read one page image.

        Raises:
            PageError: the image is missing or empty (stage `fetch`).
            RetryableError: the store is away; already tried several times.
        """
        ...


class RowStore(Protocol):
    """Takes the rows of one attempt's pages, in any order, and keeps finished pages for the next attempt.

    All methods may be called from several threads.
    """

    def finished(self) -> frozenset[int]:
        """Return the indices of the pages that have a row.

        Those are what an earlier attempt left finished under the same model and config, and what is left out.
        """
        ...

    def add(self, outcome: PageOutcome) -> None:
        """Take one page's outcome. Flushes a part file now and then.

        Raises:
            RetryableError: the part could not be kept (disk full, store away).
        """
        ...

    def flush(self) -> None:
        """Keep every page that was added so far as part files."""
        ...

    def counts(self) -> PageCounts:
        """Count the pages that have a row, those of earlier attempts too."""
        ...


class Sidecars(Protocol):
    """Takes files that lie beside the rows of an artefact: raw answers of a server, pictures. For all threads."""

    def put(self, name: str, data: bytes, page: Page | None = None) -> None:
        """Keep a file under a name that no other file of the artefact has.

        A file of a page is put before the page's row is added: where a later attempt takes the row over, it takes the
        file over, too. One without a page belongs to the whole volume, and is put by each attempt.

        Raises:
            NameUnsafeError: the name is not a safe file name.
            TerminalError: the attempt has another file of this name (E_SIDECAR_TWICE), or as many as there may be
                (E_SIDECAR_LIMIT).
            RetryableError: the store is away; perhaps with an earlier file.
        """
        ...


class StopSignal(Protocol):
    """Whether the work should stop at the next page boundary, and why."""

    def reason(self) -> str | None:
        """Return None to go on, or why to stop: a `core.stop.StopReason`."""
        ...

    def check(self) -> None:
        """Raise what the reason calls for.

        Raises:
            Interrupted: a stop was asked for.
            LeaseLost: the attempt may commit nothing.
        """
        ...


def _unrecorded(_page: Page) -> AbstractContextManager[None]:
    return nullcontext()


class _NoSidecars(Sidecars):
    @override
    def put(self, name: str, data: bytes, page: Page | None = None) -> None:
        raise ConfigError(f"Nothing keeps sidecar files here, so '{name}' is lost.", code="E_SIDECAR")


@dataclass(frozen=True, slots=True)
class JobContext:
    """All that a job gets to do one volume. It names no database and no queue, so a job runs and is tested without.

    `pages` reads images; `rows` takes outcomes; `dependencies` has, by job name, how to read the artefact of a job
    that this one needs, and `absent` names those that it needs and goes without; `progress` is called with how many of
    the volume's pages have a row; `work_dir` is a scratch folder. `working(page)` is a context manager around the
    computing of a page: should the worker die within it, the page is known. `sidecars` takes files that lie beside the
    rows. `suspects` are the indices of pages at which an earlier attempt died: best done last, one at a time.
    """

    job: str
    volume: VolumeRef
    manifest: Manifest
    pages: PageReader
    rows: RowStore
    stop: StopSignal
    progress: Callable[[int], None]
    work_dir: Path
    dependencies: Mapping[str, Callable[[], "pa.Table"]]
    absent: frozenset[str] = frozenset()
    working: Callable[[Page], AbstractContextManager[None]] = _unrecorded
    suspects: frozenset[int] = frozenset()
    sidecars: Sidecars = field(default_factory=_NoSidecars)


class ModelStore(Protocol):
    """Finds local files of models by path or URL, fetched once and cached with a checked digest."""

    def local_path(self, url: str) -> Path:
        """Return the local folder or file of a model.

        Raises:
            ConfigError: there is nothing at the path or URL (E_MODEL_NOT_FOUND).
            StorageError: the store is away.
        """
        ...


class StoredBlob(Protocol):
    """A whole object as it was read. `data` is empty when `size`, in bytes, is above the limit that was given."""

    @property
    def data(self) -> bytes:
        """The content."""
        ...

    @property
    def etag(self) -> str:
        """The ETag that it was read under."""
        ...

    @property
    def size(self) -> int:
        """The size in bytes."""
        ...


class StoredEntry(Protocol):
    """One object of a listing: its key in the store, the last segment of that, and its ETag."""

    @property
    def key(self) -> str:
        """The key in the store."""
        ...

    @property
    def name(self) -> str:
        """The last segment of the key."""
        ...

    @property
    def etag(self) -> str:
        """The ETag."""
        ...


class StoredListing(Protocol):
    """What lies directly under a prefix."""

    @property
    def objects(self) -> Sequence[StoredEntry]:
        """What lies there, sorted."""
        ...

    @property
    def folders(self) -> Sequence[str]:
        """The names of the folders there, sorted."""
        ...


class BlobReader(Protocol):
    """Reads the objects of one store that the job's config names by its URL. May be used by all threads.

    Every method raises `StorageError` (retryable) when the store is away; it was tried several times by then.
    """

    def read(self, key: str, *, limit: int | None = None) -> StoredBlob | None:
        """Read a whole object, None when there is none; nothing of one larger than `limit` bytes is read.

        Raises:
            NotAFile: a pipe, a device, a socket or a folder is in its place.
        """
        ...

    def list(self, prefix: str) -> StoredListing:
        """List what lies directly under a prefix (without a slash at its end); nothing when it is not there."""
        ...

    def surely(self, look: Callable[[], T]) -> T:
        """Look for something, and look again before it counts as missing, once the store was seen to be there.

        A store that holds nothing at all counts as away.
        """
        ...


def no_stores(url: str) -> BlobReader:
    """Open no store at all: for a process that was given none."""
    raise ConfigError(f"This process opens no stores, so '{url}' cannot be read.", code="E_STORAGE_URL")


@dataclass(frozen=True, slots=True)
class WorkerResources:
    """What a job worker may use of its process: CPU threads, a memory budget in bytes for pages in flight, models.

    `model_path` is the line model of `BEC_LD_MODEL_PATH`, or None. `open_store` opens a store by its URL for reading;
    it raises `ConfigError` for what is not a store's URL, and `StorageError` when there is no such store.
    """

    threads: int
    memory_budget: int
    models: ModelStore
    model_path: str | None = None
    max_image_pixels: int = 200_000_000
    open_store: Callable[[str], BlobReader] = no_stores


class JobWorker(Protocol):
    """A kind of work. One instance serves all volumes of a worker process, from several threads at once.

    `needs` names the job types whose artefacts it reads; none for most. `bec run` runs these first.
    """

    job_type: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]
    config_type: ClassVar[type[JobConfig]]
    code_version: ClassVar[str]

    @classmethod
    def create(cls, config: Mapping[str, Any], resources: WorkerResources) -> Self:
        """Load what all volumes share (models).

        Raises:
            ConfigError: the config or a model is wrong.
        """
        ...

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        """The models that the output depends on."""
        ...

    @property
    def schema(self) -> "pa.Schema":
        """The job's own columns of the Parquet file."""
        ...

    @property
    def counted(self) -> Mapping[str, str]:
        """Names of counters, each with the integer column that it sums: `{"lines": "nb_contours"}`."""
        ...

    def run(self, context: JobContext) -> Metrics:
        """Do every page of the volume that is not finished, and add its outcome to `context.rows`.

        Raises:
            RetryableError: a fault of network, GPU, memory or disk.
            TerminalError: this volume can never be done.
            Interrupted, LeaseLost: as `context.stop.check` raises them; the finished pages are flushed first.
        """
        ...

    def close(self) -> None:
        """Free models and threads. May be called twice."""
        ...
