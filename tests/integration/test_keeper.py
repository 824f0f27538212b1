"""The embedded PostgreSQL ends with its last user, however that one ends, and takes no signal for its end."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from bec_orch.io.postgres.embedded.embedded import EmbeddedPostgres
from tests.support.servers.postmasters import (
    USER_PROCESS,
    answers,
    ask,
    end,
    first_line,
    postmaster,
    servers,
    start_user,
    until,
)

LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[2]), int(sys.argv[3])))
"""
CAUGHT = """
from bec_orch.errors import BecError
try:
    EmbeddedPostgres(Path(sys.argv[1])).start()
except BecError as error:
    print(error.code, error.message, error.hint, sep="\\n")
"""


def keeper(home: Path) -> psutil.Process:
    """The parent of the server's main process."""
    parent = psutil.Process(postmaster(home)).parent()
    assert parent
    return parent


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_a_last_user_who_is_killed(home: Path, number: signal.Signals) -> None:
    user = start_user(home)
    conninfo = first_line(user)
    user.send_signal(number)
    user.communicate()
    until(lambda: not servers(home))
    assert not answers(conninfo)
    until(lambda: (home / "pg" / "keeper.json").read_bytes() == b"")
    assert not (home / "pg" / "data" / "postmaster.pid").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_a_user_who_is_killed_while_it_starts(home: Path, number: signal.Signals) -> None:
    user = start_user(home)
    until((home / "pg" / "data" / "postmaster.pid").exists)
    user.send_signal(number)
    user.communicate()
    until(lambda: not servers(home))
    with EmbeddedPostgres(home) as server:
        assert ask(server.conninfo) == "bec"


def test_others_keep_it_when_the_one_who_started_it_is_killed(home: Path) -> None:
    first = start_user(home)
    conninfo = first_line(first)
    with EmbeddedPostgres(home):
        first.kill()
        first.communicate()
        assert answers(conninfo)
    assert not servers(home)


def test_signals_to_a_terminal_or_a_group_do_not_reach_it(home: Path) -> None:
    user = start_user(home)
    conninfo = first_line(user)
    kept = keeper(home)
    assert os.getsid(kept.pid) not in {os.getsid(user.pid), os.getsid(0)}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        kept.send_signal(number)
    assert answers(conninfo)
    end(user)
    assert not servers(home)


def test_a_killed_keeper_leaves_the_server_to_its_last_user(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        keeper(home).kill()
        until(lambda: psutil.Process(postmaster(home)).ppid() != os.getpid())
        with EmbeddedPostgres(home) as second:
            assert ask(second.conninfo) == "bec"
        assert ask(server.conninfo) == "bec"
    assert not servers(home)
    assert (home / "pg" / "keeper.json").read_bytes() == b""


def test_what_waits_for_the_end_of_the_output_does_not_wait_for_the_server(home: Path) -> None:
    with EmbeddedPostgres(home):
        program = USER_PROCESS.replace("sys.stdin.readline()", "import os; os._exit(0)")
        ended = subprocess.run(
            [sys.executable, "-c", program, str(home)], capture_output=True, timeout=60, check=True, text=True
        )
        assert "dbname=bec" in ended.stdout


def test_a_low_limit_of_open_files_is_raised(home: Path) -> None:
    program = LIMITED + USER_PROCESS
    user = subprocess.Popen(
        [sys.executable, "-c", program, str(home), "40", "4096"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert answers(first_line(user))
    end(user)


@pytest.mark.parametrize("made", [True, False])
def test_a_limit_that_cannot_be_raised_is_reported(home: Path, *, made: bool) -> None:
    if not made:
        shutil.rmtree(home / "pg" / "data")
    code, message, hint = caught_at_its_start(home, 20)
    assert code == "E_PG_START"
    assert ("does not start: insufficient file descriptors" if made else "initdb failed: ") in message
    assert hint == "Only 20 files may be open at once here: raise that to 1024 or more (`ulimit -n`)."


def test_data_that_others_may_read_are_reported_with_what_closes_them(home: Path) -> None:
    with EmbeddedPostgres(home):
        pass
    data = home / "pg" / "data"
    data.chmod(0o755)
    code, message, hint = caught_at_its_start(home, 4096)
    assert (code, hint) == (
        "E_PG_START",
        f"Others may read its files, which PostgreSQL refuses: `chmod -R go= {data}`.",
    )
    assert "has invalid permissions" in message
    data.chmod(0o700)
    with EmbeddedPostgres(home) as server:
        assert ask(server.conninfo) == "bec"


def caught_at_its_start(home: Path, limit: int) -> list[str]:
    """Return code, sentence and hint of the error of a server that is started with so many open files at most."""
    program = LIMITED + USER_PROCESS.partition("with ")[0] + CAUGHT
    ended = subprocess.run(
        [sys.executable, "-c", program, str(home), str(limit), str(limit)],
        capture_output=True,
        timeout=60,
        check=True,
        text=True,
    )
    return ended.stdout.splitlines()
