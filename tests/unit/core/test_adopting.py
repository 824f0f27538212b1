"""An artefact that is there already: how many rows it has to have to be adopted."""

from types import SimpleNamespace
from typing import Any

import pytest

from bec_orch.core.life import publishing
from bec_orch.core.life.publishing import Publisher


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
