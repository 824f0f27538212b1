"""`bec serve` and `bec view`: what is seen of the samples, whose true text was imported, and what is told of faults."""

import csv
import io
import json
import os
import re
import shutil
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen
from typing import Any

import psycopg
import pytest

from bec_orch.cli.composition.parts import open_parts
from bec_orch.cli.serve.building import sight_of
from bec_orch.settings.config import load_settings
from bec_orch.web.app import application
from bec_orch.web.door.guard import Door
from bec_orch.web.pictures import pictures
from tests.acceptance.conftest import ROOT, WAIT, Bec, Start, ok
from tests.support.web import Client

cv2 = pytest.importorskip("cv2")
np = pytest.importorskip("numpy")

PECHA, BOOK = "W1BEC001/I1BEC0001", "W1BEC002/I1BEC0002"
FIRST = "I1BEC00010001.jpg"

pytestmark = pytest.mark.usefixtures("fresh_database")


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """The samples, as somebody's scans."""
    for work in ("W1BEC001", "W1BEC002"):
        shutil.copytree(ROOT / "samples" / work, tmp_path / "scans" / work)
    return tmp_path / "scans"


@pytest.fixture
def home(bec: Bec, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which the job `truth` has the true text of the samples."""
    monkeypatch.setenv("BEC_HOME", str(tmp_path / "home"))
    truth = ROOT / "samples" / "truth"
    ok(bec("import", "truth", "--format", "alto", "--from", truth, "--source", f"folder+{scans.as_uri()}"))
    return tmp_path / "home"


@pytest.fixture
def client(home: Path) -> Iterator[Client]:
    """Asks the application over that home."""
    with open_parts(load_settings({}).settings) as parts:
        sight = sight_of(parts)
        yield Client(application(sight, Door(frozenset({"localhost"}))))
        sight.close()


def page(client: Client, path: str, status: int = 200) -> str:
    found = client.get(path)
    assert found.status_code == status, found.text
    assert found.headers["content-type"] == "text/html; charset=utf-8"
    return found.text


def test_a_page_is_seen_with_its_lines_and_their_text(client: Client, bec: Bec) -> None:
    shown = page(client, f"/view/truth/{PECHA}/2")
    numbers = re.findall(r'<li id="line-(\d+)"', shown)
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
    assert len(numbers) >= 6
    assert re.findall(r'<g data-line="(\d+)"', shown) == numbers
    told = ok(bec("pages", PECHA, "--job", "truth", "--json")).json[0]["pages"][1]
    assert told["figures"]["lines"] == len(numbers)
    words = re.findall(r'<bdi class="words">(.+?)</bdi>', shown, re.DOTALL)
    assert sum(len(text) for text in words) == told["figures"]["characters"]
    assert f'href="/view/truth/{PECHA}/1"' in shown
    assert f'href="/view/truth/{PECHA}/3"' in shown


def test_a_volume_leads_to_its_first_page_or_to_the_one_that_is_typed(client: Client) -> None:
    for path, leads in (
        (f"/view/{PECHA}", f"/view/truth/{PECHA}/1"),
        (f"/view/truth/{PECHA}?page=4", f"/view/truth/{PECHA}/4"),
        (f"/view/truth/{PECHA}?page=x", f"/view/truth/{PECHA}/1"),
        (f"/go?volume=%20{PECHA}", f"/volumes/{PECHA}"),
        ("/", "/jobs"),
    ):
        found = client.get(path)
        assert (found.status_code, found.headers["location"]) == (303, leads)


def test_a_page_whose_picture_is_broken_says_why(client: Client) -> None:
    broken = page(client, f"/view/truth/{BOOK}/7")
    assert "E_IMAGE_TRUNCATED" in broken
    assert "it has no end-of-image marker" in broken
    assert 'id="stage"' not in broken


def test_lines_are_not_shown_over_a_picture_of_another_version(client: Client, scans: Path) -> None:
    shutil.copy(scans / PECHA / "I1BEC00010002.jpg", scans / PECHA / FIRST)
    shown = page(client, f"/view/truth/{PECHA}/1")
    assert "E_IMAGE_OTHER_VERSION" in shown
    assert f"The volume {PECHA} is another version now: " in shown
    assert 'id="stage"' not in shown
    assert '<bdi class="words">' in page(client, f"/view/truth/{PECHA}/2")


def test_pictures_of_pages_are_of_the_version_that_was_worked_on(
    client: Client, scans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"/iiif/manifests/truth/{PECHA}/W1BEC001-I1BEC0001.json"
    volume = page(client, f"/volumes/{PECHA}")
    thumb = re.findall(r'src="(/thumbs/[^"]*)"', volume)[0]
    before = client.get(address).json()
    picture = before["items"][0]["items"][0]["items"][0]["body"]
    assert "summary" not in before
    (service,) = picture["service"]
    for path in (thumb, picture["id"], f"{service['id']}/info.json", f"{service['id']}/full/9,/0/default.jpg"):
        assert client.get(path).status_code == 200

    shutil.copy(scans / PECHA / "I1BEC00010002.jpg", scans / PECHA / FIRST)
    monkeypatch.setattr(pictures, "_MANIFEST_AGE", 1e-6)
    found = client.get(thumb)
    assert (found.status_code, found.headers["location"]) == (303, "/static/other-version.svg")
    assert client.get("/static/other-version.svg").status_code == 200
    for path in (picture["id"], f"{service['id']}/info.json", f"{service['id']}/full/9,/0/default.jpg"):
        found = client.get(path)
        assert (found.status_code, found.json()["error"]["code"]) == (410, "E_IMAGE_OTHER_VERSION")
    after = client.get(address).json()
    assert "is another version now" in after["summary"]["en"][0]
    assert [one["annotations"] for one in after["items"]] == [one["annotations"] for one in before["items"]]
    assert client.get(f"/iiif/image/{PECHA}/{FIRST}/info.json").status_code == 200


def test_pictures_and_iiif_pass_over_what_others_append(client: Client) -> None:
    for path in (
        f"/iiif/image/{PECHA}/{FIRST}/info.json",
        f"/iiif/image/{PECHA}/{FIRST}/full/9,/0/default.jpg",
        f"/iiif/manifests/truth/{PECHA}/W1BEC001-I1BEC0001.json",
    ):
        assert client.get(f"{path}?bogus=1&bogus=2").status_code == 200


MISSING = (
    ("/nothing", 404, "E_WEB_PATH"),
    ("/static/../app.py", 404, "E_WEB_PATH"),
    ("/jobs/nope", 404, "E_JOB_UNKNOWN"),
    ("/jobs/truth?order=x", 400, "E_WEB_QUERY"),
    ("/jobs/truth/tasks.json?limit=1001", 400, "E_WEB_QUERY"),
    ("/jobs/truth/tasks.json?skip=-1", 400, "E_WEB_QUERY"),
    ("/jobs/truth/tasks.csv?state=x", 400, "E_WEB_QUERY"),
    ("/jobs/truth?direction=x", 400, "E_WEB_QUERY"),
    ("/jobs/truth?bogus=1", 400, "E_WEB_QUERY"),
    ("/jobs/truth/tasks?bogus=1", 400, "E_WEB_QUERY"),
    ("/jobs/truth/tasks.csv?bogus=1", 400, "E_WEB_QUERY"),
    ("/jobs/truth/tasks.json?state=done&state=queued", 400, "E_WEB_QUERY"),
    ("/jobs/truth/errors.json?limit=1", 400, "E_WEB_QUERY"),
    ("/?bogus=1", 400, "E_WEB_QUERY"),
    ("/go?volume=W1/I1&bogus=1", 400, "E_WEB_QUERY"),
    ("/metrics?bogus=1", 400, "E_WEB_QUERY"),
    ("/jobs/truth/errors/0123/example?bogus=1", 400, "E_WEB_QUERY"),
    ("/view/W1BEC001/I1BEC0001?bogus=1", 400, "E_WEB_QUERY"),
    ("/view/truth/W1BEC001/I1BEC0001?page=1&page=2", 400, "E_WEB_QUERY"),
    ("/view/truth/W1BEC001/I1BEC0001/1?page=1", 400, "E_WEB_QUERY"),
    ("/jobs.csv?state=done", 400, "E_WEB_QUERY"),
    ("/workers.json?Stopped=yes", 400, "E_WEB_QUERY"),
    ("/queues?x", 400, "E_WEB_QUERY"),
    ("/jobs/truth/course.json?x=1", 400, "E_WEB_QUERY"),
    (f"/volumes/{PECHA}?bogus=truth", 400, "E_WEB_QUERY"),
    ("/volumes/W8/I8", 404, "E_VOLUME_UNKNOWN"),
    ("/volumes/W8/I8/attempts.json", 404, "E_VOLUME_UNKNOWN"),
    ("/volumes/W8/..%2F", 404, "E_WEB_PATH"),
    ("/volumes/W8/%0A", 400, "E_NAME_UNSAFE"),
    ("/go?volume=x", 400, "E_VOLUME"),
    (f"/view/truth/{PECHA}/0", 404, "E_PAGE_UNKNOWN"),
    (f"/view/truth/{PECHA}/10", 404, "E_PAGE_UNKNOWN"),
    (f"/view/nope/{PECHA}/1", 404, "E_JOB_UNKNOWN"),
    ("/view/truth/W8/I8/1", 404, "E_VOLUME_UNKNOWN"),
    ("/jobs/nope/errors/f/example", 404, "E_JOB_UNKNOWN"),
    ("/jobs/truth/errors/f/example", 404, "E_WEB_PATH"),
    ("/jobs/truth/page-errors/E_Z/example.jpg", 404, "E_WEB_PATH"),
    (f"/iiif/image/{PECHA}/nope.jpg/info.json", 404, "E_IMAGE_MISSING"),
    ("/iiif/image/W8/I8/x.jpg/info.json", 404, "E_VOLUME_UNKNOWN"),
    (f"/iiif/image/{PECHA}/{FIRST}/full/max/0/default.png", 501, "E_IIIF_NOT_OFFERED"),
    (f"/iiif/image/{PECHA}/{FIRST}/full/0,/0/default.jpg", 400, "E_IIIF_REQUEST"),
    (f"/iiif/image/{BOOK}/I1BEC00020007.jpg/full/max/0/default.jpg", 422, "E_IMAGE_TRUNCATED"),
    (f"/iiif/manifests/truth/{PECHA}/other.json", 404, "E_WEB_PATH"),
    (f"/iiif/manifests/nope/{PECHA}/W1BEC001-I1BEC0001.json", 404, "E_JOB_UNKNOWN"),
)


def test_what_is_not_there_is_reported_with_its_code(client: Client) -> None:
    for path, status, code in MISSING:
        found = client.get(path)
        assert found.status_code == status, (path, found.text)
        if found.headers["content-type"] == "application/json":
            error = found.json()["error"]
            assert error["code"] == code, path
            assert error["message"].endswith(".")
        else:
            assert f"<code>{code}</code>" in found.text, path


def test_an_artefact_that_is_gone_leaves_the_picture(client: Client, home: Path) -> None:
    shutil.rmtree(home / "artefacts" / "truth" / PECHA)
    assert "E_ARTEFACT_GONE" in client.get(f"/view/truth/{PECHA}/1").text
    gone = client.get(f"/iiif/manifests/truth/{PECHA}/W1BEC001-I1BEC0001.json")
    assert (gone.status_code, gone.json()["error"]["code"]) == (410, "E_ARTEFACT_GONE")
    assert client.get(f"/iiif/image/{PECHA}/{FIRST}/full/!64,64/0/default.jpg").status_code == 200
    assert "Its artefact is gone" in page(client, f"/volumes/{PECHA}")


def test_pictures_that_are_gone_leave_the_text(client: Client, scans: Path) -> None:
    (scans / PECHA / FIRST).unlink()
    shown = page(client, f"/view/truth/{PECHA}/1")
    assert "E_IMAGE_MISSING" in shown
    assert '<li id="line-1"' in shown
    shutil.rmtree(scans)
    assert '<li id="line-1"' in page(client, f"/view/truth/{BOOK}/1")


def test_pictures_come_in_parts_and_sizes(client: Client, scans: Path) -> None:
    whole = cv2.imread(str(scans / PECHA / FIRST))
    height, width = whole.shape[:2]
    told = client.get(f"/iiif/image/{PECHA}/{FIRST}/info.json").json()
    assert (told["width"], told["height"]) == (width, height)
    assert told["id"] == f"http://localhost:8000/iiif/image/{PECHA}/{FIRST}"

    def picture(region: str, size: str) -> Any:
        found = client.get(f"/iiif/image/{PECHA}/{FIRST}/{region}/{size}/0/default.jpg")
        assert (found.status_code, found.headers["content-type"]) == (200, "image/jpeg")
        return cv2.imdecode(np.frombuffer(found.content, np.uint8), cv2.IMREAD_COLOR)

    part = picture("500,100,300,200", "max")
    assert part.shape[:2] == (200, 300)
    assert np.abs(part.astype(int) - whole[100:300, 500:800]).mean() < 6
    for size, factor in (("150,", 2), ("75,", 4), ("37,", 300 / 37)):
        shrunk = picture("500,100,300,200", size)
        expected = cv2.resize(whole[100:300, 500:800], shrunk.shape[1::-1], interpolation=cv2.INTER_AREA)
        assert shrunk.shape[1] == round(300 / factor)
        assert np.abs(shrunk.astype(int) - expected).mean() < 8
    assert picture("full", "!200,200").shape[1] == 200


def test_a_picture_that_the_browser_has_is_not_sent_again(client: Client, scans: Path) -> None:
    path = f"/iiif/image/{PECHA}/{FIRST}/full/!64,64/0/default.jpg"
    first = client.get(path)
    again = client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert first.headers["cache-control"].startswith("private")


def test_a_picture_leads_to_what_is_known_of_it(client: Client) -> None:
    found = client.get(f"/iiif/image/{PECHA}/{FIRST}")
    assert (found.status_code, found.headers["location"]) == (303, f"/iiif/image/{PECHA}/{FIRST}/info.json")


def test_a_manifest_names_what_is_there(client: Client) -> None:
    address = f"/iiif/manifests/truth/{BOOK}/W1BEC002-I1BEC0002.json"
    manifest = client.get(address).json()
    assert manifest["id"] == f"http://localhost:8000{address}"
    assert len(manifest["items"]) == 9
    for canvas in manifest["items"]:
        body = canvas["items"][0]["items"][0]["body"]
        (service,) = body["service"]
        if canvas["label"]["none"] != ["7"]:  # the page that is cut off
            told = client.get(service["id"] + "/info.json").json()
            assert (told["id"], told["type"]) == (service["id"], service["type"])
            assert (told["width"], told["height"]) == (canvas["width"], canvas["height"])
    texts = [one["body"]["value"] for one in manifest["items"][2]["annotations"][0]["items"]]
    assert texts


TABLES: tuple[tuple[str, set[str]], ...] = (
    ("/jobs", {"job", "type", "done", "pages_ok"}),
    ("/jobs/truth/tasks", {"volume", "state", "seconds"}),
    ("/jobs/truth/errors", set()),
    ("/jobs/truth/page-errors", set()),
    ("/jobs/truth/silent", set()),
    (f"/volumes/{PECHA}/tasks", {"job", "state", "stale"}),
    (f"/volumes/{PECHA}/attempts", {"worker_id", "outcome", "stages"}),
    (f"/volumes/{PECHA}/truth/pages", {"page", "img_file_name", "lines"}),
    ("/workers?stopped=yes", {"id", "condition"}),
    ("/machines", set()),
    ("/queues", {"job", "dead", "note"}),
)


def test_every_table_is_json_and_csv_too(client: Client) -> None:
    for path, keys in TABLES:
        place, _, query = path.partition("?")
        rows = client.get(f"{place}.json?{query}").json()["rows"]
        text = client.get(f"{place}.csv?{query}")
        assert text.headers["content-type"] == "text/csv; charset=utf-8"
        lines = list(csv.DictReader(io.StringIO(text.text)))
        assert len(lines) == len(rows)
        assert bool(rows) is bool(keys), path
        for row in rows:
            assert keys <= row.keys()
            assert list(lines[0]) == list(row)


def test_a_table_is_sorted_filtered_and_cut(client: Client) -> None:
    def volumes(query: str) -> list[str]:
        return [row["volume"] for row in client.get(f"/jobs/truth/tasks.json?{query}").json()["rows"]]

    assert volumes("order=volume") == [PECHA, BOOK]
    assert volumes("order=volume&direction=down") == [BOOK, PECHA]
    assert volumes("text=W1BEC002/") == volumes("text=I1BEC0002") == [BOOK]
    assert volumes("text=W9") == volumes("state=running") == []
    part = client.get("/jobs/truth/tasks.json?order=volume&limit=1").json()
    assert [row["volume"] for row in part["rows"]] == [PECHA]
    following = client.get(part["next"]).json()
    assert ([row["volume"] for row in following["rows"]], following["next"]) == ([BOOK], None)
    assert client.get("/jobs/truth/tasks.csv?limit=1").headers["link"].endswith('rel="next"')


def test_prometheus_reads_counts_by_state(client: Client) -> None:
    until = time.monotonic() + WAIT
    while "bec_pages{" not in (text := client.get("/metrics").text):
        assert time.monotonic() < until, text
    assert '\nbec_tasks{job="truth",state="done"} 2\n' in text
    assert '\nbec_pages{job="truth",state="ok"} 17\n' in text
    assert all(re.fullmatch(r"# (HELP|TYPE) .+|[a-z_]+(\{[^}]*\})? [0-9.e+-]+", line) for line in text.splitlines())


def test_every_page_of_the_dashboard_is_there(client: Client) -> None:
    for path in ("/jobs", "/jobs/truth", f"/volumes/{PECHA}", f"/volumes/{PECHA}?job=truth", "/workers", "/queues"):
        assert "<h1>" in page(client, path)
        assert client.request("HEAD", path).status_code == 200
    course = client.get("/jobs/truth/course.json").json()
    sums = [sum(values) for values in zip(*course["spans"], strict=True)]
    assert dict(zip(course["columns"][1:], sums[1:], strict=True)) == {
        "enqueued": 2,
        "done": 2,
        "failed": 0,
        "canceled": 0,
        "pages": 17,
    }


def change(conninfo: str, statement: str, *given: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(statement.encode(), given)


FAILED = """
INSERT INTO task_attempts (task_id, attempt, job_id, worker_id, token, config, config_hash, ended_at, outcome, code,
                           stage, message, fingerprint)
SELECT t.id, 9, t.job_id, 'w', gen_random_uuid(), '{}', 'h', now(), 'terminal_failed', 'E_X', 'run', 'm', 'f' || t.id
FROM tasks t JOIN volumes v ON v.id = t.volume_id WHERE v.i_id = 'I1BEC0002'
"""
GAVE_UP = """
UPDATE tasks SET state = 'terminal_failed', failure_code = 'E_Z', failure_stage = 'assemble', failure_message = 'm',
                 failure_fingerprint = 'f', counters = '{"E_Z": 1}'
"""
AGAIN = """
INSERT INTO tasks (job_id, volume_id, state, manifest_etag, config_hash, pages_ok, pages_skipped, pages_error,
                   finished_at)
SELECT job_id, volume_id, state, manifest_etag, config_hash, pages_ok, pages_skipped, pages_error, now() FROM tasks
"""
COUNTED = "UPDATE tasks SET counters = %s WHERE volume_id = (SELECT id FROM volumes WHERE i_id = 'I1BEC0001')"


def test_failures_have_a_picture_of_an_example(client: Client, conninfo: str, scans: Path) -> None:
    change(conninfo, FAILED)
    change(conninfo, COUNTED, '{"E_Y": 1}')
    (scans / BOOK / "I1BEC00020001.jpg").write_bytes(b"no picture")
    (failure,) = client.get("/jobs/truth/errors.json").json()["rows"]
    without, shown = f"/jobs/truth/errors/{failure['fingerprint']}/example", "/jobs/truth/page-errors/E_Y/example"
    for place, volume in ((without, BOOK), (shown, PECHA)):
        assert client.get(place).headers["location"] == f"/view/truth/{volume}/1"
    picture = client.get(f"{shown}.jpg").content
    assert max(cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR).shape[:2]) == 240
    assert client.get(f"{without}.jpg").headers["location"] == "/static/other-version.svg"
    assert client.get("/static/other-version.svg").status_code == 200
    until = time.monotonic() + WAIT
    while not all(f'<img src="{place}.jpg"' in (text := page(client, "/jobs/truth")) for place in (without, shown)):
        assert time.monotonic() < until, text


def test_a_page_error_of_volumes_that_failed_alone_has_an_example(client: Client, conninfo: str) -> None:
    change(conninfo, GAVE_UP)
    for suffix, status in (("", 303), (".jpg", 200)):
        found = client.get(f"/jobs/truth/page-errors/E_Z/example{suffix}")
        assert found.status_code == status
    assert client.get("/jobs/truth/page-errors/E_OTHER/example").status_code == 404


def test_a_job_that_finds_no_lines_says_so(client: Client, conninfo: str) -> None:
    change(conninfo, "UPDATE jobs SET type = 'evalv1'")
    shown = page(client, f"/view/truth/{PECHA}/2")
    assert "truth finds no lines: choose another job above to see them." in shown


def test_each_page_has_a_small_picture_that_may_say_that_there_is_none(client: Client) -> None:
    shown = page(client, f"/volumes/{BOOK}")
    small = re.findall(r'<img src="([^"]+)"', shown)
    assert len(small) == 9
    answers = [client.get(address) for address in small]
    assert [answer.status_code for answer in answers] == [200] * 6 + [303] + [200] * 2
    assert answers[6].headers["location"] == "/static/no-picture.svg"


def test_volumes_are_counted_by_their_newest_task(client: Client, conninfo: str) -> None:
    change(conninfo, AGAIN)
    assert client.get("/jobs.json").json()["rows"][0]["done"] == 2
    until = time.monotonic() + WAIT
    while "2 volumes</h2>" not in (shown := page(client, "/jobs/truth")):
        assert time.monotonic() < until, shown


def test_what_is_done_with_nothing_is_shown(client: Client, conninfo: str) -> None:
    change(conninfo, COUNTED, '{"lines": 0}')
    (row,) = client.get("/jobs/truth/silent.json").json()["rows"]
    assert (row["volume"], row["why"]) == (PECHA, "nothing was found on its pages")


def test_a_volume_opens_on_the_newest_job_that_is_done(client: Client, conninfo: str) -> None:
    change(conninfo, "INSERT INTO jobs (name, type, config, config_hash) VALUES ('later', 'ldv1', '{}', 'h')")
    change(
        conninfo,
        "INSERT INTO tasks (job_id, volume_id, state) SELECT j.id, v.id, 'queued' FROM jobs j, volumes v "
        "WHERE j.name = 'later'",
    )
    assert f'<a href="/volumes/{PECHA}?job=truth#pages" aria-current="true">' in page(client, f"/volumes/{PECHA}")


def test_machines_are_shown_with_their_workers(client: Client, conninfo: str) -> None:
    change(
        conninfo,
        "INSERT INTO workers (id, job_id, host, pid, version, instance_id, instance_type, lifecycle, activities) "
        "SELECT 'w' || n, j.id, 'h', n, '1', 'i-1', 'g6.xlarge', 'spot', '[]' FROM jobs j, generate_series(1, 2) n",
    )
    (row,) = client.get("/machines.json").json()["rows"]
    assert (row["machine"], row["jobs"], row["idle"], row["working"]) == ("i-1", "truth", 2, 0)
    assert "i-1" in page(client, "/workers").partition('id="machines"')[2]


def test_a_page_that_goes_on_by_itself_lists_no_tasks_again(client: Client) -> None:
    whole, figures = (client.get("/jobs/truth", headers=headers).text for headers in ({}, {"HX-Request": "true"}))
    assert f'href="/volumes/{BOOK}"' in whole.partition('id="tasks"')[2]
    assert f'href="/volumes/{BOOK}"' not in figures.partition('id="tasks"')[2]
    assert "2 done" in figures.partition('id="live"')[2]


def test_no_page_holds_code_or_style_of_its_own(client: Client) -> None:
    for path in ("/jobs", "/jobs/truth", f"/volumes/{PECHA}", f"/view/truth/{PECHA}/2", "/nothing", "/workers"):
        text = client.get(path).text
        assert re.findall(r"<script(?! src=\"/static/)", text) == []
        assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:", text) == []
        assert [link for link in re.findall(r'(?:src|href)="([^"]+)"', text) if re.match(r"(\w+:)?//", link)] == []


def listening(process: Popen[str]) -> str:
    assert process.stdout
    line = process.stdout.readline()
    found = re.search(r"http://\S+", line)
    assert found, (line, process.communicate())
    return found[0]


def fetched(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return str(answer.read().decode())


def test_it_serves_until_it_is_told_to_stop(home: Path, start: Start) -> None:
    process = start("serve", "--port", "0")
    url = listening(process)
    assert "truth" in fetched(url + "jobs.json")
    stream = urllib.request.urlopen(url + "events", timeout=30)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(30) == 0
    stream.close()


def test_a_port_that_is_taken_is_reported(home: Path, bec: Bec) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = bec("serve", "--port", str(taken.getsockname()[1]))
    assert ended.code == 2
    assert "error E_PORT_TAKEN: " in ended.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("serve", "--host", "192.0.2.1"), "E_WEB_ADDRESS"),
        (("serve", "--host", "no such host"), "E_WEB_ADDRESS"),
        (("view", "W8/I8"), "E_VOLUME_UNKNOWN"),
        (("view", "nothing"), "E_PATH_MISSING"),
        (("view", "/no/such/folder"), "E_PATH_MISSING"),
        (("view", "./nothing"), "E_PATH_MISSING"),
        (("view", "~/nothing"), "E_PATH_MISSING"),
        (("view", ""), "E_USAGE"),
        (("view", "/"), "E_PATH_LARGE"),
        (("view", PECHA, "--job", "nope"), "E_JOB_UNKNOWN"),
    ],
)
def test_what_cannot_be_served_is_reported(home: Path, bec: Bec, words: tuple[str, ...], code: str) -> None:
    ended = bec(*words)
    assert (ended.code, f"error {code}: " in ended.err) == (2, True), ended.err


def test_without_a_home_nothing_is_served(bec: Bec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("BEC_SQL_HOST", "BEC_SQL_USER", "BEC_SQL_DATABASE"):
        monkeypatch.delenv(name)
    ended = bec("--home", tmp_path / "none", "serve")
    assert (ended.code, "error E_HOME_MISSING: " in ended.err) == (2, True)


def test_whoever_comes_from_elsewhere_needs_the_token(home: Path, start: Start) -> None:
    process = start("serve", "--host", "0.0.0.0", "--port", "0")  # noqa: S104  (of this test)
    url, _, token = listening(process).partition("?token=")
    local = re.sub(r"//[^:]+:", "//127.0.0.1:", url)
    assert len(token) >= 40
    with pytest.raises(urllib.error.HTTPError, match="401"):
        fetched(local + "jobs.json")
    asked = urllib.request.Request(local + "jobs.json", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        assert json.load(answer)["rows"]
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert token not in out + err


def test_a_short_token_is_refused(home: Path, bec: Bec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEC_WEB_TOKEN", "secret")
    ended = bec("serve")
    assert (ended.code, "error E_WEB_TOKEN_SHORT: " in ended.err) == (2, True)
    assert "secret" not in ended.err + ended.out


@pytest.mark.parametrize("what", [PECHA, "scans"])
def test_view_names_the_volume(home: Path, start: Start, scans: Path, what: str) -> None:
    process = start("view", scans / "W1BEC001" / "I1BEC0001" if what == "scans" else what, "--no-browser")
    url = listening(process)
    assert url.endswith(f"/view/{PECHA}")
    assert '<li id="line-1"' in fetched(url)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(30) == 0


def test_a_volume_and_a_page_are_shown_in_the_terminal(home: Path, bec: Bec) -> None:
    volume = ok(bec("show", PECHA))
    assert volume.out.split("\n")[2].split()[:4] == ["truth", "1", "done", "9"]
    shown = ok(bec("show", PECHA, "2"))
    assert shown.out.startswith(f"truth  {PECHA}  page 2 of 9  I1BEC00010002.jpg: ok\n")
    told = ok(bec("show", PECHA, "2", "--json")).json
    texts = [line["text"] for line in told["pictures"][0]["content"]["content"]["lines"]]
    assert texts
    assert all(text in shown.out for text in texts)


def test_what_cannot_be_shown_is_reported(home: Path, bec: Bec) -> None:
    for words, code in (
        (("W8/I8",), "E_VOLUME_UNKNOWN"),
        ((PECHA, "10"), "E_PAGE_UNKNOWN"),
        ((PECHA, "1", "--job", "nope"), "E_JOB_UNKNOWN"),
        ((PECHA, "0"), "E_USAGE"),
    ):
        ended = bec("show", *words)
        assert (ended.code, f"error {code}: " in ended.err) == (2, True), ended.err


def test_a_text_is_compared_with_another_one(home: Path, bec: Bec, scans: Path, tmp_path: Path) -> None:
    read = ok(bec("export", "truth", "--format", "alto", "--out", tmp_path / "read")).out
    assert read
    file = next((tmp_path / "read").rglob("I1BEC00010002.xml"))
    text = file.read_text("utf-8")
    word = re.findall(r'CONTENT="([^"]{12,})"', text)[0]
    file.write_text(text.replace(word, word[:4] + "བད་" + word[4:], 1), "utf-8")
    ok(bec("import", "second", "--format", "alto", "--from", tmp_path / "read", "--source", f"folder+{scans.as_uri()}"))
    with open_parts(load_settings({}).settings) as parts:
        sight = sight_of(parts)
        client = Client(application(sight, Door(frozenset({"localhost"}))))
        plain = page(client, f"/view/second/{PECHA}/2")
        assert f'href="/view/second/{PECHA}/2?with=truth"' in plain
        assert "<del>" not in re.sub(r'<span class="soft">.*?</span>', "", plain)
        compared = page(client, f"/view/second/{PECHA}/2?with=truth")
        assert "<del>" in compared.partition('<ol class="lines">')[2]
        assert f'href="/view/second/{PECHA}/3?with=truth"' in compared
        same = page(client, f"/view/second/{PECHA}/3?with=truth")
        assert "The texts are the same." in same
        assert "The texts are the same." not in compared
        assert "<del>" not in same.partition('<ol class="lines">')[2]
        assert "E_JOB_UNKNOWN" in page(client, f"/view/second/{PECHA}/2?with=nope", 404)
        sight.close()
