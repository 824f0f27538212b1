"""From a queue's message to a task that is ours: received, claimed."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from bec_orch.core.life.patience import Patience
from bec_orch.core.messages import parse_message
from bec_orch.core.ports.queues import ReceivedMessage
from bec_orch.core.ports.sources import SourceFactory
from bec_orch.core.ports.task_store import TaskStore
from bec_orch.core.tasks import Claim, ClaimRefused, Failure, Job, Refusal
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import RetryableError


@dataclass(frozen=True, slots=True)
class Received:
    """A message that names a volume."""

    message: ReceivedMessage
    volume: VolumeRef


@dataclass(frozen=True, slots=True)
class Claimed:
    """A task that is ours. The claim was sent at `sent_at`, by the monotonic clock."""

    message: ReceivedMessage
    claim: Claim
    sent_at: float


class Claiming:
    """Takes the tasks of one job for one worker.

    Args:
        job: the job.
        worker_id: the worker.
        store: where its tasks are.
        sources: open the sources of volumes, for the names that these have there.
        default_source: the source of messages that name none.
        lease: seconds that a claim holds without a renewal.
        patience: how long the database is waited for.
    """

    def __init__(
        self,
        job: Job,
        worker_id: str,
        store: TaskStore,
        sources: SourceFactory,
        *,
        default_source: str,
        lease: float,
        patience: Patience,
    ) -> None:
        self._job = job
        self._worker_id = worker_id
        self._store = store
        self._sources = sources
        self._default_source = default_source
        self._lease = lease
        self._patiently = patience

    def receive(self, message: ReceivedMessage) -> Received:
        """Read a message.

        Raises:
            TerminalError: it names no volume of ours.
        """
        return Received(message, parse_message(message.body, self._job.name, self._default_source))

    def claim(self, received: Received) -> Claimed | ClaimRefused:
        """Claim the task that a message names; one that was never enqueued is made first.

        Repeated with the same token for as long as the database is away: a claim whose acknowledgement was lost is
        ours, and would otherwise stand in the way, and be charged, until its lease ends.

        Raises:
            DatabaseError: the database was away for too long.
            TerminalError: the volume's source is not one that workers may read.
        """
        token = uuid4()
        answer = self._patiently(self._claiming(received, token))
        if isinstance(answer, ClaimRefused) and answer.refusal is Refusal.UNKNOWN:
            volume = self._spelled(received.volume)
            self._store.ensure_task(self._job, volume)
            return self._patiently(self._claiming(replace(received, volume=volume), token))
        return answer

    def reject(self, message: ReceivedMessage, failure: Failure) -> None:
        """Record that a message names no task, and why.

        Raises:
            DatabaseError: the database is away.
        """
        self._store.record_rejected(self._job, message.body, failure)

    def _spelled(self, volume: VolumeRef) -> VolumeRef:
        """Return a volume by the names that it is recorded under, else by those that it has in its source.

        A source that is away leaves the names as they are given: whoever reads the volume reports it.
        """
        recorded = self._store.spelled(volume)
        if recorded != volume or str(volume).isascii():  # names in ASCII have one form
            return recorded
        try:
            return self._sources(volume.source).spelled(volume)
        except RetryableError:
            return volume

    def _claiming(self, received: Received, token: UUID) -> Callable[[], Claimed | ClaimRefused]:
        def claim() -> Claimed | ClaimRefused:
            sent_at = time.monotonic()
            answer = self._store.claim(
                self._job, received.volume, worker_id=self._worker_id, token=token, lease=self._lease
            )
            return answer if isinstance(answer, ClaimRefused) else Claimed(received.message, answer, sent_at)

        return claim
