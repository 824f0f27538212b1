"""AWS as moto plays it, over real HTTP, in a process of its own: one for a whole test run.

Tests share the server: each uses queues and buckets of its own name.
"""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

REGION = "us-east-1"
# Ends when its standard input does, however the test run ends.
_SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHAREDCREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Aws:
    """Where the services are, and a client of each for the test itself."""

    endpoint_url: str
    region: str = REGION

    def client(self, service: str) -> Any:
        session: Any = boto3.session.Session(region_name=self.region)
        return session.client(service, endpoint_url=self.endpoint_url)

    def fresh_name(self, kind: str) -> str:
        """Return a name that no other test has."""
        return f"{kind}-{os.getpid()}-{next(_numbers)}"


@contextmanager
def moto_server() -> Iterator[str]:
    """Run a server that plays all services for a block, and return its URL."""
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout
    with server:
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.kill()


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """The URL of a server that plays all services."""
    with moto_server() as url:
        yield url


@pytest.fixture
def aws_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials of the test's own in its environment, and nothing else of AWS."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def aws(moto_url: str, aws_credentials: None) -> Aws:
    """The services."""
    return Aws(moto_url)
