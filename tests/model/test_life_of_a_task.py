"""Plays seeded histories of tasks; `make model` plays more of them, and shortens the one that fails."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.archive import Archive
from tests.model.machine import LifeOfATask
from tests.support.jobs.plugin import install

SEEDS = 4
QUICK = 7
STEPS = 50
LONG = os.environ.get("MODEL_HISTORIES")
PLAY = settings(
    max_examples=int(LONG or QUICK),
    stateful_step_count=STEPS,
    deadline=None,
    database=None,
    phases=(Phase.generate, Phase.shrink) if LONG else (Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def archive(conninfo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    plugins = install(tmp_path / "plugins", {"toy": "tests.support.jobs.toy_job:ToyJob"})
    archive = Archive(tmp_path / "archive", conninfo, plugins, monkeypatch)
    # Who finds something away tries it three times, and waits for nothing.
    with stamina.set_testing(True, attempts=3):
        yield archive
    archive.close()


@pytest.mark.timeout(3600 if LONG else 120)
@pytest.mark.parametrize("number", range(SEEDS))
def test_nothing_is_lost_and_nothing_is_done_twice(archive: Archive, number: int) -> None:
    machine = seed(number)(type("LifeOfATask", (LifeOfATask,), {"archive": archive}))
    run_state_machine_as_test(machine, settings=PLAY)
