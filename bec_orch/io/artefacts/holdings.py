"""What lies under the prefixes of artefacts, known from a listing alone."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from bec_orch.core.artefacts import ArtefactLocation, Success
from bec_orch.core.ownership import Owner
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import NameUnsafeError
from bec_orch.io.artefacts.names import attempt_of, is_our_part, is_partial, is_sidecar_folder
from bec_orch.io.artefacts.success_json import success_key
from bec_orch.io.stores.objects import Entry

# An artefact lies four names deep: job, work, volume and version.
_DEPTH = 4


@dataclass(frozen=True, slots=True)
class Holding:
    """What lies under the prefix of one artefact. A listing does not name the source: the location's is empty.

    `files` are the objects beside `success.json`, those in the folders of sidecar files among them; `parts` the keys of
    the part files.
    """

    location: ArtefactLocation
    has_success: bool = False
    files: tuple[Entry, ...] = ()
    parts: tuple[str, ...] = ()


def holdings(entries: Iterable[Entry]) -> Iterator[Holding]:
    """Sort the entries of a listing by artefact; what lies where no artefact could is skipped.

    What lies under one prefix must come together, as `Objects.walk` gives it.
    """
    for names, found in groupby(entries, lambda entry: tuple(entry.key.split("/")[:_DEPTH])):
        location = _location(names)
        if location:
            yield holding_of(location, found)


def holding_of(location: ArtefactLocation, entries: Iterable[Entry]) -> Holding:
    """Sort what a listing found under the prefix of one artefact."""
    by_folder: dict[str, list[Entry]] = {}
    for entry in entries:
        by_folder.setdefault(entry.key.rpartition("/")[0], []).append(entry)
    beside = by_folder.get(location.prefix, [])
    files = [entry for entry in beside if entry.key != success_key(location)]
    sidecars = [entry for key, found in by_folder.items() if is_sidecar_folder(key, location) for entry in found]
    parts = tuple(entry.key for entry in by_folder.get(f"{location.prefix}/parts", []))
    return Holding(location, len(files) < len(beside), (*files, *sidecars), parts)


def litter_of(holding: Holding, success: Success, owner: Owner, *, ended: int = 0) -> list[str]:
    """Return the keys of what our attempts left that `success.json` does not name.

    Files of newer attempts may be on their way to being published, unless these are known to have ended. What does not
    carry our tag is never litter, and beside somebody else's `success.json` nothing is.

    Args:
        holding: what lies there.
        success: the `success.json` there.
        owner: who looks.
        ended: no attempt up to this number still runs.
    """
    if success.attempt is None or not owner.owns(success.mark):
        return []
    past = max(ended, success.attempt - 1)
    named = {file.key for file in (*success.files, *success.sidecars)}
    files = [entry.key for entry in holding.files if entry.key not in named]
    attempts = {key: attempt_of(key, holding.location, owner) for key in files}
    ours = [key for key, attempt in attempts.items() if attempt is not None and attempt <= past]
    return [*ours, *(key for key in holding.parts if is_our_part(key, owner))]


def partials_of(holding: Holding, owner: Owner) -> dict[int, list[str]]:
    """Return the keys of our partial artefacts by attempt, the oldest first; first of each the file that marks it."""
    found: dict[int, list[str]] = {}
    for entry in holding.files:
        attempt = attempt_of(entry.key, holding.location, owner)
        if attempt is not None:
            found.setdefault(attempt, []).append(entry.key)
    marked = {attempt: sorted(keys, key=is_partial, reverse=True) for attempt, keys in sorted(found.items())}
    return {attempt: keys for attempt, keys in marked.items() if is_partial(keys[0])}


def _location(names: tuple[str, ...]) -> ArtefactLocation | None:
    if len(names) < _DEPTH:
        return None
    root, w_id, i_id, version = names
    try:
        return ArtefactLocation(root, VolumeRef(w_id, i_id, ""), version)
    except NameUnsafeError:
        return None
