"""Counts by state, as bars and words."""

from collections.abc import Mapping
from dataclasses import dataclass

from bec_orch.core.records.overview import GraphNode
from bec_orch.core.tasks import TaskState
from bec_orch.orch.overview.standing import JobStats

ORDER = (
    TaskState.DONE,
    TaskState.RUNNING,
    TaskState.QUEUED,
    TaskState.WAITING,
    TaskState.RETRYABLE_FAILED,
    TaskState.TERMINAL_FAILED,
    TaskState.CANCELED,
)
_WORDS = {TaskState.RETRYABLE_FAILED: "to be tried again", TaskState.TERMINAL_FAILED: "failed"}


@dataclass(frozen=True, slots=True)
class Share:
    """How many are in a state, where in the bar they begin and how far they go, in thousandths."""

    state: TaskState
    word: str
    count: int
    begin: float
    width: float


def counts_of(node: GraphNode | None, stats: JobStats | None) -> Mapping[TaskState, int]:
    """Return how many volumes of a job are in each state, each by its newest task.

    Tasks are counted anew for each page, volumes take the database longer: what both were when the volumes were counted
    says how many tasks are older ones. Until they are, all tasks count.
    """
    if stats is None or node is None:
        return stats.volumes if stats else node.tasks if node else {}
    older = {state: count - stats.volumes.get(state, 0) for state, count in stats.tasks.items()}
    return {state: max(0, count - older.get(state, 0)) for state, count in node.tasks.items()}


def shares(counts: Mapping[TaskState, int]) -> list[Share]:
    """Return the shares of the states that there are any of."""
    total = sum(counts.values())
    begin = 0.0
    found = []
    for state in ORDER:
        count = counts.get(state, 0)
        if count:
            width = 1000 * count / total
            found.append(Share(state, _WORDS.get(state, state.value), count, begin, width))
            begin += width
    return found
