"""Folders of volumes in another store, such as those of ground truth: a job's config has the pattern of their names."""

import re
from typing import Annotated

from pydantic import AfterValidator

_FIELD = re.compile(r"\{(.*?)\}")
_FIELDS = frozenset({"w_id", "i_id"})


def _checked(pattern: str) -> str:
    unknown = sorted(set(_FIELD.findall(pattern)) - _FIELDS)
    if unknown or "{" in _FIELD.sub("", pattern) or "}" in _FIELD.sub("", pattern):
        raise ValueError("only {w_id} and {i_id} can be filled in")
    return pattern.strip("/")


VolumeFolder = Annotated[str, AfterValidator(_checked)]
"""A folder's name with {w_id} and {i_id} in it, to be filled in by `str.format`."""
