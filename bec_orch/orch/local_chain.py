"""Which jobs one machine runs for a job type: all that it needs, what is needed first."""

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from bec_orch.core.registry import job_worker_class
from bec_orch.errors import ConfigError


def local_chain(job_type: str) -> Mapping[str, tuple[str, ...]]:
    """Give the job types that a job type needs, directly or through others, and itself, each with what it needs.

    Each comes after those that it needs, and so the one that was asked for is the last.

    Raises:
        ConfigError: a type is not installed, or needs itself.
    """
    needs: dict[str, tuple[str, ...]] = {}
    open_types = [job_type]
    while open_types:
        current = open_types.pop()
        needs[current] = job_worker_class(current).needs
        open_types += [needed for needed in needs[current] if needed not in needs]
    try:
        order = list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        raise ConfigError(f"The job type '{job_type}' needs itself.", code="E_JOB_CIRCLE") from error
    return {name: needs[name] for name in order}
