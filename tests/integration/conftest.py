"""Fixtures of the tests that look at tables, and homes of the embedded PostgreSQL."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from bec_orch.core.retries import RetryPolicy
from bec_orch.core.tasks import Job
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.embedded.embedded import EmbeddedPostgres
from bec_orch.io.postgres.tasks import PgTasks
from tests.support.servers.postmasters import servers

SOURCE = "folder+file:///scans"


class Sql(Protocol):
    def __call__(self, statement: str, *parameters: Any) -> list[dict[str, Any]]: ...


@pytest.fixture
def store(worker_database: Database) -> PgTasks:
    """What workers do, with the rights that they have."""
    return PgTasks(worker_database, default_source=SOURCE, retry=RetryPolicy(base=0.2, cap=0.4))


@pytest.fixture
def sql(database: Database) -> Sql:
    def run(statement: str, *parameters: Any) -> list[dict[str, Any]]:
        with database.transaction("test") as connection:
            cursor = connection.execute(statement.encode(), parameters)
            return cursor.fetchall() if cursor.description else []

    return run


@pytest.fixture
def add_job(store: PgTasks, sql: Sql) -> Callable[..., Job]:
    def add(name: str = "lines", *, needs: tuple[str, ...] = (), max_attempts: int = 3) -> Job:
        sql(
            "INSERT INTO jobs (name, type, config, config_hash, max_attempts) VALUES (%s, 'ldv1', '{\"side\": 960}', "
            "'hash1', %s)",
            name,
            max_attempts,
        )
        for needed in needs:
            sql(
                "INSERT INTO job_dependencies SELECT a.id, b.id FROM jobs a, jobs b WHERE a.name = %s AND b.name = %s",
                name,
                needed,
            )
        return store.job(name)

    return add


@pytest.fixture
def job(add_job: Callable[..., Job]) -> Job:
    return add_job()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Path]:
    """A home with a cluster in it, not running: tests copy it, because making one takes a second."""
    home = Path(tempfile.mkdtemp(prefix="bec-cluster-"))
    with EmbeddedPostgres(home):
        pass
    yield home
    shutil.rmtree(home)


@pytest.fixture
def home(cluster: Path) -> Iterator[Path]:
    """A home of one's own with a cluster in it, not running."""
    folder = Path(tempfile.mkdtemp(prefix="bec-home-"))
    subprocess.run(["cp", "-a", f"{cluster}/.", str(folder)], check=True)
    yield folder
    for left in servers(folder):  # of a test that failed
        with contextlib.suppress(ProcessLookupError):
            os.kill(left, signal.SIGKILL)
    shutil.rmtree(folder)
