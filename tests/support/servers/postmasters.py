"""The embedded PostgreSQL as tests meet it: users in processes of their own, and what becomes of its server."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
from psycopg.conninfo import conninfo_to_dict

from bec_orch.io.postgres.embedded.interlock import Interlock

USER_PROCESS = """
import sys
from pathlib import Path
from bec_orch.io.postgres.embedded.embedded import EmbeddedPostgres
with EmbeddedPostgres(Path(sys.argv[1])) as server:
    print(server.conninfo, flush=True)
    sys.stdin.readline()
"""


def postmaster(home: Path) -> int:
    return int((home / "pg" / "data" / "postmaster.pid").read_text().splitlines()[0])


def note_of_a_crash(home: Path) -> None:
    """Leave what is left of a server that did not end in order."""
    with Interlock(home / "pg").record():
        pass


def kill(home: Path) -> None:
    """Kill a server, and wait until the process is gone."""
    process = psutil.Process(postmaster(home))
    process.kill()
    with contextlib.suppress(psutil.NoSuchProcess):
        while process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)


def ask(conninfo: str) -> str:
    with psycopg.connect(conninfo) as connection:
        row = connection.execute("SELECT current_database()").fetchone()
    assert row
    return str(row[0])


def answers(conninfo: str) -> bool:
    try:
        return ask(conninfo) == "bec"
    except psycopg.OperationalError:
        return False


def start_user(home: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", USER_PROCESS, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def end(process: "subprocess.Popen[str]") -> None:
    process.communicate("\n", timeout=30)


def hba_file(conninfo: str) -> Path:
    """Return the file that says who may log in to an embedded server, which itself may name it by an open folder."""
    return Path(str(conninfo_to_dict(conninfo)["host"])).parent / "data" / "pg_hba.conf"


def until(happened: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something happened.

    Raises:
        TimeoutError: it did not.
    """
    give_up = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > give_up:
            raise TimeoutError
        time.sleep(0.01)


def servers(home: Path) -> list[int]:
    """Return the processes of PostgreSQL that work in a home, main ones and their children."""
    return [process.pid for process in psutil.process_iter() if _works_in(process, home / "pg" / "data")]


def _works_in(process: psutil.Process, data: Path) -> bool:
    try:
        return bool(process.name().startswith("postgres") and process.cwd() == str(data))
    except psutil.Error:
        return False
