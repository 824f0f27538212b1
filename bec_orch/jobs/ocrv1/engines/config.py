"""The config of an `ocrv1` job: which engine reads the lines, and with which model."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from bec_orch.core.transcripts import MAIN, Kind, each_once
from bec_orch.jobs.pipeline.config import PageJobConfig, batch_size

Engine = Literal["auto", "bec", "tesseract", "ctc", "ppocr"]
TIBETAN = "bod"

LANGUAGE_PATTERN = r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)?(\+[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)?)*$"
_OF_ENGINE = {
    "language": "tesseract",
    "tessdata": "tesseract",
    "model": "ctc",
    "model_sha256": "ctc",
    "decoder": "ctc",
    "beam_width": "ctc",
    "lm": "bec",
}


class Ocrv1Config(PageJobConfig):
    """What decides which text is read."""

    engine: Engine = Field(
        default="auto",
        description="`auto`: `bec` where the `language` is `bod`, else `tesseract`; `bec`: the project's own "
        "recogniser of Tibetan print; `tesseract`: its LSTM recogniser, for every language that is installed; `ctc`: a "
        "model folder as the library publishes them; `ppocr`: the PP-OCRv6 recogniser of the installed `rapidocr` "
        "wheel.",
    )
    language: str = Field(
        default="bod",
        pattern=LANGUAGE_PATTERN,
        max_length=200,
        description="Tesseract's language, or several as `bod+eng`.",
    )
    tessdata: str | None = Field(
        default=None,
        min_length=1,
        description="Path or URL of a folder of Tesseract languages, or of one `.traineddata` file, which then is the "
        "language; empty: where this machine has them.",
    )
    model: str | None = Field(
        default=None,
        min_length=1,
        description="Path or URL of a folder with `model_config.json` and an ONNX file.",
    )
    model_sha256: str | None = Field(
        default=None,
        pattern="^[0-9a-f]{64}$",
        description="SHA-256 that the model's ONNX file must have; empty: any.",
        json_schema_extra={"affects_output": False},
    )
    decoder: Literal["greedy", "beam"] = Field(
        default="greedy",
        description="`greedy`: the likeliest symbol at each step; `beam`: the likeliest text, by prefix beam search.",
    )
    beam_width: int = Field(default=10, ge=1, le=1000, description="Texts that a beam search holds at once.")
    page_text_kinds: tuple[Kind, ...] = Field(
        default=(MAIN,),
        min_length=1,
        description="Kinds of lines whose text makes up `page_text`, in reading order: `main`, `running`, `margin`, "
        "`note`, `other`. All kinds are read and stored.",
        json_schema_extra={"affects_output": "when set"},
    )
    lm: Literal["kangyur", "none"] = Field(
        default="kangyur",
        description="The language model that `bec` reads with: `kangyur`: n-grams of the Derge Kangyur; `none`: the "
        "letters as they stand.",
        json_schema_extra={"affects_output": "when set"},
    )
    batch_size: int = batch_size(0, "Lines that the engine is given at once, at most. 0: as many as suit it.")
    intra_op_threads: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Threads of one run of an ONNX model. 1 is fastest when every core has a caller of its own.",
        json_schema_extra={"affects_output": False},
    )

    @property
    def chosen_engine(self) -> Engine:
        """The engine that reads: the one that is named, or what `auto` takes for the language."""
        if self.engine != "auto":
            return self.engine
        return "bec" if self.language == TIBETAN and self.tessdata is None else "tesseract"

    _each_kind_once = field_validator("page_text_kinds")(each_once)

    @model_validator(mode="after")
    def _fields_are_of_the_engine(self) -> Self:
        for field, engine in _OF_ENGINE.items():
            # Not whether it was given: stored configs have every field.
            if engine != self.chosen_engine and getattr(self, field) != type(self).model_fields[field].default:
                raise ValueError(f"`{field}` is for the engine `{engine}`, not for `{self.chosen_engine}`")
        if self.engine == "ctc" and self.model is None:
            raise ValueError("the engine `ctc` needs a `model`")
        return self
