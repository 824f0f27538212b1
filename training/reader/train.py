"""Train the recogniser on lines that are composed as it goes.

    python -m training.reader.train --out DIR --pictures 200000 --seed 1 [--minutes 120] [--learned FILE] [--resume]

Writes `last.pt` every 200 steps, from which `--resume` goes on, and `log.tsv`. The weights that count are the running
mean (`mean` in the file). The rate comes down to nothing with the pictures, or with the minutes where these are over
first: a shorter training is another one, not the first part of a longer one.
"""

import argparse
import time
from collections import deque
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from bec_orch.jobs.ocrv1.engines.bec_input import HIGHEST, LOWEST, as_input
from training.learning import SAVED, Learner
from training.reader.material import composer_of
from training.reader.network import ReaderNetwork
from training.reader.picture import Composer
from training.reader.symbols import numbers_of
from training.shared import DATA, Floats, parameters

BATCH = 16
WIDTHS = (256, 384, 512, 640)
TAKEN, LAST = 3, 100
"""How often a picture is learned from on the average, and from how many of the last batches those come that are taken
again, altered: composing costs as much as learning, and far less than all of a picture is learned at once."""
RATE = 1.5e-3
WARM_STEPS = 200
SAVED_EVERY = 200
TOLD_EVERY = 50

Batch = tuple[Tensor, list[list[int]]]


def batch_of(composer: Composer, seed: int, step: int) -> Batch:
    """Compose the batch of a step: inputs (BATCH, 1, HEIGHT, W), and the symbols of each line."""
    rng = np.random.default_rng((seed, step))
    width = int(rng.choice(WIDTHS))
    pictures = [composer.picture(rng, width) for _ in range(BATCH)]
    inputs = np.stack([as_input(picture.grey) for picture in pictures])[:, None]
    return torch.from_numpy(inputs), [numbers_of(picture.text) for picture in pictures]


def altered(rng: np.random.Generator, inputs: Tensor) -> Tensor:
    """Return inputs a little narrower, higher or lower, paler or darker, and with noise: each in its own way."""
    return torch.from_numpy(np.stack([_altered(rng, each)[None] for each in inputs[:, 0].numpy()]))


def _altered(rng: np.random.Generator, line: Floats) -> Floats:
    height, width = line.shape
    along, down = rng.uniform(0.9, 1.0), rng.normal(1, 0.05)
    turn = np.array([[along, 0, 0], [0, down, height / 2 * (1 - down) + rng.normal(0, 1.5)]])
    moved = np.asarray(cv2.warpAffine(line, turn, (width, height)), np.float32)
    noise = rng.uniform(0, 0.06) * rng.standard_normal(line.shape, dtype=np.float32)
    return np.asarray(np.clip(moved * rng.uniform(0.85, 1.15) + noise, LOWEST, HIGHEST), np.float32)


class Source:
    """Hands each step its batch: a new one at every `TAKEN`th step, else one of the last, altered, which costs little.

    Args:
        composer: composes the lines.
        seed: decides all of them, with the number of the step.
    """

    def __init__(self, composer: Composer, seed: int) -> None:
        self._composer, self._seed = composer, seed
        self._last: deque[Batch] = deque(maxlen=LAST)

    def batch(self, step: int) -> Batch:
        """Return the batch of a step."""
        if step % TAKEN and self._last:
            rng = np.random.default_rng((self._seed, step))
            inputs, lines = self._last[int(rng.integers(len(self._last)))]
            return altered(rng, inputs), lines
        self._last.append(batch_of(self._composer, self._seed, step))
        return self._last[-1]


def loss_of(logits: Tensor, lines: list[list[int]]) -> Tensor:
    """Return the loss of a batch for each symbol that it holds; a line with more symbols than steps does not count."""
    lengths = torch.tensor([len(line) for line in lines])
    symbols = torch.tensor([symbol for line in lines for symbol in line], dtype=torch.long)
    steps = torch.full((len(lines),), logits.shape[1], dtype=torch.long)
    chances = logits.float().log_softmax(2).transpose(0, 1)
    each = F.ctc_loss(chances, symbols, steps, lengths, reduction="none", zero_infinity=True)
    return each.sum() / lengths.sum().clamp(min=1)


class Run(Learner[ReaderNetwork]):
    """A training run: the network that learns, and how far it is.

    Args:
        out: where it is kept.
        seed: of the weights and of the lines.
        steps: at which the rate is down to nothing.
        minutes: at which it is, if these are over first.
    """

    def __init__(self, out: Path, seed: int, steps: int, minutes: float) -> None:
        torch.manual_seed(seed)
        super().__init__(ReaderNetwork(), out, RATE, WARM_STEPS)
        self.seed, self.steps, self.minutes, self.spent = seed, steps, minutes, 0.0

    @property
    def done(self) -> float:
        """Which share of the training is over: by steps or by time, whichever is further."""
        return max(self.step / self.steps, self.spent / (60 * self.minutes))

    @property
    def rate(self) -> float:
        """The learning rate."""
        return self.rate_at(self.done)

    def save(self) -> None:
        """Write all that is needed to go on."""
        self.write({"spent": self.spent, "seed": self.seed})

    def resume(self) -> None:
        """Go on from what was written."""
        self.spent = float(self.read()["spent"])

    def begin_with(self, path: Path) -> None:
        """Take over what another run has learned; the rate begins anew."""
        learned = torch.load(path, weights_only=True)["mean"]
        self.network.load_state_dict(learned)
        self.mean.load_state_dict(learned)

    def take(self, inputs: Tensor, lines: list[list[int]]) -> float:
        """Take one step, and return the loss."""
        loss = loss_of(self.outputs(inputs), lines)
        self.learn(loss, self.done)
        return float(loss.item())


def train(run: Run, composer: Composer) -> None:
    """Train to the end of the run's steps or minutes."""
    before, started, since = run.spent, time.monotonic(), []
    source = Source(composer, run.seed)
    while run.done < 1:
        since.append(run.take(*source.batch(run.step)))
        run.spent = before + time.monotonic() - started
        if run.step % TOLD_EVERY == 0:
            loss = round(float(np.mean(since)), 4)
            run.tell(run.step, run.step * BATCH, round(run.spent), round(run.rate, 6), loss)
            since = []
        if run.step % SAVED_EVERY == 0:
            run.save()
    run.save()


def main() -> None:
    """Train as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--fonts", type=Path, nargs="*", default=[], help="folders with more fonts")
    parser.add_argument("--pictures", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--minutes", type=float, default=1e9, help="be at the end after this many minutes, at the latest"
    )
    parser.add_argument("--learned", type=Path, help="begin with the weights of this other run's last.pt")
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    composer = composer_of(options.data, options.fonts)
    run = Run(options.out, options.seed, max(1, options.pictures // BATCH), options.minutes)
    print(f"{len(composer.faces)} fonts, {parameters(run.network):,} parameters", flush=True)
    if options.resume and (options.out / SAVED).exists():
        run.resume()
    elif options.learned:
        run.begin_with(options.learned)
    train(run, composer)


if __name__ == "__main__":
    main()
