"""The network: a residual U-Net of 0.8 M parameters with a long view along the lines.

Input: (N, 1, H, W), made by `bec_orch.jobs.ldv1.bec.network_input`; sides are multiples of 32. Output at half the size,
6 channels: `OUTPUTS`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bec_orch.jobs.ldv1.bec.network_input import OUTPUTS

WIDTHS = (16, 32, 48, 96)
DILATIONS = (2, 4, 8, 2)
"""Dilation along x of the blocks at stride 16: they see some 600 pixels to both sides."""
CLASSES = 3
GAIN = 4.0
"""The head's outputs are multiplied by this. Adam moves a weight by at most the rate: without the gain, a head of 16
features took hundreds of steps to be sure of anything, and never came to be sure of what is rare."""
START = (0.0, -2.0, -2.0, 0.8, 0.8, -3.0)
"""What the head returns before it has learned anything: about how often each is (Lin et al. 2017, "Focal Loss for Dense
Object Detection", section 4.1)."""
OFFSET_UNIT = 12.0
"""The network's unit of offsets, pixels of the page: half a line pitch."""


def unit(inside: int, outside: int, *, size: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution with its normalisation and activation."""
    convolution = nn.Conv2d(inside, outside, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outside), nn.ReLU(inplace=True))


class Block(nn.Module):
    """Two convolutions with a skip connection."""

    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        wide = nn.Conv2d(width, width, (3, 3), padding=(1, dilation), dilation=(1, dilation), bias=False)
        self.first = nn.Sequential(wide, nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        self.active = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        return self.active(x + self.second(self.first(x)))


class LineNetwork(nn.Module):
    """Maps of cores, offsets and gaps of a page."""

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.widths = tuple(widths)
        first, second, third, last = widths
        self.stem = unit(1, first, size=5, stride=2)
        self.at_2 = unit(first, first)
        self.to_4 = unit(first, second, stride=2)
        self.at_4 = Block(second)
        self.to_8 = unit(second, third, stride=2)
        self.at_8 = Block(third)
        self.to_16 = unit(third, last, stride=2)
        self.at_16 = nn.Sequential(*(Block(last, dilation) for dilation in DILATIONS))
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.side_8, self.from_16 = unit(third, third, size=1), unit(last, third, size=1)
        self.up_8 = unit(third, third)
        self.side_4, self.from_8 = unit(second, second, size=1), unit(third, second, size=1)
        self.up_4 = unit(second, second)
        self.side_2, self.from_4 = unit(first, first, size=1), unit(second, first, size=1)
        self.up_2 = unit(first, first)[:2]
        self.head = nn.Conv2d(2 * first, len(OUTPUTS), 1)
        with torch.no_grad():
            self.head.bias.copy_(torch.tensor(START) / GAIN)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of the three classes, both offsets in `OFFSET_UNIT`, and the logit of a gap."""
        at_2 = self.at_2(self.stem(x))
        at_4 = self.at_4(self.to_4(at_2))
        at_8 = self.at_8(self.to_8(at_4))
        at_16 = self.at_16(self.to_16(at_8))
        up_8 = self.up_8(self.side_8(at_8) + self.up(self.from_16(at_16)))
        up_4 = self.up_4(self.side_4(at_4) + self.up(self.from_8(up_8)))
        up_2 = self.up_2(self.side_2(at_2) + self.up(self.from_4(up_4)))
        # Both signs (CReLU, Shang et al. 2016): with one, a rare class ends where all features are 0, and stays there.
        out: Tensor = GAIN * self.head(torch.cat([up_2, -up_2], dim=1).relu())
        return out


class Served(nn.Module):
    """The network as it is exported: probabilities, and offsets in pixels of the page."""

    def __init__(self, network: LineNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps in the order of `OUTPUTS`."""
        out = self.network(x)
        classes, offsets, gap = out.split((CLASSES, 2, 1), dim=1)
        return torch.cat([classes.softmax(1), offsets.relu() * OFFSET_UNIT, gap.sigmoid()], dim=1)


def widened(factor: float) -> list[int]:
    """Return the widths of a network that is wider by a factor, in multiples of 8."""
    return [8 * max(1, round(width * factor / 8)) for width in WIDTHS]
