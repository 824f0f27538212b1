"""The parent of worker processes: whenever the signal comes, each process hears of it."""

import os
import signal
import time
from pathlib import Path

import pytest

from bec_orch.cli.worker import supervision
from bec_orch.cli.worker.supervision import Supervisor
from bec_orch.config import Settings
from bec_orch.core.worker_runtime import WorkerReport
from bec_orch.io.postgres.database import Database

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
