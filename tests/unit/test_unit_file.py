"""The systemd unit: what it promises a worker that is stopped, and that systemd takes it."""

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bec_orch.core.life.worker_options import WorkerOptions
from bec_orch.orch.machines.scaling import STOP_MARGIN_SECONDS, drain_seconds
from bec_orch.settings.config import Settings

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "bec-worker@.service"
# A spot machine has 120 s from its notice; the worker looks for it every 5 s.
SPOT_SECONDS = 120
NOTICE_SECONDS = 5


class Sections(configparser.ConfigParser):
    def optionxform(self, optionstr: str) -> str:
        return optionstr


@pytest.fixture
def unit() -> configparser.ConfigParser:
    parser = Sections(interpolation=None)
    parser.read_string(UNIT.read_text("utf-8"))
    return parser


def grace() -> float:
    default = Settings.model_fields["grace_seconds"].default
    assert default == WorkerOptions(Path(), "").grace
    return float(default)


def test_the_time_to_stop_is_that_of_the_grace(unit: configparser.ConfigParser) -> None:
    stop = unit.getint("Service", "TimeoutStopSec")

    assert stop == grace() + STOP_MARGIN_SECONDS
    assert NOTICE_SECONDS + stop <= SPOT_SECONDS
    assert stop < drain_seconds(grace())


def test_another_grace_gets_its_time_from_the_script(unit: configparser.ConfigParser) -> None:
    script = (ROOT / "deploy" / "user-data.sh").read_text("utf-8")

    assert f"\nstop_margin={STOP_MARGIN_SECONDS}\n" in script


def test_a_worker_is_told_once_to_stop_and_not_started_again(unit: configparser.ConfigParser) -> None:
    service = unit["Service"]

    # SIGTERM to the processes of a worker as well would be their second one, and the end of their grace.
    assert service["KillMode"] == "mixed"
    assert service["KillSignal"] == "SIGTERM"
    assert service["Restart"] == "on-failure"
    assert service["OOMPolicy"] == "continue"
    assert service["ExecStart"] == "/opt/bec/venv/bin/bec worker --job %i"
    assert service["EnvironmentFile"] == "/etc/bec/%i.env"


def test_it_is_hardened(unit: configparser.ConfigParser) -> None:
    service = unit["Service"]

    assert service["User"] == "bec"
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
    assert service["LimitCORE"] == "0"
    assert all(service[name] == "yes" for name in ("NoNewPrivileges", "PrivateTmp", "ProtectHome", "RestrictSUIDSGID"))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_takes_it(tmp_path: Path) -> None:
    here = tmp_path / UNIT.name
    text = UNIT.read_text("utf-8")
    # The program is not in its place on this machine, and systemd would say so.
    here.write_text(text.replace("/opt/bec/venv/bin/bec", sys.executable), "utf-8")

    checked = subprocess.run(["systemd-analyze", "verify", here], capture_output=True, text=True, check=False)

    ours = [line for line in checked.stderr.splitlines() if "bec-worker" in line]
    assert (ours, checked.returncode) == ([], 0), checked.stderr
