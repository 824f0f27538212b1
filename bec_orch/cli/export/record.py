"""The record of an export: the file beside the documents of a volume that says what they are and how they were made.

It is written last, and names every document with its digest: so a document that is there is known to be ours, unchanged
or changed since, and of which artefact. Those of pages that left the volume stay, and stay known: a page may come back.
Before documents are written, a few at a time, it names them too: an export that is killed leaves none that is unknown.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bec_orch.core.artefacts import ArtefactLocation
from bec_orch.core.transcripts import Origin
from bec_orch.core.volumes import VolumeRef
from bec_orch.io.sources.exported import record_name
from bec_orch.io.stores.objects import Objects

MOST_BYTES = 64 * 2**20
_FORMAT = 1
_RECORD = re.compile(r"/export-[^/]+\.json\Z")


@dataclass(frozen=True, slots=True)
class Record:
    """What was exported of a volume in one format and level.

    Attributes:
        key: what the documents are made of: the artefact and whatever else decides what is in them.
        files: the SHA-256 of each document, by its key in the store.
        lacking: the keys of those that lack images which were out of reach.
        left: the SHA-256 of each document of a page that is no longer in the volume, by its key.
        source: where the volume lies; empty in records of before.
        version: the version of the volume.
        begun: the SHA-256 of what exports that came to no end wrote, or were about to write, by its key.
    """

    key: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    lacking: frozenset[str] = frozenset()
    left: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    version: str = ""
    begun: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def ended(self) -> Mapping[str, str]:
        """The SHA-256 of every document as exports that came to their end wrote it, by its key."""
        return {**self.left, **self.files}

    def is_of(self, location: ArtefactLocation) -> bool:
        """Return whether it is of the volume of an artefact: of its source, or of what was moved from another one."""
        return self.source == location.volume.source or self.version == location.version

    def is_ours(self, key: str, digest: str) -> bool:
        """Return whether a document is as some export wrote it."""
        return digest == self.ended.get(key) or digest in self.begun.get(key, ())


def record_key(volume: VolumeRef, name: str) -> str:
    """Return the key of a record in the store; `name` is that of the format and level."""
    return f"{volume.w_id}/{volume.i_id}/{record_name(name)}"


def records_of(objects: Objects, volume: VolumeRef) -> list[Record]:
    """Return the records in the folder of a volume that name its source: it may be another one of that name.

    Raises:
        StorageError: the store is away.
    """
    keys = (one.key for one in objects.list(f"{volume.w_id}/{volume.i_id}").objects if _RECORD.search(one.key))
    blobs = (objects.read(key, limit=MOST_BYTES) for key in keys)
    return [record for blob in blobs if blob and (record := parse(blob.data)) and record.source]


def to_bytes(record: Record, origin: Origin) -> bytes:
    """Write a record."""
    content = {
        "bec_orch": _FORMAT,
        "key": record.key,
        "made_with": [list(fact) for fact in origin.facts()],
        "files": dict(sorted(record.files.items())),
        "lacking": sorted(record.lacking),
        "left": dict(sorted(record.left.items())),
        "source": record.source,
        "version": record.version,
        "begun": dict(sorted(record.begun.items())),
    }
    return f"{json.dumps(content, ensure_ascii=False, indent=1)}\n".encode()


def parse(data: bytes) -> Record | None:
    """Read a record; None when it is not one of ours."""
    try:
        content = json.loads(data)
        return _record(content) if content["bec_orch"] == _FORMAT else None
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None


def _record(content: Mapping[str, Any]) -> Record:
    lacking = frozenset(map(str, content.get("lacking", ())))
    left = _digests(content.get("left", {}))
    place = str(content.get("source", "")), str(content.get("version", ""))
    begun = {str(key): tuple(map(str, digests)) for key, digests in content.get("begun", {}).items()}
    return Record(str(content["key"]), _digests(content["files"]), lacking, left, *place, begun)


def _digests(content: Mapping[str, Any]) -> dict[str, str]:
    return {str(key): str(digest) for key, digest in content.items()}
