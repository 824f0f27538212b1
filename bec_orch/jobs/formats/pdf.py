"""PDF (ISO 32000-1), read by PDFium: how many pages a file has, and the picture of each. Child processes alone call it.

A page that is one picture, upright and unchanged, is handed on as it lies in the file (JPEG, JPEG 2000). One that is a
picture in another form is drawn in that picture's own resolution, any other page in the resolution that is asked for:
both as PNG. Comments and form fields are not drawn, for they are notes on a page; nor is text that is invisible.
"""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pypdfium2 as pdfium
import pypdfium2.internal as pdfium_i
import pypdfium2.raw as pdfium_c
from PIL import Image, ImageChops

from bec_orch.core.first_bytes import PDF, READ, looks_like
from bec_orch.errors import PageError
from bec_orch.jobs.formats import jpeg, jpeg2000
from bec_orch.jobs.formats.exif import UPRIGHT
from bec_orch.jobs.formats.header import image_error, truncated

MAX_PAGES = 50_000
"""A file that claims more pages is not read: each would get a row."""
MAX_OBJECTS = 100_000
"""A page of more objects is not looked through."""
_DEPTH = 4  # of groups of objects in groups
_MEND = "Have the PDF made again, or repaired (`qpdf` or `mutool clean`)."
_FETCH = "Copy or download it again; if it was made like this, make it again."
_END = (b"startxref", b"%%EOF")  # one of which the last 1,024 bytes of a whole PDF hold
_POINTS = 72  # of an inch
_DRAWN_BYTES = 16
"""Memory that a drawn pixel takes: PDFium's and Pillow's copies in three colours, one plane for greys, and the PNG."""
_PICTURES = {"DCTDecode": jpeg.probe, "JPXDecode": jpeg2000.probe}
_SAMPLES = frozenset({1, 3})
# A picture is the page if each of its sides is this close to the page's, as a share of the page.
_MARGIN = 0.01
# A page is looked at in this size to see whether it shows its picture and nothing else...
_SMALL = 1024
# ... in squares of so many pixels, as both are shrunk in ways of their own...
_SQUARE = 32
# ... none of which may differ by more greys than this: those of 11 real scans do by up to 5, of drawn ones by 4.
_DIFFERENCE = 12


class _File:
    """A file by its descriptor, as PDFium wants to read it. Others may read it by the same descriptor meanwhile."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._size = os.fstat(file).st_size
        self._at = 0
        self.fault: OSError | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = self._size + offset if whence == os.SEEK_END else offset
        return self._at

    def readinto(self, buffer: memoryview) -> int:
        try:
            data = os.pread(self._file, len(buffer), self._at)
        except OSError as error:  # PDFium is told that there is nothing, and the worker why
            self.fault = error
            return 0
        memoryview(buffer).cast("B")[: len(data)] = data
        return len(data)

    def read(self, size: int) -> bytes:
        return os.pread(self._file, size, self._at)

    def tell(self) -> int:
        return self._at


def count_pages(file: int) -> int:
    """Return how many pages a PDF has; `file` is its descriptor.

    Raises:
        PageError: it cannot be opened (E_PDF_ENCRYPTED, E_PDF_NO_PAGES, E_PDF_EMPTY, E_PDF_NOT_PDF, E_PDF_TRUNCATED,
            E_PDF_BROKEN), or has too many (E_PDF_PAGES).
        OSError: the file cannot be read.
    """
    with _opened(file) as document:
        count = len(document)
    if count > MAX_PAGES:
        raise image_error("E_PDF_PAGES", f"It has {count} pages, and {MAX_PAGES} are allowed.", hint="Split it.")
    return count


def picture(file: int, index: int, dpi: int, max_pixels: int, allow: Callable[[int], None]) -> bytes:
    """Return the picture of a page as an image file.

    Args:
        file: descriptor of the PDF.
        index: the page, from 0.
        dpi: the resolution to draw in, where the page is not one picture.
        max_pixels: a page that comes out larger is refused.
        allow: called with the bytes of memory that drawing takes, before it begins.

    Raises:
        PageError: as `count_pages`; E_PDF_PAGE (this page is broken), E_IMAGE_TOO_LARGE, E_IMAGE_TRUNCATED.
        OSError: the file cannot be read.
    """
    with _opened(file) as document:
        try:
            page = document[index]
            _check_pictures(page, max_pixels)
            image = _only_picture(page)
            size = _size(page, image, dpi)
            if size[0] * size[1] > max_pixels:
                raise _too_large("The page comes out at", size, max_pixels)
            allow(size[0] * size[1] * _DRAWN_BYTES)
            stored = image and _as_it_is(page, image)
            if image and not stored:
                _check_whole(image)
            return stored or _png(_drawn(page, size))
        # Names that are no text, and sizes that are no numbers, are found where they are made use of.
        except (pdfium.PdfiumError, IndexError, ValueError, OverflowError) as error:
            raise image_error(
                "E_PDF_PAGE",
                f"Page {index + 1} of the PDF is broken.",
                hint=_MEND,
            ) from error


@contextmanager
def _opened(file: int) -> Iterator[pdfium.PdfDocument]:
    source = _File(file)
    # `PdfDocument(source)` would take a file without pages for one that has the fault of the file before it.
    access, held = pdfium_i.get_bufreader(source)
    handle = pdfium_c.FPDF_LoadCustomDocument(access, None)
    if not handle:
        raise source.fault or _not_opened(file, pdfium_c.FPDF_GetLastError())
    document = pdfium.PdfDocument(handle)
    try:
        if not len(document):
            hint = "Have it made again, or leave it out."
            raise source.fault or image_error("E_PDF_NO_PAGES", "It is a PDF without pages.", hint=hint)
        yield document
        if source.fault:
            raise source.fault
    finally:
        document.close()
        del held  # what PDFium calls to read: not to be collected before


def _not_opened(file: int, code: int) -> PageError:
    """Return why PDFium did not open a file; `code` is what it says itself, which is little."""
    if code == pdfium_c.FPDF_ERR_PASSWORD:
        hint = "Store it without (`qpdf --decrypt --password=... IN OUT`)."
        return image_error("E_PDF_ENCRYPTED", "It is encrypted, and opens with a password alone.", hint=hint)
    if code == pdfium_c.FPDF_ERR_SECURITY:
        message = "It is encrypted in a way that is not read, such as for who has a certificate."
        return image_error("E_PDF_ENCRYPTED", message, hint="Store it without, with the program that it was made for.")
    return _damaged(os.fstat(file).st_size, file)


def _damaged(size: int, file: int) -> PageError:
    """Return what is wrong with a file of which PDFium can make nothing: by its first and its last bytes."""
    start, end = os.pread(file, READ + len(PDF), 0), os.pread(file, READ, max(0, size - READ))
    if not size:
        return image_error("E_PDF_EMPTY", "It has 0 bytes.", hint=_FETCH)
    if PDF not in start:
        hint = "Give it the suffix of what it is, or fetch it again: a server may have sent a page with an error."
        return image_error("E_PDF_NOT_PDF", f"It is no PDF: {looks_like(start)}.", hint=hint)
    if not end.strip(b"\0"):
        return image_error("E_PDF_TRUNCATED", "It is cut: its end is filled up with zeros.", hint=_FETCH)
    if not any(mark in end for mark in _END):
        message = f"It is cut: after {size} bytes it has not come to its end."
        return image_error("E_PDF_TRUNCATED", message, hint=_FETCH)
    message = "It is whole at both ends, and what says where its pages are (the cross-reference) is damaged."
    return image_error("E_PDF_BROKEN", message, hint=_MEND)


def _check_pictures(page: pdfium.PdfPage, max_pixels: int) -> None:
    """See that no picture on a page is too large: PDFium draws the page without it, and says nothing.

    Raises:
        PageError: E_IMAGE_TOO_LARGE, E_PDF_PAGE (it has too many objects to look through).
    """
    if pdfium_c.FPDFPage_CountObjects(page) > MAX_OBJECTS:
        raise image_error("E_PDF_PAGE", f"The page has more than {MAX_OBJECTS} objects on it.", hint=_MEND)
    for image in page.get_objects([pdfium_c.FPDF_PAGEOBJ_IMAGE], max_depth=_DEPTH):
        width, height = image.get_px_size()
        if width * height > max_pixels:
            raise _too_large("A picture on the page has", (width, height), max_pixels)


def _check_whole(image: pdfium.PdfImage) -> None:
    """See that PDFium can read a picture, and that all of it is there, where its form tells.

    Raises:
        PdfiumError: it cannot be read at all.
        PageError: E_IMAGE_TRUNCATED.
    """
    image.get_bitmap().close()
    if image.get_filters(skip_simple=True):
        return
    width, height = image.get_px_size()
    size, whole = len(image.get_data(decode_simple=True)), -(-width * image.get_metadata().bits_per_pixel // 8) * height
    if size < whole:
        raise truncated(f"The page's picture is cut: it has {size} of {whole} bytes.")


def _only_picture(page: pdfium.PdfPage) -> pdfium.PdfImage | None:
    """Return the picture that the page consists of, beside text that is invisible (that of an OCR); None: of more."""
    seen = [each for each in page.get_objects(max_depth=1) if not _is_invisible(each)]
    if len(seen) != 1 or not isinstance(seen[0], pdfium.PdfImage):
        return None
    left, bottom, right, top = page.get_bbox()
    margins = (_MARGIN * (right - left), _MARGIN * (top - bottom)) * 2
    sides = zip(seen[0].get_bounds(), (left, bottom, right, top), margins, strict=True)
    return seen[0] if all(abs(side - edge) <= margin for side, edge, margin in sides) else None


def _is_invisible(found: pdfium.PdfObject) -> bool:
    mode = pdfium_c.FPDF_TEXTRENDERMODE_INVISIBLE
    return isinstance(found, pdfium.PdfTextObj) and pdfium_c.FPDFTextObj_GetTextRenderMode(found) == mode


def _size(page: pdfium.PdfPage, image: pdfium.PdfImage | None, dpi: int) -> tuple[int, int]:
    """Return width and height in pixels: those of the picture that the page is, or those of its paper."""
    if image is None:
        return max(1, round(page.get_width() * dpi / _POINTS)), max(1, round(page.get_height() * dpi / _POINTS))
    width, height = image.get_px_size()
    matrix = image.get_matrix()
    lies = abs(matrix.b) > abs(matrix.a)
    return (height, width) if lies != (page.get_rotation() in {90, 270}) else (width, height)


def _as_it_is(page: pdfium.PdfPage, image: pdfium.PdfImage) -> bytes | None:
    """Return the file of the page's picture; None where the page shows it otherwise, or it lies in another form.

    One that is cut or damaged is returned, too: whoever decodes it says so, where PDFium would draw what is left.
    """
    filters = image.get_filters()
    if len(filters) != 1 or filters[0] not in _PICTURES or page.get_rotation() or not _is_upright(image.get_matrix()):
        return None
    data = bytes(image.get_data())
    try:
        header = _PICTURES[filters[0]](data)
        is_taken = header.orientation == UPRIGHT and header.samples in _SAMPLES and _shows(page, data)
    except (PageError, OSError):
        return data
    return data if is_taken else None


def _is_upright(matrix: pdfium.PdfMatrix) -> bool:
    lean = _MARGIN * min(abs(matrix.a), abs(matrix.d))
    return bool(matrix.a > 0 and matrix.d > 0 and abs(matrix.b) <= lean and abs(matrix.c) <= lean)


def _shows(page: pdfium.PdfPage, data: bytes) -> bool:
    """Return whether a page looks like its picture: masks, inversions and clips make another of it."""
    scale = _SMALL / max(page.get_width(), page.get_height())
    size = (max(1, round(page.get_width() * scale)), max(1, round(page.get_height() * scale)))
    squares = (-(-size[0] // _SQUARE), -(-size[1] // _SQUARE))
    with Image.open(io.BytesIO(data)) as found:
        found.draft("L", size)
        alone = found.convert("L").resize(squares, Image.Resampling.BOX)
    shown = _drawn(page, size).convert("L").resize(squares, Image.Resampling.BOX)
    return max(ImageChops.difference(shown, alone).tobytes()) <= _DIFFERENCE


def _drawn(page: pdfium.PdfPage, size: tuple[int, int]) -> Image.Image:
    bitmap = pdfium.PdfBitmap.new_native(*size, pdfium_c.FPDFBitmap_BGR)
    bitmap.fill_rect((255, 255, 255, 255), 0, 0, *size)
    pdfium_c.FPDF_RenderPageBitmap(bitmap, page, 0, 0, *size, 0, 0)
    image: Image.Image = bitmap.to_pil()
    return image


def _png(drawn: Image.Image) -> bytes:
    """Return the PNG of a picture, in one plane where it has no colours."""
    red, green, blue = drawn.split()
    colours = ImageChops.difference(red, green).getbbox() or ImageChops.difference(green, blue).getbbox()
    file = io.BytesIO()
    (drawn if colours else red).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _too_large(subject: str, size: tuple[int, int], max_pixels: int) -> PageError:
    return image_error(
        "E_IMAGE_TOO_LARGE",
        f"{subject} {size[0]} x {size[1]} pixels, more than the {max_pixels} that are allowed.",
        hint="Name a lower resolution, with `#dpi=N` behind the PDF or its source, or make the picture smaller.",
    )
