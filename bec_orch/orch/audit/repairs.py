"""Mends what an audit found, by what the program does anyway: tasks are queued, and workers do the rest.

Every step asks again whether it is still called for: a task is queued anew only while it is done and nothing else is
open for its volume, a `success.json` is removed only while it is the one that was found to be wrong, and if it is ours.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from typing_extensions import override

from bec_orch.core.messages import TaskMessage
from bec_orch.core.ports.queues import QueueBackend
from bec_orch.core.ports.task_store import TaskStore
from bec_orch.core.records.backlog import Backlog, RedriveFilter
from bec_orch.core.records.ledger import Ledger
from bec_orch.core.tasks import Job
from bec_orch.core.volumes import VolumeRef
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.orch.ahead import batches
from bec_orch.orch.audit.audit import Repairs
from bec_orch.orch.audit.messages import MessageCheck
from bec_orch.orch.audit.values import Repair, Violation
from bec_orch.orch.backlog.enqueue import Enqueuer
from bec_orch.orch.backlog.redrive import Redriver

if TYPE_CHECKING:
    from bec_orch.core.volumes import VolumeRef

_AT_ONCE = 1000
# Tasks that were sent are left alone: an age that no message reaches.
_NEVER_LOST = 1e9

log = logging.getLogger(__name__)


class Repairer(Repairs):
    """Mends the jobs of one database, their queues and artefacts (the `Repairs` of an audit)."""

    def __init__(
        self,
        store: TaskStore,
        backlog: Backlog,
        ledger: Ledger,
        queues: QueueBackend,
        artefacts: StoredArtefacts,
        default_source: str,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._queues = queues
        self._artefacts = artefacts
        self._default_source = default_source
        self._enqueuer = Enqueuer(backlog, queues)
        self._redriver = Redriver(backlog, queues)
        self._repairs: Mapping[Repair, Callable[[Violation], bool]] = {
            Repair.NOTHING: lambda _: False,
            Repair.DISPATCH: lambda _: True,  # all tasks that lack a message are sent at the end
            Repair.ANNOUNCE: self._announce,
            Repair.REOPEN: self._reopen,
            Repair.RETRACT: self._retract,
            Repair.ENQUEUE: self._enqueue,
            Repair.REDRIVE: self._redrive,
            Repair.SWEEP: self._sweep,
            Repair.NAME: self._name,
        }
        self._unrecorded: list[VolumeRef] = []
        self._unannounced: list[TaskMessage] = []
        self._send_all_again = False

    @override
    def begin(self, violation: Violation) -> bool:
        """Begin the repair of one violation; False when nothing can be done, or nothing was left to do.

        Raises:
            DatabaseError, QueueError, StorageError: one is away; run it again.
        """
        return self._repairs[violation.repair](violation)

    @override
    def end(self, job: Job) -> None:
        """End the repairs of one job: enqueue what was gathered, and send the messages that tasks lack.

        Raises:
            DatabaseError, QueueError: one is away; run it again.
        """
        for volumes in batches(self._unrecorded, _AT_ONCE):
            self._enqueuer.enqueue(job.name, volumes)
        for messages in batches(self._unannounced, _AT_ONCE):
            self._send(job, messages)
        if self._send_all_again:
            queue = self._queues.admin(job.name)
            for messages in MessageCheck(job, self._ledger, queue, self._default_source).messages():
                self._send(job, messages)
        while unsent := self._store.undispatched(job, limit=_AT_ONCE, redispatch_after=_NEVER_LOST):
            self._send(job, unsent)
        self._unrecorded, self._unannounced, self._send_all_again = [], [], False

    def _send(self, job: Job, messages: Sequence[TaskMessage]) -> None:
        self._queues(job.name).send(messages)
        self._store.mark_dispatched(messages)

    def _announce(self, violation: Violation) -> bool:
        volume = violation.volume
        if volume is None:
            self._send_all_again = True
        else:
            self._unannounced.append(TaskMessage(volume.w_id, volume.i_id, violation.job, volume.source))
        return True

    def _reopen(self, violation: Violation) -> bool:
        self._artefacts.check_there()
        return self._reopen_tasks(violation)

    def _reopen_tasks(self, violation: Violation) -> bool:
        for task_id in violation.task_ids:
            self._store.reopen(task_id, f"{violation.invariant.code}: {violation.message}")
        return bool(violation.task_ids)

    def _retract(self, violation: Violation) -> bool:
        location = violation.location
        self._artefacts.check_there()
        if location is None or not self._artefacts.retract(location, violation.etag):
            return False
        log.warning("audit.retracted", extra={"prefix": location.prefix, "why": violation.message})
        # The store was there; that it holds nothing after this is our doing.
        self._reopen_tasks(violation)
        return True

    def _enqueue(self, violation: Violation) -> bool:
        volume = violation.volume
        if volume is None or not self._is_known(volume.source):
            return False
        self._unrecorded.append(volume)
        return True

    def _is_known(self, source: str) -> bool:
        """Return whether workers may read this source: what a file in the store names is trusted no further."""
        return bool(source) if source == self._default_source else self._ledger.knows_source(source)

    def _redrive(self, violation: Violation) -> bool:
        volume = violation.volume
        if volume is None:
            return False
        wanted = RedriveFilter(volume=(volume.w_id, volume.i_id))
        return self._redriver.redrive(violation.job, wanted).reset > 0

    def _sweep(self, violation: Violation) -> bool:
        success = self._artefacts.success(violation.location) if violation.location else None
        return success is not None and self._artefacts.sweep(success, ended=violation.ended) > 0

    def _name(self, violation: Violation) -> bool:
        success = self._artefacts.success(violation.location) if violation.location else None
        return success is not None and self._artefacts.name_conventionally(success)
