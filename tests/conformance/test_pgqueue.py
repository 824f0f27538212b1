"""The queue suite over the table of PostgreSQL."""

from collections.abc import Iterator

import pytest

from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.queue import PgQueues
from tests.conformance.queue_suite import QueueSuite


class TestPgQueue(QueueSuite):
    @pytest.fixture
    def queue(self, database: Database) -> Iterator[object]:
        queues = PgQueues(database)
        yield queues("lines")
        queues.close()
