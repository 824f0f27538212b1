"""The commit point: from then on readers find what a task left."""

import contextlib
from dataclasses import dataclass
from typing import Any

from bec_orch.core.artefacts import Success
from bec_orch.core.fault_points import FaultPoint, reached
from bec_orch.core.life.computing import Computed
from bec_orch.core.life.patience import Patience
from bec_orch.core.life.resolving import Pinned
from bec_orch.core.life.standings import Stage, Standings
from bec_orch.core.ports.artefact_store import ArtefactStore, AttemptFiles
from bec_orch.core.ports.task_store import TaskStore
from bec_orch.core.success import adopted_result, foreign_artefact, further_rows, is_wanted, success_content
from bec_orch.core.tasks import TaskResult
from bec_orch.errors import PagesFailed, RetryableError


@dataclass(frozen=True, slots=True)
class Published:
    """A task whose artefact is there, made now or found; the database is to record the result."""

    result: TaskResult


class Publisher:
    """Puts `success.json`, while the database holds the task for its attempt.

    Args:
        worker_id: who publishes.
        store: where the tasks are.
        artefacts: the destination.
        standings: where the tasks stand.
        lease: seconds for which the claim is renewed.
        patience: how long the database is waited for.
    """

    def __init__(
        self,
        worker_id: str,
        store: TaskStore,
        artefacts: ArtefactStore,
        standings: Standings,
        *,
        lease: float,
        patience: Patience,
    ) -> None:
        self._worker_id = worker_id
        self._store = store
        self._artefacts = artefacts
        self._standings = standings
        self._lease = lease
        self._patiently = patience

    def adopt(self, pinned: Pinned) -> Published | None:
        """Take what lies where the task's artefact is to go for its result; None when it is to be made.

        Raises:
            PlaceTaken: it is somebody else's, and nobody asked to take it over or to replace it (E_ARTEFACT_FOREIGN).
        """
        found = pinned.found
        if found is None or not self._is_good(found, pinned):
            return None
        self._name(found)
        return _adopted(found, pinned, own=found.task_uid == pinned.claim.task_uid)

    def publish(self, computed: Computed, files: AttemptFiles) -> Published:
        """Publish an artefact, or adopt what somebody else published meanwhile.

        Raises:
            LeaseLost: the claim is no longer ours.
            PlaceTaken: what lies there by now is foreign, and nobody asked to take it over; or the store keeps it.
            RetryableError: database or store are away.
        """
        pinned, result = computed.pinned, computed.result
        self._standings.enter(pinned.claim, Stage.COMMIT)
        held = self._put(computed)
        # What is left lying is removed by a later round of maintenance: the work itself is safe by now.
        with contextlib.suppress(RetryableError):
            files.discard_parts()
            self._artefacts.sweep(held)
        self._name(held)
        if held.files == result.files:
            return Published(result)
        if not self._artefacts.owns(held) and not self._is_taken_over(held, pinned):
            raise foreign_artefact(held, pinned.claim)
        return _adopted(held, pinned, own=False)

    def leave_partial(self, computed: Computed, failed: PagesFailed, files: AttemptFiles) -> None:
        """Mark what was computed as a partial artefact, which tells why it is none.

        Raises:
            RetryableError: the store is away.
        """
        files.mark_partial({**self._content(computed), "failure": {"code": failed.code, "message": failed.message}})

    def _name(self, held: Success) -> None:
        """Have readers that look for the conventional name find it, now or in a later round of maintenance."""
        with contextlib.suppress(RetryableError):
            self._artefacts.name_conventionally(held)

    def _put(self, computed: Computed) -> Success:
        pinned, claim = computed.pinned, computed.pinned.claim
        content = self._content(computed)

        def put() -> Success:
            with self._store.fence(claim, self._lease):
                reached(FaultPoint.TASK_FENCED)
                return self._artefacts.commit(pinned.resolved.location(), content, replaces=pinned.found)

        held = self._patiently(put)
        reached(FaultPoint.SUCCESS_PUT)
        return held

    def _content(self, computed: Computed) -> dict[str, Any]:
        pinned = computed.pinned
        return success_content(pinned.claim, pinned.manifest, computed.result, self._worker_id, pinned.resolved.begun)

    def _is_good(self, found: Success, pinned: Pinned) -> bool:
        """Return whether what is there is to be adopted; if not, it may be replaced."""
        if self._artefacts.owns(found):
            return self._is_as_wanted(found, pinned)
        if found.etag == pinned.claim.replace_foreign:
            return False
        if not self._is_taken_over(found, pinned):
            raise foreign_artefact(found, pinned.claim)
        return True

    def _is_taken_over(self, found: Success, pinned: Pinned) -> bool:
        return pinned.claim.adopt_foreign and self._is_as_wanted(found, pinned)

    def _is_as_wanted(self, found: Success, pinned: Pinned) -> bool:
        wanted = is_wanted(found, pinned.claim, pinned.manifest, pinned.key)
        return wanted and self._artefacts.verify(found, len(pinned.manifest.pages) + further_rows(found))


def _adopted(found: Success, pinned: Pinned, *, own: bool) -> Published:
    manifest = pinned.manifest
    return Published(adopted_result(found, manifest.etag, len(manifest.pages), own=own))
