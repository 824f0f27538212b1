"""The commands for operators, on one database, in the order of a working day."""

from pathlib import Path

import pytest

from bec_orch.cli.composition.parts import open_parts
from bec_orch.core.messages import TaskMessage
from bec_orch.settings.config import load_settings
from tests.acceptance.conftest import Bec, ok, write_scans


@pytest.fixture
def home(bec: Bec, fresh_database: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database with the job `toy`, and a source of three good volumes and one with a page in two broken."""
    volumes = {"W1/I1": 3, "W1/I2": 2, "W2/I1": 4, "W2/bad": 1}
    scans = write_scans(tmp_path / "scans", volumes, empty={"W2/bad": 1})
    monkeypatch.setenv("BEC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BEC_SOURCE_URL", scans.as_uri())
    monkeypatch.setenv("BEC_SOURCE_LAYOUT", "folder")
    monkeypatch.setenv("BEC_LOG_LEVEL", "error")
    assert bec("jobs", "create", "toy").code == 0
    return tmp_path / "home"


def test_jobs_are_made_shown_changed_and_deleted(bec: Bec, home: Path) -> None:
    made = ok(
        bec(
            "jobs",
            "create",
            "toy-2",
            "--type",
            "toy",
            "--config-text",
            '{"factor": 2}',
            "--depends-on",
            "toy",
            "--json",
        )
    )
    assert (made.json["type"], made.json["depends_on"], made.json["config"]["factor"]) == ("toy", ["toy"], 2)

    listed = ok(bec("jobs", "list"))
    assert [line.split()[0] for line in listed.out.splitlines()[2:]] == ["toy", "toy-2"]
    assert ok(bec("jobs", "list", "--json")).json[1]["name"] == "toy-2"

    changed = ok(bec("jobs", "update", "toy-2", "--config-text", '{"factor": 5}', "--max-attempts", "2", "--json"))
    assert (changed.json["config"]["factor"], changed.json["max_attempts"]) == (5, 2)
    assert '"factor": 5' in ok(bec("jobs", "show", "toy-2")).out

    needed = bec("jobs", "delete", "toy")
    assert (needed.code, needed.err.split(":")[0]) == (2, "error E_JOB_NEEDED")
    assert ok(bec("jobs", "delete", "toy-2", "--json")).json == {"name": "toy-2", "canceled": 0}
    assert ok(bec("jobs", "delete", "toy")).out == "The job toy is deleted; 0 unfinished tasks were canceled.\n"
    assert "There are no jobs yet" in ok(bec("jobs", "list")).out


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("jobs", "create", "toy"), "E_JOB_EXISTS"),
        (("jobs", "create", "../toy", "--type", "toy"), "E_JOB_NAME"),
        (("jobs", "create", "other", "--type", "toy", "--config-text", '{"nope": 1}'), "E_JOB_CONFIG"),
        (("jobs", "show", "nope"), "E_JOB_UNKNOWN"),
        (("worker", "--job", "nope"), "E_JOB_UNKNOWN"),
        (("worker", "--job-id", "99"), "E_JOB_UNKNOWN"),
        (("worker",), "E_USAGE"),
        (("queue", "enqueue", "toy"), "E_USAGE: It is not said which volumes."),
        (("queue", "enqueue", "toy", "--all", "--volume", "W1/I1"), "E_USAGE: --volume and --all were given"),
        (("queue", "enqueue", "toy", "--file", "missing.csv"), "E_USAGE"),
        (("queue", "enqueue", "toy", "--all", "--source", "nonsense"), "E_SOURCE_NAME"),
        (("queue", "purge", "toy"), "E_USAGE"),
        (("run-volume", "toy", "..", "I1"), "E_NAME_UNSAFE"),
        (("queue", "enqueue", "nope", "--all"), "E_JOB_UNKNOWN"),
        (("queue", "redrive", "toy", "--volume", "Nope/X"), "E_VOLUME_UNKNOWN: The job toy has no task for the volume"),
        (("show", "a/b/c"), "E_NAME_UNSAFE: The volume name 'b/c' would leave its folder."),
        (("queue", "enqueue", "toy", "--volume", "../I1", "--source", "folder+file:///scans"), "E_NAME_UNSAFE"),
    ],
)
def test_what_cannot_be_is_one_line_and_a_hint(bec: Bec, home: Path, arguments: tuple[str, ...], error: str) -> None:
    ended = bec(*arguments)
    assert ended.code == 2
    assert ended.err.startswith(f"error {error}")
    assert len(ended.err.splitlines()) == 2


def test_a_volume_that_has_but_a_dead_letter_is_brought_back(bec: Bec, home: Path) -> None:
    with open_parts(load_settings({}).settings) as parts:
        queue = parts.queues("toy")
        queue.send([TaskMessage("W9", "I9", "toy", None)])
        (message,) = queue.receive(limit=1, wait=5, visibility=60)
        queue.dead_letter(message.receipt, {"code": "E_TEST"})
    named = ("queue", "redrive", "toy", "--volume", "W9/I9")
    for _ in range(2):
        dry = ok(bec(*named, "--dry-run"))
        assert [line.split() for line in dry.out.splitlines()] == [
            ["tasks", "that", "would", "be", "reset", "0"],
            ["dead", "letters", "that", "would", "be", "moved", "1"],
        ]
    assert ok(bec("queue", "stats", "toy", "--json")).json["dead"] == 1
    brought = ok(bec(*named, "--json"))
    assert (brought.json["reset"], brought.json["moved"]) == (0, 1)


@pytest.mark.parametrize("layout", ["bdrc", "flat", "folder", "mets", "pdf"])
@pytest.mark.parametrize(("lies", "code"), [("missing", "E_STORAGE_MISSING"), ("empty", "E_STORAGE_EMPTY")])
def test_volumes_of_a_source_that_is_not_there_are_refused_however_they_are_named(
    bec: Bec, home: Path, tmp_path: Path, layout: str, lies: str, code: str
) -> None:
    (tmp_path / "empty").mkdir()
    source = f"{layout}+{(tmp_path / lies).as_uri()}"
    here, there = tmp_path / "here.csv", tmp_path / "there.csv"
    here.write_text("W1,I1\n")
    there.write_text(f'W1,I1\nW1,I2,"{source}"\n')
    for named in (
        ("--volume", "W1/I1", "--source", source),
        ("--volume", "W1/I1", "--source", source, "--refresh"),
        ("--volume", "W1/I1", "--source", source, "--with-dependencies"),
        ("--volume", "W1/I1", "--source", source, "--stale"),
        ("--file", here, "--source", source),
        ("--file", there),
        ("--all", "--source", source),
    ):
        ended = bec("queue", "enqueue", "toy", *named)
        assert (ended.code, ended.err.splitlines()[0].split(":")[0]) == (6, f"error {code}"), named
        assert "hint: Check" in ended.err
    ended = bec("run-volume", "toy", "W1", "I1", "--source", source)
    assert (ended.code, f"error {code}: " in ended.err) == (6, True)
    assert ok(bec("jobs", "tasks", "toy", "--json")).json == []


def test_volumes_of_a_source_that_cannot_be_looked_at_from_here_are_enqueued_and_this_is_said(
    bec: Bec, home: Path, tmp_path: Path
) -> None:
    ended = ok(bec("queue", "enqueue", "toy", "--volume", "W1/I1", "--source", "iiif+http://127.0.0.1:9/manifest.json"))
    assert "could not be looked at (E_SERVER_AWAY)" in ended.err
    assert ended.out.splitlines()[0].split() == ["volumes", "1"]


def test_one_task_is_written_in_the_singular(bec: Bec, home: Path) -> None:
    ok(bec("queue", "enqueue", "toy", "--volume", "W1/I1"))
    assert ok(bec("jobs", "delete", "toy", "--yes")).out == "The job toy is deleted; 1 unfinished task was canceled.\n"


def test_volumes_are_enqueued_from_a_list_or_reported_with_why_not(bec: Bec, home: Path, tmp_path: Path) -> None:
    volumes = tmp_path / "volumes.csv"
    volumes.write_text("# a comment\n\nW1,I1\nW1,I1\nW1,I2\nno-comma\n")
    dry = bec("queue", "enqueue", "toy", "--file", volumes, "--dry-run")
    assert dry.code == 3
    assert [line.split() for line in dry.out.splitlines()[:2]] == [["volumes", "2"], ["queued", "2"]]
    assert "Nothing was changed" in dry.out
    assert dry.out.splitlines()[-2].split(maxsplit=1) == ["6", "'no-comma' has 1 field, not a work and a volume."]
    assert "1 line names a volume again." in dry.err

    listed = bec("queue", "enqueue", "toy", "--file", volumes, "--limit", "1", "--json")
    report = listed.json
    assert listed.code == 3
    assert report["list"]["repeated"] == 1
    assert report["list"]["faults"] == [{"line": 6, "message": "'no-comma' has 1 field, not a work and a volume."}]
    assert (report["volumes"], report["queued"], report["sent"]) == (1, 1, 1)
    again = ok(bec("queue", "enqueue", "toy", "--all"))
    assert "skipped: already queued or running  1" in again.out
    gone = bec("queue", "enqueue", "toy", "--volume", "W9/I9", "--volume", "W1/I2", "--refresh")
    assert gone.code == 1
    assert "warning: 'W9/I9': E_MANIFEST_MISSING: " in gone.err

    assert ok(bec("queue", "stats", "toy", "--json")).json["visible"] == 4
    assert "visible" in ok(bec("queue", "stats", "toy")).out
    assert len(ok(bec("queue", "peek", "toy", "--limit", "2", "--json")).json) == 2
    peeked = ok(bec("queue", "peek", "toy")).out
    assert '"w_id": "W1"' in peeked
    assert "received 0" in peeked
    assert ok(bec("queue", "purge", "toy", "--yes")).out == "Deleted: 4 messages.\n"
    unasked = bec("jobs", "delete", "toy")
    assert unasked.code == 2
    assert "This would cancel 4 unfinished tasks of the job toy. Nothing was done: nobody can be asked." in unasked.err
    assert ok(bec("queue", "peek", "toy")).out == "There are no messages.\n"
    assert ok(bec("jobs", "delete", "toy", "--yes", "--json")).json == {"name": "toy", "canceled": 4}


def test_a_worker_does_them_and_failures_are_seen_and_redriven(bec: Bec, home: Path) -> None:
    ok(bec("queue", "enqueue", "toy", "--all"))
    worked = bec("worker", "--job-id", "1", "--until-empty", "--slots", "2", "--json")
    assert worked.code == 1, worked.err
    assert worked.json == {"outcomes": {"done": 3, "terminal_failed": 1}, "stop_reason": "empty", "failed": 1}

    stats = ok(bec("jobs", "stats", "toy", "--json")).json
    assert (stats["volumes"], stats["pages"]["ok"], stats["eta_seconds"]) == ({"done": 3, "terminal_failed": 1}, 9, 0.0)
    assert "time left" in ok(bec("jobs", "stats", "toy")).out

    (failed,) = ok(bec("jobs", "tasks", "toy", "--state", "terminal_failed", "--json")).json
    assert (failed["volume"]["i_id"], failed["failure_code"]) == ("bad", "E_IMAGE_EMPTY")
    assert "E_IMAGE_EMPTY" in ok(bec("jobs", "tasks", "toy", "--volume", "W2/bad", "--code", "E_IMAGE_EMPTY")).out
    assert ok(bec("jobs", "tasks", "toy", "--state", "canceled")).out == "There are no such tasks.\n"

    (group,) = ok(bec("errors", "--job", "toy", "--json")).json
    assert (group["code"], group["count"], group["example"]) == ("E_IMAGE_EMPTY", 1, "W2/bad")
    assert group["fingerprint"] in ok(bec("errors")).out
    (worker,) = ok(bec("workers", "--all", "--json")).json
    assert (worker["condition"], worker["stop_reason"]) == ("stopped", "empty")
    assert "stopped (empty)" in ok(bec("workers", "--all")).out
    assert ok(bec("workers")).out == "There are no workers.\n"

    (dead,) = ok(bec("queue", "peek", "toy", "--dead", "--json")).json
    assert dead["reason"]["code"] == "E_IMAGE_EMPTY"
    assert "E_IMAGE_EMPTY" in ok(bec("queue", "peek", "toy", "--dead")).out
    refused = ok(bec("queue", "redrive", "toy", "--volume", "W1/I1"))
    assert "warning: 'W1/I1' is done, and was not touched." in refused.err
    dry = ok(bec("queue", "redrive", "toy", "--dry-run"))
    assert [line.rsplit(maxsplit=1) for line in dry.out.splitlines()] == [
        ["tasks that would be reset", "1"],
        ["dead letters that would be moved", "1"],
    ]
    redriven = ok(bec("queue", "redrive", "toy", "--code", "E_IMAGE_EMPTY", "--limit", "1", "--json")).json
    assert (redriven["reset"], redriven["moved"]) == (1, 1)
    ok(bec("jobs", "update", "toy", "--max-page-error-rate", "0.5"))
    assert ok(bec("worker", "--job", "toy", "--until-empty")).out == ""
    assert ok(bec("jobs", "stats", "toy", "--json")).json["volumes"] == {"done": 4}
    assert ok(bec("errors", "--json")).json[0]["terminal"] == 0


def test_one_volume_can_be_run_past_the_queue(bec: Bec, home: Path, tmp_path: Path) -> None:
    first = ok(bec("run-volume", "toy", "W1", "I1"))
    assert "1 volume   1 done       3      30             0" in first.out
    assert "Nothing to do" in ok(bec("run-volume", "toy", "W1", "I1")).out
    forced = ok(bec("run-volume", "toy", "W1", "I1", "--force", "--json")).json
    assert (forced["done"], forced["tasks"][0]["attempt"]) == (1, 2)
    assert bec("run-volume", "toy", "W2", "bad").code == 1

    elsewhere = write_scans(tmp_path / "elsewhere", {"W7/I1": 2})
    assert (
        ok(bec("run-volume", "toy", "W7", "I1", "--source", f"folder+{elsewhere.as_uri()}", "--json")).json["done"] == 1
    )
    assert bec("run-volume", "toy", "W7", "I1", "--force").code == 0, "its source is known now"


def test_a_volume_of_no_known_source_is_refused(bec: Bec, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BEC_SOURCE_URL")
    ended = bec("run-volume", "toy", "W9", "I9")
    assert (ended.code, ended.err.split(":")[0]) == (2, "error E_SOURCE_UNSET")
    ended = bec("queue", "enqueue", "toy", "--all")
    assert (ended.code, ended.err.split(":")[0]) == (2, "error E_SOURCE_UNSET")


def test_the_database_is_made_and_reported(bec: Bec, tmp_path: Path) -> None:
    fresh = ("--home", tmp_path / "fresh", "db")
    before = bec(*fresh, "status", "--json")
    assert (before.code, before.err.split(":")[0]) == (2, "error E_HOME_MISSING")
    assert not (tmp_path / "fresh").exists()
    assert ok(bec(*fresh, "init")).out.startswith("Applied: 0001 ")
    assert ok(bec(*fresh, "init", "--json")).json["applied"] == []
    assert "embedded, under" in ok(bec(*fresh, "status")).out


def test_the_doctor_finds_what_is_well_and_what_is_not(
    bec: Bec, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {row["check"]: row for row in ok(bec("doctor", "--json")).json}
    well = {"database", "tasks", "queue of toy", "clock", "destination", "source", "model of toy", "model of ldv1"}
    assert {check: row["level"] for check, row in found.items() if check in well} == dict.fromkeys(well, "ok")
    assert "model of gated" not in found, "its config has no default, and no job of this type is there"
    shown = ok(bec("doctor")).out
    assert " answers; its schema has version" in shown
    assert shown.splitlines()[-3].split() == [
        *(
            "job",
            "enqueued",
            "queued",
            "waiting",
            "running",
            "done",
            "terminal",
            "failed",
            "dead",
            "lettered",
            "canceled",
        ),
    ]
    assert shown.splitlines()[-1].split() == ["toy", *["0"] * 8]

    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BEC_DEST_URL", (tmp_path / "file" / "artefacts").as_uri())
    monkeypatch.setenv("BEC_SOURCE_URL", (tmp_path / "missing").as_uri())
    monkeypatch.setenv("BEC_LD_MODEL_PATH", str(tmp_path / "missing"))
    ok(bec("jobs", "create", "ldv1"))
    sick = bec("doctor")
    assert sick.code == 1
    assert "fail destination: E_STORAGE_NO_FOLDER: " in sick.out
    assert "fail source: E_STORAGE" in sick.out
    assert "fail model of ldv1: E_MODEL_NOT_FOUND: " in sick.out
    assert "     hint: " in sick.out
    assert "ok   queue of toy: answers" in sick.out


def test_the_doctor_makes_no_home(bec: Bec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEC_HOME", str(tmp_path / "home"))
    levels = {row["check"]: row["level"] for row in ok(bec("doctor", "--json")).json}
    assert (levels["database"], levels["destination"], levels["model of toy"]) == ("warn", "ok", "ok")
    assert not (tmp_path / "home").exists()


def test_the_doctor_goes_on_without_a_database(bec: Bec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "pg").write_text("in the way")
    monkeypatch.setenv("BEC_HOME", str(tmp_path / "home"))
    ended = bec("doctor", "--json")
    levels = {row["check"]: row["level"] for row in ended.json}
    assert ended.code == 1
    assert (levels["database"], levels["destination"]) == ("fail", "ok")
    assert "queue" not in levels
