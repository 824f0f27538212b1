"""Judge a recogniser on composed lines of fonts that it was not trained with, and make its table of confidences.

    python -m training.reader.judge MODEL.onnx [--lines 600] [--confidence FILE]

Prints character error rates of real text, of shuffled syllables and of random stacks, without a language model and
with one: a language model may not write what is likely in place of what is there. It is counted of the other texts than
those that the lines are composed of. `--confidence` writes which share of a line's symbols was right as it is read by
default, by the network's mean probability.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from rapidfuzz.distance import Levenshtein

from bec_orch.jobs.ocrv1.decoding.language import LanguageModel
from bec_orch.jobs.ocrv1.decoding.likely_text import Chooser
from bec_orch.jobs.ocrv1.decoding.paths import best_path, confidence
from bec_orch.jobs.ocrv1.engines.bec import LANGUAGE_WEIGHT, SYMBOL_BONUS
from bec_orch.jobs.ocrv1.engines.bec_input import as_input
from training.reader.language import write
from training.reader.material import composer_of, cursive_composer, texts_in
from training.reader.picture import Composer
from training.reader.symbols import SYMBOLS
from training.reader.writing import KINDS
from training.shared import DATA, Floats

WIDTH = 640
SEED = 990
WEIGHTS = (0.6, 0.8, 1.0)
"""Weights of the language model that are tried."""
STEPS = 12
"""Rows of the table of confidences."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A composed line, and what the network gave for it."""

    kind: str
    text: str
    chances: Floats

    @property
    def greedy(self) -> str:
        """The likeliest path's text."""
        return in_symbols(best_path(self.chances))

    @property
    def mean(self) -> float:
        """The network's mean probability of it."""
        return confidence(self.chances)


def in_symbols(numbers: Sequence[int]) -> str:
    """Write symbols of the network."""
    return "".join(SYMBOLS[number - 1] for number in numbers).strip()


def tried(model: Path, composer: Composer, count: int) -> list[Tried]:
    """Compose lines of each kind, and run the network on them."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    out = []
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        picture = composer.picture(np.random.default_rng((SEED, number)), WIDTH, kind)
        chances = session.run(None, {"lines": as_input(picture.grey)[None, None]})[0][0]
        if picture.text:
            out.append(Tried(kind, picture.text, chances))
    return out


def counted(paths: Sequence[Path]) -> LanguageModel:
    """Count the language model of some texts alone."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lm.npz"
        write(file, paths)
        return LanguageModel(file)


def rate(pairs: Sequence[tuple[str, str]]) -> float:
    """Return the character error rate of pairs of text and truth, spaces ignored."""
    bare = [(text.replace(" ", ""), truth.replace(" ", "")) for text, truth in pairs]
    return sum(Levenshtein.distance(*pair) for pair in bare) / sum(len(truth) for _, truth in bare)


def table_of(lines: Sequence[Tried], read: Callable[[Tried], str]) -> list[tuple[float, float]]:
    """Return mean probabilities, rising, each with the share of symbols that was right in lines of about that mean."""
    ordered = sorted(lines, key=lambda line: line.mean)
    groups = [group for group in np.array_split(np.arange(len(ordered)), STEPS) if len(group)]
    means = [float(np.mean([ordered[at].mean for at in group])) for group in groups]
    right = [max(0.0, 1 - rate([(read(ordered[at]), ordered[at].text) for at in group])) for group in groups]
    rising = np.maximum.accumulate(right)
    return [(0.0, 0.0), *((round(mean, 4), round(float(share), 4)) for mean, share in zip(means, rising, strict=True))]


def spread_of(lines: Sequence[Tried], table: Sequence[tuple[float, float]]) -> str:
    """Return what a table says of lines: the 10th, 50th and 90th percentile."""
    means, right = zip(*table, strict=True)
    said = np.interp([line.mean for line in lines], means, right)
    return ", ".join(f"{share:.2f}" for share in np.percentile(said, (10, 50, 90))) if lines else "nothing"


def main() -> None:
    """Judge as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--lines", type=int, default=600)
    parser.add_argument("--confidence", type=Path, help="file for the table")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    composer = composer_of(options.data, [], held_out=True)
    lines = tried(options.model, composer, options.lines)
    language = counted(texts_in(options.data)[0])
    choosers = [Chooser(language, each, SYMBOL_BONUS) for each in WEIGHTS]
    for kind in KINDS:
        own = [line for line in lines if line.kind == kind]
        print(f"{kind}: {len(own)} lines, {rate([(line.greedy, line.text) for line in own]):.4f}", flush=True)
        for chooser in choosers:
            with_it = rate([(in_symbols(chooser.text(line.chances)), line.text) for line in own])
            print(f"  weight {chooser.weight}: {with_it:.4f}", flush=True)
    used = Chooser(language, LANGUAGE_WEIGHT, SYMBOL_BONUS)
    table = table_of(lines, lambda line: in_symbols(used.text(line.chances)))
    cursive = tried(options.model, cursive_composer(composer), options.lines // 2)
    for name, group in (("block letters", lines), ("cursive", cursive)):
        text = [line for line in group if line.kind == KINDS[0]]
        print(f"confidence of text in {name}: 10, 50 and 90 of 100 lines below {spread_of(text, table)}")
    if options.confidence:
        options.confidence.write_text(json.dumps(table), "utf-8")


if __name__ == "__main__":
    main()
