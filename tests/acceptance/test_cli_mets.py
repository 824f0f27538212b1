"""Workspaces of OCR-D, from their METS to what is handed on of them."""

from pathlib import Path

import cv2
import pyarrow.parquet as pq
import pytest

from tests.acceptance.conftest import Bec, ok
from tests.support import pdfs
from tests.support.workspaces import document, group, pages, workspace
from tests.unit.ldv1 import drawn

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def home(bec: Bec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BEC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BEC_LD_MODEL_PATH", str(drawn.model_folder(tmp_path / "model")))
    return tmp_path / "home"


def picture(lines: int) -> bytes:
    return bytes(cv2.imencode(".png", pdfs.pixels(lines))[1])


def test_a_workspace_is_a_volume_to_be_read_and_handed_on(bec: Bec, home: Path, tmp_path: Path) -> None:
    scans = {"b.png": picture(7), "a.png": picture(5), "c.png": picture(6)[:900]}
    root = workspace(tmp_path / "data" / "W1" / "I1", scans, {name: picture(3) for name in ("b.png", "a.png", "c.png")})
    ended = bec("run", "ldv1", root, "--json", "--max-page-error-rate", "0.5")
    assert ended.code == 3, ended.err
    assert (ended.json["layout"], ended.json["images_outside"]) == ("workspaces of OCR-D", 0)
    (file,) = home.rglob("W1-I1-*.a*-*.parquet")
    rows = [(row["img_file_name"], row["nb_lines"], row["error_type"]) for row in pq.read_table(file).to_pylist()]
    assert rows == [("b.png", 7, None), ("a.png", 5, None), ("c.png", None, "E_IMAGE_TRUNCATED")]
    ok(bec("audit", "--deep"))
    bec("export", "ldv1", "--format", "page", "--out", tmp_path / "documents")
    assert {path.name for path in (tmp_path / "documents").rglob("*.xml")} >= {"a.xml", "b.xml"}

    other = ok(bec("run", "ldv1", f"mets+{(tmp_path / 'data').as_uri()}#group=OCR-D-BIN", "--json"))
    assert other.json["counters"]["lines"] == 9


def test_a_page_with_a_bad_reference_is_an_error_row_and_the_others_are_done(
    bec: Bec, home: Path, tmp_path: Path
) -> None:
    root = workspace(tmp_path / "data" / "W1" / "I1", {name: picture(5) for name in ("a.png", "b.png", "c.png")})
    text = (root / "mets.xml").read_text()
    text = text.replace('"OCR-D-IMG/a.png"', '"file:///etc/passwd"').replace('<fptr FILEID="IMG_c.png"/>', "")
    (root / "mets.xml").write_text(text)
    ended = bec("run", "ldv1", root, "--max-page-error-rate", "0.8")
    assert ended.code == 3, ended.err
    assert "'file:///etc/passwd'" in ended.out + ended.err
    (file,) = home.rglob("W1-I1-*.a*-*.parquet")
    rows = [(row["img_file_name"], row["nb_lines"], row["error_type"]) for row in pq.read_table(file).to_pylist()]
    assert rows == [("0001", None, "E_METS_HREF"), ("b.png", 5, None), ("0003", None, "E_METS_NO_IMAGE")]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("<mets", "E_METS"),
        (document(group("OCR-D-IMG", {"a": "../../secret.png"}), pages(["a"])), "E_METS_HREF"),
        (document(group("OCR-D-OCR", {"a": "a.xml"}, kind="text/xml"), pages(["a"])), "E_METS_GROUP"),
    ],
    ids=["broken", "href", "group"],
)
def test_a_workspace_that_cannot_be_read_is_reported(bec: Bec, tmp_path: Path, text: str, code: str) -> None:
    root = workspace(tmp_path / "data" / "W1" / "I1", {"a.png": picture(5)})
    (root / "mets.xml").write_text(text)
    ended = bec("run", "ldv1", root / "mets.xml")
    assert (ended.code, code in ended.out + ended.err) == (1, True), ended.out + ended.err
