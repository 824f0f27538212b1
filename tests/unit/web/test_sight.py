"""What is looked at: the first look at a volume is taken before anybody asks."""

from types import SimpleNamespace
from typing import Any

import pytest

from bec_orch.core.tasks import TaskState
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import StorageError
from bec_orch.orch.overview.volume_pages import VolumePages
from bec_orch.web.sight.sight import Sight

VOLUME = VolumeRef("W1", "I1", "folder+file:///x")


def sight(looker: Any, *tasks: Any) -> Sight:
    overview = SimpleNamespace(
        jobs_with_tasks=lambda: [
            SimpleNamespace(name=name, type=kind) for name, kind in (("a", "x"), ("b", "y"), ("c", "y"))
        ],
        tasks=lambda job, limit: list(tasks)[:limit] if job != "a" else [],
    )
    nothing: Any = None
    return Sight(overview, nothing, nothing, looker, nothing, nothing, nothing, nothing)


def test_a_volume_of_each_type_is_looked_at_before_anybody_asks() -> None:
    looked: list[tuple[str, str, str]] = []

    def look(w_id: str, i_id: str, job: str) -> list[VolumePages]:
        looked.append((w_id, i_id, job))
        return [VolumePages(job, VOLUME, 1, TaskState.DONE, partial=False, pages=())]

    found = sight(SimpleNamespace(look=look), SimpleNamespace(volume=VOLUME), SimpleNamespace(volume=None))
    found.look_ahead()
    assert looked == [("W1", "I1", "c")]
    found.close()


def test_what_is_away_then_is_told_to_who_asks(caplog: pytest.LogCaptureFixture) -> None:
    def look(*_: str) -> list[VolumePages]:
        raise StorageError("The store is away.")

    found = sight(SimpleNamespace(look=look), SimpleNamespace(volume=VOLUME))
    with caplog.at_level("INFO"):
        found.look_ahead()
    assert [record.message for record in caplog.records] == ["web.look_ahead"]
    found.close()
