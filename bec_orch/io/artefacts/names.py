"""The names of the files that attempts write, which say whose they are: what another database wrote is left alone."""

import re
from dataclasses import dataclass

from bec_orch.core.artefacts import ArtefactLocation
from bec_orch.core.ownership import Owner

# What the earlier system's jobs have between the stem and the suffix of their one Parquet file: nothing, or their name.
_EARLIER_JOB = re.compile(r"[-_][a-z0-9_]{1,60}")
_PARTIAL = ".partial.json"
# Within the prefix of an artefact: the Parquet file, a sidecar file in the folder beside it, or what marks it partial.
_ATTEMPT_FILE = re.compile(r"[^/]*\.a([0-9]+)-([0-9a-f]+)(?:\.parquet|\.partial\.json|/[^/]+)")
_SIDECAR_FOLDER = re.compile(r"[^/]*\.a[0-9]+-[0-9a-f]+")
_PART_FILE = re.compile(r"-a([0-9]+)-([0-9a-f]+)-[0-9a-f]{8}\.parquet$")


def attempt_key(location: ArtefactLocation, attempt: int, owner: Owner) -> str:
    """Return the key of the Parquet file of an attempt."""
    return f"{location.prefix}/{location.stem}.a{attempt}-{owner.tag}.parquet"


def partial_key(location: ArtefactLocation, attempt: int, owner: Owner) -> str:
    """Return the key of the file that says what the Parquet file of an attempt is which failed for its pages."""
    return f"{location.prefix}/{location.stem}.a{attempt}-{owner.tag}{_PARTIAL}"


def is_partial(key: str) -> bool:
    """Return whether a key of an attempt's files is that of `partial_key`."""
    return key.endswith(_PARTIAL)


def conventional_key(location: ArtefactLocation) -> str:
    """Return the key under which readers look that make it up themselves, and do not read `success.json`."""
    return f"{location.prefix}/{location.stem}.parquet"


def is_earlier_file(key: str, location: ArtefactLocation) -> bool:
    """Return whether the earlier system names the Parquet file of an artefact like this: the stem, and maybe a job."""
    beginning = f"{location.prefix}/{location.stem}"
    named = key.removeprefix(beginning).removesuffix(".parquet")
    return key == f"{beginning}{named}.parquet" and (not named or _EARLIER_JOB.fullmatch(named) is not None)


def sidecar_folder(location: ArtefactLocation, attempt: int, owner: Owner) -> str:
    """Return the key of the folder of an attempt's sidecar files, without a slash at its end."""
    return f"{location.prefix}/{location.stem}.a{attempt}-{owner.tag}"


def is_sidecar_folder(key: str, location: ArtefactLocation) -> bool:
    """Return whether this is the folder of some attempt's sidecar files, whosever."""
    folder, _, name = key.rpartition("/")
    return folder == location.prefix and _SIDECAR_FOLDER.fullmatch(name) is not None


def attempt_of(key: str, location: ArtefactLocation, owner: Owner) -> int | None:
    """Return the attempt whose Parquet or sidecar file this is; None when it is not one of ours."""
    found = _ATTEMPT_FILE.fullmatch(key.removeprefix(f"{location.prefix}/"))
    return int(found[1]) if found and found[2] == owner.tag else None


def part_name(key: str, first_page: int, attempt: int, owner: Owner, unique: str) -> str:
    """Return the name of a part file; `unique` are 8 hex digits that no other one has."""
    return f"{key}-{first_page:06d}-a{attempt}-{owner.tag}-{unique}.parquet"


@dataclass(frozen=True, slots=True, order=True)
class PartName:
    """What the name of a part file says: the attempt that wrote it, and the digest of what its rows depend on."""

    attempt: int
    made_with: str


def part_of(name: str, owner: Owner) -> PartName | None:
    """Read the name of a part file; None when it is not one of ours."""
    found = _PART_FILE.search(name)
    if found is None or found[2] != owner.tag:
        return None
    return PartName(int(found[1]), name.partition("-")[0])


def is_our_part(key: str, owner: Owner) -> bool:
    """Return whether a part file is of an attempt of ours."""
    return part_of(key.rpartition("/")[2], owner) is not None
