"""A fault, and the list of all."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.lane import EMBEDDED, FLEET
from tests.faults.scene import Scene

BOTH = frozenset({EMBEDDED, FLEET})


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that can befall a job.

    Args:
        row: the row of the guarantees' list that it stands for, `F01` to `F47`.
        name: what happens, in a few words.
        strike: makes it happen to a scene, and leaves the scene for fresh workers to finish.
        backends: where it can happen.
        migrated: whether the scene begins with tables and a job.
        alone: whether it says so much about how the scene ends that no other fault can go with it.
        short: whether it belongs to the short campaign.
        after: what to look at when all is finished, and may note broken promises.
    """

    row: str
    name: str
    strike: Callable[[Scene], None]
    backends: frozenset[str] = BOTH
    migrated: bool = True
    alone: bool = False
    short: bool = False
    after: Callable[[Scene], None] | None = None


FAULTS: list[Fault] = []


def add(fault: Fault) -> None:
    """Put a fault on the list."""
    FAULTS.append(fault)
