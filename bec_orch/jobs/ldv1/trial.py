"""The child process that tries a line model: opens it as the worker will, and finds the lines of a blank page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bec_orch.jobs.ldv1.config import Ldv1Config
from bec_orch.jobs.ldv1.loading import load_line_model
from bec_orch.jobs.shared.trial_child import serve

BLANK = np.full((300, 400), 255, np.uint8)


def try_it(request: Mapping[str, Any]) -> None:
    """Open the model and run it once; see `serve`."""
    model = load_line_model(Ldv1Config.parse(request["config"]), Path(request["folder"]))
    view = model.view(BLANK, None)
    model.probability(view, model.infer(view.items))


if __name__ == "__main__":
    serve(try_it)
