"""What loading onnxruntime leaves behind."""

import os
import subprocess
import sys
from pathlib import Path

# onnxruntime keeps quiet by itself under a CI service.
_QUIET = {"ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "CI", "GITHUB_ACTIONS", "TF_BUILD"}


def test_loading_onnxruntime_leaves_no_id_of_the_machine_in_the_home_folder(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in _QUIET and not name.startswith("XDG_")}
    code = "import bec_orch.jobs.shared.model_session"
    subprocess.run([sys.executable, "-c", code], env={**kept, "HOME": str(tmp_path)}, check=True)
    assert list(tmp_path.rglob("*onnxruntime*")) == []
