"""What one scene at a time plays on: a PostgreSQL server, the stores, and the proxies that stand before them."""

import itertools
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import boto3

from bec_orch.io.stores.objects import Objects
from bec_orch.io.stores.storage import S3Options, Stores
from tests.faults.server import Server
from tests.support.servers.http_faults import FaultProxy, faulty
from tests.support.servers.tcp_faults import TcpFaults, tcp_faults

ROOT = Path(__file__).resolve().parents[2]
REGION = "us-east-1"
EMBEDDED, FLEET = "embedded", "fleet"
SECRETS = ("c4nary-of-the-database", "c4nary-of-the-cloud")
"""Passwords that must turn up nowhere."""

_TIMES = {
    "BEC_LEASE_SECONDS": "3",
    "BEC_POLL_SECONDS": "0.3",
    "BEC_GRACE_SECONDS": "5",
    "BEC_MAINTENANCE_SECONDS": "1",
    "BEC_REDISPATCH_AFTER_SECONDS": "2",
    "BEC_BACKOFF_BASE_SECONDS": "0.2",
    "BEC_BACKOFF_CAP_SECONDS": "1",
}


@dataclass
class Lanes:
    """What the lanes of one back-end share: a folder, the plug-in, and the server that plays AWS (None: embedded)."""

    folder: Path
    plugins: Path
    moto_url: str | None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def backend(self) -> str:
        """The name of the back-end."""
        return FLEET if self.moto_url else EMBEDDED

    def open(self) -> "Lane":
        """Open a fresh lane."""
        return Lane(self, next(self._numbers))


class Lane:
    """Everything that one scene at a time plays on."""

    def __init__(self, lanes: Lanes, number: int) -> None:
        self.backend = lanes.backend
        self.moto_url = lanes.moto_url
        self.folder = lanes.folder / f"{self.backend}-{number}"
        self._plugins = lanes.plugins
        self._name = f"scene-{number}"
        self._names = itertools.count(1)
        self._open = ExitStack()
        self.server = Server(self.folder / "pg")
        self._open.callback(self.server.close)
        self.network: TcpFaults = self._open.enter_context(tcp_faults(self.server.socket))
        self.cloud: FaultProxy | None = self._open.enter_context(faulty(self.moto_url)) if self.moto_url else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def fresh_name(self) -> str:
        """Return a name that no other scene of the campaign has."""
        return f"{self._name}-{next(self._names)}"

    def calm(self) -> None:
        """End every fault of the network: what stays is what the fault did."""
        self.network.restore()
        self.network.target = self.server.socket
        self.network.lose_commit_after = None
        self.network.lost.clear()
        if self.cloud:
            self.cloud.down = False
            self.cloud.lacking.clear()
            self.cloud.emptied.clear()
            self.cloud.faults.clear()

    def store(self, url: str) -> Objects:
        """Open a store past the proxies."""
        return Stores(S3Options(self.moto_url, REGION)).open(url, create=self.moto_url is None)

    def put(self, url: str, key: str, data: bytes) -> None:
        """Put an object into a store, in place of what is there."""
        if self.moto_url:
            self.s3.put_object(Bucket=url.removeprefix("s3://"), Key=key, Body=data)
            return
        path = Path(urlsplit(url).path) / key
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}")
        fresh.write_bytes(data)
        fresh.replace(path)

    @cached_property
    def s3(self) -> Any:
        """A client of S3 past the proxies."""
        return self.client("s3")

    def client(self, service: str) -> Any:
        """Return a client of AWS past the proxies."""
        session: Any = boto3.session.Session(
            aws_access_key_id="testing", aws_secret_access_key=SECRETS[1], region_name=REGION
        )
        return session.client(service, endpoint_url=self.moto_url)

    def environment(self, database: str, home: Path) -> dict[str, str]:
        """Return the environment of the processes of a scene: everything through the proxies."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("BEC_", "AWS_", "PG"))}
        return {
            **kept,
            **_TIMES,
            **self._cloud_environment(),
            "PYTHONPATH": f"{self._plugins}{os.pathsep}{ROOT}",
            "BEC_HOME": str(home),
            "BEC_SQL_HOST": "127.0.0.1",
            "BEC_SQL_PORT": str(self.network.port),
            "BEC_SQL_USER": "postgres",
            "BEC_SQL_PASSWORD": SECRETS[0],
            "BEC_SQL_DATABASE": database,
            "BEC_LOG_FORMAT": "json",
            "BEC_LOG_LEVEL": "info",
        }

    def _cloud_environment(self) -> dict[str, str]:
        if self.cloud is None:
            return {}
        return {
            "AWS_ENDPOINT_URL": self.cloud.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": SECRETS[1],
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "BEC_REGION": REGION,
            "BEC_POLL_SECONDS": "1",
        }
