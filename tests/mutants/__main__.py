"""Takes the guards of the program away one at a time, and sees that a test notices: `python -m tests.mutants`.

Each mutant is an edit of a copy of this checkout; the tests that the catalogue names run on the copy. Ends with 0 only
when every mutant was killed. First the same tests run on the copy as it is: they have to pass.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Edit, Mutant

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "build", "__pycache__", "*_cache", ".hypothesis", ".ci")
# Longer than all named tests of a mutant take on a busy machine: one that hangs is one that they notice.
_SECONDS = 600
# The named tests of all mutants, one after the other.
_SECONDS_OF_ALL = 3600

_FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)
_PASSED, _FAILURES = 0, 1


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant, the test that noticed it, and the seconds that it took."""

    mutant: Mutant
    word: str
    by: str
    seconds: float


def main() -> int:
    """Run the mutants that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="mutants to run; all without any")
    names = parser.parse_args().names
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    with tempfile.TemporaryDirectory(prefix="bec-mutants-") as folder:
        # The embedded PostgreSQL may run as a user of its own.
        Path(folder).chmod(0o755)
        checkout = copied(Path(folder))
        begun = time.monotonic()
        every = sorted({test for mutant in chosen for test in mutant.tests})
        word, by = tested(checkout, every, _SECONDS_OF_ALL)
        print(
            f"{'passed' if word == 'survived' else word:8} without any edit: {time.monotonic() - begun:.0f} s {by}",
            flush=True,
        )
        if word != "survived":
            print("The tests have to pass before a mutant can show anything.", file=sys.stderr)
            return 2
        outcomes = [run(checkout, mutant) for mutant in chosen]
    killed = sum(outcome.word == "killed" for outcome in outcomes)
    print(f"{killed} of {len(outcomes)} mutants killed in {sum(outcome.seconds for outcome in outcomes):.0f} s")
    return int(killed < len(outcomes))


def copied(folder: Path) -> Path:
    """Copy the checkout, with the real data beside it where it is there."""
    checkout = folder / "checkout"
    shutil.copytree(ROOT, checkout, ignore=LEFT_OUT)
    shared = ROOT.parent / "shared"
    if shared.is_dir():
        (folder / "shared").symlink_to(shared)
    return checkout


def run(checkout: Path, mutant: Mutant) -> Outcome:
    """Test one mutant, and print its line."""
    begun = time.monotonic()
    with edited(checkout / "bec_orch", mutant.edits):
        word, by = tested(checkout, mutant.tests, _SECONDS)
    outcome = Outcome(mutant, word, by, time.monotonic() - begun)
    print(f"{outcome.word:8} {mutant.name:38} {outcome.seconds:4.0f} s  {outcome.by}", flush=True)
    return outcome


@contextmanager
def edited(package: Path, edits: Sequence[Edit]) -> Iterator[None]:
    """Make the edits for a block."""
    before = {edit.file: (package / edit.file).read_text("utf-8") for edit in edits}
    try:
        for name, text in applied(before, edits).items():
            (package / name).write_text(text, "utf-8")
        yield
    finally:
        for name, text in before.items():
            (package / name).write_text(text, "utf-8")


def applied(texts: dict[str, str], edits: Sequence[Edit]) -> dict[str, str]:
    """Return the texts of the files with the edits made.

    Raises:
        ValueError: what is to be replaced does not stand there exactly once.
    """
    after = dict(texts)
    for edit in edits:
        if after[edit.file].count(edit.old) != 1:
            raise ValueError(f"{edit.file} has not once: {edit.old}")
        after[edit.file] = after[edit.file].replace(edit.old, edit.new)
    return after


def tested(checkout: Path, tests: Sequence[str], seconds: float) -> tuple[str, str]:
    """Run tests up to the first that fails; return what that says of a mutant, and the test."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        ended = subprocess.run(
            command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return "killed", f"by {seconds:.0f} s of silence"
    failed = _FAILED.search(ended.stdout)
    if ended.returncode == _FAILURES and failed:
        return "killed", failed[1]
    if ended.returncode == _PASSED:
        return "survived", ""
    return "broken", ended.stdout[-500:] + ended.stderr[-500:]


if __name__ == "__main__":
    sys.exit(main())
