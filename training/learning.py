"""What the training of both networks does alike: steps, a running mean of the weights, and going on after a stop."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

NetworkT = TypeVar("NetworkT", bound=nn.Module)

SAVED = "last.pt"
DECAY = 0.02
MOST_GRADIENT = 2.0
MEAN_SHARE = 0.998
"""Of the mean that stays at each step; at the beginning less, so that the first weights are soon forgotten."""


class Learner(Generic[NetworkT]):
    """A network that learns. The weights that count are the running mean.

    Args:
        network: the network.
        out: folder that it is kept in.
        rate: the highest learning rate.
        warm_steps: steps in which the rate comes up to it.
        device: torch's name of what it is trained on.
    """

    def __init__(self, network: NetworkT, out: Path, rate: float, warm_steps: int, device: str = "cpu") -> None:
        self.out, self.step = out, 0
        self.device = torch.device(device)
        self.network: NetworkT = network.to(self.device, memory_format=torch.channels_last)
        self.mean = copy.deepcopy(self.network).eval()
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=rate, weight_decay=DECAY)
        self._rate, self._warm_steps = rate, warm_steps
        out.mkdir(parents=True, exist_ok=True)

    def rate_at(self, done: float) -> float:
        """Return the learning rate: a short rise, then a cosine down to nothing where all is done (1)."""
        rise = min(1.0, (self.step + 1) / self._warm_steps)
        return float(self._rate * rise * 0.5 * (1 + np.cos(np.pi * min(done, 1.0))))

    def outputs(self, inputs: Tensor) -> Tensor:
        """Run the network in bf16, as it is trained."""
        self.network.train()
        with torch.autocast(self.device.type, torch.bfloat16):
            found: Tensor = self.network(inputs.to(self.device, memory_format=torch.channels_last))
        return found

    def learn(self, loss: Tensor, done: float) -> None:
        """Take one step down a loss, at the rate of what is done."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate_at(done)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), MOST_GRADIENT)
        self.optimiser.step()
        self.step += 1
        self._average()

    def _average(self) -> None:
        share = min(MEAN_SHARE, self.step / (self.step + 20))
        with torch.no_grad():
            for mean, new in zip(self.mean.state_dict().values(), self.network.state_dict().values(), strict=True):
                if mean.dtype.is_floating_point:
                    mean.lerp_(new, 1 - share)
                else:
                    mean.copy_(new)

    def write(self, facts: Mapping[str, Any]) -> None:
        """Write all that is needed to go on, with facts of the run."""
        partial = self.out / "last.partial"
        learned = {"network": self.network.state_dict(), "mean": self.mean.state_dict()}
        torch.save({**facts, "step": self.step, "optimiser": self.optimiser.state_dict(), **learned}, partial)
        partial.rename(self.out / SAVED)

    def read(self) -> Mapping[str, Any]:
        """Go on from what was written, and return its facts."""
        state: Mapping[str, Any] = torch.load(self.out / SAVED, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.mean.load_state_dict(state["mean"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = int(state["step"])
        return state

    def tell(self, *row: object) -> None:
        """Print a row of figures, and add it to the log."""
        with (self.out / "log.tsv").open("a", encoding="utf-8") as log:
            log.write("\t".join(map(str, row)) + "\n")
        print(*row, flush=True)
