"""Lists of volumes, as people write them: `W22084,I0886[,source]`, one a line."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bec_orch.core.names import is_utf8, printable
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import BecError, UsageError


@dataclass(frozen=True, slots=True)
class LineFault:
    """A line that names no volume: its 1-based number, and why."""

    line: int
    message: str


@dataclass(frozen=True, slots=True)
class VolumeList:
    """The volumes of a list, in its order and each once; how many lines named one again; and the bad lines."""

    volumes: tuple[VolumeRef, ...]
    repeated: int
    faults: tuple[LineFault, ...]


def parse_volume_list(lines: Iterable[str], default_source: str) -> VolumeList:
    """Read a list of volumes. `#` begins a comment line; blank lines are skipped; bad lines are reported.

    Raises:
        UsageError: not one line is good, and at least one is bad.
    """
    volumes: dict[VolumeRef, None] = {}
    faults: list[LineFault] = []
    repeated = 0
    for number, line in enumerate(lines, start=1):
        text = line.removeprefix("\ufeff").strip() if number == 1 else line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            volume = _parse_line(text, default_source)
        except BecError as error:
            faults.append(LineFault(number, error.message))
            continue
        repeated += volume in volumes
        volumes[volume] = None
    if faults and not volumes:
        raise UsageError(
            f"No line of the list names a volume; line {faults[0].line}: {faults[0].message}",
            code="E_VOLUME_LIST",
            hint="A line is W_ID,I_ID or W_ID,I_ID,SOURCE.",
        )
    return VolumeList(tuple(volumes), repeated, tuple(faults))


def parse_volume(text: str, default_source: str) -> VolumeRef:
    """Read a volume as `--volume` takes it: `W22084/I0886`.

    Raises:
        UsageError: it is not of this form.
        NameUnsafeError: a name could leave its folder or prefix.
    """
    w_id, slash, i_id = text.partition("/")
    if not slash:
        raise UsageError(f"{printable(text)} is not a volume.", code="E_VOLUME", hint="Write it as W22084/I0886.")
    return VolumeRef(w_id, i_id, default_source)


def choose(
    volumes: Sequence[VolumeRef], *, limit: int | None = None, sample: int | None = None, seed: int = 0
) -> list[VolumeRef]:
    """Take `sample` volumes at random (the same ones for the same seed), then the first `limit`; order is kept."""
    chosen = list(volumes)
    if sample is not None and sample < len(chosen):
        kept = set(random.Random(seed).sample(range(len(chosen)), sample))  # nosec B311  # noqa: S311  (a sample, not a secret)
        chosen = [volume for place, volume in enumerate(chosen) if place in kept]
    return chosen if limit is None else chosen[:limit]


def _parse_line(text: str, default_source: str) -> VolumeRef:
    if not is_utf8(text):
        raise UsageError(f"{printable(text)} is not UTF-8.")
    fields = [field.strip() for field in text.split(",", 2)]
    if len(fields) == 1:
        raise UsageError(f"{printable(text)} has no comma.")
    source = fields[2] if len(fields) > 2 and fields[2] else default_source  # noqa: PLR2004  (the third field)
    layout, plus, url = source.partition("+")
    if not (layout and plus and url):
        raise UsageError(f"{printable(source)} is not a source.")
    return VolumeRef(fields[0], fields[1], source)
