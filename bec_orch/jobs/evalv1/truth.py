"""Ground truth of a volume's pages: found by the image's name, read as plain text, ALTO or PAGE XML."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from bec_orch.core.by_name import ByName
from bec_orch.core.frames import file_and_frame, frame_name
from bec_orch.core.job_types.references import list_folder
from bec_orch.core.ports.job_worker import BlobReader
from bec_orch.core.transcripts import MAIN
from bec_orch.core.volumes import Page, VolumeRef
from bec_orch.core.wording import clause
from bec_orch.errors import NotAFile, PageError, StorageError
from bec_orch.jobs.evalv1.config import Evalv1Config
from bec_orch.jobs.evalv1.xml_text import NotTruthError, xml_kinds, xml_text

SUFFIXES = (".gt.txt", ".txt", ".page.xml", ".alto.xml", ".xml")
"""Where a page has several files, the first of these is taken."""
LARGEST_FILE = 32 * 2**20
_BYTE_ORDER_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


@dataclass(frozen=True, slots=True)
class Truth:
    """The true text of a page, with the key and version of the file that it was read from.

    `kinds` are the kinds of its lines, where the file tells any but main text.
    """

    text: str
    key: str
    etag: str
    kinds: frozenset[str] = frozenset()


@dataclass(frozen=True)
class VolumeTruth:
    """The files of truth of one volume, by the name of the page image without its suffix."""

    store: BlobReader | None = None
    keys: Mapping[str, str] = field(default_factory=dict)
    skip_lines: int = 0

    def of(self, page: Page) -> Truth | None:
        """Read a page's truth, None where it has none.

        Raises:
            PageError: E_TRUTH_BROKEN, the file is there but cannot be read; stage `decode`.
            StorageError: the store is away.
        """
        stem = self._stem_of(page.filename)
        key = None if stem is None else self.keys[stem]
        if self.store is None or key is None:
            return None
        try:
            blob = self.store.read(key, limit=LARGEST_FILE)
        except NotAFile as error:
            raise _broken(key, f"it is {error.what}, not a file") from error
        if blob is None:
            raise StorageError(f"The ground truth '{key}' was removed while the volume was evaluated.")
        if blob.size > LARGEST_FILE:
            raise _broken(key, f"it has {blob.size} bytes, more than {LARGEST_FILE}")
        return Truth(self._text(key, blob.data), key, blob.etag, _kinds(key, blob.data))

    def without_page(self, names: Iterable[str]) -> list[str]:
        """List the keys of the truth that belongs to no page of these names."""
        matched = {self._stem_of(name) for name in names}
        return sorted(key for stem, key in self.keys.items() if stem not in matched)

    def _stem_of(self, name: str) -> str | None:
        file, frame = file_and_frame(name)
        return self._stems.name_of(name) or self._stems.name_of(frame_name(file.rpartition(".")[0], frame))

    @cached_property
    def _stems(self) -> ByName[str]:
        return ByName(self.keys)

    def _text(self, key: str, data: bytes) -> str:
        try:
            if _is_xml(key):
                return xml_text(data)
            return "".join(_decoded(data).splitlines(keepends=True)[self.skip_lines :])
        except (NotTruthError, UnicodeError) as error:
            raise _broken(key, str(error)) from error


class TruthStore:
    """The store of ground truth that a job's config names, or none."""

    def __init__(self, config: Evalv1Config, store: BlobReader | None) -> None:
        self._config = config
        self._store = store

    def volume(self, volume: VolumeRef) -> VolumeTruth:
        """List the truth of a volume; where there is no folder for it, the volume has none.

        Raises:
            StorageError: the store is away.
        """
        if self._store is None:
            return VolumeTruth()
        (folder,) = self._config.reference_folders(volume)
        names = {entry.name: entry.key for entry in list_folder(self._store, folder.path).objects}
        return VolumeTruth(self._store, _by_stem(names), self._config.truth_skip_lines)


def _by_stem(keys: Mapping[str, str]) -> dict[str, str]:
    """Return the key of each stem's first file in the order of `SUFFIXES`."""
    found: dict[str, str] = {}
    for suffix in SUFFIXES:
        for name, key in keys.items():
            if name.lower().endswith(suffix):
                found.setdefault(name[: -len(suffix)], key)
    return found


def _is_xml(key: str) -> bool:
    return key.lower().endswith(".xml")


def _kinds(key: str, data: bytes) -> frozenset[str]:
    kinds = xml_kinds(data) if _is_xml(key) else frozenset()
    return kinds if kinds - {MAIN} else frozenset()


def _decoded(data: bytes) -> str:
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8-sig")
    return data.decode(encoding)


def _broken(key: str, why: str) -> PageError:
    return PageError(
        f"The ground truth '{key}' cannot be read: {clause(why)}.",
        stage="decode",
        code="E_TRUTH_BROKEN",
        hint="Mend the file, or move it away to evaluate the page without it.",
    )
