"""PDFs, from the file to what is seen and handed on of them; and those that cannot be read."""

from pathlib import Path

import pikepdf
import pyarrow.parquet as pq
import pytest

from bec_orch.cli.composition.parts import open_parts
from bec_orch.cli.serve.building import sight_of
from bec_orch.settings.config import load_settings
from bec_orch.web.app import application
from bec_orch.web.door.guard import Door
from tests.acceptance.conftest import Bec, ok
from tests.support import pdfs
from tests.support.web import Client
from tests.unit.ldv1 import drawn

pdfium = pytest.importorskip("pypdfium2")
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def home(bec: Bec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BEC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BEC_LD_MODEL_PATH", str(drawn.model_folder(tmp_path / "model")))
    return tmp_path / "home"


def book() -> bytes:
    """A scanned page, one that is shown turned, and one with more on it than its picture."""

    def add(made: pikepdf.Pdf) -> None:
        pdfs.add_page(made, pdfs.picture(made, pdfs.jpeg(7)))
        pdfs.add_page(made, pdfs.picture(made, pdfs.jpeg(5)), rotate=180)
        pdfs.add_page(made, pdfs.picture(made, pdfs.jpeg(4)), paper=(pdfs.POINTS[0], 200))

    return pdfs.made(add)


def test_a_pdf_is_a_volume_to_be_read_seen_and_handed_on(bec: Bec, home: Path, tmp_path: Path) -> None:
    path = pdfs.write(tmp_path / "shelf" / "book.pdf", book())
    run = ok(bec("run", "ldv1", path, "--json")).json
    assert (run["volumes"], run["pages"]["ok"], run["layout"]) == (1, 3, "PDFs")
    (file,) = home.rglob("shelf-book-*.a1-*.parquet")
    rows = pq.read_table(file).to_pylist()
    assert [(row["img_file_name"], row["width"], row["height"], row["nb_lines"]) for row in rows] == [
        ("0001", 1080, 420, 7),
        ("0002", 1080, 420, 5),
        ("0003", 1080, 833, 4),
    ]
    assert ok(bec("run", "ldv1", path, "--json")).json["pages_per_second"] is None

    (told,) = ok(bec("pages", "shelf/book", "--json")).json
    assert [page["img_file_name"] for page in told["pages"]] == ["0001", "0002", "0003"]
    ok(bec("audit", "--deep"))
    ok(bec("export", "ldv1", "--format", "page,pdf", "--out", tmp_path / "documents"))
    assert sorted(each.name for each in tmp_path.rglob("*.xml")) == ["0001.xml", "0002.xml", "0003.xml"]
    (searchable,) = (tmp_path / "documents").rglob("*.pdf")
    assert len(pdfium.PdfDocument(searchable.read_bytes())) == 3

    with open_parts(load_settings({}).settings) as parts:
        sight = sight_of(parts)
        client = Client(application(sight, Door(frozenset({"localhost"}))))
        for page in ("0001", "0003"):
            thumbnail = client.get(f"/iiif/image/shelf/book/{page}/full/!64,64/0/default.jpg")
            assert (thumbnail.status_code, thumbnail.headers["content-type"]) == (200, "image/jpeg")
        sight.close()


def test_a_folder_of_them_is_a_volume_each_and_those_that_cannot_be_read_are_reported(bec: Bec, tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    pdfs.write(shelf / "good.pdf", pdfs.scans(5, 6))
    pdfs.write(shelf / "locked.pdf", pdfs.encrypted())
    pdfs.write(shelf / "torn.pdf", pdfs.truncated())
    pdfs.write(shelf / "field.pdf", pdfs.huge())
    run = bec("run", "ldv1", shelf, "--json")
    assert run.code == 1, run.err
    states = {task["volume"]["i_id"]: task for task in run.json["tasks"]}
    assert {name: task["state"] for name, task in states.items()} == {
        "good": "done",
        "locked": "terminal_failed",
        "torn": "terminal_failed",
        "field": "terminal_failed",
    }
    shown = ok(bec("errors")).out
    assert all(code in shown for code in ("E_PDF_ENCRYPTED", "E_PDF_TRUNCATED", "E_IMAGE_TOO_LARGE"))


def test_a_resolution_is_named_with_the_source_and_makes_another_version(bec: Bec, tmp_path: Path, home: Path) -> None:
    pdfs.write(tmp_path / "shelf" / "book.pdf", book())
    for dpi, height in (("", 833), ("#dpi=150", 417)):
        ok(bec("run", "ldv1", f"pdf+{tmp_path.as_uri()}{dpi}"))
        newest = max(home.rglob("shelf-book-*.parquet"), key=lambda path: path.stat().st_mtime_ns)
        assert pq.read_table(newest).to_pylist()[2]["height"] == height


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("pdf+file:///nowhere/at/all", "E_STORAGE_MISSING"),
        ("pdf+file:///tmp#dpi=0", "E_SOURCE_NAME"),
        ("http+file:///x", "E_SOURCE_NAME"),
        ("nothing.pdf", "E_PATH_MISSING"),
    ],
)
def test_scans_that_are_not_there_are_reported(bec: Bec, what: str, code: str) -> None:
    ended = bec("run", "ldv1", what)
    assert (ended.code, f"error {code}: " in ended.err) == (6 if code == "E_STORAGE_MISSING" else 2, True), ended.err


@pytest.mark.parametrize("command", [("run", "ldv1"), ("view",)])
@pytest.mark.parametrize("layout", ["folder", "flat", "pdf", "mets", "bdrc"])
def test_scans_that_are_missing_or_empty_are_told_by_how_they_are_named(
    bec: Bec, tmp_path: Path, command: tuple[str, ...], layout: str
) -> None:
    """docs/cli.md, "Exit codes": a path is a word of the command line, a source something outside."""
    missing, empty = tmp_path / "missing", tmp_path / "empty"
    empty.mkdir()
    for folder, as_path, as_source in (
        (missing, "E_PATH_MISSING", "E_STORAGE_MISSING"),
        (empty, "E_PATH_NO_IMAGES", "E_STORAGE_EMPTY"),
    ):
        by_path, by_name = bec(*command, folder), bec(*command, f"{layout}+{folder.as_uri()}")
        assert (by_path.code, f"error {as_path}: " in by_path.err) == (2, True), by_path.err
        assert (by_name.code, f"error {as_source}: " in by_name.err) == (6, True), by_name.err


def test_a_source_without_volumes_is_reported(bec: Bec, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "notes.txt").write_text("x")
    ended = bec("run", "ldv1", f"pdf+{(tmp_path / 'none').as_uri()}")
    assert (ended.code, "error E_PATH_NO_IMAGES: " in ended.err) == (2, True), ended.err
