"""The parent of worker processes: whenever the signal comes, each process hears of it."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import psycopg
import pytest

from bec_orch.cli.composition.home import work_dir
from bec_orch.cli.process.ending import EXIT_DATABASE
from bec_orch.cli.worker import supervision
from bec_orch.cli.worker.supervision import Supervisor
from bec_orch.core.life.flight import FlightRecorder
from bec_orch.core.life.standings import Standings
from bec_orch.core.life.worker_runtime import WorkerReport
from bec_orch.errors import DatabaseRefused
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.deaths import PgDeaths
from bec_orch.settings.config import Settings
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
    supervisor = Supervisor(Settings(home=tmp_path), PgDeaths(database), sleep, processes, "Stopping.")
    assert supervisor.run() == 0
    assert sent


def be_refused(settings: Settings) -> tuple[WorkerReport, int]:
    """End as a worker does whose database takes nothing any more, and count the tries."""
    with (settings.home / "tries").open("a") as tries:
        tries.write("x")
    standings = Standings()
    recorder = FlightRecorder(work_dir(settings), standings)
    try:
        with standings.attempt(CLAIM):
            raise DatabaseRefused("The password is another one now.", code="E_DB_AUTH")
    finally:
        recorder.close()


@pytest.mark.parametrize("parent", ["goes on", "is refused, too"])
def test_a_process_that_the_database_refused_is_not_replaced(
    conninfo: str, tmp_path: Path, parent: str, capfd: pytest.CaptureFixture[str]
) -> None:
    own = conninfo if parent == "goes on" else psycopg.conninfo.make_conninfo(conninfo, dbname="not_there")
    with Database(own) as database:
        assert (
            Supervisor(Settings(home=tmp_path), PgDeaths(database), be_refused, 1, "Stopping.").run() == EXIT_DATABASE
        )
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

    assert Supervisor(Settings(home=tmp_path), PgDeaths(database), end_at_once, 1, "Stopping.").run() == 0
    assert not (tmp_path / "ran").exists()
    assert not os.environ.get("PYTHONSAFEPATH"), "it is for the processes alone"


def tell_what_is_held_back(settings: Settings) -> tuple[WorkerReport, int]:
    """Say which signals this process was started with not to be reached by."""
    held = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    (settings.home / "held").write_text(" ".join(sorted(str(int(number)) for number in held)))
    return WorkerReport(), 0


def test_the_first_process_that_is_started_is_not_reached_by_the_terminal_before_it_can_say_so(
    conninfo: str, tmp_path: Path
) -> None:
    """By a program of its own: in this one `multiprocessing` has started its helper long ago."""
    program = (
        "from pathlib import Path\n"
        "from bec_orch.cli.worker.supervision import Supervisor\n"
        "from bec_orch.io.postgres.database import Database\n"
        "from bec_orch.io.postgres.deaths import PgDeaths\n"
        "from bec_orch.settings.config import Settings\n"
        "from tests.integration.test_supervision import tell_what_is_held_back\n"
        f"with Database({conninfo!r}) as database:\n"
        f"    settings = Settings(home=Path({str(tmp_path)!r}))\n"
        "    raise SystemExit(Supervisor(settings, PgDeaths(database), tell_what_is_held_back, 1, 'Stopping.').run())\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert (tmp_path / "held").read_text() == f"{int(signal.SIGHUP)} {int(signal.SIGINT)}"


MUCH = 300_000
"""More than any pipe holds."""


def tell_much(_settings: Settings) -> tuple[WorkerReport, int]:
    """Have a report that no pipe holds; somebody has to read it while this process lives."""
    threading.Timer(30, os._exit, [NEVER_TOLD]).start()
    return WorkerReport(stop_reason="x" * MUCH), 0


def test_a_report_is_read_while_its_process_lives(database: Database, tmp_path: Path) -> None:
    supervisor = Supervisor(Settings(home=tmp_path), PgDeaths(database), tell_much, 1, "Stopping.")
    assert supervisor.run() == 0
    assert [len(report.stop_reason) for report in supervisor.reports] == [MUCH]


def die_while_telling(settings: Settings) -> tuple[WorkerReport, int]:
    """Be killed when half of the report is told."""

    def half(connection: Connection, data: bytes, write: Callable[[int, bytes], int] = os.write) -> None:
        write(connection.fileno(), data[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    Connection._send = half  # type: ignore[attr-defined]
    return WorkerReport(stop_reason=str(settings.home)), 0


def test_a_process_that_dies_while_it_sends_its_report_is_one_that_died(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(home=tmp_path, black_hole_guard=1)
    supervisor = Supervisor(settings, PgDeaths(database), die_while_telling, 1, "Stopping.")
    assert supervisor.run() == 1
    assert supervisor.reports == []
    assert [record.message for record in caplog.records] == ["worker.report_cut", "worker.given_up"]


def stop_when_there(file: Path) -> None:
    """Send this process SIGTERM as soon as a file is there."""

    def wait() -> None:
        while not file.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def hear_nothing(settings: Settings) -> tuple[WorkerReport, int]:
    """Work on whatever comes, as a call into a library does that hangs."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    standings = Standings()
    FlightRecorder(work_dir(settings), standings)
    with standings.attempt(CLAIM):
        (settings.home / "busy").touch()
        time.sleep(60)
    return WorkerReport(), NEVER_TOLD


def test_a_process_that_goes_on_after_the_grace_is_killed_and_its_task_not_charged(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(supervision, "_LAST_WRITES", 0.3)
    stop_when_there(tmp_path / "busy")
    settings = Settings(home=tmp_path, grace_seconds=0.01)
    assert Supervisor(settings, PgDeaths(database), hear_nothing, 1, "Stopping.").run() == 1
    events = [(record.message, getattr(record, "code", None)) for record in caplog.records]
    assert events == [("worker.late", None), ("worker.died", "E_WORKER_LATE"), ("worker.given_up", None)]


def stand_still(settings: Settings) -> tuple[WorkerReport, int]:
    """Be stopped, as a process group is by Ctrl-Z."""
    (settings.home / "busy").touch()
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(60)
    return WorkerReport(), NEVER_TOLD


def test_a_stopped_process_goes_on_to_hear_that_it_is_to_end(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stop_when_there(tmp_path / "busy")
    with caplog.at_level(logging.WARNING):
        settings = Settings(home=tmp_path, grace_seconds=5)
        assert Supervisor(settings, PgDeaths(database), stand_still, 1, "Stopping.").run() == 0
    assert caplog.records == []
