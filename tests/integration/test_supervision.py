"""The parent of worker processes: whenever the signal comes, each process hears of it."""

import os
import signal
import time
from pathlib import Path

import psycopg
import pytest

from bec_orch.cli.composition import work_dir
from bec_orch.cli.console import EXIT_DATABASE
from bec_orch.cli.worker import supervision
from bec_orch.cli.worker.supervision import Supervisor
from bec_orch.config import Settings
from bec_orch.core.flight import FlightRecorder
from bec_orch.core.worker_runtime import WorkerReport
from bec_orch.errors import DatabaseRefused
from bec_orch.io.postgres.database import Database
from tests.unit.core.test_flight import CLAIM

NEVER_TOLD = 7


def sleep(_settings: Settings) -> tuple[WorkerReport, int]:
    time.sleep(20)
    return WorkerReport(), NEVER_TOLD


@pytest.mark.parametrize("processes", [1, 3])
def test_a_signal_that_comes_while_the_processes_are_started_reaches_each(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    def told_meanwhile() -> int:
        if not sent:
            sent.append(True)
            os.kill(os.getpid(), signal.SIGTERM)
        return 0

    sent: list[bool] = []
    monkeypatch.setattr(supervision, "oom_kills", told_meanwhile)
    supervisor = Supervisor(Settings(home=tmp_path), database, sleep, processes, "Stopping.")
    assert supervisor.run() == 0
    assert sent


def be_refused(settings: Settings) -> tuple[WorkerReport, int]:
    """End as a worker does whose database takes nothing any more, and count the tries."""
    with (settings.home / "tries").open("a") as tries:
        tries.write("x")
    recorder = FlightRecorder(work_dir(settings))
    try:
        with recorder.attempt(CLAIM):
            raise DatabaseRefused("The password is another one now.", code="E_DB_AUTH")
    finally:
        recorder.close()


@pytest.mark.parametrize("parent", ["goes on", "is refused, too"])
def test_a_process_that_the_database_refused_is_not_replaced(
    conninfo: str, tmp_path: Path, parent: str, capfd: pytest.CaptureFixture[str]
) -> None:
    own = conninfo if parent == "goes on" else psycopg.conninfo.make_conninfo(conninfo, dbname="not_there")
    with Database(own) as database:
        assert Supervisor(Settings(home=tmp_path), database, be_refused, 1, "Stopping.").run() == EXIT_DATABASE
    assert (tmp_path / "tries").read_text() == "x"
    assert "error E_DB_AUTH: The password is another one now." in capfd.readouterr().err


def end_at_once(_settings: Settings) -> tuple[WorkerReport, int]:
    return WorkerReport(), 0


def test_no_process_runs_code_that_lies_in_the_current_folder(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "scans"
    here.mkdir()
    for name in ("multiprocessing", "random", "json", "typing", "bec_orch"):
        (here / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').write({name!r})\nraise SystemExit(3)\n")
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    monkeypatch.chdir(here)

    assert Supervisor(Settings(home=tmp_path), database, end_at_once, 1, "Stopping.").run() == 0
    assert not (tmp_path / "ran").exists()
