"""A network in integers of eight bits: half the time of a CPU and a quarter of the bytes, and as many errors.

Weights are kept in seven bits: CPUs that have no instructions for this (VNNI) add products of eight bits in sixteen
bits, and would run over. What the activations reach is taken from composed lines: the mean of what each line reaches,
as what a single one reaches would make all steps coarse. The first and the last convolution, and those that see each
feature by itself, stay as they are: they take little time, and lose the most.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from bec_orch.jobs.ocrv1.engines.bec_input import as_input
from training.reader.picture import Composer
from training.reader.writing import KINDS
from training.shared import Floats

WIDTH = 640
"""Of a composed line, pixels."""


class Shown:
    """Lines that the ranges of the activations are taken from: a `CalibrationDataReader` of onnxruntime."""

    def __init__(self, lines: Sequence[Floats]) -> None:
        self._left = iter(lines)

    def get_next(self) -> dict[str, Floats] | None:
        """Return the next one by the input's name; None after the last."""
        line = next(self._left, None)
        return None if line is None else {"lines": line}


def composed(composer: Composer, seed: int, count: int) -> Iterator[Floats]:
    """Compose lines of each kind, as the network takes them."""
    for number in range(count):
        picture = composer.picture(np.random.default_rng((seed, number)), WIDTH, KINDS[number % len(KINDS)])
        yield as_input(picture.grey)[None, None]


def in_integers(given: Path, out: Path, lines: Sequence[Floats], facts: Mapping[str, str]) -> None:
    """Write a network's file in integers.

    Args:
        given: the file in floating point.
        out: the file.
        lines: what the ranges of the activations are taken from.
        facts: texts that go into the file.
    """
    with TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(given), str(prepared), skip_symbolic_shape=True)
        convolutions = [node for node in onnx.load(str(prepared)).graph.node if node.op_type == "Conv"]
        kept = [convolutions[0], convolutions[-1], *filter(_sees_each_by_itself, convolutions)]
        quantize_static(
            str(prepared),
            str(out),
            Shown(lines),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=[node.name for node in kept],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"CalibMovingAverage": True},
        )
    model = onnx.load(str(out))
    onnx.helper.set_model_props(model, dict(facts))
    onnx.save(model, str(out))
    onnx.checker.check_model(str(out), full_check=True)


def _sees_each_by_itself(convolution: onnx.NodeProto) -> bool:
    return any(attribute.name == "group" and attribute.i > 1 for attribute in convolution.attribute)
