"""The server of one folder `<home>/pg`: how it is started, looked for and stopped.

    no server     `server.lock` is free. `postmaster.pid`, if there is one, is that of a server that died.
    starting      a keeper lives, and the lock is held by it and by all processes of the server
    ready         it answers at the socket in its own folder `run`
    stopping      the keeper has `users.lock` alone; then there is no server

The keeper (`keeper.py`) is started before the server and stops it. It stops no server of a version of this program that
knew no keepers, and a keeper may be killed: then the last user stops the server.
"""

import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import psutil

from bec_orch.core.locks import open_lock
from bec_orch.core.wording import clause
from bec_orch.errors import BecError, DatabaseError
from bec_orch.io.postgres.embedded import keeper
from bec_orch.io.postgres.embedded.address import SOCKET
from bec_orch.io.postgres.embedded.cluster import SEGMENT_BYTES, Cluster
from bec_orch.io.postgres.embedded.interlock import SOCKET_FOLDER, Interlock
from bec_orch.io.postgres.embedded.programs import ENVIRONMENT, PgPrograms

START_WAIT = 60.0
STOP_WAIT = 60.0
PAUSE = 0.005
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_directories": SOCKET_FOLDER,
    "max_connections": "200",
    "log_checkpoints": "off",
}
_SETTLED = 7  # the line of postmaster.pid that says how far the server is


class Server:
    """The server of a folder, whoever started it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.sockets = root / "run"
        self.log = root / "server.log"
        self.cluster = Cluster(root)
        self.interlock = Interlock(root)

    def start(self, lock: IO[bytes]) -> None:
        """Start it, with the lock that `Interlock.take` gave, and wait until it is ready.

        Raises:
            BecError: it does not start (E_PG_START), or must not.
        """
        programs = PgPrograms()
        if not self.cluster.data.exists():
            self.cluster.make(programs)
            self.interlock.forget()
        self.interlock.refuse_others()
        self.interlock.clear()
        self.cluster.let_in(programs)
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        programs.own(self.sockets)
        said_before = self.log.stat().st_size if self.log.exists() else 0
        with programs.reaching(self.cluster.data) as (path, opened):
            self._spawn(programs, path, (*opened, lock.fileno()))
        self._wait_until_ready(said_before)

    def is_ready(self) -> bool:
        """Return whether it says that it takes connections."""
        return [line.strip() for line in self.interlock.lines()[_SETTLED:]] == ["ready"]

    def is_lost(self) -> bool:
        """Return whether it runs and its socket is gone: it makes no new one, and nobody will reach it again."""
        return self.is_ready() and not (self.sockets / SOCKET).exists()

    def stop_unkept(self) -> None:
        """Stop one that no keeper stops: the process that works in this very folder. For its last user."""
        process = self.interlock.process()
        if process is None:
            return
        process.send_signal(keeper.FAST)
        try:
            process.wait(STOP_WAIT)
        except psutil.TimeoutExpired as error:
            raise DatabaseError(f"The embedded PostgreSQL in {self._root} does not stop.", code="E_PG_STOP") from error
        self.interlock.forget()

    def _spawn(self, programs: PgPrograms, path: str, inherited: tuple[int, ...]) -> None:
        settings = (word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}"))
        server = (programs.path("postgres"), "-D", path, *settings)
        with ExitStack() as opened:
            record = opened.enter_context(self.interlock.record())
            log = opened.enter_context(open_lock(self.log))
            who = (str(self._root / "users.lock"), str(record.fileno()), *map(str, programs.ids))
            # Isolated, and without site: it begins in a tenth of the time, and no setting of Python reaches it.
            subprocess.run(  # nosec B603  # noqa: S603  (this interpreter and a file of this package)
                [sys.executable, "-I", "-S", keeper.__file__, *who, *server],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=ENVIRONMENT,
                pass_fds=(record.fileno(), *inherited),
                start_new_session=True,
                check=False,  # where it fails nobody holds the record's lock, and the log says why
            )

    def _wait_until_ready(self, said_before: int) -> None:
        give_up = time.monotonic() + START_WAIT
        while not (self.interlock.is_ours() and self.is_ready()):
            if not self.interlock.kept() or time.monotonic() > give_up:
                raise self._not_started(said_before)
            time.sleep(PAUSE)

    def _not_started(self, said_before: int) -> BecError:
        with self.log.open("rb") as file:
            file.seek(said_before)
            lines = file.read().decode(errors="replace").splitlines()
        fatal = [line for line in lines if "FATAL:" in line or "PANIC:" in line] or lines[-1:] or ["it says nothing"]
        sentence = f"The embedded PostgreSQL in {self._root} does not start: {clause(fatal[-1].split(':  ')[-1])}."
        if self.interlock.may_be_unseen():
            hint = f"If no PostgreSQL works on {self.cluster.data}, remove {self.cluster.data / 'postmaster.pid'}."
        else:
            hint = f"The server's log is {self.log}."
        return self.cluster.not_started(DatabaseError(sentence, code="E_PG_START"), hint, needed=SEGMENT_BYTES)
