"""Two sources with a volume of one name: what is looked at, shown and handed on is that of the one that was named."""

import html
import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from bec_orch.cli.composition.parts import open_parts
from bec_orch.cli.serve.building import sight_of
from bec_orch.settings.config import load_settings
from bec_orch.web.app import application
from bec_orch.web.door.guard import Door
from tests.acceptance.conftest import ROOT, Bec, Start, ok
from tests.acceptance.test_cli_serve import listening
from tests.support.web import Client

pytest.importorskip("cv2")

NAME, ALONE = "W1BEC001/I1BEC0001", "W1BEC002/I1BEC0002"
TRUTH = ROOT / "samples" / "truth"
PAGES = {"old": 9, "new": 3}

pytestmark = pytest.mark.usefixtures("fresh_database")


@pytest.fixture
def sources(bec: Bec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The samples, and three pages of one in a folder of another, as results of the job `truth`; the names of both."""
    monkeypatch.setenv("BEC_HOME", str(tmp_path / "home"))
    for work in ("W1BEC001", "W1BEC002"):
        shutil.copytree(ROOT / "samples" / work, tmp_path / "old" / work)
    for folder, suffix, place in ((ROOT / "samples", ".jpg", "new"), (TRUTH, ".xml", "truth")):
        (tmp_path / place / NAME).mkdir(parents=True)
        for file in sorted((folder / NAME).rglob(f"*{suffix}"))[:3]:
            shutil.copy(file, tmp_path / place / file.relative_to(folder))
    named = {place: f"folder+{(tmp_path / place).as_uri()}" for place in PAGES}
    take = ("import", "truth", "--format", "alto", "--from")
    ok(bec(*take, TRUTH, "--source", named["old"]))
    ok(bec(*take, tmp_path / "truth", "--source", named["new"]))
    return named


@pytest.fixture
def client(sources: dict[str, str]) -> Iterator[Client]:
    """Asks the application over their home."""
    with open_parts(load_settings({}).settings) as parts:
        sight = sight_of(parts)
        yield Client(application(sight, Door(frozenset({"localhost"}))))
        sight.close()


def page(client: Client, path: str) -> str:
    found = client.get(path)
    assert found.status_code == 200, found.text
    return found.text


def links(text: str) -> set[str]:
    """Return every address in a page that leads to the volume."""
    found = re.findall(r'(?:href|src|hx-get|data-info)="(/[^"#]*)', text)
    return {html.unescape(link) for link in found if NAME in link}


def asked(source: str) -> str:
    return f"source={quote(source, safe='')}"


@pytest.mark.parametrize("place", ["old", "new"])
def test_a_volume_of_a_source_leads_to_nothing_of_the_other(
    client: Client, sources: dict[str, str], place: str
) -> None:
    own, other = sources[place], sources["new" if place == "old" else "old"]
    volume = page(client, f"/volumes/{NAME}?{asked(own)}")
    assert f'<p class="soft path">{own}</p>' in volume
    (also,) = (link for link in links(volume) if asked(other) in link)
    assert also == f"/volumes/{NAME}?{asked(other)}"
    (viewed,) = (link for link in links(volume) if link.startswith(f"/view/truth/{NAME}/2"))
    shown = page(client, viewed)
    assert f"<span>of {PAGES[place]}</span>" in shown
    assert f'<input type="hidden" name="source" value="{own}">' in shown
    followed = (links(volume) - {also}) | links(shown)
    assert len(followed) > 10
    for link in followed:
        assert asked(own) in link or re.match(r"/(thumbs|iiif/version)/[0-9a-f]{6}/", link), link
        assert client.get(link).status_code in {200, 303}, link
    assert {client.get(link).status_code for link in followed if link.startswith("/thumbs/")} == {200}
    for table, rows in (("tasks", 1), ("attempts", 1), ("truth/pages", PAGES[place])):
        assert len(client.get(f"/volumes/{NAME}/{table}.json?{asked(own)}").json()["rows"]) == rows
        assert asked(own) in client.get(f"/volumes/{NAME}/{table}?{asked(own)}").headers["location"]
    led = client.get(f"/view/{NAME}?{asked(own)}&page=2&with=x").headers["location"]
    assert led == f"/view/truth/{NAME}/2?{asked(own)}&with=x"
    (address,) = (link for link in followed if "manifests" in link)
    manifest = client.get(address).json()
    assert (manifest["id"], len(manifest["items"])) == (f"http://localhost:8000{address}", PAGES[place])


def test_without_a_source_the_newest_task_decides_and_a_name_alone_is_no_longer_than_it_was(
    client: Client, conninfo: str
) -> None:
    name = NAME.replace("/", "-")
    assert f"<span>of {PAGES['new']}</span>" in page(client, f"/view/truth/{NAME}/1")
    assert len(client.get(f"/iiif/manifests/truth/{NAME}/{name}.json").json()["items"]) == PAGES["new"]
    for path in (f"/volumes/{ALONE}", f"/view/truth/{ALONE}/1"):
        assert "source=" not in page(client, path)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("INSERT INTO jobs (name, type, config, config_hash) VALUES ('later', 'ldv1', '{}', 'h')")
        connection.execute(
            "INSERT INTO tasks (job_id, volume_id, state) SELECT j.id, min(v.id), 'queued' FROM jobs j, volumes v "
            "WHERE j.name = 'later' AND v.i_id = 'I1BEC0001' GROUP BY j.id"
        )
    assert "old" in page(client, f"/volumes/{NAME}").partition('<p class="soft path">')[2].partition("<")[0]
    assert f"<span>of {PAGES['new']}</span>" in page(client, f"/view/truth/{NAME}/1"), "the newest of that job"


def test_tables_tell_volumes_of_one_name_apart(client: Client, sources: dict[str, str]) -> None:
    rows = client.get("/jobs/truth/tasks.json?order=volume").json()["rows"]
    assert [(row["volume"], row["source"], row["has_namesakes"]) for row in rows] == [
        (NAME, sources["new"], True),
        (NAME, sources["old"], True),
        (ALONE, sources["old"], False),
    ]
    shown = page(client, "/jobs/truth")
    assert '<th scope="col" class="as-text">source</th>' in shown
    assert {f"/volumes/{NAME}?{asked(source)}" for source in sources.values()} <= links(shown)
    assert f'"/volumes/{ALONE}"' in shown


FAILED = """
INSERT INTO task_attempts (task_id, attempt, job_id, worker_id, token, config, config_hash, ended_at, outcome, code,
                           stage, message, fingerprint)
SELECT t.id, 9, t.job_id, 'w', gen_random_uuid(), '{}', 'h', now(), 'terminal_failed', 'E_X', 'run', 'm', 'f'
FROM tasks t JOIN volumes v ON v.id = t.volume_id WHERE v.source = %s AND v.i_id = 'I1BEC0001'
"""


def test_an_example_is_of_the_volume_that_failed(client: Client, sources: dict[str, str], conninfo: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(FAILED, (sources["old"],))
        connection.execute(
            "UPDATE tasks t SET counters = '{\"E_Y\": 1}' FROM volumes v WHERE v.id = t.volume_id "
            "AND v.source = %s AND v.i_id = 'I1BEC0001'",
            (sources["old"],),
        )
    (failure,) = client.get("/jobs/truth/errors.json").json()["rows"]
    assert (failure["example"], failure["example_source"]) == (NAME, sources["old"])
    for place in ("errors/f", "page-errors/E_Y"):
        led = client.get(f"/jobs/truth/{place}/example").headers["location"]
        assert led == f"/view/truth/{NAME}/1?{asked(sources['old'])}"
        assert client.get(f"/jobs/truth/{place}/example.jpg").status_code == 200


HOSTILE = ("folder+file:///", "x", "../..", "%00", "%ff", "<b>", "'%3B DROP TABLE volumes", "x" * 5000)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_source_that_has_no_such_volume_is_not_found(client: Client, hostile: str) -> None:
    for path in (
        f"/volumes/{NAME}",
        f"/volumes/{NAME}/tasks.json",
        f"/volumes/{NAME}/attempts.csv",
        f"/volumes/{NAME}/truth/pages.json",
        f"/view/{NAME}",
        f"/view/truth/{ALONE}/1",
        f"/iiif/manifests/truth/{NAME}/{NAME.replace('/', '-')}.json",
    ):
        found = client.get(f"{path}?source={hostile}")
        assert (found.status_code, "E_VOLUME_UNKNOWN" in found.text) == (404, True), path
        assert "No job has a task for the volume" in found.text
        assert "<b>" not in found.text or found.headers["content-type"] == "application/json"
        assert len(found.text) < 5000


def test_a_manifest_of_a_version_that_is_not_there_is_refused(client: Client) -> None:
    found = client.get(f"/iiif/version/abcdef/manifests/truth/{NAME}/{NAME.replace('/', '-')}.json")
    assert (found.status_code, found.json()["error"]["code"]) == (410, "E_IMAGE_OTHER_VERSION")


@pytest.mark.parametrize("place", ["old", "new"])
def test_view_opens_the_volume_of_the_path(sources: dict[str, str], start: Start, tmp_path: Path, place: str) -> None:
    process = start("view", tmp_path / place / NAME, "--no-browser")
    assert listening(process).endswith(f"/view/{NAME}?{asked(sources[place])}")
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(30) == 0


def test_show_tells_of_both_and_shows_the_one_that_is_named(bec: Bec, sources: dict[str, str]) -> None:
    told = ok(bec("show", NAME))
    of_tasks = [line.split() for line in told.out.splitlines() if line.startswith("truth")]
    assert [line[-1] for line in of_tasks] == [sources["new"], sources["old"]]
    assert "source" not in ok(bec("show", ALONE)).out
    (one,) = ok(bec("show", NAME, "--source", sources["old"], "--json")).json
    assert one["volume"]["source"] == sources["old"]
    for place, source in sources.items():
        shown = ok(bec("show", NAME, "2", "--source", source)).out
        assert shown.startswith(f"truth  {NAME} in '{source}'  page 2 of {PAGES[place]}  ")
    assert ok(bec("show", NAME, "2")).out.startswith(f"truth  {NAME} in '{sources['new']}'")
    ended = bec("show", NAME, "2", "--source", "folder+file:///nowhere")
    assert (ended.code, "error E_VOLUME_UNKNOWN: No job has a task" in ended.err) == (2, True), ended.err


def documents(out: Path) -> dict[str, bytes]:
    return {str(file.relative_to(out)): file.read_bytes() for file in out.rglob("*") if file.is_file()}


def test_documents_of_one_source_are_neither_lost_nor_mixed_with_those_of_another(
    bec: Bec, sources: dict[str, str], tmp_path: Path
) -> None:
    def exported(out: Path, source: str, status: int = 0, *more: str) -> list[str]:
        chosen = ("--source", source) if source else ()
        ended = bec("export", "truth", "--format", "alto", "--out", out, *chosen, *more, "--json")
        assert ended.code == status, ended.err
        return [one["code"] for one in ended.json["failed"]]

    both, own = tmp_path / "both", tmp_path / "own"
    assert exported(both, sources["old"]) == []
    before = documents(both)
    assert len([name for name in before if name.startswith(f"{NAME}/alto/")]) == PAGES["old"]
    for force in ((), ("--force",)):
        assert exported(both, sources["new"], 2, *force) == ["E_EXPORT_OTHER_VOLUME"]
        assert exported(both, "", 2, *force) == ["E_EXPORT_OTHER_VOLUME"], "the newest is the one of the other source"
    assert documents(both) == before
    assert exported(own, sources["new"]) == []
    assert len(documents(own)) == PAGES["new"] + 1
    assert exported(own, "") == [], "the volume that is alone in its name is written beside it"
    ended = bec("export", "truth", "--format", "txt", "--source", "folder+file:///nowhere")
    assert (ended.code, "No volume of the source 'folder+file:///nowhere' is done" in ended.err) == (2, True)
    ended = bec("export", "truth", "--format", "txt", "--volume", ALONE, "--source", sources["new"])
    assert (ended.code, f"The volume {ALONE} of the source '{sources['new']}' is not done" in ended.err) == (2, True)


def test_documents_come_back_as_those_of_the_volume_that_they_are_of(
    bec: Bec, sources: dict[str, str], tmp_path: Path
) -> None:
    def source_of(job: str) -> str:
        (task,) = ok(bec("jobs", "tasks", job, "--json")).json
        return str(task["volume"]["source"])

    ok(bec("export", "truth", "--format", "alto", "--out", tmp_path / "docs", "--source", sources["old"]))
    take = ("--format", "alto", "--volume", NAME, "--from")
    told = ok(bec("import", "again", *take, tmp_path / "docs"))
    assert source_of("again") == sources["old"]
    assert f"{NAME} is taken from '{sources['old']}'; --source names another." in told.err
    told = ok(bec("import", "theirs", *take, tmp_path / "truth"))
    assert source_of("theirs") == sources["old"], "the newest task of all, where nothing says whose documents they are"
    ok(bec("import", "named", *take, tmp_path / "truth", "--source", sources["new"]))
    assert source_of("named") == sources["new"]


def test_an_attempt_is_at_the_volume_of_the_newest_task_of_its_job_and_says_so(
    bec: Bec, sources: dict[str, str]
) -> None:
    told = ok(bec("run-volume", "truth", *NAME.split("/")))
    assert f"{NAME} is taken from '{sources['new']}'; --source names another." in told.err
    assert ok(bec("run-volume", "truth", *ALONE.split("/"))).err.count("--source") == 0
