"""What the composition root opens for which settings."""

from pathlib import Path
from typing import Any, get_args

import pytest
from psycopg.conninfo import conninfo_to_dict

from bec_orch.cli.composition import queues
from bec_orch.cli.composition.database import sql_conninfo
from bec_orch.cli.composition.earlier import EarlierAccess, earlier_system
from bec_orch.errors import UsageError
from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.earlier import PgEarlierSystem
from bec_orch.settings.config import QueueName, Settings


def test_every_queue_that_can_be_named_can_be_opened() -> None:
    assert queues._QUEUES.keys() == set(get_args(QueueName))


def test_another_queue_is_one_line_of_the_composition_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine: Any = object()
    database: Any = object()
    monkeypatch.setattr(queues, "_QUEUES", {"mine": lambda _settings, _database: mine})
    settings = Settings(home=tmp_path).model_copy(update={"queue": "mine", "region": "eu-west-1"})
    assert queues.open_queues(settings, database) is mine


def connected(settings: Settings, dsn: str, password_file: Path | None = None) -> dict[str, Any]:
    """Return how the earlier system's database would be connected to."""
    own = Database(sql_conninfo(settings))
    found = earlier_system(settings, EarlierAccess(dsn, password_file), own)
    assert isinstance(found, PgEarlierSystem)
    return conninfo_to_dict(found._database._conninfo)


@pytest.fixture
def ours(tmp_path: Path) -> Settings:
    """Settings of a server of our own, with a password."""
    named = {"sql_host": "db.example", "sql_port": 5433, "sql_user": "bec", "sql_password": "canary"}
    return Settings.model_validate({"home": tmp_path, **named})


@pytest.mark.parametrize(
    "dsn", ["", "dbname=old", "host=db.example port=5433 user=bec", "postgresql://bec@db.example:5433/x"]
)
def test_our_password_goes_to_our_own_server(ours: Settings, dsn: str) -> None:
    found = connected(ours, dsn)
    assert (found["host"], found["port"], found["user"], found["password"]) == ("db.example", "5433", "bec", "canary")


@pytest.mark.parametrize("dsn", ["host=other.example user=bec", "host=db.example user=bec", "user=reader", "port=1"])
def test_our_password_goes_nowhere_else(ours: Settings, dsn: str) -> None:
    assert "password" not in connected(ours, dsn)


def test_another_password_is_read_from_its_file(ours: Settings, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("theirs\n")
    assert connected(ours, "user=reader", file)["password"] == "theirs"  # noqa: S105  (made up here)
    with pytest.raises(UsageError, match="both given"):
        earlier_system(ours, EarlierAccess("", file, "secret"), Database(sql_conninfo(ours)))


def test_another_server_is_protected_as_ours_would_be(ours: Settings, tmp_path: Path) -> None:
    assert connected(ours, "host=other.example")["sslmode"] == "require"
    assert connected(ours, "host=localhost")["sslmode"] == "prefer"
    assert connected(ours, "host=other.example sslrootcert=/ca.pem")["sslmode"] == "verify-full"
    assert connected(ours, "host=other.example sslmode=disable")["sslmode"] == "disable"
    assert connected(ours, "")["dbname"] == "pipeline_v1"
