"""The flight record: what it says of a process that is gone, and nothing of one that lives or ended in order."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from bec_orch.core.life import flight
from bec_orch.core.life.flight import Flight, FlightRecorder, left_records
from bec_orch.core.life.standings import Standings
from bec_orch.core.tasks import Claim, Job
from bec_orch.core.volumes import Page, VolumeRef
from bec_orch.errors import ConfigError, DatabaseRefused

TOKEN = UUID(int=7)
CLAIM = Claim(
    task_id=11,
    attempt=3,
    token=TOKEN,
    job=Job(1, "lines", "ldv1", {}, "hash"),
    volume=VolumeRef("W1", "I1", "folder+file:///scans"),
    manifest_etag=None,
    force=False,
    charged=0,
)

DIES = """
import os, signal, sys
from pathlib import Path
from bec_orch.core.life.flight import FlightRecorder
from bec_orch.core.volumes import Page
from bec_orch.core.life.standings import Standings
from tests.unit.core.test_flight import CLAIM
standings = Standings()
recorder = FlightRecorder(Path(sys.argv[1]), standings)
with standings.attempt(CLAIM):
    pass
with standings.attempt(CLAIM):
    working = standings.working(CLAIM)
    with working(Page(4, "4.jpg", "e", 1)):
        pass
    with working(Page(5, "5.jpg", "e", 1)), working(Page(9, "9.jpg", "e", 1)):
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_its_attempts_and_the_pages_in_work(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    died = subprocess.run([sys.executable, "-c", DIES, tmp_path], cwd=root, check=False)
    assert died.returncode == -signal.SIGKILL
    (left,) = left_records(tmp_path)
    assert left.flights == (Flight(11, 3, str(TOKEN), "W1/I1", (5, 9)),)
    assert left.ended == 1
    assert left.path.stat().st_mode & 0o777 == 0o600


def test_a_living_process_is_no_dead_one(tmp_path: Path) -> None:
    standings = Standings()
    recorder = FlightRecorder(tmp_path, standings)
    with standings.attempt(CLAIM):
        assert list(left_records(tmp_path)) == []
    recorder.close()
    assert list(tmp_path.iterdir()) == []


def test_an_attempt_that_never_ended_stays_on_the_record(tmp_path: Path) -> None:
    standings = Standings()
    recorder = FlightRecorder(tmp_path, standings)
    hangs = standings.attempt(CLAIM)
    hangs.__enter__()
    recorder.close()
    (left,) = left_records(tmp_path)
    assert [flight.task_id for flight in left.flights] == [11]
    assert left.pid == os.getpid()


@pytest.mark.parametrize(("error", "left"), [(DatabaseRefused("no room"), 1), (ValueError("a bug"), 0)])
def test_an_end_that_the_database_refused_stays_on_the_record(tmp_path: Path, error: Exception, left: int) -> None:
    standings = Standings()
    recorder = FlightRecorder(tmp_path, standings)
    with pytest.raises(type(error)), standings.attempt(CLAIM), standings.working(CLAIM)(Page(2, "2.jpg", "e", 1)):
        raise error
    recorder.close()
    found = [flight for record in left_records(tmp_path) for flight in record.flights]
    assert [(flight.unrecorded, flight.pages) for flight in found] == [(True, ())] * left


def test_an_attempt_that_ends_leaves_a_newer_one_at_its_task_on_the_record(tmp_path: Path) -> None:
    standings = Standings()
    recorder = FlightRecorder(tmp_path, standings)
    newer = replace(CLAIM, attempt=4, token=UUID(int=8))
    zombie = standings.attempt(CLAIM)
    zombie.__enter__()
    with standings.attempt(newer):
        zombie.__exit__(None, None, None)
        (path,) = tmp_path.iterdir()
        assert [flight["attempt"] for flight in json.loads(path.read_text())["flights"]] == [4]
    recorder.close()


def test_what_does_not_move_is_stalled(tmp_path: Path) -> None:
    now = [100.0]
    standings = Standings(clock=lambda: now[0])
    recorder = FlightRecorder(tmp_path, standings)
    with standings.attempt(CLAIM), standings.working(CLAIM)(Page(2, "2.jpg", "e", 1)):
        now[0] = 105.0
        standings.progress(CLAIM, 1, 4)
        now[0] = 114.0
        assert standings.mark_stalled(10.0) == []
        now[0] = 116.0
        (stalled,) = standings.mark_stalled(10.0)
        assert (stalled.in_work, stalled.stalled) == ((2,), True)
        (path,) = tmp_path.iterdir()
        assert json.loads(path.read_text())["flights"][0]["stalled"]
    recorder.close()


@pytest.mark.parametrize("data", [b"", b"\x00\xff", b"[]", b'{"pid": 1}', b'{"pid": 1, "ended": 0, "flights": [1]}'])
def test_a_record_that_makes_no_sense_names_nothing(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "flight-1-x.json").write_bytes(data)
    (left,) = left_records(tmp_path)
    assert left.flights == ()


def test_a_record_that_cannot_be_locked_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise ConfigError(f"The disk of {path} has no locks.", code="E_NO_LOCKS")

    monkeypatch.setattr(flight, "require_exclusion", refuse)
    before = sum(1 for _ in Path("/dev/fd").iterdir())
    with pytest.raises(ConfigError):
        FlightRecorder(tmp_path, Standings())
    assert list(tmp_path.iterdir()) == []
    assert sum(1 for _ in Path("/dev/fd").iterdir()) == before
