"""Waiting out an outage of the database, where the work at hand is finished and must not be thrown away."""

from collections.abc import Callable
from typing import TypeVar

import stamina

from bec_orch.errors import DatabaseError, DatabaseRefused

T = TypeVar("T")


def _never() -> bool:
    return False


def patiently(action: Callable[[], T], seconds: float, *, in_vain: Callable[[], bool] = _never) -> T:
    """Do the action, again and again for `seconds` while the database is away. The action must bear being repeated.

    Args:
        action: what to do.
        seconds: how long to try.
        in_vain: tells after a failed try that it is not tried again, as when somebody asked for an end.

    Raises:
        DatabaseError: the database was away for all that time, or refused for a reason that waiting does not mend.
    """

    def is_passing(error: Exception) -> bool:
        return isinstance(error, DatabaseError) and not isinstance(error, DatabaseRefused) and not in_vain()

    for attempt in stamina.retry_context(
        on=is_passing, attempts=None, timeout=seconds, wait_initial=0.2, wait_max=5.0, wait_jitter=0.5
    ):
        with attempt:
            return action()
    raise AssertionError  # pragma: no cover - the context either returns or raises
