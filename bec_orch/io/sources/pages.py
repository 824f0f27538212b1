"""What sources share: which files are pages, which names are refused, and how a page is read from a store."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

import anyio.to_thread

from bec_orch.core.names import check_name, printable
from bec_orch.core.ports.job_worker import PageBytes
from bec_orch.core.volumes import SKIP_INTRO, Page
from bec_orch.core.wording import clause
from bec_orch.errors import ManifestError, NameUnsafeError, NotAFile, PageError
from bec_orch.io.stores.objects import Blob, Objects

# The largest images of the library are some 100 MB; a page above this is not read at all.
MAX_PAGE_BYTES = 512 * 1024 * 1024

# File systems hold names of up to 255 bytes.
MAX_FILENAME_BYTES = 255

_MADE_AGAIN = "Have the volume's manifest made again."
LINK_HINT = (
    "Links are followed where they lead to a file below the source's own folder; by `bec run`, below its PATH. For "
    "others, look where they lead, and set BEC_FOLLOW_LINKS=true (`bec run --follow-links`); or copy the images there."
)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A folder or file that looks like a volume and cannot be one: why not (the end of a sentence), and what to do."""

    name: str
    reason: str
    hint: str


def badly_named(name: str, error: NameUnsafeError) -> Rejected:
    """Return what cannot be a volume because of its name."""
    return Rejected(name, f"has a name that cannot be used: {error.message}", "Rename it.")


def linked_out(name: str) -> Rejected:
    """Return what is a link that is not followed."""
    return Rejected(name, "is a link that leads out of its source", LINK_HINT)


def check_pages(pages: Iterable[Page], subject: str, twice: str = _MADE_AGAIN) -> None:
    """Check the names of a volume's pages; `subject` begins the sentence of an error, `twice` is a double name's hint.

    Two names that differ only in case, or in the Unicode form of the same letters, are two pages.

    Raises:
        ManifestError: there is no page, a name is unsafe, or one is there twice.
    """
    filenames = [page.filename for page in pages]
    if not filenames:
        raise refused(subject, "has no page images", "E_MANIFEST_EMPTY", "Add the images, or leave the volume out.")
    try:
        for filename in filenames:
            check_name("page", filename, max_bytes=MAX_FILENAME_BYTES)
    except NameUnsafeError as error:
        what = f"is refused: {clause(error.message)}"
        raise refused(subject, what, "E_NAME_UNSAFE", "Rename the image.") from error
    filename, times = Counter(filenames).most_common(1)[0]
    if times > 1:
        raise refused(subject, f"has the page {printable(filename)} {times} times", "E_NAME_DUPLICATE", twice)


def refused(subject: str, what: str, code: str, hint: str = _MADE_AGAIN) -> ManifestError:
    """Return the error of a volume whose list of pages cannot be used."""
    return ManifestError(f"{subject} {what}.", code=code, hint=hint)


def with_intro_skipped(pages: Iterable[Page], nb_images_intro: int) -> tuple[Page, ...]:
    """Mark the first pages of a volume, which the library's scanners put in front, as skipped."""
    return tuple(replace(page, skip_reason=SKIP_INTRO) if page.index < nb_images_intro else page for page in pages)


@dataclass(frozen=True, slots=True)
class StorePages:
    """The page images below one prefix of a store (a `PageReader`)."""

    objects: Objects
    prefix: str
    max_bytes: int = MAX_PAGE_BYTES

    async def read(self, page: Page) -> PageBytes:
        """Read one page image.

        Raises:
            PageError: it is missing in a store that is there, empty, too large, a symbolic link, or no file at all
                (stage `fetch`).
            StorageError: the store is away, or empty; already tried several times.
        """
        key = f"{self.prefix}/{page.filename}" if self.prefix else page.filename
        if self.objects.is_link(key):
            raise _fault(
                page, "is a symbolic link that leads out of its source, or to no file", "E_PAGE_LINK", LINK_HINT
            )
        try:
            blob = await self._blob(key)
        except NotAFile as error:
            raise _fault(page, f"is {error.what}, not a file", "E_PAGE_NOT_A_FILE", "Put the image there.") from error
        if blob is None:
            raise _fault(page, "is listed, but not there", "E_PAGE_MISSING", "Bring the file back.")
        if blob.size == 0:
            raise _fault(page, "has 0 bytes", "E_IMAGE_EMPTY", "Scan or upload it again.")
        if blob.size > self.max_bytes:
            reason = f"has {blob.size} bytes, and {self.max_bytes} are allowed"
            raise _fault(page, reason, "E_IMAGE_TOO_LARGE", "Store it in a smaller form.")
        return PageBytes(blob.data, blob.etag)

    async def _blob(self, key: str) -> Blob | None:
        """Do what `Objects.surely` does, without blocking the event loop."""
        blob = await self.objects.read_async(key, limit=self.max_bytes)
        if blob is None:
            await anyio.to_thread.run_sync(self.objects.check_there)
            blob = await self.objects.read_async(key, limit=self.max_bytes)
        return blob


def _fault(page: Page, reason: str, code: str, hint: str) -> PageError:
    return PageError(f"The page {printable(page.filename)} {reason}.", stage="fetch", code=code, hint=hint)
