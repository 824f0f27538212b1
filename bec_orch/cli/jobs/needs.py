"""What a job needs, as the command line says it: `ldv1`, `labels:proceed`."""

from collections.abc import Sequence

from bec_orch.core.names import printable
from bec_orch.core.records.overview import GraphNode
from bec_orch.core.tasks import IfMissing, Job
from bec_orch.errors import UsageError


def parse_needs(given: Sequence[str] | None) -> dict[str, IfMissing] | None:
    """Read the values of `--depends-on`; an empty one is none, so that `--depends-on ""` takes every dependency off.

    Raises:
        UsageError: one says to do what nobody knows where the job's artefact is missing (E_IF_MISSING).
    """
    if given is None:
        return None
    return dict(_parsed(need) for needs in given for need in needs.split(",") if need)


def _parsed(need: str) -> tuple[str, IfMissing]:
    name, colon, what = need.partition(":")
    try:
        return name, IfMissing(what) if colon else IfMissing.WAIT
    except ValueError as error:
        raise UsageError(
            f"Where the artefact of {printable(name)} is missing, a task cannot {printable(what)}.",
            code="E_IF_MISSING",
            hint=f"Use one of: {', '.join(f'{name}:{known}' for known in IfMissing)}.",
        ) from error


def told_needs(job: Job | GraphNode) -> str:
    """Return what a job needs as `--depends-on` takes it."""
    policies = {name: f":{policy}" for name, policy in job.if_missing.items()}
    return ", ".join(f"{name}{policies.get(name, '')}" for name in job.depends_on)
