"""A model that a config names is tried in a process of its own before a worker opens it.

Opening a model runs code in C on bytes from outside, and a graph is a program: it may crash, loop for ever, or ask for
all memory. A worker would die of it, and so would the next. Here the child does what the worker will do, with a blank
page or line; however it ends, the worker lives, and says which model it is.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bec_orch.core.shortages import shortage_of
from bec_orch.core.wording import said
from bec_orch.errors import ConfigError, RetryableError

CPU_SECONDS = 30
"""CPU time of a trial. A usual model takes 0.5 s, most of it to start Python."""
SECONDS = 600.0
"""For the same by the clock, on a machine that has much else to do."""
SPARE_BYTES = 4 * 2**30
TIMES_THE_FILE = 8
"""Memory of a trial: this much, plus this many times the largest file. The default line model takes up to 1 GiB."""
_KEPT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


def try_model(program: str, model: str, path: Path, request: Mapping[str, Any]) -> None:
    """Have a child process open a model and run it once.

    Args:
        program: the module of the child.
        model: what it is, for a person: begins the sentence.
        path: its file or folder.
        request: the child's request, sent as JSON.

    Raises:
        ConfigError: it cannot be used, and why (E_MODEL_INVALID, or what the child says).
        RetryableError: no process can be started (E_MODEL_TRIAL, or that of what this machine is short of).
    """
    try:
        with tempfile.TemporaryDirectory(prefix="model-") as nothing:
            asked = json.dumps({**request, "memory": _memory(path), "seconds": CPU_SECONDS}).encode()
            ended = _run(program, asked, nothing)
    except subprocess.TimeoutExpired as error:
        raise _refused(model, f"was not ready in {SECONDS:g} s") from error
    except OSError as error:
        raise shortage_of(error) or RetryableError(
            f"{model} could not be tried: {said(error)}.",
            code="E_MODEL_TRIAL",
            hint="See whether memory and processes are left.",
        ) from error
    answer = _answer(ended.stdout)
    if answer is None:
        raise _refused(model, _how(ended.returncode))
    if "fault" in answer:
        raise _refused(model, f"cannot be used: {answer['fault']}")
    if answer:
        raise ConfigError(**answer)


def _memory(path: Path) -> int:
    files = path.iterdir() if path.is_dir() else (path,)
    return SPARE_BYTES + TIMES_THE_FILE * max((file.stat().st_size for file in files if file.is_file()), default=0)


def _run(program: str, request: bytes, folder: str) -> "subprocess.CompletedProcess[bytes]":
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return subprocess.run(  # nosec B603  # noqa: S603  (the program is ours)
        [sys.executable, "-P", "-m", program],
        input=request,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # Empty, so that no file can be meant by a name without a path; and without the worker's passwords.
        cwd=folder,
        env={**kept, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"},
        timeout=SECONDS,
        start_new_session=True,
        check=False,
    )


def _answer(said_by_child: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(said_by_child)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _how(code: int) -> str:
    if code == -signal.SIGXCPU:
        return f"took more than {CPU_SECONDS} s of CPU time to be opened and run once"
    if code == -signal.SIGKILL:
        return "ended the process that tried it: the system killed it, as it does when memory runs out"
    if code == -signal.SIGXFSZ:
        return "ended the process that tried it: it wanted to write a file"
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"ended the process that tried it ({how})"


def _refused(model: str, fault: str) -> ConfigError:
    return ConfigError(
        f"{model} {fault}.",
        code="E_MODEL_INVALID",
        hint="Take the model as it was published, and from somebody you trust.",
    )
