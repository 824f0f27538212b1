"""Pages that are listed and were not found: a mount or a bucket that was away for a moment looks just like this.

Their rows are held back until all other pages are done. Then the volume's folder is listed once more, and only a page
that it does not name either is missing.
"""

import threading

from typing_extensions import override

from bec_orch.core.ports.job_worker import RowStore
from bec_orch.core.ports.sources import ImageSource
from bec_orch.core.tasks import Claim
from bec_orch.core.volumes import Manifest, PageCounts, PageOutcome
from bec_orch.core.wording import counted
from bec_orch.errors import RetryableError, TaskFault

PAGE_MISSING = "E_PAGE_MISSING"


class DoubtedRows(RowStore):
    """The rows of an attempt (a `RowStore`), without those of missing pages until they are believed."""

    def __init__(self, rows: RowStore) -> None:
        self._rows = rows
        self._lock = threading.Lock()
        self._held: list[PageOutcome] = []

    @override
    def finished(self) -> frozenset[int]:
        return self._rows.finished()

    @override
    def add(self, outcome: PageOutcome) -> None:
        """Take a row; that of a missing page is held back."""
        if (outcome.error_stage, outcome.error_type) != ("fetch", PAGE_MISSING):
            self._rows.add(outcome)
            return
        with self._lock:
            self._held.append(outcome)

    @override
    def flush(self) -> None:
        self._rows.flush()

    @override
    def counts(self) -> PageCounts:
        """Count the rows, those that are held back, too."""
        with self._lock:
            return self._rows.counts() + PageCounts(error=len(self._held))

    @property
    def any_held(self) -> bool:
        """Whether a page was missing."""
        return bool(self._held)

    def believe(self, source: ImageSource, manifest: Manifest, claim: Claim) -> None:
        """Add what was held back, once the volume's folder lacks these pages, too.

        Raises:
            RetryableError: a page is there now, or the store is away; all other pages are kept for the next attempt.
        """
        there = source.filenames(claim.volume)
        names = [manifest.pages[outcome.index].filename for outcome in self._held]
        back = [name for name in names if name in there]
        if back:
            self._rows.flush()
            raise _came_back(claim, back)
        for outcome in self._held:
            self._rows.add(outcome)
        self._held = []


def _came_back(claim: Claim, names: list[str]) -> RetryableError:
    """Return the error of pages that were missing for a moment. The second time in a row it is charged: so it ends."""
    kind = TaskFault if claim.last_failure == PAGE_MISSING else RetryableError
    return kind(
        f"{counted(len(names), 'page')} of {claim.volume} could not be found, '{names[0]}' for one, but the folder "
        "lists what is missing.",
        code=PAGE_MISSING,
        hint="They are tried again. Where it happens often, look at the mount or the bucket.",
    )
