"""What the training of both networks shares: where the material lies, which fonts it takes, and how a page is read."""

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from torch import nn

Floats: TypeAlias = NDArray[np.float32]
Bytes: TypeAlias = NDArray[np.uint8]

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SYSTEM_FONTS = Path("/usr/share/fonts")
CURSIVE = ("chouk", "dutsa", "paytsik", "tiktong", "tikrang", "yigchung", "tsugring", "ouchan5")
"""Fonts of headless script, by what their names hold."""
UNLICENSED = ("uni-bzdmt",)
"""Fonts whose name table states no licence: not used."""
SUFFIXES = {".jpg", ".png", ".tif"}
GROUND = 90
"""Grey of what is around the pictures of a contact sheet."""


def opened(path: Path) -> Bytes:
    """Read a page as grey."""
    Image.MAX_IMAGE_PIXELS = None
    with Image.open(path) as image:
        return np.asarray(image.convert("L"), np.uint8)


def parameters(network: "nn.Module") -> int:
    """Count the parameters of a network."""
    return sum(each.numel() for each in network.parameters())
