from pathlib import Path

import pytest

from bec_orch.core.volumes import Page, VolumeRef
from bec_orch.errors import PageError, StorageError
from bec_orch.io.stores.storage import Stores
from bec_orch.jobs.evalv1 import truth as module
from bec_orch.jobs.evalv1.config import Evalv1Config
from bec_orch.jobs.evalv1.truth import TruthStore, VolumeTruth

VOLUME = VolumeRef("W1", "I1", "folder+memory:///")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "W1" / "I1"
    folder.mkdir(parents=True)
    return folder


def opened(root: Path, **config: object) -> VolumeTruth:
    parsed = Evalv1Config.parse({"truth_url": root.as_uri(), **config})
    return TruthStore(parsed, Stores().open(root.as_uri())).volume(VOLUME)


def text_of(truth: VolumeTruth, filename: str) -> str | None:
    found = truth.of(Page(0, filename))
    return None if found is None else found.text


def test_files_are_matched_by_the_name_of_the_image(tmp_path: Path, folder: Path) -> None:
    (folder / "0001.txt").write_text("one", encoding="utf-8")
    (folder / "0002.xml").write_text('<alto><TextLine><String CONTENT="two"/></TextLine></alto>', encoding="utf-8")
    (folder / "0003.jpg.GT.TXT").write_text("three", encoding="utf-8")
    (folder / "0004.page.xml").write_text("<PcGts/>", encoding="utf-8")
    truth = opened(tmp_path)
    names = ["0001.tif", "0002.jpg", "0003.jpg", "0004.png", "0005.jpg", "0001"]
    assert [text_of(truth, name) for name in names] == ["one", "two", "three", "", None, "one"]


def test_of_several_files_the_plainest_is_taken(tmp_path: Path, folder: Path) -> None:
    for suffix in (".alto.xml", ".txt", ".gt.txt", ".xml"):
        (folder / f"a{suffix}").write_text(suffix, encoding="utf-8")
    found = opened(tmp_path).of(Page(0, "a.tif"))
    assert found is not None
    assert (found.text, found.key) == (".gt.txt", "W1/I1/a.gt.txt")
    assert found.etag


@pytest.mark.parametrize(
    ("template", "place"), [("", "."), ("{i_id}", "I1"), ("gt/{w_id}-{i_id}/", "gt/W1-I1"), ("/W1/", "W1")]
)
def test_the_folder_is_named_by_the_config(tmp_path: Path, template: str, place: str) -> None:
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    (tmp_path / place / "a.txt").write_text("ཀ", encoding="utf-8")
    assert text_of(opened(tmp_path, truth_folder=template), "a.jpg") == "ཀ"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_texts_of_usual_encodings_are_read_and_first_lines_left_out(
    tmp_path: Path, folder: Path, encoding: str
) -> None:
    (folder / "a.txt").write_bytes("name.tif\r\nཀ་\r\nཁ".encode(encoding))
    assert text_of(opened(tmp_path, truth_skip_lines=1), "a.tif") == "ཀ་\r\nཁ"


def test_no_truth_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "W2").mkdir()
    assert text_of(opened(tmp_path), "a.tif") is None
    assert TruthStore(Evalv1Config(), None).volume(VOLUME).of(Page(0, "a.tif")) is None


@pytest.mark.parametrize(("name", "data"), [("a.txt", b"\xff\xfea"), ("a.txt", b"\xe0\xa0"), ("a.xml", b"<alto")])
def test_broken_truth_is_the_error_of_its_page(tmp_path: Path, folder: Path, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)
    with pytest.raises(PageError, match=f"W1/I1/{name}") as raised:
        text_of(opened(tmp_path), "a.tif")
    assert (raised.value.code, raised.value.stage) == ("E_TRUTH_BROKEN", "decode")


def test_truth_that_is_too_large_is_not_read(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_FILE", 10)
    (folder / "a.txt").write_bytes(b"x" * 11)
    with pytest.raises(PageError, match="11 bytes"):
        text_of(opened(tmp_path), "a.tif")


def test_truth_that_goes_away_is_a_fault_of_the_store(tmp_path: Path, folder: Path) -> None:
    (folder / "a.txt").write_text("ཀ", encoding="utf-8")
    truth = opened(tmp_path)
    (folder / "a.txt").unlink()
    with pytest.raises(StorageError, match="removed"):
        text_of(truth, "a.tif")


def test_names_are_compared_by_nfc(tmp_path: Path, folder: Path) -> None:
    for name, text in (
        ("Cafe\u0301.txt", "apart"),
        ("Gar\u00e7on.txt", "together"),
        ("o\u0308.txt", "1"),
        ("\u00f6.txt", "2"),
    ):
        (folder / name).write_text(text, encoding="utf-8")
    truth = opened(tmp_path)
    assert text_of(truth, "Caf\u00e9.jpg") == "apart"
    assert text_of(truth, "Garc\u0327on.jpg") == "together"
    assert (text_of(truth, "o\u0308.jpg"), text_of(truth, "\u00f6.jpg")) == ("1", "2")


def test_truth_without_a_page_is_listed(tmp_path: Path, folder: Path) -> None:
    for name in ("a.txt", "b.xml", "c.jpg.txt", "Cafe\u0301.txt", "notes.pdf"):
        (folder / name).write_text("x", encoding="utf-8")
    pages = ["a.tif", "c.jpg", "Caf\u00e9.jpg", "d.jpg"]
    assert opened(tmp_path).without_page(pages) == ["W1/I1/b.xml"]
    assert VolumeTruth().without_page(pages) == []
