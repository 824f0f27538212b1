"""The child process that tries a recogniser: opens it as the worker will, and reads a blank line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import override

from bec_orch.core.ports.job_worker import ModelStore, WorkerResources
from bec_orch.jobs.ocrv1.engines.config import Ocrv1Config
from bec_orch.jobs.ocrv1.engines.recogniser import load_recogniser
from bec_orch.jobs.shared.trial_child import serve

BLANK = np.full((48, 400), 255, np.uint8)


class _AsGiven(ModelStore):
    """The worker has fetched the model: what the config names here is a path."""

    @override
    def local_path(self, url: str) -> Path:
        return Path(url)


def try_it(request: Mapping[str, Any]) -> None:
    """Open the model and read once; see `serve`."""
    recogniser = load_recogniser(Ocrv1Config.parse(request["config"]), WorkerResources(1, 0, _AsGiven()))
    recogniser.recognise([BLANK])
    recogniser.close()


if __name__ == "__main__":
    serve(try_it)
