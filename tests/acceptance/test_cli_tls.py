"""A database whose server is not the right one is refused in one line, whatever is asked of it, and nothing is sent."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.acceptance.conftest import Bec, ok
from tests.support.servers.tcp_faults import tcp_faults
from tests.support.servers.tls import Authority, tls_in_front_of


@pytest.fixture
def socket_of(conninfo: str) -> str:
    return f"{conninfo_to_dict(conninfo)['host']}/.s.PGSQL.5432"


@pytest.fixture
def settings(fresh_database: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("BEC_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BEC_SQL_SSLMODE", "verify-full")
    monkeypatch.setenv("BEC_SQL_PASSWORD", "never sent in the clear")
    return monkeypatch


@contextmanager
def server(settings: pytest.MonkeyPatch, kind: str, socket_of: str, folder: Path) -> Iterator[None]:
    """Lend a server, right or wrong, and set all that leads to it."""
    ours, theirs = Authority(folder, "ours"), Authority(folder, "theirs")
    settings.setenv("BEC_SQL_SSLROOTCERT", str((theirs if kind == "another authority" else ours).ca))
    settings.setenv("BEC_SQL_HOST", "127.0.0.1" if kind == "another name" else "localhost")
    with tcp_faults(socket_of) as plain, tls_in_front_of(socket_of, ours.context_for("localhost")) as port:
        settings.setenv("BEC_SQL_PORT", str(plain.port if kind == "no TLS" else port))
        yield


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("no TLS", "server does not support SSL"),
        ("another authority", "certificate verify failed"),
        ("another name", "does not match host name"),
    ],
)
@pytest.mark.parametrize("command", [("jobs", "list"), ("db", "init"), ("worker", "--job", "toy", "--until-empty")])
def test_a_server_that_is_not_the_right_one_is_refused(
    bec: Bec,
    settings: pytest.MonkeyPatch,
    socket_of: str,
    tmp_path: Path,
    kind: str,
    words: str,
    command: tuple[str, ...],
) -> None:
    with server(settings, kind, socket_of, tmp_path):
        ended = bec(*command)
    error, hint = ended.err.splitlines()[-2:]
    assert ended.code == 4
    assert error.startswith("error E_DB_TLS: ")
    assert words in error
    assert "BEC_SQL_SSLMODE" in hint
    assert "BEC_SQL_SSLROOTCERT" in hint


def test_the_doctor_reports_it_too(bec: Bec, settings: pytest.MonkeyPatch, socket_of: str, tmp_path: Path) -> None:
    with server(settings, "another authority", socket_of, tmp_path):
        ended = bec("doctor")
    assert ended.code == 1
    assert "fail database: E_DB_TLS: " in ended.out
    assert "certificate verify failed" in ended.out


def test_the_right_server_is_taken(bec: Bec, settings: pytest.MonkeyPatch, socket_of: str, tmp_path: Path) -> None:
    with server(settings, "right", socket_of, tmp_path):
        ok(bec("jobs", "list"))
        assert "TLS" in next(line for line in bec("doctor").out.splitlines() if "database TLS" in line)
