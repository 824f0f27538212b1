"""The data folder of the embedded PostgreSQL: whose it is, what it holds, how it is made and who may log in."""

import os
import resource
import shutil
from pathlib import Path

from bec_orch.core.own_home import name_of
from bec_orch.errors import FREE_SPACE, BecError, ConfigError, DatabaseError, DiskFullError
from bec_orch.io.postgres.embedded.programs import MAJOR_VERSION, SYSTEM_USER, PgPrograms

# What a new cluster takes, and what a server may want at its start: one segment of the write-ahead log.
_CLUSTER_BYTES = 64 * 1024 * 1024
SEGMENT_BYTES = 16 * 1024 * 1024
# What PostgreSQL says of limits, and of a data folder whose mode is not 0700 or 0750.
_FEW_FILES = ("insufficient file descriptors", "Too many open files")
_OPEN_TO_OTHERS = "has invalid permissions"
_MOVE = "Move the folder away, or set BEC_HOME to another one; artefacts are adopted, not computed again."


class Cluster:
    """The folder `<home>/pg/data`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.data = root / "data"

    def refuse_unfit(self) -> None:
        """Refuse data that this user or program cannot work on. Looks, and touches nothing.

        Raises:
            ConfigError: it is somebody else's (E_PG_OWNER), of another version (E_PG_VERSION), damaged (E_PG_DAMAGED),
                or shares its files with another folder (E_PG_COPY).
        """
        if not self.data.exists():
            return
        self._refuse_foreign()
        self._refuse_other_version()
        control = self.data / "global" / "pg_control"
        if control.exists() and control.stat().st_nlink > 1:
            raise ConfigError(
                f"The files in {self.data} are hard links: another folder has the same ones.",
                code="E_PG_COPY",
                hint="Remove that copy, or make it again without hard links (`cp -a`, not `cp -al`).",
            )

    def make(self, programs: PgPrograms) -> None:
        """Make a cluster where there is none: beside its place and renamed, so that a crash leaves no half one.

        Raises:
            BecError: it cannot be made (E_PG_START, E_PG_USER), or there is no room.
        """
        fresh = self._root / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        programs.own(fresh)
        if programs.user_name is None:
            raise ConfigError(
                f"PostgreSQL makes no database for the user {os.geteuid()}, who has no name on this machine.",
                code="E_PG_USER",
                hint="Run as a user that /etc/passwd knows, or set BEC_SQL_HOST to use a server of your own.",
            )
        with programs.reaching(fresh) as (path, opened):
            options = ("-U", "postgres", "-E", "UTF8", "--no-locale", "-A", "peer")
            try:
                programs.run("initdb", "-D", path, *options, pass_fds=opened)
            except DatabaseError as error:
                hint = "Name another folder with BEC_HOME, or `--out DIR`."
                raise self.not_started(error, hint, needed=_CLUSTER_BYTES) from error
        fresh.rename(self.data)

    def let_in(self, programs: PgPrograms) -> None:
        """Let the user that the server runs as, and root, log in by what the system says of them, and nobody else.

        A user without a name cannot be named there: then the socket's folder alone keeps others out.
        """
        name = programs.user_name
        method = "peer map=bec" if name else "trust"
        names = dict.fromkeys(("root", name or "root"))
        self._write("pg_hba.conf", f"local all all {method}\nlocal replication all {method}\n", programs)
        self._write("pg_ident.conf", "".join(f'bec "{user}" all\n' for user in names), programs)

    def free_bytes(self) -> int:
        """Return how many bytes are free on its disk."""
        return shutil.disk_usage(self._root).free

    def not_started(self, error: DatabaseError, hint: str, *, needed: int) -> BecError:
        """Return what a failure of PostgreSQL's programs is: want of room where there is less than they need.

        `hint` is for what neither the disk nor PostgreSQL's own words explain.
        """
        if self.free_bytes() < needed:
            return DiskFullError(f"There is no room for the embedded PostgreSQL in {self._root}.", hint=FREE_SPACE)
        if any(words in error.message for words in _FEW_FILES):
            limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            hint = f"Only {limit} files may be open at once here: raise that to 1024 or more (`ulimit -n`)."
        elif _OPEN_TO_OTHERS in error.message:
            hint = f"Others may read its files, which PostgreSQL refuses: `chmod -R go= {self.data}`."
        return DatabaseError(error.message, code=error.code, hint=hint)

    def _refuse_foreign(self) -> None:
        owner, user = self.data.stat().st_uid, os.geteuid()
        name = name_of(owner)
        if user not in {0, owner}:
            hint = "Run as that user" + (" does: with sudo." if name in {"root", SYSTEM_USER} else ".")
            raise self._foreign(name, f"{hint} Or give it to yourself: `sudo chown -R $(id -u) {self._root}`.")
        if user == 0 and name == "root":
            hint = f"Was it copied by root, then copy it with `cp -a`, or `chown -R {SYSTEM_USER} {self.data}`."
            raise self._foreign(f"root, as whom PostgreSQL does not run: root's belong to {SYSTEM_USER}", hint)
        if user == 0 and name != SYSTEM_USER:
            raise self._foreign(name, f"Run as that user: `sudo -u {name} bec ...`.")

    def _foreign(self, name: str, hint: str) -> ConfigError:
        return ConfigError(f"The database in {self._root} belongs to {name}.", code="E_PG_OWNER", hint=hint)

    def _refuse_other_version(self) -> None:
        file = self.data / "PG_VERSION"
        found = file.read_text(errors="replace").strip() if file.exists() else ""
        if not found:
            how = "empty" if file.exists() else "missing"
            raise ConfigError(
                f"The file {file} is {how}: this is no database, or a crash of the machine cut it short.",
                code="E_PG_DAMAGED",
                hint=_MOVE,
            )
        if found != str(MAJOR_VERSION):
            raise ConfigError(
                f"The folder {self.data} holds data of PostgreSQL {found}, and this program runs {MAJOR_VERSION}.",
                code="E_PG_VERSION",
                hint=_MOVE,
            )

    def _write(self, name: str, text: str, programs: PgPrograms) -> None:
        file = self.data / name
        if file.exists() and file.read_text(errors="replace") == text:
            return
        # Renamed into its place, so that nothing is written through a link that the server's user may have left.
        fresh = self._root / name
        fresh.unlink(missing_ok=True)
        with fresh.open("x", encoding="utf-8") as made:
            made.write(text)
        programs.own(fresh)
        fresh.replace(file)
