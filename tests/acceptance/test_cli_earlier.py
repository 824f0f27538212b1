"""The library's earlier system: what it left is adopted, read, evaluated and exported, and never touched."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from bec_orch.core.volumes import version_of
from bec_orch.io.sources.bdrc import volume_prefix
from bec_orch.io.stores.storage import Stores
from tests.acceptance.conftest import Bec, ok
from tests.unit.ocrv1.made import model_folder, png, spelled, wylie_bands

W, I = "W22084", "I0886"  # noqa: E741  (the library's own letters)
VOLUME = f"{W}/{I}"
NAMES = [f"0886000{number}.jpg" for number in (1, 2, 3, 4)]
BAD = NAMES[2]
TEXT = "བཀྲ་ཤིས་བདེ་ལེགས།"
EXAMPLE_VERSION = "c746ca"
SIZE = (1000, 400)
TOPS = (100, 200)
"""Where the lines of the examples begin: 800 x 60 pixels at x = 100."""
OCR = {
    "ocrv1-ws-ldv1": ("--type", "ocrv1", "--depends-on", "ldv1"),
    "ocr_qwen_v1": (),
    "paddleocr_v2": (),
    "google_vision_v1": ("--artifact-prefix", "gv"),
}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def page() -> bytes:
    image = np.full(SIZE[::-1], 240, np.uint8)
    for top, text in zip(TOPS, ("kha§ka", "ha§kha"), strict=True):
        line = spelled(wylie_bands(text), 60)
        image[top : top + 60, 100 : 100 + line.shape[1]] = np.minimum(line, 240)
    return png(image)


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_database: None) -> Path:
    """The library's archive with the volume of the examples; two pages have no size in its manifest."""
    source = Stores().open((tmp_path / "archive").as_uri(), create=True)
    prefix = volume_prefix(W, I)
    sizes: list[dict[str, int]] = [{"width": SIZE[0], "height": SIZE[1]}] * 2 + [{}, {}]
    entries = [{"filename": name, **size} for name, size in zip(NAMES, sizes, strict=True)]
    for name in NAMES:
        source.create(f"{prefix}/{name}", page())
    source.create(f"{prefix}/dimensions.json", gzip.compress(json.dumps(entries).encode(), mtime=0))
    monkeypatch.setenv("BEC_SOURCE_URL", source.url)
    monkeypatch.setenv("BEC_SOURCE_LAYOUT", "bdrc")
    monkeypatch.setenv("BEC_HOME", str(tmp_path / "home"))
    return tmp_path / "archive"


@pytest.fixture
def destination(shared_data: Path, tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The destination bucket as the earlier system left it, for the version that the archive has here."""
    etag = Stores().open(archive.as_uri()).version_at(f"{volume_prefix(W, I)}/dimensions.json")
    version = version_of(str(etag))
    examples, folder = shared_data / "earlier_system" / "artefacts", tmp_path / "results"
    if not examples.is_dir():
        pytest.skip("the examples of the earlier system are not there")
    for name, data in files(examples).items():
        path = folder / name.replace(EXAMPLE_VERSION, version)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    monkeypatch.setenv("BEC_DEST_URL", folder.as_uri())
    return folder


@pytest.fixture
def left(destination: Path) -> Iterator[dict[str, bytes]]:
    """What the earlier system left: all of it is there at the end, byte for byte."""
    before = files(destination)
    yield before
    assert before.items() <= files(destination).items()


def adopt(bec: Bec, job: str, *how: str) -> Any:
    """Take over what the earlier system left of a job, and return its pages."""
    ok(bec("jobs", "create", job, *how))
    ok(bec("queue", "enqueue", job, "--volume", VOLUME, "--adopt-foreign"))
    ok(bec("worker", "--job", job, "--until-empty"))
    [found] = ok(bec("pages", VOLUME, "--job", job, "--json")).json
    assert [one["img_file_name"] for one in found["pages"]] == NAMES
    return found["pages"]


def test_its_lines_are_read(bec: Bec, left: dict[str, bytes], destination: Path, tmp_path: Path) -> None:
    pages = adopt(bec, "ldv1")
    assert [one["figures"].get("lines") for one in pages] == [2, 2, None, 2]
    bad = pages[2]
    assert (bad["state"], bad["code"], bad["stage"]) == ("error", "E_PAGE_EARLIER", "decode")
    assert bad["message"] == "ValueError: truncated"
    [task] = ok(bec("jobs", "tasks", "ldv1", "--json")).json
    assert task["pages"] == {"ok": 3, "skipped": 0, "error": 1}

    model = model_folder(tmp_path / "model")
    config = json.dumps({"engine": "ctc", "model": str(model)})
    ok(bec("jobs", "create", "ocr", "--type", "ocrv1", "--depends-on", "ldv1", "--config-text", config))
    ok(bec("queue", "enqueue", "ocr", "--volume", VOLUME))
    ok(bec("worker", "--job", "ocr", "--until-empty"))
    [found] = ok(bec("pages", VOLUME, "--job", "ocr", "--json")).json
    assert [one["state"] for one in found["pages"]] == ["ok", "ok", "skipped", "ok"]
    assert found["pages"][2]["message"] == "ldv1: E_PAGE_EARLIER"
    exported = bec("export", "ocr", "--format", "txt", "--level", "page", "--out", tmp_path / "texts")
    assert (exported.code, "it is an error of ldv1 (E_PAGE_EARLIER)" in exported.err) == (3, True)
    texts = {path.stem: path.read_text("utf-8").split() for path in (tmp_path / "texts").rglob("*.txt")}
    assert texts[NAMES[0].removesuffix(".jpg")] == texts[NAMES[3].removesuffix(".jpg")] == ["ཁ་ཀ", "ཧ་ཁ"]
    assert bec("export", "ldv1", "--format", "page", "--out", tmp_path / "lines").code == 3
    [first] = (tmp_path / "lines").rglob("08860001.xml")
    assert 'imageWidth="1000"' in first.read_text("utf-8")
    assert "100,100" in first.read_text("utf-8")
    assert bec("audit", "--deep").code == 0


@pytest.mark.parametrize("job", OCR)
def test_its_text_is_read(job: str, bec: Bec, left: dict[str, bytes], destination: Path, tmp_path: Path) -> None:
    lines = 1 if job == "google_vision_v1" else 2
    if "--depends-on" in OCR[job]:
        adopt(bec, "ldv1")
    pages = adopt(bec, job, *OCR[job])
    # Rows of google_vision_v1 tell no errors.
    done = [one for one in pages if one["state"] == "ok"]
    assert len(done) == (4 if job == "google_vision_v1" else 3)
    assert all((one["figures"]["lines"], one["figures"]["characters"]) == (lines, lines * 17) for one in done)
    [task] = ok(bec("jobs", "tasks", job, "--json")).json
    assert task["pages"] == {"ok": 3, "skipped": 0, "error": 1}
    if job != "google_vision_v1":
        [volume] = ok(bec("errors", "show", VOLUME, "--job", job, "--json")).json
        [told] = volume["pages"]
        assert (told["page"], told["code"], told["message"]) == (3, "E_PAGE_EARLIER", "truncated")

    assert TEXT in ok(bec("show", VOLUME, "1", "--job", job)).out
    truth = tmp_path / "truth" / W / I
    truth.mkdir(parents=True)
    (truth / "08860001.txt").write_text("\n".join([TEXT] * lines), "utf-8")
    config = json.dumps({"truth_url": (tmp_path / "truth").as_uri()})
    ok(bec("jobs", "create", "eval", "--type", "evalv1", "--depends-on", job, "--config-text", config))
    ok(bec("queue", "enqueue", "eval", "--volume", VOLUME))
    ok(bec("worker", "--job", "eval", "--until-empty"))
    report = ok(bec("eval", "report", "eval", "--json")).json
    assert (report["sums"]["truth_chars"] > 0, report["sums"]["char_errors"]) == (True, 0)

    out = tmp_path / "documents"
    exported = bec(
        "export",
        job,
        "--format",
        "txt",
        "--format",
        "page",
        "--format",
        "alto",
        "--format",
        "jsonl,iiif,hocr",
        "--out",
        out,
    )
    assert exported.code == 3
    [text] = out.rglob("*.txt")
    assert text.read_text("utf-8").count(TEXT) == lines * len(done)
    for document in out.rglob("08860001.xml"):
        read = document.read_text("utf-8")
        assert read.count(TEXT) == lines
        assert ("0,0" in read) == (job != "ocrv1-ws-ldv1")  # which alone has places, those of ldv1
    assert ("its lines have no place" in exported.err + exported.out) == (job != "ocrv1-ws-ldv1")
    assert bec("audit", "--deep").code == 0


def test_its_classes_are_read_and_rules_go_by_them(bec: Bec, left: dict[str, bytes], tmp_path: Path) -> None:
    pages = adopt(bec, "script_classification_v2", "--type", "script_classification")
    assert [one["figures"].get("label") for one in pages] == ["uchen", "uchen", None, "uchen"]
    adopt(bec, "ldv1")
    rule = {"job": "script_classification_v2", "column": "label", "values": ["uchen"]}
    config = json.dumps({"engine": "ctc", "model": str(model_folder(tmp_path / "model")), "skip_pages": [rule]})
    needs = ("--depends-on", "ldv1,script_classification_v2")
    ok(bec("jobs", "create", "ocr", "--type", "ocrv1", *needs, "--config-text", config))
    ok(bec("queue", "enqueue", "ocr", "--volume", VOLUME))
    ok(bec("worker", "--job", "ocr", "--until-empty"))
    [found] = ok(bec("pages", VOLUME, "--job", "ocr", "--json")).json
    why = "script_classification_v2: label is uchen"
    assert [one["message"] for one in found["pages"]] == [why, why, "ldv1: E_PAGE_EARLIER", why]


def test_nothing_is_made_of_its_jobs_that_only_it_can_do(bec: Bec, archive: Path, tmp_path: Path) -> None:
    ok(bec("jobs", "create", "paddleocr_v1"))
    ok(bec("queue", "enqueue", "paddleocr_v1", "--volume", VOLUME, "--adopt-foreign"))
    bec("worker", "--job", "paddleocr_v1", "--until-empty")
    [task] = ok(bec("jobs", "tasks", "paddleocr_v1", "--json")).json
    assert (task["state"], task["failure_code"]) == ("terminal_failed", "E_EARLIER_NOTHING")


def test_a_folder_of_artefacts_is_one_jobs(bec: Bec, archive: Path) -> None:
    made = ok(bec("jobs", "create", "vision", "--type", "google_vision_v1", "--artifact-prefix", "gv", "--json"))
    assert made.json["artifact_prefix"] == "gv"
    assert "gv" in ok(bec("jobs", "show", "vision")).out
    for other in (("gv", "--type", "ldv1"), ("other", "--type", "ldv1", "--artifact-prefix", "gv")):
        refused = bec("jobs", "create", *other)
        assert (refused.code, "E_JOB_PREFIX" in refused.err, "'vision'" in refused.err) == (2, True, True)
    ok(bec("jobs", "create", "lines", "--type", "ldv1"))
    taken = bec("jobs", "create", "other", "--type", "ldv1", "--artifact-prefix", "lines")
    assert "E_JOB_PREFIX" in taken.err
    for unsafe in ("../x", "a/b", "", ".", "A", "x" * 61):
        refused = bec("jobs", "create", "other", "--type", "ldv1", "--artifact-prefix", unsafe)
        assert (refused.code, "E_JOB_NAME" in refused.err) == (2, True)
    ok(bec("jobs", "delete", "vision", "--yes"))
    ok(bec("jobs", "create", "gv", "--type", "google_vision_v1"))


def test_what_is_made_lies_in_the_folder(
    bec: Bec, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEC_DEST_URL", (tmp_path / "results").as_uri())
    ok(bec("jobs", "create", "toy", "--artifact-prefix", "made"))
    ok(bec("jobs", "create", "reader", "--type", "toy", "--depends-on", "toy"))
    ok(bec("queue", "enqueue", "reader", "--volume", VOLUME, "--with-dependencies"))
    for job in ("toy", "reader"):
        ok(bec("worker", "--job", job, "--until-empty"))
    assert sorted(path.name for path in (tmp_path / "results").iterdir() if path.is_dir()) == ["made", "reader"]
    [parquet] = (tmp_path / "results" / "made" / W / I).rglob("*.a1-*.parquet")
    metadata = pq.read_metadata(parquet).metadata or {}
    assert json.loads(metadata[b"bec_orch"])["job"] == "toy"
    assert bec("audit", "--deep").code == 0
    ok(bec("jobs", "delete", "reader", "--yes"))
    ok(bec("jobs", "delete", "toy", "--yes"))
    # Numbers of attempts go on with the folder, whatever the job is called.
    ok(bec("jobs", "create", "made", "--type", "toy", "--config-text", '{"factor": 7}'))
    ok(bec("queue", "enqueue", "made", "--volume", VOLUME, "--force"))
    ok(bec("worker", "--job", "made", "--until-empty"))
    assert [path.name for path in (tmp_path / "results" / "made" / W / I).rglob("*.a2-*.parquet")]
