"""Measure `ocrv1` with Tesseract: threads of one process against processes of one thread each.

    python -m bench.ocr_processes [--data DIR] [--cores N] [--rounds N]

Each round runs the job over the same pages, decoding and cutting of lines included, with one thread, with N threads in
one process, and with N processes that have a part of the pages each. Processes are started and have loaded their model
before the clock starts. Ways take turns, because other programs change what the machine can do: only ratios of the same
round mean anything, and their median is printed.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pyarrow as pa

from bec_orch.core.job_worker import WorkerResources
from bec_orch.jobs.ldv1.worker import Ldv1Worker
from bec_orch.jobs.ocrv1.worker import Ocrv1Worker
from bench.score_ocr import MEMORY_BUDGET, plain_rates, rows_of
from bench.throughput import LocalModels


def seconds(data: Path, names: Sequence[str], lines: pa.Table, *, processes: int, threads: int) -> float:
    """Give the seconds in which so many processes, of so many threads each, read the pages."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes + 1)
    shares = [names[start::processes] for start in range(processes)]
    workers = [context.Process(target=_read, args=(data, share, lines, threads, barrier)) for share in shares]
    for worker in workers:
        worker.start()
    barrier.wait()
    begun = time.perf_counter()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise SystemExit("a process failed")
    return time.perf_counter() - begun


def _read(data: Path, names: Sequence[str], lines: pa.Table, threads: int, barrier: Barrier) -> None:
    tessdata = str(data / "models" / "tessdata" / "bod.traineddata")
    resources = WorkerResources(threads, MEMORY_BUDGET // threads, LocalModels())
    worker = Ocrv1Worker.create({"tessdata": tessdata}, resources)
    rows_of(worker, data / "pages_gt", names[:1], {"ldv1": lines})  # so that everything is loaded
    barrier.wait()
    rows_of(worker, data / "pages_gt", names, {"ldv1": lines})
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
    lines = rows_of(Ldv1Worker.create({}, resources), options.data / "pages_gt", names)
    count = sum(len(set(ids)) for ids in lines["line_ids"].to_pylist() if ids)
    ways = {"one thread": (1, 1), "threads": (1, options.cores), "processes": (options.cores, 1)}
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(options.rounds):
        for way, (processes, threads) in ways.items():
            times[way].append(seconds(options.data, names, lines, processes=processes, threads=threads))
    _print(times, count)
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
