"""The file `.env` of the current folder: read only where it is the user's own, and never to reach beyond itself.

Whoever goes into a folder that somebody else filled did not choose the `.env` there. So that it cannot take away what
the environment protects, there are three rules, each an error that names the variable and the file:

1. The file belongs to the user or to root, and nobody else may write it.
2. Some settings are never taken from it: where secrets that it does not hold are fetched from or sent to, and which
   code runs.
3. Settings that belong together come from one place: where the environment sets one of a group, the file sets none.
"""

import io
import os
import stat
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from dotenv.parser import parse_stream

from bec_orch.core.wording import said
from bec_orch.errors import ConfigError

ENV_FILE = ".env"

_LONGEST = 2**20
_ROOT = 0

NEVER = frozenset(
    {
        "AWS_ENDPOINT_URL",
        "BEC_SQS_ENDPOINT_URL",
        "BEC_IMDS_URL",
        "BEC_SQL_PASSWORD_FILE",
        "BEC_SQL_PASSWORD_SECRET",
        "BEC_HOME",
        "BEC_EC2_KIT_URL",
        "BEC_EC2_KIT_SHA256",
        "BEC_FAILPOINT",
    }
)
"""What is never taken from the file. BEC_HOME is included because a database's folder says what its server runs."""

_GROUPS: Mapping[str, tuple[str, ...]] = {
    "database": ("BEC_SQL_",),
    "queue": ("BEC_REGION", "BEC_QUEUE", "BEC_SQS_"),
    "stores": ("BEC_DEST_", "BEC_SOURCE_", "BEC_S3_", "BEC_LD_MODEL_PATH"),
    "machines": ("BEC_EC2_",),
}


def read_env_file(path: Path) -> dict[str, str | None]:
    """Read the variables of the file; nothing where there is no such file. `$` in values stands for itself.

    Raises:
        ConfigError: it cannot be read, or somebody else may write it (E_ENV_FILE).
    """
    try:
        link = path.lstat()
        # A named pipe would block us; it is recognised once it is open.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                return {}
            text = file.read(_LONGEST).decode()
    except (FileNotFoundError, IsADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise _unsafe(path, f"it cannot be read: {said(error)}") from error
    variables = _parsed(path, text)
    if any(map(_is_ours, variables)):
        _require_own(path, link, found)
    return variables


def _parsed(path: Path, text: str) -> dict[str, str | None]:
    """Read the lines. What names none of our settings is somebody else's, whatever it is."""
    variables: dict[str, str | None] = {}
    for line in parse_stream(io.StringIO(text)):
        if line.key is not None:
            variables[line.key] = line.value
        if (line.error or (line.key or "").startswith(('"', "'"))) and _names_ours(line.original.string):
            raise _unsafe(path, f"its line {line.original.line} cannot be read", "Write NAME=value, the name unquoted.")
    return variables


def _names_ours(line: str) -> bool:
    name = line.partition("=")[0].upper()
    return any(ours in name for ours in ("BEC_", *NEVER)) and not name.lstrip().startswith("#")


def check_origins(path: Path, from_file: Iterable[str], environment: Collection[str]) -> None:
    """Refuse what a file may not set.

    Args:
        path: the file.
        from_file: the settings that would be taken from it, by their variables.
        environment: the names of the variables of the environment that are not empty.

    Raises:
        ConfigError: a setting that is never taken from the file (E_ENV_FILE_NAME), or one of a group of which the
            environment sets another one (E_ENV_FILE_MIXED).
    """
    for name in sorted(from_file):
        if name in NEVER:
            raise ConfigError(
                f"{name} is set in {path.absolute()}, and is never taken from such a file.",
                code="E_ENV_FILE_NAME",
                hint=f"Remove the line, or set {name} in the environment: {_DOCS}",
            )
        group = _group_of(name)
        beside = sorted(other for other in environment if group and _group_of(other) == group)
        if beside:
            raise ConfigError(
                f"{name} is set in {path.absolute()}, but {beside[0]} in the environment.",
                code="E_ENV_FILE_MIXED",
                hint=f"Settings of the {group} come from one place: move {name} into the environment. {_DOCS}",
            )


_DOCS = "docs/configuration.md says why."
_OWN_FILE = "Make it your own (`chown`, `chmod go-w`), remove it, or work from another folder."


def _require_own(path: Path, *found: os.stat_result) -> None:
    own = {os.geteuid(), _ROOT}
    strangers = [entry.st_uid for entry in found if entry.st_uid not in own]
    if strangers:
        raise _unsafe(path, f"it belongs to the user {strangers[0]}, not to you")
    if found[-1].st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _unsafe(path, "users other than you may write it")


def _unsafe(path: Path, why: str, hint: str = _OWN_FILE) -> ConfigError:
    return ConfigError(
        f"The settings in {path.absolute()} are refused: {why}.",
        code="E_ENV_FILE",
        hint=hint,
    )


def _is_ours(name: str) -> bool:
    return name.upper().startswith("BEC_") or name.upper() in NEVER


def _group_of(name: str) -> str | None:
    return next((group for group, beginnings in _GROUPS.items() if name.startswith(beginnings)), None)
