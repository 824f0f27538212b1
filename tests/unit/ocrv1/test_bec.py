"""The project's own recogniser: its input, its windows, the choice among readings, and what it says of a line."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bec_orch.errors import ConfigError
from bec_orch.jobs.ocrv1 import worker
from bec_orch.jobs.ocrv1.cut.line_windows import BEYOND, cut_windows, line_of
from bec_orch.jobs.ocrv1.decoding.language import BITS, UNIT, UNKNOWN, LanguageModel
from bec_orch.jobs.ocrv1.decoding.likely_text import STRANGE_SHARE, Chooser
from bec_orch.jobs.ocrv1.decoding.paths import best_path
from bec_orch.jobs.ocrv1.engines.bec import LOOKS, BecRecogniser
from bec_orch.jobs.ocrv1.engines.bec_input import COLUMN, HEIGHT, NARROWEST, as_input, fitted
from bec_orch.jobs.ocrv1.engines.config import Ocrv1Config
from bec_orch.jobs.ocrv1.engines.recogniser import EMPTY, LineText, Recogniser
from bec_orch.jobs.shared.model_session import ModelSession
from tests.unit.fakes import MemoryRows, context, resources
from tests.unit.ocrv1.made import box_contour, line_rows, lines_at, png

Grey = NDArray[np.uint8]


def test_a_window_is_scaled_to_what_the_network_takes() -> None:
    assert fitted(np.zeros((128, 1000), np.uint8)).shape == (HEIGHT, 376)
    assert fitted(np.zeros((32, 1000), np.uint8)).shape[1] % COLUMN == 0
    assert fitted(np.zeros((640, 10), np.uint8)).shape == (HEIGHT, NARROWEST)


def test_paper_is_0_and_ink_1_whatever_their_tones() -> None:
    picture = np.full((HEIGHT, 200), 180, np.uint8)
    picture[20:40, 20:120] = 60
    found = as_input(picture)
    assert found[0, 0] == pytest.approx(0)
    assert found[30, 50] == pytest.approx(1)
    faint = as_input(np.where(picture == 60, 175, 180).astype(np.uint8))
    assert 0.1 < faint[30, 50] < 0.3


def page_with(*rows: tuple[int, int]) -> Grey:
    page = np.full((400, 600), 250, np.uint8)
    for top, height in rows:
        page[top : top + height, 50:550:7] = 30
    return page


def test_a_window_keeps_the_neighbours_and_holds_its_line_in_the_middle() -> None:
    page = page_with((60, 40), (120, 40), (180, 40))
    lines = lines_at(page, [box_contour(50, top, 500, 40) for top in (60, 120, 180)])
    found = list(cut_windows(page, lines, 1000))
    assert [line.box for line in found] == list(lines.bboxes)
    window = found[1].pixels
    assert window is not None
    assert window.shape == (round(40 * (1 + 2 * BEYOND)), 500 + 2 * 10)
    dark = np.asarray((window < 128).any(axis=1))
    assert dark[24:64].all()
    assert not dark[6:22].any()
    assert dark[:4].all()  # the line above
    assert (line_of(window) < 128).any(axis=1).all()
    assert len(line_of(window, 1.5)) == 60


def test_windows_are_of_the_height_that_is_usual_on_the_page() -> None:
    page = page_with((60, 40), (120, 40), (180, 12), (240, 40))
    heights = [(60, 40), (120, 40), (180, 12), (240, 90)]
    lines = lines_at(page, [box_contour(50, top, 500, height) for top, height in heights])
    found = [line.pixels for line in cut_windows(page, lines, 1000)]
    usual = [each.shape[0] / (1 + 2 * BEYOND) for each in found if each is not None]
    assert usual == pytest.approx([40, 40, 32, 52], abs=1)


def test_windows_without_ink_in_their_line_are_none_and_high_ones_are_shrunk() -> None:
    page = page_with((60, 40), (180, 40))
    lines = lines_at(page, [box_contour(50, top, 500, 40) for top in (60, 120, 180)])
    found = [line.pixels for line in cut_windows(page, lines, 50)]
    assert found[1] is None
    assert found[0] is not None
    assert found[0].shape[0] == 50
    assert not list(cut_windows(page, lines_at(page, []), 50))


class Looked(Recogniser):
    """Reads nothing, and remembers the pictures that it was given."""

    models = ()
    line_height = 1000
    batch_size = 1

    def __init__(self, *, with_neighbours: bool) -> None:
        self.with_neighbours = with_neighbours
        self.given: list[Grey] = []

    def recognise(self, images: Sequence[Grey]) -> list[LineText]:
        self.given += images
        return [EMPTY for _ in images]

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(("with_neighbours", "high"), [(True, 88), (False, 44)])
def test_an_engine_gets_the_cut_that_it_wants(
    monkeypatch: pytest.MonkeyPatch, *, with_neighbours: bool, high: int
) -> None:
    looked = Looked(with_neighbours=with_neighbours)
    monkeypatch.setattr(worker, "load_recogniser", lambda *_: looked)
    page = page_with((60, 40), (120, 40))
    table = line_rows({"a.png": lines_at(page, [box_contour(50, top, 500, 40) for top in (60, 120)])})
    volume = replace(context({"a.png": png(page)}, MemoryRows()), dependencies={"ldv1": lambda: table})
    worker.Ocrv1Worker.create({}, resources()).run(volume)
    assert [image.shape[0] for image in looked.given] == [high, high]


def language_of(path: Path, grams: dict[str, tuple[float, float]], order: int = 3) -> LanguageModel:
    """A model of these n-grams of the symbols a, b, c (1, 2, 3): their chances, and their weights as contexts."""
    numbers = {}
    for gram, values in grams.items():
        number = 0
        for symbol in gram:
            number = number << BITS | " abc".index(symbol)
        numbers[number] = values
    keys = np.array(sorted(numbers), np.uint64)
    parts = [np.array([numbers[key][place] for key in keys.tolist()]) for place in (0, 1)]
    chances, weights = (np.round(-np.log(part) / UNIT).astype(np.uint8) for part in parts)
    np.savez(path, order=order, steps=np.diff(keys, prepend=np.uint64(0)), chances=chances, weights=weights)
    return LanguageModel(path)


@pytest.fixture
def language(tmp_path: Path) -> LanguageModel:
    grams = {"a": (0.5, 0.2), "b": (0.3, 0.5), "c": (0.2, 1.0), "ab": (0.9, 0.1), "aba": (0.8, 1.0)}
    return language_of(tmp_path / "lm.npz", grams)


def test_a_symbol_is_as_likely_as_its_longest_known_context_says(language: LanguageModel) -> None:
    a, b, c = 1, 2, 3
    chance, context = language.after(0, a)
    assert np.exp(chance) == pytest.approx(0.5, rel=0.04)
    chance, context = language.after(context, b)
    assert np.exp(chance) == pytest.approx(0.9, rel=0.04)
    assert np.exp(language.after(context, a)[0]) == pytest.approx(0.8, rel=0.04)
    # `abc` is unknown: the weight of `ab`, that of `b`, and `c` alone.
    chance, after = language.after(context, c)
    assert np.exp(chance) == pytest.approx(0.1 * 0.5 * 0.2, rel=0.1)
    assert after == c
    assert language.after(after, 9) == (UNKNOWN, 0)


@pytest.mark.parametrize("data", [b"no model", b"", b"PK\x03\x04"])
def test_what_is_no_language_model_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "lm.npz").write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        LanguageModel(tmp_path / "lm.npz")
    assert caught.value.code == "E_MODEL_INVALID"


def matrix_of(*steps: dict[int, float]) -> NDArray[np.float32]:
    """Probabilities of the blank and three symbols; what is left of a step is the blank's."""
    out = np.zeros((len(steps), 4), np.float32)
    for row, step in zip(out, steps, strict=True):
        for symbol, chance in step.items():
            row[symbol] = chance
        row[0] += 1 - row.sum()
    return out


def test_the_language_model_decides_where_the_network_does_not(language: LanguageModel) -> None:
    doubtful = matrix_of({1: 1.0}, {}, {2: 0.45, 3: 0.55}, {}, {1: 1.0})
    assert best_path(doubtful) == (1, 3, 1)
    assert Chooser(language, 0.5, 0.0).text(doubtful) == (1, 2, 1)
    assert Chooser(language, 0.0, 0.0).text(doubtful) == (1, 3, 1)


def test_the_language_model_leaves_what_is_sure(language: LanguageModel) -> None:
    sure = matrix_of({1: 1.0}, {}, {3: 0.985}, {}, {3: 0.985}, {3: 0.985}, {}, {})
    assert Chooser(language, 5.0, 0.0).text(sure) == (1, 3, 3)
    assert Chooser(language, 0.5, 0.0).text(matrix_of({}, {})) == ()


def test_the_language_model_counts_little_where_all_is_strange(tmp_path: Path) -> None:
    known = {"a": (0.5, 1.0), "b": (0.5, 1.0), "c": (0.0005, 1.0)}
    chooser = Chooser(language_of(tmp_path / "lm.npz", known), 1.0, 0.0)
    assert chooser.share(matrix_of({1: 0.9}, {}, {1: 0.9})) == 1
    assert chooser.share(matrix_of({3: 0.9}, {}, {3: 0.9})) == STRANGE_SHARE
    # What the network sees a little less well is not put in the place of what is strange, but of what is usual.
    doubtful = {2: 0.4, 3: 0.6}
    strange = matrix_of({3: 0.9}, {}, doubtful, {}, {3: 0.9}, {}, {3: 0.9})
    usual = matrix_of({1: 0.9}, {}, doubtful, {}, {1: 0.9}, {}, {1: 0.9})
    gentle = replace(chooser, weight=0.2)
    assert gentle.text(strange)[1] == 3
    assert gentle.text(usual)[1] == 2


@pytest.mark.parametrize("seed", range(12))
def test_the_text_chosen_is_the_likeliest_of_all(language: LanguageModel, seed: int) -> None:
    chances = np.random.default_rng(seed).dirichlet(np.full(3, 2.0), 6)
    steps = [{1 + place: float(each) for place, each in enumerate(step)} for step in chances]
    chooser = Chooser(language, 0.7, 0.5)
    matrix = matrix_of(*(each for step in steps for each in (step, {})))

    def worth(text: tuple[int, ...]) -> float:
        total, context = 0.0, 0
        for step, symbol in zip(steps, text, strict=True):
            likely, context = language.after(context, symbol)
            total += float(np.log(step[symbol])) + chooser.weight * chooser.share(matrix) * (chooser.bonus + likely)
        return total

    assert chooser.text(matrix) == max(itertools.product((1, 2, 3), repeat=len(steps)), key=worth)


def test_what_may_be_there_counts_as_a_symbol_where_that_is_worth_it(language: LanguageModel) -> None:
    faint = matrix_of({1: 0.9}, {}, {2: 0.1}, {}, {1: 0.9})
    assert Chooser(language, 0.5, 0.0).text(faint) == (1, 1)
    assert Chooser(language, 0.5, 3.0).text(faint) == (1, 2, 1)


SYMBOLS = "ཀཁ"
TABLE = [[0.0, 0.0], [0.5, 0.2], [1.0, 0.9]]


def reader_file(path: Path, symbols: str = SYMBOLS) -> Path:
    """A network that reads ཀ where the upper half is dark, ཁ where the lower one is, at each eighth column."""
    weights = np.zeros((3, 1, HEIGHT, 8), np.float32)
    share = 20 / (HEIGHT // 2 * 8)
    weights[1, :, : HEIGHT // 2], weights[1, :, HEIGHT // 2 :] = share, -share
    weights[2] = -weights[1]
    nodes = [
        helper.make_node("Conv", ["lines", "weights", "bias"], ["maps"], strides=[HEIGHT, 8]),
        helper.make_node("Squeeze", ["maps", "two"], ["by_class"]),
        helper.make_node("Transpose", ["by_class"], ["logits"], perm=[0, 2, 1]),
        helper.make_node("Softmax", ["logits"], ["chances"], axis=2),
    ]
    graph = helper.make_graph(
        nodes,
        "halves",
        [helper.make_tensor_value_info("lines", TensorProto.FLOAT, ["N", 1, HEIGHT, "W"])],
        [helper.make_tensor_value_info("chances", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.array([8, 0, 0], np.float32), "bias"),
            numpy_helper.from_array(np.array([2]), "two"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, {"symbols": symbols, "confidence": json.dumps(TABLE)})
    onnx.save(model, path)
    return path


def window_of(*halves: int) -> Grey:
    """A window whose line has a dark half (0 upper, 1 lower) for each symbol, with paper between."""
    high = round(HEIGHT * (1 + 2 * BEYOND))
    line = np.full((high, 32 * (2 * len(halves) + 1)), 255, np.uint8)
    for place, half in enumerate(halves):
        top = high // 2 - (0 if half else 24)
        line[top : top + 24, 32 * (2 * place + 1) : 32 * (2 * place + 2)] = 0
    return line


def test_lines_become_text_with_the_share_that_is_right(tmp_path: Path) -> None:
    recogniser = BecRecogniser(ModelSession(reader_file(tmp_path / "halves.onnx")), None)
    found, blank = recogniser.recognise([window_of(0, 1, 1), window_of()])
    assert found.text == "ཀཁཁ"
    assert found.confidence == pytest.approx(0.89, abs=0.01)
    assert blank == EMPTY
    assert [model.name for model in recogniser.models] == ["halves"]
    assert recogniser.with_neighbours


@pytest.mark.parametrize(
    ("worth", "text", "looks"),
    [
        ({1.2: 0.995}, "ཀ", [1.2]),
        ({1.2: 0.6, 1.0: 0.7}, "ཁ", [1.2, 1.0]),
        ({1.2: 0.8, 1.0: 0.5, 1.6: 0.9}, "ག", [1.2, 1.0, 1.6]),
        ({1.2: 0.8, 1.0: 0.5, 1.6: 0.7}, "ཀ", [1.2, 1.0, 1.6]),
        ({1.2: 0.6, 1.0: 0.5}, "ཀ", [1.2, 1.0]),
    ],
)
def test_doubtful_lines_are_looked_at_again_and_a_surer_look_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worth: dict[float, float], text: str, looks: list[float]
) -> None:
    recogniser = BecRecogniser(ModelSession(reader_file(tmp_path / "halves.onnx", "ཀཁག")), None)
    looked: list[float] = []

    def look(window: Grey, height: float) -> NDArray[np.float32]:
        looked.append(height)
        out = np.full((1, 4), (1 - worth[height]) / 3, np.float32)
        out[0, 1 + LOOKS.index(height)] = worth[height]
        return out

    monkeypatch.setattr(recogniser, "_look", look)
    assert recogniser.recognise([window_of(0)])[0].text == text
    assert looked == looks


def test_the_language_model_is_named_beside_the_network(tmp_path: Path, language: LanguageModel) -> None:
    recogniser = BecRecogniser(ModelSession(reader_file(tmp_path / "halves.onnx")), language)
    assert [model.digest for model in recogniser.models] == [recogniser._session.digest, language.digest]
    assert recogniser.recognise([window_of(0, 1)])[0].text == "ཀཁ"


def test_it_says_where_the_language_model_reads_otherwise_than_the_letters_stand(
    tmp_path: Path, language: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    recogniser = BecRecogniser(ModelSession(reader_file(tmp_path / "halves.onnx")), language)
    assert not recogniser.recognise([window_of(0, 1)])[0].by_language
    monkeypatch.setattr(Chooser, "text", lambda *_: (1, 1))
    found = recogniser.recognise([window_of(0, 1)])[0]
    assert (found.text, found.by_language) == ("ཀཀ", True)


@pytest.mark.parametrize("given", [{"engine": "tesseract", "lm": "none"}, {"engine": "bec", "language": "eng"}])
def test_fields_of_another_engine_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Ocrv1Config.parse(given)


def test_jobs_of_other_engines_have_the_config_that_they_had() -> None:
    assert "lm" not in Ocrv1Config(engine="tesseract").hashed()
    assert Ocrv1Config(engine="bec", lm="none").hashed()["lm"] == "none"
