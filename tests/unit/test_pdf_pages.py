"""Pages of PDFs, made in the real child processes: as they lie in the file, or drawn; and files made to do harm."""

import errno
import io
import os
import signal
import sys
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pikepdf
import psutil
import pytest
from pikepdf import Array, Dictionary, Name
from PIL import Image, ImageOps

from bec_orch.errors import ConfigError, PageError, RetryableError, StorageError
from bec_orch.jobs import images
from bec_orch.jobs.decoders import documents
from bec_orch.jobs.decoders.documents import DocumentPool
from bec_orch.jobs.formats import pdf as reader
from tests.support import pdfs

GONE_WRONG = (sys.executable, "-P", str(Path(__file__).parents[1] / "support" / "documents_gone_wrong.py"))


@pytest.fixture(scope="module")
def pool() -> Iterator[DocumentPool]:
    pool = DocumentPool()
    yield pool
    pool.close()


class Pdf:
    """A PDF in a file, and what is read of it."""

    def __init__(self, pool: DocumentPool, path: Path, data: bytes) -> None:
        self._pool = pool
        self._path = pdfs.write(path, data)

    def count(self) -> int:
        with self._path.open("rb") as file:
            return self._pool.count_pages(file.fileno())

    def picture(self, index: int = 0, dpi: int = 300) -> bytes:
        with self._path.open("rb") as file:
            return self._pool.picture(file.fileno(), index, dpi)

    def image(self, index: int = 0, dpi: int = 300) -> Image.Image:
        return Image.open(io.BytesIO(self.picture(index, dpi)))


Open = Callable[[bytes], Pdf]


@pytest.fixture
def pdf(pool: DocumentPool, tmp_path: Path) -> Open:
    return partial(Pdf, pool, tmp_path / "a.pdf")


def scanned(**page: object) -> bytes:
    """A PDF of one page with one picture, placed as the arguments of `add_page` say."""
    return pdfs.made(lambda made: pdfs.add_page(made, pdfs.picture(made, pdfs.jpeg()), **page))  # type: ignore[arg-type]


def code(read: Pdf, index: int = 0) -> str:
    with pytest.raises(PageError) as caught:
        read.picture(index)
    return caught.value.code


class TestAsItIs:
    def test_a_page_that_is_one_picture_is_handed_on_byte_for_byte(self, pdf: Open) -> None:
        found = pdf(pdfs.scans(5, 7))
        assert found.count() == 2
        assert (found.picture(0), found.picture(1)) == (pdfs.jpeg(5), pdfs.jpeg(7))

    def test_the_text_of_an_ocr_does_not_show(self, pdf: Open) -> None:
        assert pdf(scanned(beside="BT 3 Tr /F 12 Tf 20 50 Td (Hello) Tj ET")).picture() == pdfs.jpeg()

    def test_jpeg_2000_too(self, pdf: Open) -> None:
        file = io.BytesIO()
        Image.fromarray(pdfs.pixels()).save(file, "JPEG2000")
        data = pdfs.made(lambda made: pdfs.add_page(made, pdfs.picture(made, file.getvalue(), "JPXDecode")))
        assert pdf(data).picture() == file.getvalue()

    def test_one_that_is_cut_is_noticed_by_who_decodes_it(self, pdf: Open) -> None:
        cut = pdfs.jpeg()[:4000]
        data = pdf(pdfs.made(lambda made: pdfs.add_page(made, pdfs.picture(made, cut)))).picture()
        with pytest.raises(PageError) as caught:
            images.probe(data)
        assert (data, caught.value.code) == (cut, "E_IMAGE_TRUNCATED")


class TestDrawn:
    def near(self, image: Image.Image, wanted: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> bool:
        assert image.format == "PNG"
        assert image.mode == "L"
        got = np.asarray(image)
        return got.shape == wanted.shape and float(np.abs(got.astype(int) - wanted).mean()) < 3

    def test_a_picture_in_another_form_keeps_its_own_resolution(self, pdf: Open) -> None:
        raw = pdfs.pixels()

        def add(made: pikepdf.Pdf) -> None:
            pdfs.add_page(made, pdfs.picture(made, zlib.compress(raw.tobytes()), "FlateDecode"))

        image = pdf(pdfs.made(add)).image(dpi=72)
        assert self.near(image, raw)

    @pytest.mark.parametrize("turn", [90, 180, 270])
    def test_a_page_that_is_shown_turned_comes_turned(self, pdf: Open, turn: int) -> None:
        assert self.near(pdf(scanned(rotate=turn)).image(), np.rot90(pdfs.pixels(), -turn // 90))

    def test_a_picture_that_lies_turned_or_mirrored_on_its_page_comes_as_it_is_seen(self, pdf: Open) -> None:
        width, height = pdfs.POINTS
        turned = scanned(matrix=(0, width, -height, 0, height, 0), paper=(height, width))
        assert self.near(pdf(turned).image(), np.rot90(pdfs.pixels()))
        assert self.near(pdf(scanned(matrix=(width, 0, 0, -height, 0, height))).image(), pdfs.pixels()[::-1])

    def test_the_exif_block_of_a_picture_says_nothing_about_its_page(self, pdf: Open) -> None:
        data = pdfs.made(lambda made: pdfs.add_page(made, pdfs.picture(made, pdfs.jpeg(turned=True))))
        image = pdf(data).image()
        assert self.near(image, pdfs.pixels())
        assert ImageOps.exif_transpose(image).size == pdfs.SIZE

    @pytest.mark.parametrize("kind", ["masked", "inverted"])
    def test_a_picture_that_is_shown_otherwise_is_not_taken_for_its_page(self, pdf: Open, kind: str) -> None:
        image = pdf(getattr(pdfs, kind)()).image()
        assert image.format == "PNG"
        assert image.size == pdfs.SIZE
        drawn = np.asarray(image).astype(int)
        assert np.abs(drawn - pdfs.pixels()).mean() > 10

    @pytest.mark.parametrize(
        "more",
        [
            {"beside": "BT /F 12 Tf 20 50 Td (Hello) Tj ET"},
            {"beside": "0 0 50 50 re f"},
            {"paper": (pdfs.POINTS[0], 200)},
            {"matrix": (100, 0, 0, 40, 20, 20)},
        ],
        ids=["text", "drawing", "margin", "small"],
    )
    def test_a_page_with_more_on_it_is_drawn_whole(self, pdf: Open, more: dict[str, object]) -> None:
        found = pdf(scanned(**more))
        width, height = (pdfs.POINTS[0], 200) if "paper" in more else pdfs.POINTS
        assert found.image().size == (round(width * 300 / 72), round(height * 300 / 72))
        assert found.image(dpi=72).size == (round(width), round(height))
        assert found.image().format == "PNG"

    def test_colours_are_kept(self, pdf: Open) -> None:
        data = pdfs.made(lambda made: pdfs.add_page(made, beside="1 0 0 rg 0 0 300 300 re f"))
        image = pdf(data).image(dpi=72)
        assert image.mode == "RGB"
        assert image.getpixel((5, 5)) == (255, 0, 0)

    def test_comments_are_not_drawn(self, pdf: Open) -> None:
        def add(made: pikepdf.Pdf) -> None:
            page = pdfs.add_page(made, pdfs.picture(made, pdfs.jpeg()))
            note = Dictionary(
                Type=Name.Annot,
                Subtype=Name.Square,
                Rect=Array([0, 0, 200, 90]),
                C=Array([1, 0, 0]),
                IC=Array([1, 0, 0]),
            )
            page.Annots = Array([made.make_indirect(note)])

        assert pdf(pdfs.made(add)).picture() == pdfs.jpeg()


class TestHostile:
    @pytest.mark.parametrize(
        ("data", "code_told", "told"),
        [
            (pdfs.encrypted, "E_PDF_ENCRYPTED", "a password"),
            (pdfs.encrypted_for_one, "E_PDF_ENCRYPTED", "a certificate"),
            (pdfs.empty, "E_PDF_NO_PAGES", "without pages"),
            (lambda: b"", "E_PDF_EMPTY", "0 bytes"),
            (pdfs.jpeg, "E_PDF_NOT_PDF", "it begins like a picture (JPEG)"),
            (lambda: b"<html>404</html>" * 99, "E_PDF_NOT_PDF", "a web page"),
            (lambda: bytes(5000), "E_PDF_NOT_PDF", "only zeros"),
            (lambda: b" " * 2000 + pdfs.scans(1), "E_PDF_NOT_PDF", "begins with the bytes 20"),
            (pdfs.truncated, "E_PDF_TRUNCATED", "not come to its end"),
            (lambda: pdfs.truncated()[:40], "E_PDF_TRUNCATED", "after 40 bytes"),
            (lambda: pdfs.truncated() + bytes(3000), "E_PDF_TRUNCATED", "zeros"),
            (lambda: b"%PDF-1.7\n" + b"x" * 9999 + b"\n%%EOF", "E_PDF_BROKEN", "cross-reference"),
        ],
    )
    def test_a_file_that_cannot_be_read_is_reported_by_what_is_wrong_with_it(
        self, pdf: Open, data: Callable[[], bytes], code_told: str, told: str
    ) -> None:
        found = pdf(data())
        with pytest.raises(PageError) as caught:
            found.count()
        assert (caught.value.code, told in caught.value.message) == (code_told, True), caught.value.message
        assert caught.value.hint
        assert code(found) == code_told

    @pytest.mark.parametrize("data", [pdfs.looped(), pdfs.boastful(10**9), pdfs.boastful(-3)])
    def test_a_tree_of_pages_that_lies_or_loops_has_the_pages_that_are_there(self, pdf: Open, data: bytes) -> None:
        found = pdf(data)
        assert found.count() == 1
        assert found.picture() == pdfs.jpeg()
        assert code(found, 1) == "E_PDF_PAGE"

    def test_a_page_that_is_a_field_is_refused_before_it_is_drawn(self, pdf: Open) -> None:
        assert code(pdf(pdfs.huge())) == "E_IMAGE_TOO_LARGE"

    def test_a_file_of_too_many_pages_is_refused(
        self, pdf: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reader, "MAX_PAGES", 2)
        path = pdfs.write(tmp_path / "many.pdf", pdfs.scans(1, 2, 3))
        with path.open("rb") as file, pytest.raises(PageError) as caught:
            reader.count_pages(file.fileno())
        assert caught.value.code == "E_PDF_PAGES"

    def test_a_page_of_too_many_objects_is_not_looked_through(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reader, "MAX_OBJECTS", 1)
        path = pdfs.write(tmp_path / "many.pdf", scanned(beside="0 0 50 50 re f 0 0 20 20 re f"))
        with path.open("rb") as file, pytest.raises(PageError) as caught:
            reader.picture(file.fileno(), 0, 300, 10**9, lambda _: None)
        assert caught.value.code == "E_PDF_PAGE"

    def test_a_picture_that_is_too_large_to_be_drawn_is_not_left_out(self, pdf: Open) -> None:
        def add(made: pikepdf.Pdf) -> None:
            bomb = pdfs.picture(made, zlib.compress(bytes(10**6)), "FlateDecode", Width=60_000, Height=60_000)
            pdfs.add_page(made, bomb, beside="BT /F 12 Tf 20 50 Td (Hello) Tj ET")

        assert code(pdf(pdfs.made(add))) == "E_IMAGE_TOO_LARGE"

    def test_a_picture_that_cannot_be_read_is_no_blank_page(self, pdf: Open) -> None:
        rubbish = pdfs.made(lambda made: pdfs.add_page(made, pdfs.picture(made, b"rubbish" * 50, "JBIG2Decode")))
        assert code(pdf(rubbish)) == "E_PDF_PAGE"

    def test_a_picture_of_which_a_part_is_missing_is_reported(self, pdf: Open) -> None:
        whole = zlib.compress(pdfs.pixels().tobytes())
        cut = pdfs.made(lambda made: pdfs.add_page(made, pdfs.picture(made, whole[: len(whole) // 2], "FlateDecode")))
        assert code(pdf(cut)) == "E_IMAGE_TRUNCATED"

    def test_what_drawing_takes_is_allowed_before_it_begins(self, tmp_path: Path) -> None:
        allowed: list[int] = []
        with pdfs.write(tmp_path / "a.pdf", pdfs.scans(5)).open("rb") as file:
            reader.picture(file.fileno(), 0, 300, 10**9, allowed.append)
        assert allowed == [pdfs.SIZE[0] * pdfs.SIZE[1] * 16]


class TestChildren:
    @pytest.fixture
    def wrong(self) -> Iterator[DocumentPool]:
        pool = DocumentPool(GONE_WRONG, seconds=5.0)
        yield pool
        pool.close()

    @pytest.mark.parametrize(
        ("kind", "told"),
        [
            ("crash", "E_PAGE_CRASH"),
            ("kill", "E_PAGE_MEMORY"),
            ("spin", "E_PAGE_TIMEOUT"),
            ("eat", "E_PAGE_MEMORY"),
            ("bug", "E_PAGE_UNEXPECTED"),
            ("short", "E_PAGE_CRASH"),
            ("boast", "E_PAGE_CRASH"),
            ("write", "E_PAGE_UNEXPECTED"),
        ],
    )
    def test_what_ends_a_child_is_one_pages_error(
        self, wrong: DocumentPool, tmp_path: Path, kind: str, told: str
    ) -> None:
        with pdfs.write(tmp_path / "a", kind.encode()).open("rb") as file:
            with pytest.raises(PageError) as caught:
                wrong.picture(file.fileno(), 0, 300)
            assert caught.value.code == told
        with pdfs.write(tmp_path / "b", b"good").open("rb") as file:
            assert wrong.picture(file.fileno(), 0, 300) == b"good"

    def test_a_disk_that_is_away_is_no_fault_of_the_page(self, wrong: DocumentPool, tmp_path: Path) -> None:
        with pdfs.write(tmp_path / "a", b"away").open("rb") as file, pytest.raises(StorageError) as caught:
            wrong.picture(file.fileno(), 0, 300)
        assert os.strerror(errno.EIO) in caught.value.message

    def test_a_file_that_cannot_be_read_is_no_broken_pdf(self, tmp_path: Path) -> None:
        # A folder has a descriptor and a size, and reading it fails.
        folder = os.open(tmp_path, os.O_RDONLY)
        try:
            with pytest.raises(OSError, match="directory"):
                reader.count_pages(folder)
        finally:
            os.close(folder)

    def test_a_file_that_cannot_be_read_for_a_moment_is_no_broken_pdf(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read, faults = os.pread, [OSError(errno.EIO, os.strerror(errno.EIO))]

        def once_away(file: int, size: int, at: int) -> bytes:
            if faults:
                raise faults.pop()
            return read(file, size, at)

        monkeypatch.setattr(os, "pread", once_away)
        with (
            pdfs.write(tmp_path / "a.pdf", pdfs.scans(1)).open("rb") as file,
            pytest.raises(OSError, match=os.strerror(errno.EIO)),
        ):
            reader.count_pages(file.fileno())

    def test_children_end_with_their_connection_and_pass_signals_over(self, pool: DocumentPool, tmp_path: Path) -> None:
        with pdfs.write(tmp_path / "a.pdf", pdfs.scans(5)).open("rb") as file:
            pool.count_pages(file.fileno())
            children = [each for each in psutil.Process().children() if "document_child" in " ".join(each.cmdline())]
            assert children
            for child in children:
                child.send_signal(signal.SIGINT)
            assert pool.count_pages(file.fileno()) == 1

    def test_a_missing_package_is_named(self, pool: DocumentPool, monkeypatch: pytest.MonkeyPatch) -> None:
        def missing(package: str) -> Path:
            raise ModuleNotFoundError(name=package)

        monkeypatch.setattr(documents, "package_folder", missing)
        with pytest.raises(ConfigError) as caught:
            pool.count_pages(0)
        assert caught.value.code == "E_EXTRA_MISSING"
        assert "`pdf`" in caught.value.hint

    def test_a_program_that_does_not_start_is_tried_again_later(self) -> None:
        pool = DocumentPool((sys.executable, "-c", "raise SystemExit(3)"))
        with Path(__file__).open("rb") as file, pytest.raises(RetryableError) as caught:
            pool.count_pages(file.fileno())
        assert caught.value.code == "E_DECODER_START"
