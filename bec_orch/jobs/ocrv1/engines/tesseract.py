"""Tesseract's LSTM recogniser, one line at a time (page segmentation mode 13), through `tesserocr`.

`tesserocr` releases Python's lock while Tesseract works, so threads use all cores; an API object may serve one caller
at a time, so there is one for every caller there ever was at once.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tesserocr
from numpy.typing import NDArray
from typing_extensions import override

from bec_orch.core.artefacts import ModelInfo
from bec_orch.core.ports.job_worker import WorkerResources
from bec_orch.core.wording import said
from bec_orch.errors import ConfigError
from bec_orch.jobs.ocrv1.engines.config import LANGUAGE_PATTERN, Ocrv1Config
from bec_orch.jobs.ocrv1.engines.recogniser import LineText, Recogniser
from bec_orch.jobs.ocrv1.engines.traineddata import BadTraineddata, languages_named_in
from bec_orch.jobs.shared.model_files import digest_of, invalid_model, read_model

Grey = NDArray[np.uint8]

SUFFIX = ".traineddata"
USUAL_FOLDERS = (
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
    "/usr/share/tesseract/tessdata",
    "/usr/share/tessdata",
    "/usr/local/share/tessdata",
    "/opt/homebrew/share/tessdata",
    "/opt/local/share/tessdata",
)
"""Where Debian, Fedora, Arch, local builds, Homebrew and MacPorts put languages."""
LINE_HEIGHT = 48
"""Tesseract shrinks each line to its network's height (36 for `bod`), roughly; halves of pixels are better averaged."""
RESOLUTION = 300
"""Dots per inch that Tesseract is told: it would guess otherwise, and say so. Lines are scaled anyway."""
_LANGUAGE = re.compile(LANGUAGE_PATTERN)
VARIABLES = {
    "debug_file": "/dev/null",  # it prints to the terminal about lines too small to read
    "invert_threshold": "0",  # it would read every line with a low confidence again as white on black
}


class TesseractRecogniser(Recogniser):
    """Reads lines with Tesseract.

    Args:
        folder: where the languages lie.
        language: one of them, or several joined by `+`.

    Raises:
        ConfigError: Tesseract cannot use the language (E_OCR_LANGUAGE).
    """

    line_height = LINE_HEIGHT
    batch_size = 1

    def __init__(self, folder: Path, language: str) -> None:
        files = [folder / f"{name}{SUFFIX}" for name in language.split("+")]
        self.models = tuple(ModelInfo(f"tesseract/{file.name}", digest_of(read_model(file))) for file in files)
        self._folder = folder
        self._language = language
        self._idle = [self._opened()]  # each operation on it is atomic

    @override
    def recognise(self, images: Sequence[Grey]) -> list[LineText]:
        with self._taken() as api:
            return [_read(api, image) for image in images]

    @override
    def close(self) -> None:
        while self._idle:
            self._idle.pop().End()

    @contextmanager
    def _taken(self) -> "Iterator[tesserocr.PyTessBaseAPI]":
        try:
            api = self._idle.pop()
        except IndexError:
            api = self._opened()
        yield api
        self._idle.append(api)

    def _opened(self) -> "tesserocr.PyTessBaseAPI":
        try:
            api = tesserocr.PyTessBaseAPI(
                path=f"{self._folder}/",
                lang=self._language,
                psm=tesserocr.PSM.RAW_LINE,
                oem=tesserocr.OEM.LSTM_ONLY,
            )
        except RuntimeError as error:
            raise ConfigError(
                f"Tesseract cannot use the language '{self._language}' in {self._folder}.",
                code="E_OCR_LANGUAGE",
                hint="The file must be whole, and of a model for Tesseract 4 or 5 (LSTM).",
            ) from error
        for name, value in VARIABLES.items():
            api.SetVariable(name, value)
        return api


def load(config: Ocrv1Config, resources: WorkerResources) -> TesseractRecogniser:
    """Open the language of a job's config; see `load_recogniser`."""
    if config.tessdata is None:
        return TesseractRecogniser(_folder_with(config.language), config.language)
    path = resources.models.local_path(config.tessdata)
    folder, language = (path.parent, path.stem) if path.suffix == SUFFIX else (path, config.language)
    if not _LANGUAGE.fullmatch(language):
        raise invalid_model(path, "has a name that is not a language of Tesseract")
    if not _has(folder, language):
        raise _not_installed(language, f"in {config.tessdata}")
    _check(folder, language)
    return TesseractRecogniser(folder, language)


def _check(folder: Path, language: str) -> None:
    """Check that no file that Tesseract will open, directly or through another one, is made to do harm."""
    left, seen = language.split("+"), set[str]()
    while left:
        name = left.pop()
        file = folder / f"{name}{SUFFIX}"
        if name in seen or not (file.is_file() or name in language.split("+")):
            continue
        seen.add(name)
        try:
            left += languages_named_in(read_model(file))
        except BadTraineddata as error:
            raise invalid_model(file, said(error)) from error


def _folder_with(language: str) -> Path:
    """Find a language on this machine: where tesserocr looks (TESSDATA_PREFIX), else in the usual folders."""
    named = Path(tesserocr.get_languages()[0])
    folders = [named] if named.is_absolute() else []
    for folder in [*folders, *map(Path, USUAL_FOLDERS)]:
        if _has(folder, language):
            return folder
    raise _not_installed(language, "on this machine")


def _has(folder: Path, language: str) -> bool:
    return all((folder / f"{name}{SUFFIX}").is_file() for name in language.split("+"))


def _not_installed(language: str, where: str) -> ConfigError:
    packages = " ".join(f"tesseract-ocr-{re.sub('[_/]', '-', name).lower()}" for name in language.split("+"))
    return ConfigError(
        f"Tesseract's language '{language}' is not installed {where}.",
        code="E_OCR_LANGUAGE",
        hint=f"Run `apt-get install {packages}` (macOS: `brew install tesseract-lang`), or give the path or URL of a "
        "`.traineddata` file as `tessdata`.",
    )


def _read(api: "tesserocr.PyTessBaseAPI", image: Grey) -> LineText:
    height, width = image.shape
    data = image.tobytes()
    api.SetImageBytes(data, width, height, 1, width)
    api.SetSourceResolution(RESOLUTION)
    text = api.GetUTF8Text().strip()
    confidence = api.MeanTextConf() / 100 if text else 0.0
    api.Clear()
    return LineText(text, min(max(confidence, 0.0), 1.0))
