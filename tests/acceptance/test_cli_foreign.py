"""Workspaces that share a destination, and one whose database was lost, as their users see it."""

import shutil
from pathlib import Path

import pytest

from tests.acceptance.conftest import Bec, ok, write_scans


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "results"
    monkeypatch.setenv("BEC_DEST_URL", folder.as_uri())
    return folder


def test_two_workspaces_with_one_destination(bec: Bec, tmp_path: Path, results: Path) -> None:
    scans = write_scans(tmp_path / "scans", {"W1/I1": 2})
    first, second = ("--home", tmp_path / "first"), ("--home", tmp_path / "second")
    assert bec(*first, "run", "toy", scans).code == 0
    before = files(results)
    for more in ((), ("--force",), ("--config-text", '{"factor": 3}')):
        ended = bec(*second, "run", "toy", scans, *more)
        assert ended.code == 1
        assert "E_ARTEFACT_FOREIGN" in ended.err
        assert "--adopt-foreign" in ended.err
    audited = bec(*second, "audit", "--fix", "--json")
    assert (audited.code, audited.json["looked_at"]["foreign"]) == (0, 1)
    assert files(results) == before

    adopted = bec(*second, "run", "toy", scans, "--adopt-foreign", "--json")
    assert (adopted.code, adopted.json["counters"], files(results)) == (0, {"bytes": 20}, before)

    # What was adopted can be adopted again, after it was to be done anew in vain.
    for forced, queued in ((("run", "toy", scans, "--force"), False), (("queue", "redrive", "toy"), True)):
        assert bec(*second, *forced).code == int(not queued)
        adopted = bec(*second, "run", "toy", scans, "--adopt-foreign", "--json")
        assert (adopted.code, adopted.json["done"], files(results)) == (0, 1, before)
        if not queued:
            assert bec(*second, "run", "toy", scans, "--force").code == 1

    replace = (*second, "queue", "replace-foreign", "toy", "W1/I1", "--source", f"folder+{scans.as_uri()}")
    shown = bec(*replace)
    assert (shown.code, files(results)) == (2, before)
    identity = ok(bec(*first, "db", "status", "--json")).json["identity"]
    assert f"database {identity}" in shown.out
    ok(bec(*replace, "--yes"))
    assert bec(*second, "run", "toy", scans, "--json").json["tasks"][0]["state"] == "done"
    parquet = {name: data for name, data in before.items() if name.endswith(".parquet")}
    assert parquet.items() < files(results).items()
    assert bec(*replace).code == 2
    assert bec(*first, "audit", "--fix").code == 1


def test_a_workspace_whose_database_was_removed_takes_its_work_over(bec: Bec, tmp_path: Path) -> None:
    scans, out = write_scans(tmp_path / "scans", {"W1/I1": 2}), tmp_path / "out"
    run = ("run", "toy", scans, "--out", out)
    ok(bec(*run))
    before = files(out / "artefacts")
    shutil.rmtree(out / "pg")
    again = bec(*run)
    assert (again.code, "W1/I1: adopted" in again.err) == (0, True)
    assert files(out / "artefacts") == before
    assert bec(*run, "--force").code == 0
    assert bec("--home", out, "audit", "--deep").code == 0


def test_a_database_goes_on_for_one_that_was_lost(bec: Bec, tmp_path: Path, results: Path) -> None:
    scans = write_scans(tmp_path / "scans", {"W1/I1": 2})
    first, second = ("--home", tmp_path / "first"), ("--home", tmp_path / "second")
    ok(bec(*first, "run", "toy", scans))
    identity = ok(bec(*first, "db", "status", "--json")).json["identity"]
    assert ok(bec(*second, "db", "init", "--identity", identity, "--json")).json["identity"] == identity
    assert (tmp_path / "second" / "identity").read_text() == f"{identity}\n"
    before = files(results)
    assert bec(*second, "run", "toy", scans).code == 0
    assert files(results) == before
    refused = bec(*second, "db", "init", "--identity", "0b9e4c77-51d2-4f0a-9d3e-c4a86e1f2d90")
    assert (refused.code, "E_DB_IDENTITY" in refused.err) == (2, True)
