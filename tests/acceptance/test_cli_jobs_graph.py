"""Jobs that need other jobs, on the command line: made, enqueued together, shown, found stale, and done again."""

from pathlib import Path

import pytest

from tests.acceptance.conftest import Bec, ok, write_scans
from tests.support.jobs.plugin import install

TYPES = {
    "toy": "tests.support.jobs.toy_job:ToyJob",
    "reader": "tests.support.jobs.reader_job:ReaderJob",
    "lacking": "tests.support.jobs.reader_job:LackingJob",
    "circle": "tests.support.jobs.reader_job:CircleJob",
    "round": "tests.support.jobs.reader_job:RoundJob",
}


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    return install(tmp_path / "plugins", TYPES)


@pytest.fixture
def home(bec: Bec, fresh_database: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database with the jobs `toy`, and `reader` that needs it, and a source of two volumes."""
    scans = write_scans(tmp_path / "scans", {"W1/I1": 3, "W1/I2": 2})
    monkeypatch.setenv("BEC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BEC_SOURCE_URL", scans.as_uri())
    monkeypatch.setenv("BEC_SOURCE_LAYOUT", "folder")
    monkeypatch.setenv("BEC_LOG_LEVEL", "error")
    assert bec("jobs", "graph").out.startswith("There are no jobs yet")
    ok(bec("jobs", "create", "toy"))
    ok(bec("jobs", "create", "reader", "--depends-on", "toy"))
    return tmp_path / "home"


def cells(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line.strip()]


def work(bec: Bec, *jobs: str) -> None:
    for job in jobs:
        ok(bec("worker", "--job", job, "--until-empty"))


def test_dependencies_are_enqueued_first_and_the_graph_says_who_waits(bec: Bec, home: Path) -> None:
    told = ok(bec("queue", "enqueue", "reader", "--all", "--with-dependencies"))
    assert told.out.index("toy:") < told.out.index("reader:")
    assert ["waiting", "for", "a", "job", "that", "they", "need", "2"] in cells(told.out)
    assert cells(ok(bec("jobs", "graph")).out)[0] == ["job", "type", "needs", "waiting", "queued"]
    graph = ok(bec("jobs", "graph", "--json")).json
    assert [(node["name"], node["depends_on"], node["tasks"]) for node in graph] == [
        ("toy", [], {"queued": 2}),
        ("reader", ["toy"], {"waiting": 2}),
    ]
    work(bec, "toy", "reader")
    assert cells(ok(bec("jobs", "graph")).out)[2:] == [["toy", "toy", "-", "2"], ["reader", "reader", "toy", "2"]]
    again = ok(bec("queue", "enqueue", "reader", "--all", "--with-dependencies", "--json")).json
    assert {job: report["skipped_done"] for job, report in again.items()} == {"toy": 2, "reader": 2}


def test_what_is_stale_is_reported_and_done_again_and_nothing_else(bec: Bec, home: Path) -> None:
    ok(bec("queue", "enqueue", "reader", "--all", "--with-dependencies"))
    work(bec, "toy", "reader")
    assert ok(bec("jobs", "stale", "reader")).out == "Nothing of reader is stale.\n"
    ok(bec("queue", "enqueue", "toy", "--volume", "W1/I2", "--force"))
    work(bec, "toy")
    assert cells(ok(bec("jobs", "stale", "reader")).out)[2][0::2] == ["W1/I2", "dependency"]
    ok(bec("jobs", "update", "reader", "--config-text", '{"factor": 4}'))
    stale = ok(bec("jobs", "stale", "reader", "--limit", "1", "--json")).json
    assert [(one["volume"]["i_id"], one["reasons"]) for one in stale] == [("I1", ["config"])]
    assert ok(bec("queue", "enqueue", "reader", "--stale", "--json")).json["queued"] == 2
    work(bec, "reader")
    assert ok(bec("jobs", "stale", "reader", "--json")).json == []


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("jobs", "create", "lonely", "--type", "toy", "--depends-on", "nope"), "E_JOB_UNKNOWN"),
        (("jobs", "update", "toy", "--depends-on", "reader"), "E_JOB_CIRCLE"),
        (("jobs", "create", "lonely", "--type", "reader"), "E_JOB_NEEDS"),
        (("jobs", "update", "reader", "--depends-on", ""), "E_JOB_NEEDS"),
        (("jobs", "create", "eval", "--type", "evalv1"), "E_JOB_NEEDS"),
        (("jobs", "create", "eval", "--type", "evalv1", "--depends-on", "toy,reader"), "E_EVAL_DEPENDENCY"),
        (("jobs", "create", "lonely", "--type", "reader", "--depends-on", "toy:proceed"), "E_JOB_NEEDS"),
        (("jobs", "update", "reader", "--depends-on", "toy:proceed"), "E_JOB_NEEDS"),
        (("jobs", "create", "lonely", "--type", "toy", "--depends-on", "toy:perhaps"), "E_IF_MISSING"),
        (("jobs", "create", "lonely", "--type", "toy", "--depends-on", "nope:proceed"), "E_JOB_UNKNOWN"),
        (("jobs", "stale", "nope"), "E_JOB_UNKNOWN"),
        (("queue", "enqueue", "reader", "--all", "--with-dependencies", "--stale"), "E_USAGE"),
        (("queue", "enqueue", "reader", "--all", "--with-dependencies", "--force"), "E_USAGE"),
        (("eval", "report", "toy"), "E_EVAL_TYPE"),
    ],
)
def test_what_cannot_be_is_refused(bec: Bec, home: Path, arguments: tuple[str, ...], error: str) -> None:
    ended = bec(*arguments)
    assert ended.code == 2
    assert ended.err.startswith(f"error {error}: ")


def test_dependencies_are_listed_with_commas_and_taken_off_with_an_empty_name(bec: Bec, home: Path) -> None:
    both = ok(bec("jobs", "create", "both", "--type", "toy", "--depends-on", "toy,reader", "--json")).json
    assert both["depends_on"] == ["reader", "toy"]
    assert ok(bec("jobs", "update", "both", "--max-attempts", "2", "--json")).json["depends_on"] == ["reader", "toy"]
    assert ok(bec("jobs", "update", "both", "--depends-on", "", "--json")).json["depends_on"] == []


def test_what_is_done_without_a_dependency_is_given_shown_and_done_again_when_it_is_there(bec: Bec, home: Path) -> None:
    needs = ("--depends-on", "toy:proceed,reader:fail")
    made = ok(bec("jobs", "create", "free", "--type", "toy", *needs, "--json")).json
    assert (made["depends_on"], made["if_missing"]) == (["reader", "toy"], {"toy": "proceed", "reader": "fail"})
    for shown in (bec("jobs", "show", "free"), bec("jobs", "graph"), bec("jobs", "list")):
        assert "reader:fail, toy:proceed" in ok(shown).out
    assert {node["name"]: node["if_missing"] for node in ok(bec("jobs", "graph", "--json")).json}["free"] == {
        "toy": "proceed",
        "reader": "fail",
    }
    assert ok(bec("jobs", "update", "free", "--depends-on", "toy:proceed", "--json")).json["depends_on"] == ["toy"]
    assert ok(bec("queue", "enqueue", "free", "--all", "--json")).json["queued"] == 2
    work(bec, "free")
    ok(bec("queue", "enqueue", "toy", "--all"))
    work(bec, "toy")
    assert ok(bec("queue", "enqueue", "free", "--all", "--json")).json["skipped_stale"] == 2
    assert ok(bec("queue", "enqueue", "free", "--all", "--stale", "--json")).json["queued"] == 2


def test_a_run_runs_what_it_needs_first_and_the_second_time_nothing(bec: Bec, tmp_path: Path) -> None:
    scans, out = write_scans(tmp_path / "scans", {"W1/I1": 3, "W1/I2": 2}), tmp_path / "out"
    run = ("run", "reader", scans, "--out", out)
    first = ok(bec(*run, "--config-text", '{"factor": 2}'))
    assert first.err.startswith("First toy, which reader needs:\n")
    assert cells(first.out)[4] == ["2", "volumes", "2", "done", "5", "100", "0"]
    assert len(list(out.glob("artefacts/toy/W1/*/*/success.json"))) == 2
    again = ok(bec(*run, "--config-text", '{"factor": 2}'))
    assert again.out.startswith("Nothing to do: everything was done already.\n")
    assert again.err == ""

    # What the workspace has for the first job is kept; what was made from it is done again when it changes.
    assert ok(bec("run", "toy", scans, "--out", out, "--config-text", '{"factor": 3}', "--json")).json["done"] == 2
    after = ok(bec(*run, "--config-text", '{"factor": 2}', "--json")).json
    assert [task["attempt"] for task in after["tasks"]] == [2, 2]
    toy, reader = ok(bec("--home", out, "jobs", "list", "--json")).json[::-1]
    assert (toy["config"]["factor"], reader["config"]["factor"], reader["depends_on"]) == (3, 2, ["toy"])


def test_a_volume_whose_first_job_failed_waits_and_says_why_and_goes_on_when_it_is_mended(
    bec: Bec, tmp_path: Path
) -> None:
    scans = write_scans(tmp_path / "scans", {"W1/I1": 3, "W1/bad": 1}, empty={"W1/bad": 1})
    run = ("run", "reader", scans, "--out", tmp_path / "out")
    ended = bec(*run)
    assert ended.code == 1
    assert "waiting W1/bad: toy failed: E_IMAGE_EMPTY" in ended.err
    assert bec(*run).code == 1
    (scans / "W1" / "bad" / "0001.jpg").write_bytes(b"0123456789")
    assert ok(bec(*run, "--json")).json["pages"] == {"ok": 5, "skipped": 0, "error": 0}


def test_a_type_that_needs_itself_is_refused(bec: Bec, tmp_path: Path) -> None:
    ended = bec("run", "circle", write_scans(tmp_path / "scans", {"W1/I1": 1}), "--out", tmp_path / "out")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error E_JOB_CIRCLE: ")


def test_what_a_later_job_lacks_is_reported_before_the_first_page(
    bec: Bec, plain_settings: None, tmp_path: Path
) -> None:
    scans = write_scans(tmp_path / "scans", {"W1/I1": 2})
    ended = bec("run", "lacking", scans, "--out", tmp_path / "out")
    assert (ended.code, ended.err.splitlines()[-1]) == (2, "error E_EXTRA_MISSING: The engine is not installed.")
    assert list((tmp_path / "out").rglob("success.json")) == []
