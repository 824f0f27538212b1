"""The checks of the doctor, at their thresholds."""

import datetime as dt
import re
import shutil
import tomllib
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import pytest

from bec_orch.errors import QueueError
from bec_orch.orch.doctor.checks import Finding, Level, check_clock, check_disk, check_engine, examine


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.mark.parametrize(
    ("seconds", "level"), [(0, Level.OK), (50, Level.OK), (-70, Level.WARN), (800, Level.WARN), (1000, Level.FAIL)]
)
def test_the_clock_may_be_off_by_a_minute(seconds: float, level: Level) -> None:
    finding = check_clock(lambda: dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds))
    assert finding.level is level
    assert bool(finding.hint) is (level is not Level.OK)


@pytest.mark.parametrize(("gib", "level"), [(6.0, Level.OK), (4.0, Level.WARN), (0.4, Level.FAIL)])
def test_the_disk_needs_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gib: float, level: Level) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(0, 0, int(gib * 2**30)))
    finding = check_disk(tmp_path / "not" / "made" / "yet")
    assert finding.level is level
    assert f"{gib:.1f} GiB free" in finding.message


@pytest.mark.parametrize(
    ("installed", "level", "told"),
    [
        ({"onnxruntime": "1.22"}, Level.OK, "onnxruntime 1.22"),
        ({"onnxruntime-gpu": "1.23"}, Level.OK, "onnxruntime-gpu 1.23"),
        ({}, Level.OK, "no onnxruntime"),
        ({"openvino": "2026.4"}, Level.OK, "no onnxruntime"),
        (
            {"onnxruntime": "1.22", "openvino": "2026.4"},
            Level.OK,
            "onnxruntime 1.22, and openvino 2026.4 for line models",
        ),
        ({"onnxruntime": "1.22", "onnxruntime-gpu": "1.23"}, Level.WARN, "hold the same module"),
    ],
)
def test_one_package_brings_the_engine(
    monkeypatch: pytest.MonkeyPatch, installed: dict[str, str], level: Level, told: str
) -> None:
    def version(package: str) -> str:
        if package not in installed:
            raise metadata.PackageNotFoundError(package)
        return installed[package]

    monkeypatch.setattr(metadata, "version", version)
    finding = check_engine()
    assert finding.level is level
    assert told in finding.message
    assert ("pip uninstall onnxruntime onnxruntime-gpu" in finding.hint) is (level is Level.WARN)


def test_no_extra_installs_two_packages_of_one_module() -> None:
    """Whoever asks for several extras gets one onnxruntime."""
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [one for extra in project["optional-dependencies"].values() for one in extra]
    assert {re.split(r"[\[>=;]", one)[0] for one in wanted if one.startswith("onnxruntime")} == {"onnxruntime"}


def test_an_error_is_a_finding() -> None:
    def away() -> Finding:
        raise QueueError("The queue is away.", hint="Wait.")

    assert examine("queue", away) == Finding("queue", Level.FAIL, "E_QUEUE: The queue is away.", "Wait.")
