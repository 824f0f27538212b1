"""What the child processes that try models have in common: limits that the kernel holds, and one answer."""

import json
import os
import resource
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bec_orch.core.wording import clause, named
from bec_orch.errors import BecError, ConfigError


def serve(try_it: Callable[[Mapping[str, Any]], None]) -> None:
    """Try the model that the standard input names, and say what is wrong with it: `{}` when nothing is."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as answer, Path(os.devnull).open("w") as nothing:
        # Libraries print what they like.
        os.dup2(nothing.fileno(), sys.stdout.fileno())
        request = json.load(sys.stdin)
        _limit(request["memory"], request["seconds"])
        json.dump(_tried(try_it, request), answer)


def _tried(try_it: Callable[[Mapping[str, Any]], None], request: Mapping[str, Any]) -> dict[str, str]:
    try:
        try_it(request)
    except ConfigError as error:
        return {"message": error.message, "code": error.code, "hint": error.hint}
    except BecError as error:
        return {"fault": clause(error.message)}
    except MemoryError:
        return {"fault": "it takes more memory than any model"}
    except Exception as error:  # noqa: BLE001  (whatever it is, it is this model's fault)
        return {"fault": named(error)}
    return {}


def _limit(memory: int, seconds: int) -> None:
    """Limit memory (bytes, Linux alone) and CPU time, and prevent writing files and leaving a core dump."""
    _set_limit(resource.RLIMIT_CPU, seconds)
    _set_limit(resource.RLIMIT_FSIZE, 0)
    _set_limit(resource.RLIMIT_CORE, 0)
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_bytes().split()[0])
        _set_limit(resource.RLIMIT_AS, pages * resource.getpagesize() + memory)


def _set_limit(kind: int, wanted: int) -> None:
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
