"""The sidecar files of one attempt: what a job keeps beside its rows, such as the raw answers of a server.

Each is uploaded as it comes, create-only, under a key of this attempt's own,

    {prefix}/{stem}.a{attempt}-{tag of the database}/{name}

and is in the store before the part file that has the row of its page. That part file names it, so a later attempt that
takes the row over has the file, too: as a copy under a key of its own, because what ended attempts left is swept.
"""

import hashlib
import json
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from typing_extensions import override

from bec_orch.core.artefacts import ArtefactLocation, StoredFile
from bec_orch.core.fault_points import FaultPoint, reached
from bec_orch.core.names import check_name
from bec_orch.core.ownership import Owner
from bec_orch.core.ports.job_worker import Sidecars
from bec_orch.core.volumes import Page
from bec_orch.errors import NameUnsafeError, NotAFile, StorageError, TerminalError
from bec_orch.io.artefacts.backlog import Backlog
from bec_orch.io.artefacts.names import attempt_of, sidecar_folder
from bec_orch.io.stores.objects import Objects

MOST_FILES = 10_000
"""`success.json` names each, and is read whole: with the longest names these are some 7 MB of it."""
# An upload is a request that waits for the network; more of them at once would only take memory.
_UPLOADS = 8
_BEHIND = 16
# Stores on folders take such a name for a file that is being written (`io/stores/folders.py`).
_STAGED = re.compile(r"#\d+$")


@dataclass(frozen=True, slots=True)
class PageSidecar:
    """A sidecar file, and the index of the page that it belongs to; None: it belongs to the volume."""

    page: int | None
    file: StoredFile

    @property
    def name(self) -> str:
        """What the job called it."""
        return self.file.key.rpartition("/")[2]


class SidecarFiles(Sidecars):
    """Takes the sidecar files of an attempt, and those that earlier attempts left for rows that stand."""

    def __init__(self, objects: Objects, owner: Owner, location: ArtefactLocation, attempt: int) -> None:
        self._objects = objects
        self._owner = owner
        self._location = location
        self._folder = sidecar_folder(location, attempt, owner)
        self._lock = threading.Lock()
        self._kept: dict[str, PageSidecar] = {}
        self._uploads = Backlog(_UPLOADS, "sidecars")

    @override
    def put(self, name: str, data: bytes, page: Page | None = None) -> None:
        self._put(name, data, None if page is None else page.index)

    def _put(self, name: str, data: bytes, page: int | None) -> None:
        file = StoredFile(f"{self._folder}/{_checked(name)}", len(data), hashlib.sha256(data).hexdigest())
        if self._is_new(PageSidecar(page, file)):
            self._uploads.submit(self._upload, file, data)
        self._uploads.settle(_BEHIND)

    def _is_new(self, sidecar: PageSidecar) -> bool:
        with self._lock:
            known = self._kept.get(sidecar.name)
            full = len(self._kept) >= MOST_FILES
            if known is None and not full:
                self._kept[sidecar.name] = sidecar
                return True
        if known == sidecar:
            return False
        if known:
            raise TerminalError(
                f"The job keeps two sidecar files of the name '{sidecar.name}'.",
                code="E_SIDECAR_TWICE",
                hint="Have the name say what the file is of, such as the number of its page.",
            )
        raise TerminalError(
            f"The job keeps more than {MOST_FILES} sidecar files for one volume.",
            code="E_SIDECAR_LIMIT",
            hint="Put what belongs to several pages into one file.",
        )

    def _upload(self, file: StoredFile, data: bytes) -> None:
        if not self._objects.create(file.key, data):
            there = self._objects.read(file.key, limit=file.size)
            if there is None or there.data != data:
                raise StorageError(f"There is another file under {file.key}.", code="E_ARTEFACT_CONFLICT")
        reached(FaultPoint.SIDECAR_UPLOADED)

    def settle(self) -> None:
        """Wait until what was put by now is in the store.

        Raises:
            RetryableError: the store is away.
        """
        self._uploads.settle()

    def files(self) -> tuple[StoredFile, ...]:
        """Return all files, sorted by key."""
        with self._lock:
            return tuple(sorted((kept.file for kept in self._kept.values()), key=lambda file: file.key))

    def stored(self, pages: Iterable[int]) -> bytes:
        """Return the files of some pages, as a part file names them."""
        wanted = set(pages)
        with self._lock:
            found = [kept for kept in self._kept.values() if kept.page in wanted]
        return json.dumps([{"page": kept.page, **asdict(kept.file)} for kept in found]).encode()

    def take_over(self, stored: bytes, pages: Iterable[int]) -> frozenset[int]:
        """Copy what a part file names for some pages under keys of this attempt's own.

        Returns:
            The pages of which a file is gone or is not what it was: they are to be done again.

        Raises:
            ValueError, TypeError, LookupError: the part file names what no attempt of ours can have left.
            RetryableError: the store is away.
        """
        wanted = set(pages)
        by_page: dict[int, list[PageSidecar]] = {}
        for page, kept in self._parsed(stored):
            if page in wanted:
                by_page.setdefault(page, []).append(kept)
        lost = set()
        for page, files, contents in self._read_ahead(list(by_page.items())):
            if contents is None:
                lost.add(page)
                continue
            for kept, data in zip(files, contents, strict=True):
                self._put(kept.name, data, page)
        return frozenset(lost)

    def _read_ahead(
        self, found: Sequence[tuple[int, list[PageSidecar]]]
    ) -> Iterator[tuple[int, list[PageSidecar], list[bytes] | None]]:
        """Read the files of some pages at once, but of no more: they may be large."""
        with ThreadPoolExecutor(_UPLOADS, thread_name_prefix="sidecars-read") as pool:
            for start in range(0, len(found), _UPLOADS):
                few = found[start : start + _UPLOADS]
                contents = list(pool.map(self._read, (files for _, files in few)))
                yield from ((page, files, read) for (page, files), read in zip(few, contents, strict=True))

    def _parsed(self, stored: bytes) -> Iterator[tuple[int, PageSidecar]]:
        content: Sequence[Any] = json.loads(stored)
        for one in content:
            page, file = int(one["page"]), StoredFile(str(one["key"]), int(one["size"]), str(one["sha256"]))
            if attempt_of(file.key, self._location, self._owner) is None:
                raise ValueError(f"{file.key} is not a sidecar file of ours")
            yield page, PageSidecar(page, file)

    def _read(self, sidecars: Sequence[PageSidecar]) -> list[bytes] | None:
        """Read all files of a page; None when one is gone, or is not what it was."""
        contents = []
        for file in (sidecar.file for sidecar in sidecars):
            blob = None
            with suppress(NotAFile):
                blob = self._objects.read(file.key, limit=file.size)
            if blob is None or (blob.size, hashlib.sha256(blob.data).hexdigest()) != (file.size, file.sha256):
                return None
            contents.append(blob.data)
        return contents

    def close(self) -> None:
        """End the uploads that are under way. May be called twice."""
        self._uploads.close()


def _checked(name: str) -> str:
    if _STAGED.search(check_name("sidecar file", name)):
        raise NameUnsafeError(f"The sidecar file name '{name}' ends like a file that is being written.")
    return name
