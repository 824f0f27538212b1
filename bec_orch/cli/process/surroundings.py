"""What the shell and the machine give to this process, and what is reported where that is too little."""

import os
import resource
import threading
from pathlib import Path

from bec_orch.core.shortages import shortage_of
from bec_orch.errors import BecError, ConfigError, UsageError

_MEBIBYTE = 2**20
LEAST_ADDRESS_SPACE = 512 * _MEBIBYTE
"""Bytes below which libraries in C crash, or end the process without a word, when they are loaded."""
ADDRESS_SPACE_OF_JOBS = 2048 * _MEBIBYTE
"""The same where a job runs: threads and models reserve much more than they use."""

# Those that OpenBLAS, the object stores' client and a command itself start as soon as they are loaded, and some more.
_THREADS_PER_CORE, _MOST_THREADS = 12, 64


def require_address_space(least: int) -> None:
    """See that this process may reserve this many bytes.

    Raises:
        ConfigError: it may not (E_ADDRESS_SPACE).
    """
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < least:
        raise ConfigError(
            f"The address space of this process is limited to {limit // _MEBIBYTE} MiB; "
            f"its libraries reserve {least // _MEBIBYTE} at least.",
            code="E_ADDRESS_SPACE",
            hint="Lift the limit with `ulimit -v unlimited`; a control group limits the memory that is really used.",
        )


def require_threads() -> None:
    """See that this process may have some threads: libraries crash, or interrupt the program, where it may not.

    Raises:
        RuntimeError: it may not; `told` knows it.
    """
    go = threading.Event()
    try:
        for _ in range(min(_MOST_THREADS, _THREADS_PER_CORE * (os.cpu_count() or 1))):
            threading.Thread(target=go.wait, daemon=True).start()
    finally:
        go.set()


def known_error(error: BaseException) -> BecError | None:
    """Return an error as one with a code, a sentence and a hint; None for one that is a fault of the program."""
    if isinstance(error, BecError):
        return error
    if isinstance(error, FileNotFoundError) and error.filename is None and _current_folder_is_gone():
        return UsageError(
            f"The current folder {os.environ.get('PWD', '')} no longer exists.",
            code="E_FOLDER_GONE",
            hint="Change to a folder that is there (`cd`), and run the same command again.",
        )
    return shortage_of(error)


def _current_folder_is_gone() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False
