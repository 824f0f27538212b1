"""How a user of the embedded PostgreSQL gets through to the server of its folder, and to no other.

A server is found at the socket in its own folder, never by what a file says of it: a copy of the folder has the file,
and not the socket. The system says on both sides who is at the other end. And the server has to read the very
`postmaster.pid` that lies here.
"""

import hashlib
import os
import pwd
import socket
import tempfile
from pathlib import Path

import psycopg
from psycopg.rows import dict_row

from bec_orch.core.wording import clause, said
from bec_orch.errors import DatabaseRefused
from bec_orch.io.postgres.connection import conninfo_of
from bec_orch.io.postgres.embedded.address import SOCKET, Address
from bec_orch.io.postgres.embedded.server import Server
from bec_orch.io.postgres.errors import database_errors
from bec_orch.io.postgres.rows import one
from bec_orch.io.postgres.sql_files import statements

DATABASE = "bec"
_CONNECT_SECONDS = 10


class Access:
    """The way to one server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._address = Address()
        self._why = "it says nothing"

    def is_open(self) -> bool:
        """Return whether a server listens at the socket; a link to that which was cleared away is made again."""
        path = Path(self._address.of(self._server.sockets)) / SOCKET
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(0)
            try:
                client.connect(os.fspath(path))
            except BlockingIOError:
                return True  # it has more to do than to take this one
            except OSError:
                return False
        return self._server.interlock.taken()

    def enter(self) -> str | None:
        """Return the connection string of the database, made if need be; None where the server is out of reach."""
        return self._enter(self._server.sockets)

    def enter_old(self) -> str | None:
        """As `enter`, for a server of an older version of this program, whose socket may be in a temporary folder."""
        if not self._server.interlock.may_be_unseen():
            return None
        root = self._server.sockets.parent
        name = hashlib.sha256(os.fsencode(root)).hexdigest()[:12]
        return self.enter() or self._enter(Path(tempfile.gettempdir()) / f"bec-pg-{os.geteuid()}-{name}")

    def close(self) -> None:
        """Leave nothing behind. May be called twice."""
        self._address.close()

    def refusal(self) -> DatabaseRefused:
        """Return the error for a server that runs, and is out of reach."""
        return DatabaseRefused(
            f"A server runs on {self._server.cluster.data}, and cannot be reached from here: {self._why}.",
            code="E_PG_ELSEWHERE",
            hint="It may be in another container or namespace, or hang: end the bec that uses it, then try again. "
            f"Its log is {self._server.log}.",
        )

    def _enter(self, sockets: Path) -> str | None:
        if not (sockets / SOCKET).exists():
            self._why = f"its socket {sockets / SOCKET} is gone"
            return None
        way = {"host": self._address.of(sockets), "user": "postgres", **self._peer()}
        to = conninfo_of(**way, dbname="postgres")
        try:
            connection = psycopg.connect(to, autocommit=True, connect_timeout=_CONNECT_SECONDS, row_factory=dict_row)
        except psycopg.OperationalError as error:
            self._why = clause("".join(str(error).strip().splitlines()[-1:])) or said(error)
            return None
        with database_errors("open the embedded database"), connection:
            found = one(connection, statements("embedded/access")["look"], {"database": DATABASE})
            if found["record"].splitlines()[:3] != self._server.interlock.lines()[:3]:
                self._why = "what answers works on other data"
                return None
            if not found["made"]:
                connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(DATABASE)))
        return conninfo_of(**way, dbname=DATABASE)

    def _peer(self) -> dict[str, str]:
        """Return whom libpq has to find at the other end; nobody where the system has no name for the data's owner."""
        try:
            return {"requirepeer": pwd.getpwuid(self._server.cluster.data.stat().st_uid).pw_name}
        except KeyError:
            return {}
