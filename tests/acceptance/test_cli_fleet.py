"""What operators of a fleet call: machines up and down, the doctor, queues that are made, settings that cannot be."""

import base64
import datetime as dt
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import ROOT, Bec, ok
from tests.support.servers.aws import Aws

# One of the images that moto has from its beginning.
IMAGE = "ami-03cf127a"
UP = ("--instance-type", "g6.xlarge, g5.xlarge", "--spot")


@pytest.fixture
def job(bec: Bec, fleet_settings: dict[str, str], aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A job, and the settings that its machines are made with."""
    ec2 = aws.client("ec2")
    values = {
        "BEC_EC2_KIT_URL": "s3://kit/bec/1/",
        "BEC_EC2_KIT_SHA256": "5" * 64,
        "BEC_EC2_IMAGE": IMAGE,
        "BEC_EC2_SUBNETS": ",".join(subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"][:2]),
        "BEC_EC2_SECURITY_GROUPS": ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"],
        "BEC_EC2_INSTANCE_PROFILE": "bec-worker",
        "BEC_PRICES_FILE": str(tmp_path / "prices.toml"),
        "BEC_THREADS": "3",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "prices.toml").write_text('[machines."g6.xlarge"]\nspot = 0.3\n')
    job = aws.fresh_name("toy")
    ok(bec("jobs", "create", job, "--type", "toy"))
    return job


def group_of(aws: Aws, job: str) -> dict[str, Any] | None:
    client = aws.client("autoscaling")
    groups = client.describe_auto_scaling_groups(AutoScalingGroupNames=[f"bec-{job}"])["AutoScalingGroups"]
    return groups[0] if groups else None


def user_data_of(aws: Aws, job: str) -> str:
    found = aws.client("ec2").describe_launch_template_versions(LaunchTemplateName=f"bec-{job}", Versions=["$Latest"])
    return base64.b64decode(found["LaunchTemplateVersions"][0]["LaunchTemplateData"]["UserData"]).decode()


def test_machines_come_are_shown_and_go(bec: Bec, job: str, aws: Aws, fleet_settings: dict[str, str]) -> None:
    dry = ok(bec("scale", "up", job, "--count", "2", *UP, "--dry-run"))
    assert "What this costs is unknown: the table of prices has no spot price of g5.xlarge." in dry.out
    assert f"will make the group bec-{job} for spot machines of g6.xlarge or g5.xlarge" in dry.out
    assert "Nothing was changed" in dry.out
    assert group_of(aws, job) is None

    unasked = bec("scale", "up", job, "--count", "2", *UP)
    assert (unasked.code, unasked.err.splitlines()[1]) == (2, "hint: Add --yes to do it, --dry-run to look.")
    made = ok(bec("scale", "up", job, "--count", "2", *UP, "--yes", "--json"))
    assert made.json["done"] == made.json["plan"]
    assert len(made.json["done"]) == len(made.err.splitlines()) == 4

    script = user_data_of(aws, job)
    assert f"BEC_DEST_S3_BUCKET={fleet_settings['BEC_DEST_S3_BUCKET']}\n" in script
    assert "\nkit='s3://kit/bec/1'\n" in script
    assert f"echo '{'5' * 64}  SHA256SUMS' | sha256sum --check" in script
    assert "\nBEC_SQL_USER=bec_worker\n" in script
    assert not {"BEC_HOME", "BEC_EC2_IMAGE", "BEC_PRICES_FILE", "BEC_THREADS", "AWS_ENDPOINT_URL"} & {
        line.partition("=")[0] for line in script.splitlines()
    }

    status = ok(bec("scale", "status", job))
    assert f"bec-{job}: 2 machines wanted, from 0 to 2." in status.out
    # moto does not tell which of the types a machine of a group is of.
    assert "All together, an hour: unknown" in status.out
    found = ok(bec("scale", "status", job, "--json")).json
    assert [one["machine"]["state"] for one in found["machines"]] == ["InService"] * 2

    assert "A machine that goes finishes its page" in ok(bec("scale", "down", job, "--to", "1", "--yes")).out
    assert len((group_of(aws, job) or {})["Instances"]) == 1
    followed = ok(bec("scale", "auto", job, "--min", "1", "--max", "4", "--backlog-per-worker", "50", "--yes"))
    assert f"let its size follow the queue bec_{job}_tasks" in followed.err
    assert "a machine for every 50 waiting messages" in ok(bec("scale", "status", job)).out
    ok(bec("scale", "down", job, "--destroy", "--yes"))
    assert group_of(aws, job) is None
    assert "There is no group of machines" in ok(bec("scale", "status", job)).out
    assert "There is nothing to do." in ok(bec("scale", "down", job)).out


def test_who_is_asked_may_say_no(bec: Bec, job: str, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda *_, **__: False)
    ended = bec("scale", "up", job, "--count", "1", *UP)
    assert (ended.code, ended.err) == (1, "Nothing was done.\n")
    assert group_of(aws, job) is None


@pytest.mark.parametrize(
    ("changed", "arguments", "error", "words"),
    [
        ({"BEC_EC2_SUBNETS": ""}, UP, "E_SCALE_SETTINGS", "BEC_EC2_SUBNETS is not set"),
        ({"BEC_EC2_KIT_SHA256": ""}, UP, "E_SCALE_SETTINGS", "BEC_EC2_KIT_SHA256 is not set"),
        ({"BEC_EC2_KIT_SHA256": "5" * 63}, UP, "E_CONFIG", "BEC_EC2_KIT_SHA256 is wrong"),
        ({"BEC_EC2_KIT_URL": "s3://kit/bec'/1"}, UP, "E_SETUP", "is not s3://BUCKET/FOLDER"),
        (
            {"BEC_DEST_URL": "s3://kit/results"},
            UP,
            "E_SCALE_SETTINGS",
            "lies in the bucket that they write artefacts to",
        ),
        ({"BEC_SQL_PASSWORD": "canary"}, UP, "E_SCALE_SETTINGS", "database user bec_worker is not given"),
        ({"BEC_DEST_URL": "file:///tmp"}, UP, "E_SCALE_SETTINGS", "artefacts go to file:///tmp"),
        ({}, ("--spot",), "E_USAGE", "--spot was given without machine types"),
        ({}, (), "E_SCALE_MIX", "say of which type"),
        ({"BEC_PRICES_FILE": "/dev"}, UP, "E_PRICES", "cannot be read"),
    ],
)
def test_machines_that_could_not_work_are_not_made(
    bec: Bec,
    job: str,
    aws: Aws,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, str],
    arguments: tuple[str, ...],
    error: str,
    words: str,
) -> None:
    for name, value in changed.items():
        monkeypatch.setenv(name, value)
    ended = bec("scale", "up", job, "--count", "1", *arguments, "--yes")
    assert (ended.code, ended.err.split(":")[0]) == (2, f"error {error}")
    assert words in ended.err
    assert group_of(aws, job) is None


def test_what_goes_only_with_ec2_or_sqs_is_refused_elsewhere(
    bec: Bec, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bec("scale", "down", job, "--destroy", "--local").code == 2
    monkeypatch.setenv("BEC_QUEUE", "pg")
    ended = bec("scale", "auto", job, "--min", "1", "--max", "2", "--backlog-per-worker", "9", "--yes")
    assert (ended.code, ended.err.split(":")[0]) == (2, "error E_SCALE_NO_QUEUE")


def test_workers_of_this_machine_come_and_go(
    bec: Bec, job: str, plugins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{plugins}{os.pathsep}{ROOT}")
    assert ok(bec("scale", "status", job, "--local")).out == "No worker was started here.\n"
    assert "done: start a worker; it logs to " in ok(bec("scale", "up", job, "--local", "--count", "1", "--yes")).err
    try:
        (worker,) = ok(bec("scale", "status", job, "--local", "--json")).json
        assert worker["running"]
        assert f"{worker['pid']}" in ok(bec("scale", "status", job, "--local")).out
    finally:
        ok(bec("scale", "down", job, "--local", "--yes"))
    assert ok(bec("scale", "status", job, "--local", "--json")).json == []


def test_a_job_has_its_queues_made_and_made_again_and_they_are_left(bec: Bec, job: str, aws: Aws) -> None:
    sqs = aws.client("sqs")
    url = sqs.get_queue_url(QueueName=f"bec_{job}_tasks")["QueueUrl"]
    assert bec("jobs", "create", job, "--type", "toy").code == 2
    sqs.delete_queue(QueueUrl=url)
    assert ok(bec("jobs", "create", job, "--type", "toy")).err == f"The queue bec_{job}_tasks is made.\n"
    assert f"Its queues bec_{job}_tasks and bec_{job}_dlq are still there" in ok(bec("jobs", "delete", job)).out
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"MessageRetentionPeriod": "60"})
    again = ok(bec("jobs", "create", job, "--type", "toy"))
    assert again.err == f"warning: the queue bec_{job}_tasks has MessageRetentionPeriod 60, not 1209600.\n"


def test_queue_and_database_are_compared(bec: Bec, job: str, aws: Aws) -> None:
    ok(bec("queue", "enqueue", job, "--volume", "W1/I1", "--volume", "W1/I2"))
    well = ok(bec("queue", "stats", job, "--json")).json
    assert (well["visible"], well["tasks"]["dispatched"], well["disagreements"]) == (2, 2, [])
    aws.client("sqs").purge_queue(QueueUrl=aws.client("sqs").get_queue_url(QueueName=f"bec_{job}_tasks")["QueueUrl"])
    lost = ok(bec("queue", "stats", job)).out
    assert "Queue and database disagree: 2 tasks without a message: workers send what is missing in time." in lost
    assert "oldest queued task" in lost


def test_the_age_of_the_oldest_message_is_what_cloudwatch_states(bec: Bec, job: str, aws: Aws) -> None:
    assert "oldest message      -\n" in ok(bec("queue", "stats", job)).out.replace(" \n", "\n"), "there is none"
    ok(bec("queue", "enqueue", job, "--volume", "W1/I1"))
    assert "oldest message      unknown" in ok(bec("queue", "stats", job)).out
    aws.client("cloudwatch").put_metric_data(
        Namespace="AWS/SQS",
        MetricData=[
            {
                "MetricName": "ApproximateAgeOfOldestMessage",
                "Dimensions": [{"Name": "QueueName", "Value": f"bec_{job}_tasks"}],
                "Value": age,
                "Timestamp": dt.datetime.now(dt.UTC) - dt.timedelta(minutes=ago),
            }
            for age, ago in ((111.0, 9), (321.0, 2))
        ],
    )
    assert ok(bec("queue", "stats", job, "--json")).json["oldest_seconds"] == 321
    assert "oldest message      321 s" in ok(bec("queue", "stats", job)).out


def test_a_purge_says_that_sqs_takes_its_time(bec: Bec, job: str) -> None:
    ok(bec("queue", "enqueue", job, "--volume", "W1/I1"))
    purged = ok(bec("queue", "purge", job, "--yes")).out
    assert purged == "Being deleted: 1 message; SQS takes up to 60 s, and deletes what is sent meanwhile, too.\n"


def levels(bec: Bec) -> dict[str, str]:
    return {row["check"]: row["level"] for row in bec("doctor", "--json").json}


def test_the_doctor_looks_at_a_fleet(bec: Bec, job: str, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    found = levels(bec)
    of_fleet = ("database", "database TLS", f"queue of {job}", "clock", "credentials", "destination", "source")
    assert {check: found[check] for check in of_fleet} == dict.fromkeys(of_fleet, "ok")
    assert "ok   database TLS: not encrypted (sslmode prefer: the host is this machine)" in bec("doctor").out

    sqs = aws.client("sqs")
    url = sqs.get_queue_url(QueueName=f"bec_{job}_tasks")["QueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"MessageRetentionPeriod": "60"})
    monkeypatch.setenv("BEC_DEST_S3_BUCKET", "not-there")
    sick = bec("doctor")
    assert sick.code == 1
    assert f"warn queue of {job}: bec_{job}_tasks has MessageRetentionPeriod 60" in sick.out
    assert "fail destination: E_STORAGE_MISSING" in sick.out
    sqs.delete_queue(QueueUrl=url)
    assert f"fail queue of {job}: E_QUEUE_MISSING" in bec("doctor").out


def test_the_doctor_reports_on_aws_before_there_is_a_job(bec: Bec, fleet_settings: dict[str, str]) -> None:
    assert "ok   queue: SQS answers; no job has queues yet" in bec("doctor").out


def test_a_password_comes_from_a_secret(
    bec: Bec, job: str, aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = aws.fresh_name("secret")
    aws.client("secretsmanager").create_secret(Name=secret, SecretString=json.dumps({"password": "canary"}))
    monkeypatch.setenv("BEC_SQL_PASSWORD_SECRET", secret)
    monkeypatch.setenv("BEC_EC2_SQL_PASSWORD_SECRET", "password-of-workers")
    ok(bec("jobs", "list"))
    assert ok(bec("scale", "up", job, "--count", "1", *UP, "--dry-run")).code == 0
    monkeypatch.setenv("BEC_SQL_PASSWORD_SECRET", "nowhere")
    ended = bec("jobs", "list")
    assert (ended.code, ended.err.split(":")[0]) == (2, "error E_SECRET")


def test_a_job_is_watched_until_ctrl_c(
    bec: Bec, job: str, fleet_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []

    def look_twice(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            raise KeyboardInterrupt

    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("bec_orch.cli.jobs.stats.time.sleep", look_twice)
    ended = ok(bec("jobs", "stats", job, "--watch"))
    assert len(looks) == 2
    assert "cost so far" in ended.out
