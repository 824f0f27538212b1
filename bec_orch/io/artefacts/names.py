"""The names of the files that attempts write, which tell whose they are: what another database wrote is left alone."""

import re

from bec_orch.core.models import ArtefactLocation
from bec_orch.core.ownership import Owner

_ATTEMPT_FILE = re.compile(r"\.a([0-9]+)-([0-9a-f]+)\.parquet$")
_PART_FILE = re.compile(r"-a[0-9]+-([0-9a-f]+)-[0-9a-f]{8}\.parquet$")


def attempt_key(location: ArtefactLocation, attempt: int, owner: Owner) -> str:
    """Give the key of the Parquet file of an attempt."""
    return f"{location.prefix}/{location.stem}.a{attempt}-{owner.tag}.parquet"


def attempt_of(key: str, owner: Owner) -> int | None:
    """Give the attempt whose Parquet file this is; None when it is not one of ours."""
    found = _ATTEMPT_FILE.search(key)
    return int(found[1]) if found and found[2] == owner.tag else None


def part_name(key: str, first_page: int, attempt: int, owner: Owner, unique: str) -> str:
    """Give the name of a part file; `unique` are 8 hex digits that no other one has."""
    return f"{key}-{first_page:06d}-a{attempt}-{owner.tag}-{unique}.parquet"


def is_our_part(key: str, owner: Owner) -> bool:
    """Tell whether a part file is of an attempt of ours."""
    found = _PART_FILE.search(key)
    return found is not None and found[1] == owner.tag
