"""What a scanner makes of a written sheet: paper, worn ink, the bed around the leaf, skew and bend."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from samples.sheet import Floats, Sheet

Colour = tuple[int, int, int]  # blue, green, red
Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Look:
    """How a scan looks: its size, paper, inks, the bed around the leaf, and how the page is rotated and bent."""

    size: tuple[int, int] = (2560, 640)
    paper: Colour = (176, 208, 226)
    ink: Colour = (38, 34, 36)
    red: Colour = (48, 60, 178)
    bed: Colour = (52, 46, 44)
    bed_width: tuple[int, int] = (24, 24)  # at the sides, above and below
    roughness: float = 3.5
    grain: float = 6.0
    wear: float = 0.35
    angle: float = 0.0
    leaf_bend: float = 0.0
    spine_bend: float = 0.0


@dataclass(frozen=True, slots=True)
class Warp:
    """Bend the columns of a page up and down, then rotate the page about its centre (degrees, clockwise)."""

    look: Look

    def forward(self, points: Floats) -> Floats:
        """Points (x, y) of the flat page, where the picture has them."""
        bent = np.column_stack([points[:, 0], points[:, 1] + self._shift(points[:, 0])])
        return (bent - self._middle) @ self._turn.T + self._middle

    def picture(self, flat: Picture) -> Picture:
        """The flat picture, bent and rotated: each pixel is fetched from where `forward` would have moved it from."""
        width, height = self.look.size
        grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32)
        bent = (grid - self._middle) @ self._turn + self._middle
        x, y = bent[..., 0], bent[..., 1] - self._shift(bent[..., 0])
        moved = cv2.remap(flat, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT, borderValue=self.look.bed)
        return np.asarray(moved, np.uint8)

    def _shift(self, x: Floats) -> Floats:
        along = x / self.look.size[0]
        leaf = self.look.leaf_bend * np.sin(np.pi * (1.35 * along - 0.1))
        return np.asarray(leaf + self.look.spine_bend * np.exp(-along / 0.12), np.float32)

    @property
    def _middle(self) -> Floats:
        return np.array(self.look.size, np.float32) / 2

    @property
    def _turn(self) -> Floats:
        cosine, sine = np.cos(np.radians(self.look.angle)), np.sin(np.radians(self.look.angle))
        return np.array([[cosine, -sine], [sine, cosine]], np.float32)


def clouds(rng: np.random.Generator, size: tuple[int, int], step: int) -> Floats:
    """Smooth noise, mean 0 and deviation about 1, with spots of about `step` pixels."""
    width, height = size
    small = rng.normal(0, 1, (height // step + 2, width // step + 2)).astype(np.float32)
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_CUBIC), np.float32)


def paper(look: Look, rng: np.random.Generator) -> Floats:
    """The leaf on its bed (height, width, 3): tinted, clouded, with fibres, a rough edge and darker rims."""
    tone = look.grain * (
        0.7 * clouds(rng, look.size, 220)
        + 0.4 * clouds(rng, look.size, 40)
        + 0.35 * clouds(rng, look.size, 6)
        - 2.2 * fibres(look, rng)
    )
    tint = np.array([1.25, 1.0, 0.8], np.float32)  # what darkens paper takes blue first
    leaf = np.array(look.paper, np.float32) + tone[..., None] * tint
    if not any(look.bed_width):
        return np.asarray(leaf, np.float32)
    inside = leaf_mask(look, rng)
    rim = 1 - cv2.GaussianBlur(inside, (0, 0), 14)
    leaf -= 60 * rim[..., None] * tint
    return np.asarray(np.array(look.bed, np.float32) * (1 - inside[..., None]) + leaf * inside[..., None], np.float32)


def fibres(look: Look, rng: np.random.Generator) -> Floats:
    """Short faint hairs of the paper, 0 to 1."""
    mask = np.zeros(look.size[::-1], np.uint8)
    count = look.size[0] * look.size[1] // 9000
    starts = rng.uniform(0, 1, (count, 2)) * look.size
    steps = rng.normal(0, 9, (count, 2))
    for start, step in zip(starts, steps, strict=True):
        bow = start + step + rng.normal(0, 4, 2)
        cv2.polylines(mask, [np.array([start, bow, start + 2 * step], np.int32)], False, 160)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.9).astype(np.float32) / 255, np.float32)


def leaf_mask(look: Look, rng: np.random.Generator) -> Floats:
    """1 where the leaf lies, 0 on the bed; the edge is uneven by some `roughness` pixels."""
    width, height = look.size
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    aside, above = look.bed_width
    inward = np.minimum(np.minimum(x, width - 1 - x) - aside, np.minimum(y, height - 1 - y) - above)
    uneven = look.roughness * (0.8 * clouds(rng, look.size, 90) + 0.35 * clouds(rng, look.size, 12))
    return np.asarray(np.clip(inward + uneven, 0, 1), np.float32)


def inked(mask: Image.Image, look: Look, rng: np.random.Generator) -> Floats:
    """How much ink lies where (0 to 1): fuller here, thinner there, and with ragged edges where the block is worn."""
    full = cv2.GaussianBlur(np.asarray(mask, np.float32) / 255, (0, 0), 0.8)
    ragged = np.clip(full * 1.6 - 0.25 - look.wear * 0.5 * np.abs(clouds(rng, look.size, 3)), 0, 1)
    load = 0.92 - look.wear * 0.4 * np.abs(clouds(rng, look.size, 70)) - look.wear * 0.15 * clouds(rng, look.size, 9)
    return np.asarray(ragged * np.clip(load, 0.35, 1), np.float32)


def scanned(sheet: Sheet, look: Look) -> Picture:
    """The picture that a scanner would take of the sheet."""
    page: Floats = paper(look, sheet.rng)
    for name, colour in (("black", look.ink), ("red", look.red)):
        ink = inked(sheet.inks[name], look, sheet.rng)[..., None]
        page = page * (1 - ink) + np.array(colour, np.float32) * ink
    moved = Warp(look).picture(np.clip(page, 0, 255).astype(np.uint8)).astype(np.float32)
    light: Floats = np.linspace(1.02, 0.95, look.size[0], dtype=np.float32)[None, :, None]
    if look.spine_bend:
        light = light * (1 - 0.45 * np.exp(-np.arange(look.size[0], dtype=np.float32) / 60))[None, :, None]
    noise = cv2.GaussianBlur(sheet.rng.normal(0, 2.8, moved.shape).astype(np.float32), (0, 0), 0.7)
    return np.asarray(np.clip(cv2.GaussianBlur(moved * light, (0, 0), 0.6) + noise, 0, 255), np.uint8)
