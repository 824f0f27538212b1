"""Pictures of pages: read from their source, decoded apart, cropped, scaled, kept with a bound."""

import hashlib
import threading
import time

import anyio
import cv2
import numpy as np
from numpy.typing import NDArray

from bec_orch.core.artefacts import Success
from bec_orch.core.frames import picture_of
from bec_orch.core.names import printable
from bec_orch.core.ports.job_worker import PageBytes
from bec_orch.core.ports.sources import SourceFactory
from bec_orch.core.volumes import Manifest, Page, VolumeRef, other_version, same_etag, version_of
from bec_orch.errors import BecError, PageError
from bec_orch.jobs.formats.header import ImageHeader
from bec_orch.jobs.images import REDUCTIONS, decode, probe
from bec_orch.web.kept.caches import BoundedCache
from bec_orch.web.pictures.requests import Crop

_QUALITY = 85
# Seconds for which a volume's list of pages is believed.
_MANIFEST_AGE = 60.0
_MANIFESTS = 32


class PagePictures:
    """Makes pictures of pages. Any thread may ask.

    Args:
        sources: opens the source of a volume.
        decoders: how many pages are decoded at a time.
        most_bytes: of files, pixels and pictures that are kept.
        max_pixels: images of more are refused.
    """

    def __init__(self, sources: SourceFactory, *, decoders: int, most_bytes: int, max_pixels: int) -> None:
        self._sources = sources
        self._max_pixels = max_pixels
        self._decoding = threading.BoundedSemaphore(decoders)
        # Half for pixels: a view is put together from many tiles of one page.
        self._files = BoundedCache[PageBytes](most_bytes // 4, lambda file: len(file.data))
        self._pixels = BoundedCache[NDArray[np.uint8]](most_bytes // 2, lambda pixels: pixels.nbytes)
        self._jpegs = BoundedCache[bytes](most_bytes // 4, len)
        self._manifests = BoundedCache[Manifest](_MANIFESTS)

    def require_version(self, success: Success) -> None:
        """See that the pictures are of the version of the volume that an artefact was made of.

        Raises:
            PageError: they are of another (E_IMAGE_OTHER_VERSION).
            ManifestError, RetryableError: the volume cannot be read.
        """
        volume = success.location.volume
        etag = self._manifest(volume).etag
        if not success.is_of(etag):
            raise other_version(volume, version_of(etag), success.location.version)

    def require(self, volume: VolumeRef, version: str) -> None:
        """See that the pictures are of a version of the volume; raises what `require_version` raises."""
        now = self._manifest(volume).version
        if now != version:
            raise other_version(volume, now, printable(version))

    def header(self, volume: VolumeRef, file: str) -> ImageHeader:
        """Return what the headers of a page's image say.

        Raises:
            PageError: the volume has no such page (E_IMAGE_MISSING), or its image is broken.
            ManifestError, RetryableError: the volume cannot be read.
        """
        found, frame = self._file(volume, file)
        return probe(found.data, max_pixels=self._max_pixels, frame=frame)

    def size(self, volume: VolumeRef, file: str) -> tuple[int, int] | None:
        """Return (width, height) of a page's image, from the volume's list if that has it; None if it cannot be had."""
        try:
            page, frame = self._page(self._manifest(volume), file)
            if page.width and page.height and frame == 1:
                return page.width, page.height
            header = self.header(volume, file)
        except BecError:
            return None
        return header.width, header.height

    def version(self, volume: VolumeRef, file: str) -> str:
        """Return a text that names the version of a page's image; raises what `header` raises."""
        found, _ = self._file(volume, file)
        return hashlib.sha256(f"{found.etag} {len(found.data)}".encode()).hexdigest()[:16]

    def jpeg(self, volume: VolumeRef, file: str, crop: Crop) -> bytes:
        """Return a part of a page's image as a JPEG file.

        Raises:
            PageError: the image is missing, or cannot be decoded.
            ManifestError, RetryableError: the volume cannot be read, or no decoder can be had.
        """
        key = (volume, file, self.version(volume, file), crop)
        return self._jpegs.get(key, lambda: self._encoded(volume, file, crop))

    def _encoded(self, volume: VolumeRef, file: str, crop: Crop) -> bytes:
        shrunk = min(crop.width / crop.out_width, crop.height / crop.out_height)
        reduce = max(factor for factor in REDUCTIONS if factor <= max(shrunk, 1.0) and _begins_on(crop, factor))
        pixels = self._decoded(volume, file, reduce)
        left, top = crop.x // reduce, crop.y // reduce
        right, bottom = -(-(crop.x + crop.width) // reduce), -(-(crop.y + crop.height) // reduce)
        part = pixels[top:bottom, left:right]
        size = (crop.out_width, crop.out_height)
        if part.shape[1::-1] != size:
            part = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
        return cv2.imencode(".jpg", part, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()

    def _decoded(self, volume: VolumeRef, file: str, reduce: int) -> NDArray[np.uint8]:
        found, frame = self._file(volume, file)

        def decode_it() -> NDArray[np.uint8]:
            with self._decoding:
                header = probe(found.data, max_pixels=self._max_pixels, frame=frame)
                return decode(found.data, header, reduce=reduce)

        return self._pixels.get((volume, file, found.etag, len(found.data), reduce), decode_it)

    def _file(self, volume: VolumeRef, file: str) -> tuple[PageBytes, int]:
        """Return the file of a page, and which of its pictures, from 1, the page is."""
        manifest = self._manifest(volume)
        page, frame = self._page(manifest, file)
        key = (volume, manifest.etag, page.filename)
        return self._files.get(key, lambda: self._fetched(manifest, page)), frame

    def _page(self, manifest: Manifest, file: str) -> tuple[Page, int]:
        found = picture_of(file, {page.filename: page for page in manifest.pages})
        if found is None:
            raise PageError(
                f"The volume {manifest.volume} has no page {printable(file)}.",
                stage="fetch",
                code="E_IMAGE_MISSING",
                hint="It may have had one when it was worked on: its list of pages is read from the source.",
            )
        return found

    def _fetched(self, manifest: Manifest, page: Page) -> PageBytes:
        found: PageBytes = anyio.run(self._sources(manifest.volume.source).pages(manifest).read, page)
        if page.etag is not None and not same_etag(found.etag, page.etag):
            raise PageError(
                f"The page {printable(page.filename)} of {manifest.volume} was replaced a moment ago.",
                stage="fetch",
                code="E_IMAGE_OTHER_VERSION",
                hint=f"In {_MANIFEST_AGE:.0f} seconds the volume's list of pages is read again.",
            )
        return found

    def _manifest(self, volume: VolumeRef) -> Manifest:
        now = int(time.monotonic() / _MANIFEST_AGE)
        return self._manifests.get((volume, now), lambda: self._sources(volume.source).read_manifest(volume))


def _begins_on(crop: Crop, reduce: int) -> bool:
    """Return whether a part begins with a pixel of the picture at 1/`reduce`, as tiles do: it would be moved else."""
    return crop.x % reduce == 0 and crop.y % reduce == 0
