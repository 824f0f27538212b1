import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import tesserocr
from numpy.typing import NDArray

from bec_orch.errors import ConfigError
from bec_orch.jobs.ocrv1.cut.line_images import cut_lines
from bec_orch.jobs.ocrv1.engines import tesseract
from bec_orch.jobs.ocrv1.engines.config import Ocrv1Config
from bec_orch.jobs.ocrv1.engines.recogniser import EMPTY, load_recogniser
from bec_orch.jobs.shared.model_files import digest_of
from tests.unit.fakes import resources
from tests.unit.harmful_models import traineddata
from tests.unit.ocrv1.made import box_contour, lines_at

Grey = NDArray[np.uint8]
PRINTED = "pages_gt/namsel_sample_book5/sample_book5_out_004_2R.tif"
LINE_BOX = (0, 835, 2914, 271)
LINE_TEXT = "ན། །རྒྱལ་བ་ལྔ་པའི་གསུང་དུ། རྨད་བྱུང་རྣམ་ཐར་གཙང་མའི་ཁྲིམས་"


@pytest.fixture(scope="session")
def bod(shared_data: Path) -> Path:
    return shared_data / "models" / "tessdata" / "bod.traineddata"


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any language."""
    monkeypatch.setattr(tesserocr, "get_languages", lambda: ("./", []))
    monkeypatch.setattr(tesseract, "USUAL_FOLDERS", ())


def opened(**config: str) -> tesseract.TesseractRecogniser:
    return tesseract.load(Ocrv1Config.model_validate(config), resources())


@pytest.fixture
def line(shared_data: Path) -> Grey:
    """A line of a printed page, cut as the job cuts it."""
    page = np.asarray(cv2.imread(str(shared_data / PRINTED), cv2.IMREAD_GRAYSCALE), np.uint8)
    (cut,) = cut_lines(page, lines_at(page, [box_contour(*LINE_BOX)]), tesseract.LINE_HEIGHT)
    assert cut.pixels is not None
    return cut.pixels


def test_a_printed_line_is_read(bod: Path, line: Grey) -> None:
    recogniser = opened(tessdata=str(bod))
    (found,) = recogniser.recognise([line])
    assert found.text == LINE_TEXT
    assert 0.8 < found.confidence <= 1
    recogniser.close()
    recogniser.close()


def test_pictures_too_small_to_read_are_empty(bod: Path) -> None:
    recogniser = opened(tessdata=str(bod))
    assert recogniser.recognise([np.full((1, 1), 255, np.uint8)]) == [EMPTY]
    assert recogniser.recognise([]) == []


def test_the_language_is_named_with_its_digest(bod: Path) -> None:
    (model,) = opened(tessdata=str(bod)).models
    assert (model.name, model.digest) == ("tesseract/bod.traineddata", digest_of((bod).read_bytes()))


def test_a_language_may_be_a_file_by_any_name(bod: Path, tmp_path: Path) -> None:
    own = tmp_path / "my-print.traineddata"
    own.symlink_to(bod)
    (model,) = opened(tessdata=str(own)).models
    assert model.name == "tesseract/my-print.traineddata"


def test_several_languages_are_all_named(bod: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.traineddata").symlink_to(bod)
    models = opened(tessdata=str(tmp_path), language="one+two").models
    assert [model.name for model in models] == ["tesseract/one.traineddata", "tesseract/two.traineddata"]


@pytest.mark.usefixtures("nowhere")
def test_a_language_that_is_not_installed_is_reported_with_the_command() -> None:
    with pytest.raises(ConfigError, match="'chi_sim\\+bod' is not installed on this machine") as caught:
        opened(language="chi_sim+bod")
    assert caught.value.code == "E_OCR_LANGUAGE"
    assert "apt-get install tesseract-ocr-chi-sim tesseract-ocr-bod" in caught.value.hint


def test_a_folder_without_the_language_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"'bod' is not installed in {tmp_path}"):
        opened(tessdata=str(tmp_path))


@pytest.mark.usefixtures("nowhere")
def test_languages_are_found_where_this_machine_has_them(bod: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tesseract, "USUAL_FOLDERS", ("/nonexistent", str(bod.parent)))
    assert opened().models
    monkeypatch.setattr(tesseract, "USUAL_FOLDERS", ())
    monkeypatch.setattr(tesserocr, "get_languages", lambda: (f"{bod.parent}/", ["bod"]))
    assert opened().models


def test_a_broken_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "bod.traineddata").write_bytes(b"no language")
    with pytest.raises(ConfigError, match=r"bod\.traineddata' is not data of Tesseract") as caught:
        opened(tessdata=str(tmp_path))
    assert caught.value.code == "E_MODEL_INVALID"


def test_a_language_that_tesseract_does_not_take_is_reported(tmp_path: Path) -> None:
    (tmp_path / "bod.traineddata").write_bytes(traineddata({17: b"no network"}))
    with pytest.raises(ConfigError, match="cannot use the language 'bod'") as caught:
        opened(tessdata=str(tmp_path))
    assert caught.value.code == "E_OCR_LANGUAGE"


def test_callers_at_once_read_the_same(bod: Path, line: Grey) -> None:
    recogniser = opened(tessdata=str(bod))
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(recogniser.recognise, [[line]] * 6))
    assert [text.text for (text,) in found] == [LINE_TEXT] * 6
    recogniser.close()


def test_without_its_package_the_engine_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tesserocr", None)
    monkeypatch.delitem(sys.modules, "bec_orch.jobs.ocrv1.engines.tesseract")
    with pytest.raises(ConfigError, match="'tesserocr'") as caught:
        load_recogniser(Ocrv1Config(engine="tesseract"), resources())
    assert caught.value.code == "E_EXTRA_MISSING"
