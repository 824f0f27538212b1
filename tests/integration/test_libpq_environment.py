"""Only our own settings tell where we connect to: nothing of libpq's environment and files reaches a connection."""

import os
import re
from pathlib import Path

import psycopg
import psycopg_binary
import pytest

from bec_orch.io.postgres.connection import conninfo_of, libpq_variables
from bec_orch.io.postgres.database import Database

# What would break a connection, or change what it says; every other variable gets a value that no server can make
# anything of.
BAD = {
    "PGHOSTADDR": "192.0.2.1",
    "PGPORT": "1",
    "PGOPTIONS": "-c no_such_setting=1",
    "PGTARGETSESSIONATTRS": "standby",
    "PGREQUIREAUTH": "gss",
    "PGCHANNELBINDING": "require",
    "PGSSLMODE": "verify-full",
    "PGDATESTYLE": "German",
    "PGTZ": "Asia/Kathmandu",
    "PGCLIENTENCODING": "SQL_ASCII",
    "PGCONNECT_TIMEOUT": "1",
}


def here(conninfo: str) -> dict[str, str]:
    values = psycopg.conninfo.conninfo_to_dict(conninfo)
    return {name: str(values[name]) for name in ("host", "user", "dbname")}


def test_every_variable_that_this_libpq_reads_is_known() -> None:
    found: set[str] = set()
    for file in Path(psycopg_binary.__file__).parent.with_name("psycopg_binary.libs").glob("libpq*"):
        found |= {name.decode() for name in re.findall(rb"\0(PG[A-Z_]+)(?=\0)", file.read_bytes())}
    if not found:
        pytest.skip("libpq does not lie beside psycopg here")
    states = {name for name in found if name.startswith("PGRES_")}
    assert "PGDATESTYLE" in found
    assert found - states <= libpq_variables()


@pytest.mark.parametrize("name", sorted(libpq_variables()))
def test_no_variable_reaches_a_connection(name: str, conninfo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = b"SELECT clock_timestamp() AS now, current_database() AS database, current_setting('TimeZone') AS zone"
    with Database(conninfo_of(**here(conninfo))) as database, database.transaction("look") as connection:
        usual = connection.execute(ask).fetchone()
    monkeypatch.setenv(name, BAD.get(name, "nonsense"))
    with Database(conninfo_of(**here(conninfo))) as database, database.transaction("look") as connection:
        seen = connection.execute(ask).fetchone()
        assert connection.info.dsn.count("nonsense") == 0
    assert usual
    assert seen
    assert (seen["database"], seen["zone"]) == (usual["database"], usual["zone"])
    assert name not in os.environ, "libpq reads it whenever it connects"


def test_all_of_them_at_once(conninfo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in libpq_variables():
        monkeypatch.setenv(name, BAD.get(name, "nonsense"))
    with Database(conninfo_of(**here(conninfo))) as database, database.transaction("look") as connection:
        assert connection.execute("SELECT 1 AS one").fetchone() == {"one": 1}


def test_no_password_is_taken_from_the_users_home(
    conninfo: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    passfile = tmp_path / ".pgpass"
    passfile.write_text("*:*:*:*:canary\n")
    passfile.chmod(0o600)
    with psycopg.connect(psycopg.conninfo.make_conninfo(**here(conninfo))) as plain:
        assert plain.pgconn.password == b"canary", "libpq takes it where nobody forbids it"
    with psycopg.connect(conninfo_of(**here(conninfo))) as ours:
        assert ours.pgconn.password == b""
    assert capfd.readouterr().err == ""


def test_values_that_are_not_set_are_left_out() -> None:
    given = psycopg.conninfo.conninfo_to_dict(conninfo_of(host="db", port=5433, user=None, sslmode="require"))
    del given["passfile"]
    assert given == {"host": "db", "port": "5433", "sslmode": "require"}
