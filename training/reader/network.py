"""The network: convolutions down to one row and a quarter of the columns, then six blocks along the line.

Input: (N, 1, HEIGHT, W) from `as_input`, W a multiple of 4. Output: two steps for each column of a quarter, so that one
step stands for 2 pixels: stacks of four code points that are 10 pixels wide can be written.
"""

import torch
from torch import Tensor, nn

from bec_orch.jobs.ocrv1.engines.bec_input import HEIGHT
from training.reader.symbols import SYMBOLS

STEM = (24, 48, 64, 128)
WIDTH, WIDER = 256, 512
BLOCKS = 6
REACH = 9
"""Columns that a block sees: all six see some 100 pixels to both sides."""
STEPS_A_COLUMN = 2
ROWS = HEIGHT // 16
CLASSES = len(SYMBOLS) + 1
BLANK_AT_START = 2.0
"""The blank's bias: most steps of any line are blank."""


def unit(inside: int, outside: int, stride: tuple[int, int]) -> nn.Sequential:
    """A convolution with its normalisation and activation."""
    convolution = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outside), nn.ReLU(inplace=True))


class Block(nn.Module):
    """A view along the line of each feature, then of all features (after Liu et al. 2022, ConvNeXt, figure 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.along = nn.Conv2d(WIDTH, WIDTH, (1, REACH), padding=(0, REACH // 2), groups=WIDTH, bias=False)
        self.even = nn.BatchNorm2d(WIDTH)
        self.wide = nn.Conv2d(WIDTH, WIDER, 1)
        self.active = nn.ReLU(inplace=True)
        self.narrow = nn.Conv2d(WIDER, WIDTH, 1, bias=False)
        self.last = nn.BatchNorm2d(WIDTH)
        nn.init.constant_(self.last.weight, 0.2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        return x + self.last(self.narrow(self.active(self.wide(self.even(self.along(x))))))


class ReaderNetwork(nn.Module):
    """Logits of the symbols at each step of a line."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third, fourth = STEM
        self.stem = nn.Sequential(
            unit(1, first, (2, 2)),
            unit(first, second, (2, 2)),
            unit(second, third, (2, 1)),
            unit(third, third, (1, 1)),
            unit(third, fourth, (2, 1)),
        )
        self.down = nn.Sequential(
            nn.Conv2d(fourth, WIDTH, (ROWS, 1), bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU(inplace=True)
        )
        self.blocks = nn.Sequential(*(Block() for _ in range(BLOCKS)))
        self.head = nn.Conv2d(WIDTH, STEPS_A_COLUMN * CLASSES, 1)
        with torch.no_grad():
            self.head.bias.view(STEPS_A_COLUMN, CLASSES)[:, 0] = BLANK_AT_START

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, W / 2, CLASSES)."""
        out: Tensor = self.head(self.blocks(self.down(self.stem(x))))
        count, _, _, columns = out.shape
        return out.reshape(count, STEPS_A_COLUMN, CLASSES, columns).permute(0, 3, 1, 2).reshape(count, -1, CLASSES)


class Served(nn.Module):
    """The network as it is exported: probabilities."""

    def __init__(self, network: ReaderNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Return probabilities (N, W / 2, CLASSES)."""
        return torch.softmax(self.network(x), dim=2)
