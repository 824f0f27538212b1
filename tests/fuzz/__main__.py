"""Feed mutated input to what reads input from outside, for so many seconds each, all targets side by side.

    python -m tests.fuzz [TARGET ...] [--seconds N] [--seed N]

An input that does harm (an exception that is not promised, a crash, more than 10 s, more than 2 GB) is kept in
build/fuzz, and the exit code is 1. Once it is mended, it belongs into tests/fuzz/corpus/TARGET, where tests try it.
"""

import argparse
import faulthandler
import hashlib
import resource
import subprocess
import sys
import time
from pathlib import Path

from tests.fuzz.mutations import Mutator
from tests.fuzz.targets import TARGETS

COMMAND = (sys.executable, "-m", "tests.fuzz")
FOUND = Path("build/fuzz")
MOST_SECONDS = 10
MOST_MEMORY = 2 * 2**30
MOST_ADDRESSES = 16 * 2**30
"""Allocators reserve far more than they use; this keeps one input from taking the whole machine at once."""
_UNIT = 1 if sys.platform == "darwin" else 1024  # of `ru_maxrss`


def main() -> None:
    """Read the command line, and fuzz."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)} (default: all)")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the random numbers (default: the time)")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    names = asked.targets or list(TARGETS)
    unknown = set(names) - set(TARGETS)
    if unknown:
        parser.error(f"there is no target {', '.join(sorted(unknown))}")
    FOUND.mkdir(parents=True, exist_ok=True)
    if asked.alone:
        fuzz(names[0], asked.seconds, asked.seed)
    else:
        sys.exit(side_by_side(names, asked.seconds, asked.seed))


def side_by_side(names: list[str], seconds: float, seed: int) -> int:
    """Run each target in a process of its own, so that a crash ends one alone; keep what ended it."""
    print(f"{', '.join(names)}: {seconds:g} s each, seed {seed}", flush=True)
    options = ("--alone", f"--seconds={seconds}", f"--seed={seed}")
    processes = {name: subprocess.Popen([*COMMAND, name, *options]) for name in names}
    failed = [name for name, process in processes.items() if process.wait() != 0]
    for name in failed:
        data = _current(name).read_bytes()
        kept = FOUND / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
        kept.write_bytes(data)
        print(f"{name}: exit code {processes[name].returncode}; the input is kept in {kept}")
    return 1 if failed else 0


def fuzz(name: str, seconds: float, seed: int) -> None:
    """Fuzz one target in this process; the input that is being tried lies in a file."""
    target = TARGETS[name]
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESSES, MOST_ADDRESSES))
    mutator = Mutator(target.corpus(), target.tokens, seed)
    end, tried = time.monotonic() + seconds, 0
    with _current(name).open("wb", buffering=0) as current:
        while time.monotonic() < end:
            data = mutator.next()
            current.seek(0)
            current.truncate()
            current.write(data)
            faulthandler.dump_traceback_later(MOST_SECONDS, exit=True)
            target.check(data)
            if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT > MOST_MEMORY:
                sys.exit(f"{name}: it took more than {MOST_MEMORY} bytes of memory")
            tried += 1
    faulthandler.cancel_dump_traceback_later()
    print(f"{name}: {tried} inputs, none did harm", flush=True)


def _current(name: str) -> Path:
    return FOUND / f"{name}.now"


if __name__ == "__main__":
    main()
