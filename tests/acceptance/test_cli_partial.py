"""What attempts left of a volume that is not done is read by who asks for it: `--partial`."""

import json
import shutil
from pathlib import Path

import pytest

from tests.acceptance.conftest import Bec, ok, write_scans
from tests.support.jobs.plugin import install
from tests.support.jobs.texts_job import READ

EXPORT = ("export", "texts", "--format", "txt,jsonl,page", "--json")


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    folder = install(tmp_path / "plugins", {"texts": "tests.support.jobs.texts_job:TextsJob"})
    (points,) = folder.glob("*.dist-info/entry_points.txt")
    points.write_text(f"{points.read_text()}[bec_orch.exports]\ntexts = bec_orch.jobs.handed_on.rows:OCRV1\n")
    return folder


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    return write_scans(tmp_path / "scans", {"W1/I1": 3, "W1/I2": 2}, empty={"W1/I1": 1})


@pytest.fixture
def home(bec: Bec, scans: Path, tmp_path: Path) -> Path:
    """One volume is done, and one failed for a page."""
    assert bec("run", "texts", scans, "--out", tmp_path / "home").code == 1
    return tmp_path / "home"


def test_a_volume_that_failed_is_exported_where_it_is_asked_for(
    bec: Bec, home: Path, scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "documents"
    export = ("--home", home, *EXPORT, "--out", out)
    plain = ok(bec(*export)).json
    assert [one["volume"]["i_id"] for one in plain["volumes"]] == ["I2"]
    refused = bec(*export, "--volume", "W1/I1")
    assert (refused.code, "--partial" in refused.err) == (2, True)

    told = bec(*export, "--partial", "--volume", "W1/I1")
    assert told.code == 3
    (volume,) = told.json["volumes"]
    assert (volume["partial"], volume["pages"], volume["page_errors"]) == (True, 4, 1)
    assert "W1/I1 is not done" in told.json["warnings"][0]
    folder = out / "W1" / "I1"
    assert (folder / "W1-I1.txt").read_text("utf-8").count(READ) == 3
    head, *pages = (json.loads(line) for line in (folder / "W1-I1.jsonl").read_text("utf-8").splitlines())
    assert head["made_with"]["partial"] == "the volume is not done"
    assert len(pages) == 4
    assert "the volume is not done" in (folder / "page" / "0000.xml").read_text("utf-8")

    # Done at last, its documents take the place of the partial ones.
    (scans / "W1" / "I1" / "0003.jpg").write_bytes(b"0123456789")
    ok(bec("run", "texts", scans, "--out", home, "--export", "none"))
    (volume,) = ok(bec(*export, "--partial", "--volume", "W1/I1")).json["volumes"]
    assert (volume["partial"], volume["page_errors"]) == (False, 0)
    assert (folder / "W1-I1.txt").read_text("utf-8").count(READ) == 4
    assert "not done" not in (folder / "W1-I1.jsonl").read_text("utf-8")


def test_a_volume_that_nobody_came_to_has_nothing_to_export(bec: Bec, home: Path, scans: Path) -> None:
    at_home = ("--home", home)
    ok(bec(*at_home, "jobs", "create", "other", "--type", "texts"))
    source = f"folder+{scans.as_uri()}"
    ok(bec(*at_home, "queue", "enqueue", "other", "--volume", "W1/I1", "--source", source))
    nothing = bec(*at_home, "export", "other", "--format", "txt", "--partial")
    assert (nothing.code, "error E_EXPORT_NOTHING" in nothing.err) == (2, True)


def test_a_volume_of_which_attempts_left_nothing_is_reported(bec: Bec, home: Path, tmp_path: Path) -> None:
    shutil.rmtree(home / "artefacts" / "texts" / "W1" / "I1")
    export = ("--home", home, *EXPORT, "--out", tmp_path / "documents", "--partial")
    alone = bec(*export, "--volume", "W1/I1")
    assert (alone.code, "error E_EXPORT_NOTHING: No attempt of the job 'texts' left any page" in alone.err) == (2, True)
    beside = bec(*export)
    assert (beside.code, [one["volume"]["i_id"] for one in beside.json["volumes"]]) == (3, ["I2"])
    assert beside.json["warnings"][0] == "W1/I1 is not done, and no attempt left any of its pages."


def test_the_report_counts_them_where_it_is_asked_for(bec: Bec, home: Path, scans: Path, tmp_path: Path) -> None:
    at_home = ("--home", home)
    truth = tmp_path / "truth" / "W1" / "I2"
    truth.mkdir(parents=True)
    (truth / "0000.txt").write_text(READ, "utf-8")
    (truth / "0001.txt").write_bytes(b"\xff\xff\xff")  # a file that cannot be read: the page is an error
    config = json.dumps({"truth_url": (tmp_path / "truth").as_uri()})
    ok(bec(*at_home, "jobs", "create", "eval", "--type", "evalv1", "--depends-on", "texts", "--config-text", config))
    ok(bec(*at_home, "queue", "enqueue", "eval", "--volume", "W1/I2", "--source", f"folder+{scans.as_uri()}"))
    assert bec(*at_home, "worker", "--job", "eval", "--until-empty").code == 1
    report = (*at_home, "eval", "report", "eval", "--json")
    assert ok(bec(*report)).json["volumes"] == 0
    found = ok(bec(*report, "--partial", "--html", tmp_path / "report.html")).json
    assert (found["volumes"], found["partial"], found["pages"]) == (1, 1, {"ok": 1, "skipped": 0, "error": 1})
    assert "1 volume not done, and partly counted" in (tmp_path / "report.html").read_text("utf-8")
    table = ok(bec(*at_home, "eval", "report", "eval", "--partial")).out
    assert "Volumes that are not done, and partly counted" in table
