"""Takes over the earlier system's jobs: a type by the longest known prefix, the line job by the end of the name."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bec_orch.core.job_types.registry import job_worker_class, type_of_name
from bec_orch.core.names import escaped, printable
from bec_orch.core.records.earlier import EarlierJob
from bec_orch.errors import UsageError
from bec_orch.orch.earlier.report import JobVerdict, Verdict
from bec_orch.orch.job_admin import JobAdmin

_BY_HAND = "Make it with `bec jobs create`, then run the same command again: its finished work is taken over then."
_MOST_KEYS = 20
_PREFIX = "artifact_prefix"
"""The key of a config that names the folder of a job's artefacts: a field of the job itself here."""


class JobIntake:
    """Takes over jobs into one database. `dry_run` checks all that it would do, and does nothing."""

    def __init__(self, admin: JobAdmin, *, dry_run: bool) -> None:
        self._admin = admin
        self._dry_run = dry_run
        jobs = admin.list()
        self._known = {job.name: job.type for job in jobs}
        self._roots = {job.name: job.root for job in jobs}

    def take(self, jobs: Sequence[EarlierJob]) -> dict[int, JobVerdict]:
        """Take jobs over, those first that others need; return what became of each, by its number there."""
        in_order = sorted(jobs, key=lambda job: _depth(type_of_name(job.name)))
        verdicts = {job.id: self._verdict(job) for job in in_order}
        return {job.id: verdicts[job.id] for job in jobs}

    def _verdict(self, job: EarlierJob) -> JobVerdict:
        if job.name in self._known:
            return JobVerdict(job.name, self._known[job.name], Verdict.THERE, root=self._roots[job.name])
        job_type = type_of_name(job.name)
        if job_type is None:
            message = f"No installed job type is the beginning of the name {printable(job.name)}."
            hint = "`bec jobs types` lists the installed ones. Its artefacts stay as they are."
            return JobVerdict(job.name, None, Verdict.LEFT_OUT, code="E_JOB_TYPE", message=message, hint=hint)
        try:
            root, left_out = self._make(job, job_type)
        except UsageError as error:
            told = {"code": error.code, "message": error.message, "hint": f"{error.hint} {_BY_HAND}".strip()}
            return JobVerdict(job.name, job_type, Verdict.LEFT_OUT, **told)
        self._known[job.name] = job_type
        return JobVerdict(job.name, job_type, Verdict.TAKEN, left_out, root=root)

    def _make(self, job: EarlierJob, job_type: str) -> tuple[str, str]:
        """Make a job with what its type knows of the config; return its folder, and what was left out of the config."""
        worker = job_worker_class(job_type)
        config, left_out = read_config(job.config, {*worker.config_type.model_fields, _PREFIX})
        prefix = config.pop(_PREFIX, None) or None
        needed = line_job(job.name, [name for name, known in self._known.items() if known in worker.needs])
        made = self._admin.create(
            job.name,
            job_type,
            config,
            artifact_prefix=None if prefix is None else str(prefix),
            depends_on=(needed,) if needed else (),
            dry_run=self._dry_run,
        )
        return made.root, left_out


def line_job(name: str, candidates: Sequence[str]) -> str | None:
    """Return the job whose artefacts a job reads: the one that its name ends with, else the only one there is."""
    at_the_end = [one for one in candidates if name.endswith((f"-{one}", f"_{one}"))]
    if at_the_end:
        return max(at_the_end, key=len)
    return candidates[0] if len(candidates) == 1 else None


def read_config(text: str | None, fields: Collection[str]) -> tuple[dict[str, Any], str]:
    """Return the keys of a config that are fields of ours, and in words what is none of them."""
    if text is None:
        return {}, "all of it: it is too long"
    if not text.strip():
        return {}, ""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return {}, "all of it: it is no JSON object"
    return {key: value for key, value in found.items() if key in fields}, _other_keys(found, fields)


def _other_keys(found: Mapping[str, Any], fields: Collection[str]) -> str:
    others = sorted(key for key in found if key not in fields)
    more = f" and {len(others) - _MOST_KEYS} more" if len(others) > _MOST_KEYS else ""
    return ", ".join(escaped(key[:40]) for key in others[:_MOST_KEYS]) + more


def _depth(job_type: str | None) -> int:
    """Count the steps from a type to one that needs none: types that others need come first."""
    try:
        needs = job_worker_class(job_type).needs if job_type else ()
    except UsageError:
        return 0
    return 1 + max(map(_depth, needs)) if needs else 0
