"""`bec audit` as its users run it: a table that fits, codes, exit codes, and repairs that workers end."""

import json
from pathlib import Path

import psycopg
import pytest

from tests.acceptance.conftest import Bec, ok, write_scans


@pytest.fixture
def home(bec: Bec, fresh_database: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two volumes of the job `toy` that are done, and one that failed."""
    scans = write_scans(tmp_path / "scans", {"W1/I1": 3, "W1/I2": 2, "W2/bad": 1}, empty={"W2/bad": 1})
    monkeypatch.setenv("BEC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BEC_SOURCE_URL", scans.as_uri())
    monkeypatch.setenv("BEC_SOURCE_LAYOUT", "folder")
    monkeypatch.setenv("BEC_LOG_LEVEL", "error")
    ok(bec("jobs", "create", "toy"))
    ok(bec("queue", "enqueue", "toy", "--all"))
    assert bec("worker", "--job", "toy", "--until-empty").code == 1
    return tmp_path / "home"


def test_a_clean_archive_is_0_and_a_table_within_100_columns(bec: Bec, home: Path) -> None:
    ended = ok(bec("audit", "--deep"))
    lines = ended.out.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[2].split() == ["toy", "3", "0", "0", "0", "2", "1", "0", "0"]
    assert [line.split()[-1] for line in lines if "E_AUDIT_" in line] == ["0"] * 18
    assert [line.split()[-1] for line in lines[-4:]] == ["2", "2", "2", "0"]


def test_what_is_wrong_is_reported_mended_and_clean_again(bec: Bec, home: Path) -> None:
    [success] = (home / "artefacts" / "toy" / "W1" / "I1").glob("*/success.json")
    file = home / "artefacts" / json.loads(success.read_text())["files"][0]["key"]
    file.write_bytes(file.read_bytes()[:-1])

    found = bec("audit", "toy")
    assert found.code == 1
    assert "E_AUDIT_FILE, violated 1 time: The files of success.json are there, of its size." in found.out
    assert f"  toy 'W1/I1': {file.relative_to(home / 'artefacts')} has" in found.out
    assert "  hint: `bec audit --fix` takes the artefact back" in found.out

    mended = bec("audit", "toy", "--fix", "--json")
    assert (mended.code, mended.json["clean"]) == (1, False)
    [finding] = [one for one in mended.json["invariants"] if one["violations"]]
    assert (finding["code"], finding["repaired"], finding["examples"][0]["volume"]) == ("E_AUDIT_FILE", 1, "W1/I1")
    ok(bec("worker", "--job", "toy", "--until-empty"))
    assert ok(bec("audit", "--json")).json["clean"]


def test_a_repair_is_reported_as_begun(bec: Bec, home: Path) -> None:
    [success] = (home / "artefacts" / "toy" / "W1" / "I2").glob("*/success.json")
    success.unlink()
    mended = bec("audit", "--fix")
    assert mended.code == 1
    assert "repairs begun: 1. Run `bec audit` again when workers have done the tasks." in mended.out


def test_a_job_that_is_not_there_is_refused(bec: Bec, home: Path) -> None:
    assert bec("audit", "nope").err.startswith("error E_JOB_UNKNOWN")


def test_without_jobs_there_is_nothing_to_audit(bec: Bec, fresh_database: None, tmp_path: Path) -> None:
    ended = ok(bec("--home", tmp_path / "other", "audit"))
    assert "There are no jobs." in ended.out


def test_the_doctor_fails_on_a_task_that_is_in_no_state(bec: Bec, home: Path, conninfo: str) -> None:
    with psycopg.connect(conninfo) as connection:
        connection.execute("ALTER TABLE tasks DROP CONSTRAINT tasks_state_ck, DROP CONSTRAINT tasks_finished_ck")
        connection.execute("UPDATE tasks SET state = 'mislaid' WHERE id = 1")
    ended = bec("doctor")
    assert ended.code == 1
    assert "fail tasks: 1 violations; E_AUDIT_STATES: toy: 1 of 3 tasks are in none of the seven states" in ended.out
