"""The path of a socket's folder, short enough for the system: through a link of one's own where it is too long."""

import os
import shutil
import tempfile
from pathlib import Path

from bec_orch.errors import ConfigError

SOCKET = ".s.PGSQL.5432"
# sun_path of sockaddr_un holds 104 bytes on macOS, 108 on Linux; the last is NUL.
_LONGEST = 103


class Address:
    """How this process names a folder of sockets. Others have links of their own, where only they may enter."""

    def __init__(self) -> None:
        self._link: Path | None = None

    def of(self, folder: Path) -> str:
        """Return a path for libpq; a link that somebody cleared away is made again, under the same name.

        Raises:
            ConfigError: there is no short path, as the folder for temporary files is itself too deep (E_PG_HOME).
        """
        if _fits(folder):
            return str(folder)
        if self._link is None:
            self._link = Path(tempfile.mkdtemp(prefix="bec-pg-")) / "run"
        if not _fits(self._link):
            self.close()
            raise ConfigError(
                f"The path of the socket in {folder} is too long, and so is one in {tempfile.gettempdir()}.",
                code="E_PG_HOME",
                hint="Set BEC_HOME or TMPDIR to a folder with a shorter path.",
            )
        self._link.parent.mkdir(mode=0o700, exist_ok=True)
        if not self._link.is_symlink() or self._link.readlink() != folder:
            self._link.unlink(missing_ok=True)
            self._link.symlink_to(folder)
        return str(self._link)

    def close(self) -> None:
        """Remove the link. May be called twice."""
        if self._link:
            shutil.rmtree(self._link.parent, ignore_errors=True)
            self._link = None


def _fits(folder: Path) -> bool:
    # libpq takes a comma for the end of a host.
    return len(os.fsencode(folder / SOCKET)) <= _LONGEST and "," not in str(folder)
