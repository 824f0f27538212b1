"""What an operator of a fleet types, line by line on a terminal, from an empty database to the last machine."""

import gzip
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from bec_orch.io.sources.bdrc import volume_prefix
from tests.acceptance.conftest import ROOT
from tests.conftest import GRANTS
from tests.support.servers.aws import Aws
from tests.support.servers.fake_imds import fake_imds

# One of the images that moto has from its beginning.
IMAGE = "ami-03cf127a"
PAGES = sorted((ROOT / "samples" / "W1BEC001" / "I1BEC0001").glob("*.jpg"))[:2]
_WAIT = 120.0
_STEERING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Typed:
    """One command line on a terminal of its own: what the screen shows, and what is typed into it."""

    def __init__(self, line: str) -> None:
        program, *arguments = shlex.split(line)
        assert program == "bec"
        self._leader, follower = pty.openpty()
        command = [sys.executable, "-m", "bec_orch.cli.main", *arguments]
        self._process = subprocess.Popen(
            command, stdin=follower, stdout=follower, stderr=follower, start_new_session=True
        )
        os.close(follower)
        self.screen = ""

    def shows(self, text: str) -> "Typed":
        """Wait until the screen shows a text."""
        while text not in self.screen:
            assert self._read(), f"{text!r} is not in:\n{self.screen}"
        return self

    def type(self, keys: str) -> "Typed":
        os.write(self._leader, keys.encode())
        return self

    def interrupt(self) -> "Typed":
        self._process.send_signal(signal.SIGINT)
        return self

    def ends(self, code: int = 0) -> str:
        """Wait for its end, and return all that the screen showed, without colours and with single spaces."""
        while self._read():
            pass
        assert self._process.wait(_WAIT) == code, self.screen
        os.close(self._leader)
        return " ".join(_STEERING.sub("", self.screen).split())

    def _read(self) -> bool:
        # The terminal of a program that ended gives an error, not an end.
        with suppress(OSError):
            if data := os.read(self._leader, 65536):
                self.screen += data.decode(errors="replace")
                return True
        return False


@pytest.fixture
def empty_database(fleet_settings: dict[str, str], server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A database that nobody initialised."""
    name = f"session_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        monkeypatch.setenv("BEC_SQL_DATABASE", name)
        yield
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def machines(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What new machines are made of, and what they cost."""
    ec2 = aws.client("ec2")
    with suppress(aws.client("iam").exceptions.EntityAlreadyExistsException):
        aws.client("iam").create_instance_profile(InstanceProfileName="bec-worker")
    (tmp_path / "prices.toml").write_text('[machines."g6.xlarge"]\nspot = 3600\n')
    for name, value in {
        "BEC_EC2_KIT_URL": "s3://kit/bec/1",
        "BEC_EC2_KIT_SHA256": "0" * 64,
        "BEC_EC2_IMAGE": IMAGE,
        "BEC_EC2_SUBNETS": ec2.describe_subnets()["Subnets"][0]["SubnetId"],
        "BEC_EC2_SECURITY_GROUPS": ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"],
        "BEC_EC2_INSTANCE_PROFILE": "bec-worker",
        "BEC_PRICES_FILE": str(tmp_path / "prices.toml"),
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "100",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def volumes(aws: Aws, fleet_settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`volumes.csv` here: two volumes of sample pages on S3, and one whose pages are cut off."""
    bucket = fleet_settings["BEC_SOURCE_URL"].removeprefix("s3://")
    put = aws.client("s3").put_object
    for i_id, keep in (("I1", None), ("I2", None), ("I3", 100)):
        prefix = volume_prefix("W1", i_id)
        listed = json.dumps([{"filename": page.name} for page in PAGES]).encode()
        put(Bucket=bucket, Key=f"{prefix}/dimensions.json", Body=gzip.compress(listed))
        for page in PAGES:
            put(Bucket=bucket, Key=f"{prefix}/{page.name}", Body=page.read_bytes()[:keep])
    monkeypatch.chdir(tmp_path)
    Path("volumes.csv").write_text("W1,I1\nW1,I2\nW1,I3\n")


def running(aws: Aws) -> list[dict[str, Any]]:
    """Return the machines of the job that run."""
    wanted = [{"Name": "tag:bec:job", "Values": ["ldv1"]}, {"Name": "instance-state-name", "Values": ["running"]}]
    found = aws.client("ec2").describe_instances(Filters=wanted)["Reservations"]
    return [one for reservation in found for one in reservation["Instances"]]


def work_on_a_machine(instance_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do on this machine what the script of the first start does on one of EC2: run a worker, until all is done."""
    with fake_imds() as imds:
        imds.told["meta-data/instance-id"] = instance_id
        monkeypatch.setenv("BEC_IMDS_URL", imds.url)
        Typed("bec worker --job ldv1 --until-empty").ends(1)
        monkeypatch.delenv("BEC_IMDS_URL")


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("empty_database", "machines", "volumes")
def test_the_session_of_an_operator(
    aws: Aws, fleet_settings: dict[str, str], server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    doctor = Typed("bec doctor").ends(1)
    assert "its schema has version 0, this program needs" in doctor
    assert "hint: Run `bec db init`." in doctor
    assert doctor.count("fail") == 1
    for check in ("queue", "credentials", "operator rights", "new machines", "destination", "source", "model of ldv1"):
        assert f"ok {check}: " in doctor, check

    assert "Applied: 0001 initial" in Typed("bec db init").ends()
    assert "fail database user bec_worker: lacks rights" in Typed("bec doctor").ends(1)
    with psycopg.connect(server, dbname=os.environ["BEC_SQL_DATABASE"], autocommit=True) as connection:
        connection.execute(GRANTS[0].read_bytes())
    assert "fail" not in Typed("bec doctor").ends()

    created = Typed("bec jobs create ldv1").ends()
    assert "The queue bec_ldv1_dlq is made. The queue bec_ldv1_tasks is made." in created

    assert "volumes 3 queued 3 messages sent 3" in Typed("bec queue enqueue ldv1 --file volumes.csv").ends()

    up = Typed("bec scale up ldv1 --count 6 --instance-type g6.xlarge --spot").shows("Do it? [y/N]")
    assert running(aws) == []
    assert "6 machines cost at most 21600.00 USD an hour." in up.screen
    up.type("y\n").ends()
    machines = running(aws)
    assert len(machines) == 6

    work_on_a_machine(machines[0]["InstanceId"], monkeypatch)
    watch = Typed("bec jobs stats ldv1 --watch").shows("cost per 1,000 pages")
    stats = watch.interrupt().ends()
    assert "volumes done 2 volumes terminal_failed 1" in stats
    assert "pages ok 4" in stats
    assert "pages left 0" in stats
    assert "time left 0:00:00" in stats
    assert "unknown" not in stats
    assert f"{machines[0]['InstanceId']} (g6.xlarge, spot)" in Typed("bec workers --all").ends()

    redriven = Typed("bec queue redrive ldv1 --reason GpuOutOfMemory").ends()
    assert "tasks reset 0" in redriven
    assert "No task of ldv1 has failed for that reason. Tasks failed for good with: E_IMAGE_" in redriven

    Typed("bec scale down ldv1").shows("Do it? [y/N]").type("y\n").ends()
    assert running(aws) == []
    assert "There is nothing to do." in Typed("bec scale down ldv1").ends()
