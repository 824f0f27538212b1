"""The volumes that are worked on, and the pages that they have."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from bec_orch.core.names import check_name
from bec_orch.errors import PageError


class PageState(StrEnum):
    """The page ledger: each page of a manifest ends in exactly one of these."""

    OK = "ok"
    SKIPPED = "skipped"
    ERROR = "error"


@dataclass(frozen=True, slots=True, order=True)
class VolumeRef:
    """One scanned book: work, image group, and the source it is read from.

    `source` is `<layout>+<url>`, for example `bdrc+s3://archive.tbrc.org` or `folder+file:///scans`.

    Raises:
        NameUnsafeError: if `w_id` or `i_id` could leave its folder or prefix.
    """

    w_id: str
    i_id: str
    source: str

    def __post_init__(self) -> None:
        check_name("work", self.w_id)
        check_name("volume", self.i_id)

    def __str__(self) -> str:
        return f"{self.w_id}/{self.i_id}"

    @property
    def as_option(self) -> str:
        """How a command line names it, where the source is clear."""
        return f"--volume {shlex.quote(str(self))}"

    @property
    def as_options(self) -> str:
        """How a command line names it and its source."""
        return f"{self.as_option} --source {shlex.quote(self.source)}"


def of_several_sources(volumes: Iterable[VolumeRef]) -> frozenset[str]:
    """Return the names (`W_ID/I_ID`) that volumes of several sources have."""
    sources: dict[str, set[str]] = {}
    for volume in volumes:
        sources.setdefault(str(volume), set()).add(volume.source)
    return frozenset(name for name, found in sources.items() if len(found) > 1)


def is_of_source(volume: VolumeRef, named: str) -> bool:
    """Return whether a volume is of a source; who names it need not say what stands behind its `#` (`dpi=400`)."""
    return named in {volume.source, volume.source.partition("#")[0]}


def source_of(named: str | None, default: str) -> str:
    """Return the source that is named, or the default one: where none is, or its layout alone (`bdrc`)."""
    return default if not named or named == default.partition("+")[0] else named


# The `skip_reason` of the pages that the library's scanners put in front of a volume.
SKIP_INTRO = "intro"


@dataclass(frozen=True, slots=True)
class Page:
    """One page image of a manifest.

    `index` is its 0-based place in the manifest; `etag` the version of the image where the source's listing has it;
    `width` and `height` the stored bitmap's pixels where the manifest has them; `skip_reason` the rule by which the
    page is not to be done, or None.
    """

    index: int
    filename: str
    etag: str | None = None
    size: int | None = None
    width: int | None = None
    height: int | None = None
    skip_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """The ordered list of a volume's page images, with the ETag that is the volume's version.

    `passed_over` counts the files beside them that are no pages, by the reason.
    """

    volume: VolumeRef
    etag: str
    pages: tuple[Page, ...]
    passed_over: Mapping[str, int] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """The first six hex digits of the ETag, as artefact keys carry them."""
        return version_of(self.etag)


def bare_etag(etag: str) -> str:
    """Return an ETag without its quotes and its weak mark: the same one is handed on with and without them."""
    return etag.removeprefix("W/").removeprefix("w/").strip('"')


def same_etag(one: str | None, other: str | None) -> bool:
    """Return whether two ETags are the same, with quotes or without."""
    return one == other or (one is not None and other is not None and bare_etag(one) == bare_etag(other))


def version_of(etag: str) -> str:
    """Shorten a manifest's ETag to its artefact version.

    ETags are text: what is not a hex digit (multipart ETags end in `-N`) is passed over.
    """
    digits = [c for c in bare_etag(etag).lower() if c in "0123456789abcdef"]
    return "".join(digits[:6]).ljust(6, "0")


def other_version(volume: VolumeRef, now: str, made_of: str) -> PageError:
    """Return the error of pictures that are of another version of a volume than what was found on them."""
    return PageError(
        f"The volume {volume} is another version now: {now}, and what was found is of {made_of}.",
        stage="fetch",
        code="E_IMAGE_OTHER_VERSION",
        hint=f"`bec queue enqueue JOB {volume.as_options} --refresh` has the version done that is there.",
    )


@dataclass(frozen=True, slots=True)
class PageCounts:
    """Pages of a volume by ledger state. Mergeable."""

    ok: int = 0
    skipped: int = 0
    error: int = 0

    @property
    def total(self) -> int:
        """All pages that have a state."""
        return self.ok + self.skipped + self.error

    @property
    def error_rate(self) -> float:
        """The share of errors among the pages that were not skipped; 0 when there are none."""
        tried = self.ok + self.error
        return self.error / tried if tried else 0.0

    def __add__(self, other: "PageCounts") -> "PageCounts":
        return PageCounts(self.ok + other.ok, self.skipped + other.skipped, self.error + other.error)


@dataclass(frozen=True, slots=True)
class PageOutcome:
    """How one page ended: the page's row of the artefact.

    `row` holds the job's own columns (empty unless `OK`); the error fields are set only when the state is `ERROR`,
    `skip_reason` only when it is `SKIPPED`. `error_hint` is not a column: it is shown with a volume that fails.
    `frame` says which picture of the page's file it is of; `further` has the outcomes of those after the first.
    """

    index: int
    state: PageState
    source_etag: str | None = None
    row: Mapping[str, Any] = field(default_factory=dict)
    error_stage: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    skip_reason: str | None = None
    error_hint: str = ""
    frame: int = 1
    further: tuple["PageOutcome", ...] = ()

    @property
    def every(self) -> tuple["PageOutcome", ...]:
        """The outcomes of all pictures of the page's file, this one first."""
        return (self, *self.further)
