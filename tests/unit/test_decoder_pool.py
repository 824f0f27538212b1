"""Decoder processes that crash, hang, eat memory, lie or do not start: the page is an error, and the worker lives."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from bec_orch.errors import PageError, RetryableError, TaskFault
from bec_orch.jobs.decoders.memory import KEPT_BYTES, SharedPage
from bec_orch.jobs.decoders.pool import DecoderPool
from bec_orch.jobs.formats.header import ImageFormat, ImageHeader

GONE_WRONG = Path(__file__).parents[1] / "support" / "decoders_gone_wrong.py"
PROGRAM = (sys.executable, "-P", str(GONE_WRONG))
HEADER = ImageHeader(ImageFormat.TIFF, 30, 20, 1, 8)
WAIT = 60.0


@pytest.fixture
def pool() -> Iterator[DecoderPool]:
    pool = DecoderPool(PROGRAM)
    yield pool
    pool.close()


def fault(pool: DecoderPool, data: bytes) -> PageError:
    with pytest.raises(PageError) as caught:
        pool.decode(data, HEADER, 1)
    return caught.value


def is_good(pool: DecoderPool) -> bool:
    image = pool.decode(b"a good page", HEADER, 1).pixels
    return image.shape == (20, 30) and bool((image == 11).all())


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if str(GONE_WRONG) in child.cmdline()]


FAULTS = {
    b"crash": ("decode", "E_PAGE_CRASH", "The process that decoded the page ended by SIGSEGV."),
    b"exit": ("decode", "E_PAGE_CRASH", "The process that decoded the page ended with exit code 3."),
    b"lie": ("decode", "E_PAGE_CRASH", "The process that decoded the page ended with exit code 0."),
    b"kill": ("decode", "E_PAGE_MEMORY", "The system killed the process that decoded the page"),
    b"spin": ("time", "E_PAGE_TIMEOUT", "Decoding took more CPU time than any page may."),
    b"bug": ("decode", "E_PAGE_UNEXPECTED", "KeyError: 'nobody thought of it'"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_what_ends_a_decoder_is_one_pages_error(pool: DecoderPool, kind: bytes) -> None:
    stage, code, message = FAULTS[kind]
    assert is_good(pool)
    error = fault(pool, kind)
    assert (error.stage, error.code) == (stage, code)
    assert error.message.startswith(message)
    assert is_good(pool)


def test_a_page_that_takes_a_decoder_over_writes_no_file(pool: DecoderPool) -> None:
    assert fault(pool, b"write").message.startswith("FileNotFoundError: No usable temporary directory found")
    assert is_good(pool)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may always start processes")
def test_a_page_that_takes_a_decoder_over_starts_no_program(pool: DecoderPool) -> None:
    assert fault(pool, b"fork").message.startswith("BlockingIOError: ")
    assert is_good(pool)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to its address space")
def test_a_page_that_eats_memory_is_refused_it_and_its_decoder_goes_on(pool: DecoderPool) -> None:
    assert is_good(pool)
    before = children()
    error = fault(pool, b"eat")
    assert (error.stage, error.code) == ("decode", "E_PAGE_MEMORY")
    assert is_good(pool)
    assert children() == before


def test_a_decoder_that_hangs_is_ended() -> None:
    pool = DecoderPool(PROGRAM, seconds=1.0)
    error = fault(pool, b"hang")
    assert (error.stage, error.code, error.message) == ("time", "E_PAGE_TIMEOUT", "Decoding took longer than 1 s.")
    assert children() == []
    pool.close()


@pytest.mark.parametrize("kind", [b"crash", b"kill", b"exit", b"lie"])
def test_a_page_gets_a_second_try_in_a_fresh_process(pool: DecoderPool, tmp_path: Path, kind: bytes) -> None:
    is_good(pool)
    (before,) = children()
    data = kind + b" " + str(tmp_path / "tried").encode()
    assert (pool.decode(data, HEADER, 1).pixels == len(data) % 256).all()
    (after,) = children()
    assert after.pid != before.pid


def test_a_decoder_that_was_killed_between_two_pages_costs_nothing(pool: DecoderPool) -> None:
    is_good(pool)
    (child,) = children()
    child.kill()
    psutil.wait_procs([child], timeout=WAIT)
    assert is_good(pool)


def test_pages_that_end_their_decoders_in_a_row_are_the_machines_fault(pool: DecoderPool) -> None:
    for _ in range(2):
        assert fault(pool, b"crash").code == "E_PAGE_CRASH"
    assert is_good(pool)
    for _ in range(2):
        assert fault(pool, b"kill").code == "E_PAGE_MEMORY"
    with pytest.raises(TaskFault) as caught:
        pool.decode(b"crash", HEADER, 1)
    assert caught.value.code == "E_DECODER_LOST"
    assert caught.value.message.startswith("The last 3 pages ended their decoder processes.")
    assert is_good(pool)


@pytest.mark.parametrize(
    "program", [(sys.executable, "-c", "raise SystemExit(7)"), ("/nowhere/python",)], ids=["ends", "missing"]
)
def test_a_decoder_that_does_not_start_is_no_pages_fault(program: tuple[str, ...]) -> None:
    with pytest.raises(RetryableError) as caught:
        DecoderPool(program).decode(b"page", HEADER, 1)
    assert caught.value.code == "E_DECODER_START"


def test_there_are_as_many_decoders_as_threads_that_decode(pool: DecoderPool) -> None:
    with ThreadPoolExecutor(3) as threads:
        assert all(threads.map(lambda _: is_good(pool), range(60)))
    assert 1 <= len(children()) <= 3
    pool.close()
    assert children() == []


def test_decoders_know_nothing_of_the_workers_environment(pool: DecoderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEC_SQL_PASSWORD", "canary")
    names = fault(pool, b"environment").message.split()
    assert {"OPENBLAS_NUM_THREADS", "PYTHONPATH"} <= set(names)
    assert not [name for name in names if name.startswith(("BEC", "AWS", "HOME", "PATH"))]


def test_signals_leave_decoders_alone(pool: DecoderPool) -> None:
    is_good(pool)
    (child,) = children()
    assert os.getsid(child.pid) == child.pid
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        child.send_signal(number)
    assert is_good(pool)
    assert children() == [child]


WORKER = """
import sys, threading
from bec_orch.jobs.decoders.pool import DecoderPool
from bec_orch.jobs.formats.header import ImageFormat, ImageHeader
pool = DecoderPool((sys.executable, "-P", sys.argv[1]))
header = ImageHeader(ImageFormat.TIFF, 30, 20, 1, 8)
pool.decode(b"good", header, 1)
threading.Thread(target=pool.decode, args=(b"spin" if "spin" in sys.argv else b"good", header, 1), daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
"""


@pytest.mark.parametrize("doing", ["nothing", "spin"])
def test_decoders_end_with_their_worker_however_it_ends(doing: str) -> None:
    command = [sys.executable, "-c", WORKER, str(GONE_WRONG), doing]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"ready\n"
        started = psutil.Process(worker.pid).children()
        worker.kill()
    assert started
    assert psutil.wait_procs(started, timeout=WAIT)[1] == []


def test_shared_memory_of_a_giant_is_given_back_after_it() -> None:
    memory = SharedPage()
    memory.put(b"small", 100)
    assert memory.size == KEPT_BYTES
    memory.put(b"giant", 10 * KEPT_BYTES)
    assert memory.size == 10 * KEPT_BYTES + 5
    memory.put(b"half as large", 5 * KEPT_BYTES)
    assert memory.size == 10 * KEPT_BYTES + 5
    memory.put(b"small", 100)
    assert memory.size == KEPT_BYTES
    assert os.fstat(memory.fileno()).st_size == KEPT_BYTES
    memory.close()
    memory.close()


def test_what_was_decoded_is_not_touched_by_the_next_page(pool: DecoderPool) -> None:
    first = pool.decode(b"1", HEADER, 1).pixels
    pool.decode(b"22", HEADER, 1)
    assert (first == 1).all()
    assert first.flags.writeable
    assert first.flags.c_contiguous
    assert isinstance(first, np.ndarray)
