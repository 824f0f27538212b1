"""OCR is evaluated on the command line: one job after the other, or all of them with one `bec run`."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.acceptance.conftest import Bec, ok
from tests.support.jobs.plugin import install
from tests.support.jobs.texts_job import READ

TRUTHS = {"0001": READ, "0002": READ.replace("ཀ", "ག"), "0003": READ}


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    return install(tmp_path / "plugins", {"texts": "tests.support.jobs.texts_job:TextsJob"})


@pytest.fixture
def evaluated(bec: Bec, fresh_database: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The scans of a volume whose text was read and evaluated: one character of one page is wrong."""
    volume, truth = tmp_path / "scans" / "W1" / "I1", tmp_path / "truth" / "W1" / "I1"
    for folder in (volume, truth):
        folder.mkdir(parents=True)
    for name, text in TRUTHS.items():
        cv2.imwrite(str(volume / f"{name}.png"), np.full((60, 90), 255, np.uint8))
        (truth / f"{name}.txt").write_text(text, "utf-8")
    monkeypatch.setenv("BEC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BEC_SOURCE_URL", (tmp_path / "scans").as_uri())
    monkeypatch.setenv("BEC_SOURCE_LAYOUT", "folder")
    config = json.dumps({"truth_url": (tmp_path / "truth").as_uri()})
    ok(bec("jobs", "create", "ocr", "--type", "texts"))
    ok(bec("jobs", "create", "eval", "--type", "evalv1", "--depends-on", "ocr", "--config-text", config))
    ok(bec("queue", "enqueue", "eval", "--all", "--with-dependencies"))
    for job in ("ocr", "eval"):
        ok(bec("worker", "--job", job, "--until-empty"))
    return volume


def test_the_report_is_a_table_json_and_a_page_with_pictures(bec: Bec, evaluated: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    told = ok(bec("eval", "report", "eval", "--html", page))
    assert "Pages with ground truth" in told.out
    assert "0.056" in told.out
    assert f"Page: {page}" in told.out
    html = page.read_text("utf-8")
    assert html.count("<img ") >= 1
    assert "0002.png" in html
    figures = ok(bec("eval", "report", "eval", "--json")).json
    assert figures["sums"]["char_errors"] == 1
    assert figures["pages"] == {"ok": 3, "skipped": 0, "error": 0}


def test_a_file_of_somebody_else_is_no_place_for_the_page(bec: Bec, evaluated: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text("<html>my notes</html>")
    refused = bec("eval", "report", "eval", "--html", page)
    assert (refused.code, "E_FILE_FOREIGN" in refused.err) == (2, True)
    assert page.read_text() == "<html>my notes</html>"
    refused = bec("eval", "report", "eval", "--html", tmp_path)
    assert (refused.code, f"error E_NOT_A_FILE: {tmp_path} is a folder." in refused.err) == (2, True)


def test_a_page_whose_image_is_gone_or_broken_is_shown_without_its_picture(
    bec: Bec, evaluated: Path, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    (evaluated / "0002.png").write_bytes(b"no image")
    told = ok(bec("eval", "report", "eval", "--html", page))
    assert "warning: W1/I1, page 2 has no picture: " in told.err
    (evaluated / "0002.png").unlink()
    told = ok(bec("eval", "report", "eval", "--html", page))
    assert "warning: W1/I1, page 2 has no picture: " in told.err
    assert "0002.png" in page.read_text("utf-8")


def test_a_page_whose_image_was_replaced_is_not_shown_with_the_new_one(
    bec: Bec, evaluated: Path, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    pictures = ok(bec("eval", "report", "eval", "--html", page)).err.count("has no picture")
    assert pictures == 0
    assert page.read_text("utf-8").count("data:image/") >= 1
    cv2.imwrite(str(evaluated / "0002.png"), np.full((80, 90), 255, np.uint8))
    told = ok(bec("eval", "report", "eval", "--html", page))
    assert "page 2 has no picture: The volume W1/I1 is another version now: " in told.err
    assert "data:image/" not in page.read_text("utf-8")


def test_edited_truth_makes_an_evaluation_stale_and_stale_does_it_again(
    bec: Bec, evaluated: Path, tmp_path: Path
) -> None:
    truth = tmp_path / "truth" / "W1" / "I1"
    assert ok(bec("jobs", "stale", "eval", "--json")).json == []
    (truth / "0002.txt").write_text(READ, "utf-8")
    (one,) = ok(bec("jobs", "stale", "eval", "--json")).json
    assert (one["volume"]["i_id"], one["reasons"]) == ("I1", ["reference"])
    assert ok(bec("queue", "enqueue", "eval", "--all", "--json")).json["skipped_stale"] == 1
    assert ok(bec("queue", "enqueue", "eval", "--stale", "--json")).json["queued"] == 1
    ok(bec("worker", "--job", "eval", "--until-empty"))
    assert ok(bec("eval", "report", "eval", "--json")).json["sums"]["char_errors"] == 0
    assert ok(bec("jobs", "stale", "eval", "--json")).json == []

    # One file more, and the only one of another page less, count too; `--stale` looks by itself.
    (truth / "0003.txt").rename(truth / "0003.gt.txt")
    volume = ("--volume", "W1/I1", "--stale", "--json")
    assert ok(bec("queue", "enqueue", "eval", *volume)).json["queued"] == 1
    ok(bec("worker", "--job", "eval", "--until-empty"))
    assert ok(bec("queue", "enqueue", "eval", *volume)).json["skipped_done"] == 1


def test_a_run_evaluates_again_what_has_other_truth_now(bec: Bec, evaluated: Path, tmp_path: Path) -> None:
    config = json.dumps({"truth_url": (tmp_path / "truth").as_uri(), "ocr_job": "ocr"})
    ok(bec("jobs", "update", "eval", "--config-text", config))
    volume = ("run-volume", "eval", "W1", "I1", "--json")
    assert ok(bec(*volume)).json["tasks"][0]["attempt"] == 2
    assert ok(bec(*volume)).json["tasks"][0]["attempt"] == 2
    (tmp_path / "truth" / "W1" / "I1" / "0001.txt").unlink()
    again = ok(bec(*volume)).json
    assert (again["tasks"][0]["attempt"], again["counters"]["pages_with_truth"]) == (3, 2)


def test_a_page_that_cannot_be_written_is_reported(bec: Bec, evaluated: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = bec("eval", "report", "eval", "--html", tmp_path / "file" / "report.html")
    assert (ended.code, ended.err.split(":")[0]) == (2, "error E_STORAGE_NO_FOLDER")
    assert ended.err.splitlines()[-1] == "hint: Name a file in a folder with --html; the folder is made."


def test_lines_text_and_evaluation_of_real_pages(bec: Bec, shared_data: Path, tmp_path: Path) -> None:
    tessdata = shared_data / "models" / "tessdata"
    scans, truth, out = tmp_path / "scans" / "W1" / "I1", tmp_path / "truth" / "W1" / "I1", tmp_path / "out"
    for folder, suffix in ((scans, "tif"), (truth, "txt")):
        folder.mkdir(parents=True)
        for file in (shared_data / "pages_gt" / "namsel_ngb").glob(f"*.{suffix}"):
            shutil.copy(file, folder)
    run = [scans.parents[1], "--out", out, "--json"]
    read = ok(bec("run", "ocrv1", *run, "--config-text", json.dumps({"tessdata": str(tessdata)}))).json
    assert read["pages"]["ok"] == 3
    assert 18 <= read["counters"]["lines"] <= 27, "numbers outside of the frame are read, too"
    config = json.dumps({"truth_url": (tmp_path / "truth").as_uri(), "truth_skip_lines": 1})
    assert ok(bec("run", "evalv1", *run, "--config-text", config)).json["counters"]["pages_with_truth"] == 3
    # What `ldv1` and `ocrv1` did before is not done again.
    nodes = ok(bec("--home", out, "jobs", "graph", "--json")).json
    assert [(node["name"], node["tasks"]) for node in nodes] == [
        (job, {"done": 1}) for job in ("ldv1", "ocrv1", "evalv1")
    ]
    assert ok(bec("--home", out, "eval", "report", "evalv1", "--json")).json["cer"] < 0.03
