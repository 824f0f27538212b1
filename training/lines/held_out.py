"""Measure a network on composed crops of a seed that it was not trained on: by this one of several runs is chosen.

The crops come from other pages, but from the same fonts, texts and line pictures.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bec_orch.jobs.ldv1.bec.network_input import normalised
from training.lines.network import CLASSES, OFFSET_UNIT, LineNetwork
from training.lines.targets import MAIN, OTHER, QUARTERS
from training.lines.train import BATCH, loss_of

THRESHOLD = 0.5


def measured(network: LineNetwork, data: Path) -> dict[str, float]:
    """Return the loss over all crops of a folder, and shares of pixels.

    `found` of the text's pixels are found, `true` of what is found is text, `main` and `other` of each kind's pixels
    are taken for that kind rather than for the other; `offset` is the mean error of tops and bottoms, in pixels of the
    page.
    """
    network.eval()
    losses, counts = [], np.zeros(9)
    for path in sorted(data.glob("*.npz")):
        with np.load(path) as shard:
            grey, maps = shard["grey"], torch.from_numpy(shard["maps"])
        for at in range(0, len(grey), BATCH):
            inputs = np.stack([normalised(each) for each in grey[at : at + BATCH]])[:, None]
            with torch.no_grad():
                out = network(torch.from_numpy(inputs))
            losses.append(loss_of(out, maps[at : at + BATCH])[0].item())
            counts += _counts(out, maps[at : at + BATCH])
    text, found, both, main, as_main, other, as_other, known, away = counts
    figures = {
        "loss": float(np.mean(losses)),
        "found": both / max(text, 1),
        "true": both / max(found, 1),
        "main": as_main / max(main, 1),
        "other": as_other / max(other, 1),
        "offset": away / max(known, 1),
    }
    return {name: round(float(value), 4) for name, value in figures.items()}


def _counts(out: Tensor, maps: Tensor) -> list[float]:
    """Count pixels: text, found, both; main, taken for it; other, taken for it; of known offsets, and their errors."""
    classes = maps[:, 0].long() & 3
    chances, text = out[:, :CLASSES].softmax(1), classes > 0
    found = chances[:, MAIN] + chances[:, OTHER] > THRESHOLD
    is_main, is_other = classes == MAIN, classes == OTHER
    likelier_main = chances[:, MAIN] >= chances[:, OTHER]
    known = maps[:, 1:] > 0
    away = (out[:, CLASSES : CLASSES + 2] * OFFSET_UNIT - (maps[:, 1:].float() - 1) / QUARTERS).abs()
    masks = (text, found, text & found, is_main, is_main & likelier_main, is_other, is_other & ~likelier_main, known)
    return [*(float(mask.sum()) for mask in masks), float(away[known].sum())]
