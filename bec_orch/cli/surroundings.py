"""What the shell and the machine set as limits, told as such where a library or the system stumbles over them."""

import errno
import os
import resource
from dataclasses import dataclass
from pathlib import Path

from bec_orch.errors import FREE_SPACE, NO_ROOM, BecError, ConfigError, DiskFullError, RetryableError, UsageError

_MEBIBYTE = 2**20
LEAST_ADDRESS_SPACE = 512 * _MEBIBYTE
"""Bytes below which libraries in C crash, or end the process without a word, when they are loaded."""
ADDRESS_SPACE_OF_JOBS = 4096 * _MEBIBYTE
"""The same where a job runs: threads and models reserve much more than they use."""


@dataclass(frozen=True, slots=True)
class _Shortage:
    """Something that ran out: how it is known, by the system's numbers or a library's words, and how it is told."""

    numbers: frozenset[int]
    words: tuple[str, ...]
    code: str
    message: str
    hint: str

    def explains(self, error: BaseException) -> bool:
        """Tell whether an error comes of it."""
        text = str(error)
        return getattr(error, "errno", None) in self.numbers or any(word in text for word in self.words)


_SHORTAGES = (
    _Shortage(
        frozenset({errno.ENOMEM}),
        ("failed to map segment", "Cannot allocate memory"),
        "E_MEMORY",
        "The memory of this process ran out",
        "Give it less to do at once (BEC_MEMORY_BUDGET_MIB, BEC_THREADS), raise `ulimit -v`, or take more memory.",
    ),
    _Shortage(
        frozenset({errno.EMFILE, errno.ENFILE}),
        ("Too many open files",),
        "E_OPEN_FILES",
        "This process has as many files open as it may",
        "Raise the limit, as with `ulimit -n 4096`, and run the same command again.",
    ),
    _Shortage(
        frozenset({errno.EAGAIN}),
        ("can't start new thread",),
        "E_PROCESSES",
        "The system starts no further process or thread for this user",
        "End others, or raise the limit (`ulimit -u`), and run the same command again.",
    ),
)


def require_address_space(least: int) -> None:
    """See that this process may reserve so many bytes.

    Raises:
        ConfigError: it may not (E_ADDRESS_SPACE).
    """
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit not in {resource.RLIM_INFINITY, -1} and limit < least:
        raise ConfigError(
            f"The address space of this process is limited to {limit // _MEBIBYTE} MiB; "
            f"its libraries reserve {least // _MEBIBYTE}.",
            code="E_ADDRESS_SPACE",
            hint="Lift the limit with `ulimit -v unlimited`; a control group limits the memory that is really used.",
        )


def told(error: BaseException) -> BecError | None:
    """Give what an error says of the surroundings of this process; None: it says nothing of them."""
    if isinstance(error, BecError):
        return error
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        return DiskFullError(f"The disk is full: {error}.", hint=_largest_file() or FREE_SPACE)
    if isinstance(error, FileNotFoundError) and error.filename is None and _current_folder_is_gone():
        return UsageError(
            f"The current folder {os.environ.get('PWD', '')} is no more.",
            code="E_FOLDER_GONE",
            hint="Change to a folder that is there (`cd`), and run the same command again.",
        )
    if isinstance(error, MemoryError):
        return _told(_SHORTAGES[0], "no more was given")
    shortage = next((shortage for shortage in _SHORTAGES if shortage.explains(error)), None)
    return _told(shortage, str(error)) if shortage else None


def _told(shortage: _Shortage, why: str) -> RetryableError:
    return RetryableError(f"{shortage.message}: {why.removesuffix('.')}.", code=shortage.code, hint=shortage.hint)


def _largest_file() -> str:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if limit in {resource.RLIM_INFINITY, -1}:
        return ""
    return f"No file may become larger than {limit} bytes here: lift the limit with `ulimit -f unlimited`."


def _current_folder_is_gone() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False
