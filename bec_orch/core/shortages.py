"""What this machine lacks just now (memory, disk, open files, processes, a mount), known by numbers or by words.

Nothing of it is the fault of a task or of the program: it passes, or somebody raises a limit.
"""

import errno
from dataclasses import dataclass
from pathlib import Path

from bec_orch.core.wording import clause, said
from bec_orch.errors import AWAY, FREE_SPACE, NO_ROOM, DiskFullError, RetryableError


@dataclass(frozen=True, slots=True)
class _Shortage:
    """One thing that may be lacking."""

    numbers: frozenset[int]
    words: tuple[str, ...]
    code: str
    what: str
    hint: str

    def explains(self, error: BaseException) -> bool:
        """Return whether an error comes of it."""
        text = str(error)
        return getattr(error, "errno", None) in self.numbers or any(word in text for word in self.words)


_MEMORY = _Shortage(
    frozenset({errno.ENOMEM}),
    ("failed to map segment", "Cannot allocate memory"),
    "E_MEMORY",
    "The memory of this process ran out",
    "Give it less to do at once (BEC_MEMORY_BUDGET_MIB, BEC_THREADS), raise `ulimit -v`, or take more memory.",
)
_FILES = _Shortage(
    frozenset({errno.EMFILE, errno.ENFILE}),
    ("Too many open files",),
    "E_OPEN_FILES",
    "This process has as many files open as it may",
    "Raise the limit, as with `ulimit -n 4096`, and run the same command again.",
)
_PROCESSES = _Shortage(
    frozenset({errno.EAGAIN}),
    ("can't start new thread", "can't spawn worker thread"),
    "E_PROCESSES",
    "The system starts no further process or thread for this user",
    "End others, or raise the limit (`ulimit -u`, `ulimit -v`), and run the same command again.",
)

_DISK = _Shortage(
    AWAY,
    (),
    "E_DISK_AWAY",
    "A disk or share is away",
    "Mount it again; the work goes on by itself.",
)


def shortage_of(error: BaseException, folder: Path | None = None) -> RetryableError | None:
    """Return what an error says of something that ran out; None: it says nothing of that.

    Args:
        error: the error of the system or of a library.
        folder: where it came up, for an error that names no file.
    """
    if isinstance(error, MemoryError):
        return _shortage_error(_MEMORY, "no more was given")
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        told = f"There is no room in {folder}" if folder else f"The disk is full: {said(error)}"
        return DiskFullError(f"{told}.", hint=FREE_SPACE)
    # A panic in a Rust library is not an Exception.
    if isinstance(error, Exception) and not isinstance(error, OSError | RuntimeError | ImportError):
        return None
    found = next((one for one in (_MEMORY, _FILES, _PROCESSES, _DISK) if one.explains(error)), None)
    return _shortage_error(found, said(error)) if found else None


def _shortage_error(shortage: _Shortage, why: str) -> RetryableError:
    return RetryableError(f"{shortage.what}: {clause(why)}.", code=shortage.code, hint=shortage.hint)
