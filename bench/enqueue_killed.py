"""Enqueues a list of volumes with the program itself, killed again and again at random, and counts what came of it.

python -m bench.enqueue_killed [--volumes 60000] [--kills 10] [--seed 1]

Everything runs on the embedded database of a fresh folder. Ends with 0 only if each volume has its task, once.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bec_orch.io.postgres.database import Database
from bec_orch.io.postgres.embedded.embedded import EmbeddedPostgres

JOB = "lines"
# A second enqueueing waits behind what a killed one left running in the server; nobody waits longer for it than this.
_GIVE_UP = 300.0

_COUNTS = """
SELECT (SELECT count(*) FROM volumes) AS volumes,
       (SELECT count(*) FROM tasks) AS tasks,
       (SELECT count(DISTINCT volume_id) FROM tasks) AS volumes_with_a_task,
       (SELECT count(*) FROM tasks WHERE dispatched_at IS NULL) AS unsent,
       (SELECT count(*) FROM queue_messages) AS messages,
       (SELECT count(DISTINCT body) FROM queue_messages) AS volumes_with_a_message
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the kills left once an enqueueing came to its end.

    `killed` counts the processes that were killed before they were done, `sent_twice` the messages that were sent again
    because nobody knew that they had been sent, which is harmless; `seconds` is the enqueueing that nobody disturbed:
    the kills come at random moments within that time.
    """

    volumes: int
    killed: int
    lost: int
    doubled: int
    unsent: int
    without_a_message: int
    sent_twice: int
    seconds: float

    @property
    def well(self) -> bool:
        """Whether each volume has one task, and each task a message."""
        return not (self.lost or self.doubled or self.unsent or self.without_a_message)


class Program:
    """The program in a folder of its own."""

    def __init__(self, folder: Path, volumes: int) -> None:
        self.home = folder / "home"
        self.list = folder / "volumes.csv"
        folder.mkdir(parents=True)
        self.list.write_text("".join(f"W{n // 20},I{n:06d}\n" for n in range(volumes)))
        self._environment = {
            **os.environ,
            "BEC_HOME": str(self.home),
            "BEC_SOURCE_LAYOUT": "folder",
            "BEC_SOURCE_URL": "file:///scans",
        }

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start the program."""
        command = [sys.executable, "-m", "bec_orch.cli.main", *arguments]
        return subprocess.Popen(command, env=self._environment, stdout=subprocess.DEVNULL)  # noqa: S603  (our own program)

    def enqueue(self) -> "subprocess.Popen[bytes]":
        """Start to enqueue the list."""
        return self.start("queue", "enqueue", JOB, "--file", str(self.list))

    def timed(self) -> float:
        """Make the job, enqueue the list, and return the seconds of the latter."""
        _well(self.start("jobs", "create", JOB, "--type", "ldv1"))
        begun = time.perf_counter()
        _well(self.enqueue())
        return time.perf_counter() - begun

    def counts(self) -> dict[str, Any]:
        """Count what lies in the database."""
        with (
            EmbeddedPostgres(self.home) as server,
            Database(server.conninfo) as database,
            database.transaction("count") as connection,
        ):
            found = connection.execute(_COUNTS.encode()).fetchone()
        assert found  # noqa: S101  (a statement of counts gives one row)
        return found


def run(folder: Path, volumes: int, kills: int, seed: int) -> Outcome:
    """Enqueue once undisturbed, and once with this many kills; return what became of the second."""
    seconds = Program(folder / "undisturbed", volumes).timed()
    program = Program(folder / "killed", volumes)
    _well(program.start("jobs", "create", JOB, "--type", "ldv1"))
    chance = random.Random(seed)  # noqa: S311  (not for secrets)
    killed = 0
    while killed < kills:
        killed += _killed(program.enqueue(), chance.uniform(0, seconds))
    _well(program.enqueue())
    found = program.counts()
    return Outcome(
        volumes,
        killed,
        lost=volumes - found["volumes_with_a_task"],
        doubled=found["tasks"] - found["volumes_with_a_task"],
        unsent=found["unsent"],
        without_a_message=volumes - found["volumes_with_a_message"],
        sent_twice=found["messages"] - found["volumes_with_a_message"],
        seconds=seconds,
    )


def _killed(process: "subprocess.Popen[bytes]", after: float) -> bool:
    """Kill a process after this many seconds, and return whether it was still at work."""
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.kill()
    return process.wait() != 0


def _well(process: "subprocess.Popen[bytes]") -> None:
    if process.wait(_GIVE_UP) != 0:
        raise subprocess.CalledProcessError(process.returncode, process.args)


def main() -> int:
    """Run the bench and print its line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", type=int, default=60_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bec-bench-") as folder:
        # The embedded PostgreSQL may run as a user of its own.
        Path(folder).chmod(0o755)
        outcome = run(Path(folder) / "run", options.volumes, options.kills, options.seed)
    print(
        f"{outcome.volumes} volumes, killed {outcome.killed} times: {outcome.lost} lost, {outcome.doubled} doubled, "
        f"{outcome.unsent + outcome.without_a_message} without a message, {outcome.sent_twice} messages sent twice; "
        f"undisturbed it takes {outcome.seconds:.1f} s"
    )
    return int(not outcome.well)


if __name__ == "__main__":
    sys.exit(main())
