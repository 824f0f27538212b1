"""Lists of volumes, as people and spreadsheets write them: `W22084,I0886[,source[,version]]`, one a line.

Tabs, blanks, or a slash between the two names do as well as commas, and fields may be quoted as in CSV (RFC 4180).
"""

import csv
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bec_orch.core.names import is_utf8, printable
from bec_orch.core.volumes import VolumeRef, source_of
from bec_orch.errors import NameUnsafeError, UsageError


@dataclass(frozen=True, slots=True)
class LineFault:
    """A line that names no volume: its 1-based number, and why."""

    line: int
    message: str


@dataclass(frozen=True, slots=True)
class VolumeList:
    """What a list names.

    Attributes:
        volumes: its volumes, in its order and each once.
        repeated: how many lines named one again.
        versions: how many lines named a version: it is not heeded, because a task is for the last known one.
        faults: the lines that name no volume.
    """

    volumes: tuple[VolumeRef, ...]
    repeated: int
    versions: int
    faults: tuple[LineFault, ...]


_HEADER = ("w_id", "i_id", "source", "version")
_UNREADABLE = "E_VOLUME_LIST"
_FORMS = "A line is W_ID,I_ID or W_ID,I_ID,SOURCE, or W_ID/I_ID; tabs and blanks part as commas do."
# An ETag, or the first six digits of one.
_VERSION = re.compile(r"[0-9a-f]{6,64}(-\d+)?", re.IGNORECASE)


def parse_volume_list(lines: Iterable[str], default_source: str) -> VolumeList:
    """Read a list of volumes; bad lines are reported.

    Blank lines, lines that begin with `#`, and headers (`w_id,i_id`) are passed over.

    Raises:
        UsageError: not one line is good, and at least one is bad; or a header names the columns in another order.
    """
    volumes: dict[VolumeRef, None] = {}
    faults: list[LineFault] = []
    repeated = versions = 0
    for number, line in enumerate(lines, start=1):
        # Not in the first line alone: lists are put together from several files.
        text = line.removeprefix("\ufeff").strip()
        if not text or text.startswith("#"):
            continue
        try:
            fields = _fields(text)
            if not fields or _is_header(fields, number):
                continue
            volume = _volume(fields, text, default_source)
        except (UsageError, NameUnsafeError) as error:
            if error.code == _UNREADABLE:
                raise
            faults.append(LineFault(number, error.message))
            continue
        versions += len(fields) == len(_HEADER)
        repeated += volume in volumes
        volumes[volume] = None
    if faults and not volumes:
        raise UsageError(
            f"No line of the list names a volume; line {faults[0].line}: {faults[0].message}",
            code=_UNREADABLE,
            hint=_FORMS,
        )
    return VolumeList(tuple(volumes), repeated, versions, tuple(faults))


def parse_volume(text: str, default_source: str) -> VolumeRef:
    """Read a volume as `--volume` takes it: `W22084/I0886`.

    Raises:
        UsageError: it is not of this form, or a name could leave its folder or prefix (E_NAME_UNSAFE).
    """
    w_id, slash, i_id = text.partition("/")
    if not slash:
        raise UsageError(f"{printable(text)} is not a volume.", code="E_VOLUME", hint="Write it as W22084/I0886.")
    return typed_volume(w_id, i_id, default_source)


def typed_volume(w_id: str, i_id: str, source: str) -> VolumeRef:
    """Return a volume whose names somebody typed: one that cannot be is a slip, and no fault of the volume.

    Raises:
        UsageError: a name could leave its folder or prefix (E_NAME_UNSAFE).
    """
    try:
        return VolumeRef(w_id, i_id, source)
    except NameUnsafeError as error:
        hint = "A volume is a work and a volume of it, W_ID/I_ID, as in W22084/I0886."
        raise UsageError(error.message, code=error.code, hint=hint) from error


def choose(
    volumes: Sequence[VolumeRef], *, limit: int | None = None, sample: int | None = None, seed: int = 0
) -> list[VolumeRef]:
    """Take `sample` volumes at random (the same ones for the same seed), then the first `limit`; order is kept."""
    chosen = list(volumes)
    if sample is not None and sample < len(chosen):
        kept = set(random.Random(seed).sample(range(len(chosen)), sample))  # nosec B311  # noqa: S311  (a sample, not a secret)
        chosen = [volume for place, volume in enumerate(chosen) if place in kept]
    return chosen if limit is None else chosen[:limit]


def _fields(text: str) -> list[str]:
    """Take a line apart at commas, tabs or blanks, whichever it uses; empty fields at its end are left off."""
    if not is_utf8(text):
        raise UsageError(f"{printable(text)} is not UTF-8.")
    delimiter = next((c for c in text if c in ",\t"), " ")
    try:
        (fields,) = csv.reader(
            [text if delimiter != " " else " ".join(text.split())],
            delimiter=delimiter,
            skipinitialspace=True,
            strict=True,
        )
    except (csv.Error, ValueError) as error:
        raise UsageError(f"{printable(text)} is not quoted as CSV is.") from error
    fields = [field.strip() for field in fields]
    while fields and not fields[-1]:
        fields.pop()
    if fields and fields[0].count("/") == 1:
        fields[:1] = fields[0].split("/")
    return fields


def _is_header(fields: Sequence[str], number: int) -> bool:
    names = tuple(field.lower() for field in fields)
    if not set(names) & set(_HEADER[:2]):
        return False
    if len(names) < 2 or names != _HEADER[: len(names)]:  # noqa: PLR2004  (a work and a volume)
        raise UsageError(
            f"Line {number} names the columns {printable(','.join(fields))}.",
            code=_UNREADABLE,
            hint=f"The columns are {','.join(_HEADER)}, in this order; the last two may be left out.",
        )
    return True


def _volume(fields: Sequence[str], text: str, default_source: str) -> VolumeRef:
    if not 2 <= len(fields) <= len(_HEADER):  # noqa: PLR2004  (a work and a volume)
        raise UsageError(
            f"{printable(text)} has {len(fields)} field{'s' * (len(fields) != 1)}, not a work and a volume."
        )
    source, version = (*fields[2:], "", "")[:2]
    if version and not _VERSION.fullmatch(version):
        raise UsageError(f"{printable(version)} is no version; a source that has a comma is to be quoted.")
    source = source_of(source, default_source)
    if not source:
        raise UsageError("It names no source, and there is no default one (--source, BEC_SOURCE_URL).")
    layout, plus, url = source.partition("+")
    if not (layout and plus and url):
        raise UsageError(f"{printable(source)} is not a source.")
    return VolumeRef(fields[0], fields[1], source)
