"""A notice that the machine will be gone, from the metadata service to the task that is given back."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bec_orch.core.life.stop import StopReason
from bec_orch.core.ports.job_worker import JobContext
from bec_orch.core.tasks import AttemptOutcome
from bec_orch.core.volumes import Page
from bec_orch.io.aws.imds import InstanceMetadata, NoticeWatcher
from bec_orch.io.postgres.database import Database
from tests.integration.test_worker_runtime import World
from tests.support.servers.fake_imds import fake_imds


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, database)
    world.create_job()
    yield world
    world.queues.close()


def test_a_spot_notice_gives_the_task_back_with_its_finished_pages(world: World) -> None:
    volume = world.volume()
    world.send(volume)
    worker = world.worker()
    noticed = threading.Event()

    def stop(reason: StopReason) -> None:
        worker.stop(reason)
        noticed.set()

    with fake_imds() as imds:

        def notice_at_page_3(_context: JobContext, page: Page) -> None:
            if page.index == 2:
                imds.told["meta-data/spot/instance-action"] = '{"action": "terminate"}'
                assert noticed.wait(5)

        world.at_page = notice_at_page_3
        with NoticeWatcher(InstanceMetadata(imds.url), stop, every=0.01):
            report = worker.run()

    assert report.stop_reason == "spot"
    assert report.outcomes == {AttemptOutcome.INTERRUPTED: 1}
    assert world.tasks("state, charged") == [{"state": "queued", "charged": 0}]
    assert world.queues("toy").stats().visible == 1

    done: list[int] = []
    world.at_page = lambda _context, page: done.append(page.index)
    assert world.run().outcomes == {AttemptOutcome.DONE: 1}
    assert done == [3]
