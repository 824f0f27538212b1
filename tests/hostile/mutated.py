"""Take a volume of mutated pages through the real worker.

    python -m tests.hostile.mutated [--pages N] [--seed N]

Each page is one of some good ones of all formats, changed at random. Every page must end as a row, none may end its
decoder process or the worker, and the worker must stay small.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.mutations import Mutator
from tests.fuzz.targets import TARGETS, WRONG
from tests.hostile.program import MOST_MEMORY, bec

_KINDS = ("jpg", "png", "tif", "jp2", "webp", "gif")


def write(folder: Path, pages: int, seed: int) -> None:
    """Write a volume of mutated pages; their suffixes tell nothing of what is in them."""
    folder.mkdir(parents=True)
    target = TARGETS["image"]
    mutator = Mutator(target.made(), target.tokens, seed)
    for number in range(pages):
        (folder / f"{number:05}.{_KINDS[number % len(_KINDS)]}").write_bytes(mutator.next())


def faults(pages: int, seed: int) -> list[str]:
    """Run `ldv1` over such a volume, print what came of it, and tell what should not have come."""
    with tempfile.TemporaryDirectory(prefix="bec-test-") as folder:
        write(Path(folder) / "scans" / "W1" / "I1", pages, seed)
        run = ("run", "ldv1", Path(folder) / "scans", "--out", Path(folder) / "out", "--max-page-error-rate", "1")
        begun = time.monotonic()
        ended = bec(*run, "--json", settings={"BEC_MEMORY_BUDGET_MIB": "256"})
        seconds = time.monotonic() - begun
    if ended.code not in {0, 3}:
        return [f"exit code {ended.code}: {ended.err}"]
    found, counters = ended.json["pages"], ended.json["counters"]
    codes = {name: round(count) for name, count in counters.items() if name.startswith("E_")}
    print(f"{pages} pages in {seconds:.0f} s, {ended.peak / 2**20:.0f} MiB: {found}, {codes}")
    expected = {
        "pages without a row": pages - found["ok"] - found["error"],
        "decoders that went wrong": sum(codes.get(code, 0) for code in WRONG),
        "bytes of memory too many": max(0, ended.peak - MOST_MEMORY),
        "pages without any code": found["error"] - sum(codes.values()),
    }
    return [f"{what}: {count}" for what, count in expected.items() if count]


def main() -> None:
    """Read the command line, and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the random numbers (default: the time)")
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    found = faults(asked.pages, asked.seed)
    sys.exit("\n".join(found) or None)


if __name__ == "__main__":
    main()
