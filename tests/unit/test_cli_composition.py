"""What the composition root opens for which settings."""

from pathlib import Path
from typing import Any, get_args

import pytest

from bec_orch.cli import composition
from bec_orch.config import QueueName, Settings


def test_every_queue_that_can_be_named_can_be_opened() -> None:
    assert composition._QUEUES.keys() == set(get_args(QueueName))


def test_another_queue_is_one_line_of_the_composition_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine: Any = object()
    database: Any = object()
    monkeypatch.setattr(composition, "_QUEUES", {"mine": lambda _settings, _database: mine})
    settings = Settings(home=tmp_path).model_copy(update={"queue": "mine", "region": "eu-west-1"})
    assert composition.open_queues(settings, database) is mine
