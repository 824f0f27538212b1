"""In-memory implementations of what a job is handed."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bec_orch.core.ports.job_worker import JobContext, PageBytes, WorkerResources
from bec_orch.core.volumes import Manifest, Page, PageCounts, PageOutcome, PageState, VolumeRef
from bec_orch.errors import Interrupted, PageError
from bec_orch.jobs.pipeline.page_input import PageInput, VolumeInputs

VOLUME = VolumeRef("W1", "I1", "folder+memory:///")


@dataclass
class MemoryPages:
    """Page files by name; a name that is not there is a page error, an exception in its place is raised."""

    files: Mapping[str, bytes | Exception]
    read_names: list[str] = field(default_factory=list)

    async def read(self, page: Page) -> PageBytes:
        self.read_names.append(page.filename)
        data = self.files.get(page.filename)
        if data is None:
            raise PageError(f"The image '{page.filename}' is missing.", stage="fetch", code="E_PAGE_MISSING")
        if isinstance(data, Exception):
            raise data
        return PageBytes(data, f"etag-{page.filename}")


@dataclass
class MemoryRows:
    """Keeps rows in a dict. `on_add` is called with each before it is kept."""

    earlier: frozenset[int] = frozenset()
    on_add: Callable[[PageOutcome], None] = lambda _: None
    added: dict[int, PageOutcome] = field(default_factory=dict)
    flushed: dict[int, PageOutcome] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def finished(self) -> frozenset[int]:
        return self.earlier

    def add(self, outcome: PageOutcome) -> None:
        self.on_add(outcome)
        with self._lock:
            assert outcome.index not in self.added, f"page {outcome.index} has two rows"
            self.added[outcome.index] = outcome

    def flush(self) -> None:
        with self._lock:
            self.flushed = dict(self.added)

    def counts(self) -> PageCounts:
        states = [outcome.state for outcome in self.added.values()]
        ok = len(self.earlier) + states.count(PageState.OK)
        return PageCounts(ok, states.count(PageState.SKIPPED), states.count(PageState.ERROR))


@dataclass
class FlagStop:
    """A stop signal that a test sets."""

    why: str | None = None

    def reason(self) -> str | None:
        return self.why

    def check(self) -> None:
        if self.why:
            raise Interrupted(f"Stopped: {self.why}.")


class PlainPages:
    """A page job that reads images and nothing else: what the pipeline asks of it beside its functions."""

    max_image_pixels = 200_000_000
    all_frames = False

    def open_volume(self, _context: JobContext) -> VolumeInputs:
        return VolumeInputs(None)

    def wants_image(self, _page: PageInput) -> bool:
        return True


class NoModels:
    """There are no models to fetch: paths stay paths."""

    def local_path(self, url: str) -> Path:
        return Path(url)


def resources(
    threads: int = 2, memory_budget: int = 2**28, model_path: str | None = None, max_image_pixels: int = 200_000_000
) -> WorkerResources:
    return WorkerResources(threads, memory_budget, NoModels(), model_path, max_image_pixels)


def context(
    files: Mapping[str, bytes | Exception],
    rows: MemoryRows,
    *,
    stop: FlagStop | None = None,
    progress: Callable[[int], None] = lambda _: None,
    skipped: Mapping[str, str] | None = None,
) -> JobContext:
    """A volume of these files, in their order."""
    reasons = skipped or {}
    pages = tuple(
        Page(index, name, skip_reason=reasons.get(name), size=len(data) if isinstance(data, bytes) else None)
        for index, (name, data) in enumerate(files.items())
    )
    return JobContext(
        job="job",
        volume=VOLUME,
        manifest=Manifest(VOLUME, "0" * 32, pages),
        pages=MemoryPages(files),
        rows=rows,
        stop=stop or FlagStop(),
        progress=progress,
        work_dir=Path(),
        dependencies={},
    )
