"""The queue suite over SQS: as moto plays it, and as strict as the real one is about receipts."""

from collections.abc import Iterator

import pytest

from bec_orch.io.aws.clients import AwsOptions
from bec_orch.io.sqs.queues import SqsOptions, SqsQueue, SqsQueues
from tests.conformance.queue_suite import QueueSuite
from tests.support.servers.aws import Aws
from tests.support.servers.fake_sqs import FakeSqs, served


def opened(url: str, region: str, job: str) -> Iterator[SqsQueue]:
    queues = SqsQueues(SqsOptions(AwsOptions(region, url)))
    queues.admin(job).create()
    yield queues(job)
    queues.close()


class TestSqsQueue(QueueSuite):
    tells_age = False
    moves_all = False  # moto has no StartMessageMoveTask
    gives_once = False  # no lock in moto; and SQS promises no more than "at least once"

    @pytest.fixture
    def queue(self, aws: Aws) -> Iterator[SqsQueue]:
        yield from opened(aws.endpoint_url, aws.region, aws.fresh_name("lines"))


@pytest.mark.usefixtures("aws_credentials")
class TestStrictSqsQueue(QueueSuite):
    tells_age = False

    @pytest.fixture
    def queue(self) -> Iterator[SqsQueue]:
        with served(FakeSqs()) as sqs:
            yield from opened(sqs.url, "us-east-1", "lines")
