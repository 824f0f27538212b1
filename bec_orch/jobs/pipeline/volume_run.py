"""One volume's way through the page pipeline."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import partial
from typing import Generic

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from bec_orch.core.frames import colliding
from bec_orch.core.metrics import Metrics, Stopwatch
from bec_orch.core.names import printable
from bec_orch.core.ports.job_worker import JobContext, PageBytes
from bec_orch.core.volumes import Page, PageOutcome, PageState
from bec_orch.errors import PageError, RetryableError, TerminalError
from bec_orch.jobs.pipeline.budget import Budget, Share
from bec_orch.jobs.pipeline.in_time import InTime
from bec_orch.jobs.pipeline.models import LocalModel, Model, ServedModel
from bec_orch.jobs.pipeline.page_input import PageInput, VolumeInputs, VolumeT
from bec_orch.jobs.pipeline.page_job import PageJob, Round, Row, StateT
from bec_orch.jobs.pipeline.requests import Throttle
from bec_orch.jobs.pipeline.seats import Batched, ItemT, OutputT, Seat
from bec_orch.jobs.pipeline.steps import Steps
from bec_orch.jobs.pipeline.threads import HungThreads, ResultT

FETCHES = 16
"""Pages that are fetched or wait for a core, beside those in work: hides 100 ms of latency at 100 pages/s, and more."""
USUAL_FILE_BYTES = 1_000_000
"""Room for a page's file whose size is not known yet."""
STOP_INTERVAL = 0.1
"""Seconds between two looks at the stop signal: small beside any lease's margin."""


class _Rank(IntEnum):
    """Who gets a free core first: pages that are nearly done, so that few are half done."""

    FINISH = 0
    INFER = 1
    DECODE = 2


@dataclass(frozen=True, slots=True)
class Shared:
    """What the volumes of one process share."""

    cores: Budget
    encoded: Budget
    decoded: Budget
    hung: HungThreads
    threads: int
    page_timeout: float
    throttle: Throttle


class VolumeRun(Generic[ItemT, OutputT, StateT, VolumeT]):
    """Takes a volume's pages to their rows, once."""

    def __init__(
        self,
        job: PageJob[ItemT, OutputT, StateT, VolumeT],
        context: JobContext,
        inputs: VolumeInputs[VolumeT],
        shared: Shared,
    ) -> None:
        self._job = job
        self._context = context
        self._inputs = inputs
        self._files = frozenset(page.filename for page in context.manifest.pages)
        self._shared = shared
        self._steps = Steps(job)
        self._run = InTime(shared.hung, shared.page_timeout)
        self._seat = job.seat
        self._model = self._model_of(job.seat)
        self._failure: Exception | None = None
        self._rows = 0

    async def run(self) -> Metrics:
        """Do the volume; see `Pipeline.run`."""
        await self._do_all()
        self._run.watch.count("peak_bytes_in_flight", self._shared.encoded.peak + self._shared.decoded.peak)
        return self._run.metrics()

    def _model_of(self, seat: Seat[ItemT, OutputT]) -> Model[ItemT, OutputT]:
        if isinstance(seat, Batched):
            infer = partial(self._infer, seat)
            return LocalModel(seat, infer, self._shared.cores, _Rank.INFER)
        return ServedModel(seat, self._shared.throttle, self._run.watch)

    async def _do_all(self) -> None:
        self._check_names()
        finished = await _in_thread(self._context.rows.finished)
        self._rows = len(finished)
        todo = [page for page in self._context.manifest.pages if page.index not in finished]
        try:
            wanted = await self._without_skipped(todo)
            await self._do([page for page in wanted if page.index not in self._context.suspects])
            await self._do_alone([page for page in wanted if page.index in self._context.suspects])
        except RetryableError as error:
            self._failure = self._failure or error
        await self._end()

    def _check_names(self) -> None:
        """See that no file is named like a further picture of another one.

        Raises:
            TerminalError: one is (E_FRAME_NAMES).
        """
        other = colliding([page.filename for page in self._context.manifest.pages]) if self._job.all_frames else None
        if other:
            raise TerminalError(
                f"The volume {self._context.volume} has a file {printable(other)}, which is what a further picture of "
                "another file of it would be called.",
                code="E_FRAME_NAMES",
                hint="Rename the file, or leave `frames` at `first`.",
            )

    async def _do_alone(self, pages: Sequence[Page]) -> None:
        """Do pages at which a worker died, each by itself and with all others safe, so that it is known which it is."""
        for page in pages:
            if self._failure or self._context.stop.reason():
                return
            await _in_thread(self._context.rows.flush)
            await self._do([page])

    async def _do(self, pages: Sequence[Page]) -> None:
        if not pages:
            return
        send, receive = anyio.create_memory_object_stream[Page]()
        with send, receive:
            async with self._model.open(), anyio.create_task_group() as around:
                async with anyio.create_task_group() as group:
                    self._start_pages(group, pages, receive)
                    group.start_soon(_feed, pages, send)
                    around.start_soon(self._watch_stop, group)
                around.cancel_scope.cancel()

    def _start_pages(self, group: TaskGroup, pages: Sequence[Page], receive: MemoryObjectReceiveStream[Page]) -> None:
        at_once = FETCHES + 2 * max(self._shared.threads, self._model.at_once)
        for _ in range(min(at_once, len(pages))):
            group.start_soon(self._take_pages, receive, group)

    async def _take_pages(self, pages: MemoryObjectReceiveStream[Page], group: TaskGroup) -> None:
        async for page in pages:
            try:
                await self._do_page(page)
            except Exception as error:  # noqa: BLE001  (kept, and raised when the pages in work are finished)
                self._failure = self._failure or error
                group.cancel_scope.cancel()

    async def _watch_stop(self, group: TaskGroup) -> None:
        while self._context.stop.reason() is None:  # noqa: ASYNC110  (the signal is set by other threads, and polled)
            await anyio.sleep(STOP_INTERVAL)
        group.cancel_scope.cancel()

    async def _do_page(self, page: Page) -> None:
        """Take one page from the source to its row, or its rows. Cancelling it drops the page.

        What has begun to be decoded gets its row all the same, unless the model may take long; of a file of several
        pictures, all of them have to.
        """
        size = page.size or USUAL_FILE_BYTES
        with await self._shared.encoded.take(size) as encoded:
            try:
                source = await self._fetched(page)
                encoded.resize(len(source.data) if source else 0)
                first = self._given(page).fetched(source)
                frames = await self._frames(first)
            except PageError as error:
                await self._add(error_outcome(page, page.etag, error))
                return
            others = (self._given(page, frame).fetched(source) for frame in range(2, frames + 1))
            outcomes = [await self._do_frame(given) for given in (first, *others)]
            with anyio.CancelScope(shield=True):
                await self._add(replace(outcomes[0], further=tuple(outcomes[1:])))

    async def _fetched(self, page: Page) -> PageBytes | None:
        every = (self._given(page, frame) for frame in range(1, self._known_frames(page) + 1))
        if not self._job.all_frames and not any(self._steps.wants_image(given) for given in every):
            return None
        with self._run.watch.stage("fetch"):
            return await self._context.pages.read(page)

    async def _frames(self, given: PageInput[VolumeT]) -> int:
        """Return how many pictures of a page's file are done: those that have rows already, or all."""
        known = self._known_frames(given.page)
        return max(known, await self._run.call(partial(self._steps.frames, given))) if self._job.all_frames else known

    def _known_frames(self, page: Page) -> int:
        return self._inputs.frames(page, self._files)

    async def _do_frame(self, given: PageInput[VolumeT]) -> PageOutcome:
        reason = self._inputs.skip_reason(given)
        if reason:
            return _skipped(given, reason)
        try:
            memory = await self._run.call(partial(self._steps.measure, given))
        except PageError as error:
            return error_outcome(given.page, given.page.etag, error, frame=given.frame)
        with await self._shared.decoded.take(memory) as decoded:
            core = await self._shared.cores.take(1, rank=_Rank.DECODE)
            with anyio.CancelScope(shield=self._model.prompt):
                outcome = await self._outcome(given, core, decoded)
            return outcome  # noqa: RET504  (to the type checker, the scope may swallow what it raises)

    async def _outcome(self, given: PageInput[VolumeT], core: Share, decoded: Share) -> PageOutcome:
        try:
            row = await self._row(given, core, decoded)
        except PageError as error:
            return error_outcome(given.page, given.etag, error, frame=given.frame)
        return PageOutcome(given.page.index, PageState.OK, given.etag, row, frame=given.frame)

    async def _row(self, given: PageInput[VolumeT], core: Share, decoded: Share) -> Row:
        with core, self._context.working(given.page):
            if isinstance(self._seat, Batched) and self._seat.size == 1:
                return await self._row_alone(self._seat, given)
            return await self._row_with_others(given, core, decoded)

    async def _row_alone(self, seat: Batched[ItemT, OutputT], given: PageInput[VolumeT]) -> Row:
        """Do a page in one go: each change of threads would leave its core idle for a moment."""
        watch = Stopwatch()
        try:
            return await self._run.call(partial(self._steps.whole_page, seat, given, watch))
        finally:
            self._run.add(watch.metrics())

    async def _row_with_others(self, given: PageInput[VolumeT], core: Share, decoded: Share) -> Row:
        """Do a page whose items go to the model beside other pages' items, while others use its core."""
        wants = await self._run.stage("decode", partial(self._steps.decode, given))
        while True:
            decoded.resize(wants.nbytes)
            async with core.lent(rank=_Rank.FINISH):
                outputs = await self._model.outputs(wants.items)
            result = await self._run.stage("finish", partial(self._steps.finish, given, wants.state, outputs))
            if not isinstance(result, Round):
                return result
            wants = result

    async def _infer(self, seat: Batched[ItemT, OutputT], items: Sequence[ItemT]) -> Sequence[OutputT]:
        return await self._run.stage("infer", partial(self._steps.infer, seat, items))

    async def _add(self, outcome: PageOutcome) -> None:
        await _in_thread(partial(self._context.rows.add, outcome))
        self._rows += 1
        self._run.watch.count("pages", len(outcome.every))
        self._context.progress(self._rows)

    async def _without_skipped(self, pages: Sequence[Page]) -> list[Page]:
        """Add the rows of the pages that are skipped, and return the others."""
        wanted = []
        for page in pages:
            given = self._given(page)
            reason = self._inputs.skip_reason(given)
            # Of a file of several pictures, each has its own reason.
            if reason and (page.skip_reason or not (self._job.all_frames or self._known_frames(page) > 1)):
                await self._add(_skipped(given, reason))
            else:
                wanted.append(page)
        return wanted

    def _given(self, page: Page, frame: int = 1) -> PageInput[VolumeT]:
        return self._inputs.of(page, self._job.max_image_pixels, frame, all_frames=self._job.all_frames)

    async def _end(self) -> None:
        """Flush what is done, and raise what ended the volume early."""
        rows = self._context.rows
        if self._failure:
            with suppress(RetryableError):  # the first fault says more
                await _in_thread(rows.flush)
            raise self._failure
        await _in_thread(rows.flush)
        if self._rows < len(self._context.manifest.pages):
            self._context.stop.check()


async def _in_thread(function: Callable[[], ResultT]) -> ResultT:
    """Run a short blocking call (rows, part files) in a thread, without a core of its own."""
    return await anyio.to_thread.run_sync(function)


async def _feed(pages: Sequence[Page], send: MemoryObjectSendStream[Page]) -> None:
    with send:
        for page in pages:
            await send.send(page)


def _skipped(given: PageInput[VolumeT], reason: str) -> PageOutcome:
    page = given.page
    return PageOutcome(page.index, PageState.SKIPPED, page.etag, skip_reason=reason, frame=given.frame)


def error_outcome(page: Page, etag: str | None, error: PageError, *, frame: int = 1) -> PageOutcome:
    """Make the row of a page, or of a further picture of its file, that cannot be done."""
    return PageOutcome(
        page.index,
        PageState.ERROR,
        etag,
        error_stage=error.stage,
        error_type=error.code,
        error_message=error.message,
        error_hint=error.hint,
        frame=frame,
    )
