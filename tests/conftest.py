"""Fixtures that several folders of tests share: real data where it is there, and a database of one's own."""

import itertools
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from bec_orch.core.records.checks import WORKER
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.embedded.embedded import EmbeddedPostgres
from bec_orch.io.postgres.migrate import migrate

pytest_plugins = ["tests.support.servers.aws"]

SHARED_DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
TEMPLATE = "bec_template"
# As deploy/ names it.
WORKER_USER = "bec_worker"
GRANTS = [Path(__file__).resolve().parents[1] / "deploy" / f"worker-grants{of}.sql" for of in ("", "-queue")]


@pytest.fixture(scope="session", autouse=True)
def interrupts_heard() -> None:
    """Let the programs that tests start hear Ctrl-C and SIGHUP, which a shell's background jobs and `nohup` ignore."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def logging_restored() -> Iterator[None]:
    """Logs as they were before: the program sends them where its settings say."""
    root, ours = logging.getLogger(), logging.getLogger("bec_orch")
    before = (root.handlers[:], root.level, ours.level)
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real data is not there: {SHARED_DATA}")
    return SHARED_DATA.resolve()


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The conninfo of an embedded PostgreSQL of this test run, its template database migrated."""
    home = Path(tempfile.mkdtemp(prefix="bec-test-"))
    with EmbeddedPostgres(home) as embedded:
        with psycopg.connect(embedded.conninfo, autocommit=True) as connection:
            # Tests lose nothing when the machine stops.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
        with Database(psycopg.conninfo.make_conninfo(embedded.conninfo, dbname=TEMPLATE)) as template:
            migrate(template)
        with psycopg.connect(embedded.conninfo, dbname=TEMPLATE, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(WORKER_USER)))
            for file in GRANTS:
                connection.execute(file.read_bytes())
        yield embedded.conninfo
    shutil.rmtree(home)


_numbers = itertools.count(1)


@pytest.fixture
def conninfo(server: str) -> Iterator[str]:
    """The conninfo of a fresh, migrated database."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(TEMPLATE))
        )
        yield psycopg.conninfo.make_conninfo(server, dbname=name)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def database(conninfo: str) -> Iterator[Database]:
    """A fresh, migrated database."""
    with Database(conninfo, connections=24) as database:
        yield database


@pytest.fixture
def worker_database(conninfo: str) -> Iterator[Database]:
    """The same database as a worker of a fleet sees it: with the rights that deploy/ gives it, and no others."""
    own = psycopg.conninfo.make_conninfo(conninfo, user=WORKER_USER)
    with Database(own, connections=24, application=WORKER) as database:
        yield database
