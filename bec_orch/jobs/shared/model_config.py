"""The JSON config that lies beside the ONNX file of the library's published models, as far as all kinds have it.

Names have changed over the years: the ONNX file is `onnx-model`, `model_file`, or a pair `cpu-model`/`gpu-model` with a
path of its author's. What served only to train the model is ignored.
"""

import json
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

_MOST_BYTES = 4 * 2**20
"""The largest charset known takes 60 KB."""


class PublishedModelConfig(BaseModel):
    """What a published config says whatever the model is for."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    onnx_model: str | None = Field(default=None, alias="onnx-model")
    model_file: str | None = None
    cpu_model: str | None = Field(default=None, alias="cpu-model")
    gpu_model: str | None = Field(default=None, alias="gpu-model")

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read a config.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is not JSON, or a value is not allowed; the message says which.
        """
        try:
            return cls.model_validate(json.loads(_text(file)))
        except ValidationError as error:
            raise ValueError(_in_words(error)) from error
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error

    @property
    def file_name(self) -> str | None:
        """The ONNX file, beside the config."""
        named = self.onnx_model or self.model_file or self.cpu_model or self.gpu_model
        return Path(named.replace("\\", "/")).name if named else None


def _text(file: Path) -> str:
    if file.exists() and not file.is_file():
        raise ValueError("it is not a file")  # a pipe or a device would be read for ever
    with file.open("rb") as opened:
        data = opened.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ValueError(f"it has more than {_MOST_BYTES} bytes")
    return data.decode("utf-8-sig")


def _in_words(error: ValidationError) -> str:
    faults = error.errors(include_url=False, include_input=False)
    return "; ".join(f"`{'.'.join(map(str, fault['loc'])) or 'config'}`: {fault['msg']}" for fault in faults)
