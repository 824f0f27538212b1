"""Train the network on composed crops.

    python -m training.lines.train --data DIR --out DIR --steps 6000 --seed 1 [--resume] [--minutes 60] [--wide 1.5]
        [--batch 32] [--device cuda]

Writes `last.pt` every 50 steps, from which `--resume` goes on, and `log.tsv`. The weights that count are the running
mean (`mean` in the file).
"""

import argparse
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from bec_orch.jobs.ldv1.bec.network_input import normalised
from training.learning import SAVED, Learner
from training.lines.network import CLASSES, OFFSET_UNIT, WIDTHS, LineNetwork, widened
from training.lines.targets import QUARTERS
from training.shared import Bytes, parameters

BATCH = 8
T = TypeVar("T")
PARTS = 3
RATE = 2.5e-3
WARM_STEPS = 150
CLASS_WEIGHTS = (1.0, 2.0, 8.0)
"""Weights of pixels without text, of main text, of other text. Other text is one pixel of 700, main text one of 17."""
DICE = 0.5
KIND, OTHER_WEIGHT = 0.3, 8.0
OFFSETS, GAP = 0.4, 0.5
GAP_WEIGHT = 3.0
SAVED_EVERY = 50
DEPTH = 6
"""Batches that each of the three threads is ahead of a GPU."""
TOLD_EVERY = 50


def batches(data: Path, part: int, seed: int, start: int, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield batches without end of every third shard: in a new order each time, changed a little each time.

    Shards that were composed meanwhile are taken in with the next time round.
    """
    rng = np.random.default_rng((seed, start, part))
    while True:
        shards = sorted(data.glob("*.npz"))[part::PARTS]
        for index in rng.permutation(len(shards)):
            with np.load(shards[index]) as shard:
                grey, maps = shard["grey"], shard["maps"]
            order = rng.permutation(len(grey))
            for at in range(0, len(order) - size + 1, size):
                picked = order[at : at + size]
                inputs = np.stack([normalised(changed(rng, each)) for each in grey[picked]])
                yield torch.from_numpy(inputs[:, None]), torch.from_numpy(maps[picked])


def mixed(data: Path, seed: int, start: int, size: int = BATCH, depth: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """Take batches from three shards in turn, so that neighbours in time are of several shapes and pages.

    With a `depth` they are made ahead, in a thread for each of the three: a GPU would wait for them otherwise.
    """
    sources = [batches(data, part, seed, start, size) for part in range(PARTS)]
    sources = [ahead(source, depth) for source in sources] if depth else sources
    while True:
        for source in sources:
            yield next(source)


def ahead(source: Iterator[T], depth: int) -> Iterator[T]:
    """Draw from an endless source in a thread of its own, `depth` ahead of what is asked for."""
    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(next, source) for _ in range(depth))
        while True:
            yield waiting.popleft().result()
            waiting.append(pool.submit(next, source))


def changed(rng: np.random.Generator, grey: Bytes) -> Bytes:
    """Change a crop's tone, sharpness and noise: the cheap part of the wear, new each time that it is seen."""
    out = grey
    if rng.random() < 0.4:
        tones = np.clip(255 * (np.arange(256) / 255) ** rng.uniform(0.6, 1.7), 0, 255).astype(np.uint8)
        out = tones[out]
    how = rng.random()
    if how < 0.15:
        out = np.asarray(cv2.GaussianBlur(out, (0, 0), rng.uniform(0.4, 1.2)), np.uint8)
    elif how < 0.3:
        noise = rng.standard_normal(out.shape, dtype=np.float32) * np.float32(rng.uniform(2, 20))
        out = np.clip(out + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.06:
        out = 255 - out
    return out


def loss_of(out: Tensor, maps: Tensor) -> tuple[Tensor, list[float]]:
    """Return the loss of a batch, and its parts: text, its dice, kind, offsets, gap.

    Whether there is text, and of which kind, are two questions. As one of three classes, other text is too seldom: the
    network never finds it, because it has learned by then that it is not main text.
    """
    flags = maps[:, 0].long()
    classes, gap = flags & 3, (flags >> 2 & 1).float()
    logits, offsets, between = out.float().split((CLASSES, 2, 1), dim=1)
    text, dice = _text_loss(logits.log_softmax(1), classes)
    kind = F.cross_entropy(
        logits[:, 1:], (classes - 1).where(classes > 0, -1), logits.new_tensor((1.0, OTHER_WEIGHT)), ignore_index=-1
    )
    kind = kind if (classes > 0).any() else logits.new_zeros(())
    known = (maps[:, 1:] > 0).float()
    distances = (maps[:, 1:].float() - 1) / (QUARTERS * OFFSET_UNIT)
    away = (F.smooth_l1_loss(offsets, distances, reduction="none", beta=0.1) * known).sum() / known.sum().clamp(min=1)
    in_gap = F.binary_cross_entropy_with_logits(between[:, 0], gap, pos_weight=logits.new_tensor(GAP_WEIGHT))
    total = text + DICE * dice + KIND * kind + OFFSETS * away + GAP * in_gap
    return total, [part.item() for part in (text, dice, kind, away, in_gap)]


def _text_loss(chances: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Return cross entropy and dice of text against none, from logarithms of the three probabilities."""
    weight = chances.new_tensor(CLASS_WEIGHTS)[classes]
    is_text = (classes > 0).float()
    text = chances[:, 1:].logsumexp(1)
    right = torch.where(classes > 0, text, chances[:, 0])
    share = weight.where(classes > 0, 1.0) * text.exp()
    dice = 1 - (2 * (share * is_text).sum() + 50) / (share.sum() + (weight * is_text).sum() + 50)
    return -(weight * right).sum() / weight.sum(), dice


class Run(Learner[LineNetwork]):
    """A training run: the network that learns, and the steps that it takes.

    Args:
        out: where it is kept.
        seed: of the weights and of the order of the crops.
        steps: at which the rate is down to nothing.
        widths: of the network.
        device: torch's name of what it is trained on.
    """

    def __init__(self, out: Path, seed: int, steps: int, widths: Sequence[int] = WIDTHS, device: str = "cpu") -> None:
        torch.manual_seed(seed)
        super().__init__(LineNetwork(widths), out, RATE, WARM_STEPS, device)
        self.seed, self.steps = seed, steps

    def save(self) -> None:
        """Write all that is needed to go on."""
        self.write({"steps": self.steps, "seed": self.seed, "widths": list(self.network.widths)})

    def resume(self) -> None:
        """Go on from what was written."""
        self.read()

    def take(self, inputs: Tensor, maps: Tensor) -> list[float]:
        """Take one step, and return the parts of the loss."""
        total, parts = loss_of(self.outputs(inputs), maps.to(self.device))
        self.learn(total, self.step / self.steps)
        return [total.item(), *parts]


def train(run: Run, data: Path, minutes: float, size: int = BATCH) -> None:
    """Train until the steps or the minutes are over."""
    source = mixed(data, run.seed, run.step, size, DEPTH if run.device.type == "cuda" else 0)
    started, since = time.monotonic(), []
    while run.step < run.steps and time.monotonic() - started < 60 * minutes:
        since.append(run.take(*next(source)))
        if run.step % TOLD_EVERY == 0:
            spent = time.monotonic() - started
            run.tell(run.step, round(spent), *np.mean(since, axis=0).round(4))
            since = []
        if run.step % SAVED_EVERY == 0:
            run.save()
    run.save()


def main() -> None:
    """Train as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of composed crops")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after this many minutes, to go on later")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--wide", type=float, default=1.0, help="factor of the network's widths")
    parser.add_argument("--batch", type=int, default=BATCH, help="crops a step")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    run = Run(options.out, options.seed, options.steps, widened(options.wide), options.device)
    print(f"{parameters(run.network):,} parameters", flush=True)
    if options.resume and (options.out / SAVED).exists():
        run.resume()
    train(run, options.data, options.minutes, options.batch)


if __name__ == "__main__":
    main()
