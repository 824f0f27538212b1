"""A volume of mutated pages through the real worker; `make fuzz` takes 2,000."""

import pytest

from tests.hostile.mutated import faults


@pytest.mark.timeout(600)
def test_every_mutated_page_is_a_row() -> None:
    assert faults(200, seed=7) == []
