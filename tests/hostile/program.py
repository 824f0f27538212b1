"""Runs `bec` as its users do, in a process of its own, and measures it."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg.rows import dict_row

from bec_orch.io.postgres.embedded.embedded import EmbeddedPostgres

MOST_MEMORY = 800 * 2**20
"""What the worker may take with a budget of 256 MiB. It takes 640 MiB at most; a bomb that goes off takes 1.2 GiB."""
MOST_SECONDS = 60.0
"""What a volume of a few pages may take. It takes 10 s at most, and more where the machine has much else to do."""
_UNIT = 1 if sys.platform == "darwin" else 1024  # of `ru_maxrss`
# Between us and the program, and small: on Linux a process begins with the peak of the one that started it.
_MEASURE = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
with open(sys.argv[1], "w") as told:
    print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=told)
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended; `peak` is the most memory, in bytes, that it or a child of its own had resident."""

    code: int
    out: str
    err: str
    peak: int

    @property
    def json(self) -> Any:
        """What it printed with `--json`."""
        return json.loads(self.out)


def bec(*arguments: str | Path, settings: Mapping[str, str] | None = None) -> Ended:
    """Run a command of the program."""
    command = (sys.executable, "-m", "bec_orch.cli.main", *map(str, arguments))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": os.devnull,
        "BEC_THREADS": "2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",  # no models in bf16, which take 350 MiB more, on some processors only
        **(settings or {}),
    }
    with (
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
        tempfile.NamedTemporaryFile("r") as measured,
    ):
        measure = (sys.executable, "-c", _MEASURE, measured.name)
        subprocess.run([*measure, *command], env=environment, stdout=out, stderr=err, check=True)
        code, peak = map(int, measured.read().split())
        return Ended(code, _text(out), _text(err), peak * _UNIT)


def _text(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def rows_of(home: Path, statement: str) -> list[dict[str, Any]]:
    """Ask the database of a workspace."""
    with (
        EmbeddedPostgres(home) as server,
        psycopg.connect(server.conninfo, row_factory=dict_row) as connection,
    ):
        return connection.execute(statement.encode()).fetchall()
