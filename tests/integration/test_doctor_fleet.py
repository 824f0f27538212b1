"""The checks of a fleet, where something is not as it should be."""

from collections.abc import Callable, Iterator

import pytest

from bec_orch.core.tasks import Job
from bec_orch.io.aws.clients import AwsOptions
from bec_orch.io.postgres.checks import PgChecks
from bec_orch.io.postgres.database import Database
from bec_orch.io.sqs.queues import SqsOptions, SqsQueues
from bec_orch.orch.doctor.checks import Level, check_queues
from bec_orch.orch.doctor.fleet import check_tls
from tests.support.servers.aws import REGION
from tests.support.servers.fake_sqs import FakeSqs, Refused, served


@pytest.fixture
def sqs(aws_credentials: None) -> Iterator[FakeSqs]:
    with served(FakeSqs()) as sqs:
        yield sqs


@pytest.fixture
def queues(sqs: FakeSqs) -> Iterator[SqsQueues]:
    queues = SqsQueues(SqsOptions(AwsOptions(REGION, sqs.url)))
    yield queues
    queues.close()


def test_a_server_elsewhere_that_is_not_verified_is_warned_of(database: Database) -> None:
    found = check_tls(PgChecks(database), "require", "there is no CA", local=False)
    assert (found.level, found.message) == (Level.WARN, "not encrypted (sslmode require: there is no CA)")
    assert "BEC_SQL_SSLROOTCERT" in found.hint
    assert check_tls(PgChecks(database), "prefer", "the host is this machine", local=True).level is Level.OK


def test_rights_that_are_missing_are_named(queues: SqsQueues, sqs: FakeSqs, add_job: Callable[..., Job]) -> None:
    job = add_job("lines")
    queues.admin("lines").create()
    sqs.faults["ReceiveMessage"].append(Refused("AccessDenied"))
    sqs.faults["SendMessage"].append(Refused("AccessDenied"))
    [found] = check_queues(queues, [job])
    assert (found.check, found.level) == ("queue of lines", Level.FAIL)
    assert found.message == "not allowed: sqs:ReceiveMessage, sqs:SendMessage"
    assert "deploy/iam-worker.json" in found.hint


def test_queues_that_are_not_there_and_those_that_differ_are_reported_job_by_job(
    queues: SqsQueues, sqs: FakeSqs, add_job: Callable[..., Job]
) -> None:
    jobs = [add_job("lines"), add_job("text")]
    queues.admin("text").create()
    sqs.queues["bec_text_dlq"].attributes["MessageRetentionPeriod"] = "60"
    lines, text = check_queues(queues, jobs)
    assert (lines.level, lines.message.split(":")[0]) == (Level.FAIL, "E_QUEUE_MISSING")
    assert (text.level, text.message) == (Level.WARN, "bec_text_dlq has MessageRetentionPeriod 60")
    assert "MessageRetentionPeriod of bec_text_dlq to 1209600" in text.hint


def test_without_a_job_sqs_itself_is_asked(queues: SqsQueues, sqs: FakeSqs) -> None:
    assert check_queues(queues, [])[0].level is Level.OK
    sqs.faults["ListQueues"].append(Refused("AccessDenied"))
    [found] = check_queues(queues, [])
    assert (found.level, found.message.split(":")[0]) == (Level.FAIL, "E_QUEUE_DENIED")
