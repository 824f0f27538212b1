"""The page images of a volume, for what an export needs of them: sizes, and pictures for a PDF."""

import threading
import zlib
from dataclasses import replace

import anyio
import cv2
import numpy as np

from bec_orch.core.artefacts import Success
from bec_orch.core.frames import picture_of
from bec_orch.core.ports.sources import SourceFactory
from bec_orch.core.volumes import Manifest, Page, version_of
from bec_orch.core.wording import said
from bec_orch.errors import NOT_THERE, BecError, PageError, RetryableError
from bec_orch.exports.formats import Picture
from bec_orch.jobs.formats.header import ImageFormat, ImageHeader
from bec_orch.jobs.images import decode, probe

_QUALITY = 80
_COLOURS = 3
# A JPEG is taken as it is unless it has four channels, which would need more entries in a PDF.
_JPEG_SAMPLES = (1, _COLOURS)
# Degrees, clockwise, by EXIF's numbers. Mirrored pictures are shown as they are stored: no page of a PDF is mirrored.
_ROTATIONS = {3: 180, 6: 90, 8: 270}
_MOVED = (
    " If they were moved, run the job over the place where they lie now (`bec run`, or `bec queue enqueue --source`): "
    "it takes over what is done. Then export again."
)
# Ink on paper, in two colours.
_BITONAL_BITS = 1


class VolumeImages:
    """Reads images of a volume; what cannot be read is None, and noted once each.

    Those of another version of the volume are none of its artefact's, and not read.

    Args:
        success: the artefact whose pages they are of.
        sources: opens the volume's source.
    """

    def __init__(self, success: Success, sources: SourceFactory) -> None:
        self._success = success
        self._volume = success.location.volume
        self._sources = sources
        self._in_vain = False
        self._lock = threading.Lock()
        self._manifest: Manifest | None = None
        self._is_away = False
        self._pages: dict[str, Page] = {}
        self.faults: list[str] = []

    def asked_in_vain(self) -> bool:
        """Return whether, since this was last asked, an image was wanted that may be had at another time."""
        asked, self._in_vain = self._in_vain, False
        return asked

    def size(self, image: str) -> tuple[int, int] | None:
        """Return the size of an image's stored bitmap; None where it cannot be had."""
        if self._read_manifest() is None:
            return None
        found = self._page(image)
        if found and found[1] == 1 and found[0].width and found[0].height:
            return found[0].width, found[0].height
        try:
            data, frame = self._data(image)
            header = probe(data, frame=frame)
        except BecError as error:
            self._note(image, error)
            return None
        return header.width, header.height

    def picture(self, image: str) -> Picture | None:
        """Return the picture of a page; None where it cannot be had."""
        if self._read_manifest() is None:
            return None
        try:
            return _picture(*self._data(image))
        except BecError as error:
            self._note(image, error)
            return None

    def _note(self, image: str, error: BecError) -> None:
        self._in_vain = self._in_vain or isinstance(error, RetryableError)
        self.faults.append(f"{self._volume}, '{image}' has no picture: {said(error)}.")

    def _read_manifest(self) -> Manifest | None:
        """Read the volume's list of pages, once; None where it is out of reach, or of another version."""
        with self._lock:
            if self._manifest is None and not self._is_away:
                try:
                    manifest = self._sources(self._volume.source).read_manifest(self._volume)
                except BecError as error:
                    moved = _MOVED if error.code in NOT_THERE else ""
                    self.faults.append(f"The images of {self._volume} are out of reach: {said(error)}.{moved}")
                else:
                    if self._success.is_of(manifest.etag):
                        self._manifest = manifest
                        self._pages = {page.filename: page for page in manifest.pages}
                    else:
                        self.faults.append(
                            f"The images of {self._volume} are left out: the volume is another version now: "
                            f"{version_of(manifest.etag)}, and what was found is of {self._success.location.version}."
                        )
                self._is_away = self._manifest is None
            self._in_vain = self._in_vain or self._is_away
            return self._manifest

    def _page(self, image: str) -> tuple[Page, int] | None:
        return picture_of(image, self._pages)

    def _data(self, image: str) -> tuple[bytes, int]:
        """Return the bytes of an image's file, and which picture of the file it is."""
        found = self._page(image)
        if found is None or self._manifest is None:
            raise PageError("it is no longer in its volume", stage="fetch", code="E_IMAGE_MISSING")
        page, frame = found
        return anyio.run(self._sources(self._volume.source).pages(self._manifest).read, page).data, frame


def _picture(data: bytes, frame: int) -> Picture:
    """Return a picture with the rotation in which its file says that it is to be shown."""
    header = probe(data, frame=frame)
    return replace(_stored(data, header), rotation=_ROTATIONS.get(header.orientation, 0))


def _stored(data: bytes, header: ImageHeader) -> Picture:
    """Take a JPEG as it is, once it was seen to be whole; anything else is decoded and compressed anew."""
    pixels = decode(data, header)
    height, width = pixels.shape[:2]
    if header.format is ImageFormat.JPEG and header.samples in _JPEG_SAMPLES:
        return Picture(data, width, height, 8, header.samples, is_jpeg=True)
    if header.bits == _BITONAL_BITS:
        packed = np.packbits(pixels > np.uint8(127), axis=1)
        return Picture(zlib.compress(packed.tobytes(), 9), width, height, 1, 1, is_jpeg=False)
    encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
    samples = 1 if pixels.ndim < _COLOURS else _COLOURS
    return Picture(np.asarray(encoded, np.uint8).tobytes(), width, height, 8, samples, is_jpeg=True)
