from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from bec_orch.errors import ConfigError
from bec_orch.jobs.ocrv1.engines.config import Ocrv1Config
from bec_orch.jobs.ocrv1.engines.ctc import CtcRecogniser, load, on_canvas
from bec_orch.jobs.ocrv1.engines.ctc_config import read_ctc_config
from bec_orch.jobs.ocrv1.engines.recogniser import load_recogniser
from bec_orch.jobs.shared.model_files import digest_of
from tests.unit.fakes import resources
from tests.unit.ocrv1.made import BANDS, HEIGHT, WIDTH, model_folder, spelled, wylie_bands

STACKS = ["ཀ", "ཁ", "་", "སྒྲ"]


def opened(folder: Path, **config: Any) -> CtcRecogniser:
    return load(Ocrv1Config(engine="ctc", model=str(folder), **config), resources())


def read(recogniser: CtcRecogniser, *texts: str) -> list[str]:
    return [line.text for line in recogniser.recognise([spelled(wylie_bands(text)) for text in texts])]


@pytest.mark.parametrize("decoder", ["greedy", "beam"])
def test_wylie_becomes_unicode(tmp_path: Path, decoder: str) -> None:
    recogniser = opened(model_folder(tmp_path / "m"), decoder=decoder)
    assert read(recogniser, "kha§ka", "kka", "kha§") == ["ཁ་ཀ", "ཀཀ", "ཁ་"]
    (line,) = recogniser.recognise([spelled(wylie_bands("kha"))])
    assert 0.9 < line.confidence <= 1


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"squeeze_channel_dim": "no"},
        {"squeeze_channel_dim": None},
        {"swap_hw": "yes"},
        {"swap_hw": "yes", "squeeze_channel_dim": "no"},
        {"steps_first": False},
        {"lines_second": True},
        {"batch": 1},
        {"input_width": str(WIDTH), "input_height": str(HEIGHT)},
        {"charset": list("kha§")},
        {"add_blank": None},
        {"encoder": None},
        {"input_layer": None, "output_layer": None},
        {"onnx_model": None, "cpu-model": "Models/x/OCRModel.onnx", "gpu-model": "Models\\x\\OCRModel.onnx"},
        {"checkpoint": "a.pth", "architecture": "Easter2", "version": "2026_1_11_9_32", "time_steps": 3},
        {"charset": "kha§ ", "add_blank": None, "classes": (0, 1, 2, 3, None)},
        {"charset": "kha§ ", "add_blank": "yes", "classes": (0, 1, 2, 3, None)},
        {"charset": "ßkha§", "add_blank": None, "classes": (None, 0, 1, 2, 3)},
        {"charset": "^kha§ ", "add_blank": None, "classes": (None, 0, 1, 2, 3, None)},
    ],
)
def test_every_form_of_published_configs_reads_the_same(tmp_path: Path, config: dict[str, Any]) -> None:
    recogniser = opened(model_folder(tmp_path / "m", **config))
    assert read(recogniser, "kha§ka", "ka", "kha") == ["ཁ་ཀ", "ཀ", "ཁ"]


def test_stacks_are_written_as_they_are(tmp_path: Path) -> None:
    recogniser = opened(model_folder(tmp_path / "m", encoder="Stack", charset=STACKS))
    (line,) = recogniser.recognise([spelled([0, 2, 3, 3, 1])])
    assert line.text == "ཀ་སྒྲསྒྲཁ"


@pytest.mark.parametrize("name", ["model_config.json", "config.json", "ocr_model_config.json"])
def test_the_config_may_have_older_names(tmp_path: Path, name: str) -> None:
    folder = model_folder(tmp_path / "m")
    (folder / "model_config.json").rename(folder / name)
    assert read(opened(folder), "ka") == ["ཀ"]
    assert read(opened(folder / name), "ka") == ["ཀ"]


def test_a_blank_line_is_empty_text_of_no_confidence(tmp_path: Path) -> None:
    (line,) = opened(model_folder(tmp_path / "m")).recognise([np.full((HEIGHT, 300), 255, np.uint8)])
    assert (line.text, line.confidence) == ("", 0.0)


def test_the_model_is_named_by_its_folder_and_digest(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "Woodblock")
    digest = digest_of((folder / "OCRModel.onnx").read_bytes())
    (model,) = opened(folder, model_sha256=digest).models
    assert (model.name, model.digest) == ("Woodblock", digest)
    with pytest.raises(ConfigError, match="wants 0000") as caught:
        opened(folder, model_sha256="0" * 64)
    assert caught.value.code == "E_MODEL_DIGEST"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"charset": "kh"}, "for a charset of 2"),
        ({"charset": "kha§", "add_blank": "yes", "classes": (None, 0, 1, 2)}, "for a charset of 4"),
        ({"charset": ""}, "`charset`"),
        ({"input_width": None}, "`input_width`"),
        ({"encoder": "latin"}, "`encoder`"),
        ({"onnx_model": None}, "names no ONNX file"),
        ({"output_layer": "nowhere"}, "cannot read a line as its config says"),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path: Path, config: dict[str, Any], message: str) -> None:
    width = config.pop("input_width", WIDTH)
    folder = model_folder(tmp_path / "m", **config)
    if width is None:
        file = folder / "model_config.json"
        file.write_text(file.read_text().replace('"input_width"', '"width"'))
    with pytest.raises(ConfigError, match=message) as caught:
        opened(folder)
    assert caught.value.code == "E_MODEL_INVALID"


def test_a_config_of_another_canvas_is_refused(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    file = folder / "model_config.json"
    file.write_text(file.read_text().replace(str(WIDTH), str(WIDTH + 8)))
    with pytest.raises(ConfigError, match="cannot read a line"):
        opened(folder)


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no `model_config\.json` in") as caught:
        opened(tmp_path)
    assert caught.value.code == "E_MODEL_NOT_FOUND"
    (tmp_path / "model_config.json").write_text("{")
    with pytest.raises(ConfigError, match="not a config of a recogniser"):
        opened(tmp_path)


def test_lines_are_fitted_to_the_canvas_in_black_and_white() -> None:
    narrow = on_canvas(np.full((20, 40), 200, np.uint8), 200, 40)
    assert narrow.shape == (40, 200)
    # 40 + two squares of 20, enlarged twice, in the middle; black beside it
    assert np.array_equal(np.flatnonzero(narrow[20] == 1), np.arange(20, 180))
    wide = on_canvas(np.full((20, 960), 200, np.uint8), 200, 40)
    assert np.array_equal(np.flatnonzero(wide[:, 100] == 1), np.arange(18, 22))
    assert set(np.unique(wide)) == {-1, 1}


def test_an_engine_is_loaded_by_its_name(tmp_path: Path) -> None:
    config = Ocrv1Config(engine="ctc", model=str(model_folder(tmp_path / "m")))
    assert load_recogniser(config, resources()).line_height == HEIGHT


CONFIGS = {
    "OCR-Inference/OCRModels/LhasaKanjurEaster/ocr_model_config.json": (0, 1),
    "tibetan-ocr-bot/ocr/GoogleBooks_E/model_config.json": (1,),
    "hf/BDRC__Woodblock__model_config.json": (0, 1),
    "hf/Eric-23xd__EarlyTibetan-Manuscript-Uchan-BigUchan__model_config.json": (0, 1),
    "hf/BDRC__BigUCHAN_v1__config.json": (0, 1),
    "hf/BDRC__Woodblock_Easter2-Att__config.json": (1,),
}
"""Real configs, and how many classes more than the charset has their model may have."""


@pytest.mark.parametrize(("name", "more"), [(name, more) for name, mores in CONFIGS.items() for more in mores])
def test_published_configs_run_on_graphs_of_their_shape(
    tmp_path: Path, shared_data: Path, name: str, more: int
) -> None:
    published = shared_data / "models" / "configs" / name
    config, file = read_ctc_config(published)
    count = len(config.charset) + more
    classes = [band if (band := place - 1) in range(BANDS) else None for place in range(count)]
    folder = model_folder(
        tmp_path / "m",
        tuple(classes),
        input_width=config.input_width,
        input_height=config.input_height,
        squeeze_channel_dim="yes" if config.squeeze_channel_dim else "no",
        swap_hw="yes" if config.swap_hw else "no",
    )
    (folder / "OCRModel.onnx").rename(folder / file.name)
    (folder / "model_config.json").write_bytes(published.read_bytes())
    if config.output_layer != "output":
        rename_output(folder / file.name, str(config.output_layer))
    (line,) = opened(folder).recognise([spelled([0, 1, 2, 3], config.input_height)])
    assert line.text
    assert line.confidence > 0.9


def rename_output(file: Path, name: str) -> None:
    model = onnx.load(file)
    model.graph.node[-1].output[0] = model.graph.output[0].name = name
    onnx.save(model, file)
