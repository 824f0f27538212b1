import errno
import gc
import itertools
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import anyio
import pytest

from bec_orch.core.metrics import Metrics
from bec_orch.core.ports.job_worker import PageBytes
from bec_orch.core.volumes import Page, PageState
from bec_orch.errors import BecError, Interrupted, PageError, RetryableError, StorageError, TerminalError
from bec_orch.jobs.pipeline import volume_run
from bec_orch.jobs.pipeline.page_input import PageInput
from bec_orch.jobs.pipeline.page_job import Round, Row
from bec_orch.jobs.pipeline.pipeline import Limits, Pipeline
from bec_orch.jobs.pipeline.seats import Batched
from tests.unit.fakes import FlagStop, MemoryRows, PlainPages, context

WAIT = 5.0


@dataclass
class Lengths(PlainPages):
    """Reports how long each page is. A test hooks into any step by the page's bytes."""

    batch_size: int = 1
    page_bytes: int = 100
    on_measure: Callable[[bytes], object] = lambda _: None
    on_decode: Callable[[bytes], object] = lambda _: None
    on_infer: Callable[[Sequence[bytes]], object] = lambda _: None
    on_finish: Callable[[bytes], object] = lambda _: None
    more_rounds: int = 0
    batches: list[list[bytes]] = field(default_factory=list)

    @property
    def seat(self) -> Batched[bytes, int]:
        return Batched(self.infer, self.batch_size)

    def measure(self, page: PageInput) -> int:
        self.on_measure(page.data)
        return self.page_bytes

    def decode(self, page: PageInput) -> Round[bytes, int]:
        self.on_decode(page.data)
        return Round([page.data], self.more_rounds, self.page_bytes)

    def infer(self, items: Sequence[bytes]) -> list[int]:
        self.on_infer(items)
        self.batches.append(list(items))
        return [len(item) for item in items]

    def finish(self, page: PageInput, state: int, outputs: Sequence[int]) -> Row | Round[bytes, int]:
        self.on_finish(page.page.filename.encode())
        if state:
            return Round([b"again" for _ in outputs] * 2, state - 1, self.page_bytes)
        return {"lengths": list(outputs)}


def volume(count: int) -> dict[str, bytes | Exception]:
    return {f"p{index}": f"p{index}".encode() for index in range(count)}


def limits(threads: int = 2, memory_budget: int = 10_000, page_timeout: float = 30.0) -> Limits:
    return Limits(threads, memory_budget, page_timeout)


def only(name: str, action: Callable[[], object]) -> Callable[[bytes], object]:
    """Do something for one page."""
    return lambda data: action() if data == name.encode() else None


def raising(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """A gate that hung threads wait at; opened at the test's end."""
    event = threading.Event()
    yield event
    event.set()


def test_every_page_gets_its_row() -> None:
    rows, told = MemoryRows(), list[int]()
    metrics = Pipeline(Lengths(), limits()).run(context(volume(50), rows, progress=told.append))
    assert {index: outcome.row for index, outcome in rows.flushed.items()} == {
        index: {"lengths": [len(f"p{index}")]} for index in range(50)
    }
    assert rows.flushed[7].source_etag == "etag-p7"
    assert told == list(range(1, 51))
    assert {name: time.count for name, time in metrics.stages.items()} == {
        "open": 1,
        **dict.fromkeys(("fetch", "decode", "infer", "finish"), 50),
    }
    assert metrics.counters["pages"] == 50


def test_an_empty_volume_ends_at_once() -> None:
    rows = MemoryRows()
    assert Pipeline(Lengths(), limits()).run(context({}, rows)).counters["peak_bytes_in_flight"] == 0
    assert rows.flushed == {}


def test_finished_pages_are_left_alone_and_skipped_ones_get_their_reason() -> None:
    rows, told = MemoryRows(earlier=frozenset({0, 3})), list[int]()
    task = context(volume(5), rows, progress=told.append, skipped={"p0": "intro", "p1": "intro"})
    Pipeline(Lengths(), limits()).run(task)
    assert {index: outcome.state for index, outcome in rows.flushed.items()} == {
        1: PageState.SKIPPED,
        2: PageState.OK,
        4: PageState.OK,
    }
    assert rows.flushed[1].skip_reason == "intro"
    assert told == [3, 4, 5]


def test_further_rounds_are_taken_until_there_is_a_row() -> None:
    rows, job = MemoryRows(), Lengths(more_rounds=2)
    Pipeline(job, limits()).run(context(volume(3), rows))
    assert [outcome.row for outcome in rows.flushed.values()] == [{"lengths": [5, 5, 5, 5]}] * 3
    assert len(job.batches) == 3 * (1 + 2 + 4)


def test_a_page_without_items_asks_no_model() -> None:
    class Blank(Lengths):
        def decode(self, page: PageInput) -> Round[bytes, int]:
            return Round([], 0, 0)

    rows, job = MemoryRows(), Blank()
    Pipeline(job, limits()).run(context(volume(3), rows))
    assert [outcome.row for outcome in rows.flushed.values()] == [{"lengths": []}] * 3
    assert job.batches == []


def test_items_of_many_pages_come_in_batches_while_the_model_is_busy() -> None:
    decoded, all_decoded = list[bytes](), threading.Event()

    def note(data: bytes) -> None:
        decoded.append(data)
        if len(decoded) == 20:
            all_decoded.set()

    job = Lengths(batch_size=4, on_infer=lambda _: all_decoded.wait(WAIT), on_decode=note)
    rows = MemoryRows()
    Pipeline(job, limits(threads=3)).run(context(volume(20), rows))
    assert sorted(item for batch in job.batches for item in batch) == sorted(decoded)
    # Up to three items are still on their way to the model when the last one is decoded.
    assert [len(batch) for batch in job.batches].count(4) >= 3
    assert len(rows.flushed) == 20


def test_no_more_pages_are_worked_on_than_there_are_threads() -> None:
    lock, at_work, most = threading.Lock(), 0, 0

    def busy(_: object) -> None:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        threading.Event().wait(0.002)
        with lock:
            at_work -= 1

    job = Lengths(on_decode=busy, on_infer=busy, on_finish=busy)
    Pipeline(job, limits(threads=2)).run(context(volume(30), MemoryRows()))
    assert most == 2


def test_begun_pages_are_ended_before_others_begin() -> None:
    log = list[tuple[str, bytes]]()
    job = Lengths(
        on_decode=lambda data: log.append(("decode", data)), on_finish=lambda data: log.append(("finish", data))
    )
    Pipeline(job, limits(threads=1)).run(context(volume(10), MemoryRows()))
    half_done = [sum(1 if step == "decode" else -1 for step, _ in log[: end + 1]) for end in range(len(log))]
    assert max(half_done) == 1


Act = Callable[[], object]
FAULTS: dict[str, tuple[Callable[[Act], Lengths], str]] = {
    "measure": (lambda act: Lengths(on_measure=only("p3", act)), "decode"),
    "decode": (lambda act: Lengths(on_decode=only("p3", act)), "decode"),
    "finish": (lambda act: Lengths(on_finish=only("p3", act)), "finish"),
}


@pytest.mark.parametrize("step", FAULTS)
def test_a_page_error_is_one_row(step: str) -> None:
    rows = MemoryRows()
    job = FAULTS[step][0](raising(PageError("The page is odd.", stage="decode", code="E_IMAGE_CORRUPT")))
    Pipeline(job, limits()).run(context(volume(8), rows))
    assert [outcome.index for outcome in rows.flushed.values() if outcome.state is PageState.ERROR] == [3]
    error = rows.flushed[3]
    assert (error.error_stage, error.error_type, error.error_message) == (
        "decode",
        "E_IMAGE_CORRUPT",
        "The page is odd.",
    )
    assert len(rows.flushed) == 8


@pytest.mark.parametrize("step", FAULTS)
@pytest.mark.parametrize("error", [ZeroDivisionError("division by zero"), TimeoutError("of its own"), StopIteration()])
def test_an_exception_that_nobody_thought_of_is_one_row(step: str, error: Exception) -> None:
    rows = MemoryRows()
    make, stage = FAULTS[step]
    Pipeline(make(raising(error)), limits()).run(context(volume(8), rows))
    row = rows.flushed[3]
    assert (row.error_stage, row.error_type) == (stage, "E_PAGE_UNEXPECTED")
    assert row.error_message is not None
    assert row.error_message.startswith(type(error).__name__)
    assert sum(outcome.state is PageState.OK for outcome in rows.flushed.values()) == 7


def test_a_page_that_is_missing_is_one_row() -> None:
    rows = MemoryRows()
    files = {**volume(3), "gone": PageError("The image is missing.", stage="fetch", code="E_PAGE_MISSING")}
    Pipeline(Lengths(), limits()).run(context(files, rows))
    assert (rows.flushed[3].error_stage, rows.flushed[3].error_type) == ("fetch", "E_PAGE_MISSING")


@pytest.mark.parametrize("step", FAULTS)
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StorageError("The store is away."), "E_STORAGE"),
        (MemoryError(), "E_MEMORY"),
        (RuntimeError("can't start new thread"), "E_PROCESSES"),
    ],
    ids=["store", "memory", "threads"],
)
def test_a_passing_fault_stops_the_volume_and_keeps_what_is_done(step: str, error: Exception, code: str) -> None:
    rows = MemoryRows()
    with pytest.raises(RetryableError) as caught:
        Pipeline(FAULTS[step][0](raising(error)), limits(threads=1)).run(context(volume(30), rows))
    assert caught.value.code == code
    assert 3 not in rows.flushed
    assert rows.flushed == rows.added


@pytest.mark.parametrize("step", ["decode", "finish"])
@pytest.mark.parametrize(("number", "code"), [(errno.ESTALE, "E_DISK_AWAY"), (errno.ENOSPC, "E_DISK_FULL")])
def test_a_fault_of_a_disk_is_no_pages(step: str, number: int, code: str) -> None:
    with pytest.raises(RetryableError) as caught:
        Pipeline(FAULTS[step][0](raising(OSError(number, "The disk is gone."))), limits()).run(
            context(volume(8), MemoryRows())
        )
    assert (caught.value.code, caught.value.charged) == (code, False)


def test_a_terminal_error_of_a_job_ends_the_volume() -> None:
    job = Lengths(on_decode=only("p3", raising(TerminalError("The volume has no truth."))))
    with pytest.raises(TerminalError, match="no truth"):
        Pipeline(job, limits()).run(context(volume(30), MemoryRows()))


def test_a_fault_of_the_source_stops_the_volume_at_once() -> None:
    rows = MemoryRows()
    files = {**volume(5), "away": StorageError("The store is away."), **{f"q{i}": b"q" for i in range(100)}}
    task = context(files, rows)
    with pytest.raises(StorageError):
        Pipeline(Lengths(), limits()).run(task)
    assert len(rows.flushed) < 100


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("CUDA failure 700"), "E_MODEL_FAILED"),
        (MemoryError(), "E_MEMORY"),
        (RuntimeError("can't start new thread"), "E_PROCESSES"),
    ],
)
def test_a_fault_of_the_model_is_the_machines(error: Exception, code: str, batch_size: int) -> None:
    def fail(items: Sequence[bytes]) -> None:
        if b"p9" in items:
            raise error

    rows = MemoryRows()
    with pytest.raises(RetryableError) as caught:
        Pipeline(Lengths(batch_size, on_infer=fail), limits()).run(context(volume(100), rows))
    assert caught.value.code == code
    assert all(outcome.state is PageState.OK for outcome in rows.flushed.values())


def test_a_model_that_forgets_an_output_is_found_out() -> None:
    class Forgetful(Lengths):
        def infer(self, items: Sequence[bytes]) -> list[int]:
            return []

    with pytest.raises(RetryableError, match="0 outputs for 1 items"):
        Pipeline(Forgetful(), limits()).run(context(volume(3), MemoryRows()))


def test_a_page_error_of_the_model_is_a_row() -> None:
    def fail(items: Sequence[bytes]) -> None:
        if items[0] == b"p2":
            raise PageError("The page is too wide.", stage="infer")

    rows = MemoryRows()
    Pipeline(Lengths(on_infer=fail), limits()).run(context(volume(5), rows))
    assert rows.flushed[2].error_stage == "infer"
    assert len(rows.flushed) == 5


def test_a_row_that_cannot_be_kept_stops_the_volume() -> None:
    full = raising(RetryableError("The disk is full.", code="E_DISK_FULL"))
    rows = MemoryRows(on_add=lambda outcome: full() if outcome.index == 4 else None)
    with pytest.raises(RetryableError) as caught:
        Pipeline(Lengths(), limits()).run(context(volume(30), rows))
    assert caught.value.code == "E_DISK_FULL"
    rows = MemoryRows(on_add=lambda _: full())
    with pytest.raises(RetryableError, match="full"):
        Pipeline(Lengths(), limits()).run(context(volume(3), rows, skipped={"p0": "intro"}))


def test_the_first_fault_is_reported_when_flushing_fails_as_well() -> None:
    class Full(MemoryRows):
        def flush(self) -> None:
            raise RetryableError("The disk is full.", code="E_DISK_FULL")

    with pytest.raises(StorageError):
        Pipeline(Lengths(), limits()).run(context({"a": StorageError("The store is away.")}, Full()))
    with pytest.raises(RetryableError, match="full"):
        Pipeline(Lengths(), limits()).run(context(volume(2), Full()))


@pytest.mark.parametrize("step", FAULTS)
def test_a_page_that_hangs_is_an_error_and_its_thread_is_replaced(step: str, gate: threading.Event) -> None:
    rows, told = MemoryRows(), list[int]()
    job = FAULTS[step][0](lambda: gate.wait(WAIT))
    Pipeline(job, limits(threads=1, page_timeout=0.5)).run(context(volume(20), rows, progress=told.append))
    assert (rows.flushed[3].error_stage, rows.flushed[3].error_type) == ("time", "E_PAGE_TIMEOUT")
    assert sum(outcome.state is PageState.OK for outcome in rows.flushed.values()) == 19
    assert told[-1] == 20


def test_a_run_of_the_model_that_hangs_is_its_pages_error(gate: threading.Event) -> None:
    rows = MemoryRows()
    job = Lengths(on_infer=lambda items: only("p3", lambda: gate.wait(WAIT))(items[0]))
    Pipeline(job, limits(threads=1, page_timeout=0.5)).run(context(volume(20), rows))
    assert rows.flushed[3].error_type == "E_PAGE_TIMEOUT"
    assert len(rows.flushed) == 20


def test_many_hung_threads_are_a_fault_of_the_worker(gate: threading.Event) -> None:
    rows = MemoryRows()
    job = Lengths(on_decode=lambda data: None if data < b"p2" else gate.wait(WAIT))
    with pytest.raises(RetryableError) as caught:
        Pipeline(job, limits(page_timeout=2)).run(context(volume(9), rows))
    assert caught.value.code == "E_WORKER_STUCK"
    errors = {outcome.error_type for outcome in rows.flushed.values() if outcome.state is PageState.ERROR}
    assert errors == {"E_PAGE_TIMEOUT"}, "the next attempt tries errors again"
    assert [rows.flushed[page].state for page in (0, 1)] == [PageState.OK] * 2


def test_threads_that_come_back_late_are_forgotten() -> None:
    calls, back = itertools.count(), [threading.Event() for _ in range(8)]

    def decode(_: bytes) -> None:
        call = next(calls)
        if call % 2 == 0:
            threading.Event().wait(0.7)
            back[call].set()
        else:
            # The call after a late one goes on when that has come back, so there are never two late ones.
            back[call - 1].wait(WAIT)

    rows = MemoryRows()
    Pipeline(Lengths(on_decode=decode), limits(threads=1, page_timeout=0.5)).run(context(volume(8), rows))
    assert sum(outcome.error_type == "E_PAGE_TIMEOUT" for outcome in rows.flushed.values()) == 4
    assert len(rows.flushed) == 8


def test_a_stop_ends_the_begun_pages_and_keeps_them() -> None:
    stop, rows = FlagStop(), MemoryRows()
    begun = list[bytes]()

    def stop_at_fifth(data: bytes) -> None:
        begun.append(data)
        if len(begun) == 5:
            stop.why = "shutdown"
            threading.Event().wait(3 * volume_run.STOP_INTERVAL)

    with pytest.raises(Interrupted):
        Pipeline(Lengths(on_decode=stop_at_fifth), limits(threads=1)).run(context(volume(1000), rows, stop=stop))
    assert {f"p{index}".encode() for index in rows.flushed} == set(begun)
    assert 5 <= len(begun) < 30


def test_a_stop_reaches_a_worker_whose_source_does_not_answer() -> None:
    class Silent:
        async def read(self, page: Page) -> PageBytes:
            stop.why = "lease_lost"
            await anyio.sleep_forever()
            raise AssertionError

    stop, rows = FlagStop(), MemoryRows()
    task = context(volume(3), rows, stop=stop)
    object.__setattr__(task, "pages", Silent())
    with pytest.raises(Interrupted):
        Pipeline(Lengths(), limits()).run(task)
    assert rows.flushed == {}


def test_a_stop_when_all_is_done_stops_nothing() -> None:
    stop = FlagStop()
    rows = MemoryRows(on_add=lambda outcome: setattr(stop, "why", "shutdown") if outcome.index == 0 else None)
    Pipeline(Lengths(), limits()).run(context(volume(1), rows, stop=stop))
    assert len(rows.flushed) == 1


def test_memory_is_bounded_however_many_pages_there_are() -> None:
    rows = MemoryRows()
    data = b"x" * 1000
    files: dict[str, bytes | Exception] = {f"p{i}": data for i in range(2000)}
    job = Lengths(page_bytes=10_000)
    metrics = Pipeline(job, limits(memory_budget=80_000)).run(context(files, rows))
    assert len(rows.flushed) == 2000
    assert 10_000 < metrics.counters["peak_bytes_in_flight"] <= 80_000


def test_a_page_larger_than_the_budget_gets_through_alone() -> None:
    lock, in_work, together = threading.Lock(), set[bytes](), list[int]()

    class Giants(Lengths):
        def measure(self, page: PageInput) -> int:
            return 1_000_000 if page.page.index % 5 == 2 else 10

        def decode(self, page: PageInput) -> Round[bytes, int]:
            with lock:
                in_work.add(page.data)
                if page.page.index % 5 == 2:
                    together.append(len(in_work))
            return Round([page.data], 0, self.measure(page))

        def finish(self, page: PageInput, state: int, outputs: Sequence[int]) -> Row | Round[bytes, int]:
            with lock:
                in_work.discard(f"p{page.page.index}".encode())
            return super().finish(page, state, outputs)

    rows = MemoryRows()
    metrics = Pipeline(Giants(), limits(memory_budget=1000)).run(context(volume(20), rows))
    assert len(rows.flushed) == 20
    assert together == [1, 1, 1, 1]
    assert metrics.counters["peak_bytes_in_flight"] >= 1_000_000


def test_pages_are_freed_as_soon_as_they_are_done() -> None:
    class Pixels(bytearray):
        """Bytes that can be referred to weakly."""

    seen, most = list[weakref.ref[Pixels]](), list[int]()

    class Images(PlainPages):
        @property
        def seat(self) -> Batched[Pixels, int]:
            return Batched(self.infer, 1)

        def measure(self, page: PageInput) -> int:
            return page.nbytes

        def decode(self, page: PageInput) -> Round[Pixels, Pixels]:
            pixels = Pixels(page.data)
            seen.append(weakref.ref(pixels))
            most.append(sum(pixels() is not None for pixels in seen))
            if page.page.index % 3 == 0:
                raise ValueError(page.page.index, pixels)
            return Round([pixels], pixels, len(pixels))

        def infer(self, items: Sequence[Pixels]) -> list[int]:
            return [len(item) for item in items]

        def finish(self, page: PageInput, state: Pixels, outputs: Sequence[int]) -> Row:
            if page.page.index % 3 == 1:
                raise PageError("The page is odd.", stage="finish")
            return {"length": outputs[0]}

    gc.disable()
    try:
        Pipeline(Images(), limits()).run(context(volume(100), MemoryRows()))
    finally:
        gc.enable()
    assert max(most) < 10


def test_volumes_side_by_side_share_the_cores_and_the_budget() -> None:
    lock, at_work, most = threading.Lock(), 0, 0

    def busy(_: object) -> None:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        threading.Event().wait(0.001)
        with lock:
            at_work -= 1

    pipeline = Pipeline(Lengths(on_decode=busy, on_finish=busy, page_bytes=2000), limits(memory_budget=10_000))
    rows = [MemoryRows() for _ in range(3)]

    def run(mine: MemoryRows) -> Metrics:
        return pipeline.run(context(volume(40), mine))

    with ThreadPoolExecutor(3) as threads:
        peaks = [metrics.counters["peak_bytes_in_flight"] for metrics in threads.map(run, rows)]
    assert [len(mine.flushed) for mine in rows] == [40, 40, 40]
    assert most == 2
    assert max(peaks) <= 10_000


def test_a_pipeline_goes_on_after_a_volume_that_failed() -> None:
    pipeline = Pipeline(Lengths(), limits())
    for _ in range(3):
        with pytest.raises(BecError):
            pipeline.run(context({"a": StorageError("The store is away."), **volume(50)}, MemoryRows()))
    rows = MemoryRows()
    pipeline.run(context(volume(20), rows))
    assert len(rows.flushed) == 20
