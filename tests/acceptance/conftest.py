"""What the acceptance tests share: the toy job installed as a plug-in, scans, and the program run in this process."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict

from bec_orch.cli.program import run
from bec_orch.settings.config import Settings, variable
from tests.support.jobs.plugin import install
from tests.support.servers.aws import Aws

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ended:
    """How one command line ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed with `--json`."""
        return json.loads(self.out)


Bec = Callable[..., Ended]
Start = Callable[..., subprocess.Popen[str]]

# Seconds for what takes one or two on a quiet machine.
WAIT = 60.0


def ok(ended: Ended) -> Ended:
    """Take it for granted that a command line ended well."""
    assert ended.code == 0, ended.err
    return ended


def documents(folder: Path) -> dict[str, bytes]:
    """Every ALTO and PAGE document, but for how it was made."""
    made = re.compile(rb"<(Description|Metadata)>.*?</\1>", re.DOTALL)
    return {str(file.relative_to(folder)): made.sub(b"", file.read_bytes()) for file in folder.rglob("*.xml")}


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder of the test's own that pytest does not close to other users: the embedded PostgreSQL may run as one."""
    with tempfile.TemporaryDirectory(prefix="bec-acceptance-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def plain_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting but those of the test, in an empty current folder."""
    for field in Settings.model_fields:
        monkeypatch.delenv(variable(field), raising=False)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """A folder for the import path with the job types of the tests, installed as a package."""
    return install(
        tmp_path / "plugins",
        {"gated": "tests.support.jobs.gated_job:GatedJob", "toy": "tests.support.jobs.toy_job:ToyJob"},
    )


@pytest.fixture
def fresh_database(plain_settings: None, conninfo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that name a fresh database of the test run's server: quicker than an embedded one for each test."""
    server = conninfo_to_dict(conninfo)
    monkeypatch.setenv("BEC_SQL_HOST", str(server["host"]))
    monkeypatch.setenv("BEC_SQL_USER", str(server["user"]))
    monkeypatch.setenv("BEC_SQL_DATABASE", str(server["dbname"]))


@pytest.fixture
def bec(plain_settings: None, plugins: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Bec:
    """The program in this process."""
    monkeypatch.syspath_prepend(str(plugins))

    def call(*arguments: str | Path) -> Ended:
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        return Ended(code, *capfd.readouterr())

    return call


@pytest.fixture
def fleet_settings(fresh_database: None, aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The settings of a fleet whose AWS is moto."""
    values = {
        "AWS_ENDPOINT_URL": aws.endpoint_url,
        "BEC_HOME": str(tmp_path / "home"),
        "BEC_REGION": aws.region,
        "BEC_DEST_S3_BUCKET": aws.fresh_name("results"),
        "BEC_SOURCE_URL": f"s3://{aws.fresh_name('archive')}",
        "BEC_LEASE_SECONDS": "6",
        "BEC_POLL_SECONDS": "1",
        "BEC_GRACE_SECONDS": "0.01",
        "BEC_MAINTENANCE_SECONDS": "2",
        "BEC_BACKOFF_BASE_SECONDS": "0.2",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    for bucket in (values["BEC_DEST_S3_BUCKET"], values["BEC_SOURCE_URL"].removeprefix("s3://")):
        aws.client("s3").create_bucket(Bucket=bucket)
    # A source that holds nothing counts as missing.
    aws.client("s3").put_object(Bucket=bucket, Key="about.txt", Body=b"volumes")
    return values


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """The folder at which a gated job waits."""
    folder = tmp_path / "gate"
    folder.mkdir()
    return folder


@pytest.fixture
def start(plain_settings: None, plugins: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start the program as a process of its own, with the job types of the tests installed."""
    monkeypatch.setenv("PYTHONPATH", f"{plugins}{os.pathsep}{ROOT}")
    monkeypatch.setenv("BEC_GRACE_SECONDS", "0.01")
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str | Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "bec_orch.cli.main", *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0)
        started.append(process)
        return process

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for(file: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a process made a file."""
    give_up = time.monotonic() + WAIT
    while not file.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < give_up, f"{file} did not appear"
        time.sleep(0.02)


def pages_done(gate: Path) -> list[int]:
    """Return the indices of the pages that a gated job did, in their order."""
    return [int(line) for line in (gate / "pages").read_text().split()]


def write_scans(root: Path, volumes: Mapping[str, int], *, empty: Mapping[str, int] | None = None) -> Path:
    """Write volumes `W/I` with so many pages of 10 bytes each, and so many more pages of 0 bytes."""
    for name, pages in volumes.items():
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(pages + (empty or {}).get(name, 0)):
            (folder / f"{number:04}.jpg").write_bytes(b"0123456789" if number < pages else b"")
    return root
