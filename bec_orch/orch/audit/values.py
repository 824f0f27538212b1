"""What an audit holds the archive to, and what it found."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bec_orch.core.artefacts import ArtefactLocation
from bec_orch.core.records.ledger import JobStates
from bec_orch.core.volumes import VolumeRef

EXAMPLES = 5


class Repair(StrEnum):
    """What `--fix` does about a violation: always something that the program does anyway."""

    NOTHING = "nothing"
    DISPATCH = "dispatch"
    ANNOUNCE = "hint"  # the name that `--json` has for it
    REOPEN = "reopen"
    RETRACT = "retract"
    ENQUEUE = "enqueue"
    REDRIVE = "redrive"
    SWEEP = "sweep"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Invariant:
    """What must hold at every moment. `promise` is its number among the guarantees (docs/guarantees.md)."""

    code: str
    promise: str
    holds: str
    hint: str
    deep: bool = False


_AGAIN = "`bec audit --fix` takes the artefact back and queues the task; a worker makes it again."

STATES = Invariant(
    "E_AUDIT_STATES",
    "G1",
    "The states add up to the tasks enqueued",
    "Somebody changed the table `tasks` by hand: give these tasks a state that `bec jobs tasks --state` knows.",
)
HISTORY = Invariant(
    "E_AUDIT_HISTORY",
    "G6",
    "A task is done once; one is open per volume",
    "This is a fault of the program, or the tables were changed by hand: report it with what `--json` prints.",
)
MESSAGES = Invariant(
    "E_AUDIT_HINT",
    "G2",
    "A queued task has a message, or will be sent",
    "Workers send the messages again after BEC_REDISPATCH_AFTER_SECONDS; `bec audit --fix` does so now.",
)
LEFT = Invariant(
    "E_AUDIT_LEFT",
    "G14",
    "Workers take over, and release, what they should",
    "Look into the workers' logs for `maintenance.failed`; `bec audit --fix` does what they should have done.",
)
NO_SUCCESS = Invariant(
    "E_AUDIT_NO_SUCCESS",
    "G9",
    "Done in the database: a success.json is there",
    "`bec audit --fix` queues the task; a worker makes the artefact again.",
)
NOT_RECORDED = Invariant(
    "E_AUDIT_NOT_RECORDED",
    "G9",
    "A success.json is there: done in the database",
    "`bec audit --fix` queues the volume, if its source is known here; a worker looks at the artefact and adopts it.",
)
UNREADABLE = Invariant(
    "E_AUDIT_UNREADABLE",
    "G7",
    "Each success.json can be read",
    "`bec audit --fix` takes back one that still says that it is ours; move others away by hand, then run it again.",
)
VERSION = Invariant("E_AUDIT_VERSION", "G10", "success.json is of the task's volume and version", _AGAIN)
RECORD = Invariant(
    "E_AUDIT_RECORD",
    "G9",
    "The database records what success.json says",
    "`bec audit --fix` queues the task; a worker adopts the artefact and records what it says.",
)
PAGES = Invariant("E_AUDIT_PAGES", "G12", "ok, skipped and error add up to the pages", _AGAIN)
FILE = Invariant("E_AUDIT_FILE", "G7", "The files of success.json are there, of its size", _AGAIN)
NAME = Invariant(
    "E_AUDIT_NAME",
    "G7",
    "The conventional name holds the artefact's file",
    "Workers put it there when they next look at the artefact; `bec audit --fix` does so now.",
)
LITTER = Invariant(
    "E_AUDIT_LITTER",
    "G8",
    "Nothing of ended attempts lies beside it",
    "`bec audit --fix` removes it now; workers, when they next look, what attempts older than the artefact left.",
)
OPENS = Invariant("E_AUDIT_OPENS", "G7", "Each file opens as Parquet", _AGAIN, deep=True)
DIGEST = Invariant("E_AUDIT_DIGEST", "G7", "Each file has its size and SHA-256", _AGAIN, deep=True)
ROWS = Invariant("E_AUDIT_ROWS", "G7", "Each file has one row per page", _AGAIN, deep=True)
NAMES = Invariant("E_AUDIT_NAMES", "G7", "The rows are the manifest's pages, in order", _AGAIN, deep=True)
LEDGER = Invariant("E_AUDIT_LEDGER", "G12", "Rows ok, skipped and error: as success.json says", _AGAIN, deep=True)

INVARIANTS = (
    *(
        STATES,
        HISTORY,
        MESSAGES,
        LEFT,
        NO_SUCCESS,
        NOT_RECORDED,
        UNREADABLE,
        VERSION,
        RECORD,
        PAGES,
        FILE,
        NAME,
        LITTER,
    ),
    *(OPENS, DIGEST, ROWS, NAMES, LEDGER),
)


@dataclass(frozen=True, slots=True)
class Violation:
    """One place where an invariant does not hold, with what a repair needs to know.

    `count` is above 1 where things can be counted, but not distinguished. `task_ids` are the tasks that the database
    calls done for the artefact, `etag` is that of its `success.json` (None: it could not be read), `ended` the newest
    attempt.
    """

    invariant: Invariant
    job: str
    message: str
    volume: VolumeRef | None = None
    task_ids: tuple[int, ...] = ()
    repair: Repair = Repair.NOTHING
    location: ArtefactLocation | None = None
    etag: str | None = None
    ended: int = 0
    count: int = 1


@dataclass(frozen=True, slots=True)
class Finding:
    """How often an invariant was violated, with a few examples, and how many violations a repair was begun for."""

    invariant: Invariant
    violations: int = 0
    repaired: int = 0
    examples: tuple[Violation, ...] = ()

    def with_(self, violation: Violation, *, repaired: bool) -> "Finding":
        """Add one violation."""
        examples = (*self.examples, violation)[:EXAMPLES]
        count = violation.count
        return Finding(self.invariant, self.violations + count, self.repaired + repaired * count, examples)


@dataclass(frozen=True, slots=True)
class Looked:
    """How much an audit looked at: artefacts, files that were opened, manifests that these were held against.

    `foreign` are the artefacts among them that others made; `names_of_others` those of ours whose conventional name
    holds a file of others, which stays.
    """

    artefacts: int = 0
    files: int = 0
    manifests: int = 0
    foreign: int = 0
    names_of_others: int = 0

    def __add__(self, other: "Looked") -> "Looked":
        return Looked(
            self.artefacts + other.artefacts,
            self.files + other.files,
            self.manifests + other.manifests,
            self.foreign + other.foreign,
            self.names_of_others + other.names_of_others,
        )


@dataclass
class Report:
    """What an audit found. `deep`: whether files were opened."""

    deep: bool
    states: tuple[JobStates, ...]
    looked: Looked = field(default_factory=Looked)
    findings: dict[str, Finding] = field(default_factory=dict)

    def __post_init__(self) -> None:
        held = (invariant for invariant in INVARIANTS if self.deep or not invariant.deep)
        self.findings = {invariant.code: Finding(invariant) for invariant in held}

    @property
    def violations(self) -> int:
        """All violations."""
        return sum(finding.violations for finding in self.findings.values())

    def add(self, violation: Violation, *, repaired: bool) -> None:
        """Count a violation."""
        code = violation.invariant.code
        self.findings[code] = self.findings[code].with_(violation, repaired=repaired)

    def violated(self) -> Iterator[Finding]:
        """Return the invariants that do not hold."""
        return (finding for finding in self.findings.values() if finding.violations)

    def to_json(self) -> Mapping[str, object]:
        """Return the report as plain values."""
        return {
            "clean": not self.violations,
            "deep": self.deep,
            "looked_at": self.looked,
            "states": self.states,
            "invariants": [_finding_json(finding) for finding in self.findings.values()],
        }


def unaccounted(states: Iterable[JobStates]) -> Iterator[Violation]:
    """Yield the jobs whose tasks are not each in one of the seven states."""
    for job in states:
        if job.unaccounted:
            message = f"{job.unaccounted} of {job.enqueued} tasks are in none of the seven states"
            yield Violation(STATES, job.job, message, count=abs(job.unaccounted))


def _finding_json(finding: Finding) -> Mapping[str, object]:
    invariant = finding.invariant
    examples = [
        {
            "job": found.job,
            "volume": str(found.volume) if found.volume else None,
            "tasks": found.task_ids,
            "message": found.message,
        }
        for found in finding.examples
    ]
    return {
        "code": invariant.code,
        "promise": invariant.promise,
        "holds": invariant.holds,
        "violations": finding.violations,
        "repaired": finding.repaired,
        "examples": examples,
        "hint": invariant.hint,
    }
