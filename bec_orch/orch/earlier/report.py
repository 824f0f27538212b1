"""What became of the earlier system's records: taken over, there already, or left out, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bec_orch.core.records.earlier import Intake

MOST_EXAMPLES = 20
"""How many of what was left out are told one by one, for each code."""


class Verdict(StrEnum):
    """What became of a job."""

    TAKEN = "taken"
    THERE = "there already"
    LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True)
class JobVerdict:
    """What became of a job of the earlier system.

    `config_left_out` says what of its config has no meaning here; `code`, `message` and `hint` why it was left out;
    `root` is the folder of its artefacts.
    """

    name: str
    type: str | None
    verdict: Verdict
    config_left_out: str = ""
    code: str = ""
    message: str = ""
    hint: str = ""
    root: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A volume, or finished work on it (`job` is named then), that was left out."""

    job: str | None
    volume: str
    code: str
    message: str


@dataclass
class Tally:
    """What became of many volumes or tasks: how many were taken, were there, or were left out, by code."""

    intake: Intake = field(default_factory=Intake)
    left_out: dict[str, int] = field(default_factory=dict)

    def leave_out(self, code: str, count: int = 1) -> None:
        """Count what is left out."""
        self.left_out[code] = self.left_out.get(code, 0) + count


@dataclass(frozen=True, slots=True)
class JobReport:
    """A job, its finished tasks, and how many tasks of it are not done there, by status."""

    job: JobVerdict
    done: Tally
    undone: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import took over, and what it did not.

    `examples` are some of what was left out, the first of each code. `of_no_job` counts finished tasks whose job is not
    there any more.
    """

    jobs: tuple[JobReport, ...]
    volumes: Tally
    of_no_job: int
    examples: tuple[LeftOut, ...]
    dry_run: bool

    @property
    def is_whole(self) -> bool:
        """Whether nothing was left out but what is not done."""
        of_jobs = any(one.done.left_out or one.job.verdict is Verdict.LEFT_OUT for one in self.jobs)
        return not (of_jobs or self.volumes.left_out or self.of_no_job)
