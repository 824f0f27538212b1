"""What is not as it should be around a fleet: each fault is one line with what to do, and ends with its own exit code.

Where waiting helps, a worker waits, and goes on when what was away is back.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.acceptance.conftest import ROOT, Bec, Ended, ok
from tests.support.servers.aws import Aws
from tests.support.servers.postmasters import hba_file
from tests.support.servers.tcp_faults import TcpFaults, tcp_faults

DEPLOY = ROOT / "deploy"
_WAIT = 90.0


class Worker:
    """A worker process, and what it logged so far."""

    def __init__(self, job: str, log: Path) -> None:
        self._log = log
        command = [sys.executable, "-m", "bec_orch.cli.main", "worker", "--job", job]
        with log.open("w") as sink:
            self.process = subprocess.Popen(command, stdout=sink, stderr=sink, text=True)

    def log(self) -> str:
        return self._log.read_text()

    def registered(self, conninfo: str) -> None:
        """Wait until it told the database of itself: it looks for work from now on."""
        with psycopg.connect(conninfo, autocommit=True) as connection:
            self.until(lambda: connection.execute("SELECT 1 FROM workers").fetchone() is not None)

    def until(self, happened: Callable[[], bool]) -> None:
        give_up = time.monotonic() + _WAIT
        while not happened():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < give_up, self.log()
            time.sleep(0.05)

    def end(self) -> Ended:
        code = self.process.wait(_WAIT)
        lines = self.log().splitlines()
        return Ended(code, "", "\n".join(line for line in lines if not line.startswith("{")))


@pytest.fixture
def job(bec: Bec, fleet_settings: dict[str, str], aws: Aws, plugins: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A job whose queues are there, and the environment of worker processes that can run it."""
    monkeypatch.setenv("PYTHONPATH", f"{plugins}{os.pathsep}{ROOT}")
    job = aws.fresh_name("toy")
    ok(bec("jobs", "create", job, "--type", "toy"))
    return job


@pytest.fixture
def start(job: str, tmp_path: Path) -> Iterator[Callable[[], Worker]]:
    """Start a worker of the job."""
    started: list[Worker] = []

    def start() -> Worker:
        started.append(Worker(job, tmp_path / f"worker-{len(started)}.log"))
        return started[-1]

    yield start
    for worker in started:
        with suppress(ProcessLookupError):
            worker.process.kill()
        worker.process.wait()


@pytest.fixture
def permissions(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Become a user who may do what a policy of deploy/ says, less some actions; moto looks at the actions alone."""
    iam = aws.client("iam")

    def enforce(after: str) -> None:
        request = urllib.request.Request(
            f"{aws.endpoint_url}/moto-api/reset-auth",
            data=after.encode(),
            headers={"Content-Type": "text/plain"},
            method="POST",
        )
        urllib.request.urlopen(request).close()

    def become(policy: str, *without: str) -> None:
        enforce("inf")
        name = aws.fresh_name("user")
        said = json.loads((DEPLOY / policy).read_text())["Statement"]
        allowed = {action for one in said if one["Effect"] == "Allow" for action in one["Action"]}
        statement = {"Effect": "Allow", "Action": sorted(allowed - set(without)), "Resource": "*"}
        iam.create_user(UserName=name)
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_user_policy(UserName=name, PolicyName="bec", PolicyDocument=document)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        enforce("0")

    yield become
    enforce("inf")


@pytest.fixture
def password(conninfo: str) -> Iterator[str]:
    """The right password of the user `locked`, whom the server asks for it."""
    name = "bec_locked"
    with psycopg.connect(conninfo, autocommit=True) as connection:
        hba = hba_file(conninfo)
        before = hba.read_text()
        hba.write_text(f"local all {name} scram-sha-256\n{before}")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(f"CREATE ROLE {name} LOGIN SUPERUSER PASSWORD 'right'".encode())
        yield "right"
        hba.write_text(before)
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(f"DROP ROLE {name}".encode())


def is_refused(ended: Ended, exit_code: int, error: str, *words: str) -> None:
    """One line says what is wrong, a second one what to do, and nothing else is printed."""
    first, second = ended.err.splitlines()
    assert (ended.code, first.split(":")[0]) == (exit_code, f"error {error}"), ended.err
    assert second.startswith("hint: ")
    for word in words:
        assert word in ended.err


class TestDatabase:
    def test_a_wrong_password(self, bec: Bec, job: str, password: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BEC_SQL_USER", "bec_locked")
        monkeypatch.setenv("BEC_SQL_PASSWORD", password)
        ok(bec("jobs", "list"))
        monkeypatch.setenv("BEC_SQL_PASSWORD", "canary")
        for command in (("jobs", "list"), ("worker", "--job", job, "--until-empty")):
            ended = bec(*command)
            is_refused(ended, 4, "E_DB_AUTH", "password authentication failed", "BEC_SQL_PASSWORD")
            assert "canary" not in ended.err
        monkeypatch.delenv("BEC_SQL_PASSWORD")
        is_refused(bec("worker", "--job", job, "--until-empty"), 4, "E_DB_AUTH", "no password supplied")

    def test_a_database_that_is_not_there(self, bec: Bec, job: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BEC_SQL_DATABASE", "nonesuch")
        is_refused(
            bec("worker", "--job", job, "--until-empty"),
            4,
            "E_DB_MISSING",
            '"nonesuch" does not exist',
            "BEC_SQL_DATABASE",
        )

    def test_one_that_is_not_initialised(self, bec: Bec, job: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BEC_SQL_DATABASE", "postgres")
        is_refused(bec("worker", "--job", job, "--until-empty"), 4, "E_DB_SCHEMA", "version 0", "`bec db init`")
        sick = bec("doctor")
        assert "its schema has version 0" in sick.out
        assert "ok   queue: SQS answers" in sick.out
        assert sick.code == 1

    def test_one_of_a_newer_version(self, bec: Bec, job: str, conninfo: str) -> None:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute("INSERT INTO schema_migrations (version, name) VALUES (9999, 'future')")
        is_refused(bec("worker", "--job", job, "--until-empty"), 4, "E_DB_NEWER", "9999", "Install the newer version")
        assert "hint: Install the newer version" in bec("doctor").out


class TestAws:
    def test_no_credentials(self, bec: Bec, job: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        is_refused(bec("queue", "stats", job), 5, "E_QUEUE_CREDENTIALS", "Unable to locate credentials")
        is_refused(bec("scale", "status", job), 5, "E_AWS_CREDENTIALS", "Log in")
        is_refused(
            bec("worker", "--job", job, "--until-empty"),
            5,
            "E_STORAGE_CREDENTIALS",
            "no credentials for S3",
            "instance role",
        )
        sick = bec("doctor")
        assert "fail credentials: E_AWS_CREDENTIALS" in sick.out
        assert "fail destination: E_STORAGE_CREDENTIALS" in sick.out

    def test_a_profile_that_is_not_there(self, bec: Bec, job: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_PROFILE", "nobody")
        is_refused(bec("queue", "stats", job), 5, "E_AWS_CREDENTIALS", "nobody", "AWS_PROFILE")

    def test_a_profile_serves_the_stores_too(
        self, bec: Bec, job: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "credentials").write_text("[library]\naws_access_key_id = a\naws_secret_access_key = b\n")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        monkeypatch.setenv("AWS_PROFILE", "library")
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        ok(bec("worker", "--job", job, "--until-empty"))

    def test_keys_that_aws_does_not_know(
        self, bec: Bec, job: str, permissions: Callable[..., None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        permissions("iam-worker.json")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN")
        is_refused(bec("worker", "--job", job, "--until-empty"), 5, "E_STORAGE_CREDENTIALS", "not valid")
        is_refused(bec("scale", "status", job), 5, "E_AWS_CREDENTIALS")

    def test_a_wrong_region(self, bec: Bec, job: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BEC_REGION", "eu-west-1")
        is_refused(bec("queue", "stats", job), 6, "E_QUEUE_MISSING", f"bec_{job}_tasks", "check BEC_REGION")
        ended = bec("worker", "--job", job, "--until-empty")
        assert ended.code == 6
        assert "error E_QUEUE_MISSING: " in ended.err

    @pytest.mark.parametrize(
        ("setting", "value"), [("BEC_DEST_S3_BUCKET", "nobodys"), ("BEC_SOURCE_URL", "s3://nobodys")]
    )
    def test_a_wrong_bucket(
        self, bec: Bec, job: str, monkeypatch: pytest.MonkeyPatch, setting: str, value: str
    ) -> None:
        monkeypatch.setenv(setting, value)
        is_refused(bec("worker", "--job", job, "--until-empty"), 6, "E_STORAGE_MISSING", "s3://nobodys", "bucket")

    @pytest.mark.parametrize("right", ["s3:PutObject", "s3:GetObject", "s3:ListBucket"])
    def test_a_worker_without_a_right_names_it(
        self, bec: Bec, job: str, permissions: Callable[..., None], right: str
    ) -> None:
        permissions("iam-worker.json", right)
        ended = bec("worker", "--job", job, "--until-empty")
        is_refused(ended, 5, "E_STORAGE_DENIED", f"the permission {right} is missing")

    def test_the_doctor_names_what_a_source_does_not_allow(
        self, bec: Bec, job: str, permissions: Callable[..., None]
    ) -> None:
        permissions("iam-worker.json", "s3:GetObject")
        source = next(line for line in bec("doctor").out.splitlines() if "source" in line)
        assert source.startswith("fail source: E_STORAGE_DENIED")
        assert "the permission s3:GetObject is missing" in source

    def test_the_workers_policy_is_enough_for_a_worker(
        self, bec: Bec, job: str, permissions: Callable[..., None]
    ) -> None:
        permissions("iam-worker.json")
        ok(bec("worker", "--job", job, "--until-empty"))
        found = {row["check"]: row for row in bec("doctor", "--json").json}
        assert {row["level"] for row in found.values()} == {"ok", "warn"}
        assert "autoscaling:CreateAutoScalingGroup" in found["operator rights"]["message"]

    def test_the_operators_policy_is_enough_for_an_operator(
        self, bec: Bec, job: str, permissions: Callable[..., None], fleet_settings: dict[str, str]
    ) -> None:
        permissions("iam-operator.json")
        found = {row["check"]: row["level"] for row in bec("doctor", "--json").json if "model" not in row["check"]}
        assert set(found.values()) == {"ok"}
        ok(bec("queue", "stats", job))
        ok(bec("scale", "status", job))

    def test_an_operator_without_a_right_learns_which(
        self, bec: Bec, job: str, permissions: Callable[..., None]
    ) -> None:
        permissions("iam-operator.json", "ec2:CreateLaunchTemplate", "autoscaling:PutScalingPolicy")
        told = bec("doctor").out
        assert "not allowed: autoscaling:PutScalingPolicy, ec2:CreateLaunchTemplate\n" in told
        assert "deploy/iam-operator.json" in told
        permissions("iam-operator.json", "autoscaling:DescribeAutoScalingGroups")
        is_refused(bec("scale", "status", job), 5, "E_AWS_DENIED", "Allow autoscaling:DescribeAutoScalingGroups")


class TestWhileAWorkerRuns:
    def test_its_queue_is_deleted(
        self, bec: Bec, job: str, start: Callable[[], Worker], aws: Aws, conninfo: str
    ) -> None:
        worker = start()
        worker.registered(conninfo)
        sqs = aws.client("sqs")
        sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=f"bec_{job}_tasks")["QueueUrl"])
        is_refused(worker.end(), 6, "E_QUEUE_MISSING", "`bec jobs create` makes the queues")
        (view,) = ok(bec("workers", "--job", job, "--all", "--json")).json
        assert (view["condition"], view["stop_reason"]) == ("stopped", "refused: E_QUEUE_MISSING")

    def test_its_queue_is_made_again_in_time(
        self, bec: Bec, job: str, start: Callable[[], Worker], aws: Aws, conninfo: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BEC_LEASE_SECONDS", "120")
        worker = start()
        worker.registered(conninfo)
        sqs = aws.client("sqs")
        sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=f"bec_{job}_tasks")["QueueUrl"])
        worker.until(lambda: "E_QUEUE_MISSING" in worker.log())
        ok(bec("jobs", "create", job, "--type", "toy"))
        ok(bec("queue", "enqueue", job, "--volume", "W1/I1"))
        worker.until(lambda: "E_MANIFEST_MISSING" in worker.log())
        worker.process.send_signal(signal.SIGTERM)
        assert worker.end().code == 0

    def test_aws_is_away_at_its_beginning(
        self, bec: Bec, job: str, start: Callable[[], Worker], aws: Aws, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ok(bec("queue", "enqueue", job, "--volume", "W1/I1"))
        with away(urlsplit(aws.endpoint_url).netloc) as network:
            monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{network.port}")
            is_refused(bec("queue", "stats", job), 1, "E_QUEUE_AWAY", "BEC_REGION", "endpoint")
            worker = start()
            worker.until(lambda: "E_QUEUE_AWAY" in worker.log())
            network.restore()
            worker.until(lambda: "E_MANIFEST_MISSING" in worker.log())
        event, *_ = events(worker, "task.failed")
        assert (event["job"], event["volume"], event["attempt"]) == (job, "W1/I1", 1)
        assert event["worker"] == ok(bec("workers", "--job", job, "--json")).json[0]["id"]

    def test_the_database_is_away_at_its_beginning(
        self, bec: Bec, job: str, start: Callable[[], Worker], conninfo: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ok(bec("queue", "enqueue", job, "--volume", "W1/I1"))
        server = conninfo_to_dict(conninfo)
        with away(f"{server['host']}/.s.PGSQL.5432") as network:
            monkeypatch.setenv("BEC_SQL_HOST", "127.0.0.1")
            monkeypatch.setenv("BEC_SQL_PORT", str(network.port))
            is_refused(bec("jobs", "list"), 1, "E_DB_AWAY", "Connection refused")
            worker = start()
            worker.until(lambda: "E_DB_AWAY" in worker.log())
            network.restore()
            worker.until(lambda: "E_MANIFEST_MISSING" in worker.log())
            worker.process.send_signal(signal.SIGTERM)
            assert worker.end().code == 0


@contextmanager
def away(target: str) -> Iterator[TcpFaults]:
    """Run a proxy in front of a server, `host:port` or a socket, that refuses until it is restored."""
    host, _, port = target.partition(":")
    with tcp_faults((host, int(port)) if port else target) as network:
        network.refuse()
        yield network


def events(worker: Worker, name: str) -> list[dict[str, Any]]:
    """Return the events of this name that a worker logged."""
    found = [json.loads(line) for line in worker.log().splitlines() if line.startswith("{")]
    return [event for event in found if event["event"] == name]
