"""The config of an `ldv1` job: which model finds the lines, and at what scale."""

from pydantic import Field

from bec_orch.jobs.pipeline.config import PageJobConfig

PPOCR, BEC, AUTO = "ppocr", "bec", "auto"
"""Models that need no folder."""
DEFAULT_MODEL = AUTO


class Ldv1Config(PageJobConfig):
    """What decides which text lines are found on a page."""

    model: str | None = Field(
        default=None,
        min_length=1,
        description="`bec`: the package's own line network, which tells kinds of lines, too; `ppocr`: the PP-OCRv6 "
        "detection model of the installed `rapidocr` wheel; `auto`: `bec`, and `ppocr` for pages that it is unsure of; "
        "or the path or URL of a folder with a line model: an ONNX file and its JSON config. None: that of "
        "BEC_LD_MODEL_PATH, else `auto`.",
    )
    model_sha256: str | None = Field(
        default=None,
        pattern="^[0-9a-f]{64}$",
        description="SHA-256 that the model's ONNX file must have (for `auto`, that of `bec`); empty: any.",
        json_schema_extra={"affects_output": False},
    )
    line_pitch: float = Field(
        default=24.0,
        ge=12.0,
        le=64.0,
        description="Distance of neighbouring lines in the model's input, pixels. Smaller is faster, larger finds "
        "finer script. Only for models that see the page at any scale (`ppocr`).",
    )
    second_pass_min_angle: float = Field(
        default=4.0,
        ge=0.5,
        le=45.0,
        description="A page whose lines are skewed by more than this, degrees, is rotated and detected again.",
    )
    intra_op_threads: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Threads of one run of the model. 1 is fastest when every core has a caller of its own.",
        json_schema_extra={"affects_output": False},
    )
