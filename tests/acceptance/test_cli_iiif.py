"""Manifests of a library's server, from their address to what is seen and handed on; and what servers do wrong."""

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import pyarrow.parquet as pq
import pytest

from bec_orch.io.servers.fetching import AT_ONCE, Fetcher, Patience
from bec_orch.io.sources import sources
from tests.acceptance.conftest import Bec, ok
from tests.support import pdfs
from tests.support.servers.library import Answer, Library, library, manifest
from tests.unit.ldv1 import drawn

FULL = "/full/max/0/default.jpg"
QUICK = Patience(attempts=2, first=0.01, connect=5.0, silence=2.0, whole=20.0)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def home(bec: Bec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BEC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BEC_LD_MODEL_PATH", str(drawn.model_folder(tmp_path / "model")))
    monkeypatch.setenv("BEC_BACKOFF_BASE_SECONDS", "0.2")
    monkeypatch.setattr(sources, "Fetcher", lambda: Fetcher(QUICK))
    return tmp_path / "home"


@pytest.fixture
def lib() -> Iterator[Library]:
    with library() as lib:
        yield lib


def book(lib: Library, path: str, *lines: int) -> str:
    """Put a manifest there, with a picture of as many lines for each page; return its address."""
    url = lib.url + path
    lib.things[path] = json.dumps(manifest(url, [f"{url}/{at}" for at in range(len(lines))])).encode()
    for at, count in enumerate(lines):
        lib.things[f"{path}/{at}{FULL}"] = bytes(cv2.imencode(".png", pdfs.pixels(count))[1])
    return url


def rows(home: Path) -> list[tuple[str, int, str | None]]:
    (file,) = home.rglob("*.a*-*.parquet")
    found = pq.read_table(file).to_pylist()
    return [(row["img_file_name"], row["nb_lines"], row["error_type"]) for row in found]


def test_a_manifest_is_a_volume_to_be_read_and_handed_on(bec: Bec, lib: Library, home: Path, tmp_path: Path) -> None:
    url = book(lib, "/m/my:book/manifest.json", 7, 5, 6, 4, 7, 5)
    run = ok(bec("run", "ldv1", url, "--json")).json
    (volume,) = (f"{task['volume']['w_id']}/{task['volume']['i_id']}" for task in run["tasks"])
    assert volume.startswith("127.0.0.1/my_book-")
    assert [row[1] for row in rows(home)] == [7, 5, 6, 4, 7, 5]
    assert lib.most_at_once <= AT_ONCE
    assert ok(bec("run", "ldv1", url, "--json")).json["pages_per_second"] is None
    assert len([path for path in lib.paths() if path.endswith(FULL)]) == 6

    (told,) = ok(bec("pages", volume, "--json")).json
    assert [page["img_file_name"] for page in told["pages"]] == [f"{at:04}" for at in range(1, 7)]
    ok(bec("audit", "--deep"))
    ok(bec("export", "ldv1", "--format", "page,pdf", "--out", tmp_path / "documents"))
    assert len(list((tmp_path / "documents").rglob("*.xml"))) == 6
    assert (next((tmp_path / "documents").rglob("*.pdf"))).read_bytes().count(b"/MediaBox") == 6


def test_faults_that_pass_are_waited_out_and_what_is_finished_is_not_fetched_again(
    bec: Bec, lib: Library, home: Path
) -> None:
    url = book(lib, "/m", 7, 5, 6)
    good = lib.things[f"/m/1{FULL}"]
    assert isinstance(good, bytes)
    faults = [Answer(status=429, headers={"Retry-After": "1"}), Answer(status=503), Answer(fault="hang")]
    lib.things[f"/m/1{FULL}"] = [*faults, Answer(good, fault="cut"), Answer(good)]
    ok(bec("run", "ldv1", url))
    assert rows(home) == [("0001", 7, None), ("0002", 5, None), ("0003", 6, None)]
    asked = lib.paths()
    assert [asked.count(f"/m/{at}{FULL}") for at in range(3)] == [1, 5, 1]


def test_pages_that_cannot_be_had_are_rows_with_their_codes(bec: Bec, lib: Library, home: Path) -> None:
    url = book(lib, "/m", *(5,) * 8)
    lib.things[f"/m/1{FULL}"] = Answer(status=404)
    lib.things[f"/m/2{FULL}"] = Answer(status=401)
    lib.things[f"/m/3{FULL}"] = Answer(status=302, headers={"Location": "http://169.254.169.254/latest/"})
    lib.things[f"/m/4{FULL}"] = Answer(b"<html>Sorry</html>", headers={"Content-Type": "text/html"})
    lib.things[f"/m/5{FULL}"] = Answer(b"")
    ended = bec("run", "ldv1", url, "--max-page-error-rate", "0.9")
    assert ended.code == 3, ended.err
    told = ("E_PAGE_MISSING", "E_SERVER_REFUSED", "E_ADDRESS_REFUSED", "E_IMAGE_NOT_IMAGE", "E_IMAGE_EMPTY")
    assert [row[2] for row in rows(home)] == [None, *told, None, None]


def test_a_collection_is_a_source_of_jobs(bec: Bec, lib: Library, home: Path) -> None:
    for name in ("a", "b"):
        book(lib, f"/{name}", 5)
    items = [{"id": f"{lib.url}/{name}", "type": "Manifest"} for name in ("a", "b", "gone")]
    lib.things["/top"] = json.dumps({"type": "Collection", "items": items}).encode()
    run = bec("run", "ldv1", f"iiif+{lib.url}/top", "--json")
    assert run.code == 1, run.err
    states = {task["volume"]["i_id"].partition("-")[0]: task["state"] for task in run.json["tasks"]}
    assert states == {"a": "done", "b": "done"}
    (left_out,) = run.json["left_out"]
    assert "/gone-" in left_out


@pytest.mark.usefixtures("fresh_database")
def test_workers_do_the_volumes_of_a_collection(
    bec: Bec, lib: Library, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        book(lib, f"/{name}", 5, 6)
    items = [{"id": f"{lib.url}/{name}", "type": "Manifest"} for name in ("a", "b")]
    lib.things["/top"] = json.dumps({"type": "Collection", "items": items}).encode()
    monkeypatch.setenv("BEC_SOURCE_LAYOUT", "iiif")
    monkeypatch.setenv("BEC_SOURCE_URL", f"{lib.url}/top")
    ok(bec("jobs", "create", "ldv1"))
    assert ok(bec("queue", "enqueue", "ldv1", "--all", "--json")).json["queued"] == 2
    ok(bec("worker", "--job", "ldv1", "--until-empty"))
    assert len(list(home.rglob("*.a*-*.parquet"))) == 2


@pytest.mark.parametrize(
    ("answer", "code", "ends"),
    [
        (Answer(status=404), "E_STORAGE_MISSING", 6),
        (Answer(status=500), "E_SERVER_AWAY", 1),
        (Answer(b"<html>"), "E_MANIFEST_JSON", 1),
        (Answer(b"{}"), "E_IIIF", 1),
        (Answer(status=302, headers={"Location": "file:///etc/passwd"}), "E_URL", 1),
    ],
    ids=["404", "500", "html", "other", "redirect"],
)
def test_an_address_without_a_manifest_is_reported(
    bec: Bec, lib: Library, answer: Answer, code: str, ends: int
) -> None:
    lib.things["/m"] = answer
    ended = bec("run", "ldv1", f"{lib.url}/m")
    assert (ended.code, f"error {code}: " in ended.err) == (ends, True), ended.err
