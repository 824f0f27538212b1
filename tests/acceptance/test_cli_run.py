"""`bec run` as its users see it: what it prints, what it leaves, and the code that it ends with."""

import json
import os
import shutil
from pathlib import Path

import pytest

from bec_orch.core.ports.job_worker import JobContext
from bec_orch.core.volumes import Page, PageOutcome
from bec_orch.errors import TerminalError
from bec_orch.io.workspace import WorkspaceLock
from tests.acceptance.conftest import Bec, ok, write_scans
from tests.support.jobs.toy_job import ToyJob


def test_the_second_run_does_nothing_and_says_so_and_a_changed_volume_is_found(bec: Bec, tmp_path: Path) -> None:
    scans, out = write_scans(tmp_path / "scans", {"W1/I1": 3, "W1/I2": 2}), tmp_path / "out"
    first = bec("run", "toy", scans, "--out", out)
    assert first.code == 0, first.err
    assert "2 volumes   2 done       5      50             0" in first.out
    assert f"Artefacts: {(out / 'artefacts').as_uri()}" in first.out
    assert "W1/I1: done, 3 pages, 0 errors" in first.err
    assert len(list(out.glob("artefacts/toy/W1/*/*/success.json"))) == 2

    again = bec("run", "toy", scans, "--out", out)
    assert (again.code, again.err) == (0, "")
    assert again.out.startswith("Nothing to do: everything was done already.\n")

    write_scans(scans, {"W1/I2": 4})
    changed = bec("run", "toy", scans, "--out", out, "--json").json
    assert (changed["done"], changed["pages"]["ok"], changed["counters"]) == (2, 7, {"bytes": 70})
    assert changed["pages_per_second"] > 0

    forced = bec("run", "toy", scans / "W1" / "I1", "--out", out, "--force", "--json").json
    assert [(task["volume"]["i_id"], task["attempt"]) for task in forced["tasks"]] == [("I1", 2)]


def test_what_was_to_be_done_again_and_failed_is_tried_by_the_next_run(
    bec: Bec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: ToyJob, _context: JobContext, _page: Page) -> PageOutcome:
        raise TerminalError("It cannot be done.")

    run = ("run", "toy", write_scans(tmp_path / "scans", {"W1/I1": 2}), "--out", tmp_path / "out")
    ok(bec(*run))
    with monkeypatch.context() as broken:
        broken.setattr(ToyJob, "_outcome", fail)
        assert bec(*run, "--force").code == 1
    again = ok(bec(*run, "--json")).json
    assert [(task["state"], task["attempt"]) for task in again["tasks"]] == [("done", 3)]
    assert again["pages_per_second"] is not None
    assert ok(bec(*run)).out.startswith("Nothing to do")


def test_an_artefact_that_is_gone_or_broken_is_made_again_and_the_others_stay(bec: Bec, tmp_path: Path) -> None:
    scans = write_scans(tmp_path / "scans", {"W1/I1": 2, "W1/I2": 2, "W1/I3": 1})
    run = ("run", "toy", scans, "--out", tmp_path / "out")
    ok(bec(*run))
    made = tmp_path / "out" / "artefacts" / "toy" / "W1"
    before = {path: path.stat().st_mtime_ns for path in (made / "I3").rglob("*.parquet")}
    shutil.rmtree(made / "I1")
    for file in (made / "I2").rglob("*.parquet"):
        file.write_bytes(b"no rows")
    assert ok(bec(*run, "--json")).json["done"] == 3
    ok(bec("--home", tmp_path / "out", "audit", "--deep"))
    assert before == {path: path.stat().st_mtime_ns for path in (made / "I3").rglob("*.parquet")}


def test_another_config_does_it_again_and_the_first_one_too(bec: Bec, tmp_path: Path) -> None:
    scans, out = write_scans(tmp_path / "scans", {"W1/I1": 2}), tmp_path / "out"
    run = ("run", "toy", scans, "--out", out, "--json")
    assert bec(*run).json["counters"] == {"bytes": 20}
    assert bec(*run, "--config-text", '{"factor": 3}').json["counters"] == {"bytes": 60}
    assert bec(*run).json["counters"] == {"bytes": 20}


def test_page_errors_are_3_and_too_many_of_them_are_a_failed_volume(bec: Bec, tmp_path: Path) -> None:
    scans = write_scans(tmp_path / "scans", {"W1/I1": 20, "W1/I2": 3}, empty={"W1/I1": 1, "W1/I2": 1})
    out = tmp_path / "out"
    ended = bec("run", "toy", scans, "--out", out)
    assert ended.code == 1
    assert "terminal_failed" in ended.out
    assert "failed W1/I2: E_IMAGE_EMPTY: 1 of 4 pages failed, more than 5%" in ended.err
    assert "hint: Scan or upload it again. More are allowed with `--max-page-error-rate`." in ended.err

    allowed = bec("run", "toy", scans, "--out", out, "--max-page-error-rate", "0.3")
    assert allowed.code == 3, allowed.err
    assert "2 volumes   2 done      25     230             2" in allowed.out


def test_a_folder_of_links_is_reported_as_one(bec: Bec, tmp_path: Path) -> None:
    scans, linked = write_scans(tmp_path / "scans", {"W1/I1": 2}), tmp_path / "linked" / "W1" / "I1"
    linked.mkdir(parents=True)
    for page in (scans / "W1" / "I1").iterdir():
        (linked / page.name).symlink_to(page)
    ended = bec("run", "toy", tmp_path / "linked", "--out", tmp_path / "out")
    assert ended.code == 1
    assert "failed W1/I1: E_PAGE_LINK: 2 of 2 pages failed" in ended.err
    assert "set BEC_FOLLOW_LINKS=true (`bec run --follow-links`)" in ended.err
    allowed = bec("run", "toy", tmp_path / "linked", "--out", tmp_path / "out", "--follow-links")
    assert (allowed.code, "W1/I1: done, 2 pages, 0 errors" in allowed.err) == (0, True), allowed.err


def test_a_link_above_the_folder_that_was_named_is_not_followed(bec: Bec, tmp_path: Path) -> None:
    scans, out = write_scans(tmp_path / "scans", {"W1/I1": 1}), tmp_path / "out"
    (scans / ".above.jpg").write_bytes(b"0123456789")
    (scans / "W1" / "I1" / "1.jpg").symlink_to("../../.above.jpg")
    run = ("run", "toy", scans / "W1", "--out", out, "--max-page-error-rate", "1")
    told = bec(*run)
    assert told.code == 3
    assert "E_PAGE_LINK" in told.err
    assert ok(bec(*run, "--follow-links", "--json")).json["pages"]["ok"] == 2
    assert ok(bec("run", "toy", scans, "--out", out, "--json")).json["pages"]["ok"] == 2


def test_of_two_layouts_that_are_as_good_both_are_reported(bec: Bec, tmp_path: Path) -> None:
    scans = write_scans(tmp_path / "scans", {"W1/I1": 1, "I2": 1})
    told = bec("run", "toy", scans, "--out", tmp_path / "out")
    assert told.code == 3
    tied = "Taken as WORK/VOLUME/images, in which as many images are pages as in VOLUME/images: 1 of them."
    assert tied in told.err


def test_images_outside_of_all_volumes_are_counted_and_reported(bec: Bec, tmp_path: Path) -> None:
    scans = write_scans(tmp_path / "scans", {"b1": 2, "b1/thumbs": 1, "b2": 1})
    (scans / "b1" / "Thumbs.db").touch()
    ended = bec("run", "toy", scans, "--out", tmp_path / "out")
    assert ended.code == 3, ended.err
    assert "warning: In no volume: 1 image in 'b1/thumbs'." in ended.err
    assert "Skipped, because they are not pages: systems' own: 1." in ended.err
    assert [line.split()[:5] for line in ended.out.splitlines() if "in no volume" in line] == [
        ["in", "no", "volume", "left", "out"]
    ]
    told = bec("run", "toy", scans, "--out", tmp_path / "out", "--json").json
    assert (told["done"], told["images_outside"], told["layout"]) == (2, 1, "VOLUME/images")
    assert told["outside"] == [{"folder": "b1/thumbs", "images": 1}]
    assert told["passed_over"] == {"system": 1}
    alone = ("--home", tmp_path / "out", "run-volume", "toy", scans.name, "b1")
    assert "Skipped, because they are not pages: systems' own: 1." in bec(*alone).err
    assert bec(*alone, "--json").json["passed_over"] == {"system": 1}
    (scans / "b1" / "deeper" / "still").mkdir(parents=True)
    for number in range(4):
        (scans / "b1" / "deeper" / "still" / f"{number}.png").write_bytes(b"x")
    refused = bec("run", "toy", scans, "--out", tmp_path / "out")
    assert (refused.code, "E_PATH_LAYOUT" in refused.err) == (2, True), refused.err


def test_what_a_workspace_in_the_scans_wrote_is_no_scan(bec: Bec, tmp_path: Path) -> None:
    scans = write_scans(tmp_path / "scans", {"W1/I1": 2, "W1/I2": 1})
    run = ("run", "toy", scans, "--out", scans)
    ok(bec(*run))
    write_scans(scans / "overlays", {"W1": 2, "W1/I1/pages": 1})
    again = ok(bec(*run))
    assert "2 volumes   2 done       3" in again.out
    assert again.err == "Skipped, because they are not pages: written by this program: 3.\n"
    enqueue = ("--home", scans, "queue", "enqueue", "toy", "--all", "--source", f"folder+{scans.as_uri()}", "--json")
    assert ok(bec(*enqueue)).json["volumes"] == 2


def test_names_that_are_no_utf8_are_reported_and_cost_nothing_else(bec: Bec, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    scans = write_scans(tmp_path / name, {"W1/I1": 2, f"W1/{name}": 1, f"{name}/I1": 1})
    ended = bec("run", "toy", scans, "--out", tmp_path / "out")
    assert ended.code == 3, ended.err
    assert "W1/I1: done, 2 pages, 0 errors" in ended.err
    assert r"'W1/caf\xe9' is left out" in ended.err
    assert r"The work name 'caf\xe9' is not UTF-8." in ended.err
    assert ended.err.count("is left out") == 2
    missing = bec("run", "toy", scans / name / name, "--out", tmp_path / "out")
    assert missing.code == 2
    assert r"caf\xe9/caf\xe9/caf\xe9'" in missing.err


def test_one_bad_volume_stops_no_other(bec: Bec, tmp_path: Path) -> None:
    scans = write_scans(tmp_path / "scans", {"W1/I1": 1, "W2/I1": 1})
    (scans / "W1" / "empty").mkdir()
    (scans / "W1" / "bad\nname").mkdir()
    (scans / "W1" / "bad\nname" / "1.jpg").write_bytes(b"x")
    ended = bec("run", "toy", scans, "--out", tmp_path / "out")
    assert ended.code == 3
    assert "warning: 'W1/empty' is left out: it has no images in it." in ended.err
    assert "warning: 'W1/bad\\nname' is left out" in ended.err
    assert "hint: Rename it." in ended.err
    assert "2 volumes" in ended.out


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["toy", "missing"], "E_PATH_MISSING"),
        (["toy", "file.txt"], "E_PATH_NOT_FOLDER"),
        (["toy", "nothing"], "E_PATH_NO_IMAGES"),
        (["toy", "texts"], "E_PATH_NO_IMAGES"),
        (["toy", "scans", "--config-text", "{"], "E_JOB_CONFIG"),
        (["toy", "scans", "--config", "missing.json"], "E_CONFIG"),
        (["toy", "scans", "--overlay"], "E_USAGE"),
        (["toy", "scans", "--out", "file.txt"], "E_WORKSPACE"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(bec: Bec, arguments: list[str], error: str) -> None:
    here = Path.cwd()
    write_scans(here / "scans", {"W1/I1": 1})
    (here / "nothing").mkdir()
    (here / "texts").mkdir()
    for name in ("file.txt", "texts/file.txt"):
        (here / name).write_text("text")
    ended = bec("--home", here / "home", "run", *arguments)
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err.startswith(f"error {error}: ")
    assert len(ended.err.splitlines()) <= 2
    assert not (here / "home").exists()


def test_a_config_that_cannot_be_worked_with_is_not_stored(bec: Bec, tmp_path: Path) -> None:
    scans, out = write_scans(tmp_path / "scans", {"W1/I1": 1}), tmp_path / "out"
    ended = bec("run", "ldv1", scans, "--out", out, "--config-text", '{"model": "autoo"}')
    assert (ended.code, ended.err.split(":")[0]) == (2, "error E_MODEL_NOT_FOUND")
    assert ok(bec("--home", out, "jobs", "list", "--json")).json == []


def test_jobs_that_cannot_be_are_refused(bec: Bec, tmp_path: Path) -> None:
    scans, out = write_scans(tmp_path / "scans", {"W1/I1": 1}), tmp_path / "out"
    for arguments, error in (
        (("nope", scans), "error E_JOB_TYPE: There is no job type 'nope'."),
        (("toy", scans, "--config-text", '{"facter": 2}'), "error E_JOB_CONFIG: "),
        (("toy", scans, "--max-page-error-rate", "2"), "error E_JOB_CONFIG: "),
    ):
        ended = bec("run", *arguments, "--out", out)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.startswith(error)


def test_what_an_earlier_run_left_is_done_beside_the_volume_that_is_named(bec: Bec, tmp_path: Path) -> None:
    scans, out = write_scans(tmp_path / "scans", {"W1/I1": 2, "W1/I2": 2}), tmp_path / "out"
    ok(bec("--home", out, "jobs", "create", "toy"))
    ok(bec("--home", out, "queue", "enqueue", "toy", "--all", "--source", f"folder+{scans.as_uri()}"))
    run = ok(bec("run", "toy", scans / "W1" / "I1", "--out", out, "--json"))
    assert run.json["volumes"] == 1
    tasks = ok(bec("--home", out, "jobs", "tasks", "toy", "--json")).json
    assert sorted((task["volume"]["i_id"], task["state"]) for task in tasks) == [("I1", "done"), ("I2", "done")]


def test_volumes_that_were_moved_are_done_where_they_lie_now_and_not_tried_where_they_lay(
    bec: Bec, tmp_path: Path
) -> None:
    scans, out = write_scans(tmp_path / "scans", {"W1/I1": 2, "W1/I2": 2}), tmp_path / "out"
    ok(bec("--home", out, "jobs", "create", "toy"))
    ok(bec("--home", out, "queue", "enqueue", "toy", "--all", "--source", f"folder+{scans.as_uri()}"))
    moved = scans.rename(tmp_path / "moved")

    run = ok(bec("run", "toy", moved / "W1" / "I2", "--out", out))
    assert f"2 volumes lie no more in 'folder+{scans.as_uri()}': what toy had still to do there" in run.err
    assert run.err.endswith("[1/1] W1/I2: done, 2 pages, 0 errors\n"), "and nothing is tried where nothing is"
    tasks = ok(bec("--home", out, "jobs", "tasks", "toy", "--json")).json
    old = [task for task in tasks if task["volume"]["source"] == f"folder+{scans.as_uri()}"]
    assert [(task["state"], task["attempt"]) for task in old] == [("canceled", 0)] * 2
    assert {task["reason"].partition(",")[0] for task in old} == {"the volume lies there no more"}
    again = ok(bec("run", "toy", moved, "--out", out, "--json")).json
    assert (again["done"], again["moved"]) == (2, {})


def test_a_volume_of_the_same_name_that_is_still_there_is_done_too_and_not_counted(bec: Bec, tmp_path: Path) -> None:
    first, out = write_scans(tmp_path / "first", {"W1/I1": 2}), tmp_path / "out"
    ok(bec("--home", out, "jobs", "create", "toy"))
    ok(bec("--home", out, "queue", "enqueue", "toy", "--all", "--source", f"folder+{first.as_uri()}"))
    run = ok(bec("run", "toy", write_scans(tmp_path / "second", {"W1/I1": 3}), "--out", out))
    assert "[1/1] W1/I1: done, 3 pages, 0 errors" in run.err
    assert f"W1/I1 of 'folder+{first.as_uri()}', which was queued before: done, 2 pages, 0 errors" in run.err


def test_a_second_run_in_the_same_workspace_is_told_to_wait(bec: Bec, tmp_path: Path) -> None:
    scans = write_scans(tmp_path / "scans", {"W1/I1": 1})
    with WorkspaceLock(tmp_path / "out"):
        ended = bec("run", "toy", scans, "--out", tmp_path / "out")
    assert ended.code == 2
    assert ended.err.startswith("error E_WORKSPACE_BUSY: Another `bec run` (process ")


def test_a_destination_that_cannot_be_written_is_reported(
    bec: Bec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = write_scans(tmp_path / "scans", {"W1/I1": 1})
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BEC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BEC_DEST_URL", (tmp_path / "file" / "artefacts").as_uri())
    ended = bec("run", "toy", scans)
    assert ended.code == 1
    assert ended.err.startswith("error E_STORAGE_NO_FOLDER: ")
    assert str(tmp_path / "file" / "artefacts") in ended.err

    monkeypatch.setenv("BEC_DEST_URL", (tmp_path / "elsewhere").as_uri())
    ended = bec("run", "toy", scans)
    assert ended.code == 0, ended.err
    assert len(list((tmp_path / "elsewhere").glob("toy/W1/I1/*/success.json"))) == 1


def test_success_json_has_the_fields_of_the_docs(bec: Bec, tmp_path: Path) -> None:
    scans, out = write_scans(tmp_path / "scans", {"W1/I1": 1}), tmp_path / "out"
    bec("run", "toy", scans, "--out", out)
    (success,) = out.glob("artefacts/toy/W1/I1/*/success.json")
    docs = (Path(__file__).resolve().parents[2] / "docs" / "artefact-formats.md").read_text("utf-8")
    table = docs.split("## success.json")[1].split("\n## ")[0]
    for name in json.loads(success.read_text()):
        assert f"`{name}`" in table


def test_an_empty_destination_is_not_taken_for_that_of_finished_volumes(bec: Bec, tmp_path: Path) -> None:
    """An unmounted disk leaves an empty folder: nothing is told as done there, and nothing is written into it."""
    scans, out = write_scans(tmp_path / "scans", {"W1/I1": 1}), tmp_path / "out"
    run = ("run", "toy", scans, "--out", out)
    assert bec(*run).code == 0
    artefacts, disk = out / "artefacts", out / "disk"
    artefacts.rename(disk)
    artefacts.mkdir()
    unmounted = bec(*run)
    assert (unmounted.code, unmounted.err.split(":")[0]) == (6, "error E_STORAGE_EMPTY")
    write_scans(scans, {"W1/I2": 1})
    unmounted = bec(*run)
    assert (unmounted.code, "E_STORAGE_EMPTY" in unmounted.err, "mounted" in unmounted.err) == (6, True, True)
    assert list(artefacts.iterdir()) == []
    artefacts.rmdir()
    disk.rename(artefacts)
    assert "2 volumes   2 done" in bec(*run).out


def test_no_later_command_works_on_another_destination_than_the_run(
    bec: Bec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = write_scans(tmp_path / "scans", {"W1/I1": 2})
    out = tmp_path / "out"
    monkeypatch.setenv("BEC_DEST_URL", (tmp_path / "elsewhere").as_uri())
    ran = bec("run", "toy", scans, "--out", out)
    assert ran.code == 0
    assert "warning: BEC_DEST_URL: not used, as this run keeps its database and artefacts in the folder" in ran.err
    kept = sorted(path for path in (out / "artefacts").rglob("*"))
    mended = bec("--home", out, "audit", "--fix")
    assert (mended.code, "error E_DEST_OTHER" in mended.err) == (2, True)
    assert not (tmp_path / "elsewhere").exists()
    monkeypatch.delenv("BEC_DEST_URL")
    assert bec("--home", out, "audit").code == 0
    assert sorted(path for path in (out / "artefacts").rglob("*")) == kept
