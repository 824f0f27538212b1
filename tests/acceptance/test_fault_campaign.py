"""The short fault campaign: seeded, on both back-ends; `make faults` runs the whole one."""

import subprocess
import sys

import pytest

from tests.acceptance.conftest import ROOT

SEED = 20


@pytest.mark.timeout(900)
@pytest.mark.parametrize("backend", ["embedded", "fleet"])
def test_nothing_is_lost_and_nothing_is_done_twice(backend: str) -> None:
    options = ("--short", f"--backend={backend}", f"--seed={SEED}", "--lanes=3")
    command = [sys.executable, "-m", "tests.faults", *options]
    campaign = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert campaign.returncode == 0, campaign.stdout[-6000:] + campaign.stderr[-2000:]
