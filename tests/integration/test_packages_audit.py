"""The audit of packages tells what the database of vulnerabilities says, and when nobody could ask it."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / ".ci" / "audit-packages"
VULNERABLE = "urllib3"
_VULNERABILITY = {"id": "OSV-TEST-1", "summary": "made up", "affected": [], "aliases": []}


class Osv(BaseHTTPRequestHandler):
    """Answers as OSV does: one package is vulnerable if the server's `finds` says so."""

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        name = query.get("package", {}).get("name")
        found = [_VULNERABILITY] if name == VULNERABLE and getattr(self.server, "finds", False) else []
        status = getattr(self.server, "status", 200)
        body = json.dumps({"vulns": found} if found else {}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def osv(*, finds: bool = False, status: int = 200) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Osv)
    server.finds, server.status = finds, status  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    server.server_close()


def audit(url: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"BIN": str(Path(sys.executable).parent)}
    return subprocess.run([SCRIPT, url], capture_output=True, text=True, env=environment, check=False)


def test_packages_without_a_known_vulnerability_pass() -> None:
    with osv() as url:
        ended = audit(url)
    assert (ended.returncode, ended.stdout.splitlines()[-1]) == (
        0,
        "audit of packages: none of requirements-dev.txt is known to be vulnerable",
    )


def test_a_vulnerable_package_fails_by_name() -> None:
    with osv(finds=True) as url:
        ended = audit(url)
    assert ended.returncode == 1, ended.stderr
    assert "urllib3" in ended.stdout
    assert "OSV-TEST-1" in ended.stdout
    assert "FAILED, a known vulnerability" in ended.stdout.splitlines()[-1]


@pytest.mark.parametrize("why", ["refused", "503"])
def test_a_database_that_cannot_be_asked_is_skipped_and_reported(why: str) -> None:
    with osv(status=503) as url:
        ended = audit("http://127.0.0.1:1/v1/query" if why == "refused" else url)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "SKIPPED" in ended.stdout
    assert why in ended.stdout.lower()


def test_an_audit_that_cannot_be_done_for_another_reason_fails() -> None:
    with osv(status=404) as url:
        ended = audit(url)
    assert ended.returncode == 1
    assert "FAILED, pip-audit did not end its work" in ended.stdout
