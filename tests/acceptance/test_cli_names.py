"""Volumes are named in another Unicode form than their folders are: by who types, by lists, and by ground truth."""

import json
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np
import pytest

from bec_orch.cli.composition.parts import open_parts
from bec_orch.cli.serve.building import sight_of
from bec_orch.settings.config import load_settings
from bec_orch.web.app import application
from bec_orch.web.door.guard import Door
from tests.acceptance.conftest import Bec, ok
from tests.support.jobs.plugin import install
from tests.support.jobs.texts_job import READ
from tests.support.web import Client

# As macOS writes it, and as most keyboards do.
APART, TOGETHER = "Re\u0301gion", "R\u00e9gion"
VOLUME = f"{TOGETHER}/I1"
PAGE_XML = """<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">
<Page imageFilename="1.png" imageWidth="90" imageHeight="60"><TextRegion id="r"><Coords points="5,5 80,5 80,50 5,50"/>
<TextLine id="l"><Coords points="5,5 80,5 80,50 5,50"/><TextEquiv><Unicode>ka</Unicode></TextEquiv></TextLine>
</TextRegion></Page></PcGts>"""


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    return install(tmp_path / "plugins", {"texts": "tests.support.jobs.texts_job:TextsJob"})


@pytest.fixture
def scans(bec: Bec, fresh_database: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one volume, and a job for it."""
    folder = tmp_path / "scans" / APART / "I1"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "1.png"), np.full((60, 90), 255, np.uint8))
    monkeypatch.setenv("BEC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BEC_SOURCE_URL", (tmp_path / "scans").as_uri())
    monkeypatch.setenv("BEC_SOURCE_LAYOUT", "folder")
    ok(bec("jobs", "create", "ocr", "--type", "texts"))
    return tmp_path / "scans"


def names(bec: Bec) -> list[str]:
    return [task["volume"]["w_id"] for task in ok(bec("jobs", "tasks", "ocr", "--json")).json]


def test_a_volume_that_nobody_knows_yet_has_the_names_of_its_source(bec: Bec, scans: Path, tmp_path: Path) -> None:
    ok(bec("queue", "enqueue", "ocr", "--volume", VOLUME))
    listed = tmp_path / "list.csv"
    listed.write_text(f"{VOLUME}\n{APART}/I1\n", "utf-8")
    assert ok(bec("queue", "enqueue", "ocr", "--file", listed, "--json")).json["volumes"] == 1
    ok(bec("run-volume", "ocr", TOGETHER, "I1"))
    assert names(bec) == [APART]


def test_a_volume_that_is_known_is_found_by_every_command(bec: Bec, scans: Path) -> None:
    ok(bec("queue", "enqueue", "ocr", "--all"))
    ok(bec("worker", "--job", "ocr", "--until-empty"))
    for command in (("pages", VOLUME), ("errors", "show", VOLUME)):
        (found,) = ok(bec(*command, "--json")).json
        assert found["volume"]["w_id"] == APART
    (shown,) = ok(bec("show", VOLUME, "--json")).json
    (listed,) = ok(bec("jobs", "tasks", "ocr", "--volume", VOLUME, "--json")).json
    assert shown["id"] == listed["id"]
    (refused,) = ok(bec("queue", "redrive", "ocr", "--volume", VOLUME, "--json")).json["refused"]
    assert refused["volume"]["w_id"] == APART


def test_a_volume_that_is_known_is_found_at_every_address(bec: Bec, scans: Path) -> None:
    ok(bec("queue", "enqueue", "ocr", "--all"))
    ok(bec("worker", "--job", "ocr", "--until-empty"))
    with open_parts(load_settings({}).settings) as parts, closing(sight_of(parts)) as sight:
        client = Client(application(sight, Door(frozenset({"localhost"}))))
        for path in ("/volumes/{}/I1", "/view/ocr/{}/I1/1", "/iiif/image/{}/I1/1.png/info.json"):
            assert client.get(path.format(quote(TOGETHER))).status_code == 200, path
        assert client.get("/iiif/manifests/ocr/{0}/I1/{0}-I1.json".format(quote(TOGETHER))).status_code == 200
        assert client.get(f"/view/{quote(TOGETHER)}/I1").headers["location"] == f"/view/ocr/{quote(APART)}/I1/1"
        for table in ("tasks", "attempts", "ocr/pages"):
            (_,) = client.get(f"/volumes/{quote(TOGETHER)}/I1/{table}.json").json()["rows"]


def test_documents_come_in_and_go_out_under_either_form(bec: Bec, scans: Path, tmp_path: Path) -> None:
    documents = tmp_path / "documents" / TOGETHER / "I1"
    documents.mkdir(parents=True)
    (documents / "1.xml").write_text(PAGE_XML)
    given = ("import", "proofread", "--format", "page", "--from", tmp_path / "documents")
    assert ok(bec(*given, "--json")).json["done"] == 1
    assert ok(bec(*given, "--volume", VOLUME, "--force", "--json")).json["done"] == 1
    ok(bec("export", "proofread", "--format", "txt", "--volume", VOLUME, "--out", tmp_path / "out"))
    (text,) = (tmp_path / "out").rglob("*.txt")
    assert text.read_text().strip() == "ka"


def test_of_two_forms_neither_stands_for_the_other(bec: Bec, scans: Path, tmp_path: Path) -> None:
    (scans / TOGETHER).mkdir()
    (scans / APART / "I1").rename(scans / TOGETHER / "I1")
    (scans / APART / "I1").mkdir()
    cv2.imwrite(str(scans / APART / "I1" / "1.png"), np.full((60, 90), 255, np.uint8))
    ok(bec("queue", "enqueue", "ocr", "--all"))
    for name in (APART, TOGETHER):
        (found,) = ok(bec("pages", f"{name}/I1", "--json")).json
        assert found["volume"]["w_id"] == name


def test_truth_is_found_and_that_of_no_volume_is_reported(bec: Bec, scans: Path, tmp_path: Path) -> None:
    truth = tmp_path / "truth"
    for name in (f"{TOGETHER}/I1", f"{TOGETHER}/I2", "W9/I1"):
        (truth / name).mkdir(parents=True)
        (truth / name / "1.txt").write_text(READ, "utf-8")
    (truth / "W9" / "I2").mkdir()
    config = json.dumps({"truth_url": truth.as_uri()})
    ok(bec("jobs", "create", "eval", "--type", "evalv1", "--depends-on", "ocr", "--config-text", config))
    ok(bec("queue", "enqueue", "eval", "--all", "--with-dependencies"))
    for job in ("ocr", "eval"):
        ok(bec("worker", "--job", job, "--until-empty"))
    found = ok(bec("eval", "report", "eval", "--json")).json
    assert found["sums"]["has_truth"] == 1
    assert found["unmatched_references"] == [f"{TOGETHER}/I2", "W9/I1"]
    assert "2 folders of ground truth belong to no volume that is done" in ok(bec("eval", "report", "eval")).err

    # Edited truth is found again, too, and truth that is away is no end of the report.
    (truth / TOGETHER / "I1" / "1.txt").write_text("ཀ", "utf-8")
    (stale,) = ok(bec("jobs", "stale", "eval", "--json")).json
    assert stale["reasons"] == ["reference"]
    truth.rename(tmp_path / "elsewhere")
    assert "Truth of no volume is not looked for" in ok(bec("eval", "report", "eval")).err
