"""`model_config.json`: the config of a published recogniser, with all that such files have held over the years.

Numbers may be strings; flags are "yes" or "no"; the charset is one string or a list; most fields may be missing.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from bec_orch.core.wording import said
from bec_orch.errors import ConfigError
from bec_orch.jobs.shared.model_config import PublishedModelConfig

CONFIG_FILES = ("model_config.json", "ocr_model_config.json", "config.json")


def _lower(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _apart(value: Any) -> Any:
    return tuple(value) if isinstance(value, str) else value


class CtcModelConfig(PublishedModelConfig):
    """The config of a published recogniser, as far as it matters for running it."""

    input_width: int = Field(ge=8, le=65536)
    input_height: int = Field(ge=8, le=4096)
    output_layer: str | None = None
    squeeze_channel_dim: bool | None = None
    swap_hw: bool = False
    encoder: Annotated[Literal["wylie", "stack"], BeforeValidator(_lower)] = "wylie"
    add_blank: bool = False
    charset: Annotated[tuple[str, ...], BeforeValidator(_apart)] = Field(min_length=1)


def read_ctc_config(path: Path) -> tuple[CtcModelConfig, Path]:
    """Read the config of a recogniser.

    Args:
        path: its folder, or the JSON file itself.

    Returns:
        The config, and the path of its ONNX file.

    Raises:
        ConfigError: nothing is there (E_MODEL_NOT_FOUND), or it is not such a config (E_MODEL_INVALID).
    """
    file = _config_file(path)
    try:
        config = CtcModelConfig.read(file)
    except (OSError, ValueError) as error:
        raise invalid(file, f"is not a config of a recogniser: {said(error)}") from error
    if not config.file_name:
        raise invalid(file, "names no ONNX file (`onnx-model`)")
    return config, file.parent / config.file_name


def invalid(path: Path, fault: str) -> ConfigError:
    """Make the error of a model that cannot be used."""
    return ConfigError(
        f"The OCR model '{path}' {fault}.",
        code="E_MODEL_INVALID",
        hint="Check that the folder is whole and unchanged: docs/ocr.md says what it must hold.",
    )


def _config_file(path: Path) -> Path:
    candidates = [path] if path.suffix == ".json" else [path / name for name in CONFIG_FILES]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise ConfigError(
        f"There is no `{CONFIG_FILES[0]}` in '{path}'.",
        code="E_MODEL_NOT_FOUND",
        hint="Give the path or URL of a model's own folder.",
    )
