"""kraken's own segmentation (`blla`), as something that finds lines, in a process and an environment of its own."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.other_readers import READERS, ROOT, python_of
from bench.whole_page import Outline, WholePageLayout

NAME = "blla"
SCRIPT = ROOT / "bench" / "readers" / "with_blla.py"


class KrakenLayout(WholePageLayout):
    """Finds lines as kraken does with the model that it brings along.

    Args:
        environments: folder of the readers' environments; kraken's is made where it is not there.

    Attributes:
        seconds: of CPU that it took for the last page.
    """

    def __init__(self, environments: Path = ROOT / "build" / "readers") -> None:
        super().__init__(NAME, READERS["kraken"].package)
        self.seconds = 0.0
        self._process = subprocess.Popen(  # noqa: S603  (our own script)
            [python_of(READERS["kraken"], environments), "-W", "ignore", SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def close(self) -> None:
        """End its process."""
        self._process.communicate()

    def outlines(self, page: NDArray[np.uint8]) -> list[Outline]:
        """Return the outlines of lines."""
        asked, told = self._process.stdin, self._process.stdout
        if asked is None or told is None:
            raise AssertionError
        asked.write(json.dumps({"width": page.shape[1], "height": page.shape[0]}).encode() + b"\n")
        asked.write(np.ascontiguousarray(page).tobytes())
        asked.flush()
        found = json.loads(told.readline())
        self.seconds = float(found["seconds"])
        return [np.array(outline, np.float64) for outline in found["outlines"]]
