"""The limits of a child process that reads hostile files: the kernel holds them, so that they also end code in C.

Memory and CPU time are limited anew for each page, and a crash leaves no core file.
"""

import contextlib
import math
import resource
import signal
import sys
import time
from pathlib import Path

SPARE_BYTES = 64 * 2**20
"""Memory that a page may take beyond what explains itself: small buffers, and what the allocator keeps."""
CPU_SECONDS = 60
"""CPU time for one page. The largest that is allowed, 200 megapixels, takes 4 to 8 s in its slowest form."""


def settle(most_processes: int = 0) -> None:
    """Leave signals to the worker, which ends this process by closing the connection; and be the first to be killed.

    A page that takes the process over writes no file, and starts no program (unless it is root's).

    Args:
        most_processes: up to this many processes and threads may be asked for later, by lifting the limit.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # Linux alone has it
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(kind, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, most_processes))


def limit(allowance: int) -> None:
    """Limit what this process may take from now on, in memory (bytes, Linux alone) and in CPU time."""
    _set_limit(resource.RLIMIT_CPU, math.ceil(time.process_time()) + CPU_SECONDS)
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_bytes().split()[0])
        _set_limit(resource.RLIMIT_AS, pages * resource.getpagesize() + allowance)


def _set_limit(kind: int, wanted: int) -> None:
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
