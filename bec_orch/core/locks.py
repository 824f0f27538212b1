"""Locks on files, which the operating system drops when their holder dies; a disk that has none is refused.

A lock belongs to an opened file, not to a process: whoever inherits the open file holds the lock, too. It is seen by
every process of the machine, whatever namespace or container it lives in. Network folders may know no locks, or keep
them for one machine alone, and some grant every lock to everybody: nothing that must happen once may depend on those.
"""

import errno
import fcntl
import os
import stat
from pathlib import Path
from typing import IO

from bec_orch.core.wording import said
from bec_orch.errors import ConfigError

_UNKNOWN_THERE = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})


def for_its_owner(path: str, flags: int) -> int:
    """Open a file of which nobody else may take the lock, as anybody who may read it could. An `opener` of `open`.

    Raises:
        OSError: a link, a pipe, a device, a socket or a folder has its name.
    """
    file = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "It is not a file", path)
    os.set_blocking(file, True)
    return file


def open_lock(path: Path) -> IO[bytes]:
    """Open the file of a lock, or another one to append to, making it when it is not there, and following no link.

    Closing it releases the lock.
    """
    return open(path, "ab+", buffering=0, opener=for_its_owner)


def try_lock(file: IO[bytes], *, shared: bool = False) -> bool:
    """Take the lock of an open file if nobody is in the way, and return whether it was taken.

    Raises:
        ConfigError: the disk has no locks (E_NO_LOCKS).
    """
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _UNKNOWN_THERE:
            raise _refusal(Path(file.name), f"it says: {said(error)}") from error
        raise
    return True


def is_locked(path: Path) -> bool:
    """Return whether somebody holds the lock of a file alone."""
    with open_lock(path) as file:
        return not try_lock(file, shared=True)


def require_exclusion(path: Path) -> None:
    """See that a lock keeps others out, while this process holds it alone.

    Raises:
        ConfigError: a second one was let in (E_NO_LOCKS).
    """
    if not is_locked(path):
        raise _refusal(path, "two held one at the same time")


def _refusal(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"The disk of {path.parent} has no working file locks: {why}.",
        code="E_NO_LOCKS",
        hint="Name a folder on a disk of this machine with BEC_HOME (or --out DIR), or mount the share with its locks.",
    )
