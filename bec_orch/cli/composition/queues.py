"""The queues of the settings, by the name of their back-end."""

from collections.abc import Callable, Mapping

from bec_orch.cli.composition.stores import aws_options
from bec_orch.core.ports.queues import QueueBackend
from bec_orch.io.aws.clients import AwsOptions
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.queue import PgQueues
from bec_orch.io.sqs.queues import SqsOptions, SqsQueues
from bec_orch.settings.config import QueueName, Settings


def open_queues(settings: Settings, database: Database) -> QueueBackend:
    """Open the queues of the settings."""
    return _QUEUES[settings.queue_backend](settings, database)


def sqs_queues(settings: Settings) -> SqsQueues:
    """Return the queues on SQS."""
    endpoint_url = settings.sqs_endpoint_url or settings.aws_endpoint_url
    aws = AwsOptions(settings.region, endpoint_url)
    return SqsQueues(
        SqsOptions(aws, settings.queue_urls, visibility=round(settings.lease_seconds), metrics=aws_options(settings))
    )


# Each queue back-end by its name, which BEC_QUEUE takes (`config.QueueName`).
_QUEUES: Mapping[QueueName, Callable[[Settings, Database], QueueBackend]] = {
    "pg": lambda _settings, database: PgQueues(database),
    "sqs": lambda settings, _database: sqs_queues(settings),
}
