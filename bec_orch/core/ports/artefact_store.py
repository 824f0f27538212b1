"""The port of the destination store: artefacts, and the files of an attempt while it runs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from bec_orch.core.artefacts import ArtefactFile, ArtefactLocation, AttemptKey, StoredFile, Success
from bec_orch.core.ports.job_worker import RowStore, Sidecars
from bec_orch.core.volumes import Manifest, PageOutcome

if TYPE_CHECKING:
    import pyarrow as pa


class AttemptFiles(Protocol):
    """The files of one attempt while it runs: the rows, the finished pages of earlier attempts, and the final file."""

    @property
    def rows(self) -> RowStore:
        """Takes the rows of the pages."""
        ...

    @property
    def sidecars(self) -> Sidecars:
        """Takes the sidecar files."""
        ...

    def assemble(self) -> ArtefactFile:
        """Write the final Parquet file, close it, reopen it, check rows = manifest pages, take its digest, upload it.

        The upload is create-only, to a key of this database's and attempt's own; one that is there with the same digest
        is ours. By then the sidecar files are in the store, too.

        Raises:
            RetryableError: disk full, store away, or another file under the key.
        """
        ...

    def mark_partial(self, content: Mapping[str, Any]) -> None:
        """Mark the assembled file as a partial artefact: nobody adopts it, and who wants it asks for it.

        Partial artefacts of earlier attempts of ours are removed.

        Raises:
            StorageError: the store is away.
        """
        ...

    def sidecar_files(self) -> tuple[StoredFile, ...]:
        """Return the sidecar files that belong to the artefact, under keys of this attempt's own, sorted by key."""
        ...

    def error_summary(self) -> "tuple[str, PageOutcome] | None":
        """Return the most common page error's code and the first page that has it; None without page errors."""
        ...

    def counters(self) -> Mapping[str, float]:
        """Return the sums of the counted columns over all rows, also of earlier attempts, and page errors by code."""
        ...

    def discard_parts(self) -> None:
        """Remove our part files; called once the artefact is committed."""
        ...

    def close(self) -> None:
        """Remove the local files. May be called twice."""
        ...


class ArtefactStore(Protocol):
    """The destination store: keys, `success.json`, Parquet and part files."""

    def success(self, location: ArtefactLocation) -> Success | None:
        """Read the `success.json` of a location, None when there is none.

        Raises:
            StorageError: the store is away.
            TerminalError: the `success.json` there cannot be read (E_ARTEFACT_BROKEN).
        """
        ...

    def check_there(self) -> None:
        """See that the store is there, and holds something.

        Raises:
            StorageError: it is away, or empty as a mount point without its disk.
        """
        ...

    def owns(self, success: Success) -> bool:
        """Return whether it is this database's own: what is not is never removed or replaced unless somebody names it.

        Raises:
            DatabaseError: the database is away, and was needed to tell.
        """
        ...

    def verify(self, success: Success, nb_pages: int) -> bool:
        """Return whether each file that it names exists, has its size, opens, and has one row per manifest page.

        Sidecar files have to exist and to have their size.
        """
        ...

    def is_untouched(self, success: Success, nb_pages: int) -> bool:
        """Return whether all that a listing shows is as we left it, so that nothing has to be opened to know more.

        Each file that it names is there with its size, so is the copy under the conventional name, and nothing of ours
        is left over beside them. False where that cannot be known, as of artefacts of others.

        Raises:
            StorageError: the store is away.
        """
        ...

    def open_attempt(
        self,
        location: ArtefactLocation,
        manifest: Manifest,
        attempt: int,
        key: AttemptKey,
        schema: "pa.Schema",
        counted: Mapping[str, str],
    ) -> AttemptFiles:
        """Open the files of one attempt.

        `schema` has the job's own columns; `counted` names a counter and the integer column that it sums
        (`{"lines": "nb_contours"}`).
        """
        ...

    def commit(self, location: ArtefactLocation, content: Mapping[str, Any], *, replaces: Success | None) -> Success:
        """Put `success.json` with the marks of whose it is, create-only, or in exchange for exactly the one given.

        Return the one that holds afterwards: when somebody else committed meanwhile, theirs. The caller holds the
        task's row locked, because folders know no compare-and-swap.

        Raises:
            StorageError: the store is away.
            PlaceTaken: the store keeps the older one from being replaced (E_ARTEFACT_LOCKED).
        """
        ...

    def name_conventionally(self, success: Success) -> bool:
        """Have the conventional name of the artefact's file hold a copy of it, and return whether it does.

        Only beside a `success.json` of ours, and never in place of a file that is not ours.

        Raises:
            StorageError: the store is away.
        """
        ...

    def sweep(self, success: Success, *, ended: int = 0) -> int:
        """Remove what our attempts left under the location and its `success.json` does not name; return the number.

        Files of newer attempts stay, because they may be about to be published; but for those up to `ended`, which are
        known to have ended. What the store does not allow to be deleted is logged, and stays.
        """
        ...

    def read_rows(self, success: Success, columns: Sequence[str] | None = None) -> "pa.Table":
        """Read the Parquet file that a `success.json` names."""
        ...
