"""`bec pages` and `bec errors show`: every page of a volume is seen, of one that failed, too."""

import json
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Bec, Start, ok, wait_for, write_scans

pytestmark = pytest.mark.usefixtures("figures")


@pytest.fixture
def figures(plugins: Path) -> None:
    """The toy job tells figures of its pages."""
    (points,) = plugins.glob("*.dist-info/entry_points.txt")
    points.write_text(f"{points.read_text()}[bec_orch.pages]\ntoy = tests.support.jobs.toy_job:FIGURES\n")


def states(pages: Sequence[Any]) -> list[tuple[int, str, str | None]]:
    return [(page["page"], page["state"], page["code"]) for page in pages]


def test_a_volume_that_failed_for_one_page_says_which(bec: Bec, tmp_path: Path) -> None:
    scans, out = write_scans(tmp_path / "scans", {"W1/I1": 8}, empty={"W1/I1": 1}), tmp_path / "out"
    failed = bec("run", "toy", scans, "--out", out)
    assert failed.code == 1
    assert "`bec errors show W1/I1 --job toy` lists them." in failed.err

    (found,) = ok(bec("--home", out, "pages", "W1/I1", "--json")).json
    assert (found["job"], found["task_state"], found["partial"]) == ("toy", "terminal_failed", True)
    assert found["states"] == {"ok": 8, "error": 1}
    assert states(found["pages"]) == [*((n, "ok", None) for n in range(1, 9)), (9, "error", "E_IMAGE_EMPTY")]
    assert [page["figures"] for page in found["pages"]] == [{"bytes": 10}] * 8 + [{}]
    table = ok(bec("--home", out, "errors", "show", "W1/I1")).out
    assert "toy  W1/I1  task 1 is terminal_failed; 9 pages: 8 ok, 1 error" in table
    assert found["failure"].startswith("E_IMAGE_EMPTY: 1 of 9 pages failed")
    assert f"It failed: {found['failure']}" in table
    assert "no artefact" in table
    rows = [line for line in table.splitlines() if not line.startswith("It failed")]
    assert [line.split()[:3] for line in rows if "0008.jpg" in line] == [["9", "0008.jpg", "error"]]
    assert "0007.jpg" not in table

    # Its page error is counted as those of finished volumes are.
    stats = ok(bec("--home", out, "jobs", "stats", "toy"))
    counted = [line.split()[-1] for line in stats.out.splitlines() if line.startswith(("pages with", "of these"))]
    assert counted == ["1", "1", "1"]
    figures = ok(bec("--home", out, "jobs", "stats", "toy", "--json")).json
    assert (figures["pages_with_errors"], figures["page_errors"]) == (1, {"E_IMAGE_EMPTY": 1})
    assert figures["failed_pages"] == {"ok": 8, "skipped": 0, "error": 1}
    assert figures["pages"] == {"ok": 0, "skipped": 0, "error": 0}
    for listed in (("jobs", "tasks", "toy", "--code", "E_IMAGE_EMPTY"), ("show", "W1/I1")):
        assert "   9" in ok(bec("--home", out, *listed)).out

    # What is mended is done again, and the part files go.
    (scans / "W1" / "I1" / "0008.jpg").write_bytes(b"0123456789")
    ok(bec("run", "toy", scans, "--out", out))
    (done,) = ok(bec("--home", out, "pages", "W1/I1", "--job", "toy", "--json")).json
    assert (done["task_state"], done["partial"], done["states"]) == ("done", False, {"ok": 9})
    figures = ok(bec("--home", out, "jobs", "stats", "toy", "--json")).json
    assert (figures["pages_with_errors"], figures["page_errors"], figures["pages"]["ok"]) == (0, {}, 9)


def test_the_rows_of_a_volume_that_failed_are_no_artefact(bec: Bec, tmp_path: Path) -> None:
    scans, out = write_scans(tmp_path / "scans", {"W1/I1": 8}, empty={"W1/I1": 1}), tmp_path / "out"
    assert bec("run", "toy", scans, "--out", out).code == 1
    left = sorted(path for path in out.rglob("toy/W1/I1/**/*") if path.is_file())
    kinds = [path.parent.name if path.parent.name == "parts" else "".join(path.suffixes[1:]) for path in left]
    assert kinds == [".parquet", ".partial.json", "parts"]
    (seen,) = ok(bec("--home", out, "pages", "W1/I1", "--json")).json
    assert seen["partial_artefact"] == left[1].relative_to(out / "artefacts").as_posix()
    assert f"{left[1].name} marks a partial one" in ok(bec("--home", out, "pages", "W1/I1")).out
    assert "violations" not in bec("--home", out, "audit", "--deep").err
    ok(bec("--home", out, "audit", "--deep", "toy"))

    assert bec("run", "toy", scans, "--out", out, "--max-page-error-rate", "0.5").code == 3
    assert not any(path.exists() for path in left)
    (found,) = ok(bec("--home", out, "errors", "show", "W1/I1", "--json")).json
    assert (found["partial"], found["partial_artefact"]) == (False, None)
    assert states(found["pages"]) == [(9, "error", "E_IMAGE_EMPTY")]


def test_rows_of_the_newest_attempt_are_reported(bec: Bec, tmp_path: Path) -> None:
    scans, out = write_scans(tmp_path / "scans", {"W1/I1": 8}, empty={"W1/I1": 1}), tmp_path / "out"
    assert bec("run", "toy", scans, "--out", out).code == 1
    ok(bec("--home", out, "queue", "redrive", "toy"))
    assert bec("run", "toy", scans, "--out", out).code == 1
    assert bec("run", "toy", scans, "--out", out, "--config-text", '{"factor": 3}').code == 1
    (found,) = ok(bec("--home", out, "pages", "W1/I1", "--json")).json
    assert [page["figures"] for page in found["pages"]] == [{"bytes": 30}] * 8 + [{}]


def test_no_more_pages_than_asked_for_and_the_others_are_counted(bec: Bec, tmp_path: Path) -> None:
    scans, out = write_scans(tmp_path / "scans", {"W1/I1": 5}), tmp_path / "out"
    ok(bec("run", "toy", scans, "--out", out))
    table = ok(bec("--home", out, "pages", "W1/I1", "--limit", "2")).out
    assert "0001.jpg" in table
    assert "0002.jpg" not in table
    assert "(The first 2 of 5 pages are shown; --limit shows more.)" in table
    (found,) = ok(bec("--home", out, "pages", "W1/I1", "--limit", "2", "--json")).json
    assert (len(found["pages"]), found["left_off"]) == (2, 3)
    assert "There are no such pages." in ok(bec("--home", out, "errors", "show", "W1/I1")).out


def test_a_volume_whose_artefact_is_gone_is_not_said_to_be_undone(bec: Bec, tmp_path: Path) -> None:
    scans, out = write_scans(tmp_path / "scans", {"W1/I1": 2}), tmp_path / "out"
    ok(bec("run", "toy", scans, "--out", out))
    shutil.rmtree(out / "artefacts" / "toy" / "W1")
    told = ok(bec("--home", out, "pages", "W1/I1"))
    assert told.out.startswith("toy  W1/I1  task 1 is done; 2 pages: 2 no row")
    assert "not done" not in told.out
    assert "Its artefact is gone" in told.err


def test_volumes_of_which_nothing_is_known_yet(bec: Bec, tmp_path: Path) -> None:
    scans, out = write_scans(tmp_path / "scans", {"W1/I1": 2}), tmp_path / "out"
    ok(bec("run", "toy", scans, "--out", out))
    unknown = bec("--home", out, "pages", "W9/I9")
    assert (unknown.code, unknown.err.split(":")[0]) == (2, "error E_VOLUME_UNKNOWN")
    assert bec("--home", out, "pages", "W1").code == 2
    ok(bec("--home", out, "jobs", "create", "other", "--type", "toy"))
    ok(bec("--home", out, "queue", "enqueue", "other", "--volume", "W1/I1", "--source", f"folder+{scans.as_uri()}"))
    first, second = ok(bec("--home", out, "pages", "W1/I1", "--json")).json
    assert (first["job"], first["task_state"], len(first["pages"])) == ("other", "queued", 0)
    assert first["note"]
    assert (second["job"], len(second["pages"])) == ("toy", 2)


def test_errors_alone_still_groups_failures(bec: Bec, tmp_path: Path) -> None:
    scans, out = write_scans(tmp_path / "scans", {"W1/I1": 1}, empty={"W1/I1": 1}), tmp_path / "out"
    assert bec("run", "toy", scans, "--out", out).code == 1
    (group,) = ok(bec("--home", out, "errors", "--json")).json
    assert group["code"] == "E_IMAGE_EMPTY"
    assert "E_IMAGE_EMPTY" in ok(bec("--home", out, "errors", "--job", "toy")).out
    assert bec("--home", out, "errors", "--job", "toy", "show", "W1/I1").code == 2


def test_pages_that_no_attempt_came_to_are_reported(bec: Bec, start: Start, gate: Path, tmp_path: Path) -> None:
    scans, out = write_scans(tmp_path / "scans", {"W1/I1": 4}), tmp_path / "out"
    working = start("run", "gated", scans, "--out", out, "--config-text", json.dumps({"gate": str(gate)}))
    wait_for(gate / "reached", working)
    working.send_signal(signal.SIGINT)
    working.communicate()
    (found,) = ok(bec("--home", out, "pages", "W1/I1", "--json")).json
    assert (found["partial"], found["note"]) == (True, "")
    assert [page["state"] for page in found["pages"]] == ["ok", "ok", "ok", "no row"]
    assert [page["img_file_name"] for page in found["pages"]] == ["0000.jpg", "0001.jpg", "0002.jpg", "0003.jpg"]

    (scans / "W1" / "I1" / "0009.jpg").write_bytes(b"0123456789")
    (changed,) = ok(bec("--home", out, "pages", "W1/I1", "--json")).json
    assert [page["state"] for page in changed["pages"]] == ["ok", "ok", "ok"]
    assert "the volume has changed since" in changed["note"]


def test_the_table_of_a_run_has_the_figures_of_each_volume(bec: Bec, tmp_path: Path) -> None:
    scans = write_scans(tmp_path / "scans", {"W1/I1": 20, "W1/I2": 3}, empty={"W1/I1": 1, "W1/I2": 1})
    run = ("run", "toy", scans, "--out", tmp_path / "out")
    told = bec(*run).out.splitlines()
    assert told[0].split() == ["volume", "state", "pages", "bytes", "mean", "size", "good", "page", "errors"]
    assert told[2].split() == ["W1/I1", "done", "21", "200", "10.00", "20", "1"]
    assert told[3].split() == ["W1/I2", "terminal_failed", "4", "-", "-", "-", "1"]
    assert told[4].split() == ["2", "volumes", "1", "done", "25", "200", "-", "20", "2"]
    assert bec(*run, "--json").json["figures"] == {"W1/I1": {"mean size": 10.0, "good": 20}}


def test_volumes_of_one_name_are_told_with_where_each_lies(bec: Bec, tmp_path: Path) -> None:
    out = tmp_path / "out"
    looks = (("jobs", "tasks", "toy"), ("jobs", "stale", "toy"))
    for number in (1, 2):
        scans = write_scans(tmp_path / str(number), {"W1/I1": number})
        ok(bec("run", "toy", scans, "--out", out))
        ok(bec("--home", out, "jobs", "update", "toy", "--config-text", '{"factor": 2}'))
        headings = [ok(bec("--home", out, *look)).out.partition("─")[0].split() for look in looks]
        assert ["source" in heading for heading in headings] == [number == 2] * 2
        told = ok(bec("--home", out, "pages", "W1/I1")).out
        assert (f"W1/I1 in 'folder+{scans.as_uri()}'  task" in told) == (number == 2)
