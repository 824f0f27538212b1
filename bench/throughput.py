"""Measure `ldv1` against its model alone, and its memory against its budget.

    python -m bench.throughput [FOLDER] [--pages N] [--pairs N] [--threads N]
    python -m bench.throughput --memory [FOLDER] [--model NAME] [--pages N] [--budget-mib N]

The first prints pages/s of a bare loop of onnxruntime, as many threads as cores, over the very arrays that the pipeline
gives the model, kept beforehand: decoded, scaled, normalised. Beside it pages/s of the pipeline over the same pages,
from their files to their rows; and the ratio of both. They run in pairs, one after the other, because other programs on
the machine change what it can do: only ratios of neighbouring runs mean anything. On a machine that is shared, the
ratio of CPU seconds is the steadier one.

The second takes a volume of 2,000 small pages, or those of a folder, through the pipeline, and prints how much memory
the process took, and how much more than after its first few pages, beside the budget.
"""

import argparse
import itertools
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import numpy as np
import onnxruntime
import psutil
from numpy.typing import NDArray
from PIL import Image
from typing_extensions import override

from bec_orch.core.metrics import Metrics
from bec_orch.core.ports.job_worker import JobContext, ModelStore, PageBytes, PageReader, RowStore, WorkerResources
from bec_orch.core.volumes import Manifest, Page, PageCounts, PageOutcome, PageState, VolumeRef
from bec_orch.jobs.ldv1.config import PPOCR
from bec_orch.jobs.ldv1.loading import NAMED
from bec_orch.jobs.ldv1.one_map.ppocr import bundled_model_path
from bec_orch.jobs.ldv1.worker import Ldv1Worker
from bec_orch.jobs.shared.model_session import ModelSession

SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff"}
SAMPLES = Path(__file__).parents[1] / "samples"
MIB = 2**20
SMALL_PAGES = 2000
WARM_PAGES = 40
KINDS_OF_SMALL_PAGES = 16

Input = NDArray[np.float32]


@dataclass
class Rows(RowStore):
    """Counts rows, and drops them."""

    ok: int = 0
    error: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @override
    def finished(self) -> frozenset[int]:
        return frozenset()

    @override
    def add(self, outcome: PageOutcome) -> None:
        with self._lock:
            self.ok += outcome.state is PageState.OK
            self.error += outcome.state is PageState.ERROR

    @override
    def flush(self) -> None:
        pass

    @override
    def counts(self) -> PageCounts:
        return PageCounts(ok=self.ok, error=self.error)


class Files(PageReader):
    """Reads a volume's pages from files."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    @override
    async def read(self, page: Page) -> PageBytes:
        return PageBytes(self._paths[page.index].read_bytes(), "")


class NeverStop:
    """Nobody asks to stop."""

    def reason(self) -> str | None:
        """Return None: there is none."""
        return None

    def check(self) -> None:
        """Raise nothing."""


class LocalModels(ModelStore):
    """Models are local paths."""

    @override
    def local_path(self, url: str) -> Path:
        return Path(url)


def run_pipeline(worker: Ldv1Worker, paths: Sequence[Path]) -> Metrics:
    """Take the files, as one volume, through the pipeline."""
    volume = VolumeRef("bench", "bench", "folder+file:///")
    pages = tuple(Page(index, path.name, size=path.stat().st_size) for index, path in enumerate(paths))
    rows = Rows()
    metrics = worker.run(
        JobContext(
            job="ldv1",
            volume=volume,
            manifest=Manifest(volume, "0", pages),
            pages=Files(paths),
            rows=rows,
            stop=NeverStop(),
            progress=lambda _: None,
            work_dir=Path(),
            dependencies={},
        )
    )
    if rows.ok + rows.error != len(paths):
        raise SystemExit(f"{len(paths)} pages, but {rows.ok + rows.error} rows")
    return metrics


def inputs_of(worker: Ldv1Worker, paths: Sequence[Path]) -> list[Input]:
    """Take the pages through the pipeline, and return what its model was run on, second rounds included."""
    given: list[Input] = []
    run = ModelSession.run

    def kept(session: ModelSession, batch: Input, output_name: str | None = None) -> Input:
        given.append(batch)
        return run(session, batch, output_name)

    with mock.patch.object(ModelSession, "run", kept):
        run_pipeline(worker, paths)
    return given


def bare_loop(inputs: Sequence[Input], threads: int) -> Callable[[], None]:
    """Open the default model with onnxruntime alone, and return what runs it over all inputs."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(bundled_model_path()), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run() -> None:
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(lambda batch: session.run(None, {name: batch}), inputs):
                pass

    return run


def seconds(action: Callable[[], object]) -> NDArray[np.float64]:
    """Return how long it takes, and how much CPU time, including that of child processes."""
    begun, cpu = time.perf_counter(), cpu_seconds()
    action()
    return np.array([time.perf_counter() - begun, cpu_seconds() - cpu])


def cpu_seconds() -> float:
    """Return the CPU time of this process and its children (these to a hundredth of a second)."""
    children = sum(sum(child.cpu_times()[:2]) for child in psutil.Process().children())
    return time.process_time() + float(children)


def compare(worker: Ldv1Worker, paths: Sequence[Path], threads: int, pairs: int) -> None:
    """Print what the model alone and the pipeline take, in pairs, and the ratios."""
    inputs = inputs_of(worker, sorted(set(paths))) * (len(paths) // len(set(paths)))
    bare = bare_loop(inputs, threads)
    bare()
    print(f"{len(paths)} pages, {len(inputs)} runs of the model, {threads} threads")
    ratios = []
    for number in range(1, pairs + 1):
        alone = seconds(bare)
        whole = seconds(lambda: run_pipeline(worker, paths))
        ratios.append(alone / whole)
        print(
            f"  pair {number}: {per_page('model alone', alone, len(paths))}, {per_page('pipeline', whole, len(paths))}"
        )
    wall, cpu = np.median(ratios, axis=0)
    print(f"median ratio of pages/s {wall:.3f}, of CPU time {cpu:.3f}")
    print_stages(run_pipeline(worker, paths), len(paths))


def per_page(name: str, cost: NDArray[np.float64], pages: int) -> str:
    """Put wall and CPU time of a run into words."""
    return f"{name} {pages / cost[0]:6.2f} pages/s, {1000 * cost[1] / pages:6.1f} ms CPU a page"


def print_stages(metrics: Metrics, pages: int) -> None:
    """Print the mean time of a page in each stage."""
    for name, stage in metrics.stages.items():
        print(f"  {name:<7} {1000 * stage.seconds / pages:7.2f} ms a page, longest {1000 * stage.longest:.0f} ms")


def measure_memory(worker: Ldv1Worker, paths: Sequence[Path], budget: int) -> None:
    """Print what a volume takes of memory."""
    run_pipeline(worker, paths[:WARM_PAGES])
    before = resident_memory()
    with peak_memory() as peak:
        metrics = run_pipeline(worker, paths)
    print(f"{len(paths)} pages, budget {budget / MIB:.0f} MiB")
    print(f"  bytes in flight at most  {metrics.counters['peak_bytes_in_flight'] / MIB:8.1f} MiB")
    print(f"  RSS after {WARM_PAGES} pages       {before / MIB:8.1f} MiB")
    print(f"  RSS at most              {peak[0] / MIB:8.1f} MiB, {(peak[0] - before) / MIB:+.1f} MiB")


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """Watch the resident memory: the first number in the list is the highest that was seen."""
    done = threading.Event()
    peak = [resident_memory()]

    def watch() -> None:
        while not done.wait(0.1):
            peak[0] = max(peak[0], resident_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def resident_memory() -> int:
    """Return the resident memory of this process and its children in bytes; what they share counts for each."""
    process = psutil.Process()
    total = int(process.memory_info().rss)
    for child in process.children():
        with suppress(psutil.NoSuchProcess):  # a decoder that ended meanwhile
            total += child.memory_info().rss
    return total


def draw_small_pages(folder: Path) -> list[Path]:
    """Draw pages of 900 x 300 pixels with lines of bars."""
    random = np.random.default_rng(1)
    paths = [folder / f"{number:04}.jpg" for number in range(KINDS_OF_SMALL_PAGES)]
    for path in paths:
        page = np.full((300, 900), 240, np.uint8)
        for top in range(40, 260, 45):
            for left in range(50, 840, 14):
                page[top : top + random.integers(8, 20), left : left + random.integers(3, 11)] = 30
        Image.fromarray(page).save(path, quality=90)
    return paths


def pages_of(folder: Path, count: int) -> list[Path]:
    """List a folder's pages, all of them over and over, until there are at least `count`."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise SystemExit(f"There are no page images in {folder}.")
    return found * -(-count // len(found))


def main() -> None:
    """Read the command line, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="folder of pages (default: samples, --memory: small ones)")
    parser.add_argument("--pages", type=int, help="pages of a run (default: 36, with --memory 2000 or the folder's)")
    parser.add_argument("--pairs", type=int, default=5, help="pairs of runs")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads (default: one per core)")
    parser.add_argument("--budget-mib", type=int, default=256, help="memory budget of the pages in flight")
    parser.add_argument("--memory", action="store_true", help="measure memory instead of speed")
    parser.add_argument("--model", default=PPOCR, choices=NAMED, help="line model whose memory is measured")
    asked = parser.parse_args()
    budget = asked.budget_mib * MIB
    config = {"model": asked.model if asked.memory else PPOCR}
    worker = Ldv1Worker.create(config, WorkerResources(asked.threads, budget, LocalModels()))
    if asked.memory and asked.folder:
        measure_memory(worker, pages_of(asked.folder, asked.pages or 1), budget)
    elif asked.memory:
        with tempfile.TemporaryDirectory() as folder:
            kinds = itertools.cycle(draw_small_pages(Path(folder)))
            measure_memory(worker, list(itertools.islice(kinds, asked.pages or SMALL_PAGES)), budget)
    else:
        compare(worker, pages_of(asked.folder or SAMPLES, asked.pages or 36), asked.threads, asked.pairs)


if __name__ == "__main__":
    main()
