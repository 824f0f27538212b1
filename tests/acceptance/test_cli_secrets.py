"""A canary in every place that a secret comes from is in nothing that real commands leave: output, tracebacks, logs,
database, artefacts, queue messages, launch templates, or the arguments that `ps` shows.
"""

import base64
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.acceptance.conftest import Bec, Ended, Start, ok, wait_for, write_scans
from tests.acceptance.test_cli_fleet import UP, job  # noqa: F401  (a fixture)
from tests.support.servers.aws import Aws
from tests.support.servers.postmasters import hba_file

PASSWORD = "canary-9f\"x 'y\\z%s"  # noqa: S105  (a canary)
KEY, TOKEN, URL_PASSWORD = "canary-key-4Hq", "canary-token-7Wz", "canary-in-url"
# Forms that a canary can take in JSON, in a repr, in base64 and in a URL all hold one of these.
TRACES = ("canary", "Y2FuYXJ5", "x 'y", "x%20%27y")


@dataclass
class Outputs:
    """Everything that commands printed."""

    bec: Bec
    kept: list[str] = field(default_factory=list)

    def __call__(self, *arguments: str | Path) -> Ended:
        ended = self.bec(*arguments)
        self.kept += [ended.out, ended.err]
        return ended


def assert_clean(text: str, what: str) -> None:
    found = [text[max(0, text.find(trace) - 100) : text.find(trace) + 60] for trace in TRACES if trace in text]
    assert not found, f"{what}: {found[0]}"


def everything_in(conninfo: str) -> str:
    """Every row of every table, as text."""
    with psycopg.connect(conninfo) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
        dump = []
        for (table,) in tables:
            query = sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(table))
            dump += [row[0] for row in connection.execute(query).fetchall()]
    assert len(dump) > 3
    return "\n".join(dump)


def files_below(folder: Path) -> str:
    """The content of every file that was left, secrets' own files aside."""
    files = [file for file in folder.rglob("*") if file.is_file() and file.name not in {".env", "password"}]
    assert files
    return "\n".join(f"{file}\n{file.read_bytes().decode('latin-1')}" for file in files)


@pytest.fixture
def password_asked(conninfo: str, server: str) -> Iterator[str]:
    """A user of the database whose password the server asks for."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("SET password_encryption = 'scram-sha-256'")
        connection.execute(sql.SQL("CREATE ROLE keeper SUPERUSER LOGIN PASSWORD {}").format(sql.Literal(PASSWORD)))
        file = hba_file(server)
        before = file.read_text()
        file.write_text(f"local all keeper scram-sha-256\n{before}")
        connection.execute("SELECT pg_reload_conf()")
        yield conninfo
        file.write_text(before)
        connection.execute("SELECT pg_reload_conf()")
        connection.execute("DROP ROLE keeper")


@pytest.fixture
def outputs(bec: Bec, password_asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Outputs:
    at = conninfo_to_dict(password_asked)
    scans = write_scans(tmp_path / "scans", {"W1/I1": 2, "W1/I2": 1}, empty={"W1/I2": 3})
    values = {
        "BEC_HOME": str(tmp_path / "home"),
        "BEC_SQL_HOST": str(at["host"]),
        "BEC_SQL_USER": "keeper",
        "BEC_SQL_DATABASE": str(at["dbname"]),
        "BEC_SOURCE_URL": scans.as_uri(),
        "BEC_SOURCE_LAYOUT": "folder",
        "BEC_LOG_LEVEL": "debug",
        "AWS_SECRET_ACCESS_KEY": KEY,
        "AWS_SESSION_TOKEN": TOKEN,
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return Outputs(bec)


def as_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aws: Aws) -> None:
    monkeypatch.setenv("BEC_SQL_PASSWORD", PASSWORD)


def as_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aws: Aws) -> None:
    # Settings of the database come from one place.
    of_database = ("BEC_SQL_HOST", "BEC_SQL_USER", "BEC_SQL_DATABASE")
    lines = [f"{name}={os.environ[name]}" for name in of_database] + ["BEC_SQL_PASSWORD=" + json.dumps(PASSWORD)]
    (tmp_path / "here" / ".env").write_text("\n".join(lines) + "\n")
    for name in of_database:
        monkeypatch.delenv(name)


def as_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aws: Aws) -> None:
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    monkeypatch.setenv("BEC_SQL_PASSWORD_FILE", str(tmp_path / "password"))


def as_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aws: Aws) -> None:
    name = aws.fresh_name("secret")
    aws.client("secretsmanager").create_secret(Name=name, SecretString=json.dumps({"password": PASSWORD}))
    monkeypatch.setenv("BEC_SQL_PASSWORD_SECRET", name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint_url)
    monkeypatch.setenv("BEC_REGION", aws.region)
    monkeypatch.setenv("BEC_QUEUE", "pg")


@pytest.mark.parametrize("plant", [as_variable, as_dotenv, as_file, as_secret])
def test_the_password_of_the_database_is_in_nothing_that_is_left(
    outputs: Outputs, password_asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aws: Aws, plant: object
) -> None:
    assert callable(plant)
    plant(tmp_path, monkeypatch, aws)
    for arguments in (
        ("jobs", "create", "toy"),
        ("queue", "enqueue", "toy", "--all"),
        ("worker", "--job", "toy", "--until-empty", "--debug"),
        ("--log-format", "text", "jobs", "tasks", "toy", "--json"),
        ("errors",),
        ("doctor", "--debug"),
        ("config", "show", "--json"),
        ("config", "show"),
        ("audit", "--deep", "--debug"),
    ):
        ended = outputs(*arguments)
        assert ended.code in {0, 1}, ended.err
    ok(outputs("audit"))
    assert_clean(everything_in(password_asked), "the database")
    assert_clean(files_below(tmp_path), "files")
    fail_in_every_way(outputs, monkeypatch)
    assert "Traceback" in "".join(outputs.kept)
    assert_clean("".join(outputs.kept), "output")


def fail_in_every_way(outputs: Outputs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Break one setting after the other; each ends in a traceback."""
    for name, value in (
        ("BEC_SQL_DATABASE", "nowhere"),
        ("BEC_SQL_USER", "nobody"),
        ("BEC_SQL_HOST", "127.0.0.1"),
        ("BEC_SQL_HOST", "nowhere.invalid"),
        ("BEC_SQL_PASSWORD_FILE", "/nowhere"),
        ("BEC_DEST_URL", "s3://nowhere/x"),
        ("BEC_SOURCE_URL", "s3://nowhere"),
    ):
        with monkeypatch.context() as broken:
            broken.setenv(name, value)
            broken.setenv("BEC_SQL_PORT", "1" if value == "127.0.0.1" else "5432")
            broken.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
            assert outputs("run-volume", "toy", "W1", "I3", "--force", "--debug").code != 0, name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_ENDPOINT_URL", f"http://someone:{URL_PASSWORD}@127.0.0.1:1"),
        ("BEC_SQS_ENDPOINT_URL", f"http://someone:{URL_PASSWORD}@127.0.0.1:1"),
        ("BEC_SQS_QUEUE_URLS", f"toy=http://someone:{URL_PASSWORD}@127.0.0.1:1/toy"),
        ("BEC_DEST_URL", f"s3://someone:{URL_PASSWORD}@bucket"),
        ("BEC_SOURCE_URL", f"s3://someone:{URL_PASSWORD}@bucket"),
        ("BEC_LD_MODEL_PATH", f"s3://someone:{URL_PASSWORD}@bucket/model"),
        ("BEC_SQL_PORT", URL_PASSWORD),
        ("BEC_SQL_PASWORD", URL_PASSWORD),
    ],
)
def test_a_password_in_a_setting_that_is_no_secret_is_refused_unseen(
    outputs: Outputs, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("BEC_SQL_PASSWORD", PASSWORD)
    monkeypatch.setenv(name, value)
    for command in (("jobs", "list"), ("config", "show"), ("doctor",)):
        ended = outputs(*command, "--debug")
        assert ended.code == (0 if name == "BEC_SQL_PASWORD" else 2), ended.err
    assert name in outputs.kept[1]
    assert_clean("".join(outputs.kept), "output")


def test_a_password_in_a_source_is_refused_and_stored_nowhere(
    outputs: Outputs, password_asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEC_SQL_PASSWORD", PASSWORD)
    ok(outputs("jobs", "create", "toy"))
    source = f"folder+s3://someone:{URL_PASSWORD}@bucket"
    (tmp_path / "list").write_text(f"W1,I1,{source}\n")
    for arguments in (
        ("queue", "enqueue", "toy", "--volume", "W1/I1", "--source", source),
        ("queue", "enqueue", "toy", "--all", "--source", source),
        ("queue", "enqueue", "toy", "--file", tmp_path / "list"),
        ("run-volume", "toy", "W1", "I1", "--source", source),
    ):
        ended = outputs(*arguments, "--debug")
        assert (ended.code, "E_SOURCE_NAME" in ended.err) == (2, True), ended.err
    assert_clean("".join(outputs.kept), "output")
    assert_clean(everything_in(password_asked), "the database")


class Telltale(BaseHTTPRequestHandler):
    """An S3 that tells every caller the token that it was sent, as AWS does of one that ran out."""

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = f"<Error><Code>{self.server.code}</Code><Message>no</Message><Token-0>{TOKEN}</Token-0></Error>"  # type: ignore[attr-defined]
        self.send_response(400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body.encode())

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer  # noqa: N815  (the library's names)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def telltale(code: str) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Telltale)
    server.code = code  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("code", "ends_with"), [("ExpiredToken", 5), ("SomethingElse", 1)])
def test_a_token_that_s3_repeats_goes_no_further(
    outputs: Outputs, password_asked: str, monkeypatch: pytest.MonkeyPatch, code: str, ends_with: int
) -> None:
    monkeypatch.setenv("BEC_SQL_PASSWORD", PASSWORD)
    ok(outputs("jobs", "create", "toy", "--max-attempts", "1"))
    ok(outputs("queue", "enqueue", "toy", "--all"))
    monkeypatch.setenv("BEC_BLACK_HOLE_GUARD", "1")
    with telltale(code) as url:
        monkeypatch.setenv("BEC_DEST_URL", "s3://bucket/x")
        monkeypatch.setenv("BEC_REGION", "us-east-1")
        monkeypatch.setenv("BEC_QUEUE", "pg")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        assert outputs("worker", "--job", "toy", "--until-empty", "--debug").code == ends_with
        assert outputs("audit", "--debug").code == ends_with
        outputs("doctor", "--debug")
        outputs("errors", "--json")
    assert_clean("".join(outputs.kept), "output")
    assert_clean(everything_in(password_asked), "the database")


def test_a_fleet_keeps_its_secrets(
    bec: Bec,
    job: str,  # noqa: F811
    aws: Aws,
    fleet_settings: dict[str, str],
    conninfo: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outputs = Outputs(bec)
    secret = aws.fresh_name("secret")
    aws.client("secretsmanager").create_secret(Name=secret, SecretString=json.dumps({"password": PASSWORD}))
    for name, value in (("AWS_SECRET_ACCESS_KEY", KEY), ("AWS_SESSION_TOKEN", TOKEN), ("BEC_LOG_LEVEL", "debug")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("BEC_SQL_PASSWORD_SECRET", secret)
    monkeypatch.setenv("BEC_EC2_SQL_PASSWORD_SECRET", secret)
    monkeypatch.setenv("BEC_LOG_LEVEL", "debug")
    s3 = aws.client("s3")
    archive = fleet_settings["BEC_SOURCE_URL"].removeprefix("s3://")
    monkeypatch.setenv("BEC_BACKOFF_BASE_SECONDS", "0.1")
    s3.put_object(Bucket=archive, Key="Works/other", Body=b"of another volume")
    ok(outputs("queue", "enqueue", job, "--volume", "W1/I1"))
    assert outputs("worker", "--job", job, "--until-empty").code == 1, "the volume is not there"
    assert outputs("queue", "peek", job, "--dead", "--json").json
    ok(outputs("scale", "up", job, "--count", "1", *UP, "--yes"))
    outputs("doctor")
    outputs("audit")
    for key in ("Works/other", "about.txt"):
        s3.delete_object(Bucket=archive, Key=key)
    s3.delete_bucket(Bucket=archive)
    outputs("run-volume", job, "W1", "I1", "--debug")

    template = aws.client("ec2").describe_launch_template_versions(
        LaunchTemplateName=f"bec-{job}", Versions=["$Latest"]
    )["LaunchTemplateVersions"]
    assert_clean(base64.b64decode(template[0]["LaunchTemplateData"]["UserData"]).decode(), "user data")
    assert_clean(json.dumps(template, default=str), "the launch template")
    assert_clean("".join(outputs.kept), "output")
    assert_clean(everything_in(conninfo), "the database")
    assert_clean(files_below(tmp_path), "files")


def test_ps_shows_no_secret_of_a_worker_or_of_what_it_starts(
    start: Start,
    outputs: Outputs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BEC_SQL_PASSWORD", PASSWORD)
    gate = tmp_path / "gate"
    gate.mkdir()
    config = json.dumps({"gate": str(gate), "index": 1})
    ok(outputs("jobs", "create", "gated", "--config-text", config))
    ok(outputs("queue", "enqueue", "gated", "--volume", "W1/I1"))
    worker = start("worker", "--job", "gated", "--processes", "2", "--until-empty")
    wait_for(gate / "reached", worker)
    shown = arguments_of_the_group(worker.pid)
    (gate / "open").touch()
    out, err = worker.communicate(timeout=60)
    assert worker.returncode == 0, err
    assert len(shown.splitlines()) >= 3, shown
    assert_clean(shown, "the arguments of processes")
    assert_clean(out + err, "the output of the worker")


def arguments_of_the_group(leader: int) -> str:
    """The arguments of all processes in the group of a process, as `ps` shows them."""
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("there is no /proc here")
    shown, give_up = "", time.monotonic() + 30
    while len(shown.splitlines()) < 3 and time.monotonic() < give_up:
        every = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]
        shown = "\n".join(_arguments(pid) for pid in every if _group(pid) == leader)
    return shown


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except (ProcessLookupError, PermissionError):
        return 0


def _arguments(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""
