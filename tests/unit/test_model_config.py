import json
from pathlib import Path
from typing import Any

import pytest

from bec_orch.jobs.ocrv1.engines.ctc_config import CtcModelConfig
from bec_orch.jobs.shared.model_config import PublishedModelConfig


@pytest.mark.parametrize(
    ("named", "wanted"),
    [
        ({"onnx-model": "a.onnx", "cpu-model": "b.onnx"}, "a.onnx"),
        ({"model_file": "a.onnx"}, "a.onnx"),
        ({"cpu-model": "Models/x/a.onnx", "gpu-model": "b.onnx"}, "a.onnx"),
        ({"gpu-model": "..\\..\\secret\\a.onnx"}, "a.onnx"),
        ({"checkpoint": "a.pth"}, None),
    ],
)
def test_the_onnx_file_is_found_under_every_name_and_never_elsewhere(named: dict[str, str], wanted: str | None) -> None:
    assert PublishedModelConfig.model_validate(named).file_name == wanted


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("[1]", "`config`: "),
        ("{", "Expecting property name"),
        (json.dumps({"charset": 5, "input_width": 8, "input_height": 8}), "`charset`: "),
        (
            json.dumps({"charset": "ab", "input_width": "wide", "input_height": 1}),
            "`input_width`: .*; `input_height`: ",
        ),
    ],
)
def test_what_is_no_config_says_why(tmp_path: Path, text: str, fault: str) -> None:
    file = tmp_path / "model_config.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=fault):
        CtcModelConfig.read(file)


@pytest.mark.parametrize("charset", ["ab", ["a", "b"]])
def test_a_charset_is_one_text_or_a_list(charset: Any) -> None:
    config = CtcModelConfig.model_validate({"charset": charset, "input_width": "3200", "input_height": "80"})
    assert (config.charset, config.input_width) == (("a", "b"), 3200)


def test_a_config_of_megabytes_or_of_a_thousand_brackets_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "model_config.json"
    file.write_bytes(b" " * (4 * 2**20) + b"{}")
    with pytest.raises(ValueError, match="more than 4194304 bytes"):
        CtcModelConfig.read(file)
    file.write_text('{"charset":' + "[" * 100_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        CtcModelConfig.read(file)
    file.write_text('{"input_width": ' + "9" * 5000 + "}")
    with pytest.raises(ValueError, match="integer string conversion"):
        CtcModelConfig.read(file)
