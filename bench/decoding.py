"""Measure what it costs to decode pages in child processes, against decoding them in the thread that wants them.

    python -m bench.decoding [FOLDER] [--repeats N] [--threads N]

Every page is decoded as `ldv1` does, shrunk while it is decoded, and whole, as `ocrv1` does; in the thread and in a
child, in turn, because other programs on the machine change what it can do. The difference is set against the time that
`ldv1` takes for the whole page in the same run. On a machine
that is shared, the CPU time, of this process and its children, is the steadier figure.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import psutil
from numpy.typing import NDArray

from bec_orch.core.metrics import Stopwatch
from bec_orch.core.ports.job_worker import PageBytes, WorkerResources
from bec_orch.core.volumes import Page
from bec_orch.errors import PageError
from bec_orch.jobs import images
from bec_orch.jobs.decoders import decoders
from bec_orch.jobs.formats.header import ImageHeader
from bec_orch.jobs.ldv1.config import PPOCR, Ldv1Config
from bec_orch.jobs.ldv1.loading import load_line_model
from bec_orch.jobs.ldv1.worker import Ldv1Worker
from bec_orch.jobs.pipeline.page_input import PageInput
from bec_orch.jobs.pipeline.steps import Steps
from bench.throughput import MIB, SAMPLES, LocalModels, pages_of

Decode = Callable[[bytes, ImageHeader, int], NDArray[np.uint8]]


def in_child(data: bytes, header: ImageHeader, reduce: int) -> NDArray[np.uint8]:
    """Decode where the program does, and read the pixels once, as any use of them does."""
    image = images.decode(data, header, reduce=reduce)
    image.max()
    return image


def in_thread(data: bytes, header: ImageHeader, reduce: int) -> NDArray[np.uint8]:
    """Decode in this process, and read the pixels once."""
    image = np.ascontiguousarray(decoders.decode(data, header, reduce).pixels)
    image.max()
    return image


def good_pages(folder: Path) -> list[bytes]:
    """Read the pages of a folder that can be decoded."""
    found = []
    for path in pages_of(folder, 1):
        data = path.read_bytes()
        try:
            images.decode(data, images.probe(data), reduce=8)
        except PageError:
            continue
        found.append(data)
    return found


def cpu_seconds() -> float:
    """Return the CPU time of this process and its children so far."""
    children = [child.cpu_times() for child in psutil.Process().children()]
    return time.process_time() + float(sum(times.user + times.system for times in children))


def milliseconds(pages: Sequence[bytes], threads: int, action: Callable[[bytes], object]) -> NDArray[np.float64]:
    """Do something to every page, by this many threads; return a page's wall, thread and CPU time."""
    begun = np.array([time.perf_counter(), cpu_seconds()])
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(action, pages))
    taken = np.array([time.perf_counter(), cpu_seconds()]) - begun
    return np.asarray(1000 * taken * (threads, 1) / len(pages))


def compare(pages: Sequence[bytes], threads: int, repeats: int) -> None:
    """Print the table."""
    worker = Ldv1Worker.create({"model": PPOCR}, WorkerResources(threads, 256 * MIB, LocalModels()))
    steps, model = Steps(worker), load_line_model(Ldv1Config())

    def whole_page(data: bytes) -> None:
        page = PageInput(Page(0, "page"), {}, None).fetched(PageBytes(data, ""))
        steps.whole_page(worker.seat, page, Stopwatch())

    def decode(how: Decode, reduction: Callable[[ImageHeader], int], data: bytes) -> None:
        header = images.probe(data)
        how(data, header, reduction(header))

    page = np.median([milliseconds(pages, threads, whole_page) for _ in range(repeats)], axis=0)
    print(f"{len(pages)} pages, {threads} threads; a page of ldv1: {page[0]:.1f} ms of each, {page[1]:.1f} ms of CPU")
    reductions: dict[str, Callable[[ImageHeader], int]] = {
        "as ldv1 does": lambda header: model.reduce_factor(header.width, header.height),
        "whole": lambda _: 1,
    }
    for name, reduction in reductions.items():
        actions = [partial(decode, how, reduction) for how in (in_thread, in_child)]
        times = np.array([[milliseconds(pages, threads, action) for action in actions] for _ in range(repeats)])
        for kind, at in (("wall", 0), ("CPU", 1)):
            here, there = np.median(times[:, :, at], axis=0)
            more = float(np.median(times[:, 1, at] - times[:, 0, at]))
            print(
                f"  {name:<13} {kind:<4}  in the thread {here:6.2f} ms, in a child {there:6.2f} ms,"
                f" ratio {there / here:.2f}; {more:+.2f} ms, {more / page[at]:+.2%} of the page"
            )


def main() -> None:
    """Read the command line, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=SAMPLES, help="folder of pages (default: samples)")
    parser.add_argument("--repeats", type=int, default=9, help="runs of each kind")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads (default: one per core)")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    compare(good_pages(asked.folder), asked.threads, asked.repeats)


if __name__ == "__main__":
    main()
