"""One delivery of a message, taken through the life of a task: received, claimed, resolved, computed, published."""

import logging
from contextlib import closing

from bec_orch.core.failures import failure_of
from bec_orch.core.fault_points import FaultPoint, reached
from bec_orch.core.life.acknowledging import Acknowledger
from bec_orch.core.life.claiming import Claimed, Claiming
from bec_orch.core.life.computing import Computer
from bec_orch.core.life.ending import Endings
from bec_orch.core.life.lease import Lease
from bec_orch.core.life.patience import Patience
from bec_orch.core.life.publishing import Published, Publisher
from bec_orch.core.life.resolving import Resolver
from bec_orch.core.life.standings import Stage, Standings, TaskEnd
from bec_orch.core.life.stop import TaskStop, WorkerStop
from bec_orch.core.life.worker_options import JobWorkers, Workplace
from bec_orch.core.ports.job_worker import StopSignal
from bec_orch.core.ports.queues import ReceivedMessage, TaskQueue
from bec_orch.core.ports.task_store import TaskStore
from bec_orch.core.tasks import AttemptOutcome, Claim, ClaimRefused
from bec_orch.errors import DatabaseError, Interrupted, LeaseLost, Superseded, TerminalError

logger = logging.getLogger(__name__)


class Attempts:
    """Leaves a published artefact for a task that is ours, made now or found."""

    def __init__(self, job_workers: JobWorkers, resolver: Resolver, computer: Computer, publisher: Publisher) -> None:
        self._job_workers = job_workers
        self._resolver = resolver
        self._computer = computer
        self._publisher = publisher

    def run(self, claim: Claim, stop: StopSignal) -> Published:
        """Take a claim through all that comes before the database knows of its end.

        Raises:
            Superseded: the manifest changed since the task was stamped, or while it ran.
            TerminalError: the volume can never be done as it is.
            RetryableError, LeaseLost, Interrupted: as the parts raise them.
        """
        resolved = self._resolver.resolve(claim)
        with self._job_workers(claim.job) as job_worker:
            pinned = self._resolver.pin(resolved, job_worker)
            found = self._publisher.adopt(pinned)
            if found:
                return found
            with closing(self._computer.open(pinned)) as files:
                computed = self._computer.compute(pinned, files, stop)
                if computed.failed:
                    self._publisher.leave_partial(computed, computed.failed, files)
                    raise computed.failed
                return self._publisher.publish(computed, files)


class TaskRunner:
    """Takes messages of one queue through the life of a task, one at a time."""

    def __init__(
        self,
        store: TaskStore,
        queue: TaskQueue,
        claiming: Claiming,
        attempts: Attempts,
        endings: Endings,
        standings: Standings,
        stop: WorkerStop,
        *,
        lease: float,
    ) -> None:
        self._store = store
        self._queue = queue
        self._acknowledger = Acknowledger(queue)
        self._claiming = claiming
        self._attempts = attempts
        self._endings = endings
        self._standings = standings
        self._stop = stop
        self._lease = lease

    def handle(self, message: ReceivedMessage) -> TaskEnd | None:
        """Do the task that a message announces; None when there was no task to attempt.

        Raises:
            RetryableError: database or queue are away; the message becomes visible again, by itself at the latest.
        """
        reached(FaultPoint.TASK_RECEIVED)
        claimed = self._claimed(message)
        return self._run(claimed) if claimed else None

    def _claimed(self, message: ReceivedMessage) -> Claimed | None:
        try:
            answer = self._claiming.claim(self._claiming.receive(message))
        except TerminalError as error:
            failure = failure_of(error, Stage.RESOLVE)
            logger.warning("message.rejected", extra={"code": failure.code, "message_id": message.message_id})
            self._claiming.reject(message, failure)
            self._acknowledger.reject(message, failure)
            return None
        except DatabaseError:
            self._acknowledger.give_back(message)
            raise
        if isinstance(answer, ClaimRefused):
            self._acknowledger.refuse(message, answer)
            return None
        return answer

    def _run(self, claimed: Claimed) -> TaskEnd:
        claim, message = claimed.claim, claimed.message
        logger.info("task.claimed", extra=claim.named())
        if claim.deaths:
            logger.warning("task.died_before", extra={**claim.named(), "deaths_by_page": dict(claim.deaths)})
        lease = Lease(claim, self._store, self._queue, message.receipt, seconds=self._lease, claimed_at=claimed.sent_at)
        # The lease outlives the attempt and the writing of its end: it is let go last.
        with lease, self._standings.attempt(claim):
            end = self._attempt(claim, TaskStop(claim, lease, self._stop, self._standings))
        self._acknowledger.acknowledge(message, end)
        reached(FaultPoint.TASK_ACKNOWLEDGED)
        self._standings.end(end)
        return end

    def _attempt(self, claim: Claim, stop: TaskStop) -> TaskEnd:
        try:
            reached(FaultPoint.TASK_CLAIMED)
            return self._endings.commit(claim, self._attempts.run(claim, stop))
        except Superseded:
            return TaskEnd(claim, AttemptOutcome.SUPERSEDED)
        except LeaseLost as error:
            return self._endings.release(claim, AttemptOutcome.LEASE_LOST, error.message)
        except Interrupted as error:
            return self._endings.release(claim, AttemptOutcome.INTERRUPTED, error.message)
        except DatabaseError as error:
            # Waited out as far as it made sense; that the database is away is nothing that the task did.
            return self._endings.release(claim, AttemptOutcome.INTERRUPTED, error.message)
        except Exception as error:  # noqa: BLE001  (the boundary: whatever a job does, the task's end is recorded)
            return self._endings.fail(claim, error)


def task_runner(workplace: Workplace, queue: TaskQueue, stop: WorkerStop) -> TaskRunner:
    """Put together what takes the messages of a queue through the life of a task."""
    outside, options, standings = workplace.outside, workplace.options, workplace.standings
    store, artefacts, lease = outside.store, outside.artefacts, options.lease
    worker_id = workplace.info.id
    to_begin = Patience(options.outage_patience, lambda: stop.requested)
    to_end = Patience(options.outage_patience, lambda: stop.over)
    resolver = Resolver(store, outside.sources, artefacts, outside.open_store, to_end)
    return TaskRunner(
        store,
        queue,
        Claiming(
            workplace.job,
            worker_id,
            store,
            outside.sources,
            default_source=options.default_source,
            lease=lease,
            patience=to_begin,
        ),
        Attempts(
            workplace.job_workers,
            resolver,
            Computer(artefacts, resolver, standings, options.work_dir),
            Publisher(worker_id, store, artefacts, standings, lease=lease, patience=to_end),
        ),
        Endings(store, outside.queues, standings, to_end),
        standings,
        stop,
        lease=lease,
    )
