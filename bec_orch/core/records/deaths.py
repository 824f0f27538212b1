"""The port of workers whose process died, and of the attempts that ended with it."""

from typing import Protocol

from bec_orch.core.life.flight import Flight
from bec_orch.core.tasks import Failure


class Deaths(Protocol):
    """Records deaths in one database."""

    def record(self, flight: Flight, failure: Failure) -> bool:
        """End an attempt whose worker died; False when it had ended already, or is somebody else's by now.

        The task is queued again. When its budget is used up, it has failed for good, with one exception: where the
        last attempts all died at one page, that page is left out from now on and the budget begins anew, as long as
        no more pages are left out than the job allows to be errors.

        Raises:
            DatabaseError: the database is away.
        """
        ...

    def end_worker(self, worker_id: str, code: str) -> None:
        """Record that a worker died, and of what, unless it signed off: from then on it is at nothing.

        Raises:
            DatabaseError: the database is away.
        """
        ...
