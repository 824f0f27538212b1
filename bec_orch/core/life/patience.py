"""Waiting out an outage of the database, where the work at hand is finished and must not be thrown away."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import stamina

from bec_orch.errors import DatabaseError, DatabaseRefused

T = TypeVar("T")


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the database is waited for: `seconds`, but not once `in_vain` says that somebody asked for an end."""

    seconds: float
    in_vain: Callable[[], bool] = _never

    def __call__(self, action: Callable[[], T]) -> T:
        """Do the action, again and again while the database is away. The action must bear being repeated.

        Raises:
            DatabaseError: the database was away for all that time, or refused for a reason that waiting does not mend.
        """
        for attempt in stamina.retry_context(
            on=self._is_passing, attempts=None, timeout=self.seconds, wait_initial=0.2, wait_max=5.0, wait_jitter=0.5
        ):
            with attempt:
                return action()
        raise AssertionError  # pragma: no cover - the context either returns or raises

    def _is_passing(self, error: Exception) -> bool:
        return isinstance(error, DatabaseError) and not isinstance(error, DatabaseRefused) and not self.in_vain()
