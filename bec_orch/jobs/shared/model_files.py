"""Model files: read whole, once, so that what is hashed is what is opened."""

import hashlib
from pathlib import Path

from bec_orch.core.wording import said
from bec_orch.errors import ConfigError

MOST_BYTES = 2**31 - 1
"""A Protobuf, which an ONNX file is, holds no more; other models are far smaller."""


def read_model(path: Path) -> bytes:
    """Read a model file.

    Raises:
        ConfigError: there is no such file (E_MODEL_NOT_FOUND), or it is empty or too large (E_MODEL_INVALID).
    """
    if not path.is_file():
        # A pipe or a device would be read for ever.
        raise _not_found(path, "it is not a file" if path.exists() else "there is no such file")
    try:
        size = path.stat().st_size
        data = path.read_bytes() if 0 < size <= MOST_BYTES else b""
    except OSError as error:
        raise _not_found(path, said(error)) from error
    if not data:
        raise invalid_model(path, f"has {size} bytes; a model has up to {MOST_BYTES}")
    return data


def digest_of(data: bytes) -> str:
    """Return the SHA-256 of a model file, as hex."""
    return hashlib.sha256(data).hexdigest()


def invalid_model(path: Path, fault: str) -> ConfigError:
    """Return the error of a model file that cannot be used; the fault follows its name."""
    return ConfigError(
        f"The model file '{path}' {fault}.",
        code="E_MODEL_INVALID",
        hint="Check that the file is complete (a git-lfs pointer is not), and whole in itself: other files that it "
        "names are not read.",
    )


def _not_found(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"The model file '{path}' cannot be read: {why}.",
        code="E_MODEL_NOT_FOUND",
        hint="Check the path, or leave it out to use the default model.",
    )
