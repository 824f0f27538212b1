"""The exit code of a worker of several processes."""

import pytest

from bec_orch.cli.worker.supervision import common_code


@pytest.mark.parametrize(
    ("codes", "told"),
    [
        (set(), 0),
        ({6}, 6),
        ({1}, 1),
        ({4, 6}, 1),
        ({0, 6}, 6),
    ],
)
def test_one_reason_of_all_is_reported(codes: set[int], told: int) -> None:
    assert common_code(codes) == told
