"""An artefact that is there already: how many rows it has to have to be adopted."""

from types import SimpleNamespace
from typing import Any

import pytest

from bec_orch.core.artefacts import ArtefactLocation, Success
from bec_orch.core.life import publishing
from bec_orch.core.life.publishing import Publisher
from bec_orch.core.metrics import Metrics, StageTime
from bec_orch.core.success import adopted_result
from bec_orch.core.volumes import VolumeRef


@pytest.mark.parametrize(("counters", "rows"), [({"lines": 9}, 3), ({"lines": 9, "further_frames": 2}, 5)])
def test_it_has_a_row_for_each_page_and_for_each_further_picture_that_it_counts(
    monkeypatch: pytest.MonkeyPatch, counters: dict[str, int], rows: int
) -> None:
    looked: list[int] = []

    def verify(_found: object, nb_rows: int) -> bool:
        looked.append(nb_rows)
        return False

    monkeypatch.setattr(publishing, "is_wanted", lambda *_: True)
    artefacts: Any = SimpleNamespace(owns=lambda _: True, verify=verify)
    unused: Any = None
    publisher = Publisher("worker-1", unused, artefacts, unused, lease=30, patience=unused)
    pinned: Any = SimpleNamespace(
        found=SimpleNamespace(content={"counters": counters}),
        manifest=SimpleNamespace(pages=[None] * 3),
        claim=None,
        key="key",
    )
    assert publisher.adopt(pinned) is None
    assert looked == [rows]


@pytest.mark.parametrize(
    ("content", "counters", "stages"),
    [
        ({"counters": {"lines": 9, "x": "y", "z": [1], "n": float("nan")}}, {"lines": 9}, {}),
        ({"counters": "many", "stages": ["read"]}, {}, {}),
        (
            {"stages": {"read": {"count": 2, "seconds": 0.5}, "x": 3, "y": {"z": 1}}},
            {},
            {"read": StageTime(2, 0.5)},
        ),
    ],
)
def test_of_what_anybody_may_have_written_only_numbers_are_recorded(
    content: dict[str, Any], counters: dict[str, float], stages: dict[str, StageTime]
) -> None:
    found = Success(ArtefactLocation("toy", VolumeRef("W1", "I1", "folder"), "abcdef"), "etag", (), content=content)
    result = adopted_result(found, "abcdef", 3, own=False)
    assert result.counters == counters
    assert Metrics.from_json(result.metrics) == Metrics(stages)
