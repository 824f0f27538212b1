"""Reads and writes `success.json`, the commit point of an artefact. docs/artefact-formats.md explains the fields."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from bec_orch.core.artefacts import ArtefactFile, ArtefactLocation, ModelInfo, StoredFile, Success
from bec_orch.core.ownership import FORMAT, Mark
from bec_orch.core.volumes import PageCounts
from bec_orch.errors import TerminalError
from bec_orch.io.artefacts.names import conventional_key, is_sidecar_folder

MOST_BYTES = 16 * 2**20
"""A `success.json` has some 2 KB, and more with a large config."""
_MOST = 2**53
"""Numbers up to here are the same to every reader of JSON."""

T = TypeVar("T")


def success_key(location: ArtefactLocation) -> str:
    """Return the key of a location's `success.json`."""
    return f"{location.prefix}/success.json"


def to_bytes(content: Mapping[str, Any]) -> bytes:
    """Return the stored form: UTF-8, keys sorted, indented by one, so that it is the same bytes each time."""
    text = json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
    return f"{text}\n".encode()


def parse(data: bytes, etag: str, location: ArtefactLocation) -> Success:
    """Read a `success.json`, also one of the earlier system, which names no file, or of another program.

    Of these the file is `{w_id}-{i_id}-{version}.parquet`; its size, digest and rows are not known: 0, empty and 0.
    Page counts are those of the earlier system, where they are there.

    Raises:
        TerminalError: it is not a JSON object with values of the expected kinds (E_ARTEFACT_BROKEN).
    """
    try:
        content = json.loads(data, object_pairs_hook=_object)
        return _success(content, etag, location)
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        raise unreadable(location, "it is not what one holds") from error


def unreadable(location: ArtefactLocation, why: str) -> TerminalError:
    """Return the error of an invalid `success.json`; `why` ends its sentence."""
    return TerminalError(
        f"The file {success_key(location)} cannot be read as a success.json: {why}.",
        code="E_ARTEFACT_BROKEN",
        hint="Move it away, then run the task again.",
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its entries, of which no two may have one name: readers differ in which they take."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has a name twice")
    return found


def mark_of(data: bytes) -> Mark:
    """Read whose a `success.json` is, also where all else in it is broken."""
    try:
        return _mark(json.loads(data))
    except (ValueError, AttributeError, RecursionError):
        return Mark()


def _mark(content: Mapping[str, Any]) -> Mark:
    version, database, task = content.get("format"), content.get("database"), content.get("task")
    return Mark(
        version if type(version) is int else None,
        database if isinstance(database, str) else None,
        task if isinstance(task, str) else None,
    )


def _success(content: Mapping[str, Any], etag: str, location: ArtefactLocation) -> Success:
    mark = _mark(content)
    if mark.format != FORMAT:
        # What its other fields mean is not known, even where they are named like ours.
        pages = _earlier_pages(content)
        return Success(location, etag, _files(None, location), mark=mark, pages=pages, content=content)
    return Success(
        location=location,
        etag=etag,
        files=_files(content.get("files"), location),
        sidecars=_sidecars(content.get("sidecars", ()), location),
        mark=mark,
        manifest_etag=_optional(str, content, "manifest_etag"),
        config_hash=_optional(str, content, "config_hash"),
        models=tuple(ModelInfo(str(model["name"]), str(model["digest"])) for model in content.get("models", ())),
        task_uid=_optional(str, content, "task"),
        attempt=_optional(int, content, "attempt"),
        code_version=_optional(str, content, "code_version"),
        inputs=_inputs(content.get("inputs", {})),
        pages=_pages(content.get("pages")),
        content=content,
    )


def _optional(kind: type[T], content: Mapping[str, Any], name: str) -> T | None:
    value = content.get(name)
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{name} is no {kind.__name__}")
    return value


def _files(found: Sequence[Mapping[str, Any]] | None, location: ArtefactLocation) -> tuple[ArtefactFile, ...]:
    if found is None:
        return (ArtefactFile(conventional_key(location), size=0, sha256="", rows=0),)
    files = (
        ArtefactFile(str(file["key"]), _count(file["size"]), str(file["sha256"]), _count(file["rows"]))
        for file in found
    )
    return tuple(_inside(file, location) for file in files)


def _inside(file: ArtefactFile, location: ArtefactLocation) -> ArtefactFile:
    folder, _, name = file.key.rpartition("/")
    if folder != location.prefix or name in {"", ".", ".."}:
        raise ValueError(f"the file {file.key} lies outside of {location.prefix}")
    return file


def _sidecars(found: Sequence[Mapping[str, Any]], location: ArtefactLocation) -> tuple[StoredFile, ...]:
    return tuple(
        StoredFile(_sidecar_key(str(file["key"]), location), _count(file["size"]), str(file["sha256"]))
        for file in found
    )


def _sidecar_key(key: str, location: ArtefactLocation) -> str:
    folder, _, name = key.rpartition("/")
    if not is_sidecar_folder(folder, location) or name in {"", ".", ".."}:
        raise ValueError(f"the sidecar file {key} lies outside of those of {location.prefix}")
    return key


def _inputs(found: Mapping[str, Any]) -> dict[str, str]:
    return {str(job): str(key) for job, key in found.items()}


def _pages(found: Mapping[str, Any] | None) -> PageCounts | None:
    if not isinstance(found, dict):
        return None
    return PageCounts(_count(found["ok"]), _count(found["skipped"]), _count(found["error"]))


def _earlier_pages(content: Mapping[str, Any]) -> PageCounts | None:
    """Read how many pages the earlier system counted, and how many of them as errors; None where it does not say."""
    total, errors = content.get("total_images"), content.get("nb_errors")
    if type(total) is not int or type(errors) is not int or not 0 <= errors <= total <= _MOST:
        return None
    return PageCounts(ok=total - errors, error=errors)


def _count(value: Any) -> int:
    number = int(value)
    if not 0 <= number <= _MOST:
        raise ValueError(f"{number:.3g} is not a valid number")
    return number
