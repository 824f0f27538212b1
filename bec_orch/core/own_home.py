"""The folder of local mode has to be one's own: whoever else may change it decides where this user writes."""

import os
import pwd
import stat
from pathlib import Path

from bec_orch.errors import ConfigError

FOLDERS = ("artefacts", "logs", "models", "overlays", "pg", "work", "workers")
"""What is made in a home."""

_ROOT = 0


def require_own_home(home: Path) -> None:
    """See that a home, and each folder in it, is this user's own or root's. Looks, and touches nothing.

    One that is not there is made: by root nowhere but in a folder of root's, or in one that is everybody's (/tmp), as
    its owner could neither use it nor be kept from leading it elsewhere.

    Raises:
        ConfigError: something is somebody else's (E_PG_OWNER).
    """
    if os.path.lexists(home):
        for path in (home, *(home / name for name in FOLDERS)):
            _require_own(path)
    elif os.geteuid() == _ROOT:
        above = next(folder for folder in home.parents if folder.exists())
        if not above.stat().st_mode & stat.S_ISVTX:
            _require_own(above)


def _require_own(path: Path) -> None:
    """Look at a folder, and at the link that leads there, if it is one."""
    for follow, what in ((False, "link" if path.is_symlink() else "folder"), (True, "folder")):
        try:
            owner = path.stat(follow_symlinks=follow).st_uid
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return  # there is nothing, or nothing that this user could use; whoever needs it says so
        if owner not in {os.geteuid(), _ROOT}:
            raise _foreign(path, what, name_of(owner))


def _foreign(path: Path, what: str, name: str) -> ConfigError:
    other = "name a folder of your own with BEC_HOME, or --out DIR."
    hint = (
        f"Run as that user: `sudo -u {name} bec ...`; or {other}"
        if os.geteuid() == _ROOT
        else other[0].upper() + other[1:]
    )
    return ConfigError(f"The {what} {path} belongs to {name}.", code="E_PG_OWNER", hint=hint)


def name_of(uid: int) -> str:
    """Return the name of a user, for a sentence."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user {uid}"
