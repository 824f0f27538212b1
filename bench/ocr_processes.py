"""Measure `ocrv1` with Tesseract: threads of one process against processes of one thread each.

    python -m bench.ocr_processes [--data DIR] [--cores N] [--rounds N]

Each round runs the job over the same pages, decoding and cutting of lines included, with one thread, with N threads in
one process, and with N processes that have a part of the pages each. Processes are started and have loaded their model
before the clock starts. Ways take turns, because other programs change what the machine can do: only ratios of the same
round mean anything, and their median is printed.

It also prints which share of a process's CPU time is spent within Tesseract, which releases Python's lock. The rest,
a part of which holds the lock, bounds what threads can gain, however many cores there are.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import threading
import time
from collections.abc import Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from typing_extensions import override

from bec_orch.core.ports.job_worker import WorkerResources
from bec_orch.jobs.ldv1.config import PPOCR
from bec_orch.jobs.ldv1.worker import Ldv1Worker
from bec_orch.jobs.ocrv1.engines.config import Ocrv1Config
from bec_orch.jobs.ocrv1.engines.recogniser import LineText
from bec_orch.jobs.ocrv1.worker import Ocrv1Worker
from bench.score_ocr import MEMORY_BUDGET, plain_rates, rows_of
from bench.throughput import LocalModels

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized


def seconds(
    data: Path, names: Sequence[str], lines: pa.Table, share: "Synchronized[float]", *, processes: int, threads: int
) -> float:
    """Return the seconds in which this many processes, of this many threads each, read the pages.

    `share` is set to the share of CPU time that one of them spent within Tesseract.
    """
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes + 1)
    parts = [names[start::processes] for start in range(processes)]
    workers = [context.Process(target=_read, args=(data, part, lines, share, threads, barrier)) for part in parts]
    for worker in workers:
        worker.start()
    barrier.wait()
    begun = time.perf_counter()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise SystemExit("a process failed")
    return time.perf_counter() - begun


class TimedWorker(Ocrv1Worker):
    """The job, and the CPU seconds that its threads spent in Tesseract."""

    def __init__(self, config: Ocrv1Config, resources: WorkerResources) -> None:
        super().__init__(config, resources)
        self.seconds = 0.0
        self._lock = threading.Lock()

    @override
    def infer(self, items: Sequence[NDArray[np.uint8]]) -> Sequence[LineText]:
        begun = time.thread_time()
        texts = super().infer(items)
        with self._lock:
            self.seconds += time.thread_time() - begun
        return texts


def _read(
    data: Path, names: Sequence[str], lines: pa.Table, share: "Synchronized[float]", threads: int, barrier: Barrier
) -> None:
    tessdata = str(data / "models" / "tessdata" / "bod.traineddata")
    worker = TimedWorker.create({"tessdata": tessdata}, WorkerResources(threads, MEMORY_BUDGET, LocalModels()))
    rows_of(worker, data / "pages_gt", names[:1], {"ldv1": lines})  # so that everything is loaded
    barrier.wait()
    before, within = time.process_time(), worker.seconds
    rows_of(worker, data / "pages_gt", names, {"ldv1": lines})
    share.value = (worker.seconds - within) / (time.process_time() - before)
    worker.close()


def main(arguments: list[str] | None = None) -> int:
    """Print lines/s of each way, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    usual = Path(__file__).parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=usual, help="folder with pages_gt and models")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1, metavar="N", help="threads, or processes")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how often each way runs")
    options = parser.parse_args(arguments)
    names = list(plain_rates(options.data / "pages_gt" / "BASELINE_tesseract_bod.tsv"))
    resources = WorkerResources(options.cores, MEMORY_BUDGET, LocalModels())
    lines = rows_of(Ldv1Worker.create({"model": PPOCR}, resources), options.data / "pages_gt", names)
    count = sum(len(set(ids)) for ids in lines["line_ids"].to_pylist() if ids)
    ways = {"one thread": (1, 1), "threads": (1, options.cores), "processes": (options.cores, 1)}
    times: dict[str, list[float]] = {way: [] for way in ways}
    share = multiprocessing.get_context("spawn").Value("d", 0.0)
    within: list[float] = []
    for _ in range(options.rounds):
        for way, (processes, threads) in ways.items():
            times[way].append(seconds(options.data, names, lines, share, processes=processes, threads=threads))
            within.append(share.value)
    _print(times, count)
    print(f"within Tesseract: {statistics.median(within):.1%} of the CPU time")
    return 0


def _print(times: dict[str, list[float]], lines: int) -> None:
    for way, taken in times.items():
        print(f"{way:12} {lines / statistics.median(taken):6.1f} lines/s")
    for way, base in (("threads", "one thread"), ("processes", "one thread"), ("processes", "threads")):
        ratios = sorted(slow / fast for slow, fast in zip(times[base], times[way], strict=True))
        print(
            f"{way} against {base}: {statistics.median(ratios):.2f} times as fast ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    sys.exit(main())
