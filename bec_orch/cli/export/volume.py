"""One volume, from its artefact to its documents."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bec_orch.cli.export.documents import Destination, Documents, require_own_folder
from bec_orch.core.artefacts import ArtefactLocation, Success
from bec_orch.core.ports.sources import SourceFactory
from bec_orch.core.ports.views import ContentOf
from bec_orch.core.transcripts import Origin, PageRecord, corners_of
from bec_orch.core.volumes import VolumeRef
from bec_orch.core.wording import counted
from bec_orch.errors import Interrupted, StorageError, UsageError
from bec_orch.exports.characters import lost_characters
from bec_orch.exports.formats import Format, Level, Material, format_of
from bec_orch.exports.names import page_names
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.io.sources.exported import document_name
from bec_orch.orch.overview.contents import (
    BatchReader,
    KeptRows,
    image_names,
    inputs_beside,
    origin_of,
    pages_of,
    readable_inputs,
    skip_reasons,
)

if TYPE_CHECKING:
    from bec_orch.cli.export.images import VolumeImages

_NOTHING_BEFORE = frozenset({"error", "no row"})
"""Beside a code, what is said of a page that the job before has nothing of, for no rule of anybody's."""
VERSION = 4
"""Of how documents are written: documents of another one are made anew."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be exported of each volume.

    Attributes:
        formats: the formats, each with its level.
        material: what some of them need to know.
        read: what reads rows of the job's type.
        needs: the folders of artefacts of the jobs that the job needs, by name.
        stopped: returns whether to stop at the next page.
    """

    formats: Sequence[tuple[str, Level]]
    material: Material
    read: ContentOf
    needs: Mapping[str, str] = field(default_factory=dict)
    stopped: Callable[[], bool] = lambda: False


@dataclass
class VolumeReport:
    """What became of one volume.

    Attributes:
        documents: how many were written.
        skipped: how many were there already.
        pages: how many pages it has.
        page_errors: how many of them are errors.
        errors_before: how many were skipped because they are errors of a job that this one needs.
        lacking: how many of the documents lack images that were out of reach; the next export makes them again.
        partial: whether it is not done, and its pages are those that its attempts left.
        notes: what is not as it could be, a sentence each.
        places: the keys of its documents, those of one page by their folder.
    """

    volume: VolumeRef
    documents: int = 0
    skipped: int = 0
    pages: int = 0
    page_errors: int = 0
    errors_before: int = 0
    lacking: int = 0
    partial: bool = False
    notes: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)


def export_volume(
    location: ArtefactLocation,
    wanted: Wanted,
    artefacts: StoredArtefacts,
    sources: SourceFactory,
    destination: Destination,
) -> VolumeReport:
    """Write the documents of a volume.

    Raises:
        StorageError: the artefact is gone or broken, or a store away.
        TerminalError: its `success.json` cannot be read.
        UsageError: files that are not ours are in the way (E_FILE_FOREIGN), or documents of another volume of that name
            (E_EXPORT_OTHER_VOLUME).
        Interrupted: a stop was asked for; what was written is whole.
    """
    success = artefacts.success(location)
    if success is None:
        raise StorageError(
            f"The artefact {location.prefix} is gone.",
            code="E_ARTEFACT_GONE",
            hint="`bec audit` shows what else is missing; with `--fix`, a new run of the job makes it again.",
        )
    images = _images(success, sources)
    inputs = readable_inputs(artefacts, success, inputs_beside(artefacts, success, wanted.needs))
    return _Export(success, origin_of(success), wanted, artefacts, inputs, destination, images).run()


def export_kept(kept: KeptRows, wanted: Wanted, sources: SourceFactory, destination: Destination) -> VolumeReport:
    """Write the documents of a volume that is not done, of what its attempts left.

    Raises:
        StorageError: a store is away.
        UsageError: files that are not ours are in the way (E_FILE_FOREIGN), or documents of another volume of that name
            (E_EXPORT_OTHER_VOLUME).
        Interrupted: a stop was asked for; what was written is whole.
    """
    images = _images(kept.success, sources)
    return _Export(kept.success, kept.origin, wanted, kept, {}, destination, images).run()


def _images(success: Success, sources: SourceFactory) -> "VolumeImages":
    # Reading images needs the packages of the extra `ldv1`, without which the command can say so.
    from bec_orch.cli.export.images import VolumeImages  # noqa: PLC0415

    return VolumeImages(success, sources)


class _Export:
    def __init__(
        self,
        success: Success,
        origin: Origin,
        wanted: Wanted,
        artefacts: BatchReader,
        inputs: Mapping[str, Success],
        destination: Destination,
        images: "VolumeImages",
    ) -> None:
        self._success = success
        self._wanted = wanted
        self._artefacts = artefacts
        self._destination = destination
        self._images = images
        self._origin = origin
        self._inputs = inputs
        self._report = VolumeReport(success.location.volume, partial=origin.is_partial)
        self._read = self._unread = False

    def run(self) -> VolumeReport:
        report = self._report
        require_own_folder(self._destination, self._success.location, [name for name, _ in self._wanted.formats])
        self._names = page_names(image_names(self._artefacts, self._success))
        report.pages = len(self._names)
        report.page_errors = self._success.pages.error if self._success.pages else 0
        if report.partial:
            report.notes.append(
                f"{report.volume} is not done: its documents hold what attempts left, {counted(report.pages, 'page')}."
            )
        self._note_errors_before()
        for job in sorted(self._success.inputs.keys() - self._inputs.keys()):
            if self._success.inputs[job].endswith(".parquet"):
                report.notes.append(
                    f"{report.volume}: what {job} left is gone: lines have boxes in place of outlines and baselines."
                )
        self._export_all()
        report.notes += dict.fromkeys(self._images.faults)
        return report

    def _export_all(self) -> None:
        """Write every format, also after one in whose way files are that are not ours, and then say so of all."""
        refused = []
        for name, level in self._wanted.formats:
            try:
                self._export(name, level)
            except UsageError as error:
                if error.code != "E_FILE_FOREIGN":
                    raise
                refused.append(error)
        if refused:
            hints = dict.fromkeys(error.hint for error in refused if error.hint)
            told = " ".join(error.message for error in refused)
            raise UsageError(told, code="E_FILE_FOREIGN", hint=" ".join(hints))

    def _note_errors_before(self) -> None:
        """Tell of pages that a job before failed on: they are no errors of this one, and have no text all the same."""
        if self._success.pages and not self._success.pages.skipped:
            return
        for reason, count in sorted(skip_reasons(self._artefacts, self._success).items()):
            job, _, why = reason.partition(": ")
            if job in self._wanted.needs and (why.startswith("E_") or why in _NOTHING_BEFORE):
                self._report.errors_before += count
                are = "is skipped: it is an error" if count == 1 else "are skipped: they are errors"
                self._report.notes.append(f"{self._report.volume}: {counted(count, 'page')} {are} of {job} ({why}).")

    def _export(self, name: str, level: Level) -> None:
        found = format_of(name)
        with Documents(
            self._destination, self._success.location, f"{name}-{level}", self._key(found), self._origin
        ) as documents:
            self._write(documents, name, level)
            documents.flush()
            if found.text_alone and self._unread and not self._read:
                self._report.notes.append(f"{self._report.volume}: nobody read its lines: the files of text are empty.")
            self._report.documents += documents.written
            self._report.skipped += documents.skipped
            self._report.lacking += len(documents.lacking)
            documents.finish()

    def _write(self, documents: Documents, name: str, level: Level) -> None:
        found = format_of(name)
        write = found.writers[level]
        material = replace(self._wanted.material, picture=self._images.picture, scratch=self._destination.work_dir)
        if level is Level.PAGE:
            self._write_pages(documents, found, name, lambda page: write([page], self._origin, material))
        else:
            self._write_whole(documents, found, lambda pages: write(pages, self._origin, material))

    def _key(self, found: Format) -> str:
        """Name what the documents are made of; with the inputs that are there, because outlines come from them."""
        options = [getattr(self._wanted.material, option) for option in found.wants]
        digest = self._origin.digest or self._success.etag
        return " ".join([str(VERSION), digest, self._origin.finished_at, *sorted(self._inputs), *options])

    def _write_whole(
        self, documents: Documents, found: Format, write: Callable[[Iterable[PageRecord]], Iterator[bytes]]
    ) -> None:
        volume = self._report.volume
        key = f"{volume.w_id}/{volume.i_id}/{document_name(volume.w_id, volume.i_id, found.suffix)}"
        self._report.places.append(key)
        if key in documents.kept([key]):
            documents.keep(key)
        else:
            documents.put(key, write(self._pages(found)))
            if self._images.asked_in_vain():
                documents.note_lacking(key)

    def _write_pages(
        self, documents: Documents, found: Format, name: str, write: Callable[[PageRecord], Iterator[bytes]]
    ) -> None:
        volume = self._report.volume
        folder = f"{volume.w_id}/{volume.i_id}/{name}"
        keys = [f"{folder}/{page}{found.suffix}" for page in self._names]
        self._report.places.append(folder)
        kept = documents.kept(keys)
        for key in kept:
            documents.keep(key)
        if len(kept) == len(keys):
            return
        for page, key in zip(self._pages(found), keys, strict=True):
            if key not in kept:
                documents.put(key, write(page))
            if self._images.asked_in_vain() and key not in kept:
                documents.note_lacking(key)

    def _pages(self, found: Format) -> Iterator[PageRecord]:
        for page in pages_of(self._artefacts, self._success, self._inputs, self._wanted.read):
            if self._wanted.stopped():
                raise Interrupted(
                    "The export was interrupted; what was written is whole.", hint="Run it again to go on there."
                )
            self._note_lost(page)
            texts = [line.text is not None for line in page.content.lines]
            self._read, self._unread = self._read or any(texts), self._unread or not all(texts)
            yield self._placed(page) if found.wants_sizes or not found.text_alone else page

    def _note_lost(self, page: PageRecord) -> None:
        lost = lost_characters(page.content)
        note = f"{self._report.volume}, '{page.image}': left out what no document can hold: {', '.join(lost)}."
        if lost and note not in self._report.notes:
            self._report.notes.append(note)

    def _placed(self, page: PageRecord) -> PageRecord:
        """Return a page with its size; the whole page stands for the place of lines whose job told none."""
        lines = page.content.lines
        nowhere = not all(line.polygon for line in lines)
        if page.content.size and not nowhere:
            return page
        size = page.content.size or self._images.size(page.image)
        if nowhere:
            note = f"{self._report.volume}: its lines have no place: the page stands for it."
            self._report.notes += [] if note in self._report.notes else [note]
            whole = corners_of(size or (1, 1))
            lines = tuple(line if line.polygon else replace(line, polygon=whole) for line in lines)
        return replace(page, content=replace(page.content, size=size, lines=lines))
