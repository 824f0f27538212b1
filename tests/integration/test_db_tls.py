"""TLS to the database: wrong certificates, wrong names and no TLS at all are refused."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from bec_orch.errors import DatabaseError
from bec_orch.io.postgres.database import Database
from tests.support.servers.tcp_faults import tcp_faults
from tests.support.servers.tls import Authority, tls_in_front_of


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


@pytest.fixture
def port(conninfo: str, authority: Authority) -> Iterator[int]:
    folder = psycopg.conninfo.conninfo_to_dict(conninfo)["host"]
    with tls_in_front_of(f"{folder}/.s.PGSQL.5432", authority.context_for("localhost")) as port:
        yield port


def answer(conninfo: str, port: int, **settings: str) -> object:
    through = psycopg.conninfo.make_conninfo(conninfo, port=port, **{"host": "localhost", **settings})
    with Database(through, wait=2.0) as database, database.transaction("ask") as connection:
        return connection.execute("SELECT 1 AS one").fetchone()


class TestVerification:
    def test_the_right_server_is_taken(self, conninfo: str, port: int, authority: Authority) -> None:
        assert answer(conninfo, port, sslmode="verify-full", sslrootcert=str(authority.ca)) == {"one": 1}
        assert answer(conninfo, port, sslmode="require") == {"one": 1}

    def test_another_authority_is_refused(self, conninfo: str, port: int, tmp_path: Path) -> None:
        other = Authority(tmp_path, "theirs")
        with pytest.raises(DatabaseError, match="certificate verify failed") as caught:
            answer(conninfo, port, sslmode="verify-full", sslrootcert=str(other.ca))
        assert "BEC_SQL_SSLROOTCERT" in caught.value.hint

    def test_another_name_is_refused(self, conninfo: str, port: int, authority: Authority) -> None:
        with pytest.raises(DatabaseError, match="does not match host name"):
            answer(conninfo, port, host="127.0.0.1", sslmode="verify-full", sslrootcert=str(authority.ca))

    def test_a_server_without_tls_is_refused(self, conninfo: str) -> None:
        folder = psycopg.conninfo.conninfo_to_dict(conninfo)["host"]
        with tcp_faults(f"{folder}/.s.PGSQL.5432") as plain:
            assert answer(conninfo, plain.port, sslmode="prefer") == {"one": 1}
            with pytest.raises(DatabaseError, match="does not support SSL"):
                answer(conninfo, plain.port, sslmode="require")
