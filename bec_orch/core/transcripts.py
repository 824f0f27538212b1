"""What a page says, and where: the value that job types hand on, and that documents are written from and read to.

Coordinates are pixels (x, y) of the stored bitmap, with the origin at the top left, whatever was rotated or flattened
for the job.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from bec_orch.core.artefacts import ModelInfo
from bec_orch.core.volumes import VolumeRef

Point = tuple[int, int]

Kind = Literal["main", "running", "margin", "note", "other"]
MAIN: Kind = "main"
KINDS: tuple[Kind, ...] = get_args(Kind)
"""The kinds of lines (docs/decisions.md, 70)."""
UNSURE_PAGES = "unsure_pages"
"""The counter that says how many pages are read with little confidence for the most part."""


@dataclass(frozen=True, slots=True)
class Line:
    """A text line.

    Attributes:
        polygon: its outline; empty where its place is not known.
        baseline: the line that its letters stand on, from its beginning to its end; empty where it is not known.
        text: what it says; None where nobody read it.
        confidence: how sure the reader is, 0 to 1; None where it does not say.
        kind: one of `KINDS`.
        score: how sure whoever found the line is that it is one, 0 to 1; None where it does not say.
    """

    polygon: tuple[Point, ...]
    baseline: tuple[Point, ...] = ()
    text: str | None = None
    confidence: float | None = None
    kind: str = MAIN
    score: float | None = None

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The smallest upright box (x, y, width, height) that holds all pixels of the polygon."""
        left, top = (min(point[axis] for point in self.polygon) for axis in (0, 1))
        right, bottom = (max(point[axis] for point in self.polygon) for axis in (0, 1))
        return left, top, right - left + 1, bottom - top + 1


@dataclass(frozen=True, slots=True)
class PageContent:
    """What a job found on a page.

    Attributes:
        lines: its lines, in reading order.
        size: (width, height) of the stored bitmap; None where the job does not record it.
        rotation: degrees by which the page must be rotated to level its lines (positive: counter-clockwise on the
            screen); None where they are level.
    """

    lines: tuple[Line, ...] = ()
    size: tuple[int, int] | None = None
    rotation: float | None = None

    @property
    def text(self) -> str:
        """The text of its main lines, one a line."""
        return "\n".join(line.text or "" for line in self.lines if line.kind == MAIN)


@dataclass(frozen=True, slots=True)
class PageRecord:
    """A page of a volume with its content.

    Attributes:
        index: its place in the manifest, from 0.
        image: the name of its image file.
        content: what was found on it; empty where it was not done.
        note: why it was not done; empty where it was.
    """

    index: int
    image: str
    content: PageContent = field(default_factory=PageContent)
    note: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """How a volume's rows were made, as its artefact says; what an older artefact does not say is empty.

    Attributes:
        volume: the volume.
        job: the job's name.
        job_type: its type.
        engine: what its config names as the engine, else the type.
        models: the models that it ran with.
        code_version: the version of the job type's code.
        config_hash: the hash of what in its config can change the output.
        finished_at: when it was done, ISO 8601.
        digest: the SHA-256 of the artefact's file, or what else identifies it.
        is_partial: the volume is not done: these are rows that its attempts left.
    """

    volume: VolumeRef
    job: str
    job_type: str = ""
    engine: str = ""
    models: tuple[ModelInfo, ...] = ()
    code_version: str = ""
    config_hash: str = ""
    finished_at: str = ""
    digest: str = ""
    is_partial: bool = False

    def facts(self) -> tuple[tuple[str, str], ...]:
        """Return what is known, in order, each with its name."""
        every = (
            ("program", "bec_orch"),
            ("job", self.job),
            ("partial", "the volume is not done" if self.is_partial else ""),
            ("job type", self.job_type),
            ("engine", self.engine),
            *(("model", f"{model.name} sha256:{model.digest}") for model in self.models),
            ("code version", self.code_version),
            ("config hash", self.config_hash),
            ("finished at", self.finished_at),
            ("artefact sha256", self.digest),
        )
        return tuple((name, value) for name, value in every if value)


def each_once(kinds: tuple[Kind, ...]) -> tuple[Kind, ...]:
    """Return some kinds in one order, so that the same choice of a config has the same hash."""
    return tuple(kind for kind in KINDS if kind in kinds)


def known(kind: Any) -> str:
    """Return a kind of lines, `other` for one that nobody knows."""
    return kind if kind in KINDS else KINDS[-1]


def corners_of(size: tuple[int, int]) -> tuple[Point, ...]:
    """Return the outline of a whole page of this (width, height)."""
    right, bottom = size[0] - 1, size[1] - 1
    return (0, 0), (right, 0), (right, bottom), (0, bottom)


def state_note(row: Mapping[str, Any]) -> str:
    """Return why a page's row has nothing of the job's, empty where it has.

    Args:
        row: its `ok`, `skipped`, `skip_reason` and `error_type`, as far as the artefact has such columns.
    """
    if row.get("skipped"):
        return f"skipped: {row.get('skip_reason') or 'no reason told'}"
    return "" if row.get("ok") is not False else f"error: {row.get('error_type') or 'not told'}"
