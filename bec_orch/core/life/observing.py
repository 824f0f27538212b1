"""What a person, or a metric, is shown of a worker."""

from typing import Protocol

from typing_extensions import override

from bec_orch.core.life.standings import Standing, Subscriber, TaskEnd
from bec_orch.core.tasks import Claim
from bec_orch.core.volumes import Manifest


class WorkerObserver(Protocol):
    """Is notified of what a worker does, to show it to a person. Called from the worker's threads; must be quick."""

    def task_started(self, claim: Claim, manifest: Manifest) -> None:
        """An attempt has its manifest, and begins."""
        ...

    def pages_done(self, claim: Claim, done: int, total: int) -> None:
        """This many of the volume's pages have a row now."""
        ...

    def task_ended(self, end: TaskEnd) -> None:
        """An attempt ended."""
        ...


class Observed(Subscriber):
    """Notifies an observer of what changes."""

    def __init__(self, observer: WorkerObserver) -> None:
        self._observer = observer

    @override
    def changed(self, before: Standing | None, now: Standing | None) -> None:
        if now is None or before is None:
            return
        if now.manifest and before.manifest is None:
            self._observer.task_started(now.claim, now.manifest)
        if now.done is not None and now.done != before.done:
            self._observer.pages_done(now.claim, now.done, now.total)

    @override
    def ended(self, end: TaskEnd) -> None:
        self._observer.task_ended(end)
