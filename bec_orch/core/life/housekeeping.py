"""What runs beside the tasks of a worker: its heartbeat, and the maintenance that keeps the promises of the archive."""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from typing_extensions import override

from bec_orch.core.failures import failure_of
from bec_orch.core.fault_points import FaultPoint, reached
from bec_orch.core.life.companion import Companion
from bec_orch.core.life.standings import Stage, Standing
from bec_orch.core.life.worker_options import Outside, WorkerOptions, Workplace
from bec_orch.core.ports.artefact_store import ArtefactStore
from bec_orch.core.ports.queues import TaskQueue
from bec_orch.core.ports.task_store import TaskStore
from bec_orch.core.success import adopted_result
from bec_orch.core.tasks import DoneTask, GivenUpTask, Job, TaskActivity, TaskResult
from bec_orch.errors import NOT_THERE, RetryableError, StorageError, TerminalError

logger = logging.getLogger(__name__)

_MESSAGES_PER_ROUND = 1000
# Looking at an artefact is a few requests to a store that may be distant, and little work.
_LOOKERS = 16
_DEAD_LETTERS_PER_ROUND = 100
_DEAD_LETTERED = failure_of(
    RetryableError(
        "The queue dead-lettered the message: it was received very often, and never deleted.",
        code="E_MESSAGE_GIVEN_UP",
        hint="Its task goes on with a new message; look for workers that die as soon as they have a task.",
    ),
    Stage.RECEIVE,
)


class Maintenance:
    """Rounds that any worker of a job makes now and then. What one round leaves, the next one does.

    Args:
        job: the job.
        store: where its tasks are.
        queue: its queue.
        artefacts: the destination.
        redispatch_after: the age in seconds at which a queued task's message counts as lost.
        verify_batch: how many artefacts are looked at in a round.
        doubted_from: when this many artefacts are all gone, the destination counts as away, not the artefacts as lost.
    """

    def __init__(
        self,
        job: Job,
        store: TaskStore,
        queue: TaskQueue,
        artefacts: ArtefactStore,
        *,
        redispatch_after: float,
        verify_batch: int,
        doubted_from: int,
    ) -> None:
        self._job = job
        self._store = store
        self._queue = queue
        self._artefacts = artefacts
        self._redispatch_after = redispatch_after
        self._verify_batch = verify_batch
        self._doubted_from = doubted_from

    def dispatch(self, sent_before: float | None = None) -> int:
        """Send the messages that tasks lack (lost, purged, never sent, lease run out), and return their number.

        Args:
            sent_before: the age in seconds at which a message counts as lost now, if it is less than usual: the queue
                has been seen to hold none for as long.
        """
        usual = self._redispatch_after
        lost_after = usual if sent_before is None else min(sent_before, usual)
        messages = self._store.undispatched(self._job, limit=_MESSAGES_PER_ROUND, redispatch_after=lost_after)
        if messages:
            reached(FaultPoint.MAINTENANCE_FOUND)
            self._queue.send(messages)
            self._store.mark_dispatched(messages)
            logger.info("maintenance.dispatched", extra={"messages": len(messages)})
        return len(messages)

    def record_dead_letters(self) -> None:
        """Record the messages that the queue itself dead-lettered, which says nothing about their tasks: they go on."""
        letters = self._queue.undeclared_dead_letters(limit=_DEAD_LETTERS_PER_ROUND)
        for letter in letters:
            self._store.record_rejected(self._job, letter.body, _DEAD_LETTERED)
        if letters:
            logger.warning("maintenance.given_up", extra={"messages": len(letters)})

    def verify(self) -> None:
        """Look at some finished artefacts: one that is gone or broken is made again, and litter is removed.

        Raises:
            StorageError: the destination is away, or lacks so much that it cannot be the right one: nothing is redone.
        """
        self.look_at(self._store.done_to_verify(self._job, limit=self._verify_batch))

    def look_at(self, looked_at: Sequence[DoneTask], *, by_listing: bool = False) -> None:
        """Look at these finished artefacts, as `verify` does at some.

        Args:
            looked_at: the artefacts.
            by_listing: open none whose files a listing shows as they were left: to look at many at once.

        Raises:
            StorageError: as `verify`.
        """
        with ThreadPoolExecutor(_LOOKERS, thread_name_prefix="look") as pool:
            faults = pool.map(partial(self._fault, by_listing=by_listing), looked_at)
            faulty = [(done, fault) for done, fault in zip(looked_at, faults, strict=True) if fault]
        if not faulty:
            return
        self._artefacts.check_there()
        # As for tasks: what befalls many different ones in a row is nothing that they did.
        if len(faulty) == len(looked_at) >= self._doubted_from:
            raise StorageError(
                f"Of {len(faulty)} finished artefacts none is there as it was, {faulty[0][0].location.prefix} for one.",
                code="E_STORAGE_DOUBTED",
                hint="Look whether the destination is mounted. If they were removed, `bec audit --fix` redoes them.",
            )
        for done, _ in faulty:
            self._verify(done)

    def check_destination(self) -> None:
        """See that the destination is the place where finished work lies, before more is put there.

        Raises:
            StorageError: there are finished tasks, and it is empty, as a mount point is without its disk.
        """
        if not self._store.has_done(self._job):
            return
        try:
            self._artefacts.check_there()
        except StorageError as error:
            if error.code in NOT_THERE:
                raise
            # One that does not answer now does no harm.
            logger.warning("worker.outage", extra={"code": error.code, "why": error.message})

    def record_published(self) -> None:
        """Look at some tasks that failed for good: one that published its artefact before its worker died is done."""
        for task in self._store.given_up_to_verify(self._job, limit=self._verify_batch):
            result = self._published(task)
            if result:
                logger.warning("maintenance.recorded", extra={"prefix": task.location.prefix})
                self._store.record_published(task.task_id, result)

    def _published(self, task: GivenUpTask) -> TaskResult | None:
        try:
            found = self._artefacts.success(task.location)
        except TerminalError:
            return None
        if found is None or found.task_uid != task.task_uid or not self._artefacts.owns(found):
            return None
        if not found.manifest_etag or not found.pages:
            return None
        if not self._artefacts.verify(found, found.pages.total):
            return None
        return adopted_result(found, found.manifest_etag, found.pages.total, own=True)

    def _verify(self, done: DoneTask) -> None:
        fault = self._fault(done)
        if fault:
            logger.warning("maintenance.reopened", extra={"prefix": done.location.prefix, "why": fault})
            self._store.reopen(done.task_id, fault)

    def _fault(self, done: DoneTask, *, by_listing: bool = False) -> str:
        try:
            found = self._artefacts.success(done.location)
        except TerminalError as error:
            return error.message
        if found is None:
            return "its success.json is gone"
        if by_listing and self._artefacts.is_untouched(found, done.nb_pages):
            return ""
        if not self._artefacts.verify(found, done.nb_pages):
            return "its file is gone, or not what success.json says"
        self._artefacts.sweep(found)
        self._artefacts.name_conventionally(found)
        return ""


class Housekeeper(Companion):
    """The thread of heartbeat, maintenance and the look-out for tasks that stand still, as a context manager.

    It outlives the tasks at a shutdown.

    Args:
        workplace: whose heartbeat it is, where the tasks stand, and how often it looks.
        maintenance: the rounds.
        on_stall: is called with the tasks that stand still.
        on_deleted: is called when the job was deleted.
    """

    def __init__(
        self,
        workplace: Workplace,
        maintenance: Maintenance,
        on_stall: Callable[[list[Standing]], None],
        on_deleted: Callable[[], None],
    ) -> None:
        super().__init__("housekeeper")
        self._worker_id = workplace.info.id
        self._job = workplace.job
        self._store = workplace.outside.store
        self._standings = workplace.standings
        self._options = workplace.options
        self._maintenance = maintenance
        self._on_stall = on_stall
        self._on_deleted = on_deleted

    @override
    def _accompany(self) -> None:
        next_round = time.monotonic()
        while True:
            self._heartbeat()
            stalled = self._standings.mark_stalled(self._options.stall_timeout)
            if stalled:
                self._on_stall(stalled)
            if time.monotonic() >= next_round:
                self._round()
                next_round = time.monotonic() + self._options.maintenance_every
            if self._closed.wait(self._options.heartbeat_every):
                return

    def _heartbeat(self) -> None:
        try:
            self._store.heartbeat(self._worker_id, self._activities())
            if self._store.is_deleted(self._job):
                self._on_deleted()
        except RetryableError as error:
            logger.warning("heartbeat.failed", extra={"code": error.code})

    def _activities(self) -> list[TaskActivity]:
        return [
            TaskActivity(standing.claim.task_id, standing.done, standing.total)
            for standing in self._standings.all()
            if standing.done is not None
        ]

    def _round(self) -> None:
        try:
            self._maintenance.dispatch()
            self._maintenance.record_dead_letters()
            self._maintenance.verify()
            self._maintenance.record_published()
        except RetryableError as error:
            logger.warning("maintenance.failed", extra={"code": error.code, "why": error.message, "hint": error.hint})


def maintenance(job: Job, outside: Outside, options: WorkerOptions) -> Maintenance:
    """Put together what makes the rounds of a job."""
    return Maintenance(
        job,
        outside.store,
        outside.queues(job.name),
        outside.artefacts,
        redispatch_after=options.redispatch_after,
        verify_batch=options.verify_batch,
        doubted_from=options.failures_in_a_row,
    )
