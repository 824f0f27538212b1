"""PDF files of every kind, and such as are made to do harm."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pikepdf
from numpy.typing import NDArray
from pikepdf import Array, Dictionary, Name, Stream
from PIL import Image

from tests.unit.ldv1 import drawn

SIZE = (1080, 420)
"""Width and height of the drawn pages, in pixels."""
POINTS = (259.2, 100.8)
"""The paper that they fill at 300 dots per inch."""
_EXIF_TURNED = 6


def pixels(lines: int = 5) -> NDArray[np.uint8]:
    """A grey page with dark bars for lines of text."""
    bars = [(80.0, 60.0 + 50 * line, 1000.0, 60.0 + 50 * line) for line in range(lines)]
    page = drawn.page(SIZE, bars, thickness=16)
    return np.ascontiguousarray(page[..., 0] if page.ndim > 2 else page)


def jpeg(lines: int = 5, *, turned: bool = False) -> bytes:
    """The page as a JPEG; `turned`: whose EXIF block says that it lies on its side."""
    file, exif = io.BytesIO(), Image.Exif()
    if turned:
        exif[0x0112] = _EXIF_TURNED
    Image.fromarray(pixels(lines)).save(file, "JPEG", quality=90, exif=exif)
    return file.getvalue()


def picture(pdf: pikepdf.Pdf, data: bytes, filters: str = "DCTDecode", **entries: object) -> Stream:
    """Put a grey picture into a PDF as it is."""
    stream = Stream(pdf, data)
    stream.stream_dict = Dictionary(
        Type=Name.XObject,
        Subtype=Name.Image,
        Width=SIZE[0],
        Height=SIZE[1],
        BitsPerComponent=8,
        ColorSpace=Name.DeviceGray,
        Filter=Name(f"/{filters}"),
    )
    for key, value in entries.items():
        stream.stream_dict[f"/{key}"] = value
    return stream


def add_page(
    pdf: pikepdf.Pdf,
    image: Stream | None = None,
    *,
    matrix: Sequence[float] = (POINTS[0], 0, 0, POINTS[1], 0, 0),
    beside: str = "",
    paper: tuple[float, float] = POINTS,
    rotate: int = 0,
) -> pikepdf.Page:
    """Add a page with a picture on it, and more beside it (operators; `/F` is a font)."""
    page = pdf.add_blank_page()
    page.MediaBox = Array([0, 0, *paper])
    font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
    page.Resources = Dictionary(Font=Dictionary(F=font))
    placed = f"q {' '.join(map(str, matrix))} cm /I Do Q\n" if image is not None else ""
    if image is not None:
        page.Resources.XObject = Dictionary(I=image)
    page.Contents = Stream(pdf, (placed + beside).encode())
    page.Rotate = rotate
    return page


def made(add: Callable[[pikepdf.Pdf], object], **saved: object) -> bytes:
    """Return the file of a PDF that `add` fills; `saved` as `pikepdf.Pdf.save` has it."""
    with pikepdf.new() as pdf:
        add(pdf)
        file = io.BytesIO()
        pdf.save(file, **saved)  # type: ignore[arg-type]
        return file.getvalue()


def scans(*lines: int) -> bytes:
    """A PDF of scanned pages, with as many lines on each."""

    def add(pdf: pikepdf.Pdf) -> None:
        for count in lines:
            add_page(pdf, picture(pdf, jpeg(count)))

    return made(add)


def write(path: Path, data: bytes) -> Path:
    """Write a file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def encrypted() -> bytes:
    """A PDF that opens with a password alone."""
    return made(lambda pdf: add_page(pdf, picture(pdf, jpeg())), encryption=pikepdf.Encryption(owner="o", user="u"))


def encrypted_for_one() -> bytes:
    """A PDF that opens with a certificate."""
    return encrypted().replace(b"/Filter /Standard", b"/Filter /Adobe.PubSec")


def empty() -> bytes:
    """A PDF without pages."""

    def add(pdf: pikepdf.Pdf) -> None:
        pdf.add_blank_page()
        del pdf.pages[0]

    return made(add)


def truncated() -> bytes:
    """A PDF of which the end is missing, with the table that says where things are."""
    return scans(5, 5)[:-700]


def looped() -> bytes:
    """A PDF whose tree of pages is its own branch."""

    def add(pdf: pikepdf.Pdf) -> None:
        add_page(pdf, picture(pdf, jpeg()))
        pdf.Root.Pages.Kids.append(pdf.Root.Pages)
        pdf.Root.Pages.Count = 1000

    return made(add)


def boastful(pages: int) -> bytes:
    """A PDF that claims this many pages, and has one."""

    def add(pdf: pikepdf.Pdf) -> None:
        add_page(pdf, picture(pdf, jpeg()))
        pdf.Root.Pages.Count = pages

    return made(add)


def huge() -> bytes:
    """A PDF whose only page is as large as a field."""
    return made(lambda pdf: add_page(pdf, beside="0 0 m 100 100 l S", paper=(1_000_000, 1_000_000)))


def masked() -> bytes:
    """A page whose picture is told to show through itself: white where it is dark."""

    def add(pdf: pikepdf.Pdf) -> None:
        mask = picture(pdf, jpeg())
        add_page(pdf, picture(pdf, jpeg(), SMask=pdf.make_indirect(mask)))

    return made(add)


def inverted() -> bytes:
    """A page whose picture is shown as its negative."""
    return made(lambda pdf: add_page(pdf, picture(pdf, jpeg(), Decode=Array([1, 0]))))
