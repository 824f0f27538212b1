"""Hostile names in manifests, messages, lists, jobs and artefacts lead no write, and no delete, out of its folder."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bec_orch.io.postgres.adapters import clean_text
from bec_orch.io.sources.bdrc import volume_prefix
from tests.acceptance.conftest import Bec, ok

ESCAPED = "/tmp/bec-escaped"  # noqa: S108  (nothing may make it)
GOOD = "I9999"
HOSTILE = (
    "..",
    ".",
    "../outside",
    "../../outside/x",
    "a/../../../outside/x",
    ESCAPED,
    "..\\outside",
    "%2e%2e%2foutside",
    "x/y",
    "\x00/../outside",
    "~/bec-escaped",
    "$HOME/bec-escaped",
    f"file://{ESCAPED}",
    "x" * 300,
)


def everything_but(home: Path, root: Path) -> Iterator[tuple[str, int, int, bytes]]:
    """What lies under a folder beside the workspace, with times and contents."""
    for path in sorted(root.rglob("*")):
        if not path.is_relative_to(home) and path.is_file():
            stat = path.stat()
            yield str(path), stat.st_mtime_ns, stat.st_size, path.read_bytes()


def write_archive(root: Path) -> None:
    """A copy of the library's archive: a good volume, and for each hostile name one with a page of that name."""
    write_volume(root, GOOD, [])
    for number, name in enumerate(HOSTILE):
        write_volume(root, f"I{number:04}", [f"{name}.jpg", name])


def write_volume(root: Path, i_id: str, more_pages: list[str]) -> None:
    folder = root / volume_prefix("W1", i_id)
    folder.mkdir(parents=True)
    manifest = [{"filename": page} for page in ("0001.jpg", *more_pages, "0002.jpg")]
    (folder / "dimensions.json").write_bytes(gzip.compress(json.dumps(manifest).encode()))
    for page in ("0001.jpg", "0002.jpg"):
        (folder / page).write_bytes(b"0123456789")


@pytest.fixture
def home(bec: Bec, fresh_database: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_archive(tmp_path / "archive")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x").write_text("theirs")
    monkeypatch.setenv("BEC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("BEC_SOURCE_URL", (tmp_path / "archive").as_uri())
    monkeypatch.setenv("BEC_LOG_LEVEL", "error")
    ok(bec("jobs", "create", "toy"))
    return tmp_path / "home"


def test_no_name_leads_out_of_the_workspace(bec: Bec, home: Path, tmp_path: Path, conninfo: str) -> None:
    ok(bec("queue", "enqueue", "toy", *[f"--volume=W1/I{number:04}" for number in range(len(HOSTILE))]))
    volumes = "".join(f"{json.dumps(name)[1:-1]},I0000\nW1,{json.dumps(name)[1:-1]}\n" for name in HOSTILE)
    (tmp_path / "volumes.csv").write_text(f"W1,I0000\n{volumes}")
    before = list(everything_but(home, tmp_path))

    for name in HOSTILE:
        assert bec("jobs", "create", name, "--type", "toy").code == 2
        assert bec("run-volume", "toy", "W1", name).code in {1, 2}
        assert bec("queue", "enqueue", "toy", "--volume", f"{name}/{name}").code in {0, 1, 2}
    bec("queue", "enqueue", "toy", "--file", tmp_path / "volumes.csv")
    with psycopg.connect(conninfo) as connection:
        connection.cursor().executemany(
            "INSERT INTO queue_messages (queue, body) VALUES ('toy', %s)",
            [(clean_text(json.dumps({"w_id": "W1", "i_id": name})),) for name in HOSTILE],
        )
    assert bec("worker", "--job", "toy", "--until-empty").code == 1
    assert bec("audit", "--deep", "--fix").code == 0
    assert list(everything_but(home, tmp_path)) == before
    assert not Path(ESCAPED).exists()
    assert not (tmp_path / "user").exists()

    failed = {task["volume"]["i_id"]: task["failure_code"] for task in tasks(bec, "terminal_failed")}
    assert set(failed.values()) <= {"E_NAME_UNSAFE", "E_PAGE_MISSING", "E_MANIFEST_MISSING"}
    unsafe = {f"I{HOSTILE.index(name):04}" for name in ("../outside", "..\\outside", "x/y", ESCAPED)}
    assert {failed[i_id] for i_id in unsafe} == {"E_NAME_UNSAFE"}


def test_an_artefact_that_names_a_file_elsewhere_removes_nothing_there(bec: Bec, home: Path, tmp_path: Path) -> None:
    ok(bec("queue", "enqueue", "toy", "--volume", f"W1/{GOOD}"))
    ok(bec("worker", "--job", "toy", "--until-empty"))
    [success] = (home / "artefacts" / "toy" / "W1" / GOOD).glob("*/success.json")
    content = json.loads(success.read_text())
    before = list(everything_but(home, tmp_path))
    for key in ("../../../../outside/x", "/etc/passwd", f"{success.parent.name}/../../x", "outside/x"):
        content["files"][0]["key"] = key
        success.write_text(json.dumps(content))
        found = bec("audit", "--fix", "--json")
        assert [one["code"] for one in found.json["invariants"] if one["violations"]] == ["E_AUDIT_UNREADABLE"]
        assert not success.exists()
        ok(bec("worker", "--job", "toy", "--until-empty"))
    assert list(everything_but(home, tmp_path)) == before
    assert ok(bec("audit", "--deep", "--json")).json["clean"]


def tasks(bec: Bec, state: str) -> list[dict[str, Any]]:
    listed = ok(bec("jobs", "tasks", "toy", "--state", state, "--limit=99", "--json"))
    found: list[dict[str, Any]] = listed.json
    return found
